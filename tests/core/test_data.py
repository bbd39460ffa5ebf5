"""Images of a split, augmented and in batches, are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snslib.data import Split, augment, batches, to_float


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def split_of(n: int) -> Split:
    """Images whose every pixel is their index."""
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 3, 4, 4)
    return Split(images.contiguous(), torch.arange(n) % 3)


# --- Split ---


def test_take_and_to() -> None:
    split = split_of(5)
    assert split.take(2).labels.tolist() == [0, 1]
    assert [len(split.take(n)) for n in (0, 5, 9, None)] == [0, 5, 5, 5]
    assert split.to("meta").images.device.type == split.to("meta").labels.device.type == "meta"
    with pytest.raises(ValueError, match="n must be None or at least 0, got -1"):
        split.take(-1)


def test_split_refuses_what_does_not_fit() -> None:
    images, labels = split_of(4).images, split_of(4).labels
    with pytest.raises(ValueError, match="images must be uint8"):
        Split(images.float(), labels)
    with pytest.raises(ValueError, match="images must be uint8 of shape"):
        Split(images[:, :1], labels)
    with pytest.raises(ValueError, match=r"labels must be int64 of shape \(4,\), got int64 of shape \(3,\)"):
        Split(images, labels[:3])
    with pytest.raises(ValueError, match="labels must be int64"):
        Split(images, labels.float())


def test_labels_are_whole_numbers_of_any_kind() -> None:
    images, labels = split_of(4).images, split_of(4).labels
    for whole in (labels.int(), labels.numpy(), labels.numpy().astype("uint8"), labels.tolist()):
        taken = Split(images, whole).labels
        assert taken.dtype == torch.int64
        assert torch.equal(taken, labels)
    assert Split(images, labels).labels is labels


# --- to_float and augment ---


def test_to_float_is_the_unit_interval() -> None:
    images = torch.arange(256, dtype=torch.uint8)
    assert to_float(images).dtype == torch.float32
    assert np.array_equal(to_float(images).numpy(), np.arange(256, dtype=np.float32) / np.float32(255))
    with pytest.raises(ValueError, match="images must be uint8, got float32"):
        to_float(to_float(images))


def candidates(image: torch.Tensor, padding: int, flip: bool) -> list[list]:
    """Every crop of the zero-padded image that augment may give, by plain loops."""
    _, height, width = image.shape
    found = []
    for down in range(-padding, padding + 1):
        for right in range(-padding, padding + 1):
            moved = torch.zeros_like(image)
            for i in range(height):
                for j in range(width):
                    if 0 <= i + down < height and 0 <= j + right < width:
                        moved[:, i, j] = image[:, i + down, j + right]
            found.append(moved.tolist())
            if flip:
                found.append([[row[::-1] for row in channel] for channel in moved.tolist()])
    return found


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 4),
    channels=st.integers(1, 6),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_augmented_images_are_crops_of_the_padded_image(
    n: int, channels: int, height: int, width: int, padding: int, flip: bool, dtype: torch.dtype, seed: int
) -> None:
    images = torch.randint(1, 256, (n, channels, height, width), generator=seeded(seed)).to(dtype)
    before = images.clone()
    out = augment(images, padding, flip, seeded(seed))
    assert (out.shape, out.dtype) == (images.shape, dtype)
    assert torch.equal(images, before)
    for image, result in zip(images, out, strict=True):
        assert result.tolist() in candidates(image, padding, flip)


def test_every_shift_and_both_directions_come_up_per_image() -> None:
    n, padding = 4000, 1
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    out = augment(image.expand(n, 1, 3, 3), padding, True, seeded(0))
    _, counts = torch.unique(out.flatten(1), dim=0, return_counts=True)
    assert len(counts) == 18  # 3 x 3 shifts, mirrored or not
    assert (counts - n / 18).abs().max() < 5 * (n / 18) ** 0.5


def test_without_padding_and_flip_nothing_changes() -> None:
    images = torch.rand(5, 3, 6, 7, generator=seeded(0))
    assert torch.equal(augment(images, 0, False, seeded(1)), images)


def test_flip_mirrors_left_and_right() -> None:
    images = torch.rand(64, 3, 6, 7, generator=seeded(0))
    out = augment(images, 0, True, seeded(1))
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    kept = (out == images).flatten(1).all(1)
    assert torch.equal(mirrored, ~kept)
    assert 16 < mirrored.sum() < 48


def test_a_seed_reproduces_and_pairs_are_augmented_alike() -> None:
    images = torch.randint(0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    once = augment(images, 2, True, seeded(1))
    assert torch.equal(once, augment(images, 2, True, seeded(1)))
    assert not torch.equal(once, augment(images, 2, True, seeded(2)))
    first, second = augment(torch.cat([images, 255 - images], 1), 2, True, seeded(1)).chunk(2, 1)
    assert torch.equal(first, once)
    inside = augment(torch.ones_like(images), 2, True, seeded(1))  # 1 where the crop is not padding
    assert torch.equal(second, (255 - first) * inside)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    augment(torch.rand(4, 3, 8, 8, generator=seeded(0)), 2, True, seeded(0))
    list(batches(split_of(10), 3, seeded(0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_augment_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="images must have the shape"):
        augment(torch.rand(3, 8, 8), 2, True, seeded(0))
    with pytest.raises(ValueError, match="padding must be at least 0 pixels, got -1"):
        augment(torch.rand(1, 3, 8, 8), -1, True, seeded(0))


# --- batches ---


@given(n=st.integers(0, 40), batch_size=st.integers(1, 45))
def test_in_order_every_image_comes_once(n: int, batch_size: int) -> None:
    split = split_of(n)
    seen = list(batches(split, batch_size))
    assert [i for index, _, _ in seen for i in index.tolist()] == list(range(n))
    assert all(len(index) == batch_size for index, _, _ in seen[:-1])
    for index, images, labels in seen:
        assert len(index) > 0
        assert torch.equal(images, split.images[index])
        assert torch.equal(labels, split.labels[index])


@given(n=st.integers(0, 40), batch_size=st.integers(1, 45), seed=st.integers(0, 2**31))
def test_shuffled_there_are_floor_n_over_b_whole_batches(n: int, batch_size: int, seed: int) -> None:
    split = split_of(n)
    seen = list(batches(split, batch_size, seeded(seed)))
    expected = [batch_size] * (n // batch_size) if n >= batch_size else [n] * (n > 0)
    assert [len(index) for index, _, _ in seen] == expected
    indices = [i for index, _, _ in seen for i in index.tolist()]
    assert len(set(indices)) == len(indices)
    for index, images, labels in seen:
        assert torch.equal(images[:, 0, 0, 0], index.to(torch.uint8))
        assert torch.equal(labels, index % 3)


def test_shuffle_follows_the_generator() -> None:
    def order(generator: torch.Generator) -> list[int]:
        return torch.cat([index for index, _, _ in batches(split_of(30), 10, generator)]).tolist()

    one = seeded(0)
    first, second = order(one), order(one)
    assert first == order(seeded(0))
    assert first != second  # the next epoch is shuffled anew
    assert sorted(first) == sorted(second) == list(range(30))


def test_a_batch_is_a_copy() -> None:
    split = split_of(4)
    for _, images, labels in batches(split, 4):
        images.zero_()
        labels.zero_()
    assert split.images.max() == 3
    assert split.labels.max() == 2


def test_batch_size_is_checked_before_the_first_batch() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batches(split_of(4), 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_means_the_same_on_cuda() -> None:
    images = torch.randint(0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    assert torch.equal(augment(images.cuda(), 2, True, seeded(1)).cpu(), augment(images, 2, True, seeded(1)))
    here, there = (list(batches(split_of(10).to(device), 3, seeded(1))) for device in ("cpu", "cuda"))
    assert [index.tolist() for index, _, _ in here] == [index.tolist() for index, _, _ in there]
    with pytest.raises(ValueError, match="generator must be on the CPU, got one on cuda"):
        augment(images, 2, True, torch.Generator("cuda"))

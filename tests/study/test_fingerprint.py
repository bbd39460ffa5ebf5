"""Copies of a data set are told from other data sets, however they are called."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from snslib.data import Dataset, Split, hold_out
from snslib.study.fingerprint import differences, fingerprint


def pictures(n: int, seed: int) -> Tensor:
    """Smooth random images, uint8 (n, 3, 32, 32), whose colours are as far apart as those of photographs."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 255
    return functional.interpolate(coarse, size=(32, 32), mode="bilinear").to(torch.uint8)


def data_set(seed: int = 0, n: int = 400) -> Dataset:
    whole, test = (Split(pictures(n, seed + part), torch.arange(n) % 10) for part in (0, 1))
    train, validation = hold_out(whole, 40)
    return Dataset("cifar10", tuple("0123456789"), train, validation, test, 4, True, "drawn", False)


def told_apart(a: Dataset, b: Dataset) -> list[str]:
    recorded = json.loads(json.dumps(fingerprint(a)))  # as a file has it
    return differences(recorded, fingerprint(b))


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    copies = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "jpeg", quality=quality)
        copies.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    return torch.stack(copies)


def with_test(data: Dataset, images: Tensor, labels: Tensor | None = None) -> Dataset:
    return replace(data, test=Split(images, data.test.labels if labels is None else labels))


def test_a_copy_is_the_same_data_set() -> None:
    assert told_apart(data_set(), data_set()) == []


@pytest.mark.parametrize("quality", [75, 90])
def test_a_copy_through_jpeg_is_the_same_data_set(quality: int) -> None:
    data = data_set()
    copies = as_jpeg(data.test.images, quality)
    assert not torch.equal(copies, data.test.images)
    assert told_apart(data, with_test(data, copies)) == []


def test_a_few_other_images_are_tolerated_and_many_are_not() -> None:
    data = data_set()
    for every, tolerated in ((25, True), (10, False)):
        images = data.test.images.clone()
        images[::every] = pictures(400, 9)[::every]
        assert (told_apart(data, with_test(data, images)) == []) == tolerated


def test_other_images_of_the_same_number_and_labels_are_other_data() -> None:
    said = told_apart(data_set(), data_set(seed=5))
    assert [line.split(" that are compared")[0].split(" of the ")[1] for line in said] == [
        "100 train images",
        "40 validation images",
        "100 test images",
    ]


@pytest.mark.parametrize("change", ["mirrored", "negative", "black", "permuted colours", "in another order"])
def test_changed_images_are_other_data(change: str) -> None:
    data = data_set()
    images = {
        "mirrored": data.test.images.flip(3),
        "negative": 255 - data.test.images,
        "black": torch.zeros_like(data.test.images),
        "permuted colours": data.test.images.flip(1),
        "in another order": data.test.images.roll(10, 0),  # whose labels are the same
    }[change]
    (said,) = told_apart(data, with_test(data, images))
    assert said.endswith("test images that are compared have other colours")


def test_other_labels_or_numbers_are_other_data() -> None:
    data = data_set()
    labels = data.test.labels.clone()
    labels[[3, 4]] = labels[[4, 3]]
    assert told_apart(data, with_test(data, data.test.images, labels)) == [
        "its test labels are others, or in another order"
    ]
    fewer = replace(data, test=data.test.take(399))
    assert told_apart(data, fewer) == ["its test images are (399, 3, 32, 32), not (400, 3, 32, 32)"]


def test_no_images_and_images_of_odd_sides_have_a_fingerprint_too() -> None:
    data = data_set()
    odd = replace(
        data, validation=data.validation.take(0), test=Split(data.test.images[..., :31, :31], data.test.labels)
    )
    assert told_apart(odd, odd) == []


@pytest.mark.parametrize("recorded", [[], {}, {"train": 1}, None])
def test_what_is_no_fingerprint_is_refused(recorded: object) -> None:
    with pytest.raises(ValueError, match="not a fingerprint"):
        differences(recorded, fingerprint(data_set()))  # type: ignore[arg-type]

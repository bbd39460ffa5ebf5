"""Maps that are known because the network only copies, adds and averages pixels; masks and overlaps by hand."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snslib.book.figures.receptive_fields import receptive_fields as figure_of
from snslib.data import Split, to_float
from snslib.evaluation import receptive_fields
from snslib.evaluation.receptive_fields import (
    compare_overlap,
    darkened,
    intersection_over_union,
    mask_overlap,
    top_images,
    unit_masks,
    unit_thresholds,
)

RED, GREEN, DIFFERENCE, DEAD = range(4)


class Net(nn.Module):
    """Neurons that output red, green, red - green where positive, and nothing; ``pool`` averages squares of 4x4.

    The dropout is there to be switched off, the ReLU works in place, and ``head`` outputs no maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 4, 1, bias=False)
        self.drop, self.relu = nn.Dropout(0.9), nn.ReLU(inplace=True)
        self.pool, self.head, self.unused = nn.AvgPool2d(4), nn.Linear(4, 2), nn.Identity()
        with torch.no_grad():
            self.colours.weight.zero_()
            self.colours.weight[RED, 0] = self.colours.weight[GREEN, 1] = self.colours.weight[DIFFERENCE, 0] = 1
            self.colours.weight[DIFFERENCE, 1] = -1

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.relu(self.drop(self.colours(x)))).mean((2, 3)))


def outputs_by_hand(x: Tensor, layer: str) -> np.ndarray:
    """What ``relu`` or ``pool`` of Net output in eval mode, without the network."""
    red, green = x[:, 0].numpy(), x[:, 1].numpy()
    maps = np.stack([red, green, np.maximum(red - green, 0), np.zeros_like(red)], 1)
    if layer == "pool":
        n, c, h, w = maps.shape
        maps = maps.reshape(n, c, h // 4, 4, w // 4, 4).mean((3, 5))
    return maps


def random_split(n: int, size: int = 8, levels: int = 256) -> Split:
    return Split(torch.randint(0, levels, (n, 3, size, size), dtype=torch.uint8), torch.zeros(n, dtype=torch.int64))


def spots(rows: slice, *columns: slice, size: int = 8) -> Tensor:
    """Black images, each with a red rectangle, (N, 3, size, size)."""
    x = torch.zeros(len(columns), 3, size, size)
    for image, place in zip(x, columns, strict=True):
        image[0, rows, place] = 1
    return x


@pytest.fixture
def net() -> Net:
    return Net().train()


# --- the images that activate a neuron most ---


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100, None])
@pytest.mark.parametrize("layer", ["relu", "pool"])
@pytest.mark.parametrize("levels", [256, 2])  # with two levels nearly everything is a tie
def test_top_images_equal_sorting_everything(net: Net, layer: str, levels: int, batch_size: int | None) -> None:
    split = random_split(20, levels=levels)
    highest = outputs_by_hand(to_float(split.images), layer).max((2, 3))
    if layer == "pool":
        highest = np.round(highest, 6)  # averages that are equal, but for the order of addition
    found = top_images(net, split, layer, [DIFFERENCE, RED, DEAD], k=6, batch_size=batch_size)
    assert found.dtype == torch.int64
    for unit, places in zip([DIFFERENCE, RED, DEAD], found.tolist(), strict=True):
        expected = sorted(range(20), key=lambda i: (-highest[i, unit], i))[:6]
        if layer == "relu":
            assert places == expected
        else:  # ties may be broken by a last bit
            assert highest[places, unit].tolist() == highest[expected, unit].tolist()
    assert found[2].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_highest_position_counts_and_not_the_sum(net: Net) -> None:
    """One bright pixel against a whole image at half its brightness."""
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[0, 0] = 128
    images[1, 0, 3, 5] = 255
    split = Split(images, torch.tensor([0, 0]))
    assert top_images(net, split, "relu", [RED]).tolist() == [[1, 0]]
    assert top_images(net, split, "pool", [RED], k=1).tolist() == [[0]]


# --- thresholds ---


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("top", [0.005, 0.01, 0.1, 0.29, 0.5, 0.999])
@pytest.mark.parametrize("levels", [256, 3])
def test_thresholds_are_numpys_quantiles(net: Net, levels: int, top: float, batch_size: int) -> None:
    split = random_split(10, levels=levels)
    outputs = outputs_by_hand(to_float(split.images), "relu").transpose(1, 0, 2, 3).reshape(4, -1)
    found = unit_thresholds(net, split, "relu", range(4), top, batch_size)
    # in float64 1 - top would, times n, come to lie just above the whole number that it is
    level = np.nextafter(1 - top, 0)
    np.testing.assert_array_equal(found.numpy(), np.quantile(outputs, level, axis=1, method="inverted_cdf"))
    share = (outputs > found.numpy()[:, None]).mean(1)
    assert (share <= top).all()
    for unit, threshold in enumerate(found.tolist()):  # and no lower output would do
        lower = outputs[unit][outputs[unit] < np.float32(threshold)]
        assert not len(lower) or (outputs[unit] > lower.max()).mean() > top


def test_thresholds_by_hand(net: Net) -> None:
    """Red counts 0..99 / 255 from pixel to pixel: of 100 outputs 29 may exceed T, and the 30th highest is 70 / 255.

    In floating point .29 * 100 are 28.999...
    """
    images = torch.zeros(1, 3, 10, 10, dtype=torch.uint8)
    images[0, 0] = torch.arange(100).view(10, 10)
    split = Split(images, torch.tensor([0]))
    thresholds = unit_thresholds(net, split, "relu", [RED, GREEN], top=0.29)
    torch.testing.assert_close(thresholds, torch.tensor([70 / 255, 0]))
    masks = unit_masks(net, to_float(images), "relu", [RED, GREEN], thresholds)
    assert masks[0, 0].sum() == 29
    assert not masks[0, 1].any()  # a silent neuron sees nothing


# --- masks ---


def test_a_mask_covers_the_spot(net: Net) -> None:
    x = spots(slice(2, 5), slice(1, 4), slice(4, 8))
    masks = unit_masks(net, x, "relu", [RED, GREEN, RED], torch.tensor([0.5, 0.5, 1.0]))
    assert masks.dtype == torch.bool
    assert torch.equal(masks[:, 0], x[:, 0] == 1)
    assert not masks[:, 1].any()
    assert not masks[:, 2].any()  # above the threshold, not at it


def test_maps_are_scaled_up_bilinearly(net: Net) -> None:
    """A map [[1, 0], [0, 0]] on 8x8 pixels: the weight of its corner falls from pixel to pixel as in ``fall``."""
    x = spots(slice(0, 4), slice(0, 4))
    fall = torch.tensor([1, 1, 7 / 8, 5 / 8, 3 / 8, 1 / 8, 0, 0])
    for threshold, pixels in ((0.5, 15), (0.6, 13), (0.1, 31), (0.99, 4)):
        mask = unit_masks(net, x, "pool", [RED], torch.tensor([threshold]))[0, 0]
        assert torch.equal(mask, fall[:, None] * fall > threshold)
        assert mask.sum() == pixels


def test_masks_equal_interpolation_of_whole_maps(net: Net) -> None:
    split = random_split(6, size=12)
    x, units = to_float(split.images), [GREEN, DIFFERENCE]
    thresholds = unit_thresholds(net, split, "pool", units, top=0.2)
    maps = torch.from_numpy(outputs_by_hand(x, "pool")[:, units]).double()
    scaled = F.interpolate(maps, size=(12, 12), mode="bilinear", align_corners=False)
    clear = (scaled - thresholds.view(-1, 1, 1)).abs() > 1e-6  # the output that is the threshold may round either way
    masks = unit_masks(net, x, "pool", units, thresholds)
    assert torch.equal(masks & clear, (scaled > thresholds.view(-1, 1, 1)) & clear)
    assert clear.float().mean() > 0.99


def test_a_single_position_gives_all_or_nothing(net: Net) -> None:
    x = spots(slice(0, 4), slice(0, 4), slice(0, 2), size=4)
    masks = unit_masks(net, x, "pool", [RED], torch.tensor([0.7]))
    assert masks[:, 0].flatten(1).float().mean(1).tolist() == [1, 0]


# --- intersection over union ---

MASKS = st.lists(st.booleans(), min_size=12, max_size=12).map(lambda bits: torch.tensor(bits).view(3, 4))


@given(a=MASKS, b=MASKS)
def test_overlap_properties(a: Tensor, b: Tensor) -> None:
    overlap = intersection_over_union(a, b)
    pixels, others = set(a.flatten().nonzero().flatten().tolist()), set(b.flatten().nonzero().flatten().tolist())
    if not pixels | others:
        assert overlap.isnan()
        return
    assert overlap.item() == pytest.approx(len(pixels & others) / len(pixels | others))
    assert overlap == intersection_over_union(b, a)
    assert intersection_over_union(a | b, a | b) == 1
    assert intersection_over_union(a, b & ~a).nan_to_num() == 0
    assert intersection_over_union(torch.stack([a, b]), torch.stack([b, b]))[0] == overlap


def test_overlap_of_shifted_spots(net: Net) -> None:
    """A square of 3x3, moved by 0, 1, 2 and 3 pixels: 9/9, 6/12, 3/15 and 0/18 of the union are shared."""
    rows = slice(2, 5)
    x = spots(rows, *[slice(1, 4)] * 4)
    x_adv = spots(rows, slice(1, 4), slice(2, 5), slice(3, 6), slice(4, 7))
    overlap = mask_overlap(net, [(x, x_adv)], "relu", [RED], torch.tensor([0.5]))
    torch.testing.assert_close(overlap, torch.tensor([[1], [1 / 2], [1 / 5], [0]]))


def test_overlap_with_empty_masks(net: Net) -> None:
    spot, black = spots(slice(0, 4), slice(0, 4)), torch.zeros(1, 3, 8, 8)
    x, x_adv = torch.cat([spot, black, black, spot]), torch.cat([black, spot, black, spot])
    overlap = mask_overlap(net, [(x, x_adv)], "pool", [RED, GREEN], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(overlap[:, 0], torch.tensor([0, 0, torch.nan, 1]), equal_nan=True)
    assert overlap[:, 1].isnan().all()


@pytest.mark.parametrize("sizes", [[9], [4, 5], [1] * 9])
def test_overlap_does_not_depend_on_batches(net: Net, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    split, other = random_split(9), random_split(9)
    x, x_adv = to_float(split.images), to_float(other.images)
    units = [DIFFERENCE, RED]
    thresholds = unit_thresholds(net, split, "relu", units, top=0.3) + 1e-3  # between two outputs
    clean, adversarial = (unit_masks(net, images, "relu", units, thresholds) for images in (x, x_adv))
    pairs = zip(x.split(sizes), x_adv.split(sizes), strict=True)
    monkeypatch.setattr(receptive_fields, "images_at_once", lambda device: 4)
    overlap = mask_overlap(net, pairs, "relu", units, thresholds)
    assert torch.equal(overlap, intersection_over_union(clean, adversarial))
    assert 0 < overlap.min() < overlap.max() < 1


# --- sensitive against insensitive neurons ---


def test_comparison_equals_enumeration() -> None:
    """Two and three neurons can be dealt out in ten ways; scipy doubles the smaller tail."""
    sensitive = torch.tensor([[0.0, 0.4], [0.2, torch.nan]])  # means .1 and .4
    insensitive = torch.tensor([[0.5, 0.3, 0.9, torch.nan], [0.5, 0.3, 0.7, torch.nan]])  # .5, .3, .8 and no mean
    result = compare_overlap(sensitive, insensitive)
    assert (result.n_sensitive, result.n_insensitive) == (2, 3)
    assert result.sensitive == pytest.approx(0.25)
    assert result.insensitive == pytest.approx(1.6 / 3)
    means = [0.1, 0.4, 0.5, 0.3, 0.8]
    differences = [
        np.mean([means[i] for i in chosen]) - np.mean([m for i, m in enumerate(means) if i not in chosen])
        for chosen in itertools.combinations(range(5), 2)
    ]
    tails = [np.mean(np.array(differences) <= -17 / 60 + 1e-9), np.mean(np.array(differences) >= -17 / 60 - 1e-9)]
    assert result.p_value == pytest.approx(min(1, 2 * min(tails)))


def test_comparison_finds_a_difference_and_none() -> None:
    low, high = torch.rand(50, 12) * 0.5, 0.3 + torch.rand(50, 20) * 0.5
    assert compare_overlap(low, high, resamples=999).p_value == pytest.approx(2 / 1000)  # none as extreme
    assert compare_overlap(low, high, 99, seed=1) == compare_overlap(low, high, 99, seed=1)
    assert compare_overlap(high[:, :10], high[:, 10:], resamples=999).p_value > 0.01
    same = torch.full((3, 2), 0.5)
    assert compare_overlap(same, same).p_value == 1


# --- the model, and what is refused ---


def test_the_model_is_left_as_it_was(net: Net) -> None:
    split = random_split(5)
    net.drop.eval()
    thresholds = unit_thresholds(net, split, "pool", [RED], top=0.3)
    top_images(net, split, "pool", [RED])
    mask_overlap(net, [(to_float(split.images),) * 2], "pool", [RED], thresholds)
    with pytest.raises(ValueError, match="units"):
        top_images(net, split, "pool", [9])
    assert net.training
    assert not net.drop.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_convolution_is_seen_before_its_batchnorm() -> None:
    """In eval mode the two may run as one; the layer's own output is what counts."""
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    model[1].running_mean.fill_(5)
    split = random_split(4)
    with torch.no_grad():
        outputs = model[0](to_float(split.images)).transpose(0, 1).flatten(1)
    expected = outputs.sort(dim=1, descending=True).values[:, 25]  # a tenth of 256 are 25
    torch.testing.assert_close(unit_thresholds(model, split, "0", [0, 1], top=0.1), expected)


X, ONE = torch.zeros(2, 3, 8, 8), torch.tensor([0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, s: top_images(net, s, "pool", [0], k=0), r"^k: "),
        (lambda net, s: top_images(net, s.take(0), "pool", [0]), r"^split: got no images"),
        (lambda net, s: top_images(net, s, "nowhere", [0]), r"^layers: .*'nowhere'"),
        (lambda net, s: top_images(net, s, "unused", [0]), r"^layers: unused did not run"),
        (lambda net, s: top_images(net, s, "head", [0]), r"^layer: 'head' outputs \(5, 2\).*maps"),
        (lambda net, s: top_images(net, s, "pool", [0, 4]), r"^units: 'pool' has channels 0\.\.3, got \[0, 4\]"),
        (lambda net, s: top_images(net, s, "pool", [-1]), r"^units: 'pool' has channels"),
        (lambda net, s: top_images(net, s, "pool", []), r"^units: .*U >= 1"),
        (lambda net, s: top_images(net, s, "pool", torch.tensor([True, False])), r"^units: .*mask"),
        (lambda net, s: top_images(net, s, "pool", [0.5]), r"^units: expected channels of 'pool', whole numbers"),
        (lambda net, s: top_images(net, s, "pool", [0], batch_size=0), r"^batch_size: "),
        (lambda net, s: darkened(X, torch.ones(1, 1, 1, dtype=torch.bool)), r"^masks: expected one for each of x"),
        (lambda net, s: darkened(X, X[:, 0]), r"^masks: .*got float"),
        (lambda net, s: unit_thresholds(net, s, "pool", [0], top=0.0), r"^top: .*\(0, 1\), got 0\.0"),
        (lambda net, s: unit_thresholds(net, s, "pool", [0], top=1.0), r"^top: "),
        (lambda net, s: unit_thresholds(net, s, "pool", [0], top=float("nan")), r"^top: "),
        (
            lambda net, s: unit_thresholds(net, s, "pool", [0], top=0.04),
            r"^top: .*0\.04 of a neuron's 20 .*more images",
        ),
        (lambda net, s: unit_masks(net, X + 2, "pool", [0], ONE), r"^x: values"),
        (lambda net, s: unit_masks(net, X, "pool", [0, 1], ONE), r"^thresholds: expected 2 "),
        (lambda net, s: unit_masks(net, X, "pool", [0], ONE * torch.nan), r"^thresholds: .*finite"),
        (lambda net, s: mask_overlap(net, [], "pool", [0], ONE), r"^pairs: got none"),
        (lambda net, s: mask_overlap(net, [(X, X[:1])], "pool", [0], ONE), r"^pairs: x and x' must match"),
        (lambda net, s: mask_overlap(net, [(X, X - 1)], "pool", [0], ONE), r"^pairs \(x'\): "),
        (lambda net, s: intersection_over_union(X > 0, X), r"^b: expected bool"),
        (lambda net, s: intersection_over_union(X > 0, X[0] > 0), r"^b: .*one shape"),
        (lambda net, s: compare_overlap(X[0], X[0, 0]), r"^sensitive: expected \(N, U\)"),
        (lambda net, s: compare_overlap(X[0, 0], X[0, 0] + 2), r"^insensitive: .*\[0, 1\]"),
        (lambda net, s: compare_overlap(X[0, 0], X[0, 0, :, :1]), r"^insensitive: .*two neurons.*got 1"),
        (lambda net, s: compare_overlap(X[0, 0], X[0, 0] * torch.nan), r"^insensitive: .*got 0"),
        (lambda net, s: compare_overlap(X[0, 0], X[0, 0], resamples=0), r"^resamples: "),
    ],
)
def test_errors(net: Net, call: Callable[[Net, Split], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(net, random_split(5))


def test_outputs_that_are_not_finite_are_refused(net: Net) -> None:
    nn.init.constant_(net.colours.weight, torch.nan)
    with pytest.raises(ValueError, match=r"^layer: .*'pool' are not finite"):
        top_images(net, random_split(2), "pool", [RED])


# --- the figure ---


def test_the_figure_darkens_what_the_neuron_does_not_see() -> None:
    x = torch.full((2, 3, 8, 8), 0.8)
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[0, :4] = True
    fig = figure_of({"sensitive": {"7": (x, x, mask, mask)}, "others": {"9": (x, x, mask, ~mask)}})
    axes = [ax for part in fig.subfigs for ax in part.axes]
    assert len(axes) == 2 * 2 * 2  # panels, benign and attacked, images
    shown = axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(shown[:4], 0.8, rtol=1e-6)
    assert (shown[4:] < 0.4).all()
    assert [ax.get_xlabel() for ax in axes] == ["", "", "shared 1.00", "–", "", "", "shared 0.00", "0.00"]
    assert axes[0].get_ylabel() == "neuron 7\nbenign"


def test_examples_put_the_pieces_together(net: Net) -> None:
    split = random_split(12)

    def darker(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return x / 2

    (x, x_adv, mask, mask_adv), _ = receptive_fields.examples(net, split, darker, "relu", [RED, GREEN], k=3)
    chosen = top_images(net, split, "relu", [RED], 3)[0]
    assert torch.equal(x, to_float(split.images[chosen]))
    assert torch.equal(x_adv, x / 2)
    limit = unit_thresholds(net, split, "relu", [RED])
    assert torch.equal(mask, x[:, RED] > limit)
    assert not mask_adv.any()  # no half of a value is among the highest

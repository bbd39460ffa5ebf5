"""What a neuron sees: the part of an image where it is active, on benign and adversarial images alike.

The paper's Fig. 4-5 and 14-17 follow Zhou et al. (2015) in segmenting images by a neuron's activation; no threshold
is named. Here it is that of Network Dissection (Bau et al. 2017), by the same authors and cited beside: an output T_m
for each neuron that only the top 0.5% of its outputs on benign images exceed. All neurons' masks then cover about the
same share of the data set, so that neurons can be compared, and one T_m serves an image and its adversarial twin. The
code that Zhou et al. published (cnnvisualizer) takes 0.2 of the neuron's highest output instead; areas then differ.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from snslib import arguments
from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.hooks import NotFinite, record, uncompiled
from snslib.inference import device_of, frozen, images_at_once, run
from snslib.passes import together, warn_if_mixed
from snslib.sensitivity import checked, dual_pairs

Units = Tensor | Sequence[int]
TOP = 0.005  # the share of a neuron's outputs above its threshold
SHADE = 0.3  # what is left of an image's brightness outside of the mask


def top_images(
    model: nn.Module,
    split: Split,
    layer: str,
    units: Units,
    k: int = 5,
    batch_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """The images that activate each neuron most, by its highest output over all positions (section 3.2).

    Args:
        model: any module; it runs in eval mode and is left as it was.
        split: the images to choose from, at least one. Between batches, no more than k of them are remembered.
        layer: dotted name of a layer that outputs (N, C, H, W), or (N, H, W, C).
        units: the neurons, channels of the layer, (U,).
        k: how many images, at least 1; a split with fewer gives all it has.
        batch_size: images at a time, None for what suits the device; matters to speed only, unless a warning says that
            the model mixes the images of a pass (:func:`snslib.passes.independent`).
        axis: of the neurons in what the layer outputs; None finds it, see :func:`snslib.neurons.neuron_axis`.

    Returns:
        Places in the split, int64 (U, k) on the CPU, the highest output first; of equals the lower place first, which
        for a dead neuron are the first images.

    Raises:
        ValueError: no images, an unknown layer or one without maps, an unknown neuron, k < 1, outputs not finite.
    """
    k = arguments.at_least("k", k, 1)
    best: list[tuple[Tensor, Tensor]] = []  # outputs and places, (k, U) each
    for index, maps in _maps_of(model, split, layer, units, batch_size, axis):
        best.append((maps.amax((2, 3)), index[:, None].expand(maps.shape[:2])))
        outputs, places = (torch.cat(parts) for parts in zip(*best, strict=True))
        order = outputs.argsort(dim=0, descending=True, stable=True)[:k]
        best = [(outputs.gather(0, order), places.gather(0, order))]
    return best[0][1].T.contiguous().cpu()


def unit_thresholds(
    model: nn.Module,
    split: Split,
    layer: str,
    units: Units,
    top: float = TOP,
    batch_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """The output T_m of each neuron above which it counts as active: P(output > T_m) = top (Bau et al. 2017).

    The probability is over all positions of all images. T_m is the smallest of these n outputs that at most a share
    ``top`` of them exceeds: the exact quantile, for which n * top + 1 outputs are kept and no map.

    Args:
        model, split, layer, units, batch_size, axis: as in :func:`top_images`; the images are benign ones.
        top: the share, in (0, 1).

    Returns:
        float (U,) on the CPU. It is 0 for a neuron behind a ReLU that is active less often than ``top``.

    Raises:
        ValueError: as :func:`top_images`; top out of range, or so small that not one of n outputs may exceed T_m.
    """
    if isinstance(top, bool) or not isinstance(top, Real) or not 0 < top < 1:
        raise ValueError(f"top: expected a share in (0, 1), got {top!r}")
    highest: Tensor | None = None
    for _, maps in _maps_of(model, split, layer, units, batch_size, axis):
        outputs = maps.transpose(0, 1).flatten(1)
        n = len(split) * maps[0, 0].numel()
        above = math.floor(Fraction(str(top)) * n)
        if above == 0:
            raise ValueError(
                f"top: a share of {top!r} of a neuron's {n} outputs is none; pass more images or a larger share"
            )
        if highest is not None:
            outputs = torch.cat([highest, outputs], 1)
        highest = outputs.topk(min(above + 1, outputs.shape[1]), dim=1).values
    assert highest is not None  # _maps_of refuses an empty split
    return highest[:, -1].cpu()


def unit_masks(
    model: nn.Module, x: Tensor, layer: str, units: Units, thresholds: Tensor, axis: int | None = None
) -> Tensor:
    """Where in each image each neuron is active: its map, scaled up to the image, is above its threshold.

    The map is interpolated bilinearly, each of its values at the centre of its share of the image: in VGG-16 that is
    the centre of the position's receptive field, as in Network Dissection. A map of one position, as at pool5 for
    images of 32x32, gives a mask of all or nothing.

    Args:
        model, layer, units, axis: as in :func:`top_images`.
        x: float (N, C, H, W) in [0, 1], benign or adversarial, as many as may pass through the model at once.
        thresholds: (U,), from :func:`unit_thresholds` on benign images.

    Returns:
        bool (N, U, H, W) on the device of x.

    Raises:
        ValueError: images out of range, a layer or neurons as in :func:`top_images`, thresholds that do not fit them.
    """
    x = arguments.images("x", x)
    return _above(_maps(model, x, layer, units, axis), _as_many(thresholds, layer, units), x.shape[2:])


def intersection_over_union(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of masks, in [0, 1]: 0 where one of them is empty, NaN where both are.

    Args:
        a: bool (..., H, W).
        b: bool of the same shape.

    Returns:
        float32 (...), on the device of the masks.

    Raises:
        ValueError: shapes that differ, or masks that are not bool.
    """
    for name, mask in (("a", a), ("b", b)):
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.ndim < 2 or mask.shape != a.shape:
            raise ValueError(f"{name}: expected bool masks of one shape (..., H, W), got {arguments.described(mask)}")
    return (a & b).sum((-2, -1)) / (a | b).sum((-2, -1))


def mask_overlap(
    model: nn.Module,
    pairs: Iterable[tuple[Tensor, Tensor]],
    layer: str,
    units: Units,
    thresholds: Tensor,
    axis: int | None = None,
) -> Tensor:
    """How much of what each neuron sees is the same in an image and in its adversarial twin, for every pair.

    The masks of a batch live no longer than it takes to compare them, neuron by neuron.

    Args:
        model, layer, units, thresholds, axis: as in :func:`unit_masks`.
        pairs: batches (x, x') of float images (B, C, H, W) in [0, 1], for example from ``sensitivity.dual_pairs``.

    Returns:
        Intersection over union, float32 (N, U) on the CPU, in the order of the pairs: 0 where the neuron is active in
        one of the two images only, NaN where it is in neither.

    Raises:
        ValueError: as :func:`unit_masks`; no pairs, or shapes that differ.
    """
    arguments.layers(uncompiled(model), [layer])
    limits = _as_many(thresholds, layer, units)
    overlaps = []
    for parts in together(model, checked(pairs), [layer]):
        maps = torch.cat([_maps(model, part, layer, units, axis) for part in parts])
        one_by_one = zip(maps.split(1, 1), limits.split(1), strict=True)
        masks = (_above(one, limit, parts[0].shape[2:]) for one, limit in one_by_one)
        overlaps.append(torch.cat([intersection_over_union(*mask.chunk(2)) for mask in masks], 1).cpu())
    if not overlaps:
        raise ValueError("pairs: got none; expected batches (x, x')")
    return torch.cat(overlaps)


def examples(
    model: nn.Module,
    split: Split,
    attack: Attack,
    layer: str,
    units: Units,
    k: int = 5,
    batch_size: int | None = None,
    axis: int | None = None,
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What Fig. 4-5 show of each neuron: the images that activate it most, their twins, and where it sees them.

    Args:
        model, split, layer, units, k, batch_size, axis: as in :func:`top_images`; thresholds are of the same split.
        attack: maps (model, x, y) to x'. An image that several neurons share is attacked once.

    Returns:
        Per neuron x and x', float (k, 3, H, W), and its masks in them, bool (k, H, W), all on the CPU.
    """
    places = top_images(model, split, layer, units, k, batch_size, axis)
    thresholds = unit_thresholds(model, split, layer, units, batch_size=batch_size, axis=axis)
    chosen, where = places.unique(return_inverse=True)
    few = Split(split.images[chosen], split.labels[chosen])
    x, x_adv = (torch.cat(parts) for parts in zip(*dual_pairs(model, few, attack, batch_size), strict=True))
    shown = []
    for unit, limit, place in zip(arguments.indices("units", layer, units).tolist(), thresholds, where, strict=True):
        pair = x[place], x_adv[place]
        mask, mask_adv = (unit_masks(model, images, layer, [unit], limit[None], axis)[:, 0] for images in pair)
        shown.append((pair[0].cpu(), pair[1].cpu(), mask.cpu(), mask_adv.cpu()))
    return shown


def darkened(x: Tensor, masks: Tensor) -> Tensor:
    """Images (..., 3, H, W) as figures show them, dark outside of the masks, bool (..., H, W).

    ValueError for masks that are not of the images' shape without its colours.
    """
    if not isinstance(x, Tensor) or not isinstance(masks, Tensor):
        raise ValueError(f"x, masks: expected tensors, got {arguments.shown(x)} and {arguments.shown(masks)}")
    if x.dtype not in arguments.FLOATS:
        raise ValueError(f"x: expected floats (..., 3, H, W), got {arguments.described(x)}")
    if masks.dtype != torch.bool or masks.device != x.device or masks.shape != (*x.shape[:-3], *x.shape[-2:]):
        raise ValueError(f"masks: expected one for each of x, {tuple(x.shape)}, got {arguments.described(masks)}")
    return x * (SHADE + (1 - SHADE) * masks.unsqueeze(-3))


@dataclass(frozen=True)
class Comparison:
    """Whether the masks of sensitive neurons overlap less than those of insensitive ones.

    Args:
        sensitive: mean over the sensitive neurons of their mean intersection over union, in [0, 1].
        insensitive: the same of the insensitive neurons.
        p_value: of the difference, two-sided.
        n_sensitive: how many sensitive neurons count, those active in any image.
        n_insensitive: how many insensitive ones.
    """

    sensitive: float
    insensitive: float
    p_value: float
    n_sensitive: int
    n_insensitive: int


def compare_overlap(sensitive: Tensor, insensitive: Tensor, resamples: int = 9999, seed: int = 0) -> Comparison:
    """Mean overlap of sensitive and of insensitive neurons, with a permutation test of the difference.

    A neuron counts once, with its mean over the images in which it is defined. The test deals the neurons out to the
    two groups anew, in every way or in ``resamples`` random ones where there are more. It speaks of neurons of this
    model on these images; neither models nor images are resampled.

    Args:
        sensitive: float (N, U) from :func:`mask_overlap`, NaN where undefined.
        insensitive: float (N, V), of other neurons.
        resamples: random ways to deal the neurons, at least 1.
        seed: decides them.

    Raises:
        ValueError: values out of [0, 1], or fewer than two neurons of a group with any value that is defined.
    """
    arguments.at_least("resamples", resamples, 1)
    seed = arguments.seed("seed", seed)
    groups = []
    for name, overlap in (("sensitive", sensitive), ("insensitive", insensitive)):
        fits = isinstance(overlap, Tensor) and overlap.ndim == 2 and overlap.dtype in arguments.FLOATS
        if fits:
            arguments.dense(name, overlap)
        if not fits or not ((overlap >= 0) & (overlap <= 1) | overlap.isnan()).all():
            raise ValueError(f"{name}: expected (N, U) overlaps in [0, 1] or NaN, got {arguments.shown(overlap)}")
        of_units = overlap.double().nanmean(0)
        groups.append(of_units[~of_units.isnan()].numpy(force=True))
        if len(groups[-1]) < 2:
            raise ValueError(f"{name}: a test needs two neurons that are active in some image, got {len(groups[-1])}")

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return a.mean(axis) - b.mean(axis)

    test = stats.permutation_test(groups, difference, n_resamples=resamples, rng=np.random.default_rng(seed))
    ours, others = groups
    return Comparison(float(ours.mean()), float(others.mean()), float(test.pvalue), len(ours), len(others))


def _maps_of(
    model: nn.Module, split: Split, layer: str, units: Units, batch_size: int | None, axis: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch by batch: places in the split, int64 (B,), and the neurons' maps (B, U, h, w)."""
    if not isinstance(split, Split):
        raise ValueError(f"split: expected a Split, such as the test of a data set, got {arguments.described(split)}")
    if not len(split):
        raise ValueError("split: got no images")
    device = device_of(model)
    for i, (index, images, _) in enumerate(batches(split.to(device), images_at_once(device, batch_size))):
        x = to_float(images)
        if i == 0:
            warn_if_mixed(model, x)
        yield index, _maps(model, x, layer, units, axis)


def _maps(model: nn.Module, x: Tensor, layer: str, units: Units, axis: int | None) -> Tensor:
    """What the neurons output, (N, U, h, w)."""
    with record(model, [layer], axis) as activations, frozen(model), torch.no_grad():
        run(model, x)
    output = activations[layer]
    if output.ndim != 4:
        raise ValueError(f"layer: {layer!r} outputs {tuple(output.shape)}; name one that outputs maps (N, C, H, W)")
    index = arguments.indices("units", layer, units)
    if not len(index):
        raise ValueError(f"units: expected channels of {layer!r}, (U,) with U >= 1, got {arguments.shown(units)}")
    arguments.channels("units", layer, index, output.shape[1])
    maps = output[:, index.to(output.device)]
    if not maps.isfinite().all():
        raise NotFinite(f"layer: the outputs of {layer!r} are", model, x)
    return maps


def _as_many(thresholds: Tensor, layer: str, units: Units) -> Tensor:
    n = len(arguments.indices("units", layer, units))
    if not isinstance(thresholds, Tensor) or thresholds.shape != (n,) or not thresholds.isfinite().all():
        raise ValueError(f"thresholds: expected {n} finite ones, (U,) as the units, got {thresholds!r}")
    return thresholds


def _above(maps: Tensor, thresholds: Tensor, size: Sequence[int]) -> Tensor:
    """Masks (N, U, H, W) of maps (N, U, h, w): scaled up to a size (H, W), above thresholds (U,)."""
    scaled = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
    return scaled > thresholds.to(maps).view(-1, 1, 1)

"""Whether images may share a pass of a network: found out, not assumed."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from snslib.hooks import on_whole_output, tensors_in
from snslib.inference import ModelFails, frozen, images_at_once, run

PLACE = 1  # of the image that is looked at, among the four of a pass


def independent(model: nn.Module, x: Tensor, layers: Sequence[str] = ()) -> bool | None:
    """Whether what a network makes of an image does not depend on the others of its pass.

    That is not so of BatchNorm without running statistics, nor of any network that adds, multiplies, sorts or
    normalises over the batch. Two small passes tell: the same image among three others, which once are its negative
    and once NaN, as is then whatever is computed of them.

    Args:
        model: any module; run in eval mode and left as it was.
        x: images as it gets them, float (N, C, H, W); the first is looked at.
        layers: dotted names of layers that are looked at besides what the model puts out.

    Returns:
        None where the network does not run on such images, as quantised ones do not on NaN: nothing is known.

    Raises:
        ValueError: an unknown layer, or one that does not run or outputs no tensor (N, ...).
    """
    image = x[:1].detach()
    with frozen(model), torch.no_grad():

        def among(other: Tensor) -> list[Tensor] | None:
            try:
                return _outputs(model, torch.cat([other, image, other, other]), layers)
            except ModelFails:
                return None

        first = among(1 - image)
        second = None if first is None else among(torch.full_like(image, torch.nan))
    if first is None or second is None:
        return None
    return len(first) == len(second) and all(map(_equal, first, second))


def warn_if_mixed(model: nn.Module, x: Tensor) -> None:
    """Say so where the images of a pass are not :func:`independent`: results then depend on the batches."""
    if independent(model, x) is False:
        warnings.warn(
            "model: what it makes of an image depends on the other images of the pass, as with BatchNorm without "
            "running statistics; results depend on batch_size",
            stacklevel=3,
        )


def _outputs(model: nn.Module, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """What the layers and the model put out for the image at PLACE, with the same random numbers every time."""
    found: list[Tensor] = []

    def keep(output: Tensor) -> None:
        found.append(output[PLACE].clone())

    with ExitStack() as stack:
        if layers:
            stack.enter_context(on_whole_output(model, dict.fromkeys(layers, keep)))
        stack.enter_context(torch.random.fork_rng([x.device.index] if x.is_cuda else []))
        output = run(model, x)
    dense = (tensor for tensor in tensors_in(output) if tensor.layout == torch.strided and not tensor.is_nested)
    whole = (tensor[PLACE] for tensor in dense if tensor.ndim and len(tensor) == len(x))
    return [*found, *whole]


def _equal(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding; NaN equals NaN, for a network whose weights are NaN."""
    a, b = (each.as_subclass(Tensor) for each in (a, b))
    if a.shape != b.shape or not a.is_floating_point():
        return torch.equal(a, b)
    size = a.nan_to_num(0, 0, 0).abs().max() if a.numel() else 0.0
    return torch.allclose(a, b, rtol=0, atol=float(64 * torch.finfo(a.dtype).eps * size), equal_nan=True)


def together(
    model: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]], layers: Sequence[str]
) -> Iterator[tuple[Tensor, ...]]:
    """For each part of the pairs what its passes take: x and x' in one where they may share it, else one after another.

    Where they may, no pass takes more than suits the device; else each takes its batch as it is, whatever its size.

    Args:
        model: any module.
        pairs: batches (x, x') of checked images.
        layers: dotted names of the layers that are measured.
    """
    shared: bool | None = None
    for x, x_adv in pairs:
        if shared is None:
            shared = independent(model, x, layers)
        if not shared:
            yield x, x_adv
            continue
        some = images_at_once(x.device) // 2
        for part, part_adv in zip(x.split(some), x_adv.split(some), strict=True):
            yield (torch.cat([part, part_adv]),)

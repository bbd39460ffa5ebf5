"""Means over images, or over pairs of them, of what is computed from layers' outputs: Eq. 1 is one such mean."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from snslib import arguments
from snslib.hooks import Axis, NotFinite, on_output, uncompiled
from snslib.inference import frozen, run
from snslib.passes import together

Statistic = Callable[[Tensor], Tensor]


def mean_over_images(
    model: nn.Module,
    inputs: Iterable[tuple[Tensor | tuple[Tensor, ...], int]],
    statistics: Mapping[str, Statistic],
    dtype: torch.dtype = torch.float32,
    axis: Axis = None,
) -> dict[str, Tensor]:
    """Means over images of what is computed from layers' outputs, in eval mode.

    The outputs of one pass are reduced inside the hooks and none is kept. The model is left as it was.

    Args:
        model: any module.
        inputs: what each forward pass takes, and how many images it counts as; x and x' of a pair count as one. Of a
            tuple, each takes a pass of its own, and the outputs of all are joined before anything is computed of them.
        statistics: layer to what maps its output, with neurons on axis 1, to a tensor, summed over the images, of the
            same shape for every input. The layer "" is the model itself, and its output the logits. Of a layer that
            runs several times in a pass, the last output counts.
        dtype: of the means; the sums are float64.
        axis: of the neurons in what the layers output, as in :func:`snslib.hooks.on_output`; None finds it.

    Returns:
        Layer to mean, on the CPU, in the order of ``statistics``; empty where there are no inputs.

    Raises:
        ValueError: an unknown layer, or one that does not run or whose neurons cannot be found; values that are not
            finite.
    """
    names = list(arguments.layers(uncompiled(model), list(statistics)))
    total: dict[str, Tensor] = {}
    n = 0
    for given, count in inputs:
        parts = given if isinstance(given, tuple) else (given,)
        if len(parts) == 1:
            batch = _of_one_pass(model, parts[0], statistics, axis)
        else:
            kept = [_of_one_pass(model, part, dict.fromkeys(names, Tensor.clone), axis) for part in parts]
            batch = {name: statistics[name](torch.cat([one[name] for one in kept])) for name in names}
        _check_finite(model, batch, parts)
        for name, value in batch.items():
            total[name] = total.get(name, 0) + value.double()
        n += count
    return {name: (total[name] / n).to("cpu", dtype) for name in names if name in total}


def mean_over_pairs(
    model: nn.Module,
    pairs: Iterable[tuple[Tensor, Tensor]],
    statistics: Mapping[str, Statistic],
    dtype: torch.dtype = torch.float32,
    axis: Axis = None,
) -> dict[str, Tensor]:
    """:func:`mean_over_images` of pairs, each counted once: a statistic gets the outputs for x, then as many for x'.

    x and x' share a pass where :func:`snslib.passes.independent` finds that they may.

    Args:
        pairs: batches (x, x') of checked float images (B, C, H, W) in [0, 1], of any sizes B.
    """
    layers = [name for name in arguments.layers(uncompiled(model), list(statistics)) if name]

    def inputs() -> Iterator[tuple[tuple[Tensor, ...], int]]:
        for parts in together(model, pairs, layers):
            yield parts, sum(map(len, parts)) // 2

    return mean_over_images(model, inputs(), statistics, dtype, axis)


def _of_one_pass(model: nn.Module, x: Tensor, statistics: Mapping[str, Statistic], axis: Axis) -> dict[str, Tensor]:
    batch: dict[str, Tensor] = {}

    def reduce(name: str) -> Callable[[Tensor], None]:
        def action(output: Tensor) -> None:
            batch[name] = statistics[name](output)

        return action

    with on_output(model, {name: reduce(name) for name in statistics}, axis), frozen(model), torch.no_grad():
        run(model, x)
    return batch


def _check_finite(model: nn.Module, batch: Mapping[str, Tensor], inputs: tuple[Tensor, ...]) -> None:
    """NotFinite where a value is not; on a GPU this waits for the device once."""
    if not torch.stack([value.isfinite().all().to(inputs[0].device) for value in batch.values()]).all():
        layer = next(name for name, value in batch.items() if not value.isfinite().all())
        raise NotFinite(f"layers: what is measured of {layer!r} is", model, *inputs)

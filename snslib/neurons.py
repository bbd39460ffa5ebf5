"""On which axis of a layer's output its neurons are: 1 in (N, C) and (N, C, H, W), the last one in (N, T, C)."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, pooling

from snslib import arguments

FIRST = (  # these put out (N, C, ...)
    *(conv._ConvNd, batchnorm._NormBase, nn.GroupNorm, nn.LocalResponseNorm, nn.PixelShuffle, nn.PixelUnshuffle),
    *(pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd),
)
LAST = (  # and these (N, ..., C)
    *(nn.Linear, nn.Bilinear, nn.Embedding, nn.MultiheadAttention),
    *(nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.TransformerEncoder, nn.TransformerDecoder),
)
_REARRANGING = {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims", "einsum", "rearrange", "mT", "T"}
_NORMS = (nn.LayerNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []))


def neuron_axis(model: nn.Module, name: str, output: Tensor, axis: int | None = None) -> int:
    """The axis of a layer's neurons in what it outputs for a batch: the one rule for all of this library.

    Of (N, C) it is 1. What the kind of a module says by itself comes next: 1 for convolutions, BatchNorm and pooling,
    the last for linear layers, LayerNorm and PyTorch's transformer layers. Any other module, such as an activation or
    a block of several, is judged by the layers in it, or else by those that the model defines before it: where its
    output has as many channels as these put out, the neurons are on the axis that has them. Layers that disagree leave
    it open, and so do two axes of that length where a forward in the model rearranges axes by a name of _REARRANGING;
    what a function does that a forward calls is not looked at.

    Args:
        model: the model.
        name: dotted name of the layer in it; "" is the model itself.
        output: what the layer outputs, (N, ...) with at least two axes.
        axis: where the neurons are, as the caller knows it; None finds out. Negative ones count from the end.

    Returns:
        From 1 to output.ndim - 1.

    Raises:
        ValueError: an axis that is not there, or none given where it cannot be known.
    """
    ndim, shape = output.ndim, tuple(output.shape)
    if axis is not None:
        if isinstance(axis, bool) or not isinstance(axis, int) or not -ndim < axis < ndim or axis == 0:
            raise ValueError(
                f"axis: {name!r} outputs {shape}, with neurons on one of the axes 1 to {ndim - 1}, "
                f"got {arguments.shown(axis)}"
            )
        return axis % ndim
    if ndim == 2:
        return 1
    module = model.get_submodule(name)
    found = _of_its_kind(module, ndim) or _of_its_neighbours(model, module, shape)
    if found is None:
        raise ValueError(
            f"layers: {name!r}, a {type(module).__name__}, outputs {shape}, and which axis its neurons are on cannot "
            f"be known; pass axis=1 for (N, C, ...) or axis={ndim - 1} for (N, ..., C)"
        )
    return found


def _of_its_kind(module: nn.Module, ndim: int) -> int | None:
    """The axis that a kind of module has its neurons on, or None for one that does not say."""
    if isinstance(module, FIRST):
        return 1
    if isinstance(module, LAST) or (type(module) in _NORMS and _normalised(module)):
        return ndim - 1
    return None


def _of_its_neighbours(model: nn.Module, module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """The axis of a module that does not say it, by the layers in it or else those before it; None if they do not."""
    ndim = len(shape)
    if isinstance(module, _NORMS) and _normalised(module):  # a subclass, such as one for (N, C, H, W)
        return _only(shape, _normalised(module))
    inside = [layer for layer in module.modules() if _of_its_kind(layer, ndim)]
    near = inside or [layer for layer in _before(model, module) if _of_its_kind(layer, ndim)]
    if not near:
        return 1 if ndim == 4 else None  # nothing but the images (N, C, H, W) comes before it
    straight = [layer for layer in near if _axes_of(layer) in (None, ndim)]  # the others' outputs were rearranged
    direct = {axis for layer in straight if shape[axis := _of_its_kind(layer, ndim) or 0] == _channels(layer)}
    moved = {_only(shape, _channels(layer)) for layer in near} - {None}
    if any(shape[1:].count(_channels(layer) or 0) > 1 for layer in straight) and _rearranges(model):
        return None
    for says in (direct, moved):
        if says:
            return says.pop() if len(says) == 1 else None
    # channels that were joined, as those of parallel convolutions are
    all_first = all(_of_its_kind(layer, ndim) == 1 for layer in near)
    return 1 if all_first and any(_axes_of(layer) == ndim for layer in near) else None


def _rearranges(model: nn.Module) -> bool:
    """Whether the forward of a module, PyTorch's own and norms aside, names an operation that rearranges axes."""
    kinds = {type(module) for module in model.modules() if not isinstance(module, _NORMS)}
    others = (kind for kind in kinds if not kind.__module__.startswith("torch."))
    codes = (getattr(kind.forward, "__code__", None) for kind in others)
    return any(code is not None and not _REARRANGING.isdisjoint(code.co_names) for code in codes)


def _channels(module: nn.Module) -> int | None:
    """How many channels a module puts out, as far as it says."""
    for attribute in ("out_channels", "num_features", "num_channels", "out_features", "embedding_dim", "embed_dim"):
        if isinstance(count := getattr(module, attribute, None), int):
            return count
    return _normalised(module)


def _normalised(module: nn.Module) -> int | None:
    """How many channels a norm of one axis has, as LayerNorm mostly is."""
    shape = getattr(module, "normalized_shape", None)
    return shape[0] if isinstance(shape, tuple) and len(shape) == 1 else None


def _axes_of(module: nn.Module) -> int | None:
    """How many axes the output of a kind of module has, such as 4 of Conv2d; None where it can be any number."""
    return next((axes + 2 for axes in (1, 2, 3) if type(module).__name__.endswith(f"{axes}d")), None)


def _only(shape: tuple[int, ...], count: int | None) -> int | None:
    """The one axis from 1 on that is as long as ``count``, or None."""
    axes = [axis for axis in range(1, len(shape)) if shape[axis] == count]
    return axes[0] if len(axes) == 1 else None


def _before(model: nn.Module, module: nn.Module) -> Iterator[nn.Module]:
    for other in model.modules():
        if other is module:
            return
        yield other

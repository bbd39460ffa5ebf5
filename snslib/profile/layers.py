"""The layers of any model whose channels are neurons."""

import re
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snslib.arguments import few, near
from snslib.hooks import channels_of
from snslib.inference import ModelFails, frozen, run
from snslib.logits import read_logits
from snslib.neurons import neuron_axis

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)


FOLLOWING = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Softplus),
)


@dataclass(frozen=True)
class Layer:
    """A layer whose channels are neurons.

    Args:
        modules: those that make it up, such as "Conv2d, BatchNorm2d, ReLU"; the last one outputs what is measured.
        shape: of what it outputs for one image.
        axis: of the channels in what it outputs for a batch: 1 in (N, C, H, W), 2 in (N, T, C).
    """

    modules: str
    shape: tuple[int, ...]
    axis: int

    @property
    def neurons(self) -> int:
        return self.shape[self.axis - 1]


@dataclass(frozen=True)
class _Ran:
    """A module that ran. A tensor is known by its identity and by how often it was changed in place."""

    name: str
    module: nn.Module
    took: tuple[int, int] | None
    gave: tuple[int, int] | None
    output: object


def find_layers(
    model: nn.Module, x: Tensor, names: Sequence[str] | None = None, channel_axis: int | None = None
) -> tuple[dict[str, Layer], int]:
    """The layers of a model whose channels are neurons, found in one forward pass, and how many classes it has.

    Without names these are all convolutions and linear layers, but for those whose outputs have something else than
    images on their first axis, such as the windows of all images, which a warning names. Each is taken where the
    normalisation and the activation that follow it directly hand it on, as in the paper: before BatchNorm, the scale of
    a convolution's output means nothing. What follows must be modules that run once in a pass; of a ReLU that is called
    as a function, or that several layers share, the input is measured.

    The channels of a convolution are on axis 1, those of a linear layer on the last one, and so with what follows
    them. Of other modules, of which names may be given, :func:`snslib.neurons.neuron_axis` finds them.

    Args:
        model: any module that maps x to logits, as :func:`snslib.logits.read_logits` reads them.
        x: float (N, 3, H, W) in [0, 1]; one image is enough.
        names: dotted names of modules that run and output a tensor (N, C, ...); None finds layers.
        channel_axis: of all that the names output; None finds it.

    Returns:
        Dotted name to layer, in the order in which they run or of the names, and K.

    Raises:
        ValueError: a model without such layers or logits, or that fails; an unknown name; an axis that is not there.
    """
    known = [name for name, _ in model.named_modules() if name]
    for name in names or ():
        if name not in known:
            raise ValueError(f"layers: the model has no layer {name!r}; {near(name, known)}")
    ran, logits = _run(model, x, names or ())
    chains = _chains(ran)
    if names is not None:
        last = {one.name: [one] for one in ran}
        if silent := [name for name in names if name not in last]:
            raise ValueError(f"layers: {', '.join(silent)} did not run in the forward pass")
        chains = {name: chains.get(name, last[name]) for name in names}
    else:
        chains = _of_images(chains, len(x))
    if not chains:
        raise ValueError("model: no convolution or linear layer ran in it; name its layers by layers=")
    return {name: _layer(model, name, chain, channel_axis) for name, chain in chains.items()}, logits.shape[1]


def _run(model: nn.Module, x: Tensor, names: Collection[str]) -> tuple[list[_Ran], Tensor]:
    """The modules without parts, and those of the names, in the order in which they ended; and the logits."""
    ran: list[_Ran] = []
    took: list[tuple[int, int] | None] = []  # by the modules that have begun and not ended

    def key(value: object) -> tuple[int, int] | None:
        return (id(value), value._version) if isinstance(value, Tensor) else None

    def before(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        took.append(key(inputs[0]) if inputs else None)

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name and (name in names or isinstance(module, WEIGHTED) or not [*module.children()]):

                def after(module: nn.Module, _inputs: object, output: object, name: str = name) -> None:
                    ran.append(_Ran(name, module, took.pop(), key(output), output))

                stack.callback(module.register_forward_pre_hook(before).remove)
                stack.callback(module.register_forward_hook(after).remove)
        try:
            with frozen(model), torch.no_grad():
                output = run(model, x)
        except ModelFails as error:
            raise ValueError(f"{error}; image_size sets their size") from error
    return ran, read_logits(output, len(x))


def _chains(ran: Sequence[_Ran]) -> dict[str, list[_Ran]]:
    """Every convolution and linear layer with what follows it, by the name of the last of these."""
    times = Counter(one.name for one in ran)
    chains: dict[str, list[_Ran]] = {}
    ends: dict[tuple[int, int], list[_Ran]] = {}  # what a chain outputs, as long as nothing has taken it, to the chain
    for one in ran:
        before = ends.pop(one.took, None) if one.took else None
        if isinstance(one.module, WEIGHTED):
            chain = chains[one.name] = [one]
        elif before and isinstance(one.module, FOLLOWING) and times[one.name] == 1:
            chain = before
            chain.append(one)
        else:
            continue
        if one.gave:
            ends[one.gave] = chain
    return {chain[-1].name: chain for chain in chains.values()}


def _of_images(chains: Mapping[str, list[_Ran]], images: int) -> dict[str, list[_Ran]]:
    """The chains that output a tensor with the images on its first axis."""
    found = {
        name: chain
        for name, chain in chains.items()
        if not isinstance(output := chain[-1].output, Tensor) or (output.ndim and len(output) == images)
    }
    if others := [name for name in chains if name not in found]:
        warnings.warn(f"layers: what {few(others)} output has no images on its first axis; left out", stacklevel=3)
    return found


def _layer(model: nn.Module, name: str, chain: Sequence[_Ran], channel_axis: int | None) -> Layer:
    output = channels_of(name, chain[-1].output)
    try:
        axis = neuron_axis(model, chain[0].name, output, channel_axis)
    except ValueError as error:  # where the argument is called "axis"
        raise ValueError(re.sub(r"\baxis(?=[:=])", "channel_axis", str(error))) from error
    return Layer(", ".join(type(one.module).__name__ for one in chain), tuple(output.shape[1:]), axis)

"""Record and change the activations of named layers of any ``nn.Module``; the hooks go when the ``with`` ends."""

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from snslib import arguments
from snslib.inference import frozen, own
from snslib.logits import read_logits
from snslib.neurons import neuron_axis

Action = Callable[[Tensor], Tensor | None]
Axis = int | Mapping[str, int] | None


def channels_of(layer: str, output: object) -> Tensor:
    """``output`` of a layer, provided that it is a tensor of two axes or more; ValueError otherwise.

    The layer "" is the model itself: of what it puts out, these are the logits.
    """
    if layer == "" and not isinstance(output, Tensor):
        return read_logits(output)
    if not isinstance(output, Tensor) or output.ndim < 2:
        came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"layers: {layer!r} outputs {came}; a layer of neurons outputs one tensor (N, C, ...)")
    return output


@contextmanager
def on_output(model: nn.Module, actions: Mapping[str, Action], axis: Axis = None) -> Iterator[None]:
    """While the context lasts, call ``actions[layer](output)`` after each layer; a returned tensor takes its place.

    The action gets, and returns, the output with its neurons on axis 1, wherever :func:`snslib.neurons.neuron_axis`
    finds them. A layer that runs more than once in a forward pass calls its action each time, and a warning says so. A
    model that torch.compile has compiled runs uncompiled meanwhile, as its layers cannot be seen otherwise.

    Args:
        model: any module.
        actions: layer to what is called.
        axis: of the neurons in what these layers output, or layer to axis; None finds it.

    Raises:
        ValueError: a name is no layer of the model. In a forward pass of the model: a layer does not run, or its output
            is not one tensor with an entry per image on axis 0 and neurons on an axis that can be known.
    """

    def on_axis_1(name: str) -> Action:
        def action(output: Tensor) -> Tensor | None:
            given = axis.get(name) if isinstance(axis, Mapping) else axis
            where = neuron_axis(uncompiled(model), name, output, given)
            if where == 1:
                return actions[name](output)
            changed = actions[name](output.movedim(where, 1))
            return None if changed is None else changed.movedim(1, where)

        return action

    with on_whole_output(model, {name: on_axis_1(name) for name in actions}):
        yield


@contextmanager
def on_whole_output(model: nn.Module, actions: Mapping[str, Action]) -> Iterator[None]:
    """As :func:`on_output`, with the layers' outputs as they are, whichever axis the neurons are on."""
    whole = uncompiled(model)
    modules = arguments.layers(whole, list(actions))
    ran: Counter[str] = Counter()  # in this pass
    images: list[int] = []  # how many this pass has; none while parts of the model are called by themselves

    def begin(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        given = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim)
        ran.clear()
        images[:] = [len(value) for value in given][:1]

    def hook(name: str) -> Callable[..., Tensor | None]:
        def after(_module: nn.Module, _inputs: object, output: object) -> Tensor | None:
            ran[name] += 1
            values = channels_of(name, output)
            if images and len(values) != images[0]:
                raise ValueError(
                    f"layers: {name!r} outputs {tuple(values.shape)} for {images[0]} images; "
                    "the first axis has to be that of the images"
                )
            return actions[name](values)

        return after

    def end(_module: nn.Module, _inputs: object, _output: object) -> None:
        images.clear()
        if silent := [name for name in actions if not ran[name]]:
            raise ValueError(_not_run(whole, silent))
        for name in actions:
            if ran[name] > 1:
                warnings.warn(
                    f"layers: {name!r} runs {ran[name]} times in a forward pass; what is recorded or measured is its "
                    "last output, and what is suppressed are all",
                    stacklevel=2,
                )

    with ExitStack() as stack, _run_eagerly():
        stack.callback(whole.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(hook(name)).remove)
        stack.callback(whole.register_forward_hook(end).remove)
        yield


def uncompiled(model: nn.Module) -> nn.Module:
    """The module that torch.compile was given, for what it returned; any other module as it is."""
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def _run_eagerly() -> AbstractContextManager[object]:
    """Compiled models do not look for hooks that came later; meanwhile they run as they were written."""
    if "torch._dynamo" not in sys.modules:  # nothing has been compiled
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def _not_run(model: nn.Module, silent: Sequence[str]) -> str:
    how = ""
    if isinstance(model, (torch.jit.ScriptModule, torch.fx.GraphModule)):
        how = "; a scripted, traced or exported model runs without its modules, pass the one that it was made of"
    return f"layers: {', '.join(silent)} did not run in the forward pass{how}"


@contextmanager
def record(model: nn.Module, layers: Sequence[str], axis: Axis = None) -> Iterator[dict[str, Tensor]]:
    """Record what the layers output (section 2: the outputs F_l^m of their neurons).

    Args:
        model: any module.
        layers: dotted names as in ``model.get_submodule``.
        axis: of the neurons in what the layers output, as in :func:`on_output`; None finds it.

    Yields:
        A dictionary that each forward pass fills anew: layer to its output, (N, C, H, W) or (N, C); the neurons are on
        axis 1 also where the layer outputs tokens (N, T, C), of which (N, C, T) is recorded. The tensors are copies
        that an in-place operation further on cannot change, and they carry gradients where the pass does. Of a layer
        that runs several times in one pass, the last output is kept, and a warning says so.

    Raises:
        ValueError: an unknown layer, or as in :func:`on_output`, at the forward pass.
    """
    activations: dict[str, Tensor] = {}

    def keep(name: str) -> Action:
        def action(output: Tensor) -> None:
            activations[name] = output.clone()

        return action

    with on_output(model, {name: keep(name) for name in arguments.layers(uncompiled(model), layers)}, axis):
        yield activations


@contextmanager
def suppress(
    model: nn.Module, neurons: Mapping[str, Tensor | Sequence[int]], beta: float, axis: Axis = None
) -> Iterator[None]:
    """Multiply the outputs of chosen neurons by beta (section 3.4, Fig. 3a); beta = 1 is the model as it is.

    Args:
        model: any module.
        neurons: layer to the channels to suppress, whole numbers (K,) and no mask; K may be 0.
        beta: the factor, usually in [0, 1]; any finite number.
        axis: of the neurons in what the layers output, as in :func:`on_output`; None finds it.

    Raises:
        ValueError: no layers, an unknown one or one under two names, a factor that is not finite, indices that are no
            whole numbers. At the forward pass: a channel that the layer does not have, or as in :func:`on_output`.
    """
    beta = float(arguments.number("beta", beta, -arguments.MAX))
    if not isinstance(neurons, Mapping):
        raise ValueError(f"neurons: expected a dictionary of layers to channels, got {arguments.shown(neurons)}")
    indices = {name: arguments.indices("neurons", name, index) for name, index in neurons.items()}
    named: dict[nn.Module, str] = {}
    for name, module in arguments.layers(uncompiled(model), list(indices)).items():
        if named.setdefault(module, name) != name:
            raise ValueError(f"neurons: {named[module]!r} and {name!r} are one layer of the model; name it once")

    def scale(name: str) -> Action:
        def action(output: Tensor) -> Tensor:
            arguments.channels("neurons", name, indices[name], output.shape[1])
            factor = torch.ones(output.shape[1], dtype=output.dtype, device=output.device)
            factor[indices[name].to(output.device)] = beta
            return output * factor.view(1, -1, *[1] * (output.ndim - 2))

        return action

    with on_output(model, {name: scale(name) for name in indices}, axis):
        yield


class NotFinite(ValueError, FloatingPointError):
    """A network computes NaN or infinity, as one does whose training diverged.

    The message says where that begins, which is looked for here, layer by layer in a pass in eval mode: the first
    output that is not finite, or else the place where the gradient, on its way back, is not finite any more.

    Args:
        what: what is not finite, and of which argument.
        model: the network.
        inputs: what it was given, batches of images; the first that shows it counts.
        loss: what the gradient is of, a function of the logits; None looks at outputs only.
    """

    def __init__(
        self, what: str, model: nn.Module, *inputs: Tensor, loss: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        found = next((where for x in inputs if (where := _begins(model, x, loss))), None)
        super().__init__(f"{what} not finite; {found or 'the outputs of all layers are finite by themselves'}")


def _begins(model: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor] | None) -> str | None:
    outputs: list[str] = []
    gradients: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def at_gradient(gradient: Tensor) -> None:
            if not gradient.isfinite().all():
                gradients.append(name)

        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            for tensor in tensors_in(output):
                if tensor.is_floating_point() and not tensor.isfinite().all():
                    outputs.append(name)
                elif loss is not None and tensor.requires_grad:
                    tensor.register_hook(at_gradient)

        return hook

    with ExitStack() as stack:
        stack.enter_context(_run_eagerly())
        for name, layer in uncompiled(model).named_modules():
            stack.callback(layer.register_forward_hook(look(name)).remove)
        stack.enter_context(frozen(model))
        leaf = x.detach().clone().requires_grad_(loss is not None)
        logits = model(own(model, leaf))
        if loss is not None and not outputs:
            value = loss(read_logits(logits))
            gradient = torch.autograd.grad(value, leaf, allow_unused=True)[0]
            if not gradients and gradient is not None and not gradient.isfinite().all():
                return (
                    "the outputs of all layers are finite, and the gradient is at them: what the model does with its "
                    "images before has no finite derivative there"
                )
    return _said(outputs, gradients)


def _said(outputs: Sequence[str], gradients: Sequence[str]) -> str | None:
    def layer(name: str) -> str:
        return repr(name) if name else "the model"

    if outputs:
        return f"the output of {layer(outputs[0])} is the first that is not finite; check its weights"
    if gradients:
        return (
            "the outputs of all layers are finite; of the gradient, that at the output of "
            f"{layer(gradients[0])} is the first, on the way back, that is not finite: what comes next has no finite "
            "derivative there"
        )
    return None


def tensors_in(value: object) -> list[Tensor]:
    """The tensors in what a module puts out: a tensor, tuples, lists and dictionaries of them, an object's logits."""
    leaves = [getattr(leaf, "logits", leaf) for leaf in _pytree.tree_leaves(value)]
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]

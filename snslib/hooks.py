"""Record and change the activations of named layers of any ``nn.Module``; the hooks go when the ``with`` ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from snslib import arguments
from snslib.inference import frozen


def channels_of(layer: str, output: object) -> Tensor:
    """``output`` of a layer, provided that it is a tensor (N, C, ...); ValueError otherwise."""
    if not isinstance(output, Tensor) or output.ndim < 2:
        came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"layers: {layer!r} outputs {came}; a layer of neurons outputs one tensor (N, C, ...)")
    return output


@contextmanager
def on_output(model: nn.Module, actions: Mapping[str, Callable[[Tensor], Tensor | None]]) -> Iterator[None]:
    """While the context lasts, call ``actions[layer](output)`` after each layer; a returned tensor takes its place.

    A layer that runs more than once in a forward pass calls its action each time.

    Raises:
        ValueError: a name is no layer of the model, or a layer's output is not a tensor (N, C, ...).
    """
    modules = arguments.layers(model, list(actions))
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(_module: nn.Module, _inputs: object, output: object, name: str = name) -> Tensor | None:
                return actions[name](channels_of(name, output))

            stack.callback(module.register_forward_hook(hook).remove)
        yield


class NotFinite(ValueError, FloatingPointError):
    """A network computes NaN or infinity, as one does whose training diverged.

    The message says where that begins, which is looked for here, layer by layer in a forward pass in eval mode.

    Args:
        what: what is not finite, and of which argument.
        model: the network.
        x: what it was given.
    """

    def __init__(self, what: str, model: nn.Module, x: Tensor) -> None:
        super().__init__(f"{what} not finite; {_first_not_finite(model, x)}")


def _first_not_finite(model: nn.Module, x: Tensor) -> str:
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return hook

    with ExitStack() as stack:
        for name, layer in model.named_modules():
            stack.callback(layer.register_forward_hook(look(name)).remove)
        with frozen(model), torch.no_grad():
            model(x)
    if not found:
        return "the outputs of all layers are finite; a function in the model has no finite derivative there"
    layer = repr(found[0]) if found[0] else "the model"
    return f"the output of {layer} is the first that is not finite; check its weights"


@contextmanager
def record(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Record what the layers output (section 2: the outputs F_l^m of their neurons).

    Args:
        model: any module.
        layers: dotted names as in ``model.get_submodule``.

    Yields:
        A dictionary that each forward pass fills anew: layer to its output, (N, C, H, W) or (N, C). The tensors are
        copies that an in-place operation further on cannot change, and they carry gradients where the pass does.
        Of a layer that runs several times in one pass, the last output is kept.

    Raises:
        ValueError: an unknown layer, or one whose output is not a tensor (N, C, ...).
    """
    activations: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[Tensor], None]:
        def action(output: Tensor) -> None:
            activations[name] = output.clone()

        return action

    with on_output(model, {name: keep(name) for name in arguments.layers(model, layers)}):
        yield activations


@contextmanager
def suppress(model: nn.Module, neurons: Mapping[str, Tensor | Sequence[int]], beta: float) -> Iterator[None]:
    """Multiply the outputs of chosen neurons by beta (section 3.4, Fig. 3a); beta = 1 is the model as it is.

    Args:
        model: any module.
        neurons: layer to the channels to suppress, whole numbers (K,) and no mask; K may be 0.
        beta: the factor, usually in [0, 1]; any finite number.

    Raises:
        ValueError: no layers or an unknown one, a factor that is not finite, indices that are no whole numbers, or a
            channel that the layer does not have (the last at the forward pass).
    """
    arguments.number("beta", beta, -arguments.MAX)
    if not isinstance(neurons, Mapping):
        raise ValueError(f"neurons: expected a dictionary of layers to channels, got {arguments.shown(neurons)}")
    indices = {name: arguments.indices("neurons", name, index) for name, index in neurons.items()}

    def scale(name: str) -> Callable[[Tensor], Tensor]:
        def action(output: Tensor) -> Tensor:
            arguments.channels("neurons", name, indices[name], output.shape[1])
            factor = torch.ones(output.shape[1], dtype=output.dtype, device=output.device)
            factor[indices[name].to(output.device)] = beta
            return output * factor.view(1, -1, *[1] * (output.ndim - 2))

        return action

    with on_output(model, {name: scale(name) for name in indices}):
        yield

"""Checks of code that changes what neurons output while a network runs (chapter 3)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from snslib import hooks
from snslib.evaluation.accuracy import predicted
from snslib.exercises.run import ExerciseError, as_tensor, compare, exercise, returned
from snslib.exercises.tasks import misled_task, small_task


@exercise("3.3")
def check_suppression(solution: Callable[[nn.Module, str, Tensor, float, Tensor], Tensor]) -> str:
    """Check ``(model, layer, neurons, beta, x) -> logits``: outputs of a layer's chosen neurons times beta (3.4)."""
    for beta in (0.8, 0.0):
        model, x, _ = small_task()
        neurons = torch.tensor([2, 0])
        got = as_tensor(returned(solution, model=model, layer="hidden", neurons=neurons, beta=beta, x=x)).detach()
        _check_suppressed(got, model, x, neurons, beta)
    return "Right: the logits are those under snslib.suppress, and the model is as it was."


def _check_suppressed(logits: Tensor, model: nn.Module, x: Tensor, neurons: Tensor, beta: float) -> None:
    def after(change: Callable[[Tensor], Tensor]) -> Tensor:
        with hooks.on_output(model, {"hidden": change}), torch.no_grad():
            return model(x)

    def times(factor: float, chosen: Tensor = neurons, axis: int = 1) -> Callable[[Tensor], Tensor]:
        return lambda output: output.index_copy(axis, chosen, factor * output.index_select(axis, chosen))

    mistakes = {
        "the logits are those of the model as it is: let the hook return the changed output.": after(times(1)),
        "all neurons are turned down: only the chosen ones are to be.": after(times(beta, torch.arange(4))),
        "the other neurons are turned down: multiply the chosen ones.": after(times(beta, torch.tensor([1, 3]))),
        "images are turned down: neurons are on axis 1, as in output[:, neurons].": after(times(beta, axis=0)),
        "the outputs are set to beta: multiply them by it.": after(lambda o: o.index_fill(1, neurons, beta)),
        "the chosen neurons lose the share beta: they should keep it.": after(times(1 - beta)),
    }
    compare(logits, after(times(beta)), mistakes, "Multiply output[:, neurons] of the layer by beta, nothing else.")


@exercise("3.4")
def check_helpful_neuron(solution: Callable[[nn.Module, Tensor, Tensor, str, float], int]) -> str:
    """Check ``(model, x_adv, y, layer, beta) -> neuron``: the one whose suppression leaves most images right."""
    model, x_adv, y, sensitive = misled_task()
    right = []
    for neuron in range(8):
        with hooks.suppress(model, {"hidden": [neuron]}, 0.0):
            right.append((predicted(model, [x_adv]) == y).double().mean().item())
    best, worst = (right.index(extreme(right)) for extreme in (max, min))

    got = returned(solution, model=model, x_adv=x_adv, y=y, layer="hidden", beta=0.0)
    got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
    if isinstance(got, bool) or not isinstance(got, int) or not 0 <= got < 8:
        raise ExerciseError(f"{got!r} is no neuron of a layer that has 8: return an index from 0 to 7.")
    if got != best:
        reason = {
            worst: "That is the neuron whose suppression helps least: look for the highest accuracy.",
            sensitive: "That is the most sensitive neuron, which need not be the most helpful: try each of them.",
        }.get(got, "Suppress every neuron of the layer in turn, one at a time, and compare the accuracies.")
        raise ExerciseError(
            f"with neuron {got} suppressed, {right[got]:.0%} of the images are right, and "
            f"{right[best]:.0%} with another. {reason}"
        )
    return f"Right: with neuron {best} suppressed, {right[best]:.0%} of the images are right, the most of all."

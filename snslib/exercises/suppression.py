"""Checks of code that changes what neurons output while a network runs (chapter 3)."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from snslib.exercises import expected
from snslib.exercises.run import ExerciseError, answer, as_tensor, compare, exercise, returned
from snslib.exercises.tasks import drawn, misled_task, small_task

Suppression = Callable[[nn.Module, str, Tensor, float, Tensor], Tensor]


@exercise("3.3")
def check_suppression(solution: Suppression) -> str:
    """Check ``(model, layer, neurons, beta, x) -> logits``: outputs of a layer's chosen neurons times beta (3.4)."""
    for images, layer, chosen, beta in (
        (4, "hidden", [2, 0], 0.8),
        (4, "hidden", [2, 0], 0.0),
        (3, "hidden", [1], 0.3),
        (5, "hidden.0", [3, 1, 0], 0.5),  # its outputs are negative in part
        (1, "hidden", [0, 1, 2, 3], 0.25),
        (2, "hidden.1", [3], 1.0),
    ):
        model, x, _ = small_task(images)
        neurons = torch.tensor(chosen)
        got = as_tensor(returned(solution, model=model, layer=layer, neurons=neurons, beta=beta, x=x)).detach()
        right, mistakes = expected.suppressed(model, layer, neurons, beta, x)
        look = f"Here layer is {layer!r}, neurons are {chosen}, beta is {beta:g}: only they are to be multiplied by it."
        compare(got, right, mistakes, look)
    _check_after_an_error(solution)
    return "Right: the logits are those under snslib.suppress, and the model is as it was, even after an error."


def _check_after_an_error(solution: Suppression) -> None:
    """The model is left as it was by a call that ends with an error behind the layer."""
    model, x, _ = small_task()
    too_large = nn.functional.pad(x, (0, 1))  # for the last layer, which takes images of 5 x 5 only
    neurons = torch.tensor([2, 0])
    given = {"model": model, "layer": "hidden", "neurons": neurons, "beta": 0.5, "x": too_large}
    if mistake := answer(solution, given).left:
        raise ExerciseError(
            f"images of a wrong size made the model raise an error half-way, and after it {mistake} Do that in "
            "`finally:`, which comes with an error and without."
        )


@exercise("3.4")
def check_helpful_neuron(solution: Callable[[nn.Module, Tensor, Tensor, str, float], int]) -> str:
    """Check ``(model, x_adv, y, layer, beta) -> neuron``: the one whose suppression leaves most images right."""
    said = []
    for seed, channels, images, layer, beta in (
        (43, 8, 24, "hidden", 0.0),
        (26, 6, 30, "hidden", 0.5),
        (367, 7, 20, "hidden.0", 0.0),
    ):
        clear = partial(_one_helps_clearly, layer=layer, beta=beta)
        task = drawn(partial(misled_task, channels=channels, images=images, layer=layer), seed, clear)
        said.append(_check_helpful(solution, layer, beta, *task))
    return said[0]


def _one_helps_clearly(task: tuple[nn.Module, Tensor, Tensor, int], layer: str, beta: float) -> bool:
    """Whether one neuron helps more than all others by two images, and no usual mistake leads to it."""
    model, x_adv, y, sensitive = task
    right, off, block = (
        [len(y) * share for share in expected.right_without(model, x_adv, y, where, factor)]
        for where, factor in ((layer, beta), (layer, 0.0), ("hidden", beta))
    )
    second, first = sorted(right)[-2:]
    best, mistaken = right.index(first), {sensitive}
    mistaken |= {off.index(max(off))} if beta > 0 else set()  # of beta ignored
    mistaken |= {block.index(max(block))} if layer != "hidden" else set()  # of the layer ignored
    return first >= second + 1.5 and best not in mistaken and sensitive != right.index(min(right))


def _check_helpful(
    solution: Callable[[nn.Module, Tensor, Tensor, str, float], int],
    layer: str,
    beta: float,
    model: nn.Module,
    x_adv: Tensor,
    y: Tensor,
    sensitive: int,
) -> str:
    """What is said of a right answer; ``sensitive`` is the most sensitive neuron, which is not the most helpful."""
    right, off = (expected.right_without(model, x_adv, y, layer, factor) for factor in (beta, 0.0))
    best, worst, count = right.index(max(right)), right.index(min(right)), len(right)

    got = returned(solution, model=model, x_adv=x_adv, y=y, layer=layer, beta=beta)
    got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
    if isinstance(got, bool) or not isinstance(got, int | np.integer) or not 0 <= got < count:
        shown = got if isinstance(got, int | float) else f"a {type(got).__name__}"
        raise ExerciseError(
            f"{str(shown)[:20]} is no neuron of a layer that has {count}: return an index from 0 to {count - 1}."
        )
    got = int(got)
    if got != best:
        reason = "Suppress every neuron of the layer in turn, one at a time, and compare the accuracies."
        if got == off.index(max(off)) and beta > 0:
            reason = "It would be the one with beta 0: turn neurons down by the beta that the function is given."
        elif got == worst:
            reason = "That is the neuron whose suppression helps least: look for the highest accuracy."
        elif got == sensitive:
            reason = "That is the most sensitive neuron, which need not be the most helpful: try each of them."
        raise ExerciseError(
            f"with neuron {got} of {layer} suppressed by beta {beta:g}, {right[got]:.0%} of the images are right, and "
            f"{right[best]:.0%} with another. {reason}"
        )
    return f"Right: with neuron {best} suppressed, {right[best]:.0%} of the images are right, the most of all."

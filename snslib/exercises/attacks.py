"""Checks of attacks (chapter 1)."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import attacks
from snslib.exercises.rules import ROUNDING, attacked, check_bounds, largest_change
from snslib.exercises.run import ExerciseError, close, compare, exercise, returned
from snslib.exercises.tasks import EPS, small_task


@exercise("1.1")
def check_fgsm(solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, y, eps) -> x_adv``: one step of length eps that raises the loss of the true classes y."""
    model, x, y = small_task()
    x_adv = attacked(returned(solution, model=model, x=x, y=y, eps=EPS), x)
    turned = "FGSM climbs the loss of the true class: x plus eps times the sign of the gradient, not minus."
    other = "The loss is the cross-entropy of model(x) with the labels y that the function is given."
    _check_one_step(x_adv, model, x, y, 1, turned, other)
    return "Right: your FGSM agrees with snslib.fgsm in every pixel."


@exercise("1.3")
def check_step_ll(solution: Callable[[nn.Module, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, eps) -> x_adv``: one step of length eps toward the least likely class of the clean image."""
    model, x, _ = small_task()
    x_adv = attacked(returned(solution, model=model, x=x, eps=EPS), x)
    turned = "The loss of the target is to become small: x minus eps times the sign of the gradient, not plus."
    other = "The target of an image is the class with the lowest logit for the clean image: argmin, not argmax."
    _check_one_step(x_adv, model, x, attacks.least_likely_class(model, x), -1, turned, other)
    return "Right: your Step-LL agrees with snslib.step_ll in every pixel."


@exercise("1.4")
def check_pgd(solution: Callable[[nn.Module, Tensor, Tensor, float, float, int], Tensor]) -> str:
    """Check ``(model, x, y, eps, step_size, steps) -> x_adv``: projected sign steps that start at x."""
    size = 0.4 * EPS
    for steps in (4, 7):
        model, x, y = small_task()
        run = partial(returned, solution, model=model, x=x, y=y, eps=EPS, step_size=size, steps=steps)
        x_adv, right = attacked(run(), x), attacks.pgd(model, x, y, EPS, size, steps)
        if close(x_adv, right):
            continue
        if not torch.equal(x_adv, run()):
            raise ExerciseError("two calls with the same arguments differ: start at x, not at a random point.")
        check_bounds(x_adv)
        if (largest := largest_change(x_adv, x)) > EPS + ROUNDING:
            raise ExerciseError(
                f"a pixel changed by {largest:.3g} in {steps} steps of {size:g}, and eps is {EPS:g}. After each "
                "step, put x' back into the eps ball around the clean x, not around the x' before the step."
            )
        inner = (x > EPS) & (x < 1 - EPS)  # pixels that are not cut off
        halves = 2 * (x_adv - x)[inner] / size  # of steps, since eps is two and a half
        if (halves - halves.round()).abs().max() > 1e-4:
            raise ExerciseError("pixels do not move by step_size: multiply it by the sign of the gradient.")
        walk = partial(_walk, model, x, y)
        count = f"steps of {size:g} lead, and {steps} were asked for: let the loop run `steps` times."
        mistakes = {f"x' is where {n} {count}": walk(size, n) for n in range(1, 12) if n != steps}
        mistakes |= {
            "every step goes down the loss of the true class: add it, do not subtract it.": walk(-size, steps),
            "a step has length eps: it should have length step_size.": walk(EPS, steps),
            "every gradient is taken at the clean image: take it at the current x'.": walk(size, steps, stale=True),
            "x' is put back into the eps ball and into [0, 1] only at the end: do it after each step.": (
                walk(size, steps, ball=False, box=False)
            ),
            "x' is put back into the eps ball only at the end: do it after each step.": walk(size, steps, ball=False),
            "x' is cut off to [0, 1] only at the end: do it after each step.": walk(size, steps, box=False),
        }
        compare(x_adv, right, mistakes, "Compare it with snslib.pgd after one step, after two, and so on.")
    return "Right: your PGD agrees with snslib.pgd in every pixel, for 4 and for 7 steps."


def _check_one_step(
    x_adv: Tensor, model: nn.Module, x: Tensor, classes: Tensor, sign: int, turned: str, other: str
) -> None:
    """x' is one step of EPS from x, up (sign 1) or down (-1) the loss of the classes.

    ``turned`` is what to say of a step the other way, ``other`` of one that goes by another loss.
    """
    if torch.equal(x_adv, x):
        raise ExerciseError("x' is the same as x: nothing was added to it.")
    check_bounds(x_adv)
    change = x_adv - x
    inner = (x > EPS) & (x < 1 - EPS)  # pixels that are not cut off
    least, most = (of(change[inner].abs()).item() for of in (torch.min, torch.max))
    units = "Eps is meant in [0, 1], as the pixels are"
    if (largest := largest_change(x_adv, x)) > EPS + ROUNDING:
        raise ExerciseError(f"a pixel changed by {largest:.3g}, and eps is {EPS:g}. {units}: use it as it is.")
    if most - least > 1e-5:
        raise ExerciseError(
            f"pixels change by {least:.3g} to {most:.3g}: each should by eps. Take the gradient's sign."
        )
    if most < EPS - ROUNDING:
        raise ExerciseError(f"every pixel changes by {most:.3g}, and eps is {EPS:g}. {units}: no division by 255.")

    def along(gradient: Tensor) -> Tensor:
        """Which images move along the signs of a gradient."""
        return ((change.sign() == gradient.sign()) | ~inner).flatten(1).all(1)

    def loss_of(classes: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: _loss(model(x), classes)

    up = _gradient_at(x, loss_of(classes))
    if along(sign * up).all():
        return
    if along(-sign * up).all():
        raise ExerciseError(f"the step goes the wrong way. {turned}")
    words = {1: "away from", -1: "toward"}
    for candidate in range(model(x[:1]).shape[1]):
        of_candidate = _gradient_at(x, loss_of(torch.full_like(classes, candidate)))
        for way, word in words.items():
            if (astray := along(way * of_candidate) & ~along(sign * up)).any():
                i = int(astray.nonzero()[0])
                right = f"{words[sign]} class {classes[i]}"
                raise ExerciseError(f"image {i} moves {word} class {candidate}, and it should move {right}. {other}")
    logit = _gradient_at(x, lambda x: model(x).gather(1, classes[:, None]).sum())
    if along(logit).all() or along(-logit).all():
        raise ExerciseError(f"the step follows the gradient of a logit, not that of the loss. {other}")
    twice = _gradient_at(x, lambda x: _loss(model(x).softmax(1), classes))
    if along(sign * twice).all():
        raise ExerciseError(
            "the loss is that of probabilities: F.cross_entropy takes logits, and applies softmax itself."
        )
    share = (change.sign() == sign * up.sign())[inner].double().mean().item()
    raise ExerciseError(f"only {share:.0%} of the pixels move the right way. {other}")


def _walk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    size: float,
    steps: int,
    stale: bool = False,
    ball: bool = True,
    box: bool = True,
) -> Tensor:
    """PGD, and what becomes of it with a mistake.

    ``stale`` takes every gradient at x. Without ``ball`` or ``box``, that projection comes only at the end.
    """
    x_adv = x
    for step in range(steps):
        gradient = _gradient_at(x if stale else x_adv, lambda x: _loss(model(x), y))
        x_adv = x_adv + size * gradient.sign()
        if ball or step == steps - 1:
            x_adv = x_adv.clamp(x - EPS, x + EPS)
        if box or step == steps - 1:
            x_adv = x_adv.clamp(0, 1)
    return x_adv


def _loss(logits: Tensor, classes: Tensor) -> Tensor:
    return F.cross_entropy(logits, classes, reduction="sum")


def _gradient_at(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(loss(x), x)[0]

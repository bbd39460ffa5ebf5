"""Checks of attacks (chapter 1)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from snslib.attacks import least_likely_class
from snslib.exercises import expected
from snslib.exercises.rules import ROUNDING, attacked, check_bounds, largest_change
from snslib.exercises.run import ExerciseError, apart, close, exercise, name_mistake, returned
from snslib.exercises.tasks import EPS, attack_tasks, small_task


@exercise("1.1")
def check_fgsm(solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, y, eps) -> x_adv``: one step of length eps that raises the loss of the true classes y."""
    turned = "FGSM climbs the loss of the true class: x plus eps times the sign of the gradient, not minus."
    other = "The loss is the cross-entropy of model(x) with the labels y that the function is given."
    for model, x, y, eps in attack_tasks():
        x_adv = attacked(returned(solution, model=model, x=x, y=y, eps=eps), x)
        _check_one_step(x_adv, model, x, y, eps, turned, other)
    return "Right: your FGSM agrees with snslib.fgsm in every pixel."


@exercise("1.3")
def check_step_ll(solution: Callable[[nn.Module, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, eps) -> x_adv``: one step of length eps toward the least likely class of the clean image."""
    turned = "The loss of the target is to become small: x minus eps times the sign of the gradient, not plus."
    other = "The target of an image is the class with the lowest logit for the clean image: argmin, not argmax."
    for model, x, _, eps in attack_tasks():
        x_adv = attacked(returned(solution, model=model, x=x, eps=eps), x)
        _check_one_step(x_adv, model, x, least_likely_class(model, x), -eps, turned, other)
    return "Right: your Step-LL agrees with snslib.step_ll in every pixel."


@exercise("1.4")
def check_pgd(solution: Callable[[nn.Module, Tensor, Tensor, float, float, int], Tensor]) -> str:
    """Check ``(model, x, y, eps, step_size, steps) -> x_adv``: projected sign steps that start at x."""
    first, second, third = small_task(), small_task(images=5, channels=3, seed=23), small_task(images=2, blind=True)
    for task, eps, size, steps in (
        *((first, EPS, 0.4 * EPS, steps) for steps in (4, 7)),
        (second, 0.05, 0.02, 3),
        (second, 0.05, 0.1, 2),  # one step leaves the ball
        (third, EPS, 0.04, 3),
    ):
        model, x, y = task
        run = partial(returned, solution, model=model, x=x, y=y, eps=eps)
        x_adv = attacked(run(step_size=size, steps=steps), x)
        right, mistakes = expected.pgd(model, x, y, eps, size, steps)
        if close(x_adv, right):
            continue
        name_mistake(x_adv, mistakes)
        check_bounds(x_adv)
        _check_start(run, x, eps)
        _check_steps(x_adv, x, eps, size, steps)
        for taken in range(1, steps + 1):
            x_adv, right = attacked(run(step_size=size, steps=taken), x), expected.pgd(model, x, y, eps, size, taken)[0]
            if not close(x_adv, right):
                before = "before it all is right, and after it " if taken > 1 else ""
                raise ExerciseError(
                    f"x' goes astray in step {taken}, of length {size:g}: {before}{apart(x_adv, right)} Is that step "
                    "one along the sign of the gradient at the current x', then cut off?"
                )
        raise ExerciseError("two calls with the same arguments differ: x' depends on what was called before.")
    return "Right: your PGD agrees with snslib.pgd in every pixel, for few steps and for many."


def _check_start(run: Callable[..., Tensor], x: Tensor, eps: float) -> None:
    """Steps that are much too short to go anywhere end where PGD started: at x."""
    short = 1e-4 * eps
    ends = [attacked(run(step_size=short, steps=1), x) for _ in range(2)]
    if not torch.equal(*ends):
        raise ExerciseError("two calls with the same arguments differ: start at x, not at a random point.")
    if (moved := largest_change(ends[0], x)) > 0.01 * eps:
        raise ExerciseError(
            f"one step of {short:g} moves a pixel by {moved:.3g}: start at x, not at a random point, and multiply the "
            "sign of the gradient by step_size."
        )


def _check_steps(x_adv: Tensor, x: Tensor, eps: float, size: float, steps: int) -> None:
    """Pixels stay within eps of x, and move by whole steps, or to the surface of the ball."""
    if (largest := largest_change(x_adv, x)) > eps + ROUNDING:
        raise ExerciseError(
            f"a pixel changed by {largest:.3g} in {steps} steps of {size:g}, and eps is {eps:g}. After each "
            "step, put x' back into the eps ball around the clean x, not around the x' before the step."
        )
    inner = (x > eps) & (x < 1 - eps)  # pixels that are not cut off
    halves = 2 * (x_adv - x)[inner] / size  # of steps, since eps is a multiple of half a step
    if (halves - halves.round()).abs().max() > 1e-4:
        raise ExerciseError("pixels do not move by step_size: multiply it by the sign of the gradient.")


def _check_one_step(
    x_adv: Tensor, model: nn.Module, x: Tensor, classes: Tensor, length: float, turned: str, other: str
) -> None:
    """x' is one step from x, up (a positive length) or down (a negative one) the loss of the classes.

    ``turned`` is what to say of a step the other way, ``other`` of one that goes by another loss.
    """
    if torch.equal(x_adv, x):
        raise ExerciseError("x' is the same as x: nothing was added to it.")
    eps, up = abs(length), expected.loss_gradient(model, x, classes)
    right, mistakes = expected.one_step(x, up, length)
    if close(x_adv, right):
        return
    name_mistake(x_adv, mistakes)
    check_bounds(x_adv)
    _check_length(x_adv, x, eps, still=up == 0)
    _check_direction(x_adv, model, x, classes, length, turned, other)
    place = torch.unravel_index((x_adv - right).abs().argmax(), x.shape)
    raise ExerciseError(
        f"a pixel at {x[place]:.3g} becomes {x_adv[place]:.3g}, and should become {right[place]:.3g} with eps {eps:g}: "
        "move every pixel, near 0 and 1 too, and cut off only then what leaves [0, 1]."
    )


def _check_length(x_adv: Tensor, x: Tensor, eps: float, still: Tensor) -> None:
    """Every pixel changes by eps, but for those that are cut off, and for ``still`` ones, whose gradient is 0."""
    if (x_adv != x)[still].any():
        raise ExerciseError("a pixel moves whose gradient is 0: the sign of 0 is 0, so it should stay where it is.")
    change = (x_adv - x)[(x > eps) & (x < 1 - eps) & ~still].abs()
    least, most = change.min().item(), change.max().item()
    if not (moved := (x_adv != x).flatten(1).any(1)).all():
        i = int((~moved).nonzero()[0])
        raise ExerciseError(f"image {i} of {len(x)} is left as it was: move every image of the batch.")
    units = "Eps is meant in [0, 1], as the pixels are"
    if (largest := largest_change(x_adv, x)) > eps + ROUNDING:
        raise ExerciseError(f"a pixel changed by {largest:.3g}, and eps is {eps:g}. {units}: use it as it is.")
    if most - least > 1e-5:
        raise ExerciseError(
            f"pixels change by {least:.3g} to {most:.3g}: each should by eps. Take the gradient's sign."
        )
    if most < eps - ROUNDING:
        raise ExerciseError(f"every pixel changes by {most:.3g}, and eps is {eps:g}. {units}: no division by 255.")


def _check_direction(
    x_adv: Tensor, model: nn.Module, x: Tensor, classes: Tensor, length: float, turned: str, other: str
) -> None:
    """Every image goes along the signs of the right loss's gradient, or else of which it does is said."""
    inner, change = (x > abs(length)) & (x < 1 - abs(length)), (x_adv - x).sign()
    sign = 1 if length > 0 else -1

    def along(gradient: Tensor) -> Tensor:
        """Which images move along the signs of a gradient."""
        return ((change == gradient.sign()) | ~inner).flatten(1).all(1)

    up = expected.loss_gradient(model, x, classes)
    if along(sign * up).all():
        return
    if along(-sign * up).all():
        raise ExerciseError(f"the step goes the wrong way. {turned}")
    words = {1: "away from", -1: "toward"}
    for candidate in range(model(x[:1]).shape[1]):
        of_candidate = expected.loss_gradient(model, x, torch.full_like(classes, candidate))
        for way, word in words.items():
            if (astray := along(way * of_candidate) & ~along(sign * up)).any():
                i = int(astray.nonzero()[0])
                right = f"{words[sign]} class {classes[i]}"
                raise ExerciseError(f"image {i} moves {word} class {candidate}, and it should move {right}. {other}")
    logit = expected.logit_gradient(model, x, classes)
    if along(logit).all() or along(-logit).all():
        raise ExerciseError(f"the step follows the gradient of a logit, not that of the loss. {other}")
    if along(sign * expected.twice_softmax_gradient(model, x, classes)).all():
        raise ExerciseError(
            "the loss is that of probabilities: F.cross_entropy takes logits, and applies softmax itself."
        )
    share = (change == sign * up.sign())[inner].double().mean().item()
    raise ExerciseError(f"only {share:.0%} of the pixels move the right way. {other}")

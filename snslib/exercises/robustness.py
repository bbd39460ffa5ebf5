"""Checks of how much accuracy attacks leave: the worst case (chapter 6), and attacks that try harder (7)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from snslib import attacks
from snslib.evaluation.accuracy import predicted
from snslib.exercises import expected
from snslib.exercises.rules import ROUNDING, attacked, check_bounds, largest_change
from snslib.exercises.run import ExerciseError, as_number, compare, exercise, returned
from snslib.exercises.tasks import EPS, overconfident_task, random


@exercise("6.1")
def check_worst_case_accuracy(solution: Callable[[Tensor], float]) -> str:
    """Check ``right -> share``: bool (attacks, images) to the share of images that are right under every attack."""
    for tried, images, share in ((3, 10, 0.7), (4, 25, 0.7), (5, 5, 0.8), (1, 7, 0.5), (2, 6, 0.0), (2, 3, 1.0)):
        right = random(tried, images, seed=images) < share
        wanted, mistakes = expected.worst_case(right)
        got = as_number(returned(solution, right=right))
        look = f"There are {tried} rows and {images} columns: a column is an image. Is it right in every row?"
        compare(got, wanted, mistakes, look)
    return "Right: an image counts if no attack turns it."


def attacked_accuracy(
    attack: Callable[[nn.Module, Tensor, Tensor, float], Tensor], model: nn.Module, x: Tensor, y: Tensor, eps: float
) -> float:
    """The share of images still right under an attack of the reader's own, played by the rules: the lowest wins.

    Args:
        attack: maps (model, x, y, eps) to x'.
        model: maps float images in [0, 1] to logits; in eval mode.
        x, y: the images, and their true classes.
        eps: radius in [0, 1] pixel space.

    Raises:
        ExerciseError: an image of x' that leaves [0, 1] or is farther than eps from its own x; a changed model.
    """
    x_adv = attacked(returned(attack, model=model, x=x, y=y, eps=eps), x)
    for number, (image, clean) in enumerate(zip(x_adv, x, strict=True)):
        check_bounds(image, f"image {number} of x'")
        if (largest := largest_change(image, clean)) > eps + ROUNDING:
            raise ExerciseError(f"a pixel of image {number} changed by {largest:.4g}, more than eps, {eps:.4g}.")
    return (predicted(model, [x_adv]) == y.cpu()).double().mean().item()


@exercise("7.3")
def check_stronger_attack(solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, y, eps) -> x_adv``: by the rules, it has to leave less than the paper's PGD does.

    The network is a small stand-in that hides its gradient from PGD for many of its images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left, pgd = _left(solution, EPS, images=40)
        _left(solution, eps=0.03, images=24)
    more = "Nothing is left to break." if left == 0 else "It can be 0%: what have those in common that are left?"
    return f"Right: your attack leaves {left:.0%} of the images right where the paper's PGD leaves {pgd:.0%}. {more}"


def _left(
    solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor], eps: float, images: int
) -> tuple[float, float]:
    """What a solution leaves of the accuracy, which has to be less, and what the paper's PGD leaves."""
    model, x, y = overconfident_task(eps, images)
    left = attacked_accuracy(solution, model, x, y, eps)
    pgd = attacked_accuracy(partial(attacks.pgd, step_size=eps / 10, steps=10), model, x, y, eps)
    if left >= pgd:
        raise ExerciseError(
            f"with eps {eps:g} your attack leaves {left:.0%} of the images right, the paper's PGD {pgd:.0%}. Look at "
            "an image that is left: how large is the gradient of its loss, and what are its logits?"
        )
    return left, pgd

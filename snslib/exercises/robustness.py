"""Checks of how much accuracy attacks leave: the worst case (chapter 6), and attacks that try harder (7)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from snslib import attacks
from snslib.evaluation.accuracy import predicted
from snslib.exercises.rules import ROUNDING, attacked, check_bounds, largest_change
from snslib.exercises.run import ExerciseError, as_number, compare, exercise, returned
from snslib.exercises.tasks import EPS, overconfident_task, random


@exercise("6.1")
def check_worst_case_accuracy(solution: Callable[[Tensor], float]) -> str:
    """Check ``right -> share``: bool (attacks, images) to the share of images that are right under every attack."""
    for tried, images in ((3, 10), (4, 25)):
        right = random(tried, images, seed=images) > 0.3
        accuracies, share = right.double().mean(1), right.all(0).double().mean()
        mistakes = {
            "that is the lowest accuracy of one attack: an image that any attack turns is lost.": accuracies.min(),
            "that is the mean over the attacks: an image counts only if it is right under all.": accuracies.mean(),
            "an image counts there if one attack leaves it right: all have to.": right.any(0).double().mean(),
            "that is the number of images: divide it by how many there are.": right.all(0).sum(),
            "attacks are counted, not images: rows are attacks, columns are images.": right.all(1).double().mean(),
            "that is the share of images that are lost: return that of those that stay right.": 1 - share,
        }
        got = as_number(returned(solution, right=right))
        compare(got, share.item(), mistakes, "Look at one column, which is one image: is it right in every row?")
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
    model, x, y = overconfident_task()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left = attacked_accuracy(solution, model, x, y, EPS)
    pgd = attacked_accuracy(partial(attacks.pgd, step_size=EPS / 10, steps=10), model, x, y, EPS)
    if left >= pgd:
        raise ExerciseError(
            f"your attack leaves {left:.0%} of the images right, the paper's PGD {pgd:.0%}. Look at an image that is "
            "left: how large is the gradient of its loss, and what are its logits?"
        )
    more = "Nothing is left to break." if left == 0 else "It can be 0%: what have those in common that are left?"
    return f"Right: your attack leaves {left:.0%} of the images right where the paper's PGD leaves {pgd:.0%}. {more}"

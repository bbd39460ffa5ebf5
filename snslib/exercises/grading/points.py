"""Which exercises are graded, by which checks, for how many points."""

import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from snslib import exercises as ex

DEFAULT = Path(__file__).with_name("points.toml")


class Graded(NamedTuple):
    """An exercise: what its function is called in the chapters' stubs, and the check of it."""

    function: str
    check: Callable[[Any], str]


EXERCISES = {
    "1.1": Graded("fgsm", ex.check_fgsm),
    "1.3": Graded("step_ll", ex.check_step_ll),
    "1.4": Graded("pgd", ex.check_pgd),
    "2.1": Graded("neuron_sensitivity", ex.check_neuron_sensitivity),
    "2.2": Graded("top_neurons", ex.check_top_neurons),
    "3.2": Graded("average_jaccard", ex.check_average_jaccard),
    "3.3": Graded("suppressed_logits", ex.check_suppression),
    "3.4": Graded("helpful_neuron", ex.check_helpful_neuron),
    "4.1": Graded("sns_loss", ex.check_sns_loss),
    "5.1": Graded("adversarial_loss", ex.check_adversarial_loss),
    "5.2": Graded("relative_sensitivity", ex.check_relative_sensitivity),
    "6.1": Graded("worst_case_accuracy", ex.check_worst_case_accuracy),
    "7.3": Graded("attack", ex.check_stronger_attack),
    "7.4": Graded("remedy", ex.check_remedy_loss),
}


def read_points(path: Path | None = None) -> dict[str, float]:
    """Points of the exercises that are graded, in the order of the chapters.

    Args:
        path: a TOML file of lines such as ``"1.1" = 2``; None is that of the package, which has every exercise.

    Raises:
        ValueError: a file that cannot be read, has no exercise, one that no check judges, or no number of points.
    """
    path = path or DEFAULT
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f'points: {path} cannot be read as TOML ({error}); lines are such as "1.1" = 2') from error
    if not found or not found.keys() <= EXERCISES.keys():
        wrong = ", ".join(sorted(found.keys() - EXERCISES.keys())) or "none"
        raise ValueError(f"points: {path} has {wrong}; exercises that a check judges are {', '.join(EXERCISES)}")
    for number, worth in found.items():
        if isinstance(worth, bool) or not isinstance(worth, int | float) or not 0 <= worth < math.inf:
            raise ValueError(f"points: {path} has {worth!r} for {number}, expected a number from 0, such as 2 or 0.5")
    return {number: found[number] for number in EXERCISES if number in found}

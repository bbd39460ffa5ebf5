"""Rules for what the relative losses do to their neurons and to the network, in the rows of ``rows.FAMILIES``.

A state is what :func:`snslib.claims.numbers.stabilised.neuron_states` gives of a row, and states are its whole result.
A number that it does not have (NaN) fulfils no rule.
"""

from collections.abc import Mapping

from snslib.claims.criteria.robust import ROBUST
from snslib.study.rows import FAMILIES, ROWS

State = Mapping[str, float]

OVER_IMAGES = 0.5  # neurons that depend on the image: more than this much of their variance is from image to image
FIXED_PATTERN = 0.01  # neurons with the same pattern for every image: less than this much is
LESS_SENSITIVE = 0.5  # less sensitive neurons: below this times the control's sensitivity
MOSTLY_DEAD = 0.5  # mostly dead neurons: more than this much of them are dead
RANDOM = "random_adv_online"  # the online row with the paper's loss on random neurons


def stabilises(state: State, control: State) -> bool:
    """Rule for a loss that does what SNS sets out to do: its neurons are less sensitive, and still in use.

    None of them is dead, more than half of their variance is from image to image, and their sensitivity
    relative to their clean output is less than half of the control's.
    """
    return (
        state["dead"] == 0
        and state["over_images"] > OVER_IMAGES
        and state["relative"] < LESS_SENSITIVE * control["relative"]
    )


def stable_and_not_robust(states: Mapping[str, State]) -> bool:
    """Rule for stable neurons without robustness, in training with fixed x'.

    In every family with fixed x' of which the control and the row with the image-relative loss are recorded,
    one at least: that loss stabilises its neurons (:func:`stabilises`), and the network's accuracy under the stronger
    PGD is below 5%.
    """
    fixed = [family for family in FAMILIES.values() if not ROWS[family.paper].online]
    recorded = [family for family in fixed if {family.control, family.image_relative} <= states.keys()]
    return bool(recorded) and all(
        stabilises(states[family.image_relative], states[family.control])
        and states[family.image_relative]["strong"] < ROBUST
        for family in recorded
    )


def robust_with_unused_neurons(states: Mapping[str, State]) -> bool:
    """Rule for robustness with neurons that do no work, in the online row with the relative loss.

    No row of the family is more accurate under the stronger PGD, less than 1% of the variance of its chosen
    neurons is from image to image, and more than half of the chosen neurons are dead in the online rows with the
    paper's loss, on the sensitive neurons as on the random ones.
    """
    family = FAMILIES["online"]
    if not {family.relative, family.paper, RANDOM} <= states.keys():
        return False
    best = max(states[row]["strong"] for row in family.rows if row in states)
    relative = states[family.relative]
    return (
        relative["strong"] == best
        and relative["over_images"] < FIXED_PATTERN
        and min(states[row]["dead"] for row in (family.paper, RANDOM)) > MOSTLY_DEAD
    )


def above_zero(estimate: tuple[float, float, float]) -> bool:
    """Rule for a positive difference or correlation: its whole 95% interval lies above 0.

    Args:
        estimate: the value, then the lower and the upper end of the interval.
    """
    return estimate[1] > 0

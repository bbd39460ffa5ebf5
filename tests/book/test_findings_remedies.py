"""Sentences about the remedies say what states and gains have, and conclude only where a rule allows it."""

from typing import Any

import pytest
from recorded import FOLDER, put, put_accuracy

from snslib.book import findings
from snslib.book.findings import remedies
from snslib.claims.criteria.remedies import RANDOM
from snslib.claims.numbers.correlation import Point
from snslib.study.rows import FAMILIES, ROWS

EQ_10, ONLINE = FAMILIES["Eq. 10"], FAMILIES["online"]
OFF = "off_adv_online"


def state(**changes: float) -> dict[str, float]:
    return {"seeds": 1, "dead": 0.0, "over_images": 0.9, "relative": 1.0, "strong": 0.0} | changes


pytestmark = pytest.mark.usefixtures("results")


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """What is recorded of rows; neuron_states gives of it those rows that are asked for."""
    recorded: dict[str, dict[str, float]] = {}

    def neuron_states(folder: str, rows: Any) -> dict[str, dict[str, float]]:
        return {row: recorded[row] for row in rows if row in recorded}

    monkeypatch.setattr(remedies, "neuron_states", neuron_states)
    return recorded


def put_gain(row: str, clean: float, strong: float, seed: int = 0) -> None:
    put_accuracy(row, {"clean": clean, "pgd": 0.0}, seed=seed)
    put(row, "strong-accuracy", strong / 100, seed=seed, n=10_000, steps=100, restarts=5)


def test_without_records_nothing_is_said(states: dict[str, dict[str, float]]) -> None:
    assert findings.effect_of_remedies(FOLDER).data == "*Not run yet.*"
    assert findings.without_neurons(FOLDER).data == "*Not run yet.*"
    states[EQ_10.image_relative] = state()
    assert findings.effect_of_remedies(FOLDER).data == "*Not run yet.*"


def test_a_family_is_described_in_the_order_of_the_table(states: dict[str, dict[str, float]]) -> None:
    states |= {
        EQ_10.control: state(strong=0.01),
        EQ_10.paper: state(dead=0.75, strong=0.02),
        EQ_10.relative: state(over_images=0.017, strong=0.03),
    }
    line = (
        "- Eq. 10: 75.00% of the chosen neurons are dead with the paper's loss, 0.00% with the relative one. Of the "
        "variance of these, 1.7% is from image to image (λ = 0: 90%)."
    )
    end = " The stronger PGD leaves, in the order of the table, 1.00%, 2.00%, 3.00%"
    assert findings.effect_of_remedies(FOLDER).data == f"{line}{end}."
    states[EQ_10.image_relative] = state(over_images=0.8, relative=0.4, strong=0.04)
    [first, _, conclusion] = findings.effect_of_remedies(FOLDER).data.splitlines()
    assert first == (
        f"{line} With the image-relative loss 0.00% are dead, 80% is from image to image, and PGD moves them by 0.4 of "
        f"their clean output (λ = 0: 1).{end}, 4.00%."
    )
    assert conclusion.startswith("So with fixed x' the second remedy does")
    states[EQ_10.image_relative]["strong"] = 0.3
    assert "So with fixed x'" not in findings.effect_of_remedies(FOLDER).data


def test_online_the_most_robust_row_is_named_with_its_seeds(states: dict[str, dict[str, float]]) -> None:
    states |= {
        ONLINE.paper: state(dead=0.7, strong=0.2),
        RANDOM: state(dead=0.8),
        ONLINE.relative: state(strong=0.3, over_images=0.001),
    }
    assert "under the stronger PGD, on one seed, and the outputs" in findings.effect_of_remedies(FOLDER).data
    states[ONLINE.relative]["seeds"] = 2
    assert "under the stronger PGD, on 2 seeds, and the outputs" in findings.effect_of_remedies(FOLDER).data
    states["pat"] = state(strong=0.31)
    assert findings.effect_of_remedies(FOLDER).data == "*Not run yet.*"


@pytest.mark.parametrize(
    ("strong", "expected"),
    [
        (30.0, "so less sensitive neurons come with a more robust network here. The weight"),
        (20.5, "so less sensitive neurons do not clearly come with a more robust network here either. The weight"),
    ],
)
def test_online_less_sensitive_neurons_are_set_beside_accuracy(
    strong: float, expected: str, states: dict[str, dict[str, float]]
) -> None:
    states |= {ONLINE.control: state(), ONLINE.image_relative: state(relative=0.4)}
    assert findings.effect_of_remedies(FOLDER).data == "*Not run yet.*"  # without accuracies
    put_gain(ONLINE.control, 80.0, 20.0)
    put_gain(ONLINE.image_relative, 70.0, strong)
    text = findings.effect_of_remedies(FOLDER).data
    assert "accuracy changes by -10.0 (-1" in text
    assert expected in text
    states[ONLINE.image_relative]["relative"] = 0.5
    assert findings.effect_of_remedies(FOLDER).data == "*Not run yet.*"


@pytest.mark.parametrize(
    ("off", "loss", "expected"),
    [
        (60.0, 70.0, "their absence is a gain, and the loss adds to it"),
        (60.0, 60.0, "their absence is a gain, and no clear one is left for the loss"),
        (50.0, 60.0, "their absence is no clear gain, and the loss adds something"),
        (50.0, 50.0, "neither is clearly a gain"),
    ],
)
def test_the_gain_without_the_neurons_is_parted_from_what_the_loss_adds(off: float, loss: float, expected: str) -> None:
    """On clean images; under the stronger PGD all are the same."""
    put_gain(ONLINE.control, 50.0, 20.0)
    put_gain(OFF, off, 20.0)
    put_gain(ONLINE.paper, loss, 20.0)
    clean, strong, _, counted = findings.without_neurons(FOLDER).data.splitlines()
    assert clean.startswith(f"- Clean images: without these neurons {off - 50:+.1f} (")
    assert f"with the SNS loss {loss - off:+.1f} (" in clean
    assert clean.endswith(f"points above that. So {expected}.")
    assert strong.startswith("- The stronger PGD: without")
    assert strong.endswith("So neither is clearly a gain.")
    put_gain(ONLINE.control, 50.0, 20.0, seed=1)
    counted = findings.without_neurons(FOLDER).data.splitlines()[-1]
    assert counted == "Networks behind these lines: 2 with λ = 0, 1 without the neurons, 1 with the SNS loss."


def put_adaptive(row: str, plain: float, adaptive: float, moved: float, driven: float) -> None:
    result = {"plain": plain, "adaptive": adaptive, "moved": {"plain": moved, "driven": driven}}
    put(row, "adaptive-pgd", result, n=200, steps=20, weights=[1.0])


def test_an_attack_on_the_neurons_is_called_stronger_only_where_it_clearly_is() -> None:
    assert findings.neurons_driven_away(FOLDER).data == "*Not run yet.*"
    put_adaptive(ONLINE.image_relative, 0.25, 0.24, 0.125, 0.25)
    text = findings.neurons_driven_away(FOLDER).data
    assert text.startswith("On the first 200 test images, PGD and")
    assert text.endswith("on each network of the table. The latter does not clearly turn more of any.")
    put_adaptive(ONLINE.control, 0.5, 0.25, 0.5, 1.0)
    text = findings.neurons_driven_away(FOLDER).data
    assert f"The latter turns clearly more images of {ROWS[ONLINE.control].label}. The neurons" in text
    assert text.endswith("by 0.12 of their clean output under PGD and by 0.25 when driven; with λ = 0 by 0.5 and 1.")


def test_neurons_that_are_driven_more_than_twice_as_far_are_named() -> None:
    put_adaptive(ONLINE.image_relative, 0.25, 0.24, 0.125, 0.3)
    put_adaptive(ONLINE.control, 0.5, 0.5, 0.5, 1.0)
    assert findings.neurons_driven_away(FOLDER).data.endswith("less than half of how far the former can be moved.")


def under_autoattack(losses: list[float]) -> list[Point]:
    """Points that are more and more sensitive."""
    return [Point(f"row{place}", "autoattack", float(place), lost) for place, lost in enumerate(losses)]


def test_networks_are_compared_over_all_kinds_and_within_each(states: dict[str, dict[str, float]]) -> None:
    rising = under_autoattack([0.1 * place for place in range(8)])
    wide, narrow = {"a": rising[:3], "b": rising[3:6]}, {"a": rising[6:]}
    kinds = {FOLDER: wide, "cifar10/vgg16-w0.25": narrow, "cifar10/none-w1": {}}
    text = findings.sensitivity_and_robustness(kinds, FOLDER).data
    assert text.startswith(
        "Over 8 networks Spearman's rank correlation is **1.00** (95% bootstrap interval 1.00 to 1.00); over the 6 of "
        "VGG-16 at width 1 it is 1.00. In the mean"
    )
    assert "go together, as the paper says" in text
    assert text.endswith("are that intervention.")
    falling = under_autoattack([1 - each.lost for each in rising])
    assert "do not clearly go together" in findings.sensitivity_and_robustness({FOLDER: {"a": falling}}, FOLDER).data
    few = findings.sensitivity_and_robustness({FOLDER: {"a": rising[:2]}}, FOLDER).data
    assert few.startswith("*Not run yet")


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([0.1, 0.2], "4 of the 6 networks lose more than 95% of their clean accuracy. All of this"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "Among the other 6 they go together as well: 1.00 (95% bootstrap interval"),
        ([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], "Among the other 6 no such relation is clear: -1.00 (95% bootstrap interval"),
    ],
)
def test_those_that_keep_something_are_looked_at_alone(
    kept: list[float], expected: str, states: dict[str, dict[str, float]]
) -> None:
    points = under_autoattack([*kept, 0.96, 0.97, 1.0, 1.0])
    assert expected in findings.sensitivity_and_robustness({FOLDER: {"a": points}}, FOLDER).data


def test_the_intervention_is_described_where_both_rows_are_recorded(states: dict[str, dict[str, float]]) -> None:
    points = [
        Point(EQ_10.control, "autoattack", 0.95, 1.0),
        Point(EQ_10.image_relative, "autoattack", 0.64, 0.5),
        Point("pat", "autoattack", 0.1, 0.3),
    ]
    states[EQ_10.control] = state(relative=1.7)
    assert "Eq. 10" not in findings.sensitivity_and_robustness({FOLDER: {"a": points}}, FOLDER).data
    states[EQ_10.image_relative] = state(relative=0.4)
    assert "Eq. 10" not in findings.sensitivity_and_robustness({FOLDER: {"a": points}}, "cifar10/vgg16-w0.25").data
    assert findings.sensitivity_and_robustness({FOLDER: {"a": points}}, FOLDER).data.endswith(
        "PGD moves the chosen neurons by 0.4 of their clean output in place of 1.7 (λ = 0), and all neurons of all "
        "layers together by 0.64 in place of 0.95. AutoAttack takes 50.00% of this network's accuracy, and 100.00% of "
        "the other's."
    )

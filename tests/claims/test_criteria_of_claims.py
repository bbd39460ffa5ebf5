"""Verdicts follow from the records by the stated criteria, on both sides of each; what is missing is not run."""

import pytest
from recorded import (
    ALEXNET,
    ANY,
    COLUMNS,
    HALF,
    LAYERS,
    PAIRS,
    N,
    outcome,
    put,
    put_accuracy,
    put_model,
    put_sensitivity,
    put_targeted,
    verdict,
)

from snslib.attacks import ATTACKS
from snslib.claims.criteria.outcome import Outcome

pytestmark = pytest.mark.usefixtures("results")


# --- Tables 1 and 2 ---


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "undecidable"),
        ({"pgd": 51.7}, "undecidable"),  # within 1.77 points, of which the first of four has to be apart (Holm)
        ({"pgd": 51.8}, "partly"),
        ({"pgd": 51.8, "fgsm": 51.7}, "partly"),  # half of the attacks; the second has to be 1.69 points apart
        ({"pgd": 51.8, "fgsm": 51.8, "step_ll": 51.8}, "reproduced"),
        ({"pgd": 51.8, "fgsm": 51.8, "step_ll": 51.8, "mi_fgsm": 48.7}, "reproduced"),  # within 1.39 points
        ({"pgd": 51.8, "fgsm": 51.8, "step_ll": 51.8, "mi_fgsm": 48.5}, "partly"),
        ({"pgd": 51.8, "fgsm": 48.2}, "not reproduced"),
        ({"clean": 90.0}, "undecidable"),
    ],
)
def test_sensitive_against_all(changes: dict[str, float], expected: str) -> None:
    put_accuracy("sns_sen_cls", HALF | changes)
    put_accuracy("sns_all_cls", HALF)
    assert verdict(11) == expected


def put_outcomes(row: str, right: str) -> None:
    """16 images under every attack."""
    put(row, "outcomes", dict.fromkeys(COLUMNS, right), n=16)


@pytest.mark.parametrize(
    ("right", "expected", "scale"),
    [
        (None, "undecidable", "on 10,000 images, unpaired"),
        ("ff00", "reproduced", "on 10,000 images, paired by the first 16"),  # right on the same half: 0.72 points count
        ("f0f0", "undecidable", "on 10,000 images, paired by the first 16"),  # right on half of the other's half
    ],
)
def test_networks_that_are_alike_are_told_apart_by_less(right: str | None, expected: str, scale: str) -> None:
    put_accuracy("sns_sen_cls", dict.fromkeys(COLUMNS, 51.2))
    put_accuracy("sns_all_cls", HALF)
    if right is not None:
        put_outcomes("sns_sen_cls", "ff00")
        put_outcomes("sns_all_cls", right)
    found = outcome(11)
    assert found.verdict == expected
    assert f"behind in 0; {scale}; PGD" in found.measured


def test_every_criterion_for_accuracies_says_on_what_scale_it_was_decided() -> None:
    rows = ("sns_sen_cls", "sns_all_cls", "sns_sen_adv", "nat", "eat", "pat", "alp")
    for row in (*rows, *(f"fig3b_{layer}" for layer in ("conv1", "conv4", "conv8", "conv11", "fc"))):
        put_accuracy(row, HALF)
        put_accuracy(row, HALF, ALEXNET)
        put_model(row, 1, 1)
    put_model("vanilla", 1, 1)
    put_outcomes("sns_sen_cls", "ff00")
    put_outcomes("eat", "ff00")
    unpaired = "on 10,000 images, unpaired"
    for number in (9, 11, 12, 13, 15, 16):
        assert unpaired in outcome(number).measured
    assert "on 10,000 images, 4 of 8 paired by the first 16" in outcome(10).measured


@pytest.mark.parametrize(("above_eat", "expected"), [(1, "reproduced"), (0, "partly")])
def test_five_of_eight_are_more_than_half(above_eat: int, expected: str) -> None:
    put_accuracy("sns_sen_cls", HALF)
    put_accuracy("nat", dict.fromkeys(COLUMNS, 40.0))
    put_accuracy("eat", HALF | dict.fromkeys(list(ATTACKS)[:above_eat], 40.0))
    assert verdict(10) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "reproduced"),
        ({"clean": 51.0}, "partly"),
        ({"pgd": 48.0}, "partly"),
        ({"clean": 90.0} | dict.fromkeys(ATTACKS, 10.0), "not reproduced"),
    ],
)
def test_robust_and_accurate(changes: dict[str, float], expected: str) -> None:
    put_accuracy("sns_sen_adv", dict.fromkeys(COLUMNS, 60.0) | changes)
    for row in ("pat", "alp"):
        put_accuracy(row, HALF)
    assert verdict(12) == expected


def test_the_strong_attack_is_shown_and_does_not_decide() -> None:
    put_accuracy("sns_sen_adv", dict.fromkeys(COLUMNS, 60.0))
    for row in ("pat", "alp"):
        put_accuracy(row, HALF)
    put("sns_sen_adv", "strong-accuracy", 0.012, n=1000, steps=100, restarts=5)
    found = outcome(12)
    assert found.verdict == "reproduced"
    assert "PGD-100 × 5 leaves $\\mathrm{SNS}_{sen}^{adv}$ 1.20%" in found.measured


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "undecidable"),
        ({"pgd": 48.3}, "undecidable"),  # within 1.77 points
        ({"pgd": 48.2}, "reproduced"),
        ({"pgd": 48.2, "fgsm": 51.8}, "partly"),
        ({"pgd": 48.2, "fgsm": 51.8, "step_ll": 51.8}, "not reproduced"),
        ({"fgsm": 51.8}, "not reproduced"),
    ],
)
def test_pairing_is_weaker(changes: dict[str, float], expected: str) -> None:
    put_accuracy("pat", HALF)
    put_accuracy("alp", HALF | changes)
    assert verdict(13) == expected


@pytest.mark.parametrize(
    ("adv", "cls", "expected"),
    [(60, 60, "reproduced"), (60, 50, "partly"), (50, 60, "undecidable"), (40, 60, "not reproduced")],
)
def test_the_same_order_on_alexnet(adv: float, cls: float, expected: str) -> None:
    for row in ("nat", "eat", "pat"):
        put_accuracy(row, HALF, ALEXNET)
    put_accuracy("sns_sen_adv", dict.fromkeys(COLUMNS, adv), ALEXNET)
    put_accuracy("sns_sen_cls", dict.fromkeys(COLUMNS, cls), ALEXNET)
    assert verdict(16) == expected


@pytest.mark.parametrize(("pat", "expected"), [(5.3, "undecidable"), (5.6, "reproduced")])  # the interval: 0.43 points
def test_no_order_is_decided_where_not_even_pat_is_robust(pat: float, expected: str) -> None:
    for row, value in (("nat", 3.0), ("eat", 3.0), ("pat", pat), ("sns_sen_adv", 9.0), ("sns_sen_cls", 9.0)):
        put_accuracy(row, dict.fromkeys(COLUMNS, value), ALEXNET)
    assert verdict(16) == expected


def test_seeds_of_a_row_are_taken_together() -> None:
    for seed, gain in enumerate((1.0, 3.0, 5.0)):  # one seed at a time would be level, ahead, ahead
        put_accuracy("sns_sen_cls", {column: 50 + gain for column in COLUMNS}, seed=seed)
        put_accuracy("sns_all_cls", HALF, seed=seed)
    assert "53.00 ± 2.00%" in outcome(11).measured
    assert "ahead in 0 of 4" in outcome(11).measured  # 3 points, and 2.78 * 1.41 * 0.82 for the spread
    assert {entry.seed for entry in outcome(11).records} == {0, 1, 2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "reproduced"),  # level with one rival, ahead of three
        ({"pgd": 49.0}, "partly"),
        (dict.fromkeys(ATTACKS, 47.0), "not reproduced"),  # level with three, behind one
    ],
)
def test_the_best_first_layer(changes: dict[str, float], expected: str) -> None:
    put_accuracy("fig3b_conv8", HALF | changes)
    for layer in ("conv1", "conv11", "fc"):
        put_accuracy(f"fig3b_{layer}", dict.fromkeys(COLUMNS, 47.0))
    assert "no record of accuracy: fig3b_conv4" in outcome(9).measured
    put_accuracy("fig3b_conv4", HALF | dict.fromkeys(changes, 51.0))
    assert verdict(9) == expected


# --- sensitivity ---


def each(sigma: list[float], *more: str) -> dict[str, list[float]]:
    return {layer: sigma for layer in (*more, *LAYERS)}


@pytest.mark.parametrize(("lower", "expected"), [(20, "reproduced"), (18, "reproduced"), (17, "not reproduced")])
def test_almost_all_neurons(lower: int, expected: str) -> None:
    """18 of 20 are 90%. Ranks are compared, so in which order the neurons come makes no difference."""
    vanilla = [float(40 - rank) for rank in range(20)]
    drop = [2.0, 2.0, *[1.0] * (lower - 2), *[0.0] * (20 - lower)]
    pat = [before - by for before, by in zip(vanilla, drop, strict=True)]
    put_sensitivity("vanilla", {"conv1": vanilla, "fc": [1.0]})
    put_sensitivity("pat", {"conv1": pat[::-1], "fc": [9.0]})
    assert verdict(6) == expected


@pytest.mark.parametrize(("fitting", "expected"), [(3, "reproduced"), (2, "partly"), (1, "not reproduced")])
def test_the_top_drops_most_in_every_layer(fitting: int, expected: str) -> None:
    """In a layer that does not fit the top two of 25 drop less. Neurons that are 0 in both models are not asked to."""
    vanilla = [20.0, *[10.0] * 19, *[0.0] * 5]
    more, less = [10.0, *[9.0] * 19, *[0.0] * 5], [20.0, *[9.0] * 19, *[0.0] * 5]
    put_sensitivity("vanilla", each(vanilla))
    put_sensitivity("pat", {layer: more if place < fitting else less for place, layer in enumerate(LAYERS)})
    assert verdict(6) == expected


def put_top(lower: int, under: str) -> None:
    """PAT's most sensitive neuron of ten is below vanilla's in the first so many layers; the other nine never are."""
    put_sensitivity("vanilla", each([2.0, *[0.0] * 9]), under)
    top = {layer: 1.0 if place < lower else 2.0 for place, layer in enumerate(LAYERS)}
    put_sensitivity("pat", {layer: [value, *[0.5] * 9] for layer, value in top.items()}, under)


@pytest.mark.parametrize(("lower", "expected"), [(3, "reproduced"), (2, "partly"), (1, "not reproduced")])
def test_sensitive_neurons_layer_by_layer(lower: int, expected: str) -> None:
    for attack in ATTACKS:
        put_top(lower, attack)
    assert verdict(7) == expected


def test_an_attack_that_is_not_run_leaves_it_partly() -> None:
    put_top(3, "pgd")
    assert verdict(7) == "partly"
    assert outcome(7).measured.endswith("not run: Step-LL, MI-FGSM, FGSM")


@pytest.mark.parametrize(("lower", "expected"), [(3, "not reproduced"), (2, "partly"), (1, "reproduced")])
def test_fog_turns_the_order(lower: int, expected: str) -> None:
    put_sensitivity("vanilla", each([2.0]), "fog-5")
    put_sensitivity("pat", {layer: [1.0 if i < lower else 3.0] for i, layer in enumerate(LAYERS)}, "fog-5")
    assert verdict(8) == expected
    for row, share in (("vanilla", 0.3364), ("pat", 0.5564)):
        put(row, "corrupted-accuracy", {"fog": [0.9, 0.8, 0.7, 0.6, share]}, n=N)
    assert outcome(8).measured.endswith("Vanilla accuracy in fog 33.64%; PAT accuracy in fog 55.64%")


@pytest.mark.parametrize(("lower", "expected"), [(3, "reproduced"), (2, "partly"), (1, "not reproduced")])
def test_stabilised_layers_only_are_held_against_pat(lower: int, expected: str) -> None:
    after = {layer: [0.5 if place < lower else 1.0] for place, layer in enumerate(LAYERS)}
    put_sensitivity("pat", each([1.0], "conv1"))
    put_sensitivity("sns_sen_adv", {"conv1": [9.0], **after})
    assert verdict(14) == expected


def test_each_seed_has_its_own_count() -> None:
    for seed, value in enumerate((0.5, 1.1)):
        put_sensitivity("pat", each([1.0]), seed=seed)
        put_sensitivity("sns_sen_adv", each([value]), seed=seed)
    assert outcome(14).measured.startswith("lower in 3 of 3 layers (seed by seed 3, 0)")


# --- targeted neurons and suppression ---


@pytest.mark.parametrize(
    ("important", "expected"),
    [
        ([[0, 1], [2, 9], [3, 4]], "reproduced"),  # 1, 1/3, 1
        ([[0, 1], [0, 1], [0, 1]], "not reproduced"),  # 1, 0, 0: one class has it all
        ([[0, 9], [2, 9], [3, 9]], "partly"),  # 1/3 each
    ],
)
def test_sensitive_and_important_neurons(important: list[list[int]], expected: str) -> None:
    put_targeted(ANY, {"sensitive": [[0, 1], [2, 3], [3, 4]], "important": important})
    assert verdict(1) == expected


def test_classes_that_no_image_reached_are_left_out() -> None:
    put_targeted(ANY, {"sensitive": [[0, 1], []], "important": [[0, 1], []]})
    assert "1 of 1 classes" in outcome(1).measured


def test_no_target_reached_is_not_run() -> None:
    put_targeted(ANY, {"sensitive": [[], []], "important": [[], []]})
    assert outcome(1) == Outcome("not run", "no image reached its target", outcome(1).records)


@pytest.mark.parametrize(
    ("bottom", "top", "expected"),
    [
        ([[0, 1], [0, 1]], [[0, 1], [2, 3]], "reproduced"),  # 1 and 0
        ([[0, 1, 2], [0, 1, 3]], [[0, 1, 2, 3], [0, 4, 5, 6]], "reproduced"),  # 1/2 and 1/7
        ([[0, 1], [0, 1]], [[0, 1, 2], [0, 1, 3]], "reproduced"),  # 1 and 1/2
        ([[0, 1], [0, 1]], [[0, 1, 2], [0, 1, 2, 3]], "partly"),  # 1 and 3/4
        ([[0, 1], [0, 2]], [[0, 1], [2, 3]], "partly"),  # 1/3 and 0
        ([[0, 1], [0, 2]], [[0, 1], [0, 2]], "not reproduced"),
    ],
)
def test_shared_at_the_bottom(bottom: list[list[int]], top: list[list[int]], expected: str) -> None:
    sensitive = {"conv1": bottom, "conv2": PAIRS, "conv3": top, "fc": PAIRS}
    put_targeted(sensitive, {"sensitive": PAIRS, "important": PAIRS})
    assert verdict(2) == expected


@pytest.mark.parametrize(("hits", "expected"), [(4, "reproduced"), (3, "partly"), (2, "not reproduced")])
def test_the_first_neuron_of_fc(hits: int, expected: str) -> None:
    fc = [[target if target < hits else 9, 5] for target in range(4)]
    put_targeted({"conv1": fc, "fc": fc}, {"sensitive": fc, "important": fc})
    assert verdict(3) == expected
    assert outcome(3).measured == f"{hits} of 4 targets"


def put_suppression(peak: float, attacks: int, less: float, least: float) -> None:
    """Accuracy at β = 1, 0.85 and 0.7; so many attacks have a peak at 0.85, white box."""
    flat = {name: [0.2, 0.2, 0.1] for name in ATTACKS}
    peaks = {name: [0.2, peak, 0.1] for name in list(ATTACKS)[:attacks]}
    clean = [0.8, less, least]
    ways = {"white_box": {"clean": clean, **flat, **peaks}, "transferred": {"clean": clean, **flat}}
    put("vanilla", "suppression", {"betas": [1.0, 0.85, 0.7], **ways}, n=N)


@pytest.mark.parametrize(
    ("peak", "attacks", "less", "least", "expected"),
    [
        (0.3, 3, 0.7, 0.39, "reproduced"),
        (0.3, 2, 0.7, 0.39, "partly"),
        (0.3, 3, 0.79, 0.39, "partly"),  # clean accuracy falls by less than the interval
        (0.3, 3, 0.7, 0.4, "partly"),  # half is not less than half
        (0.21, 4, 0.7, 0.39, "not reproduced"),  # within 1.1 points
        (0.3, 0, 0.7, 0.39, "not reproduced"),
    ],
)
def test_suppression(peak: float, attacks: int, less: float, least: float, expected: str) -> None:
    put_suppression(peak, attacks, less, least)
    assert verdict(5) == expected


# --- cost ---


@pytest.mark.parametrize(
    ("epochs", "seconds", "pgd", "expected"),
    [
        (4, 100, 50.0, "reproduced"),
        (4, 100, 48.5, "undecidable"),  # cheaper, and less robust
        (8, 100, 48.5, "undecidable"),
        (4, 500, 50.0, "partly"),  # 200 for vanilla and 500 are no less than 700
        (4, 499, 50.0, "reproduced"),
        (8, 100, 50.0, "not reproduced"),
        (4, 700, 50.0, "not reproduced"),
    ],
)
def test_cost(epochs: int, seconds: float, pgd: float, expected: str) -> None:
    for row, value in (("sns_sen_adv", pgd), ("pat", 50.0)):
        put_accuracy(row, HALF | {"pgd": value})
    put_model("vanilla", 20, 200)
    put_model("pat", 8, 700)
    put_model("sns_sen_adv", epochs, seconds)
    assert verdict(15) == expected


def test_times_on_different_devices_are_not_compared() -> None:
    for row, device in (("vanilla", "cpu"), ("pat", "cuda"), ("sns_sen_adv", "cpu")):
        put_model(row, 1, 1, device)
    assert outcome(15).measured == "the models were trained on different devices"


@pytest.mark.parametrize(
    ("sensitive", "insensitive", "p_value", "expected"),
    [
        (0.2, 0.5, 0.04, "reproduced"),
        (0.2, 0.4, 0.04, "partly"),
        (0.2, 0.5, 0.06, "not reproduced"),
        (0.5, 0.2, 0.01, "not reproduced"),
    ],
)
def test_what_neurons_look_at(sensitive: float, insensitive: float, p_value: float, expected: str) -> None:
    result = {"comparison": {"sensitive": sensitive, "insensitive": insensitive, "p_value": p_value}}
    put("vanilla", "regions", {"comparison": {"sensitive": 0, "insensitive": 1, "p_value": 0}}, layer="pool3")
    assert verdict(4) == "not run"
    put("vanilla", "regions", result, layer="pool2")
    assert verdict(4) == expected

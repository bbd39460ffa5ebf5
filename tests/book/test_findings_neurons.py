"""Sentences about sensitive neurons, on both sides of whatever changes them."""

from typing import Any

import pytest
import torch

from snslib.attacks import ATTACKS
from snslib.book import findings
from snslib.claims import paper
from snslib.study.records import Record

BETAS = [1.0, 0.85, 0.7, 0.5]
PAIRS = [[0, 1], [2, 3]]


def targeted(
    reached: dict[str, list[list[int]]] | None = None, sensitive: dict[str, Any] | None = None, data: str = "cifar10"
) -> Record:
    """Of two targets, of which all images reach the first one; k = 2 of 4 neurons of fc1."""
    every = {"sensitive": PAIRS, "important": [[0, 1], [2, 0]]}
    result = {
        "sensitive": sensitive or {"conv1": [[0], [0]], "conv2": [[0], [0]], "conv3": [[0], [1]], "fc": [[3], [3]]},
        "penultimate": {"reached": reached or every, "all": every},
        "channels": {"conv1": 10, "conv2": 10, "conv3": 10, "fc1": 4, "fc": 10},
        "targets": [3, 5],
        "reached": [1.0, 0.5],
        "n": [2000, 1000],
    }
    return Record("targeted-neurons", result, {"layer": "fc1", "k": 2}, data={"name": data})


def suppression(n: int = 10_000, **white_box: list[float]) -> Record:
    """Accuracy 0.2 under everything but what is given."""
    flat = {name: [0.2] * len(BETAS) for name in ("clean", *ATTACKS)}
    return Record("suppression", {"betas": BETAS, "white_box": flat | white_box, "transferred": flat}, {"n": n})


def regions(p_value: float) -> Record:
    compared = {"sensitive": 0.125, "insensitive": 0.25, "p_value": p_value, "n_sensitive": 8, "n_insensitive": 7}
    return Record("regions", {"comparison": compared}, {"layer": "pool2"})


def found(record: Record, curves: Record | None = None) -> str:
    """The findings of a chapter, in one line."""
    curves = curves or suppression()
    return " ".join(findings.sensitive_neurons(record, curves, {"random": curves, "least": curves}).data.split())


def test_the_comparison_has_its_size() -> None:
    assert findings.targeted_attacks(targeted()).data == (
        "Here, 2 of the 4 neurons of fc1 are compared; chance gives 0.39. Each class is the target of at least 1,000 "
        "images, and PGD takes 50.00% to 100.00% of them there."
    )


def test_there_is_no_permutation_test_of_one_class() -> None:
    one = {"sensitive": [[0, 1], []], "important": [[0, 1], []]}
    both, all_only = (findings.permutation_tests(record).data for record in (targeted(), targeted(reached=one)))
    assert both.count("mean index 0.67, where chance gives 0.39") == 2  # 1 and 1/3
    assert all_only.startswith("- **all images**: mean index 0.67")


def test_weights_of_sensitive_neurons_stand_beside_those_of_all() -> None:
    weight = torch.ones(10, 4)
    weight[3, 0] = weight[5, 2] = weight[5, 3] = -1  # of the sensitive ones 1 of 2 and 2 of 2
    assert findings.weights_for_target(targeted(), weight).data == (
        "Of the sensitive neurons of fc1, 75.00% (images that reached the target) and 75.00% (all images) have a "
        "negative weight for the target, averaged over the classes. Of all neurons of fc1, 37.50% have."
    )
    none = {"sensitive": [[], []], "important": [[], []]}
    assert "fc1, 75.00% (all images) have" in findings.weights_for_target(targeted(reached=none), weight).data


def test_the_papers_lists_are_described_as_they_are() -> None:
    text = findings.paper_lists().data
    lists = [set(neurons) for neurons in paper.targeted_neurons()["conv11"]]
    assert f"Of the {len(set().union(*lists))} neurons" in text
    assert len({frozenset(neurons[:25]) for neurons in paper.targeted_neurons()["conv11"]}) == 1  # "the same 25"
    assert text.count("\n- Table 3: ") == len(paper.notes(3))
    assert text.count("\n- Table 4: ") == len(paper.notes(4))


def test_the_layer_whose_lists_are_furthest_from_the_papers_is_named() -> None:
    """The paper's own lists, but for conv4, whose lists have nothing in common any more."""
    lists = paper.targeted_neurons()
    lists["conv4"] = [[1000 + target, 1010 + target] for target in range(10)]
    words = findings.lists_beside_paper(targeted(sensitive=lists)).data
    assert "furthest apart at **conv4**. There, 9 of the 16 neurons that the paper's lists name" in words
    assert "in the recorded lists, 0 of the 20 are." in words


def test_the_size_of_the_difference_counts_and_not_its_sign() -> None:
    lists = paper.targeted_neurons()
    lists["conv13"] = [[5, 6]] * 10
    words = findings.lists_beside_paper(targeted(sensitive=lists)).data
    assert "apart at **conv13**. There, 0 of the" in words
    assert "recorded lists, 2 of the 2 are." in words


def test_targets_that_are_not_first_are_named() -> None:
    missed = findings.first_of_fc(targeted(), ["cat", "dog"]).data
    assert missed.endswith("for **1 of 2** classes; it is another neuron when the target is dog.")
    all_first = targeted(sensitive={"conv1": PAIRS, "fc": [[3], [5]]})
    assert findings.first_of_fc(all_first, ["cat", "dog"]).data.endswith("for **2 of 2** classes.")


@pytest.mark.parametrize(
    ("p_value", "end"),
    [
        (0.04, "p = 0.04. Sensitive neurons lose their regions more than insensitive ones."),
        (0.06, "p = 0.06. The two groups do not differ as the paper says."),
    ],
)
def test_regions_are_lost_by_the_rule_of_claim_4(p_value: float, end: str) -> None:
    text = findings.lost_regions(regions(p_value))
    assert text.endswith(end)
    assert "**0.12** for the most sensitive quarter of the neurons (8) and **0.25** for the least sensitive (7)" in text


def test_overlap_is_compared_with_chance_and_with_other_classes() -> None:
    """Own sets 1 and 1/3, those of the other class 1/3 and 0; chance 0.39."""
    others = "(0.17 with the important neurons of other classes)"
    assert f"0.67 on all images {others}, 1.7 times chance and above it for 1 of 2 classes." in found(targeted())
    none = {"sensitive": [[], []], "important": [[], []]}
    start = "It is not defined on images that reached the target, of which there are too few; 0.67 on all images"
    assert start in found(targeted(reached=none))


@pytest.mark.parametrize(
    ("top", "verdict"),
    [
        ([[0], [1]], "The lower layers are more alike, as the paper says."),
        ([[0, 1, 2], [0, 1, 3]], "as the paper says, though the upper ones are still well above chance."),
        ([[0], [0]], "The lower layers are not clearly more alike, unlike what the paper says."),
    ],
)
def test_lower_layers_are_alike_by_the_rule_of_claim_2(top: list[list[int]], verdict: str) -> None:
    layers = {"conv1": [[0], [0]], "conv2": [[0], [0]], "conv3": top, "fc": [[3], [3]]}
    assert verdict in found(targeted(sensitive=layers))


def test_a_peak_is_named_by_the_rule_of_claim_5() -> None:
    """What the scorecard's interval allows, not two standard errors: 4 of 20 against none are no peak."""
    for right, expected in ((5, "a peak near β = 0.85 appears for PGD (white box). The"), (4, "no attack has a peak")):
        assert expected in found(targeted(), suppression(20, pgd=[0, right / 20, 0, 0]))


def test_the_rise_has_an_attack_only_where_there_is_one() -> None:
    text = found(targeted(), suppression(fgsm=[0.2, 0.1, 0.1, 0.325]))
    assert "brings: white box, 12.50 points (FGSM); transferred, 0.00 points." in text


def test_groups_are_compared_at_half() -> None:
    curves, random, least = (suppression(clean=[0.9, 0.8, 0.7, height]) for height in (0.5, 0.6, 0.65))
    text = findings.sensitive_neurons(targeted(), curves, {"random": random, "least": least}).data
    assert "Clean accuracy is 90.00% at β = 1, 80.00% at 0.85 and 70.00% at 0.7. At β = 0.5, turning down" in text
    assert "leaves 50.00% on clean images, random ones 60.00%, the least sensitive 65.00%; under PGD" in text


@pytest.mark.parametrize(("data", "warned"), [("digits", True), ("cifar10", False)])
def test_digits_come_with_a_warning(data: str, warned: bool) -> None:
    text = found(targeted(data=data), suppression(2000))
    assert ("Digits at this width are a small stand-in" in text) is warned
    assert text.endswith("accuracy is measured on 2,000 images.")


def test_records_are_put_in_the_same_words() -> None:
    live, recorded = found(targeted()), findings.recorded_neurons(targeted(), regions(0.01)).data
    assert recorded.splitlines()[0] in live
    assert "J_{avg}$ is 1.00 at conv1, 1.00 at conv2, 0.00 at conv3, 1.00 at fc; chance gives 0.10" in recorded
    assert findings.lost_regions(regions(0.01)) in recorded
    assert "Suppression" not in recorded


def test_of_many_layers_three_are_named_and_what_is_missing_is_said() -> None:
    layers = {f"conv{number}": [[0], [0]] for number in range(1, 14)} | {"fc": [[3], [3]]}
    record = targeted(sensitive=layers)
    record.result["channels"] |= dict.fromkeys(layers, 10)
    text = findings.recorded_neurons(record, None, suppression(pgd=[0.2, 0.3, 0.1, 0.1])).data
    assert "$ is 1.00 at conv1, 1.00 at conv7, 1.00 at conv13; chance gives 0.10, 0.10, 0.10." in text
    assert "**Regions**: not run yet." in text
    assert "**Suppression**: a peak near β = 0.85 appears for PGD (white box)." in text
    assert "white box**: the best accuracy that any β has under PGD is 30.00%." in text
    assert "transferred**: the best β is 1 under Step-LL (20.00%), 1 under MI-FGSM (20.00%), 1 under PGD" in text

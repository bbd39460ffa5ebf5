"""Verdicts follow from the records by the stated criteria, and what is missing is not run."""

import math
from pathlib import Path
from typing import Any

import pytest

from snslib import claims, paper, published

FOLDER = "cifar10/net"
N = 10_000


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(published, "RESULTS", tmp_path)
    return tmp_path


def put(root: Path, row: str, what: str, result: Any, **config: Any) -> None:
    published.publish_record(root / FOLDER / f"{row}.json", row, {"what": what, "config": config, "result": result})


def put_accuracy(root: Path, row: str, percent: dict[str, float], n: int = N) -> None:
    put(root, row, "accuracy", {column: share / 100 for column, share in percent.items()}, n=n)


def put_sensitivity(root: Path, row: str, sigma: dict[str, list[float]]) -> None:
    put(root, row, "sensitivity", {"sigma": sigma}, split="test", under="pgd")


def verdict(number: int) -> str:
    [finding] = [finding for claim, finding in claims.scorecard(FOLDER) if claim.number == number]
    assert finding.verdict in claims.VERDICTS
    return finding.verdict


def test_without_records_nothing_is_decided(results: Path) -> None:
    card = claims.scorecard(FOLDER)
    assert [claim.number for claim, _ in card] == list(range(1, 17))
    assert {finding.verdict for _, finding in card} == {"not run"}
    assert "sns_sen_adv" in card[11][1].ours


def test_a_difference_has_the_interval_of_two_shares() -> None:
    a, b = ({"result": {"pgd": share}, "config": {"n": n}} for share, n in ((0.5, 100), (0.2, 400)))
    gap, spread = claims.difference(a, b, "pgd")
    assert gap == pytest.approx(30)
    assert spread == pytest.approx(100 * 1.959963984540054 * math.sqrt(0.25 / 100 + 0.16 / 400))


def test_the_papers_own_numbers_by_our_criteria(results: Path) -> None:
    """For two of its four claims about Table 1 some differences are within the error of 10,000 images; none fails."""
    for row, printed in paper.table1().items():
        put_accuracy(results, row, printed)
    assert [verdict(number) for number in (10, 11, 12, 13)] == ["partly", "reproduced", "reproduced", "partly"]


ALIKE = dict.fromkeys(("clean", "step_ll", "mi_fgsm", "pgd", "fgsm"), 50.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "not reproduced"),
        ({"pgd": 51.3}, "not reproduced"),  # within 1.96 sqrt(2 * 0.25 / 10,000) = 1.39 points
        ({"pgd": 51.5}, "partly"),
        ({"pgd": 51.5, "fgsm": 48.5}, "not reproduced"),
        ({"step_ll": 60.0, "mi_fgsm": 60.0, "pgd": 60.0, "fgsm": 60.0}, "reproduced"),
    ],
)
def test_sensitive_against_all(results: Path, changes: dict[str, float], expected: str) -> None:
    put_accuracy(results, "sns_sen_cls", ALIKE | changes)
    put_accuracy(results, "sns_all_cls", ALIKE)
    assert verdict(11) == expected


@pytest.mark.parametrize(("lower", "expected"), [(3, "reproduced"), (2, "partly"), (1, "not reproduced")])
def test_sensitivity_layer_by_layer(results: Path, lower: int, expected: str) -> None:
    layers = ["conv1", "conv2", "conv3"]
    put_sensitivity(results, "vanilla", {layer: [1.0, 2.0] for layer in layers} | {"fc": [0.0]})
    pat = {layer: [3.0 if place >= lower else 0.1, 0.5] for place, layer in enumerate(layers)}
    put_sensitivity(results, "pat", pat | {"fc": [9.0]})
    assert verdict(7) == expected


@pytest.mark.parametrize(("neurons", "expected"), [(20, "reproduced"), (18, "not reproduced")])
def test_almost_all_neurons(results: Path, neurons: int, expected: str) -> None:
    """19 of 20 are over 90%, 18 of 20 are not."""
    put_sensitivity(results, "vanilla", {"conv1": [1.0] * 20})
    put_sensitivity(results, "pat", {"conv1": [0.5] * neurons + [1.5] * (20 - neurons)})
    assert verdict(6) == expected


def test_claim_14_looks_at_its_six_layers_only(results: Path) -> None:
    layers = [f"conv{number}" for number in range(1, 14)]
    put_sensitivity(results, "pat", {layer: [1.0] for layer in layers})
    put_sensitivity(results, "sns_sen_adv", {layer: [0.5 if int(layer[4:]) >= 8 else 2.0] for layer in layers})
    assert verdict(14) == "reproduced"

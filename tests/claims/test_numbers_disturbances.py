"""The vanilla and the PAT network are measured, or found in results/, under every attack and corruption."""

from pathlib import Path

import pytest
from disturbed import accuracy, corrupted, disturbed, sensitivity
from recorded import FOLDER, put

from snslib.attacks import ATTACKS
from snslib.claims.numbers import disturbances
from snslib.claims.numbers.disturbances import BOTH, STRONGEST
from snslib.evaluation.corruptions import WEATHER
from snslib.study import measurements as measure
from snslib.training import pretrained

SIGMA = {"conv1": [1.0, 3.0], "fc": [5.0]}


def test_the_strongest_are_the_attacks_and_the_corruptions_at_severity_5() -> None:
    assert STRONGEST[:4] == tuple(ATTACKS)
    assert STRONGEST[4:] == ("fog-5", "gaussian_noise-5", "jpeg_compression-5", "defocus_blur-5")


def test_a_setting_is_measured_under_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sensitivity", "accuracy", "corrupted_accuracy"):
        monkeypatch.setattr(measure, name, lambda *names, what=name: (what, *names))
    found = disturbances.measured("networks")  # type: ignore[arg-type]
    assert list(found.under) == [*ATTACKS, *WEATHER]
    assert found.under["fog-3"] == {defense: ("sensitivity", "networks", defense, "fog-3") for defense in BOTH}
    assert found.accuracy == {defense: ("accuracy", "networks", defense) for defense in BOTH}
    assert found.corrupted == {defense: ("corrupted_accuracy", "networks", defense) for defense in BOTH}


def test_published_rows_are_found_and_others_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    for row, value in (("alp", 9.0), ("pat", 1.0), ("vanilla", 2.0)):
        for under in ("fog-5", "pgd"):
            result = sensitivity({"conv1": [value]}).result
            put(row, "sensitivity", result, split="test", under=under)
        put(row, "sensitivity", sensitivity({"conv1": [5.0]}).result, split="train", under="pgd")
        put(row, "accuracy", accuracy(0.9, 0.1).result, n=100)
    put("pat", "corrupted-accuracy", corrupted(0.45).result, n=100)
    found = disturbances.recorded(FOLDER)
    assert [(name, *records) for name, records in found.under.items()] == [
        ("pgd", "vanilla", "pat"),
        ("fog-5", "vanilla", "pat"),
    ]
    assert list(found.accuracy) == ["vanilla", "pat"]
    of_both = {"vanilla": {"conv1": 2.0}, "pat": {"conv1": 1.0}}
    assert found.top_means() == {"pgd": of_both, "fog-5": of_both}
    assert [(point.model, point.under) for point in found.points] == [("pat", "pgd"), ("pat", "fog-5")]


def test_the_layers_are_the_convolutional_ones_and_the_top_is_a_fraction() -> None:
    found = disturbed(SIGMA, SIGMA)
    assert found.layers == ["conv1"]
    assert found.top_means(0.5)["pgd"]["pat"] == {"conv1": 3.0}
    assert found.top_means(1.0)["fgsm"]["pat"] == {"conv1": 2.0}


def test_weaker_corruptions_are_points_and_no_panels() -> None:
    found = disturbed(SIGMA, SIGMA)
    weak = {"vanilla": sensitivity(SIGMA, under="fog-1"), "pat": sensitivity(SIGMA, under="fog-1")}
    found = disturbances.Disturbed({**found.under, "fog-1": weak}, found.accuracy, found.corrupted)
    assert list(found.strongest) == ["pgd", "fgsm"]
    assert [point.under for point in found.points] == ["pgd", "pgd", "fgsm", "fgsm", "fog-1", "fog-1"]


def test_every_accuracy_is_given_by_name() -> None:
    found = disturbed(SIGMA, SIGMA).accuracies("pat")
    assert list(found) == ["clean", *STRONGEST]
    assert (found["clean"], found["pgd"], found["fog-5"]) == (0.8, 0.5, 0.2)

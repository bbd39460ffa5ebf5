"""Results are told from what is none, and every measurement has a line that says what its result is like."""

import ast
from pathlib import Path
from typing import Any

import pytest

from snslib.study import measurements, schema
from snslib.study.measurements.neurons import suppression
from snslib.study.schema import RESULTS, problem


def named(folder: Path) -> set[str]:
    """The names of measurements that calls of ``measured`` hold."""
    calls = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    names = [
        node.args[1] for node in calls if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "measured"
    ]
    return {name.value for name in names if isinstance(name, ast.Constant)}


def test_every_measurement_says_what_its_result_is_like() -> None:
    found = named(Path(str(measurements.__file__)).parent)
    assert len(found) >= 17
    assert suppression.__doc__ is not None  # whose names are put together
    assert found | {"suppression", "suppression-of-least", "suppression-of-random"} == set(RESULTS)


@pytest.mark.parametrize(
    ("what", "result"),
    [
        ("accuracy", {"clean": 1, "pgd": 0.0}),
        ("outcomes", {"clean": "83f0", "pgd": "00"}),
        ("autoattack", {"accuracy": 0.5, "warnings": []}),
        ("loss-surface", {"offsets": [-1.5, 0], "loss": [[1.0, 2.0]]}),
        ("sensitivity", {"sigma": {"conv1": [1.0]}, "activation": {"conv1": [1e9]}, "more": None}),
    ],
)
def test_results_are_taken(what: str, result: Any) -> None:
    assert problem(result, RESULTS[what]) == ""


@pytest.mark.parametrize(
    ("what", "result", "said"),
    [
        ("accuracy", {}, "result has not the names of results but is {}"),
        ("accuracy", [], "result has not the names"),
        ("accuracy", 0.5, "result has not the names"),
        ("accuracy", {"clean": 0.5, "pgd": float("nan")}, "result.pgd is no share but nan"),
        ("accuracy", {"clean": 50.0}, "result.clean is no share but 50.0"),
        ("accuracy", {"clean": True}, "result.clean is no share but True"),
        ("outcomes", {"clean": "83f"}, "result.clean is no bits but 83f"),
        ("outcomes", {"clean": "83fg"}, "result.clean is no bits but 83fg"),
        ("outcomes", {"clean": ""}, "result.clean is no bits but"),
        ("outcomes", {"clean": 83}, "result.clean is no bits but 83"),
        ("strong-accuracy", "0.5", "result is no share but 0.5"),
        ("accuracy-by-eps", [], "result is no list of results but []"),
        ("accuracy-by-eps", [0.5, None], "result[1] is no share but None"),
        ("loss-surface", {"offsets": [0.0], "loss": [[1.0], [float("inf")]]}, "result.loss[1][0] is no number but inf"),
        ("sensitivity", {"sigma": {"conv1": [1.0]}}, "result has not the names sigma, activation"),
        ("sensitivity", {"sigma": {"fc": []}, "activation": {"fc": [1]}}, "result.sigma.fc is no list of results"),
        ("autoattack", {"accuracy": 0.5, "warnings": [1]}, "result.warnings[0] is no text but 1"),
        ("accuracy", {"clean": 0.5, "<b>": 0.5}, "result has a name that none has, '<b>'"),
        ("accuracy", {"clean": 0.5, "": 0.5}, "result has a name that none has, ''"),
        ("sensitivity", {"sigma": {"a|b": [1.0]}, "activation": {"fc": [1]}}, "result.sigma has a name that none has"),
        ("autoattack", {"accuracy": 0.5, "warnings": "none"}, "result.warnings is no list of results"),
    ],
)
def test_what_is_no_result_is_said(what: str, result: Any, said: str) -> None:
    assert problem(result, RESULTS[what]).startswith(said)


def test_of_a_measurement_that_is_not_known_anything_is_taken() -> None:
    assert problem(None, schema.anything) == ""

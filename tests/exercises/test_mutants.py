"""No small change of a chapter's solution passes its check, but for those that change nothing."""

import ast

import pytest
from scripts import load

mutants = load("../tools/mutants.py")
SOLUTIONS = {solution.number: solution for solution in reversed(list(mutants.solutions()))}

GRADIENT = {"0 → -1"}  # torch.autograd.grad returns a tuple of one
EQUIVALENT = {
    "1.1": GRADIENT
    | {
        "x.clone().requires_grad_(True) → x.clone().requires_grad_()",
        "F.cross_entropy(model(x), y, reduction='sum') → F.cross_entropy(model(x), y)",
    },
    "1.3": GRADIENT
    | {
        "with torch.no_grad():     target = model(x).argmin(1) → target = model(x).argmin(1)",
        "x.clone().requires_grad_(True) → x.clone().requires_grad_()",
        "F.cross_entropy(model(at), target, reduction='sum') → F.cross_entropy(model(at), target)",
    },
    "1.4": GRADIENT
    | {
        "x_adv.requires_grad_(True) → x_adv.requires_grad_()",
        "F.cross_entropy(model(x_adv), y, reduction='sum') → F.cross_entropy(model(x_adv), y)",
    },
    "2.1": {"change → clean", "change → adversarial"},  # of which only the shape is taken
    "2.2": {  # equal ones may come in any order
        "max(1, int(fraction * len(sigma))) → max(int(fraction * len(sigma)), 1)",
        "sigma.sort(descending=True, stable=True) → sigma.sort(descending=True)",
        "True → False",
    },
    "3.2": {"pairs → indices"},  # of which only the number is taken
    "3.3": {  # the exercise allows a change in place
        "output = output.clone() → pass",
        "output.clone() → output",
        "with torch.no_grad():     return model(x) → return model(x)",
    },
    "3.4": {"(model(x_adv).argmax(1) == y).sum().item() → (model(x_adv).argmax(1) == y).sum()"},
    "4.1": set(),
    "5.1": set(),
    "5.2": {"(change / clean.abs().sum()).item() → change / clean.abs().sum()"},
    "6.1": {"right.all(0).double().mean().item() → right.all(0).double().mean()"},
}
OPEN = {"7.3", "7.4"}  # where many solutions are right, and so are many mutants


def test_every_exercise_with_a_check_is_mutated() -> None:
    assert SOLUTIONS.keys() == EQUIVALENT.keys() | OPEN


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("number", EQUIVALENT)
def test_only_equivalent_mutants_survive(number: str) -> None:
    tried, survivors = mutants.tried(SOLUTIONS[number])
    assert tried >= 10
    assert {survivor.change for survivor in survivors} == EQUIVALENT[number]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_few_mutants_of_a_remedy_are_remedies() -> None:
    tried, survivors = mutants.tried(SOLUTIONS["7.4"])
    assert 0 < len(survivors) < 0.08 * tried


def test_a_mutant_differs_in_one_place() -> None:
    (function,) = ast.parse("def mean(values):\n    return sum(values) / len(values)").body
    changes = {survivor.change: ast.unparse(mutant.body[0]) for survivor, mutant in mutants.mutants(function)}
    assert changes["sum(values) / len(values) → sum(values) * len(values)"] == "return sum(values) * len(values)"
    assert changes["sum(values) / len(values) → sum(values)"] == "return sum(values)"
    assert changes["sum → mean"] == "return mean(values) / len(values)"
    assert changes["return sum(values) / len(values) → pass"] == "pass"
    assert ast.unparse(function.body[0]) == "return sum(values) / len(values)"


def test_an_error_that_is_not_the_checks_own_is_no_verdict() -> None:
    solution = SOLUTIONS["6.1"]
    assert mutants.verdict(solution, solution.function) == "right"
    (stub,) = ast.parse("def worst_case_accuracy(right):\n    ...").body
    assert mutants.verdict(solution, stub) == "wrong"
    broken = ast.parse("from snslib.exercises import nothing_of_that_name").body
    assert "the check itself stopped with ImportError" in mutants.verdict(solution._replace(around=broken), stub)


def test_the_table_has_a_line_for_each_solution_and_the_survivors_on_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mutants.main(["6.1", "--survivors"])
    head, row, survivor = capsys.readouterr().out.strip("\n").splitlines()
    assert head.split() == ["exercise", "mutants", "survive", "share", "solution"]
    assert row.split() == ["6.1", "10", "1", "10.0%", "worst_case_accuracy"]
    assert survivor == "    line 7: right.all(0).double().mean().item() → right.all(0).double().mean()"

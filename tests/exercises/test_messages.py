"""What a student sees of a check: one message, with the student's own line, and nothing of the check's inside."""

import ast
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from test_wrong_solutions import SOLUTIONS
from torch import Tensor, nn

from snslib import exercises as ex
from snslib.exercises import ExerciseError
from snslib.exercises.run import apart

CHECKS = {name: check for name, check in vars(ex).items() if name.startswith("check_")}


def message(check: Callable[..., str], solution: Callable[..., Any]) -> str:
    with pytest.raises(ExerciseError) as caught:
        check(solution)
    return str(caught.value)


def wrong_axes(clean: Tensor, adversarial: Tensor) -> Tensor:
    return (clean - adversarial).abs().sum((2, 3)).mean(0)


def test_an_error_of_the_students_code_is_told_with_its_line_and_what_it_was_given() -> None:
    said = message(ex.check_neuron_sensitivity, wrong_axes)
    assert said.startswith("your function stopped with IndexError: Dimension out of range")
    assert "`return (clean - adversarial).abs().sum((2, 3)).mean(0)`" in said
    assert said.endswith("It was given clean of shape (3, 5), adversarial of shape (3, 5).")


def test_the_line_is_the_students_where_the_error_comes_from_further_below() -> None:
    def misread(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return model(x.flatten(1))

    said = message(ex.check_fgsm, misread)
    assert "`return model(x.flatten(1))`" in said
    assert "It was given model, x of shape (4, 3, 5, 5), y of shape (4,), eps = 0.1." in said


def test_layers_and_sets_are_described_too() -> None:
    def stopped(*given: Any) -> Any:
        raise RuntimeError

    assert "clean with conv (6, 4, 2, 2), fc (6, 5), adv" in message(ex.check_sns_loss, stopped)
    assert "sets = [{0, 1, 2}, {1, 2, 3}, {2, 3, 4, 5}]." in message(ex.check_average_jaccard, stopped)


def test_what_cannot_be_called_and_what_wants_to_leave_are_mistakes_as_well() -> None:
    def leave(right: Tensor) -> float:
        raise SystemExit(0)

    assert "SystemExit: 0, in line" in message(ex.check_worst_case_accuracy, leave)
    assert "'int' object is not callable." in message(ex.check_worst_case_accuracy, 3)  # type: ignore[arg-type]
    assert "takes 1 positional argument but 2 were given." in message(ex.check_top_neurons, leave)


def test_a_reader_can_interrupt_a_check() -> None:
    def interrupted(right: Tensor) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ex.check_worst_case_accuracy(interrupted)


ODD = [
    *(None, 3, -1, 0.5, True, "text", 10**400, float("nan"), np.float32(2)),
    *([], [1], ["a"], [[1], [2, 3]], {}, (torch.tensor([0]),), np.array([1, 2])),
    *(torch.tensor(1j), torch.tensor([1 + 1j] * 4), torch.tensor([True]), torch.tensor([]), torch.tensor([10**9])),
    *(torch.tensor(torch.nan), torch.tensor([torch.inf]), torch.ones(4, 5), torch.zeros(4, 5).to_sparse()),
    *(
        torch.tensor(5),
        torch.tensor([-1]),
        torch.tensor([[0]]),
        torch.zeros(4, 3, 5, 5),
        torch.zeros(1).requires_grad_(),
    ),
]


@pytest.mark.parametrize("name", CHECKS)
def test_whatever_a_function_returns_is_told_in_one_short_message(name: str) -> None:
    for result in ODD:
        said = message(CHECKS[name], lambda *given, result=result: result)
        assert 20 < len(said) < 300, said
    for place in range(2):
        assert len(message(CHECKS[name], lambda *given, place=place: given[place % len(given)])) < 300


def test_gradients_that_were_switched_off_are_on_again() -> None:
    def switched_off(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        torch.set_grad_enabled(False)
        return x

    assert "gradients are left switched off" in message(ex.check_fgsm, switched_off)
    assert torch.is_grad_enabled()
    with torch.no_grad():
        exec(SOLUTIONS["4.1"], {})
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("solution", [wrong_axes, lambda a, b: a.sum()])
def test_no_traceback_leads_through_a_check(solution: Callable[..., Any]) -> None:
    try:
        ex.check_neuron_sensitivity(solution)
    except ExerciseError as error:
        shown = "".join(traceback.format_exception(error))
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames == ["test_no_traceback_leads_through_a_check", "checked"]
    assert shown.count("Traceback") == 1
    assert "mistakes" not in shown


def test_a_notebook_shows_the_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.run_cell(
        "from snslib.exercises import check_neuron_sensitivity\n\n"
        "def neuron_sensitivity(clean, adversarial):\n"
        "    change = (clean - adversarial).abs()\n"
        "    return change.sum((2, 3)).mean(0)\n\n"
        "check_neuron_sensitivity(neuron_sensitivity)"
    )
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line.startswith("ExerciseError: your function stopped with IndexError")
    assert ", in line 5, `return change.sum((2, 3)).mean(0)`." in line


def used(code: str) -> set[str]:
    """The names of methods and functions in code that say how something is computed."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return names - {"items", "shape", "append", "item", "detach", "range", "list", "Tensor"}


@pytest.mark.parametrize("code", SOLUTIONS.values(), ids=SOLUTIONS)
def test_the_source_of_a_check_does_not_show_its_solution(code: str) -> None:
    """``check_fgsm??`` in a notebook shows just that source."""
    (check,) = (name for name in CHECKS if name in code)
    (function,) = (node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))
    shown = inspect.getsource(inspect.unwrap(CHECKS[check]))
    common = used(ast.unparse(function)) & used(shown)
    assert not common - {"autograd", "grad"}, common


def test_what_differs_is_shown_where_it_differs() -> None:
    right = torch.arange(12.0).view(3, 4)
    got = right.clone()
    got[2, 1] = -1
    got[0, 3] = 3.5
    assert apart(got, right) == "the result at [2, 1] is -1 and should be 9; 2 of 12 values are off."
    assert apart(got[0], right[0]) == (
        "the result is [0, 1, 2, 3.5] of shape (4,) and should be [0, 1, 2, 3] of shape (4,)."
    )
    assert "of shape (3, 4) and should be [0, 1, 2, 3, 4, …] of shape (12,)" in apart(got, right.flatten())
    assert apart(0.5, 0.25) == "the result is 0.5 and should be 0.25."
    got[1, 1] = torch.nan
    assert apart(got, right).startswith("the result at [1, 1] is nan and should be 5;")

"""Running a solution, and comparing what it returns with what is right."""

import copy
import functools
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Solution = TypeVar("Solution")
Mistakes = Mapping[str, Tensor | float | list[Tensor | float]]  # what is said of one, and the results it may lead to


class ExerciseError(AssertionError):
    """The first mistake that a check found: what is wrong, and what to look at."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback, which would lead into the check and not to the mistake."""
        return [f"{type(self).__name__}: {self}"]


def exercise(number: str) -> Callable[[Callable[[Solution], str]], Callable[[Solution], str]]:
    """A check of the exercise with that number, such as "3.2", which takes a stub for what it is: no mistake yet.

    A stub is a function whose body is ``...``, as the chapters have it. So a chapter runs whole before it is solved.
    """

    def decorate(check: Callable[[Solution], str]) -> Callable[[Solution], str]:
        @functools.wraps(check)
        def checked(solution: Solution) -> str:
            if is_stub(solution):
                return f"Exercise {number}: not solved yet."
            try:
                with torch.enable_grad():
                    return check(solution)
            except ExerciseError as error:
                mistake = error
            raise mistake.with_traceback(None)  # which would lead through the check

        return checked

    return decorate


def _stub() -> None: ...


def is_stub(solution: object) -> bool:
    """Whether it is a function whose body is ``...``."""
    code = getattr(solution, "__code__", None)
    return code is not None and code.co_name != "<lambda>" and code.co_code == _stub.__code__.co_code


class Answer(NamedTuple):
    """What came of one call of a solution: what it returned, and in a sentence each what is wrong besides."""

    result: Any = None
    stopped: str = ""  # with which error, and where
    left: str = ""  # changed: an argument, or whether gradients are computed


class Elsewhere:
    """A solution that is not called here but asked for its answer, as one that runs in another process."""

    def answer(self, given: Mapping[str, Any]) -> Answer:
        """What :func:`answer` says of a call with these arguments."""
        raise NotImplementedError


def answer(solution: Callable[..., Any] | Elsewhere, given: Mapping[str, Any]) -> Answer:
    """Call a solution, and look at the arguments that it was given before and after."""
    if isinstance(solution, Elsewhere):
        return solution.answer(given)
    before, result, stopped = copy.deepcopy(given), None, ""
    try:
        result = solution(*given.values())
    except (Exception, SystemExit) as error:
        stopped = _stopped(solution, error)
    return Answer(result, stopped, _left(before, given))


def _left(before: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)
        return "gradients are left switched off for everybody after you: write `with torch.no_grad():`."
    try:
        for name, value in given.items():
            check_unchanged(name, before[name], value)
    except ExerciseError as mistake:
        return str(mistake)
    return ""


def returned(solution: Callable[..., Any] | Elsewhere, **given: Any) -> Any:
    """What a solution returns, provided that it is something and that the arguments are left as they were."""
    result, stopped, left = answer(solution, given)
    if stopped:
        raise ExerciseError(f"{stopped} It was given {_described(given)}.")
    if left:
        raise ExerciseError(left)
    if result is None:
        raise ExerciseError("the function returned nothing: end it with `return ...`.")
    return result


def _stopped(solution: Callable[..., Any], error: BaseException) -> str:
    """What ended a solution, and in which line of its own: those below it are not the reader's."""
    said = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
    sentence = f"your function stopped with {type(error).__name__}{': ' if said else ''}{said}"
    code = getattr(solution, "__code__", None)
    own = [at for at in traceback.extract_tb(error.__traceback__) if code and at.filename == code.co_filename]
    if not own:
        return f"{sentence}."
    line = f", `{own[-1].line}`" if own[-1].line else ""
    return f"{sentence}, in line {own[-1].lineno}{line}."


def _described(given: Mapping[str, Any]) -> str:
    """Arguments in words: names, shapes, and numbers."""
    words = []
    for name, value in given.items():
        if isinstance(value, Tensor):
            words.append(f"{name} of shape {tuple(value.shape)}")
        elif isinstance(value, dict):
            words.append(f"{name} with {', '.join(f'{key} {tuple(of.shape)}' for key, of in value.items())}")
        elif isinstance(value, int | float | str | list):
            words.append(f"{name} = {value!r}")
        else:
            words.append(name)
    return ", ".join(words)


def check_unchanged(name: str, before: Any, after: Any) -> None:
    """An argument is what it was, before a solution had it."""
    if isinstance(before, nn.Module):
        _check_model_unchanged(before, after)
    elif isinstance(before, dict):
        if before.keys() != after.keys():
            raise ExerciseError(f"{name} has other layers than before: leave it as it is.")
        for key, value in before.items():
            check_unchanged(f"{name}[{key!r}]", value, after[key])
    elif isinstance(before, Tensor):
        if not isinstance(after, Tensor) or not torch.equal(before, after):
            raise ExerciseError(f"{name} was changed in place: leave it as it is, and work on {name}.clone().")
        if after.requires_grad != before.requires_grad:
            raise ExerciseError(f"{name} is left with requires_grad set: set it on a copy, {name}.clone().")
        if after.grad is not None:
            raise ExerciseError(f"a gradient is left in {name}: return the loss, and call no backward().")
    elif isinstance(before, list) and before != after:
        raise ExerciseError(f"{name} was changed in place: leave it as it is.")


def _check_model_unchanged(before: nn.Module, after: nn.Module) -> None:
    if [name for name, _ in before.named_modules()] != [name for name, _ in after.named_modules()]:
        raise ExerciseError("the model has other layers than before: leave it as you found it.")
    if [m.training for m in before.modules()] != [m.training for m in after.modules()]:
        raise ExerciseError("the model came in eval mode and is left in train mode: leave its mode as you found it.")
    if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in after.modules()):
        raise ExerciseError("a hook is left in the model, which changes it for everybody after you: remove() it.")
    if any("forward" in vars(m) for m in after.modules()):
        raise ExerciseError("a layer's forward is left replaced, for everybody after you: put it back.")
    if any(p.grad is not None for p in after.parameters()):
        raise ExerciseError(
            "gradients are left in the model's parameters, where the next training step would add to them: take "
            "torch.autograd.grad(loss, x)[0], or return the loss, in place of loss.backward()."
        )
    if [p.requires_grad for p in before.parameters()] != [p.requires_grad for p in after.parameters()]:
        raise ExerciseError("requires_grad of the model's parameters was changed: leave it as you found it.")
    states = (before.state_dict().values(), after.state_dict().values())
    if any(not torch.equal(a, b) for a, b in zip(*states, strict=True)):
        raise ExerciseError("the model's weights or BatchNorm statistics were changed: did it run in train mode?")


def compare(got: Tensor | float, right: Tensor | float, mistakes: Mistakes, look: str) -> None:
    """Pass the right result; name the mistake that leads to the one that came, or show where both differ."""
    if close(got, right):
        return
    name_mistake(got, mistakes)
    raise ExerciseError(f"{apart(got, right)} {look}")


def name_mistake(got: Tensor | float, mistakes: Mistakes) -> None:
    """Raise the message of the first mistake that leads to this result, if one does."""
    for message, wrong in mistakes.items():
        if any(close(got, result) for result in (wrong if isinstance(wrong, list) else [wrong])):
            raise ExerciseError(message)


def close(a: Any, b: Any) -> bool:
    """Whether two tensors or numbers have one shape and the same values, but for rounding."""
    a, b = (torch.as_tensor(value).detach().double() for value in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def apart(got: Tensor | float, right: Tensor | float) -> str:
    """A sentence on how two results differ: both, or the place where many values differ most."""
    if not isinstance(got, Tensor) or not isinstance(right, Tensor) or got.shape != right.shape or got.numel() <= 5:
        return f"the result is {_shown(got)} and should be {_shown(right)}."
    off = (got.detach().double() - right.detach().double()).abs().nan_to_num(torch.inf)
    place = tuple(int(i) for i in torch.unravel_index(off.argmax(), off.shape))
    wrong = int((~torch.isclose(got.double(), right.double(), rtol=1e-4, atol=1e-6)).sum())
    return (
        f"the result at {list(place)} is {got[place]:.4g} and should be {right[place]:.4g}; {wrong} of {got.numel()} "
        "values are off."
    )


def _shown(value: Tensor | float) -> str:
    if not isinstance(value, Tensor):
        return f"{value:.4g}"
    first = ", ".join(f"{v:.4g}" for v in value.flatten().tolist()[:5])
    return f"[{first}{', …' if value.numel() > 5 else ''}] of shape {tuple(value.shape)}"


def as_tensor(result: Any) -> Tensor:
    """A result that has to be a tensor."""
    if not isinstance(result, Tensor):
        raise ExerciseError(f"the result should be a tensor, and it is a {type(result).__name__}.")
    if result.is_complex() or result.layout != torch.strided:
        raise ExerciseError(f"the result should be a dense tensor of real numbers, and it is {result.dtype}.")
    return result


def as_number(result: Any) -> float:
    """A result that has to be one finite number, as a number or a tensor of one value."""
    if isinstance(result, bool) or not isinstance(result, Real | Tensor):
        raise ExerciseError(f"the result should be one number, and it is a {type(result).__name__}.")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise ExerciseError(f"the result should be one number, and it is a tensor of shape {tuple(result.shape)}.")
    if isinstance(result, Tensor) and result.is_complex():
        raise ExerciseError("the result should be one real number, and it is a complex one.")
    try:
        number = float(result.item() if isinstance(result, Tensor) else result)
    except OverflowError:  # of a whole number that is too large
        number = math.inf
    if not math.isfinite(number):
        raise ExerciseError(f"the result is {number}: mind divisions by 0, for example of a neuron that is silent.")
    return number


def gradients_of(loss: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The finite gradients of a loss, 0 for what it does not depend on; an error where it carries none."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise ExerciseError("the loss carries no gradient to train with: no detach(), no item(), no no_grad().")
    slopes = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
    if not all(slope.isfinite().all() for slope in slopes):
        raise ExerciseError("the gradient is not finite: mind divisions by 0 and roots of 0.")
    return list(slopes)

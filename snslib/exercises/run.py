"""Running a solution, and comparing what it returns with what is right."""

import copy
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Solution = TypeVar("Solution")


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
            return f"Exercise {number}: not solved yet." if _is_stub(solution) else check(solution)

        return checked

    return decorate


def _stub() -> None: ...


def _is_stub(solution: object) -> bool:
    code = getattr(solution, "__code__", None)
    return code is not None and code.co_name != "<lambda>" and code.co_code == _stub.__code__.co_code


def returned(solution: Callable[..., Any], **given: Any) -> Any:
    """What a solution returns, provided that it is something and that the arguments are left as they were."""
    before = copy.deepcopy(given)
    result = solution(*given.values())
    for name, value in given.items():
        _check_unchanged(name, before[name], value)
    if result is None:
        raise ExerciseError("the function returned nothing: end it with `return ...`.")
    return result


def _check_unchanged(name: str, before: Any, after: Any) -> None:
    if isinstance(before, nn.Module):
        _check_model_unchanged(before, after)
    elif isinstance(before, dict):
        for key, value in before.items():
            _check_unchanged(f"{name}[{key!r}]", value, after.get(key))
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
    if [m.training for m in before.modules()] != [m.training for m in after.modules()]:
        raise ExerciseError("the model came in eval mode and is left in train mode: leave its mode as you found it.")
    if any(m._forward_hooks or m._forward_pre_hooks for m in after.modules()):
        raise ExerciseError("a hook is left in the model, which changes it for everybody after you: remove() it.")
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


def compare(got: Tensor | float, right: Tensor | float, mistakes: Mapping[str, Any], look: str) -> None:
    """Pass the right result; name the mistake that leads to the one that came, or show both."""
    if close(got, right):
        return
    for message, wrong in mistakes.items():
        if close(got, wrong):
            raise ExerciseError(message)
    raise ExerciseError(f"the result is {_shown(got)} and should be {_shown(right)}. {look}")


def close(a: Any, b: Any) -> bool:
    """Whether two tensors or numbers have one shape and the same values, but for rounding."""
    a, b = (torch.as_tensor(value).double() for value in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def _shown(value: Tensor | float) -> str:
    if not isinstance(value, Tensor):
        return f"{value:.4g}"
    first = ", ".join(f"{v:.4g}" for v in value.flatten().tolist()[:5])
    return f"[{first}{', …' if value.numel() > 5 else ''}] of shape {tuple(value.shape)}"


def as_tensor(result: Any) -> Tensor:
    """A result that has to be a tensor."""
    if not isinstance(result, Tensor):
        raise ExerciseError(f"the result should be a tensor, and it is a {type(result).__name__}.")
    return result


def as_number(result: Any) -> float:
    """A result that has to be one finite number, as a number or a tensor of one value."""
    if isinstance(result, bool) or not isinstance(result, int | float | Tensor):
        raise ExerciseError(f"the result should be one number, and it is a {type(result).__name__}.")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise ExerciseError(f"the result should be one number, and it is a tensor of shape {tuple(result.shape)}.")
    number = result.item() if isinstance(result, Tensor) else result
    if not math.isfinite(number):
        raise ExerciseError(f"the result is {number}: mind divisions by 0, for example of a neuron that is silent.")
    return number


def gradients_of(loss: Any, inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of a loss, 0 for what it does not depend on; an error where it carries none."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise ExerciseError("the loss carries no gradient to train with: no detach(), no item(), no no_grad().")
    return list(torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True))

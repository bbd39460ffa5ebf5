"""The rules that every x' has to obey, whatever attack makes it."""

from typing import Any

from torch import Tensor

from snslib.exercises.run import ExerciseError, as_tensor

ROUNDING = 1e-6  # by which a pixel may be off


def attacked(x_adv: Any, x: Tensor) -> Tensor:
    """x' of an attack: detached, a finite tensor of the shape and type of x."""
    x_adv = as_tensor(x_adv)
    if x_adv.shape != x.shape or x_adv.dtype != x.dtype:
        raise ExerciseError(
            f"x' should be like x, {x.dtype} of {tuple(x.shape)}, and it is {x_adv.dtype} of {tuple(x_adv.shape)}."
        )
    if x_adv.requires_grad:
        raise ExerciseError("x' still hangs on the graph that made it: return x_adv.detach().")
    if not x_adv.isfinite().all():
        raise ExerciseError("x' has values that are not finite: look for a division by 0.")
    return x_adv


def check_bounds(x_adv: Tensor, name: str = "x'") -> None:
    """No value outside of [0, 1]; ``name`` says what has one."""
    low, high = x_adv.min().item(), x_adv.max().item()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ExerciseError(
            f"{name} has values from {low:.3g} to {high:.3g}, and images live in [0, 1]: cut off the rest (clamp)."
        )


def largest_change(x_adv: Tensor, x: Tensor) -> float:
    """By how much the pixel that changed most has changed."""
    return (x_adv - x).abs().max().item()

"""The kernels: bytes per second against a copy of as many bytes, with the plain PyTorch that defines them beside."""

from collections.abc import Callable
from typing import Any

import torch
from timing import interleaved, row
from torch import Tensor

from snslib import kernels
from snslib.kernels import reference

SHAPES = ((128, 64, 32, 32), (128, 256, 8, 8), (128, 512, 2, 2), (32, 64, 224, 224))
EPS, STEP_SIZE = 8 / 255, 0.8 / 255


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per operation, shape, type, memory format and way; "faster" is against copying the same bytes.

    A copy reads and writes: of B bytes that an operation reads and writes together, it moves B / 2 from one place to
    another. On a GPU each call is repeated until it takes a millisecond, so that launching it does not count.
    """
    rows = []
    gpu = device.startswith("cuda")
    shapes = ((4, 8, 4, 4),) if quick else SHAPES
    types = (torch.float32, torch.bfloat16) if gpu else (torch.float32,)
    for shape in shapes:
        for dtype in types:
            for layout in (torch.contiguous_format, torch.channels_last):
                a, b = (torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=layout) for _ in "ab")
                rows += _row_group("channel_l1", a, 2 * a.nbytes, _l1(a, b), device, quick)
                rows += _row_group("channel_l1, backward", a, 4 * a.nbytes, _l1_backward(a, b), device, quick)
    for side, n in ((4, 2),) if quick else ((32, 512), (224, 64)):
        x, gradient = torch.rand(n, 3, side, side, device=device), torch.randn(n, 3, side, side, device=device)
        rows += _row_group("sign_step", x, 4 * x.nbytes, _sign_step(x, gradient), device, quick)
        rows += _row_group("momentum_step", x, 6 * x.nbytes, _momentum_step(x, gradient), device, quick)
    return rows


def _l1(a: Tensor, b: Tensor) -> dict[str, Callable[[], Any]]:
    return _ways(kernels.channel_l1, reference.channel_l1, a, b)


def _l1_backward(a: Tensor, b: Tensor) -> dict[str, Callable[[], Any]]:
    """Forward once, then the gradient for both inputs: two reads and two writes."""
    a, b = a.clone().requires_grad_(True), b.clone().requires_grad_(True)
    upstream = torch.rand(a.shape[1], device=a.device)

    def backward_of(function: Callable[..., Tensor]) -> Callable[[], Any]:
        result = function(a, b)
        return lambda: torch.autograd.grad(result, (a, b), upstream, retain_graph=True)

    return {"snslib": backward_of(kernels.channel_l1), "eager": backward_of(reference.channel_l1)}


def _sign_step(x: Tensor, gradient: Tensor) -> dict[str, Callable[[], Any]]:
    return _ways(kernels.sign_step, reference.sign_step, x, gradient, x, EPS, STEP_SIZE)


def _momentum_step(x: Tensor, gradient: Tensor) -> dict[str, Callable[[], Any]]:
    direction = torch.zeros_like(x)
    return _ways(kernels.momentum_step, reference.momentum_step, x, direction, gradient, x, EPS, STEP_SIZE, 1.0)


def _ways(ours: Callable[..., Any], plain: Callable[..., Any], *arguments: Any) -> dict[str, Callable[[], Any]]:
    ways: dict[str, Callable[[], Any]] = {"snslib": lambda: ours(*arguments), "eager": lambda: plain(*arguments)}
    if arguments[0].is_cuda:
        compiled = torch.compile(plain)
        ways["torch.compile"] = lambda: compiled(*arguments)
    torch.testing.assert_close(ways["snslib"](), ways["eager"](), rtol=1e-4, atol=1e-5)
    return ways


def _row_group(
    what: str, like: Tensor, moved: int, ways: dict[str, Callable[[], Any]], device: str, quick: bool
) -> list[dict[str, Any]]:
    source = torch.empty(moved // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    ways = {"copy": lambda: target.copy_(source), **ways}
    repeats = 1 if quick else max(1, int(2e9 if device.startswith("cuda") else 1e8) // moved)
    repeated = {name: _repeat(run, repeats) for name, run in ways.items()}
    seconds = interleaved(repeated, 1 if quick else 7, device)
    rows = []
    for name in ways:
        about = {
            "operation": what,
            "shape": list(like.shape),
            "dtype": str(like.dtype).removeprefix("torch."),
            "channels_last": like.ndim == 4 and not like.is_contiguous(),
            "how": name,
        }
        line = row([s / repeats for s in seconds[name]], [s / repeats for s in seconds["copy"]], **about)
        rows.append(line | {"gb_per_second": round(moved / line["seconds"] / 1e9, 1)})
        print(rows[-1], flush=True)
    return rows


def _repeat(run: Callable[[], Any], repeats: int) -> Callable[[], None]:
    def work() -> None:
        for _ in range(repeats):
            run()

    return work

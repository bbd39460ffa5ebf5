"""Which small convolutions PyTorch computes wrongly on a CPU: forward and backward against float64, shape by shape.

    python benchmarks/convolutions.py [--kernels 1] [--quick]

Each case runs in a process of its own, since a wrong one may crash or never return, and since oneDNN, which does the
computing, reads once which instructions it may use. It takes a quarter of an hour; --quick tries some of what is known
to fail somewhere and writes nothing. The findings go to results/convolutions.json, one entry per release of PyTorch.
Needs nothing but PyTorch, so that any release of it can be tried.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # before OpenMP is loaded: the cases share the cores, none should spin

import torch

RECORD = Path(__file__).parent.parent / "results" / "convolutions.json"
INSTRUCTIONS = ("SSE41", "AVX2", "AVX512_CORE", "")  # values of ONEDNN_MAX_CPU_ISA; "" sets none
THREADS = (1, 2, 3)  # with three, results are put together from parts that one and two have no need of
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# How far from float64, relative to its norm, a result may be. Right ones are within 1e-6 and 5e-3.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
PATIENCE = (10.0, 60.0)  # seconds; a case takes some milliseconds, and on a busy machine a second try


class Shape(NamedTuple):
    """A convolution and its input."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    batch: int
    side: int = 16


class Way(NamedTuple):
    """How it is computed."""

    instructions: str
    threads: int
    layout: str
    precision: str


def shapes(kernels: Sequence[int], quick: bool) -> Iterator[Shape]:
    """1 to 33 channels; all in one group, in two, and each by itself."""
    for kernel, stride, batch in itertools.product(kernels, (1, 2), (2,) if quick else (1, 2, 128)):
        for channels in (2, 5, 8, 15, 16) if quick else range(1, 34):
            for out_channels in (16,) if quick else (16, 33):
                yield Shape(channels, out_channels, kernel, stride, 1, batch)
            if channels % 2 == 0:
                yield Shape(channels, 16, kernel, stride, 2, batch)
            if channels > 2:
                yield Shape(channels, channels, kernel, stride, channels, batch)


def ways(quick: bool) -> list[Way]:
    """In bfloat16 channels_last alone, which is what snslib takes there."""
    return [
        Way(instructions, threads, layout, precision)
        for instructions, threads in itertools.product(("AVX2", "") if quick else INSTRUCTIONS, THREADS)
        for layout, precision in (("contiguous", "float32"), *itertools.product(("channels_last",), TOLERANCE))
    ]


def compute(shape: Shape, dtype: torch.dtype, layout: str) -> list[torch.Tensor]:
    """Output, gradient of the input and gradient of the weights, of numbers that depend on the shape alone."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(shape.batch, shape.in_channels, shape.side, shape.side, generator=random)
    weight = torch.randn(
        shape.out_channels, shape.in_channels // shape.groups, shape.kernel, shape.kernel, generator=random
    )
    x, weight = x.bfloat16().to(dtype), weight.bfloat16().to(dtype)  # the same numbers in every precision
    x = x.contiguous(memory_format=LAYOUTS[layout])
    stride, padding = [shape.stride] * 2, [shape.kernel // 2] * 2
    y = torch.conv2d(x, weight, None, stride, padding, groups=shape.groups)
    slope = torch.randn(y.shape, generator=random).bfloat16().to(dtype).contiguous(memory_format=LAYOUTS[layout])
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        slope, x, weight, None, stride, padding, [1, 1], False, [0, 0], shape.groups, [True, True, False]
    )
    return [y, of_x, of_weight]


def errors(shape: Shape, way: Way, wanted: list[torch.Tensor]) -> list[float]:
    """Distances from what is wanted, relative to it; the largest of two tries."""
    if way.instructions:
        os.environ["ONEDNN_MAX_CPU_ISA"] = way.instructions
    torch.set_num_threads(way.threads)
    tries = [compute(shape, getattr(torch, way.precision), way.layout) for _ in range(2)]
    relative = [
        [((found.double() - right).norm() / right.norm()).item() for found, right in zip(results, wanted, strict=True)]
        for results in tries
    ]
    return [max(of_one) for of_one in zip(*relative, strict=True)]


def outcome(shape: Shape, way: Way, wanted: list[torch.Tensor]) -> str:
    """"right", or what went wrong, found out in a process of its own."""
    tries = (one_try(shape, way, wanted, seconds) for seconds in PATIENCE)
    return next((found for found in tries if found != "hangs"), "hangs")


def one_try(shape: Shape, way: Way, wanted: list[torch.Tensor], patience: float) -> str:
    """As :func:`outcome`; "hangs" after so many seconds."""
    sys.stdout.flush()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where glibc tells of a broken heap
        os.write(write, json.dumps(errors(shape, way, wanted)).encode())
        os._exit(0)
    os.close(write)
    until = time.monotonic() + patience
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < until:
        time.sleep(0.002)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    if not ended:
        return "hangs"
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    if not said:
        return "fails"
    named = zip(("output", "gradient of the input", "gradient of the weights"), json.loads(said), strict=True)
    far = [f"{name} off by {error:.0%}" for name, error in named if not error <= TOLERANCE[way.precision]]
    return ", ".join(far) or "right"


def try_shape(shape: Shape, quick: bool) -> tuple[int, list[dict[str, Any]]]:
    """How many ways were tried, and those that were not right."""
    torch.set_num_threads(1)  # no threads yet, which a fork would not take along
    wanted = compute(shape, torch.float64, "contiguous")
    found = [(way, outcome(shape, way, wanted)) for way in ways(quick)]
    return len(found), [{**shape._asdict(), **way._asdict(), "outcome": what} for way, what in found if what != "right"]


def recorded() -> dict[str, Any]:
    """The releases that were tried; the program ends where the file is damaged, before it computes for nothing."""
    try:
        text = RECORD.read_text(encoding="utf-8") if RECORD.exists() else "{}"
        held = json.loads(text, parse_constant=int)  # which refuses NaN
        if type(held) is not dict:
            raise ValueError("it holds no releases")
    except (ValueError, RecursionError) as error:
        sys.exit(f"error: {RECORD} is damaged ({error}); git checkout brings it back, or delete it")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", type=int, nargs="+", default=[1, 3], help="sides of the convolutions (1 3)")
    parser.add_argument("--quick", action="store_true", help="some of what is known to fail; writes nothing")
    options = parser.parse_args()
    quick = options.quick
    if not quick:
        recorded()
    began, tried, wrong = time.perf_counter(), 0, []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for count, cases in pool.map(try_shape, shapes(options.kernels, quick), itertools.repeat(quick)):
            tried += count
            wrong += cases
            for case in cases:
                print(json.dumps(case), flush=True)
    entry = {
        "kernels": options.kernels,
        "tried": tried,
        "seconds": round(time.perf_counter() - began),
        "date": datetime.date.today().isoformat(),
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "onednn": found[1] if (found := re.search(r"MKL-DNN v(\S+)", torch.__config__.show())) else None,
        "wrong": wrong,
    }
    print(f"PyTorch {torch.__version__}: {len(wrong)} of {tried} cases wrong")
    if not quick:
        beside = RECORD.with_suffix(".new")
        beside.write_text(json.dumps(recorded() | {torch.__version__.partition("+")[0]: entry}, indent=1))
        beside.replace(RECORD)


if __name__ == "__main__":
    main()

"""float32 is float32 and TF32 is said: what PyTorch is told on a GPU, and that it is put back. No GPU is needed."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import nn

from snslib import pgd
from snslib.inference import frozen
from snslib.precision import PRECISIONS, autocast, in_tf32

GPU, CPU = torch.device("cuda"), torch.device("cpu")
cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
NEWER = [cudnn.conv, cudnn.rnn, matmul] if hasattr(cudnn, "conv") else []
newer = pytest.mark.skipif(not NEWER, reason="this PyTorch has no fp32_precision")


def state() -> tuple[Any, ...]:
    """All that can be read; the older switches cannot where somebody has used the newer ones."""
    found: list[Any] = [switch.fp32_precision for switch in NEWER]
    reads: list[Callable[[], Any]] = [
        *(lambda: cudnn.allow_tf32, lambda: matmul.allow_tf32, torch.get_float32_matmul_precision)
    ]
    for read in reads:
        try:
            found.append(read())
        except RuntimeError:
            found.append("mixed")
    return tuple(found)


def allowed() -> tuple[bool, bool]:
    """Whether convolutions and matrix products may round, as PyTorch's kernels ask."""
    if NEWER:
        return cudnn.conv.fp32_precision == "tf32", matmul.fp32_precision == "tf32"
    return cudnn.allow_tf32, matmul.allow_tf32


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """PyTorch as it starts, whatever a test leaves."""
    yield
    torch.set_float32_matmul_precision("highest")
    matmul.allow_tf32, cudnn.allow_tf32 = False, True
    if NEWER:
        torch.backends.mkldnn.matmul.fp32_precision = matmul.fp32_precision = "none"


def as_it_starts() -> None:
    assert cudnn.allow_tf32


def all_off() -> None:
    cudnn.allow_tf32 = matmul.allow_tf32 = False


def all_on() -> None:
    cudnn.allow_tf32 = matmul.allow_tf32 = True


def medium() -> None:
    torch.set_float32_matmul_precision("medium")


def by_the_newer_switches() -> None:
    cudnn.conv.fp32_precision = "ieee"
    matmul.fp32_precision = "tf32"


SET = [as_it_starts, all_off, all_on, medium, pytest.param(by_the_newer_switches, marks=newer)]


@pytest.mark.parametrize("whatever_is_set", SET)
@pytest.mark.parametrize("may", [True, False])
def test_rounding_is_as_asked_while_it_lasts_and_then_as_it_was(may: bool, whatever_is_set: Callable[[], None]) -> None:
    whatever_is_set()
    before = state()
    with in_tf32(GPU, may):
        assert allowed() == (may, may)
        with in_tf32(GPU, not may):
            assert allowed() == (not may, not may)
        assert allowed() == (may, may)
    assert state() == before


def test_it_is_put_back_after_an_error() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), in_tf32(GPU):
        _ = 1 / 0
    assert state() == before


def test_elsewhere_nothing_is_touched() -> None:
    before = state()
    for precision in PRECISIONS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # this processor may have no bfloat16
            context = autocast(CPU, precision)
        with in_tf32(CPU, True), in_tf32(torch.device("mps"), True), frozen(nn.Linear(1, 1)), context:
            assert state() == before


def on_a_gpu(precision: str) -> AbstractContextManager[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*CUDA is not available")
        return autocast(GPU, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_tf32_allows_tf32_and_only_bfloat16_casts(precision: str) -> None:
    with on_a_gpu(precision):
        assert allowed() == (precision == "tf32",) * 2
        if torch.cuda.is_available():  # else PyTorch does not cast for a GPU
            assert torch.is_autocast_enabled("cuda") == (precision == "bfloat16")


def test_a_model_that_is_frozen_on_a_gpu_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the model's parameters tell: one says here that it is on a GPU."""
    monkeypatch.setattr("snslib.inference.torch.cuda.get_rng_state", lambda device: torch.zeros(1))
    monkeypatch.setattr("snslib.inference.torch.random.fork_rng", lambda devices: in_tf32(CPU))

    class OnGpu(nn.Parameter):
        is_cuda = True

    model = nn.Linear(2, 2)
    model.weight = OnGpu(model.weight.detach())
    with frozen(model):
        assert allowed() == (False, False)
    assert allowed() == (True, False)


def test_on_a_cpu_tf32_is_float32() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    x, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    assert torch.equal(pgd(model, x, y, precision="tf32"), pgd(model, x, y))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_convolution_has_the_precision_asked_for(precision: str) -> None:
    """Of 23 bits behind the point TF32 keeps 10; that a GPU of these years has it is taken for granted."""
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    conv, x = nn.Conv2d(64, 64, 3).to(GPU), torch.rand(8, 64, 16, 16, device=GPU)
    exact = conv.double()(x.double())
    with autocast(GPU, precision), torch.no_grad():
        found = conv.float()(x).double()
    error = ((found - exact).norm() / exact.norm()).item()
    assert (error > 1e-5) == (precision == "tf32")
    assert error < 2e-3

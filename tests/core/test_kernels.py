"""The operations against NumPy in float64 and by hand, and as PyTorch operators."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS
from torch import Tensor

from snslib import kernels
from snslib.kernels import cpu, reference


@pytest.fixture(autouse=True, scope="module", params=[cpu.BLOCK, 4], ids=["as it is", "small blocks"])
def block(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is no larger than a block takes another path on the CPU: every test sees both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "BLOCK", request.param)
        yield


# --- channel_l1 ---


def by_numpy(a: Tensor, b: Tensor) -> np.ndarray:
    difference = np.abs(a.double().numpy() - b.double().numpy())
    return np.array([difference[:, channel].sum() for channel in range(a.shape[1])])


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7)).flatmap(
        lambda nc: st.lists(st.integers(1, 5), max_size=3).map(lambda positions: (*nc, *positions))
    ),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_channel_l1_equals_numpy(shape: tuple[int, ...], dtype: torch.dtype, seed: int, data: st.DataObject) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    result = kernels.channel_l1(a, b)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert result.dtype == wide
    rtol = 1e-12 if wide == torch.float64 else 1e-5  # several hundred float32 additions of positive numbers
    np.testing.assert_allclose(result.numpy(), by_numpy(a, b), rtol=rtol)
    index = torch.tensor(data.draw(st.lists(st.integers(0, shape[1] - 1), min_size=1, max_size=9)))
    np.testing.assert_allclose(kernels.channel_l1(a, b, index).numpy(), by_numpy(a, b)[index.numpy()], rtol=rtol)


def test_channel_l1_takes_the_difference_before_the_sum() -> None:
    a = torch.tensor([[[1.0, -1.0]], [[-2.0, 2.0]]])  # (N=2, C=1, 2 positions): every sum is 0
    assert kernels.channel_l1(a, torch.zeros_like(a)).item() == 6


def test_channel_l1_accumulates_bfloat16_in_float32() -> None:
    """4,096 differences of 1: a sum in bfloat16, with its 8 bits, would stop at 256."""
    ones = torch.ones(16, 2, 16, 16, dtype=torch.bfloat16)
    assert torch.equal(kernels.channel_l1(ones, torch.zeros_like(ones)), torch.tensor([4096.0, 4096.0]))
    # and the difference itself: 1 - 2^-9 is no bfloat16 number
    small = torch.full((1, 1), 2.0**-9, dtype=torch.bfloat16)
    assert kernels.channel_l1(torch.ones_like(small), small).item() == 1 - 2**-9


@pytest.mark.parametrize("channel_l1", [kernels.channel_l1, reference.channel_l1])
@pytest.mark.parametrize("index", [None, [2, 0], [1, 1, 1], [2, 0, 1], []], ids=str)
def test_channel_l1_gradient(channel_l1: Callable[..., Tensor], index: list[int] | None) -> None:
    a, b = (torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    chosen = None if index is None else torch.tensor(index, dtype=torch.int64)
    assert torch.autograd.gradcheck(lambda a, b: channel_l1(a, b, chosen), (a, b))


def test_channel_l1_gradient_is_0_where_the_two_are_equal() -> None:
    a = torch.tensor([[1.0, 2.0, 0.0]], requires_grad=True)
    b = torch.tensor([[1.0, 5.0, -0.0]], requires_grad=True)
    kernels.channel_l1(a, b).sum().backward()
    assert torch.equal(a.grad, torch.tensor([[0.0, -1.0, 0.0]]))
    assert torch.equal(b.grad, torch.tensor([[0.0, 1.0, 0.0]]))


@pytest.mark.parametrize(("needs", "expected"), [(0, [[-10.0, 20.0]]), (1, [[10.0, -20.0]])])
def test_channel_l1_gradient_of_one_input_only(needs: int, expected: list[list[float]]) -> None:
    inputs = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]])]
    inputs[needs].requires_grad_()
    (kernels.channel_l1(*inputs) * torch.tensor([10.0, 20.0])).sum().backward()
    assert torch.equal(inputs[needs].grad, torch.tensor(expected))
    assert inputs[1 - needs].grad is None


def gradient_by_numpy(upstream: Tensor, a: Tensor, b: Tensor, index: list[int] | None) -> np.ndarray:
    gradient = np.sign(a.double().numpy() - b.double().numpy())
    weight = np.zeros(a.shape[1])
    for value, channel in zip(upstream.tolist(), range(a.shape[1]) if index is None else index, strict=True):
        weight[channel] += value
    return np.nan_to_num(gradient) * weight.reshape(1, -1, *[1] * (a.ndim - 2))


@pytest.mark.parametrize("layout_b", ["contiguous", "channels_last", "expanded"])
@pytest.mark.parametrize("layout_a", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channel_l1_of_any_layout(layout_a: str, layout_b: str, dtype: torch.dtype) -> None:
    a = LAYOUTS[layout_a](torch.randn(4, 6, 3, 5).to(dtype)).requires_grad_()
    b = LAYOUTS[layout_b](torch.randn(4, 6, 3, 5).to(dtype))
    for index in (None, [4, 1], [5, 0, 0, 3, 2, 5]):  # all, a few, most
        result = kernels.channel_l1(a, b, None if index is None else torch.tensor(index))
        wanted = by_numpy(a.detach(), b)
        np.testing.assert_allclose(result.detach().numpy(), wanted if index is None else wanted[index], rtol=1e-6)
        upstream = torch.randint(-8, 8, result.shape).float()  # their products and sums are exact in bfloat16
        (gradient,) = torch.autograd.grad(result, a, upstream)
        assert gradient.dtype == dtype
        assert gradient.stride() == torch.empty_like(a).stride()
        assert np.array_equal(gradient.double().numpy(), gradient_by_numpy(upstream, a.detach(), b, index))


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (0, 3), (2, 3, 0, 2), (2, 0, 2, 2)], ids=str)
def test_channel_l1_of_nothing_is_0(shape: tuple[int, ...]) -> None:
    a, b = torch.randn(shape, requires_grad=True), torch.randn(shape)
    result = kernels.channel_l1(a, b)
    assert torch.equal(result, torch.zeros(shape[1]))
    result.sum().backward()
    assert a.grad.shape == shape


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    ("index", "sums", "gradient"),
    [
        ([2], [7.0], [[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]),
        ([2, 0], [7.0, 3.0], [[1.0, 1.0], [0.0, 0.0], [1.0, -1.0]]),
        ([1], [torch.nan], [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),  # torch's sign of NaN is 0
    ],
)
def test_channel_l1_keeps_what_is_not_finite_to_its_channel(
    layout: str, index: list[int], sums: list[float], gradient: list[list[float]]
) -> None:
    a = LAYOUTS[layout](torch.tensor([[[[1.0, 2.0]], [[torch.nan, torch.inf]], [[3.0, -4.0]]]])).requires_grad_()
    result = kernels.channel_l1(a, torch.zeros(1, 3, 1, 2), torch.tensor(index))
    np.testing.assert_array_equal(result.detach().numpy(), sums)
    result.sum().backward()
    assert torch.equal(a.grad, torch.tensor(gradient).view(1, 3, 1, 2))


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_channel_l1_over_many_blocks(format: torch.memory_format) -> None:
    """More than the CPU's block, with a shorter block at the end, and sums of some 30,000 numbers."""
    a, b = (torch.randn(33, 32, 32, 31).contiguous(memory_format=format) for _ in range(2))
    assert a.numel() > 3 * cpu.BLOCK
    np.testing.assert_allclose(kernels.channel_l1(a, b).numpy(), by_numpy(a, b), rtol=1e-6)
    index = torch.tensor([31, 7])
    np.testing.assert_allclose(kernels.channel_l1(a, b, index).numpy(), by_numpy(a, b)[index.numpy()], rtol=1e-6)


def test_channel_l1_refuses_what_does_not_fit() -> None:
    a = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"b: expected the shape and type of a, \(2, 3\) and .*, got \(2, 4\)"):
        kernels.channel_l1(a, torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"b: .* got \(2, 3\) and torch.float64"):
        kernels.channel_l1(a, a.double())
    with pytest.raises(ValueError, match="a: expected floats"):
        kernels.channel_l1(a.int(), a.int())
    with pytest.raises(ValueError, match="a: expected floats"):
        kernels.channel_l1(a[0], a[0])
    with pytest.raises(ValueError, match="index: expected int64"):
        kernels.channel_l1(a, a, torch.tensor([True, False, True]))
    with pytest.raises((IndexError, RuntimeError)):
        kernels.channel_l1(a, a, torch.tensor([3]))


# --- sign_step ---


def images(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """x_adv up to 0.1 from x, a gradient with zeros, x."""
    x = torch.rand(4, 3, 3, 5)
    gradient = torch.randn(4, 3, 3, 5) * torch.randint(0, 2, (4, 3, 3, 5))
    return (x + 0.1 * torch.randn_like(x).clamp(-1, 1)).to(dtype), gradient.to(dtype), x.to(dtype)


@pytest.mark.parametrize(
    ("x", "x_adv", "gradient", "expected"),
    [
        (0.5, 0.5, 3.0, 0.6),  # a free step
        (0.5, 0.5, -1e-30, 0.4),  # its length does not depend on the gradient's
        (0.5, 0.65, 1.0, 0.7),  # stopped at x + eps
        (0.5, 0.35, -1.0, 0.3),  # stopped at x - eps
        (0.95, 0.95, 1.0, 1.0),  # stopped at 1
        (0.05, 0.05, -1.0, 0.0),  # stopped at 0
        (0.5, 0.55, 0.0, 0.55),  # no gradient, no step
        (0.5, 0.9, 0.0, 0.7),  # projected even so
    ],
)
def test_sign_step_by_hand(x: float, x_adv: float, gradient: float, expected: float) -> None:
    tensors = [torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (x_adv, gradient, x)]
    copies = [tensor.clone() for tensor in tensors]
    result = kernels.sign_step(*tensors, eps=0.2, step_size=0.1)
    assert result.item() == pytest.approx(expected, abs=1e-15)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sign_step_equals_numpy(layout: str, dtype: torch.dtype) -> None:
    x_adv, gradient, x = images(dtype)
    result = kernels.sign_step(LAYOUTS[layout](x_adv), gradient, x, eps=0.1, step_size=0.03)
    x_adv, gradient, x = (tensor.double().numpy() for tensor in (LAYOUTS[layout](x_adv), gradient, x))
    expected = np.clip(np.clip(x_adv + 0.03 * np.sign(gradient), x - 0.1, x + 0.1), 0, 1)
    np.testing.assert_allclose(result.double().numpy(), expected, rtol=torch.finfo(dtype).eps, atol=1e-7)
    assert result.dtype == dtype
    assert result.stride() == torch.empty_like(LAYOUTS[layout](images(dtype)[0])).stride()


def test_sign_step_passes_nan_on() -> None:
    number, nan = torch.tensor([0.5]), torch.tensor([torch.nan])
    assert kernels.sign_step(nan, number, number, 0.1, 0.1).isnan()
    assert kernels.sign_step(number, nan, number, 0.1, 0.1) == 0.5  # torch's sign of NaN is 0


def test_steps_refuse_what_does_not_fit() -> None:
    image, row = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="x: expected the shape and type of x_adv"):
        kernels.sign_step(image, image, image.double(), 0.1, 0.1)
    with pytest.raises(ValueError, match="accumulated: expected the shape and type of x_adv"):
        kernels.momentum_step(image, row, image, image, 0.1, 0.1, 1.0)
    with pytest.raises(ValueError, match="x_adv: expected"):
        kernels.momentum_step(row, row, row, row, 0.1, 0.1, 1.0)


# --- momentum_step ---


def direction_of(accumulated: Tensor, gradient: Tensor, decay: float) -> Tensor:
    return kernels.momentum_step(gradient, accumulated, gradient, gradient, 0.1, 0.1, decay)[1]


def test_momentum_by_hand() -> None:
    accumulated = torch.tensor([[1.0, -1.0], [0.0, 2.0]]).view(2, 1, 1, 2)
    gradient = torch.tensor([[3.0, 1.0], [-10.0, 30.0]]).view(2, 1, 1, 2)
    result = direction_of(accumulated, gradient, decay=0.5)
    expected = torch.tensor([[0.5 + 0.75, -0.5 + 0.25], [-0.25, 1.0 + 0.75]])  # each image by its own norm: 4 and 40
    torch.testing.assert_close(result.view(2, 2), expected)


def test_momentum_without_gradient_keeps_the_direction() -> None:
    accumulated = torch.tensor([1.0, -2.0]).view(1, 1, 1, 2)
    result = direction_of(accumulated, torch.zeros_like(accumulated), decay=1.0)
    assert torch.equal(result, accumulated)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_momentum_does_not_depend_on_the_gradients_scale(scale: float) -> None:
    gradient = torch.tensor([1.0, -3.0]).view(1, 1, 1, 2) * scale
    result = direction_of(torch.zeros_like(gradient), gradient, decay=1.0)
    torch.testing.assert_close(result.flatten(), torch.tensor([0.25, -0.75]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_momentum_step_equals_numpy(layout: str, dtype: torch.dtype) -> None:
    x_adv, gradient, x = images(dtype)
    accumulated = torch.randn(x.shape).to(dtype)
    x_adv = LAYOUTS[layout](x_adv)
    stepped, direction = kernels.momentum_step(x_adv, accumulated, gradient, x, eps=0.1, step_size=0.03, decay=0.7)
    assert stepped.dtype == direction.dtype == dtype
    assert stepped.stride() == direction.stride() == torch.empty_like(x_adv).stride()
    x_adv, accumulated, gradient, x = (tensor.double().numpy() for tensor in (x_adv, accumulated, gradient, x))
    norm = np.abs(gradient).sum(axis=(1, 2, 3), keepdims=True)
    expected = 0.7 * accumulated + gradient / norm
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(direction.double().numpy(), expected, rtol=4 * eps, atol=eps)
    expected = np.clip(np.clip(x_adv + 0.03 * np.sign(direction.double().numpy()), x - 0.1, x + 0.1), 0, 1)
    np.testing.assert_allclose(stepped.double().numpy(), expected, rtol=eps, atol=1e-7)


def test_momentum_step_leaves_its_arguments_alone() -> None:
    tensors = [torch.rand(2, 3, 4, 4) for _ in range(4)]
    copies = [tensor.clone() for tensor in tensors]
    kernels.momentum_step(*tensors, eps=0.2, step_size=0.1, decay=1.0)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))


# --- as PyTorch operators ---


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "every other channel", "expanded"])
@pytest.mark.parametrize("index", [None, [1], [2, 0, 2, 2]], ids=str)
def test_channel_l1_is_a_proper_operator(layout: str, index: list[int] | None) -> None:
    a, b = (LAYOUTS[layout](torch.randn(2, 4, 3, 3)) for _ in range(2))
    chosen = None if index is None else torch.tensor(index)
    upstream = torch.randn(4 if index is None else len(index))
    torch.library.opcheck(torch.ops.snslib.channel_l1.default, (a, b, chosen))
    torch.library.opcheck(torch.ops.snslib.channel_l1_backward.default, (upstream, a, b, chosen))
    a, b = a.detach().requires_grad_(), b.detach().requires_grad_()
    torch.library.opcheck(torch.ops.snslib.channel_l1.default, (a, b, chosen))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "every other channel", "expanded"])
def test_steps_are_proper_operators(layout: str) -> None:
    x_adv, gradient, x = images(torch.float32)
    x_adv = LAYOUTS[layout](x_adv)
    torch.library.opcheck(torch.ops.snslib.sign_step.default, (x_adv, gradient, x, 0.1, 0.03))
    torch.library.opcheck(torch.ops.snslib.momentum_step.default, (x_adv, gradient, gradient, x, 0.1, 0.03, 0.7))


def test_all_work_under_compile() -> None:
    def loss(a: Tensor, b: Tensor, index: Tensor) -> Tensor:
        return kernels.channel_l1(a.relu(), b.relu(), index).sum() + kernels.channel_l1(a, b).mean()

    def steps(x_adv: Tensor, gradient: Tensor, x: Tensor) -> Tensor:
        x_adv, direction = kernels.momentum_step(x_adv, gradient, gradient, x, 0.1, 0.03, 1.0)
        return kernels.sign_step(x_adv, direction, x, 0.1, 0.03)

    tensors = images(torch.float32)
    compiled = torch.compile(steps, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*tensors), steps(*tensors))

    compiled_loss = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for layout in ("contiguous", "channels_last"):
        a, b = (LAYOUTS[layout](torch.randn(2, 4, 3, 3)).requires_grad_() for _ in range(2))
        index = torch.tensor([3, 1, 1])
        values = [f(a, b, index) for f in (loss, compiled_loss)]
        gradients = [torch.autograd.grad(value, (a, b)) for value in values]
        assert torch.equal(*values)
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_works_without_triton() -> None:
    code = """
import sys
sys.modules["triton"] = None
import torch
from snslib import kernels
from snslib.kernels import operators, reference
assert operators._for_cuda() is reference
a = torch.ones(2, 3, 4, 4, requires_grad=True)
kernels.channel_l1(a, torch.zeros_like(a), torch.tensor([1])).sum().backward()
print(a.grad.sum((0, 2, 3)).tolist())
image = torch.full((1, 1, 1, 1), 0.5)
print(*(tensor.item() for tensor in kernels.momentum_step(image, image, image, image, 0.25, 0.125, 1.0)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[0.0, 32.0, 0.0]", "0.625 1.5"]

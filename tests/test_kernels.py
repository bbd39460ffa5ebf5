"""The operations against NumPy in float64 and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snslib import kernels

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


def test_channel_l1_gradient() -> None:
    a, b = (torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    index = torch.tensor([2, 0])
    assert torch.autograd.gradcheck(lambda a, b: kernels.channel_l1(a, b, index), (a, b))


def test_channel_l1_gradient_is_0_where_the_two_are_equal() -> None:
    a = torch.tensor([[1.0, 2.0, 0.0]], requires_grad=True)
    b = torch.tensor([[1.0, 5.0, -0.0]], requires_grad=True)
    kernels.channel_l1(a, b).sum().backward()
    assert torch.equal(a.grad, torch.tensor([[0.0, -1.0, 0.0]]))
    assert torch.equal(b.grad, torch.tensor([[0.0, 1.0, 0.0]]))


# --- sign_step ---


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


# --- momentum ---


def test_momentum_by_hand() -> None:
    accumulated = torch.tensor([[1.0, -1.0], [0.0, 2.0]]).view(2, 1, 1, 2)
    gradient = torch.tensor([[3.0, 1.0], [-10.0, 30.0]]).view(2, 1, 1, 2)
    result = kernels.momentum(accumulated, gradient, decay=0.5)
    expected = torch.tensor([[0.5 + 0.75, -0.5 + 0.25], [-0.25, 1.0 + 0.75]])  # each image by its own norm: 4 and 40
    torch.testing.assert_close(result.view(2, 2), expected)


def test_momentum_without_gradient_keeps_the_direction() -> None:
    accumulated = torch.tensor([1.0, -2.0]).view(1, 1, 1, 2)
    result = kernels.momentum(accumulated, torch.zeros_like(accumulated), decay=1.0)
    assert torch.equal(result, accumulated)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_momentum_does_not_depend_on_the_gradients_scale(scale: float) -> None:
    gradient = torch.tensor([1.0, -3.0]).view(1, 1, 1, 2) * scale
    result = kernels.momentum(torch.zeros_like(gradient), gradient, decay=1.0)
    torch.testing.assert_close(result.flatten(), torch.tensor([0.25, -0.75]))

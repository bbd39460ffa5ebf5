"""The Triton kernels against NumPy in float64: on a GPU where there is one, else in Triton's interpreter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed")

from snslib import kernels
from snslib.kernels import reference, triton_kernels

pytestmark = pytest.mark.gpu
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The last bit of a result. The interpreter cuts bfloat16 off where a GPU rounds.
ROUNDING = {torch.float64: 1e-15, torch.float32: 2**-23, torch.float16: 2**-10, torch.bfloat16: 2**-7}


def in_float64(x: Tensor) -> np.ndarray:
    return x.double().cpu().numpy()


def check_channel_l1(a: Tensor, b: Tensor, index: list[int] | None) -> None:
    """Both passes, against float64."""
    chosen = None if index is None else torch.tensor(index, dtype=torch.int64, device=DEVICE)
    channels = list(range(a.shape[1])) if index is None else index
    wide = torch.promote_types(a.dtype, torch.float32)
    difference = in_float64(a) - in_float64(b)
    rtol = 1e-13 if wide == torch.float64 else 1e-6

    result = triton_kernels.channel_l1(a, b, chosen)
    assert result.dtype == wide
    expected = np.abs(difference).sum(axis=(0, *range(2, a.ndim)))[channels]
    np.testing.assert_allclose(in_float64(result), expected, rtol=rtol, atol=rtol)

    upstream = torch.randn(len(channels), dtype=wide, device=DEVICE)
    gradient = triton_kernels.channel_l1_backward(upstream, a, b, chosen)
    assert gradient.dtype == a.dtype
    assert gradient.shape == a.shape
    weight = np.zeros(a.shape[1])
    np.add.at(weight, channels, in_float64(upstream))
    expected = np.sign(difference) * weight.reshape(1, -1, *[1] * (a.ndim - 2))
    atol = 1e-13 if wide == torch.float64 else 1e-5  # a repeated channel's upstream gradients can cancel
    np.testing.assert_allclose(in_float64(gradient), expected, rtol=2 * ROUNDING[a.dtype], atol=atol)
    assert not in_float64(gradient)[(difference == 0) | (expected == 0)].any()  # ties and other channels: exactly 0


def pair(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Random numbers, about one in ten of them the same in both."""
    a, b = torch.randn(shape, device=DEVICE), torch.randn(shape, device=DEVICE)
    return a.to(dtype), torch.where(torch.rand(shape, device=DEVICE) < 0.1, a, b).to(dtype)


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6)),
    dtype=st.sampled_from(list(ROUNDING)),
    layouts=st.lists(st.sampled_from(["contiguous", "channels_last"]), min_size=2, max_size=2),
    data=st.data(),
)
def test_channel_l1_of_any_shape(
    shape: tuple[int, ...], dtype: torch.dtype, layouts: list[str], data: st.DataObject
) -> None:
    index = data.draw(st.none() | st.lists(st.integers(0, shape[1] - 1), max_size=12))
    a, b = (LAYOUTS[layout](x) for layout, x in zip(layouts, pair(*shape, dtype=dtype), strict=True))
    check_channel_l1(a, b, index)


@pytest.mark.parametrize("layout_b", ["contiguous", "channels_last", "expanded"])
@pytest.mark.parametrize("layout_a", LAYOUTS)
def test_channel_l1_of_any_layout(layout_a: str, layout_b: str) -> None:
    a, b = pair(3, 6, 4, 5)
    for index in (None, [4, 1, 4]):
        check_channel_l1(LAYOUTS[layout_a](a), LAYOUTS[layout_b](b), index)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 200, 3, 3),  # more channels than a tile has
        (2, 3, 17, 19),  # a tile and a bit of positions
        (70, 300),  # more rows than a tile has, no positions
        (2, 3, 7),
        (2, 3, 2, 2, 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_channel_l1_of_several_tiles(shape: tuple[int, ...], channels_last: bool) -> None:
    a, b = pair(*shape)
    if channels_last:
        a, b = (x.movedim(1, -1).contiguous().movedim(-1, 1) for x in (a, b))
    check_channel_l1(a, b, None)
    check_channel_l1(a, b, [2, 0, 1, 2, 2] * 60)  # more of them than a tile of the backward pass sums at once


@pytest.mark.parametrize("channels_last", [False, True])
def test_channel_l1_where_a_program_has_several_steps(channels_last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_kernels, "PROGRAMS", 3)
    a, b = pair(7, 5, 18, 18)
    if channels_last:
        a, b = (x.contiguous(memory_format=torch.channels_last) for x in (a, b))
    check_channel_l1(a, b, None)
    check_channel_l1(a, b, [3, 3])


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_channel_l1_ignores_what_is_not_finite_in_other_channels(layout: str) -> None:
    a, b = pair(2, 3, 2, 2)
    a[:, 1], a[0, 1, 0, 0] = torch.nan, torch.inf
    a, b = LAYOUTS[layout](a), LAYOUTS[layout](b)
    index = torch.tensor([2, 0], device=DEVICE)
    result = triton_kernels.channel_l1(a, b, index)
    torch.testing.assert_close(result, reference.channel_l1(a[:, [2, 0]], b[:, [2, 0]]))
    gradient = triton_kernels.channel_l1_backward(result, a, b, index)
    assert gradient.isfinite().all()
    assert not gradient[:, 1].any()
    # a wanted channel's sum is NaN, its gradient 0 at the NaN and its sign at the infinity, as in the reference
    assert triton_kernels.channel_l1(a, b)[1].isnan()
    gradient = triton_kernels.channel_l1_backward(torch.ones(3, device=DEVICE), a, b)
    assert torch.equal(gradient, reference.channel_l1_backward(torch.ones(3, device=DEVICE), a, b))


def test_channel_l1_of_a_channel_that_is_not_there_is_nan() -> None:
    a, b = pair(2, 3, 2, 2)
    index = torch.tensor([1, 3, -1], device=DEVICE)
    result = triton_kernels.channel_l1(a, b, index)
    assert result.isnan().tolist() == [False, True, True]


def images(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_adv up to 0.1 from x, a direction, a gradient with zeros, x."""
    x = torch.rand(shape, device=DEVICE)
    x_adv = x + 0.1 * torch.randn_like(x).clamp(-1, 1)
    gradient = torch.randn_like(x) * torch.randint_like(x, 0, 2)
    return x_adv.to(dtype), torch.randn_like(x).to(dtype), gradient.to(dtype), x.to(dtype)


def check_stepped(result: Tensor, x_adv: Tensor, direction: Tensor, x: Tensor) -> None:
    before, sign, centre = in_float64(x_adv), np.sign(in_float64(direction)), in_float64(x)
    expected = np.clip(np.clip(before + 0.03 * sign, centre - 0.1, centre + 0.1), 0, 1)
    assert result.dtype == x.dtype
    np.testing.assert_allclose(in_float64(result), expected, rtol=ROUNDING[x.dtype], atol=1e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_steps_of_any_layout(layout: str, dtype: torch.dtype) -> None:
    x_adv, accumulated, gradient, x = images((3, 3, 4, 5), dtype)
    x_adv = LAYOUTS[layout](x_adv)
    check_stepped(triton_kernels.sign_step(x_adv, gradient, x, 0.1, 0.03), x_adv, gradient, x)
    result, direction = triton_kernels.momentum_step(x_adv, accumulated, gradient, x, 0.1, 0.03, 0.7)
    norm = np.abs(in_float64(gradient)).sum(axis=(1, 2, 3), keepdims=True)
    expected = 0.7 * in_float64(accumulated) + in_float64(gradient) / norm
    tolerance = 2 * ROUNDING[dtype]
    np.testing.assert_allclose(in_float64(direction), expected, rtol=tolerance, atol=tolerance)
    check_stepped(result, x_adv, direction, x)


@pytest.mark.parametrize("shape", [(2, 3, 41, 43), (1, 1, 1, 1), (0, 3, 4, 4)], ids=str)
def test_steps_of_several_blocks_and_of_nothing(shape: tuple[int, ...]) -> None:
    x_adv, accumulated, gradient, x = images(shape, torch.float32)
    check_stepped(triton_kernels.sign_step(x_adv, gradient, x, 0.1, 0.03), x_adv, gradient, x)
    result, direction = triton_kernels.momentum_step(x_adv, accumulated, gradient, x, 0.1, 0.03, 1.0)
    torch.testing.assert_close(direction, reference.momentum(accumulated, gradient, 1.0), rtol=1e-6, atol=1e-6)
    check_stepped(result, x_adv, direction, x)


def test_momentum_step_without_gradient_keeps_the_direction() -> None:
    x_adv, accumulated, gradient, x = images((2, 3, 4, 4), torch.float32)
    gradient[0] = 0
    direction = triton_kernels.momentum_step(x_adv, accumulated, gradient, x, 0.1, 0.03, 1.0)[1]
    assert torch.equal(direction[0], accumulated[0])
    assert direction.isfinite().all()


def test_steps_treat_nan_as_the_reference_does() -> None:
    tensors = images((2, 3, 4, 4), torch.float32)
    for tensor, at in zip(tensors, [(0, 0), (0, 1), (1, 2), (0, 2)], strict=True):
        tensor[at][0, 0] = torch.nan
    x_adv, _, gradient, x = tensors
    stepped = triton_kernels.sign_step(x_adv, gradient, x, 0.1, 0.03)
    torch.testing.assert_close(stepped, reference.sign_step(x_adv, gradient, x, 0.1, 0.03), equal_nan=True)
    for ours, defined in zip(
        triton_kernels.momentum_step(*tensors, 0.1, 0.03, 1.0),
        reference.momentum_step(*tensors, 0.1, 0.03, 1.0),
        strict=True,
    ):
        torch.testing.assert_close(ours, defined, equal_nan=True)


# --- what only a GPU can show ---

gpu = pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")


@gpu
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "every other channel"])
def test_are_proper_operators_on_the_gpu(layout: str) -> None:
    a, b = (LAYOUTS[layout](x).requires_grad_() for x in pair(2, 4, 3, 3))
    for index in (None, torch.tensor([2, 0, 2], device=DEVICE)):
        upstream = torch.randn(4 if index is None else 3, device=DEVICE)
        torch.library.opcheck(torch.ops.snslib.channel_l1.default, (a, b, index))
        backward = torch.ops.snslib.channel_l1_backward.default
        torch.library.opcheck(backward, (upstream, a.detach(), b.detach(), index))
    x_adv, accumulated, gradient, x = images((2, 3, 4, 4), torch.float32)
    x_adv = LAYOUTS[layout](x_adv)
    torch.library.opcheck(torch.ops.snslib.sign_step.default, (x_adv, gradient, x, 0.1, 0.03))
    torch.library.opcheck(torch.ops.snslib.momentum_step.default, (x_adv, accumulated, gradient, x, 0.1, 0.03, 1.0))


@gpu
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_is_deterministic_and_never_waits_for_the_gpu(layout: str) -> None:
    a, b = (LAYOUTS[layout](x).requires_grad_() for x in pair(64, 32, 24, 24))
    index = torch.tensor([3, 1, 3, 3, 30], device=DEVICE)
    upstream = torch.randn(5, device=DEVICE)
    image = torch.rand(64, 3, 24, 24, device=DEVICE)

    def everything() -> list[Tensor]:
        result = kernels.channel_l1(a, b, index)
        gradients = torch.autograd.grad(result, (a, b), upstream)
        steps = kernels.momentum_step(image, image, image, image, 0.1, 0.03, 1.0)
        return [kernels.channel_l1(a, b), result, *gradients, *steps, kernels.sign_step(image, image, image, 0.1, 0.03)]

    first = everything()  # compiles, which may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = everything()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@gpu
def test_channel_l1_beyond_32_bits() -> None:
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of GPU memory")
    a = torch.zeros(1, 3, 2**30, dtype=torch.bfloat16, device=DEVICE)  # channel 2 begins at element 2^31
    b = torch.zeros((), dtype=torch.bfloat16, device=DEVICE).expand_as(a)
    a[:, 2] = 1
    assert triton_kernels.channel_l1(a, b).tolist() == [0, 0, 2**30]
    gradient = triton_kernels.channel_l1_backward(torch.tensor([1.0, 1.0, 0.5], device=DEVICE), a, b)
    assert not gradient[:, :2].any()
    assert (gradient[:, 2] == 0.5).all()

"""The corruptions against closed forms, scipy, Pillow and slow references written here; what they promise callers."""

import io
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS
from PIL import Image
from torch import Tensor

from snslib.evaluation import corruptions
from snslib.evaluation.corruptions import CORRUPTIONS, Corruption, defocus_blur, fog, gaussian_noise, jpeg_compression

# Hendrycks & Dietterich (2019): github.com/hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py at ca36008.
PUBLISHED: dict[str, Any] = {
    "FOG": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    "NOISE_STD": [0.04, 0.06, 0.08, 0.09, 0.10],
    "JPEG_QUALITY": [80, 65, 58, 50, 40],
    "DEFOCUS": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
}
SEVERITIES = range(1, 6)
every_severity = pytest.mark.parametrize("severity", SEVERITIES)
every_corruption = pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
random_ones = pytest.mark.parametrize("corrupt", [fog, gaussian_noise])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(n: int, size: int = 32) -> Tensor:
    """Images with smooth areas as in photographs: a coarse random field, and a finer one on top."""
    coarse, fine = (F.interpolate(torch.rand(n, 3, s, s), (size, size), mode="bilinear") for s in (4, 16))
    return 0.7 * coarse + 0.3 * fine


def constant(value: float, n: int = 1, size: int = 32) -> Tensor:
    return torch.full((n, 3, size, size), float(value))


@pytest.mark.parametrize("name", PUBLISHED)
def test_strengths_are_the_published_ones(name: str) -> None:
    assert list(getattr(corruptions, name)) == PUBLISHED[name]


def test_the_registry_calls_the_functions() -> None:
    assert list(CORRUPTIONS) == ["fog", "gaussian_noise", "jpeg_compression", "defocus_blur"]
    x = scenes(2)
    for name, corrupt in CORRUPTIONS.items():
        function: Callable[..., Tensor] = getattr(corruptions, name)
        by_hand = function(x, 3, seeded()) if name in ("fog", "gaussian_noise") else function(x, 3)
        assert torch.equal(corrupt(x, 3, seeded()), by_hand)


# --- Gaussian noise ---


@every_severity
def test_noise_on_grey_is_normal_white_and_of_the_published_std(severity: int) -> None:
    std = PUBLISHED["NOISE_STD"][severity - 1]
    z = (gaussian_noise(constant(0.5, 40), severity, seeded(severity)) - 0.5).double() / std  # clipped beyond 5 std
    assert scipy.stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.01
    assert z.mean().item() == pytest.approx(0, abs=4 / z.numel() ** 0.5)
    assert z.std().item() == pytest.approx(1, abs=4 / (2 * z.numel()) ** 0.5)
    for shift, axis in ((1, 0), (1, 1), (1, 2), (1, 3)):  # other image, channel, row, column
        assert abs((z * z.roll(shift, axis)).mean().item()) < 4 / z.numel() ** 0.5


@every_severity
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_noise_on_black_and_white_is_clipped(severity: int, value: float) -> None:
    """The change is std * max(0, z): zero half of the time, mean std / sqrt(2 pi), second moment std^2 / 2."""
    std = PUBLISHED["NOISE_STD"][severity - 1]
    change = (gaussian_noise(constant(value, 40), severity, seeded()) - value).abs().double() / std
    assert change.count_nonzero().item() / change.numel() == pytest.approx(0.5, abs=0.01)
    assert change.mean().item() == pytest.approx((2 * np.pi) ** -0.5, abs=0.01)
    assert (change**2).mean().item() == pytest.approx(0.5, abs=0.02)


# --- JPEG ---


@every_severity
@pytest.mark.parametrize("size", [(32, 32), (13, 50), (1, 1)])
def test_jpeg_is_pillows_to_the_bit(severity: int, size: tuple[int, int]) -> None:
    """As CIFAR-10-C was made: saved with a quality and all else left to Pillow."""
    pixels = F.interpolate(scenes(4), size).mul(255).round().to(torch.uint8)
    expected = []
    for image in pixels.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=PUBLISHED["JPEG_QUALITY"][severity - 1])
        expected.append(np.array(Image.open(file)))
    result = jpeg_compression(pixels / 255, severity)
    assert torch.equal(result, torch.tensor(np.stack(expected)).permute(0, 3, 1, 2) / 255)


# ITU-T T.81, table K.1: luminance quantisation.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


@every_severity
def test_jpeg_of_grey_images_is_a_quantised_cosine_transform(severity: int) -> None:
    quality = PUBLISHED["JPEG_QUALITY"][severity - 1]
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality  # the Independent JPEG Group's meaning of quality
    steps = (LUMINANCE * scale + 50) // 100
    grey = scenes(8)[:, :1].mul(255).round()
    blocks = grey.reshape(8, 4, 8, 4, 8).numpy() - 128.0
    coefficients = np.round(scipy.fft.dctn(blocks, axes=(2, 4), norm="ortho") / steps[:, None]) * steps[:, None]
    expected = (scipy.fft.idctn(coefficients, axes=(2, 4), norm="ortho") + 128).round().clip(0, 255)
    result = jpeg_compression(grey.expand(-1, 3, -1, -1) / 255, severity) * 255
    difference = np.abs(result.numpy() - expected.reshape(8, 1, 32, 32))
    assert np.quantile(difference, 0.9) <= 1  # in few blocks a coefficient is rounded the other way
    assert difference.mean() < 0.25


def test_jpeg_keeps_colour_at_half_the_resolution() -> None:
    """Stripes of two colours that are equally bright: gone when a pixel wide, there when two pixels wide."""
    colours = torch.tensor([[0.8, 0.2, 0.3], [0.0, 0.5714, 0.4]])  # 0.299 R + 0.587 G + 0.114 B = 0.391 and 0.381
    for width, low, high in ((1, 0, 0.01), (2, 0.2, 0.4)):
        stripes = colours[torch.arange(32) // width % 2].T[None, :, None, :].expand(1, 3, 32, 32)
        before, after = (
            (x[..., width:] - x[..., :-width]).abs().mean().item() for x in (stripes, jpeg_compression(stripes, 1))
        )
        assert before > 0.4
        assert low <= after <= high


def test_jpeg_rounds_to_eight_bits_before() -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32))
    nudged = ((pixels + torch.empty(pixels.shape).uniform_(-0.49, 0.49)) / 255).clamp(0, 1)
    assert torch.equal(jpeg_compression(nudged, 2), jpeg_compression(pixels / 255, 2))


# --- defocus blur ---


def published_kernel(severity: int) -> np.ndarray:
    """On 17 x 17 as in CIFAR-10-C: a disk, blurred by a Gaussian that ends after one pixel."""
    radius, std = PUBLISHED["DEFOCUS"][severity - 1]
    y, x = np.mgrid[-8:9, -8:9]
    disk = np.hypot(x, y) <= radius
    return scipy.ndimage.gaussian_filter(disk / disk.sum(), std, radius=1)


@every_severity
@pytest.mark.parametrize("size", [(32, 32), (3, 20), (64, 5)])
def test_defocus_is_scipys_convolution(severity: int, size: tuple[int, int]) -> None:
    x = torch.rand(3, 3, *size, dtype=torch.float64)
    kernel = published_kernel(severity)[None, None]
    expected = scipy.ndimage.convolve(x.numpy(), kernel, mode="mirror")
    assert np.allclose(defocus_blur(x, severity), expected, rtol=0, atol=1e-12)
    assert np.allclose(defocus_blur(x.float(), severity), expected, rtol=0, atol=1e-6)


@every_severity
def test_defocus_spreads_a_point_and_keeps_its_light(severity: int) -> None:
    point = constant(0)
    point[:, :, 16, 16] = 1
    blurred = defocus_blur(point, severity)
    assert blurred.sum((2, 3)).numpy() == pytest.approx(1, abs=1e-6)
    around = blurred[0, 0, 14:19, 14:19]
    assert torch.equal(around, around.T)
    assert torch.equal(around, around.flip(0))


def test_defocus_disks_by_hand() -> None:
    """Radius 1.5: nine pixels alike. Radius 1: a cross of five pixels, a trace of which the Gaussian spreads."""
    point = constant(0)
    point[:, :, 16, 16] = 1
    square, cross = torch.zeros(2, 5, 5)
    square[1:4, 1:4] = 1 / 9
    cross[2, 1:4] = cross[1:4, 2] = 1 / 5
    assert torch.allclose(defocus_blur(point, 5)[0, 0, 14:19, 14:19], square)
    assert torch.allclose(defocus_blur(point, 4)[0, 0, 14:19, 14:19], cross, atol=1e-5)


@every_severity
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_defocus_leaves_constant_images(severity: int, value: float) -> None:
    assert torch.allclose(defocus_blur(constant(value), severity), constant(value), rtol=0, atol=1e-6)


# --- fog ---


def fractals(severity: int, seed: int = 0, n: int = 1, size: tuple[int, int] = (32, 32)) -> Tensor:
    """The fractals (N, H, W) behind the fog, read off white images: fog makes (1 + t m) / (1 + t) of them."""
    thickness = PUBLISHED["FOG"][severity - 1][0]
    foggy = fog(torch.ones(n, 3, *size, dtype=torch.float64), severity, seeded(seed))
    assert torch.equal(foggy[:, 0], foggy[:, 2])
    return (foggy[:, 0] * (1 + thickness) - 1) / thickness


def diamond_square(numbers: list[float], size: int, decay: float) -> np.ndarray:
    """Point by point, from uniform numbers in [-1, 1): centres, then midpoints of upper, then of left sides."""
    height, number, wibble, step = np.zeros((size, size)), iter(numbers), 100.0, size
    while step > 1:
        half = step // 2
        for top, left in ((half, half), (0, half), (half, 0)):
            diagonal, upright = product((-half, half), repeat=2), ((-half, 0), (half, 0), (0, -half), (0, half))
            around = list(diagonal if top and left else upright)
            for i in range(top, size, step):
                for j in range(left, size, step):
                    mean = sum(height[(i + a) % size, (j + b) % size] for a, b in around) / 4
                    height[i, j] = mean + wibble * (wibble * next(number))
        step, wibble = half, wibble / decay
    height -= height.min()
    return height / height.max()


@every_severity
@pytest.mark.parametrize(("size", "power"), [((32, 32), 32), ((17, 20), 32), ((64, 33), 64), ((1, 1), 2)])
def test_fog_is_diamond_square(severity: int, size: tuple[int, int], power: int) -> None:
    numbers = torch.rand(2, power**2 - 1, generator=seeded(severity)) * 2 - 1
    for fractal, row in zip(fractals(severity, severity, 2, size), numbers.tolist(), strict=True):
        expected = diamond_square(row, power, PUBLISHED["FOG"][severity - 1][1])
        assert np.allclose(fractal, expected[: size[0], : size[1]], rtol=0, atol=1e-5)


def test_fog_fractals_have_the_statistics_of_the_algorithm() -> None:
    """Against the slow reference with numpy's random numbers: mean, spread, difference to a pixel some way off."""
    random = np.random.default_rng(0)
    slow = np.stack([diamond_square(random.uniform(-1, 1, 1023).tolist(), 32, 2) for _ in range(150)])
    fast = fractals(4, n=1000).numpy()
    for distance in (1, 2, 4, 8, 16):
        differences = [np.abs(maps - np.roll(maps, distance, 2)).mean() for maps in (slow, fast)]
        assert differences[0] == pytest.approx(differences[1], rel=0.1)
    assert slow.mean() == pytest.approx(fast.mean(), abs=0.05)
    assert slow.std() == pytest.approx(fast.std(), rel=0.1)
    assert fast.min((1, 2)) == pytest.approx(0, abs=1e-6)
    assert fast.max((1, 2)) == pytest.approx(1, abs=1e-6)


def test_fog_is_rougher_where_the_noise_decays_less() -> None:
    roughness = [fractals(severity, n=200).diff(dim=2).abs().mean().item() for severity in (2, 3, 4, 5)]
    assert roughness == sorted(roughness)
    assert roughness[3] > 1.3 * roughness[0]


@every_severity
def test_fog_mixes_image_and_fractal(severity: int) -> None:
    x = scenes(3).double() * torch.tensor([0.2, 0.6, 1.0]).view(-1, 1, 1, 1)  # each with a maximum of its own
    thickness = PUBLISHED["FOG"][severity - 1][0]
    foggy = fog(x, severity, seeded())
    for image, fractal, result in zip(x, fractals(severity, n=3), foggy, strict=True):
        expected = (image + thickness * fractal) * image.max() / (image.max() + thickness)
        assert torch.allclose(result, expected, rtol=0, atol=1e-12)
        assert result.max() <= image.max() + 1e-12


def test_fog_leaves_black_images_and_brightens_dark_ones_with_severity() -> None:
    """Only dark ones: fog is scaled to the image's maximum, so that it darkens what is brighter than the fog."""
    assert not fog(constant(0), 5, seeded()).any()
    dark = 0.2 * scenes(200)
    dark[:, :, 0, 0] = 1
    brightness = [dark.mean()] + [fog(dark, severity, seeded()).mean() for severity in SEVERITIES]
    assert brightness == sorted(brightness)


# --- what all promise ---


@every_corruption
def test_severities_get_worse(corrupt: Corruption) -> None:
    x = scenes(200)
    change = [(corrupt(x, severity, seeded()) - x).abs().mean().item() for severity in SEVERITIES]
    assert change == sorted(change)
    assert change[4] > 1.2 * change[0] > 0


@settings(max_examples=40)
@given(
    st.sampled_from(list(CORRUPTIONS)),
    st.integers(1, 5),
    st.tuples(st.integers(1, 3), st.just(3), st.integers(3, 40), st.integers(3, 40)),
    st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    st.sampled_from(["contrast", "black", "white", "any"]),
    st.integers(0, 2**32),
)
def test_images_in_images_out(
    name: str, severity: int, shape: tuple[int, ...], dtype: torch.dtype, kind: str, seed: int
) -> None:
    x = torch.rand(shape, generator=seeded(seed)).to(dtype)
    x = {"contrast": x.round(), "black": x * 0, "white": x * 0 + 1, "any": x}[kind]
    before = x.clone()
    result = CORRUPTIONS[name](x.requires_grad_(), severity, seeded(seed))
    assert (result.shape, result.dtype, result.requires_grad) == (x.shape, dtype, False)
    assert ((result >= 0) & (result <= 1)).all()
    assert torch.equal(x, before)
    assert torch.equal(result, CORRUPTIONS[name](x, severity, seeded(seed)))


@random_ones
def test_a_seed_decides(corrupt: Corruption) -> None:
    x = constant(0.5, 2)
    state = torch.get_rng_state()
    assert torch.equal(corrupt(x, 3, seeded(1)), corrupt(x, 3, seeded(1)))
    assert not torch.equal(corrupt(x, 3, seeded(1)), corrupt(x, 3, seeded(2)))
    first, second = corrupt(x, 3, seeded(1))
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@every_corruption
@pytest.mark.parametrize("size", [32, 5])
def test_the_batch_size_does_not_matter(corrupt: Corruption, size: int) -> None:
    x = scenes(7, size)
    together, generator = corrupt(x, 4, seeded()), seeded()
    assert torch.equal(torch.cat([corrupt(part, 4, generator) for part in x.split(3)]), together)
    generator = seeded()
    assert torch.equal(torch.cat([corrupt(part, 4, generator) for part in x.split(1)]), together)


@every_corruption
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_memory_layout_does_not_matter(corrupt: Corruption, layout: Callable[[Tensor], Tensor]) -> None:
    x = layout(scenes(4))
    assert torch.equal(corrupt(x, 2, seeded()), corrupt(x.contiguous(), 2, seeded()))


@every_corruption
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_means_the_same_on_cuda(corrupt: Corruption) -> None:
    x = scenes(4)
    result = corrupt(x.cuda(), 4, seeded())
    assert result.is_cuda
    assert torch.allclose(result.cpu(), corrupt(x, 4, seeded()), rtol=0, atol=1e-6)


@every_corruption
@pytest.mark.parametrize(
    ("x", "severity", "message"),
    [
        (constant(1.5), 1, r"x: values must lie in \[0, 1\], got \[1.5, 1.5\]"),
        (constant(float("nan")), 1, "x: values must lie in .* without NaN"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), 1, "x: expected floats in .* data.to_float converts"),
        (constant(0)[0], 1, r"x: expected a non-empty float tensor \(N, C, H, W\)"),
        (constant(0)[:0], 1, "x: expected a non-empty float tensor"),
        (constant(0)[:, :1], 1, r"x: expected 3 channels, \(N, 3, H, W\), got \(1, 1, 32, 32\); expand"),
        (constant(0), 0, r"severity: expected an integer from 1 to 5, got 0"),
        (constant(0), 6, r"severity: expected an integer from 1 to 5, got 6"),
        (constant(0), -1, r"severity: expected an integer from 1 to 5, got -1"),
        (constant(0), 2.0, r"severity: expected an integer from 1 to 5, got 2\.0"),
        (constant(0), True, r"severity: expected an integer from 1 to 5, got True"),
    ],
)
def test_bad_arguments_are_refused(corrupt: Corruption, x: Tensor, severity: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(x, severity, seeded())


@random_ones
@pytest.mark.parametrize("generator", [None, 7])
def test_a_generator_is_needed(corrupt: Corruption, generator: Any) -> None:
    with pytest.raises(ValueError, match=rf"generator: expected torch.Generator.* on the CPU, got {generator}"):
        corrupt(constant(0), 1, generator)


def test_defocus_refuses_images_smaller_than_the_blur() -> None:
    with pytest.raises(ValueError, match="x: the blur reaches 2 pixels and needs larger images, got 32x2"):
        defocus_blur(constant(0)[..., :2], 5)
    assert defocus_blur(constant(0)[..., :2], 1).shape == (1, 3, 32, 2)


def test_as_an_attack_it_gives_batch_by_batch_what_it_gives_for_all() -> None:
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    attack = corruptions.as_attack("fog", 4, seed=3)
    parts = torch.cat([attack(torch.nn.Identity(), part, torch.zeros(len(part))) for part in x.split(2)])
    assert torch.equal(parts, corruptions.fog(x, 4, torch.Generator().manual_seed(3)))
    with pytest.raises(ValueError, match=r"^name: .*fog.*'mist'"):
        corruptions.as_attack("mist", 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fog-5", ("fog", 5)),
        ("gaussian_noise-1", ("gaussian_noise", 1)),
        ("mi_fgsm", ("mi_fgsm", None)),
        ("fog-x", ("fog", None)),
    ],
)
def test_a_name_has_a_severity_or_none(name: str, expected: tuple[str, int | None]) -> None:
    assert corruptions.name_and_severity(name) == expected

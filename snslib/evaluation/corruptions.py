"""The four corruptions of Fig. 7 and 10 at the five severities of CIFAR-10-C (Hendrycks & Dietterich 2019).

Each takes and returns float images (N, 3, H, W) in [0, 1], on any device; the result is detached. CIFAR-10-C is cut
down to 8 bits afterwards, which these are not: they are brighter by less than 1/255.

The severities are made for 32x32 and apply unchanged, in pixels, at every other size. For the 64x64 pixels of
Tiny ImageNet-C, Hendrycks & Dietterich chose stronger ones.

Random numbers are drawn on the CPU, image after image: a seed means the same on every device, and one generator over
successive batches gives what it gives for all images at once.
"""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from snslib import arguments
from snslib.attacks import Attack
from snslib.data import to_float

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]  # (x, severity, generator) to corrupted x

# Severities 1 to 5, from ImageNet-C/create_c/make_cifar_c.py in github.com/hendrycks/robustness at ca36008.
FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))  # thickness, decay of the plasma fractal
NOISE_STD = (0.04, 0.06, 0.08, 0.09, 0.10)
JPEG_QUALITY = (80, 65, 58, 50, 40)
DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))  # radius, std of the anti-aliasing, in pixels


@torch.no_grad()
def fog(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Add a plasma fractal, the same for all channels, and scale back to the image's own maximum.

    With m the fractal in [0, 1] and t its thickness, x becomes (x + t m) max(x) / (max(x) + t). The fractal is the
    corner of one whose side is the smallest power of two that covers the image.

    Args:
        x: float (N, 3, H, W) in [0, 1].
        severity: 1 to 5.
        generator: the source of the fractals, on the CPU.

    Returns:
        Corrupted images, same shape, type and device as x.

    Raises:
        ValueError: x not (N, 3, H, W), outside [0, 1] or with NaN, severity not 1..5, generator not one on the CPU.
    """
    x = _check(x, severity)
    _check_generator(generator)
    thickness, decay = FOG[severity - 1]
    n, _, height, width = x.shape
    levels = max(1, (max(height, width) - 1).bit_length())
    plasma = _plasma_fractals(n, levels, decay, generator)[:, None, :height, :width].to(x)
    highest = x.amax((1, 2, 3), keepdim=True)
    return ((x + thickness * plasma) * (highest / (highest + thickness))).clamp_(0, 1)


@torch.no_grad()
def gaussian_noise(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise, independent over pixels and channels, and clip to [0, 1].

    Arguments, result and errors as in :func:`fog`.
    """
    x = _check(x, severity)
    _check_generator(generator)
    size = x[0].numel()
    drawn = -(-size // 16) * 16  # torch draws normal numbers 16 at a time: whole sixteens make images independent
    noise = torch.randn(len(x), drawn, generator=generator, dtype=torch.float32, device="cpu")
    noise = noise[:, :size].reshape(x.shape)
    return (x + NOISE_STD[severity - 1] * noise.to(x)).clamp_(0, 1)


@torch.no_grad()
def jpeg_compression(x: Tensor, severity: int) -> Tensor:
    """Compress as JPEG (chroma at half resolution, 4:2:0) and decompress, by Pillow as in CIFAR-10-C.

    Values are rounded to 8 bits before; those of the result are multiples of 1/255. The codec runs on the CPU.

    Arguments, result and errors as in :func:`fog`.
    """
    x = _check(x, severity)
    decoded = []
    for image in (x.float() * 255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy():
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY[severity - 1], subsampling="4:2:0")
        decoded.append(np.asarray(Image.open(file)))
    return to_float(torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()).to(x)


@torch.no_grad()
def defocus_blur(x: Tensor, severity: int) -> Tensor:
    """Blur with an anti-aliased disk; beyond its border the image is mirrored, without the border pixel twice.

    A radius below 1 is a disk of one pixel: severities 1 to 3 are Gaussian blurs of 3x3 pixels.

    Arguments, result and errors as in :func:`fog`; H or W < 3 is an error too.
    """
    x = _check(x, severity)
    kernel = _defocus_kernel(*DEFOCUS[severity - 1])
    height, width = x.shape[2:]
    reach = len(kernel) // 2
    if min(height, width) <= reach:
        raise ValueError(f"x: the blur reaches {reach} pixels and needs larger images, got {height}x{width}")
    padded = F.pad(x, (reach, reach, reach, reach), mode="reflect")
    blurred = torch.zeros_like(x)
    # One shifted image per weight, and no convolution: that could compute in TF32 on a GPU.
    for top, row in enumerate(kernel.tolist()):
        for left, weight in enumerate(row):
            blurred.add_(padded[:, :, top : top + height, left : left + width], alpha=weight)
    return blurred.clamp_(0, 1)


# By name, in the order of Fig. 7 and 10, all called alike; the last two draw nothing from the generator.
CORRUPTIONS: dict[str, Corruption] = {
    "fog": fog,
    "gaussian_noise": gaussian_noise,
    "jpeg_compression": lambda x, severity, generator: jpeg_compression(x, severity),
    "defocus_blur": lambda x, severity, generator: defocus_blur(x, severity),
}
SEVERITIES = (1, 3, 5)  # at which sensitivity is measured
WEATHER = tuple(f"{name}-{severity}" for name in CORRUPTIONS for severity in SEVERITIES)


def name_and_severity(name: str) -> tuple[str, int | None]:
    """The parts of the name of what changes the images: "fog-5" as ("fog", 5), an attack such as "pgd" without one."""
    corruption, _, severity = name.partition("-")
    return corruption, int(severity) if severity.isdecimal() else None


def as_attack(name: str, severity: int, seed: int = 0) -> Attack:
    """A corruption in the place of an attack; it looks at neither model nor label, and goes on drawing at each call.

    Args:
        name: one of CORRUPTIONS.
        severity: 1 to 5.
        seed: decides fractals and noise, >= 0.

    Raises:
        ValueError: an unknown name, a severity or seed out of range.
    """
    arguments.one_of("name", name, CORRUPTIONS)
    _check_severity(severity)
    seed = arguments.seed("seed", seed)
    corrupt, generator = CORRUPTIONS[name], torch.Generator("cpu").manual_seed(seed)
    return lambda model, x, y: corrupt(x, severity, generator)


def _plasma_fractals(n: int, levels: int, decay: float, generator: torch.Generator) -> Tensor:
    """Height maps by the diamond-square algorithm, float32 (n, S, S) with S = 2^levels, each scaled onto [0, 1].

    From level to level the noise shrinks by the square of ``decay``: the published program multiplies by the
    amplitude twice, and CIFAR-10-C is what came of it. Maps continue at the opposite border.
    """
    noise = torch.rand(n, 4**levels - 1, generator=generator, dtype=torch.float32, device="cpu") * 2 - 1
    corners, used = torch.zeros(n, 1, 1, dtype=torch.float32, device="cpu"), 0
    for level in range(levels):
        size = 2**level
        drawn = noise[:, used : used + 3 * size**2].view(n, 3, size, size) / decay ** (2 * level)
        used += 3 * size**2
        right, below = corners.roll(-1, 2), corners.roll(-1, 1)
        centres = (corners + right + below + below.roll(-1, 2)) / 4 + drawn[:, 0]
        tops = (corners + right + centres + centres.roll(1, 1)) / 4 + drawn[:, 1]
        lefts = (corners + below + centres + centres.roll(1, 2)) / 4 + drawn[:, 2]
        corners = F.pixel_shuffle(torch.stack([corners, tops, lefts, centres], 1), 2).squeeze(1)
    heights = corners.flatten(1)
    lowest, highest = heights.aminmax(dim=1, keepdim=True)
    return ((heights - lowest) / (highest - lowest)).view_as(corners)


def _defocus_kernel(radius: float, std: float) -> Tensor:
    """A disk of a radius in pixels, blurred by 3x3 pixels of a Gaussian; float64, odd and square, its sum is 1."""
    reach = int(radius) + 1
    squares = torch.arange(-reach, reach + 1, dtype=torch.float64, device="cpu") ** 2
    disk = (squares[:, None] + squares <= radius**2).double()
    side = torch.exp(torch.tensor([-1.0, 0.0, -1.0], dtype=torch.float64, device="cpu") / (2 * std**2))
    gaussian = torch.outer(side, side)
    return F.conv2d((disk / disk.sum())[None, None], (gaussian / gaussian.sum())[None, None], padding=1)[0, 0]


def _check(x: Tensor, severity: int) -> Tensor:
    x = arguments.images("x", x)
    if x.shape[1] != 3:
        raise ValueError(f"x: expected 3 channels, (N, 3, H, W), got {tuple(x.shape)}; expand() repeats a grey one")
    _check_severity(severity)
    return x


def _check_severity(severity: int) -> None:
    arguments.number("severity", severity, 1, 5, whole=True)


def _check_generator(generator: torch.Generator) -> None:
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        came = f"one on {generator.device}" if isinstance(generator, torch.Generator) else repr(generator)
        raise ValueError(f"generator: expected torch.Generator().manual_seed(seed), on the CPU, got {came}")

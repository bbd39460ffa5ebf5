"""How often adversarial images are misread, and how often they are read as the class that an attack aims at."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from snslib import arguments
from snslib.overlap import listed


@dataclass(frozen=True)
class Misreadings:
    """What an attack did to some images.

    Args:
        images: how many there are.
        largest_change: of any pixel, in [0, 1].
        misread: the fraction of the images that are not read as their true class.
        at_target: the fraction that is read as the target class, whether the attack aims at it or not.
    """

    images: int
    largest_change: float
    misread: float
    at_target: float


def misreadings(
    x: Tensor, y: Tensor, target: Tensor, adversarial: Mapping[str, Tensor], logits: Mapping[str, Tensor]
) -> dict[str, Misreadings]:
    """The misreadings under each of several attacks.

    Args:
        x: clean images, float (N, 3, H, W) in [0, 1].
        y: their classes, int64 (N,).
        target: the class that a targeted attack aims at, int64 (N,).
        adversarial: attack to x', of the shape of x.
        logits: attack to the model's logits for x', (N, K), each class in 0..K-1.

    Raises:
        ValueError: images that are out of range or of other shapes, classes or logits that do not fit them, attacks
            without logits.
    """
    x = arguments.images("x", x)
    y, target = (arguments.labels(name, classes, len(x)) for name, classes in (("y", y), ("target", target)))
    highest = max(arguments.highest_class("y", y), arguments.highest_class("target", target))
    for name, value in (("adversarial", adversarial), ("logits", logits)):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected a dictionary by attack, got {arguments.shown(value)}")
    found = {}
    for attack, images in adversarial.items():
        if attack not in logits:
            raise ValueError(f"logits: expected those of {attack!r}, got those of {', '.join(logits) or 'none'}")
        images = arguments.adversarial(f"adversarial ({attack})", images, x)
        _check_logits(f"logits ({attack})", logits[attack], len(x), highest)
        read = logits[attack].argmax(1)
        misread, at_target = (hits.double().mean().item() for hits in (read != y, read == target))
        found[attack] = Misreadings(len(x), (images - x).abs().max().item(), misread, at_target)
    return found


def two_read_right(logits: Tensor, y: Tensor) -> list[int]:
    """Places of two images, of different classes where possible, that a model reads correctly: to show attacks on.

    Args:
        logits: the model's, (N, K).
        y: the true classes, int64 (N,).

    Returns:
        The first image that is right and the first right one of another class. Where there is no other class, the last
        right one stands for it; where none is right, the first image for both.

    Raises:
        ValueError: logits that are not finite, or that do not fit the classes.
    """
    listed("y", y, "classes")
    y = arguments.labels("y", y, len(y))
    _check_logits("logits", logits, len(y), arguments.highest_class("y", y))
    right = (logits.argmax(1) == y).nonzero().flatten().tolist() or [0]
    return [right[0], next((place for place in right if y[place] != y[right[0]]), right[-1])]


def _check_logits(name: str, logits: Tensor, n: int, highest: int) -> None:
    arguments.classes(name, highest, logits)
    arguments.floats(name, logits, "(N, K)")
    if len(logits) != n or not logits.isfinite().all():
        raise ValueError(f"{name}: expected finite ones of {n} images, got {arguments.described(logits)}")

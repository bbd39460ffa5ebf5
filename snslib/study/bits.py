"""Which images of a split are right, as a record has it: a bit for each, 1 where it is, as hexadecimal digits."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def as_hex(right: Tensor) -> str:
    """Two digits for every eight images, the last of them filled with zeros.

    Args:
        right: bool (N,), in the order of the split.
    """
    return np.packbits(right.cpu().numpy()).tobytes().hex()


def from_hex(digits: str, n: int) -> NDArray[np.bool_]:
    """Which images are right, bool (n,), as :func:`as_hex` was given them.

    Args:
        digits: what it returned.
        n: the number of images.

    Raises:
        ValueError: so many digits are not of n images, or one of them is none.
    """
    if len(digits) != 2 * -(-n // 8):
        raise ValueError(f"digits: {len(digits)} are not of {n} images, of which every eight have two")
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=n).astype(bool)

"""Rules for a robust network, and for a loss that peaks before the end of a step of FGSM."""

from collections.abc import Sequence

from snslib.claims.statistics import interval

ROBUST = 0.05  # a robust network keeps more accuracy than this
PEAK = 1.02  # a peak is more than this times the loss at the end


def is_robust(lowest: float, n: int) -> bool:
    """Rule for a robust network: the 95% interval of its lowest accuracy under any attack lies above 5%.

    Args:
        lowest: that accuracy, in [0, 1].
        n: the number of images.
    """
    return interval(lowest, n)[0] > ROBUST


def peak(losses: Sequence[float]) -> int | None:
    """Rule for a peak of the loss before the end: the highest loss is more than 2% above that at the end.

    Args:
        losses: at offsets that grow along the gradient's signs, the last one eps away.

    Returns:
        The place of the highest loss, or None where the end is as high to within 2%.
    """
    highest = max(range(len(losses)), key=losses.__getitem__)
    return highest if losses[highest] > PEAK * losses[-1] else None

"""Readings of Table 1: which training could have given the paper's numbers, and what the sensitive neurons add."""

from collections.abc import Mapping

from snslib.claims import paper
from snslib.claims.numbers.accuracies import Gain

COLUMNS = {"clean": "clean", "PGD": "pgd"}  # of a gain that are compared, to the same in the paper's table


def paper_gain() -> dict[str, float]:
    """How many points more than PAT the paper's SNS has in Table 1: column of COLUMNS to difference."""
    sns, pat = (paper.table1()[row] for row in ("sns_sen_adv", "pat"))
    return {name: sns[column] - pat[column] for name, column in COLUMNS.items()}


def differs_like_paper(gain: Mapping[str, Gain | None]) -> bool:
    """Whether a training can give differences like the paper's.

    The rule: with the SNS loss it is more accurate than without, or less accurate, wherever the paper's SNS is so
    against PAT, on clean images and under PGD. It asks for the sign of the mean difference alone, not for its size,
    and not that its interval excludes 0.

    Args:
        gain: of the row over its control, as :func:`snslib.claims.numbers.accuracies.gain_over` returns it.

    Returns:
        False also where a column was not run.
    """
    return all((ours := gain[column]) is not None and ours[0] * printed > 0 for column, printed in paper_gain().items())


def does_not_need_the_sensitive(random: Mapping[str, Gain | None], sensitive: Mapping[str, Gain | None]) -> bool:
    """Whether most of what the SNS loss adds does not need the sensitive neurons.

    The rule: on clean images and under PGD the loss adds something on the sensitive neurons, and on as many random
    ones more than half of that. It asks for the mean differences alone, not for their intervals.

    Args:
        random, sensitive: gains over the same control, as :func:`snslib.claims.numbers.accuracies.gain_over` returns
            them.

    Returns:
        False also where a column was not run.
    """
    return all(
        (a := random[column]) is not None and (b := sensitive[column]) is not None and 2 * a[0] > b[0] > 0
        for column in COLUMNS
    )

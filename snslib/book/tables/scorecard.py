"""Tables of the scorecard: the claims, those about other networks, and the criteria."""

from collections.abc import Sequence

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import MODEL_NAMES
from snslib.claims.claims import Claim
from snslib.claims.criteria.outcome import Outcome
from snslib.study import results


def claims_decided(card: Sequence[tuple[Claim, Outcome]]) -> Markdown:
    """Each claim with its verdict, the paper's numbers and ours.

    Args:
        card: as :func:`snslib.claims.claims.scorecard` returns it.
    """
    rows = [
        [_number(claim), claim.statement, f"**{found.verdict}**", claim.place, claim.printed(), found.measured]
        for claim, found in card
    ]
    return markdown_table(
        ["", "claim", "verdict", "where", "paper", "ours"],
        rows,
        "What the paper claims, its numbers, ours, and whether they agree by the criterion below. A number leads to "
        "the chapter about the claim. *Ahead* and *behind* count comparisons of accuracy beyond their 95% interval, "
        "one per attack and rival.",
        "tbl-scorecard",
        "rlllll",
    )


def claims_elsewhere(card: Sequence[tuple[Claim, str, Outcome]]) -> Markdown:
    """The claims about other networks with their verdicts and our numbers.

    Args:
        card: as :func:`snslib.claims.claims.elsewhere` returns it.
    """
    rows = [
        [_number(claim), claim.statement, _network(folder), f"**{found.verdict}**", found.measured]
        for claim, folder, found in card
    ]
    return markdown_table(
        ["", "claim", "network", "verdict", "ours"],
        rows,
        "What the paper claims of other networks too, and what is recorded of them.",
        "tbl-elsewhere",
        "rllll",
    )


def criteria(card: Sequence[tuple[Claim, Outcome]]) -> Markdown:
    """What decides each claim.

    Args:
        card: as :func:`snslib.claims.claims.scorecard` returns it.
    """
    rows = [[str(claim.number), claim.criterion] for claim, _ in card]
    return markdown_table(["", "criterion"], rows, "What decides.", "tbl-criteria", "rl")


def _number(claim: Claim) -> str:
    return f"[{claim.number}]({claim.chapter}.ipynb)"


def _network(folder: str) -> str:
    return f"{MODEL_NAMES[results.model_of(folder)]}, {folder.partition('/')[0]}"

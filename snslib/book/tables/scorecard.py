"""Tables of the scorecard: the claims, and those about other networks."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.book import labels
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import MODEL_NAMES, plain
from snslib.claims.claims import Claim
from snslib.claims.criteria.outcome import Outcome
from snslib.study import results

Card = Sequence[tuple[Claim, Outcome]]


def claims_decided(card: Card, others: Mapping[str, Card] | None = None) -> Markdown:
    """Each claim in a line, with its verdict and the first of the paper's numbers and of ours; all of them, and the
    criterion, unfold below the claim.

    Args:
        card: as :func:`snslib.claims.claims.scorecard` returns it.
        others: columns with the verdicts of other networks on the claims about VGG-16: title to another such card.
    """
    rows, columns = [], others or {}
    for place, (claim, found) in enumerate(card):
        printed = claim.printed()
        parts = {"Where": claim.place, "Paper": printed, "Ours": _ours(found), "Criterion": claim.criterion}
        claimed = _unfolding(claim.statement, parts)
        beside = ["" if claim.alexnet else other[place][1].verdict for other in columns.values()]
        rows.append([_number(claim), claimed, f"**{found.verdict}**", *beside, _first(printed), _first(_ours(found))])
    return markdown_table(
        ["", "claim", "verdict", *columns, "paper", "ours"],
        rows,
        "What the paper claims, its first number and ours, and whether they agree. Below a claim unfold where it is "
        "made, all numbers, and the criterion that decides. A number leads to the chapter about the claim. *Ahead* and "
        "*behind* count comparisons of accuracy, one per attack and rival, that chance does not explain.",
        "tbl-scorecard",
        "rllll" + "l" * len(columns),
    )


def claims_by_reading(card: Sequence[tuple[Claim, Mapping[str, Outcome]]]) -> Markdown:
    """The verdicts on the claims about SNS by reading of Algorithm 1, and their first numbers.

    Args:
        card: as :func:`snslib.claims.readings.by_reading` returns it.
    """

    def decided(outcome: Outcome) -> str:
        return "not run" if outcome.verdict == "not run" else f"**{outcome.verdict}**: {_first(outcome.measured)}"

    rows = [[_number(claim), claim.statement, *map(decided, found.values())] for claim, found in card]
    return markdown_table(
        ["", "claim", *card[0][1]],
        rows,
        "The claims about SNS, decided by the same criteria for each reading of Algorithm 1.",
        "tbl-readings",
        "rl" + "l" * len(card[0][1]),
    )


def claims_elsewhere(card: Sequence[tuple[Claim, str, Outcome]]) -> Markdown:
    """The claims about other networks with their verdicts and our numbers, which unfold as those of the scorecard.

    Args:
        card: as :func:`snslib.claims.claims.elsewhere` returns it.
    """
    rows = [
        [
            _number(claim),
            _unfolding(claim.statement, {"Ours": _ours(found), "Criterion": claim.criterion}),
            _network(folder),
            f"**{found.verdict}**",
            _first(_ours(found)),
        ]
        for claim, folder, found in card
    ]
    return markdown_table(
        ["", "claim", "network", "verdict", "ours"],
        rows,
        "What the paper claims of other networks too, and what is recorded of them.",
        "tbl-elsewhere",
        "rllll",
    )


def _unfolding(line: str, parts: Mapping[str, str]) -> str:
    """A line, and below it, folded, what there is to say more, as it may stand in a cell of a table."""
    below = "".join(f"<br>**{name}**: {text}" for name, text in parts.items() if text)
    return f"{line}<details><summary>evidence and criterion</summary>{below.removeprefix('<br>')}</details>"


def _ours(found: Outcome) -> str:
    """Our numbers, or why there are none, which may quote a file."""
    return plain(found.measured) if found.verdict == "not run" else found.measured


def _first(numbers: str) -> str:
    """The first of several clauses; an ellipsis stands for the others."""
    first, *others = numbers.split("; ")
    return f"{first} …" if others else first


def _number(claim: Claim) -> str:
    return f"[{claim.number}]({labels.section(claim.chapter)})"


def _network(folder: str) -> str:
    return f"{MODEL_NAMES[results.model_of(folder)]}, {folder.partition('/')[0]}"

"""What the scorecard found: how many claims have which verdict, and from which records."""

from collections.abc import Iterable, Sequence

from IPython.display import Markdown

from snslib.book.text import plain
from snslib.claims import claims
from snslib.claims.claims import Claim
from snslib.claims.criteria.outcome import Outcome


def verdict_counts(card: Sequence[tuple[Claim, Outcome]]) -> Markdown:
    """How many claims have each verdict, and where their numbers come from.

    Args:
        card: as :func:`snslib.claims.claims.scorecard` returns it.
    """
    verdicts = [found.verdict for _, found in card]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in claims.VERDICTS)
    return Markdown(f"Of {len(card)} claims: {counts}.\n\n{_sources(found for _, found in card)}")


def sources_elsewhere(card: Sequence[tuple[Claim, str, Outcome]]) -> Markdown:
    """Where the numbers about other networks come from.

    Args:
        card: as :func:`snslib.claims.claims.elsewhere` returns it.
    """
    return Markdown(_sources(found for _, _, found in card))


def paper_verdicts() -> Markdown:
    """What the criteria for Tables 1 and 2 decide on the paper's own numbers."""
    numbers: dict[str, list[str]] = {verdict: [] for verdict in claims.VERDICTS}
    for number in sorted(claims.TABLES):
        numbers[claims.of_paper(number).verdict].append(str(number))
    parts = (
        f"{verdict} for claim{'s' if len(found) > 1 else ''} {', '.join(found)}"
        for verdict, found in numbers.items()
        if found
    )
    return Markdown(f"By the same criteria, the paper's own tables give: {'; '.join(parts)}.")


def _sources(outcomes: Iterable[Outcome]) -> str:
    return "\n\n".join(f"*{plain(line)}*" for line in claims.provenance(list(outcomes)).splitlines())

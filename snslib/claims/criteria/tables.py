"""Claims 9 to 13 and 15 to 17: accuracies of rows against each other (Tables 1-2, Fig. 3b), and what they cost."""

from collections.abc import Callable, Sequence
from statistics import fmean

from snslib.attacks import ATTACKS
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.criteria.robust import is_robust
from snslib.claims.records import NotRunError, PublishedRecords
from snslib.claims.statistics import Accuracies, Comparison, compare, scale, sign
from snslib.study.rows import ROWS


def _always_ahead(count: Comparison) -> str:
    if count.ahead == count.behind == 0:
        return "undecidable"
    if count.behind == 0 and 2 * count.ahead > count.of:
        return "reproduced"
    return "partly" if count.ahead > count.behind else "not reproduced"


def _under_pgd(table: Accuracies, *rows: str, column: str = "pgd") -> str:
    first, *others = (f"{ROWS[row].label} {table[row][column]}" for row in rows)
    return f"{ATTACKS.get(column, column)} {first} against {', '.join(others)}"


def beats(row: str, *rivals: str, table: Accuracies) -> Outcome:
    """Claims 10 and 11."""
    count = compare(table, row, rivals)
    return Outcome(_always_ahead(count), f"{count}; {count.scale}; {_under_pgd(table, row, *rivals)}")


def beats_pat_and_alp(row: str, table: Accuracies) -> Outcome:
    """Claim 12."""
    rivals = ("pat", "alp")
    count, clean = compare(table, row, rivals), compare(table, row, rivals, ["clean"])
    verdict = _always_ahead(count)
    if verdict == "reproduced" and clean.ahead < clean.of:
        verdict = "partly"
    measured = f"{count}; {count.scale}; clean {clean}; {_under_pgd(table, row, *rivals)}"
    return Outcome(verdict, f"{measured}; {_under_pgd(table, row, *rivals, column='clean')}")


def alp_below_pat(table: Accuracies) -> Outcome:
    """Claim 13."""
    count = compare(table, "alp", ["pat"])
    verdict = "undecidable" if count.ahead == count.behind == 0 else "not reproduced"
    if count.behind > 0 and count.behind >= count.ahead:
        verdict = "reproduced" if count.behind > count.ahead else "partly"
    below = sum(table["alp"][column].mean < table["pat"][column].mean for column in ATTACKS)
    ahead = f"ALP {count}; {count.scale}; lower in {below} whatever the interval"
    return Outcome(verdict, f"{ahead}; {_under_pgd(table, 'alp', 'pat')}")


def more_accurate(row: str, table: Accuracies) -> Outcome:
    """Claim 17."""
    clean = compare(table, row, ["vanilla"], ["clean"])
    verdict = "reproduced" if clean.ahead else "not reproduced" if clean.behind else "undecidable"
    return Outcome(verdict, f"{_under_pgd(table, row, 'vanilla', column='clean')}; {clean}; {clean.scale}")


def same_order(table: Accuracies) -> Outcome:
    """Claim 16."""
    adv = compare(table, "sns_sen_adv", ["nat", "eat", "pat"])
    cls = compare(table, "sns_sen_cls", ["nat", "eat"])
    verdicts = [_always_ahead(adv), _always_ahead(cls)]
    verdict = verdicts[0] if verdicts[0] != "reproduced" or verdicts[1] == "reproduced" else "partly"
    if not is_robust(table["pat"]["pgd"].mean, table["pat"]["pgd"].n):
        verdict = "undecidable"
    texts = (f"{ROWS[row].label} {count} {count.scale}" for row, count in (("sns_sen_adv", adv), ("sns_sen_cls", cls)))
    return Outcome(verdict, f"{'; '.join(texts)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")


def from_table(criterion: Callable[..., Outcome], rows: Sequence[str]) -> Callable[[PublishedRecords], Outcome]:
    """A criterion for a table as one for the published rows, which says beside it what a stronger attack leaves.

    Args:
        criterion: takes the accuracies as ``table``.
        rows: those that it needs.
    """

    def of_records(published: PublishedRecords) -> Outcome:
        outcome = criterion(table=published.accuracies(*rows))
        return Outcome(outcome.verdict, outcome.measured + published.strong(*rows))

    return of_records


def best_layers(published: PublishedRecords) -> Outcome:
    """Claim 9."""
    conv8, *others = ("fig3b_conv8", "fig3b_conv1", "fig3b_conv4", "fig3b_conv11", "fig3b_fc")
    table = published.accuracies(conv8, *others)
    count = compare(table, conv8, others)
    best = []
    for attack, label in ATTACKS.items():
        row = max(table, key=lambda row, a=attack: table[row][a].mean)  # type: ignore[misc]
        best.append(f"{label} {row.removeprefix('fig3b_')} {table[row][attack]} (conv8 {table[conv8][attack]})")
    return Outcome(_always_ahead(count), f"conv8 {count}; {count.scale}; best from: {', '.join(best)}")


def cheaper(published: PublishedRecords) -> Outcome:
    """Claim 15."""
    rows = ("sns_sen_adv", "pat", "vanilla")
    states = {row: published.states(row) for row in rows}
    if len({state["device"] for of_row in states.values() for state in of_row}) > 1:
        raise NotRunError("the models were trained on different devices")
    table = published.accuracies("sns_sen_adv", "pat")
    epochs = {row: fmean(len(state["history"]) for state in of_row) for row, of_row in states.items()}
    minutes = {
        row: fmean(sum(epoch["seconds"] for epoch in state["history"]) for state in of_row) / 60
        for row, of_row in states.items()
    }
    alone = epochs["sns_sen_adv"] < epochs["pat"] and minutes["sns_sen_adv"] < minutes["pat"]
    from_nothing = minutes["sns_sen_adv"] + minutes["vanilla"] < minutes["pat"]
    under_pgd = table["sns_sen_adv"]["pgd"], table["pat"]["pgd"]
    verdict = "reproduced" if alone and from_nothing else "partly" if alone else "not reproduced"
    if sign(*under_pgd) < 0:
        verdict = "undecidable"
    cost = (f"{ROWS[row].label} {epochs[row]:g} epochs, {minutes[row]:.0f} min" for row in rows)
    measured = f"{_under_pgd(table, 'sns_sen_adv', 'pat')} {scale([under_pgd])}"
    return Outcome(verdict, f"{'; '.join(cost)}; {measured}")

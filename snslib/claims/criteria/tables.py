"""Claims 9 to 13, 15 and 16: accuracies of rows against each other (Tables 1-2, Fig. 3b), and what they cost."""

from collections.abc import Callable, Sequence
from statistics import fmean

from snslib.attacks import ATTACKS
from snslib.claims.criteria.finding import Finding
from snslib.claims.records import Evidence, NotRunError, share_of
from snslib.claims.statistics import Accuracies, Tally, sign, tally
from snslib.study.defenses import LABELS


def _always_ahead(count: Tally) -> str:
    if count.behind == 0 and 2 * count.ahead > count.of:
        return "reproduced"
    return "partly" if count.ahead > count.behind else "not reproduced"


def _under_pgd(table: Accuracies, *rows: str, column: str = "pgd") -> str:
    first, *others = (f"{LABELS[row]} {table[row][column]}" for row in rows)
    return f"{ATTACKS.get(column, column)} {first} against {', '.join(others)}"


def beats(row: str, *rivals: str, table: Accuracies) -> Finding:
    """Claims 10 and 11."""
    count = tally(table, row, rivals)
    return Finding(_always_ahead(count), f"{count}; {_under_pgd(table, row, *rivals)}")


def beats_pat_and_alp(table: Accuracies) -> Finding:
    """Claim 12."""
    rivals = ("pat", "alp")
    count, clean = tally(table, "sns_sen_adv", rivals), tally(table, "sns_sen_adv", rivals, ["clean"])
    verdict = _always_ahead(count)
    if verdict == "reproduced" and clean.ahead < clean.of:
        verdict = "partly"
    ours = f"{count}; clean {clean}; {_under_pgd(table, 'sns_sen_adv', *rivals)}"
    return Finding(verdict, f"{ours}; {_under_pgd(table, 'sns_sen_adv', *rivals, column='clean')}")


def alp_below_pat(table: Accuracies) -> Finding:
    """Claim 13."""
    count = tally(table, "alp", ["pat"])
    verdict = "not reproduced"
    if count.behind > 0 and count.behind >= count.ahead:
        verdict = "reproduced" if count.behind > count.ahead else "partly"
    below = sum(table["alp"][column].mean < table["pat"][column].mean for column in ATTACKS)
    return Finding(verdict, f"ALP {count}, lower in {below} whatever the interval; {_under_pgd(table, 'alp', 'pat')}")


def same_order(table: Accuracies) -> Finding:
    """Claim 16."""
    adv = tally(table, "sns_sen_adv", ["nat", "eat", "pat"])
    cls = tally(table, "sns_sen_cls", ["nat", "eat"])
    verdicts = [_always_ahead(adv), _always_ahead(cls)]
    verdict = verdicts[0] if verdicts[0] != "reproduced" or verdicts[1] == "reproduced" else "partly"
    texts = (f"{LABELS[row]} {count}" for row, count in (("sns_sen_adv", adv), ("sns_sen_cls", cls)))
    return Finding(verdict, f"{'; '.join(texts)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")


def from_table(
    judge: Callable[..., Finding], rows: Sequence[str], online: bool = False
) -> Callable[[Evidence], Finding]:
    """A judge of a table as a judge of the published rows, which tells beside it what a stronger attack leaves.

    Args:
        judge: takes the accuracies as ``table``.
        rows: those that it needs.
        online: tell how the online row does against PAT and ALP, too.
    """

    def of_records(evidence: Evidence) -> Finding:
        found = judge(table=evidence.accuracies(*rows))
        ours = found.ours + evidence.strong(*rows)
        return Finding(found.verdict, ours + _online(evidence) if online else ours)

    return of_records


def _online(evidence: Evidence) -> str:
    """What the online row has against PAT and ALP, as the end of a sentence; "" where it is not recorded."""
    row, rivals = "sns_sen_adv_online", ("pat", "alp")
    if not evidence.find("accuracy", row):
        return ""
    table = evidence.accuracies(row, *rivals)
    text = f"; online: {tally(table, row, rivals)}, clean {table[row]['clean']}, PGD {table[row]['pgd']}"
    if strong := evidence.find("strong-accuracy", row):
        text += f", strong attack {share_of(strong[row], lambda result: result)}"
    return text


def best_layers(evidence: Evidence) -> Finding:
    """Claim 9."""
    ours, *others = ("fig3b_conv8", "fig3b_conv1", "fig3b_conv4", "fig3b_conv11", "fig3b_fc")
    table = evidence.accuracies(ours, *others)
    count = tally(table, ours, others)
    best = []
    for attack, label in ATTACKS.items():
        row = max(table, key=lambda row, a=attack: table[row][a].mean)  # type: ignore[misc]
        best.append(f"{label} {row.removeprefix('fig3b_')} {table[row][attack]} (conv8 {table[ours][attack]})")
    return Finding(_always_ahead(count), f"conv8 {count}; best from: {', '.join(best)}")


def cheaper(evidence: Evidence) -> Finding:
    """Claim 15."""
    rows = ("sns_sen_adv", "pat", "vanilla")
    states = {row: evidence.states(row) for row in rows}
    if len({state["device"] for of_row in states.values() for state in of_row}) > 1:
        raise NotRunError("the models were trained on different devices")
    table = evidence.accuracies("sns_sen_adv", "pat")
    epochs = {row: fmean(len(state["history"]) for state in of_row) for row, of_row in states.items()}
    minutes = {
        row: fmean(sum(epoch["seconds"] for epoch in state["history"]) for state in of_row) / 60
        for row, of_row in states.items()
    }
    alone = epochs["sns_sen_adv"] < epochs["pat"] and minutes["sns_sen_adv"] < minutes["pat"]
    from_nothing = minutes["sns_sen_adv"] + minutes["vanilla"] < minutes["pat"]
    as_robust = sign(table["sns_sen_adv"]["pgd"], table["pat"]["pgd"]) >= 0
    verdict = "reproduced" if alone and from_nothing and as_robust else "partly" if alone else "not reproduced"
    cost = (f"{LABELS[row]} {epochs[row]:g} epochs, {minutes[row]:.0f} min" for row in rows)
    return Finding(verdict, f"{'; '.join(cost)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")

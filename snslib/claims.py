"""The paper's sixteen claims, each with a criterion that decides on published records whether it holds here.

A criterion is stated before there are numbers to apply it to. What it needs and nobody has measured yet makes a claim
"not run", never a verdict. The criteria for Tables 1 to 4 take the paper's own numbers as well as ours: both are put in
the same words, and a test can ask what the criteria make of the paper itself.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import NormalDist, fmean, stdev
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from snslib import paper, published
from snslib.sensitivity import average_jaccard, chance_jaccard, jaccard, total_jaccard
from snslib.training import load_tensors
from snslib.zoo import ATTACKS, DEFENSES

VERDICTS = ("reproduced", "partly", "not reproduced", "not run")
Z = NormalDist().inv_cdf(0.975)  # of the two-sided 95% interval
PAPER_N = 10_000  # test images of Tables 1 and 2 (section 3.1)
TOP = 0.1  # the sensitive neurons are the top 10% of a layer


class NotRunError(Exception):
    """A claim cannot be judged; the message is the reason, a clause."""


@dataclass(frozen=True)
class Finding:
    """What the records say of a claim.

    Args:
        verdict: one of VERDICTS.
        ours: the numbers behind it, or what is missing, in a clause.
        records: what it was computed from.
    """

    verdict: str
    ours: str
    records: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Share:
    """A share of n images, once for each seed: what a comparison of accuracies works on.

    Args:
        values: one share in [0, 1] per seed, at least one.
        n: the number of images, the same ones for every seed.
    """

    values: tuple[float, ...]
    n: int

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    def __str__(self) -> str:
        spread = f" ± {100 * stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{100 * self.mean:.2f}{spread}%"


Accuracies = Mapping[str, Mapping[str, Share]]  # row of a table to column to accuracy


# --- comparing two accuracies ---


def difference(a: Share, b: Share) -> tuple[float, float]:
    """The 95% interval of a - b, a difference of two shares (Newcombe 1998, from the Wilson interval of each).

    That both models see the same images is not used, which makes it somewhat too wide. Where there are several seeds,
    their spread widens it, as in a t test with pooled variance; with one seed each, nothing in it says what another
    would give.
    """
    (low_a, high_a), (low_b, high_b) = _wilson(a), _wilson(b)
    free = len(a.values) + len(b.values) - 2
    of_seeds = 0.0
    if free > 0:
        squares = sum((value - share.mean) ** 2 for share in (a, b) for value in share.values)
        error = squares / free * (1 / len(a.values) + 1 / len(b.values))
        of_seeds = float(stats.t.ppf(0.975, free)) ** 2 * error
    gap = a.mean - b.mean
    low = gap - math.sqrt((a.mean - low_a) ** 2 + (high_b - b.mean) ** 2 + of_seeds)
    high = gap + math.sqrt((high_a - a.mean) ** 2 + (b.mean - low_b) ** 2 + of_seeds)
    return low, high


def _wilson(share: Share) -> tuple[float, float]:
    p, n = share.mean, share.n
    centre, half = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre - half) / (1 + Z * Z / n), (centre + half) / (1 + Z * Z / n)


def sign(a: Share, b: Share) -> int:
    """1 where a is above b, -1 where it is below, 0 where the interval of their difference holds 0."""
    low, high = difference(a, b)
    return 1 if low > 0 else -1 if high < 0 else 0


@dataclass(frozen=True)
class Tally:
    """How a row of a table does against others, counted over rivals and columns."""

    ahead: int
    behind: int
    of: int

    def __str__(self) -> str:
        return f"ahead in {self.ahead} of {self.of}, behind in {self.behind}"


def tally(table: Accuracies, row: str, rivals: Sequence[str], columns: Sequence[str] = tuple(ATTACKS)) -> Tally:
    """``row`` against each of ``rivals`` in each of ``columns``."""
    signs = [sign(table[row][column], table[rival][column]) for rival, column in product(rivals, columns)]
    return Tally(signs.count(1), signs.count(-1), len(signs))


def _always_ahead(count: Tally) -> str:
    if count.behind == 0 and 2 * count.ahead > count.of:
        return "reproduced"
    return "partly" if count.ahead > count.behind else "not reproduced"


# --- finding records ---


class Evidence:
    """The published records of a network on its data set; it remembers those that were taken.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.taken: list[dict[str, Any]] = []

    def find(self, what: str, *rows: str, **config: Any) -> dict[str, list[dict[str, Any]]]:
        """Those of ``rows`` that have the measurement, each with one record per seed; see published.records."""
        found: dict[str, list[dict[str, Any]]] = {}
        for name, entry in sorted(published.records(self.folder, what, **config).items()):
            if (row := re.sub(r"-seed\d+$", "", name)) in rows:
                found.setdefault(row, []).append(entry)
        self.taken += [entry for entries in found.values() for entry in entries]
        return {row: found[row] for row in rows if row in found}

    def need(self, what: str, *rows: str, **config: Any) -> dict[str, list[dict[str, Any]]]:
        """As :meth:`find`, for all of ``rows``.

        Raises:
            NotRunError: one of them is missing.
        """
        found = self.find(what, *rows, **config)
        if missing := [row for row in rows if row not in found]:
            raise NotRunError(f"no record of {what.replace('-', ' ')}: {', '.join(missing)}")
        return found

    def accuracies(self, *rows: str) -> Accuracies:
        """Accuracy, clean and under the four attacks; NotRunError where a row is missing."""
        return {row: _columns(entries) for row, entries in self.need("accuracy", *rows).items()}

    def strong(self, *rows: str) -> str:
        """What the strong attack leaves of those of ``rows`` that it was run on, as the end of a sentence."""
        found = self.find("strong-accuracy", *rows)
        if not found:
            return ""
        config = next(iter(found.values()))[0]["config"]
        left = (f"{DEFENSES[row]} {_share(entries, lambda result: result)}" for row, entries in found.items())
        return f"; PGD-{config['steps']} × {config['restarts']} leaves {', '.join(left)}"

    def states(self, row: str) -> list[dict[str, Any]]:
        """What the published models of a row say of their training, one per seed; NotRunError where there is none."""
        paths = sorted((published.RESULTS / self.folder).glob(f"{row}*.safetensors"))
        states = [load_tensors(p, only_state=True)[1] for p in paths if re.fullmatch(rf"{row}(-seed\d+)?", p.stem)]
        if not states:
            raise NotRunError(f"no model published: {row}")
        return states


def _share(entries: Sequence[dict[str, Any]], value: Callable[[Any], float]) -> Share:
    return Share(tuple(value(entry["result"]) for entry in entries), min(entry["config"]["n"] for entry in entries))


def _columns(entries: Sequence[dict[str, Any]]) -> dict[str, Share]:
    return {column: _share(entries, lambda result, c=column: result[c]) for column in ("clean", *ATTACKS)}  # type: ignore[misc]


def printed(table: Mapping[str, Mapping[str, float]]) -> Accuracies:
    """The paper's Table 1 or 2 as accuracies of one seed on 10,000 images."""
    return {
        row: {column: Share((value / 100,), PAPER_N) for column, value in columns.items()}
        for row, columns in table.items()
    }


# --- claims 1 to 3: neurons of targeted attacks ---


def _overlap(evidence: Evidence) -> Finding:
    """Claim 1."""
    means, above, classes, chances = [], 0, 0, []
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    for entry in entries:
        result, layer, k = entry["result"], entry["config"]["layer"], entry["config"]["k"]
        sets = result["penultimate"]["reached"]
        same = [jaccard(a, b) for a, b in zip(sets["sensitive"], sets["important"], strict=True) if a and b]
        if not same:
            raise NotRunError("no image reached its target")
        chance = chance_jaccard(k, result["channels"][layer])
        means.append(fmean(same))
        chances.append(chance)
        above += sum(value > chance for value in same)
        classes += len(same)
    mean, chance = fmean(means), fmean(chances)
    verdict = "reproduced" if mean >= 0.5 else "partly" if mean >= 2 * chance and above == classes else "not reproduced"
    ours = f"mean Jaccard index {_spread(means)} (chance {chance:.2f}), above chance for {above} of {classes} classes"
    return Finding(verdict, ours)


def _shared(lists: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> Finding:
    """Claim 2, of one mapping from layer to the neurons of each target per seed."""
    conv = [layer for layer in lists[0] if layer != "fc"]
    third = max(1, len(conv) // 3)
    lower, upper = conv[:third], conv[-third:]
    bottom, top = ([fmean(average_jaccard(of[layer]) for layer in part) for of in lists] for part in (lower, upper))
    a, b = fmean(bottom), fmean(top)
    verdict = "reproduced" if a >= 0.5 and 2 * b <= a else "partly" if a - b > 0.1 else "not reproduced"
    return Finding(verdict, f"$J_{{avg}}$ {_spread(bottom)} in {_span(lower)}, {_spread(top)} in {_span(upper)}")


def _first_of_fc(lists: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Finding:
    """Claim 3, of the targets and the neurons of fc for each of them, per seed."""
    hits = [of[0] == target for targets, neurons in lists for target, of in zip(targets, neurons, strict=True)]
    verdict = "reproduced" if all(hits) else "partly" if 2 * sum(hits) > len(hits) else "not reproduced"
    return Finding(verdict, f"{sum(hits)} of {len(hits)} targets")


def _shared_ours(evidence: Evidence) -> Finding:
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    return _shared([entry["result"]["sensitive"] for entry in entries])


def _shared_printed() -> str:
    neurons = paper.targeted_neurons()
    middle = neurons["conv11"]
    index = f"{average_jaccard(middle):.2f} ($J_{{total}}$ {total_jaccard(middle):.2f})"
    return f"{_shared([neurons]).ours}; but {index} in conv11"


def _first_of_fc_ours(evidence: Evidence) -> Finding:
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    return _first_of_fc([(entry["result"]["targets"], entry["result"]["sensitive"]["fc"]) for entry in entries])


def _first_of_fc_printed() -> str:
    neurons = paper.targeted_neurons()["fc"]
    return _first_of_fc([(range(len(neurons)), neurons)]).ours


# --- claim 5: suppression ---


def _suppression(evidence: Evidence) -> Finding:
    """Claim 5."""
    entries = evidence.need("suppression", "vanilla")["vanilla"]
    betas = entries[0]["result"]["betas"]
    if missing := {1.0, 0.85, 0.7} - set(betas):
        raise NotRunError(f"no record of suppression at β = {', '.join(map(str, sorted(missing)))}")

    def at(way: str, column: str, beta: float) -> Share:
        return _share(entries, lambda result: result[way][column][betas.index(beta)])

    def peaks(way: str) -> list[str]:
        best = {name: max(betas, key=lambda beta, n=name: at(way, n, beta).mean) for name in ATTACKS}  # type: ignore[misc]
        return [
            name
            for name, beta in best.items()
            if 0.8 <= beta <= 0.9 and sign(at(way, name, beta), at(way, name, 1.0)) > 0
        ]

    found = {way: peaks(way) for way in ("white_box", "transferred")}
    way = max(found, key=lambda way: len(found[way]))
    whole, less, least = (at("white_box", "clean", beta) for beta in (1.0, 0.85, 0.7))
    holds = [2 * len(found[way]) > len(ATTACKS), sign(less, whole) < 0, 2 * least.mean < whole.mean]
    verdict = "reproduced" if all(holds) else "partly" if found[way] else "not reproduced"
    counted = ", ".join(f"{len(names)} of {len(ATTACKS)} {way.replace('_', ' ')}" for way, names in found.items())
    return Finding(
        verdict, f"peaks near β = 0.85: {counted}; clean {whole}, {less} at β = 0.85, {least} at β = 0.7"
    )


# --- claims 6 to 8 and 14: sensitivity ---


def _sorted(entries: Sequence[dict[str, Any]], layer: str) -> Tensor:
    """The layer's sensitivities from high to low, each rank averaged over the seeds."""
    of_seeds = [torch.tensor(entry["result"]["sigma"][layer]).double() for entry in entries]
    return torch.stack([sigma.sort(descending=True).values for sigma in of_seeds]).mean(0)


def _top(sigma: Tensor) -> int:
    return max(1, int(TOP * len(sigma)))


def _top_mean(entries: Sequence[dict[str, Any]], layer: str) -> float:
    sigma = _sorted(entries, layer)
    return sigma[: _top(sigma)].mean().item()


def _mean(entries: Sequence[dict[str, Any]], layer: str) -> float:
    return _sorted(entries, layer).mean().item()


def _relative(entries: Sequence[dict[str, Any]], layer: str) -> float:
    """The layer's summed sensitivity over its summed clean output; 0 for a layer that puts out nothing."""
    results = [entry["result"] for entry in entries]
    return fmean(sum(r["sigma"][layer]) / output if (output := sum(r["activation"][layer])) else 0.0 for r in results)


def _layers(entries: Sequence[dict[str, Any]]) -> list[str]:
    return [layer for layer in entries[0]["result"]["sigma"] if layer != "fc"]


def _lower(
    statistic: Callable[[Sequence[dict[str, Any]], str], float],
    a: Sequence[dict[str, Any]],
    b: Sequence[dict[str, Any]],
    layers: Sequence[str],
) -> tuple[int, str]:
    """In how many layers the statistic of a is below that of b, and that in words, with each seed that both have."""

    def count(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> int:
        return sum(statistic(a, layer) < statistic(b, layer) for layer in layers)

    both = [([x], [y]) for x, y in product(a, b) if x.get("seed") == y.get("seed")]
    text = f"{count(a, b)} of {len(layers)} layers"
    if len(both) > 1:
        text += f" (seed by seed {', '.join(str(count(x, y)) for x, y in both)})"
    return count(a, b), text


def _calmer(evidence: Evidence) -> Finding:
    """Claim 6."""
    entries = evidence.need("sensitivity", "vanilla", "pat", split="test", under="pgd")
    layers = _layers(entries["vanilla"])
    fitting, most, lowest = 0, 0, 1.0
    for layer in layers:
        before, after = (_sorted(entries[row], layer) for row in ("vanilla", "pat"))
        moved = before > 0
        share = (after < before)[moved].double().mean().item() if moved.any() else 0.0
        drop, top = before - after, _top(before)
        more = bool(drop[:top].mean() > drop[top:].mean())
        fitting += share >= 0.9 and more
        most += more
        lowest = min(lowest, share)
    verdict = "reproduced" if fitting == len(layers) else "partly" if 2 * fitting > len(layers) else "not reproduced"
    return Finding(
        verdict,
        f"both in {fitting} of {len(layers)} layers; at least {100 * lowest:.0f}% of a layer's ranks are lower; "
        f"the top 10% drop most in {most}",
    )


def _calmer_top(evidence: Evidence) -> Finding:
    """Claim 7."""
    lines, lower, whole = [], 0, 0
    missing = []
    for attack, label in ATTACKS.items():
        found = evidence.find("sensitivity", "vanilla", "pat", split="test", under=attack)
        if len(found) < 2:
            missing.append(label)
            continue
        layers = _layers(found["vanilla"])
        count, text = _lower(_top_mean, found["pat"], found["vanilla"], layers)
        _, relative = _lower(_relative, found["pat"], found["vanilla"], layers)
        lines.append(f"{label}: lower in {text}, relative to the clean output in {relative}")
        lower, whole = lower + count, whole + len(layers)
    if not lines:
        raise NotRunError("no record of sensitivity: vanilla and pat")
    verdict = "partly" if 2 * lower > whole else "not reproduced"
    if lower == whole and not missing:
        verdict = "reproduced"
    return Finding(verdict, "; ".join(lines) + (f"; not run: {', '.join(missing)}" if missing else ""))


def _fog(evidence: Evidence) -> Finding:
    """Claim 8."""
    found = evidence.find("sensitivity", "vanilla", "pat", split="test", under="fog")
    if len(found) < 2:
        raise NotRunError("sensitivity under fog is not measured yet")
    layers = _layers(found["vanilla"])
    higher, text = _lower(_top_mean, found["vanilla"], found["pat"], layers)
    verdict = "reproduced" if 2 * higher > len(layers) else "partly" if higher else "not reproduced"
    return Finding(verdict, f"PAT's are more sensitive in {text}")


def _below_pat(evidence: Evidence) -> Finding:
    """Claim 14."""
    entries = evidence.need("sensitivity", "sns_sen_adv", "pat", split="test", under="pgd")
    entries |= evidence.find("sensitivity", "sns_sen_adv_online", split="test", under="pgd")
    layers = entries["sns_sen_adv"][0]["config"]["trained"]["sns"]["layers"]
    lower, text = _lower(_mean, entries["sns_sen_adv"], entries["pat"], layers)
    _, relative = _lower(_relative, entries["sns_sen_adv"], entries["pat"], layers)
    verdict = "reproduced" if lower == len(layers) else "partly" if 2 * lower > len(layers) else "not reproduced"
    ours = f"lower in {text}, relative to the clean output in {relative}"
    if "sns_sen_adv_online" in entries:
        ours += f"; online: lower in {_lower(_mean, entries['sns_sen_adv_online'], entries['pat'], layers)[1]}"
    return Finding(verdict, ours)


# --- claims 10 to 13 and 16: Tables 1 and 2 ---


def _under_pgd(table: Accuracies, *rows: str, column: str = "pgd") -> str:
    first, *others = (f"{DEFENSES[row]} {table[row][column]}" for row in rows)
    return f"{ATTACKS.get(column, column)} {first} against {', '.join(others)}"


def _beats(row: str, *rivals: str, table: Accuracies) -> Finding:
    """Claims 10 and 11."""
    count = tally(table, row, rivals)
    return Finding(_always_ahead(count), f"{count}; {_under_pgd(table, row, *rivals)}")


def _best_of_all(table: Accuracies) -> Finding:
    """Claim 12."""
    rivals = ("pat", "alp")
    count, clean = tally(table, "sns_sen_adv", rivals), tally(table, "sns_sen_adv", rivals, ["clean"])
    verdict = _always_ahead(count)
    if verdict == "reproduced" and clean.ahead < clean.of:
        verdict = "partly"
    ours = f"{count}; clean {clean}; {_under_pgd(table, 'sns_sen_adv', *rivals)}"
    return Finding(verdict, f"{ours}; {_under_pgd(table, 'sns_sen_adv', *rivals, column='clean')}")


def _weaker_pairing(table: Accuracies) -> Finding:
    """Claim 13."""
    count = tally(table, "alp", ["pat"])
    verdict = "not reproduced"
    if count.behind > 0 and count.behind >= count.ahead:
        verdict = "reproduced" if count.behind > count.ahead else "partly"
    below = sum(table["alp"][column].mean < table["pat"][column].mean for column in ATTACKS)
    return Finding(verdict, f"ALP {count}, lower in {below} whatever the interval; {_under_pgd(table, 'alp', 'pat')}")


def _same_order(table: Accuracies) -> Finding:
    """Claim 16."""
    adv = tally(table, "sns_sen_adv", ["nat", "eat", "pat"])
    cls = tally(table, "sns_sen_cls", ["nat", "eat"])
    verdicts = [_always_ahead(adv), _always_ahead(cls)]
    verdict = verdicts[0] if verdicts[0] != "reproduced" or verdicts[1] == "reproduced" else "partly"
    texts = (f"{DEFENSES[row]} {count}" for row, count in (("sns_sen_adv", adv), ("sns_sen_cls", cls)))
    return Finding(verdict, f"{'; '.join(texts)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")


TABLES: dict[int, tuple[Callable[..., Finding], tuple[str, ...]]] = {  # claim: its judge and the rows that it needs
    10: (partial(_beats, "sns_sen_cls", "nat", "eat"), ("sns_sen_cls", "nat", "eat")),
    11: (partial(_beats, "sns_sen_cls", "sns_all_cls"), ("sns_sen_cls", "sns_all_cls")),
    12: (_best_of_all, ("sns_sen_adv", "pat", "alp")),
    13: (_weaker_pairing, ("alp", "pat")),
    16: (_same_order, ("sns_sen_adv", "sns_sen_cls", "nat", "eat", "pat")),
}


def of_paper(number: int) -> Finding:
    """What the criterion of claim 10, 11, 12, 13 or 16 makes of the paper's own table, taken as 10,000 images."""
    return TABLES[number][0](table=printed(paper.table2() if number == 16 else paper.table1()))


def _from_table(number: int) -> Callable[[Evidence], Finding]:
    judge, rows = TABLES[number]

    def of_records(evidence: Evidence) -> Finding:
        found = judge(table=evidence.accuracies(*rows))
        ours = found.ours + evidence.strong(*rows)
        if number == 12 and evidence.find("accuracy", "sns_sen_adv_online"):
            online = evidence.accuracies("sns_sen_adv_online", "pat", "alp")
            count = tally(online, "sns_sen_adv_online", ["pat", "alp"])
            shares = online["sns_sen_adv_online"]
            ours += f"; online: {count}, clean {shares['clean']}, PGD {shares['pgd']}"
            if strong := evidence.find("strong-accuracy", "sns_sen_adv_online"):
                ours += f", strong attack {_share(strong['sns_sen_adv_online'], lambda result: result)}"
        return Finding(found.verdict, ours)

    return of_records


# --- claim 15: cost ---


def _cheaper(evidence: Evidence) -> Finding:
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
    cheaper = epochs["sns_sen_adv"] < epochs["pat"] and minutes["sns_sen_adv"] < minutes["pat"]
    from_nothing = minutes["sns_sen_adv"] + minutes["vanilla"] < minutes["pat"]
    as_robust = sign(table["sns_sen_adv"]["pgd"], table["pat"]["pgd"]) >= 0
    verdict = "reproduced" if cheaper and from_nothing and as_robust else "partly" if cheaper else "not reproduced"
    cost = (f"{DEFENSES[row]} {epochs[row]:g} epochs, {minutes[row]:.0f} min" for row in rows)
    return Finding(verdict, f"{'; '.join(cost)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")


# --- the claims ---


def _not_run(reason: str) -> Callable[[Evidence], Finding]:
    def judge(evidence: Evidence) -> Finding:
        raise NotRunError(reason)

    return judge


def _span(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        number: its place in the list.
        statement: what is claimed, in a sentence.
        place: where in the paper.
        chapter: the file of the chapter about it, "" where there is none yet.
        criterion: what decides, in a sentence or two.
        theirs: gives the paper's numbers, in a clause.
        judge: maps the records to a finding; raises NotRunError where it cannot.
        alexnet: it is about the rows of AlexNet.
    """

    number: int
    statement: str
    place: str
    chapter: str
    criterion: str
    theirs: Callable[[], str]
    judge: Callable[[Evidence], Finding]
    alexnet: bool = False


_03, _05, _06 = "03_sensitive_neurons", "05_adversarial_training", "06_results"
_ALWAYS = (
    "Reproduced: ahead in more than half of the {n} comparisons, behind in none. Partly: ahead in more than behind. "
    "A gap within the 95% interval counts neither way."
)

CLAIMS = (
    Claim(
        1,
        "The sensitive and the important neurons of pool5 are much the same.",
        "Fig. 2a",
        _03,
        "Mean Jaccard index over the target classes, of images that reached the target. Reproduced: at least 0.5, "
        "that is two thirds of each set are shared. Partly: at least twice chance, and above chance for every class.",
        lambda: '"very high" (no numbers)',
        _overlap,
    ),
    Claim(
        2,
        "The sensitive neurons of different targets agree in bottom layers and differ in top layers.",
        "Fig. 2b, 9; Tables 3-4",
        _03,
        "Mean $J_{avg}$ of the lowest and of the highest third of the convolutional layers. Reproduced: at least 0.5 "
        "below, and at most half of that above. Partly: lower above by more than 0.1.",
        _shared_printed,
        _shared_ours,
    ),
    Claim(
        3,
        "Under a targeted attack the most sensitive neuron of fc is the target's.",
        "3.3, Table 4",
        _03,
        "Reproduced: for every target. Partly: for more than half.",
        _first_of_fc_printed,
        _first_of_fc_ours,
    ),
    Claim(
        4,
        "Under attack sensitive neurons look at the background, and insensitive ones keep their regions.",
        "Fig. 4-5, 14-17",
        "",
        "None stated yet; it has to come before the pictures.",
        lambda: "pictures",
        _not_run("receptive fields are not computed yet"),
    ),
    Claim(
        5,
        "Suppressing sensitive neurons trades clean accuracy for robustness: best near β = 0.85, collapse near 0.7.",
        "Fig. 3a",
        _03,
        "Reproduced: for more than half of the attacks accuracy is best at a β in [0.8, 0.9], above that at β = 1 by "
        "more than the 95% interval; clean accuracy at 0.85 is below that at 1 by more than the interval; at 0.7 it "
        "is less than half. Partly: such a peak for one attack at least. The paper does not say which model is "
        "attacked; of white box and transferred, the one with more peaks counts.",
        lambda: "best near β = 0.85, collapse at about 0.7",
        _suppression,
    ),
    Claim(
        6,
        "PAT lowers the sensitivity of almost all neurons in all layers, and most in the top 10%.",
        "Fig. 6, 13",
        _05,
        "A layer fits where, both models' neurons sorted, at least 90% of the ranks are lower in PAT (of those at "
        "which vanilla is not 0) and the top 10% drop more than the others on average. Reproduced: every "
        "convolutional layer fits. Partly: more than half do.",
        lambda: '"almost all neurons in all layers" (curves)',
        _calmer,
    ),
    Claim(
        7,
        "PAT's sensitive neurons are less sensitive in every convolutional layer, under each attack.",
        "Fig. 7a, 10-12",
        _05,
        "Mean sensitivity of each model's own top 10%. Reproduced: lower in PAT in every layer under all four "
        "attacks. Partly: in more than half of layers and attacks, or in all but with attacks not run.",
        lambda: "every layer (curves)",
        _calmer_top,
    ),
    Claim(
        8,
        "Under fog the order turns: PAT's sensitive neurons are more sensitive in most layers.",
        "Fig. 7b",
        "",
        "Mean sensitivity of each model's own top 10% between clean and foggy images. Reproduced: higher in PAT in "
        "more than half of the layers. Partly: in one at least.",
        lambda: "most layers (curves); but PAT's printed accuracy in fog is the higher one, 55.64% against 33.64%, "
        "which does not fit the text's conclusion that sensitivity indicates robustness",
        _fog,
    ),
    Claim(
        9,
        "conv8 to conv13 are the best layers for SNS.",
        "Fig. 3b",
        "",
        "None stated yet; it has to come before the rows.",
        lambda: "best from conv8 on (curves)",
        _not_run("SNS with other first layers is not trained"),
    ),
    Claim(
        10,
        "Stabilised sensitive neurons ($\\mathrm{SNS}_{sen}^{cls}$) beat NAT and EAT under every attack.",
        "Table 1",
        _06,
        _ALWAYS.format(n="eight"),
        lambda: of_paper(10).ours,
        _from_table(10),
    ),
    Claim(
        11,
        "Stabilising the sensitive neurons beats stabilising all.",
        "Table 1",
        _06,
        _ALWAYS.format(n="four"),
        lambda: of_paper(11).ours,
        _from_table(11),
    ),
    Claim(
        12,
        "$\\mathrm{SNS}_{sen}^{adv}$ beats PAT and ALP under every attack, and is more accurate on clean images.",
        "Table 1",
        _06,
        _ALWAYS.format(n="eight") + " Without a clean accuracy above both by more than the interval it is partly at "
        "most. The row that follows Algorithm 1 decides; the online one and the stronger attack are told beside it.",
        lambda: of_paper(12).ours,
        _from_table(12),
    ),
    Claim(
        13,
        "ALP is weaker than PAT in most cases.",
        "4.2, Table 1",
        _06,
        "Reproduced: ALP is behind PAT under more attacks than ahead. Partly: under as many, one at least. A gap "
        "within the 95% interval counts neither way.",
        lambda: of_paper(13).ours,
        _from_table(13),
    ),
    Claim(
        14,
        "SNS lowers the sensitivity of the layers that it trains, conv8 to conv13, below PAT's.",
        "Fig. 8",
        _05,
        "Mean sensitivity of all neurons of a layer, under PGD. Reproduced: below PAT's in every stabilised layer. "
        "Partly: in more than half. The ratio to the clean output is told beside it: a layer that puts out less "
        "varies less.",
        lambda: "all six layers (curves)",
        _below_pat,
    ),
    Claim(
        15,
        "SNS needs much fewer epochs than PAT and less time.",
        "4.2",
        "",
        "Reproduced: fewer epochs and less time, also with the vanilla training that SNS starts from, and not behind "
        "PAT under PGD by more than the 95% interval. Partly: fewer epochs and less time for SNS alone. Epochs are "
        "settings of ours; making x' once is not counted.",
        lambda: '"much fewer epochs" (no numbers)',
        _cheaper,
    ),
    Claim(
        16,
        "The same order holds for AlexNet on 200 classes of ImageNet.",
        "Table 2",
        "",
        "$\\mathrm{SNS}_{sen}^{adv}$ against NAT, EAT and PAT, and $\\mathrm{SNS}_{sen}^{cls}$ against NAT and EAT, "
        "under every attack, each as in claim 10. Reproduced: both. Partly: the first, in full or partly.",
        lambda: of_paper(16).ours,
        _from_table(16),
        alexnet=True,
    ),
)


def scorecard(folder: str, alexnet: str | None = None) -> list[tuple[Claim, Finding]]:
    """Every claim with what the published rows say of it.

    Args:
        folder: VGG-16 and its data set, such as "cifar10/vgg16-w0.25".
        alexnet: the same for claim 16; None takes the first there is.
    """
    if alexnet is None:
        alexnet = next((name for name in published.folders() if "/alexnet-w" in name), None)
    return [(claim, _judged(claim, alexnet if claim.alexnet else folder)) for claim in CLAIMS]


def _judged(claim: Claim, folder: str | None) -> Finding:
    if folder is None:
        return Finding("not run", "no rows of AlexNet are recorded")
    evidence = Evidence(folder)
    try:
        found = claim.judge(evidence)
    except NotRunError as reason:
        return Finding("not run", str(reason))
    return Finding(found.verdict, found.ours, tuple(evidence.taken))


def provenance(findings: Sequence[Finding]) -> str:
    """Where the numbers come from, a line per data set and network: its copy, seeds, images, devices and commits."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in (entry for finding in findings for entry in finding.records):
        trained, data = entry["config"]["trained"], entry["data"]
        name = f"{data['name']} ({data['origin']}), {trained['model']} at width {trained['width']:g}"
        groups.setdefault(name, []).append(entry)

    def each(values: Sequence[Any]) -> str:
        return ", ".join(f"{value:,}" if isinstance(value, int) else value for value in sorted(set(values)))

    return "\n".join(
        f"Recorded: {name} · seeds {each([entry['seed'] for entry in entries])} · measured on "
        f"{each([entry['config']['n'] for entry in entries if 'n' in entry['config']])} images · "
        f"{each([entry['device'] for entry in entries])} · "
        f"commits {each([entry['commit'] for entry in entries if entry['commit']])}"
        for name, entries in groups.items()
    )

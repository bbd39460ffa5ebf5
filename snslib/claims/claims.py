"""The paper's seventeen claims, each with a criterion that decides on published records whether it holds here.

A criterion is stated before there are numbers to apply it to. What it needs and nobody has measured yet makes a claim
"not run", never a verdict. The criteria for Tables 1 to 4 take the paper's own numbers as well as ours: both are put
in the same words, and a test can ask what the criteria make of the paper itself. They are stated here in words; what
applies them is in :mod:`snslib.claims.criteria`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from snslib.claims.criteria import neurons, sensitivity, tables
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.numbers import accuracies
from snslib.claims.records import NotRunError, PublishedRecords
from snslib.study import results
from snslib.study.records import Record

VERDICTS = ("reproduced", "partly", "not reproduced", "undecidable", "not run")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        number: its place in the list.
        statement: what is claimed, in a sentence.
        place: where in the paper.
        chapter: the file of the chapter about it.
        criterion: what decides, in a sentence or two.
        printed: gives the paper's numbers, in a clause.
        decide: maps the records to an outcome; raises NotRunError where it cannot.
        alexnet: it is about the rows of AlexNet.
        also: other networks of which the paper shows the same.
    """

    number: int
    statement: str
    place: str
    chapter: str
    criterion: str
    printed: Callable[[], str]
    decide: Callable[[PublishedRecords], Outcome]
    alexnet: bool = False
    also: tuple[str, ...] = ()


OnTable = tuple[Callable[..., Outcome], tuple[str, ...]]  # a criterion for a table, and the rows that it needs


def about_sns(sen_cls: str, all_cls: str, sen_adv: str) -> dict[int, OnTable]:
    """The criteria of the claims about the rows of SNS, by the claim's number.

    Args:
        sen_cls, all_cls: the rows of Eq. 10 on sensitive and on all neurons.
        sen_adv: the row of Eq. 11 on sensitive neurons.
    """
    return {
        10: (partial(tables.beats, sen_cls, "nat", "eat"), (sen_cls, "nat", "eat")),
        11: (partial(tables.beats, sen_cls, all_cls), (sen_cls, all_cls)),
        12: (partial(tables.beats_pat_and_alp, sen_adv), (sen_adv, "pat", "alp")),
        17: (partial(tables.more_accurate, sen_cls), (sen_cls, "vanilla")),
    }


TABLES: dict[int, OnTable] = {
    **about_sns("sns_sen_cls", "sns_all_cls", "sns_sen_adv"),
    13: (tables.alp_below_pat, ("alp", "pat")),
    16: (tables.same_order, ("sns_sen_adv", "sns_sen_cls", "nat", "eat", "pat")),
}


def of_paper(number: int) -> Outcome:
    """What the criterion of claim 10 to 13, 16 or 17 makes of the paper's own table, taken as 10,000 images."""
    return TABLES[number][0](table=accuracies.printed(2 if number == 16 else 1))


_03, _05, _06 = "03_sensitive_neurons", "05_adversarial_training", "06_results"
_ALWAYS = (
    "Reproduced: ahead in more than half of the {n} comparisons, behind in none. Partly: ahead in more than behind. "
    "Undecidable: neither ahead nor behind in any. A gap counts where chance alone makes so large a one in fewer than "
    "5% of cases, with Holm's correction for the number of comparisons."
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
        neurons.overlap,
    ),
    Claim(
        2,
        "The sensitive neurons of different targets agree in bottom layers and differ in top layers.",
        "Fig. 2b, 9; Tables 3-4",
        _03,
        "Mean $J_{avg}$ of the lowest and of the highest third of the convolutional layers. Reproduced: at least 0.5 "
        "below, and at most half of that above. Partly: lower above by more than 0.1.",
        neurons.shared_printed,
        neurons.shared_ours,
        also=("alexnet",),
    ),
    Claim(
        3,
        "Under a targeted attack the most sensitive neuron of fc is the target's.",
        "3.3, Table 4",
        _03,
        "Reproduced: for every target. Partly: for more than half.",
        neurons.first_of_fc_printed,
        neurons.first_of_fc_ours,
    ),
    Claim(
        4,
        "Under attack sensitive neurons look at the background, and insensitive ones keep their regions.",
        "Fig. 4-5, 14-17",
        _03,
        "Mean intersection over union of a neuron's masks in an image and in its PGD twin, in pool2 of VGG-16 as in "
        "Fig. 14-15, the most sensitive quarter against the least. Reproduced: lower for sensitive neurons with p < "
        '0.05 (permutation test over neurons), and at least 0.5 for the others, which are to change "almost" not at '
        "all. Partly: lower, with p < 0.05. Whether new regions are background is not asked. "
        "Stated after a look at 500 of the images.",
        lambda: "pictures",
        neurons.regions,
        also=("alexnet",),
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
        neurons.suppression,
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
        sensitivity.lower_in_pat,
        also=("alexnet",),
    ),
    Claim(
        7,
        "PAT's sensitive neurons are less sensitive in every convolutional layer, under each attack.",
        "Fig. 7a, 10-12",
        _05,
        "Mean sensitivity of each model's own top 10%. Reproduced: lower in PAT in every layer under all four "
        "attacks. Partly: in more than half of layers and attacks, or in all but with attacks not run.",
        lambda: "every layer (curves)",
        sensitivity.lower_in_pat_top,
        also=("alexnet", "resnet18"),
    ),
    Claim(
        8,
        "Under fog the order turns: PAT's sensitive neurons are more sensitive in most layers.",
        "Fig. 7b",
        "05_adversarial_training",
        "Mean sensitivity of each model's own top 10% between clean and foggy images, at the strongest of "
        "CIFAR-10-C's five severities (the paper names none). Reproduced: higher in PAT in more than half of the "
        "layers. Partly: in one at least.",
        lambda: (
            "most layers (curves); but PAT's printed accuracy in fog is the higher one, 55.64% against 33.64%, "
            "which does not fit the text's conclusion that sensitivity indicates robustness"
        ),
        sensitivity.fog,
    ),
    Claim(
        9,
        "conv8 to conv13 are the best layers for SNS.",
        "Fig. 3b",
        _06,
        "Rows trained by Eq. 10 from conv8 on against those from conv1, conv4, conv11 and fc on. "
        + _ALWAYS.format(n="16"),
        lambda: "best from conv8 on under every attack (curves)",
        tables.best_layers,
    ),
    Claim(
        10,
        "Stabilised sensitive neurons ($\\mathrm{SNS}_{sen}^{cls}$) beat NAT and EAT under every attack.",
        "Table 1",
        _06,
        _ALWAYS.format(n="eight"),
        lambda: of_paper(10).measured,
        tables.from_table(*TABLES[10]),
    ),
    Claim(
        11,
        "Stabilising the sensitive neurons beats stabilising all.",
        "Table 1",
        _06,
        _ALWAYS.format(n="four"),
        lambda: of_paper(11).measured,
        tables.from_table(*TABLES[11]),
    ),
    Claim(
        12,
        "$\\mathrm{SNS}_{sen}^{adv}$ beats PAT and ALP under every attack, and is more accurate on clean images.",
        "Table 1",
        _06,
        _ALWAYS.format(n="eight") + " Without a clean accuracy above both by more than the interval it is partly at "
        "most. The row that follows Algorithm 1 decides; other readings of it have a table of their own.",
        lambda: of_paper(12).measured,
        tables.from_table(*TABLES[12]),
    ),
    Claim(
        13,
        "ALP is weaker than PAT in most cases.",
        "4.2, Table 1",
        _06,
        "Reproduced: ALP is behind PAT under more attacks than ahead. Partly: under as many, one at least. "
        "Undecidable: under none of the two. Gaps count as in claim 10.",
        lambda: of_paper(13).measured,
        tables.from_table(*TABLES[13]),
    ),
    Claim(
        14,
        "SNS lowers the sensitivity of the layers that it trains, conv8 to conv13, below PAT's.",
        "Fig. 8",
        _05,
        "Mean sensitivity of all neurons of a layer, under PGD. Reproduced: below PAT's in every stabilised layer. "
        "Partly: in more than half. The ratio to the clean output is given beside it: a layer whose output is smaller "
        "varies less.",
        lambda: "all six layers (curves)",
        partial(sensitivity.below_pat, "sns_sen_adv"),
    ),
    Claim(
        15,
        "SNS needs much fewer epochs than PAT and less time.",
        "4.2",
        "06_results",
        "Undecidable: SNS is behind PAT under PGD by more than the 95% interval, since training that ends earlier with "
        "less is no saving; epochs are settings of ours. Else reproduced: fewer epochs and less time, also with the "
        "vanilla training that SNS starts from. Partly: for SNS alone. Making x' once is not counted.",
        lambda: '"much fewer epochs" (no numbers)',
        tables.cheaper,
    ),
    Claim(
        16,
        "The same order holds for AlexNet on 200 classes of ImageNet.",
        "Table 2",
        "06_results",
        "$\\mathrm{SNS}_{sen}^{adv}$ against NAT, EAT and PAT, and $\\mathrm{SNS}_{sen}^{cls}$ against NAT and EAT, "
        "under every attack, each as in claim 10. Reproduced: both. Partly: the first, in full or partly. "
        "Undecidable: not even PAT is robust, that is, its 95% interval under PGD does not lie above 5%.",
        lambda: of_paper(16).measured,
        tables.from_table(*TABLES[16]),
        alexnet=True,
    ),
    Claim(
        17,
        "$\\mathrm{SNS}_{sen}^{cls}$ is more accurate than vanilla on clean images.",
        "Table 1",
        _06,
        "Reproduced: ahead, by a gap that counts as in claim 10. Not reproduced: behind by such a gap. Undecidable: "
        "chance may explain the difference. The paper has it in its numbers and does not say it in words.",
        lambda: of_paper(17).measured,
        tables.from_table(*TABLES[17]),
    ),
)


def scorecard(folder: str, alexnet: str | None = None, narrow: str | None = None) -> list[tuple[Claim, Outcome]]:
    """Every claim with what the published rows say of it.

    Args:
        folder: VGG-16 and its data set, such as "cifar10/vgg16-w1".
        alexnet: the same for claim 16; None takes the first there is.
        narrow: a narrower network, such as "cifar10/vgg16-w0.25", which decides where something was not run on the
            first; None leaves these as they are.
    """
    if alexnet is None:
        alexnet = next((name for name in results.folders() if results.model_of(name) == "alexnet"), None)
    return [
        (claim, decided(claim.decide, alexnet) if claim.alexnet else first_decided(claim.decide, folder, narrow))
        for claim in CLAIMS
    ]


def first_decided(criterion: Callable[[PublishedRecords], Outcome], folder: str, narrow: str | None) -> Outcome:
    """:func:`decided` on a folder, or else on a narrower one, and then the numbers say at which width.

    Args:
        criterion: the :attr:`Claim.decide` of a claim.
        folder, narrow: as in :func:`scorecard`.
    """
    outcome = decided(criterion, folder)
    if outcome.verdict != "not run" or narrow is None:
        return outcome
    second = decided(criterion, narrow)
    if second.verdict == "not run":
        return outcome
    return replace(second, measured=f"at width {results.width_of(narrow)}: {second.measured}")


def elsewhere() -> list[tuple[Claim, str, Outcome]]:
    """The claims that the paper makes of other networks too, on their published rows: claim, folder, and outcome."""
    return [
        (claim, folder, decided(claim.decide, folder))
        for claim in CLAIMS
        for folder in results.folders()
        if results.model_of(folder) in claim.also
    ]


def decided(criterion: Callable[[PublishedRecords], Outcome], folder: str | None) -> Outcome:
    """What a criterion makes of the published rows of a folder, and the records that it used; "not run" without them.

    Args:
        criterion: the :attr:`Claim.decide` of a claim.
        folder: such as "cifar10/vgg16-w0.25"; None where there is none.
    """
    if folder is None:
        return Outcome("not run", "no rows of AlexNet are recorded")
    published = PublishedRecords(folder)
    try:
        outcome = criterion(published)
    except NotRunError as reason:
        return Outcome("not run", str(reason))
    return Outcome(outcome.verdict, outcome.measured, tuple(published.used))


def provenance(outcomes: Sequence[Outcome]) -> str:
    """Where the numbers come from, a line per data set and network: its copy, seeds, images, devices and commits."""
    groups: dict[str, list[Record]] = {}
    for entry in (entry for outcome in outcomes for entry in outcome.records):
        trained, data = entry.config["trained"], entry.data
        name = f"{data['name']} ({data['origin']}), {trained['model']} at width {trained['width']:g}"
        groups.setdefault(name, []).append(entry)

    def each(values: Sequence[Any]) -> str:
        return ", ".join(f"{value:,}" if isinstance(value, int) else value for value in sorted(set(values)))

    return "\n".join(
        f"Recorded: {name} · seeds {each([entry.seed for entry in entries])} · measured on "
        f"{each([entry.config['n'] for entry in entries if 'n' in entry.config])} images · "
        f"{each([entry.provenance.get('device', 'a device that is not recorded') for entry in entries])} · "
        f"commits {each([commit for entry in entries if (commit := entry.provenance.get('commit'))])}"
        for name, entries in groups.items()
    )

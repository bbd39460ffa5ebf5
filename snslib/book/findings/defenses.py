"""What the chapter on results found: live, by statistics of BatchNorm, by setting, and of the paper's procedure."""

from collections.abc import Callable, Mapping
from operator import itemgetter

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book import labels
from snslib.book.text import in_points, percent, plain
from snslib.claims import paper
from snslib.claims.criteria import readings
from snslib.claims.numbers.accuracies import Gain, accuracy_by_statistics, gain_over, printed
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.numbers.stabilised import neuron_states
from snslib.claims.records import accuracy_of
from snslib.claims.statistics import Accuracy, compare
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ROWS

ONLINE, RANDOM, ONLINE_CONTROL = "sns_sen_adv_online", "random_adv_online", "control_adv_online"

By = Callable[[str, str, str], str]  # row, statistics and images to accuracy in words


def defenses_live(records: Mapping[str, Record], strong: Mapping[str, Record]) -> Markdown:
    """How the SNS rows of this build compare with PAT and vanilla, and which defense is the most robust.

    Args:
        records: defense to its accuracy record; at least vanilla, pat and the three of SNS.
        strong: the same defenses to their records of accuracy under a stronger PGD.
    """
    ours = {
        row: {column: accuracy_of([entry], itemgetter(column)) for column in ATTACKS} for row, entry in records.items()
    }
    table1 = printed(1)

    def wins(row: str, rival: str) -> str:
        live, in_paper = (compare(table, row, [rival]) for table in (ours, table1))
        return f"under {live.ahead} of the {live.of} attacks here, under {in_paper.ahead} in the paper"

    best = max(strong, key=lambda defense: strong[defense].result)
    left = {defense: percent(entry.result) for defense, entry in strong.items()}
    about = records["vanilla"]
    data, width = plain(about.data["name"]), about.config["trained"]["width"]
    return Markdown(f"""
On {about.config["n"]:,} test images of {data}, one seed, where a difference that chance may explain does not count
(5%, with Holm's correction for the number of comparisons):

- {LABELS["sns_sen_adv"]} is more accurate than PAT {wins("sns_sen_adv", "pat")}.
- {LABELS["sns_sen_cls"]} (sensitive neurons) is more accurate than {LABELS["sns_all_cls"]} (all neurons)
  {wins("sns_sen_cls", "sns_all_cls")}.
- {LABELS["sns_sen_cls"]} is more accurate than Vanilla {wins("sns_sen_cls", "vanilla")}.
- Under {strong_name(strong)} the most accurate model is {LABELS[best]} with {left[best]};
  {LABELS["sns_sen_adv"]} keeps {left["sns_sen_adv"]}, Vanilla {left["vanilla"]}.

These sentences are about {data} and a network of width {width:g}; the paper's are about CIFAR-10 and width 1.
""")


def statistics_of_batchnorm(folder: str) -> Markdown:
    """What the statistics that BatchNorm normalises by do to Algorithm 1, in two passes, in one, and online.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; what is not recorded there is left out.
    """
    recorded = results.by_seed(folder, "accuracy-by-statistics")

    def by(row: str, which: str, under: str) -> str:
        return str(accuracy_by_statistics(recorded[row], which, under))

    paragraphs = []
    if "sns_sen_adv" in recorded:
        paragraphs.append(_two_networks(by))
    if "sns_sen_adv_one_pass" in recorded:
        paragraphs.append(_one_pass(by, "control_adv_one_pass" in recorded))
    if {ONLINE, ONLINE_CONTROL} <= recorded.keys():
        paragraphs.append(_online(by))
    return Markdown("\n\n".join(paragraphs))


def _two_networks(by: By) -> str:
    row = "sns_sen_adv"
    return (
        "Algorithm 1 has trained two networks in one. With the statistics of clean images the SNS row is right on "
        f"{by(row, 'clean', 'clean')} of them, and on {by(row, 'clean', 'fixed')} of the fixed x', the kind of images "
        "that it was trained on. With the statistics of x' it is the other way round: "
        f"{by(row, 'fixed', 'clean')} and {by(row, 'fixed', 'fixed')}. What the other tables show of it is the "
        f"mixture. Under PGD it keeps {by(row, 'clean', 'pgd')} with the statistics of clean images and "
        f"{by(row, 'fixed', 'pgd')} with those of x'."
    )


def _one_pass(by: By, has_control: bool) -> str:
    row, control = "sns_sen_adv_one_pass", "control_adv_one_pass"
    without = f" (λ = 0: {by(control, 'kept', 'clean')} and {by(control, 'kept', 'fixed')})" if has_control else ""
    return (
        f"Trained in one pass, the row keeps {by(row, 'kept', 'clean')} on clean images and "
        f"{by(row, 'kept', 'fixed')} on fixed x'{without}, and {by(row, 'kept', 'pgd')} under PGD. "
        "How x and x' are batched, of which the paper says nothing, decides on the clean accuracy of Algorithm 1, and "
        "not on its robustness."
    )


def _online(by: By) -> str:
    def moved(row: str, under: str) -> str:
        return f"from {by(row, 'kept', under)} to {by(row, 'clean', under)}"

    return (
        "Online, x' is another one in every epoch. Still, the statistics of clean images, in place of those that "
        f"training left, take the control {moved(ONLINE_CONTROL, 'clean')} on clean images and "
        f"{moved(ONLINE_CONTROL, 'pgd')} under PGD. The row with the SNS loss goes {moved(ONLINE, 'clean')} and "
        f"{moved(ONLINE, 'pgd')}. Whether the gain of the online row in {labels.table('tbl-sns-adds')} has to do with "
        "this, the same two rows in one pass would show; they were not trained."
    )


def best_settings(panels: Mapping[str, Mapping[str, Mapping[str, Accuracy]]]) -> Markdown:
    """The value of each setting of Fig. 3b that is the most accurate under each attack.

    Args:
        panels: what is varied to its value to column to accuracy; what has one value alone is left out.
    """

    def best(values: Mapping[str, Mapping[str, Accuracy]], attack: str, label: str) -> str:
        means = {value: columns[attack].mean for value, columns in values.items()}
        low, high = min(means.values()), max(means.values())
        if low == high:
            return f"no value under {label} ({percent(high)} at all of them)"
        return f"{max(means, key=means.__getitem__)} under {label} ({percent(low)} to {percent(high)})"

    lines = [
        f"- {what}: most accurate at {', '.join(best(values, attack, label) for attack, label in ATTACKS.items())}."
        for what, values in panels.items()
        if len(values) > 1
    ]
    return Markdown("\n".join(lines))


def possible_trainings(folder: str, narrow: str) -> Markdown:
    """Which of the recorded trainings could be the paper's, case by case.

    Args:
        folder: such as "cifar10/vgg16-w1".
        narrow: a narrower network, such as "cifar10/vgg16-w0.25", whose numbers stand in brackets, or alone where the
            first has none; what neither has is marked as not run, or left out.
    """
    states, narrower = neuron_states(folder, ROWS), neuron_states(narrow, ROWS)
    at = f"at width {results.width_of(narrow)}"

    def kept(row: str, column: str) -> str:
        if row not in narrower:
            return percent(states[row][column]) if row in states else "(not run)"
        second = f"{percent(narrower[row][column])} {at}"
        return f"{percent(states[row][column])} ({second})" if row in states else second

    table1 = paper.table1()["sns_sen_adv"]
    one_pass = (
        f" Trained in one pass it keeps {kept('sns_sen_adv_one_pass', 'fixed')} of them and is right on "
        f"{kept('sns_sen_adv_one_pass', 'clean')} of the clean images, where the paper has {table1['clean']:.2f}%; "
        f"under white-box PGD it keeps {kept('sns_sen_adv_one_pass', 'pgd')}."
    )
    there = states.keys() | narrower.keys()
    return Markdown(f"""
- **To the letter.** Trained so, ours keeps {kept("sns_sen_adv", "pgd")} under white-box PGD, the paper's
  {table1["pgd"]:.2f}%. With λ = 0 it is {kept("control_adv", "pgd")}.
- **Measured on examples made beforehand.** Attacked by images that were made on the vanilla model, the same network
  keeps {kept("sns_sen_adv", "fixed")}, and its control {kept("control_adv", "fixed")}.\
{one_pass if "sns_sen_adv_one_pass" in there else ""} Of all that we measured on Algorithm 1 to the letter, this alone
  comes near the paper's numbers for $\\mathrm{{SNS}}_{{sen}}^{{adv}}$. It is no white-box attack, as which Table 1 is
  announced.
- **Made anew at every step, with locked layers.** Can a network whose conv1 to conv7 are the vanilla model's be robust
  at all? PGD training of the layers above, with λ = 0 and the budget of PAT, keeps
  {kept("control_adv_locked", "pgd")}, PAT {kept("pat", "pgd")}.
- **Made anew at every step, nothing locked.** This is PAT, started from the vanilla network, with one more term. It
  keeps {kept(ONLINE, "pgd")}, and with λ = 0 {kept(ONLINE_CONTROL, "pgd")}.{_gains(narrow)}

The paper names neither epochs nor learning rates, and ours are few. So this suggests an answer and
proves none. No code of the authors is known to us.
""")


def _gains(folder: str) -> str:
    """What the SNS loss adds online, on sensitive and on random neurons, as further sentences; "" where not run."""
    gain, random = (gain_over(folder, row, ONLINE_CONTROL) for row in (ONLINE, RANDOM))
    if gain["clean"] is None:
        return ""
    clean, pgd = readings.paper_gain().values()
    alike = (
        ": this training, which the paper does not describe, can give differences like the paper's"
        if readings.differs_like_paper(gain)
        else ""
    )
    text = (
        f" So the loss changes accuracy {_by_points(gain)} (95% intervals in brackets). "
        f"The paper's SNS differs from its PAT by {clean:+.1f} and {pgd:+.1f}{alike}."
    )
    if random["clean"] is None:
        return text
    seeds = "one seed" if len(results.by_seed(folder, "accuracy")[RANDOM]) == 1 else "several seeds"
    unneeded = (
        ": as far as that goes, most of what it adds does not need the sensitive neurons"
        if readings.does_not_need_the_sensitive(random, gain)
        else ""
    )
    return (
        f"{text} On as many neurons drawn at random ({seeds}) the same loss changes it {_by_points(random)}{unneeded}."
    )


def _by_points(gain: Mapping[str, Gain | None]) -> str:
    return f"by {in_points(gain['clean'])} points on clean images and by {in_points(gain['PGD'])} under PGD"


def inactive_neurons(folder: str) -> Markdown:
    """How many of the stabilised neurons are inactive after SNS training, and what the network keeps under PGD.

    Args:
        folder: such as "tiny-imagenet/alexnet-w0.25"; what is not recorded there is left out.
    """
    lines = (
        f"- {ROWS[row].label}: {percent(state['dead'])} of the chosen neurons are inactive for every image, and the "
        f"output of all chosen ones together is {100 * state['output']:.2g}% of that in the vanilla network. "
        f"The network keeps {percent(state['pgd'])} under PGD."
        for row, state in neuron_states(folder, ("sns_sen_cls", "sns_sen_adv")).items()
    )
    return Markdown("\n".join(lines))

"""What the chapter on attacks found: what four attacks leave of the vanilla model's accuracy."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.text import percent, radius
from snslib.claims import paper
from snslib.claims.criteria import attacks
from snslib.evaluation.misreadings import Misreadings
from snslib.study.records import Record


def vanilla_under_attack(accuracy: Record, by_eps: Record, misread: Mapping[str, Misreadings]) -> Markdown:
    """The findings of the chapter, a list.

    Args:
        accuracy: of the vanilla model, from ``measurements.accuracy``.
        by_eps: of the same model, from ``measurements.accuracy_by_eps``, with a radius of 8/255 among its radii.
        misread: attack, as the paper writes it, to what it did to some of the images.
    """
    ours, n = accuracy.result, accuracy.config["n"]
    order = attacks.strongest_first(ours)
    remaining = ", ".join(f"{percent(ours[attack])} remain under {ATTACKS[attack]}" for attack in order)
    return Markdown(f"""
- **Trained on clean images, the network is {percent(ours["clean"])} right on clean images** ({n:,} test images).
  {_lost(ours)}: {remaining}.
- {_order(order)}
- {_comparison(accuracy)}
- {_radius(accuracy, by_eps)}
- {_targets(misread)}
- This run is of one seed{_chance(n)}.
""")


def _lost(accuracy: Mapping[str, float]) -> str:
    lost = attacks.leaving_less_than_half(accuracy)
    if len(lost) == len(ATTACKS):
        return "Each of the four attacks leaves less than half of that"
    if lost:
        leave = "leaves" if len(lost) == 1 else "leave"
        return f"{_names(lost)} {leave} less than half of that, the others at least half"
    return "None of the four attacks leaves less than half of that"


def _order(order: Sequence[str]) -> str:
    printed = attacks.strongest_first(paper.table1()["vanilla"])
    same = "the same order" if order == printed else "not the same order"
    strongest = " In both, PGD is the strongest." if order[0] == printed[0] == "pgd" else ""
    return (
        f"**From strongest to weakest**, the attacks come as {_names(order)} here, and as {_names(printed)} in the "
        f"paper: {same}.{strongest}"
    )


def _comparison(accuracy: Record) -> str:
    if attacks.comparable_with_table1(accuracy):
        return "Data, network and eps are the paper's, so the two rows of the table can be compared."
    return (
        "The two rows of the table differ in data, network size or eps: they can be compared in their pattern, not in "
        "their numbers."
    )


def _radius(accuracy: Record, by_eps: Record) -> str:
    left = percent(accuracy.result["pgd"])
    if attacks.is_at_paper_eps(accuracy):
        return f"At eps 8/255, as in the paper, PGD leaves {left}."
    eps = radius(accuracy.config["attack"]["eps"])
    at_8 = percent(by_eps.result[by_eps.config["epsilons"].index(attacks.PAPER_EPS)])
    return (
        f"At the paper's eps of 8/255, PGD leaves {at_8} on this data; at {eps} it leaves {left}. An "
        f"eps means little without the data that it is used on."
    )


def _targets(misread: Mapping[str, Misreadings]) -> str:
    step_ll, mi_fgsm = (misread[attack] for attack in attacks.TARGETED)
    if attacks.mislead_more_than_arrive(misread):
        sentence = "they mislead more often than they arrive."
    else:
        sentence = "what is misread is mostly where the attack wanted it."
    return (
        f"The targeted attacks take {100 * step_ll.at_target:.0f}% (Step-LL) and {100 * mi_fgsm.at_target:.0f}% "
        f"(MI-FGSM) of {step_ll.images} images to the least likely class, while {100 * step_ll.misread:.0f}% and "
        f"{100 * mi_fgsm.misread:.0f}% are misread: {sentence}"
    )


def _chance(n: int) -> str:
    return f" and {n:,} images: a difference of two points is within chance" if attacks.two_points_are_chance(n) else ""


def _names(names: Sequence[str]) -> str:
    return ", ".join(ATTACKS[attack] for attack in names)

"""What every reading of Algorithm 1 came to: which neurons are left, and whether any reading is robust."""

from collections.abc import Iterable, Mapping

from IPython.display import Markdown

from snslib.book.findings.robustness import NOT_RUN, RULE
from snslib.book.text import percent
from snslib.claims.criteria.robust import is_robust
from snslib.claims.numbers.robustness import lowest_accuracy
from snslib.claims.numbers.stabilised import neuron_states
from snslib.claims.readings import EVERY_ROW
from snslib.study.rows import READINGS, ROWS
from snslib.training.objectives import ANEW

State = Mapping[str, float]


def all_readings(folder: str) -> Markdown:
    """What becomes of neurons that are chosen anew at every step, which readings are robust, and what was not trained.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    states = neuron_states(folder, EVERY_ROW, every=True)
    if "pat" not in states:
        return Markdown(NOT_RUN)
    paragraphs = [*_reselected(states), *_robust(folder, states), _left_out(states)]
    return Markdown("\n\n".join(paragraphs))


def _reselected(states: Mapping[str, State]) -> Iterable[str]:
    """What became of the neurons where they are chosen anew at every step, reading by reading."""
    found = [
        f"- {ROWS[row].label}: {percent(state['dead'])} of all neurons in the stabilised layers. It is right on "
        f"{percent(state['clean'])} of the clean images, and on {percent(state['pgd'])} under PGD."
        for row, state in states.items()
        if row in READINGS and ROWS[row].changes.get("neurons") in ANEW
    ]
    if found:
        yield (
            "**Chosen anew at every step.** If the neurons are chosen once, a network can lower Eq. 9 by switching off "
            "just these. Choosing again from every batch might close that way. But a neuron that is off has no "
            "sensitivity, so that the next choice falls on others, and they can be switched off in turn. Inactive for "
            "every test image after such a training are:"
        )
        yield "\n".join(found)


def _robust(folder: str, states: Mapping[str, State]) -> Iterable[str]:
    """The readings that are robust after all attacks, and how those of Eq. 10 compare with PAT."""
    lowest = lowest_accuracy(folder, states)
    robust = [row for row, found in lowest.items() if is_robust(found.lowest, found.n)]
    listed = "; ".join(f"{ROWS[row].label} ({percent(lowest[row].lowest)})" for row in robust) or "none"
    yield (
        f"**After all attacks**, {len(robust)} of the {len(lowest)} networks that went through AutoAttack are robust: "
        f"the 95% interval of their {RULE}. In brackets is what the strongest attack leaves: {listed}."
    )
    clean = [row for row in lowest if ROWS[row].defense in ("sns_sen_cls", "sns_all_cls")]
    if clean and "pat" in lowest:
        best = max(clean, key=lambda row: lowest[row].lowest)
        yield (
            f"Of the readings of Eq. 10, which learns labels from clean images alone, {ROWS[best].label} keeps the "
            f"most: {percent(lowest[best].lowest)} under {lowest[best].attack}, and is right on "
            f"{percent(states[best]['clean'])} of the clean images; PAT keeps {percent(lowest['pat'].lowest)} and "
            f"{percent(states['pat']['clean'])}."
        )


def _left_out(states: Mapping[str, State]) -> str:
    missing = [ROWS[row].label for row in EVERY_ROW if row not in states]
    text = "Each row is one network, but where the table says more; what another seed would give, it does not show."
    return f"{text} Not trained yet: {'; '.join(missing)}." if missing else text

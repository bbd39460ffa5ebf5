"""The table of every reading of Algorithm 1 that was trained."""

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import digits, percent, with_seeds
from snslib.claims.numbers.robustness import accuracies_by_seed
from snslib.claims.numbers.stabilised import neuron_states
from snslib.claims.readings import BY_TRAINING, EVERY_ROW


def all_readings(folder: str) -> Markdown:
    """Accuracy under all attacks and the state of the neurons, for every reading that is recorded, by its training.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; what is not recorded there has no line.
    """
    chosen, every = (neuron_states(folder, EVERY_ROW, all_of_them) for all_of_them in (False, True))
    accuracies = {row: accuracies_by_seed(folder, row) for row in chosen}
    columns = max((list(of_row) for of_row in accuracies.values()), key=len, default=["clean"])
    lines = []
    for training, group in BY_TRAINING.items():
        lines.append([f"*{training}*", *[""] * (len(columns) + 3)])
        for label, row in group.items():
            if row in chosen:
                kept = (percent(accuracies[row][c].mean)[:-1] if c in accuracies[row] else "–" for c in columns)
                dead = (percent(states[row]["dead"])[:-1] for states in (chosen, every))
                name = with_seeds(label, int(chosen[row]["seeds"]))
                lines.append([name, *kept, *dead, digits(every[row]["relative"])])
    caption = (
        "Recorded: every reading of Algorithm 1 that was trained, grouped by its training. Accuracy in percent, on all "
        "test images and, under the last two attacks, on the first 1,000; percent of the chosen neurons and of all "
        "neurons in the stabilised layers that are inactive for every test image; and the sensitivity of the latter "
        "under PGD relative to their clean output. Of neurons that are re-selected or redrawn at every step, *chosen* "
        "are those of the first choice. In one pass, x and x' are normalised together."
    )
    return markdown_table(
        ["neurons", *columns, "dead of chosen", "dead of all", "rel. σ"], lines, caption, "tbl-all-readings"
    )

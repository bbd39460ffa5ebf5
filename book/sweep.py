"""Run a notebook for every combination of some parameters, in parallel, and put what came out side by side.

    python book/sweep.py NOTEBOOK "NAME=VALUE,VALUE ..." [NAME=VALUE ...]

The first argument names a notebook without its ending, the second the grid, the others are parameters of every run.
Into `sweeps/NOTEBOOK/` go the executed notebooks, `accuracy.csv` with one line per run, and `accuracy.svg`. A run whose
notebook is there already is not repeated.
"""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import joblib
import matplotlib.pyplot as plt
import papermill
from execute import ROOT, VariableError, parse_variables
from matplotlib.figure import Figure
from papermill.exceptions import PapermillExecutionError
from sklearn.model_selection import ParameterGrid

from snslib.book.figures import use_style
from snslib.book.figures.fig3b import COLUMNS
from snslib.study import measurements as measure
from snslib.study import settings
from snslib.study.networks import Networks


def parse_grid(text: str) -> list[dict[str, Any]]:
    """All combinations of the values in "lam=1,5 fraction=0.1,0.2", each as parameters of a notebook.

    Raises VariableError where a part has another form, a value comes twice, or there is none.
    """
    choices: dict[str, list[Any]] = {}
    for part in text.split():
        name, equals, values = part.partition("=")
        if not equals or not name.isidentifier():
            raise VariableError(f"{part!r}: values are given as NAME=VALUE,VALUE")
        parsed = [parse_variables([f"{name}={value}"])[name.lower()] for value in values.split(",")]
        if len(set(map(str, parsed))) < len(parsed):
            raise VariableError(f"{part!r}: each value once")
        choices[name.lower()] = parsed
    if not choices:
        raise VariableError("the grid is empty; expected for example 'lam=1,5 fraction=0.05,0.1'")
    return list(ParameterGrid(choices))


def run(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Run a notebook with one process's share of the cores, unless its result is there."""
    if target.exists():
        return
    partial = target.with_suffix(".partial.ipynb")
    kernel = {"kernel_name": "python3", "language": "python"}
    papermill.execute_notebook(source, partial, parameters, progress_bar=False, cwd=ROOT, **kernel)
    os.replace(partial, target)


def accuracies(points: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The accuracy record of each run's defense, which its notebook has made."""
    found = []
    for point in points:
        fields = {name: value for name, value in point.items() if name != "defense"}
        networks = Networks(settings.from_parameters(fields))
        found.append(measure.accuracy(networks, point.get("defense", "sns_sen_adv")).result)
    return found


def draw(labels: list[str], shares: list[dict[str, float]]) -> Figure:
    """Accuracy of every run, clean and under the four attacks."""
    use_style()
    fig, ax = plt.subplots(figsize=(7.5, 1.2 + 0.4 * len(labels)))
    for (column, label), marker in zip(COLUMNS.items(), "osPD^", strict=True):
        ax.plot([100 * share[column] for share in shares], range(len(labels)), marker, label=label)
    ax.set(xlabel="accuracy, %", xlim=(-3, 103), ylim=(len(labels) - 0.5, -0.5))
    ax.set_yticks(range(len(labels)), labels)
    fig.legend(loc="outside upper center", ncols=len(COLUMNS))
    plt.close(fig)
    return fig


def main() -> None:
    try:
        if len(sys.argv) < 3:
            raise VariableError(
                'expected a notebook and a grid, for example 04_sns_training "lam=1,5 fraction=0.05,0.1"'
            )
        name, grid, *others = sys.argv[1:]
        shared, points = parse_variables(others), parse_grid(grid)
        source, folder = ROOT / "notebooks" / f"{name}.ipynb", ROOT / "sweeps" / name
        if not source.exists():
            known = ", ".join(sorted(path.stem for path in source.parent.glob("*.ipynb")))
            raise VariableError(f"no notebook {name!r}; there are {known}")
        folder.mkdir(parents=True, exist_ok=True)
        given = [shared | point for point in points]
        labels = [", ".join(f"{key}={value}" for key, value in point.items()) for point in points]
        stems = ["_".join(f"{key}-{value}" for key, value in all_of.items()).replace("/", "over") for all_of in given]
        targets = [folder / f"{stem}.ipynb" for stem in stems]
        run(source, targets[0], given[0])  # trains what the others start from, too
        jobs = max(1, (os.cpu_count() or 1) // 2)
        rest = zip(targets[1:], given[1:], strict=True)
        joblib.Parallel(jobs)(joblib.delayed(run)(source, target, parameters) for target, parameters in rest)
        shares = accuracies(given)
    except VariableError as error:
        sys.exit(f"error: {error}")
    except (ValueError, PapermillExecutionError) as error:
        sys.exit(str(error))
    with open(folder / "accuracy.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*points[0], *COLUMNS])
        writer.writerows(
            [*point.values(), *(share[column] for column in COLUMNS)]
            for point, share in zip(points, shares, strict=True)
        )
    draw(labels, shares).savefig(folder / "accuracy.svg")
    for label, share in zip(labels, shares, strict=True):
        print(f"{label}: " + ", ".join(f"{COLUMNS[column]} {100 * value:.2f}%" for column, value in share.items()))
    print(f"Notebooks, table and figure are in {folder}")


if __name__ == "__main__":
    main()

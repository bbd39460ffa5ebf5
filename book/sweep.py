"""Run a notebook for every combination of some parameters, in parallel, and put what came out side by side.

    python book/sweep.py NOTEBOOK "NAME=VALUE,VALUE ..." [NAME=VALUE ...]

The first argument names a notebook without its ending, the second the grid, the others are parameters of every run.
Into `sweeps/NOTEBOOK/` go the executed notebooks, and for each sweep a table with one line per run and a figure,
`accuracy_NAME-VALUE,VALUE_NAME-VALUE.csv` and `.svg`. A run whose notebook is there already is not repeated: the same
command goes on after an interruption.
"""

import csv
import hashlib
import os
import sys
import time
from collections.abc import Mapping
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
from snslib.study.settings import Settings


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


def name_of(values: Mapping[str, Any]) -> str:
    """What files are called that depend on these parameters; a long name is cut and told apart by a checksum."""
    name = "_".join(f"{key}-{value}" for key, value in values.items()).replace("/", "over")
    return name if len(name) <= 150 else f"{name[:140]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run(source: Path, target: Path, parameters: dict[str, Any], title: str) -> str:
    """Run a notebook with one process's share of the cores, and return its title when it is done."""
    print(f"{title}: running", flush=True)
    partial = target.with_suffix(".partial.ipynb")
    kernel = {"kernel_name": "python3", "language": "python"}
    papermill.execute_notebook(source, partial, parameters, progress_bar=False, cwd=ROOT, **kernel)
    os.replace(partial, target)
    return title


def run_all(source: Path, folder: Path, points: list[dict[str, Any]], labels: list[str]) -> None:
    """Run a notebook for every point that has no result yet, several at once, and say how far that is.

    The first one runs alone: it trains what the others start from, too.
    """
    tasks = []
    for place, (point, label) in enumerate(zip(points, labels, strict=True), start=1):
        title, target = f"[{place}/{len(points)}] {label}", folder / f"{name_of(point)}.ipynb"
        if target.exists():
            print(f"{title}: is there already", flush=True)
        else:
            tasks.append(joblib.delayed(run)(source, target, point, title))
    began, jobs = time.monotonic(), max(1, (os.cpu_count() or 1) // 2)
    parallel = joblib.Parallel(jobs, return_as="generator_unordered")
    finished = (title for some in (tasks[:1], tasks[1:]) for title in parallel(some))
    for done, title in enumerate(finished, start=1):
        spent, rest = time.monotonic() - began, len(tasks) - done
        print(f"{title}: done; {spent:.0f} s so far, about {spent / done * rest:.0f} s left", flush=True)


def settings_of(point: dict[str, Any]) -> Settings:
    """The settings of a run."""
    return settings.from_parameters({name: value for name, value in point.items() if name != "defense"})


def accuracies(points: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The accuracy record of each run's defense, which its notebook has made."""
    of_points = [(Networks(settings_of(point)), point.get("defense", "sns_sen_adv")) for point in points]
    return [measure.accuracy(networks, defense).result for networks, defense in of_points]


def draw(title: str, labels: list[str], shares: list[dict[str, float]]) -> Figure:
    """Accuracy of every run, clean and under the four attacks; the title says what they have in common."""
    use_style()
    fig, ax = plt.subplots(figsize=(7.5, 1.2 + 0.4 * len(labels)))
    for (column, label), marker in zip(COLUMNS.items(), "osPD^", strict=True):
        ax.plot([100 * share[column] for share in shares], range(len(labels)), marker, label=label)
    ax.set(xlabel="accuracy, %", xlim=(-3, 103), ylim=(len(labels) - 0.5, -0.5))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_title(title, fontsize="small", loc="left", wrap=True)
    fig.legend(loc="outside upper center", ncols=len(COLUMNS))
    plt.close(fig)
    return fig


def listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


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
        labels = [listed(point) for point in points]
        seeds = [settings_of(point).seed for point in given]  # a bad value ends here
        run_all(source, folder, given, labels)
        shares = accuracies(given)
    except VariableError as error:
        sys.exit(f"error: {error}")
    except (ValueError, PapermillExecutionError) as error:
        sys.exit(str(error))
    rows = [{**point, "seed": seed, **share} for point, seed, share in zip(given, seeds, shares, strict=True)]
    choices = {key: ",".join(dict.fromkeys(str(point[key]) for point in points)) for key in points[0]}
    stem = folder / f"accuracy_{name_of(shared | choices)}"
    with open(f"{stem}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    in_common = {**shared, "seed": seeds[0]} if "seed" not in points[0] else shared
    draw(listed({"notebook": name} | in_common), labels, shares).savefig(f"{stem}.svg")
    for label, share in zip(labels, shares, strict=True):
        print(f"{label}: " + ", ".join(f"{COLUMNS[column]} {100 * value:.2f}%" for column, value in share.items()))
    print(f"Table and figure are {stem}.csv and .svg, the notebooks beside them")


if __name__ == "__main__":
    main()

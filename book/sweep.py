"""Run a notebook for every combination of some parameters, in parallel, and put what came out side by side.

    python book/sweep.py NOTEBOOK "NAME=VALUE,VALUE ..." [NAME=VALUE ...] [SCHEDULER=tcp://HOST:8786]

The first argument names a notebook without its ending, the second the grid, the others are parameters of every run.
With SCHEDULER, the workers of a Dask cluster run them.
Into `sweeps/NOTEBOOK/` go the executed notebooks, and for each sweep a table with one line per run and a figure,
`accuracy_NAME-VALUE,VALUE_NAME-VALUE.csv` and `.svg`. As in the book, a notebook that is there is run again only when
what it depended on has changed, or it itself: the same command goes on after an interruption. Of several sweeps of one
notebook each waits for the one before.
"""

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import execute
import joblib
import matplotlib.pyplot as plt
from execute import ROOT, KernelDiedError, VariableError, parse_variables
from matplotlib.figure import Figure
from points import Run, networks_of, run_on, settings_of
from sklearn.model_selection import ParameterGrid

from snslib import files
from snslib.book.figures import use_style
from snslib.book.figures.fig3b import COLUMNS
from snslib.book.figures.style import literal
from snslib.study import measurements as measure


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
    """What files are called that depend on these parameters, in letters that lead nowhere: "eps-8over255" for 8/255.

    A name that is long, or has other letters, is cut down to what is left and told apart by a checksum.
    """
    given = "_".join(f"{key}-{value}" for key, value in values.items())
    name = re.sub(r"(?<=\d)/(?=\d)", "over", given)
    if len(name) <= 150 and re.fullmatch(r"[\w.,+-]+", name, re.ASCII) and "over" not in given:
        return name
    kept = re.sub(r"[^\w.,+-]+", "", name, flags=re.ASCII)[:140]
    return f"{kept}_{hashlib.sha256(given.encode(errors='surrogatepass')).hexdigest()[:8]}"


def run(root: Path, source: Path, target: Path, parameters: dict[str, Any], digest: str, title: str) -> str:
    """Run a notebook with one process's share of the cores, and return its title when it is done."""
    print(f"{title}: running", flush=True)
    execute.run_and_record(root, source, target, parameters, digest, shown=False)
    return title


def run_all(
    source: Path, folder: Path, points: list[dict[str, Any]], labels: list[str], scheduler: str | None = None
) -> None:
    """Run a notebook for every point that has no result of just that yet, several at once, and say how far that is.

    The first one runs alone: it trains what the others start from, too. They run here, or on the workers of a
    scheduler. Raises PapermillExecutionError where a cell raises, EndedEarlyError where the sweep is ended from
    outside, and with a scheduler what points.run_on does.
    """
    notebook, done = execute.read_notebook(source), 0
    runs: dict[str, Run] = {}
    for place, (point, label) in enumerate(zip(points, labels, strict=True), start=1):
        title, target = f"[{place}/{len(points)}] {label}", folder / f"{name_of(point)}.ipynb"
        digest = execute.run_digest(execute.ROOT, notebook, point)
        if execute.up_to_date(target, digest):
            print(f"{title}: is there already", flush=True)
        else:
            runs[title] = (target, point, digest)
    there, began = len(points) - len(runs), time.monotonic()

    def finished() -> str:
        return f"{there + done} of {len(points)} runs are finished and kept in {folder}, as are the models of all."

    with execute.ending_in_words(finished):
        if scheduler is not None:
            ended = run_on(scheduler, source, runs)
        else:
            ended = results_of([joblib.delayed(run)(ROOT, source, *one, title) for title, one in runs.items()])
        for done, title in enumerate(ended, start=1):
            spent, rest = time.monotonic() - began, len(runs) - done
            print(f"{title}: done; {spent:.0f} s so far, about {spent / done * rest:.0f} s left", flush=True)


def results_of(tasks: list[Any]) -> Iterator[Any]:
    """What tasks return, as they end: the first of them alone, then the others at once; KernelDiedError if one dies."""
    quiet = "ignore::UserWarning:joblib.externals.loky.backend.resource_tracker"  # of semaphores, after Ctrl-C
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (quiet, os.environ.get("PYTHONWARNINGS"))))
    parallel = joblib.Parallel(max(1, (os.cpu_count() or 1) // 2), return_as="generator_unordered")
    try:
        for some in (tasks[:1], tasks[1:]):
            yield from parallel(some)
    except BrokenProcessPool as error:
        raise KernelDiedError("a process that ran a notebook died") from error


def accuracies(points: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The accuracy record of each run's defense, which its notebook has made."""
    return [measure.accuracy(*networks_of(point)).result for point in points]


def draw(title: str, labels: list[str], shares: list[dict[str, float]]) -> Figure:
    """Accuracy of every run, clean and under the four attacks; the title says what they have in common."""
    use_style()
    fig, ax = plt.subplots(figsize=(7.5, 1.2 + 0.4 * len(labels)))
    for (column, label), marker in zip(COLUMNS.items(), "osPD^", strict=True):
        ax.plot([100 * share[column] for share in shares], range(len(labels)), marker, label=label)
    ax.set(xlabel="accuracy, %", xlim=(-3, 103), ylim=(len(labels) - 0.5, -0.5))
    ax.set_yticks(range(len(labels)), list(map(literal, labels)))
    ax.set_title(literal(title), fontsize="small", loc="left", wrap=True)
    fig.legend(loc="outside upper center", ncols=len(COLUMNS))
    plt.close(fig)
    return fig


def listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def main() -> None:
    execute.program(lambda: sweep(sys.argv[1:]))


def sweep(arguments: list[str]) -> None:
    """Run what is asked for and write table and figure; VariableError or ValueError where it cannot be."""
    if len(arguments) < 2:
        raise VariableError('expected a notebook and a grid, for example 04_sns_training "lam=1,5 fraction=0.05,0.1"')
    name, grid, *others = arguments
    shared, points = parse_variables(others), parse_grid(grid)
    scheduler = shared.pop("scheduler", None)
    sources = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    if name not in sources:
        raise VariableError(f"no notebook {name!r}; there are {', '.join(sources)}")
    given = [shared | point for point in points]
    labels = [listed(point) for point in points]
    seeds = [settings_of(point).seed for point in given]  # a bad value ends here
    folder = ROOT / "sweeps" / name
    with execute.alone(folder / ".lock", f"sweep of {name}"):
        run_all(sources[name], folder, given, labels, scheduler)
        shares = accuracies(given)
        rows = [{**point, "seed": seed, **share} for point, seed, share in zip(given, seeds, shares, strict=True)]
        choices = {key: ",".join(dict.fromkeys(str(point[key]) for point in points)) for key in points[0]}
        stem = folder / f"accuracy_{name_of(shared | choices)}"
        in_common = {**shared, "seed": seeds[0]} if "seed" not in points[0] else shared
        figure = draw(listed({"notebook": name} | in_common), labels, shares)
        write(stem, files.as_csv([[*rows[0]], *([*row.values()] for row in rows)]), figure)
    for label, share in zip(labels, shares, strict=True):
        print(f"{label}: " + ", ".join(f"{COLUMNS[column]} {100 * value:.2f}%" for column, value in share.items()))
    print(f"Table and figure are {stem}.csv and .svg, the notebooks beside them")


def write(stem: Path, table: str, figure: Figure) -> None:
    """Write a table and a figure, each beside its place and moved there when it is whole."""
    beside = stem.with_name(".partial")
    beside.write_text(table, encoding="utf-8", newline="")
    os.replace(beside, f"{stem}.csv")
    figure.savefig(beside, format="svg")
    os.replace(beside, f"{stem}.svg")


if __name__ == "__main__":
    main()

"""``python -m snslib``: train a model, test it, measure its neurons or those of any model, grade, look after the cache.

All but ``neurons``, ``grade`` and ``cache`` run in one process or in those of torchrun.
"""

import argparse
import re
import shlex
import sys
import typing
from collections.abc import Collection, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from snslib import ending
from snslib.arguments import parse
from snslib.attacks import ATTACKS
from snslib.exercises.grading import grade as grading
from snslib.exercises.grading import report as grades
from snslib.profile import measure as any_model
from snslib.profile import options as profile_options
from snslib.sensitivity import top_neurons
from snslib.study import cache as caches
from snslib.study import measurements as measure
from snslib.study import over_machines, records, settings, side_by_side
from snslib.study.defenses import DEFENSES
from snslib.study.networks import Networks
from snslib.study.records import Record
from snslib.study.rows import ROWS, folder_of
from snslib.study.settings import Settings
from snslib.training import datasets, parallel, pretrained

PROGRAM = "python -m snslib"
SPLITS = ("test", "train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or else that of :func:`snslib.ending.run`, which says why in one line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = ending.command_line() if arguments is None else f"{PROGRAM} {shlex.join(words)}"
    kept = "" if words[:1] in (["neurons"], ["grade"]) else "what was trained and measured before is kept"
    return ending.run(partial(_run, words), PROGRAM, command, kept, debug="--debug" in words)


def _run(words: list[str]) -> int:
    options = vars(_parser(words).parse_args(words))
    if options["command"] == "neurons":
        print("\n".join(neurons({name: options[name] for name in profile_options.options()})))
        return 0
    if options["command"] == "grade":
        print("\n".join(grade(options)))
        return 0
    if options["command"] == "cache":
        print("\n".join(cache(options["out"], options["clear"], options["older_than"])))
        return 0
    with parallel.process_group(options["device"]):
        first = parallel.rank() == 0
        run = settings.from_parameters({field.name: options[field.name] for field in fields(Settings)})
        networks = Networks(run, options["out"], _progress if first else _nothing)
        for name, used in settings.missing(run, networks.data).items():
            networks.progress(f"{name}: {used}")
        lines = COMMANDS[options["command"]][1](networks, options)
        if first:
            print("\n".join(lines))
    return 0


def train(networks: Networks, options: dict[str, Any]) -> list[str]:
    """Where the model is; trained first where it is not there."""
    networks.model(options["defense"])
    return [str(networks.model_path(options["defense"]))]


def evaluate(networks: Networks, options: dict[str, Any]) -> list[str]:
    """Accuracy in percent, clean and under the four attacks, and where the record is."""
    record = measure.accuracy(networks, options["defense"])
    table = [f"{name:<8} {100 * share:6.2f} %" for name, share in record.result.items()]
    return [*table, _path(networks, record)]


def sensitivity(networks: Networks, options: dict[str, Any]) -> list[str]:
    """Per layer the mean sensitivity and the sensitive neurons, the most sensitive first, and where the record is."""
    record = measure.sensitivity(networks, options["defense"], options["attack"], options["split"])
    sigma = {layer: torch.tensor(values) for layer, values in record.result["sigma"].items()}
    omega = top_neurons(sigma, fraction=networks.settings.fraction)
    width = max(map(len, sigma))
    lines = [f"{'layer':<{width}}     mean  sensitive neurons"]
    for layer, values in sigma.items():
        lines.append(f"{layer:<{width}} {values.mean():8.4g}  {' '.join(map(str, omega[layer].tolist()))}")
    return [*lines, _path(networks, record)]


def reproduce(networks: Networks, options: dict[str, Any]) -> list[str]:
    """Where the rows are; each is trained, published and measured first where that is missing."""
    rows = options["rows"].split(",") if options["rows"] else None
    hours = float("inf") if options["hours"] is None else parse("hours", options["hours"], float)
    jobs = 1 if options["jobs"] is None else parse("jobs", options["jobs"], int)
    where = (networks.settings, networks.folder, rows, hours, networks.progress)
    if options["scheduler"] is None:
        side_by_side.reproduce(*where, jobs)
    else:
        for name in ("jobs", "device"):
            if options[name] is not None:
                remedy = f"leave out --{name}"
                raise ValueError(f"{name}: with --scheduler a worker does one row on its own device; {remedy}")
        over_machines.reproduce(options["scheduler"], *where)
    return [str(pretrained.RESULTS / folder_of(networks.settings))]


def neurons(options: dict[str, Any]) -> list[str]:
    """Accuracy in percent, per layer its sensitivity and most sensitive neurons, and where the report is."""
    out = options["out"] or f"neurons-{Path(options['network'].rpartition(':')[2]).name}"
    try:
        found = any_model.profile(**profile_options.from_parameters(options | {"out": out}), progress=_progress)
    except ValueError as error:
        raise ValueError(re.sub("^model:", "network:", str(error))) from error  # what the option is called
    width = max(map(len, found.sigma))
    lines = [f"clean    {100 * found.clean:6.2f} %", f"pgd      {100 * found.attacked:6.2f} %"]
    lines.append(f"{'layer':<{width}} neurons     mean  most sensitive")
    for layer, values in found.sigma.items():
        top = " ".join(map(str, found.omega[layer].tolist()[:5]))
        lines.append(f"{layer:<{width}} {len(values):7} {values.mean():8.4g}  {top}")
    return [*lines, str(Path(out).expanduser() / "report.html")]


def grade(options: dict[str, Any]) -> list[str]:
    """Per student the points, and where the table and the page are."""
    folder: Path = options["folder"].expanduser()
    out = Path(options["out"] or f"grades-{folder.resolve().name}").expanduser()
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"out: {out} lies among the hand-ins, and would be taken for one; name another folder")
    limits = {name: parse(name, options[name], float) for name in ("timeout", "memory") if options[name] is not None}
    seed = None if options["seed"] is None else parse("seed", options["seed"], int)
    verdicts, seed = grading.grade(folder, **limits, seed=seed, points=options["points"], progress=_progress)
    grades.write(out, verdicts, seed)
    lines = [f"{student}: {points}" for student, _, points in grades.totals(verdicts)]
    lines.append(f"with --seed {seed} the same tasks come again")
    return [*lines, str(out / grades.CSV), str(out / grades.PAGE)]


def cache(out: Path | None, clear: str | None, older_than: str | None) -> list[str]:
    """What lies in the cache and among the data sets, and what is damaged; or what was removed of it."""
    days = None if older_than is None else parse("older_than", older_than, float)
    if clear is None and days is not None:
        raise ValueError(f"older_than: goes with --clear {'|'.join(caches.CLEARABLE)}")
    found = caches.look_over(out)
    if clear is not None:
        return caches.clear(found, clear, days)
    where = f"{out or records.default_folder()}, and data sets in {datasets.default_root()}"
    return [where, *caches.table(found)]


COMMANDS = {
    "train": ("train a model, or find it, and print where it is", train),
    "evaluate": ("print a model's accuracy on test images, clean and under the four attacks", evaluate),
    "reproduce": ("train and measure every row of Table 1 or 2 with its controls, into results/", reproduce),
    "sensitivity": ("print how sensitive a model's neurons are, and which are the most sensitive", sensitivity),
}

EXAMPLES = {  # of their arguments
    "train": "--profile cifar10 --defense sns_sen_adv --lam 5 --out models",
    "evaluate": "--profile cifar10-small --defense pat --eps 4/255 --n-test 1000",
    "reproduce": "--profile cifar10-small --rows pat,alp --hours 8",
    "sensitivity": "--defense vanilla --attack fgsm --split train --fraction 0.2",
    "neurons": "--network torchvision:resnet50 --weights resnet50.pth --data photos --out report",
    "grade": "submitted --timeout 30 --points points.toml",
    "cache": "--clear leftovers --older-than 7",
}


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROGRAM, description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    profile = _profile(arguments)
    shown = dict(settings.table(profile))
    for name, (about, _) in COMMANDS.items():
        command = _add_command(commands, name, about)
        if name == "reproduce":
            text = f"of {', '.join(ROWS)} (all that the network can have)"
            command.add_argument("--rows", metavar="NAME,...", help=text)
            command.add_argument("--hours", metavar="NUMBER", help="begin nothing after so many")
            text = "rows at once, each in a process of its own (1)"
            command.add_argument("--jobs", metavar="N", help=text)
            text = "of a Dask cluster, tcp://HOST:8786; each of its workers does a row at a time"
            command.add_argument("--scheduler", metavar="ADDRESS", help=text)
        else:
            text = "of the model, which is trained where it is missing"
            _add_choice(command, "defense", DEFENSES, "sns_sen_adv", text)
        if name == "sensitivity":
            _add_choice(command, "attack", ATTACKS, "pgd", "that moves the neurons")
            _add_choice(command, "split", SPLITS, "test", "images, of which train are those that select the neurons")
        out = f"where models and records are kept ({records.default_folder()})"
        command.add_argument("--out", type=Path, metavar="FOLDER", help=out)
        group = command.add_argument_group("settings", f"In brackets: as the profile {profile.profile} has them.")
        for field, hint in typing.get_type_hints(Settings, include_extras=True).items():
            kind, text = typing.get_args(hint)
            metavar = {bool: "BOOL", int: "N", float: "NUMBER", str: "NAME"}[next(iter(typing.get_args(kind)), kind)]
            default = "" if getattr(profile, field) is None else f" ({shown[field]})"
            group.add_argument(_option(field), metavar=metavar, help=text + default)
    _add_neurons(commands)
    _add_grade(commands)
    _add_cache(commands)
    return parser


def _add_neurons(commands: Any) -> None:
    about = "attack any network, measure every neuron, and write two tables and a page"
    command = _add_command(commands, "neurons", about)
    for name, (_, text) in profile_options.options().items():
        text += " (neurons-NAME)" * (name == "out")
        command.add_argument(_option(name), metavar="VALUE", required=name in ("network", "data"), help=text)


def _add_grade(commands: Any) -> None:
    about = "run students' hand-ins apart, judge them on tasks that they have not seen, and write a table and a page"
    command = _add_command(commands, "grade", about)
    text = "with a notebook (.ipynb), a script (.py) or a folder of them per student"
    command.add_argument("folder", type=Path, metavar="FOLDER", help=text)
    for name, metavar, text in (
        ("timeout", "SECONDS", "for a hand-in's definitions, and for each exercise (60)"),
        ("memory", "GIB", "that a hand-in may take besides Python and PyTorch (2)"),
        ("seed", "N", "of the tasks (drawn, and told at the end)"),
        ("out", "FOLDER", "for grades.csv and grades.html (grades-NAME)"),
    ):
        command.add_argument(_option(name), metavar=metavar, help=text)
    text = "of points per exercise, instead of snslib/exercises/grading/points.toml"
    command.add_argument("--points", type=Path, metavar="FILE", help=text)


def _add_cache(commands: Any) -> None:
    command = _add_command(commands, "cache", "list models, records and data sets, what is damaged, and clear them")
    command.add_argument("--out", type=Path, metavar="FOLDER", help=f"of the cache ({records.default_folder()})")
    text = f"{', '.join(caches.CLEARABLE)}: what to remove, but for what a process is working on and your own data sets"
    command.add_argument("--clear", metavar="KIND", choices=caches.CLEARABLE, help=text)
    command.add_argument("--older-than", metavar="DAYS", help="of that, only what was written longer ago")


def _add_command(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    example = f"example: {PROGRAM} {name} {EXAMPLES[name]}"
    command = commands.add_parser(name, help=about, description=about, epilog=example, allow_abbrev=False)
    debug = f"show the traceback of what goes wrong, as the environment variable {ending.DEBUG} does"
    command.add_argument("--debug", action="store_true", help=debug)
    return command


def _add_choice(command: argparse.ArgumentParser, name: str, known: Collection[str], default: str, text: str) -> None:
    about = f"{', '.join(known)}: {text} ({default})"
    command.add_argument(_option(name), metavar="NAME", choices=list(known), default=default, help=about)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _profile(arguments: list[str]) -> Settings:
    """The profile that the arguments ask for, whose values --help shows; digits where there is none of that name."""
    early = argparse.ArgumentParser(PROGRAM, add_help=False, allow_abbrev=False)
    early.add_argument("--profile")
    early.add_argument("--dataset")
    asked, _ = early.parse_known_args(arguments)
    return settings.PROFILES.get(asked.profile or asked.dataset, settings.PROFILES["digits"])


def _path(networks: Networks, record: Record) -> str:
    return str(records.record_path(networks.folder, record.what, record.config))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _nothing(line: str) -> None:
    """Drops the progress of all processes but the first."""


if __name__ == "__main__":
    ending.leave(main())

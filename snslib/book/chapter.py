"""The first cell of a chapter: check its parameters, show its settings, set the style of its figures."""

import ast
import difflib
import types
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from IPython.display import Markdown, display

from snslib import arguments
from snslib.book import terminal
from snslib.book.figures import use_style
from snslib.book.text import in_a_cell, plain
from snslib.profile import options
from snslib.study import results, settings
from snslib.study.defenses import DEFENSES
from snslib.study.networks import Networks
from snslib.study.settings import Settings

STABILISED = tuple(name for name, defense in DEFENSES.items() if defense.starts_from)  # the values of "defense"
DEFAULTS = {  # of the parameters that are no settings: which rows of results/ are shown, and which SNS is trained
    "recorded": "cifar10/vgg16-w1",
    "recorded_narrow": "cifar10/vgg16-w0.25",
    "recorded_alexnet": "tiny-imagenet/alexnet-w0.25",
    "recorded_resnet18": "cifar10/resnet18-w0.25",
    "defense": "sns_sen_adv",
}


class ParameterError(ValueError):
    """A parameter that a chapter does not have, or a bad value: what is wrong, in one line."""

    def _render_traceback_(self) -> list[str]:
        """What IPython and papermill show instead of a traceback, which would lead into snslib and not to the cell."""
        return [f"{type(self).__name__}: {self}"]


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Raises a ValueError as a ParameterError."""
    try:
        yield
    except ValueError as error:
        raise ParameterError(" ".join(str(error).split())) from None


@_in_one_line()
def begin(namespace: MutableMapping[str, Any]) -> Networks:
    """The networks that a chapter is about; called right after its parameters, it shows their settings.

    The progress of training and measuring is shown in the cell, and in the terminal where papermill runs the chapter.

    Args:
        namespace: the notebook's ``globals()``. It may hold any field of :class:`snslib.study.settings.Settings` and
            any of DEFAULTS; those of the latter that it lacks are added to it.

    Raises:
        ParameterError: an unknown parameter or a bad value, named.
    """
    known = [field.name for field in fields(Settings)]
    _refuse_unknown(namespace, [*known, *DEFAULTS])
    for name, default in DEFAULTS.items():
        allowed = STABILISED if name == "defense" else (*results.folders(), default)
        arguments.one_of(name, namespace.setdefault(name, default), allowed)
    run = settings.from_parameters({name: namespace[name] for name in known if name in namespace})
    networks = Networks(run, progress=terminal.show)
    use_style()
    rows = ((name, in_a_cell(plain(value))) for name, value in settings.table(run, networks.data))
    body = "\n".join(f"| `{name}` | {value} |" for name, value in rows)
    title = f"Settings of this run: profile {run.profile}"
    table = f"| setting | value |\n| :-- | :-- |\n{body}"
    display(Markdown(f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"))
    return networks


@_in_one_line()
def begin_records(namespace: MutableMapping[str, Any], **choices: Collection[str]) -> None:
    """As :func:`begin`, for a page that shows records alone.

    Args:
        namespace: the notebook's ``globals()``; a parameter that it lacks is an error, since the page has its default.
        choices: its parameters, each to the values that it may have.

    Raises:
        ParameterError: an unknown parameter, a bad value or none, named.
    """
    _refuse_unknown(namespace, choices)
    if absent := [name for name in choices if name not in namespace]:
        raise ValueError(f"{', '.join(absent)}: not set; run the cell of parameters first")
    for name, allowed in choices.items():
        arguments.one_of(name, namespace[name], allowed)
    use_style()


@_in_one_line()
def begin_profile(namespace: MutableMapping[str, Any]) -> dict[str, Any]:
    """As :func:`begin`, for the chapter about any model: the arguments of :func:`snslib.profile.measure.profile`.

    Args:
        namespace: the notebook's ``globals()``; its parameters are those of :func:`snslib.profile.options.options`.

    Raises:
        ParameterError: an unknown parameter or a bad value, named; a model without data, or data without a model.
    """
    known = options.options()
    _refuse_unknown(namespace, known)
    run = options.from_parameters({name: namespace[name] for name in known if name in namespace})
    if ("model" in run) != ("data" in run):
        raise ValueError("network, data: one needs the other; without both, the chapter's own are taken")
    use_style()
    return run


def _refuse_unknown(namespace: MutableMapping[str, Any], known: Collection[str]) -> None:
    """papermill adds a misspelt parameter to a notebook without a word; here it is an error.

    A parameter is what papermill's own cell assigns; a notebook's cell of parameters may besides misspell one that it
    does not have. Nothing else counts, whoever left it in the notebook. Without a history of cells, which IPython
    keeps, plain values whose names are all but those of parameters count.
    """
    history = namespace.get("In")
    if isinstance(history, list) and all(isinstance(cell, str) for cell in history):
        unknown = _unknown(history, known)
    else:
        unknown = [name for name, value in namespace.items() if isinstance(value, _SCALARS) and _misspelt(name, known)]
    if unknown:
        takes = ", ".join(name for name in known if name in namespace) or arguments.few(known)
        raise ValueError(f"unknown parameter {', '.join(unknown)}; this notebook takes {takes}")


_SCALARS = (str, int, float, types.NoneType)


def _unknown(history: Sequence[str], known: Collection[str]) -> list[str]:
    """The unknown parameters in the cells of parameters that were run last, before a cell began the chapter.

    papermill puts its cell right below the notebook's own, or first of all where there is none.

    Args:
        history: what was run, as IPython has it; its last entry is the cell that runs now.
        known: names of the chapter's parameters.
    """
    injected: dict[str, bool] = {}
    own: dict[str, bool] = {}
    seen = False
    for before, cell in reversed([*zip(["", *history], history, strict=False)]):
        single = _assigned(cell)
        headed = _is_headed(cell)
        if headed and (not before or _is_headed(before) or _assigned(before).keys() & set(known)):
            injected = single | injected
        elif single.keys() & set(known):
            own = single | own
        elif seen and "chapter.begin" in cell:
            break
        seen |= headed or bool(single.keys() & set(known))
    lacking = set(known) - own.keys()
    names = [name for name in injected if name not in known and not name.startswith(("_", "PAPERMILL_"))]
    return [*names, *(name for name in own if own[name] and name not in names and _misspelt(name, known, lacking))]


def _is_headed(cell: str) -> bool:
    """Whether a cell begins as papermill's does."""
    return cell.partition("\n")[0].rstrip() == "# Parameters"


def _misspelt(name: str, known: Collection[str], meant: Collection[str] | None = None) -> bool:
    """Whether a name is no known one, and all but one of those that may be meant, by default any of them."""
    return name not in known and bool(difflib.get_close_matches(name, known if meant is None else meant, 1, 0.75))


def _assigned(cell: str) -> dict[str, bool]:
    """What a cell assigns that does nothing but to give names plain values, as a cell of parameters does; else {}.

    Each name comes with whether it is given a single text or number.
    """
    found = {}
    try:
        lines = ast.parse(cell).body
    except SyntaxError:  # such a cell has assigned nothing
        return {}
    for line in lines:
        if not isinstance(line, (ast.Assign, ast.AnnAssign)) or line.value is None:
            return {}
        parts = {type(node) for node in ast.walk(line.value)}
        if (ast.Name in parts or ast.Call in parts) and not ast.unparse(line.value).startswith("float('"):  # of nan
            return {}
        for target in line.targets if isinstance(line, ast.Assign) else [line.target]:
            found[ast.unparse(target)] = not parts & {ast.List, ast.Tuple, ast.Dict, ast.Set}
    return found

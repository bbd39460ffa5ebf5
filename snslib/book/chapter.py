"""The first cell of a chapter: check its parameters, show its settings, set the style of its figures."""

import ast
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from IPython.display import Markdown, display

from snslib import arguments
from snslib.book import terminal
from snslib.book.figures import use_style
from snslib.profile import options
from snslib.study import results, settings
from snslib.study.defenses import DEFENSES
from snslib.study.networks import Networks
from snslib.study.settings import Settings

STABILISED = tuple(name for name, defense in DEFENSES.items() if defense.starts_from)  # the values of "defense"
DEFAULTS = {  # of the parameters that are no settings: which rows of results/ are shown, and which SNS is trained
    "recorded": "cifar10/vgg16-w0.25",
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
    body = "\n".join(f"| `{name}` | {value} |" for name, value in settings.table(run, networks.data))
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


def _refuse_unknown(namespace: MutableMapping[str, Any], known: Mapping[str, Any] | Collection[str]) -> None:
    """papermill adds a misspelt parameter to a notebook without a word; here it is an error.

    In a notebook a plain value counts as a parameter where a cell of parameters has assigned it, so that cells may be
    run in any order, and again: what the others leave behind does not count.
    """
    asked = _assigned(namespace["In"], known) if "In" in namespace else namespace.keys()
    unknown = [
        name
        for name, value in namespace.items()
        if name in asked and name not in known and arguments.is_plain(name, value)
    ]
    if unknown:
        takes = ", ".join(name for name in known if name in namespace)
        raise ValueError(f"unknown parameter {', '.join(unknown)}; this notebook takes {takes}")


def _assigned(history: Sequence[str], known: Collection[str]) -> set[str]:
    """What the cells of parameters assign that were run last, before a cell began the chapter.

    Args:
        history: what was run, as IPython has it; its last entry is the cell that runs now.
        known: names of the chapter's parameters.
    """
    found: set[str] = set()
    for cell in reversed(history[:-1]):
        names = _stored(cell)
        if cell.startswith("# Parameters") or names & set(known):  # papermill's, or the notebook's own
            found |= names
        elif found and "chapter.begin" in cell:
            break
    return found


def _stored(cell: str) -> set[str]:
    try:
        nodes = ast.walk(ast.parse(cell))
    except SyntaxError:  # such a cell has assigned nothing
        return set()
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}

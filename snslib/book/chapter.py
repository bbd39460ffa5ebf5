"""The first cell of a chapter: check its parameters, show its settings, set the style of its figures."""

from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import fields
from typing import Any

from IPython.display import Markdown, display

from snslib import arguments
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


def begin(namespace: MutableMapping[str, Any]) -> Networks:
    """The networks that a chapter is about; called right after its parameters, it shows their settings.

    Args:
        namespace: the notebook's ``globals()``. It may hold any field of :class:`snslib.study.settings.Settings` and
            any of DEFAULTS; those of the latter that it lacks are added to it.

    Raises:
        ValueError: an unknown parameter or a bad value, named.
    """
    known = [field.name for field in fields(Settings)]
    _refuse_unknown(namespace, [*known, *DEFAULTS])
    for name, default in DEFAULTS.items():
        allowed = STABILISED if name == "defense" else (*results.folders(), default)
        arguments.one_of(name, namespace.setdefault(name, default), allowed)
    run = settings.from_parameters({name: namespace[name] for name in known if name in namespace})
    use_style()
    body = "\n".join(f"| `{name}` | {value} |" for name, value in settings.table(run))
    title = f"Settings of this run: profile {run.profile}"
    display(Markdown(f":::{{dropdown}} {title}\n| setting | value |\n| :-- | :-- |\n{body}\n:::"))
    return Networks(run)


def begin_records(namespace: MutableMapping[str, Any], **choices: Collection[str]) -> None:
    """As :func:`begin`, for a page that shows records alone.

    Args:
        namespace: the notebook's ``globals()``.
        choices: its parameters, each to the values that it may have.

    Raises:
        ValueError: an unknown parameter or a bad value, named.
    """
    _refuse_unknown(namespace, choices)
    for name, allowed in choices.items():
        arguments.one_of(name, namespace[name], allowed)
    use_style()


def begin_profile(namespace: MutableMapping[str, Any]) -> dict[str, Any]:
    """As :func:`begin`, for the chapter about any model: the arguments of :func:`snslib.profile.measure.profile`.

    Args:
        namespace: the notebook's ``globals()``, in which the argument ``model`` is called ``network``.

    Raises:
        ValueError: an unknown parameter or a bad value, named; a model without data, or data without a model.
    """
    known = {"network" if name == "model" else name: name for name in options.options()}
    _refuse_unknown(namespace, known)
    run = options.from_parameters({known[name]: namespace[name] for name in known if name in namespace})
    if ("model" in run) != ("data" in run):
        raise ValueError("network, data: one needs the other; without both, the chapter's own are taken")
    use_style()
    return run


def _refuse_unknown(namespace: MutableMapping[str, Any], known: Mapping[str, Any] | Collection[str]) -> None:
    """papermill adds a misspelt parameter to a notebook without a word; here it is an error.

    Every variable that holds a plain value and is no parameter counts as misspelt, the first time: when the cell is run
    again, the namespace holds what the chapter computed.
    """
    if not namespace.get("_began"):
        unknown = [name for name, value in namespace.items() if name not in known and arguments.is_plain(name, value)]
        if unknown:
            takes = ", ".join(name for name in known if name in namespace)
            raise ValueError(f"unknown parameter {', '.join(unknown)}; this notebook takes {takes}")
        namespace["_began"] = True

"""Models and records that were made once at paper scale and are kept in the repository's ``results/``.

What the cache holds is found by everything that it depends on, the code included; it is made anew after every change.
Days of computing are not: what lies in ``results/`` is found by its configuration, whatever its file is called, and
says which code and commit made it. It is bound to its data all the same: ``<data>/data.json`` has their fingerprint.
A row of a table is a model, ``<data>/<network>-w<width>/<row>.safetensors``, and its measurements, ``<row>.json``.
Weights at the whole width, 30 MB a row, stay out of the repository; how they were trained is ``states/<row>.json``.
What is damaged is left out with a warning that names the file, and hides nothing else.
"""

import copy
import functools
import json
import re
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from snslib import arguments, locks
from snslib.data import Dataset
from snslib.files import checksum, read_json, save_tensors, write_json
from snslib.study.fingerprint import differences, fingerprint
from snslib.study.records import Record, key
from snslib.training import pretrained

# crc32: of copies that may differ in a few images; see fingerprint
_NOT_CONFIGURATION = ("code", "torch", "processes", "crc32")


def configuration(inputs: Any) -> Any:
    """What ``inputs`` of a model or record say besides code, PyTorch, number of processes and copy of the data set."""
    if isinstance(inputs, dict):
        return {name: configuration(value) for name, value in inputs.items() if name not in _NOT_CONFIGURATION}
    return [configuration(value) for value in inputs] if isinstance(inputs, list) else inputs


def find_model(data: Dataset, recipe: dict[str, Any]) -> Path | None:
    """The file of the published model of this configuration on these data, if there is one.

    Args:
        data: what it was trained on.
        recipe: what the model depends on, as :meth:`snslib.study.networks.Networks.configuration` writes it.
    """
    if other_data(data):
        return None
    wanted = key(configuration(recipe))
    return next((path for path, config in _models(data.name) if key(config) == wanted), None)


def find_record(data: Dataset, what: str, inputs: dict[str, Any]) -> Record | None:
    """The published record of a measurement with this configuration on these data, if there is one.

    Args:
        data: what was measured on.
        what, inputs: as in :func:`snslib.study.records.record`.
    """
    if other_data(data):
        return None
    wanted = (what, key(configuration(inputs)))
    for path in sorted((pretrained.RESULTS / data.name).glob("*/*.json")):
        if found := _by_key(path, path.stat().st_mtime_ns).get(wanted):
            return copy.deepcopy(found)
    return None


def why_not_found(data: Dataset, what: str, inputs: dict[str, Any]) -> str:
    """In words, why nothing that is published answers a question; empty where something does.

    Args:
        data: as in :func:`find_record`.
        what: a measurement, or "model".
        inputs: its inputs, which are the "config" of a record; or the recipe of the model.
    """
    if other := other_data(data):
        return other
    wanted = _flat(configuration(inputs))
    apart = [
        (str(path.relative_to(pretrained.RESULTS)), _apart(wanted, _flat(config)))
        for path, found, config in _published(data.name)
        if found == what
    ]
    if not apart:
        return f"no {what} of {data.name} is published"
    path, nearest = min(apart, key=lambda one: len(one[1]))
    return f"the nearest is of {path}, where {', '.join(nearest)}" if nearest else ""


def other_data(data: Dataset) -> str:
    """In words, why what is published of a data set of this name is not of these images; empty where it is.

    Raises:
        ValueError: the file that says so is damaged.
    """
    path = pretrained.RESULTS / data.name / "data.json"
    if not path.exists():
        return f"nothing is published of {data.name}: there is no {path}"
    try:
        found = differences(read_json(path), fingerprint(data))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back") from error
    return f"{data.name} is not that of {path.parent}: {'; '.join(found)}" if found else ""


def _flat(config: Any, name: str = "") -> dict[str, str]:
    """What nested dictionaries hold, as JSON, by dotted names."""
    if not isinstance(config, dict):
        return {name: json.dumps(config, sort_keys=True)}
    parts = (_flat(value, f"{name}.{part}" if name else part) for part, value in config.items())
    return {name: value for part in parts for name, value in part.items()}


def _apart(wanted: dict[str, str], there: dict[str, str]) -> list[str]:
    """In words, what differs from what is wanted."""
    names = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    return [f"{name} is {there.get(name, 'missing')} and not {wanted.get(name, 'there')}" for name in names]


def _published(data: str) -> Iterator[tuple[Path, str, Any]]:
    """File, measurement or "model", and configuration of all that is published of a data set."""
    yield from ((path, "model", config) for path, config in _models(data))
    for path in sorted((pretrained.RESULTS / data).glob("*/*.json")):
        _, entries = _read(path, path.stat().st_mtime_ns)
        yield from ((path, entry.what, configuration(entry.config)) for entry in entries)


def _models(data: str) -> Iterator[tuple[Path, Any]]:
    """File and configuration of every published model of a data set."""
    for path in sorted((pretrained.RESULTS / data).glob("*/*.safetensors")):
        if recipe := _recipe(path, path.stat().st_mtime_ns):
            yield path, configuration(recipe)


@functools.cache  # the time of the last change is there to read a file that has changed
def _recipe(path: Path, changed: int) -> dict[str, Any] | None:
    try:
        return pretrained.read(path, only_state=True)[1]["recipe"]
    except (ValueError, KeyError) as error:
        warnings.warn(f"a published model is left out: {error}", stacklevel=2)
        return None


@functools.cache
def _by_key(path: Path, changed: int) -> dict[tuple[str, str], Record]:
    return {(entry.what, key(configuration(entry.config))): entry for entry in _read(path, changed)[1]}


@functools.cache
def _read(path: Path, changed: int) -> tuple[str, list[Record]]:
    """The name and the records of a row; what is no record is left out with a warning."""
    try:
        row, entries = _entries(path)
    except ValueError as error:
        warnings.warn(f"a published row is left out: {error}", stacklevel=2)
        return path.stem, []
    found = []
    for i, entry in enumerate(entries):
        try:
            found.append(Record.from_json(entry))
        except ValueError as error:
            left_out = f"record {i + 1} of {path} is left out: it is {error}"
            warnings.warn(f"{left_out}; git checkout brings it back", stacklevel=2)
    return row, found


def _entries(path: Path) -> tuple[str, list[Any]]:
    """The name of a row and its records as JSON has them; ValueError where the file is damaged."""
    try:
        held = read_json(path)
        row, entries = held["row"], held["records"]
        if type(row) is not str or type(entries) is not list:
            raise ValueError("it holds no row and its records")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back, or delete it") from error
    return row, entries


def publish_data(data: Dataset) -> None:
    """Write down of what images the rows of a data set are, before the first of them.

    Raises:
        ValueError: rows of other images are there under this name.
    """
    path = pretrained.RESULTS / data.name / "data.json"
    if not path.exists():
        with locks.alone(path):
            if not path.exists():  # by now either
                write_json(path, fingerprint(data))
    if other := other_data(data):
        raise ValueError(f"dataset: {other}; move {path.parent} away, or give your folder another name")


def publish_model(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a trained model for good: weights in float16, BatchNorm's statistics as they are.

    Of the history, what was written at each step is rounded to four digits, which is all that a curve needs. What is
    not kept with the repository, see above, has its state in a file of its own besides.

    Args:
        path: a file of ``results/``.
        tensors: the model's state_dict.
        state: JSON-able, with the model's "recipe", its "history", the names of its "classes" and its "image_size"; the
            model's name and a checksum of the tensors join it.

    Raises:
        FileExistsError: there is one already, which is not overwritten; delete it first.
    """
    small = {
        name: tensor.half() if tensor.is_floating_point() and "running_" not in name else tensor
        for name, tensor in tensors.items()
    }
    history = []
    for epoch in state["history"]:
        steps = {term: [float(f"{value:.4g}") for value in values] for term, values in epoch["steps"].items()}
        history.append(epoch | {"steps": steps})
    name = "/".join([*path.parts[-3:-1], path.stem])
    with locks.alone(path):
        if path.exists():
            raise FileExistsError(f"{path} is published already and is not overwritten; delete it to make it anew")
        state = state | {"name": name, "history": history, "sha256": checksum(small)}
        save_tensors(path, small, state)
        if state["recipe"]["width"] >= 1:
            write_json(pretrained.state_alone(path), state)


def publish_record(path: Path, row: str, record: Record) -> None:
    """Add a measurement to those of a row; one of the same configuration that is there already stays as it is.

    Several processes may do so at once: each adds to what the others have written.

    Args:
        path: the row's file in ``results/``.
        row: the row's name.
        record: of a network of the row.

    Raises:
        ValueError: the file that is there is damaged; it stays as it is.
    """
    with locks.alone(path):
        entries = _entries(path)[1] if path.exists() else []
        try:
            known = {(entry.what, key(configuration(entry.config))) for entry in map(Record.from_json, entries)}
        except ValueError as error:
            remedy = "git checkout brings it back, or delete it"
            raise ValueError(f"{path} is damaged: it holds {error}; {remedy}") from error
        if (record.what, key(configuration(record.config))) not in known:
            write_json(path, {"row": row, "records": [*entries, record.as_json() | {"published": True}]})


def records(folder: str, what: str, **config: Any) -> dict[str, Record]:
    """One published measurement of every row that has it.

    Args:
        folder: the network and its data set, such as "cifar10/vgg16-w0.25".
        what: the measurement.
        config: what its configuration must hold, such as ``split="test"``.

    Returns:
        Row to record; empty where nothing is published.

    Raises:
        ValueError: a folder outside of ``results/``; a row has several such records, and the message names what they
            differ in.
    """
    found: dict[str, Record] = {}
    for path in sorted(arguments.inside("folder", pretrained.RESULTS, folder).glob("*.json")):
        row, entries = _read(path, path.stat().st_mtime_ns)
        for entry in entries:
            if entry.what == what and all(entry.config.get(name) == value for name, value in config.items()):
                if other := found.get(row):
                    a, b = configuration(entry.config), configuration(other.config)
                    differ = ", ".join(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))
                    raise ValueError(
                        f"{path} has several records of {what} that differ in {differ}; ask for one of them, or delete "
                        "the other"
                    )
                found[row] = entry
    return copy.deepcopy(found)


def by_seed(folder: str, what: str, **config: Any) -> dict[str, list[Record]]:
    """As :func:`records`, with all seeds of a row together: row to one record per seed, "pat" before "pat-seed1"."""
    found: dict[str, list[Record]] = {}
    for name, entry in sorted(records(folder, what, **config).items()):
        found.setdefault(re.sub(r"-seed\d+$", "", name), []).append(entry)
    return found


def model_of(folder: str) -> str:
    """The network whose rows a folder of ``results/`` has, such as "vgg16"."""
    return folder.rpartition("/")[2].rpartition("-w")[0]


def width_of(folder: str) -> str:
    """The width of that network, as a factor on its channels: "1", "1/4"."""
    return str(Fraction(folder.rpartition("-w")[2]).limit_denominator(64))


def folders() -> list[str]:
    """What there are rows of: networks on their data sets, such as "cifar10/vgg16-w0.25"."""
    return sorted({str(path.parent.relative_to(pretrained.RESULTS)) for path in pretrained.RESULTS.glob("*/*/*.json")})


def trained(folder: str) -> list[str]:
    """The rows of a folder whose training is described, seeds apart: see :func:`state`.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; one that is not there has none.

    Raises:
        ValueError: a folder outside of ``results/``.
    """
    there = arguments.inside("folder", pretrained.RESULTS, folder)
    return sorted({path.stem for path in (*there.glob("*.safetensors"), *there.glob("states/*.json"))})


def state(name: str) -> dict[str, Any]:
    """What :func:`publish_model` wrote of a published model besides its weights: recipe, history, classes.

    Args:
        name: as in :func:`load_pretrained`; it must be one of :func:`trained`.

    Raises:
        ValueError: its file is damaged, or holds another model.
    """
    path = arguments.inside("name", pretrained.RESULTS, f"{name}.safetensors")
    if path.exists():
        found = pretrained.read(path, only_state=True, name=name)[1]
    else:
        path = pretrained.state_alone(path)
        found = _state_alone(path)
    if found.get("name", name) != name:
        raise ValueError(f"{path} holds another model, {found['name']}; git checkout brings back its own")
    return found


def _state_alone(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(path)
        if type(found) is not dict or not {"recipe", "history", "classes"} <= found.keys():
            raise ValueError("it holds no recipe and history")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back") from error
    return found

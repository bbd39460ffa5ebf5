"""Models and records that were made once at paper scale and are kept in the repository's ``results/``.

What the cache holds is found by everything that it depends on, the code included; it is made anew after every change.
Days of computing are not: what lies in ``results/`` is found by its configuration alone, and says which commit made it.
A row of a table is a model, ``<data>/<network>-w<width>/<row>.safetensors``, and its measurements, ``<row>.json``.
"""

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from snslib import files
from snslib.files import load_tensors, save_tensors
from snslib.study.records import Record, key
from snslib.training import pretrained

_NOT_CONFIGURATION = ("code", "torch", "crc32")  # crc32: the decoded copies of a data set may differ in a few images


def configuration(inputs: Any) -> Any:
    """What ``inputs`` of a model or record say besides code, version of PyTorch, and copy of the data set."""
    if isinstance(inputs, dict):
        return {name: configuration(value) for name, value in inputs.items() if name not in _NOT_CONFIGURATION}
    return [configuration(value) for value in inputs] if isinstance(inputs, list) else inputs


def find_model(data: str, recipe: dict[str, Any]) -> Path | None:
    """The file of the published model of this configuration, if there is one.

    Args:
        data: name of the data set.
        recipe: what the model depends on, as :meth:`snslib.study.networks.Networks.configuration` writes it.
    """
    wanted = key(configuration(recipe))
    paths = sorted(pretrained.RESULTS.glob(f"{data}/*/*.safetensors"))
    return next((path for path in paths if _recipe_key(path, path.stat().st_mtime_ns) == wanted), None)


def find_record(data: str, what: str, inputs: dict[str, Any]) -> Record | None:
    """The published record of a measurement with this configuration, if there is one.

    Args:
        data: name of the data set.
        what, inputs: as in :func:`snslib.study.records.record`.
    """
    wanted = (what, key(configuration(inputs)))
    for path in sorted(pretrained.RESULTS.glob(f"{data}/*/*.json")):
        if entry := _records_by_key(path, path.stat().st_mtime_ns).get(wanted):
            return Record.from_json(copy.deepcopy(entry))
    return None


@functools.cache  # the time of the last change is there to read a file that has changed
def _recipe_key(path: Path, changed: int) -> str:
    return key(configuration(load_tensors(path, only_state=True)[1]["recipe"]))


@functools.cache
def _records_by_key(path: Path, changed: int) -> dict[tuple[str, str], dict[str, Any]]:
    entries = _read(path, changed)["records"]
    return {(entry["what"], key(configuration(entry["config"]))): entry for entry in entries}


@functools.cache
def _read(path: Path, changed: int) -> dict[str, Any]:
    return json.loads(path.read_text())


def publish_model(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a trained model for good: weights in float16, BatchNorm's statistics as they are.

    Of the history, what was written at each step is rounded to four digits, which is all that a curve needs.

    Args:
        path: a file of ``results/``.
        tensors: the model's state_dict.
        state: JSON-able, with the model's "recipe", its "history", the names of its "classes" and its "image_size"; a
            checksum of the tensors joins it.

    Raises:
        FileExistsError: there is one already, which is not overwritten; delete it first.
    """
    if path.exists():
        raise FileExistsError(f"{path} is published already and is not overwritten; delete it to make it anew")
    small = {
        name: tensor.half() if tensor.is_floating_point() and "running_" not in name else tensor
        for name, tensor in tensors.items()
    }
    history = []
    for epoch in state["history"]:
        steps = {term: [float(f"{value:.4g}") for value in values] for term, values in epoch["steps"].items()}
        history.append(epoch | {"steps": steps})
    save_tensors(path, small, state | {"history": history, "sha256": pretrained.checksum(small)})


def publish_record(path: Path, row: str, record: Record) -> None:
    """Add a measurement to those of a row; one of the same configuration that is there already stays as it is.

    Args:
        path: the row's file in ``results/``.
        row: the row's name.
        record: of a network of the row.
    """
    entries = json.loads(path.read_text())["records"] if path.exists() else []
    known = {key({"what": e["what"], "config": configuration(e["config"])}) for e in entries}
    if key({"what": record.what, "config": configuration(record.config)}) not in known:
        files.write_json(path, {"row": row, "records": [*entries, record.as_json() | {"published": True}]})


def records(folder: str, what: str, **config: Any) -> dict[str, Record]:
    """One published measurement of every row that has it.

    Args:
        folder: the network and its data set, such as "cifar10/vgg16-w0.25".
        what: the measurement.
        config: what its configuration must hold, such as ``split="test"``.

    Returns:
        Row to record; empty where nothing is published.

    Raises:
        ValueError: a row has several such records; the message names what they differ in.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((pretrained.RESULTS / folder).glob("*.json")):
        row = _read(path, path.stat().st_mtime_ns)
        for entry in row["records"]:
            if entry["what"] == what and all(entry["config"].get(name) == value for name, value in config.items()):
                if other := found.get(row["row"]):
                    a, b = configuration(entry["config"]), configuration(other["config"])
                    differ = ", ".join(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))
                    raise ValueError(
                        f"{path} has several records of {what} that differ in {differ}; ask for one of them, or delete "
                        "the other"
                    )
                found[row["row"]] = entry
    return {row: Record.from_json(copy.deepcopy(entry)) for row, entry in found.items()}


def by_seed(folder: str, what: str, **config: Any) -> dict[str, list[Record]]:
    """As :func:`records`, with all seeds of a row together: row to one record per seed, "pat" before "pat-seed1"."""
    found: dict[str, list[Record]] = {}
    for name, entry in sorted(records(folder, what, **config).items()):
        found.setdefault(re.sub(r"-seed\d+$", "", name), []).append(entry)
    return found


def model_of(folder: str) -> str:
    """The network whose rows a folder of ``results/`` has, such as "vgg16"."""
    return folder.rpartition("/")[2].rpartition("-w")[0]


def folders() -> list[str]:
    """What there are rows of: networks on their data sets, such as "cifar10/vgg16-w0.25"."""
    return sorted({str(path.parent.relative_to(pretrained.RESULTS)) for path in pretrained.RESULTS.glob("*/*/*.json")})


def state(name: str) -> dict[str, Any]:
    """What :func:`publish_model` wrote of a published model besides its weights: recipe, history, classes.

    Args:
        name: as in :func:`load_pretrained`; the model must be there.
    """
    return load_tensors(pretrained.RESULTS / f"{name}.safetensors", only_state=True)[1]

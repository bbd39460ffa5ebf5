"""Files on their way between machines that share no disk: as bytes, by their names below a folder."""

import json
from collections.abc import Iterable
from pathlib import Path

from snslib import arguments, locks
from snslib.study import results
from snslib.study.records import Record
from snslib.training import pretrained

Parcel = dict[str, bytes]


def pack(folder: Path, paths: Iterable[Path]) -> Parcel:
    """Those of some files that are there, by their names below a folder that they all lie in."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.exists()}


def changed(parcel: Parcel, before: Parcel) -> Parcel:
    """What of a parcel is new, or other than before."""
    return {name: content for name, content in parcel.items() if before.get(name) != content}


def unpack(folder: Path, parcel: Parcel) -> None:
    """Write what is not there yet into a folder; each file is written beside its place and then moved.

    Raises:
        ValueError: a name that leads out of the folder.
    """
    for name, content in parcel.items():
        path = arguments.inside("parcel", folder, name)
        with locks.alone(path):
            if not path.exists():
                _write(path, content)


def publish(parcel: Parcel) -> None:
    """Add what was published elsewhere to ``results/``: models that are not there, and records that a row lacks.

    Nothing that is there is overwritten, but for the state of a model that came without its weights.

    Args:
        parcel: names below ``results/``.

    Raises:
        ValueError: a name that leads out of it; a row that holds no records, there or here.
    """
    paths = {name: arguments.inside("parcel", pretrained.RESULTS, name) for name in parcel}
    for name, path in paths.items():
        if path.suffix == ".safetensors":
            with locks.alone(path):
                if not path.exists():
                    state = pretrained.state_alone(path)
                    if of_state := parcel.get(state.relative_to(pretrained.RESULTS).as_posix()):
                        _write(state, of_state)
                    _write(path, parcel[name])
    for name, path in paths.items():
        if path.suffix == ".json" and path.parent.name != "states" and path.name != "data.json":
            held = json.loads(parcel[name])
            for entry in held["records"]:
                results.publish_record(path, held["row"], Record.from_json(entry))


def _write(path: Path, content: bytes) -> None:
    with locks.written_beside(path) as new:
        new.write_bytes(content)

"""Records of measurements: found again by a hash of all that they depend on, with their provenance."""

import ast
import hashlib
import json
import os
import time
import typing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

from snslib import arguments, disk, files
from snslib.files import PROJECT, provenance, read_json, write_json
from snslib.study import schema
from snslib.training import parallel

OTHER_FOLDER = "keep models and records elsewhere (--out FOLDER, or the environment variable SNSLIB_CACHE)"
_RECORD = 2**20  # bytes, more than a record takes


@dataclass(frozen=True)
class Record:
    """A measurement and where it came from; a file has it as JSON.

    Args:
        what: the name of the measurement.
        result: what was measured, JSON-able.
        config: everything that the result depends on; the record is found by it.
        seed: of the network that was measured.
        defense: how that network was trained.
        data: "name", "origin" and "official" of the data set.
        profile: whose settings were changed, or taken as they are.
        provenance: "seconds", the "precision" of the passes, and what :func:`snslib.files.provenance` gives.
        published: whether it is kept in ``results/``.
    """

    what: str
    result: Any
    config: dict[str, Any]
    seed: int = 0
    defense: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    profile: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    published: bool = False

    @classmethod
    def from_json(cls, entry: Any) -> "Record":
        """The record that :meth:`as_json` wrote.

        Raises:
            ValueError: it is none: a part is missing or of another type, or the result is not like one of the
                measurement, see :mod:`snslib.study.schema`.
        """
        if type(entry) is not dict:
            raise ValueError(f"no record but {str(entry)[:40]}")
        if missing := {"what", "result", "config"} - entry.keys():
            raise ValueError(f"no record: {', '.join(sorted(missing))} is missing")
        types = {each.name: typing.get_origin(each.type) or each.type for each in fields(cls)}
        del types["provenance"]
        known = {name: entry[name] for name in types if name in entry}
        for name, value in known.items():
            if types[name] not in (Any, type(value)):
                raise ValueError(f"no record: {name} is {str(value)[:40]}")
        if problem := schema.problem(entry["result"], schema.RESULTS.get(entry["what"], schema.anything)):
            raise ValueError(f"no record of {entry['what']}: {problem}")
        about = {name: value for name, value in entry.items() if name not in known}
        for name in schema.ABOUT.keys() & about.keys():
            if problem := schema.problem(about[name], schema.ABOUT[name], name):
                raise ValueError(f"no record of {entry['what']}: {problem}")
        return cls(**known, provenance=about)

    def as_json(self) -> dict[str, Any]:
        """One flat object, as files and the pages of the book have it."""
        entry = asdict(self)
        provenance = entry.pop("provenance")
        if not entry["published"]:
            del entry["published"]
        return entry | provenance


def default_folder() -> Path:
    """The environment variable SNSLIB_CACHE, else ``.cache/snslib`` in a checkout, else in the home folder."""
    if "SNSLIB_CACHE" in os.environ:
        return Path(os.environ["SNSLIB_CACHE"]).expanduser()
    return (PROJECT if (PROJECT / "pyproject.toml").exists() else Path.home()) / ".cache" / "snslib"


def key(inputs: Any) -> str:
    """16 hexadecimal digits that stand for ``inputs``, JSON-able, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code(*modules: str) -> str:
    """A key of what modules of snslib compute: it changes with their code and with that of all that they import.

    Comments and docstrings do not count.

    Args:
        modules: dotted names below snslib, such as "training.loop".
    """
    return key(modules_of(*modules))


def modules_of(*modules: str) -> dict[str, str]:
    """Modules of snslib and all that they import of it: dotted names below snslib to their code."""
    found: dict[str, str] = {}
    open_ends = list(modules)
    while open_ends:
        module = open_ends.pop()
        if module not in found:
            found[module], imported = _parsed(module)
            open_ends += imported
    return found


@cache  # most modules are imported by several others
def _parsed(module: str) -> tuple[str, list[str]]:
    """The code of a module without comments and docstrings, and the modules that it imports."""
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    return ast.dump(_without_docstrings(tree)), list(_imported(tree))


def _source(module: str) -> Path:
    path = files.PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(tree: ast.Module) -> Iterator[str]:
    """The modules of snslib that a module imports, also inside its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("snslib."):
            package = f"{node.module}.".removeprefix("snslib.")
            names = [f"{package}{alias.name}" for alias in node.names]
            modules = [name for name in names if _source(name).exists()]
            yield from modules
            if package and len(modules) < len(names):
                yield package.removesuffix(".")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def record(
    folder: Path,
    what: str,
    inputs: dict[str, Any],
    about: dict[str, Any],
    device: str,
    compute: Callable[[], Any],
    progress: Callable[[str], None] = print,
) -> Record:
    """The record of a measurement: read where it is there, else computed, written and returned.

    A file that holds no record of this measurement and these inputs is made anew, with a warning. Where several want
    it, one measures and the others wait, see :func:`snslib.locks.alone`. Of several processes that share the work the
    first one reads and writes; all compute.

    Args:
        folder: where records are kept.
        what: the name of the measurement.
        inputs: everything that the result depends on, JSON-able; the record is found by it.
        about: what else a reader wants to know of it, JSON-able: "data", "seed", "defense", "profile".
        device: where it is computed.
        compute: makes the result, JSON-able.
        progress: takes a line for each process that is waited for.

    Raises:
        ValueError: the result is not like one of this measurement, such as NaN; nothing is written. Before anything is
            computed: the folder cannot be written to or is full.
    """
    path = record_path(folder, what, inputs)

    def read(alone: bool) -> Record | None:
        if not path.exists():
            return None
        try:
            found = Record.from_json(read_json(path))
            if found.what != what or key(found.config) != key(inputs):
                raise ValueError(f"a record of {found.what} with another configuration")
        except ValueError as error:
            if alone:
                warnings.warn(f"{path} is damaged ({error}), and is measured anew", stacklevel=2)
            return None
        return found

    def write() -> Record:
        measured = {"seconds": round(time.perf_counter() - began, 2), "precision": "float32"}  # whatever was trained in
        made = Record(what, result, inputs, **about, provenance=measured | provenance(device, parallel.world_size()))
        try:
            found = Record.from_json(json.loads(json.dumps(made.as_json())))
            write_json(path, made.as_json())
        except ValueError as error:
            raise ValueError(f"{what}: what was measured is {error}; nothing is written") from error
        return found

    found = parallel.on_first_process(partial(read, alone=False))
    if found is not None:
        return found
    with parallel.first_process_alone(path, progress):
        found = parallel.on_first_process(partial(read, alone=True))
        if found is not None:
            return found
        room = partial(disk.require, "folder", path.parent, _RECORD, OTHER_FOLDER)
        parallel.on_first_process(room)
        began = time.perf_counter()
        result = compute()
        return parallel.on_first_process(write)


def record_path(folder: Path, what: str, inputs: dict[str, Any]) -> Path:
    """Where the record of a measurement is kept; ``inputs`` are its "config". ValueError for a name that is none."""
    return arguments.inside("what", folder / "records", f"{what}-{key(inputs)}.json")

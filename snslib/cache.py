"""Results that last: found again by a hash of everything they depend on, and kept with where they came from."""

import ast
import datetime
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from snslib import distributed

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parent


def default_folder() -> Path:
    """The environment variable SNSLIB_CACHE, else ``.cache/snslib`` in a checkout, else in the home folder."""
    if "SNSLIB_CACHE" in os.environ:
        return Path(os.environ["SNSLIB_CACHE"]).expanduser()
    return (PROJECT if (PROJECT / "pyproject.toml").exists() else Path.home()) / ".cache" / "snslib"


def key(inputs: dict[str, Any]) -> str:
    """16 hexadecimal digits that stand for ``inputs``, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code(files: Sequence[str]) -> str:
    """A key of what the named files of snslib compute: it changes with their code, not with comments or docstrings."""
    return key({file: ast.dump(_without_docstrings(ast.parse((PACKAGE / file).read_text()))) for file in files})


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def provenance(device: str) -> dict[str, Any]:
    """What a number should be traced by: device, number of processes, versions, commit and date."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{torch.get_num_threads()} CPU threads"
    return {
        "device": f"{device}, {name}",
        "processes": distributed.world_size(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


@cache
def _commit() -> str | None:
    """The commit of the checkout that snslib runs from, with "+" where files were changed; None outside of one."""
    try:
        git = ["git", "-C", str(PROJECT)]
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain", "snslib"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")


def record(
    folder: Path,
    what: str,
    inputs: dict[str, Any],
    about: dict[str, Any],
    device: str,
    compute: Callable[[], Any],
) -> dict[str, Any]:
    """The record of a measurement: read where it is there, else computed, written and returned.

    Of several processes the first one reads and writes; all compute.

    Args:
        folder: where records are kept.
        what: the name of the measurement.
        inputs: everything that the result depends on, JSON-able; the record is found by it.
        about: what else a reader wants to know of it, JSON-able: data, seed, number of images.
        device: where it is computed.
        compute: makes the result, JSON-able.

    Returns:
        "what", "result", "config" (the inputs), "seconds", what :func:`provenance` gives, and ``about``.
    """
    path = record_path(folder, what, inputs)

    def read() -> dict[str, Any] | None:
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is damaged ({error}); delete it, and it is measured anew") from error

    def write() -> dict[str, Any]:
        entry = {
            "what": what,
            **about,
            "config": inputs,
            "seconds": round(time.perf_counter() - began, 2),
            **provenance(device),
            "result": result,
        }
        write_json(path, entry)
        return json.loads(path.read_text())

    found = distributed.from_first(read)
    if found is not None:
        return found
    began = time.perf_counter()
    result = compute()
    return distributed.from_first(write)


def record_path(folder: Path, what: str, inputs: dict[str, Any]) -> Path:
    """Where the record of a measurement is kept; ``inputs`` are its "config"."""
    return folder / "records" / f"{what}-{key(inputs)}.json"


def write_json(path: Path, entry: dict[str, Any]) -> None:
    """Write ``entry`` as JSON; written beside and moved, never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(entry, indent=1))
    os.replace(beside, path)

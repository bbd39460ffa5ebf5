"""Files that are written whole or not at all, whose damage is noticed; and the provenance of a number."""

import csv
import datetime
import hashlib
import io
import json
import os
import platform
import re
import subprocess
from collections.abc import Container, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from snslib import locks

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parent  # where it is a checkout


def provenance(device: str, processes: int = 1) -> dict[str, Any]:
    """What a number should be traced by: device, number of processes, versions, commit and date."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{torch.get_num_threads()} CPU threads"
    return {
        "device": f"{device}, {name}",
        "processes": processes,
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


def write_json(path: Path, entry: dict[str, Any]) -> None:
    """Write ``entry`` as JSON; written beside and moved, never half there. ValueError for NaN and infinity."""
    text = json.dumps(entry, indent=1, allow_nan=False)
    with locks.written_beside(path) as new:
        new.write_text(text)


def read_json(path: Path) -> Any:
    """What a file holds as JSON; ValueError where it is none, or has NaN or infinity, which JSON does not know."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("brackets within brackets without an end") from error


def as_csv(rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV, in which no program finds a formula: a text that one would run begins with an apostrophe.

    Args:
        rows: header and lines, of texts and numbers; what is a number, as text too, stays one.
    """
    table = io.StringIO()
    for row in rows:
        cells = [_no_formula(str(cell)) for cell in row]
        apart = any(sign in cell for cell in cells for sign in ";\t\r")  # which part cells or lines for some programs
        csv.writer(table, quoting=csv.QUOTE_ALL if apart else csv.QUOTE_MINIMAL, lineterminator="\n").writerow(cells)
    return table.getvalue()


def _no_formula(cell: str) -> str:
    """A cell that a spreadsheet takes for text or a number."""
    try:
        float(cell)
    except ValueError:
        return f"'{cell}" if re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", cell) else cell
    return cell


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def save_tensors(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write tensors, a JSON-able state and checksums of both as one safetensors file.

    It is written beside and moved, never half there.
    """
    text = json.dumps(state)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checked = f"{_sha256(text)} {checksum(tensors)} {text}"  # one entry, since safetensors orders several at random
    with locks.written_beside(path) as new:
        new.touch()
        permissions = new.stat().st_mode  # as the user's umask wants them; safetensors would let nobody else read it
        try:
            save_file(tensors, new, {"checked": checked})
        except SafetensorError as error:  # has the system's error as a text
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise
        new.chmod(permissions)


def load_tensors(
    path: Path, only_state: bool = False, known: Container[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote, and compare it with its checksums.

    Args:
        path: the file.
        only_state: read no tensors, which is quick.
        known: SHA-256 of the states of files from before they held it, when there was but that of the tensors, in the
            state; None takes such a state as it is.

    Raises:
        ValueError: the file is damaged.
    """
    while True:
        before = _version(path)
        try:
            return _checked(path, only_state, known)
        except (SafetensorError, TypeError, KeyError, ValueError) as error:
            if _version(path) != before:  # safetensors opens a file twice, and between these it was replaced
                continue
            remedy = "delete it, and it is made anew (git checkout brings back one of results/)"
            raise ValueError(f"{path} is damaged ({error}); {remedy}") from error


def _version(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_size


def _checked(path: Path, only_state: bool, known: Container[str] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As :func:`load_tensors`; errors of several kinds where the file is damaged."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
        names = () if only_state else file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    if "checked" in about:
        of_state, of_tensors, text = about["checked"].split(" ", 2)
        intact = _sha256(text) == of_state
    else:
        text = about["state"]
        of_tensors = json.loads(text)["sha256"]
        intact = known is None or _sha256(text) in known
    if not intact:
        raise ValueError("its state has another checksum")
    state = json.loads(text)
    if not only_state and not checksum(tensors) == of_tensors == state.get("sha256", of_tensors):
        raise ValueError("its tensors have another checksum")
    return tensors, state


def checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the names and values of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().flatten()
        digest.update(name.encode())
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

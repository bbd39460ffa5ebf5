"""Writing files whole or not at all, and the provenance of a number."""

import datetime
import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

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
    """Write ``entry`` as JSON; written beside and moved, never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(entry, indent=1))
    os.replace(beside, path)


def save_tensors(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write tensors and a JSON-able state as one safetensors file; written beside and moved, never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch()
    permissions = beside.stat().st_mode  # as the user's umask wants them; safetensors would let nobody else read it
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, beside, {"state": json.dumps(state)})
    beside.chmod(permissions)
    os.replace(beside, path)


def load_tensors(path: Path, only_state: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote; with ``only_state`` no tensors, which is quick.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            wanted = () if only_state else file.keys()
            return {key: file.get_tensor(key) for key in wanted}, json.loads(file.metadata()["state"])
    except (SafetensorError, TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and it is made anew") from error

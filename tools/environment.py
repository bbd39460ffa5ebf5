"""Make .venv, in which the Makefile's commands run: every package at the version and hash of requirements.txt.

    python3 tools/environment.py

It needs nothing but Python. A PyTorch that somebody put into .venv beforehand is kept, with what belongs to it.
"""

from __future__ import annotations  # an old Python should get as far as the message that it is one

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
READY = VENV / ".ready"  # newer than requirements.txt once all of it is installed
OURS = VENV / ".torch-from-requirements"  # there once this script has begun to install PyTorch
TORCH = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
CUDA = sys.platform == "linux"  # elsewhere PyTorch's wheels from PyPI bring no CUDA


def requirements(text: str, with_torch: bool) -> str:
    """The packages of a lock file with their hashes, or those without PyTorch and the libraries that are its own."""
    entries = re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if with_torch or not TORCH.match(entry))


def version_of(package: str) -> str | None:
    """The version of a package in .venv; None where it is not there."""
    folders = [str(folder) for folder in VENV.glob("lib/python3*/site-packages")]
    return next((found.version for found in distributions(name=package, path=folders)), None)


def check_machine(with_torch: bool) -> None:
    """Say what is needed, before anything is fetched, and end where it cannot work."""
    gigabytes = 6 if with_torch and CUDA and version_of("torch") is None else 1
    free = shutil.disk_usage(ROOT).free / 1e9
    uv = shutil.which("uv")
    print(f"Setting up .venv with Python {sys.version.split()[0]}.")
    print(f"It takes about {gigabytes} of the {free:.0f} GB that are free,", end=" ")
    print("and a minute with uv." if uv else "and 2 to 10 minutes with pip; a minute if uv is there (pip install uv).")
    if free < gigabytes:
        sys.exit("error: there is not enough room. With PyTorch's CPU-only wheels 1 GB will do: see README.md.")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        print("There is no Chromium: the tests that look at the book in a browser will be skipped.")
    if not shutil.which("npm"):
        print("There is no npm: pages of the book will load MathJax and the scripts of sliders from a CDN.")
    sys.stdout.flush()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One setup at a time: another one that was started meanwhile waits, and finds all done."""
    import fcntl

    folder = ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    with open(folder / "environment.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(with_torch: bool) -> None:
    """Install what requirements.txt lists, then snslib itself, in place."""
    python, listed = str(VENV / "bin" / "python"), str(VENV / "requirements.txt")
    Path(listed).write_text(requirements((ROOT / "requirements.txt").read_text(), with_torch))
    pip, uv = [python, "-m", "pip", "install"], shutil.which("uv")
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"}
    for what in (["--require-hashes", "-r", listed], ["--no-build-isolation", "--editable", str(ROOT)]):
        if uv:
            command = [uv, "pip", "install", "--python", python, "--quiet", "--no-deps", *what]
            if subprocess.run(command, check=False, env=environment).returncode == 0:
                continue
            print("uv could not install that; trying pip.", flush=True)
        subprocess.run([*pip, "--quiet", "--no-deps", *what], check=True, env=environment)


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  # whichever Python make finds
        sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.13 ...")
    lock = (ROOT / "requirements.txt").stat().st_mtime, (ROOT / "pyproject.toml").stat().st_mtime
    with alone():
        if READY.exists() and READY.stat().st_mtime >= max(lock):
            return
        with_torch = OURS.exists() or version_of("torch") is None
        check_machine(with_torch)
        try:
            if not (VENV / "bin" / "python").exists():
                subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
            if with_torch:
                OURS.touch()
            else:
                print(f"PyTorch {version_of('torch')} is there already, and stays.", flush=True)
            install(with_torch)
            imported = [str(VENV / "bin" / "python"), "-c", "import torch, torchvision, snslib"]
            subprocess.run(imported, check=True, cwd=VENV)
        except subprocess.CalledProcessError as error:
            sys.exit(f"error: .venv is not complete; '{' '.join(error.cmd)}' ended with {error.returncode}")
        READY.touch()


if __name__ == "__main__":
    main()

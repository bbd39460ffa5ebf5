"""Pass the tests on every Python that is here, and on the oldest versions that pyproject.toml allows.

    python tools/matrix.py [NAME ...] [-- PYTEST ARGUMENTS]

NAME is a Python with its packages, such as 3.13-locked (those of requirements.txt) or 3.11-lowest (the lowest that
pyproject.toml allows). Without one all are tried. Each has an environment in .matrix/, and its log beside it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".matrix"
NAMES = ("3.11-locked", "3.11-lowest", "3.12-locked", "3.13-locked", "3.14-locked")
UV = str(Path(sys.executable).with_name("uv"))
INSTALLED = {
    "locked": [
        ["--require-hashes", "--no-deps", "-r", "requirements.txt"],
        ["--no-deps", "--no-build-isolation", "--editable", "."],
    ],
    "lowest": [["--resolution", "lowest-direct", "--group", "test", "--editable", ".[book]"]],
}


def interpreter(version: str) -> str | None:
    """The path of a Python of that version, on the PATH or one that pyenv or uv manages; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    bins = [str(folder) for folder in pyenv.glob("versions/*/bin")]
    environment = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *bins])}
    found = [UV, "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    done = subprocess.run(found, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def passes(name: str, python: str, pytest_arguments: list[str]) -> bool:
    """Make the environment anew, and run the tests in it."""
    environment = FOLDER / name
    with open(FOLDER / f"{name}.log", "w") as log:

        def run(*command: str) -> bool:
            return subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False).returncode == 0

        made = run(UV, "venv", "--clear", "--python", python, str(environment))
        install = (UV, "pip", "install", "--python", str(environment / "bin" / "python"))
        installed = made and all(run(*install, *what) for what in INSTALLED[name.partition("-")[2]])
        return installed and run(str(environment / "bin" / "pytest"), *pytest_arguments)


def main() -> None:
    wanted, _, pytest_arguments = " ".join(sys.argv[1:]).partition("--")
    names = wanted.split() or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        sys.exit(f"error: {', '.join(unknown)}: there are {', '.join(NAMES)}")
    FOLDER.mkdir(exist_ok=True)
    outcomes = {}
    for name in names:
        version = name.partition("-")[0]
        if (python := interpreter(version)) is None:
            outcomes[name] = f"not tried, there is no Python {version} here"
        else:
            began = time.monotonic()
            passed = passes(name, python, pytest_arguments.split())
            outcomes[name] = f"{'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s"
        print(f"{name}: {outcomes[name]}", flush=True)
    if any("FAILED" in outcome for outcome in outcomes.values()):
        sys.exit(f"error: not all passed; see {FOLDER.name}/*.log")


if __name__ == "__main__":
    main()

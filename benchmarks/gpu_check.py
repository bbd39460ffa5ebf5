"""What matters most on a GPU, in minutes: the tests that need one, then the speed, and a table of it against the goals.

    python benchmarks/gpu_check.py [--device cuda] [--quick]

The steps run in order of value, each in a process of its own: one that fails is named and the next one runs. What is
done is kept in .cache/gpu_check/ and not done again until the code changes, so that a run that was stopped goes on.
--quick, with --device cpu too, is a rehearsal at a toy size.
"""

import argparse
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from snslib import files
from snslib.inference import choose_device
from snslib.study import speed_goals

ROOT = Path(__file__).parent.parent
STATE = ROOT / ".cache" / "gpu_check"
SECTIONS = ("attacks", "pat_step", "sns_epoch", "kernels", "sensitivity")  # of run.py, after the tests


def main() -> int:
    """Run what is not done yet, print the table, and return 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, or for a rehearsal cpu")
    parser.add_argument("--quick", action="store_true", help="a rehearsal at a toy size")
    options = parser.parse_args()
    try:
        choose_device(options.device)
    except ValueError as error:
        sys.exit(f"error: {error}; --device cpu --quick is a rehearsal")
    folder = STATE / f"{options.device.replace(':', '_')}{'-quick' * options.quick}-{code()}"
    folder.mkdir(parents=True, exist_ok=True)
    failed = [step for step in ("tests", *SECTIONS) if not done(step, folder, options.device, options.quick)]
    print(f"\n{table(speed_goals.lines(measured(folder)))}\n")
    print(f"failed: {', '.join(failed)}" if failed else "no step failed", f"(kept in {folder})")
    return 1 if failed else 0


def code() -> str:
    """12 hexadecimal digits that change with the code of the library, the benchmarks and the tests."""
    digest = hashlib.sha256()
    for path in sorted(path for part in ("snslib", "benchmarks", "tests") for path in (ROOT / part).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def done(step: str, folder: Path, device: str, quick: bool) -> bool:
    """Whether a step is done; it is run unless it was."""
    passed = folder / "tests.json"
    if passed.exists() if step == "tests" else step in measured(folder):
        print(f"== {step}: done before", flush=True)
        return True
    began = time.perf_counter()
    if step == "tests":
        marked = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
        command = ["-m", "pytest", "-m", "gpu", *(["-k", "on_cuda"] if quick else []), *map(str, marked)]
    else:
        command = [str(ROOT / "benchmarks" / "run.py"), "--device", device, "--only", step, "--folder", str(folder)]
        command += ["--quick"] if quick else []
    print(f"== {step}", flush=True)
    worked = subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode == 0
    seconds = round(time.perf_counter() - began, 1)
    print(f"== {step}: {'done' if worked else 'failed'} in {seconds} s", flush=True)
    if worked and step == "tests":
        files.write_json(passed, {"seconds": seconds, **files.provenance(device)})
    return worked


def measured(folder: Path) -> dict[str, Any]:
    """Name to section, of all that are done."""
    paths = sorted(folder.glob("speed_*.json"))
    return files.read_json(paths[0]) if paths else {}


def table(lines: list[list[str]]) -> str:
    """Lines of cells in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())

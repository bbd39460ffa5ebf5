"""Measure the speed of everything and write it to results/speed_<device>.json, section by section.

    python benchmarks/run.py [--device cuda] [--only attacks kernels] [--quick] [--folder FOLDER]

Other libraries are compared with where they can be imported: make bench installs them. --quick runs everything once at
a toy size, to see that it works, and writes nothing. --folder names another folder than results/, for either.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import snslib  # noqa: F401  # before PyTorch, for what it sets

# isort: split
import attacks
import growth
import kernels
import pages
import passes
import pat_step
import sensitivity
import sns_epoch
import threads
import torch

from snslib import files

RESULTS = Path(__file__).parent.parent / "results"
SECTIONS = {
    "attacks": attacks,
    "sensitivity": sensitivity,
    "sns_epoch": sns_epoch,
    "pat_step": pat_step,
    "kernels": kernels,
    "passes": passes,
    "growth": growth,
    "threads": threads,
    "pages": pages,
}


def recorded(path: Path) -> dict[str, Any]:
    """The sections that a file has; the program ends where it is damaged, before hours of measuring for nothing."""
    try:
        held = files.read_json(path) if path.exists() else {}
        if type(held) is not dict:
            raise ValueError("it holds no sections")
    except ValueError as error:
        sys.exit(f"error: {path} is damaged ({error}); git checkout brings it back, or delete it")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help=f"cpu or cuda (default here: {default})")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to measure")
    parser.add_argument("--quick", action="store_true", help="a toy run that writes nothing")
    parser.add_argument("--folder", type=Path, help="where to write instead, a toy run too")
    options = parser.parse_args()
    path = (options.folder or RESULTS) / f"speed_{options.device.partition(':')[0]}.json"
    writes = options.folder is not None or not options.quick
    if writes:
        recorded(path)
    for name in options.only:
        print(f"== {name}", flush=True)
        began = time.perf_counter()
        rows = SECTIONS[name].measure(options.device, options.quick)
        if rows and writes:
            about = {"seconds": round(time.perf_counter() - began), **files.provenance(options.device)}
            files.write_json(path, recorded(path) | {name: about | {"rows": rows}})
            print(f"written to {path}", flush=True)


if __name__ == "__main__":
    main()

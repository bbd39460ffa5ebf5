"""Whoever loads snslib before PyTorch has threads that do not spin for long, unless the user wants them to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READ_BY_OPENMP = """  # prints what the environment holds at the moment when PyTorch is loaded
import os, runpy, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"), flush=True)
sys.meta_path.insert(0, Watch())
"""
WAYS_IN = {
    "import snslib": "import snslib",
    "a part of it": "import snslib.attacks",
    "python -m snslib": "sys.argv = ['snslib', '--help']\nrunpy.run_module('snslib', run_name='__main__')",
    "the tests": "sys.path.insert(0, 'tests')\nimport conftest",
    "the benchmarks": "sys.path.insert(0, 'benchmarks')\nimport run",
    "a chapter": "from snslib.book import chapter",
}


def seen(way_in: str, **environment: str) -> str:
    """The value that OpenMP reads, or "None"."""
    without = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", READ_BY_OPENMP + way_in]
    done = subprocess.run(command, env=without | environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("way_in", WAYS_IN.values(), ids=WAYS_IN)
def test_threads_spin_briefly_however_snslib_is_loaded(way_in: str) -> None:
    assert seen(way_in) == "10000"


@pytest.mark.slow
def test_what_the_user_has_set_stays() -> None:
    assert seen("import snslib", GOMP_SPINCOUNT="7") == "7"

"""Faults at random moments: a process that is killed, also beside another, a full disk, a torn file. Nothing is lost.

A few of each are tried here, and as many as SNSLIB_FAULTS says every night, from the seed SNSLIB_FAULTS_SEED.
"""

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from snslib.files import load_tensors
from snslib.locks import leftovers

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of Unix")]

FAULTS = int(os.environ.get("SNSLIB_FAULTS", "2"))
SEED = int(os.environ.get("SNSLIB_FAULTS_SEED", "0"))
EACH = pytest.mark.parametrize("seed", [f"{SEED}-{number}" for number in range(FAULTS)])  # shown where a test fails
SETTINGS = (
    "--width 0.0625 --vanilla-epochs 3 --epochs 2 --steps 1 --n-pairs 40 --n-test 20 --batch-size 256 --device cpu"
)
TRAIN = [sys.executable, "-m", "snslib", "train", "--defense", "sns_sen_cls", *SETTINGS.split()]


def start(folder: Path, preexec: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*TRAIN, "--out", folder], stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=preexec
    )


def finish(folder: Path) -> dict[str, Tensor]:
    """The network, after as many calls of the command as it takes; the second one has to do."""
    process = start(folder)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return network(folder)


def network(folder: Path) -> dict[str, Tensor]:
    (path,) = (folder / "models").glob("sns_sen_cls-*.safetensors")
    return load_tensors(path)[0]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], float, Path]:
    """The network without a fault, how many seconds it took, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    return finish(folder), time.monotonic() - began, folder


@EACH
def test_a_process_that_is_killed_loses_nothing(
    undisturbed: tuple[dict[str, Tensor], float, Path], tmp_path: Path, seed: str
) -> None:
    expected, seconds, _ = undisturbed
    process = start(tmp_path)
    time.sleep(random.Random(seed).uniform(0.3, 1) * seconds)
    process.kill()
    process.communicate()
    assert same(finish(tmp_path), expected)
    left = [path for path in (tmp_path / "models").iterdir() if path.suffix != ".safetensors"]
    owners = {path: path / "owner" for path in left}
    unsigned = [path for path, by in owners.items() if not by.exists() or by.stat().st_size == 0]  # found after an hour
    assert left == unsigned == leftovers(tmp_path / "models", after=0)


@EACH
def test_of_two_processes_one_is_killed_and_the_other_finishes(
    undisturbed: tuple[dict[str, Tensor], float, Path], tmp_path: Path, seed: str
) -> None:
    expected, seconds, _ = undisturbed
    chance, both = random.Random(seed), [start(tmp_path), start(tmp_path)]
    time.sleep(chance.uniform(0.3, 1.5) * seconds)
    killed, other = chance.sample(both, 2)
    killed.kill()
    said = other.communicate(timeout=300)[1]
    killed.communicate()
    assert other.returncode == 0, said
    assert same(network(tmp_path), expected)


@EACH
def test_a_full_disk_ends_in_one_line_and_loses_nothing(
    undisturbed: tuple[dict[str, Tensor], float, Path], tmp_path: Path, seed: str
) -> None:
    expected, _, folder = undisturbed
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    limit = random.Random(seed).randrange(largest)

    def no_larger_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    process = start(tmp_path, no_larger_files)
    said = process.communicate(timeout=300)[1].splitlines()
    assert process.returncode in (1, 2), said
    assert [line for line in said if line.startswith("python -m snslib: ")] == said[-1:]
    assert not any(line.startswith("Traceback") for line in said)
    assert same(finish(tmp_path), expected)


@EACH
def test_a_torn_file_is_named_or_made_anew(
    undisturbed: tuple[dict[str, Tensor], float, Path], tmp_path: Path, seed: str
) -> None:
    expected, _, folder = undisturbed
    chance = random.Random(seed)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    torn = chance.choice(files)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        whole = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: chance.randrange(len(whole))] if name == torn else whole)
    process = start(tmp_path)
    said = process.communicate(timeout=300)[1]
    if process.returncode != 0:
        assert torn.name in said
        (tmp_path / torn).unlink()
        finish(tmp_path)
    assert same(network(tmp_path), expected)

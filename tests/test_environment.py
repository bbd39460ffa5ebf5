"""requirements.txt locks every package that pyproject.toml asks for, and setup can leave a PyTorch that is there."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from scripts import load

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["book"],
    *(line for group in PROJECT["dependency-groups"].values() for line in group),
]
environment = load("../tools/environment.py")


def locked(text: str) -> list[Requirement]:
    return [Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[a-z]", line)]


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_for_is_locked_at_a_version_that_is_allowed(asked: str) -> None:
    wanted = Requirement(asked)
    versions = [next(iter(one.specifier)).version for one in locked(LOCK) if one.name == wanted.name]
    assert versions
    assert all(wanted.specifier.contains(version) for version in versions)


def test_every_package_is_pinned_and_has_hashes() -> None:
    entries = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 150
    assert all(re.match(r"[\w.-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK  # of an index that somebody else cannot reach


def test_a_torch_that_is_there_stays_with_what_belongs_to_it() -> None:
    everything, rest = ({one.name for one in locked(environment.requirements(LOCK, torch))} for torch in (True, False))
    assert everything == {one.name for one in locked(LOCK)}
    left = everything - rest
    assert {"torch", "torchvision", "triton"} <= left
    assert all(re.match(r"torch|torchvision|triton|nvidia-|cuda-", name) for name in left)
    assert "--hash" in environment.requirements(LOCK, with_torch=False)


def test_what_is_installed_is_found_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path)
    assert environment.version_of("torch") is None
    about = tmp_path / "lib" / "python3.11" / "site-packages" / "torch-2.9.1+cpu.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.9.1+cpu\n")
    assert environment.version_of("torch") == "2.9.1+cpu"

"""make gpu-check, rehearsed on a CPU at a toy size: what is done stays done, and what fails is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripts import load

gpu_check = load("../benchmarks/gpu_check.py")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gpu_check, "STATE", tmp_path)
    monkeypatch.setattr(gpu_check, "code", lambda: "0123456789ab")  # others may change the code meanwhile
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--device", "cpu", "--quick"])
    return tmp_path / "cpu-quick-0123456789ab"


@pytest.mark.slow
def test_the_rehearsal_runs_its_tests_and_measures_and_the_next_one_goes_on(
    state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "SECTIONS", ("sns_epoch",))
    assert gpu_check.main() == 0
    first = capfd.readouterr().out
    assert "== tests: done in" in first
    assert "== sns_epoch: done in" in first
    rows = json.loads((state / "speed_cpu.json").read_text())["sns_epoch"]["rows"]
    (cached,) = (row["faster"] for row in rows if row["how"] == "snslib, bottom cached")
    assert f"SNS epoch, locked layers cached  literal loop  {cached:.2f}" in first

    monkeypatch.setattr(gpu_check, "SECTIONS", ("sns_epoch", "kernels"))
    assert gpu_check.main() == 0
    second = capfd.readouterr().out
    assert "== tests: done before" in second
    assert "== sns_epoch: done before" in second
    assert "== kernels: done in" in second
    assert {*json.loads((state / "speed_cpu.json").read_text())} == {"sns_epoch", "kernels"}


class Ran:
    """In place of the processes: each writes what it would, or fails."""

    def __init__(self, state: Path, fails: str) -> None:
        self.state, self.fails, self.steps = state, fails, []

    def __call__(self, command: list[str], **options: Any) -> "Ran":
        step = command[command.index("--only") + 1] if "--only" in command else "tests"
        self.steps.append(step)
        self.returncode = 1 if step == self.fails else 0
        if step != "tests" and step != self.fails:
            path = self.state / "speed_cpu.json"
            held = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(
                json.dumps(held | {step: {"rows": [{"attack": "FGSM", "library": "snslib", "faster": 1.3}]}})
            )
        return self


@pytest.mark.parametrize("fails", ["tests", "pat_step"])
def test_a_step_that_fails_is_named_and_is_the_only_one_that_is_done_again(
    fails: str, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ["tests", *gpu_check.SECTIONS]
    ran = Ran(state, fails)
    monkeypatch.setattr(gpu_check.subprocess, "run", ran)
    monkeypatch.setattr(gpu_check.files, "provenance", lambda device: {})
    assert gpu_check.main() == 1
    assert ran.steps == every  # the others run all the same
    assert f"failed: {fails} (kept in" in capsys.readouterr().out
    again = Ran(state, "nothing")
    monkeypatch.setattr(gpu_check.subprocess, "run", again)
    assert gpu_check.main() == 0
    assert again.steps == [fails]
    assert "no step failed" in capsys.readouterr().out


def test_other_code_is_checked_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    (tmp_path / "snslib").mkdir()
    codes = []
    for text in ("a = 1", "a = 2", "a = 1"):
        (tmp_path / "snslib" / "a.py").write_text(text)
        codes.append(gpu_check.code())
    assert codes[0] == codes[2] != codes[1]


def test_without_a_gpu_it_says_so_before_anything_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_check, "STATE", tmp_path)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--device", "cuda:77"])
    with pytest.raises(SystemExit, match=r"^error: device: 'cuda:77' cannot be used here.*--quick is a rehearsal"):
        gpu_check.main()
    assert not list(tmp_path.iterdir())


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert gpu_check.table([["a", "b", ""], ["ccc", "d", "e"]]) == "a    b\nccc  d  e"

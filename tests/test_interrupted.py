"""Real processes that are interrupted, told to end, or not read any more: one line, and the command in it goes on."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import write_folder

pytestmark = pytest.mark.slow
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Of a training of many short epochs."""
    data = write_folder(tmp_path / "my photos", 2)
    small = "--defense vanilla --model vgg16 --width 1/32 --vanilla-epochs 500 --batch-size 8 --steps 1 --device cpu"
    return ["train", "--dataset", f"folder:{data}", *shlex.split(small), "--out", str(tmp_path / "out")]


def interrupted(command: list[str], at: str, by: int = signal.SIGINT, times: int = 1) -> tuple[int, list[str]]:
    """Exit status and stderr of a command that gets a signal, as does what it has started, at its first such line."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=ONE_THREAD)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if at in line:
            break
    for _ in range(times):
        os.killpg(process.pid, by)
    said += process.stderr.read().splitlines(keepends=True)
    return process.wait(60), said


def epochs(lines: list[str]) -> list[int]:
    return [int(line[6 : line.index("/")]) for line in lines if line.startswith("epoch ")]


@pytest.mark.parametrize(
    ("by", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_in_training_one_line_says_what_is_kept_and_its_command_goes_on(
    by: int, status: int, word: str, options: list[str], tmp_path: Path
) -> None:
    found, lines = interrupted([sys.executable, "-m", "snslib", *options], "epoch 3/500", by)
    assert found == status
    assert all(line.startswith(("n_", "validation", "training", "epoch")) for line in lines[:-1])  # no traceback
    ended = re.fullmatch(
        rf"python -m snslib: {word}; epoch (\d+) of 500 is kept in (\S+|'.*'); "
        r"the same command goes on from there: (.*)\n",
        lines[-1],
    )
    assert ended is not None
    assert int(ended[1]) == epochs(lines)[-1] >= 3
    assert Path(ended[2]).parent == tmp_path / "out" / "models"
    assert Path(ended[2]).is_file()
    _, again = interrupted(shlex.split(ended[3]), f"epoch {int(ended[1]) + 1}/")
    assert f"continuing after epoch {ended[1]} of 500\n" in again
    assert epochs(again)[0] == int(ended[1]) + 1


def test_while_the_library_is_imported(options: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "snslib", *options]
    status, lines = interrupted(command, "torch.")
    assert status == 130
    told = [line for line in lines if not line.startswith("import time:")]
    assert told == [
        f"python -m snslib: interrupted before it began; the same command begins again: {shlex.join(command)}\n"
    ]


def test_who_presses_ctrl_c_again_and_again_sees_no_more(options: list[str]) -> None:
    status, lines = interrupted([sys.executable, "-m", "snslib", *options], "epoch 2/500", times=5)
    assert status == 130
    assert [line for line in lines if "interrupted" in line] == lines[-1:]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_traceback_is_shown_where_it_is_asked_for(
    how: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "variable":
        monkeypatch.setitem(ONE_THREAD, "SNSLIB_DEBUG", "1")
    command = [sys.executable, "-m", "snslib", *options, *["--debug"] * (how == "option")]
    status, lines = interrupted(command, "epoch 1/500")
    assert status == 130
    assert any(line.startswith("Traceback ") for line in lines)
    assert lines[-1].startswith("python -m snslib: interrupted; epoch ")


@pytest.mark.parametrize(
    ("shell", "says"),
    [
        ("{train} --help | head -1", "usage: python -m snslib train"),
        ("{train} --vanilla-epochs 3 2>&1 | head -1", "n_test: "),
    ],
)
def test_a_reader_that_goes_away_hears_nothing_of_it(shell: str, says: str, options: list[str]) -> None:
    words = shell.format(train=shlex.join([sys.executable, "-m", "snslib", *options]))
    found = subprocess.run(["bash", "-c", words], capture_output=True, text=True, env=ONE_THREAD)
    assert found.stdout.startswith(says)
    assert found.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
def test_a_full_disk_for_what_is_printed_is_one_line(options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "snslib", *options, "--vanilla-epochs", "1"]
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ONE_THREAD)
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("python -m snslib: No space left on device; free some space; what was trained and measured")


def test_a_folder_that_cannot_be_written_to_is_told_before_an_epoch(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "snslib", *options[:-1], str(tmp_path / "file" / "out")]
    found = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD)
    assert found.returncode == 2
    last = found.stderr.splitlines()[-1]
    assert last.startswith(
        f"python -m snslib: folder: {tmp_path}/file/out cannot be written to (Not a directory); keep"
    )
    assert "epoch" not in found.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")], ids=["SIGINT", "SIGTERM"]
)
def test_of_two_processes_one_says_it_with_the_command_of_torchrun(by: int, word: str, options: list[str]) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    status, lines = interrupted([*torchrun, "-m", "snslib", *options], "epoch 3/500", by)
    assert status != 0
    [line] = [line for line in lines if line.startswith("python -m snslib: ")]
    assert re.match(rf"python -m snslib: {word}; epoch \d+ of 500 is kept in ", line)
    assert line.endswith(f"torchrun --nproc-per-node=2 -m snslib {shlex.join(options)}\n")

"""Rows at once: the first alone, the others in processes of their own, all ended where one fails."""

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from projects import interrupted
from tiny import TINY

from snslib.study import reproduce as reproduction
from snslib.study import side_by_side
from snslib.study.rows import rows_for
from snslib.study.settings import PROFILES
from snslib.training import parallel

SCRIPT = """
import sys, time
from functools import partial
sys.path[:0] = {here!r}
from snslib.study import side_by_side
from test_side_by_side import leave_a_file
if __name__ == "__main__":
    side_by_side._at_once(partial(leave_a_file, {folder!r}), ["wait", "wait too"], 2, print)
"""


def leave_a_file(folder: str, row: str) -> None:
    """A row that leaves how many threads it had; or one that fails, dies, or takes long."""
    if row == "fails":
        raise ValueError("lam: it fails")
    if row == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(folder) / row).write_text(f"{os.getpid()} {torch.get_num_threads()}")
    if row.startswith("wait"):
        print("it waits", flush=True)
        time.sleep(60)


def test_each_row_has_a_process_and_its_share_of_the_cores(tmp_path: Path) -> None:
    lines: list[str] = []
    side_by_side._at_once(partial(leave_a_file, str(tmp_path)), ["a", "b"], 2, lines.append)
    (one, threads), (other, _) = ((tmp_path / row).read_text().split() for row in ("a", "b"))
    assert len({one, other, str(os.getpid())}) == 3
    assert int(threads) == max(1, (os.cpu_count() or 1) // 2)
    assert sorted(line.partition(", ")[2] for line in lines) == ["0 left", "1 left"]


@pytest.mark.parametrize(("row", "says"), [("fails", "fails failed"), ("dies", "killed by signal 9")])
def test_where_a_row_fails_or_its_process_dies_all_end(
    row: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=says):
        side_by_side._at_once(partial(leave_a_file, str(tmp_path)), [row, "wait", "later"], 2, str)
    assert time.monotonic() - began < 50
    assert not (tmp_path / "later").exists()
    assert ("fails: ValueError: lam: it fails" in capfd.readouterr().err) == (row == "fails")


@pytest.mark.slow
def test_ctrl_c_ends_them_all(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        SCRIPT.format(here=[str(folder) for folder in Path(__file__).parents[:2]], folder=str(tmp_path))
    )
    status, said = interrupted([tmp_path / "script.py"], "it waits")
    assert status != 0
    assert said.count("KeyboardInterrupt") == 1  # this script's own traceback; none of the rows'
    for row in ("wait", "wait too"):
        if (tmp_path / row).exists():
            with pytest.raises(ProcessLookupError):
                os.kill(int((tmp_path / row).read_text().split()[0]), 0)


def test_the_first_row_runs_alone_and_the_hours_are_those_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[Any] = []
    monkeypatch.setattr(side_by_side, "_at_once", lambda work, rows, jobs, progress: groups.append((work, rows, jobs)))
    monkeypatch.setattr(side_by_side.reproduction, "check", lambda networks, rows: groups.append(rows))
    monkeypatch.setattr(side_by_side.reproduction, "measure_between_rows", lambda networks: groups.append("between"))
    side_by_side.reproduce(TINY, tmp_path, ["pat", "alp", "vanilla"], 2.0, str, 3)
    checked, (work, first, _), (_, others, jobs), last = groups
    assert checked == ["vanilla", "pat", "alp"]
    assert (first, others, jobs, last) == (["vanilla"], ["pat", "alp"], 3, "between")
    assert 1.9 < (work.args[-1] - time.time()) / 3600 <= 2.0


def test_one_job_is_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(side_by_side.reproduction, "reproduce", lambda *given: asked.append(given))
    side_by_side.reproduce(TINY, tmp_path, ["pat"], 2.0, str)
    assert asked == [(TINY, tmp_path, ["pat"], 2.0, str)]


def test_what_cannot_be_done_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="jobs"):
        side_by_side.reproduce(TINY, tmp_path, ["pat"], jobs=0)
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    with pytest.raises(ValueError, match="leave out --jobs, or torchrun"):
        side_by_side.reproduce(TINY, tmp_path, ["pat"], jobs=2)


def test_rows_on_which_most_claims_hang_are_made_first_and_each_once() -> None:
    order = reproduction.wanted(PROFILES["cifar10"], None)
    assert sorted(order) == sorted(rows_for("vgg16"))
    assert order[:3] == ["vanilla", "pat", "alp"]
    first = [order.index(row) for row in ("sns_sen_adv_online", "reselected_adv_online", "control_adv_online")]
    assert max(first) < min(order.index(row) for row in ("nat", "eat", "image_relative_adv", "fig3b_conv1"))
    assert reproduction.wanted(PROFILES["cifar10"], ["nat", "pat"]) == ["pat", "nat"]
    assert "off_adv_online" not in reproduction.wanted(PROFILES["cifar10-resnet18"], None)

"""A disk without room is noticed before the first epoch; what ends a training later has a note on what is kept."""

import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import SCHEDULE, small_data, small_model
from torch import Tensor, nn

from snslib.files import load_tensors
from snslib.training import loop
from snslib.training.loop import checkpoint_size, train
from snslib.training.objectives import Vanilla

pytestmark = pytest.mark.trains


def never(line: str) -> None:
    pytest.fail(f"an epoch was trained: {line}")


def ended(checkpoint: Path | None, by: Callable[[str], None] = lambda line: None) -> BaseException:
    """What ended a training that calls ``by`` after each epoch."""
    with pytest.raises(BaseException) as error:  # noqa: PT011
        train(small_model(), small_data(), Vanilla(), SCHEDULE, checkpoint=checkpoint, progress=by)
    return error.value


def stop_after(epoch: int, error: BaseException) -> Callable[[str], None]:
    def progress(line: str) -> None:
        if line.startswith(f"epoch {epoch}/"):
            raise error

    return progress


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "broken"), torch.OutOfMemoryError("x")])
def test_whatever_ends_it_notes_the_last_epoch_that_is_kept(error: BaseException, tmp_path: Path) -> None:
    found = ended(tmp_path / "c", stop_after(2, error))
    assert found is error
    assert found.__notes__ == [f"epoch 2 of 3 is kept in {tmp_path / 'c'}"]
    assert len(load_tensors(tmp_path / "c")[1]["history"]) == 2


def test_without_a_checkpoint_or_an_epoch_nothing_is_kept(tmp_path: Path) -> None:
    assert ended(None, stop_after(2, KeyboardInterrupt())).__notes__ == ["no epoch is kept"]

    class Stopped(Vanilla):
        def start_epoch(self, model: nn.Module, train: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as error:
        train(small_model(), small_data(), Stopped(), SCHEDULE, checkpoint=tmp_path / "c", progress=never)
    assert error.value.__notes__ == ["no epoch is kept"]


def test_a_disk_without_room_for_two_checkpoints_ends_it_before_the_first_epoch(
    one_megabyte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "checkpoint_size", lambda model, steps: 600_000)
    told = r"^checkpoint: \S+small has 1.05 MB left where 1.2 MB are needed; free some, or name a checkpoint in another"
    with pytest.raises(ValueError, match=told):
        train(small_model(), small_data(), Vanilla(), SCHEDULE, checkpoint=one_megabyte / "c", progress=never)
    assert list(one_megabyte.iterdir()) == []


def test_to_go_on_room_for_one_is_enough_and_to_find_all_done_none(
    one_megabyte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(one_megabyte / "c", stop_after(1, KeyboardInterrupt()))
    monkeypatch.setattr(loop, "checkpoint_size", lambda model, steps: 600_000)
    assert isinstance(ended(one_megabyte / "c", stop_after(3, KeyboardInterrupt())), KeyboardInterrupt)
    monkeypatch.setattr(loop, "checkpoint_size", lambda model, steps: 10**9)
    history = train(small_model(), small_data(), Vanilla(), SCHEDULE, checkpoint=one_megabyte / "c")
    assert len(history) == 3


def test_a_disk_that_can_only_be_read_ends_it_before_an_epoch(one_megabyte: Path) -> None:
    ended(one_megabyte / "c", stop_after(1, KeyboardInterrupt()))
    subprocess.run(["mount", "-o", "remount,ro", str(one_megabyte)], check=True)

    def progress(line: str) -> None:
        assert line.startswith("continuing after epoch 1")

    with pytest.raises(ValueError, match=r"^checkpoint: \S+small cannot be written to \(Read-only file system\); name"):
        train(small_model(), small_data(), Vanilla(), SCHEDULE, checkpoint=one_megabyte / "c", progress=progress)


def test_a_disk_that_others_fill_meanwhile_leaves_the_last_epoch_that_went_on_it(one_megabyte: Path) -> None:
    def fill(line: str) -> None:
        if line.startswith("epoch 2/"):
            with (one_megabyte / "others").open("wb") as file:
                try:
                    while True:
                        file.write(bytes(4096))
                        file.flush()
                except OSError:
                    pass

    error = ended(one_megabyte / "c", fill)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert error.__notes__ == [f"epoch 2 of 3 is kept in {one_megabyte / 'c'}"]
    assert sorted(os.listdir(one_megabyte)) == ["c", "others"]  # nothing half-written
    (one_megabyte / "others").unlink()
    lines: list[str] = []
    train(small_model(), small_data(), Vanilla(), SCHEDULE, checkpoint=one_megabyte / "c", progress=lines.append)
    assert [line[:24] for line in lines] == ["continuing after epoch 2", lines[1][:24]]


def test_the_size_of_a_checkpoint_is_not_underestimated(tmp_path: Path) -> None:
    class Terms(Vanilla):
        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            loss, _ = super().__call__(model, x, x_adv, y)
            return loss, {"adv": loss / 3, "pairing": loss / 7}

    model = small_model()
    train(model, small_data(), Terms(), SCHEDULE, checkpoint=tmp_path / "c", progress=lambda line: None)
    steps = SCHEDULE.epochs * (40 // SCHEDULE.batch_size)
    tensors, state = load_tensors(tmp_path / "c")
    assert (tmp_path / "c").stat().st_size <= checkpoint_size(model, steps)
    assert sum(tensor.nbytes for tensor in tensors.values()) >= checkpoint_size(model, 0) - 2**16 - 4096
    one = len(re.sub(r"\s", "", str(state["history"][0]["steps"]))) / len(state["history"][0]["steps"]["loss"])
    assert one < 80 + 40  # bytes of a step, and of the three names

"""A report that could not be written in the end is refused before a model is loaded."""

import subprocess
from pathlib import Path

import pytest
import torch

from snslib.data import Split
from snslib.profile import measure, models
from snslib.profile.measure import profile

SPLIT = Split(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "prepared", lambda *_: pytest.fail("a model is loaded"))


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^out: \S+file cannot be written to \(File exists\); name another folder$"):
        profile(torch.nn.Identity(), SPLIT, tmp_path / "file" / "deep" / "report")


def test_on_a_full_disk_and_on_one_that_can_only_be_read(one_megabyte: Path) -> None:
    with pytest.raises(ValueError, match=r"^out: \S+small has 1.05 MB left where 16.8 MB are needed; free some, or"):
        profile(torch.nn.Identity(), SPLIT, one_megabyte / "deep" / "report")
    assert list(one_megabyte.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,ro,size=100m", str(one_megabyte)], check=True)
    with pytest.raises(ValueError, match=r"^out: \S+small cannot be written to \(Read-only file system\); name"):
        profile(torch.nn.Identity(), SPLIT, one_megabyte / "report")


def test_a_report_takes_no_more_room_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tenth of the neurons of ResNet-50 no more than a tenth of the room."""
    monkeypatch.undo()
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2600, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    profile(net.append(torch.nn.Linear(2600, 2)), SPLIT, tmp_path / "report", n_images=2)
    assert sum(file.stat().st_size for file in (tmp_path / "report").iterdir()) < measure.REPORT / 10

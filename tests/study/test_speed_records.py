"""Records of speed: read by device, taken apart by section."""

import json
from pathlib import Path

import pytest

from snslib.study import speed_records
from snslib.study.speed_records import SpeedRecords

CPU = {
    "attacks": {"seconds": 60, "rows": [{"width": 1.0, "x": 1}, {"width": 1.0, "x": 2}, {"width": 0.5, "x": 3}]},
    "pages": {"seconds": 30, "rows": [{"page": "intro"}]},
}
CUDA = {"attacks": {"seconds": 20, "rows": [{"width": 0.5, "x": 4}]}}
BOTH = SpeedRecords({"cpu": CPU, "cuda": CUDA})


def test_a_section_comes_from_the_devices_on_which_it_was_measured() -> None:
    assert BOTH.sections("attacks") == {"cpu": CPU["attacks"], "cuda": CUDA["attacks"]}
    assert BOTH.rows("pages") == {"cpu": [{"page": "intro"}]}
    assert BOTH.rows("kernels") == {}


def test_rows_are_grouped_by_device_and_keys_in_their_order() -> None:
    groups = [(values, [row["x"] for row in rows]) for values, rows in BOTH.groups("attacks", "width")]
    assert groups == [(["cpu", 1.0], [1, 2]), (["cpu", 0.5], [3]), (["cuda", 0.5], [4])]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(speed_records, "FOLDER", tmp_path)
    return tmp_path


def test_all_devices_are_read_or_one(folder: Path) -> None:
    for device, measured in {"cuda": CUDA, "cpu": CPU}.items():
        (folder / f"speed_{device}.json").write_text(json.dumps(measured))
    assert speed_records.read() == BOTH
    assert [*speed_records.read().devices] == ["cpu", "cuda"]
    assert speed_records.read("cuda") == SpeedRecords({"cuda": CUDA})


def test_a_device_without_measurements_is_named(folder: Path) -> None:
    (folder / "speed_cpu.json").write_text(json.dumps(CPU))
    with pytest.raises(ValueError, match=r"^record: there are no measurements on cuda; make bench DEVICE=cuda"):
        speed_records.read("cuda")


DAMAGED = ["", "[]", "{}", '{"attacks": []}', '{"attacks": {"rows": {}}}', '{"attacks": {"rows": [NaN]}}']


@pytest.mark.parametrize("text", [*DAMAGED, json.dumps(CPU)[:-9]])
def test_a_damaged_file_is_named_and_hides_no_other_device(text: str, folder: Path) -> None:
    (folder / "speed_cpu.json").write_text(text)
    (folder / "speed_cuda.json").write_text(json.dumps(CUDA))
    with pytest.warns(UserWarning, match=rf"left out: {folder / 'speed_cpu.json'} is damaged"):
        assert speed_records.read() == SpeedRecords({"cuda": CUDA})
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(ValueError, match="no measurements on cpu"):
        speed_records.read("cpu")


SECTIONS = ["[]", "3", "null", "{}", '{"rows": 3}', '{"rows": [3]}', '{"rows": [{}]}', '{"rows": [{"x": NaN}]}']
ROWS = ['{"x": 1}, {"y": 1}', '{"x": 1}, {"x": "1"}', '{"x": 1}, {}', '{"x": 1}, {"x": 1e999}', '{"x": null}']


@pytest.mark.parametrize("section", [*SECTIONS, *(f'{{"rows": [{rows}]}}' for rows in ROWS)])
def test_a_damaged_section_is_named_and_hides_no_other(section: str, folder: Path) -> None:
    path = folder / "speed_cpu.json"
    path.write_text(f'{{"attacks": {section}, "pages": {json.dumps(CPU["pages"])}}}')
    with pytest.warns(UserWarning, match=rf"left out: attacks of {path} is damaged .*git checkout"):
        assert speed_records.read() == SpeedRecords({"cpu": {"pages": CPU["pages"]}})


def test_whole_numbers_and_others_are_of_one_kind(folder: Path) -> None:
    (folder / "speed_cpu.json").write_text('{"growth": {"rows": [{"x": 1}, {"x": 0.5}]}}')
    assert speed_records.read().rows("growth") == {"cpu": [{"x": 1}, {"x": 0.5}]}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"2.9.0": {}}', '{"2.9.0": {"wrong": 3}}'])
def test_damaged_records_of_convolutions_are_named(text: str, folder: Path) -> None:
    (folder / "convolutions.json").write_text(text)
    with pytest.raises(ValueError, match=r"convolutions\.json is damaged .*git checkout"):
        speed_records.convolutions()


def test_the_convolutions_that_are_wrong_are_read(folder: Path) -> None:
    (folder / "convolutions.json").write_text('{"2.9.0": {"wrong": []}}')
    assert speed_records.convolutions() == {"2.9.0": {"wrong": []}}

"""A file is whole, and what was changed in it since is noticed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from snslib import files
from snslib.files import load_tensors, read_json, save_tensors, write_json

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "n": torch.tensor(7), "half": torch.tensor([1.5]).bfloat16()}
STATE = {"recipe": {"lr": 0.1}, "history": [{"loss": 0.3}]}


def flipped(path: Path, bit: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[bit // 8] ^= 1 << bit % 8
    path.write_bytes(raw)


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    """Of every eleventh bit of a small file: what is read is an error, or what was saved, to the last bit."""
    path = tmp_path / "file"
    save_tensors(path, TENSORS, STATE)
    whole = path.read_bytes()
    said = []
    bits = range(0, 8 * len(whole), 11)
    for bit in bits:
        path.write_bytes(whole)
        flipped(path, bit)
        try:
            tensors, state = load_tensors(path)
        except ValueError as error:
            said.append(str(error))
        else:
            torch.testing.assert_close(tensors, TENSORS, rtol=0, atol=0)
            assert state == STATE
    assert all(line.startswith(f"{path} is damaged (") for line in said)
    assert len(said) > 0.95 * len(bits)  # not where the header names a checksum, or is padded


def test_of_the_state_alone_every_change_is_noticed_too(tmp_path: Path) -> None:
    save_tensors(tmp_path / "file", TENSORS, STATE)
    raw = (tmp_path / "file").read_bytes()
    assert load_tensors(tmp_path / "file", only_state=True) == ({}, STATE)
    (tmp_path / "file").write_bytes(raw.replace(b"0.3", b"0.8"))
    with pytest.raises(ValueError, match=r"file is damaged \(its state has another checksum\); delete it"):
        load_tensors(tmp_path / "file", only_state=True)


def test_a_file_from_before_there_were_checksums_is_read_where_its_state_is_known(tmp_path: Path) -> None:
    text = json.dumps({"sha256": files.checksum(TENSORS)})
    save_file(TENSORS, tmp_path / "file", {"state": text})
    with pytest.raises(ValueError, match="its state has another checksum"):
        load_tensors(tmp_path / "file", known={"of another"})
    assert load_tensors(tmp_path / "file")[1] == json.loads(text)
    assert load_tensors(tmp_path / "file", known={files._sha256(text)})[1] == json.loads(text)
    raw = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(ValueError, match="its tensors have another checksum"):
        load_tensors(tmp_path / "file")


def test_the_same_is_written_to_the_same_bytes(tmp_path: Path) -> None:
    for name in "abcdef":
        save_tensors(tmp_path / name, TENSORS, STATE)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_state_that_names_other_tensors_is_damaged(tmp_path: Path) -> None:
    save_tensors(tmp_path / "file", TENSORS, {"sha256": "of others"})
    with pytest.raises(ValueError, match="its tensors have another checksum"):
        load_tensors(tmp_path / "file")


@pytest.mark.parametrize("text", ["", '{"a": 1', "[NaN]", "[1, -Infinity]", "\xff", "[" * 100_000])
def test_what_is_not_json_is_not_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError):  # noqa: PT011  as Python's parser says it
        read_json(tmp_path / "file")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_does_not_know_is_not_written(value: float, tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"a": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", {"a": value})
    assert read_json(tmp_path / "file") == {"a": 1.5}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

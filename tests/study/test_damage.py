"""A cached network, checkpoint or set of pairs that is not what was written is never measured."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY

from snslib.files import load_tensors, save_tensors
from snslib.study.networks import Networks
from snslib.training import pretrained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a vanilla network and the dual pairs of it."""
    folder = tmp_path_factory.mktemp("cache")
    networks = Networks(TINY, folder, lambda line: None)
    networks.model("vanilla")
    networks.fixed_pairs()
    return folder


@pytest.fixture
def networks(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Networks]:
    """Networks of a copy of it; that nothing is trained anew is held against the lines of progress."""
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    shutil.copytree(trained, tmp_path / "cache")
    lines: list[str] = []
    yield Networks(TINY, tmp_path / "cache", lines.append)
    assert not [line for line in lines if line.startswith("training")]


def flipped(whole: bytes, bit: int) -> bytes:
    return whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :]


def test_200_flipped_bits_of_a_cached_network_are_noticed(networks: Networks) -> None:
    """Wherever they are: the network is refused by name, or it is the one that was trained."""
    right = networks.model("vanilla").state_dict()
    path = networks.model_path("vanilla")
    whole = path.read_bytes()
    refused = 0
    for bit in torch.randint(8 * len(whole), (200,), generator=torch.Generator().manual_seed(0)).tolist():
        path.write_bytes(flipped(whole, bit))
        try:
            torch.testing.assert_close(networks.model("vanilla").state_dict(), right, rtol=0, atol=0)
        except ValueError as error:
            refused += str(error).startswith(f"{path} is damaged (")
    assert refused >= 199


def test_another_network_under_the_name_of_one_is_refused(networks: Networks) -> None:
    path = networks.model_path("vanilla")
    tensors, state = load_tensors(path)
    other = replace(TINY, vanilla_epochs=3)
    recipe = networks.with_settings(other).configuration("vanilla")
    save_tensors(path, tensors, state | {"recipe": recipe})
    for read in (networks.model, networks.history):
        with pytest.raises(ValueError, match=rf"{path} holds another network than its name says; delete it"):
            read("vanilla")
    save_tensors(path, tensors, {"history": []})
    with pytest.raises(ValueError, match="holds another network"):
        networks.model("vanilla")


def test_damaged_pairs_are_named_and_made_anew(networks: Networks) -> None:
    right = networks.fixed_pairs().clone()  # which is still in the file, whose bytes are changed in place below
    (path,) = (networks.folder / "pairs").iterdir()
    whole = path.read_bytes()
    for damaged in (flipped(whole, 8 * len(whole) - 70), whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match=rf"^dual pairs are made anew: {path} is damaged"):
            assert torch.equal(networks.fixed_pairs(), right)
        assert path.read_bytes() == whole
    tensors, state = load_tensors(path)
    save_tensors(path, {"x_adv": 1 - tensors["x_adv"]}, state | {"eps": 0.5})
    with pytest.warns(UserWarning, match="holds other pairs than its name says"):
        assert torch.equal(networks.fixed_pairs(), right)


def test_a_checkpoint_of_another_network_is_not_gone_on_from(networks: Networks) -> None:
    """Of one whose schedule is the same, too."""

    def stop(line: str) -> None:
        if line.startswith("epoch 1/"):
            raise KeyboardInterrupt

    other = Networks(replace(TINY, seed=1), networks.folder, stop)
    stopped = Networks(replace(other.settings, width=1 / 8), networks.folder, stop)
    wide = stopped.model_path("vanilla").with_suffix(".partial")
    with pytest.raises(KeyboardInterrupt):
        stopped.model("vanilla")
    narrow = other.model_path("vanilla").with_suffix(".partial")
    wide.rename(narrow)
    with pytest.raises(ValueError, match=rf"^checkpoint: {narrow} is of another run.*delete it"):
        other.model("vanilla")

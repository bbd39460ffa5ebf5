"""Every model and record of results/ is found by today's code: a change that loses hours of computing fails here."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from snslib.data import Dataset, Split
from snslib.files import checksum, save_tensors
from snslib.study import networks, records, results
from snslib.study.reproduce import reproduce
from snslib.study.rows import ROWS, folder_of
from snslib.study.settings import PROFILES
from snslib.training import pretrained
from snslib.training.models import build_model

pytestmark = pytest.mark.filterwarnings("error")  # what is damaged is left out with a warning

KEYS = Path(__file__).parent / "recorded_keys.json"  # file, measurement and key; a model is the measurement "model"
RUNS = {  # what was run: profile, seed and the precision it was trained in
    "cifar10/vgg16-w0.25": [("cifar10-small", 0, "bfloat16"), ("cifar10-small", 1, "float32")],
    "cifar10/vgg16-w1": [("cifar10", 0, "bfloat16")],
    "cifar10/resnet18-w0.25": [("cifar10-resnet18-small", 0, "float32")],
    "tiny-imagenet/alexnet-w0.25": [("tiny-imagenet-small", 0, "bfloat16")],
}
SIZES = {"cifar10": (10, 32, 50_000, 10_000, 4), "tiny-imagenet": (200, 64, 20_000, 4_000, 8)}


def in_results() -> Iterator[tuple[str, str, str]]:
    """File, measurement and key of everything in results/."""
    for path in sorted(pretrained.RESULTS.glob("*/*/*.json")):
        for entry in json.loads(path.read_text())["records"]:
            name = str(path.relative_to(pretrained.RESULTS).with_suffix(""))
            yield name, entry["what"], records.key(results.configuration(entry["config"]))
    for path in sorted(pretrained.RESULTS.glob("*/*/*.safetensors")):
        name = str(path.relative_to(pretrained.RESULTS).with_suffix(""))
        yield name, "model", records.key(results.configuration(results.state(name)["recipe"]))


def test_the_keys_are_those_that_were_written_down() -> None:
    """Of what came later there is more; nothing is gone, and nothing is found under another key than before."""
    now = set(in_results())
    assert {tuple(line) for line in json.loads(KEYS.read_text())} <= now
    assert len(now) >= 539 + 42


def test_every_record_is_one_and_every_model_is_what_was_published() -> None:
    """The checksums of all files are compared, and every result is like one of its measurement."""
    states = json.loads((pretrained.RESULTS / "checksums.json").read_text())["states"]
    for path in sorted(pretrained.RESULTS.glob("*/*/*.safetensors")):
        name = str(path.relative_to(pretrained.RESULTS).with_suffix(""))
        pretrained.read(path, name=name)
        with safe_open(path, "pt") as file:
            if first := file.metadata().get("state"):
                assert states.pop(name) == hashlib.sha256(first.encode()).hexdigest()
    assert states == {}
    read = [
        len(results._read(path, path.stat().st_mtime_ns)[1]) for path in sorted(pretrained.RESULTS.glob("*/*/*.json"))
    ]
    assert sum(read) == sum(what != "model" for _, what, _ in in_results())


def test_the_data_of_every_record_are_told_by_their_fingerprint() -> None:
    """All that is published of a data set was made on one copy of it, whose fingerprint is there."""
    for name, (_, side, train, test, _) in SIZES.items():
        recorded = json.loads((pretrained.RESULTS / name / "data.json").read_text())
        shapes = {split: recorded[split]["images"] for split in ("train", "validation", "test")}
        assert shapes["train"][0] + shapes["validation"][0] == train
        assert shapes["test"] == [test, 3, side, side]
        recipes = [
            results.state(str(path.relative_to(pretrained.RESULTS).with_suffix("")))["recipe"]
            for path in sorted((pretrained.RESULTS / name).glob("*/*.safetensors"))
        ]
        assert len({tuple(recipe["data"]["crc32"]) for recipe in recipes}) == 1


def stub(name: str) -> Dataset:
    """A data set of black images that is as large as the real one, whose fingerprint it is given below."""
    classes, side, train, test, padding = SIZES[name]
    black = [
        Split(torch.zeros(1, 3, side, side, dtype=torch.uint8).expand(n, -1, -1, -1), torch.arange(n) % classes)
        for n in (train, test)
    ]
    names = tuple(str(label) for label in range(classes))
    return Dataset(name, names, black[0], black[0].take(0), black[1], padding, True, "black images", False)


def with_models(folder: str, root: Path) -> Path:
    """A copy of ``results/`` in which every model of a folder is there, untrained where only its state is kept."""
    shutil.copytree(pretrained.RESULTS, root, symlinks=True, copy_function=os.symlink)
    for path in (root / folder / "states").glob("*.json"):
        state = json.loads(path.read_text())
        recipe, classes = state["recipe"], len(state["classes"])
        weights = build_model(recipe["model"], classes, recipe["width"], state["image_size"]).state_dict()
        save_tensors(root / folder / f"{path.stem}.safetensors", weights, state | {"sha256": checksum(weights)})
    return root


@pytest.mark.slow
@pytest.mark.parametrize("folder", RUNS)
def test_reproduce_asks_for_all_of_it(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks for and does not find was never made; what is there and not asked for would be lost."""
    asked: set[tuple[str, str]] = set()

    def remembered(find: Callable[..., Any], what: Callable[..., str]) -> Callable[..., Any]:
        def ask(data: Dataset, *question: Any) -> Any:
            asked.add((what(*question), records.key(results.configuration(question[-1]))))
            return find(data, *question)

        return ask

    def train(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"trained anew: {arguments}")

    data = stub(folder.partition("/")[0])
    published = {(what, key) for name, what, key in in_results() if name.rpartition("/")[0] == folder}
    monkeypatch.setattr(pretrained, "RESULTS", with_models(folder, tmp_path / "results"))
    (cache := tmp_path / "cache").mkdir()
    monkeypatch.setattr(networks, "load_dataset", lambda *arguments, **options: data)
    monkeypatch.setattr(networks, "hold_out", lambda split, n: (split.take(len(split) - n), split.take(n)))
    monkeypatch.setattr(networks.zlib, "crc32", lambda buffer: 0)
    recorded = json.loads((pretrained.RESULTS / data.name / "data.json").read_text())
    monkeypatch.setattr(results, "fingerprint", lambda data: recorded)
    monkeypatch.setattr(networks, "train", train)
    monkeypatch.setattr(records, "record", lambda *question: {})
    monkeypatch.setattr(results, "publish_record", lambda *entry: None)
    monkeypatch.setattr(results, "find_record", remembered(results.find_record, lambda what, inputs: what))
    monkeypatch.setattr(results, "find_model", remembered(results.find_model, lambda recipe: "model"))
    there = {path.stem for path in (pretrained.RESULTS / folder).glob("*.json")}
    for profile, seed, precision in RUNS[folder]:
        base = replace(PROFILES[profile], seed=seed, precision=precision, device="cpu")
        assert folder_of(base) == folder
        rows = [row for row in ROWS if (row if seed == 0 else f"{row}-seed{seed}") in there]
        reproduce(base, cache, rows, progress=lambda line: None)
    assert not published - asked
    assert not list(cache.iterdir())

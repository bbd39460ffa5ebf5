"""Every model and record of results/ is found by today's code: a change that loses hours of computing fails here."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snslib import cache, published, zoo
from snslib.data import Dataset, Split
from snslib.reproduction import ROWS, folder_of, reproduce
from snslib.settings import PROFILES

KEYS = Path(__file__).parent / "recorded_keys.json"  # file, measurement and key; a model is the measurement "model"
RUNS = {  # what was run: profile, seed and the precision it was trained in
    "cifar10/vgg16-w0.25": [("cifar10-small", 0, "bfloat16"), ("cifar10-small", 1, "float32")],
    "cifar10/resnet18-w0.25": [("cifar10-resnet18-small", 0, "float32")],
    "tiny-imagenet/alexnet-w0.25": [("tiny-imagenet-small", 0, "bfloat16")],
}
SIZES = {"cifar10": (10, 32, 50_000, 10_000, 4), "tiny-imagenet": (200, 64, 20_000, 4_000, 8)}


def in_results() -> Iterator[tuple[str, str, str]]:
    """File, measurement and key of everything in results/."""
    for path in sorted(published.RESULTS.glob("*/*/*.json")):
        for entry in json.loads(path.read_text())["records"]:
            name = str(path.relative_to(published.RESULTS).with_suffix(""))
            yield name, entry["what"], cache.key(published.configuration(entry["config"]))
    for path in sorted(published.RESULTS.glob("*/*/*.safetensors")):
        name = str(path.relative_to(published.RESULTS).with_suffix(""))
        yield name, "model", cache.key(published.configuration(published.state(name)["recipe"]))


def test_the_keys_are_those_that_were_written_down() -> None:
    """Of what came later there is more; nothing is gone, and nothing is found under another key than before."""
    now = set(in_results())
    assert {tuple(line) for line in json.loads(KEYS.read_text())} <= now
    assert len(now) >= 539 + 42


def stub(name: str) -> Dataset:
    """A data set of black images that is as large as the real one; what is published does not depend on its pixels."""
    classes, side, train, test, padding = SIZES[name]
    black = [
        Split(torch.zeros(1, 3, side, side, dtype=torch.uint8).expand(n, -1, -1, -1), torch.arange(n) % classes)
        for n in (train, test)
    ]
    names = tuple(str(label) for label in range(classes))
    return Dataset(name, names, black[0], black[0].take(0), black[1], padding, True, "black images", False)


@pytest.mark.parametrize("folder", RUNS)
def test_reproduce_asks_for_all_of_it(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks for and does not find was never made; what is there and not asked for would be lost."""
    asked: set[tuple[str, str]] = set()

    def remembered(find: Callable[..., Any], what: Callable[..., str]) -> Callable[..., Any]:
        def ask(data: str, *question: Any) -> Any:
            asked.add((what(*question), cache.key(published.configuration(question[-1]))))
            return find(data, *question)

        return ask

    def train(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"trained anew: {arguments}")

    data = stub(folder.partition("/")[0])
    monkeypatch.setattr(zoo, "load_dataset", lambda *arguments, **options: data)
    monkeypatch.setattr(zoo, "hold_out", lambda split, n: (split.take(len(split) - n), split.take(n)))
    monkeypatch.setattr(zoo.zlib, "crc32", lambda buffer: 0)
    monkeypatch.setattr(zoo, "train", train)
    monkeypatch.setattr(cache, "record", lambda *question: {})
    monkeypatch.setattr(published, "publish_record", lambda *entry: None)
    monkeypatch.setattr(published, "find_record", remembered(published.find_record, lambda what, inputs: what))
    monkeypatch.setattr(published, "find_model", remembered(published.find_model, lambda recipe: "model"))
    there = {path.stem for path in (published.RESULTS / folder).glob("*.json")}
    for profile, seed, precision in RUNS[folder]:
        base = replace(PROFILES[profile], seed=seed, precision=precision, device="cpu")
        assert folder_of(base) == folder
        rows = [row for row in ROWS if (row if seed == 0 else f"{row}-seed{seed}") in there]
        reproduce(base, tmp_path, rows, progress=lambda line: None)
    recorded = {(what, key) for name, what, key in in_results() if name.rpartition("/")[0] == folder}
    assert not recorded - asked
    assert not list(tmp_path.iterdir())

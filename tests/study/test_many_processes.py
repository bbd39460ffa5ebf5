"""Many notebooks want the same at once: one makes it, the others wait for it; what they publish is all there."""

import json
import os
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import FORKED, at_once
from tiny import TINY

from snslib.files import checksum, load_tensors, save_tensors
from snslib.study import measurements as measure
from snslib.study import records, results
from snslib.study.networks import Networks
from snslib.study.records import Record
from snslib.training import pretrained


def files_in(folder: Path) -> list[Path]:
    """All files of a cache."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- publishing ---


def test_of_the_records_that_processes_publish_together_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "pat.json"

    def publish(number: int) -> None:
        for n in range(number, 50, 3):
            results.publish_record(path, "pat", Record("strong-accuracy", n / 100, {"n": n}))

    at_once(3, publish)
    found = json.loads(path.read_text())["records"]
    assert sorted(entry["config"]["n"] for entry in found) == list(range(50))
    assert [(entry["result"], entry["published"]) for entry in found] == [(e["config"]["n"] / 100, True) for e in found]
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_record_published_together_is_there_once(tmp_path: Path) -> None:
    entry = Record("strong-accuracy", 0.5, {"n": 1})
    at_once(4, lambda number: results.publish_record(tmp_path / "pat.json", "pat", entry))
    assert len(json.loads((tmp_path / "pat.json").read_text())["records"]) == 1


def test_of_those_that_publish_a_model_together_one_does_and_the_others_are_refused(tmp_path: Path) -> None:
    def publish(number: int) -> bool:
        state = {"recipe": {"width": 0.25}, "history": [], "number": number}
        try:
            results.publish_model(tmp_path / "data" / "net" / "pat.safetensors", {"w": torch.ones(9)}, state)
        except FileExistsError:
            return False
        return True

    did = at_once(4, publish)
    assert sum(did) == 1
    assert load_tensors(tmp_path / "data" / "net" / "pat.safetensors")[1]["number"] == did.index(True)


# --- measuring ---


def test_what_several_measure_together_is_measured_once(tmp_path: Path) -> None:
    def measure(number: int) -> tuple[float, list[str]]:
        lines: list[str] = []

        def compute() -> float:
            with (tmp_path / "computed").open("a") as file:
                file.write("once\n")
            return 0.5

        inputs = (tmp_path, "strong-accuracy", {"a": 1}, {"seed": number}, "cpu")
        return records.record(*inputs, compute, lines.append).seed, lines

    answers = at_once(5, measure)
    assert (tmp_path / "computed").read_text() == "once\n"
    assert len({seed for seed, _ in answers}) == 1  # all have the record of the one that measured
    assert len(files_in(tmp_path / "records")) == 1


def test_a_damaged_record_is_measured_anew_once(tmp_path: Path) -> None:
    inputs = (tmp_path, "strong-accuracy", {"a": 1}, {}, "cpu")
    records.record(*inputs, lambda: 0.5)
    (path,) = files_in(tmp_path / "records")
    path.write_text("{")

    def measure(number: int) -> tuple[int, float]:
        calls: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            result = records.record(*inputs, lambda: calls.append(1) or 0.25).result
        return len(calls), result

    answers = at_once(3, measure)
    assert sum(calls for calls, _ in answers) == 1
    assert {result for _, result in answers} == {0.25}


# --- training ---


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networks:
    """Networks of an empty cache, whose data are loaded."""
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    made = Networks(replace(TINY, vanilla_epochs=2), tmp_path / "cache")
    assert len(made.data.train) > 0
    return made


@pytest.mark.slow
def test_six_that_want_one_model_train_it_once_and_wait_for_each_other(networks: Networks) -> None:
    """The model, and with it the vanilla model, its sensitivity and its pairs, which it needs."""

    def want(number: int) -> tuple[int, list[str], str, float]:
        lines: list[str] = []
        networks.progress = lines.append
        weights = checksum(networks.model("sns_sen_adv").state_dict())
        return os.getpid(), lines, weights, measure.accuracy(networks, "vanilla").provenance["seconds"]

    answers = at_once(6, want)
    everything = [line for _, lines, _, _ in answers for line in lines]
    for what in ("training vanilla", "training sns_sen_adv", "making the dual pairs"):
        assert len([line for line in everything if line.startswith(what)]) == 1, what
    waited = [line for line in everything if line.startswith("waiting for sns_sen_adv-")]
    assert len(waited) >= 5
    named = {int(line.split(", which process ")[1].split()[0]) for line in waited if ", which process " in line}
    assert named
    assert named <= {pid for pid, _, _, _ in answers}
    assert len({weights for _, _, weights, _ in answers}) == len({seconds for _, _, _, seconds in answers}) == 1
    kinds = [f"{path.parent.name} {path.name.partition('-')[0]}{path.suffix}" for path in files_in(networks.folder)]
    assert kinds == [
        *("models sns_sen_adv.safetensors", "models vanilla.safetensors"),
        *("pairs pgd.safetensors", "records accuracy.json", "records sensitivity.json"),
    ]


@pytest.mark.slow
def test_when_the_one_that_trains_is_killed_another_goes_on_from_its_checkpoint(networks: Networks) -> None:
    """And ends with the model, bit for bit, of a run that nobody disturbed."""
    trained, begun = FORKED.Event(), FORKED.Event()

    def stop(line: str) -> None:
        if line.startswith("epoch 1/2"):
            trained.set()
            time.sleep(120)

    def train() -> None:
        networks.progress = stop
        networks.model("vanilla")

    lines: list[str] = []

    def wait(line: str) -> None:
        lines.append(line)
        if line.startswith("waiting"):
            begun.set()

    first = FORKED.Process(target=train, daemon=True)
    first.start()
    assert trained.wait(60)
    threading.Thread(target=lambda: begun.wait(60) and first.kill(), daemon=True).start()
    networks.progress = wait
    found = networks.model("vanilla").state_dict()
    name = networks.model_path("vanilla").name
    assert lines[0].startswith(f"waiting for {name}, which process {first.pid} on ")
    started = ["training vanilla from scratch", "continuing after epoch 1 of 2", "epoch 2/2"]
    assert [line.partition(":")[0] for line in lines[1:]] == started
    assert [path.name for path in files_in(networks.folder)] == [name]
    undisturbed = Networks(networks.settings, networks.folder.parent / "undisturbed", lines.append)
    torch.testing.assert_close(undisturbed.model("vanilla").state_dict(), found, rtol=0, atol=0)


def test_the_checkpoint_of_a_model_that_is_there_is_removed(networks: Networks) -> None:
    """Of a process that was killed between writing the one and removing the other."""
    path = networks.model_path("vanilla")
    save_tensors(path, networks._build().state_dict(), {"recipe": networks.configuration("vanilla"), "history": []})
    path.with_suffix(".partial").touch()
    assert networks.history("vanilla") == []
    assert files_in(networks.folder) == [path]


def test_what_is_there_is_read_where_nothing_can_be_written(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user, as in a class that shares a cache."""
    with tempfile.TemporaryDirectory() as shared:
        networks.folder = Path(shared) / "cache"
        monkeypatch.setattr(pretrained, "RESULTS", Path(shared) / "results")
        path = networks.model_path("vanilla")
        save_tensors(path, networks._build().state_dict(), {"recipe": networks.configuration("vanilla"), "history": []})
        there = measure.accuracy(networks, "vanilla")
        results.publish_data(networks.data)
        results.publish_record(Path(shared) / "results" / "digits" / "net" / "vanilla.json", "vanilla", there)
        for folder in [Path(shared), *Path(shared).rglob("*/")]:
            folder.chmod(0o555)

        def read(number: int) -> None:
            if os.geteuid() == 0:  # to whom permissions are nothing
                os.seteuid(65534)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert networks.history("vanilla") == []
                assert networks.model("vanilla").training is False
                inputs = (networks.folder, there.what, there.config, {}, "cpu")
                assert records.record(*inputs, lambda: 0.0).result == there.result
                assert results.records("digits/net", "accuracy")["vanilla"].result == there.result
                for make in (lambda: networks.model("pat"), lambda: measure.sensitivity(networks, "vanilla")):
                    with pytest.raises(ValueError, match=r"^folder: .* cannot be written to"):
                        make()

        try:
            at_once(1, read)
        finally:
            for folder in [Path(shared), *Path(shared).rglob("*/")]:
                folder.chmod(0o755)

"""The script that tries models goes on where it stopped, and keeps what it has found whatever comes."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import load
from torchvision import models


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with trials that cost nothing; of "googlenet" the process is interrupted."""
    found = load("../tools/models_tried.py")

    def tried(name: str, minutes: float) -> dict[str, Any]:
        if name.endswith("googlenet"):
            raise KeyboardInterrupt
        return {"outcome": "measured", "minutes": minutes}

    monkeypatch.setattr(found, "tried", tried)
    return found


def test_every_family_of_torchvision_is_tried_at_a_size_that_it_takes(script: ModuleType) -> None:
    smallest = [name.partition(":")[2] for name in script.smallest()]
    known = models.list_models(module=models)
    assert {models.get_model_builder(name).__module__ for name in smallest} == {
        models.get_model_builder(name).__module__ for name in known
    }
    assert len(smallest) == len({models.get_model_builder(name).__module__ for name in smallest})
    assert "resnet18" in smallest
    assert {script.size_of(f"torchvision:{name}") for name in smallest} == {64, 75, 224}
    assert {name.partition(":")[0] for name in script.names(True)} == {"torchvision", *script.OTHERS}


def test_it_goes_on_where_it_was_interrupted(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tried.json"
    given = ["torchvision:alexnet", "torchvision:googlenet", "--out", str(out)]
    with pytest.raises(KeyboardInterrupt):
        script.main(given)
    (entry,) = json.loads(out.read_text())["models"].values()
    assert entry["outcome"] == "measured"
    assert set(entry["versions"]) == {"torch", "torchvision", "snslib"}
    capsys.readouterr()
    script.main(["torchvision:alexnet", "no_such_package:net", "torchvision:vgg11", "--out", str(out)])
    assert capsys.readouterr().out.splitlines() == [
        "no_such_package:net: the package is not here",
        "torchvision:vgg11: measured",
    ]
    script.main(["torchvision:alexnet", "--again", "--minutes", "3", "--out", str(out)])
    entries = json.loads(out.read_text())["models"]
    assert [(name, entry["minutes"]) for name, entry in entries.items()] == [
        ("torchvision:alexnet", 3),
        ("torchvision:vgg11", 10),
    ]


def test_a_model_that_fails_is_an_outcome(
    script: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "size_of", lambda name: 8)
    script.main(["--one", "torchvision:squeezenet1_1"])
    assert json.loads(capsys.readouterr().out)["outcome"].startswith("ValueError: model: it fails on images")

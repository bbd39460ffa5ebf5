"""Published models are found by names that lead nowhere else."""

from pathlib import Path

import pytest
import torch

from snslib.files import save_tensors
from snslib.study import records, results
from snslib.training import pretrained
from snslib.training.pretrained import load_pretrained

OUTSIDE = ["../secret", "a/../../secret", "..\\secret", "{outside}/secret", "C:\\secret", "a\0b", "\n"]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder around ``results/`` with a file such as a name could lead to."""
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "a").mkdir(parents=True)
    save_tensors(tmp_path / "secret.safetensors", {"a": torch.zeros(1)}, {})
    return tmp_path


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_results(name: str, outside: Path) -> None:
    name = name.format(outside=outside)
    for call, argument in ((load_pretrained, "name"), (results.state, "name")):
        with pytest.raises(ValueError, match=rf"\A{argument}: expected a name in [^\n]*\Z"):
            call(name)
    with pytest.raises(ValueError, match=r"\Afolder: expected a name in [^\n]*\Z"):
        results.records(name, "accuracy")
    with pytest.raises(ValueError, match=r"\Awhat: expected a name in [^\n]*\Z"):
        records.record_path(outside, name, {})


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^name: no model 'cifar10/none' in .*cifar10/vgg16-w0\.25/pat"):
        load_pretrained("cifar10/none")


def test_weights_that_are_not_kept_are_told_with_the_command_that_trains_them() -> None:
    with pytest.raises(ValueError, match=r"width 1\) are not kept here; .* reproduce --profile cifar10 --rows pat$"):
        load_pretrained("cifar10/vgg16-w1/pat")
    assert results.state("cifar10/vgg16-w1/pat")["recipe"]["schedule"]["epochs"] == 11
    assert {"pat", "control_adv_online"} <= set(results.trained("cifar10/vgg16-w1"))


def test_weights_of_a_narrow_network_are_trained_by_its_own_profile(results: Path) -> None:
    states = results / "cifar10" / "vgg16-w0.25" / "states"
    states.mkdir(parents=True)
    (states / "pat-seed1.json").write_text("{}")
    with pytest.raises(ValueError, match=r"width 0\.25\) .* reproduce --profile cifar10-small --rows pat$"):
        load_pretrained("cifar10/vgg16-w0.25/pat-seed1")

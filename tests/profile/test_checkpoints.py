"""Checkpoints as people have them are unwrapped where that is unambiguous; any other file is called what it is."""

import argparse
import bz2
import gzip
import io
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import VisionTransformer

from snslib.profile import checkpoints
from snslib.profile.models import load_model
from snslib.profile.unwrapping import load_weights


class Small(nn.Module):
    def __init__(self, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stem(x).mean((2, 3)))


class Normalising(nn.Module):
    """Normalises inside, as the models of RobustBench do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.3, 0.4]).view(1, 3, 1, 1))
        self.model = Small()

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x - self.mean) / self.std)


def trained(model: nn.Module) -> nn.Module:
    """The model with other numbers in it than any model begins with."""
    for place, value in enumerate(model.state_dict().values()):
        value.copy_(torch.full_like(value, 0.5 + place))
    return model


STATE: dict[str, Tensor] = trained(Small()).state_dict()


def averaged() -> dict[str, Tensor]:
    model = Small()
    model.load_state_dict(STATE)
    return AveragedModel(model).state_dict()


def renamed(change: Callable[[str], str]) -> dict[str, Tensor]:
    return {change(name): value for name, value in STATE.items()}


def unwrapped(content: object, folder: Path, model: nn.Module | None = None) -> tuple[nn.Module, str]:
    """A model with what ``torch.save`` made of the content, and what was said."""
    torch.save(content, folder / "w.pt")
    model = Small() if model is None else model
    return model, load_weights(model, folder / "w.pt")


OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]}
KINDS: dict[str, tuple[object, str]] = {  # what is saved, and what is said of it
    "a state dict": (STATE, ""),
    "its OrderedDict": (OrderedDict(STATE), ""),
    "state_dict": ({"epoch": 3, "state_dict": STATE}, "taken from state_dict (beside it: epoch)"),
    "model": ({"model": STATE, "optimizer": OPTIMIZER}, "taken from model (beside it: optimizer)"),
    "net, acc": ({"net": STATE, "acc": 95.3, "epoch": 1}, "taken from net (beside it: acc, epoch)"),
    "network": ({"network": STATE}, "taken from network"),
    "model_state_dict": ({"model_state_dict": STATE, "loss": 1.0}, "taken from model_state_dict (beside it: loss)"),
    "two deep": ({"ckpt": {"state": STATE}, "n": 1}, "taken from ckpt/state (beside it: n)"),
    "DataParallel": (renamed(lambda n: f"module.{n}"), "without module. in the names"),
    "DataParallel of a part": (renamed(lambda n: n.replace("stem.", "stem.module.")), "without module. in the names"),
    "torch.compile": (renamed(lambda n: f"_orig_mod.{n}"), "without _orig_mod. in the names"),
    "compiled DataParallel": (
        {"state_dict": renamed(lambda n: f"_orig_mod.module.{n}")},
        "taken from state_dict; without _orig_mod., module. in the names",
    ),
    "FSDP": (
        renamed(lambda n: "_fsdp_wrapped_module." + n.replace("stem.", "stem._fsdp_wrapped_module.")),
        "without _fsdp_wrapped_module. in the names",
    ),
    "checkpointed": (
        renamed(lambda n: n.replace("stem.", "stem._checkpoint_wrapped_module.")),
        "without _checkpoint_wrapped_module. in the names",
    ),
    "Lightning": (
        {"state_dict": renamed(lambda n: f"model.{n}") | {"loss.weight": torch.ones(2)}, "global_step": 2},
        "taken from state_dict (beside it: global_step); without model. in the names; left out: loss.weight",
    ),
    "EMA": (averaged(), "without module. in the names; left out: n_averaged"),
    "EMA beside": ({"model_ema": STATE, "decay": 0.99}, "taken from model_ema (beside it: decay)"),
    "the same twice": ({"model": STATE, "ema": dict(STATE)}, "taken from model (beside it: ema)"),
    "behind a normalisation": (
        renamed(lambda n: f"1.{n}") | {"0.mean": torch.ones(3), "0.std": torch.ones(3)},
        "without 1. in the names; left out: 0.mean, 0.std",
    ),
    "numbers of NumPy": (
        {"net": STATE, "acc": np.float64(95.3), "best": np.float32(1), "epoch": np.int64(4), "ok": np.bool_(True)},
        "taken from net (beside it: acc, best, epoch, ok)",
    ),
    "numbers among the weights": (STATE | {"acc": np.float64(95.3), "epoch": 4}, "left out: acc, epoch"),
    "arrays, options and paths": (
        {"model": STATE, "rng": np.arange(5), "args": argparse.Namespace(lr=0.1, out=Path("x"), y=np.float32(2))},
        "taken from model (beside it: rng, args)",
    ),
    "results by name": ({"net": STATE, "log": defaultdict(list, {"acc": [1.0]})}, "taken from net (beside it: log)"),
    "half precision": ({"model": {n: v.half() for n, v in STATE.items()}}, "taken from model"),
    "without counters": ({n: v for n, v in STATE.items() if "num_batches" not in n}, ""),
    "parameters": ({"params": {n: nn.Parameter(v.float()) for n, v in STATE.items()}}, "taken from params"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_unwrapped_and_it_is_said(kind: str, tmp_path: Path) -> None:
    content, said = KINDS[kind]
    model, found = unwrapped(content, tmp_path)
    assert found == said
    for name, value in model.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(value, STATE[name])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_that_a_model_itself_translates_are_taken(prefix: str, tmp_path: Path) -> None:
    """The published weights of torchvision's vision transformers have names of an older version."""

    def tiny() -> nn.Module:
        return VisionTransformer(8, 4, num_layers=1, num_heads=1, hidden_dim=4, mlp_dim=4, num_classes=3)

    state = trained(tiny()).state_dict()
    old = {n.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v for n, v in state.items()}
    assert old.keys() != state.keys()
    model, said = unwrapped({prefix + name: value for name, value in old.items()}, tmp_path, tiny())
    assert said == ("without module. in the names" if prefix else "")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


WRAPPED_MODELS: dict[str, Callable[[], nn.Module]] = {
    "DataParallel": lambda: nn.DataParallel(Small()),
    "behind a normalisation": lambda: nn.Sequential(nn.Identity(), Small()),
    "compiled": lambda: torch.compile(Small()),
    "within Lightning": lambda: nn.ModuleDict({"model": Small()}),
    "lazy": lambda: nn.ModuleDict(
        {"stem": nn.Sequential(nn.LazyConv2d(4, 3), nn.BatchNorm2d(4)), "fc": nn.LazyLinear(3)}
    ),
    "on the meta device": lambda: Small().to("meta"),
}


@pytest.mark.parametrize("kind", WRAPPED_MODELS)
@pytest.mark.parametrize("file", ["plain", "DataParallel"])
def test_a_wrapped_model_takes_the_weights_of_what_is_in_it(kind: str, file: str, tmp_path: Path) -> None:
    model, _ = unwrapped(STATE if file == "plain" else KINDS[file][0], tmp_path, WRAPPED_MODELS[kind]())
    values = [*model.state_dict().values()]
    assert len(values) == len(STATE)
    assert all(torch.equal(mine, value) for mine, value in zip(values, STATE.values(), strict=True))


def test_constants_of_a_definition_may_be_missing_and_stay(tmp_path: Path) -> None:
    for content in (renamed(lambda n: f"module.model.{n}"), STATE):
        model, said = unwrapped(content, tmp_path, Normalising())
        assert said.endswith("not in the file, the model's own: mean, std")
        assert model.mean.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
        assert torch.equal(model.model.fc.weight, STATE["fc.weight"])


def test_constants_in_a_file_are_left_out_of_a_model_without_them(tmp_path: Path) -> None:
    model, said = unwrapped(STATE | {"mu": torch.ones(3, 1, 1), "sigma": torch.ones(3, 1, 1)}, tmp_path)
    assert said == "left out: mu, sigma"
    assert torch.equal(model.fc.weight, STATE["fc.weight"])
    with pytest.raises(ValueError, match=r"Unexpected 1: mu\."):  # of 64 numbers: a weight that is called so
        unwrapped(STATE | {"mu": torch.ones(64)}, tmp_path)


OTHER: dict[str, Tensor] = {name: value + 1 for name, value in STATE.items()}
AMBIGUOUS: dict[str, tuple[object, str]] = {
    "model and EMA": ({"model": STATE, "model_ema": OTHER}, r"\['model'\], \['model_ema'\]"),
    "timm": ({"state_dict": STATE, "state_dict_ema": OTHER}, r"\['state_dict'\], \['state_dict_ema'\]"),
    "student and teacher": (
        {f"student.{n}": v for n, v in STATE.items()} | {f"teacher.{n}": v for n, v in OTHER.items()},
        r"student\.\*, teacher\.\*",
    ),
    "EMA among the weights": (STATE | {f"ema.{n}": v for n, v in OTHER.items()}, r"names as they are, ema\.\*"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_of_several_sets_that_fit_none_is_chosen(kind: str, tmp_path: Path) -> None:
    content, places = AMBIGUOUS[kind]
    with pytest.raises(ValueError, match=rf"^weights: .*w\.pt holds several sets of weights that fit: {places}.*save"):
        unwrapped(content, tmp_path)


def test_a_set_that_fits_is_taken_beside_one_that_does_not(tmp_path: Path) -> None:
    ema = {name: value for name, value in OTHER.items() if "running" not in name}
    model, said = unwrapped({"ema": ema, "teacher": Small(8).state_dict(), "model": STATE}, tmp_path)
    assert said == "taken from model (beside it: ema, teacher)"
    assert torch.equal(model.fc.weight, STATE["fc.weight"])


MISFITS: dict[str, tuple[object, str]] = {
    "classes": (
        Small(classes=7).state_dict(),
        r"2 with a size mismatch: fc\.weight is \(7, 4\).*7 classes .* 3 in the",
    ),
    "classes, wrapped": (
        {"net": Small(classes=7).state_dict()},
        r"7 classes in the file and 3 in the model .num_class",
    ),
    "width": (Small(8).state_dict(), r"size mismatch: stem\.0\.weight is \(8, 3, 3, 3\) in the file.*another width$"),
    "architecture": (
        {"features.0.weight": torch.ones(2)},
        r"Missing 8: .*Unexpected 1: features\.0\.weight\..*no name",
    ),
    "depth": (STATE | {"stem.3.weight": torch.ones(2)}, r"Unexpected 1: stem\.3\.weight\. The likely cause: parts"),
    "part": ({n: v for n, v in STATE.items() if "fc" not in n}, r"Missing 2: fc\.weight, fc\.bias\. .*another arch"),
    "EMA of parameters": ({n: v for n, v in STATE.items() if "running" not in n}, r"\(EMA\) of the parameters alone"),
    "no weights": ({"epoch": 3, "acc": 0.5}, " a dictionary of epoch, acc, no weights by name; save"),
    "a list": ([torch.ones(2)], " a list, no weights by name; save"),
    "a tensor": (torch.ones(2), " float32 of shape .2,., no weights by name"),
    "nothing": ({}, "no weights by name"),
    "flat FSDP": ({"_fsdp_wrapped_module._flat_param": torch.ones(9)}, "FSDP's flattened weights .*full_state_dict"),
    "meta": ({n: v.to("meta") for n, v in STATE.items()}, "stem.0.weight has no values .*save the state dict"),
    "quantised": (
        STATE | {"fc.weight": torch.quantize_per_tensor(STATE["fc.weight"], 0.1, 0, torch.qint8)},
        "fc.weight is quantised; save the state dict of the float model",
    ),
    "whole numbers": (
        STATE | {"fc.weight": STATE["fc.weight"].mul(9).to(torch.int8)},
        r"fc\.weight is int8 of shape .* in the file, as after quantisation, .*; save the state dict of the float",
    ),
    "complex numbers": (STATE | {"fc.bias": STATE["fc.bias"] + 1j}, r"fc\.bias is complex64 of shape "),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named_with_its_likely_cause(kind: str, tmp_path: Path) -> None:
    content, message = MISFITS[kind]
    with pytest.raises(ValueError, match=rf"^weights: .*w\.pt (does not fit|holds).*?{message}") as error:
        unwrapped(content, tmp_path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700


# --- what the file is ---


class Runs:
    """Something that runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def of_torch(content: object, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def of_safetensors(folder: Path) -> bytes:
    save_file(STATE, folder / "whole")
    return (folder / "whole").read_bytes()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return file.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:86b2\nsize 44788557\n",
        r"\(it is a Git LFS pointer, .*\); git lfs pull fetches that",
    ),
    "HTML": (
        b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
        r"\(it is an HTML page.*\); download the file itself",
    ),
    "HTML, shouting": (b"\xef\xbb\xbf \n<HTML><TITLE>Virus scan warning</TITLE>", "an HTML page"),
    "HTML with a comment": (b"<!-- saved from url -->\n<html>", "an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document, as a server's error"),
    "JSON": (b'{"error": "not found"}', "JSON that begins with .*not found"),
    "text": (b"404: Not Found", "text that begins with '404: Not Found'"),
    "git-annex": (b"/annex/objects/SHA256E-s3--9f.pt\n", "text that begins with '/annex/objects/"),
    "empty": (b"", r"\(it is empty\); copy or download it again"),
    "zeros": (bytes(5000), "nothing but zeros"),
    "gzip": (gzip.compress(of_torch(STATE)), "compressed by gzip.*unpack it"),
    "bzip2": (bz2.compress(of_torch(STATE)), "compressed by bzip2.*unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
    "a zip": (zipped(weights__bin=b"x", notes__txt=b"y"), "zip archive of notes.txt, weights.bin.*unpack it"),
    "arrays of NumPy": (zipped(a__npy=b"x"), "zip archive of a.npy"),
    "a pickle": (pickle.dumps({"a": 1}), "a pickle that torch.save did not write"),
    "noise": (bytes(range(128, 256)) * 10, "expected a state dict"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:" + bytes(9), "begins with .*, as no file of weights does"),
    "text of Windows": ("401 Unauthorized".encode("utf-16"), "begins with .*, as no file of weights does"),
    "cut": (of_torch(STATE)[:-700], r"\(it is cut short, at [\d,]+ bytes\); copy or download it again"),
    "cut early": (of_torch(STATE)[:90], "cut short, at 90 bytes"),
    "cut early, old format": (of_torch(STATE, old=True)[:700], r"cut short\); copy or download it again"),
    "cut, old format": (of_torch(STATE, old=True)[:-30], r"cut short\); copy or download it again"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_one_sentence_tells_what_a_file_is(kind: str, suffix: str, tmp_path: Path) -> None:
    content, message = FILES[kind]
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^weights: .*w{suffix} cannot be read .*{message}") as error:
        load_weights(Small(), path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("left", [9, 12, 300, -1])
def test_a_safetensors_file_that_was_cut_is_known(left: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(of_safetensors(tmp_path)[:left])
    with pytest.raises(ValueError, match=r"cannot be read \(it is cut short, at [\d,]+ bytes of at least"):
        load_weights(Small(), path)


@pytest.mark.parametrize("kind", ["torch", "torch, old format", "safetensors"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin", ".ckpt"])
def test_the_content_decides_and_not_the_name(kind: str, suffix: str, tmp_path: Path) -> None:
    data = of_safetensors(tmp_path) if kind == "safetensors" else of_torch(STATE, old="old" in kind)
    (tmp_path / f"w{suffix}").write_bytes(data)
    model = Small()
    assert load_weights(model, tmp_path / f"w{suffix}") == ""
    assert torch.equal(model.fc.weight, STATE["fc.weight"])


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), str(tmp_path / "w.pt"))
    with pytest.raises(ValueError, match=r"it is a TorchScript program, which is code.*save the state dict"):
        checkpoints.read(tmp_path / "w.pt")


FOLDERS = {".metadata": "dcp_to_torch", "config.json": "transformers:", "data.txt": "; name the file in it"}


@pytest.mark.parametrize("holds", FOLDERS)
def test_of_a_folder_it_is_said_which(holds: str, tmp_path: Path) -> None:
    (tmp_path / holds).touch()
    with pytest.raises(ValueError, match=rf"^weights: .* is a folder.*{FOLDERS[holds]}"):
        checkpoints.read(tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_no_code_in_a_checkpoint_runs(old: bool, tmp_path: Path) -> None:
    path, made = tmp_path / "w.pt", tmp_path / "made"
    path.write_bytes(of_torch({"state_dict": STATE, "extra": Runs(made)}, old))
    with pytest.raises(ValueError, match=r"^weights: .*cannot be read \(it holds a pickled posix\.mkdir, .*run code"):
        load_weights(Small(), path)
    assert not made.exists()


@pytest.mark.parametrize("whole", [Small(), nn.DataParallel(Small()), {"model": Small()}])
def test_a_pickled_model_is_refused_with_the_remedy(whole: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it holds a pickled [\w.]+, .*run code.*torch\.save\(model\.state_dict\(\)"):
        unwrapped(whole, tmp_path)


def test_objects_beside_the_weights_are_never_made(tmp_path: Path) -> None:
    """What NumPy would be told to make of is not given to it: a dtype with a state of one's own could read memory."""
    content = {
        "net": STATE,
        "acc": np.float64(0.5),
        "array": np.array(["a", None], object),
        "o": argparse.Namespace(a=1),
    }
    torch.save(content, tmp_path / "w.pt")
    before = set(torch.serialization.get_safe_globals())
    found = checkpoints.read(tmp_path / "w.pt")
    assert isinstance(found, dict)
    assert {type(found[name]).__mro__[1] for name in ("acc", "array", "o")} == {checkpoints._StandIn}
    assert not any(vars(found[name]) for name in ("acc", "array", "o"))
    assert set(torch.serialization.get_safe_globals()) == before


def test_what_was_unwrapped_is_said_where_a_model_is_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": load_model("torchvision:squeezenet1_1", num_classes=2).state_dict()}, tmp_path / "w.pt")
    lines: list[str] = []
    load_model("torchvision:squeezenet1_1", tmp_path / "w.pt", 2, seed=3, progress=lines.append)
    assert lines == ["weights of w.pt: taken from state_dict"]

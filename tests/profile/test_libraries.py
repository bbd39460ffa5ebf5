"""timm and transformers by name, of which small stand-ins are put on the path, and what is said where they are not."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from PIL import Image
from torch import nn

from snslib.__main__ import main
from snslib.data import Split
from snslib.profile.measure import profile
from snslib.profile.models import load_model, prepared
from snslib.training.pretrained import load_pretrained

TIMM = """
    import torch
    from torch import nn

    MODELS = {"tiny_net": 3, "small_net": 5}

    def list_models():
        return sorted(MODELS)

    def create_model(name, pretrained=False, num_classes=1000):
        assert pretrained is False
        arch, _, tag = name.partition(".")
        if arch not in MODELS:
            raise RuntimeError(f"Unknown model ({name})")
        width = MODELS[arch]
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        net = nn.Sequential(nn.Conv2d(3, width, 3), *head)
        net.pretrained_cfg = {"input_size": (3, 24, 24), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1)}
        return net
"""

TRANSFORMERS = """
    import json
    from pathlib import Path
    from types import SimpleNamespace

    import torch
    from safetensors.torch import load_file
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config = config
            self.patch = nn.Conv2d(3, 4, 4, stride=4)
            self.classifier = nn.Linear(4, config.num_labels)

        def forward(self, pixel_values, labels=None, return_dict=None):
            logits = self.classifier(self.patch(pixel_values).mean((2, 3)))
            return SimpleNamespace(loss=None, logits=logits)

    def read(folder, file):
        if not (Path(folder) / file).exists():
            raise OSError(f"{folder} is not a local folder and is no valid model identifier: no {file}\\nMore advice.")
        return json.loads((Path(folder) / file).read_text())

    class AutoConfig:
        @staticmethod
        def from_pretrained(folder, trust_remote_code=None, **changes):
            assert trust_remote_code is False
            return SimpleNamespace(**read(folder, "config.json") | changes)

    class AutoModelForImageClassification:
        @staticmethod
        def from_config(config):
            return Classifier(config)

        @staticmethod
        def from_pretrained(folder, use_safetensors=None, trust_remote_code=None):
            assert use_safetensors is True and trust_remote_code is False
            net = Classifier(SimpleNamespace(**read(folder, "config.json")))
            net.load_state_dict(load_file(Path(folder) / "model.safetensors"))
            return net.half()

    class AutoImageProcessor:
        @staticmethod
        def from_pretrained(folder, trust_remote_code=None):
            return SimpleNamespace(**read(folder, "preprocessor_config.json"))
"""

SIZES = {  # what a processor says, and the size that is meant
    "height": ({"size": {"height": 16, "width": 16}}, 16),
    "shortest edge": ({"size": {"shortest_edge": 20}}, 20),
    "crop": ({"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": {"height": 12, "width": 12}}, 12),
    "number": ({"size": 8}, 8),
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for timm and transformers, as far as they are used."""
    (tmp_path / "site").mkdir()
    for name, text in {"timm": TIMM, "transformers": TRANSFORMERS}.items():
        (tmp_path / "site" / f"{name}.py").write_text(dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")


def saved(folder: Path, processor: dict[str, object] | None = None) -> Path:
    """A folder as ``save_pretrained`` writes it."""
    import json

    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"num_labels": 2, "image_size": 28}))
    torch.manual_seed(5)
    patch, head = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 2)
    state = {f"patch.{n}": v for n, v in patch.state_dict().items()}
    save_file(state | {f"classifier.{n}": v for n, v in head.state_dict().items()}, folder / "model.safetensors")
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for place, name in enumerate(("a", "b")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (40, 30), (90 * place, 100, 120)).save(tmp_path / "photos" / name / "0.png")
    return tmp_path / "photos"


def source_of(name: str, **given: object) -> tuple[nn.Module, object, list[str]]:
    lines: list[str] = []
    unset = dict.fromkeys(("weights", "num_classes", "image_size", "mean", "std"))
    module, source = prepared(**{"model": name, "seed": 0, "device": "cpu", "progress": lines.append} | unset | given)
    return module, source, lines


@pytest.mark.usefixtures("packages")
def test_timm_by_name_with_its_sizes_and_normalisation(photos: Path, tmp_path: Path) -> None:
    found = profile("timm:tiny_net.tag", photos, num_classes=2, device="cpu", seed=3)
    assert [layer.neurons for layer in found.layers.values()] == [3, 2]
    assert found.about["image_size"] == 24
    assert (found.about["mean"], found.about["std"]) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert found.about["weights"] == "random, seed 3"
    state = load_model("timm:tiny_net", num_classes=2, seed=3, device="cpu").state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pth")
    again = profile("timm:tiny_net", photos, num_classes=2, device="cpu", weights=tmp_path / "w.pth")
    torch.testing.assert_close(again.sigma["0"], found.sigma["0"])
    assert again.about["weights"].endswith("; taken from state_dict; without module. in the names")
    given = profile("timm:tiny_net", photos, num_classes=2, device="cpu", image_size=10, mean=[0] * 3, std=[1] * 3)
    assert (given.about["image_size"], given.about["mean"]) == (10, [0] * 3)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("size", SIZES)
def test_transformers_by_folder_with_its_own_weights_in_float32(size: str, photos: Path, tmp_path: Path) -> None:
    processor, pixels = SIZES[size]
    folder = saved(tmp_path / "vit", {"image_mean": [0.5] * 3, "image_std": [0.25] * 3} | processor)
    found = profile(f"transformers:{folder}", photos, device="cpu")
    assert [*found.layers] == ["patch", "classifier"]
    assert (found.about["image_size"], found.about["mean"], found.about["std"]) == (pixels, [0.5] * 3, [0.25] * 3)
    assert found.about["weights"] == "as the model was saved"
    module, _, _ = source_of(f"transformers:{folder}")
    assert {value.dtype for value in module.state_dict().values()} == {torch.float32}


@pytest.mark.usefixtures("packages")
def test_transformers_takes_other_weights_and_classes(tmp_path: Path) -> None:
    folder = saved(tmp_path / "vit", {"size": 8, "do_normalize": False})
    other = load_model(f"transformers:{folder}", device="cpu").state_dict()
    other["classifier.weight"], other["classifier.bias"] = torch.full((7, 4), 3.0), torch.zeros(7)
    torch.save(other, tmp_path / "pytorch_model.bin")
    given = {"weights": tmp_path / "pytorch_model.bin", "num_classes": 7}
    module, source, lines = source_of(f"transformers:{folder}", **given)
    assert torch.equal(module.classifier.weight, torch.full((7, 4), 3.0))
    assert (source.image_size, source.mean) == (8, None)
    assert lines == [
        f"no normalisation of images is known of transformers:{folder}: it gets them in [0, 1]; mean and std set one"
    ]


@pytest.mark.usefixtures("packages")
def test_transformers_without_a_processor_has_the_size_of_its_configuration(tmp_path: Path) -> None:
    _, source, lines = source_of(f"transformers:{saved(tmp_path / 'vit')}")
    assert (source.image_size, source.mean, source.std) == (28, None, None)
    assert len(lines) == 1


@pytest.mark.usefixtures("packages")
def test_a_model_by_name_of_these_packages_from_the_shell(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = saved(tmp_path / "vit", {"size": 8, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    (photos / "a" / "Thumbs.db").touch()
    assert main(["neurons", "--network", f"transformers:{folder}", "--data", str(photos), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "neurons-vit/report.html"
    assert Path("neurons-vit/report.html").exists()
    assert f"{photos}: left out: 1 Thumbs.db" in err.splitlines()


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "timm:tinynet"}, "^model: timm cannot make 'tinynet'; did you mean tiny_net"),
        ({"model": "timm:"}, "^model: expected torchvision:NAME, timm:NAME, transformers:NAME_OR_FOLDER, snslib"),
        ({"model": "timm:tiny_net", "num_classes": -1}, "^num_classes: expected an integer from 2"),
        ({"model": "transformers:nowhere"}, r"^model: transformers cannot load 'nowhere' \(OSError: .*config\.json\);"),
        ({"model": "transformers:vit", "num_classes": 3}, "^num_classes: transformers:vit has its own, got 3 without"),
        ({"model": "transformers:vit", "weights": "vit"}, "^weights: vit is a folder of transformers; pass it as"),
    ],
)
def test_what_these_packages_do_not_have_is_named(
    given: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "vit")
    split = Split(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=message) as error:
        profile(data=split, device="cpu", **given)
    assert "\n" not in str(error.value)


ALEXNET = "tiny-imagenet/alexnet-w0.25/vanilla"


def test_a_recorded_network_by_name_is_the_one_that_was_published_on_images_as_they_are() -> None:
    module, source, lines = source_of(f"snslib:{ALEXNET}")
    assert lines == []
    assert source.image_size == 64
    published = load_pretrained(ALEXNET)
    assert all(torch.equal(value, published.state_dict()[name]) for name, value in module.state_dict().items())
    torch.manual_seed(0)
    split = Split(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), torch.tensor([3, 7]))
    by_name = profile(f"snslib:{ALEXNET}", split, layers=["pool3"], device="cpu")
    as_module = profile(published, split, layers=["pool3"])
    assert by_name.about["weights"] == "as the model was saved"
    assert torch.equal(by_name.sigma["pool3"], as_module.sigma["pool3"])


def test_a_recorded_network_takes_other_weights(tmp_path: Path) -> None:
    state = load_pretrained(ALEXNET).state_dict()
    state["fc.bias"] = torch.full_like(state["fc.bias"], 3.0)
    torch.save(state, tmp_path / "w.pth")
    module, _, _ = source_of(f"snslib:{ALEXNET}", weights=tmp_path / "w.pth")
    assert torch.equal(module.fc.bias, state["fc.bias"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "snslib:cifar10/none"}, "^model: no model 'cifar10/none' in .*tiny-imagenet/alexnet-w0.25/vanilla"),
        ({"model": "snslib:cifar10/vgg16-w1/pat"}, r"^model: the weights of .* are not kept here; this trains them"),
        ({"model": "snslib:../secret"}, "^model: expected a name in "),
        ({"model": f"snslib:{ALEXNET}", "num_classes": 9}, "^num_classes: snslib:tiny-image.* has its own, got 9$"),
    ],
)
def test_what_is_not_recorded_is_named_before_anything_is_read(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile(data="/nowhere", device="cpu", **given)


@pytest.mark.usefixtures("packages")
def test_a_pointer_in_a_folder_of_transformers_is_called_what_it_is(tmp_path: Path) -> None:
    folder = saved(tmp_path / "vit")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 5\n")
    with pytest.raises(ValueError, match=r"^weights: .*model\.safetensors cannot be read \(it is a Git LFS pointer"):
        load_model(f"transformers:{folder}")


@pytest.mark.parametrize("package", ["timm", "transformers"])
@pytest.mark.parametrize("how", ["absent", "broken"])
def test_a_package_that_is_not_there_is_named_with_the_remedy(
    package: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "absent":
        monkeypatch.setitem(sys.modules, package, None)
    else:
        (tmp_path / f"{package}.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, package, raising=False)
    given = ["--network", f"{package}:some_net", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["neurons", *given]) == 2
    remedy = f"pip install {package}" if how == "absent" else "RuntimeError: operator torchvision::nms does not exist"
    err = capsys.readouterr().err
    assert err.startswith(f"python -m snslib: network: {package}")
    assert remedy in err
    assert len(err.splitlines()) == 1

"""The report on any model: sensitivities known in closed form or computed by hand, files that hold them, errors."""

import csv
import inspect
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from processes import at_once
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import convnext

import snslib as sns
from snslib.__main__ import main
from snslib.data import Split, to_float
from snslib.files import save_tensors
from snslib.profile import measure, options
from snslib.profile.layers import find_layers
from snslib.profile.measure import profile
from snslib.profile.models import load_model

EPS = 10 / 255


class Mixing(nn.Module):
    """Neurons that mix the colours of each pixel, and logits that are a mix of their means: all linear."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 4, 1, bias=False)
        self.head = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.colours.weight.copy_(torch.tensor([[1, 0, 0], [0, 2, 0], [1, -1, 0], [0, 0, 0]]).view(4, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[1.0, -1, 0, 0], [0, 0, 0, 0]]))  # red - 2 green, and 0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.colours(x).mean((2, 3)))


class Tokens(nn.Module):
    """Patches as tokens (N, T, C), as many as each has channels, between permutations as in a transformer."""

    def __init__(self, tokens: int = 4) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Sequential(nn.Linear(4, tokens), nn.GELU(), nn.Dropout(0.5), nn.Linear(tokens, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mlp(self.norm(self.patch(x).flatten(2).mT)).mean(1))


class Residual(nn.Module):
    """An addition in place between a BatchNorm and a ReLU, a ReLU that is used twice, and one within a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True))
        self.conv, self.norm, self.after = nn.Conv2d(5, 5, 1), nn.BatchNorm2d(5), nn.ReLU(inplace=True)
        self.last, self.shared = nn.Conv2d(5, 5, 1), nn.ReLU()
        self.unused, self.fc = nn.Conv2d(5, 5, 1), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.norm(self.conv(x))
        y += x
        y = self.shared(self.last(self.shared(self.after(y))))
        return self.fc(y.mean((2, 3)))


def greys(n: int, size: int = 8, classes: int = 2) -> Split:
    """Images far enough from black and white for an attack never to be clipped."""
    return Split(torch.randint(60, 190, (n, 3, size, size), dtype=torch.uint8), torch.arange(n) % classes)


def save_images(folder: Path, split: Split) -> Path:
    """The images as PNG files, in a folder for each class."""
    for place, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"class{label}" / f"{place:03}.png")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_linear_network_is_as_sensitive_as_its_weights_say() -> None:
    split = greys(5)
    found = profile(Mixing(), split, eps=EPS)
    # PGD pushes red one way and green the other, in every pixel by eps; blue has no part in the logits.
    assert found.sigma["colours"].tolist() == pytest.approx([64 * EPS, 64 * 2 * EPS, 64 * 2 * EPS, 0], rel=1e-4)
    assert found.sigma["head"].tolist() == pytest.approx([3 * EPS, 0], rel=1e-3)
    red, green, _ = to_float(split.images).double().unbind(1)
    outputs = [red, 2 * green, (red - green).abs(), 0 * red]
    assert found.activation["colours"].tolist() == pytest.approx([64 * o.mean().item() for o in outputs], rel=1e-4)
    assert {layer: omega.tolist() for layer, omega in found.omega.items()} == {"colours": [1], "head": [0]}

    def share(moved: float) -> float:
        """Right where the logit red - 2 green, moved against the label, still has the label's sign."""
        logit = (red - 2 * green).mean((1, 2)) - 3 * moved * torch.where(split.labels == 0, 1, -1)
        return ((logit <= 0).long() == split.labels).double().mean().item()

    assert (found.clean, found.attacked) == (share(0), share(EPS))


@pytest.mark.parametrize("tokens", [4, 7])
def test_channels_of_tokens_are_on_the_last_axis(tokens: int) -> None:
    net, split = Tokens(tokens).eval(), greys(6, classes=3)
    found = profile(net, split, eps=EPS, batch_size=4)
    assert {name: (layer.shape, layer.axis) for name, layer in found.layers.items()} == {
        "patch": ((4, 2, 2), 1),
        "mlp.1": ((4, tokens), 2),
        "mlp.3": ((4, 6), 2),
        "head": ((3,), 1),
    }
    assert found.layers["mlp.1"].modules == "Linear, GELU"
    x = to_float(split.images)
    x_adv = sns.pgd(net, x, split.labels, EPS, EPS / 10)
    with torch.no_grad():
        outputs = [nn.functional.gelu(net.mlp[0](net.norm(net.patch(i).flatten(2).mT))) for i in (x, x_adv)]
    by_hand = (outputs[0] - outputs[1]).abs().sum(1).mean(0)
    torch.testing.assert_close(found.sigma["mlp.1"], by_hand, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.activation["mlp.1"], outputs[0].abs().sum(1).mean(0), rtol=1e-3, atol=1e-5)

    named = profile(net, split, eps=EPS, layers=["norm", "mlp.1", "mlp"])
    assert {name: layer.axis for name, layer in named.layers.items()} == {"norm": 2, "mlp.1": 2, "mlp": 2}
    torch.testing.assert_close(named.sigma["mlp.1"], by_hand, rtol=1e-3, atol=1e-5)
    per_token = profile(net, split, eps=EPS, layers=["mlp.1"], channel_axis=1).sigma["mlp.1"]
    torch.testing.assert_close(per_token, (outputs[0] - outputs[1]).abs().sum(2).mean(0), rtol=1e-3, atol=1e-5)


def test_a_layer_reaches_to_the_activation_that_directly_follows_it() -> None:
    found, outputs = find_layers(Residual(), torch.rand(1, 3, 6, 6))
    assert outputs == 2
    assert {name: layer.modules for name, layer in found.items()} == {
        "first.2": "Conv2d, BatchNorm2d, ReLU",
        "norm": "Conv2d, BatchNorm2d",  # the ReLU comes after the addition
        "last": "Conv2d",  # its ReLU has another layer's output too
        "fc": "Linear",
    }


def test_the_layers_of_torchvisions_channels_last_networks() -> None:
    small = [convnext.CNBlockConfig(8, 12, 1), convnext.CNBlockConfig(12, None, 2)]
    found, _ = find_layers(convnext.ConvNeXt(small, num_classes=2), torch.rand(1, 3, 32, 32))
    assert [(layer.modules, layer.neurons, layer.axis) for layer in found.values()] == [
        ("Conv2d, LayerNorm2d", 8, 1),
        *[("Conv2d", 8, 1), ("Linear, GELU", 32, 3), ("Linear", 8, 3)],
        ("Conv2d", 12, 1),
        *[("Conv2d", 12, 1), ("Linear, GELU", 48, 3), ("Linear", 12, 3)] * 2,
        ("Linear", 2, 1),
    ]


def test_a_module_is_left_as_it_was_and_normalised_only_meanwhile() -> None:
    net, split = Residual().train(), greys(4)
    before, state = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    found = profile(net, split, mean=mean, std=std)
    assert net.training
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())

    class Normalises(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))

    inside = profile(Normalises(), split)
    for layer, sigma in found.sigma.items():
        torch.testing.assert_close(inside.sigma[f"net.{layer}"], sigma)


# --- by name, from the command line ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 64x64 in two classes."""
    torch.manual_seed(0)
    return save_images(tmp_path_factory.mktemp("images") / "photos", greys(8, 64))


@pytest.fixture(scope="module")
def report(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes for a torchvision model."""
    out = tmp_path_factory.mktemp("out") / "deep" / "report"
    command = "neurons --network torchvision:squeezenet1_1 --num-classes 2 --image-size 64 --n-images 4 --batch-size 3"
    assert main([*command.split(), "--seed", "3", "--device", "cpu", "--data", str(folder), "--out", str(out)]) == 0
    return out


def test_the_tables_hold_what_neuron_sensitivity_measures(report: Path, folder: Path) -> None:
    assert {path.name for path in report.iterdir()} == {"sensitivity.csv", "layers.csv", "report.html"}
    assert [path.name for path in report.parent.iterdir()] == ["report"]
    neurons, layers = rows(report / "sensitivity.csv"), rows(report / "layers.csv")
    net = load_model("torchvision:squeezenet1_1", num_classes=2, seed=3, device="cpu")
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert [int(row["neurons"]) for row in layers] == [module.out_channels for module in convolutions]
    assert len(neurons) == sum(module.out_channels for module in convolutions)

    inputs = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    wrapped = nn.Sequential(inputs, net)
    split, classes = measure._read(folder, "folders", 64, 4)
    assert classes == ["class0", "class1"]
    attack = sns.paper_attacks(8 / 255, 0.8 / 255, 10)["pgd"]
    names = [f"1.{row['layer']}" for row in layers]
    sigma = sns.neuron_sensitivity(wrapped, sns.dual_pairs(wrapped, split, attack, 3), names)
    omega = sns.top_neurons(sigma, fraction=0.1)
    for row in layers:
        own = [one for one in neurons if one["layer"] == row["layer"]]
        values = torch.tensor([float(one["sensitivity"]) for one in own])
        torch.testing.assert_close(values, sigma[f"1.{row['layer']}"], rtol=1e-3, atol=1e-4)
        assert [int(one["neuron"]) for one in own] == list(range(len(own)))
        chosen = {int(one["neuron"]) for one in own if one["sensitive"] == "yes"}
        assert chosen == set(omega[f"1.{row['layer']}"].tolist())
        assert float(row["mean_sensitivity"]) == pytest.approx(values.mean().item())
        assert int(row["never_change"]) == (values == 0).sum()
        for one in own:
            if float(one["activation"]):
                share = float(one["sensitivity"]) / float(one["activation"])
                assert float(one["relative"]) == pytest.approx(share)
            else:
                assert one["relative"] == ""


class Tags(HTMLParser):
    """Every element and its attributes; what is opened must be closed in order."""

    VOID = ("meta", "img", "path", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing_else(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    tags = Tags(text).found
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    assert not [attrs for _, attrs in tags if "href" in attrs or not str(attrs.get("src", "data:")).startswith("data:")]
    assert sum(tag == "svg" for tag, _ in tags) == len(rows(report / "layers.csv"))
    for words in ("squeezenet1_1", "weights are random", "few images", "4 images of", "random, seed 3", "eps 8/255"):
        assert words in text
    assert all(row["layer"] in text for row in rows(report / "layers.csv"))


def test_names_are_escaped(tmp_path: Path) -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.add_module("<b>&", nn.Linear(3, 2))
    profile(net, greys(3), tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert ("b", {}) not in Tags(text).found
    assert "&lt;b&gt;&amp;" in text
    assert rows(tmp_path / "out" / "layers.csv")[0]["layer"] == "<b>&"


def test_the_page_says_when_nothing_was_moved(tmp_path: Path) -> None:
    net = Mixing()
    nn.init.zeros_(net.head.weight)  # as torchvision leaves that of a vision transformer
    profile(net, greys(3), tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "found no gradient to follow" in text
    assert text.count("none changes") == 2
    assert [row["held_by_sensitive"] for row in rows(tmp_path / "out" / "layers.csv")] == ["", ""]


def test_what_neurons_see_is_shown_where_they_put_out_anything(tmp_path: Path) -> None:
    split = greys(60)
    split.images[:, 0, 2:4, 5:7] = torch.arange(190, 250, dtype=torch.uint8).view(-1, 1, 1)
    found = profile(Mixing(), split, tmp_path / "out", eps=EPS)
    assert found.masked_layer == "colours"
    assert {title: [*units] for title, units in found.masks.items()} == {
        "most sensitive": ["1"],
        "least sensitive": ["0"],
    }
    x, x_adv, mask, mask_adv = found.masks["least sensitive"]["0"]
    torch.testing.assert_close(x, to_float(split.images[[59, 58, 57, 56]]))
    assert (x_adv - x).abs().max().item() == pytest.approx(EPS)
    spot = torch.zeros(8, 8, dtype=torch.bool)
    spot[2:4, 5:7] = True
    assert torch.equal(mask, spot.expand(4, 8, 8))  # the 16 outputs above the 20th highest of 60 x 64
    assert mask_adv.shape == mask.shape
    tags = Tags((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).found
    pictures = [attrs for tag, attrs in tags if tag == "img"]
    assert len(pictures) == 2
    assert all(str(attrs["src"]).startswith("data:image/png;base64,") and attrs["alt"] for attrs in pictures)


def test_labels_may_be_predicted(folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    (flat / "sub").mkdir(parents=True)
    for place, path in enumerate(sorted(folder.rglob("*.png"))):
        (flat / ("sub" if place % 2 else "") / f"{place}.png").write_bytes(path.read_bytes())
    found = profile(Mixing(), flat, tmp_path / "out", labels="predicted")
    assert found.about["n"] == 8
    assert found.clean == 1
    assert "no clean accuracy" in (tmp_path / "out" / "report.html").read_text()


class Red(Mixing):
    """Twelve classes, of which an image's is its red in steps of 20."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 12)
        with torch.no_grad():
            self.head.weight.zero_()
            levels = torch.arange(12) * 20 / 255
            self.head.weight[:, 0] = 2 * levels
            self.head.bias.copy_(-levels.square())  # up to what all have, -(red - level)^2


def painted(path: Path, red: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (red, 0, 0)).save(path)


def test_numbered_class_folders_are_outputs_by_their_number_and_junk_is_said(tmp_path: Path) -> None:
    for number in range(12):
        painted(tmp_path / "photos" / str(number) / "a.png", 20 * number)
    for name in ("__MACOSX/0/._a.png", ".ipynb_checkpoints/a.png", "3/._a.png", "4/Thumbs.db", "b.txt"):
        painted(tmp_path / "junk.png")
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "junk.png").rename(tmp_path / "photos" / name)
    lines: list[str] = []
    found = profile(Red(), tmp_path / "photos", eps=0, progress=lines.append)
    assert found.clean == 1
    left_out = "left out: 1 .txt, 1 Thumbs.db, 1 hidden, 1 in .ipynb_checkpoints, 1 in __MACOSX"
    order = "class folders in the order of their numbers: 0, 1, 2, … (by name it would be 0, 1, 10, …)"
    assert lines[0] == f"{tmp_path / 'photos'}: {left_out}; {order}"
    assert f"12 images of {tmp_path / 'photos'} ({left_out}; " in found.provenance

    predicted = profile(Red(), tmp_path / "photos", eps=0, labels="predicted", progress=lines.append)
    assert predicted.about["n"] == 12
    assert lines[2] == f"{tmp_path / 'photos'}: {left_out}"


def test_the_validation_images_of_tiny_imagenet_are_read_as_they_are_unpacked(tmp_path: Path) -> None:
    lines = []
    for number in range(12):
        painted(tmp_path / "val" / "images" / f"val_{11 - number}.JPEG", 20 * number)
        lines.append(f"val_{11 - number}.JPEG\tn{number:08}\t0\t32\t44\t62\n")
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    assert profile(Red(), tmp_path / "val", eps=0).clean == 1
    painted(tmp_path / "train" / "n00000000" / "images" / "a.JPEG")
    with pytest.raises(ValueError, match=r"^data: .* is a data set of train, val; pass one of these, such as .*val$"):
        profile(Red(), tmp_path)


def test_weights_come_from_either_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, monkeypatch)
    trained = Mixing()
    nn.init.uniform_(trained.head.weight)
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        model = load_model("factories:mixing", tmp_path / name, device="cpu")
        assert torch.equal(model.head.weight, trained.head.weight)
        assert not model.training


def test_weights_that_snslib_wrote_are_held_to_their_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, monkeypatch)
    trained = Mixing()
    nn.init.uniform_(trained.head.weight)
    path = tmp_path / "w.safetensors"
    save_tensors(path, trained.state_dict(), {"history": []})
    assert torch.equal(load_model("factories:mixing", path, device="cpu").head.weight, trained.head.weight)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    with pytest.raises(ValueError, match=r"^weights: .*w\.safetensors cannot be read .*another checksum"):
        load_model("factories:mixing", path, device="cpu")


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module ``factories`` that can be imported while the test runs."""
    lines = [
        "import torch",
        *("from torch import Tensor, nn", inspect.getsource(Mixing)),
        "def mixing(): return Mixing()",
        "def number(): return 3",
        "def needs(width): return Mixing()",
        "def pair():\n    net = Mixing()\n    net.forward = lambda x: (x, x)\n    return net",
        "def pool(): return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())",
        "def big(): return nn.Sequential(nn.Flatten(), nn.Linear(7, 2))",
        "def nan():\n    net = Mixing()\n    nn.init.constant_(net.head.weight, float('nan'))\n    return net",
    ]
    (folder / "factories.py").write_text("\n".join(lines))
    (folder / "broken.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "factories", raising=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "resnet50"}, "model: expected torchvision:NAME, .* or package.module:function, got 'resnet50'"),
        ({"model": "torchvision:resnet51"}, "no classifier 'resnet51'; did you mean resnet50"),
        ({"model": "no_such:net"}, "'no_such' cannot be imported .*PYTHONPATH"),
        ({"model": "broken:net"}, "'broken' cannot be imported .*no_such_package"),
        ({"model": "factories:mixin"}, "has no 'mixin'; did you mean mixing"),
        ({"model": "factories:number"}, "returned a int, expected an nn.Module"),
        ({"model": "factories:needs"}, "failed .*width.*without arguments"),
        ({"model": "factories:pair"}, r"model: expected logits \(N, K\), it outputs a tuple"),
        ({"model": "factories:pool"}, "no convolution or linear layer ran"),
        ({"model": "factories:big"}, r"model: it fails on images \(1, 3, 64, 64\) .*image_size"),
        ({"model": "factories:nan"}, "gradient of its loss is not finite; the output of 'head' is the first"),
        ({"num_classes": 2}, "num_classes: is for torchvision's models"),
        ({"weights": "nowhere.pt"}, "weights: there is no file nowhere.pt"),
        ({"weights": "text.pt"}, "weights: .*text.pt cannot be read"),
        ({"weights": "text.safetensors"}, "weights: .*text.safetensors cannot be read"),
        ({"weights": "object.pt"}, "weights: .*object.pt cannot be read"),
        (
            {"weights": "other.pt"},
            "does not fit: Missing.*colours.weight.*Unexpected.*stem.*size mismatch.*head.weight",
        ),
        ({"layers": ["color"]}, "layers: the model has no layer 'color'; did you mean colours"),
        ({"layers": ["colours"], "channel_axis": 4}, r"channel_axis: 'colours' outputs \(1, 4, 64, 64\).* got 4"),
        ({"layers": ["colours"], "channel_axis": 0}, "channel_axis: 'colours' .* 1 to 3, got 0"),
        ({"channel_axis": 1}, "channel_axis: is for named layers"),
        ({"layers": "colours"}, "layers: expected a list of names, got 'colours'"),
        ({"layers": []}, r"layers: expected a list of names, got \[\]"),
        ({"data": 5}, "data: expected a path, got 5"),
        ({"data": None}, "data: expected a path, got None"),
        ({"data": "nowhere"}, "data: nowhere is no folder"),
        ({"data": "empty"}, "data: empty holds no class folders; .*labels='predicted'"),
        ({"data": "empty", "labels": "predicted"}, "data: empty holds no images"),
        ({"data": "hollow"}, "data: hollow holds no images"),
        ({"data": "three"}, r"has 3 class folders \(a, b, c\), the model 2 outputs; .*num_classes=3"),
        ({"data": "noise"}, "a.png is not a readable image"),
        ({"data": "mixed", "image_size": None}, "image_size must be given"),
        ({"labels": "none"}, "labels: expected one of folders, predicted"),
        ({"eps": -0.1}, "eps: expected a finite number from 0 to 1"),
        ({"eps": 8}, "eps: expected a finite number from 0 to 1 .*8/255 is understood.*, got 8"),
        ({"n_images": 0}, "n_images: expected an integer from 1 to"),
        ({"seed": -1}, "seed: expected an integer from 0 to"),
        ({"batch_size": 2.5}, "batch_size: expected an integer from 1 to"),
        ({"image_size": True}, "image_size: expected an integer from 1 to"),
        ({"mean": [0.5] * 3}, "mean, std: one needs the other"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.5, 0]}, "std: expected a finite number > 0"),
        ({"mean": [0.5, 0.5, float("nan")], "std": [0.5] * 3}, "mean: expected a finite number .*, got nan"),
        ({"mean": [0.5], "std": [0.5] * 3}, "mean: expected three numbers, got"),
        ({"device": "tpu9"}, "device: 'tpu9' cannot be used"),
        ({"out": "."}, "out: .* is there already and is not overwritten"),
    ],
)
def test_what_does_not_fit_is_named(
    arguments: dict[str, object], message: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_module(tmp_path, monkeypatch)
    for name in ("text.pt", "text.safetensors"):
        Path(name).write_text("no weights")
    torch.save(Mixing(), "object.pt")
    torch.save({"stem": torch.ones(1), "head.weight": torch.ones(3, 4)}, "other.pt")
    for name in (
        "empty",
        "hollow/a",
        "hollow/b",
        "three/a",
        "three/b",
        "three/c",
        "noise/a",
        "noise/b",
        "mixed/a",
        "mixed/b",
    ):
        Path(name).mkdir(parents=True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("three/c/image.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("mixed/a/image.png")
    Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save("mixed/b/image.png")
    Path("noise/a/a.png").write_text("no image")
    with pytest.raises(ValueError, match=message):
        profile(
            **{"model": "factories:mixing", "data": folder, "image_size": 64, "device": "cpu", "n_images": 2}
            | arguments
        )


def test_a_module_takes_no_settings_of_a_named_model() -> None:
    for name, value in {"weights": "w.pt", "num_classes": 3, "device": "cpu"}.items():
        with pytest.raises(ValueError, match=f"{name}: is for a model given by name"):
            profile(Mixing(), greys(2), **{name: value})
    with pytest.raises(ValueError, match="image_size: is for a folder"):
        profile(Mixing(), greys(2), image_size=8)
    with pytest.raises(ValueError, match="data: got a split without images"):
        profile(Mixing(), greys(2).take(0))


def test_an_interrupted_report_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write: Callable[..., int] = Path.write_text

    def stops(self: Path, *args: str, **kwargs: str) -> int:
        if written:
            raise KeyboardInterrupt
        written.append(self.name)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", stops)
    with pytest.raises(KeyboardInterrupt):
        profile(Mixing(), greys(2), tmp_path / "out")
    assert written
    assert [*tmp_path.iterdir()] == []


def test_an_old_report_is_not_overwritten_and_nothing_is_computed_first(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    class Never(Mixing):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError

    with pytest.raises(ValueError, match=r"out: .* is not overwritten; name another folder"):
        profile(Never(), greys(2), tmp_path)


def test_of_reports_that_are_written_to_one_folder_at_once_one_is_and_the_others_are_refused(tmp_path: Path) -> None:
    def write(number: int) -> str:
        try:
            measure._write(tmp_path / "out", {"a": str(number), "b": str(number)})
        except ValueError as error:
            return str(error)
        return ""

    said = at_once(4, write)
    refused = f"out: {tmp_path / 'out'} is there already"
    assert [line.startswith(refused) for line in sorted(said)] == [False, True, True, True]
    assert [*tmp_path.iterdir()] == [tmp_path / "out"]
    assert {path.read_text() for path in (tmp_path / "out").iterdir()} == {str(said.index(""))}


# --- parameters ---


def test_parameters_are_read_as_a_shell_passes_them() -> None:
    given = {"eps": "4/255", "mean": "0.5, 0.4,0.3", "std": "[1, 1, 1/2]", "layers": "a.b,c", "n_images": "7"}
    assert options.from_parameters(given | {"labels": None}) == {
        **{"eps": 4 / 255, "mean": [0.5, 0.4, 0.3], "std": [1, 1, 0.5]},
        **{"layers": ["a.b", "c"], "n_images": 7},
    }
    for name, value in {"epss": 1, "eps": "big", "n_images": "1.5", "mean": "a,b,c", "layers": 3}.items():
        with pytest.raises(ValueError, match=name):
            options.from_parameters({name: value})


@pytest.mark.parametrize("network", ["resnet50", "torchvision:resnet51", "timm", ":", "a:"])
def test_a_bad_name_is_refused_before_anything_is_computed_by_what_it_is_called_there(network: str) -> None:
    with pytest.raises(ValueError, match=r"^network: (expected torchvision:NAME|torchvision has no classifier)"):
        options.from_parameters({"network": network})


def test_the_command_explains_every_argument(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as end:
        main(["neurons", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    asked = [name for name in inspect.signature(profile).parameters if name != "progress"]
    wanted = ["network" if name == "model" else name for name in asked]
    assert list(options.options()) == wanted
    assert all(re.search(rf"--{name.replace('_', '-')} VALUE +\w", text) for name in wanted)
    assert "is understood; 0 to 1 (8/255)" in text


def test_an_error_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--network", "torchvision:resnet50", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(["neurons", *given, "--image-size", "big"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "python -m snslib: image_size: expected a whole number, got 'big'\n"
    assert not (tmp_path / "out").exists()
    given[1] = "torchvision:resnet5"
    assert main(["neurons", *given]) == 2
    assert capsys.readouterr().err.startswith("python -m snslib: network: torchvision has no classifier 'resnet5'")

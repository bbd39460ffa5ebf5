"""Models of all sorts pass through ``profile`` as they are, or are refused by a message that names the remedy."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from snslib.data import Split
from snslib.profile.layers import find_layers
from snslib.profile.measure import profile

SPLIT = Split(torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8), torch.tensor([0, 1, 0, 1, 0]))


class Outputs(nn.Module):
    """A small network that hands its logits on in some form."""

    def __init__(self, form: Callable[[Tensor], object] = lambda logits: logits) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.fc, self.form = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), form

    def forward(self, x: Tensor) -> object:
        return self.form(self.fc(self.conv(x).relu().mean((2, 3))))


FORMS: dict[str, Callable[[Tensor], object]] = {
    "an object": lambda logits: SimpleNamespace(logits=logits, loss=None),
    "a dictionary": lambda logits: {"logits": logits, "features": logits.new_zeros(1)},
    "a tuple of one": lambda logits: (logits,),
    "a list of one": lambda logits: [logits],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("labels", ["folders", "predicted"])
def test_logits_are_read_out_of_what_a_model_puts_out(form: str, labels: str) -> None:
    plain, found = (profile(Outputs(one), SPLIT, labels=labels) for one in (lambda logits: logits, FORMS[form]))
    assert (found.clean, found.attacked) == (plain.clean, plain.attacked)
    for layer, sigma in plain.sigma.items():
        assert torch.equal(found.sigma[layer], sigma)


REFUSED: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "a pair": (lambda logits: (logits, logits), "it outputs a tuple of 2; a module whose forward calls this one"),
    "other keys": (lambda logits: {"y": logits}, "it outputs a dict with y;"),
    "maps": (lambda logits: logits[..., None], r"of shape \(1, 2, 1\);"),
    "classes": (lambda logits: logits.argmax(1), r"it outputs int64 of shape \(1,\)"),
    "one number": (lambda logits: logits[:, :1], "of at least 2 classes"),
    "nothing": (lambda logits: None, "it outputs a NoneType"),
    "without a gradient": (lambda logits: logits.detach(), "no gradient with respect to the images"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_outputs_that_are_no_logits_are_refused(form: str) -> None:
    make, message = REFUSED[form]
    with pytest.raises(ValueError, match=rf"^model: .*{message}"):
        profile(Outputs(make), SPLIT)


# --- what a model is made of ---


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Outputs().eval(), {nn.Linear}, torch.qint8)


def without_gradient() -> nn.Module:
    net = Outputs()
    net.forward = torch.no_grad()(net.forward)
    return net


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return Outputs()


REFUSED_MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2)), "lazy layer; run the model"),
    "meta": (lambda: Outputs().to("meta"), "'meta', which holds no numbers; .*to_empty"),
    "partly meta": (lambda: nn.Sequential(Outputs(), nn.Linear(2, 2, device="meta")), "'1.weight' is on the device"),
    "quantised": (quantised, "no gradient with respect to the images, as after quantisation"),
    "under no_grad": (without_gradient, "no gradient with respect to the images"),
    "made in inference mode": (made_in_inference_mode, "inference_mode"),
    "for other images": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), r"fails on .*image_size sets"),
    "scripted": (lambda: torch.jit.trace(Outputs(), torch.rand(2, 3, 8, 8)), "no convolution or linear layer ran"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("kind", REFUSED_MODELS)
def test_a_model_that_cannot_be_measured_is_refused_with_the_remedy(kind: str) -> None:
    make, message = REFUSED_MODELS[kind]
    with pytest.raises(ValueError, match=rf"^model: .*{message}") as error:
        profile(make(), SPLIT)
    assert "\n" not in str(error.value)


class InPlace(Outputs):
    """Normalises the images where they are."""

    def forward(self, x: Tensor) -> object:
        return super().forward(x.sub_(0.5).div_(0.25))


WORKS: dict[str, Callable[[], nn.Module]] = {
    "in half precision": lambda: Outputs().to(torch.bfloat16),
    "in double precision": lambda: Outputs().double(),
    "compiled": lambda: torch.compile(Outputs()),
    "DataParallel": lambda: nn.DataParallel(Outputs()),
    "traced by fx": lambda: torch.fx.symbolic_trace(Outputs()),
    "lazy, after a run": lambda: _ran(nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))),
    "in place": InPlace,
    "without parameters to train": lambda: Outputs().requires_grad_(False),
}


def _ran(model: nn.Module) -> nn.Module:
    model(torch.rand(2, 3, 8, 8))
    return model


@pytest.mark.parametrize("kind", WORKS)
def test_other_models_are_measured_as_they_are(kind: str) -> None:
    model = WORKS[kind]()
    before = [value.clone() for value in model.state_dict().values()]
    found = profile(model, SPLIT)
    assert [layer.neurons for layer in found.layers.values()] == [4, 2]
    assert all(sigma.isfinite().all() and sigma.max() > 0 for sigma in found.sigma.values())
    assert all(torch.equal(*pair) for pair in zip(before, model.state_dict().values(), strict=True))
    if kind in ("compiled", "DataParallel", "traced by fx", "in double precision"):
        plain = profile(Outputs(), SPLIT)
        for mine, sigma in zip(found.sigma.values(), plain.sigma.values(), strict=True):
            torch.testing.assert_close(mine, sigma, rtol=1e-3, atol=1e-5)


def test_tokens_whose_number_is_that_of_channels_are_told_apart_by_the_layer_that_puts_them_out() -> None:
    class Mlp(nn.Module):
        """Tokens (N, 4, 4): the activation after a linear layer has its neurons where that has them."""

        def __init__(self) -> None:
            super().__init__()
            self.patch, self.up, self.act = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 4), nn.GELU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.up(self.patch(x).flatten(2).mT)).mean(1)

    found, _ = find_layers(Mlp(), torch.rand(1, 3, 8, 8))
    assert {name: layer.axis for name, layer in found.items()} == {"patch": 1, "act": 2}
    assert profile(Mlp(), SPLIT).sigma["act"].shape == (4,)


class Windows(nn.Module):
    """A network with a linear layer on the quarters of all images, as window attention has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.window, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(16, 16), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x).unfold(2, 4, 4).unfold(3, 4, 4)  # (N, 4, 2, 2, 4, 4)
        quarters = maps.permute(0, 2, 3, 1, 4, 5).reshape(-1, 4, 16)  # (4 N, 4, 16)
        return self.fc(self.window(quarters).relu().mean(2).view(len(x), 4, 4).mean(1))


def test_layers_without_images_on_their_first_axis_are_left_out_and_named() -> None:
    with pytest.warns(UserWarning, match=r"what window output has no images on its first axis; left out"):
        found = profile(Windows(), SPLIT)
    assert list(found.layers) == ["conv", "fc"]
    with pytest.raises(ValueError, match=r"'window' outputs .*the first axis has to be that of the images"):
        profile(Windows(), SPLIT, layers=["window"])

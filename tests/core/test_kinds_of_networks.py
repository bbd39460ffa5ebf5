"""Networks of all kinds through the public functions: the right value, or an error that names the argument."""

import copy
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import zoo
from torch import Tensor, nn
from zoo import Output, Pooled, Small, Tutorial, images

from snslib import (
    dual_pairs,
    fgsm,
    important_neurons,
    inference,
    least_likely_class,
    mi_fgsm,
    neuron_sensitivity,
    paper_attacks,
    pgd,
    record,
    step_ll,
    suppress,
)
from snslib.data import Split
from snslib.evaluation.accuracy import accuracy, predicted
from snslib.evaluation.receptive_fields import top_images
from snslib.evaluation.robustness import loss_surface, strong_pgd
from snslib.sensitivity import neuron_activation, neuron_variance

Y = torch.tensor([0, 1, 2, 3])
EPS = {"eps": 0.1, "step": 0.04, "steps": 3}


def attacked(model: nn.Module, x: Tensor, y: Any = Y) -> Tensor:
    return pgd(model, x, y, 0.1, 0.04, 3)


def split_of(x: Tensor, y: Tensor = Y) -> Split:
    return Split((x * 255).to(torch.uint8), y)


# --- layouts ---


@pytest.mark.parametrize("n", [1, 4])
def test_a_network_that_flattens_by_view_is_attacked_and_measured(n: int) -> None:
    model, x = Tutorial(), images(n)
    exact = copy.deepcopy(model).double()
    expected = zoo.pgd(exact, x.double(), Y[:n], **EPS).float()
    torch.testing.assert_close(attacked(model, x, Y[:n]), expected, rtol=0, atol=1e-6)
    layers = {"conv1": 1, "conv2": 1, "fc1": 1}
    found = neuron_sensitivity(model, [(x, expected)], list(layers))
    torch.testing.assert_close(found, zoo.sensitivity(model, x, expected, layers), rtol=1e-3, atol=1e-5)
    assert torch.equal(predicted(model, [x]), model(x).argmax(1))
    for call in (fgsm, mi_fgsm):
        assert call(model, x, Y[:n]).shape == x.shape
    assert loss_surface(model, x, Y[:n], 0.1, 3)[1].isfinite().all()


class Flat(nn.Module):
    """It flattens what a convolution puts out, or the images themselves, in a way of its own."""

    def __init__(self, flatten: Callable[[Tensor], Tensor], convolved: bool) -> None:
        super().__init__()
        self.flatten, self.convolved = flatten, convolved
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3 * zoo.SIZE**2, 4)

    def forward(self, x: Tensor) -> Tensor:
        convolved = self.conv(x)
        return self.fc(self.flatten(convolved if self.convolved else x))


def as_strided(x: Tensor) -> Tensor:
    return torch.as_strided(x, (len(x), x[0].numel()), (x[0].numel(), 1))


def by_strides(x: Tensor) -> Tensor:
    return x.flatten(1) if x.stride(1) != 1 else x.permute(0, 2, 3, 1).flatten(1)


def asserted(x: Tensor) -> Tensor:
    assert x.is_contiguous()
    return x.flatten(1)


def caught(x: Tensor) -> Tensor:
    try:
        return x.view(len(x), -1)
    except RuntimeError:
        return x.permute(0, 2, 3, 1).flatten(1)


def in_memory(x: Tensor) -> Tensor:
    return torch.empty(0).set_(x.detach().untyped_storage(), 0, (len(x), x[0].numel())) + 0 * x.flatten(1)


def in_patches(x: Tensor) -> Tensor:
    return x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(x), -1)


FLATTENED = [as_strided, by_strides, asserted, caught, in_memory, in_patches, lambda x: x.view(x.size(0), -1)]


@pytest.mark.parametrize("convolved", [True, False])
@pytest.mark.parametrize("flatten", FLATTENED, ids=lambda flatten: flatten.__name__)
def test_a_network_that_looks_at_strides_gets_the_layout_it_was_given(
    flatten: Callable[[Tensor], Tensor], convolved: bool
) -> None:
    model, x = Flat(flatten, convolved).eval(), images()
    with torch.no_grad():
        logits, moved = model(x), model(x / 2)
    for _ in range(2):
        assert torch.equal(predicted(model, [x]), logits.argmax(1))
        found = neuron_sensitivity(model, [(x, x / 2)], ["fc"])["fc"]
        torch.testing.assert_close(found, (logits - moved).abs().mean(0))
    torch.testing.assert_close(attacked(model, x), zoo.pgd(model, x, Y, **EPS), rtol=0, atol=1e-6)
    assert model in inference._NOT_CHANNELS_LAST or flatten is in_patches


def test_a_network_that_does_not_is_run_in_the_fast_one() -> None:
    model, x = Small(), images()
    neuron_sensitivity(model, [(x, x / 2)], ["block", "fc"])  # whose measurement looks at strides
    assert model in inference._CHANNELS_LAST
    assert sys.getprofile() is None


def test_a_profiler_goes_on() -> None:
    events: list[str] = []

    def profiler(_frame: object, event: str, _what: object) -> None:
        events.append(event)

    model, x = Flat(caught, True).eval(), images()
    with torch.no_grad():
        logits = model(x)
    sys.setprofile(profiler)
    try:
        predicted(model, [x])
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert "c_call" in events
    assert torch.equal(predicted(model, [x]), logits.argmax(1))  # looked at as soon as nobody else does


def test_a_network_gets_images_of_its_own_that_it_may_change() -> None:
    def normalised(x: Tensor) -> Tensor:
        return x.sub_(0.5).div_(0.25)

    model, x = Small(before=normalised), images()
    plain, given = with_before(model, lambda x: (x - 0.5) / 0.25), x.clone()
    calls: list[Callable[[nn.Module], Any]] = [
        lambda m: attacked(m, x),
        lambda m: step_ll(m, x),
        lambda m: pgd(m, x, Y, steps=1, random_start=True, restarts=2, generator=torch.Generator().manual_seed(0)),
        lambda m: predicted(m, [x]),
        lambda m: neuron_sensitivity(m, [(x, x / 2)], ["block"])["block"],
        lambda m: neuron_activation(m, [x], ["fc"])["fc"],
        lambda m: loss_surface(m, x, Y, 0.1, 3)[1],
    ]
    for call in calls:
        torch.testing.assert_close(call(model), call(plain))
        assert torch.equal(x, given)


def with_before(model: Small, before: Callable[[Tensor], Tensor]) -> Small:
    other = copy.deepcopy(model)
    other.before = before
    return other


class Counts(Small):
    """It writes to its buffers whenever it runs: statistics of the batch, how often it ran, what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))

    def forward(self, x: Tensor) -> object:
        self.calls += 1
        self.seen = self.seen + x.detach().mean((0, 2, 3))
        return super().forward(F.batch_norm(x, self.mean, self.var, training=True))


@pytest.mark.filterwarnings("ignore:model. what it makes")
def test_what_a_network_keeps_of_its_passes_is_put_back() -> None:
    model, x = Counts(), images()
    model(x)
    before, kept = copy.deepcopy(model.state_dict()), model.seen
    attacked(model, x)
    accuracy(model, split_of(x), attacked)
    neuron_sensitivity(model, [(x, x / 2)], ["fc"])
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)
    assert model.seen is kept


# --- outputs and types ---


@pytest.mark.parametrize(
    "after", [Output, lambda z: {"logits": z}, lambda z: (z,), lambda z: [z]], ids=["object", "dict", "tuple", "list"]
)
def test_logits_in_something_else_are_attacked_and_measured_alike(after: Callable[[Tensor], object]) -> None:
    plain, x = Small(), images()
    model = copy.deepcopy(plain)
    model.after = after
    assert torch.equal(attacked(model, x), attacked(plain, x))
    assert torch.equal(least_likely_class(model, x), least_likely_class(plain, x))
    assert accuracy(model, split_of(x)) == accuracy(plain, split_of(x))
    assert accuracy(model, split_of(x), attacked) == accuracy(plain, split_of(x), attacked)
    assert torch.equal(loss_surface(model, x, Y, 0.1, 3)[1], loss_surface(plain, x, Y, 0.1, 3)[1])


@pytest.mark.parametrize(
    "after",
    [
        lambda z: (z, z),
        lambda z: {"out": z},
        lambda z: z[:, None].expand(-1, 4, -1),
        lambda z: z[:, :, None, None],
        lambda z: z[:, :1],
        lambda z: z[:1],
        lambda z: z.flatten(),
        lambda z: z.argmax(1),
        lambda z: None,
    ],
)
def test_what_are_no_logits_is_refused_in_every_function(after: Callable[[Tensor], object]) -> None:
    model, x = Small(after=after), images()
    for call in (
        lambda: attacked(model, x),
        lambda: step_ll(model, x),
        lambda: accuracy(model, split_of(x)),
        lambda: loss_surface(model, x, Y, 0.1, 3),
        lambda: strong_pgd(model, split_of(x), 0.1, 1, 1, targeted=True),
    ):
        with pytest.raises(ValueError, match=r"^model: expected logits \(N, K\)"):
            call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_network_in_another_type_gets_its_images_in_it(dtype: torch.dtype) -> None:
    model, x = Small().to(dtype), images()
    x_adv = attacked(model, x)
    assert x_adv.dtype == torch.float32
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6
    with torch.no_grad():
        expected = model.eval()(x.to(dtype)).argmax(1)
    assert torch.equal(predicted(model, [x]), expected)
    tolerance = {torch.float64: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    wanted = zoo.sensitivity(model, x, x / 2, {"block": 1})
    found = neuron_sensitivity(model, [(x, x / 2)], ["block"])
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
    if dtype == torch.float64:
        torch.testing.assert_close(x_adv, zoo.pgd(model, x.double(), Y, **EPS).float(), rtol=0, atol=1e-6)


# --- compiled, scripted, exported, unloaded ---


def test_layers_of_a_compiled_model_are_seen_and_changed() -> None:
    model, x = Small().eval(), images()
    expected = neuron_sensitivity(model, [(x, x / 2)], ["block.2", "fc"])
    with suppress(model, {"block": [0, 1]}, 0.0), torch.no_grad():
        suppressed = model(x)
    compiled = torch.compile(copy.deepcopy(model), backend="eager")
    in_place = copy.deepcopy(model)
    in_place.compile(backend="eager")
    for called in (compiled, in_place):
        with torch.no_grad():
            before = called(x)  # compiled without hooks
        for named in [called, *([compiled._orig_mod] if called is compiled else [])]:
            with suppress(named, {"block": [0, 1]}, 0.0), record(named, ["fc"]) as recorded, torch.no_grad():
                found = called(x)
            torch.testing.assert_close(found, suppressed)
            torch.testing.assert_close(recorded["fc"], suppressed)
        with torch.no_grad():
            assert torch.equal(called(x), before)
        torch.testing.assert_close(neuron_sensitivity(called, [(x, x / 2)], ["block.2", "fc"]), expected)
        torch.testing.assert_close(attacked(called, x), attacked(model, x), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "made",
    [
        lambda m, x: torch.jit.trace(m, x),
        lambda m, x: torch.jit.freeze(torch.jit.trace(m, x)),
        lambda m, x: torch.export.export(m, (x,)).module(),
    ],
    ids=["traced", "frozen", "exported"],
)
def test_a_network_without_modules_is_attacked_and_its_layers_are_refused(made: Callable[..., nn.Module]) -> None:
    model, x = Small().eval(), images()
    other = made(model, x)
    torch.testing.assert_close(attacked(other, x), attacked(model, x), rtol=0, atol=1e-6)
    assert accuracy(other, split_of(x)) == accuracy(model, split_of(x))
    with pytest.raises(ValueError, match=r"^layers: "):
        neuron_sensitivity(other, [(x, x)], ["fc"])
    for context in (lambda: record(other, ["fc"]), lambda: suppress(other, {"fc": [0]}, 0.0)):
        with pytest.raises(ValueError, match=r"^layers: "), context():
            other(x)


def test_a_scripted_network_is_attacked_and_its_layers_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    scripted, x = torch.jit.script(model.eval()), images()
    torch.testing.assert_close(attacked(scripted, x), attacked(model, x), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"^layers: a scripted model"), suppress(scripted, {"0": [0]}, 0.0):
        pass


def in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return Small()


UNUSABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "meta": (lambda: Small().to("meta"), "^model: 'block.0.weight' is on the device 'meta'"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), "^model: '1.weight' has no shape yet"),
    "inference mode": (in_inference_mode, "^model: 'block.0.weight' was made in torch.inference_mode"),
    "function": (lambda: lambda x: x.flatten(1)[:, :4], "^model: expected an nn.Module"),
    "class": (lambda: Small, "^model: expected an nn.Module"),
}


@pytest.mark.filterwarnings("ignore:Lazy")
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_network_that_cannot_be_run_is_refused_with_the_remedy(name: str) -> None:
    model, message = UNUSABLE[name][0](), UNUSABLE[name][1]
    x = images()
    for call in (
        lambda: attacked(model, x),
        lambda: step_ll(model, x),
        lambda: accuracy(model, split_of(x)),
        lambda: list(dual_pairs(model, split_of(x), fgsm)),
        lambda: neuron_sensitivity(model, [(x, x)], ["fc" if name != "lazy" else "1"]),
        lambda: loss_surface(model, x, Y, 0.1, 3),
        lambda: top_images(model, split_of(x), "block", [0]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("after", [lambda z: z.detach(), lambda z: z.detach() * torch.ones(4, requires_grad=True)])
def test_logits_without_a_gradient_are_refused_by_attacks_and_read_by_others(after: Callable[[Tensor], Tensor]) -> None:
    model, x = Small(after=after), images()
    for attack in (fgsm, mi_fgsm, pgd):
        with pytest.raises(ValueError, match=r"^model: its logits have no gradient"):
            attack(model, x, Y)
    assert 0 <= accuracy(model, split_of(x)) <= 1


def test_an_error_of_the_network_names_the_model_and_the_images() -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(7, 4)), images()
    for call in (
        lambda: attacked(model, x),
        lambda: accuracy(model, split_of(x)),
        lambda: neuron_sensitivity(model, [(x, x)], ["1"]),
    ):
        with pytest.raises(
            ValueError, match=r"^model: it fails on images \(4, 3, 16, 16\) .*cannot be multiplied"
        ) as error:
            call()
        assert isinstance(error.value, RuntimeError)


# --- PyTorch's defaults ---


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_the_default_type_changes_nothing(default: torch.dtype) -> None:
    assert_same_with(lambda: torch.set_default_dtype(default), lambda: torch.set_default_dtype(torch.float32))


def test_the_default_device_changes_nothing() -> None:
    """Tensors that are made without saying where would be on "meta", and hold nothing."""
    assert_same_with(lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None))


def assert_same_with(change: Callable[[], None], back: Callable[[], None]) -> None:
    model, x = Small(), images()
    split = split_of(x)

    def everything() -> list[Any]:
        generator = torch.Generator("cpu").manual_seed(0)
        with suppress(model, {"block": [1]}, 0.5), record(model, ["fc"]) as recorded, torch.no_grad():
            model.eval()(x)
        return [
            dict(recorded),
            *(attack(model, x, Y) for attack in paper_attacks(0.1, 0.04, 2).values()),
            pgd(model, x, Y, 0.1, 0.04, 2, random_start=True, restarts=2, generator=generator),
            neuron_sensitivity(model, dual_pairs(model, split, fgsm), ["block", "fc"]),
            neuron_variance(model, [x], ["block"]),
            predicted(model, [x]),
            accuracy(model, split, attacked),
            strong_pgd(model, split, 0.1, 2, 2),
            loss_surface(model, x, Y, 0.1, 3)[1],
            top_images(model, split, "block", [0, 1]),
            important_neurons(Pooled(model), x, 0, "pool", 2, 2),
        ]

    expected = everything()
    change()
    try:
        found = everything()
    finally:
        back()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)

"""Arguments as people have them, layers that run oddly, numbers that are not finite: an answer, or an error by name."""

import copy
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo import Output, Pooled, Small, Tokens, Tutorial, images

from snslib import (
    dual_pairs,
    fgsm,
    important_neurons,
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
from snslib.evaluation.robustness import loss_surface, strong_pgd, with_statistics_of
from snslib.sensitivity import neuron_activation, neuron_variance

Y = torch.tensor([0, 1, 2, 3])


def attacked(model: nn.Module, x: Tensor, y: Any = Y) -> Tensor:
    return pgd(model, x, y, 0.1, 0.04, 3)


def split_of(x: Tensor, y: Tensor = Y) -> Split:
    return Split((x * 255).to(torch.uint8), y)


# --- arguments as people have them ---


def test_images_beside_the_range_by_rounding_are_clipped_and_left_as_they_are() -> None:
    model, x = Small(), images()
    x[0, 0, 0, 0], x[1, 0, 0, 0] = 1, 0
    beside = x.clone()
    beside[0, 0, 0, 0], beside[1, 0, 0, 0] = 1 + 1e-7, -1e-9
    assert beside.max() > 1
    given = beside.clone()
    for attack in (fgsm, mi_fgsm, pgd):
        assert torch.equal(attack(model, beside, Y), attack(model, x, Y))
    assert torch.equal(predicted(model, [beside]), predicted(model, [x]))
    found = neuron_sensitivity(model, [(beside, x / 2)], ["block"])
    assert torch.equal(found["block"], neuron_sensitivity(model, [(x, x / 2)], ["block"])["block"])
    assert torch.equal(beside, given)
    with pytest.raises(ValueError, match=r"^x: values must lie in \[0, 1\]"):
        fgsm(model, x + 1e-3, Y)


def test_what_an_attack_leaves_beside_the_range_by_rounding_is_clipped() -> None:
    x = torch.ones(4, 3, 16, 16)
    pairs = dual_pairs(Small(), split_of(x), lambda _model, x, _y: x + 1e-7, eps=0.1)
    assert all((x_adv <= 1).all() for _, x_adv in pairs)


def test_an_attack_that_changes_its_images_does_not_change_those_of_the_pair() -> None:
    ((x, x_adv),) = dual_pairs(Small(), split_of(torch.ones(4, 3, 16, 16)), lambda _m, x, _y: x.mul_(0.5))
    assert x.min() == 1
    assert x_adv.max() == 0.5


@pytest.mark.parametrize(
    "labels",
    [
        *(Y.int(), Y.to(torch.uint8), Y.tolist(), tuple(Y.tolist()), Y.numpy(), Y.numpy().astype(np.int32), list(Y)),
        *(Y.numpy().astype(np.int8), Y.numpy().astype(np.uint16), Y.numpy().astype(np.uint64), Y.to(torch.uint16)),
        *(range(4), list(Y.numpy()), np.frombuffer(Y.numpy().tobytes(), np.int64)),
    ],
    ids=[
        *("int32", "uint8", "list", "tuple", "NumPy", "NumPy int32", "list of tensors", "NumPy int8"),
        *("NumPy uint16", "NumPy uint64", "uint16", "range", "list of NumPy's", "NumPy that cannot be written"),
    ],
)
def test_labels_of_any_whole_numbers_are_taken(labels: Any) -> None:
    model, x = Small(), images()
    assert torch.equal(attacked(model, x, labels), attacked(model, x))
    assert accuracy(model, split_of(x, labels)) == accuracy(model, split_of(x))


def test_numbers_of_numpy_and_fractions_are_taken() -> None:
    model, x = Small(), images()
    expected = pgd(model, x, Y, 8 / 255, 2 / 255, 3)
    assert torch.equal(pgd(model, x, Y, np.float64(8 / 255), 2 / 255, np.int64(3)), expected)
    assert torch.equal(pgd(model, x, Y, Fraction(8, 255), Fraction(2, 255), np.uint8(3)), expected)
    many = dict(k1=np.int64(1), k2=np.int32(2), batch_size=np.int64(2))
    assert len(important_neurons(Pooled(model), x, np.int64(0), "pool", **many)) == 2
    assert len(predicted(model, [x])) == 4
    assert strong_pgd(model, split_of(x), 0.1, np.int64(1), np.int64(1), seed=np.int64(0)).shape == (4,)


@pytest.mark.parametrize("labels", [{0, 1, 2, 3}, dict.fromkeys(range(4)), b"0123", Y > 1, Y.double(), Y[:, None]])
def test_labels_without_an_order_or_that_are_no_whole_numbers_are_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match=r"^y: expected an int64 tensor of shape \(4,\)"):
        attacked(Small(), images(), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.to_sparse(), "sparse_coo"),
        (lambda x: x.to("meta"), "on the device 'meta'"),
        (lambda x: x.to(torch.float8_e5m2), "expected floats"),
    ],
)
def test_images_without_a_number_at_each_place_are_refused(change: Callable[[Tensor], Tensor], message: str) -> None:
    for call in (lambda x: fgsm(Small(), x, Y), lambda x: predicted(Small(), [x]).to(x)):
        with pytest.raises(ValueError, match=f"^(x|images): .*{message}"):
            call(change(images()))


def test_a_layer_that_is_named_twice_is_not_suppressed_twice() -> None:
    model = Small()
    model.again = model.block
    both = {"block": [0], "again": [0]}
    with pytest.raises(ValueError, match=r"^neurons: 'block' and 'again' are one layer"), suppress(model, both, 0.5):
        pass
    with suppress(model, {"again": [0]}, 0.5), record(model, ["block", "again"]) as recorded:
        model(images())
    assert torch.equal(recorded["block"], recorded["again"])


def test_of_probabilities_attacks_say_that_they_are_weak() -> None:
    model, x = Small(after=lambda z: z.softmax(1)), images()
    for attack in (fgsm, mi_fgsm, pgd):
        with pytest.warns(UserWarning, match="^model: its outputs are in .* as probabilities do"):
            attack(model, x, Y)
    model.after = lambda z: z.log_softmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fgsm(model, x, Y)


@pytest.mark.parametrize("eps", [8, 1.01, 2.0, -1e-9, "8/255", None, True, float("nan"), torch.tensor(0.1)])
@pytest.mark.parametrize("name", ["eps", "step_size"])
def test_a_radius_or_a_step_beyond_1_is_refused_and_says_so(eps: Any, name: str) -> None:
    model, x = Small(), images()
    calls: list[Callable[[], Any]] = [
        lambda: pgd(model, x, Y, **{name: eps}),
        lambda: mi_fgsm(model, x, Y, **{name: eps}),
        lambda: paper_attacks(**{"eps": 0.1, "step_size": 0.1, "steps": 1} | {name: eps}),
    ]
    if name == "eps":
        calls += [
            lambda: fgsm(model, x, Y, eps),
            lambda: step_ll(model, x, eps),
            lambda: loss_surface(model, x, Y, eps),
            lambda: strong_pgd(model, split_of(x), eps) if eps is not None else pgd(model, x, Y, eps),
        ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"^{name}: expected a finite number .* \[0, 1\] pixel space"):
            call()


CALLS: dict[str, Callable[..., Any]] = {
    "pairs": lambda v: neuron_sensitivity(Small(), v, ["fc"]),
    "images": lambda v: neuron_activation(Small(), v, ["fc"]),
    "layers": lambda v: neuron_sensitivity(Small(), [(images(), images())], v),
    "targeted": lambda v: pgd(Small(), images(), Y, targeted=v),
    "random_start": lambda v: pgd(Small(), images(), Y, random_start=v),
    "generator": lambda v: pgd(Small(), images(), Y, random_start=True, generator=v),
    "seed": lambda v: strong_pgd(Small(), split_of(images()), 0.1, 1, 1, seed=v),
    "classes": lambda v: predicted(Small(), [images()], v),
    "batches": lambda v: with_statistics_of(Small(), v),
}


@pytest.mark.parametrize(
    "value", [5.5, torch.tensor(3.5), "x", np.array([1.5, 2.5])], ids=["5.5", "0-d", "text", "array"]
)
@pytest.mark.parametrize("name", CALLS)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_argument(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        CALLS[name](value)


def test_x_and_x_adv_are_on_one_device() -> None:
    x = images()
    with pytest.raises(ValueError, match=r"^attack: expected x' on the device of x, cpu, got meta"):
        list(dual_pairs(Small(), split_of(x), lambda _m, x, _y: x.to("meta")))


def test_statistics_of_other_images_leave_the_random_numbers_as_they_were() -> None:
    model, x = nn.Sequential(Small(), nn.Dropout()), images()
    before = torch.get_rng_state()
    with_statistics_of(model, [x])
    assert torch.equal(torch.get_rng_state(), before)


# --- layers that do not run, run twice, or put out several ---


class Odd(Small):
    """A ReLU that runs twice, a layer that does not run, and one that puts out a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.unused, self.several = nn.ReLU(), nn.Linear(5, 5), nn.LSTM(5, 5, batch_first=True)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.pool(self.relu(self.block(x))).flatten(1))
        return self.fc(x + self.several(x[:, None])[0][:, 0])


def calls_with(model: nn.Module, layer: str) -> dict[str, Callable[[], Any]]:
    x = images()

    def recorded() -> None:
        with record(model, [layer]):
            model(x)

    def suppressed() -> None:
        with suppress(model, {layer: [0]}, 0.5):
            model(x)

    return {
        "record": recorded,
        "suppress": suppressed,
        "neuron_sensitivity": lambda: neuron_sensitivity(model, [(x, x)], [layer]),
        "neuron_activation": lambda: neuron_activation(model, [x], [layer]),
        "neuron_variance": lambda: neuron_variance(model, [x], [layer]),
        "important_neurons": lambda: important_neurons(model, x, 0, layer, 1, 1, classifier="fc"),
        "top_images": lambda: top_images(model, split_of(x), layer, [0]),
    }


@pytest.mark.parametrize("function", calls_with(Odd(), "fc"))
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("unused", "^layers: unused did not run in the forward pass"),
        ("several", "^layers: 'several' outputs tuple; a layer of neurons outputs one tensor"),
        ("nowhere", "^layers: the model has no layer 'nowhere'; it has block"),
    ],
)
def test_a_layer_without_one_output_is_named_in_every_function(function: str, layer: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calls_with(Odd(), layer)[function]()


@pytest.mark.parametrize("function", [name for name in calls_with(Odd(), "fc") if name != "top_images"])
def test_a_layer_that_runs_twice_is_named_in_every_function(function: str) -> None:
    with pytest.warns(UserWarning, match="^layers: 'relu' runs 2 times in a forward pass"):
        calls_with(Odd(), "relu")[function]()


# --- not finite ---


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_measurement_that_is_not_finite_names_the_layer_where_that_begins(value: float) -> None:
    model, x = Small(), images()
    nn.init.constant_(model.block[1].weight, value)
    for call in (
        lambda: neuron_sensitivity(model, [(x, x / 2)], ["fc"]),
        lambda: neuron_activation(model, [x], ["block", "fc"]),
        lambda: neuron_variance(model, [x], ["fc"]),
    ):
        with pytest.raises(ValueError, match=r"^layers: .* not finite; the output of 'block.1' is the first"):
            call()


def test_a_gradient_that_is_not_finite_is_traced_to_the_layer_behind_which_it_begins() -> None:
    class Root(Small):
        def forward(self, x: Tensor) -> Tensor:
            features = self.block(x).mean((2, 3))
            return self.fc((features * 0).sqrt() + features)

    with pytest.raises(ValueError, match=r"^model: the gradient .* not finite; .* at the output of 'block'|'block\.2'"):
        fgsm(Root(), images(), Y)


# --- whatever comes ---


def answer(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returns, or else what its error says, which is one of ours."""
    try:
        return call(), ""
    except ValueError as error:
        return None, str(error)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "small": Small,
    "view": Tutorial,
    "tokens": Tokens,
    "double": lambda: Small().double(),
    "bfloat16": lambda: Small().bfloat16(),
    "object": lambda: Small(after=Output),
    "tuple": lambda: Small(after=lambda z: (z, z)),
    "batch statistics": lambda: Small(nn.BatchNorm2d(5, track_running_stats=False)),
    "random": lambda: Small(after=lambda z: F.dropout(z, 0.5, True)),
    "in place": lambda: Small(before=lambda x: x.mul_(2)),
    "odd": Odd,
    "no gradient": lambda: Small(after=torch.Tensor.detach),
    "one logit": lambda: Small(classes=1),
    "nan": lambda: Small(after=lambda z: z * torch.nan),
}
LABELS = st.one_of(
    st.just(Y),
    st.lists(st.integers(-1, 4), min_size=4, max_size=4),
    st.just(Y.float()),
    st.just(Y[:2]),
    st.just("0123"),
)


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(MODELS)),
    layer=st.sampled_from(["fc", "block", "conv2", "embed", "attention", "unused", "relu", "several", "nowhere", ""]),
    eps=st.one_of(st.floats(-0.5, 2), st.sampled_from([8, "8/255", None, Fraction(8, 255), np.float32(0.1)])),
    steps=st.sampled_from([1, 2, 0, 2.0, np.int64(2), True]),
    y=LABELS,
    shift=st.sampled_from([0.0, 1e-7, -1e-8, 0.5, float("nan")]),
    training=st.booleans(),
)
def test_whatever_comes_is_answered_or_refused_by_name(
    name: str, layer: str, eps: Any, steps: Any, y: Any, shift: float, training: bool
) -> None:
    torch.manual_seed(0)
    model, x = MODELS[name]().train(training), images() + shift
    before, x_before = copy.deepcopy(model.state_dict()), x.clone()
    random_state = torch.get_rng_state()
    calls: list[Callable[[], Any]] = [
        lambda: pgd(model, x, y, eps, 0.05, steps),
        lambda: mi_fgsm(model, x, y, eps, 0.05, steps),
        lambda: step_ll(model, x, eps),
        lambda: accuracy(model, Split((images() * 255).to(torch.uint8), Y)),
        lambda: neuron_sensitivity(model, [(x, x.clamp(0, 0.9))], [layer]),
        lambda: important_neurons(model, x, 0, layer, 1, 1),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place, call in enumerate(calls):
            torch.set_rng_state(random_state)
            found, said = answer(call)
            assert found is not None or ": " in said
            if found is not None and place < 3:
                assert found.shape == x.shape
                assert ((found >= 0) & (found <= 1)).all()
                assert (found - x).abs().max() <= float(eps) + 1e-5
            if found is not None and place == 4:
                assert all(value.isfinite().all() for value in found.values())
    torch.testing.assert_close(x, x_before, rtol=0, atol=0, equal_nan=True)
    assert all(module.training == training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())

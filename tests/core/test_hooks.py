"""Recording and suppressing: equal to running the layers by hand, and nothing stays behind."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib.hooks import NotFinite, on_output, record, suppress


class Net(nn.Module):
    """Nested layers, in-place ReLUs, one module that runs twice, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.shared = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True))
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu_(self.shared(x))
        x = F.relu_(self.shared(x))
        return self.fc(self.head(x.mean((2, 3))))


LAYERS = ["stem.0", "stem", "shared", "head.0", "fc"]


def by_hand(net: Net, x: Tensor) -> dict[str, Tensor]:
    """What each layer outputs, computed from the weights without modules or in-place operations."""

    def conv(x: Tensor, module: nn.Module) -> Tensor:
        return F.conv2d(x, module.weight, module.bias, padding=1)

    stem = conv(x, net.stem[0])
    first = conv(stem.relu(), net.shared)
    second = conv(first.relu(), net.shared)
    hidden = F.linear(second.relu().mean((2, 3)), net.head[0].weight, net.head[0].bias)
    logits = F.linear(hidden.relu(), net.fc.weight, net.fc.bias)
    return {"stem.0": stem, "stem": stem.relu(), "shared": second, "head.0": hidden, "fc": logits}


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(3, 3, 5, 5)


# --- record ---


def test_record_equals_the_layers_by_hand(net: Net, x: Tensor) -> None:
    with record(net, LAYERS) as activations:
        output = net(x)
    assert list(activations) == LAYERS
    torch.testing.assert_close(activations, by_hand(net, x))
    assert (activations["stem.0"] < 0).any()  # taken before the in-place ReLU
    assert torch.equal(output, net(x))


def test_each_forward_pass_records_anew(net: Net, x: Tensor) -> None:
    with record(net, LAYERS) as activations:
        net(x)
        first = dict(activations)
        net(1 - x)
    torch.testing.assert_close(activations, by_hand(net, 1 - x))
    torch.testing.assert_close(first, by_hand(net, x))


def test_gradients_flow_through_recordings(net: Net, x: Tensor) -> None:
    net.double()
    x = x.double().requires_grad_(True)
    inputs = [x, *net.parameters()]
    with record(net, LAYERS) as activations:
        net(x)
    recorded = sum(activation.pow(2).sum() for activation in activations.values())
    expected = sum(activation.pow(2).sum() for activation in by_hand(net, x).values())
    for gradient, wanted in zip(
        torch.autograd.grad(recorded, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(gradient, wanted)


def test_recordings_nest(net: Net, x: Tensor) -> None:
    with record(net, ["stem"]) as outer, record(net, ["stem", "fc"]) as inner:
        net(x)
    assert list(outer) == ["stem"]
    assert torch.equal(outer["stem"], inner["stem"])


# --- suppress ---


def test_suppress_scales_exactly_the_chosen_channels(net: Net, x: Tensor) -> None:
    with suppress(net, {"stem": [1, 4], "head": torch.tensor([0, 0])}, beta=0.25), record(net, ["stem", "head"]) as got:
        net(x)
    plain = by_hand(net, x)["stem"]
    factor = torch.tensor([1, 0.25, 1, 1, 0.25, 1]).view(1, 6, 1, 1)
    torch.testing.assert_close(got["stem"], plain * factor)
    with record(net, ["head"]) as unsuppressed, suppress(net, {"stem": [1, 4]}, beta=0.25):
        net(x)
    torch.testing.assert_close(got["head"], unsuppressed["head"] * torch.tensor([0.25, 1, 1, 1, 1]))  # once, not twice


def test_suppress_changes_what_follows(net: Net, x: Tensor) -> None:
    with suppress(net, {"head": [2]}, beta=0.0):
        suppressed = net(x)
    hidden = by_hand(net, x)["head.0"].relu()
    hidden[:, 2] = 0
    torch.testing.assert_close(suppressed, F.linear(hidden, net.fc.weight, net.fc.bias))


def test_suppress_with_beta_1_and_with_no_channel_is_the_model_as_it_is(net: Net, x: Tensor) -> None:
    expected = net(x)
    with suppress(net, {"stem": [0, 5], "shared": [3], "fc": range(4)}, beta=1.0):
        assert torch.equal(net(x), expected)
    with suppress(net, {"stem": [], "fc": torch.tensor([], dtype=torch.int64)}, beta=0.0):
        assert torch.equal(net(x), expected)


def test_suppress_scales_a_shared_module_each_time(net: Net, x: Tensor) -> None:
    with suppress(net, {"shared": range(6)}, beta=0.5), record(net, ["shared"]) as got:
        net(x)
    first = 0.5 * F.conv2d(by_hand(net, x)["stem"], net.shared.weight, net.shared.bias, padding=1)
    second = 0.5 * F.conv2d(first.relu(), net.shared.weight, net.shared.bias, padding=1)
    torch.testing.assert_close(got["shared"], second)


def test_suppress_lets_gradients_through(net: Net, x: Tensor) -> None:
    x.requires_grad_(True)
    with suppress(net, {"fc": [0]}, beta=0.5):
        half = torch.autograd.grad(net(x)[:, 0].sum(), x)[0]
    torch.testing.assert_close(half, torch.autograd.grad(net(x)[:, 0].sum(), x)[0] / 2)


# --- the hooks go ---


@pytest.mark.parametrize("context", [lambda net: record(net, LAYERS), lambda net: suppress(net, {"fc": [0]}, 0.0)])
def test_no_hook_stays(net: Net, x: Tensor, context: Any) -> None:
    before = net(x)
    with context(net):
        assert hooks_of(net) > 0
    assert hooks_of(net) == 0
    with pytest.raises(KeyError, match="on purpose"), context(net):
        raise KeyError("on purpose")
    assert hooks_of(net) == 0
    with pytest.raises(RuntimeError), context(net):
        net(x[:, :2])  # fails in the middle of the forward pass
    assert hooks_of(net) == 0
    assert torch.equal(net(x), before)


def test_no_hook_stays_when_one_layer_is_unknown(net: Net) -> None:
    with pytest.raises(ValueError, match="nowhere"), record(net, ["stem", "nowhere"]):
        pass
    assert hooks_of(net) == 0


# --- bad arguments ---


@pytest.mark.parametrize("name", ["nowhere", "stem.7", "fc.weight", "conv1"])
def test_an_unknown_layer_is_named_and_the_known_ones_are_listed(net: Net, name: str) -> None:
    with pytest.raises(ValueError, match=r"^layers: ") as error, record(net, [name]):
        pass
    assert repr(name) in str(error.value)
    assert all(layer in str(error.value) for layer in LAYERS)
    with pytest.raises(ValueError, match="nowhere"), suppress(net, {"nowhere": [0]}, beta=0.5):
        pass


def test_layers_are_a_list_and_not_one_name(net: Net) -> None:
    with pytest.raises(ValueError, match=r"^layers: .*list.*'stem'"), record(net, "stem"):
        pass
    with pytest.raises(ValueError, match=r"^layers: .*list"), record(net, []):
        pass


@pytest.mark.parametrize("index", [[6], [-1], [0, 99]])
def test_a_channel_that_the_layer_lacks_is_an_error(net: Net, x: Tensor, index: list[int]) -> None:
    with (
        suppress(net, {"stem": index}, beta=0.5),
        pytest.raises(ValueError, match=r"^neurons: 'stem' has channels 0\.\.5"),
    ):
        net(x)


def test_an_output_without_channels_is_an_error() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    model = nn.Sequential(Pair())
    with record(model, ["0"]), pytest.raises(ValueError, match=r"'0' outputs tuple"):
        model(torch.rand(2, 3))
    flat = nn.Sequential(nn.Flatten(0))
    with record(flat, ["0"]), pytest.raises(ValueError, match=r"'0' outputs shape \(6,\)"):
        flat(torch.rand(2, 3))


def test_on_output_calls_the_action_each_time_and_takes_its_result(net: Net, x: Tensor) -> None:
    seen: list[Tensor] = []

    def zero_the_second(output: Tensor) -> Tensor | None:
        seen.append(output.clone())
        return torch.zeros_like(output) if len(seen) == 2 else None

    with on_output(net, {"shared": zero_the_second}), record(net, ["head.0"]) as activations:
        net(x)
    assert len(seen) == 2
    torch.testing.assert_close(activations["head.0"], net.head[0].bias.expand(3, -1))


@pytest.mark.parametrize(
    "index", [torch.tensor([True, False, True, False, False, False]), [True] * 6, [0.5], torch.tensor([[1]]), "stem"]
)
def test_a_mask_or_another_kind_of_selection_is_refused_before_a_pass(net: Net, index: Any) -> None:
    with pytest.raises(ValueError, match=r"^neurons: expected channels of 'stem'"), suppress(net, {"stem": index}, 0.5):
        pass
    assert hooks_of(net) == 0


@pytest.mark.parametrize("beta", [float("nan"), float("inf"), "0.5", True, None])
def test_a_factor_that_is_no_finite_number_is_refused(net: Net, beta: Any) -> None:
    with pytest.raises(ValueError, match=r"^beta: expected a finite number, got"), suppress(net, {"stem": [0]}, beta):
        pass
    with suppress(net, {"stem": [0]}, beta=-2.0):  # a finite one may be anything
        net(torch.rand(1, 3, 5, 5))


@pytest.mark.parametrize("neurons", [{}, [0, 1], torch.tensor([0])])
def test_an_empty_choice_of_layers_or_none_at_all_is_refused(net: Net, neurons: Any) -> None:
    with pytest.raises(ValueError, match=r"^(layers|neurons): expected "), suppress(net, neurons, 0.5):
        pass


def test_the_first_layer_that_is_not_finite_is_found_and_no_hook_stays(net: Net, x: Tensor) -> None:
    assert "not finite; the outputs of all layers are finite" in str(NotFinite("it is", net, x))
    with torch.no_grad():
        net.head[0].bias[2] = torch.nan
    assert "'head.0' is the first" in str(NotFinite("it is", net, x))
    with torch.no_grad():
        net.stem[0].weight[5, 0, 0, 0] = torch.inf
    assert "'stem.0' is the first" in str(NotFinite("it is", net, x))
    assert hooks_of(net) == 0
    assert net.training

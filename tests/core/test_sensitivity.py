"""Sensitivity against a float64 loop over stored activations; sets of neurons and votes by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snslib.attacks import pgd
from snslib.data import Split, to_float
from snslib.sensitivity import (
    choose_neurons,
    dual_pairs,
    important_neurons,
    neuron_activation,
    neuron_sensitivity,
    neuron_variance,
    relative_sensitivity,
    top_count,
    top_mean,
    top_neurons,
)

Pairs = list[tuple[Tensor, Tensor]]


class Net(nn.Module):
    """BatchNorm with statistics of its own, Dropout, nested layers, in-place ReLUs, a module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.shared = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5), nn.ReLU(inplace=True))
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu_(self.shared(x))
        x = F.relu_(self.shared(x))
        return self.fc(self.head(x.mean((2, 3))))


LAYERS = ["stem.0", "stem.1", "stem", "shared", "head.1", "head", "fc"]


def stored_activations(net: Net, x: Tensor) -> dict[str, np.ndarray]:
    """Every layer's output in eval mode, in float64 and without in-place operations, image by image."""
    net = net.double()
    conv, norm = net.stem[0], net.stem[1]
    outputs: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    with torch.no_grad():
        for image in x.double().split(1):
            before = F.conv2d(image, conv.weight, conv.bias, padding=1)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            normed = (before - norm.running_mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1)
            normed = normed + norm.bias.view(1, -1, 1, 1)
            first = F.conv2d(normed.relu(), net.shared.weight, net.shared.bias, padding=1)
            second = F.conv2d(first.relu(), net.shared.weight, net.shared.bias, padding=1)
            hidden = F.linear(second.relu().mean((2, 3)), net.head[1].weight, net.head[1].bias)
            logits = F.linear(hidden.relu(), net.fc.weight, net.fc.bias)
            values = [before, normed, normed.relu(), second, hidden, hidden.relu(), logits]
            for layer, value in zip(LAYERS, values, strict=True):
                outputs[layer].append(value)
    return {layer: torch.cat(values).numpy() for layer, values in outputs.items()}


def sensitivity_by_hand(net: Net, x: Tensor, x_adv: Tensor) -> dict[str, np.ndarray]:
    """Eq. 1, one pair and one neuron at a time."""
    clean, adversarial = stored_activations(net, x), stored_activations(net, x_adv)
    sigma = {}
    for layer in LAYERS:
        n, channels = clean[layer].shape[:2]
        sigma[layer] = np.zeros(channels)
        for i in range(n):
            for m in range(channels):
                sigma[layer][m] += np.abs(clean[layer][i, m] - adversarial[layer][i, m]).sum() / n
    return sigma


@pytest.fixture
def net() -> Net:
    net = Net()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(8, 3, 5, 5))
    return net.train()


def pairs_of(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, 3, 5, 5, dtype=dtype)
    return x, (x + 0.2 * torch.randn_like(x)).clamp(0, 1)


def in_batches(x: Tensor, x_adv: Tensor, sizes: list[int]) -> Pairs:
    return list(zip(x.split(sizes), x_adv.split(sizes), strict=True))


# --- Eq. 1 ---


@pytest.mark.parametrize("sizes", [[7], [3, 3, 1], [1] * 7, [2, 5]])
def test_sensitivity_equals_a_loop_over_stored_activations(net: Net, sizes: list[int]) -> None:
    x, x_adv = pairs_of(7)
    sigma = neuron_sensitivity(net, in_batches(x, x_adv, sizes), LAYERS)
    assert list(sigma) == LAYERS
    expected = sensitivity_by_hand(net, x, x_adv)
    for layer in LAYERS:
        assert sigma[layer].dtype == torch.float32
        assert sigma[layer].shape == expected[layer].shape
        # differences of float32 activations of order 1: absolute errors of some 1e-7 at each of 25 positions
        np.testing.assert_allclose(sigma[layer].numpy(), expected[layer], rtol=1e-5, atol=1e-5)


def test_sensitivity_of_a_float64_model(net: Net) -> None:
    x, x_adv = pairs_of(5, torch.float64)
    sigma = neuron_sensitivity(net.double(), in_batches(x, x_adv, [4, 1]), LAYERS)
    expected = sensitivity_by_hand(net, x, x_adv)
    for layer in LAYERS:
        np.testing.assert_allclose(sigma[layer].numpy(), expected[layer], rtol=2**-23)  # one rounding to float32


@settings(max_examples=15)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=st.integers(0, 2**16))
def test_sensitivity_does_not_depend_on_how_pairs_are_batched(sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    net = Net().double()
    x, x_adv = pairs_of(sum(sizes), torch.float64)
    whole = neuron_sensitivity(net, [(x, x_adv)], LAYERS)
    torch.testing.assert_close(neuron_sensitivity(net, in_batches(x, x_adv, sizes), LAYERS), whole)


def test_sensitivity_takes_a_generator(net: Net) -> None:
    pairs = in_batches(*pairs_of(5), [2, 3])
    streamed = neuron_sensitivity(net, (pair for pair in pairs), LAYERS)
    torch.testing.assert_close(streamed, neuron_sensitivity(net, pairs, LAYERS), rtol=0, atol=0)


def test_opposite_differences_do_not_cancel() -> None:
    """An identity layer; two pairs and two positions whose differences are +.5 and -.5: their averages are all 0."""
    x = torch.tensor([[0.0, 0.5], [0.5, 0.0]]).view(2, 1, 1, 2)
    x_adv = torch.tensor([[0.5, 0.0], [0.0, 0.5]]).view(2, 1, 1, 2)
    sigma = neuron_sensitivity(nn.Sequential(nn.Identity()), [(x, x_adv)], ["0"])
    assert sigma["0"].tolist() == [1.0]  # .5 + .5 in both pairs


@pytest.mark.parametrize("sizes", [[7], [3, 3, 1]])
def test_variance_equals_that_of_stored_activations(net: Net, sizes: list[int]) -> None:
    x, _ = pairs_of(7)
    over_images, over_all = neuron_variance(net, x.split(sizes), LAYERS)
    for layer, stored in stored_activations(net, x).items():
        by_position = stored.reshape(7, stored.shape[1], -1)
        np.testing.assert_allclose(over_images[layer], by_position.var(0).mean(-1), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(over_all[layer], by_position.var((0, 2)), rtol=1e-4, atol=1e-9)


def test_a_pattern_that_is_the_same_for_every_image_varies_and_not_from_image_to_image() -> None:
    pattern = torch.tensor([0.0, 1.0, 0.0, 1.0]).view(1, 1, 2, 2).expand(5, 1, 2, 2)
    over_images, over_all = neuron_variance(nn.Identity(), [pattern], [""])
    assert (over_images[""].item(), over_all[""].item()) == (0.0, 0.25)
    with pytest.raises(ValueError, match=r"^images: got none"):
        neuron_variance(nn.Identity(), [], [""])


def test_many_small_batches_add_up_in_float64() -> None:
    """After a difference of 1, adding 2^-25 64 times changes nothing in float32; the sum is 1 + 2^-19."""
    zero = torch.zeros(1, 1, 1, 1)
    sigma = neuron_sensitivity(nn.Identity(), [(zero, zero + 1), *[(zero, zero + 2.0**-25)] * 64], [""])
    assert sigma[""].item() * 65 == pytest.approx(1 + 2**-19, rel=2**-23)


def test_equal_pairs_are_not_sensitive(net: Net) -> None:
    """Up to float64's rounding: a convolution may add up in another order elsewhere in the batch."""
    x, _ = pairs_of(3)
    for value in neuron_sensitivity(net.double(), [(x.double(),) * 2], LAYERS).values():
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-13)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_dual_pairs_may_be_made_on_the_way(net: Net, batch_size: int) -> None:
    """The pairs are attacked one batch at a time, on the very model that is being measured."""
    split = Split(torch.randint(0, 256, (5, 3, 5, 5), dtype=torch.uint8), torch.tensor([0, 1, 2, 3, 0]))
    x = to_float(split.images)
    x_adv = pgd(net, x, split.labels)
    pairs = list(dual_pairs(net, split, pgd, batch_size))
    assert [len(x) for x, _ in pairs] == {1: [1] * 5, 2: [2, 2, 1], 3: [3, 2]}[batch_size]
    assert torch.equal(torch.cat([x for x, _ in pairs]), x)
    assert (torch.cat([x_adv for _, x_adv in pairs]) - x_adv).abs().max() < 1e-6
    torch.testing.assert_close(
        neuron_sensitivity(net, dual_pairs(net, split, pgd, batch_size), LAYERS),
        neuron_sensitivity(net, pairs, LAYERS),
        rtol=0,
        atol=0,
    )


def test_pairs_are_made_outside_of_the_measurement(net: Net) -> None:
    """An iterable that runs or draws from the global random state works as anywhere else."""
    seen = []

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(2):
            seen.append((net.training, torch.is_grad_enabled(), len(net.stem._forward_hooks)))
            yield pairs_of(3)

    before = torch.get_rng_state()
    neuron_sensitivity(net, pairs(), LAYERS)
    assert seen == [(True, True, 0)] * 2
    assert not torch.equal(torch.get_rng_state(), before)  # what the pairs drew is drawn


def test_the_model_is_left_as_it_was(net: Net) -> None:
    net.stem[1].eval()
    net.fc.weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    flags = [p.requires_grad for p in net.parameters()]
    values = [value.clone() for value in net.state_dict().values()]

    def check() -> None:
        assert [module.training for module in net.modules()] == modes
        assert [p.requires_grad for p in net.parameters()] == flags
        assert all(p.grad is None for p in net.parameters())
        assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), values, strict=True))
        assert not any(module._forward_hooks for module in net.modules())

    x, x_adv = pairs_of(3)
    neuron_sensitivity(net, [(x, x_adv)], LAYERS)
    check()
    with pytest.raises(ValueError, match="must match"):
        neuron_sensitivity(net, [(x, x_adv), (x, x_adv[:2])], LAYERS)
    check()
    with pytest.raises(RuntimeError):
        neuron_sensitivity(net, [(x[:, :2], x_adv[:, :2])], LAYERS)  # fails in the forward pass
    check()


def test_sensitivity_errors(net: Net) -> None:
    x, x_adv = pairs_of(3)
    for pairs in ([], iter([])):
        with pytest.raises(ValueError, match=r"^pairs: got none"):
            neuron_sensitivity(net, pairs, LAYERS)
    with pytest.raises(ValueError, match=r"^pairs: .*\(3, 3, 5, 5\) and \(2, 3, 5, 5\)"):
        neuron_sensitivity(net, [(x, x_adv[:2])], LAYERS)
    with pytest.raises(ValueError, match=r"^pairs \(x'\): "):
        neuron_sensitivity(net, [(x, x_adv + 1)], LAYERS)
    with pytest.raises(ValueError, match=r"^pairs \(x\): "):
        neuron_sensitivity(net, [(x * torch.nan, x_adv)], LAYERS)
    with pytest.raises(ValueError, match=r"^layers: .*'conv99'"):
        neuron_sensitivity(net, [(x, x_adv)], ["fc", "conv99"])
    with pytest.raises(ValueError, match=r"^layers: .*list.*'fc'"):
        neuron_sensitivity(net, [(x, x_adv)], "fc")
    net.unused = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^layers: unused did not run"):
        neuron_sensitivity(net, [(x, x_adv)], ["fc", "unused"])
    nn.init.constant_(net.head[1].bias, torch.nan)
    with pytest.raises(ValueError, match=r"'head\.1'.*not finite"):
        neuron_sensitivity(net, [(x, x_adv)], ["stem", "head.1"])


def test_activation_is_the_mean_l1_norm_of_the_outputs(net: Net) -> None:
    x, _ = pairs_of(5)
    scale = neuron_activation(net, iter(x.split([2, 3])), LAYERS)
    for layer, output in stored_activations(net, x).items():
        expected = np.abs(output).reshape(5, output.shape[1], -1).sum(2).mean(0)
        np.testing.assert_allclose(scale[layer].numpy(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"^images: got none"):
        neuron_activation(net, [], LAYERS)


# --- Eq. 2 ---


@pytest.mark.parametrize(
    ("channels", "fraction", "k"),
    [(64, 0.1, 6), (128, 0.1, 12), (256, 0.1, 25), (512, 0.1, 51), (100, 0.29, 29), (9, 0.1, 1), (7, 1, 7)],
)
def test_top_neurons_counts(channels: int, fraction: float, k: int) -> None:
    """The first four are the lengths of the lists in Tables 3 and 4; .29 * 100 is 28.999... in floating point."""
    assert len(top_neurons({"l": torch.rand(channels)}, fraction=fraction)["l"]) == k


def test_top_neurons_by_hand() -> None:
    sigma = {"a": torch.tensor([0.1, 0.9, 0.5, 0.7]), "b": torch.tensor([3.0, 1.0])}
    omega = top_neurons(sigma, k=3)
    assert {layer: neurons.tolist() for layer, neurons in omega.items()} == {"a": [1, 3, 2], "b": [0, 1]}
    assert all(neurons.dtype == torch.int64 for neurons in omega.values())
    assert top_neurons(sigma, fraction=0.5)["a"].tolist() == [1, 3]


def test_neurons_to_compare_the_sensitive_ones_with() -> None:
    sigma = {"a": torch.tensor([0.3, 2.0, 0.1, 1.0]), "b": torch.arange(1000.0)}
    assert choose_neurons(sigma, "sensitive", 0.5, seed=0)["a"].tolist() == [1, 3]
    assert choose_neurons(sigma, "least", 0.5, seed=0)["a"].tolist() == [2, 0]
    drawn = choose_neurons(sigma, "random", 0.1, seed=0)["b"].tolist()
    assert len(set(drawn)) == 100
    assert 350 < sum(drawn) / 100 < 650  # the mean of all is 499.5, its error 29
    assert drawn == choose_neurons(sigma, "random", 0.1, seed=0)["b"].tolist()
    assert drawn != choose_neurons(sigma, "random", 0.1, seed=1)["b"].tolist()
    with pytest.raises(ValueError, match="which: expected one of sensitive, least, random, got 'most'"):
        choose_neurons(sigma, "most", 0.5, seed=0)


def test_top_neurons_ties_go_to_the_lower_index() -> None:
    assert top_neurons({"l": torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0])}, k=4)["l"].tolist() == [1, 3, 0, 2]
    assert top_neurons({"l": torch.zeros(1000)}, k=300)["l"].tolist() == list(range(300))


@given(values=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40), k=st.integers(1, 50))
def test_top_neurons_equals_python_sorting(values: list[float], k: int) -> None:
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert top_neurons({"l": torch.tensor(values)}, k=k)["l"].tolist() == expected


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({}, "fraction, k"),
        ({"fraction": 0.1, "k": 3}, "fraction, k"),
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": 1.5}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"k": 0}, "k"),
        ({"k": 2.0}, "k"),
    ],
)
def test_top_neurons_errors(options: dict[str, float], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        top_neurons({"l": torch.rand(5)}, **options)


def test_top_neurons_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match=r"^sigma: .*'l'"):
        top_neurons({"l": torch.tensor([1.0, torch.nan])}, k=1)


# --- Eq. 3-5 ---


class TwoLayers(nn.Module):
    """``pool`` shapes the pixels into neurons, ``fc`` weighs them: contributions can be read off the image."""

    def __init__(self, weight: list[list[float]], channels: int) -> None:
        super().__init__()
        self.pool = nn.Unflatten(1, (channels, -1)) if len(weight[0]) > channels else nn.Identity()
        self.fc = nn.Linear(len(weight[0]), len(weight))
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(x.flatten(1)).flatten(1))


def votes_case() -> tuple[nn.Module, Tensor]:
    """Weights of class 1 are (1, 2, -1, 1), those of class 0 favour neuron 2.

    Contributions to class 1, by image:      votes (k1 = 2)
      (.9, .1, .5, .3) -> (.9, .2, -.5, .3)    neuron 0: 2, neuron 3: 1
      (.5, .5, .5, .5) -> (.5, 1., -.5, .5)    neuron 1: 2, neuron 0: 1 (equal to 3, the lower index)
      (.1, .2, .9, .8) -> (.1, .4, -.9, .8)    neuron 3: 2, neuron 1: 1
    In sum: 3, 3, 0, 3. With k1 = 1: 2 becomes 1, so 1, 1, 0, 1.
    """
    x = torch.tensor([[0.9, 0.1, 0.5, 0.3], [0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.9, 0.8]])
    return TwoLayers([[0.0, 0.0, 5.0, 0.0], [1.0, 2.0, -1.0, 1.0]], channels=4), x.view(3, 1, 2, 2)


def test_important_neurons_by_hand() -> None:
    model, x = votes_case()
    gamma = important_neurons(model, x, target=1, layer="pool", k1=2, k2=2)
    assert gamma.tolist() == [0, 1]  # three-way tie at 3 votes
    assert gamma.dtype == torch.int64
    first_and_last = important_neurons(model, x[[0, 2]], target=1, layer="pool", k1=2, k2=3)
    assert first_and_last.tolist() == [3, 0, 1]  # 1 + 2, 2, 1 votes
    second_and_last = important_neurons(model, x[1:], target=1, layer="pool", k1=2, k2=3)
    assert second_and_last.tolist() == [1, 3, 0]  # 2 + 1, 2, 1
    assert important_neurons(model, x, target=0, layer="pool", k1=1, k2=1).tolist() == [2]


def test_important_neurons_votes_are_weighted() -> None:
    """Neuron 1 is second for both images (1 + 1 votes); 0 and 2 are first once each (2 votes), third otherwise."""
    model = TwoLayers([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], channels=3)
    x = torch.tensor([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9], [0.1, 0.5, 0.9]]).view(3, 1, 1, 3)
    assert important_neurons(model, x, target=0, layer="pool", k1=2, k2=3).tolist() == [2, 1, 0]  # 4, 3, 2 votes
    assert important_neurons(model, x, target=0, layer="pool", k1=3, k2=3).tolist() == [2, 1, 0]  # 3+3+1, 6, 5


def test_important_neurons_ties_go_to_the_lower_index() -> None:
    model = TwoLayers([[1.0] * 400, [0.0] * 400], channels=400)
    x = torch.full((2, 1, 20, 20), 0.5)
    assert important_neurons(model, x, target=0, layer="pool", k1=300, k2=300).tolist() == list(range(300))
    # with equal votes as well: 1 for each of the first two images' own neuron, in whichever order they vote
    x = torch.zeros(2, 1, 20, 20)
    x[0, 0, 19, 0], x[1, 0, 0, 19] = 1, 1
    assert important_neurons(model, x, target=0, layer="pool", k1=1, k2=3).tolist() == [19, 380, 0]


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_important_neurons_does_not_depend_on_batches(batch_size: int) -> None:
    model, x = votes_case()
    found = important_neurons(model, x, target=1, layer="pool", k1=2, k2=4, batch_size=batch_size)
    assert found.tolist() == [0, 1, 3, 2]


def test_important_neurons_sums_over_positions() -> None:
    """Two neurons with two positions: contributions (.8 * 1 - .8 * 1, .3 * 1 + .3 * 1) = (0, .6)."""
    model = TwoLayers([[1.0, -1.0, 1.0, 1.0], [0.0] * 4], channels=2)
    x = torch.tensor([0.8, 0.8, 0.3, 0.3]).view(1, 1, 2, 2)
    assert important_neurons(model, x, target=0, layer="pool", k1=1, k2=1, axis=1).tolist() == [1]


def test_important_neurons_takes_the_named_classifier() -> None:
    model, x = votes_case()
    model.auxiliary = nn.Linear(4, 2)
    nn.init.zeros_(model.auxiliary.weight)
    model.auxiliary.weight.data[1, 2] = 1.0
    assert important_neurons(model, x, 1, "pool", k1=1, k2=1, classifier="fc").tolist() == [0]
    assert important_neurons(model, x, 1, "pool", k1=1, k2=1, classifier="auxiliary").tolist() == [2]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"target": 2}, "target"),
        ({"target": -1}, "target"),
        ({"target": 1.0}, "target"),
        ({"target": True}, "target"),
        ({"batch_size": 0}, "batch_size"),
        ({"k1": 1.5}, "k1"),
        ({"layer": "nowhere"}, "layers"),
        ({"layer": "fc"}, "layer"),
        ({"k1": 5}, "k1, k2"),
        ({"k2": 5}, "k1, k2"),
        ({"k1": 0}, "k1"),
        ({"k2": 0}, "k2"),
        ({"classifier": "pool"}, "classifier"),
        ({"classifier": "nowhere"}, "layers"),
        ({"x_adv": torch.full((1, 1, 2, 2), 2.0)}, "x_adv"),
    ],
)
def test_important_neurons_errors(options: dict[str, object], argument: str) -> None:
    model, x = votes_case()
    arguments = {"x_adv": x, "target": 1, "layer": "pool", "k1": 2, "k2": 2} | options
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        important_neurons(model, **arguments)
    assert model.training
    assert not model.pool._forward_hooks


# --- what means something else than it seems ---


def test_pairs_are_batches_of_two_and_not_one_pair(net: Net) -> None:
    x, x_adv = pairs_of(2)
    for pairs in ((x, x_adv), [x, x_adv], [(x, x_adv, x)], [x]):
        with pytest.raises(ValueError, match=r"^pairs: expected batches \(x, x'\), got .*\[\(x, x'\)\]"):
            neuron_sensitivity(net, pairs, ["stem"])


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_a_batch_size_of_0_is_not_the_default(net: Net, batch_size: int) -> None:
    split = Split(torch.zeros(2, 3, 6, 6, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"^batch_size: expected an integer >= 1"):
        next(dual_pairs(net, split, lambda model, x, y: x, batch_size))


@pytest.mark.parametrize(
    ("attack", "eps"),
    [
        (lambda model, x, y: x + 1.1, None),
        (lambda model, x, y: x * torch.nan, None),
        (lambda model, x, y: x[:1], None),
        (lambda model, x, y: None, None),
        (lambda model, x, y: x + 0.2, 0.1),
    ],
)
def test_an_attack_that_breaks_its_promise_makes_no_pairs(net: Net, attack: Any, eps: float | None) -> None:
    split = Split(torch.zeros(2, 3, 6, 6, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"^attack: expected x' "):
        next(dual_pairs(net, split, attack, eps=eps))
    assert next(dual_pairs(net, split, lambda model, x, y: x + 0.2, eps=0.2))[1].max() == 0.2


@pytest.mark.parametrize(
    "sigma", [{}, torch.ones(3), {"a": [1.0]}, {"a": torch.ones(2, 3)}, {"a": torch.ones(0)}, None]
)
def test_sensitivities_are_one_number_per_neuron_of_at_least_one_layer(sigma: Any) -> None:
    for call in (lambda: top_neurons(sigma, k=1), lambda: choose_neurons(sigma, "least", 0.5, 0)):
        with pytest.raises(ValueError, match=r"^sigma: expected "):
            call()


@pytest.mark.parametrize("fraction", [True, 0, -0.1, 1.1, 10, float("nan"), "0.1"])
def test_a_share_is_a_number_up_to_1(fraction: Any) -> None:
    for call in (
        lambda: top_neurons({"a": torch.ones(3)}, fraction=fraction),
        lambda: choose_neurons({"a": torch.ones(3)}, "random", fraction, 0),
        lambda: top_mean([1.0, 2.0], fraction),
        lambda: top_count(3, fraction),
    ):
        with pytest.raises(ValueError, match=r"^fraction: .*\(a share\)"):
            call()


@pytest.mark.parametrize(
    ("sigma", "activation", "name"),
    [
        *(([], [], "sigma"), ([[1.0]], [1.0], "sigma"), ([-1.0], [1.0], "sigma"), ([float("nan")], [1.0], "sigma")),
        *(([1.0], [float("inf")], "activation"), ([1.0], [1.0, 2.0], "activation"), ([1.0], [], "activation")),
    ],
)
def test_relative_sensitivity_is_of_as_many_finite_numbers(sigma: Any, activation: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        relative_sensitivity(sigma, activation)


def test_important_neurons_of_a_model_that_is_not_finite_are_refused() -> None:
    model, x = votes_case()
    model.pool = nn.Sequential(nn.BatchNorm1d(4), model.pool)
    model.pool[0].running_mean.fill_(torch.nan)
    with pytest.raises(
        ValueError, match=r"^layer: the outputs of 'pool' are not finite; the output of 'pool\.0' is the first"
    ):
        important_neurons(model, x, target=1, layer="pool", k1=1, k2=1)


@pytest.mark.parametrize(
    ("changed", "name"), [({"split": None}, "split"), ({"attack": "pgd"}, "attack"), ({"eps": 8}, "eps")]
)
def test_pairs_are_made_of_a_split_by_an_attack(net: Net, changed: dict[str, Any], name: str) -> None:
    split = Split(torch.zeros(2, 3, 6, 6, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=rf"^{name}: expected a "):
        next(dual_pairs(net, **{"split": split, "attack": lambda model, x, y: x} | changed))

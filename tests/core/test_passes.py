"""Whether x and x' may share a pass is found out: networks that mix their images are measured one batch at a time."""

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import zoo
from torch import Tensor, nn
from zoo import SIZE, Output, Pooled, Signals, Small, Tokens, Tutorial, images, sensitivity

from snslib import build_model, dual_pairs, fgsm, important_neurons, neuron_sensitivity, pgd
from snslib.attacks import Loss
from snslib.data import Split
from snslib.evaluation.accuracy import accuracy, robust_to_all
from snslib.evaluation.receptive_fields import mask_overlap, top_images
from snslib.passes import independent, warn_if_mixed


class BatchNorm(nn.BatchNorm2d):
    """It keeps to the statistics of the batch, whatever its mode."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, True)


def pairwise_products(x: Tensor) -> Tensor:
    first, second = x.chunk(2)
    return torch.cat([x, torch.cat([first * second, second * first])], 1)[:, : x.shape[1]] + torch.cat([second, first])


MIXING: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm without running statistics": lambda: Small(nn.BatchNorm2d(5, track_running_stats=False)),
    "BatchNorm of the batch": lambda: Small(BatchNorm(5)),
    "less the mean of the batch": lambda: Small(before=lambda x: x - x.mean(0)),
    "a little of the next image": lambda: Small(before=lambda x: x + 1e-6 * x.roll(1, 0)),
    "a little of the image before": lambda: Small(before=lambda x: x + 1e-6 * x.roll(-1, 0)),
    "from the last to the first": lambda: Small(before=lambda x: (x + x.flip(0)) / 2),
    "against the first image": lambda: Small(before=lambda x: x - x[:1]),
    "against the last image": lambda: Small(before=lambda x: x * x[-1:]),
    "halves multiplied": lambda: Small(before=pairwise_products),
    "sums": lambda: Small(before=lambda x: x.cumsum(0) / 9),
    "largest of the batch": lambda: Small(before=lambda x: x / x.amax()),
    "softmax over the batch": lambda: Small(after=lambda logits: logits.softmax(0)),
    "NaN taken out": lambda: Small(before=lambda x: x - x.nan_to_num().mean(0)),
}
APART: dict[str, Callable[[], nn.Module]] = {
    "convolutions": Small,
    "view": Tutorial,
    "tokens": Tokens,
    "signals": Signals,
    "vgg16": lambda: build_model("vgg16", width=1 / 16),
    "googlenet": lambda: build_model("googlenet", width=1 / 16),
    "group norm": lambda: Small(nn.GroupNorm(5, 5)),
    "instance norm": lambda: Small(nn.InstanceNorm2d(5)),
    "dropout that is a function": lambda: Small(after=lambda logits: F.dropout(logits, 0.5, True)),
    "half": lambda: Small().half(),
    "weights of NaN": lambda: nan_weights(Small()),
}


def nan_weights(model: Small) -> nn.Module:
    nn.init.constant_(model.block[0].weight[0], torch.nan)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MIXING)
def test_a_network_that_mixes_its_images_is_found_out(name: str) -> None:
    assert independent(MIXING[name](), images()) is False


@pytest.mark.filterwarnings("ignore:model. it draws random")
@pytest.mark.parametrize("name", APART)
def test_a_network_that_does_not_is_found_out_too(name: str) -> None:
    size = 32 if name in ("vgg16", "googlenet") else SIZE
    assert independent(APART[name](), torch.rand(4, 3, size, size)) is True


def test_a_layer_may_mix_although_the_logits_do_not_show_it() -> None:
    class Unused(Small):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.BatchNorm2d(3, track_running_stats=False)

        def forward(self, x: Tensor) -> object:
            self.aside(x)
            return super().forward(x)

    assert independent(Unused(), images()) is True
    assert independent(Unused(), images(), ["aside"]) is False


@pytest.mark.filterwarnings("ignore")
def test_of_a_network_that_is_quantised_by_the_range_of_its_batch_nothing_is_known() -> None:
    assert independent(torch.ao.quantization.quantize_dynamic(Small().eval(), {nn.Linear}), images()) is None


def test_of_a_network_that_takes_only_batches_of_its_own_size_nothing_is_known() -> None:
    model = Small(before=lambda x: x.view(3, 3, SIZE, SIZE))
    x, x_adv = images(3), images(3)
    assert independent(model, x) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_mixed(model, x)
        found = neuron_sensitivity(model, [(x, x_adv)], ["block"])  # for x and for x' by themselves
    expected = neuron_sensitivity(with_before(model, lambda x: x), [(x, x_adv)], ["block"])
    torch.testing.assert_close(found, expected)


def with_before(model: Small, before: Callable[[Tensor], Tensor]) -> Small:
    model.before = before
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MIXING)
def test_sensitivity_of_a_network_that_mixes_is_that_of_x_and_of_x_adv_by_themselves(name: str) -> None:
    """Whole batches as they were given, worked out in float64."""
    model = MIXING[name]().eval()
    sizes = [4, 2]
    batches = [(images(n), images(n)) for n in sizes]
    found = neuron_sensitivity(model, batches, ["block", "block.1", "fc"])
    model.double()
    total = {name: torch.zeros(()) for name in found}
    for x, x_adv in batches:
        recorded: list[dict[str, Tensor]] = []
        for side in (x, x_adv):
            values: dict[str, Tensor] = {}
            handles = [
                model.get_submodule(layer).register_forward_hook(
                    lambda _m, _i, output, layer=layer, values=values: values.update({layer: output.detach()})
                )
                for layer in found
            ]
            model(side.double())
            recorded.append(values)
            for handle in handles:
                handle.remove()
        for layer in found:
            distance = (recorded[0][layer] - recorded[1][layer]).abs()
            total[layer] = total[layer] + distance.transpose(0, 1).flatten(1).sum(1)
    expected = {layer: (value / sum(sizes)).float() for layer, value in total.items()}
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["convolutions", "view"])
def test_where_images_are_independent_batches_do_not_matter(name: str) -> None:
    model, x, x_adv = APART[name]().eval(), images(300), images(300)
    layer, axis = ("block", 1) if name == "convolutions" else ("conv2", 1)
    found = neuron_sensitivity(model, [(x, x_adv)], [layer])
    torch.testing.assert_close(found, sensitivity(model, x, x_adv, {layer: axis}), rtol=1e-4, atol=1e-5)


def test_masks_of_a_network_that_mixes_are_those_of_x_and_of_x_adv_by_themselves() -> None:
    model, x = Small(nn.BatchNorm2d(5, track_running_stats=False)), images()
    x_adv = x / 8  # the statistics of x with x' are not those of either
    thresholds = torch.full((5,), 0.5)
    overlap = mask_overlap(model, [(x, x_adv)], "block", range(5), thresholds)
    with torch.no_grad():
        first, second = (model.block(side) > 0.5 for side in (x, x_adv))
    expected = (first & second).sum((2, 3)) / (first | second).sum((2, 3))
    torch.testing.assert_close(overlap, expected, equal_nan=True)


@pytest.mark.parametrize("name", MIXING)
def test_of_a_network_that_mixes_a_batch_is_attacked_as_it_is_given(name: str) -> None:
    """It is the caller's batch, so there is nothing to warn of."""
    model, x, y = MIXING[name]().eval(), images(), torch.arange(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="model: its outputs are in")
        found = pgd(model, x, y, 0.1, 0.04, 3)
    expected = zoo.pgd_of_batches(model.double(), x.double(), y, 0.1, 0.04, 3)
    assert (found - expected.float()).abs().gt(1e-5).double().mean() < 0.01  # gradients of 1e-6 may round to 0


@pytest.mark.parametrize("mixes", [True, False])
def test_of_several_restarts_no_images_are_put_together_that_are_worse_together(mixes: bool) -> None:
    """Images that only count where they agree with the image beside them: x' of two starts do not go together."""
    model = Small(before=(lambda x: x * x.roll(1, 0)) if mixes else (lambda x: x)).eval()
    x, y, eps = images(8) * 0.5, torch.arange(8) % 4, 0.5

    def starts(count: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        return [pgd(model, x, y, eps, 0.2, 2, random_start=True, generator=generator) for _ in range(count)]

    each = starts(6)
    found = pgd(model, x, y, eps, 0.2, 2, True, 6, generator=torch.Generator().manual_seed(0))
    ranks = torch.stack([Loss(x, y).rank(model, one) for one in each])
    reached = Loss(x, y).rank(model, found).mean()
    assert reached >= ranks.mean(1).max() - 1e-9
    if not mixes:
        torch.testing.assert_close(reached, ranks.amax(0).mean())


def test_logits_in_an_object_are_looked_at_too() -> None:
    assert independent(Small(before=lambda x: x - x.mean(0), after=Output), images()) is False
    assert independent(Small(after=Output), images()) is True


def test_logits_of_a_class_of_their_own_are_compared_as_numbers() -> None:
    class Named(Tensor):
        pass

    assert independent(Small(after=lambda z: z.as_subclass(Named)), images()) is True
    model, x = Small(after=lambda z: z.as_subclass(Named)), images()
    found = pgd(model, x, torch.arange(4), 0.1, 0.04, 3)
    model.after = lambda z: z
    assert torch.equal(found, pgd(model, x, torch.arange(4), 0.1, 0.04, 3))


def test_results_that_depend_on_batches_say_so() -> None:
    model = Small(nn.BatchNorm2d(5, track_running_stats=False))
    x = images(6)
    split = Split((x * 255).to(torch.uint8), torch.arange(6) % 4)
    calls: list[Callable[[], object]] = [
        lambda: accuracy(model, split),
        lambda: accuracy(model, split, fgsm),
        lambda: list(dual_pairs(model, split, fgsm)),
        lambda: robust_to_all(model, split, [fgsm]),
        lambda: top_images(model, split, "block", [0]),
        lambda: important_neurons(Pooled(model), x, 0, "pool", 1, 1),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match=r"^model: .* depends on the other images .* depend on batch_size"):
            call()


def test_a_network_that_draws_random_numbers_says_so_and_leaves_them_as_they_were() -> None:
    model, x, y = Small(after=lambda logits: F.dropout(logits, 0.5, True)), images(), torch.arange(4)
    split = Split((x * 255).to(torch.uint8), y)
    calls: list[Callable[[], object]] = [
        lambda: pgd(model, x, y, steps=2),
        lambda: accuracy(model, split),
        lambda: neuron_sensitivity(model, [(x, x)], ["fc"]),
    ]
    for call in calls:
        before = torch.get_rng_state()
        with pytest.warns(UserWarning, match=r"^model: it draws random numbers in eval mode.*torch.manual_seed"):
            first = call()
        assert torch.equal(torch.get_rng_state(), before)
        with pytest.warns(UserWarning, match="random numbers"):
            torch.testing.assert_close(call(), first)


def test_a_network_in_order_is_measured_without_a_word() -> None:
    model, x, y = Small(), images(), torch.arange(4)
    split = Split((x * 255).to(torch.uint8), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        accuracy(model, split, fgsm)
        neuron_sensitivity(model, dual_pairs(model, split, fgsm), ["block", "fc"])

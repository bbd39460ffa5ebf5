"""Models run folded and rearranged, and come back as they were."""

from contextlib import suppress

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import build_model, pgd, record
from snslib.folding import folded
from snslib.inference import fast_memory_format, frozen
from snslib.precision import autocast
from snslib.training.models import conv_bn_relu


def with_statistics(model: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """In eval mode, with BatchNorm that does something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.weight is not None:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.to(dtype).eval()


def operations(result: Tensor) -> set[str]:
    """Names of what autograd saw being computed."""
    found, todo = {}, [result.grad_fn]
    while todo:
        if (node := todo.pop()) is not None and node not in found:
            found[node] = node.name()
            todo += [before for before, _ in node.next_functions]
    return set(found.values())


# --- folded ---


@pytest.mark.parametrize("name", ["vgg16", "alexnet", "resnet18", "googlenet"])
def test_folded_equals_unfolded(name: str) -> None:
    model = with_statistics(build_model(name, width=1 / 16))
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    expected = model(x)
    with folded(model):
        result = model(x)
    assert any("BatchNorm" in name for name in operations(expected))
    assert not any("BatchNorm" in name for name in operations(result))
    wanted = torch.autograd.grad(expected.square().sum(), x)[0]
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(result.square().sum(), x)[0], wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4, affine=False)),
        (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        (nn.Conv2d(3, 6, 3, stride=2, groups=3), nn.BatchNorm2d(6)),
        (nn.Conv2d(3, 4, 3, padding=2, dilation=2, padding_mode="reflect"), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4)),
    ],
    ids=["bias", "no affine", "neither", "groups", "reflect", "no statistics", "not adjacent"],
)
def test_folded_convolutions_of_every_kind(layers: tuple[nn.Module, ...]) -> None:
    model = with_statistics(nn.Sequential(*layers))
    x = torch.rand(2, 3, 9, 9, dtype=torch.float64)
    expected = model(x)
    with folded(model):
        torch.testing.assert_close(model(x), expected)


def test_folded_leaves_hooked_layers_alone() -> None:
    """Whoever looks at the convolution's own output sees that, and not what BatchNorm makes of it."""
    model = with_statistics(nn.Sequential(conv_bn_relu(3, 4), conv_bn_relu(4, 4)))
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    names = ["0", "0.0", "0.1", "1"]
    with record(model, names) as expected:
        model(x)
    with record(model, names) as seen, folded(model):
        model(x)
    for name in names:
        torch.testing.assert_close(seen[name], expected[name], msg=name)


def test_folded_leaves_code_of_its_own_alone() -> None:
    """A model that walks through a Sequential, shares a convolution or subclasses Sequential computes what it did."""

    class Twice(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    class Walks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = nn.Conv2d(3, 3, 3, padding=1)
            self.one, self.two = (nn.Sequential(shared, nn.BatchNorm2d(3)) for _ in range(2))
            self.twice = Twice(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

        def forward(self, x: Tensor) -> Tensor:
            convolution, _ = self.one
            return self.twice(self.two(self.one(x))) + convolution(x)

    model = with_statistics(Walks())
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    expected = model(x)
    with folded(model):
        torch.testing.assert_close(model(x), expected)


def test_folded_leaves_batchnorm_in_train_mode_alone() -> None:
    model = with_statistics(conv_bn_relu(3, 4)).train()
    x = torch.rand(8, 3, 8, 8, dtype=torch.float64)
    with folded(model):
        out = model[:2](x)
    torch.testing.assert_close(out, F.batch_norm(model[0](x), None, None, model[1].weight, model[1].bias, True))


def test_folded_ends_with_the_context() -> None:
    model = with_statistics(build_model("vgg16", width=1 / 16), torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with suppress(ZeroDivisionError), frozen(model):
        assert "forward" in model.conv1.__dict__
        _ = 1 / 0
    assert all("forward" not in module.__dict__ for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():  # the weights that count are those of now, not those of the last time
        model.conv1[0].weight.mul_(2)
    x = torch.rand(1, 3, 32, 32)
    expected = model(x)
    with folded(model):
        torch.testing.assert_close(model(x), expected)


def test_folded_twice_is_folded_until_the_outer_context_ends() -> None:
    model = with_statistics(build_model("vgg16", width=1 / 16), torch.float32)
    with folded(model):
        with frozen(model):
            assert "forward" in model.conv1.__dict__
        assert "forward" in model.conv1.__dict__
    assert "forward" not in model.conv1.__dict__


def test_folded_leaves_a_forward_that_somebody_has_set() -> None:
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)

    def own(x: Tensor) -> Tensor:
        return model[0](x)

    model.forward = own  # type: ignore[method-assign]
    with folded(model):
        assert torch.equal(model(x), own(x))
    assert model.forward is own


def test_compiled_models_are_attacked_as_they_are() -> None:
    """torch.compile sees the unfolded network, compiles it once for all steps and calls, and gives the same result."""
    model = with_statistics(build_model("vgg16", width=1 / 16), torch.float32)
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(1)
        return graph

    compiled = torch.compile(model, backend=backend)
    results = [pgd(compiled, x, y, steps=3) for _ in range(2)]
    assert len(graphs) == 1
    for result in results:
        torch.testing.assert_close(result, pgd(model, x, y, steps=3), rtol=0, atol=1e-6)
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


# --- fast_memory_format ---


def test_arranged_changes_the_layout_and_not_the_values() -> None:
    x = torch.rand(2, 3, 8, 8)
    narrow, wide = conv_bn_relu(3, 4), nn.Sequential(conv_bn_relu(3, 512), conv_bn_relu(512, 4))
    assert fast_memory_format(narrow, x).is_contiguous(memory_format=torch.channels_last)
    assert fast_memory_format(wide, x).is_contiguous()
    with autocast(x.device, "bfloat16"):
        assert fast_memory_format(wide, x).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(fast_memory_format(narrow, x), x)
    flat = torch.rand(2, 7)
    assert fast_memory_format(narrow, flat) is flat
    assert fast_memory_format(nn.Linear(3, 3), x) is x


# --- precision ---


def test_autocast_around_an_attack_changes_nothing() -> None:
    model = with_statistics(build_model("vgg16", width=1 / 16), torch.float32)
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    expected = pgd(model, x, y, steps=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pgd(model, x, y, steps=2), expected)


def test_bfloat16_attacks_stay_float32_images_in_the_ball() -> None:
    model = with_statistics(build_model("vgg16", width=1 / 16), torch.float32)
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    seen: list[torch.dtype] = []
    handle = model.conv2.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    x_adv = pgd(model, x, y, eps=0.1, step_size=0.05, steps=2, precision="bfloat16")
    handle.remove()
    assert set(seen) == {torch.bfloat16}
    assert x_adv.dtype == torch.float32
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert (x_adv - x).abs().max() <= 0.1 + 1e-6
    loss = [F.cross_entropy(model(images), y).item() for images in (x, x_adv)]
    assert loss[1] > loss[0]
    with pytest.raises(ValueError, match=r"^precision: .*float32, tf32, bfloat16, got 'float16'"):
        pgd(model, x, y, precision="float16")

"""What makes passes fast leaves out nothing that somebody has attached, and sees every weight that changed."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import zoo
from torch import Tensor, nn
from torch.nn.modules import module as all_modules
from torch.nn.utils import parametrizations, parametrize, prune
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from zoo import Small, images

from snslib import fgsm, neuron_sensitivity, pgd
from snslib.evaluation.accuracy import predicted
from snslib.folding import folded
from snslib.inference import frozen


def seen_by(model: nn.Module, attach: Callable[[Small, list[int]], Any], call: Callable[[], object]) -> int:
    """How many times something that was attached is called."""
    seen: list[int] = []
    with attach(model, seen):
        call()
    return len(seen)


@contextmanager
def removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def replaced(owner: Any, name: str, seen: list[int]) -> Iterator[None]:
    original, own = getattr(owner, name), name in vars(owner)
    setattr(owner, name, lambda *args, **kwargs: seen.append(0) or original(*args, **kwargs))
    try:
        yield
    finally:
        setattr(owner, name, original) if own else delattr(owner, name)


@contextmanager
def replaced_call(kind: type[nn.Module], seen: list[int]) -> Iterator[None]:
    original = nn.Module.__call__
    kind.__call__ = lambda self, *args: seen.append(0) or original(self, *args)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del kind.__call__


class FunctionMode(TorchFunctionMode):
    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.batch_norm, torch.batch_norm):
            self.seen.append(0)
        return func(*args, **kwargs or {})


class DispatchMode(TorchDispatchMode):
    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "batch_norm" in str(func) and "backward" not in str(func):
            self.seen.append(0)
        return func(*args, **kwargs or {})


def only(kind: type[nn.Module], seen: list[int]) -> Callable[..., None]:
    return lambda module, *_: seen.append(0) if isinstance(module, kind) else None


ATTACHED: dict[str, Callable[[Small, list[int]], Any]] = {
    "hook of the convolution": lambda m, s: removed(m.block[0].register_forward_hook(lambda *_: s.append(0))),
    "hook of BatchNorm": lambda m, s: removed(m.block[1].register_forward_hook(lambda *_: s.append(0))),
    "pre-hook": lambda m, s: removed(m.block[1].register_forward_pre_hook(lambda *_: s.append(0))),
    "hook with arguments": lambda m, s: removed(
        m.block[0].register_forward_hook(lambda *_: s.append(0), with_kwargs=True)
    ),
    "hook that always runs": lambda m, s: removed(
        m.block[0].register_forward_hook(lambda *_: s.append(0), always_call=True)
    ),
    "hook of the Sequential": lambda m, s: removed(m.block.register_forward_hook(lambda *_: s.append(0))),
    "hook of all modules": lambda m, s: removed(
        all_modules.register_module_forward_hook(only(nn.BatchNorm2d, s)),
    ),
    "pre-hook of all modules": lambda m, s: removed(
        all_modules.register_module_forward_pre_hook(only(nn.Conv2d, s)),
    ),
    "forward of the convolution": lambda m, s: replaced(m.block[0], "forward", s),
    "forward of BatchNorm": lambda m, s: replaced(m.block[1], "forward", s),
    "inner forward of the convolution": lambda m, s: replaced(m.block[0], "_conv_forward", s),
    "forward of the Sequential": lambda m, s: replaced(m.block, "forward", s),
    "forward of all Sequentials": lambda m, s: replaced(nn.Sequential, "forward", s),
    "call of all convolutions": lambda m, s: replaced_call(nn.Conv2d, s),
    "forward of all BatchNorms": lambda m, s: replaced(nn.modules.batchnorm._BatchNorm, "forward", s),
    "the function of BatchNorm": lambda m, s: replaced(F, "batch_norm", s),
    "mode of functions": lambda m, s: FunctionMode(s),
    "mode of dispatch": lambda m, s: DispatchMode(s),
}
BACKWARD: dict[str, Callable[[Small, list[int]], Any]] = {
    "backward hook": lambda m, s: removed(m.block[1].register_full_backward_hook(lambda *_: s.append(0))),
    "backward pre-hook": lambda m, s: removed(m.block[0].register_full_backward_pre_hook(lambda *_: s.append(0))),
    "backward hook of all modules": lambda m, s: removed(
        all_modules.register_module_full_backward_hook(lambda *_: s.append(0))
    ),
}


@pytest.mark.parametrize("name", ATTACHED)
def test_what_somebody_attached_is_called_in_every_function(name: str) -> None:
    model, x, y = Small(), images(), torch.arange(4)
    once = seen_by(model, ATTACHED[name], lambda: model.eval()(x))
    assert once == 1
    assert seen_by(model, ATTACHED[name], lambda: predicted(model, [x])) == 1
    assert seen_by(model, ATTACHED[name], lambda: fgsm(model, x, y)) == 1
    assert seen_by(model, ATTACHED[name], lambda: neuron_sensitivity(model, [(x, x)], ["fc"])) >= 1


@pytest.mark.parametrize("name", BACKWARD)
def test_what_somebody_attached_to_the_way_back_is_called(name: str) -> None:
    model, x, y = Small(), images(), torch.arange(4)
    assert seen_by(model, BACKWARD[name], lambda: fgsm(model, x, y)) > 0


@pytest.mark.parametrize("name", [*ATTACHED, *BACKWARD])
def test_what_is_attached_later_is_called_too(name: str) -> None:
    """While the model is frozen already, as by somebody who holds it so for several calls."""
    model, x = Small(), images().requires_grad_()
    attach = {**ATTACHED, **BACKWARD}[name]
    with frozen(model):
        model(x)
        assert seen_by(model, attach, lambda: model(x).sum().backward()) > 0


def test_a_forward_that_is_set_meanwhile_stays() -> None:
    model, own = Small(), lambda x: x
    with frozen(model):
        model.block.forward = own
    assert model.block.forward is own


def test_images_of_a_class_of_their_own_see_every_operation() -> None:
    seen: list[str] = []

    class Watched(Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(getattr(func, "__name__", ""))
            return super().__torch_function__(func, types, args, kwargs or {})

    model = Small()
    with frozen(model):
        model(images().as_subclass(Watched))
    assert "batch_norm" in seen


def test_a_hook_that_changes_an_output_changes_the_result() -> None:
    model, x = Small(), images()
    before = neuron_sensitivity(model, [(x, x / 2)], ["fc"])["fc"]
    handle = model.block[0].register_forward_hook(lambda _m, _i, output: output * 0)
    assert neuron_sensitivity(model, [(x, x / 2)], ["fc"])["fc"].max() == 0
    handle.remove()
    assert torch.equal(neuron_sensitivity(model, [(x, x / 2)], ["fc"])["fc"], before)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


REPARAMETRISED: dict[str, Callable[[nn.Conv2d], object]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm of old": nn.utils.weight_norm,
    "spectral_norm of old": nn.utils.spectral_norm,
    "pruned": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "a parametrization": lambda conv: parametrize.register_parametrization(conv, "weight", Doubled()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REPARAMETRISED)
def test_parametrizations_are_computed_and_seen(name: str) -> None:
    model, x, y = Small(), images(), torch.arange(4)
    REPARAMETRISED[name](model.block[0])
    model.eval()
    with torch.no_grad():
        expected = model(x).argmax(1)
    assert torch.equal(predicted(model, [x]), expected)
    moved = x.clone().requires_grad_()
    slope = torch.autograd.grad(F.cross_entropy(model(moved), y, reduction="sum"), moved)[0]
    torch.testing.assert_close(fgsm(model, x, y, 0.1), (x + 0.1 * slope.sign()).clamp(0, 1))


def in_place(model: Small) -> None:
    with torch.no_grad():
        model.block[0].weight.mul_(-1)


def by_data(model: Small) -> None:
    model.block[0].weight.data.mul_(-1)


def new_data(model: Small) -> None:
    model.block[1].weight.data = -model.block[1].weight.data


def loaded(model: Small) -> None:
    model.load_state_dict({name: -value if "0.weight" in name else value for name, value in model.state_dict().items()})


def by_optimizer(model: Small) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    model(images()).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def new_parameter(model: Small) -> None:
    model.block[1].bias = nn.Parameter(-model.block[1].bias.detach())


def statistics(model: Small) -> None:
    model.block[1].running_mean.add_(1)


def another_layer(model: Small) -> None:
    model.block[1] = nn.BatchNorm2d(5).eval()


CHANGES = [in_place, by_data, new_data, loaded, by_optimizer, new_parameter, statistics, another_layer]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_weight_that_changed_between_calls_is_seen(change: Callable[[Small], None]) -> None:
    model, x = Small().eval(), images()
    logits = []
    handle = model.fc.register_forward_hook(lambda _m, _i, output: logits.append(output.detach()))
    predicted(model, [x])
    change(model)
    model.eval()
    logits.clear()
    predicted(model, [x])
    handle.remove()
    torch.testing.assert_close(logits[0], model(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_weight_that_changed_while_the_model_is_frozen_is_seen(change: Callable[[Small], None]) -> None:
    model, x = Small().eval(), images()
    with frozen(model):
        before = model(x)
        if change is by_optimizer:
            in_place(model)
        else:
            change(model)
        found = model(x)
        with removed(model.block[0].register_forward_hook(lambda *_: None)):  # which keeps the layers apart
            expected = model(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, before)


def test_weights_that_a_network_moves_itself_at_every_pass_are_seen() -> None:
    class Noisy(Small):
        def forward(self, x: Tensor) -> object:
            self.block[0].weight.data.mul_(0.5)
            return super().forward(x)

    model, x, y = Noisy().eval(), images(), torch.arange(4)
    kept = copy.deepcopy(model.state_dict())
    found = pgd(model, x, y, 0.1, 0.04, 3)
    model.load_state_dict(kept)
    expected = zoo.pgd_of_batches(model.double(), x.double(), y, 0.1, 0.04, 3)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-6)


def test_the_layers_are_run_as_one_where_nobody_looks() -> None:
    """Otherwise the tests above would test nothing."""
    model, x = Small().eval(), images().requires_grad_()
    with folded(model):
        seen: list[object] = []
        todo = [model(x).grad_fn]
        while todo:
            if (node := todo.pop()) is not None:
                seen.append(node.name())
                todo += [before for before, _ in node.next_functions]
    assert "ConvolutionBackward0" in seen
    assert not any("BatchNorm" in str(name) for name in seen)

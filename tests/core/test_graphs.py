"""Graphs of an attack, recorded on a CPU as the operations that it runs, which read the weights where they lie.

What is recorded is what PyTorch's dispatcher sees (make_fx), so that to replay it runs no Python of the model: what is
found after a change is found because the recording reads it, or because it is not used. Everything is in float64, where
rounding makes no pixel differ. The same attacks on a GPU have tests below that are skipped without one.
"""

import copy
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import parametrize

from snslib import build_model, fgsm, folding, graphs, mi_fgsm, pgd
from snslib.training.models import conv_bn_relu

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
ATTACKS: dict[str, Attack] = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, eps=0.1),
    "targeted": lambda model, x, y: fgsm(model, x, y, eps=0.1, targeted=True),
    "mi_fgsm": lambda model, x, y: mi_fgsm(model, x, y, eps=0.1, step_size=0.03, steps=3),
    "pgd": lambda model, x, y: pgd(model, x, y, eps=0.1, step_size=0.03, steps=3),
    "restarts": lambda model, x, y: pgd(
        model, x, y, 0.1, 0.03, 2, random_start=True, restarts=3, generator=torch.Generator().manual_seed(0)
    ),
}


class Recorded(graphs.Graph):
    """A recording of operations in place of a CUDA graph."""

    made = 0
    started = 0

    def record(self, work: graphs.Work) -> tuple[Tensor, ...]:
        Recorded.made += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folding, "nobody_watches", lambda: True)  # make_fx is a mode, as recording on a GPU is not
            self.operations = make_fx(work)(*self.inputs)
        self.tried = False
        return tuple(output.clone() for output in self.operations(*self.inputs))

    def start(self) -> None:
        Recorded.started += self.tried  # the first time is to see whether it does the same
        self.tried = True
        for output, new in zip(self.outputs, self.operations(*self.inputs), strict=True):
            output.copy_(new)


@pytest.fixture(autouse=True)
def as_on_a_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    graphs.give_back()
    if "gpu" not in request.keywords:
        monkeypatch.setattr(graphs, "on_gpu", lambda tensor: True)
        monkeypatch.setattr(graphs, "_is_quiet", lambda device: True)
        monkeypatch.setattr(graphs, "Graph", Recorded)
        Recorded.made = Recorded.started = 0
    yield
    graphs.give_back()


def small() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(conv_bn_relu(3, 4), nn.MaxPool2d(2), conv_bn_relu(4, 4), nn.Flatten(), nn.Linear(64, 3))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(4)
            module.running_var = torch.rand(4) + 0.5
    return model.double().eval()


def images(n: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=generator)


def plainly(attack: Attack, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Without a graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNSLIB_GRAPHS", "0")
        return attack(model, x, y)


def used(model: nn.Module, attack: Attack = ATTACKS["pgd"], n: int = 4) -> int:
    """How many of three attacks, one after the other, came from a graph."""
    before = Recorded.started
    for _ in range(3):
        attack(model, *images(n))
    return Recorded.started - before


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_replay_is_the_same_attack_on_whatever_images_and_classes(attack: Attack) -> None:
    model = small()
    for seed in range(5):
        x, y = images(seed=seed)
        before = x.clone()
        torch.testing.assert_close(attack(model, x, y), plainly(attack, model, x, y), rtol=0, atol=1e-12)
        assert torch.equal(x, before)
    assert (Recorded.made, Recorded.started > 0) == (1, True)


def test_results_stay_when_the_graph_runs_again() -> None:
    model = small()
    used(model)
    (x, y), (other, _) = images(), images(seed=1)
    first = ATTACKS["pgd"](model, x, y)
    kept = first.clone()
    ATTACKS["pgd"](model, other, y)
    assert Recorded.started == 3
    assert torch.equal(first, kept)


def compiled(model: nn.Module) -> nn.Module:
    model[3].compile(backend="eager")
    return model


CHANGES: dict[str, Callable[[nn.Module], Any]] = {
    "a weight in place": lambda model: model[4].weight.data.mul_(-1),
    "by an optimizer": lambda model: torch.optim.SGD([_with_gradient(model[0][0].weight)], lr=2.0).step(),
    "a statistic": lambda model: model[2][1].running_mean.add_(2),
    "a weight elsewhere": lambda model: setattr(model[4].weight, "data", -model[4].weight.data),
    "another parameter": lambda model: setattr(model[4], "weight", nn.Parameter(-model[4].weight.detach())),
    "another layer": lambda model: model.__setitem__(1, nn.AvgPool2d(2)),
    "an attribute": lambda model: setattr(model[2][1], "eps", 5.0),
    "a layer less": lambda model: model[2].__delitem__(2),
    "layers that swap": lambda model: model[0].insert(1, model[0].pop(2)),
}


def _with_gradient(weight: nn.Parameter) -> nn.Parameter:
    weight.grad = torch.ones_like(weight)
    return weight


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_model_counts(change: Callable[[nn.Module], Any]) -> None:
    model, attack = small(), ATTACKS["pgd"]
    assert used(model) == 1
    x, y = images()
    before = attack(model, x, y)
    change(model)
    expected = plainly(attack, copy.deepcopy(model), x, y)
    assert not torch.equal(before, expected)
    for _ in range(3):
        torch.testing.assert_close(attack(model, x, y), expected, rtol=0, atol=1e-12)


class Own(nn.Sequential):
    """Of a class that nobody here knows."""


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def with_hook(model: nn.Module) -> nn.Module:
    model[0].register_forward_hook(lambda module, inputs, output: None)
    return model


def with_own_forward(model: nn.Module) -> nn.Module:
    model[3].forward = lambda x: x.flatten(1)
    return model


def parametrized(model: nn.Module) -> nn.Module:
    parametrize.register_parametrization(model[4], "weight", Doubled())
    return model


def with_object(model: nn.Module) -> nn.Module:
    model[3].note = object()
    return model


def with_function(model: nn.Module, function: Callable[..., Any]) -> nn.Module:
    model[3].activation = function
    return model


def of_no_module() -> Callable[..., Any]:
    def function(x: Tensor) -> Tensor:
        return x

    function.__module__ = None  # type: ignore[assignment]
    return function


def pooled_at_random(model: nn.Module) -> nn.Module:
    model[1] = nn.FractionalMaxPool2d(2, output_size=4)
    return model


class Passing(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


UNSAFE: dict[str, Callable[[], nn.Module]] = {
    "of an unknown class": lambda: Own(*small()),
    "with a layer of an unknown class": lambda: nn.Sequential(Doubled(), *small()).double(),
    "with a hook": lambda: with_hook(small()),
    "with a forward of its own": lambda: with_own_forward(small()),
    "parametrized": lambda: parametrized(small()),
    "with an attribute that cannot be compared": lambda: with_object(small()),
    "with a function of somebody's": lambda: with_function(small(), lambda x: x),
    "with a function of nobody's": lambda: with_function(small(), of_no_module()),
    "that draws at random": lambda: pooled_at_random(small()),
    "compiled": lambda: torch.compile(small(), backend="eager"),
    "with a layer compiled": lambda: compiled(small()),
}


@pytest.mark.filterwarnings("ignore:model. it draws random numbers")
@pytest.mark.parametrize("model", UNSAFE.values(), ids=UNSAFE)
def test_a_model_that_might_notice_is_attacked_as_ever(model: Callable[[], nn.Module]) -> None:
    unsafe = model()
    assert used(unsafe) == Recorded.made == 0
    torch.manual_seed(0)
    x, y = images()
    found = ATTACKS["pgd"](unsafe, x, y)
    torch.manual_seed(0)
    assert torch.equal(found, plainly(ATTACKS["pgd"], unsafe, x, y))


def test_dropout_in_eval_mode_and_a_function_of_pytorch_are_no_obstacle() -> None:
    assert used(nn.Sequential(nn.Dropout(0.5), *small()).train()) == 1
    assert used(with_function(small(), nn.functional.relu)) == 1
    assert used(with_function(small(), torch.relu)) == 1


@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_the_networks_of_the_paper_are_recorded(name: str) -> None:
    model = build_model(name, num_classes=3, width=1 / 16).double()
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    y = torch.tensor([0, 2])
    expected = plainly(ATTACKS["fgsm"], model, x, y)
    for _ in range(3):
        torch.testing.assert_close(ATTACKS["fgsm"](model, x, y), expected, rtol=0, atol=1e-12)
    assert (Recorded.made, Recorded.started) == (1, 1)


def test_a_hook_on_all_modules_and_a_mode_keep_it_from_being_used() -> None:
    model = small()
    assert used(model) == 1
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    assert used(model) == 0
    handle.remove()
    with Passing():
        assert used(model) == 0
    assert used(model) == 3


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNSLIB_GRAPHS", "0")
    assert used(small()) == Recorded.made == 0


def test_shapes_layouts_and_options_have_graphs_of_their_own() -> None:
    model, (x, y) = small(), images()
    calls: list[Callable[[], Tensor]] = [
        lambda: pgd(model, x, y, steps=2),
        lambda: pgd(model, x[:3], y[:3], steps=2),
        lambda: pgd(model, x, y, steps=3),
        lambda: pgd(model, x, y, steps=2, targeted=True),
        lambda: pgd(model, x, y, steps=2, eps=0.5),
        lambda: mi_fgsm(model, x, y, steps=2),
    ]
    expected = [plainly(lambda *_, call=call: call(), model, x, y) for call in calls]
    for _ in range(3):
        for call, one in zip(calls, expected, strict=True):
            torch.testing.assert_close(call(), one, rtol=0, atol=1e-12)
    assert (Recorded.made, Recorded.started) == (len(calls), len(calls))


def test_a_class_that_the_model_lacks_is_an_error_of_a_replay_too() -> None:
    model, (x, _) = small(), images()
    assert used(model) == 1
    with pytest.raises(ValueError, match=r"^y: class 3 needs a model with logits"):
        ATTACKS["pgd"](model, x, torch.tensor([0, 1, 2, 3]))
    assert used(model) == 3


def test_a_gradient_that_is_not_finite_is_an_error_of_a_replay_too() -> None:
    model, (x, y) = small(), images()
    assert used(model) == 1
    model[4].weight.data[0, 0] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        ATTACKS["pgd"](model, x, y)
    assert Recorded.started == 2


def test_there_are_never_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "KEPT", 2)
    model = small()
    for n in (1, 2, 3):
        used(model, n=n)
    assert len(graphs._graphs()) == 2
    started = Recorded.started
    ATTACKS["pgd"](model, *images(3))
    assert Recorded.started == started + 1  # of the latest
    ATTACKS["pgd"](model, *images(1))
    assert Recorded.started == started + 1  # of the first there is none any more


def test_they_go_with_the_model_and_when_they_are_given_back() -> None:
    model, other = small(), small()
    used(model)
    used(other)
    assert len(graphs._graphs()) == 2
    del model
    gc.collect()
    assert len(graphs._graphs()) == 1
    assert graphs.give_back()
    assert graphs._graphs() == []
    assert not graphs.give_back()


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, ValueError])
def test_where_recording_fails_the_attack_is_as_ever_and_it_is_not_tried_again(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def record(self: Recorded, work: graphs.Work) -> tuple[Tensor, ...]:
        tries.append(1)
        raise error("this cannot be recorded")

    monkeypatch.setattr(Recorded, "record", record)
    model, (x, y) = small(), images()
    expected = plainly(ATTACKS["pgd"], model, x, y)
    for _ in range(4):
        assert torch.equal(ATTACKS["pgd"](model, x, y), expected)
    assert (len(tries), Recorded.started) == (1, 0)


def test_a_recording_that_gives_another_result_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: Recorded) -> None:
        first, *others = self.operations(*self.inputs)
        for output, new in zip(self.outputs, (first + 1e-9, *others), strict=True):
            output.copy_(new)

    monkeypatch.setattr(Recorded, "start", start)
    model, (x, y) = small(), images()
    expected = plainly(ATTACKS["pgd"], model, x, y)
    assert all(torch.equal(ATTACKS["pgd"](model, x, y), expected) for _ in range(4))
    assert Recorded.made == 1


def test_where_memory_is_short_graphs_make_room_once() -> None:
    other, model, short = small(), nn.Flatten(), [True]
    used(other)

    def work(x: Tensor) -> tuple[Tensor, ...]:
        if short and short.pop():
            raise torch.OutOfMemoryError("too little")
        return (2 * x,)

    (found,) = graphs.run(model, "twice", work, [torch.ones(2)], lambda outputs: True)
    assert found.tolist() == [2, 2]
    assert graphs._graphs() == []
    short.append(True)
    with pytest.raises(torch.OutOfMemoryError):  # there is nothing to give back
        graphs.run(model, "twice", work, [torch.ones(2)], lambda outputs: True)


def test_threads_do_not_get_each_others_results() -> None:
    model, wrong = nn.Flatten(), []

    def ask(number: int) -> None:
        for _ in range(20):
            (found,) = graphs.run(model, "twice", lambda x: (2 * x,), [torch.full((3,), number)], lambda outputs: True)
            if found.tolist() != [2 * number] * 3:
                wrong.append((number, found))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert Recorded.started > 0


# --- on a GPU ---

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_gpu(n: int = 64, classes: int = 10) -> tuple[nn.Module, Tensor, Tensor]:
    model = build_model("vgg16", num_classes=classes, width=1 / 4).cuda()
    x = torch.rand(n, 3, 32, 32).cuda()
    model.train()(x)
    return model.eval(), x, torch.randint(classes, (n,)).cuda()


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("attack", [fgsm, mi_fgsm, pgd])
def test_a_cuda_graph_finds_the_same_pixels(
    attack: Callable[..., Tensor], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    model, x, y = on_gpu()
    for change in (1.0, 0.9):
        model.fc.weight.data.mul_(change)
        expected = plainly(lambda *given: attack(*given, precision=precision), model, x, y)
        for _ in range(4):
            assert torch.equal(attack(model, x, y, precision=precision), expected)
    assert len(graphs._graphs()) == 1


@pytest.mark.gpu
@gpu
def test_a_cuda_graph_follows_training() -> None:
    model, x, y = on_gpu()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(6):
        x_adv = pgd(model, x, y, steps=2)
        torch.testing.assert_close(
            x_adv, plainly(lambda m, x, y: pgd(m, x, y, steps=2), model, x, y), rtol=0, atol=0.02
        )
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.train()(x_adv), y).backward()
        optimizer.step()
        model.eval()
    assert len(graphs._graphs()) == 1


@pytest.mark.gpu
@gpu
def test_the_memory_of_cuda_graphs_comes_back() -> None:
    model, x, y = on_gpu(256)
    plainly(ATTACKS["pgd"], model, x, y)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for _ in range(3):
        pgd(model, x, y)
    assert len(graphs._graphs()) == 1
    del model
    gc.collect()
    torch.cuda.empty_cache()
    assert graphs._graphs() == []
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.gpu
@gpu
def test_a_look_at_a_value_cannot_be_recorded_and_the_attack_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "PACKAGES", (*graphs.PACKAGES, __name__))

    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    Looks.__module__ = f"{__name__}."
    model, x, y = on_gpu(8)
    model = nn.Sequential(Looks(), model)
    results = [pgd(model, x, y, steps=2) for _ in range(4)]
    assert graphs._graphs() == []
    for result in results:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0.02)
    torch.cuda.synchronize()
    assert torch.ones(2, device="cuda").sum().item() == 2  # the device still works

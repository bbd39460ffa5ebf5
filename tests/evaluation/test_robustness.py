"""Real robustness is distinguished from masked gradients: against models whose exact robustness a formula gives."""

import importlib.util
import logging
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TINY
from torch import Tensor, nn

from snslib import attacks
from snslib.book.figures import robustness as figures
from snslib.data import Split, to_float
from snslib.evaluation import accuracy, robustness
from snslib.study import measurements as measure
from snslib.study.networks import Networks

EPS = 0.1
needs_autoattack = pytest.mark.skipif(
    importlib.util.find_spec("pyautoattack") is None, reason="the package pyautoattack is not installed"
)


def grey_images(n: int) -> Tensor:
    """Images far enough from black and white that no step of EPS is clipped."""
    return torch.randint(64, 192, (n, 3, 4, 4), dtype=torch.uint8)


def linear(classes: int, scale: float = 1.0) -> nn.Sequential:
    """Logits W x, with W drawn such that about half of the images of `exactly` can be turned by EPS."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, classes, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.randn(classes, 48) / 7)
    return model


def exactly(model: nn.Sequential, images: Tensor, eps: float = EPS, aside: float = 1e-3) -> tuple[Split, Tensor]:
    """The images, labelled as the model has them, and which of them no x' within eps can turn.

    Images whose fate is decided by less than ``aside`` are left out, so that no rounding and no last step matters.
    Toward class k the margin of class y shrinks by eps times the L1 norm of the difference of their weights, at most.
    """
    weight = model[1].weight.detach().double()
    logits = to_float(images).flatten(1).double() @ weight.T
    labels = logits.argmax(1)
    margin = logits.gather(1, labels[:, None]) - logits
    reach = eps * (weight[labels][:, None] - weight[None]).abs().sum(2)
    slack = margin - reach
    slack[torch.arange(len(labels)), labels] = torch.inf
    kept = slack.abs().amin(1) > aside
    return Split(images[kept], labels[kept]), (slack > 0).all(1)[kept]


class Steps(nn.Module):
    """Images in 16 levels: rounding has the gradient 0."""

    def forward(self, x: Tensor) -> Tensor:
        return (15 * x).round() / 15


class Scaled(nn.Module):
    """Logits so large that the cross-entropy of a right image is 0, and so is its gradient."""

    def forward(self, logits: Tensor) -> Tensor:
        return 1e5 * logits


class Constant(nn.Module):
    """The same class for every image."""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x.mean((1, 2, 3))[:, None] + torch.tensor([[0.0, 1.0, 0.5, 0.2]])


def mixed_modes() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(16, 5))
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[4].weight.grad = torch.ones_like(model[4].weight)
    return model


def state(model: nn.Module) -> list[object]:
    tensors = [tensor.clone() for tensor in model.state_dict().values()]
    parameters = [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    return [[tensor.tolist() for tensor in tensors], parameters, modes, torch.get_rng_state().tolist()]


# --- attacks ---


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_of_two_linear_classes_strong_pgd_leaves_exactly_the_robust_images(seed: int) -> None:
    torch.manual_seed(seed)
    model = linear(2)
    split, robust = exactly(model, grey_images(40))
    for targeted in (False, True):
        right = robustness.strong_pgd(model, split, EPS, steps=10, restarts=1, targeted=targeted)
        assert right.tolist() == robust.tolist()


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_of_more_classes_targeted_pgd_leaves_the_robust_images(seed: int) -> None:
    torch.manual_seed(seed)
    model = linear(6)
    split, robust = exactly(model, grey_images(40), EPS / 2, aside=0.1)
    untargeted = robustness.strong_pgd(model, split, EPS / 2, steps=5, restarts=1)
    assert not (robust & ~untargeted).any()
    assert robustness.strong_pgd(model, split, EPS / 2, 20, 1, EPS / 20, targeted=True).tolist() == robust.tolist()


@needs_autoattack
@pytest.mark.parametrize(("classes", "eps"), [(2, EPS / 4), (3, EPS / 2), (5, EPS / 2)])
def test_autoattack_leaves_exactly_the_robust_images_of_a_linear_model(classes: int, eps: float) -> None:
    model = linear(classes)
    split, robust = exactly(model, grey_images(12), eps)
    assert 0.2 < robust.double().mean() < 0.8  # so that each of the attacks has something to do
    before = state(model)
    assert robustness.autoattack(model, split, eps).tolist() == robust.tolist()
    assert state(model) == before
    wrong = Split(split.images, (split.labels + 1) % classes)
    assert not robustness.autoattack(model, wrong, EPS).any()


@needs_autoattack
def test_autoattack_turns_what_rounding_hides_from_gradients() -> None:
    model = nn.Sequential(Steps(), *linear(5))
    plain = nn.Sequential(*model[1:])
    split, _ = exactly(plain, grey_images(20))
    split = Split(split.images, model(to_float(split.images)).argmax(1))
    assert robustness.strong_pgd(model, split, EPS, 10, 1, step_size=0.0).double().mean() > 0.5  # the start
    assert robustness.autoattack(model, split, 2 * EPS).double().mean() < 0.3


@needs_autoattack
def test_autoattack_leaves_a_debuggers_trace_and_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(grey_images(4), torch.zeros(4, dtype=torch.int64))
    def trace(*_: object) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        robustness.autoattack(linear(4), split, EPS)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ImportError, match="needs the package pyautoattack: pip install"):
        robustness.autoattack(linear(4), split, EPS)


def test_targeted_pgd_tries_the_likeliest_wrong_classes_and_only_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear(5)
    split, _ = exactly(model, grey_images(12))
    asked: list[tuple[Tensor, Tensor]] = []

    def idle(model: nn.Module, x: Tensor, y: Tensor, *_: object, **__: object) -> Tensor:
        asked.append((x, y))
        return x

    monkeypatch.setattr(attacks, "pgd", idle)
    robustness.strong_pgd(model, split, EPS, restarts=2, targeted=True)
    order = model(to_float(split.images)).argsort(1, descending=True)[:, 1:]
    assert torch.stack([y for _, y in asked], 1).tolist() == torch.cat([order, order], 1).tolist()
    asked.clear()
    robustness.strong_pgd(model, split, EPS, restarts=1, targeted=True, targets=2)
    assert torch.stack([y for _, y in asked], 1).tolist() == order[:, :2].tolist()


def test_what_has_been_turned_is_not_attacked_again() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))  # class 1 for bright images, class 0 for dark ones
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 48))
        model[1].bias.copy_(torch.tensor([24.0, -24.0]))
    split = Split(grey_images(4) // 2, torch.tensor([0, 1, 0, 0]))  # all dark: the second one is wrong from the start
    seen: list[int] = []

    def turn_the_last(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        seen.append(len(x))
        return torch.cat([x[:-1], 1 - x[-1:]])

    attempt = [turn_the_last]
    assert accuracy.robust_to_all(model, split, []).tolist() == [True, False, True, True]
    assert accuracy.robust_to_all(model, split, attempt * 2).tolist() == [True, False, False, False]
    assert seen == [3, 2]
    assert not accuracy.robust_to_all(model, split, attempt * 9).any()
    assert seen == [3, 2, 3, 2, 1]


# --- checks ---


def test_an_honest_model_passes_and_its_numbers_are_the_exact_ones() -> None:
    model = linear(2)
    split, robust = exactly(model, grey_images(60))
    found = robustness.sanity_checks(model, split, EPS, source=linear(2))
    assert {name: check["passed"] for name, check in found.items()} == dict.fromkeys(found, True)
    assert list(found) == ["growing", "one_step", "transfer", "noise"]
    share = robust.double().mean().item()
    assert found["one_step"] == {"passed": True, "fgsm": share, "pgd": share}  # one step is enough where all is linear
    assert found["growing"]["epsilons"] == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert found["growing"]["accuracy"][0] == found["transfer"]["white_box"] == found["noise"]["pgd"] == share
    assert found["noise"]["noise"] > share
    assert "transfer" not in robustness.sanity_checks(model, split, EPS)


@pytest.mark.parametrize("mask", [Steps(), Scaled()], ids=["rounded", "scaled"])
def test_masked_gradients_are_found_out(mask: nn.Module) -> None:
    honest = linear(2)
    split, robust = exactly(honest, grey_images(60), 3 * EPS)
    model = nn.Sequential(mask, *honest) if isinstance(mask, Steps) else nn.Sequential(*honest, mask)
    split = Split(split.images, model(to_float(split.images)).argmax(1))
    assert robust.double().mean() < 0.5
    found = robustness.sanity_checks(model, split, 3 * EPS, source=honest)
    for name in ("growing", "transfer", "noise"):
        assert not found[name]["passed"], name
    assert found["growing"]["accuracy"] == [1.0] * len(found["growing"]["accuracy"])
    assert found["transfer"]["transferred"] < 0.6 < found["transfer"]["white_box"]


def test_a_constant_model_resists_everything_and_does_not_pass() -> None:
    split = Split(grey_images(12), torch.tensor([0, 1, 2, 3] * 3))
    found = robustness.sanity_checks(Constant(), split, EPS)
    assert found["growing"]["accuracy"] == [0.25] * 5
    assert not found["growing"]["passed"]
    assert robustness.strong_pgd(Constant(), split, EPS, 3, 1).tolist() == (split.labels == 1).tolist()


def test_an_iterated_attack_that_is_weaker_than_one_step_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear(2)
    split, _ = exactly(model, grey_images(40))
    monkeypatch.setattr(attacks, "pgd", lambda model, x, *_, **__: x)
    assert not robustness.sanity_checks(model, split, EPS)["one_step"]["passed"]


# --- surfaces and transfers ---


def test_the_surface_of_a_linear_model_is_the_loss_worked_out_by_hand() -> None:
    model = linear(2)
    split, _ = exactly(model, grey_images(3))
    x, weight = to_float(split.images), model[1].weight.detach()
    offsets, surface = robustness.loss_surface(model, x, split.labels, EPS, points=5)
    assert offsets == pytest.approx([-0.1, -0.05, 0.0, 0.05, 0.1])
    difference = weight[1 - split.labels] - weight[split.labels]  # the loss is softplus(difference . x)
    along = [difference.abs().sum(1) * offset for offset in offsets]
    clean = (difference * x.flatten(1)).sum(1)
    expected = [nn.functional.softplus(clean + step).mean().item() for step in along]
    assert surface[:, 2].tolist() == pytest.approx(expected, rel=1e-4)
    assert surface.shape == (5, 5)
    assert (surface.diff(dim=0) > 0).all()
    assert (surface[2].max() - surface[2].min()) < (surface[:, 2].max() - surface[:, 2].min())


def test_the_surface_of_masked_gradients_is_flat_along_them() -> None:
    model = nn.Sequential(Steps(), *linear(2))
    x = to_float(grey_images(2))
    _, surface = robustness.loss_surface(model, x, torch.zeros(2, dtype=torch.int64), EPS, points=4)
    assert (surface == surface[:1]).all()
    assert (surface != surface[:, :1]).any()


def test_each_model_is_judged_on_images_made_on_each() -> None:
    models = {"a": linear(2), "b": linear(2)}
    split, robust = exactly(models["a"], grey_images(50))

    def fgsm(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return attacks.fgsm(model, x, y, EPS)

    matrix = robustness.transfer_matrix(models, split, fgsm)
    assert matrix["a"]["a"] == robust.double().mean()
    for source, row in matrix.items():
        x_adv = fgsm(models[source], to_float(split.images), split.labels)
        for tested, share in row.items():
            right = models[tested](x_adv).argmax(1) == split.labels
            assert share == right.double().mean()
    assert list(matrix) == list(matrix["a"]) == ["a", "b"]


# --- all of them ---


def test_models_and_random_numbers_stay_as_they_were_and_seeds_reproduce() -> None:
    model, split = mixed_modes(), Split(grey_images(10), torch.arange(10) % 5)
    split = Split(split.images, model.eval()(to_float(split.images)).argmax(1))
    model = model.train()
    model[1].eval()
    x = to_float(split.images)
    calls = {
        "strong": lambda seed: robustness.strong_pgd(model, split, 0.02, 2, 2, 0.001, seed=seed).tolist(),
        "targeted": lambda seed: robustness.strong_pgd(model, split, 0.02, 2, 1, targeted=True, seed=seed).tolist(),
        "checks": lambda seed: robustness.sanity_checks(model, split, 0.02, mixed_modes(), steps=2, draws=3, seed=seed),
        "surface": lambda seed: robustness.loss_surface(model, x, split.labels, 0.02, 3, seed)[1].tolist(),
    }
    if importlib.util.find_spec("pyautoattack") is not None:
        calls["autoattack"] = lambda seed: robustness.autoattack(model, split.take(4), 0.2, seed).tolist()
    for name, call in calls.items():
        if name == "checks":
            torch.manual_seed(5)  # of the other model's weights
        before = state(model)
        first = call(3)
        if name != "checks":
            assert state(model) == before, name
            assert call(3) == first, name
        else:
            assert state(model)[:3] == before[:3]
            torch.manual_seed(5)
            assert call(3) == first
    assert calls["surface"](3) != calls["surface"](4)


def test_bad_arguments_are_named() -> None:
    model, split = linear(4), Split(grey_images(3), torch.zeros(3, dtype=torch.int64))
    x = to_float(split.images)
    for eps in (0.0, -0.1, float("nan"), 8, True):
        for call in (robustness.strong_pgd, robustness.sanity_checks):
            with pytest.raises(ValueError, match="eps"):
                call(model, split, eps)
        with pytest.raises(ValueError, match="eps"):
            robustness.loss_surface(model, x, split.labels, eps)
    with pytest.raises(ValueError, match="eps"):
        robustness.sanity_checks(model, split, 1.5)
    for name in ("steps", "restarts", "targets"):
        with pytest.raises(ValueError, match=name):
            robustness.strong_pgd(model, split, EPS, **{name: 0})
    with pytest.raises(ValueError, match="step_size"):
        robustness.strong_pgd(model, split, EPS, step_size=-1.0)
    with pytest.raises(ValueError, match=r"^step_size: .*8/255"):
        robustness.strong_pgd(model, split, EPS, step_size=2)
    for call in (robustness.strong_pgd, robustness.sanity_checks):
        with pytest.raises(ValueError, match=r"^seed: "):
            call(model, split, EPS, seed=-1)
    with pytest.raises(ValueError, match=r"^eps: "):
        robustness.random_corner(8, torch.Generator())
    with pytest.raises(ValueError, match=r"^batches: got none"):
        robustness.with_statistics_of(model, [])
    with pytest.raises(ValueError, match=r"^batches: values must lie in"):
        robustness.with_statistics_of(nn.Sequential(nn.BatchNorm2d(3), model), [x, 255 * x])
    with pytest.raises(ValueError, match=r"^y: class 4 needs"):
        robustness.loss_surface(model, x, split.labels + 4, EPS)
    with pytest.raises(ValueError, match=r"^model: class 5 needs"):
        robustness.transfer_matrix({"a": linear(6), "b": model}, Split(split.images, split.labels + 5), attacks.fgsm)
    for name, value in {"steps": 0, "draws": 0, "tolerance": -0.1}.items():
        with pytest.raises(ValueError, match=name):
            robustness.sanity_checks(model, split, EPS, **{name: value})
    with pytest.raises(ValueError, match="points"):
        robustness.loss_surface(model, x, split.labels, EPS, points=1)
    with pytest.raises(ValueError, match="x: "):
        robustness.loss_surface(model, 2 * x, split.labels, EPS)
    with pytest.raises(ValueError, match="split"):
        robustness.strong_pgd(model, split.take(0), EPS)
    with pytest.raises(ValueError, match="models"):
        robustness.transfer_matrix({}, split, attacks.pgd)
    with pytest.raises(ValueError, match="model: expected logits"):
        robustness.strong_pgd(linear(1), split, EPS, targeted=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_batchnorm_is_given_the_statistics_of_other_images_and_the_model_keeps_its_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Flatten(), nn.Linear(48, 2)).eval()
    images = torch.rand(4, 10, 3, 4, 4)
    other = robustness.with_statistics_of(model, images)
    torch.testing.assert_close(other[0].running_mean, images.mean((0, 1, 3, 4)))
    variances = torch.stack([batch.transpose(0, 1).flatten(1).var(1) for batch in images])
    torch.testing.assert_close(other[0].running_var, variances.mean(0))
    assert not other.training
    assert torch.equal(model[0].running_mean, torch.zeros(3))
    assert not model.training


def test_records_of_a_setting_are_made_once_and_drawn(folder: Path) -> None:
    lines: list[str] = []
    networks = Networks(TINY, folder, lines.append)
    matrix = measure.transfer_matrix(networks, {"vanilla": (networks, "vanilla")}, n=5)
    checks = measure.sanity_checks(networks, "vanilla", "vanilla", n=5)
    surface = measure.loss_surface(networks, "vanilla", points=3, n=2)
    targeted = measure.targeted_pgd(networks, "vanilla", n=5, steps=1)
    by_statistics = measure.accuracy_by_statistics(networks, "vanilla", n=5)
    varied = measure.variance(networks, "vanilla", n=5).result
    for layer, over_all in varied["over_all"].items():
        both = zip(varied["over_images"][layer], over_all, strict=True)
        assert all(0 <= part <= 1.001 * whole for part, whole in both)
    assert by_statistics.result["kept"]["fixed"] == by_statistics.result["kept"]["pgd"]  # both made on vanilla
    assert measure.pgd_accuracy(networks, "vanilla", n=5).result["pgd"] == matrix.result["vanilla"]["vanilla"]
    assert {entry.config["n"] for entry in (matrix, checks, targeted)} == {5}
    assert measure.pgd_accuracy(networks, "vanilla").config["n"] == len(networks.test) // 10
    made = list(lines)
    assert measure.targeted_pgd(Networks(TINY, folder, lines.append), "vanilla", 5, 1) == targeted
    assert lines == made
    figures.transfer_matrix(matrix.result, {"vanilla": "Vanilla"}).canvas.draw()
    figures.loss_surfaces({"vanilla": surface}).canvas.draw()
    figures.growing_radius({"vanilla": checks}).canvas.draw()


@needs_autoattack
def test_the_record_keeps_what_autoattack_warns_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(model: nn.Module, split: Split, eps: float, seed: int) -> Tensor:
        logging.getLogger("auto-attack").warning("points with zero gradient")
        return torch.ones(len(split), dtype=torch.bool)

    monkeypatch.setattr(robustness, "autoattack", warn)
    record = measure.autoattack(Networks(TINY, folder, lambda line: None), "vanilla", n=4)
    assert record.result == {"accuracy": 1.0, "warnings": ["points with zero gradient"]}
    assert not logging.getLogger("auto-attack").handlers


# --- networks that diverged, attacks that break their promise ---


def not_finite() -> nn.Sequential:
    model = linear(4)
    nn.init.constant_(model[1].weight, torch.nan)
    return model


@pytest.mark.parametrize("check", ["strong_pgd", "sanity_checks", "autoattack"])
def test_a_network_that_diverged_is_refused_and_not_robust(check: str) -> None:
    if check == "autoattack":
        pytest.importorskip("pyautoattack")
    split = Split(grey_images(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^model: .*; the output of '1' is the first that is not finite"):
        getattr(robustness, check)(not_finite(), split, EPS)


def test_a_network_that_diverged_has_no_surface_and_transfers_nothing() -> None:
    split = Split(grey_images(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^model: .*; the output of '1' is the first that is not finite"):
        robustness.loss_surface(not_finite(), to_float(split.images), split.labels, EPS, points=2)
    for models in ({"a": linear(4), "b": not_finite()}, {"b": not_finite(), "a": linear(4)}):
        with pytest.raises(ValueError, match=r"^model: .*; the output of '1' is the first that is not finite"):
            robustness.transfer_matrix(models, split, attacks.fgsm)


@pytest.mark.parametrize(("made", "eps"), [(1.2, None), (0.2, 0.1), (float("nan"), 0.1)])
def test_an_attack_beyond_its_budget_transfers_nothing(made: float, eps: float | None) -> None:
    split = Split(grey_images(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^attack: expected x' "):
        robustness.transfer_matrix({"a": linear(4)}, split, lambda model, x, y: x + made, eps)


def test_the_radius_of_strong_attacks_is_held_against_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a fault in PGD would show: its x' are twice as far as allowed."""
    model, images = linear(4), grey_images(3)
    split = Split(images, model(to_float(images)).argmax(1))
    monkeypatch.setattr(attacks, "pgd", lambda model, x, y, eps, *rest, **options: (x + 2 * eps).clamp(0, 1))
    for check in (robustness.strong_pgd, robustness.sanity_checks):
        with pytest.raises(ValueError, match=r"^attack: expected x' in \[0, 1\] and at most eps = 0\.1 from x"):
            check(model, split, EPS)


def test_a_step_that_is_longer_than_all_images_are_wide_is_cut_and_changes_nothing() -> None:
    """2.5 radius / steps is 2.5 in one step of radius 1; any step of at least 1 ends at black or white."""
    model = linear(4)
    split, _ = exactly(model, grey_images(20))
    growing = robustness.sanity_checks(model, split, 0.5, steps=1)["growing"]
    at_1 = accuracy.accuracy(model, split, lambda model, x, y: attacks.fgsm(model, x, y, 1.0))
    assert growing["accuracy"][-1] == at_1

"""The four attacks against closed forms, foolbox and torchattacks; what they promise about images, model and state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import foolbox
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snslib.attacks import fgsm, least_likely_class, mi_fgsm, paper_attacks, pgd, step_ll

ATTACKS: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm,
    "step_ll": lambda model, x, y, eps=8 / 255: step_ll(model, x, eps),
    "mi_fgsm": mi_fgsm,
    "pgd": pgd,
    "pgd_restarts": lambda model, x, y, **options: pgd(model, x, y, random_start=True, restarts=2, **options),
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


class Function(nn.Module):
    """A model that is a function of the images, without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def linear_model(weight: Tensor) -> nn.Module:
    """Logits weight @ x for weight (K, C, H, W)."""
    return Function(lambda x: x.flatten(1) @ weight.flatten(1).T)


def small_model(channels: int = 3, classes: int = 4) -> nn.Module:
    """Convolution, BatchNorm and Dropout, for images of any size; smooth, with running statistics of its own."""
    model = nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.Softplus(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, channels, 6, 6))
    return model


def images(n: int = 5, channels: int = 3, classes: int = 4, **options: Any) -> tuple[Tensor, Tensor]:
    return torch.rand(n, channels, 6, 6, **options), torch.randint(classes, (n,))


# --- closed forms ---


def linear_case() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Two classes: the input gradient's sign is that of w_other - w_y, whatever x (also the weights' difference)."""
    weight = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    x = torch.rand(6, 3, 4, 4, dtype=torch.float64)
    x[0], x[1] = 0, 1
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    return linear_model(weight), x, y, (weight[1 - y] - weight[y]).sign()


def test_fgsm_on_a_linear_model() -> None:
    model, x, y, uphill = linear_case()
    torch.testing.assert_close(fgsm(model, x, y, eps=0.1), (x + 0.1 * uphill).clamp(0, 1))
    torch.testing.assert_close(fgsm(model, x, y, eps=0.1, targeted=True), (x - 0.1 * uphill).clamp(0, 1))


def test_fgsm_on_a_linear_model_with_many_classes() -> None:
    weight, x = torch.randn(5, 2, 3, 3, dtype=torch.float64), torch.rand(7, 2, 3, 3, dtype=torch.float64)
    y = torch.arange(7) % 5
    w, pixels = weight.flatten(1).numpy(), x.flatten(1).numpy()
    exponents = np.exp(pixels @ w.T)
    softmax = exponents / exponents.sum(1, keepdims=True)
    gradient = (softmax - np.eye(5)[y.numpy()]) @ w  # of the cross-entropy
    expected = np.clip(pixels + 0.05 * np.sign(gradient), 0, 1)
    np.testing.assert_allclose(fgsm(linear_model(weight), x, y, eps=0.05).flatten(1).numpy(), expected, atol=1e-15)


def test_step_ll_on_a_linear_model_steps_toward_the_lowest_logit() -> None:
    model, x, _, _ = linear_case()
    lowest = torch.tensor([int(np.argmin(logits)) for logits in model(x).numpy()])
    assert torch.equal(least_likely_class(model, x), lowest)
    torch.testing.assert_close(step_ll(model, x, eps=0.1), fgsm(model, x, 1 - lowest, eps=0.1))  # away from the other


@pytest.mark.parametrize(("steps", "step_size", "eps"), [(1, 0.02, 0.1), (3, 0.02, 0.1), (7, 0.02, 0.1), (2, 0.3, 0.1)])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("attack", [pgd, mi_fgsm])
def test_iterated_steps_on_a_linear_model_add_up_to_eps(
    attack: Callable[..., Tensor], targeted: bool, steps: int, step_size: float, eps: float
) -> None:
    model, x, y, uphill = linear_case()
    moved = min(steps * step_size, eps) * (-uphill if targeted else uphill)
    x_adv = attack(model, x, y, eps=eps, step_size=step_size, steps=steps, targeted=targeted)
    torch.testing.assert_close(x_adv, (x + moved).clamp(0, 1))


def test_mi_fgsm_by_hand() -> None:
    """Two pixels a, b at .5; logits (0, h), so that the loss of class 0 rises with h.

    The gradient of h is (3, 1) at the start, normalised (.75, .25), and (-10, -30) one step of .1 up both, normalised
    (-.25, -.75). Their sum for mu = 1, (.5, -.5), turns b around alone; the second by itself, or the sum without the
    normalisation, (-7, -29), turns both; so does mu = .2, (.15 - .25, .05 - .75).
    """

    def logits(x: Tensor) -> Tensor:
        a, b = x[:, 0, 0, 0] - 0.5, x[:, 0, 0, 1] - 0.5
        return torch.stack([torch.zeros_like(a), 3 * a - 65 * a**2 + b - 155 * b**2], dim=1)

    x, y = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64), torch.tensor([0])
    for decay, expected in {1.0: [0.7, 0.5], 0.2: [0.5, 0.5], 0.0: [0.5, 0.5]}.items():
        x_adv = mi_fgsm(Function(logits), x, y, eps=0.3, step_size=0.1, steps=2, decay=decay)
        torch.testing.assert_close(x_adv.flatten(), torch.tensor(expected, dtype=torch.float64))


def test_paper_attacks_are_those_of_section_31() -> None:
    model, (x, y) = small_model(), images()
    attacks = paper_attacks(eps=0.1, step_size=0.02, steps=3)
    assert list(attacks) == ["step_ll", "mi_fgsm", "pgd", "fgsm"]
    lowest = model.eval()(x).argmin(1)
    assert torch.equal(attacks["step_ll"](model, x, y), fgsm(model, x, lowest, 0.1, targeted=True))
    assert torch.equal(attacks["mi_fgsm"](model, x, y), mi_fgsm(model, x, lowest, 0.1, 0.02, 3, targeted=True))
    assert torch.equal(attacks["pgd"](model, x, y), pgd(model, x, y, 0.1, 0.02, 3))
    assert torch.equal(attacks["fgsm"](model, x, y), fgsm(model, x, y, 0.1))


# --- other libraries ---


def foolbox_case() -> tuple[nn.Module, Any, Tensor, Tensor]:
    model = small_model().double().eval()
    x, y = images(8, dtype=torch.float64)
    x[0], x[1, :, :3] = 0, 1
    return model, foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y


def test_fgsm_equals_foolbox() -> None:
    model, wrapped, x, y = foolbox_case()
    _, expected, _ = foolbox.attacks.LinfFastGradientAttack()(wrapped, x, y, epsilons=0.07)
    torch.testing.assert_close(fgsm(model, x, y, eps=0.07), expected)


@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_equals_foolbox(targeted: bool) -> None:
    model, wrapped, x, y = foolbox_case()
    attack = foolbox.attacks.LinfPGD(abs_stepsize=0.02, steps=6, random_start=False)
    criterion = (foolbox.criteria.TargetedMisclassification if targeted else foolbox.criteria.Misclassification)(y)
    _, expected, _ = attack(wrapped, x, criterion, epsilons=0.07)
    torch.testing.assert_close(pgd(model, x, y, eps=0.07, step_size=0.02, steps=6, targeted=targeted), expected)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", ["fgsm", "pgd", "mi_fgsm"])
def test_equals_torchattacks(name: str, targeted: bool) -> None:
    """Against the results that record_vectors.py stored, for its model and settings."""
    with np.load(Path(__file__).parent / "vectors" / "torchattacks.npz") as file:
        vectors = {key: torch.from_numpy(file[key]) for key in file.files}
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(144, 4))
    model.load_state_dict({k.removeprefix("model."): v for k, v in vectors.items() if k.startswith("model.")})
    options = {"eps": 8 / 255} | ({} if name == "fgsm" else {"step_size": 2 / 255, "steps": 7})
    y = vectors["target" if targeted else "y"]
    x_adv = ATTACKS[name](model, vectors["x"], y, targeted=targeted, **options)
    # Seven steps round in another order: at most seven times half an ulp of 1. One other sign would show as 2 * 2/255.
    expected = vectors[f"{name}_targeted" if targeted else name]
    torch.testing.assert_close(x_adv, expected, rtol=0, atol=7 * 2**-24)


# --- the images ---


@settings(max_examples=40)
@given(
    attack=st.sampled_from(list(ATTACKS.values())),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    eps=st.one_of(st.sampled_from([0.0, 8 / 255, 1.0]), st.floats(0, 1)),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    seed=st.integers(0, 2**16),
)
def test_result_is_in_the_ball_and_in_range(
    attack: Callable[..., Tensor], shape: tuple[int, ...], eps: float, dtype: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    model = small_model(shape[1]).to(dtype)
    x = torch.rand(shape, dtype=torch.float64).to(dtype)
    before = x.clone()
    x_adv = attack(model, x, torch.randint(4, shape[:1]), eps=eps)
    assert (x_adv.shape, x_adv.dtype, x_adv.requires_grad) == (x.shape, dtype, False)
    assert torch.equal(x, before)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    moved = (x_adv.double() - x.double()).abs().max()
    assert moved <= eps + torch.finfo(dtype).eps  # x + eps is rounded once, near 1 or below


@every_attack
def test_eps_0_is_the_identity(attack: Callable[..., Tensor]) -> None:
    model, (x, y) = small_model(), images()
    x[0, 0], x[0, 1] = 0, 1
    assert torch.equal(attack(model, x, y, eps=0), x)


@pytest.mark.parametrize("attack", [fgsm, ATTACKS["step_ll"], mi_fgsm, pgd])
def test_a_result_does_not_depend_on_batch_mates(attack: Callable[..., Tensor]) -> None:
    model, (x, y) = small_model().double().train(), images(6, dtype=torch.float64)
    with torch.no_grad():
        x[1] *= 1e-3  # mates of another scale
    together = attack(model, x, y, eps=0.1)
    alone = torch.cat([attack(model, x[i : i + 1], y[i : i + 1], eps=0.1) for i in range(6)])
    torch.testing.assert_close(together, alone)


def test_small_gradients_survive_a_large_batch() -> None:
    """Gradients near 2e-44, a few of float32's smallest numbers: divided by the size of the batch they would be 0."""
    model = Function(lambda x: torch.stack([torch.zeros(len(x)), x.sum((1, 2, 3)) * 1e-9 - 80], dim=1))
    x = torch.full((64, 1, 1, 1), 0.5)
    torch.testing.assert_close(fgsm(model, x, torch.zeros(64, dtype=torch.int64), eps=0.1), x + 0.1)


@every_attack
def test_the_model_sees_only_images_in_the_ball_and_in_range(attack: Callable[..., Tensor]) -> None:
    inner, (x, y) = small_model(), images()
    x[0], x[1] = 0, 1
    seen: list[Tensor] = []
    model = Function(lambda x: (seen.append(x.detach().clone()), inner(x))[1])
    attack(model, x, y, eps=0.1)
    assert all(((z >= 0) & (z <= 1) & ((z - x).abs() <= 0.1 + 1e-6)).all() for z in seen)


@every_attack
def test_a_model_without_gradient_gives_x_back(attack: Callable[..., Tensor]) -> None:
    flat = Function(lambda x: 0 * x.flatten(1)[:, :4] + torch.arange(4.0))
    x, y = images()
    if attack is ATTACKS["pgd_restarts"]:
        x_adv = attack(flat, x, y)  # stays at a start within the ball
        assert ((x_adv - x).abs() <= 8 / 255 + 1e-6).all()
    else:
        assert torch.equal(attack(flat, x, y), x)


def test_mi_fgsm_with_one_flat_image_moves_the_others() -> None:
    """Logits (0, sum of ReLUs of x - .5): an image that is dark everywhere has no gradient, its mate has."""
    model = Function(lambda x: torch.stack([torch.zeros(len(x)), (x - 0.5).relu().sum((1, 2, 3))], dim=1))
    x = torch.stack([torch.full((1, 2, 2), 0.1), torch.full((1, 2, 2), 0.8)])
    x_adv = mi_fgsm(model, x, torch.tensor([0, 0]), eps=0.1, step_size=0.02, steps=3)
    assert torch.equal(x_adv[0], x[0])
    torch.testing.assert_close(x_adv[1], x[1] + 0.06)


# --- random start and restarts ---


def test_random_start_fills_the_ball_uniformly() -> None:
    model, x = small_model(), torch.full((10, 3, 20, 20), 0.5)
    start = pgd(model, x, torch.zeros(10, dtype=torch.int64), eps=0.1, step_size=0, steps=1, random_start=True)
    moved = (start - x).flatten().numpy() / 0.1
    assert np.abs(moved).max() <= 1 + 1e-5
    # 12,000 draws from [-1, 1]: deviations of the quantiles beyond 2 percent of the range are 4 standard errors away
    np.testing.assert_allclose(np.quantile(moved, [0.1, 0.5, 0.9]), [-0.8, 0, 0.8], atol=0.04)


def test_a_seed_reproduces_the_random_start() -> None:
    model, (x, y) = small_model(), images()

    def attack(seed: int) -> Tensor:
        return pgd(model, x, y, random_start=True, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(attack(1), attack(1))
    assert not torch.equal(attack(1), attack(2))


def test_without_a_generator_the_global_seed_decides() -> None:
    model, (x, y) = small_model(), images()
    torch.manual_seed(5)
    first, again = (pgd(model, x, y, random_start=True) for _ in range(2))
    assert torch.equal(first, again)  # the global state was left where it was
    torch.manual_seed(6)
    assert not torch.equal(first, pgd(model, x, y, random_start=True))


@pytest.mark.parametrize("targeted", [False, True])
def test_restarts_are_never_worse(targeted: bool) -> None:
    """Restarts with the same seed begin with the single one's start. One pixel on waves: a start decides what it finds.

    Class 0 costs most on a crest, where the probabilities are (.36, .32, .32) and it still wins; in a trough, with
    (.43, .57, 0), it costs less but class 1 wins.
    """
    crest, trough = torch.tensor([[0, -0.1, -0.1], [0, 0.3, -9.0]], dtype=torch.float64)
    model = Function(lambda x: torch.lerp(trough, crest, (1 + torch.sin(60 * x.flatten(1))) / 2))
    x, y = torch.rand(200, 1, 1, 1, dtype=torch.float64), torch.full((200,), int(targeted))

    def judge(restarts: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        x_adv = pgd(model, x, y, 0.05, 0.002, 4, True, restarts, targeted, generator)
        logits = model(x_adv)
        hit = (logits.argmax(1) == y) == targeted
        return hit, F.cross_entropy(logits, y, reduction="none") * (-1 if targeted else 1)

    (hit, loss), (hit_of_many, loss_of_many) = judge(1), judge(6)
    assert (hit <= hit_of_many).all()
    assert (loss_of_many >= loss)[hit == hit_of_many].all()
    assert 50 < hit.sum() < 180 < hit_of_many.sum()  # there was something to find
    assert (loss_of_many > loss).sum() > 50


# --- the model and the global state ---


def state_of(model: nn.Module) -> dict[str, Any]:
    """What an attack has to leave alone."""
    return {
        "modes": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "values": [value.clone() for value in model.state_dict().values()],
        "random": torch.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
    }


def mixed_model() -> nn.Module:
    """Some modules in eval mode, some parameters without gradient, some with a gradient already."""
    model = small_model().train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    model[6].weight.grad = torch.ones_like(model[6].weight)
    return model


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.rand(3)
        raise RuntimeError("broken on purpose")


@every_attack
def test_leaves_model_and_random_state_alone(attack: Callable[..., Tensor]) -> None:
    model, (x, y) = mixed_model(), images()
    x.requires_grad_(True)
    before, x_before = state_of(model), x.detach().clone()
    attack(model, x, y)
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    assert torch.equal(x, x_before)
    assert x.grad is None
    assert x.requires_grad


@every_attack
def test_leaves_model_and_random_state_alone_when_the_model_fails(attack: Callable[..., Tensor]) -> None:
    model, (x, y) = mixed_model().append(Broken()), images()
    before = state_of(model)
    with pytest.raises(RuntimeError, match="on purpose"):
        attack(model, x, y)
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)


@every_attack
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_without_gradients_around_it(attack: Callable[..., Tensor], context: Callable[[], Any]) -> None:
    model, (x, y) = small_model(), images()
    expected = attack(model, x, y)
    with context():
        before = state_of(model)
        x_adv = attack(model, x.clone(), y.clone())
        torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    assert torch.equal(x_adv, expected)


# --- bad arguments ---


def with_nan(x: Tensor) -> Tensor:
    return torch.cat([x[:-1], torch.full_like(x[-1:], torch.nan)])


BAD: dict[str, tuple[str, Callable[[Tensor, Tensor], tuple[Any, Any]], dict[str, Any]]] = {
    "negative eps": ("eps", lambda x, y: (x, y), {"eps": -0.1}),
    "eps of 8 levels": ("eps", lambda x, y: (x, y), {"eps": 8}),
    "eps a text": ("eps", lambda x, y: (x, y), {"eps": "8/255"}),
    "eps nan": ("eps", lambda x, y: (x, y), {"eps": float("nan")}),
    "x nan": ("x", lambda x, y: (with_nan(x), y), {}),
    "x above 1": ("x", lambda x, y: (x + 1.01, y), {}),
    "x below 0": ("x", lambda x, y: (x - 1, y), {}),
    "x uint8": ("x", lambda x, y: ((x * 255).to(torch.uint8), y), {}),
    "x without batch": ("x", lambda x, y: (x[0], y), {}),
    "x empty": ("x", lambda x, y: (x[:0], y[:0]), {}),
    "x numpy": ("x", lambda x, y: (x.numpy(), y), {}),
}
BAD_LABELS: dict[str, tuple[str, Callable[[Tensor, Tensor], tuple[Any, Any]], dict[str, Any]]] = {
    "y too high": ("y", lambda x, y: (x, y + 4), {}),
    "y negative": ("y", lambda x, y: (x, y - 4), {}),
    "y too few": ("y", lambda x, y: (x, y[1:]), {}),
    "y float": ("y", lambda x, y: (x, y.float()), {}),
    "y bool": ("y", lambda x, y: (x, y.bool()), {}),
    "y a list of fractions": ("y", lambda x, y: (x, [0.5] * len(y)), {}),
    "y a text": ("y", lambda x, y: (x, "0" * len(y)), {}),
    "y one-hot": ("y", lambda x, y: (x, F.one_hot(y, 4)), {}),
}
BAD_STEPS: dict[str, tuple[str, Callable[[Tensor, Tensor], tuple[Any, Any]], dict[str, Any]]] = {
    "negative step_size": ("step_size", lambda x, y: (x, y), {"step_size": -1e-3}),
    "step_size of 2 levels": ("step_size", lambda x, y: (x, y), {"step_size": 2}),
    "step_size nan": ("step_size", lambda x, y: (x, y), {"step_size": float("nan")}),
    "no steps": ("steps", lambda x, y: (x, y), {"steps": 0}),
    "steps float": ("steps", lambda x, y: (x, y), {"steps": 2.5}),
}
CASES = (
    [(name, case) for name in ("fgsm", "step_ll", "mi_fgsm", "pgd") for case in BAD.items()]
    + [(name, case) for name in ("fgsm", "mi_fgsm", "pgd") for case in BAD_LABELS.items()]
    + [(name, case) for name in ("mi_fgsm", "pgd") for case in BAD_STEPS.items()]
    + [("mi_fgsm", ("negative decay", ("decay", lambda x, y: (x, y), {"decay": -1.0})))]
    + [("mi_fgsm", ("decay nan", ("decay", lambda x, y: (x, y), {"decay": float("nan")})))]
    + [("pgd", ("no restarts", ("restarts", lambda x, y: (x, y), {"restarts": 0, "random_start": True})))]
    + [("pgd", ("same restarts", ("restarts", lambda x, y: (x, y), {"restarts": 2})))]
)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {what}" for name, (what, _) in CASES])
def test_a_bad_argument_is_named(name: str, case: tuple[str, tuple[str, Any, dict[str, Any]]]) -> None:
    argument, change, options = case[1]
    model, (x, y) = mixed_model(), images()
    before = state_of(model)
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        ATTACKS[name](model, *change(x, y), **options)
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{"eps": 8}, {"step_size": 2}, {"steps": 0}, {"precision": "float16"}])
def test_the_papers_attacks_are_checked_when_they_are_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(options))}: "):
        paper_attacks(**{"eps": 0.1, "step_size": 0.01, "steps": 2} | options)


# --- models that are not finite ---


@every_attack
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("layer", "named"), [(0, "0"), (1, "1"), (6, "6")])
def test_a_model_that_is_not_finite_is_refused_and_its_first_such_layer_named(
    attack: Callable[..., Tensor], value: float, layer: int, named: str
) -> None:
    model, (x, y) = mixed_model(), images()
    with torch.no_grad():
        model[layer].weight.fill_(value)
    before = state_of(model)
    with pytest.raises(ValueError, match=r"^model: .* not finite") as error:
        attack(model, x, y)
    assert f"the output of '{named}' is the first that is not finite" in str(error.value)
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("attack", [fgsm, mi_fgsm, pgd, ATTACKS["pgd_restarts"]])
def test_a_gradient_that_is_not_finite_is_refused_though_all_outputs_are(attack: Callable[..., Tensor]) -> None:
    """The square root of 0 has an infinite slope: one pixel of one image is enough."""
    model = Function(lambda x: torch.stack([torch.zeros(len(x)), (x - x.detach()).abs().sqrt().sum((1, 2, 3))], dim=1))
    x, y = images(classes=2)
    with pytest.raises(ValueError, match=r"^model: the gradient of its loss is not finite; .* no finite derivative"):
        attack(model, x, y)


def test_what_is_no_model_is_named() -> None:
    x, y = images()
    for attack in (fgsm, ATTACKS["step_ll"], mi_fgsm, pgd):
        with pytest.raises(ValueError, match=r"^model: expected an nn\.Module"):
            attack(lambda x: x, x, y)


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x.flatten(1).sum(1), lambda x: (x, x)])
def test_the_least_likely_class_needs_logits(function: Callable[[Tensor], Any]) -> None:
    with pytest.raises(ValueError, match=r"^model: .*logits \(N, K\)"):
        least_likely_class(Function(function), images()[0])

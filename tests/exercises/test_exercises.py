"""Every check passes the right solution and names each common mistake; the chapters' solutions pass theirs."""

import ast
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chapters
import pytest
import torch
import torch.nn.functional as F
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor, nn

import snslib as sns
from snslib import exercises as ex
from snslib.data import Split, to_float
from snslib.exercises import ExerciseError, tasks
from snslib.study.records import Record

Solution = Callable[..., Any]
CHAPTERS = [path for path in chapters.NOTEBOOKS if chapters.exercises(path)]
CHECKS = [value for name, value in vars(ex).items() if name.startswith("check_")]


# --- right solutions, as a reader would write them, with switches for what can go wrong ---


def gradient(model: nn.Module, x: Tensor, y: Tensor, of: Solution = F.cross_entropy) -> Tensor:
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(of(model(x), y), x)[0]


def fgsm(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, of: Solution = F.cross_entropy, move: Solution = torch.sign
) -> Tensor:
    return (x + eps * move(gradient(model, x, y, of))).clamp(0, 1)


def step_ll(model: nn.Module, x: Tensor, eps: float, of: Solution = lambda z: z.argmin(1), sign: int = -1) -> Tensor:
    return (x + sign * eps * gradient(model, x, of(model(x))).sign()).clamp(0, 1)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    step_size: float,
    steps: int,
    extra: int = 0,
    stale: bool = False,
    ball: str = "x",
    box: str = "each",
    move: Solution = torch.sign,
    start: Solution = lambda x: x,
) -> Tensor:
    x_adv = start(x)
    for _ in range(steps + extra):
        before = x_adv
        x_adv = x_adv + step_size * move(gradient(model, x if stale else x_adv, y))
        if ball in ("x", "before"):
            around = x if ball == "x" else before
            x_adv = x_adv.clamp(around - eps, around + eps)
        if box == "each":
            x_adv = x_adv.clamp(0, 1)
    if ball == "end":
        x_adv = x_adv.clamp(x - eps, x + eps)
    return x_adv.clamp(0, 1) if box == "end" else x_adv


def sigma(clean: Tensor, adversarial: Tensor) -> Tensor:
    return positions((clean - adversarial).abs()).sum(2).mean(0)


def positions(output: Tensor) -> Tensor:
    return output.reshape(*output.shape[:2], -1)


def top(values: Tensor, fraction: float) -> Tensor:
    return values.argsort(descending=True)[: max(1, int(fraction * len(values)))]


def average(sets: list[set[int]], index: Solution = lambda a, b: len(a & b) / len(a | b)) -> float:
    pairs = [index(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
    return sum(pairs) / len(pairs)


def suppressed(
    model: nn.Module,
    layer: str,
    neurons: Tensor,
    beta: float,
    x: Tensor,
    change: Solution | None = None,
    leave: bool = False,
) -> Tensor:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if change is not None:
            return change(output.clone(), neurons, beta)
        output = output.clone()
        output[:, neurons] *= beta
        return output

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        with torch.no_grad():
            return model(x)
    finally:
        if not leave:
            handle.remove()


def put(value: Solution) -> Solution:
    """A change of a layer's output that puts ``value(output, neurons, beta)`` into the chosen neurons."""

    def change(output: Tensor, neurons: Tensor, beta: float) -> Tensor:
        output[:, neurons] = value(output[:, neurons], beta)
        return output

    return change


def spare(output: Tensor, neurons: Tensor, beta: float) -> Tensor:
    """Turns down all neurons but the chosen ones."""
    chosen = torch.isin(torch.arange(output.shape[1]), neurons).view(-1, 1, 1)
    return torch.where(chosen, output, beta * output)


def helpful(
    model: nn.Module, x_adv: Tensor, y: Tensor, layer: str, beta: float, best: Solution = max, leave: bool = False
) -> int:
    with sns.record(model, [layer]) as recorded, torch.no_grad():
        model(x_adv)
    right = []
    for neuron in range(recorded[layer].shape[1]):
        logits = suppressed(model, layer, torch.tensor([neuron]), beta, x_adv, leave=leave)
        right.append((logits.argmax(1) == y).sum().item())
    return right.index(best(right))


def most_sensitive(model: nn.Module, x_adv: Tensor, y: Tensor, layer: str, beta: float) -> int:
    x = torch.rand(x_adv.shape, generator=torch.Generator().manual_seed(0))
    return int(sns.neuron_sensitivity(model, [(x, x_adv)], [layer])[layer].argmax())


Loss = Callable[[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]], Any]


def layered(of_layer: Solution, over_images: Solution = lambda v: v.mean(), add: Solution = sum) -> Loss:
    """A loss that adds ``over_images(of_layer(a, b))`` over layers; a, b are omega's neurons, (N, K, positions)."""

    def loss(clean: dict[str, Tensor], adversarial: dict[str, Tensor], omega: dict[str, Tensor]) -> Any:
        sides = (([s[k] for k in omega]) for s in (clean, adversarial))
        chosen = [[positions(o)[:, n] for o, n in zip(side, omega.values(), strict=True)] for side in sides]
        return add([over_images(of_layer(a, b)) for a, b in zip(*chosen, strict=True)])

    return loss


eq_9 = layered(lambda a, b: (a - b).abs().sum((1, 2)))


def everyone(clean: dict[str, Tensor], adversarial: dict[str, Tensor], omega: dict[str, Tensor], of: Loss) -> Any:
    """A loss that takes all neurons for sensitive."""
    return of(clean, adversarial, {layer: torch.arange(output.shape[1]) for layer, output in clean.items()})


def detached(clean: dict[str, Tensor], adversarial: dict[str, Tensor], omega: dict[str, Tensor], of: Loss) -> Any:
    return of({layer: output.detach() for layer, output in clean.items()}, adversarial, omega)


def varies(a: Tensor, b: Tensor) -> Tensor:
    """Per neuron, how far its outputs lie from their mean at each position, summed."""
    both = torch.cat([a, b])
    return (both - both.mean(0, keepdim=True)).abs().sum((0, 2))


def ratio(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    return ((a - b).abs().sum((0, 2)) / scale.clamp_min(1e-8)).mean()


relative = layered(lambda a, b: ratio(a, b, varies(a, b)), lambda v: v)


def uncorrelated(a: Tensor, b: Tensor) -> Tensor:
    """1 minus the correlation of each neuron's outputs for x and x', less their means at each position."""
    a, b = ((s - s.mean(0)).transpose(0, 1).flatten(1) for s in (a, b))
    norms = (a.square().sum(1) * b.square().sum(1) + 1e-20).sqrt()
    return (1 - (a * b).sum(1) / norms).mean()


def adversarial_loss(
    model: nn.Module, x: Tensor, y: Tensor, attack: Solution, weights: tuple[float, float] = (0.5, 0.5)
) -> Tensor:
    x_adv = attack(model, x, y)
    return weights[0] * F.cross_entropy(model(x), y) + weights[1] * F.cross_entropy(model(x_adv), y)


def relative_sensitivity(clean: Tensor, adversarial: Tensor) -> Tensor:
    return (clean - adversarial).abs().sum() / clean.abs().sum()


def worst_case(right: Tensor) -> float:
    return right.all(0).double().mean().item()


def margin_attack(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int = 20) -> Tensor:
    def lead(logits: Tensor, y: Tensor) -> Tensor:
        rival = logits.scatter(1, y[:, None], -torch.inf).amax(1)
        return (rival - logits.gather(1, y[:, None])[:, 0]).sum()

    x_adv = x
    for _ in range(steps):
        x_adv = x_adv + eps / 4 * gradient(model, x_adv, y, lead).sign()
        x_adv = x_adv.clamp(x - eps, x + eps).clamp(0, 1)
    return x_adv


RIGHT: list[tuple[Solution, Solution]] = [
    (ex.check_fgsm, fgsm),
    (ex.check_fgsm, sns.fgsm),
    (ex.check_step_ll, step_ll),
    (ex.check_step_ll, sns.step_ll),
    (ex.check_pgd, pgd),
    (ex.check_pgd, sns.pgd),
    (ex.check_neuron_sensitivity, sigma),
    (ex.check_top_neurons, top),
    (ex.check_top_neurons, lambda s, f: sns.top_neurons({"a": s}, fraction=f)["a"].tolist()),
    (ex.check_average_jaccard, average),
    (ex.check_average_jaccard, sns.average_jaccard),
    (ex.check_suppression, suppressed),
    (ex.check_helpful_neuron, helpful),
    (ex.check_helpful_neuron, lambda *args: torch.tensor(helpful(*args))),
    (ex.check_sns_loss, eq_9),
    (ex.check_sns_loss, partial(sns.sns_loss, reduction="sum")),
    (ex.check_adversarial_loss, adversarial_loss),
    (ex.check_relative_sensitivity, relative_sensitivity),
    (ex.check_relative_sensitivity, lambda a, b: relative_sensitivity(a, b).item()),
    (ex.check_worst_case_accuracy, worst_case),
    (ex.check_stronger_attack, margin_attack),
    (ex.check_stronger_attack, partial(sns.pgd, step_size=0.02, steps=50, random_start=True, restarts=5)),
    (ex.check_remedy_loss, relative),
    (ex.check_remedy_loss, partial(sns.sns_loss, reduction="image_relative")),
    (ex.check_remedy_loss, layered(uncorrelated, lambda v: v)),
]


def test_every_check_has_a_right_solution() -> None:
    assert {check for check, _ in RIGHT} == set(CHECKS)


@pytest.mark.parametrize(("check", "solution"), RIGHT)
def test_right_solutions_pass_and_the_random_state_stays(check: Solution, solution: Solution) -> None:
    state = torch.get_rng_state()
    assert check(solution).startswith("Right: ")
    assert torch.equal(torch.get_rng_state(), state)


def test_the_best_attack_leaves_nothing_and_a_better_one_is_told_what_is_left() -> None:
    assert "leaves 0% " in ex.check_stronger_attack(margin_attack)
    restarted = partial(sns.pgd, step_size=0.02, steps=50, random_start=True, restarts=5)
    assert "It can be 0%" in ex.check_stronger_attack(restarted)


# --- wrong solutions and what is said of them ---


def no_return(*args: Any) -> None:
    args[0]


def in_place(solution: Solution, which: int = 1) -> Solution:
    def spoiling(*args: Any) -> Any:
        result = solution(*args)
        args[which].add_(1)
        return result

    return spoiling


def leaving(what: Callable[[nn.Module, Tensor], object], solution: Solution = fgsm) -> Solution:
    """A solution that does something to the model or to x besides."""

    def careless(model: nn.Module, x: Tensor, *args: Any) -> Any:
        result = solution(model, x, *args)
        what(model, x)
        return result

    return careless


def backward(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    x_adv = x.clone().requires_grad_(True)
    F.cross_entropy(model(x_adv), y).backward()
    assert x_adv.grad is not None
    return (x + eps * x_adv.grad.sign()).clamp(0, 1)


def in_train_mode(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    model.train()
    x_adv = fgsm(model, x, y, eps)
    model.eval()
    return x_adv


def attached(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    x_adv = x.clone().requires_grad_(True)
    return x_adv + fgsm(model, x, y, eps) - x


def moved_first(model: nn.Module, x: Tensor, eps: float) -> Tensor:
    """Chooses the class on an image that has been moved already, not on the clean one."""
    moved = fgsm(model, x, model(x).argmax(1), eps)
    return (x - eps * gradient(model, x, model(moved).argmin(1)).sign()).clamp(0, 1)


def random_start(x: Tensor) -> Tensor:
    return (x + 0.1 * (2 * torch.rand_like(x) - 1)).clamp(0, 1)


def guessing(model: nn.Module, x: Tensor, y: Tensor, attack: Solution) -> Tensor:
    return F.cross_entropy(model(x), y) / 2 + F.cross_entropy(model(attack(model, x, model(x).argmax(1))), y) / 2


def guess_as_label(model: nn.Module, x: Tensor, y: Tensor, attack: Solution) -> Tensor:
    logits = model(attack(model, x, y))
    return (F.cross_entropy(model(x), y) + F.cross_entropy(logits, logits.argmax(1))) / 2


def weakened(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1)
    return x


def too_far_in_one_image(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    x_adv = margin_attack(model, x, y, eps)
    x_adv[7, 2, 0, 0] = x[7, 2, 0, 0] + 2 * eps
    return x_adv


def outside_in_one_image(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    x_adv = margin_attack(model, x, y, eps)
    x_adv[3, 0, 0, 0] = -0.05
    return x_adv


def total_variation(a: Tensor, b: Tensor) -> Tensor:
    """The summed change over how much all neurons together vary."""
    return (a - b).abs().sum() / varies(a, b).sum()


def off_centre(a: Tensor, b: Tensor) -> Tensor:
    """As ``relative``, but the mean at each position carries no gradient."""
    both = torch.cat([a, b])
    return ratio(a, b, (both - both.mean(0, keepdim=True).detach()).abs().sum((0, 2)))


def rooted(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((0, 2)).sqrt().sum()


WRONG: list[tuple[Solution, Solution, str]] = [
    # FGSM
    (ex.check_fgsm, no_return, r"returned nothing"),
    (ex.check_fgsm, lambda m, x, y, e: 3, r"should be a tensor, and it is a int"),
    (ex.check_fgsm, lambda *args: fgsm(*args)[:, :1], r"like x, .*\(4, 3, 5, 5\).*\(4, 1, 5, 5\)"),
    (ex.check_fgsm, lambda *args: fgsm(*args).double(), r"torch.float64"),
    (ex.check_fgsm, lambda *args: fgsm(*args) / 0, r"not finite"),
    (ex.check_fgsm, in_place(fgsm), r"^x was changed in place"),
    (ex.check_fgsm, in_place(fgsm, 2), r"^y was changed in place"),
    (ex.check_fgsm, leaving(lambda m, x: x.requires_grad_(True)), r"x is left with requires_grad"),
    (ex.check_fgsm, leaving(lambda m, x: m.train()), r"left in train mode"),
    (ex.check_fgsm, leaving(lambda m, x: m.requires_grad_(False)), r"requires_grad of the model's parameters"),
    (ex.check_fgsm, leaving(lambda m, x: m.fc.register_forward_hook(no_return)), r"a hook is left"),
    (ex.check_fgsm, backward, r"gradients are left in the model's parameters"),
    (ex.check_fgsm, in_train_mode, r"BatchNorm statistics were changed"),
    (ex.check_fgsm, attached, r"return x_adv\.detach\(\)"),
    (ex.check_fgsm, lambda m, x, y, e: x.clone(), r"the same as x"),
    (ex.check_fgsm, lambda m, x, y, e: x + e * gradient(m, x, y).sign(), r"from -0\.1 to 1\.1, .*\[0, 1\]"),
    (ex.check_fgsm, partial(fgsm, move=lambda g: g), r"Take the gradient's sign"),
    (ex.check_fgsm, partial(fgsm, move=lambda g: g / g.abs().amax()), r"Take the gradient's sign"),
    (ex.check_fgsm, partial(fgsm, move=lambda g: -g.sign()), r"wrong way.*plus eps"),
    (ex.check_fgsm, partial(fgsm, move=lambda g: g.sign() / 255), r"changes by 0\.000392.*no division by 255"),
    (ex.check_fgsm, partial(fgsm, move=lambda g: g.sign() * 255), r"a pixel changed by 1, .*use it as it is"),
    (ex.check_fgsm, partial(fgsm, of=lambda z, y: F.cross_entropy(z.softmax(1), y)), r"takes logits"),
    (ex.check_fgsm, partial(fgsm, of=lambda z, y: z.gather(1, y[:, None]).sum()), r"gradient of a logit"),
    (ex.check_fgsm, lambda m, x, y, e: fgsm(m, x, m(x).argmax(1), e), r"image 0 moves away from class.*labels y"),
    (ex.check_fgsm, lambda m, x, y, e: step_ll(m, x, e), r"moves toward class \d, .* away from class \d"),
    (ex.check_fgsm, lambda m, x, y, e: fgsm(m, x.flip(0), y, e).flip(0), r"moves|of the pixels move the right way"),
    (ex.check_fgsm, lambda m, x, y, e: (x + e).clamp(0, 1), r"% of the pixels move the right way"),
    # Step-LL
    (ex.check_step_ll, no_return, r"returned nothing"),
    (ex.check_step_ll, partial(step_ll, sign=1), r"wrong way.*minus eps"),
    (ex.check_step_ll, partial(step_ll, of=lambda z: z.argmax(1)), r"moves toward class.*argmin, not argmax"),
    (ex.check_step_ll, partial(step_ll, of=lambda z: z.argmax(1), sign=1), r"moves away from class.*toward class"),
    (ex.check_step_ll, partial(step_ll, of=lambda z: z.argsort(1)[:, 1]), r"lowest logit for the clean image"),
    (ex.check_step_ll, moved_first, r"lowest logit for the clean image"),
    (ex.check_step_ll, in_place(step_ll), r"^x was changed in place"),
    (ex.check_step_ll, lambda m, x, e: step_ll(m, x, e / 255), r"no division by 255"),
    # PGD
    (ex.check_pgd, partial(pgd, start=random_start), r"two calls .* differ"),
    (ex.check_pgd, partial(pgd, ball="never"), r"a pixel changed by 0\.16 in 4 steps of 0\.04.*around the clean x"),
    (ex.check_pgd, partial(pgd, ball="before"), r"a pixel changed by 0\.16 in 4 steps of 0\.04.*around the clean x"),
    (ex.check_pgd, partial(pgd, box="never"), r"live in \[0, 1\]"),
    (ex.check_pgd, partial(pgd, extra=-1), r"where 3 steps of 0\.04 lead, and 4"),
    (ex.check_pgd, partial(pgd, extra=1), r"where 5 steps of 0\.04 lead, and 4"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, y, e, a, 1), r"where 1 step of 0\.04 leads"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, y, e, a, 4), r"where 4 steps of 0\.04 lead, and 7"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, y, e, a, 10), r"where 10 steps of 0\.04"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, y, e, -a, k), r"do not subtract"),
    (ex.check_pgd, partial(pgd, move=lambda g: g), r"do not move by step_size.*sign"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, y, e, e, k), r"it should have length step_size"),
    (ex.check_pgd, partial(pgd, stale=True), r"take it at the current x'"),
    (ex.check_pgd, partial(pgd, ball="end", box="end"), r"into the eps ball and into \[0, 1\] only at the end"),
    (ex.check_pgd, partial(pgd, ball="end"), r"into the eps ball only at the end"),
    (ex.check_pgd, partial(pgd, box="end"), r"to \[0, 1\] only at the end"),
    (ex.check_pgd, lambda m, x, y, e, a, k: pgd(m, x, m(x).argmax(1), e, a, k), r"loss is that of predicted classes"),
    # Eq. 1
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).sum(2).mean(0), r"absolute value of the difference"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).sum(2).abs().mean(0), r"before summing positions"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).abs().mean((0, 2)), r"mean over positions"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).abs().sum((0, 2)), r"divides by their number N"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).abs().sum(2), r"one number per image and neuron"),
    (ex.check_neuron_sensitivity, lambda a, b: (a - b).abs().mean(0), r"one number per position"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).norm(dim=2).mean(0), r"L2 norm"),
    (ex.check_neuron_sensitivity, lambda a, b: positions(a - b).square().sum(2).mean(0), r"sum of squares"),
    (ex.check_neuron_sensitivity, lambda a, b: sigma(a, b).sum(), r"one number for the layer"),
    (ex.check_neuron_sensitivity, lambda a, b: sigma(a, b).tolist(), r"should be a tensor, and it is a list"),
    (ex.check_neuron_sensitivity, lambda a, b: sigma(a, b) + 1, r"result is \[.*\] of shape \(4,\) and should be"),
    (ex.check_neuron_sensitivity, in_place(sigma, 0), r"^clean was changed in place"),
    # Eq. 2
    (ex.check_top_neurons, lambda s, f: s[top(s, f)], r"return the indices of their neurons"),
    (ex.check_top_neurons, lambda s, f: top(-s, f), r"least sensitive"),
    (ex.check_top_neurons, lambda s, f: top(s, f).sort().values, r"in another order"),
    (ex.check_top_neurons, lambda s, f: top(s, f).flip(0), r"in reverse order"),
    (ex.check_top_neurons, lambda s, f: s.argsort(descending=True), r"an answer for every neuron"),
    (ex.check_top_neurons, lambda s, f: s > s.median(), r"an answer for every neuron"),
    (ex.check_top_neurons, lambda s, f: s.argsort(descending=True)[: round(f * len(s))], r"1\.6, so 1 .*round down"),
    (
        ex.check_top_neurons,
        lambda s, f: s.argsort(descending=True)[: -int(-f * len(s) // 1)],
        r"1\.6, so 1 .*round down",
    ),
    (ex.check_top_neurons, lambda s, f: s.argsort(descending=True)[: int(f * len(s))], r"always at least one"),
    (ex.check_top_neurons, lambda s, f: top(s.flip(0), f), r"result is .* and should be"),
    # Eq. 7
    (ex.check_average_jaccard, sns.total_jaccard, r"total Jaccard index"),
    (
        ex.check_average_jaccard,
        lambda sets: sum(len(a & b) / len(a | b) for a in sets for b in sets) / len(sets) ** 2,
        r"a set with itself",
    ),
    (
        ex.check_average_jaccard,
        lambda sets: 6 * average(sets) if len(sets) == 4 else 3 * average(sets),
        r"is the sum over",
    ),
    (
        ex.check_average_jaccard,
        lambda sets: average(sets) * (len(sets) - 1) / 2,
        r"number of sets|is 0|and should be",
    ),
    (ex.check_average_jaccard, lambda sets: 2 * average(sets), r"counted twice"),
    (ex.check_average_jaccard, partial(average, index=lambda a, b: len(a & b) / (len(a) + len(b))), r"sizes of both"),
    (ex.check_average_jaccard, partial(average, index=lambda a, b: len(a & b) / min(len(a), len(b))), r"smaller set"),
    (ex.check_average_jaccard, lambda sets: [0.5], r"should be one number, and it is a list"),
    (ex.check_average_jaccard, lambda sets: 0.25, r"and should be .* The sets are"),
    # suppression
    (ex.check_suppression, lambda m, layer, n, beta, x: m(x), r"the model as it is"),
    (ex.check_suppression, partial(suppressed, leave=True), r"a hook is left"),
    (ex.check_suppression, partial(suppressed, change=lambda o, n, beta: beta * o), r"all neurons are turned down"),
    (ex.check_suppression, partial(suppressed, change=spare), r"other neurons"),
    (
        ex.check_suppression,
        partial(suppressed, change=lambda o, n, beta: o.index_copy(0, n, beta * o[n])),
        r"images are turned down",
    ),
    (ex.check_suppression, partial(suppressed, change=put(lambda o, beta: beta)), r"set to beta"),
    (ex.check_suppression, partial(suppressed, change=put(lambda o, beta: (1 - beta) * o)), r"lose the share beta"),
    (
        ex.check_suppression,
        partial(suppressed, change=put(lambda o, beta: o - beta)),
        r"only they are to be multiplied",
    ),
    # the most helpful neuron
    (ex.check_helpful_neuron, partial(helpful, best=min), r"helps least"),
    (ex.check_helpful_neuron, most_sensitive, r"most sensitive neuron"),
    (ex.check_helpful_neuron, lambda *args: (helpful(*args) + 2) % 8, r"Suppress every neuron"),
    (ex.check_helpful_neuron, lambda *args: 0.75, r"0\.75 is no neuron"),
    (ex.check_helpful_neuron, lambda *args: 8, r"8 is no neuron"),
    (ex.check_helpful_neuron, partial(helpful, leave=True), r"a hook is left"),
    # Eq. 9
    (ex.check_sns_loss, layered(lambda a, b: (a - b).abs().sum((1, 2)), torch.sum), r"average over the batch"),
    (ex.check_sns_loss, partial(everyone, of=eq_9), r"all neurons are counted"),
    (ex.check_sns_loss, layered(lambda a, b: (a - b).sum((1, 2))), r"gains and losses"),
    (ex.check_sns_loss, sns.sns_loss, r"mean over neurons and positions"),
    (ex.check_sns_loss, partial(sns.sns_loss, reduction="space_mean"), r"mean over positions: the L1"),
    (ex.check_sns_loss, layered(lambda a, b: (a - b).abs().sum(2).mean(1)), r"mean over neurons: Eq"),
    (
        ex.check_sns_loss,
        layered(lambda a, b: (a - b).abs().sum((1, 2)), add=lambda v: sum(v) / 2),
        r"mean over the layers",
    ),
    (ex.check_sns_loss, layered(lambda a, b: (a - b).abs().sum((1, 2)), add=lambda v: v[0]), r"only the first layer"),
    (ex.check_sns_loss, layered(lambda a, b: (a - b).abs().sum((1, 2)), add=lambda v: v[-1]), r"only the last layer"),
    (ex.check_sns_loss, layered(lambda a, b: (a - b).square().sum((1, 2))), r"sum of squares"),
    (
        ex.check_sns_loss,
        layered(lambda a, b: (a - b).abs().sum(2), lambda v: v.mean(0), lambda v: v[0]),
        r"one number, .*\(3,\)",
    ),
    (ex.check_sns_loss, lambda *args: eq_9(*args).item(), r"carries no gradient"),
    (ex.check_sns_loss, lambda *args: eq_9(*args).detach(), r"carries no gradient"),
    (ex.check_sns_loss, partial(detached, of=eq_9), r"both recordings have to carry it"),
    # L_adv
    (ex.check_adversarial_loss, partial(adversarial_loss, weights=(1, 0)), r"only the clean"),
    (ex.check_adversarial_loss, partial(adversarial_loss, weights=(0, 1)), r"only the adversarial"),
    (ex.check_adversarial_loss, partial(adversarial_loss, weights=(1, 1)), r"sum of the two"),
    (ex.check_adversarial_loss, partial(adversarial_loss, weights=(2, 2)), r"sum over the images"),
    (ex.check_adversarial_loss, guessing, r"give it the labels y"),
    (ex.check_adversarial_loss, guess_as_label, r"its label is y"),
    (ex.check_adversarial_loss, lambda *args: adversarial_loss(*args).item(), r"carries no gradient"),
    (ex.check_adversarial_loss, lambda *args: adversarial_loss(*args).backward(), r"gradients are left"),
    (ex.check_adversarial_loss, partial(adversarial_loss, weights=(0.7, 0.3)), r"mean of two cross-entropies"),
    # relative sensitivity
    (ex.check_relative_sensitivity, lambda a, b: ((a - b).sum() / a.abs().sum()).abs(), r"gains and losses"),
    (ex.check_relative_sensitivity, lambda a, b: (a - b).abs().sum() / a.sum(), r"above and below 0 cancel"),
    (ex.check_relative_sensitivity, lambda a, b: (a - b).abs().sum() / b.abs().sum(), r"output for x'"),
    (
        ex.check_relative_sensitivity,
        lambda a, b: (positions(a - b).abs().sum((0, 2)) / positions(a).abs().sum((0, 2))).mean(),
        r"neurons' ratios",
    ),
    (
        ex.check_relative_sensitivity,
        lambda a, b: (positions(a - b).abs().sum((1, 2)) / positions(a).abs().sum((1, 2))).mean(),
        r"images' ratios",
    ),
    (ex.check_relative_sensitivity, lambda a, b: a.abs().sum() / (a - b).abs().sum(), r"upside down"),
    (ex.check_relative_sensitivity, lambda a, b: (a - b).abs().sum(), r"the change alone"),
    (ex.check_relative_sensitivity, lambda a, b: ((a - b).abs() / a.abs()).mean(), r"divided by another"),
    # the worst case
    (ex.check_worst_case_accuracy, lambda r: r.double().mean(1).min(), r"lowest accuracy of one attack"),
    (ex.check_worst_case_accuracy, lambda r: r.double().mean(), r"mean over the attacks"),
    (ex.check_worst_case_accuracy, lambda r: r.any(0).double().mean(), r"all have to"),
    (ex.check_worst_case_accuracy, lambda r: r.all(0).sum(), r"number of images"),
    (ex.check_worst_case_accuracy, lambda r: r.all(1).double().mean(), r"attacks are counted"),
    (ex.check_worst_case_accuracy, lambda r: 1 - worst_case(r), r"images that are lost"),
    (ex.check_worst_case_accuracy, lambda r: bool(r.all()), r"one number, and it is a bool"),
    (ex.check_worst_case_accuracy, lambda r: 0.5, r"a column is an image"),
    # a stronger attack
    (ex.check_stronger_attack, partial(sns.pgd, step_size=0.01, steps=10), r"gradient of its loss"),
    (ex.check_stronger_attack, partial(sns.pgd, step_size=0.01, steps=100), r"gradient of its loss"),
    (ex.check_stronger_attack, lambda m, x, y, e: x.clone(), r"leaves 100% .*PGD \d\d%"),
    (
        ex.check_stronger_attack,
        lambda m, x, y, e: margin_attack(m, x, y, 2 * e),
        r"image 0 changed by 0\.2, more than eps",
    ),
    (ex.check_stronger_attack, too_far_in_one_image, r"image 7 changed by 0\.2"),
    (ex.check_stronger_attack, outside_in_one_image, r"image 3 of x' has values from -0\.05"),
    (ex.check_stronger_attack, weakened, r"weights or BatchNorm statistics were changed"),
    (ex.check_stronger_attack, lambda m, x, y, e: margin_attack(m, x, y, e)[:5], r"should be like x"),
    # a remedy
    (ex.check_remedy_loss, eq_9, r"falls .* when neuron 2 of conv outputs a hundredth"),
    (ex.check_remedy_loss, sns.sns_loss, r"falls .* outputs a hundredth"),
    (ex.check_remedy_loss, layered(lambda a, b: ratio(a, b, a.abs().sum((0, 2))), lambda v: v), r"outputs 10 more"),
    (ex.check_remedy_loss, layered(total_variation, lambda v: v), r"falls .* outputs"),
    (ex.check_remedy_loss, partial(sns.sns_loss, reduction="relative"), r"falls .* of conv outputs a pattern"),
    (
        ex.check_remedy_loss,
        layered(lambda a, b: ratio(a, b, varies(a, b).detach()), lambda v: v),
        r"scaling a neuron .* a part of the loss detached",
    ),
    (ex.check_remedy_loss, layered(off_centre, lambda v: v), r"shifting each position .* a part of the loss detached"),
    (ex.check_remedy_loss, partial(detached, of=relative), r"a part of the loss detached"),
    (ex.check_remedy_loss, partial(everyone, of=relative), r"outside of omega"),
    (
        ex.check_remedy_loss,
        layered(lambda a, b: ((a - b).abs().sum((0, 2)) / varies(a, b)).mean(), lambda v: v),
        r"result is nan",
    ),
    (ex.check_remedy_loss, layered(rooted, lambda v: v), r"gradient is not finite"),
    (ex.check_remedy_loss, lambda a, b, omega: 0 * eq_9(a, b, omega), r"it should|should be less, not 0"),
    (
        ex.check_remedy_loss,
        lambda a, b, omega: 1 + relative(a, b, omega),
        r"the same for x' as for x, and the loss is 1",
    ),
    (ex.check_remedy_loss, lambda a, b, omega: -relative(a, b, omega), r"half as far"),
    (ex.check_remedy_loss, lambda a, b, omega: relative(a, b, omega).item(), r"carries no gradient"),
]


@pytest.mark.parametrize(("check", "solution", "message"), WRONG)
def test_each_mistake_has_its_message(check: Solution, solution: Solution, message: str) -> None:
    with pytest.raises(ExerciseError) as caught:
        check(solution)
    assert re.search(message, str(caught.value)), str(caught.value)


# --- no wrong solution passes ---


def mutated(solution: Solution, seed: int) -> Solution:
    """The solution with a result that is off in one place, or shuffled, or a little too large or too small."""
    generator = torch.Generator().manual_seed(seed)

    def pick(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    def mutant(*args: Any) -> Any:
        result = solution(*args)
        if isinstance(result, int):
            return (result + 1 + pick(7)) % 8
        if isinstance(result, float) or result.ndim == 0:
            return result * (0.9, 0.99, 1.01, 1.1)[pick(4)]
        if len(result) > 1 and pick(2):
            return result.roll(1 + pick(len(result) - 1), 0)
        result = result.clone()
        place = tuple(pick(n) for n in result.shape)
        if result.is_floating_point():
            result[place] += 0.01 if result[place] < 0.5 else -0.01
        else:
            result[place] = (result[place] + 1) % 8
        return result

    return mutant


EXACT = [
    (check, solution) for check, solution in RIGHT if check not in (ex.check_stronger_attack, ex.check_remedy_loss)
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("check", "solution"), dict(reversed(EXACT)).items())
def test_mutants_never_pass(check: Solution, solution: Solution, seed: int) -> None:
    with pytest.raises(ExerciseError):
        check(mutated(solution, seed))


@pytest.mark.parametrize("seed", range(4))
def test_blind_attacks_and_rewards_for_silence_never_pass(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def blind(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return (x + eps * (2 * torch.randint(0, 2, x.shape, generator=generator) - 1)).clamp(0, 1)

    with pytest.raises(ExerciseError, match="the paper's PGD"):
        ex.check_stronger_attack(blind)
    weight = 0.02 + torch.rand((), generator=generator).item()
    with pytest.raises(ExerciseError, match=r"falls .* outputs|its gradient"):
        ex.check_remedy_loss(lambda *args: relative(*args) + weight * eq_9(*args))


def test_the_rules_of_the_contest() -> None:
    model, x, y = tasks.overconfident_task()
    assert ex.attacked_accuracy(lambda m, x, y, eps: x, model, x, y, 0.1) == 1
    assert ex.attacked_accuracy(margin_attack, model, x, y, 0.1) == 0
    assert 0 < ex.attacked_accuracy(margin_attack, model, x, y, 0.05) < 1
    with pytest.raises(ExerciseError, match="more than eps"):
        ex.attacked_accuracy(lambda m, x, y, eps: margin_attack(m, x, y, 0.1), model, x, y, 0.099)


def test_every_class_is_at_stake_in_the_tasks_of_attacks_and_no_gradient_is_near_0() -> None:
    for model, x, y, _ in tasks.attack_tasks():
        least_likely, guess = sns.least_likely_class(model, x), model(x).argmax(1)
        assert (guess == y).tolist() == [False] + (len(x) - 1) * [True]
        assert (least_likely != y).all()
        assert (least_likely != guess).all()
        assert (x == 0).any()
        assert (x == 1).any()
        for classes in (y, least_likely):
            size = gradient(model, x, classes).abs()
            blind = bool((size[:, 2] == 0).all())
            seen = size[:, :2] if blind else size
            assert (seen.amin((1, 2, 3)) > 1e-5 * seen.amax((1, 2, 3))).all()
    assert blind, "the last network does not look at one channel"


@pytest.mark.parametrize(
    ("seed", "channels", "images", "layer", "beta"),
    [(43, 8, 24, "hidden", 0.0), (26, 6, 30, "hidden", 0.5), (367, 7, 20, "hidden.0", 0.0)],
)
def test_one_neuron_helps_clearly_more_than_all_others(
    seed: int, channels: int, images: int, layer: str, beta: float
) -> None:
    model, x_adv, y, sensitive = tasks.misled_task(seed, channels, images, layer)

    def right(layer: str, beta: float) -> list[int]:
        found = []
        for neuron in range(channels):
            with sns.suppress(model, {layer: [neuron]}, beta):
                found.append(int((model(x_adv).argmax(1) == y).sum()))
        return found

    counts = right(layer, beta)
    first, second = sorted(counts, reverse=True)[:2]
    best = counts.index(first)
    assert first >= second + 2
    assert sensitive not in (best, counts.index(min(counts)))
    if beta > 0:
        off = right(layer, 0.0)
        assert best == 0
        assert off.index(max(off)) != best
    if layer != "hidden":
        block = right("hidden", beta)
        assert best == channels - 1
        assert block.index(max(block)) != best


def test_an_error_in_a_notebook_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.run_cell("from snslib.exercises import check_fgsm\ncheck_fgsm(lambda model, x, y, eps: None)")
    printed = capsys.readouterr().out
    assert "ExerciseError: the function returned nothing" in printed
    assert "Traceback" not in printed


# --- the chapters ---


def python_of(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)\n```$", text, re.M | re.S)


def in_the_notebook() -> dict[str, Any]:
    """What the code of exercises for a chapter's notebook finds there, as small as can be."""
    torch.manual_seed(0)
    convs = OrderedDict(conv1=nn.Conv2d(3, 8, 4, stride=4), conv13=nn.Conv2d(8, 8, 4, stride=4))
    model = nn.Sequential(convs | OrderedDict(flat=nn.Flatten(), fc=nn.Linear(32, 10))).eval()
    test = Split(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), torch.tensor([0, 1, 2, 3]))
    x, y = to_float(test.images), test.labels
    run = SimpleNamespace(eps=0.1, step_size=0.01, steps=2, fraction=0.1, device="cpu")
    networks = SimpleNamespace(
        model=lambda defense: model,
        test=test,
        conv_layers=("conv1", "conv13"),
        attacks=sns.paper_attacks(run.eps, run.step_size, run.steps),
    )
    sigma = {
        "vanilla": {"conv1": [3.0, 1.0], "conv13": [2.0, 2.0]},
        "pat": {"conv1": [1.0, 1.0], "conv13": [1.0, 0.5]},
    }
    sensitivity = {defense: Record("sensitivity", {"sigma": of_layers}, {}) for defense, of_layers in sigma.items()}
    given = {"networks": networks, "run": run, "vanilla": model, "x": x, "y": y, "eps": run.eps}
    return {**given, "sensitivity": sensitivity, "layers": ["conv1", "conv13"], "sns": sns, "torch": torch}


def test_each_of_the_seven_chapters_has_goals_and_exercises_from_quick_to_open() -> None:
    assert [path.name[:2] for path in CHAPTERS] == ["01", "02", "03", "04", "05", "06", "07"]
    for path in CHAPTERS:
        goals = chapters.read(path).cells[1].source
        assert goals.startswith("## Learning goals\n")
        assert 3 <= len(re.findall(r"^- ", goals, re.M)) <= 5
        found = chapters.exercises(path)
        assert [exercise.number for exercise in found] == [f"{path.name[1]}.{n}" for n in range(1, len(found) + 1)]
        assert 2 <= len(found) <= 4
        assert "open" in found[-1].kind
        for exercise in found:
            for tag in ("Hint", "Solution"):
                (folded,) = exercise.tagged(tag.lower())
                assert folded.startswith(f"<details><summary>{tag}</summary>\n\n")
                assert folded.endswith("\n\n</details>")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_code_of_exercises_runs_and_their_solutions_pass(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = in_the_notebook()
    for exercise in chapters.exercises(path):
        for cell in exercise.cells:
            if cell.cell_type == "code":
                stub = ast.parse(cell.source)
                check = stub.body[-1]
                unsolved = eval(compile(ast.Expression(check.value), "check", "eval"), executed(cell.source))
                assert unsolved == f"Exercise {exercise.number}: not solved yet."
                continue
            for code in python_of(cell.source):
                if code.startswith("# In the notebook of this chapter\n"):
                    exec(code, notebook)
                else:
                    notebook |= executed(code)


def executed(code: str) -> dict[str, Any]:
    """The names that code defines which runs by itself."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace


def test_a_check_takes_a_stub_for_one_and_nothing_else() -> None:
    def documented(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return x

    def stub(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor: ...

    assert ex.check_fgsm(stub) == "Exercise 1.1: not solved yet."
    assert ex.check_fgsm.__name__ == "check_fgsm"
    for wrong in (documented, no_return, lambda model, x, y, eps: None):
        with pytest.raises(ExerciseError):
            ex.check_fgsm(wrong)


def test_every_check_is_used_by_an_exercise_and_its_solution() -> None:
    for tag in ("exercise", "solution"):
        code = "\n".join("\n".join(e.tagged(tag)) for path in CHAPTERS for e in chapters.exercises(path))
        assert {check.__name__ for check in CHECKS} == set(re.findall(r"^(check_\w+)\(", code, re.M))

"""Right solutions pass however they are written: in place, with loops, with einsum, in another order or precision."""

import copy
from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import exercises as ex

Solution = Callable[..., Any]


# --- attacks ---


def fgsm_image_by_image(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    images = []
    for image, label in zip(x, y, strict=True):
        at = image[None].clone().requires_grad_(True)
        loss = -model(at).log_softmax(1)[0, label]
        images.append((image + eps * torch.autograd.grad(loss, at)[0][0].sign()).clip(0, 1))
    return torch.stack(images)


def fgsm_in_place(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    x_adv = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x_adv), y), [x_adv])
    with torch.no_grad():
        x_adv += eps * gradient.sign_()
        x_adv.clamp_(0, 1)
    return x_adv.detach()


def fgsm_on_a_copy(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    model, x_adv = copy.deepcopy(model).double(), x.double().requires_grad_(True)
    F.nll_loss(F.log_softmax(model(x_adv), dim=1), y).backward()
    assert x_adv.grad is not None
    moved = x + eps * torch.sign(x_adv.grad.float())
    return torch.minimum(torch.maximum(moved, torch.zeros_like(x)), torch.ones_like(x))


def fgsm_functional(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    def loss(x: Tensor) -> Tensor:
        logits = model(x)
        return (logits.logsumexp(1) - logits[torch.arange(len(y)), y]).sum()

    gradient = torch.func.grad(loss)(x)
    step = torch.where(gradient > 0, eps, torch.where(gradient < 0, -eps, 0.0))
    return (x + step).clamp(min=0.0).clamp(max=1.0)


def step_ll_by_sorting(model: nn.Module, x: Tensor, eps: float) -> Tensor:
    target = model(x).softmax(1).sort(1).indices[:, 0].detach()
    at = x.detach().clone().requires_grad_(True)
    loss = F.cross_entropy(model(at), F.one_hot(target, 5).float())
    return torch.clamp(x - torch.sign(torch.autograd.grad(loss, at)[0]) * eps, 0, 1)


def step_ll_in_place(model: nn.Module, x: Tensor, eps: float) -> Tensor:
    at = x.clone().requires_grad_()
    logits = model(at)
    loss = logits.log_softmax(1).gather(1, logits.min(1, keepdim=True).indices).mean()
    return x.clone().add_(torch.autograd.grad(loss, at)[0].sign(), alpha=eps).clamp_(0, 1)


def pgd_by_its_change(model: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Tensor:
    delta = torch.zeros_like(x)
    for _ in range(steps):
        delta.requires_grad_(True)
        gradient = torch.autograd.grad(F.cross_entropy(model(x + delta), y), delta)[0]
        delta = (delta.detach() + step_size * gradient.sign()).clamp(-eps, eps)
        delta = (x + delta).clamp(0, 1) - x
    return x + delta


def pgd_in_place(model: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Tensor:
    low, high, x_adv, step = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1), x.clone(), 0
    while step < steps:
        with torch.enable_grad():
            x_adv.requires_grad_(True)
            loss = F.nll_loss(model(x_adv).log_softmax(-1), y, reduction="sum")
            gradient = torch.autograd.grad(loss, x_adv)[0]
        x_adv = x_adv.detach()
        x_adv.add_(step_size * gradient.sign())
        torch.maximum(torch.minimum(x_adv, high), low, out=x_adv)
        step += 1
    return x_adv.detach()


# --- recordings and sets ---


def sigma_with_loops(clean: Tensor, adversarial: Tensor) -> Tensor:
    sigma = torch.zeros(clean.shape[1])
    for a, b in zip(clean, adversarial, strict=True):
        for neuron in range(len(sigma)):
            sigma[neuron] += (a[neuron] - b[neuron]).abs().sum() / len(clean)
    return sigma


def sigma_with_einsum(clean: Tensor, adversarial: Tensor) -> Tensor:
    return torch.einsum("nc...->c...", (clean - adversarial).abs()).reshape(clean.shape[1], -1).sum(1) / len(clean)


def sigma_with_a_norm(clean: Tensor, adversarial: Tensor) -> Tensor:
    change = (clean.double() - adversarial.double()).flatten(1).view(len(clean), clean.shape[1], -1)
    return torch.linalg.vector_norm(change, ord=1, dim=2).mean(dim=0)


def top_in_python(sigma: Tensor, fraction: float) -> list[int]:
    values = sigma.tolist()
    order = sorted(range(len(values)), key=lambda neuron: -values[neuron])
    return order[: max(1, int(len(values) * fraction // 1))]


def top_of_the_last_first(sigma: Tensor, fraction: float) -> Tensor:
    """Of equal ones the last comes first, which is as good."""
    order = sigma.flip(0).argsort(descending=True, stable=True)
    return len(sigma) - 1 - order[: max(1, int(fraction * len(sigma)))]


def jaccard_in_both_orders(sets: list[set[int]]) -> float:
    total = count = 0.0
    for i, j in product(range(len(sets)), repeat=2):
        if i != j:
            total += len(sets[i].intersection(sets[j])) / len(sets[i].union(sets[j]))
            count += 1
    return total / count


def jaccard_as_tensor(sets: list[set[int]]) -> Tensor:
    common = [(len(a & b), len(a) + len(b)) for a, b in combinations(sets, 2)]
    return torch.tensor([both / (sizes - both) for both, sizes in common]).mean()


def relative_with_loops(clean: Tensor, adversarial: Tensor) -> float:
    change = sum(abs(a - b) for a, b in zip(clean.flatten().tolist(), adversarial.flatten().tolist(), strict=True))
    return change / sum(abs(a) for a in clean.flatten().tolist())


def worst_case_in_python(right: Tensor) -> float:
    return sum(all(image) for image in right.T.tolist()) / right.shape[1]


# --- neurons turned down ---


def suppressed_by_a_mask(model: nn.Module, layer: str, neurons: Tensor, beta: float, x: Tensor) -> Tensor:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        factors = torch.ones(output.shape[1])
        factors[neurons] = beta
        return torch.einsum("nchw,c->nchw", output, factors)

    with model.get_submodule(layer).register_forward_hook(hook):
        return model(x)


def suppressed_in_place(model: nn.Module, layer: str, neurons: Tensor, beta: float, x: Tensor) -> Tensor:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        for neuron in neurons.tolist():
            output[:, neuron] *= beta

    handle = dict(model.named_modules())[layer].register_forward_hook(hook)
    try:
        with torch.inference_mode():
            return model(x).clone()
    finally:
        handle.remove()


def suppressed_in_a_copy(model: nn.Module, layer: str, neurons: Tensor, beta: float, x: Tensor) -> Tensor:
    model = copy.deepcopy(model)
    chosen = torch.isin(torch.arange(100), neurons)

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return torch.where(chosen[: output.shape[1], None, None], beta * output, output)

    model.get_submodule(layer).register_forward_hook(hook)
    return model(x)


def helpful_by_key(model: nn.Module, x_adv: Tensor, y: Tensor, layer: str, beta: float) -> Tensor:
    sizes = []
    with model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[1])):
        model(x_adv)

    def accuracy(neuron: int) -> float:
        logits = suppressed_by_a_mask(model, layer, torch.tensor([neuron]), beta, x_adv)
        return (logits.argmax(1) == y).float().mean().item()

    return torch.tensor(max(range(sizes[0]), key=accuracy))


# --- losses ---

Recordings = dict[str, Tensor]


def sns_with_loops(clean: Recordings, adversarial: Recordings, omega: Recordings) -> Tensor:
    images = len(next(iter(clean.values())))
    losses = []
    for image, (layer, neurons) in product(range(images), omega.items()):
        losses += [(clean[layer][image, m] - adversarial[layer][image, m]).abs().sum() for m in neurons.tolist()]
    return torch.stack(losses).sum() / images


def sns_with_l1_loss(clean: Recordings, adversarial: Recordings, omega: Recordings) -> Tensor:
    total = torch.zeros(1)
    for layer in omega:
        a, b = (side[layer].index_select(1, omega[layer]).double() for side in (clean, adversarial))
        total = total + F.l1_loss(a, b, reduction="sum") / a.shape[0]
    return total


def adversarial_in_one_batch(model: nn.Module, x: Tensor, y: Tensor, attack: Solution) -> Tensor:
    return F.cross_entropy(model(torch.cat([x, attack(model, x, y)])), y.repeat(2))


def adversarial_image_by_image(model: nn.Module, x: Tensor, y: Tensor, attack: Solution) -> Tensor:
    loss = torch.zeros(())
    for images in (attack(model, x, y), x):
        for image, label in zip(images, y, strict=True):
            loss -= model(image[None]).log_softmax(1)[0, label] / (2 * len(y))
    return loss


RIGHT: list[tuple[Solution, Solution]] = [
    (ex.check_fgsm, fgsm_image_by_image),
    (ex.check_fgsm, fgsm_in_place),
    (ex.check_fgsm, fgsm_on_a_copy),
    (ex.check_fgsm, fgsm_functional),
    (ex.check_step_ll, step_ll_by_sorting),
    (ex.check_step_ll, step_ll_in_place),
    (ex.check_pgd, pgd_by_its_change),
    (ex.check_pgd, pgd_in_place),
    (ex.check_neuron_sensitivity, sigma_with_loops),
    (ex.check_neuron_sensitivity, sigma_with_einsum),
    (ex.check_neuron_sensitivity, sigma_with_a_norm),
    (ex.check_top_neurons, top_in_python),
    (ex.check_top_neurons, top_of_the_last_first),
    (ex.check_top_neurons, lambda sigma, fraction: sigma.topk(max(1, int(fraction * len(sigma)))).indices),
    (ex.check_top_neurons, lambda sigma, fraction: np.argsort(-sigma.numpy())[: max(1, int(fraction * len(sigma)))]),
    (ex.check_average_jaccard, jaccard_in_both_orders),
    (ex.check_average_jaccard, jaccard_as_tensor),
    (ex.check_suppression, suppressed_by_a_mask),
    (ex.check_suppression, suppressed_in_place),
    (ex.check_suppression, suppressed_in_a_copy),
    (ex.check_helpful_neuron, helpful_by_key),
    (ex.check_helpful_neuron, lambda *args: np.int64(helpful_by_key(*args).item())),
    (ex.check_sns_loss, sns_with_loops),
    (ex.check_sns_loss, sns_with_l1_loss),
    (ex.check_adversarial_loss, adversarial_in_one_batch),
    (ex.check_adversarial_loss, adversarial_image_by_image),
    (ex.check_relative_sensitivity, relative_with_loops),
    (ex.check_relative_sensitivity, lambda clean, adversarial: (clean - adversarial).norm(p=1) / clean.norm(p=1)),
    (ex.check_relative_sensitivity, lambda clean, adversarial: F.l1_loss(clean, adversarial) / clean.abs().mean()),
    (ex.check_worst_case_accuracy, worst_case_in_python),
    (ex.check_worst_case_accuracy, lambda right: right.numpy().all(0).astype(np.float32).mean()),
    (ex.check_worst_case_accuracy, lambda right: right.float().prod(0).mean()),
    (ex.check_worst_case_accuracy, lambda right: 1 - (~right).any(dim=0).float().mean().item()),
]


@pytest.mark.parametrize(("check", "solution"), RIGHT)
def test_a_right_solution_passes_in_any_style(check: Solution, solution: Solution) -> None:
    assert check(solution).startswith("Right: ")

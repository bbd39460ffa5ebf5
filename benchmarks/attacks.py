"""Attacks: images per second of snslib, other libraries, and the attack written plainly. Results are compared first."""

import copy
import importlib
import os
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from setting import model_and_images
from timing import interleaved, row
from torch import Tensor, nn

import snslib as sns
from snslib.precision import has_bfloat16, in_tf32

EPS, STEP_SIZE, STEPS = 8 / 255, 0.8 / 255, 10
Attack = Callable[[], Tensor]


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per width, attack and library; "faster" is against the attack written plainly.

    "same_pixels" is the share of pixel values that agree with it, "loss" the mean loss that the attack reached. After
    ten sign steps rounding errors alone make pixels differ, so that it is in float64 that snslib has to give the same.
    On a GPU all may round to TF32, as PyTorch's convolutions do by default, but what says float32 or bfloat16.
    """
    with in_tf32(torch.device(device)):
        return _rows(device, quick)


def _rows(device: str, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for width, n, rounds in ((1 / 16, 8, 1),) if quick else ((1 / 4, 128, 7), (1.0, 128 if device != "cpu" else 32, 5)):
        model, x, y = model_and_images("vgg16", width, n, device)
        compiled = cast(nn.Module, torch.compile(model, mode="reduce-overhead")) if x.is_cuda else None
        for attack in ("PGD-10", "MI-FGSM-10", "FGSM"):
            candidates = _candidates(attack, model, compiled, x, y)
            results = {name: run() for name, run in candidates.items()}
            seconds = interleaved(candidates, rounds, device)
            _check_in_float64(attack, model, x[:8], y[:8])
            for name, result in results.items():
                same = _same(result, results["plain loop"])
                about: dict[str, Any] = {"width": width, "images": n, "attack": attack, "library": name}
                about |= {"same_pixels": round(same, 4), "loss": round(_loss(model, result, y), 4)}
                rows.append(row(seconds[name], seconds["plain loop"], **about))
                rows[-1]["images_per_second"] = round(n / rows[-1]["seconds"], 1)
                print(rows[-1], flush=True)
    return rows


@torch.no_grad()
def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return F.cross_entropy(model(x), y).item()


def _same(one: Tensor, other: Tensor) -> float:
    return ((one - other).abs() < 1e-5).double().mean().item()


def _check_in_float64(attack: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    exact, generator = copy.deepcopy(model).double(), torch.Generator().manual_seed(0)
    # Where an image is flat, max-pooling ties, and the last bit decides where the gradient goes.
    noise = torch.rand(x.shape, generator=generator, dtype=torch.float64).to(x.device)
    x = (x.double() + noise) / 2
    same = _same(_ours(attack, exact, x, y)(), plain(attack, exact, x, y))
    if same < 0.999:
        raise ValueError(f"{attack}: in float64 only {100 * same:.2f}% of the pixels agree with the plain loop's")


def _ours(attack: str, model: nn.Module, x: Tensor, y: Tensor, precision: str = "float32") -> Attack:
    return {
        "PGD-10": lambda: sns.pgd(model, x, y, EPS, STEP_SIZE, STEPS, precision=precision),
        "MI-FGSM-10": lambda: sns.mi_fgsm(model, x, y, EPS, STEP_SIZE, STEPS, precision=precision),
        "FGSM": lambda: sns.fgsm(model, x, y, EPS, precision=precision),
    }[attack]


def _candidates(attack: str, model: nn.Module, compiled: nn.Module | None, x: Tensor, y: Tensor) -> dict[str, Attack]:
    candidates = {
        "plain loop": lambda: plain(attack, model, x, y),
        "snslib": _ours(attack, model, x, y, "tf32"),  # on a CPU that is float32
    }
    if compiled is not None:
        candidates["snslib, compiled"] = _ours(attack, compiled, x, y, "tf32")
        candidates["snslib, float32"] = _ours(attack, model, x, y)
        candidates["snslib, no graph"] = _without_graph(candidates["snslib"])
    if has_bfloat16(x.device.type):
        candidates["snslib, bfloat16"] = _ours(attack, model, x, y, "bfloat16")
        if compiled is not None:
            candidates["snslib, bfloat16, compiled"] = _ours(attack, compiled, x, y, "bfloat16")
    for library, make in {"torchattacks": _torchattacks, "foolbox": _foolbox, "art": _art}.items():
        try:
            importlib.import_module(library)
        except ImportError as error:
            print(f"{library} is left out: {error}", flush=True)
            continue
        if run := make(attack, model, x, y):
            candidates[library] = run
    return candidates


def _without_graph(run: Attack) -> Attack:
    def each_operation() -> Tensor:
        os.environ["SNSLIB_GRAPHS"] = "0"
        try:
            return run()
        finally:
            del os.environ["SNSLIB_GRAPHS"]

    return each_operation


def plain(attack: str, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The attack as a tutorial writes it."""
    steps, step_size = (1, EPS) if attack == "FGSM" else (STEPS, STEP_SIZE)
    x_adv, direction = x.clone(), torch.zeros_like(x)
    for _ in range(steps):
        x_adv.requires_grad_(True)
        loss = F.cross_entropy(model(x_adv), y, reduction="sum")
        gradient = torch.autograd.grad(loss, x_adv)[0]
        if attack == "MI-FGSM-10":
            direction = direction + gradient / gradient.abs().sum(dim=(1, 2, 3), keepdim=True)
            gradient = direction
        x_adv = x_adv.detach() + step_size * gradient.sign()
        x_adv = torch.min(torch.max(x_adv, x - EPS), x + EPS).clamp(0, 1)
    return x_adv


def _torchattacks(attack: str, model: nn.Module, x: Tensor, y: Tensor) -> Attack:
    import torchattacks

    run = {
        "PGD-10": lambda: torchattacks.PGD(model, EPS, STEP_SIZE, STEPS, random_start=False),
        "MI-FGSM-10": lambda: torchattacks.MIFGSM(model, EPS, STEP_SIZE, STEPS, decay=1.0),
        "FGSM": lambda: torchattacks.FGSM(model, EPS),
    }[attack]()
    return lambda: run(x, y)


def _foolbox(attack: str, model: nn.Module, x: Tensor, y: Tensor) -> Attack | None:
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
    if attack == "MI-FGSM-10":
        return None  # foolbox accumulates signs: another attack
    run = (
        foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False)
        if attack == "PGD-10"
        else foolbox.attacks.FGSM()
    )
    return lambda: run(wrapped, x, y, epsilons=EPS)[1]


def _art(attack: str, model: nn.Module, x: Tensor, y: Tensor) -> Attack:
    from art.attacks.evasion import FastGradientMethod, MomentumIterativeMethod, ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    kind = "gpu" if x.is_cuda else "cpu"
    summed = nn.CrossEntropyLoss(reduction="sum")
    estimator = PyTorchClassifier(model, summed, tuple(x.shape[1:]), 10, clip_values=(0, 1), device_type=kind)
    common: dict[str, Any] = {"eps": EPS, "batch_size": len(x)}
    iterative = {"eps_step": STEP_SIZE, "max_iter": STEPS, "verbose": False}
    run = {
        "PGD-10": lambda: ProjectedGradientDescentPyTorch(estimator, **common, **iterative, num_random_init=0),
        "MI-FGSM-10": lambda: MomentumIterativeMethod(estimator, **common, **iterative, decay=1.0),
        "FGSM": lambda: FastGradientMethod(estimator, **common),
    }[attack]()
    images, labels = x.cpu().numpy(), F.one_hot(y, 10).cpu().numpy()
    return lambda: torch.from_numpy(run.generate(images, labels)).to(x.device)

"""Stronger attacks, and checks that distinguish robustness from masked gradients.

A model can resist an attack that follows its gradient because no small change turns it, or because its gradient leads
nowhere. Only the first is robustness. What is here distinguishes them, for any model of images in [0, 1]: attacks that
try harder than those of section 3.1, the signs of masked gradients that Athalye et al. (2018) list, the loss around
an image, and examples made on other models. Each leaves the model as it was, in eval mode meanwhile.
"""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from snslib import arguments, attacks
from snslib.attacks import Attack
from snslib.data import Split, to_float
from snslib.evaluation.accuracy import correct, predicted, robust_to_all
from snslib.hooks import NotFinite
from snslib.inference import attempt, device_of, frozen, images_at_once, own, run
from snslib.logits import read_logits
from snslib.sensitivity import dual_pairs

TARGETS = 9  # wrong classes that a targeted attack tries for each image, as many as AutoAttack tries


def autoattack(model: nn.Module, split: Split, eps: float, seed: int = 0, batch_size: int | None = None) -> Tensor:
    """Which images stay right under AutoAttack, standard version, l-infinity (Croce & Hein 2020).

    Four attacks in turn, each on what is still right: APGD on the cross-entropy, targeted APGD and targeted FAB toward
    up to nine classes, and Square, which looks at no gradient. Of fewer than four classes, where the loss of targeted
    APGD is not defined, others: see :func:`autoattacks`. The package ``pyautoattack`` runs them; what it warns of, it
    warns the logger "auto-attack".

    Args:
        model: maps float images in [0, 1] to logits (N, K), K >= 2.
        split: the images and their true classes, at least one.
        eps: radius in [0, 1] pixel space, in (0, 1].
        seed: decides every random choice.
        batch_size: images at a time, None for what suits the device.

    Returns:
        bool (N,) on the CPU, in the order of the split.

    Raises:
        ImportError: the package is not installed.
        ValueError: a bad argument, named.
    """
    package = _pyautoattack()
    _check(split)
    eps = _check_radius(eps)
    seed = arguments.seed("seed", seed)
    device, classes = device_of(model), _count_classes(model, split)
    correct(model, split, batch_size=batch_size)  # refuses labels and logits that AutoAttack would count as wrong
    every_gpu = list(range(torch.cuda.device_count()))
    trace = sys.gettrace()
    try:
        with frozen(model), torch.random.fork_rng(every_gpu):
            attack = package.AutoAttack(partial(_logits, model), eps=eps, seed=seed, device=device)
            attack.attacks_to_run = autoattacks(classes)
            attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(TARGETS, classes - 1)
            x, y = to_float(split.images), split.labels
            x_adv, guess = attack.run_standard_evaluation(x, y, batch_size=images_at_once(device, batch_size))
    finally:
        sys.settrace(trace)  # which pyautoattack switches off: a debugger's or a coverage measurement's
    arguments.adversarial("attack", x_adv, x.to(x_adv.device), eps)
    return (guess == y).cpu()


def autoattacks(classes: int) -> list[str]:
    """The attacks that :func:`autoattack` runs on a model of so many classes, >= 2, by their names in ``pyautoattack``.

    In the loss of targeted APGD, four classes are set against each other. Where there are three, APGD runs untargeted
    on a loss of that kind which three are enough for (DLR); where there are two, on the cross-entropy alone.
    """
    instead = {2: [], 3: ["apgd-dlr"]}
    return ["apgd-ce", *instead.get(classes, ["apgd-t"]), "fab-t", "square"]


def autoattack_version() -> str:
    """The version of ``pyautoattack`` that is installed. ImportError when there is none."""
    return _pyautoattack().__version__


def strong_pgd(
    model: nn.Module,
    split: Split,
    eps: float,
    steps: int = 100,
    restarts: int = 5,
    step_size: float | None = None,
    targeted: bool = False,
    targets: int = TARGETS,
    seed: int = 0,
    batch_size: int | None = None,
) -> Tensor:
    """Which images stay right under PGD from several random starts; one that has been turned is not attacked again.

    Targeted, every restart goes toward one wrong class after the other, the likeliest for the clean image first: all
    wrong classes where there are at most ``targets`` of them, else the ``targets`` likeliest. As everywhere here, an
    image is turned when its true class is not predicted any more, whether or not the target is.

    Args:
        model: maps float images in [0, 1] to logits (N, K), K >= 2.
        split: the images and their true classes, at least one.
        eps: radius in [0, 1] pixel space, in (0, 1].
        steps: of each attack, >= 1.
        restarts: >= 1.
        step_size: in [0, 1]; None takes eps / 4.
        targeted: toward wrong classes instead of away from the true one.
        targets: wrong classes to try at most, >= 1.
        seed: decides the starts; with another batch_size they differ.
        batch_size: images at a time, None for what suits the device.

    Returns:
        bool (N,) on the CPU, in the order of the split.

    Raises:
        ValueError: a bad argument, named.
    """
    _check(split)
    eps = _check_radius(eps)
    steps, restarts = arguments.at_least("steps", steps, 1), arguments.at_least("restarts", restarts, 1)
    targets = arguments.at_least("targets", targets, 1)
    step = arguments.radius("step_size", eps / 4 if step_size is None else step_size)
    generator = torch.Generator("cpu").manual_seed(arguments.seed("seed", seed))

    def away(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return attacks.pgd(model, x, y, eps, step, steps, random_start=True, generator=generator)

    def toward(place: int) -> Attack:
        def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            aim = _wrong_classes(model, x, y)[:, place]
            return attacks.pgd(model, x, aim, eps, step, steps, True, targeted=True, generator=generator)

        return attack

    each: list[Attack] = [away]
    if arguments.flag("targeted", targeted):
        each = [toward(place) for place in range(min(targets, _count_classes(model, split) - 1))]
    return robust_to_all(model, split, each * restarts, batch_size, eps)


def random_corner(eps: float, generator: torch.Generator) -> Attack:
    """An attack that looks at nothing: every value of the image moves by eps, up or down at random.

    ValueError for eps outside [0, 1], and a generator that is none or not on the CPU.
    """
    eps = arguments.radius("eps", eps)
    arguments.generator("generator", generator)

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        signs = torch.randint(0, 2, x.shape, generator=generator, device="cpu") * 2 - 1
        return (x + eps * signs.to(x)).clamp(0, 1)

    return attack


def sanity_checks(
    model: nn.Module,
    split: Split,
    eps: float,
    source: nn.Module | None = None,
    steps: int = 20,
    draws: int = 20,
    tolerance: float = 0.02,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The signs of masked gradients that Athalye et al. (2018, section 3.1) list, looked for one by one.

    PGD is meant below, from the image, in ``steps`` steps of 2.5 radius / steps. A model that passes may still be
    masked. One that fails is, or it does not look at the image: what outputs the same class for every image fails too.

    Args:
        model: maps float images in [0, 1] to logits (N, K).
        split: the images and their true classes, at least one.
        eps: radius in [0, 1] pixel space, in (0, 1].
        source: another model, on the same device, to make transferred examples on; None leaves that check out.
        steps: of PGD, >= 1.
        draws: of random noise, >= 1.
        tolerance: the share of the images by which a comparison may be off and still pass, >= 0.
        seed: decides the noise.

    Returns:
        Check to "passed" and its numbers, all shares of the images in [0, 1]:

        - "growing": "accuracy" under PGD at each of "epsilons": eps, its doubles, and 1, at which every image can be
          made into any other. Passed: it never rises, and ends at 0.
        - "one_step": accuracy under "fgsm" and "pgd". Passed: PGD is no weaker.
        - "transfer": accuracy under PGD on the model, "white_box", and made on the source, "transferred". Passed: the
          first is no weaker.
        - "noise": accuracy under the worst of ``draws`` random corners of the eps ball, "noise", and under "pgd", and
          the share of images that noise turns and PGD does not, "only_noise". Passed: there are none of these.

    Raises:
        ValueError: a bad argument, named.
    """
    _check(split)
    eps = _check_radius(eps)
    steps, draws = arguments.at_least("steps", steps, 1), arguments.at_least("draws", draws, 1)
    tolerance = arguments.not_negative("tolerance", tolerance)
    seed = arguments.seed("seed", seed)

    def pgd(radius: float) -> Attack:
        step = min(2.5 * radius / steps, 1.0)  # a longer one leads no farther
        return lambda model, x, y: attacks.pgd(model, x, y, radius, step, steps)

    after_pgd = correct(model, split, pgd(eps), eps=eps)
    under_pgd = _mean(after_pgd)
    result = {
        "growing": _growing_radius(model, split, pgd, eps, under_pgd, tolerance),
        "one_step": _one_step(model, split, eps, under_pgd, tolerance),
    }
    if source is not None:
        transferred = transfer_matrix({"source": source, "model": model}, split, pgd(eps), eps)["source"]["model"]
        passed = under_pgd <= transferred + tolerance
        result["transfer"] = {"passed": passed, "white_box": under_pgd, "transferred": transferred}
    noise = [random_corner(eps, torch.Generator("cpu").manual_seed(seed))] * draws
    after_noise = robust_to_all(model, split, noise, eps=eps)
    only_noise = _mean(correct(model, split) & ~after_noise & after_pgd)
    passed = only_noise <= tolerance
    result["noise"] = {"passed": passed, "noise": _mean(after_noise), "pgd": under_pgd, "only_noise": only_noise}
    return result


def _growing_radius(
    model: nn.Module, split: Split, pgd: Callable[[float], Attack], eps: float, at_eps: float, tolerance: float
) -> dict[str, Any]:
    epsilons = [eps]
    while epsilons[-1] < 1:
        epsilons.append(min(2 * epsilons[-1], 1.0))
    accuracy = [at_eps, *(_mean(correct(model, split, pgd(radius), eps=radius)) for radius in epsilons[1:])]
    rise = max((after - before for before, after in pairwise(accuracy)), default=0.0)
    return {"passed": rise <= tolerance and accuracy[-1] <= tolerance, "epsilons": epsilons, "accuracy": accuracy}


def _one_step(model: nn.Module, split: Split, eps: float, under_pgd: float, tolerance: float) -> dict[str, Any]:
    under_fgsm = _mean(correct(model, split, lambda model, x, y: attacks.fgsm(model, x, y, eps), eps=eps))
    return {"passed": under_pgd <= under_fgsm + tolerance, "fgsm": under_fgsm, "pgd": under_pgd}


def transfer_matrix(
    models: Mapping[str, nn.Module], split: Split, attack: Attack, eps: float | None = None
) -> dict[str, dict[str, float]]:
    """Accuracy of each model on adversarial images made on each model, itself included.

    Args:
        models: name to model, at least one, all on one device.
        split: the images and their true classes, at least one.
        attack: maps (model, x, y) to x'.
        eps: the radius that x' has to keep, in [0, 1] pixel space; None where the attack has none.

    Returns:
        Name of the model that the images were made on, to name of the model that is tested on them, to its
        accuracy in [0, 1].

    Raises:
        ValueError: no models, or no images; models and x' as in :func:`snslib.evaluation.accuracy.correct`.
    """
    if not isinstance(models, Mapping) or not models:
        raise ValueError(f"models: expected a dictionary of at least one, got {arguments.shown(models)}")
    _check(split)
    classes = arguments.highest_class("split", split.labels) + 1
    matrix: dict[str, dict[str, float]] = {}
    for source, made_on in models.items():
        images = [x_adv for _, x_adv in dual_pairs(made_on, split, attack, eps=eps)]
        right = {name: predicted(tested, images, classes) == split.labels.cpu() for name, tested in models.items()}
        matrix[source] = {name: _mean(which) for name, which in right.items()}
    return matrix


def with_statistics_of(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """A copy of the model, in eval mode, whose BatchNorm normalises by the statistics of these images.

    What training leaves behind are running statistics of whatever passed through. Where that was clean images and x' by
    turns, they are those of neither.

    Args:
        model: maps float images to logits; it stays as it is.
        batches: float images (B, C, H, W) in [0, 1], whose means and variances are averaged over the batches; at least
            one batch.

    Raises:
        ValueError: no batches, or images out of range.
    """
    arguments.loaded("model", model)
    remaining = iter(arguments.several("batches", batches))
    first = next(remaining, None)
    if first is None:  # statistics of nothing would be left
        raise ValueError("batches: got none; expected batches of float images (B, C, H, W)")

    def checked() -> Iterator[Tensor]:
        for x in chain([first], remaining):
            yield own(other, arguments.images("batches", x))

    other = copy.deepcopy(model)
    with torch.random.fork_rng(range(torch.cuda.device_count())), torch.inference_mode(False):  # dropout draws
        attempt(other, first, lambda _: update_bn(checked(), other), fast=False)
    return other.eval()


def loss_surface(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, points: int = 21, seed: int = 0
) -> tuple[list[float], Tensor]:
    """Cross-entropy on a plane through the images: along the sign of the gradient, and along random signs.

    Both directions have every value -1, 0 or 1, so that the square is a slice of the eps ball. Images are clipped to
    [0, 1]. On a robust model the loss rises slowly and evenly along the gradient; where gradients are masked, it is
    flat or jagged there, and the random direction may do as well.

    Args:
        model: maps float images in [0, 1] to logits (N, K), on the device of x.
        x: float (N, 3, H, W) in [0, 1]; one image has the surface of its own, several have their mean.
        y: int64 (N,), the true classes.
        eps: radius in [0, 1] pixel space, in (0, 1].
        points: along each direction, >= 2; an odd number has the images themselves in the middle.
        seed: decides the random signs, which differ between the images.

    Returns:
        The offsets (points,) from -eps to eps, and the mean loss, float32 (points, points) on the CPU: rows go along
        the gradient, columns along the random signs.

    Raises:
        ValueError: a bad argument, named.
    """
    x, loss = arguments.images("x", x), attacks.Loss(x, y)
    eps = _check_radius(eps)
    points = arguments.at_least("points", points, 2)
    offsets = torch.linspace(-eps, eps, points, dtype=torch.float32, device="cpu").tolist()
    generator = torch.Generator("cpu").manual_seed(arguments.seed("seed", seed))
    random = (torch.randint(0, 2, x.shape, generator=generator, device="cpu") * 2 - 1).to(x)
    with frozen(model):
        slope = loss.gradient(model, x)
        gradient = slope.sign()
        surface = torch.empty(points, points, dtype=torch.float32, device="cpu")
        with torch.no_grad():
            for row, along in enumerate(offsets):
                for column, across in enumerate(offsets):
                    moved = (x + along * gradient + across * random).clamp(0, 1)
                    surface[row, column] = F.cross_entropy(_logits(model, moved), loss.y)
    if not (surface.isfinite().all() and slope.isfinite().all()):
        raise NotFinite("model: its loss or the gradient is", model, x, loss=loss.of_logits)
    return offsets, surface


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    return read_logits(run(model, x), len(x))


def _pyautoattack() -> Any:
    try:
        import pyautoattack
    except ImportError as error:
        raise ImportError("autoattack needs the package pyautoattack: pip install 'snslib[autoattack]'") from error
    return pyautoattack


def _mean(which: Tensor) -> float:
    return which.double().mean().item()


def _count_classes(model: nn.Module, split: Split) -> int:
    """How many logits the model has for an image."""
    x = to_float(split.images[:1]).to(device_of(model))
    with frozen(model), torch.no_grad():
        return _logits(model, x).shape[1]


def _wrong_classes(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """All classes of every image but the true one, the likeliest first, int64 (N, K - 1)."""
    with frozen(model), torch.no_grad():
        logits = _logits(model, x).scatter(1, y[:, None], -torch.inf)
    return logits.argsort(dim=1, descending=True, stable=True)[:, :-1]


def _check_radius(eps: float) -> float:
    return float(arguments.number("eps", eps, 0, 1, above=True, about="a radius in [0, 1] pixel space, such as 8/255"))


def _check(split: Split) -> None:
    if not isinstance(split, Split):
        raise ValueError(f"split: expected a Split, such as the test of a data set, got {arguments.described(split)}")
    if len(split) == 0:
        raise ValueError("split: expected at least one image, got none")

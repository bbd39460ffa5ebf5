"""Checks of readers' own code for the exercises: each names the first mistake, or says that all is right."""

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import attacks, hooks, losses, sensitivity
from snslib.attacks import Attack
from snslib.evaluation import predicted

Recordings = dict[str, Tensor]  # layer to what its neurons put out, (N, C, H, W) or (N, C)

EPS = 0.1  # radius of the attacks that are tried
ROUNDING = 1e-6  # by which a pixel may be off


class ExerciseError(AssertionError):
    """The first mistake that a check found: what is wrong, and what to look at."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback, which would lead into the check and not to the mistake."""
        return [f"{type(self).__name__}: {self}"]


# --- chapter 1: attacks ---


def check_fgsm(solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, y, eps) -> x_adv``: one step of length eps that raises the loss of the true classes y."""
    model, x, y = _small_task()
    x_adv = _attacked(_run(solution, model=model, x=x, y=y, eps=EPS), x)
    turned = "FGSM climbs the loss of the true class: x plus eps times the sign of the gradient, not minus."
    other = "The loss is the cross-entropy of model(x) with the labels y that the function is given."
    _check_one_step(x_adv, model, x, y, 1, turned, other)
    return "Right: your FGSM agrees with snslib.fgsm in every pixel."


def check_step_ll(solution: Callable[[nn.Module, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, eps) -> x_adv``: one step of length eps toward the least likely class of the clean image."""
    model, x, _ = _small_task()
    x_adv = _attacked(_run(solution, model=model, x=x, eps=EPS), x)
    turned = "The loss of the target is to become small: x minus eps times the sign of the gradient, not plus."
    other = "The target of an image is the class with the lowest logit for the clean image: argmin, not argmax."
    _check_one_step(x_adv, model, x, attacks.least_likely_class(model, x), -1, turned, other)
    return "Right: your Step-LL agrees with snslib.step_ll in every pixel."


def check_pgd(solution: Callable[[nn.Module, Tensor, Tensor, float, float, int], Tensor]) -> str:
    """Check ``(model, x, y, eps, step_size, steps) -> x_adv``: projected sign steps that start at x."""
    size = 0.4 * EPS
    for steps in (4, 7):
        model, x, y = _small_task()
        run = partial(_run, solution, model=model, x=x, y=y, eps=EPS, step_size=size, steps=steps)
        x_adv, right = _attacked(run(), x), attacks.pgd(model, x, y, EPS, size, steps)
        if _close(x_adv, right):
            continue
        if not torch.equal(x_adv, run()):
            raise ExerciseError("two calls with the same arguments differ: start at x, not at a random point.")
        _check_bounds(x_adv)
        if (largest := _largest_change(x_adv, x)) > EPS + ROUNDING:
            raise ExerciseError(
                f"a pixel changed by {largest:.3g} in {steps} steps of {size:g}, and eps is {EPS:g}. After each "
                "step, put x' back into the eps ball around the clean x, not around the x' before the step."
            )
        inner = (x > EPS) & (x < 1 - EPS)  # pixels that are not cut off
        halves = 2 * (x_adv - x)[inner] / size  # of steps, since eps is two and a half
        if (halves - halves.round()).abs().max() > 1e-4:
            raise ExerciseError("pixels do not move by step_size: multiply it by the sign of the gradient.")
        walk = partial(_walk, model, x, y)
        count = f"steps of {size:g} lead, and {steps} were asked for: let the loop run `steps` times."
        mistakes = {f"x' is where {n} {count}": walk(size, n) for n in range(1, 12) if n != steps}
        mistakes |= {
            "every step goes down the loss of the true class: add it, do not subtract it.": walk(-size, steps),
            "a step has length eps: it should have length step_size.": walk(EPS, steps),
            "every gradient is taken at the clean image: take it at the current x'.": walk(size, steps, stale=True),
            "x' is put back into the eps ball and into [0, 1] only at the end: do it after each step.": (
                walk(size, steps, ball=False, box=False)
            ),
            "x' is put back into the eps ball only at the end: do it after each step.": walk(size, steps, ball=False),
            "x' is cut off to [0, 1] only at the end: do it after each step.": walk(size, steps, box=False),
        }
        _judge(x_adv, right, mistakes, "Compare it with snslib.pgd after one step, after two, and so on.")
    return "Right: your PGD agrees with snslib.pgd in every pixel, for 4 and for 7 steps."


# --- chapter 2: sensitivity ---


def check_neuron_sensitivity(solution: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check ``(clean, adversarial) -> sigma``, Eq. 1 of one layer: recordings (N, C, ...) to (C,)."""
    for clean, adversarial in (_recorded(3, 4, 2, 3), _recorded(3, 5)):
        signed = (clean - adversarial).view(*clean.shape[:2], -1)  # image, neuron, position
        change = signed.abs()
        right = change.sum(2).mean(0)
        mistakes = {
            "gains and losses cancel: take the absolute value of the difference.": signed.sum(2).mean(0),
            "gains and losses cancel: take absolute values before summing positions.": signed.sum(2).abs().mean(0),
            "that is the mean over positions: the L1 norm sums over them.": change.mean((0, 2)),
            "that is the sum over images: Eq. 1 divides by their number N.": change.sum((0, 2)),
            "that is one number per image and neuron: average over images, axis 0.": change.sum(2),
            "that is one number per position: sum over positions, axis 2 on.": (clean - adversarial).abs().mean(0),
            "that is the L2 norm: Eq. 1 has the L1 norm, the sum of absolute values.": signed.norm(dim=2).mean(0),
            "that is a sum of squares: Eq. 1 has absolute values.": signed.square().sum(2).mean(0),
            "that is one number for the layer: keep the neurons, axis 1.": right.sum(),
        }
        sigma = _tensor(_run(solution, clean=clean, adversarial=adversarial))
        _judge(sigma, right, mistakes, f"The recordings are {tuple(clean.shape)}: images, neurons, then positions.")
    return "Right: Eq. 1, for layers with positions and without."


def check_top_neurons(solution: Callable[[Tensor, float], Tensor]) -> str:
    """Check ``(sigma, fraction) -> neurons``, Eq. 2 of one layer: (C,) to the top floor(fraction C) indices."""
    for channels in (16, 64, 8):
        sigma = _random(channels, seed=channels)
        order, k = sigma.argsort(descending=True), max(1, channels // 10)
        neurons = _run(solution, sigma=sigma, fraction=0.1)
        neurons = torch.as_tensor(neurons) if isinstance(neurons, list) else _tensor(neurons)
        asked = f"0.1 of {channels} neurons are {channels / 10:g}, so {k} is to be chosen"
        if neurons.shape == sigma.shape:
            raise ExerciseError(f"there is an answer for every neuron: {asked}; return the indices of those.")
        if neurons.ndim != 1 or len(neurons) != k:
            rule = "round down" if channels > 10 else "there is always at least one"
            raise ExerciseError(f"{asked}, and the result has shape {tuple(neurons.shape)}: {rule}.")
        mistakes = {
            "these are the highest sensitivities: return the indices of their neurons.": sigma[order[:k]],
            "these are the least sensitive neurons: sort from the highest to the lowest.": order.flip(0)[:k],
            "the right neurons in another order: the most sensitive comes first.": order[:k].sort().values,
            "the right neurons in reverse order: the most sensitive comes first.": order[:k].flip(0),
        }
        _judge(neurons, order[:k], mistakes, "They are the indices of the highest sensitivities, the highest first.")
    return "Right: Eq. 2, rounded down, at least one, the most sensitive first."


# --- chapter 3: what sensitive neurons do ---


def check_average_jaccard(solution: Callable[[list[set[int]]], float]) -> str:
    """Check ``sets -> J_avg``, Eq. 7: the mean Jaccard index over all pairs of different sets of neurons."""
    for sets in ([{0, 1, 2}, {1, 2, 3}, {2, 3, 4, 5}], [{7}, {7}, {3}, {7, 3}]):
        pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
        total = sum(len(a & b) / len(a | b) for a, b in pairs)
        n, m = len(sets), len(pairs)
        mistakes = {
            "that is the total Jaccard index, Eq. 8: Eq. 7 averages over pairs.": sensitivity.total_jaccard(sets),
            "pairs of a set with itself are counted, which have 1: Eq. 7 leaves them out.": (2 * total + n) / n**2,
            "that is the sum over the pairs: divide by their number M.": total,
            "that is divided by the number of sets: divide by that of the pairs, M.": total / n,
            "every pair is counted twice and divided by once.": 2 * total / m,
            "that divides by the sizes of both sets: divide by the size of their union.": (
                sum(len(a & b) / (len(a) + len(b)) for a, b in pairs) / m
            ),
            "that divides by the size of the smaller set: divide by the size of the union.": (
                sum(len(a & b) / min(len(a), len(b)) for a, b in pairs) / m
            ),
        }
        _judge(_number(_run(solution, sets=sets)), total / m, mistakes, f"The sets are {sets}.")
    return "Right: Eq. 7."


def check_suppression(solution: Callable[[nn.Module, str, Tensor, float, Tensor], Tensor]) -> str:
    """Check ``(model, layer, neurons, beta, x) -> logits``: outputs of a layer's chosen neurons times beta (3.4)."""
    for beta in (0.8, 0.0):
        model, x, _ = _small_task()
        neurons = torch.tensor([2, 0])
        got = _tensor(_run(solution, model=model, layer="hidden", neurons=neurons, beta=beta, x=x)).detach()
        _check_suppressed(got, model, x, neurons, beta)
    return "Right: the logits are those under snslib.suppress, and the model is as it was."


def _check_suppressed(logits: Tensor, model: nn.Module, x: Tensor, neurons: Tensor, beta: float) -> None:
    def after(change: Callable[[Tensor], Tensor]) -> Tensor:
        with hooks.on_output(model, {"hidden": change}), torch.no_grad():
            return model(x)

    def times(factor: float, chosen: Tensor = neurons, axis: int = 1) -> Callable[[Tensor], Tensor]:
        return lambda output: output.index_copy(axis, chosen, factor * output.index_select(axis, chosen))

    mistakes = {
        "the logits are those of the model as it is: let the hook return the changed output.": after(times(1)),
        "all neurons are turned down: only the chosen ones are to be.": after(times(beta, torch.arange(4))),
        "the other neurons are turned down: multiply the chosen ones.": after(times(beta, torch.tensor([1, 3]))),
        "images are turned down: neurons are on axis 1, as in output[:, neurons].": after(times(beta, axis=0)),
        "the outputs are set to beta: multiply them by it.": after(lambda o: o.index_fill(1, neurons, beta)),
        "the chosen neurons lose the share beta: they should keep it.": after(times(1 - beta)),
    }
    _judge(logits, after(times(beta)), mistakes, "Multiply output[:, neurons] of the layer by beta, nothing else.")


def check_helpful_neuron(solution: Callable[[nn.Module, Tensor, Tensor, str, float], int]) -> str:
    """Check ``(model, x_adv, y, layer, beta) -> neuron``: the one whose suppression leaves most images right."""
    model, x_adv, y, sensitive = _misled_task()
    right = []
    for neuron in range(8):
        with hooks.suppress(model, {"hidden": [neuron]}, 0.0):
            right.append((predicted(model, [x_adv]) == y).double().mean().item())
    best, worst = (right.index(extreme(right)) for extreme in (max, min))

    got = _run(solution, model=model, x_adv=x_adv, y=y, layer="hidden", beta=0.0)
    got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
    if isinstance(got, bool) or not isinstance(got, int) or not 0 <= got < 8:
        raise ExerciseError(f"{got!r} is no neuron of a layer that has 8: return an index from 0 to 7.")
    if got != best:
        reason = {
            worst: "That is the neuron whose suppression helps least: look for the highest accuracy.",
            sensitive: "That is the most sensitive neuron, which need not be the most helpful: try each of them.",
        }.get(got, "Suppress every neuron of the layer in turn, one at a time, and compare the accuracies.")
        raise ExerciseError(
            f"with neuron {got} suppressed, {right[got]:.0%} of the images are right, and "
            f"{right[best]:.0%} with another. {reason}"
        )
    return f"Right: with neuron {best} suppressed, {right[best]:.0%} of the images are right, the most of all."


# --- chapter 4: the SNS loss ---


def check_sns_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``: Eq. 9 to the letter, averaged over the batch, differentiable."""
    clean, adversarial, omega = _two_layers()
    loss = _run(solution, clean=clean, adversarial=adversarial, omega=omega)
    right = losses.sns_loss(clean, adversarial, omega, "sum")
    signed = {layer: (clean[layer] - adversarial[layer]).detach() for layer in clean}
    change = {layer: values.abs() for layer, values in signed.items()}
    conv, fc = (change[layer][:, neurons] for layer, neurons in omega.items())
    of_conv, of_fc = conv.sum() / 6, fc.sum() / 6
    mistakes = {
        "that is the sum over the images: average over the batch.": 6 * right,
        "all neurons are counted: only those in omega should be.": sum(c.sum() / 6 for c in change.values()),
        "gains and losses cancel: sum the absolute values of the differences.": sum(
            signed[layer][:, neurons].sum() / 6 for layer, neurons in omega.items()
        ),
        "that is the mean over neurons and positions: Eq. 9 sums over both.": conv.mean() + fc.mean(),
        "that is the mean over positions: the L1 norm of Eq. 9 sums over them.": of_conv / 4 + of_fc,
        "that is the mean over neurons: Eq. 9 sums over them.": of_conv / conv.shape[1] + of_fc / fc.shape[1],
        "that is the mean over the layers: Eq. 9 sums over them.": right / 2,
        "only the first layer is counted: sum over all layers of omega.": of_conv,
        "only the last layer is counted: sum over all layers of omega.": of_fc,
        "that is the sum of squares: Eq. 9 has absolute values.": (conv.square().sum() + fc.square().sum()) / 6,
    }
    _judge(_number(loss), right.item(), mistakes, "Eq. 9 sums over layers, their neurons in omega, and positions.")
    inputs = [*clean.values(), *adversarial.values()]
    for slope, wanted in zip(_gradients(loss, inputs), torch.autograd.grad(right, inputs), strict=True):
        if not _close(slope, wanted):
            raise ExerciseError(
                "the value is right, its gradient is not: both recordings have to carry it, undetached."
            )
    return "Right: Eq. 9, and its gradient reaches both recordings."


# --- chapter 5: adversarial training ---


def check_adversarial_loss(solution: Callable[[nn.Module, Tensor, Tensor, Attack], Tensor]) -> str:
    """Check ``(model, x, y, attack) -> loss``: L_adv, cross-entropy of x and x' mixed 1 to 1, as PAT minimises it."""
    model, x, y = _small_task()
    attack = partial(attacks.fgsm, eps=EPS)
    loss = _run(solution, model=model, x=x, y=y, attack=attack)
    x_adv, from_guess = attack(model, x, y), attack(model, x, predicted(model, [x]))

    def cross_entropy(images: Tensor, labels: Tensor = y) -> float:
        with torch.no_grad():
            return F.cross_entropy(model(images), labels).item()

    clean, adversarial = cross_entropy(x), cross_entropy(x_adv)
    right = (clean + adversarial) / 2
    guessed = cross_entropy(x_adv, predicted(model, [x_adv]))
    mistakes = {
        "only the clean images are in the loss: average it with that of attack(model, x, y).": clean,
        "only the adversarial images are in the loss: C.1 mixes clean and adversarial ones 1 to 1.": adversarial,
        "that is the sum of the two losses: 1 to 1 means their mean.": 2 * right,
        "that is the sum over the images: average over the batch.": len(x) * right,
        "the attack starts from predicted classes: give it the labels y.": (clean + cross_entropy(from_guess)) / 2,
        "x' is compared with its predicted class: its label is y, as for x.": (clean + guessed) / 2,
    }
    _judge(_number(loss), right, mistakes, "It is the mean of two cross-entropies, for x and for x'.")
    _gradients(loss, list(model.parameters()))
    return "Right: that is the loss that adversarial training minimises."


def check_relative_sensitivity(solution: Callable[[Tensor, Tensor], float]) -> str:
    """Check ``(clean, adversarial) -> share``: the summed change of a layer over its summed clean output."""
    for clean, adversarial in (_recorded(3, 4, 2, 3), _recorded(4, 5)):
        signed, output = ((t.view(*clean.shape[:2], -1)) for t in (clean - adversarial, clean))
        change, size = signed.abs(), output.abs()
        right = (change.sum() / size.sum()).item()
        mistakes = {
            "gains and losses cancel: sum the absolute values of the differences.": signed.sum().abs() / size.sum(),
            "outputs above and below 0 cancel: sum their absolute values.": change.sum() / output.sum(),
            "that divides by the output for x': divide by that for clean images.": change.sum()
            / adversarial.abs().sum(),
            "that is the mean of the neurons' ratios: take sums over all neurons first, and one ratio of them.": (
                (change.sum((0, 2)) / size.sum((0, 2))).mean()
            ),
            "that is the mean of the images' ratios: take sums over all images first, and one ratio of them.": (
                (change.sum((1, 2)) / size.sum((1, 2))).mean()
            ),
            "the ratio is upside down: divide the change by the output.": 1 / right,
            "that is the change alone: divide it by the clean output.": change.sum(),
        }
        share = _number(_run(solution, clean=clean, adversarial=adversarial))
        _judge(share, right, mistakes, "It is one sum over images, neurons and positions divided by another.")
    return "Right: 0 means that nothing moves, 1 that the change is as large as the output."


# --- chapter 6: tables of accuracies ---


def check_worst_case_accuracy(solution: Callable[[Tensor], float]) -> str:
    """Check ``right -> share``: bool (attacks, images) to the share of images that are right under every attack."""
    for tried, images in ((3, 10), (4, 25)):
        right = _random(tried, images, seed=images) > 0.3
        accuracies, share = right.double().mean(1), right.all(0).double().mean()
        mistakes = {
            "that is the lowest accuracy of one attack: an image that any attack turns is lost.": accuracies.min(),
            "that is the mean over the attacks: an image counts only if it is right under all.": accuracies.mean(),
            "an image counts there if one attack leaves it right: all have to.": right.any(0).double().mean(),
            "that is the number of images: divide it by how many there are.": right.all(0).sum(),
            "attacks are counted, not images: rows are attacks, columns are images.": right.all(1).double().mean(),
            "that is the share of images that are lost: return that of those that stay right.": 1 - share,
        }
        got = _number(_run(solution, right=right))
        _judge(got, share.item(), mistakes, "Look at one column, which is one image: is it right in every row?")
    return "Right: an image counts if no attack turns it."


# --- chapter 7: stronger attacks and a remedy ---


def attacked_accuracy(
    attack: Callable[[nn.Module, Tensor, Tensor, float], Tensor], model: nn.Module, x: Tensor, y: Tensor, eps: float
) -> float:
    """The share of images still right under an attack of the reader's own, played by the rules: the lowest wins.

    Args:
        attack: maps (model, x, y, eps) to x'.
        model: maps float images in [0, 1] to logits; in eval mode.
        x, y: the images, and their true classes.
        eps: radius in [0, 1] pixel space.

    Raises:
        ExerciseError: an image of x' that leaves [0, 1] or is farther than eps from its own x; a changed model.
    """
    x_adv = _attacked(_run(attack, model=model, x=x, y=y, eps=eps), x)
    for number, (image, clean) in enumerate(zip(x_adv, x, strict=True)):
        _check_bounds(image, f"image {number} of x'")
        if (largest := _largest_change(image, clean)) > eps + ROUNDING:
            raise ExerciseError(f"a pixel of image {number} changed by {largest:.4g}, more than eps, {eps:.4g}.")
    return (predicted(model, [x_adv]) == y.cpu()).double().mean().item()


def check_stronger_attack(solution: Callable[[nn.Module, Tensor, Tensor, float], Tensor]) -> str:
    """Check ``(model, x, y, eps) -> x_adv``: by the rules, it has to leave less than the paper's PGD does.

    The network is a small stand-in that hides its gradient from PGD for many of its images.
    """
    model, x, y = _overconfident_task()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left = attacked_accuracy(solution, model, x, y, EPS)
    pgd = attacked_accuracy(partial(attacks.pgd, step_size=EPS / 10, steps=10), model, x, y, EPS)
    if left >= pgd:
        raise ExerciseError(
            f"your attack leaves {left:.0%} of the images right, the paper's PGD {pgd:.0%}. Look at an image that is "
            "left: how large is the gradient of its loss, and what are its logits?"
        )
    more = "Nothing is left to break." if left == 0 else "It can be 0%: what have those in common that are left?"
    return f"Right: your attack leaves {left:.0%} of the images right where the paper's PGD leaves {pgd:.0%}. {more}"


def check_remedy_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``, a loss of the reader's own that does not reward silence.

    It has to be 0 where nothing moves, to grow with the change of the neurons in omega and of no others, and neither
    it nor its gradient may reward a neuron for being scaled or shifted.
    """
    clean, adversarial, omega = _two_layers()

    def tried(clean: Recordings, adversarial: Recordings) -> tuple[float, list[Recordings]]:
        """The loss, and its gradients for both recordings."""
        sides = [
            {layer: output.detach().requires_grad_(True) for layer, output in s.items()} for s in (clean, adversarial)
        ]
        loss = _run(solution, clean=sides[0], adversarial=sides[1], omega=omega)
        value = _number(loss)
        slopes = [dict(zip(side, _gradients(loss, list(side.values())), strict=True)) for side in sides]
        if not all(slope.isfinite().all() for of_side in slopes for slope in of_side.values()):
            raise ExerciseError("the gradient is not finite: mind divisions by 0 and roots of 0.")
        return value, slopes

    before, slopes = tried(clean, adversarial)
    still, half = (tried(clean, {k: c + t * (adversarial[k] - c) for k, c in clean.items()})[0] for t in (0.0, 0.5))
    if abs(still) > 1e-4 * abs(before):
        raise ExerciseError(f"every neuron puts out the same for x' as for x, and the loss is {still:.3g}, not 0.")
    if not 0 < half < before:
        raise ExerciseError(
            f"the loss is {before:.3g}, and {half:.3g} where every neuron moves half as far: should be less, not 0."
        )
    elsewhere = _changed(_changed(adversarial, "conv", [3], 1, 1), "fc", [0, 1, 2, 4], 1, 1)
    if abs(tried(clean, elsewhere)[0] - before) > 1e-4 * before:
        raise ExerciseError("neurons outside of omega change the loss: stabilise those in omega only.")

    for layer, neuron in ((layer, neuron) for layer, neurons in omega.items() for neuron in neurons.tolist()):
        for (factor, shift), what in _DISGUISES.items():
            now, _ = tried(*(_changed(side, layer, [neuron], factor, shift) for side in (clean, adversarial)))
            if factor != 0 and now < 0.99 * before:
                raise ExerciseError(
                    f"the loss falls from {before:.3g} to {now:.3g} when neuron {neuron} of {layer} {what}, for x "
                    "and x' alike. It is no steadier for that: against what should its change be measured?"
                )
    for layer, neurons in omega.items():
        outputs = torch.stack([side[layer].detach()[:, neurons] for side in (clean, adversarial)])
        slope = torch.stack([side[layer][:, neurons] for side in slopes])
        for what, parts in (("scaling", slope * outputs), ("shifting", slope)):
            of_neuron = parts.transpose(0, 2).flatten(1)
            if (of_neuron.sum(1).abs() > 1e-3 * of_neuron.abs().sum(1)).any():
                raise ExerciseError(
                    f"{what} a neuron of {layer} leaves the loss as it is, but not by its gradient, which training "
                    "follows. Is a part of the loss detached?"
                )
    return "Right: your loss falls if the neurons in omega move less, and not if they are turned down or shifted."


_DISGUISES = {  # factor and shift of a neuron's output
    (0.01, 0.0): "puts out a hundredth of what it did",
    (1.0, 10.0): "puts out 10 more",
    (1.0, -1.0): "puts out 1 less",
    (0.0, 0.0): "puts out nothing",  # whatever the loss is then, it has to be a number
}


# --- how a solution is run, and its result judged ---


def _run(solution: Callable[..., Any], **given: Any) -> Any:
    """What a solution returns, provided that it is something and that the arguments are left as they were."""
    before = copy.deepcopy(given)
    result = solution(*given.values())
    for name, value in given.items():
        _check_unchanged(name, before[name], value)
    if result is None:
        raise ExerciseError("the function returned nothing: end it with `return ...`.")
    return result


def _check_unchanged(name: str, before: Any, after: Any) -> None:
    if isinstance(before, nn.Module):
        _check_model_unchanged(before, after)
    elif isinstance(before, dict):
        for key, value in before.items():
            _check_unchanged(f"{name}[{key!r}]", value, after.get(key))
    elif isinstance(before, Tensor):
        if not isinstance(after, Tensor) or not torch.equal(before, after):
            raise ExerciseError(f"{name} was changed in place: leave it as it is, and work on {name}.clone().")
        if after.requires_grad != before.requires_grad:
            raise ExerciseError(f"{name} is left with requires_grad set: set it on a copy, {name}.clone().")
        if after.grad is not None:
            raise ExerciseError(f"a gradient is left in {name}: return the loss, and call no backward().")
    elif isinstance(before, list) and before != after:
        raise ExerciseError(f"{name} was changed in place: leave it as it is.")


def _check_model_unchanged(before: nn.Module, after: nn.Module) -> None:
    if [m.training for m in before.modules()] != [m.training for m in after.modules()]:
        raise ExerciseError("the model came in eval mode and is left in train mode: leave its mode as you found it.")
    if any(m._forward_hooks or m._forward_pre_hooks for m in after.modules()):
        raise ExerciseError("a hook is left in the model, which changes it for everybody after you: remove() it.")
    if any(p.grad is not None for p in after.parameters()):
        raise ExerciseError(
            "gradients are left in the model's parameters, where the next training step would add to them: take "
            "torch.autograd.grad(loss, x)[0], or return the loss, in place of loss.backward()."
        )
    if [p.requires_grad for p in before.parameters()] != [p.requires_grad for p in after.parameters()]:
        raise ExerciseError("requires_grad of the model's parameters was changed: leave it as you found it.")
    states = (before.state_dict().values(), after.state_dict().values())
    if any(not torch.equal(a, b) for a, b in zip(*states, strict=True)):
        raise ExerciseError("the model's weights or BatchNorm statistics were changed: did it run in train mode?")


def _judge(got: Tensor | float, right: Tensor | float, mistakes: Mapping[str, Any], look: str) -> None:
    """Pass the right result; name the mistake that leads to the one that came, or show both."""
    if _close(got, right):
        return
    for message, wrong in mistakes.items():
        if _close(got, wrong):
            raise ExerciseError(message)
    raise ExerciseError(f"the result is {_shown(got)} and should be {_shown(right)}. {look}")


def _close(a: Any, b: Any) -> bool:
    a, b = (torch.as_tensor(value).double() for value in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def _shown(value: Tensor | float) -> str:
    if not isinstance(value, Tensor):
        return f"{value:.4g}"
    first = ", ".join(f"{v:.4g}" for v in value.flatten().tolist()[:5])
    return f"[{first}{', …' if value.numel() > 5 else ''}] of shape {tuple(value.shape)}"


def _tensor(result: Any) -> Tensor:
    if not isinstance(result, Tensor):
        raise ExerciseError(f"the result should be a tensor, and it is a {type(result).__name__}.")
    return result


def _number(result: Any) -> float:
    if isinstance(result, bool) or not isinstance(result, int | float | Tensor):
        raise ExerciseError(f"the result should be one number, and it is a {type(result).__name__}.")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise ExerciseError(f"the result should be one number, and it is a tensor of shape {tuple(result.shape)}.")
    number = result.item() if isinstance(result, Tensor) else result
    if not math.isfinite(number):
        raise ExerciseError(f"the result is {number}: mind divisions by 0, for example of a neuron that is silent.")
    return number


def _gradients(loss: Any, inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of a loss, 0 for what it does not depend on; an error where it carries none."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise ExerciseError("the loss carries no gradient to train with: no detach(), no item(), no no_grad().")
    return list(torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True))


# --- attacks: rules and mistakes ---


def _attacked(x_adv: Any, x: Tensor) -> Tensor:
    """x' of an attack: detached, a finite tensor of the shape and type of x."""
    x_adv = _tensor(x_adv)
    if x_adv.shape != x.shape or x_adv.dtype != x.dtype:
        raise ExerciseError(
            f"x' should be like x, {x.dtype} of {tuple(x.shape)}, and it is {x_adv.dtype} of {tuple(x_adv.shape)}."
        )
    if x_adv.requires_grad:
        raise ExerciseError("x' still hangs on the graph that made it: return x_adv.detach().")
    if not x_adv.isfinite().all():
        raise ExerciseError("x' has values that are not finite: look for a division by 0.")
    return x_adv


def _check_bounds(x_adv: Tensor, name: str = "x'") -> None:
    low, high = x_adv.min().item(), x_adv.max().item()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ExerciseError(
            f"{name} has values from {low:.3g} to {high:.3g}, and images live in [0, 1]: cut off the rest (clamp)."
        )


def _largest_change(x_adv: Tensor, x: Tensor) -> float:
    return (x_adv - x).abs().max().item()


def _check_one_step(
    x_adv: Tensor, model: nn.Module, x: Tensor, classes: Tensor, sign: int, turned: str, other: str
) -> None:
    """x' is one step of EPS from x, up (sign 1) or down (-1) the loss of the classes.

    ``turned`` is what to say of a step the other way, ``other`` of one that goes by another loss.
    """
    if torch.equal(x_adv, x):
        raise ExerciseError("x' is the same as x: nothing was added to it.")
    _check_bounds(x_adv)
    change = x_adv - x
    inner = (x > EPS) & (x < 1 - EPS)  # pixels that are not cut off
    least, most = (of(change[inner].abs()).item() for of in (torch.min, torch.max))
    units = "Eps is meant in [0, 1], as the pixels are"
    if (largest := _largest_change(x_adv, x)) > EPS + ROUNDING:
        raise ExerciseError(f"a pixel changed by {largest:.3g}, and eps is {EPS:g}. {units}: use it as it is.")
    if most - least > 1e-5:
        raise ExerciseError(
            f"pixels change by {least:.3g} to {most:.3g}: each should by eps. Take the gradient's sign."
        )
    if most < EPS - ROUNDING:
        raise ExerciseError(f"every pixel changes by {most:.3g}, and eps is {EPS:g}. {units}: no division by 255.")

    def along(gradient: Tensor) -> Tensor:
        """Which images move along the signs of a gradient."""
        return ((change.sign() == gradient.sign()) | ~inner).flatten(1).all(1)

    def loss_of(classes: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: _loss(model(x), classes)

    up = _gradient_at(x, loss_of(classes))
    if along(sign * up).all():
        return
    if along(-sign * up).all():
        raise ExerciseError(f"the step goes the wrong way. {turned}")
    words = {1: "away from", -1: "toward"}
    for candidate in range(model(x[:1]).shape[1]):
        of_candidate = _gradient_at(x, loss_of(torch.full_like(classes, candidate)))
        for way, word in words.items():
            if (astray := along(way * of_candidate) & ~along(sign * up)).any():
                i = int(astray.nonzero()[0])
                right = f"{words[sign]} class {classes[i]}"
                raise ExerciseError(f"image {i} moves {word} class {candidate}, and it should move {right}. {other}")
    logit = _gradient_at(x, lambda x: model(x).gather(1, classes[:, None]).sum())
    if along(logit).all() or along(-logit).all():
        raise ExerciseError(f"the step follows the gradient of a logit, not that of the loss. {other}")
    twice = _gradient_at(x, lambda x: _loss(model(x).softmax(1), classes))
    if along(sign * twice).all():
        raise ExerciseError(
            "the loss is that of probabilities: F.cross_entropy takes logits, and applies softmax itself."
        )
    share = (change.sign() == sign * up.sign())[inner].double().mean().item()
    raise ExerciseError(f"only {share:.0%} of the pixels move the right way. {other}")


def _walk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    size: float,
    steps: int,
    stale: bool = False,
    ball: bool = True,
    box: bool = True,
) -> Tensor:
    """PGD, and what becomes of it with a mistake.

    ``stale`` takes every gradient at x. Without ``ball`` or ``box``, that projection comes only at the end.
    """
    x_adv = x
    for step in range(steps):
        gradient = _gradient_at(x if stale else x_adv, lambda x: _loss(model(x), y))
        x_adv = x_adv + size * gradient.sign()
        if ball or step == steps - 1:
            x_adv = x_adv.clamp(x - EPS, x + EPS)
        if box or step == steps - 1:
            x_adv = x_adv.clamp(0, 1)
    return x_adv


def _loss(logits: Tensor, classes: Tensor) -> Tensor:
    return F.cross_entropy(logits, classes, reduction="sum")


def _gradient_at(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(loss(x), x)[0]


# --- small tasks, the same on every call ---


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _network(channels: int, seed: int) -> nn.Module:
    """Images (N, 3, 5, 5) to five logits, in eval mode; its layer "hidden" is a block conv-BatchNorm-ReLU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        norm = nn.BatchNorm2d(channels)
        hidden = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), norm, nn.ReLU())
        model = nn.Sequential(OrderedDict(hidden=hidden, flat=nn.Flatten(), fc=nn.Linear(25 * channels, 5)))
        norm.running_mean = torch.empty(channels).uniform_(-0.2, 0.2)
        norm.running_var = torch.empty(channels).uniform_(0.05, 0.2)
    return model.eval()


def _small_task() -> tuple[nn.Module, Tensor, Tensor]:
    """A network, four images with some pixels at 0 and at 1, and their classes; the network misreads the first."""
    model, x = _network(channels=4, seed=0), (1.4 * _random(4, 3, 5, 5) - 0.2).clamp(0, 1)
    y = predicted(model, [x])
    y[0] = (y[0] + 1) % 5
    return model, x, y


def _misled_task() -> tuple[nn.Module, Tensor, Tensor, int]:
    """A network, adversarial images, their classes, and the most sensitive of the 8 neurons of its layer "hidden".

    Another of them is the one whose suppression helps most, and by far.
    """
    model, x = _network(channels=8, seed=43), _random(24, 3, 5, 5)
    y = predicted(model, [x])
    x_adv = attacks.pgd(model, x, y, eps=0.03, step_size=0.003)
    sigma = sensitivity.neuron_sensitivity(model, [(x, x_adv)], ["hidden"])["hidden"]
    return model, x_adv, y, int(sigma.argmax())


def _overconfident_task() -> tuple[nn.Module, Tensor, Tensor]:
    """A linear network with huge logits, and images that a change of less than EPS turns.

    The classes' patterns are orthogonal, so that ``distance`` is an image's distance from the border. In float32 the
    gradient of the cross-entropy is exactly 0 where the true logit leads by more than about 104: from 0.052 on.
    """
    pattern = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).repeat(1, 12)
    linear = nn.utils.skip_init(nn.Linear, 48, 4)  # which would draw random weights
    with torch.no_grad():
        linear.weight.copy_(2000 * pattern / 48)
        linear.bias.copy_(-linear.weight.sum(1) / 2)
    y = torch.arange(40) % 4
    distance = torch.linspace(0.1 * EPS, 0.9 * EPS, 40)
    x = (0.5 + distance[:, None] * pattern[y]).view(40, 3, 4, 4)
    return nn.Sequential(nn.Flatten(), linear).eval(), x, y


def _recorded(*shape: int) -> tuple[Tensor, Tensor]:
    """What a layer puts out for clean and for adversarial images; some of it is negative."""
    return _random(*shape, seed=1) * 2 - 0.6, _random(*shape, seed=2) * 2 - 0.6


def _two_layers() -> tuple[Recordings, Recordings, Recordings]:
    """Recordings of six images that carry gradients, and some of the neurons of each layer."""
    sides = []
    for seed in (1, 2):
        outputs = (_random(6, 11, seed=seed) - 0.2).relu()
        side = {"conv": outputs.repeat(1, 2)[:, :16].view(6, 4, 2, 2), "fc": outputs[:, :5].contiguous()}
        sides.append({layer: output.clone().requires_grad_(True) for layer, output in side.items()})
    return sides[0], sides[1], {"conv": torch.tensor([2, 0, 1]), "fc": torch.tensor([3])}


def _changed(side: Recordings, layer: str, neurons: list[int], factor: float, shift: float) -> Recordings:
    """A recording in which some neurons of a layer put out something else."""
    output = side[layer].detach().clone()
    output[:, neurons] = factor * output[:, neurons] + shift
    return {**side, layer: output}

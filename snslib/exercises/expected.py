"""What the checks expect, and what common mistakes lead to instead: a message for each, and its result.

It is apart from the checks so that reading one, as ``check_fgsm??`` does in a notebook, does not give its answer away.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import attacks, hooks, losses, overlap
from snslib.attacks import Attack
from snslib.evaluation.accuracy import predicted
from snslib.exercises.run import Mistakes
from snslib.exercises.tasks import Recordings


def loss_gradient(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Of the cross-entropy of logits, with respect to x."""
    return _gradient(x, lambda x: F.cross_entropy(model(x), classes, reduction="sum"))


def logit_gradient(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Of the logits of some classes, with respect to x."""
    return _gradient(x, lambda x: model(x).gather(1, classes[:, None]).sum())


def twice_softmax_gradient(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Of the cross-entropy to which probabilities are given for logits, with respect to x."""
    return _gradient(x, lambda x: F.cross_entropy(model(x).softmax(1), classes, reduction="sum"))


def _gradient(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(loss(x), x)[0]


def one_step(x: Tensor, slope: Tensor, length: float) -> tuple[Tensor, Mistakes]:
    """x' after a step along the signs of a slope, and squeezed into [0, 1] in place of cut off."""
    moved = x + length * slope.sign()
    squeezed: list[Tensor | float] = []
    for over in ((0, 1, 2, 3), (1, 2, 3), (2, 3)):  # the batch, an image, a channel
        low, high = moved.amin(over, keepdim=True), moved.amax(over, keepdim=True)
        squeezed += [(moved - low) / (high - low), moved / high]
    said = "x' is rescaled into [0, 1], which moves every pixel: leave what is inside, and cut off the rest (clamp)."
    return moved.clamp(0, 1), {said: squeezed}


def pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> tuple[Tensor, Mistakes]:
    """x' of PGD, and of many ways to miss it."""

    def walk(size: float = step_size, taken: int = steps, **mistake: Any) -> Tensor:
        return _walk(model, x, y, eps, size, taken, **mistake)

    asked = f"and {steps} were asked for: let the loop run `steps` times."
    mistakes: dict[str, Any] = {
        "x' is the same as x: nothing was added to it.": x,
        f"x' is where 1 step of {step_size:g} leads, {asked}": walk(taken=1),
    }
    mistakes |= {
        f"x' is where {n} steps of {step_size:g} lead, {asked}": walk(taken=n) for n in range(2, 12) if n != steps
    }
    return attacks.pgd(model, x, y, eps, step_size, steps), mistakes | {
        "every step goes down the loss of the true class: add it, do not subtract it.": walk(-step_size),
        "a step has length eps: it should have length step_size.": walk(eps),
        "every gradient is taken at the clean image: take it at the current x'.": walk(stale=True),
        "x' is put back into the eps ball and into [0, 1] only at the end: do it after each step.": (
            walk(ball=False, box=False)
        ),
        "x' is put back into the eps ball only at the end: do it after each step.": walk(ball=False),
        "x' is cut off to [0, 1] only at the end: do it after each step.": walk(box=False),
        "gradients of earlier steps are mixed in (momentum): step along the sign of the present one alone.": [
            walk(momentum=share, normalised=normalised) for share in (1.0, 0.9, 0.5) for normalised in (True, False)
        ],
        "the loss is that of predicted classes: take the labels y that the function is given.": (
            _walk(model, x, predicted(model, [x]), eps, step_size, steps)
        ),
    }


def _walk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    size: float,
    steps: int,
    stale: bool = False,
    ball: bool = True,
    box: bool = True,
    momentum: float = 0.0,
    normalised: bool = False,
) -> Tensor:
    """PGD, and what becomes of it with a mistake.

    ``stale`` takes every gradient at x. Without ``ball`` or ``box``, that projection comes only at the end.
    ``momentum`` keeps a share of earlier gradients, ``normalised`` by the size of each or as they are.
    """
    x_adv, velocity = x, torch.zeros_like(x)
    for step in range(steps):
        slope = loss_gradient(model, x if stale else x_adv, y)
        if normalised:
            slope = slope / slope.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        velocity = momentum * velocity + slope
        x_adv = x_adv + size * velocity.sign()
        if ball or step == steps - 1:
            x_adv = x_adv.clamp(x - eps, x + eps)
        if box or step == steps - 1:
            x_adv = x_adv.clamp(0, 1)
    return x_adv


def sigma(clean: Tensor, adversarial: Tensor) -> tuple[Tensor, Mistakes]:
    """Eq. 1 of one layer."""
    signed = (clean - adversarial).view(*clean.shape[:2], -1)  # image, neuron, position
    sizes = (clean.abs() - adversarial.abs()).view_as(signed)
    change = signed.abs()
    right = change.sum(2).mean(0)
    return right, {
        "gains and losses cancel: take the absolute value of the difference.": signed.sum(2).mean(0),
        "gains and losses cancel: take absolute values before summing positions.": signed.sum(2).abs().mean(0),
        "gains and losses cancel: take absolute values before averaging images.": signed.mean(0).abs().sum(1),
        "absolute values are taken of the outputs: take them of the difference.": [
            sizes.sum(2).mean(0),
            sizes.abs().sum(2).mean(0),
        ],
        "that is the mean over positions: the L1 norm sums over them.": change.mean((0, 2)),
        "that is the sum over images: Eq. 1 divides by their number N.": change.sum((0, 2)),
        "that is divided by the number of neurons: Eq. 1 divides by that of the images, N.": (
            change.sum((0, 2)) / change.shape[1]
        ),
        "that is one number per image: axis 0 has images, axis 1 has the neurons to keep.": [
            change.sum((1, 2)),
            change.sum(2).mean(1),
            change.mean((1, 2)),
        ],
        "that is one number per image and neuron: average over images, axis 0.": change.sum(2),
        "that is one number per position: sum over positions, axis 2 on.": (clean - adversarial).abs().mean(0),
        "that is the L2 norm: Eq. 1 has the L1 norm, the sum of absolute values.": signed.norm(dim=2).mean(0),
        "that is a sum of squares: Eq. 1 has absolute values.": signed.square().sum(2).mean(0),
        "that is the largest change of all positions: the L1 norm sums over them.": change.amax(2).mean(0),
        "that is one number for the layer: keep the neurons, axis 1.": [right.sum(), right.mean(), change.sum()],
    } | {
        f"that is the sum over images divided by {count}, and there are {len(clean)} images: divide by their number.": (
            change.sum((0, 2)) / count
        )
        for count in range(2, 9)
        if count != len(clean)
    }


def relative_sensitivity(clean: Tensor, adversarial: Tensor) -> tuple[float, Mistakes]:
    """The summed change of a layer over its summed clean output."""
    signed, output = (t.view(*clean.shape[:2], -1) for t in (clean - adversarial, clean))
    change, size = signed.abs(), output.abs()
    right = change.sum() / size.sum()
    return right.item(), {
        "gains and losses cancel: sum the absolute values of the differences.": [
            signed.sum().abs() / size.sum(),
            signed.sum() / size.sum(),
            (clean.abs() - adversarial.abs()).abs().sum() / size.sum(),
        ],
        "outputs above and below 0 cancel: sum their absolute values.": change.sum() / output.sum(),
        "that divides by the output for x': divide by that for clean images.": change.sum() / adversarial.abs().sum(),
        "that divides by the output for both sides: divide by that for clean images.": (
            change.sum() / (size.sum() + adversarial.abs().sum())
        ),
        "that is the mean of the neurons' ratios: take sums over all neurons first, and one ratio of them.": (
            (change.sum((0, 2)) / size.sum((0, 2))).mean()
        ),
        "that is the mean of the images' ratios: take sums over all images first, and one ratio of them.": (
            (change.sum((1, 2)) / size.sum((1, 2))).mean()
        ),
        "that is a ratio of L2 norms: take sums of absolute values.": signed.norm() / output.norm(),
        "that is a ratio of squares: take sums of absolute values.": signed.square().sum() / output.square().sum(),
        "the ratio is upside down: divide the change by the output.": 1 / right,
        "that is the change alone: divide it by the clean output.": [change.sum(), change.mean()],
        "that is one too much: it is the change alone over the output.": 1 + right,
    }


def average_jaccard(sets: list[set[int]]) -> tuple[float, Mistakes]:
    """Eq. 7."""

    def pairs_with(index: Callable[[set[int], set[int]], float]) -> list[float]:
        return [index(a, b) for i, a in enumerate(sets) for b in sets[:i]]

    indices = pairs_with(lambda a, b: len(a & b) / len(a | b))
    neighbours = [len(a & b) / len(a | b) for a, b in pairwise(sets)]
    from_first = [len(a & sets[0]) / len(a | sets[0]) for a in sets[1:]]
    total, n, m = sum(indices), len(sets), len(indices)
    both = pairs_with(lambda a, b: len(a & b) / (len(a) + len(b)))
    smaller = pairs_with(lambda a, b: len(a & b) / min(len(a), len(b)))
    larger = pairs_with(lambda a, b: len(a & b) / max(len(a), len(b)))
    return total / m, {
        "that is the total Jaccard index, Eq. 8: Eq. 7 averages over pairs.": overlap.total_jaccard(sets),
        "pairs of a set with itself are counted, which have 1: Eq. 7 leaves them out.": (2 * total + n) / n**2,
        "that is the sum over the pairs: divide by their number M.": total,
        "that is divided by the number of sets: divide by that of the pairs, M.": total / n,
        "every pair is counted twice and divided by once.": 2 * total / m,
        "every pair is counted once and divided by twice.": total / m / 2,
        "that divides by the sizes of both sets: divide by the size of their union.": sum(both) / m,
        "that divides by the size of the smaller set: divide by the size of the union.": sum(smaller) / m,
        "that divides by the size of the larger set: divide by the size of the union.": sum(larger) / m,
        "only neighbours in the list are compared: take every pair.": sum(neighbours) / len(neighbours),
        "only pairs with the first set are compared: take every pair.": sum(from_first) / len(from_first),
        "that is the share in which two sets differ: take the share that they have in common.": 1 - total / m,
    }


def suppressed(model: nn.Module, layer: str, neurons: Tensor, beta: float, x: Tensor) -> tuple[Tensor, Mistakes]:
    """Logits with the outputs of a layer's neurons multiplied by beta."""

    def after(change: Callable[[Tensor], Tensor]) -> Tensor:
        with hooks.on_output(model, {layer: change}), torch.no_grad():
            return model(x)

    def times(factor: float, chosen: Tensor = neurons, axis: int = 1) -> Callable[[Tensor], Tensor]:
        return lambda output: output.index_copy(axis, chosen, factor * output.index_select(axis, chosen))

    with hooks.record(model, [layer]) as outputs, torch.no_grad():
        model(x)
    everyone = torch.arange(outputs[layer].shape[1])
    mistakes: dict[str, Any] = {
        "the logits are those of the model as it is: let the hook return the changed output.": after(times(1)),
        "all neurons are turned down: only the chosen ones are to be.": after(times(beta, everyone)),
        "the other neurons are turned down: multiply the chosen ones.": (
            after(times(beta, everyone[~torch.isin(everyone, neurons)]))
        ),
        "only the first of the chosen neurons is turned down: multiply all of them.": after(times(beta, neurons[:1])),
        "the outputs are set to 0: multiply them by beta.": after(times(0)),
        "the outputs are set to beta: multiply them by it.": after(lambda o: o.index_fill(1, neurons, beta)),
        "the chosen neurons lose the share beta: they should keep it.": after(times(1 - beta)),
        "the chosen neurons are multiplied by beta twice: is there a hook too many?": after(times(beta**2)),
    }
    for factor in {0.8, 0.5, 0.3} - {beta}:
        words = f"the outputs are multiplied by {factor:g}, and beta is {beta:g} here: take the one that is given."
        mistakes[words] = after(times(factor))
    if int(neurons.max()) < len(x):
        words = "images are turned down: neurons are on axis 1, as in output[:, neurons]."
        mistakes[words] = after(times(beta, axis=0))
    return after(times(beta)), mistakes


def right_without(model: nn.Module, x_adv: Tensor, y: Tensor, layer: str, beta: float) -> list[float]:
    """The share of images that are right, for each neuron of a layer that is suppressed by itself."""
    with hooks.record(model, [layer]) as outputs:
        predicted(model, [x_adv])
    right = []
    for neuron in range(outputs[layer].shape[1]):
        with hooks.suppress(model, {layer: [neuron]}, beta):
            right.append((predicted(model, [x_adv]) == y).double().mean().item())
    return right


def sns_loss(clean: Recordings, adversarial: Recordings, omega: Recordings) -> tuple[Tensor, Mistakes]:
    """Eq. 9 to the letter, with its gradient."""
    right = losses.sns_loss(clean, adversarial, omega, "sum")
    n = len(next(iter(clean.values())))
    total = n * right
    signed = {layer: (clean[layer] - adversarial[layer]).detach() for layer in clean}
    signed = {layer: change.view(*change.shape[:2], -1) for layer, change in signed.items()}
    chosen = [signed[layer][:, neurons] for layer, neurons in omega.items()]  # image, neuron, position
    of_layers = [change.abs().sum() / n for change in chosen]
    mistakes: dict[str, Any] = {
        "that is the sum over the images: average over the batch.": total,
        "all neurons are counted: only those in omega should be.": sum(c.abs().sum() / n for c in signed.values()),
        "gains and losses cancel: sum the absolute values of the differences.": [
            sum(change.sum() / n for change in chosen),
            sum(change.sum().abs() / n for change in chosen),
            sum(change.sum((1, 2)).abs().mean() for change in chosen),
            sum(change.sum(2).abs().sum() / n for change in chosen),
        ],
        "that is the mean over neurons and positions: Eq. 9 sums over both.": sum(c.abs().mean() for c in chosen),
        "that is the mean over positions: the L1 norm of Eq. 9 sums over them.": (
            sum(change.abs().mean(2).sum() / n for change in chosen)
        ),
        "that is the mean over neurons: Eq. 9 sums over them.": sum(c.abs().sum(2).mean() for c in chosen),
        "that is the mean over the layers: Eq. 9 sums over them.": right / len(omega),
        "only the first layer is counted: sum over all layers of omega.": of_layers[0],
        "only the last layer is counted: sum over all layers of omega.": of_layers[-1],
        "that is the sum of squares: Eq. 9 has absolute values.": sum(c.square().sum() / n for c in chosen),
    }
    others = (count for count in range(2, 17) if count != n)
    return right, mistakes | {
        f"that is the sum over images divided by {count}, and the batch has {n}: divide by their number.": total / count
        for count in others
    }


def adversarial_loss(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> tuple[Tensor, Tensor, Tensor, Mistakes]:
    """L_adv, its clean and its adversarial half, with their gradients for the model."""

    def cross_entropy(images: Tensor, labels: Tensor = y) -> Tensor:
        return F.cross_entropy(model(images), labels)

    x_adv, guess = attack(model, x, y), predicted(model, [x])
    clean, adversarial = cross_entropy(x), cross_entropy(x_adv)
    right = (clean + adversarial) / 2
    guessed = cross_entropy(x_adv, predicted(model, [x_adv]))
    return (
        right,
        clean / 2,
        adversarial / 2,
        {
            "only the clean images are in the loss: average it with that of attack(model, x, y).": clean,
            "only the adversarial images are in the loss: C.1 mixes clean and adversarial ones 1 to 1.": adversarial,
            "that is the sum of the two losses: 1 to 1 means their mean.": 2 * right,
            "that is the sum over the images: average over the batch.": [len(x) * right, 2 * len(x) * right],
            "the attack starts from predicted classes: give it the labels y.": (
                (clean + cross_entropy(attack(model, x, guess))) / 2
            ),
            "x' is compared with its predicted class: its label is y, as for x.": [
                (clean + guessed) / 2,
                (clean + cross_entropy(x_adv, guess)) / 2,
            ],
            "the attack attacks x' again: give it the clean images x.": (
                (clean + cross_entropy(attack(model, x_adv, y))) / 2
            ),
            "the losses are subtracted: add them.": [(clean - adversarial) / 2, (adversarial - clean) / 2],
        },
    )


def worst_case(right: Tensor) -> tuple[float, Mistakes]:
    """The share of images, columns, that are right under every attack, rows."""
    accuracies, share = right.double().mean(1), right.all(0).double().mean()
    return share.item(), {
        "that is the lowest accuracy of one attack: an image that any attack turns is lost.": accuracies.min(),
        "that is the highest accuracy of one attack: an image that any attack turns is lost.": accuracies.max(),
        "that is the mean over the attacks: an image counts only if it is right under all.": accuracies.mean(),
        "an image counts there if one attack leaves it right: all have to.": right.any(0).double().mean(),
        "that is the number of images: divide it by how many there are.": right.all(0).sum(),
        "attacks are counted, not images: rows are attacks, columns are images.": right.all(1).double().mean(),
        "that is the share of images that are lost: return that of those that stay right.": 1 - share,
        "that is in percent: return a share, from 0 to 1.": 100 * share,
        "that is divided by the number of attacks: divide by that of the images.": right.all(0).sum() / len(right),
        "that is divided by the number of results: divide by that of the images.": right.all(0).sum() / right.numel(),
    }

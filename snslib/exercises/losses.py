"""Checks of losses to train with: the SNS loss (chapter 4), adversarial training's (5), and a remedy (7)."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import attacks, losses
from snslib.attacks import Attack
from snslib.evaluation.accuracy import predicted
from snslib.exercises.run import ExerciseError, as_number, close, compare, exercise, gradients_of, returned
from snslib.exercises.tasks import EPS, Recordings, changed, small_task, two_layers


@exercise("4.1")
def check_sns_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``: Eq. 9 to the letter, averaged over the batch, differentiable."""
    clean, adversarial, omega = two_layers()
    loss = returned(solution, clean=clean, adversarial=adversarial, omega=omega)
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
    compare(as_number(loss), right.item(), mistakes, "Eq. 9 sums over layers, their neurons in omega, and positions.")
    inputs = [*clean.values(), *adversarial.values()]
    for slope, wanted in zip(gradients_of(loss, inputs), torch.autograd.grad(right, inputs), strict=True):
        if not close(slope, wanted):
            raise ExerciseError(
                "the value is right, its gradient is not: both recordings have to carry it, undetached."
            )
    return "Right: Eq. 9, and its gradient reaches both recordings."


@exercise("5.1")
def check_adversarial_loss(solution: Callable[[nn.Module, Tensor, Tensor, Attack], Tensor]) -> str:
    """Check ``(model, x, y, attack) -> loss``: L_adv, cross-entropy of x and x' mixed 1 to 1, as PAT minimises it."""
    model, x, y = small_task()
    attack = partial(attacks.fgsm, eps=EPS)
    loss = returned(solution, model=model, x=x, y=y, attack=attack)
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
    compare(as_number(loss), right, mistakes, "It is the mean of two cross-entropies, for x and for x'.")
    gradients_of(loss, list(model.parameters()))
    return "Right: that is the loss that adversarial training minimises."


@exercise("7.4")
def check_remedy_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``, a loss of the reader's own that does not reward silence.

    It has to be 0 where nothing moves, to grow with the change of the neurons in omega and of no others, and neither
    it nor its gradient may reward a neuron for being scaled or shifted, or for a pattern that every image gets.
    """
    clean, adversarial, omega = two_layers()

    def tried(clean: Recordings, adversarial: Recordings) -> tuple[float, list[Recordings]]:
        """The loss, and its gradients for both recordings."""
        sides = [
            {layer: output.detach().requires_grad_(True) for layer, output in s.items()} for s in (clean, adversarial)
        ]
        loss = returned(solution, clean=sides[0], adversarial=sides[1], omega=omega)
        value = as_number(loss)
        slopes = [dict(zip(side, gradients_of(loss, list(side.values())), strict=True)) for side in sides]
        if not all(slope.isfinite().all() for of_side in slopes for slope in of_side.values()):
            raise ExerciseError("the gradient is not finite: mind divisions by 0 and roots of 0.")
        return value, slopes

    before, slopes = tried(clean, adversarial)
    still, half = (tried(clean, {k: c + t * (adversarial[k] - c) for k, c in clean.items()})[0] for t in (0.0, 0.5))
    if abs(still) > 1e-4 * abs(before):
        raise ExerciseError(f"every neuron outputs the same for x' as for x, and the loss is {still:.3g}, not 0.")
    if not 0 < half < before:
        raise ExerciseError(
            f"the loss is {before:.3g}, and {half:.3g} where every neuron moves half as far: should be less, not 0."
        )
    elsewhere = changed(changed(adversarial, "conv", [3], 1, 1), "fc", [0, 1, 2, 4], 1, 1)
    if abs(tried(clean, elsewhere)[0] - before) > 1e-4 * before:
        raise ExerciseError("neurons outside of omega change the loss: stabilise those in omega only.")

    for layer, neuron in ((layer, neuron) for layer, neurons in omega.items() for neuron in neurons.tolist()):
        for factor, shift, what in _disguises(clean[layer]):
            now, _ = tried(*(changed(side, layer, [neuron], factor, shift) for side in (clean, adversarial)))
            if factor != 0 and now < 0.99 * before:
                raise ExerciseError(
                    f"the loss falls from {before:.3g} to {now:.3g} when neuron {neuron} of {layer} {what}, for x "
                    "and x' alike. It is no steadier signal for that: against what should its change be measured?"
                )
    for layer, neurons in omega.items():
        outputs = torch.stack([side[layer].detach()[:, neurons] for side in (clean, adversarial)])
        slope = torch.stack([side[layer][:, neurons] for side in slopes])
        scaled = (slope * outputs).transpose(0, 2).flatten(1)
        for what, parts, over in (("shifting each position of", slope, (0, 1)), ("scaling", scaled, (1,))):
            if (parts.sum(over).abs() > 1e-3 * parts.abs().sum(over)).any():
                raise ExerciseError(
                    f"{what} a neuron of {layer} leaves the loss as it is, but not by its gradient, which training "
                    "follows. Is a part of the loss detached?"
                )
    return "Right: your loss falls if the neurons in omega move less, and not if they only put on a disguise."


def _disguises(output: Tensor) -> list[tuple[float, float | Tensor, str]]:
    """What a neuron can do without being any steadier: factor and shift of its output, in words."""
    pattern = 10 * torch.arange(output[0, 0].numel()).view(output.shape[2:])
    return [
        (0.01, 0.0, "outputs a hundredth of what it did"),
        (1.0, 10.0, "outputs 10 more"),
        (1.0, -1.0, "outputs 1 less"),
        (1.0, pattern, "outputs a pattern besides, the same for every image,"),
        (0.0, 0.0, "is inactive"),  # whatever the loss is then, it has to be a number
    ]

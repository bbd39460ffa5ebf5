"""Checks of losses to train with: the SNS loss (chapter 4), adversarial training's (5), and a remedy (7)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from snslib import attacks
from snslib.attacks import Attack
from snslib.exercises import expected
from snslib.exercises.run import ExerciseError, as_number, close, compare, exercise, gradients_of, returned
from snslib.exercises.tasks import EPS, SIZES, Recordings, changed, layers, small_task


@exercise("4.1")
def check_sns_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``: Eq. 9 to the letter, averaged over the batch, differentiable."""
    for images, sizes in SIZES:
        clean, adversarial, omega = layers(images, sizes)
        loss = returned(solution, clean=clean, adversarial=adversarial, omega=omega)
        right, mistakes = expected.sns_loss(clean, adversarial, omega)
        look = f"Eq. 9 sums over layers, their neurons in omega, and positions; the batch has {images} images."
        compare(as_number(loss), right.item(), mistakes, look)
        for name, side in (("clean", clean), ("adversarial", adversarial)):
            outputs = list(side.values())
            wanted = torch.autograd.grad(right, outputs, retain_graph=True)
            for layer, slope, of_layer in zip(side, gradients_of(loss, outputs), wanted, strict=True):
                if not close(slope, of_layer):
                    zero = "" if slope.any() else ", which is 0"
                    raise ExerciseError(
                        f"the value is right, but not its gradient for {name}[{layer!r}]{zero}: both recordings have "
                        "to carry it, undetached."
                    )
    return "Right: Eq. 9, and its gradient reaches both recordings."


@exercise("5.1")
def check_adversarial_loss(solution: Callable[[nn.Module, Tensor, Tensor, Attack], Tensor]) -> str:
    """Check ``(model, x, y, attack) -> loss``: L_adv, cross-entropy of x and x' mixed 1 to 1, as PAT minimises it."""
    attack: Attack
    for images, channels, seed, attack in (
        (4, 4, 0, partial(attacks.fgsm, eps=EPS)),
        (5, 3, 23, partial(attacks.fgsm, eps=0.02)),
        (3, 4, 0, partial(attacks.pgd, eps=0.3, step_size=0.1, steps=4)),
    ):
        model, x, y = small_task(images, channels, seed)
        loss = returned(solution, model=model, x=x, y=y, attack=attack)
        right, clean, adversarial, mistakes = expected.adversarial_loss(model, x, y, attack)
        compare(as_number(loss), right.item(), mistakes, "It is the mean of two cross-entropies, for x and for x'.")
        _check_halves(loss, model, clean, adversarial)
    return "Right: that is the loss that adversarial training minimises, and so is its gradient."


def _check_halves(loss: Tensor, model: nn.Module, clean: Tensor, adversarial: Tensor) -> None:
    """The gradient for the parameters is that of both halves of the loss."""
    parameters = list(model.parameters())

    def of(loss: Tensor) -> Tensor:
        return torch.cat([slope.flatten() for slope in gradients_of(loss, parameters)])

    got, of_clean, of_adversarial = of(loss), of(clean), of(adversarial)
    for trained, other, half in (("clean", "x'", of_clean), ("adversarial", "x", of_adversarial)):
        if close(got, half):
            raise ExerciseError(
                f"the value is right, but only the {trained} images are trained on: the loss of {other} has to carry "
                "its gradient too, without no_grad, item or detach."
            )
    if not close(got, of_clean + of_adversarial):
        raise ExerciseError(
            "the value is right, its gradient for the model's parameters is not: let both cross-entropies carry theirs."
        )


@exercise("7.4")
def check_remedy_loss(solution: Callable[[Recordings, Recordings, Recordings], Tensor]) -> str:
    """Check ``(clean, adversarial, omega) -> loss``, a loss of the reader's own that does not reward silence.

    It has to be 0 where nothing moves, to grow with the change of the neurons in omega and of no others, and neither
    it nor its gradient may reward a neuron for being scaled or shifted, or for a pattern that every image gets.
    """
    for images, sizes in SIZES:
        clean, adversarial, omega = layers(images, sizes)
        tried = partial(_tried, solution, omega)
        before, slopes = tried(clean, adversarial)
        _check_growth(tried, before, clean, adversarial, omega)
        _check_disguises(tried, before, clean, adversarial, omega)
        _check_slopes(slopes, before, clean, adversarial, omega)
    return "Right: your loss falls if the neurons in omega move less, and not if they only put on a disguise."


Tried = Callable[[Recordings, Recordings], tuple[float, list[Recordings]]]


def _tried(
    solution: Callable[[Recordings, Recordings, Recordings], Tensor],
    omega: Recordings,
    clean: Recordings,
    adversarial: Recordings,
) -> tuple[float, list[Recordings]]:
    """The loss, and its gradients for both recordings."""
    sides = [{layer: output.detach().requires_grad_(True) for layer, output in s.items()} for s in (clean, adversarial)]
    loss = returned(solution, clean=sides[0], adversarial=sides[1], omega=omega)
    value = as_number(loss)
    return value, [dict(zip(side, gradients_of(loss, list(side.values())), strict=True)) for side in sides]


def _neurons(omega: Recordings) -> list[tuple[str, int]]:
    return [(layer, neuron) for layer, neurons in omega.items() for neuron in neurons.tolist()]


def _check_growth(tried: Tried, before: float, clean: Recordings, adversarial: Recordings, omega: Recordings) -> None:
    """The loss is 0 where nothing moves, and grows with the movement of every neuron of omega and of no other."""
    still, half = (tried(clean, {k: c + t * (adversarial[k] - c) for k, c in clean.items()})[0] for t in (0.0, 0.5))
    if abs(still) > 1e-4 * abs(before):
        raise ExerciseError(f"every neuron outputs the same for x' as for x, and the loss is {still:.3g}, not 0.")
    if not 0 < half < before:
        raise ExerciseError(
            f"the loss is {before:.3g}, and {half:.3g} where every neuron moves half as far: should be less, not 0."
        )
    for what, factor in (("twice as much", 2.0), ("half as much", 0.5), ("-1 times as much", -1.0)):
        value = tried(clean, {layer: factor * output.detach() for layer, output in clean.items()})[0]
        if value < -1e-4 * before:
            raise ExerciseError(
                f"the loss is {value:.3g} where every neuron outputs {what} for x' as for x, less than the 0 of "
                "no movement: it rewards moving."
            )
    for layer, neuron in _neurons(omega):
        alone = clean[layer].detach().clone()
        alone[:, neuron] = adversarial[layer].detach()[:, neuron]
        if (value := tried(clean, {**clean, layer: alone})[0]) < 1e-4 * before:
            raise ExerciseError(
                f"only neuron {neuron} of {layer} moves, which is in omega, and the loss is {value:.3g}: count every "
                "neuron of omega, in every layer."
            )
    elsewhere = adversarial
    for layer, neurons in omega.items():
        others = sorted(set(range(clean[layer].shape[1])) - set(neurons.tolist()))
        elsewhere = changed(elsewhere, layer, others, 1, 1)
    if abs(tried(clean, elsewhere)[0] - before) > 1e-4 * before:
        raise ExerciseError("neurons outside of omega change the loss: stabilise those in omega only.")


def _check_disguises(
    tried: Tried, before: float, clean: Recordings, adversarial: Recordings, omega: Recordings
) -> None:
    """No neuron of omega lowers the loss by a disguise."""
    for layer, neuron in _neurons(omega):
        for factor, shift, what in _disguises(clean[layer]):
            now, _ = tried(*(changed(side, layer, [neuron], factor, shift) for side in (clean, adversarial)))
            if factor != 0 and now < 0.99 * before:
                raise ExerciseError(
                    f"the loss falls from {before:.3g} to {now:.3g} when neuron {neuron} of {layer} {what}, for x "
                    "and x' alike. It is no steadier signal for that: against what should its change be measured?"
                )


def _check_slopes(
    slopes: list[Recordings], before: float, clean: Recordings, adversarial: Recordings, omega: Recordings
) -> None:
    """Nor does the gradient reward one; of a neuron whose gradient is 0 there is but rounding to see."""
    for layer, neurons in omega.items():
        outputs = torch.stack([side[layer].detach()[:, neurons] for side in (clean, adversarial)])
        slope = torch.stack([side[layer][:, neurons] for side in slopes])
        scaled = (slope * outputs).transpose(0, 2).flatten(1)
        for what, parts, over in (("shifting each position of", slope, (0, 1)), ("scaling", scaled, (1,))):
            if (parts.sum(over).abs() > 1e-3 * parts.abs().sum(over) + 1e-6 * before).any():
                raise ExerciseError(
                    f"{what} a neuron of {layer} leaves the loss as it is, but not by its gradient, which training "
                    "follows. Is a part of the loss detached?"
                )


def _disguises(output: Tensor) -> list[tuple[float, float | Tensor, str]]:
    """What a neuron can do without being any steadier: factor and shift of its output, in words."""
    pattern = 10 * torch.arange(output[0, 0].numel()).view(output.shape[2:])
    return [
        (0.01, 0.0, "outputs a hundredth of what it did"),
        (1.0, 10.0, "outputs 10 more"),
        (1.0, -1.0, "outputs 1 less"),
        (1.0, pattern, "outputs a pattern besides that every image gets"),
        (0.0, 0.0, "is inactive"),  # whatever the loss is then, it has to be a number
    ]

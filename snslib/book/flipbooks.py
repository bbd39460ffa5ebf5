"""The flipbooks of the chapters: pictures under a slider, with a text for each."""

from collections.abc import Mapping, Sequence

from ipywidgets import VBox
from torch import Tensor

from snslib.book.figures import attacks, overlap, sensitivity
from snslib.book.text import radius
from snslib.book.widgets import flipbook
from snslib.claims.numbers.suppression import WAYS, accuracy_at
from snslib.study.records import Record


def growing_attack(
    x: Tensor,
    y: Tensor,
    adversarial: Tensor,
    logits: Tensor,
    classes: Sequence[str],
    epsilons: Sequence[float],
    first: float,
) -> VBox:
    """An image under PGD, a frame per radius.

    Args:
        x: the clean image, float (1, 3, H, W) in [0, 1].
        y: its class, int64 (1,).
        adversarial: x' at each radius, (N, 3, H, W).
        logits: the model's for them, (N, K).
        classes: the classes' names.
        epsilons: the radii, all different.
        first: the radius that is shown first, or else the one nearest to it.
    """
    probabilities, label = logits.softmax(1), int(y)
    names = [radius(eps) for eps in epsilons]
    texts = [
        f"Under PGD with eps {name}, an image of class {classes[label]} is read as {classes[int(chances.argmax())]}, "
        f"with a probability of {100 * float(chances.max()):.0f}%."
        for name, chances in zip(names, probabilities, strict=True)
    ]
    frames = attacks.growing_attack(x[0], label, adversarial, probabilities, classes, epsilons)
    start = min(range(len(epsilons)), key=lambda place: abs(epsilons[place] - first))
    return flipbook(frames, names, "eps", texts, start)


def ranked_neurons(sigma: Mapping[str, Tensor], omega: Mapping[str, Tensor]) -> VBox:
    """The sensitivity of a layer's neurons from high to low, a frame per layer.

    Args:
        sigma: layer to sensitivities (C,).
        omega: layer to its sensitive neurons, int64 (K,).
    """
    frames = [sensitivity.ranked(layer, values.tolist(), len(omega[layer])) for layer, values in sigma.items()]
    texts = [
        f"{layer}: of {len(values)} neurons, the {len(omega[layer])} most sensitive have a mean sensitivity of "
        f"{values[omega[layer]].mean():.3g}, and all together one of {values.mean():.3g}."
        for layer, values in sigma.items()
    ]
    return flipbook(frames, list(sigma), "layer", texts)


def suppression(record: Record) -> VBox:
    """Accuracy with sensitive neurons suppressed, a frame per factor.

    Args:
        record: of :func:`snslib.study.measurements.suppression`.
    """
    betas = record.result["betas"]

    def described(beta: float) -> str:
        clean = accuracy_at([record], "white_box", "clean", beta)
        under = " and ".join(f"{accuracy_at([record], way, 'pgd', beta)} {title}" for way, title in WAYS.items())
        return f"β {beta:g}: {clean} on clean images; under PGD {under}"

    frames = [overlap.suppressed(record, beta) for beta in betas]
    return flipbook(frames, [f"{beta:g}" for beta in betas], "β", [described(beta) for beta in betas])

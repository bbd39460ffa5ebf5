"""Figures of attacks: images, what four attacks make of them, and what is left of the accuracy (section 3.1)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from snslib.book.figures.style import COLOURS, literal
from snslib.book.text import radius
from snslib.training.loop import History

WRONG = "#b03a00"  # readable on white, and distinct from black by more than its colour: a cross stands beside it
NAME_LENGTH = 12  # letters of a class's name that fit beside its neighbours


def image_grid(images: Tensor, labels: Tensor, classes: Sequence[str], columns: int = 10) -> Figure:
    """Images with their classes.

    Args:
        images: float (N, 3, H, W) in [0, 1].
        labels: int64 (N,), places in ``classes``.
        classes: their names.
        columns: images in a row.
    """
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(7.5, rows * 7.5 / columns + 0.25), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, label in zip(axes.flat, images, labels.tolist(), strict=False):
        _show(ax, image)
        ax.set_title(_short(classes[label]), fontsize=11)
    plt.close(fig)
    return fig


def training_curves(history: History) -> Figure:
    """Loss at every step, and accuracy on the validation images after every epoch.

    Args:
        history: as :func:`snslib.training.loop.train` returns it; without validation images only the loss is drawn.
    """
    validated = "clean" in history[0]
    fig, axes = plt.subplots(1, 1 + validated, figsize=(7.5, 2.8), squeeze=False)
    loss = np.concatenate([entry["steps"]["loss"] for entry in history])
    axes[0, 0].plot(np.linspace(0, len(history), len(loss)), loss, color=COLOURS["vanilla"], linewidth=1, label="loss")
    axes[0, 0].set(xlabel="epoch", ylabel="cross-entropy", yscale="log")
    if validated:
        epochs = [entry["epoch"] for entry in history]
        attacked = f"under PGD, eps {255 * history[0]['eps']:.3g}/255"
        for column, label, line in (("clean", "clean", "-o"), ("pgd", attacked, "--s")):
            axes[0, 1].plot(epochs, [100 * entry[column] for entry in history], line, ms=5, label=label)
        axes[0, 1].set(xlabel="epoch", ylabel="validation accuracy, %", ylim=(-3, 103))
        axes[0, 1].legend()
    for ax in axes.flat:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    plt.close(fig)
    return fig


def accuracy_by_eps(epsilons: Sequence[float], accuracy: Sequence[float], marks: Mapping[str, float]) -> Figure:
    """Accuracy under an attack as its radius grows.

    Args:
        epsilons: radii in [0, 1] pixel space, > 0.
        accuracy: the share of images still right at each.
        marks: label to a radius that gets a vertical line.
    """
    fig, ax = plt.subplots(figsize=(6, 3))
    places = [255 * eps for eps in epsilons]
    ax.plot(places, [100 * share for share in accuracy], "-o", color=COLOURS["vanilla"], label="accuracy")
    lines = [
        ax.axvline(255 * eps, color="0.35", linestyle=line, label=label)
        for (label, eps), line in zip(marks.items(), ("--", ":"), strict=False)
    ]
    ax.set_xscale("log", base=2)
    ax.set_xticks(places)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="eps, in 255ths of the pixel range", ylabel="accuracy, %", ylim=(-3, 103))
    ax.legend(handles=lines)
    plt.close(fig)
    return fig


def adversarial_panel(
    x: Tensor,
    y: Tensor,
    adversarial: Mapping[str, Tensor],
    logits: Mapping[str, Tensor],
    classes: Sequence[str],
    eps: float,
    shown: Sequence[int] | None = None,
) -> Figure:
    """Each image clean and under each attack, and below it the perturbation, magnified until eps is black or white.

    Args:
        x: clean images, float (N, 3, H, W) in [0, 1].
        y: their classes, int64 (N,).
        adversarial: attack to x', of the shape of x.
        logits: "clean" and each attack to the model's logits (N, K).
        classes: the classes' names.
        eps: the radius; the perturbation is shown as 1/2 + (x' - x) / (2 eps), or as it is where eps is 0.
        shown: places of the images that are shown; None shows all.
    """
    factor = 1 / (2 * eps) if eps > 0 else 1.0
    columns = ["clean", *adversarial]
    size = 7.5 / len(columns)
    images = range(len(x)) if shown is None else shown
    fig, axes = plt.subplots(
        2 * len(images), len(columns), figsize=(7.5, 2 * len(images) * (size + 0.2)), squeeze=False
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(column)
    for row, image in enumerate(images):
        for place, column in enumerate(columns):
            top, bottom = axes[2 * row, place], axes[2 * row + 1, place]
            confidence, guess = logits[column][image].softmax(0).max(0)
            sign, colour = ("✓", "black") if guess == y[image] else ("✗", WRONG)
            name = _short(classes[int(guess)])
            top.set_xlabel(f"{sign} {name}\n{100 * float(confidence):.0f}%", color=colour, fontsize=11)
            if column == "clean":
                _show(top, x[image])
                bottom.set_axis_off()
                words = f"$x' - x$\nmagnified\n{factor:.3g} times;\ngrey is 0"
                bottom.text(0.5, 0.5, words, ha="center", va="center", fontsize=11, transform=bottom.transAxes)
            else:
                _show(top, adversarial[column][image])
                _show(bottom, 0.5 + factor * (adversarial[column][image] - x[image]))
    plt.close(fig)
    return fig


def largest_radii(
    x: Tensor,
    y: Tensor,
    adversarial: Tensor,
    logits: Tensor,
    classes: Sequence[str],
    epsilons: Sequence[float],
    count: int = 4,
) -> Figure:
    """An image clean and under an attack at its largest radii, as :func:`adversarial_panel` shows attacks.

    Args:
        x: the clean image, float (1, 3, H, W) in [0, 1].
        y: its class, int64 (1,).
        adversarial: x' at each radius, (N, 3, H, W); the first is the image as it is.
        logits: the model's for them, (N, K).
        classes: the classes' names.
        epsilons: the radii, from 0 up.
        count: how many radii are shown.
    """
    names = [radius(eps) for eps in epsilons[-count:]]
    images, read = (dict(zip(names, values[-count:].split(1), strict=True)) for values in (adversarial, logits))
    return adversarial_panel(x, y, images, {"clean": logits[:1], **read}, classes, epsilons[-1])


def growing_attack(
    x: Tensor, y: int, adversarial: Tensor, probabilities: Tensor, classes: Sequence[str], epsilons: Sequence[float]
) -> list[Figure]:
    """An image under an attack whose radius grows, a figure per radius: x', the perturbation and the prediction.

    Args:
        x: the clean image, float (3, H, W) in [0, 1].
        y: its class.
        adversarial: x' at each radius, (N, 3, H, W).
        probabilities: the model's for them, (N, K); the ten classes that are ever likeliest are shown.
        classes: the classes' names.
        epsilons: the radii; every perturbation is magnified until the largest of them is black or white.
    """
    factor = 1 / (2 * max(epsilons)) if max(epsilons) > 0 else 1.0
    shown = sorted(probabilities.max(0).values.topk(min(10, len(classes))).indices.tolist())
    figures = []
    for image, chances in zip(adversarial, probabilities, strict=True):
        fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.8), width_ratios=(1, 1, 1.1))
        titles = (f"$x'$, a {_short(classes[y])}", f"$x' - x$, {factor:.3g} times")
        for ax, picture, title in zip(axes, (image, 0.5 + factor * (image - x)), titles, strict=False):
            _show(ax, picture)
            ax.set(title=title, xticks=[], yticks=[])
        guess = int(chances.argmax())
        colours = [WRONG if place == guess != y else "black" if place == y else "0.6" for place in shown]
        names = [f"{_short(classes[place])}{' ✓' if place == y else ''}" for place in shown]
        axes[2].barh(names, [100 * float(chances[place]) for place in shown], color=colours)
        axes[2].invert_yaxis()
        axes[2].set(title="prediction, %", xlim=(0, 103))
        axes[2].grid(False, axis="y")
        plt.close(fig)
        figures.append(fig)
    return figures


def _short(name: str) -> str:
    """The name of a class, or what fits of it."""
    return literal(name[:NAME_LENGTH])


def _show(ax: Axes, image: Tensor) -> None:
    ax.imshow(image.clamp(0, 1).permute(1, 2, 0).cpu().numpy(), interpolation="none")

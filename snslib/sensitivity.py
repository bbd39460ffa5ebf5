"""Neuron sensitivity, sensitive neurons and important neurons (Eq. 1-5, A.1)."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from snslib import arguments, kernels
from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.hooks import Axis, NotFinite, on_whole_output, uncompiled
from snslib.inference import device_of, frozen, images_at_once, run
from snslib.means import mean_over_images, mean_over_pairs
from snslib.neurons import neuron_axis
from snslib.passes import warn_if_mixed

CHOICES = ("sensitive", "least", "random")  # of choose_neurons


def dual_pairs(
    model: nn.Module, split: Split, attack: Attack, batch_size: int | None = None, eps: float | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The dual pair set of section 2.1, made batch by batch as it is asked for.

    A warning says where x' of an image depends on the others of its batch (:func:`snslib.passes.independent`).

    Args:
        model: the model that is attacked, white-box.
        split: the images, in whose order the pairs come.
        attack: maps (model, x, y) to x', for example one of ``attacks.paper_attacks``.
        batch_size: pairs at a time, >= 1, None for what suits the device.
        eps: the radius that x' has to keep, in [0, 1] pixel space; None where the attack has none.

    Yields:
        (x, x'), float (B, 3, H, W) in [0, 1], on the model's device.

    Raises:
        ValueError: what is no model, split or attack; a radius outside [0, 1]; x' of another shape, outside [0, 1],
            not finite, or beyond eps.
    """
    device = device_of(model)
    if not isinstance(split, Split):
        raise ValueError(f"split: expected a Split, such as the test of a data set, got {arguments.described(split)}")
    if not callable(attack):
        raise ValueError(f"attack: expected a function of (model, x, y), got {arguments.shown(attack)}")
    if eps is not None:
        eps = arguments.radius("eps", eps)
    for i, (_, images, y) in enumerate(batches(split.to(device), images_at_once(device, batch_size))):
        x = to_float(images)
        if i == 0:
            warn_if_mixed(model, x)
        x_adv = arguments.adversarial("attack", attack(model, x.clone(), y.clone()), x, eps)
        yield x, x_adv.detach()


def checked(pairs: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs, provided that they are such.

    Args:
        pairs: batches (x, x') of float images (B, C, H, W) in [0, 1], of any sizes B.

    Raises:
        ValueError: what is no iterable of pairs, shapes that differ, images outside [0, 1].
    """
    for pair in arguments.several("pairs", pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(
                f"pairs: expected batches (x, x'), got {arguments.shown(pair)}; put a single one in a list, [(x, x')]"
            )
        x, x_adv = arguments.images("pairs (x)", pair[0]), arguments.images("pairs (x')", pair[1])
        if x.shape != x_adv.shape:
            raise ValueError(f"pairs: x and x' must match, got {tuple(x.shape)} and {tuple(x_adv.shape)}")
        if x.device != x_adv.device:
            raise ValueError(f"pairs: x and x' must be on one device, got {x.device} and {x_adv.device}")
        yield x, x_adv


def neuron_sensitivity(
    model: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]], layers: Sequence[str], axis: Axis = None
) -> dict[str, Tensor]:
    """How much each neuron's output differs between benign and adversarial images (Eq. 1).

    x and x' go through the model together, in eval mode, and each layer's difference is reduced inside the hook: no
    activation is kept, whatever the number of layers, of pairs, and of pairs in a batch. Only where it is found that
    the images of a pass are not independent, as with BatchNorm without running statistics, each x and each x' of
    ``pairs`` is a pass. The model is left as it was.

    Args:
        model: any module.
        pairs: the dual pair set, batches (x, x') of float images (B, C, H, W) in [0, 1], of any sizes B.
        layers: dotted names of layers that output (N, C, H, W), (N, C) or tokens (N, T, C).
        axis: of the neurons in what all of these output, or layer to axis; None finds it, see
            :func:`snslib.neurons.neuron_axis`.

    Returns:
        Layer to float32 (C,) on the CPU: the L1 norm of the difference, summed over space, averaged over the pairs.
        Of a layer that runs several times in a pass, the last output counts, and a warning says so.

    Raises:
        ValueError: no pairs, shapes that differ, images outside [0, 1], an unknown layer, one that does not run, puts
            out a tuple or has its neurons on an axis that cannot be known, outputs that are not finite.
    """

    def difference(output: Tensor) -> Tensor:
        return kernels.channel_l1(*output.chunk(2))

    names = arguments.layers(uncompiled(model), layers)
    sigma = mean_over_pairs(model, checked(pairs), dict.fromkeys(names, difference), axis=axis)  # Eq. 1
    if not sigma:
        raise ValueError("pairs: got none; a dual pair set is an iterable of batches (x, x')")
    return sigma


def neuron_activation(
    model: nn.Module, images: Iterable[Tensor], layers: Sequence[str], axis: Axis = None
) -> dict[str, Tensor]:
    """How much each neuron outputs: the L1 norm of F_l^m(x), averaged over images.

    The scale on which to see Eq. 1: a neuron that outputs little cannot vary much, and one that is inactive
    for every image is dead. Arguments, result and errors as in :func:`neuron_sensitivity`, with batches x for pairs.
    """
    return _mean_of_outputs(model, images, layers, lambda o: kernels.channel_l1(o, torch.zeros_like(o)), axis)


def neuron_variance(
    model: nn.Module, images: Iterable[Tensor], layers: Sequence[str], axis: Axis = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """How much each neuron's output varies: from image to image at a position, and over all images and positions.

    A neuron can vary without telling images apart: padding lets it know where in the image it is, and it may output
    the same pattern for all of them. Then it has none of the former. Arguments and errors as in
    :func:`neuron_activation`.

    Returns:
        Two variances of each neuron, layer to float32 (C,) on the CPU. The first is the variance over images, averaged
        over positions; the second, of images and positions together, is as large or larger.
    """

    def moments(output: Tensor) -> Tensor:
        values = output.reshape(*output.shape[:2], -1).double()
        return torch.stack([values.sum(0), values.square().sum(0)])

    found = _mean_of_outputs(model, images, layers, moments, axis, torch.float64)  # differences of them follow
    over_images = {name: (square - mean**2).mean(1) for name, (mean, square) in found.items()}
    over_all = {name: square.mean(1) - mean.mean(1) ** 2 for name, (mean, square) in found.items()}
    # rounding leaves a little below 0 of a neuron that does not vary
    first, second = ({name: v.clamp_min(0).float() for name, v in of.items()} for of in (over_images, over_all))
    return first, second


def _mean_of_outputs(
    model: nn.Module,
    images: Iterable[Tensor],
    layers: Sequence[str],
    statistic: Callable[[Tensor], Tensor],
    axis: Axis,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """:func:`mean_over_images` of one statistic of all layers, over batches x that are checked and counted here."""

    def counted() -> Iterator[tuple[Tensor, int]]:
        for x in arguments.several("images", images):
            yield arguments.images("images", x), len(x)

    names = arguments.layers(uncompiled(model), layers)
    means = mean_over_images(model, counted(), dict.fromkeys(names, statistic), dtype, axis)
    if not means:
        raise ValueError("images: got none; expected batches of float images (B, C, H, W)")
    return means


def relative_sensitivity(sigma: Sequence[float] | Tensor, activation: Sequence[float] | Tensor) -> float:
    """How much of a layer's output an attack moves: its summed sensitivity over its summed clean output.

    Args:
        sigma: the neurons' sensitivities (C,), of :func:`neuron_sensitivity`.
        activation: the L1 norms of their clean outputs (C,), of :func:`neuron_activation`.

    Returns:
        1 where as much is moved as there is; NaN where all neurons are inactive.

    Raises:
        ValueError: other shapes, or values that are negative or not finite.
    """
    _check_values({"sigma": sigma, "activation": activation})
    if len(sigma) != len(activation):
        raise ValueError(f"activation: expected one of each of {len(sigma)} neurons, got {len(activation)}")
    moved, output = (_numbers(values).sum().item() for values in (sigma, activation))
    return moved / output if output > 0 else math.nan


def top_count(neurons: int, fraction: float) -> int:
    """How many neurons a share of them is: floor(fraction * neurons), at least 1; exact, so that 0.29 of 100 are 29.

    ValueError for no neurons, or a fraction outside (0, 1].
    """
    arguments.at_least("neurons", neurons, 1)
    arguments.share("fraction", fraction)
    return max(1, math.floor(Fraction(str(fraction)) * neurons))


def top_mean(sigma: Sequence[float] | Tensor, fraction: float) -> float:
    """The mean sensitivity of the most sensitive share of a layer's neurons (Fig. 7).

    Args:
        sigma: sensitivities (C,).
        fraction: in (0, 1].

    Raises:
        ValueError: no sensitivities, some that are not finite or negative, a fraction out of range.
    """
    _check_values({"sigma": sigma})
    values = _numbers(sigma)
    return values.topk(top_count(len(values), fraction)).values.mean().item()


def top_neurons(sigma: Mapping[str, Tensor], fraction: float | None = None, k: int | None = None) -> dict[str, Tensor]:
    """The most sensitive neurons of each layer, Omega_l = top-k(F_l, sigma) (Eq. 2).

    Args:
        sigma: layer to sensitivities (C,).
        fraction: share of each layer's neurons, in (0, 1]; floor(fraction * C), at least 1.
        k: or their number, at least 1; a layer with fewer gives all it has.

    Returns:
        Layer to int64 (K,), the most sensitive first; of equals the lower index first.

    Raises:
        ValueError: neither or both of fraction and k, one out of range; no layers, one without neurons, or
            sensitivities that are not finite.
    """
    if (fraction is None) == (k is None):
        raise ValueError(f"fraction, k: pass exactly one of them, got fraction={fraction!r} and k={k!r}")
    if fraction is not None:
        arguments.share("fraction", fraction)
    if k is not None:
        arguments.at_least("k", k, 1)
    _check_sensitivities(sigma)

    def count(channels: int) -> int:
        if fraction is None:
            return min(k or 1, channels)
        return top_count(channels, fraction)

    return {name: _top(value, count(len(value))) for name, value in sigma.items()}


def choose_neurons(sigma: Mapping[str, Tensor], which: str, fraction: float, seed: int) -> dict[str, Tensor]:
    """The sensitive neurons of each layer, or as many others to compare them with.

    Args:
        sigma: layer to sensitivities (C,).
        which: one of CHOICES: "sensitive" is Eq. 2, "least" its opposite, "random" drawn by the seed.
        fraction: share of each layer's neurons, in (0, 1]; floor(fraction * C), at least 1.
        seed: of "random"; the same layers in the same order give the same neurons.

    Returns:
        Layer to int64 (K,).

    Raises:
        ValueError: another name in ``which``; a fraction out of range or seed < 0; sigma as for :func:`top_neurons`.
    """
    arguments.one_of("which", which, CHOICES)
    seed = arguments.seed("seed", seed)
    _check_sensitivities(sigma)
    generator = torch.Generator("cpu").manual_seed(seed)
    scores = {
        "sensitive": lambda value: value,
        "least": lambda value: -value,
        "random": lambda value: torch.rand(len(value), generator=generator, dtype=torch.float32, device="cpu"),
    }
    return top_neurons({layer: scores[which](value) for layer, value in sigma.items()}, fraction=fraction)


def important_neurons(
    model: nn.Module,
    x_adv: Tensor,
    target: int,
    layer: str = "pool5",
    k1: int = 20,
    k2: int = 20,
    classifier: str | None = None,
    batch_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """The neurons of the penultimate layer that contribute most to a class (Eq. 3-5, weighted vote of A.1).

    A neuron's contribution to the logit of class y is its output times its weight (Eq. 4); where the layer has several
    positions, the sum of its positions' contributions. Each image's top k1 neurons get k1, k1 - 1, ..., 1 votes.

    Args:
        model: a module whose ``layer`` feeds, once flattened, the linear layer ``classifier``.
        x_adv: float (N, C, H, W) in [0, 1], adversarial images for class ``target``.
        target: the class y.
        layer: the penultimate layer F_{L-1}.
        k1: how many neurons each image votes for.
        k2: how many neurons are chosen.
        classifier: name of the linear layer that outputs the logits; None takes the model's last one.
        batch_size: images per forward pass, >= 1, None for what suits the device.
        axis: of the neurons in what the layer outputs; None finds it, see :func:`snslib.neurons.neuron_axis`.

    Returns:
        Gamma^y, int64 (k2,) on the CPU, most votes first; of equals the lower index first.

    Raises:
        ValueError: an unknown layer or one that does not run, no linear layer that fits it, a class or k out of range,
            outputs that are not finite.
    """
    x_adv = arguments.images("x_adv", x_adv)
    k1, k2 = arguments.at_least("k1", k1, 1), arguments.at_least("k2", k2, 1)
    arguments.module("model", model)
    linear = _classifier(model, classifier)
    target = int(arguments.number("target", target, 0, linear.out_features - 1, whole=True, about="a class"))
    weight = linear.weight[target].detach()
    votes: Tensor | None = None
    some = images_at_once(x_adv.device, batch_size)
    warn_if_mixed(model, x_adv)
    for x in x_adv.split(some):
        contribution = _contributions(model, x, layer, weight, axis)
        channels = contribution.shape[1]
        if max(k1, k2) > channels:
            raise ValueError(f"k1, k2: {layer!r} has {channels} neurons, got {k1} and {k2}")
        ranked = contribution.sort(dim=1, descending=True, stable=True).indices[:, :k1]  # Eq. 3
        ballot = torch.arange(k1, 0, -1, device=x.device).expand(len(x), -1)
        if votes is None:
            votes = torch.zeros(channels, dtype=torch.int64, device=x.device)
        votes.index_add_(0, ranked.flatten(), ballot.flatten())
    assert votes is not None  # arguments.images refuses an empty batch
    return _top(votes.cpu(), k2)  # Eq. 5


def _contributions(model: nn.Module, x: Tensor, layer: str, weight: Tensor, axis: int | None) -> Tensor:
    """How much each neuron of a layer adds to a logit for each image (Eq. 4), (N, C)."""
    outputs: dict[str, Tensor] = {}

    def keep(output: Tensor) -> None:
        outputs[layer] = output.clone()

    arguments.layers(uncompiled(model), [layer])
    with on_whole_output(model, {layer: keep}), frozen(model), torch.no_grad():
        run(model, x, fast=False)
    output = outputs[layer]
    if not output.isfinite().all():
        raise NotFinite(f"layer: the outputs of {layer!r} are", model, x)
    if output[0].numel() != len(weight):
        raise ValueError(
            f"layer: {layer!r} outputs {output[0].numel()} values, the classifier takes {len(weight)}; "
            "name the layer that feeds it"
        )
    where = neuron_axis(uncompiled(model), layer, output, axis)
    of_each = (output.flatten(1) * weight).view(output.shape).movedim(where, 1)
    return of_each.reshape(len(x), of_each.shape[1], -1).sum(2)


def _top(values: Tensor, k: int) -> Tensor:
    return values.sort(descending=True, stable=True).indices[:k]


def _check_finite(layer: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise ValueError(f"sigma: the sensitivities of {layer!r} are not finite; check the model's weights")


def _numbers(values: Sequence[float] | Tensor) -> Tensor:
    """float64, on the CPU; what are no numbers is no tensor (C,)."""
    try:
        return torch.as_tensor(values, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        return torch.empty((), dtype=torch.float64, device="cpu")


def _check_sensitivities(sigma: Mapping[str, Tensor]) -> None:
    """Layers to finite sensitivities (C,) of at least one neuron."""
    if not isinstance(sigma, Mapping) or not sigma:
        raise ValueError(f"sigma: expected a dictionary of layers to sensitivities, got {arguments.shown(sigma)}")
    for layer, value in sigma.items():
        if not isinstance(value, Tensor) or value.ndim != 1 or not len(value):
            raise ValueError(f"sigma: expected a tensor (C,), C >= 1, of {layer!r}, got {arguments.shown(value)}")
        _check_finite(layer, value)


def _check_values(named: Mapping[str, Sequence[float] | Tensor]) -> None:
    """Numbers (C,), finite and none of them negative, of at least one neuron each."""
    for name, given in named.items():
        values = _numbers(given)
        if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= arguments.MAX)).all():
            raise ValueError(f"{name}: expected finite numbers >= 0, (C,), got {arguments.shown(given)}")


def _classifier(model: nn.Module, name: str | None) -> nn.Linear:
    if name is not None:
        module = arguments.layers(uncompiled(model), [name])[name]
        if not isinstance(module, nn.Linear):
            raise ValueError(f"classifier: {name!r} is a {type(module).__name__}, expected a linear layer")
        return module
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("classifier: the model has no linear layer; Eq. 4 needs the one that outputs the logits")
    return linear[-1]

"""Which neurons of any model are sensitive: a network and images in, two tables and a page to read out (Eq. 1-2)."""

import importlib.metadata
import os
import time
import typing
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from snslib import arguments, attacks, disk, kernels, locks
from snslib.arguments import MAX, Within, few, number, one_of
from snslib.attacks import Attack
from snslib.data import Split, batches, fixed_order, to_float
from snslib.evaluation import accuracy
from snslib.evaluation.receptive_fields import examples
from snslib.files import provenance
from snslib.inference import choose_device, device_of
from snslib.means import mean_over_pairs
from snslib.profile import models
from snslib.profile.layers import Layer, find_layers
from snslib.profile.report import Panels, Profile, report_files
from snslib.sensitivity import dual_pairs, top_neurons
from snslib.training import class_folders, image_folders

STEPS = 10  # of PGD, each of eps / 10 (section 3.1)
FRACTION = 0.1  # of a layer's neurons count as sensitive
REPORT = 2**24  # bytes, more than a report takes
LABELS = ("folders", "predicted")


def profile(
    model: Annotated[
        str | nn.Module,
        "torchvision:NAME, timm:NAME, transformers:NAME_OR_FOLDER, snslib:DATA/NETWORK/ROW for a recorded network, or "
        "package.module:function returning an nn.Module",
    ],
    data: Annotated[
        str | Path | Split, "folder of images; of the class folders in it, by name or by number, the i-th is output i"
    ],
    out: Annotated[str | Path | None, "new folder for sensitivity.csv, layers.csv and report.html"] = None,
    *,
    weights: Annotated[
        str | Path | None, "file with the model's state dict, or a checkpoint around it: .pt, .pth or .safetensors"
    ] = None,
    num_classes: Annotated[
        int | None, Within("outputs of a model of torchvision, timm or transformers; theirs unless given", 2, 1_000_000)
    ] = None,
    labels: Annotated[
        str, "folders; or predicted, the model's own classes: for images without class folders"
    ] = "folders",
    image_size: Annotated[
        int | None, Within("pixels; a library's for its models, else the images' own if alike", 1, 4096)
    ] = None,
    n_images: Annotated[int, Within("images, the same ones every time", 1, 10_000_000)] = 100,
    mean: Annotated[Sequence[float] | None, "R,G,B to subtract; a library's for its models, else none"] = None,
    std: Annotated[Sequence[float] | None, "R,G,B to divide by; a library's for its models, else none"] = None,
    layers: Annotated[Sequence[str] | None, "NAME,...; all convolutions and linear layers unless given"] = None,
    channel_axis: Annotated[int | None, "of the outputs (N, ...) of the named layers, if it is not found right"] = None,
    eps: Annotated[float, Within("radius of PGD, l-infinity in [0, 1] pixel space; 8/255 is understood", 0, 1)] = 8
    / 255,
    batch_size: Annotated[int, Within("images that pass through the model at a time", 1, 1_000_000)] = 32,
    seed: Annotated[int, Within("decides the weights of a model that comes without", 0, 2**32 - 1)] = 0,
    device: Annotated[str | None, "cpu or cuda; a GPU if there is one, unless given"] = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Profile:
    """Attack a model with the paper's PGD, measure every neuron, and write a report.

    Images are attacked in [0, 1]; ``mean`` and ``std`` are applied behind that. In a folder, the shorter side of each
    is resized to ``image_size`` and the centre cut out, a photograph turned upright before. A class without images
    keeps its place by an empty folder; :func:`snslib.training.class_folders.list_classes` says which files count, and
    ``progress`` gets a line on those that do not, and on what was taken out of a checkpoint.
    The layers are those of :func:`snslib.profile.layers.find_layers`.

    ``model`` may also be a module: it is measured on its device and with its weights, and left as it was. ``data`` may
    be a :class:`snslib.data.Split`, of which the first images are taken. What the other arguments are is said with
    them, in the words of the command line's ``--help``.

    Returns:
        The measurements. With ``out`` they are in that folder too: all files, or none.

    Raises:
        ValueError: an argument that is out of range or does not fit the others; the message names it.
    """
    began = time.perf_counter()
    check(locals())
    folder = None if out is None else _new_folder(Path(out).expanduser())
    net, source = models.prepared(model, weights, num_classes, seed, device, image_size, mean, std, progress)
    said: list[str] = []
    split, classes = _images(data, labels, source.image_size, n_images, said.append)
    for line in said:
        progress(f"{data}: {line}")
    attack = attacks.paper_attacks(eps, eps / STEPS, STEPS)["pgd"]
    with models.normalised(net, source.mean, source.std):
        found, outputs = find_layers(net, _on(net, split.take(1)), layers, channel_axis)
        if labels == "predicted":
            split = _as_predicted(net, split, batch_size)
        elif classes is not None:
            _check_classes(data, classes, outputs)
        pairs = _counted(dual_pairs(net, split, attack, batch_size), len(split), progress)
        sigma, activation, clean, attacked = _measure(net, pairs, found, split.labels)
        masked_layer, masks = _receptive_fields(net, split, attack, found, sigma, activation, batch_size)
    about = _about(net, source, data, said, split)
    about |= {"labels": labels, "eps": eps, "seconds": time.perf_counter() - began}
    omega = top_neurons(sigma, fraction=FRACTION)
    result = Profile(source.title, found, sigma, activation, omega, clean, attacked, masked_layer, masks, about)
    if folder is not None:
        _write(folder, report_files(result))
    return result


# --- arguments ---


def check(values: Mapping[str, Any]) -> None:
    """Check the arguments of :func:`profile` as far as that needs nothing to be loaded; None is not given.

    Raises:
        ValueError: one is of another type, out of its range, or does not go with another.
    """
    given = {name: value for name, value in values.items() if value is not None}
    arguments.stated(given, typing.get_type_hints(profile, include_extras=True))
    if isinstance(given.get("model"), str):
        models.check_name(given["model"])
    _check_kinds({name: values[name] for name in values if name in given or name == "data"})
    if "labels" in given:
        one_of("labels", given["labels"], LABELS)
    if "device" in given:
        choose_device(given["device"])
    if ("mean" in given) != ("std" in given):
        raise ValueError(f"mean, std: one needs the other, got {given.get('mean')} and {given.get('std')}")
    for name in given.keys() & {"mean", "std"}:
        if not isinstance(given[name], Sequence) or len(given[name]) != 3:
            raise ValueError(f"{name}: expected three numbers, got {arguments.shown(given[name])}")
        for value in given[name]:
            number(name, value, 0 if name == "std" else -MAX, above=True, about="each of the three")
    if "channel_axis" in given and "layers" not in given:
        raise ValueError(f"channel_axis: is for named layers, got {given['channel_axis']!r} and no layers")
    for name in given.keys() & {"weights", "num_classes", "device"}:
        if isinstance(given.get("model"), nn.Module):
            raise ValueError(
                f"{name}: is for a model given by name, got {given[name]!r} with a module; set that up first"
            )
    if "image_size" in given and isinstance(given.get("data"), Split):
        raise ValueError(f"image_size: is for a folder of images, got {given['image_size']!r} with a split")


def _check_kinds(given: Mapping[str, Any]) -> None:
    """Folders and files are paths, or images a split; layers are a list of names."""
    for name in given.keys() & {"data", "out", "weights"}:
        split = name == "data" and isinstance(given[name], Split)
        if not split and not isinstance(given[name], (str, os.PathLike)):
            raise ValueError(f"{name}: expected a path, got {arguments.shown(given[name])}")
    if "layers" in given:
        names = given["layers"]
        plain = isinstance(names, Collection) and not isinstance(names, str)
        if not plain or not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"layers: expected a list of names, got {arguments.shown(names)}")


# --- images ---


def _images(
    data: str | Path | Split, labels: str, image_size: int | None, n: int, progress: Callable[[str], None]
) -> tuple[Split, Sequence[str] | None]:
    """The first n images of a split, or n of a folder as :func:`_read` has them; a split has no names of classes."""
    split, classes = (data, None) if isinstance(data, Split) else _read(Path(data), labels, image_size, n, progress)
    split = split.take(n)
    if not len(split):
        raise ValueError("data: got a split without images")
    return split, classes


def _read(
    folder: Path, labels: str, image_size: int | None, n: int, progress: Callable[[str], None] = lambda line: None
) -> tuple[Split, Sequence[str] | None]:
    """n images of a folder, in a fixed shuffle, and the names of their classes; None where labels are predicted."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ValueError(f"data: {folder} is no folder; pass one that holds images")
    listing = _listed(folder, labels)
    if listing.said:
        progress(listing.said)
    samples = [(path, label) for label, paths in enumerate(listing.classes.values()) for path in paths]
    if not samples:
        raise ValueError(f"data: {folder} holds no images ({', '.join(class_folders.SUFFIXES)})")
    samples = [samples[place] for place in fixed_order(len(samples))[:n].tolist()]
    paths = [path for path, _ in samples]
    images = image_folders.read_images(paths, image_size or image_folders.common_size(paths))
    classes = None if labels == "predicted" else [*listing.classes]
    return Split(images, torch.tensor([label for _, label in samples])), classes


def _listed(folder: Path, labels: str) -> class_folders.Listing:
    """The images of a folder by class; all in one where labels are predicted."""
    if labels == "predicted":
        left_out: Counter[str] = Counter()
        return class_folders.Listing({"": sorted(class_folders.list_images(folder, left_out))}, left_out)
    try:
        listing = class_folders.list_classes(folder)
    except ValueError as error:
        raise ValueError(f"data: {error}, or pass labels='predicted'") from error
    splits = [name for name in listing.classes if name.lower() in (*class_folders.TRAIN, *class_folders.TEST)]
    if splits and len(splits) == len(listing.classes):
        raise ValueError(
            f"data: {folder} is a data set of {few(splits)}; pass one of these, such as {folder / splits[-1]}"
        )
    return listing


def _check_classes(data: str | Path | Split, classes: Sequence[str], outputs: int) -> None:
    """A folder has as many classes as the model has outputs; ValueError otherwise."""
    if len(classes) != outputs:
        raise ValueError(
            f"data: {data} has {len(classes)} class folders ({few(classes)}), the model {outputs} "
            "outputs; by name, the i-th folder is output i: add empty folders for classes without images, or pass "
            f"num_classes={len(classes)} if the weights are for these classes, or labels='predicted'"
        )


def _as_predicted(model: nn.Module, split: Split, batch_size: int) -> Split:
    """The images with the classes that the model predicts as their labels."""
    batch = (to_float(images) for _, images, _ in batches(split.to(device_of(model)), batch_size))
    return Split(split.images, accuracy.predicted(model, batch))


def _on(model: nn.Module, split: Split) -> Tensor:
    """The images, float in [0, 1], on the model's device."""
    return to_float(split.images.to(device_of(model)))


def _counted(
    pairs: Iterable[tuple[Tensor, Tensor]], n: int, progress: Callable[[str], None]
) -> Iterator[tuple[Tensor, Tensor]]:
    done = 0
    for x, x_adv in pairs:
        done += len(x)
        progress(f"attacked {done} of {n} images")
        yield x, x_adv


# --- measurement ---


def _measure(
    model: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]], layers: Mapping[str, Layer], labels: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], float, float]:
    """Sensitivity and activation of every channel, and accuracy, clean and attacked, all in one pass of x and x'.

    What :func:`snslib.sensitivity.neuron_sensitivity` and ``neuron_activation`` measure.
    """
    remaining = iter(labels)

    def right(logits: Tensor) -> Tensor:
        """How many images are classified right, of x and of x'."""
        predicted = logits.argmax(1).view(2, -1).cpu()
        return (predicted == torch.stack([*islice(remaining, predicted.shape[1])])).sum(1)

    statistics = {**dict.fromkeys(layers, _difference_and_output), "": right}
    axes = {name: layer.axis for name, layer in layers.items()}
    means = mean_over_pairs(model, pairs, statistics, torch.float64, axes)
    clean, attacked = means.pop("").tolist()
    sigma, activation = ({name: mean[which].float() for name, mean in means.items()} for which in (0, 1))
    return sigma, activation, clean, attacked


def _difference_and_output(output: Tensor) -> Tensor:
    """Of a layer's output for x and x' together: per channel on axis 1, L1 of the difference and of that for x."""
    clean, attacked = output.chunk(2)
    return torch.stack([kernels.channel_l1(clean, attacked), kernels.channel_l1(clean, torch.zeros_like(clean))])


def _receptive_fields(
    model: nn.Module,
    split: Split,
    attack: Attack,
    layers: Mapping[str, Layer],
    sigma: Mapping[str, Tensor],
    activation: Mapping[str, Tensor],
    batch_size: int,
) -> tuple[str, Panels]:
    """What three of the most and three of the least sensitive neurons of the last layer with maps of 4x4 or more see.

    Each is shown in the four images that activate it most. Inactive neurons do not count.
    """
    maps = [name for name, layer in layers.items() if layer.axis == 1 and len(layer.shape) == 3 and layer.shape[2] >= 4]
    if not maps or len(split) * layers[maps[-1]].shape[1] * layers[maps[-1]].shape[2] < 200:
        return "", {}  # there is no top 0.5% of fewer outputs
    layer = maps[-1]
    alive = activation[layer].nonzero().flatten()
    ranked = alive[sigma[layer][alive].argsort(descending=True, stable=True)]
    count = min(3, len(ranked) // 2)
    if count == 0:
        return "", {}
    units = torch.cat([ranked[:count], ranked.flip(0)[:count]])
    names = [str(unit) for unit in units.tolist()]
    seen = dict(zip(names, examples(model, split, attack, layer, units, 4, batch_size, axis=1), strict=True))
    chosen = {"most sensitive": names[:count], "least sensitive": names[count:]}
    return layer, {title: {name: seen[name] for name in group} for title, group in chosen.items()}


# --- files ---


def _about(
    model: nn.Module, source: models.Source, data: str | Path | Split, said: Sequence[str], split: Split
) -> dict[str, Any]:
    """What a report names as its origin: images, weights, attack, device and versions."""
    where = provenance(str(device_of(model)))
    packages = {name: importlib.metadata.version(name) for name in ("torchvision", "snslib")}
    return {
        **{"data": "a split" if isinstance(data, Split) else f"{data}{f' ({said[0]})' if said else ''}"},
        **{"n": len(split), "image_size": split.images.shape[-1], "weights": source.weights},
        **{"mean": source.mean, "std": source.std},
        **{"steps": STEPS, **where, "versions": where["versions"] | packages},
    }


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a new folder; made beside it and moved, never half there."""
    with locks.alone(folder), locks.written_beside(_new_folder(folder)) as beside:
        beside.mkdir()
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8")


def _new_folder(folder: Path) -> Path:
    if folder.exists() and not (folder.is_dir() and not [*folder.iterdir()]):
        raise ValueError(f"out: {folder} is there already and is not overwritten; name another folder or remove it")
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    disk.require("out", there, REPORT, "name another folder")
    return folder

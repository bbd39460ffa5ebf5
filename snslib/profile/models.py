"""Any model: found by name, with weights from a file, and with the normalisation that its images need."""

import hashlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from snslib import arguments
from snslib.arguments import near
from snslib.hooks import uncompiled
from snslib.inference import choose_device, device_of
from snslib.profile.libraries import LIBRARIES
from snslib.profile.unwrapping import load_weights


@dataclass(frozen=True)
class Source:
    """Where a model comes from, and the images that it takes.

    Args:
        title: its name.
        weights: in words, where its weights come from.
        image_size: pixels, None for the images' own.
        mean, std: three numbers each, to normalise images in [0, 1] by; None for images as they are.
    """

    title: str
    weights: str
    image_size: int | None
    mean: Sequence[float] | None
    std: Sequence[float] | None


def prepared(
    model: str | nn.Module,
    weights: str | Path | None,
    num_classes: int | None,
    seed: int,
    device: str | None,
    image_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    progress: Callable[[str], None],
) -> tuple[nn.Module, Source]:
    """A model to measure: a module as it is, a named one loaded; its library's sizes and normalisation where unset.

    Arguments and errors as in :func:`snslib.profile.measure.profile`.
    """
    if not isinstance(model, str):
        arguments.loaded("model", model)
        module = uncompiled(model)
        return module, Source(type(module).__name__, "the module's own", image_size, mean, std)
    said: list[str] = []
    module = load_model(model, weights, num_classes, seed, device, said.append)
    for line in said:
        progress(line)
    package, _, name = model.partition(":")
    if package in LIBRARIES:
        size, *normalisation = LIBRARIES[package].preset(name, module)
        image_size = image_size or size
        mean, std = (mean, std) if mean is not None else normalisation
    if mean is None and package in LIBRARIES:
        progress(f"no normalisation of images is known of {model}: it gets them in [0, 1]; mean and std set one")
    where = "; ".join([origin(model, weights, seed), *(line.partition(": ")[2] for line in said)])
    return module, Source(model, where, image_size, mean, std)


# --- by name ---


def check_name(name: str) -> None:
    """A name has the form that :func:`load_model` takes, and torchvision a classifier of that name; ValueError else."""
    package, colon, attribute = name.partition(":")
    if not (package and colon and attribute):
        forms = ", ".join(f"{library}:{one.takes}" for library, one in LIBRARIES.items())
        raise ValueError(f"model: expected {forms} or package.module:function, got {name!r}")
    if package in LIBRARIES:
        LIBRARIES[package].check(attribute)


def load_model(
    name: str,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """A model by name, in eval mode, in float32.

    Args:
        name: "torchvision:NAME" or "timm:NAME", a classifier of these packages, with random weights unless ``weights``
            are given; "transformers:NAME_OR_FOLDER", an image classifier as ``save_pretrained`` or the hub has it, with
            its own weights unless others are given; "snslib:DATA/NETWORK/ROW", a network of ``results/``, such as
            "snslib:cifar10/vgg16-w0.25/pat"; or "package.module:function", what the function (or class) returns when it
            is called without arguments. timm and transformers have to be installed.
        weights: a file with a state dict, .safetensors or as ``torch.save`` writes it, also within a checkpoint:
            see :func:`snslib.profile.unwrapping.load_weights`. The files that torchvision publishes for
            googlenet and inception_v3 are for images normalised by a mean and std of 0.5.
        num_classes: outputs of a model of these packages; None as the package has it.
        seed: decides random weights; the global random state stays as it was.
        device: "cpu" or "cuda"; None a GPU if there is one.
        progress: gets a line on what was taken out of the file of weights, if that is not a plain state dict.

    Raises:
        ValueError: a name that leads to no model, or weights that cannot be read or do not fit; no code in them is run.
    """
    check_name(name)
    package, _, attribute = name.partition(":")
    where = choose_device(device)
    path = None if weights is None else Path(weights).expanduser()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if package in LIBRARIES:
            model = LIBRARIES[package].build(attribute, num_classes, path is None)
        elif num_classes is not None:
            raise ValueError(
                f"num_classes: is for torchvision's models, timm's and transformers', got {num_classes} with {name!r}"
            )
        else:
            model = _from_factory(package, attribute)
    if path is not None and (said := load_weights(model, path)):
        progress(f"weights of {path.name}: {said}")
    arguments.loaded("model", model)
    return model.to(where).float().eval()


def origin(name: str, weights: str | Path | None, seed: int) -> str:
    """In words, where the weights of a model come from that :func:`load_model` found."""
    if weights is None:
        library = LIBRARIES.get(name.partition(":")[0])
        if library is None:
            return "as the function returns them"
        return "as the model was saved" if library.has_weights else f"random, seed {seed}"
    path = Path(weights).expanduser()
    with path.open("rb") as file:
        return f"{path.name} (sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"


def _from_factory(package: str, attribute: str) -> nn.Module:
    try:
        module = importlib.import_module(package)
    except Exception as error:  # whatever the module's code raises
        raise ValueError(
            f"model: {package!r} cannot be imported ({type(error).__name__}: {error}); run from the folder that "
            "holds it, or name that folder in PYTHONPATH"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(f"model: {package!r} has no {attribute!r}; {near(attribute, dir(module))}")
    try:
        model = getattr(module, attribute)()
    except Exception as error:
        raise ValueError(
            f"model: {package}:{attribute} failed ({type(error).__name__}: {error}); it is called without arguments"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: {package}:{attribute} returned a {type(model).__name__}, expected an nn.Module")
    return model


@contextmanager
def normalised(model: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None) -> Iterator[None]:
    """While the context lasts, the model takes images x in [0, 1] and gets (x - mean) / std; x itself for None."""
    if mean is None or std is None:
        yield
        return
    shift, scale = (torch.tensor(values, device=device_of(model)).view(-1, 1, 1) for values in (mean, std))
    hook = model.register_forward_pre_hook(lambda _, inputs: ((inputs[0] - shift) / scale, *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()

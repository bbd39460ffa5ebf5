"""Any model: found by name, with weights from a file, and with the normalisation that its images need."""

import hashlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from snslib.arguments import few, near
from snslib.inference import choose_device, device_of
from snslib.training import pretrained


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
) -> tuple[nn.Module, Source]:
    """A model to measure: a module as it is, a named one loaded; torchvision's sizes and normalisation where unset.

    Arguments and errors as in :func:`snslib.profile.measure.profile`.
    """
    if not isinstance(model, str):
        return model, Source(type(model).__name__, "the module's own", image_size, mean, std)
    module = load_model(model, weights, num_classes, seed, device)
    if model.startswith("torchvision:"):
        size, *normalisation = preset(model)
        image_size = image_size or size
        mean, std = (mean, std) if mean is not None else normalisation
    return module, Source(model, origin(model, weights, seed), image_size, mean, std)


# --- by name ---


def load_model(
    name: str,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> nn.Module:
    """A model by name, in eval mode.

    Args:
        name: "torchvision:NAME", a classifier of torchvision, with random weights unless ``weights`` are given; or
            "package.module:function", what the function (or class) returns when it is called without arguments.
        weights: a state dict: .safetensors, or as ``torch.save`` writes it. The files that torchvision publishes for
            googlenet and inception_v3 are for images normalised by a mean and std of 0.5.
        num_classes: outputs of a torchvision model; None as torchvision has it, 1000.
        seed: decides random weights; the global random state stays as it was.
        device: "cpu" or "cuda"; None a GPU if there is one.

    Raises:
        ValueError: a name that leads to no model, or weights that cannot be read or do not fit; no code in them is run.
    """
    package, colon, attribute = name.partition(":")
    if not (package and colon and attribute):
        raise ValueError(f"model: expected torchvision:NAME or package.module:function, got {name!r}")
    where = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if package == "torchvision":
            model = _from_torchvision(attribute, num_classes)
        elif num_classes is not None:
            raise ValueError(f"num_classes: is for torchvision's models, got {num_classes} with {name!r}")
        else:
            model = _from_factory(package, attribute)
    if weights is not None:
        _load_weights(model, Path(weights).expanduser())
    return model.to(where).eval()


def preset(name: str) -> tuple[int, list[float], list[float]]:
    """Size of image, mean and std with which torchvision uses its own weights of one of its models."""
    from torchvision import models

    found = models.get_model_weights(name.removeprefix("torchvision:")).DEFAULT.transforms()
    return found.crop_size[0], found.mean, found.std


def origin(name: str, weights: str | Path | None, seed: int) -> str:
    """In words, where the weights of a model come from that :func:`load_model` found."""
    if weights is None:
        return f"random, seed {seed}" if name.startswith("torchvision:") else "as the function returns them"
    path = Path(weights).expanduser()
    with path.open("rb") as file:
        return f"{path.name} (sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"


def _from_torchvision(name: str, num_classes: int | None) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"model: torchvision has no classifier {name!r}; {near(name, known)}")
    return models.get_model(name, weights=None, **({} if num_classes is None else {"num_classes": num_classes}))


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


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    """What a file holds; of one that snslib wrote, the checksums are compared."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, "pt") as file:
        about = file.metadata() or {}
    ours = "checked" in about or "sha256" in about.get("state", "")
    return pretrained.read(path)[0] if ours else load_file(path)


def _load_weights(model: nn.Module, path: Path) -> None:
    try:
        if path.suffix == ".safetensors":
            state = _safetensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"weights: there is no file {path}") from None
    except Exception as error:  # a damaged file, or one that holds more than tensors
        raise ValueError(
            f"weights: {path} cannot be read ({str(error).splitlines()[0]}); expected a state dict, as .safetensors or "
            "as torch.save(model.state_dict(), FILE) writes it"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        came = f"a dictionary of {few(map(str, state))}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ValueError(f"weights: {path} holds {came}, not a state dict; save model.state_dict() alone")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = (line.strip() for line in str(error).splitlines()[1:])
        problems = " ".join(line if len(line) < 240 else f"{line[:240]} …" for line in lines)
        raise ValueError(f"weights: {path} does not fit: {problems[:1000]} (num_classes sets the outputs)") from error


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

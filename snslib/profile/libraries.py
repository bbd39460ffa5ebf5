"""Packages that have classifiers by name: how each builds one, and what images it takes."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from torch import nn

from snslib.arguments import near
from snslib.profile import checkpoints
from snslib.training import pretrained

Preset = tuple[int | None, Sequence[float] | None, Sequence[float] | None]  # image size in pixels, mean and std


class Library(Protocol):
    """A package with classifiers by name. Its methods raise ValueError where it is not installed.

    Attributes:
        takes: what stands behind the colon of "package:NAME".
        has_weights: whether a name stands for weights, too.
    """

    takes: str = "NAME"
    has_weights: bool = False

    def check(self, name: str) -> None:
        """Raises ValueError for a name that the package does not have, as far as that is known without loading it."""

    def build(self, name: str, num_classes: int | None, own_weights: bool) -> nn.Module:
        """The classifier, for that many classes; without ``own_weights`` others will be put into it."""

    def preset(self, name: str, model: nn.Module) -> Preset:
        """The images that the package uses its own weights with; None for what is not known."""


def _imported(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"model: {package}:… needs the package {package} ({error}); pip install {package} brings it"
        ) from error
    except Exception as error:  # of the package's own, which another version of PyTorch may break
        raise ValueError(f"model: {package} cannot be imported ({type(error).__name__}: {error})") from error


class _Torchvision(Library):
    def check(self, name: str) -> None:
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise ValueError(f"model: torchvision has no classifier {name!r}; {near(name, known)}")

    def build(self, name: str, num_classes: int | None, own_weights: bool) -> nn.Module:
        from torchvision import models

        return models.get_model(name, weights=None, **_unless_none(num_classes=num_classes))

    def preset(self, name: str, model: nn.Module) -> Preset:
        from torchvision import models

        found = models.get_model_weights(name).DEFAULT.transforms()
        return found.crop_size[0], found.mean, found.std


class _Timm(Library):
    def check(self, name: str) -> None:
        _imported("timm")

    def build(self, name: str, num_classes: int | None, own_weights: bool) -> nn.Module:
        timm = _imported("timm")
        try:
            return timm.create_model(name, pretrained=False, **_unless_none(num_classes=num_classes))
        except Exception as error:  # a RuntimeError for an unknown name, or whatever a model's constructor raises
            known: list[str] = getattr(timm, "list_models", list)()
            which = _line(error) if name.partition(".")[0] in known else near(name, known)
            raise ValueError(f"model: timm cannot make {name!r}; {which}") from error

    def preset(self, name: str, model: nn.Module) -> Preset:
        about: dict[str, Any] = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {}
        return (about.get("input_size") or (None,))[-1], about.get("mean"), about.get("std")


class _Transformers(Library):
    """Names of the hub, and folders that ``save_pretrained`` wrote. Code and pickles in them are not run."""

    takes = "NAME_OR_FOLDER"
    has_weights = True

    def check(self, name: str) -> None:
        _imported("transformers")

    def build(self, name: str, num_classes: int | None, own_weights: bool) -> nn.Module:
        transformers = _imported("transformers")
        if own_weights and num_classes is not None:
            raise ValueError(f"num_classes: transformers:{name} has its own, got {num_classes} without weights")
        classifier = transformers.AutoModelForImageClassification
        plain = {"trust_remote_code": False}
        if own_weights and (weights := Path(name).expanduser() / "model.safetensors").is_file():
            checkpoints.check(weights)
        try:
            if own_weights:
                return classifier.from_pretrained(name, use_safetensors=True, **plain)
            about = transformers.AutoConfig.from_pretrained(name, **plain, **_unless_none(num_labels=num_classes))
            return classifier.from_config(about)
        except Exception as error:  # an OSError for what is not there, or whatever a model's constructor raises
            raise ValueError(
                f"model: transformers cannot load {name!r} ({_line(error)}); expected an image classifier of the hub, "
                "or a folder with config.json and model.safetensors, as save_pretrained writes it; weights takes a .bin"
            ) from error

    def preset(self, name: str, model: nn.Module) -> Preset:
        try:
            found = _imported("transformers").AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
        except Exception:  # there is none beside the model, or it needs what is not installed
            size = getattr(getattr(model, "config", None), "image_size", None)
            return size if isinstance(size, int) else None, None, None
        cut = found.crop_size if getattr(found, "do_center_crop", False) else found.size
        normalises = getattr(found, "do_normalize", True)
        mean, std = (found.image_mean, found.image_std) if normalises else (None, None)
        return cut if isinstance(cut, int) else cut.get("height", cut.get("shortest_edge")), mean, std


class _Published(Library):
    """The networks of ``results/``, each with its own weights. They take images in [0, 1]."""

    takes = "DATA/NETWORK/ROW"
    has_weights = True

    def check(self, name: str) -> None:
        with _named_model():
            pretrained.path_of(name)

    def build(self, name: str, num_classes: int | None, own_weights: bool) -> nn.Module:
        if num_classes is not None:
            raise ValueError(f"num_classes: snslib:{name} has its own, got {num_classes}")
        with _named_model():
            return pretrained.load_pretrained(name)

    def preset(self, name: str, model: nn.Module) -> Preset:
        _, state = pretrained.read(pretrained.path_of(name), only_state=True, name=name)
        return state["image_size"], (0, 0, 0), (1, 1, 1)


@contextmanager
def _named_model() -> Iterator[None]:
    """What is raised of the name of a published model speaks of the argument that it was given as."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("name: ", "model: ", 1)) from error


def _unless_none(**arguments: object) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


LIBRARIES: dict[str, Library] = {
    "torchvision": _Torchvision(),
    "timm": _Timm(),
    "transformers": _Transformers(),
    "snslib": _Published(),
}

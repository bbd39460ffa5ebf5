"""The settings of a run: named profiles, and the parameters by which a notebook or a command changes them."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import torch

from snslib import arguments, losses, sensitivity
from snslib.arguments import Within, parse
from snslib.data import Dataset
from snslib.inference import choose_device
from snslib.precision import PRECISIONS
from snslib.training import datasets, models, objectives


@dataclass(frozen=True)
class Settings:
    """Every number that a result depends on. A profile gives all of them; parameters replace single ones.

    The texts are those of the command line's ``--help``; a number's range stands in its text and nowhere else.

    Raises:
        ValueError: a value of another type or out of its range; the message names it.
    """

    profile: Annotated[
        str,
        "what the rest starts from: digits, cifar10, cifar10-resnet18, tiny-imagenet or imagenet-200; "
        "cifar10-small, cifar10-resnet18-small and tiny-imagenet-small are narrower",
    ]
    dataset: Annotated[str, "digits, cifar10, tiny-imagenet or folder:PATH"]
    model: Annotated[str, "vgg16, alexnet, resnet18 or googlenet"]
    width: Annotated[float, Within("factor on the model's channels; 1 is the published network", 0, 4, above=True)]
    eps: Annotated[float, Within("radius of the attacks, l-infinity in [0, 1] pixel space; 8/255 is understood", 0, 1)]
    vanilla_epochs: Annotated[int, Within("epochs of vanilla training", 1, 100_000)]
    vanilla_lr: Annotated[float, Within("peak learning rate of vanilla training", 0, 100)]
    pat_epochs: Annotated[int, Within("epochs of adversarial training: all but vanilla and SNS", 1, 100_000)]
    pat_lr: Annotated[float, Within("peak learning rate of adversarial training", 0, 100)]
    source_epochs: Annotated[
        int, Within("epochs of vanilla training of each static model that EAT attacks", 1, 100_000)
    ]
    epochs: Annotated[int, Within("epochs of SNS training, which starts from the vanilla model", 1, 100_000)]
    lr: Annotated[float, Within("peak learning rate of SNS training", 0, 100)]
    lam: Annotated[float, Within("lambda of Eq. 10 and 11, the weight of the SNS loss", 0, 1_000_000)]
    first_layer: Annotated[
        str, "lowest layer that SNS stabilises, a convolution or fc, and the lowest it trains unless train_all"
    ]
    validation: Annotated[int, Within("training images held out", 0, 10_000_000)]
    n_pairs: Annotated[int, Within("training images from which the sensitive neurons are selected", 2, 10_000_000)]
    n_test: Annotated[int, Within("test images on which accuracy and sensitivity are measured", 1, 10_000_000)]
    batch_size: Annotated[int, Within("images per training step, over all processes", 2, 1_000_000)] = 128
    step_size: Annotated[float | None, Within("of PGD and MI-FGSM; eps / 10 unless given (section 3.1)", 0, 1)] = None
    steps: Annotated[int, Within("of PGD and MI-FGSM", 1, 100_000)] = 10
    fraction: Annotated[float, Within("share of each layer's neurons that count as sensitive", 0, 1, above=True)] = 0.1
    neurons: Annotated[
        str,
        "which neurons SNS stabilises: sensitive, or as many least or random ones, chosen once; or at every step those "
        "that are most sensitive in the batch, reselected, or random ones, redrawn",
    ] = "sensitive"
    switched_off: Annotated[bool, "whether SNS switches its neurons off before it trains: true or false"] = False
    pairs: Annotated[
        str, "where SNS takes x' from: fixed (made once on the vanilla model), epoch or step (from the current model)"
    ] = "fixed"
    one_pass: Annotated[bool, "whether SNS passes x and x' through the network in one batch: true or false"] = False
    train_all: Annotated[bool, "whether SNS trains the layers below first_layer too: true or false"] = False
    reduction: Annotated[
        str, "the reading of Eq. 9's norm: mean, space_mean or sum; or a remedy of ours: relative or image_relative"
    ] = "mean"
    image_size: Annotated[int | None, Within("side in pixels, for folders of images of several sizes", 32, 4096)] = None
    seed: Annotated[int, Within("decides initialisation, shuffling and augmentation", 0, 2**32 - 1)] = 0
    device: Annotated[str | None, "cpu or cuda; a GPU if there is one, unless given"] = None
    precision: Annotated[str, "of the network's passes in training: float32, tf32 or bfloat16"] = "float32"

    def __post_init__(self) -> None:
        arguments.stated(vars(self), typing.get_type_hints(Settings, include_extras=True))
        if not datasets.is_folder(self.dataset):
            arguments.one_of("dataset", self.dataset, (*datasets.NAMES, "folder:PATH"))
        arguments.one_of("model", self.model, models.BUILDERS)
        arguments.one_of("neurons", self.neurons, (*sensitivity.CHOICES, *objectives.ANEW))
        arguments.one_of("pairs", self.pairs, objectives.PAIRS)
        arguments.one_of("reduction", self.reduction, losses.REDUCTIONS)
        arguments.one_of("precision", self.precision, PRECISIONS)
        arguments.one_of("first_layer", self.first_layer, (*self.conv_layers, "fc"))
        if self.switched_off and (self.model not in models.SWITCHABLE or self.first_layer == "fc"):
            raise ValueError(
                f"switched_off: expected a convolutional first_layer of {' or '.join(models.SWITCHABLE)}, "
                f"got {self.first_layer} of {self.model}"
            )
        if self.step_size is None:
            object.__setattr__(self, "step_size", self.eps / 10)
        object.__setattr__(self, "device", choose_device(self.device))

    @property
    def conv_layers(self) -> tuple[str, ...]:
        """The model's convolutional layers, bottom to top."""
        with torch.device("meta"):
            return models.build_model(self.model).conv_layers  # type: ignore[return-value]


DIGITS = Settings(
    profile="digits",
    dataset="digits",
    model="vgg16",
    width=1 / 8,
    eps=32 / 255,  # the first chapter shows that smaller ones hardly trouble digits
    vanilla_epochs=12,
    vanilla_lr=0.015,
    pat_epochs=10,
    pat_lr=0.05,
    source_epochs=4,
    epochs=3,
    lr=0.001,
    lam=5.0,
    first_layer="conv8",
    validation=200,
    n_pairs=2000,
    n_test=400,
    batch_size=64,
)
CIFAR10 = replace(
    DIGITS,
    profile="cifar10",
    dataset="cifar10",
    width=1.0,
    eps=8 / 255,
    vanilla_epochs=10,
    vanilla_lr=0.1,
    pat_epochs=11,
    pat_lr=0.1,
    source_epochs=10,
    epochs=4,
    lr=0.01,
    validation=1000,
    n_pairs=10_000,
    n_test=10_000,
    batch_size=128,
    step_size=None,
    precision="bfloat16",
)
CIFAR10_SMALL = replace(  # what a CPU trains in hours: the rows that results/ holds
    CIFAR10,
    profile="cifar10-small",
    width=1 / 4,
    vanilla_epochs=20,
    pat_epochs=8,
    source_epochs=5,
)
TINY_IMAGENET = replace(
    CIFAR10,
    profile="tiny-imagenet",
    dataset="tiny-imagenet",
    model="alexnet",
    lam=6.0,
    first_layer="conv3",
    vanilla_epochs=30,
    pat_epochs=30,
    source_epochs=30,
)
TINY_IMAGENET_SMALL = replace(  # the same for Table 2
    TINY_IMAGENET,
    profile="tiny-imagenet-small",
    width=1 / 4,
    vanilla_epochs=30,
    vanilla_lr=0.03,
    pat_epochs=12,
    source_epochs=8,
    batch_size=64,  # a fifth of the data set's images are few steps otherwise
)
RESNET18: dict[str, Any] = {"model": "resnet18", "first_layer": "block5"}  # Fig. 12
CIFAR10_RESNET18_SMALL = replace(  # for Fig. 12 alone; an epoch takes longer than one of VGG-16
    CIFAR10_SMALL,
    profile="cifar10-resnet18-small",
    vanilla_epochs=10,
    pat_epochs=4,
    n_test=5000,
    precision="float32",
    **RESNET18,
)
PROFILES = {
    "digits": DIGITS,
    "cifar10": CIFAR10,
    "cifar10-small": CIFAR10_SMALL,
    "cifar10-resnet18": replace(CIFAR10, profile="cifar10-resnet18", **RESNET18),
    "cifar10-resnet18-small": CIFAR10_RESNET18_SMALL,
    "tiny-imagenet": TINY_IMAGENET,
    "tiny-imagenet-small": TINY_IMAGENET_SMALL,
    "imagenet-200": replace(
        TINY_IMAGENET,
        profile="imagenet-200",
        dataset=f"folder:{datasets.default_root()}/imagenet-200",
        image_size=224,
    ),
}


def from_parameters(parameters: Mapping[str, Any]) -> Settings:
    """The settings that a notebook's parameters or a command line's options ask for.

    Args:
        parameters: fields of :class:`Settings`; None leaves a field as the profile has it. Values may be strings as
            papermill and a shell pass them: "8/255", "true", "[1, 2]". "profile" names the profile; without one it is
            the one of "dataset", and "digits" without either.

    Raises:
        ValueError: an unknown name, a value of the wrong type or out of range; the message names the parameter.
    """
    hints = typing.get_type_hints(Settings)
    for name in parameters:
        arguments.one_of("parameter", name, hints)
    given = {name: parse(name, value, hints[name]) for name, value in parameters.items() if value is not None}
    dataset = given.get("dataset", "digits")
    fallback = "imagenet-200" if dataset not in PROFILES else dataset
    profile = given.setdefault("profile", fallback)
    arguments.one_of("profile", profile, PROFILES)
    settings = PROFILES[profile]
    if "eps" in given:
        given.setdefault("step_size", given["eps"] / 10)
    if "model" in given and given["model"] != settings.model:
        given.setdefault("first_layer", _first_stabilised(given["model"]))
    return replace(settings, **given)


def _first_stabilised(model: str) -> str:
    same_model = (settings for settings in PROFILES.values() if settings.model == model)
    return next((settings.first_layer for settings in same_model), "conv1")


def missing(settings: Settings, data: Dataset) -> dict[str, str]:
    """The settings that ask for more images than there are, each to how many are used instead, in words.

    Args:
        settings: the settings.
        data: their data set, from which the validation images are held out.
    """
    used = {"n_test": len(data.test), "n_pairs": len(data.train), "validation": len(data.validation)}
    found = {}
    for name, count in used.items():
        if count < (asked := getattr(settings, name)):
            why = ", at most a fifth of the training images" if name == "validation" else " are there"
            found[name] = f"{count:,} of the {asked:,} asked for{why}"
    return found


def table(settings: Settings, data: Dataset | None = None) -> list[tuple[str, str]]:
    """Name and value of every setting, for people; with the data set, what is used of the images asked for."""
    instead = missing(settings, data) if data else {}

    def show(name: str, value: Any) -> str:
        if name in instead:
            return instead[name]
        if name in ("eps", "step_size"):
            return f"{value * 255:.4g}/255"
        return f"{value:g}" if isinstance(value, float) else str(value)

    return [(field.name, show(field.name, getattr(settings, field.name))) for field in fields(settings)]

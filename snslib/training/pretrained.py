"""Published models, loaded by name."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snslib import arguments, files
from snslib.files import load_tensors
from snslib.training.models import build_model

RESULTS = files.PROJECT / "results"


def load_pretrained(name: str, device: torch.device | str = "cpu") -> nn.Module:
    """A published model, in eval mode.

    Args:
        name: data set, network and row, such as "cifar10/vgg16-w0.25/pat".
        device: where to put it.

    Raises:
        ValueError: no model of that name in ``results/``, with those that there are; or a file that is damaged or holds
            another model.
    """
    path = path_of(name)
    try:
        tensors, state = read(path, name=name)
        if state.get("name", name) != name:
            raise ValueError(f"{path} holds another model, {state['name']}; git checkout brings back its own")
    except ValueError as error:
        raise ValueError(f"name: {error}") from error
    model = build_model(state["recipe"]["model"], len(state["classes"]), state["recipe"]["width"], state["image_size"])
    model.load_state_dict(tensors)
    return model.to(device).eval()


def path_of(name: str) -> Path:
    """The file of a published model; name and errors as in :func:`load_pretrained`, but for what is in the file."""
    path = arguments.inside("name", RESULTS, f"{name}.safetensors")
    if not path.exists() and state_alone(path).exists():
        width, row = path.parent.name.rpartition("-w")[2], path.stem.partition("-seed")[0]
        profile = path.parent.parent.name + ("" if width == "1" else "-small")
        again = f"python -m snslib reproduce --profile {profile} --rows {row}"
        raise ValueError(f"name: the weights of {name} (width {width}) are not kept here; this trains them: {again}")
    if not path.exists():
        there = [str(file.relative_to(RESULTS).with_suffix("")) for file in sorted(RESULTS.glob("*/*/*.safetensors"))]
        raise ValueError(
            f"name: no model {name!r} in {RESULTS}; there are {', '.join(there) or 'none'}"
            + ("" if RESULTS.exists() else " (they come with a checkout of the repository)")
        )
    return path


def state_alone(path: Path) -> Path:
    """Where the state of a published model lies whose weights, ``path``, are too large to be kept here."""
    return path.parent / "states" / f"{path.stem}.json"


def read(path: Path, only_state: bool = False, name: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a published model, and its state; ValueError where the file is damaged.

    Args:
        path: of the model; wherever it lies and whatever its name.
        only_state: as in :func:`snslib.files.load_tensors`.
        name: under which it was published; None takes that of any.
    """
    first = RESULTS / "checksums.json"
    if not first.exists():
        return load_tensors(path, only_state)
    states = _first_states(first)
    return load_tensors(path, only_state, {states[name]} if name in states else set(states.values()))


@cache
def _first_states(path: Path) -> dict[str, str]:
    """Name to SHA-256 of the state, of the models that were published before files held it themselves."""
    try:
        states: dict[str, str] = files.read_json(path)["states"]
        if not all(type(each) is str for each in states.values()):
            raise ValueError("no names and checksums")
        return states
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back") from error

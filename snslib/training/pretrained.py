"""Published models, loaded by name."""

import hashlib

import torch
from torch import Tensor, nn

from snslib import files
from snslib.files import load_tensors
from snslib.training.models import build_model

RESULTS = files.PROJECT / "results"


def load_pretrained(name: str, device: torch.device | str = "cpu") -> nn.Module:
    """A published model, in eval mode.

    Args:
        name: data set, network and row, such as "cifar10/vgg16-w0.25/pat".
        device: where to put it.

    Raises:
        ValueError: no model of that name, with those that there are; or a file that is not what was published.
    """
    path = RESULTS / f"{name}.safetensors"
    if not path.exists():
        there = [str(file.relative_to(RESULTS).with_suffix("")) for file in sorted(RESULTS.glob("*/*/*.safetensors"))]
        raise ValueError(
            f"name: no model {name!r} in {RESULTS}; there are {', '.join(there) or 'none'}"
            + ("" if RESULTS.exists() else " (they come with a checkout of the repository)")
        )
    tensors, state = load_tensors(path)
    if checksum(tensors) != state["sha256"]:
        raise ValueError(f"name: {path} is damaged, its checksum is not the recorded one; get it anew")
    model = build_model(state["recipe"]["model"], len(state["classes"]), state["recipe"]["width"], state["image_size"])
    model.load_state_dict(tensors)
    return model.to(device).eval()


def checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().flatten()
        digest.update(name.encode() + values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

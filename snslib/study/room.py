"""Room on the disk for what training writes, made sure of before the first network is trained."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from snslib import disk
from snslib.study.defenses import DEFENSES
from snslib.study.records import OTHER_FOLDER
from snslib.training.fixed_pairs import OTHER_TMPDIR, bytes_in_files
from snslib.training.loop import checkpoint_size
from snslib.training.models import build_model

if TYPE_CHECKING:
    from snslib.study.networks import Networks


@dataclass
class Needed:
    """Bytes that are going to be written.

    Args:
        weights: of all networks.
        checkpoints: at most at a time.
        pairs: of all fixed dual pair sets.
        temporary: of what does not fit in memory, at most at a time.
    """

    weights: int = 0
    checkpoints: int = 0
    pairs: int = 0
    temporary: int = 0


def needed(wanted: Iterable[tuple[Networks, str]]) -> Needed:
    """What is written until networks of some settings are trained by defenses, and all that these need before."""
    total, seen = Needed(), set[Path]()
    for networks, defense in (each for one in wanted for each in with_what_it_needs(*one)):
        path = networks.model_path(defense)
        if path in seen or path.exists():
            continue
        seen.add(path)
        s, data, how = networks.settings, networks.data, DEFENSES[defense]
        n, size = len(data.train), data.image_size
        model, schedule = model_without_weights(networks), how.schedule(s)
        checkpoint = checkpoint_size(model, schedule.epochs * max(1, n // s.batch_size))
        total.weights += checkpoint - sum(parameter.nbytes for parameter in model.parameters())  # without momentum
        total.checkpoints = max(total.checkpoints, 2 * checkpoint)  # while one is rewritten
        if how.starts_from and s.pairs != "step":
            in_files = bytes_in_files(model, schedule.first_layer, n, size)
            total.temporary = max(total.temporary, in_files * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        if how.starts_from and s.pairs == "fixed":
            pairs = networks.pairs_path
            if pairs not in seen and not pairs.exists():
                seen.add(pairs)
                total.pairs += 4 * 3 * n * size**2
    return total


def require(wanted: Iterable[tuple[Networks, str]], publish: Path | None = None) -> None:
    """There is room for all that is written until networks are trained; nothing is asked of a disk where all are there.

    Args:
        wanted: networks of a setting, and a defense, as often as there are such.
        publish: the folder in which they are published too.

    Raises:
        ValueError: a folder cannot be written to or is too full; it says which, how much is needed, and the remedy.
    """
    wanted = list(wanted)
    total = needed(wanted)
    if total == Needed():
        return
    folder, temporary = wanted[0][0].folder, Path(tempfile.gettempdir())
    in_folder = total.weights + total.checkpoints + total.pairs
    disk.require("folder", folder, in_folder, OTHER_FOLDER)
    if publish is not None:
        shared = in_folder if _same_disk(folder, publish) else 0
        disk.require("results", publish, shared + total.weights, "work in a checkout on another disk")
    if total.temporary:
        shared = in_folder if _same_disk(folder, temporary) else 0
        disk.require("TMPDIR", temporary, shared + total.temporary, OTHER_TMPDIR)


def _same_disk(*folders: Path) -> bool:
    """Whether folders are, or are going to be, on one disk."""
    absolute = [folder.absolute() for folder in folders]
    there = [next(each for each in (folder, *folder.parents) if each.exists()) for folder in absolute]
    return len({folder.stat().st_dev for folder in there}) == 1


def with_what_it_needs(networks: Networks, defense: str) -> Iterator[tuple[Networks, str]]:
    """Networks and defense, after those of the networks that are trained before."""
    how = DEFENSES[defense]
    yield from ((source, "vanilla") for source in how.attacked(networks))
    if how.starts_from:
        yield networks, how.starts_from
    yield networks, defense


def model_without_weights(networks: Networks) -> nn.Module:
    """The network of a setting on the device "meta", in eval mode: shapes, and no numbers."""
    s, data = networks.settings, networks.data
    return _model(s.model, data.num_classes, s.width, data.image_size)


@cache
def _model(name: str, num_classes: int, width: float, image_size: int) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, num_classes, width, image_size).eval()

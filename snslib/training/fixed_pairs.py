"""Outputs of the frozen lower layers for a fixed dual pair set, computed once instead of at every step.

Algorithm 1 trains on pairs (x, x') that never change, and section 4.2 leaves the layers below conv8 as they are: what
those layers output for a pair never changes either, so that training needs to run only the layers above.
"""

import tempfile
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from snslib import disk
from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.inference import device_of, fast_memory_format, frozen, images_at_once
from snslib.sensitivity import dual_pairs
from snslib.training import parallel
from snslib.training.models import split_at

OTHER_TMPDIR = "begin the command with TMPDIR=FOLDER, a folder that has more"
IN_MEMORY = 4 * 2**30  # bytes of float32 up to which everything is kept as it is, on the model's device


class FrozenLayersCache:
    """A fixed dual pair set as the layers from ``first_layer`` on see it.

    Up to IN_MEMORY bytes the outputs of the bottom layers are kept in float32 on the model's device, and training on
    them equals training on the images. Larger ones are kept in float16 in memory-mapped files, in the folder for
    temporary files (the environment variable TMPDIR names another), which go when the object does.

    Args:
        model: one of ours; the layers below ``first_layer`` are not to change as long as this is used.
        first_layer: the lowest layer that is trained; None for all, where the pairs are used as they are.
        train: the images x.
        x_adv: x' of each, float (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: the folder for temporary files is too full; before anything is computed.
    """

    def __init__(self, model: nn.Module, first_layer: str | None, train: Split, x_adv: Tensor) -> None:
        self.device = device_of(model)
        self.bottom, self.top = split_at(model, first_layer)
        self.train, self.x_adv = train, x_adv
        self.stored: tuple[Tensor, Tensor] | None = None
        if first_layer is not None:
            some = images_at_once(self.device)
            inputs = (to_float(images) for _, images, _ in batches(train, some))
            with frozen(self.bottom), torch.no_grad():
                of_one = self.bottom(to_float(train.images[:1]).to(self.device)).shape[1:]
            shape = (len(train), *of_one)
            self.stored = (_room(shape, self.device), _room(shape, self.device))
            self._fill(self.stored[0], inputs)
            self._fill(self.stored[1], iter(x_adv.split(some)))

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """What the top layers read for the pairs at ``index`` (B,): float32 (B, ...) for x and for x'."""
        if self.stored is None:
            return to_float(self.train.images[index]), self.x_adv[index.to(self.x_adv.device)].to(self.device)
        x, x_adv = (part[index.to(part.device)].to(self.device, torch.float32) for part in self.stored)
        return x, x_adv

    def _fill(self, stored: Tensor, inputs: Iterator[Tensor]) -> None:
        start = 0
        for x in inputs:
            with frozen(self.bottom), torch.no_grad():
                stored[start : start + len(x)] = self.bottom(fast_memory_format(self.bottom, x.to(self.device)))
            start += len(x)


def bytes_in_files(model: nn.Module, first_layer: str | None, images: int, image_size: int) -> int:
    """How much of the folder for temporary files a :class:`FrozenLayersCache` takes; 0 where all fits in memory.

    Args:
        model: on the device "meta", where nothing is computed, in eval mode.
        first_layer: as there.
        images: training images.
        image_size: their side in pixels.
    """
    if first_layer is None:
        return 0
    bottom, _ = split_at(model, first_layer)
    numbers = images * bottom(torch.empty(1, 3, image_size, image_size, device="meta")).numel()
    return 2 * 2 * numbers if _in_files(numbers) else 0


def _in_files(numbers: int) -> bool:
    return 2 * 4 * numbers > IN_MEMORY


def _room(shape: tuple[int, ...], device: torch.device) -> Tensor:
    numbers = torch.Size(shape).numel()
    if not _in_files(numbers):
        return torch.empty(shape, device=device)
    with tempfile.NamedTemporaryFile(prefix="snslib-pairs-") as file:  # the name goes, what is mapped stays
        try:
            disk.allocate(file, 2 * numbers)
        except OSError as error:
            raise ValueError(
                f"TMPDIR: {tempfile.gettempdir()} takes no {disk.amount(2 * numbers)} ({error.strerror}), half of what "
                f"the frozen layers put out; free some, or {OTHER_TMPDIR}"
            ) from error
        return torch.from_file(file.name, shared=True, size=numbers, dtype=torch.float16).view(shape)


def adversarial_images(model: nn.Module, split: Split, attack: Attack) -> Tensor:
    """x' of every image of a split, in its order, float (N, 3, H, W) on the CPU; each process makes its part."""
    made = [x_adv.cpu() for _, x_adv in dual_pairs(model, parallel.own_part(split), attack)]
    return parallel.gather(torch.cat(made))

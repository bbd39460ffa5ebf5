"""Outputs of the frozen lower layers for a fixed dual pair set, computed once instead of at every step.

Algorithm 1 trains on pairs (x, x') that never change, and section 4.2 leaves the layers below conv8 as they are: what
those layers output for a pair never changes either, so that training needs to run only the layers above.
"""

import tempfile
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.inference import device_of, fast_memory_format, frozen, images_at_once
from snslib.sensitivity import dual_pairs
from snslib.training import parallel
from snslib.training.models import split_at

IN_MEMORY = 4 * 2**30  # bytes of float32 up to which everything is kept as it is, on the model's device


class FrozenLayersCache:
    """A fixed dual pair set as the layers from ``first_layer`` on see it.

    Up to IN_MEMORY bytes the outputs of the bottom layers are kept in float32 on the model's device, and training on
    them equals training on the images. Larger ones are kept in float16 in a memory-mapped file, in the folder for
    temporary files (the environment variable TMPDIR names another), which goes when the object does.

    Args:
        model: one of ours; the layers below ``first_layer`` are not to change as long as this is used.
        first_layer: the lowest layer that is trained; None for all, where the pairs are used as they are.
        train: the images x.
        x_adv: x' of each, float (N, 3, H, W) in [0, 1].
    """

    def __init__(self, model: nn.Module, first_layer: str | None, train: Split, x_adv: Tensor) -> None:
        self.device = device_of(model)
        self.bottom, self.top = split_at(model, first_layer)
        self.train, self.x_adv = train, x_adv
        self.stored: tuple[Tensor, Tensor] | None = None
        if first_layer is not None:
            some = images_at_once(self.device)
            inputs = (to_float(images) for _, images, _ in batches(train, some))
            self.stored = (self._outputs(inputs), self._outputs(iter(x_adv.split(some))))

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """What the top layers read for the pairs at ``index`` (B,): float32 (B, ...) for x and for x'."""
        if self.stored is None:
            return to_float(self.train.images[index]), self.x_adv[index.to(self.x_adv.device)].to(self.device)
        x, x_adv = (part[index.to(part.device)].to(self.device, torch.float32) for part in self.stored)
        return x, x_adv

    def _outputs(self, inputs: Iterator[Tensor]) -> Tensor:
        n, start = len(self.train), 0
        stored: Tensor | None = None
        for x in inputs:
            with frozen(self.bottom), torch.no_grad():
                out = self.bottom(fast_memory_format(self.bottom, x.to(self.device)))
            if stored is None:
                stored = self._room((n, *out.shape[1:]))
            stored[start : start + len(x)] = out
            start += len(x)
        assert stored is not None  # a split of no images cannot be trained on
        return stored

    def _room(self, shape: tuple[int, ...]) -> Tensor:
        numbers = torch.Size(shape).numel()
        if 2 * 4 * numbers <= IN_MEMORY:
            return torch.empty(shape, device=self.device)
        with tempfile.NamedTemporaryFile(prefix="snslib-pairs-") as file:  # the name goes, what is mapped stays
            return torch.from_file(file.name, shared=True, size=numbers, dtype=torch.float16).view(shape)


def adversarial_images(model: nn.Module, split: Split, attack: Attack) -> Tensor:
    """x' of every image of a split, in its order, float (N, 3, H, W) on the CPU; each process makes its part."""
    made = [x_adv.cpu() for _, x_adv in dual_pairs(model, parallel.own_part(split), attack)]
    return parallel.gather(torch.cat(made))

"""Reading the logits (N, K) out of whatever a classifier puts out."""

from collections.abc import Mapping

from torch import Tensor, nn

from snslib import arguments

REMEDY = "a module whose forward calls this one and returns its logits (N, K) can be passed in its place"


def read_logits(output: object, n: int | None = None, highest: int = 0, name: str = "model") -> Tensor:
    """The logits (N, K) in what a model puts out, the one rule for all of this library.

    They are the output itself, or of an object its ``.logits`` (Hugging Face, torchvision's GoogLeNet in train mode),
    of a dictionary its entry "logits", of a tuple or list of one its only element. Which of several tensors are the
    logits is not guessed.

    Args:
        output: what the model returned.
        n: how many images it was given; None does not look.
        highest: the highest class in use; K is at least one more, and at least 2 in any case.
        name: the argument that has this class, for the message; the model where there are too few in any case.

    Raises:
        ValueError: there are none, or they are not floats (N, K) with K > highest.
    """
    found = output
    if not isinstance(found, Tensor):
        if isinstance(found, Mapping) and "logits" in found:
            found = found["logits"]
        elif isinstance(getattr(found, "logits", None), Tensor):
            found = found.logits  # type: ignore[attr-defined]
        elif isinstance(found, (tuple, list)) and len(found) == 1:
            found = found[0]
    if not isinstance(found, Tensor):
        raise ValueError(f"model: expected logits (N, K), it outputs {_shape_of(output)}; {REMEDY}")
    if found.ndim != 2 or found.dtype not in arguments.FLOATS or (n is not None and len(found) != n):
        images = "" if n is None else f" of {n} images"
        raise ValueError(
            f"model: expected logits (N, K){images}, floats, it outputs {arguments.described(found)}; {REMEDY}"
        )
    arguments.dense("model: its logits", found)
    if found.shape[1] < 2:
        raise ValueError(
            f"model: expected logits (N, K) of at least 2 classes, it outputs {arguments.described(found)}"
        )
    arguments.classes(name, highest, found)
    return found if type(found) in (Tensor, nn.Parameter) else found.as_subclass(Tensor)


def _shape_of(output: object) -> str:
    """For a message: what a model put out."""
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {arguments.few(map(str, output))}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {len(output)}"
    return arguments.described(output)

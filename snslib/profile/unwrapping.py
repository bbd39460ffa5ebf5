"""Weights as people keep them, put into a model: out of a checkpoint, and without the names of wrappers."""

import operator
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snslib.arguments import FLOATS, described, few
from snslib.profile import checkpoints

WRAPPERS = {  # parts of names that say how a model was run, not what it is
    *("module", "_orig_mod", "_forward_module"),  # DataParallel and EMA, torch.compile, Lightning's Fabric
    *("_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module"),
}
CONSTANTS = {  # what follows from a model's definition, and is in some files and not in others
    *("mean", "std", "mu", "sigma"),  # of images, in models that normalise
    *("num_batches_tracked", "n_averaged", "position_ids", "relative_position_index", "attn_mask"),
}
Place = tuple[Hashable, ...]  # the keys that lead to a dictionary in others
DEPTH = 4  # of dictionaries within dictionaries that are looked into


def load_weights(model: nn.Module, path: Path) -> str:
    """Put the weights of a file into a model, if it is clear which ones and where.

    They may lie in a dictionary of the file, such as "state_dict", and their names may have parts of DataParallel,
    FSDP, EMA or torch.compile, or all a prefix such as "model.", in the file or in the model. Exactly one set of
    weights in the file must then fit the model, name by name and shape by shape. Of normalising constants and counters
    (CONSTANTS) a file may hold more or fewer than the model.

    Returns:
        In words, what was taken and left out; "" for a state dict of the model as it is.

    Raises:
        ValueError: a file that cannot be read, holds no weights or several sets that fit, or weights that do not fit.
            The model is then no longer what it was.
    """
    content = checkpoints.read(path)
    sets = {place: tensors for place, tensors in _sets(content) if tensors}
    _check_sets(path, content, sets)
    readings = [each for place, tensors in sets.items() for each in _readings(model, place, tensors)]
    fitting = [each for each in readings if _fits(model, each.state)]
    if not fitting:
        names = model.state_dict().keys()
        closest = max(readings, key=lambda each: len(each.state.keys() & names) - len(each.state.keys() ^ names))
        raise ValueError(f"weights: {path} does not fit: {_misfit(model, closest.state)}")
    chosen = _unambiguous(path, fitting)
    _put(model, chosen.state)
    own = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    for name in own.keys() & chosen.state.keys():
        given = chosen.state[name]
        if own[name].is_floating_point() and given.dtype not in FLOATS:
            raise ValueError(
                f"weights: {path} does not fit: {name} is {described(given)} in the file, as after quantisation, and "
                "floats in the model; save the state dict of the float model"
            )
    return chosen.said(content)


@dataclass(frozen=True)
class _Reading:
    """A way to read a file's weights.

    Args:
        place: keys of the dictionaries that lead to the weights.
        prefix: that all of their names had.
        dropped: the parts of WRAPPERS that they had.
        state: by the model's names.
        used: the names in the file that they are under.
        own: the model's constants that the file does not have.
    """

    place: Place
    prefix: str
    dropped: frozenset[str]
    state: dict[str, Tensor]
    used: Collection[str]
    own: list[str]

    @property
    def where(self) -> str:
        """For a message: as Python finds it in the content of the file, and the prefix of its names."""
        place = "".join(f"[{key!r}]" for key in self.place)
        return f"{place} {self.prefix}*".lstrip() if self.prefix else place or "names as they are"

    def said(self, content: Any) -> str:
        """In words, what had to be done to the content of the file; "" for nothing."""
        parts = []
        if self.place:
            beside = [str(key) for key in content if key != self.place[0]]
            kept = f" (beside it: {few(beside)})" if beside else ""
            parts.append(f"taken from {'/'.join(map(str, self.place))}{kept}")
        if names := [*(f"{name}." for name in sorted(self.dropped)), *[self.prefix] * bool(self.prefix)]:
            parts.append(f"without {', '.join(names)} in the names")
        inner = reduce(operator.getitem, self.place, content)
        if left := [str(key) for key in inner if key not in self.used]:
            parts.append(f"left out: {few(left)}")
        if self.own:
            parts.append(f"not in the file, the model's own: {few(self.own)}")
        return "; ".join(parts)


def _sets(content: object, place: Place = ()) -> Iterator[tuple[Place, dict[str, Tensor]]]:
    """Every dictionary in the content, as its tensors by name, with the keys that lead to it."""
    if isinstance(content, Mapping) and len(place) <= DEPTH:
        named = {name: each for name, each in content.items() if isinstance(name, str)}
        yield place, {name: each for name, each in named.items() if type(each) in (Tensor, nn.Parameter)}
        for name, each in content.items():
            yield from _sets(each, (*place, name))


def _check_sets(path: Path, content: object, sets: Mapping[Place, Mapping[str, Tensor]]) -> None:
    if not sets:
        came = f"a dictionary of {few(map(str, content))}" if isinstance(content, Mapping) else described(content)
        raise ValueError(f"weights: {path} holds {came}, no weights by name; save model.state_dict()")
    for tensors in sets.values():
        for name, tensor in tensors.items():
            if name.endswith("_flat_param") or name.endswith("flat_param_0"):
                raise ValueError(
                    f"weights: {path} holds a part of FSDP's flattened weights ({name}); gather them with "
                    "get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)) and save that"
                )
            if tensor.is_meta or tensor.is_quantized:
                kind = "has no values (it is on the meta device)" if tensor.is_meta else "is quantised"
                raise ValueError(f"weights: {path} does not fit: {name} {kind}; save the state dict of the float model")


# --- names ---


def _readings(model: nn.Module, place: Place, tensors: Mapping[str, Tensor]) -> Iterator[_Reading]:
    """Ways to read the tensors: as they are, without WRAPPERS, and without a prefix."""
    wanted = model.state_dict()
    yield _Reading(place, "", frozenset(), dict(tensors), tensors.keys(), [])
    plain, ours = _bare(tensors), _bare(wanted)
    weights = [name for name in ours if not _constant(name, wanted[ours[name]])]
    if not weights:
        return
    anchor = max(weights, key=len)  # a name that no other one ends in
    prefixes = {name.removesuffix(anchor) for name in plain if name.endswith(f".{anchor}")}
    added = {anchor.removesuffix(name) for name in plain if anchor.endswith(f".{name}")}
    found = {name: file for name, file in plain.items() if not name.startswith(tuple(prefixes))}
    yield _reading(place, "", tensors, found, ours, wanted)
    for prefix in sorted(prefixes):
        found = {name.removeprefix(prefix): file for name, file in plain.items() if name.startswith(prefix)}
        yield _reading(place, prefix, tensors, found, ours, wanted)
    for prefix in sorted(added):
        yield _reading(place, "", tensors, {prefix + name: file for name, file in plain.items()}, ours, wanted)


def _reading(
    place: Place,
    prefix: str,
    tensors: Mapping[str, Tensor],
    found: Mapping[str, str],
    ours: Mapping[str, str],
    wanted: Mapping[str, Tensor],
) -> _Reading:
    """The tensors under the model's names.

    Args:
        place, prefix: as in :class:`_Reading`.
        tensors: of the file.
        found: bare names, as the model may have them, to those in the file.
        ours: the model's bare names to its own.
        wanted: the model's state.
    """
    spare = [name for name in found if name not in ours and _constant(name, tensors[found[name]])]
    state = {ours.get(name, name): tensors[file] for name, file in found.items() if name not in spare}
    own = [each for name, each in ours.items() if name not in found and _constant(name, wanted[each])]
    state |= {name: wanted[name].clone() for name in own}
    used = {found[name] for name in found if name not in spare}
    parts = {part for name in used for part in name.split(".")} & WRAPPERS
    dropped = frozenset(parts) - {part for name in wanted for part in name.split(".")}
    return _Reading(place, prefix, dropped, state, used, own)


def _bare(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Names without the parts of WRAPPERS, to the names; as they are where two would become one."""
    bare = {".".join(part for part in name.split(".") if part not in WRAPPERS): name for name in names}
    return bare if len(bare) == len(names) else {name: name for name in names}


def _constant(name: str, tensor: Tensor) -> bool:
    """Whether a tensor follows from a model's definition; a mean or std only where it has a number for each colour."""
    last = name.rpartition(".")[2].strip("_")
    colours = is_lazy(tensor) or tensor.numel() in (1, 3)
    return last in CONSTANTS and (colours or last not in ("mean", "std", "mu", "sigma"))


# --- which one ---


def _fits(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether the model takes the weights; those of them that fit are then in it."""
    if not state.keys() & model.state_dict().keys():
        return False
    try:
        _put(model, state)
    except Exception:  # a RuntimeError of PyTorch's, or whatever a model's own way of loading raises
        return False
    return True


def _put(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    model.load_state_dict(state, assign=any(each.is_meta for each in model.parameters()))


def _unambiguous(path: Path, fitting: list[_Reading]) -> _Reading:
    """The first reading, provided that the others mean the same weights; ValueError otherwise."""
    first, *others = fitting
    apart = [each for each in others if (each.place, each.prefix) != (first.place, first.prefix)]
    if other := [each for each in apart if not _same(each.state, first.state)]:
        places = dict.fromkeys(each.where for each in [first, *other])
        how = "" if other[-1].prefix else f", such as torch.save(torch.load(FILE){other[-1].where}, NEW)"
        raise ValueError(
            f"weights: {path} holds several sets of weights that fit: {few(places)}, as of training and of its moving "
            f"average (EMA); save alone what is meant{how}"
        )
    return first


def _same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(each, second[name]) for name, each in first.items())


def _misfit(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """The first names that do not fit, and the likely cause."""
    wanted = {name: each for name, each in model.state_dict().items() if isinstance(each, Tensor)}
    missing, unexpected = ([name for name in a if name not in b] for a, b in ((wanted, state), (state, wanted)))
    shapes = {
        name: (tuple(each.shape), tuple(wanted[name].shape))
        for name, each in state.items()
        if name in wanted and not is_lazy(wanted[name]) and each.shape != wanted[name].shape
    }
    other = [f"{name} is {theirs} in the file, {ours} in the model" for name, (theirs, ours) in shapes.items()]
    same_names = any(name in state and not _constant(name, each) for name, each in wanted.items())
    parts = [
        f"Missing {len(missing)}: {few(missing)}." if missing else "",
        f"Unexpected {len(unexpected)}: {few(unexpected)}." if unexpected else "",
        f"{len(shapes)} with a size mismatch: {few(other, 3)}." if shapes else "",
        f"The likely cause: {_cause(missing, unexpected, [*shapes.values()]) if same_names else _NO_NAME}",
    ]
    return " ".join(part for part in parts if part)


_NO_NAME = "another architecture, since no name is the same"


def _cause(missing: list[str], unexpected: list[str], shapes: list[tuple[tuple[int, ...], ...]]) -> str:
    if missing and not unexpected and all(name.endswith(("running_mean", "running_var")) for name in missing):
        return "a moving average (EMA) of the parameters alone, without BatchNorm's statistics"
    if len(shapes) > max(4, len(missing) + len(unexpected)):
        return "another width"
    if missing or unexpected:
        return "another architecture or depth" if missing else "parts that the model as it is built does not have"
    if len({(theirs[:1], ours[:1]) for theirs, ours in shapes}) == 1 and len(shapes) <= 4:  # of one head or two
        (theirs, ours), *_ = shapes
        if theirs[1:] == ours[1:]:
            return f"{theirs[0]} classes in the file and {ours[0]} in the model (num_classes sets the outputs)"
    return "another width"

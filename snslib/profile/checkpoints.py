"""What a file of weights holds, read without running any code in it; of any other file, what it is."""

import codecs
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from snslib.arguments import few, shown
from snslib.training import pretrained

REMEDY = "expected a state dict, as .safetensors or as torch.save(model.state_dict(), FILE) writes it"


def read(path: Path) -> object:
    """What a file of weights holds: tensors, and numbers and texts beside them, in dictionaries and lists.

    By its content, not by its name, a file is one of safetensors or of ``torch.save``. NumPy's numbers and arrays,
    argparse's options and paths come as objects without a content. Of a file that snslib wrote, the checksums are
    compared.

    Raises:
        ValueError: there is no such file, or it is something else, damaged, or holds objects that are made by running
            code. The message says what it is.
    """
    head = check(path)
    try:
        if _is_safetensors(head):
            return _safetensors(path)
        with path.open("rb") as file, torch.serialization.safe_globals(_STAND_INS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the parser of a damaged file raises
        raise _unreadable(path, _reason(error)) from error


def check(path: Path) -> bytes:
    """The first bytes of a file that may hold weights; ValueError, which says what it is, for any other."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
        size = path.stat().st_size
    except FileNotFoundError:
        raise ValueError(f"weights: there is no file {path}") from None
    except OSError as error:
        what = _folder(path) if path.is_dir() else f"cannot be read: {error.strerror}"
        raise ValueError(f"weights: {path} {what}") from None
    if problem := _foreign(head) or _cut(path, head, size):
        raise _unreadable(path, problem)
    return head


def _unreadable(path: Path, problem: str) -> ValueError:
    """The error for a problem such as "it is empty; copy or download it again"."""
    what, _, remedy = problem.rpartition("; ")
    return ValueError(f"weights: {path} cannot be read ({what}); {remedy}")


class _StandIn:
    """In place of an object beside the weights, which is not needed: takes what such an object is made of, keeps none.

    NumPy's own could be given sizes and flags by which it reads memory that is not its own.
    """

    def __init__(self, *_of: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


_STAND_INS: list[Any] = [
    type(name, (_StandIn,), {"__module__": module})
    for module, names in {
        **{f"numpy.{core}.multiarray": ["scalar", "_reconstruct"] for core in ("core", "_core")},
        **{f"numpy.{core}.numeric": ["_frombuffer"] for core in ("core", "_core")},
        "numpy": ["dtype", "ndarray"],
        "argparse": ["Namespace"],
        "types": ["SimpleNamespace"],
        "builtins": ["list", "dict", "int", "float", "str"],  # what a defaultdict makes of a key that is not there
        "datetime": ["datetime", "timedelta"],
        "pathlib": ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"],
        "pathlib._local": ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"],  # Python 3.13
    }.items()
    for name in names
]


def _dictionary(*_of: object) -> dict[Any, Any]:
    """In place of a defaultdict, which is then filled."""
    return {}


_dictionary.__module__, _dictionary.__name__, _dictionary.__qualname__ = "collections", "defaultdict", "defaultdict"
_STAND_INS.append(_dictionary)


# --- what else a file may be ---

_SIGNATURES = {
    b"version https://git-lfs": "it is a Git LFS pointer, not the file that it stands for; git lfs pull fetches that",
    b"\x1f\x8b": "it is compressed by gzip; unpack it",
    b"BZh": "it is compressed by bzip2; unpack it",
    b"\xfd7zXZ": "it is compressed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd; unpack it",
    b"7z\xbc\xaf": "it is a 7z archive; unpack it",
    b"Rar!": "it is a rar archive; unpack it",
    b"\x89HDF": f"it is an HDF5 file, as Keras writes it; {REMEDY}",
    b"\x93NUMPY": f"it is an array of NumPy; {REMEDY}",
    b"GGUF": f"it is a GGUF file; {REMEDY}",
    b"%PDF": f"it is a PDF; {REMEDY}",
    b"\x89PNG": f"it is a picture (PNG); {REMEDY}",
    b"\xff\xd8\xff": f"it is a picture (JPEG); {REMEDY}",
}
_MAGIC = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")  # in files of torch.save before version 1.6
_WEB_PAGE = re.compile(rb"(<!--.*?-->\s*)*<(!doctype html|html|head|body|title|script)\b", re.DOTALL | re.IGNORECASE)


def _foreign(head: bytes) -> str | None:
    """What a file is by its first bytes; None where it may hold weights."""
    if not head:
        return "it is empty; copy or download it again"
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            return what
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros, as a half-written file does; copy or download it again"
    if head[257:262] == b"ustar":
        return "it is a tar archive; unpack it"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _WEB_PAGE.match(text):
        return "it is an HTML page, such as a server sends that asks to log in or to confirm; download the file itself"
    if text.startswith(b"<?xml"):
        return "it is an XML document, as a server's error message is; download the file itself"
    if head[:1] == b"\x80" and _MAGIC not in head[:64]:
        return f"it is a pickle that torch.save did not write; {REMEDY}"
    if _is_text(head):
        begins = text[:60].decode("utf-8", "replace").strip()
        return f"it is {'JSON' if text[:1] in (b'{', b'[') else 'text'} that begins with {shown(begins)}; {REMEDY}"
    if not head.startswith((b"PK", b"\x80")) and not _is_safetensors(head):
        return f"it begins with {shown(head[:8])}, as no file of weights does; {REMEDY}"
    return None


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which may end within a letter
    except UnicodeDecodeError:
        return False
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def _cut(path: Path, head: bytes, size: int) -> str | None:
    """How a file is incomplete, or another archive than a state dict's; None where it seems whole."""
    if _is_safetensors(head):
        begin = 8 + int.from_bytes(head[:8], "little")
        needed = begin + (_data_size(path, begin) if begin <= size else 0)
        return None if needed <= size else _is_cut(size, f" of at least {needed:,}")
    if head.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(path):
            return _is_cut(size)
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
        if "constants.pkl" in names:
            return "it is a TorchScript program, which is code; save the state dict of torch.jit.load(FILE) alone"
        if "data.pkl" not in names:
            return f"it is a zip archive of {few(sorted(names))}; unpack it, {REMEDY}"
    return None


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000


def _data_size(path: Path, begin: int) -> int:
    """Bytes of all tensors, as the header of a safetensors file has them; 0 where it cannot be read."""
    with path.open("rb") as file:
        text = file.read(begin)[8:]
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(text).items() if name != "__metadata__"]
        return max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return 0


def _is_cut(size: int, of: str = "") -> str:
    return f"it is cut short, at {size:,} bytes{of}; copy or download it again"


def _folder(path: Path) -> str:
    if (path / ".metadata").exists():
        return (
            "is a folder of torch.distributed.checkpoint; python -m torch.distributed.checkpoint.format_utils "
            "dcp_to_torch FOLDER FILE makes one file of it"
        )
    if (path / "config.json").exists():
        return f"is a folder of transformers; pass it as the model, transformers:{path}, or a file in it as weights"
    return "is a folder; name the file in it"


def _safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, "pt") as file:
        about = file.metadata() or {}
    ours = "checked" in about or "sha256" in about.get("state", "")
    return pretrained.read(path)[0] if ours else load_file(path)


def _reason(error: Exception) -> str:
    text = str(error).rpartition("WeightsUnpickler error: ")[2].strip()  # what torch.load says of it before is advice
    line = text.partition("\n")[0] or type(error).__name__
    if found := re.search(r"(?:GLOBAL|[Uu]nsupported class) ([\w.]+)", str(error)):
        return (
            f"it holds a pickled {found[1]}, and making one would run code; in the program that wrote it, "
            "torch.save(model.state_dict(), FILE) writes the weights alone"
        )
    if isinstance(error, (EOFError, IndexError)) or "EOF" in line or "central directory" in line:
        return "it is cut short; copy or download it again"
    return f"{line}; {REMEDY}"

"""Image files hold pictures, whatever they are called: nothing else in them is run, and no size uses up the memory."""

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import EpsImagePlugin, Image

from snslib.training.image_folders import common_size, read_images

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.eps"])
def test_no_program_is_started_on_a_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(ghostscript))
    path = tmp_path / name
    path.write_bytes(POSTSCRIPT)
    with contextlib.suppress(OSError), Image.open(path) as image:
        image.load()
    assert (tmp_path / "started").exists()  # it would be
    (tmp_path / "started").unlink()
    with pytest.raises(ValueError, match=rf"{name} is not a readable image"):
        read_images([path], 32)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "MPO"])
def test_every_usual_format_is_read_whatever_the_file_is_called(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (32, 32), (200, 100, 50)).save(path, kind)
    assert common_size([path]) == 32
    mean = read_images([path], 32).float().mean((0, 2, 3))
    assert torch.allclose(mean, torch.tensor([200.0, 100.0, 50.0]), atol=12)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_a_picture_that_would_use_up_the_memory_is_refused(tmp_path: Path) -> None:
    """A PNG of a kilobyte that says it is 60,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match=r"bomb\.png is not a readable image .*limit of 178956970 pixels"):
        read_images([path], 32)

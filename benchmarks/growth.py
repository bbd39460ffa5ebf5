"""How the cost grows: with images, with the network's width, and with the number of processes."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from setting import model_and_images
from timing import interleaved

import snslib as sns
from snslib.files import load_tensors


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """Rows of "what" grows, "value", "seconds", and "per" image or epoch what they are seconds of."""
    rows = _pgd(device, quick)
    if device == "cpu" or torch.cuda.device_count() > 1:
        rows += _processes(device, quick)
    return rows


def _pgd(device: str, quick: bool) -> list[dict[str, Any]]:
    grid: list[tuple[str, float, float, int]]
    grid = [("images", n, 1 / 4, n) for n in ((8,) if quick else (32, 64, 128, 256, 512))]
    grid += [("width", width, width, 64) for width in ((1 / 16,) if quick else (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0))]
    rows = []
    for what, value, width, n in grid:
        model, x, y = model_and_images("vgg16", width, n, device)
        times = interleaved({"pgd": partial(sns.pgd, model, x, y)}, 1 if quick else 3, device)["pgd"]
        seconds = round(statistics.median(times) / n, 7)
        rows.append({"what": what, "value": value, "seconds": seconds, "per": "image, PGD-10"})
        print(rows[-1], flush=True)
    return rows


def _processes(device: str, quick: bool) -> list[dict[str, Any]]:
    """One epoch of PAT on digits by torchrun with 1 and 2 processes, the processors shared out among them."""
    rows = []
    width = "0.0625" if quick else "0.25"
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            threads = str(max(1, (os.cpu_count() or 1) // count))
            command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "-m", "snslib"]
            options = ["train", "--defense=pat", "--profile=digits", f"--width={width}", "--pat-epochs=2"]
            began = time.perf_counter()
            subprocess.run(
                [*command, *options, "--batch-size=128", f"--device={device}", f"--out={folder}"],
                env={**os.environ, "OMP_NUM_THREADS": threads},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            whole = time.perf_counter() - began
            (model,) = Path(folder).glob("models/pat-*.safetensors")
            epoch = load_tensors(model)[1]["history"][-1]["seconds"]
        rows.append({"what": "processes", "value": count, "seconds": round(epoch, 3), "per": "epoch of PAT on digits"})
        print(rows[-1], f"{whole:.1f} s with start", flush=True)
    return rows

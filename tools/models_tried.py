"""Which models ``snslib.profile`` measures: one of each family of torchvision, and of other packages that are there.

    python tools/models_tried.py [NAME ...] [--all] [--again] [--minutes 10]

Without names, the smallest model of each family of torchvision and some of timm, transformers and RobustBench; --all
takes every classifier of torchvision. Each has random weights, gets four random images of 64 pixels or the size that it
needs, 224 at most, and runs in a process of its own, which ends after so many minutes. The findings go to
results/models_tried.json, one after the other: what is there for the same versions is not tried again without --again.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # before OpenMP is loaded: other processes may share the cores
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torchvision import models

from snslib.data import Split
from snslib.files import read_json, write_json
from snslib.profile.measure import profile

RECORD = Path(__file__).resolve().parent.parent / "results" / "models_tried.json"
IMAGES = 4
SIZE = 64  # pixels, where a model takes any
OTHERS = {  # of packages that may be here, or not
    "timm": ["resnet18", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224", "mixer_s32_224"],
    "transformers": ["resnet", "vit", "swin", "convnext", "mobilenet_v2", "regnet"],  # kinds of configurations
    "robustbench": ["wide_resnet:WideResNet", "resnet:PreActResNet18"],
}


def smallest() -> list[str]:
    """Of each family of torchvision's classifiers the one with the fewest weights."""
    families: dict[str, tuple[int, str]] = {}
    for name in models.list_models(module=models):
        of = models.get_model_builder(name).__module__
        count = models.get_model_weights(name).DEFAULT.meta["num_params"]
        families[of] = min(families.get(of, (count, name)), (count, name))
    return sorted(f"torchvision:{name}" for _, name in families.values())


def names(everything: bool) -> list[str]:
    """What is tried where nobody says what."""
    ours = [f"torchvision:{name}" for name in models.list_models(module=models)] if everything else smallest()
    return [*ours, *(f"{package}:{name}" for package, several in OTHERS.items() for name in several)]


def size_of(name: str) -> int:
    """Pixels of the images for a model."""
    package, _, own = name.partition(":")
    if package == "torchvision":
        return max(SIZE, *models.get_model_weights(own).DEFAULT.meta["min_size"])
    return {"timm": 224, "transformers": 224, "robustbench": 32}.get(package, SIZE)


def versions(name: str) -> dict[str, str]:
    """Of what a finding depends on."""
    package = name.partition(":")[0]
    found = {"torch": torch.__version__, "snslib": importlib.metadata.version("snslib")}
    return found | {package: getattr(importlib.import_module(package), "__version__", "unknown")}


def measure(name: str) -> dict[str, Any]:
    """What comes of a model: layers and neurons that were measured, and how long it took, or the error."""
    torch.manual_seed(0)
    size = size_of(name)
    split = Split(torch.randint(0, 256, (IMAGES, 3, size, size), dtype=torch.uint8), torch.zeros(IMAGES).long())
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = profile(as_argument(name, folder), split, labels="predicted", batch_size=2, device="cpu")
    neurons = sum(layer.neurons for layer in found.layers.values())
    moved = sum(int((sigma > 0).sum()) for sigma in found.sigma.values())
    return {
        **{"outcome": "measured", "image_size": size, "layers": len(found.layers), "neurons": neurons},
        **{"that_change": moved, "seconds": round(time.perf_counter() - began, 1)},
    }


def as_argument(name: str, folder: str) -> str:
    """The name as ``profile`` takes it; of transformers a folder with random weights, of RobustBench its definition."""
    package, _, own = name.partition(":")
    if package == "robustbench":
        module, _, function = own.partition(":")
        return f"robustbench.model_zoo.architectures.{module}:{function}"
    if package == "transformers":
        transformers = importlib.import_module(package)
        about = transformers.AutoConfig.for_model(own)
        transformers.AutoModelForImageClassification.from_config(about).save_pretrained(folder)
        return f"transformers:{folder}"
    return name


def tried(name: str, minutes: float) -> dict[str, Any]:
    """:func:`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        return {"outcome": f"stopped after {minutes:g} minutes"}
    if done.returncode:
        return {"outcome": f"ended with status {done.returncode}: {(done.stderr.splitlines() or [''])[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as torchvision:resnet18")
    parser.add_argument("--all", action="store_true", help="every classifier of torchvision")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--minutes", type=float, default=10, help="at most, for each model (10)")
    parser.add_argument("--out", type=Path, default=RECORD, help=f"({RECORD})")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one:
        try:
            found = measure(asked.one)
        except Exception as error:  # what is to be found out
            found = {"outcome": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        print(json.dumps(found))
        return
    entries: dict[str, Any] = read_json(asked.out)["models"] if asked.out.exists() else {}
    for name in asked.names or names(asked.all):
        if not importlib.util.find_spec(name.partition(":")[0]):
            print(f"{name}: the package is not here", flush=True)
            continue
        about = versions(name)
        if not asked.again and entries.get(name, {}).get("versions") == about:
            continue
        entries[name] = tried(name, asked.minutes) | {"versions": about}
        write_json(asked.out, {"images": IMAGES, "models": dict(sorted(entries.items()))})
        print(f"{name}: {entries[name]['outcome']}", flush=True)


if __name__ == "__main__":
    main()

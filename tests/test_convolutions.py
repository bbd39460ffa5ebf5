"""Convolutions that oneDNN computes wrong in channels_last are run contiguous, on whatever processor."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from snslib.inference import fast_memory_format, must_be_contiguous
from snslib.precision import PRECISIONS, autocast

ROOT = Path(__file__).parent.parent
RECORD = json.loads((ROOT / "results" / "convolutions.json").read_text())


@pytest.mark.parametrize("release", RECORD)
def test_no_convolution_that_was_found_wrong_gets_channels_last(release: str) -> None:
    assert RECORD[release]["wrong"]
    for case in RECORD[release]["wrong"]:
        assert case["layout"] == "channels_last"
        channels, out_channels, kernel, stride = (case[k] for k in ("in_channels", "out_channels", "kernel", "stride"))
        conv = nn.Conv2d(channels, out_channels, kernel, stride, groups=case["groups"])
        x = torch.rand(2, channels, 8, 8).contiguous(memory_format=torch.channels_last)
        for precision in PRECISIONS:
            with autocast(x.device, precision):
                model = nn.Sequential(nn.Conv2d(channels, channels, 3), nn.ReLU(), conv)
                assert fast_memory_format(model, x).is_contiguous()


@pytest.mark.slow
def test_what_is_found_wrong_on_this_machine_is_what_was_found_before() -> None:
    done = run("benchmarks/convolutions.py", "--quick")
    for case in map(json.loads, done.stdout.splitlines()[:-1]):
        assert must_be_contiguous(nn.Conv2d(case["in_channels"], 16, case["kernel"], case["stride"])), case
    assert re.search(r"\d of [1-9]\d\d cases wrong", done.stdout)


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE"])
def test_training_is_right_whatever_the_processor_and_the_format_of_the_model(instructions: str) -> None:
    """One step of a model in channels_last, with oneDNN and without it, is the same."""
    done = run("-c", ONE_STEP, ONEDNN_MAX_CPU_ISA=instructions)
    with_onednn, without = json.loads(done.stdout)
    assert with_onednn == pytest.approx(without, rel=1e-4, abs=1e-6)


ONE_STEP = """
import json, torch
from torch import nn
from snslib.data import Dataset, Split
from snslib.training.objectives import Vanilla
from snslib.training.loop import Schedule, train

split = Split(torch.randint(256, (64, 3, 32, 32), dtype=torch.uint8), torch.arange(64) % 3)
data = Dataset("random", ("a", "b", "c"), split, split.take(0), split.take(0), 1, True, "drawn", None)
weights = []
for onednn in (True, False):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 16, 1, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(16, 3)).to(memory_format=torch.channels_last)
    with torch.backends.mkldnn.flags(enabled=onednn):
        train(model, data, Vanilla(), Schedule(epochs=1, lr=1.0, batch_size=64), progress=lambda line: None)
    weights.append(model[2].weight.flatten().tolist())
print(json.dumps(weights))
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own: it may crash, and oneDNN reads its environment once."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

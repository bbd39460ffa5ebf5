"""What every test shares: the same random numbers on every run, and no deadline on a machine that others use too."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import snslib  # noqa: F401  # before PyTorch, for what it sets

# isort: split
import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    # Without a GPU the Triton kernels run in Triton's interpreter, on CPU tensors. Triton looks at this when it is
    # first imported, which therefore has to happen later than here.
    os.environ["TRITON_INTERPRET"] = "1"

torch.set_num_threads(1)  # the models are tiny: a second thread would mostly wait

# Ctrl-C reaches what a test starts also where the tests themselves run in the background and are to ignore it.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same global random state, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``results/`` without rows."""
    from snslib.training import pretrained  # after TRITON_INTERPRET is set

    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    return tmp_path


@pytest.fixture
def one_megabyte(tmp_path: Path) -> Iterator[Path]:
    """A real file system of that size."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)

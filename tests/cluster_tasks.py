"""What workers of a Dask cluster do in tests; they import this file and nothing else of the tests."""

import os
import time
from pathlib import Path

from snslib.study.cluster import Progress

OURS = {"Python": "3.11", "torch": "2.11.0", "snslib/study/rows": "1234"}


def about(process: int | None = None) -> dict[str, str]:
    """What there is; of all processes but the one that is given, with another PyTorch."""
    return OURS if process in (None, os.getpid()) else OURS | {"torch": "2.6.0"}


def its_process(folder: str, name: str, progress: Progress) -> int:
    """The process of a task, which leaves a line there when it begins; what is slow ends when it is begun again."""
    path = Path(folder) / name
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    began = time.monotonic()
    while name == "slow" and len(path.read_text().split()) < 2 and time.monotonic() < began + 60:
        progress("is slow")
        time.sleep(0.2)
    if name == "fails":
        raise ValueError("lam: it fails")
    if name == "dies":
        os.kill(os.getpid(), 9)
    time.sleep(0.5)
    return os.getpid()

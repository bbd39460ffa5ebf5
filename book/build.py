"""Run the notebooks and make the pages of the book: what make book does.

    python book/build.py [NAME=VALUE ...]

The variables are those of execute.py. Of several builds in one checkout each waits for the one before.
"""

import contextlib
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import execute

PAGES = execute.ROOT / "book" / "_build" / "html"


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock, and hold it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build of the book is at work here; this one waits for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    with alone(execute.ROOT / ".cache" / "book.lock"):
        execute.main()
        program = str(Path(sys.executable).with_name("jupyter-book"))
        build = [program, "build", "book/", "--config", "_config.yml", "--path-output", "book"]
        done = subprocess.run([*build, "-W", "--keep-going", "-n", "--all"], cwd=execute.ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"\nThe book is at {(PAGES / 'index.html').as_uri()}")
    print(f"or, after {sys.executable} -m http.server --directory {PAGES}, at http://localhost:8000")


if __name__ == "__main__":
    main()

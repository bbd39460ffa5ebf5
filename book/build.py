"""Run the notebooks and make the pages of the book and the slides: what make book does.

    python book/build.py [NAME=VALUE ...]

The variables are those of execute.py. Of several builds in one checkout each waits for the one before.
"""

import signal
import subprocess
import sys
from pathlib import Path

import execute

PAGES = execute.ROOT / "book" / "_build" / "html"


def main() -> None:
    with execute.alone(execute.LOCK, "build of the book"):
        execute.make_notebooks()
        make_pages()
        make_slides()
    print(f"\nThe book is at {(PAGES / 'index.html').as_uri()}")
    print(f"or, after {sys.executable} -m http.server --directory {PAGES}, at http://localhost:8000")


def make_pages() -> None:
    """The pages of the notebooks that were executed; the program ends with jupyter-book's status where that fails."""
    program = str(Path(sys.executable).with_name("jupyter-book"))
    build = [program, "build", "book/", "--config", "_config.yml", "--path-output", "book"]
    with execute.ending_in_words(lambda: "The notebooks are finished, the pages are not."):
        # Ctrl-C is for this process alone: the other would add a traceback to the line about it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pages = subprocess.Popen([*build, "-W", "--keep-going", "-n", "--all"], cwd=execute.ROOT)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            status = pages.wait()
        finally:
            pages.terminate()
    if status:
        sys.exit(status)


def make_slides() -> None:
    """The slides that the page for teachers links to; the student edition has neither."""
    if (PAGES / "teaching.html").exists():
        import slides  # takes seconds to import

        slides.make(execute.ROOT, PAGES)


if __name__ == "__main__":
    execute.program(main)

"""What ends the scripts of the book from outside is told in one line: Ctrl-C, a full disk, a process that dies."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import interrupted, make_project, start, write_notebook

pytestmark = pytest.mark.slow

BOOK = Path(__file__).parents[2] / "book"
WAITS = ["print('it waits')", "import time; time.sleep(60)"]

# A sweep of a project whose accuracies nobody has to train for.
SWEEP = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(BOOK)!r})
import os, sweep
sweep.ROOT, jobs = Path(sys.argv.pop(1)), int(sys.argv.pop(1))
os.cpu_count = lambda: 2 * jobs
sweep.accuracies = lambda points: [dict.fromkeys(sweep.COLUMNS, 0.5) for _ in points]
sweep.main()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_project(tmp_path / "root", n01_x=["print('one')"], n02_y=WAITS)
    for name in ("execute.py", "build.py"):
        shutil.copy(BOOK / name, root / "book")
    return root


def one_line(said: str, begins: str) -> str:
    """The last line, which begins so; there is no traceback above it."""
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith(begins), said
    assert sum(line.startswith(begins) for line in said.splitlines()) == 1
    return last


@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["from a terminal", "to the program alone"])
def test_ctrl_c_says_what_is_finished_and_what_goes_on(root: Path, send: Callable[[int, int], None]) -> None:
    status, said = interrupted([root / "book" / "execute.py", "SEED=3"], "it waits", send)
    assert status == 130
    line = one_line(said, "Interrupted.")
    assert "1 of 2 notebooks are finished" in line
    assert line.endswith(f"goes on from there: {sys.executable} {root}/book/execute.py SEED=3")
    executed = root / "book" / "executed"
    assert {path.name for path in executed.iterdir()} == {"01_x.ipynb", "01_x.run.json", "02_y.partial.ipynb"}
    write_notebook(root / "notebooks" / "02_y.ipynb", "print('it is quick now')")
    said, _ = start([root / "book" / "execute.py", "SEED=3"]).communicate()
    assert "[1/2] 01_x: unchanged" in said
    assert "[2/2] 02_y: done" in said


def test_ctrl_c_while_another_build_is_waited_for(root: Path) -> None:
    first = start([root / "book" / "execute.py"])
    assert first.stdout is not None
    while "it waits" not in first.stdout.readline():
        pass
    status, said = interrupted([root / "book" / "build.py"], "waits for it")
    assert status == 130
    one_line(said, "Interrupted.")
    first.kill()
    first.communicate()


PAGES = """
import subprocess, sys
sys.path.insert(0, sys.argv.pop(1))
import build, execute

class Popen(subprocess.Popen):
    def __init__(self, command, **options):
        is_book = command[0].endswith("jupyter-book")
        pages = [sys.executable, "-c", "print('pages begin', flush=True); import time; time.sleep(60)"]
        super().__init__(pages if is_book else command, **options)

subprocess.Popen = Popen
execute.program(build.main)
"""


def test_ctrl_c_while_pages_are_made(root: Path) -> None:
    """Another program makes them here, which would have a word to say on Ctrl-C."""
    write_notebook(root / "notebooks" / "02_y.ipynb", "print('quick')")
    (root / "build_it.py").write_text(PAGES)
    status, said = interrupted([root / "build_it.py", root / "book"], "pages begin")
    assert status == 130
    assert "The notebooks are finished, the pages are not." in one_line(said, "Interrupted.")


def test_a_full_disk_is_told_and_what_is_finished_counts(root: Path) -> None:
    write_notebook(root / "notebooks" / "02_y.ipynb", "print('quick')")
    executed = root / "book" / "executed"
    executed.mkdir()
    (executed / "02_y.partial.ipynb").symlink_to("/dev/full")  # where nothing can be written
    process = start([root / "book" / "execute.py"])
    said, _ = process.communicate()
    assert process.returncode == 1
    line = one_line(said, "error:")
    assert "No space left on device" in line
    assert "1 of 2 notebooks are finished" in line
    assert not (executed / "02_y.ipynb").exists()
    (executed / "02_y.partial.ipynb").unlink()
    said, _ = start([root / "book" / "execute.py"]).communicate()
    assert "[1/2] 01_x: unchanged" in said
    assert "[2/2] 02_y: done" in said


def sweep(root: Path, jobs: int) -> list[str]:
    """The arguments of Python for a sweep of a notebook over three seeds."""
    script = root / "sweep_it.py"
    script.write_text(SWEEP)
    return [str(script), str(root), str(jobs), "02_y", "seed=0,1,2", "device=cpu"]


def write_swept(root: Path, *sources: str) -> None:
    """A notebook of the parameters of a sweep; each run of it adds its seed to a file."""
    ran = f"print(seed, file=open({str(root / 'ran')!r}, 'a'))"
    write_notebook(root / "notebooks" / "02_y.ipynb", *sources, ran)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_in_a_sweep(root: Path, jobs: int) -> None:
    write_swept(root, "if seed: import time; time.sleep(60)")
    status, said = interrupted(sweep(root, jobs), "seed=1: running")
    assert status == 130
    line = one_line(said, "Interrupted.")
    assert "1 of 3 runs are finished" in line
    assert line.endswith("02_y seed=0,1,2 device=cpu")
    assert not [*(root / "sweeps" / "02_y").glob("*.csv")]


def test_a_process_that_dies_in_a_sweep(root: Path) -> None:
    write_swept(root, "if seed == 2: import os; os.kill(os.getpid(), 9)")
    process = start(sweep(root, 2))
    said, _ = process.communicate()
    assert process.returncode == 1
    line = one_line(said, "error:")
    assert "died in cell 4 of 5" in line
    assert "of 3 runs are finished" in line


def test_a_full_disk_in_a_sweep(root: Path) -> None:
    write_swept(root)
    partial = root / "sweeps" / "02_y" / "device-cpu_seed-1.partial.ipynb"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    process = start(sweep(root, 1))
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "No space left on device. 1 of 3 runs are finished" in one_line(said, "error:")


def test_two_sweeps_at_once_run_every_point_once(root: Path) -> None:
    write_swept(root, "import time; time.sleep(1)")
    both = [start(sweep(root, 1)) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("Another sweep of 02_y is at work here; this one waits for it." in one for one in said) == 1
    assert (root / "ran").read_text().split() == ["0", "1", "2"]
    assert sum(one.count("is there already") for one in said) == 3
    (table,) = (root / "sweeps" / "02_y").glob("*.csv")
    assert len(table.read_text().splitlines()) == 4
    assert {path.name.partition(".")[2] for path in table.parent.glob("device*")} == {"ipynb", "run.json"}

"""papermill in a terminal shows the progress of a chapter, without an option, and once."""

import os
import pty
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from snslib.book import terminal

ROOT = Path(__file__).parents[2]
SOURCE = "from snslib.book import terminal\n\nterminal.show('epoch 1/2: loss 0.5; about 3 s left')"


def in_a_terminal(command: list[str]) -> str:
    """What a command writes that has a terminal of its own."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(command[0], command)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the way in which Linux says that it has ended
            part = b""
        if not part:
            break
        shown += part
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0, shown.decode()
    return shown.decode()


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--log-output"]], ids=["as it comes", "with --log-output"])
def test_a_line_is_seen_once_while_papermill_runs(options: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(SOURCE)]), source)
    papermill = [str(Path(sys.executable).with_name("papermill")), str(source), str(target), "-k", "python3"]
    shown = in_a_terminal([*papermill, "--language", "python", *options])
    assert shown.count("epoch 1/2: loss 0.5; about 3 s left") == 1
    (output,) = nbformat.read(target, as_version=4).cells[0].outputs
    assert output.text == "epoch 1/2: loss 0.5; about 3 s left\n"


def test_under_another_program_a_line_is_printed_and_no_more(capfd: pytest.CaptureFixture[str]) -> None:
    terminal.show("epoch 1/2")
    assert capfd.readouterr() == ("epoch 1/2\n", "")

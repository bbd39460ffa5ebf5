"""What the pages about teaching and about paper scale name is there: exercises, sections, commands, epochs, code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chapters import NOTEBOOKS, exercises

from snslib.study import reproduce, settings
from snslib.study.rows import rows_for

ROOT = Path(__file__).parents[2]
TEACHING, PAPER_SCALE = ((ROOT / "book" / f"{name}.md").read_text() for name in ("teaching", "paper_scale"))


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)


def headings(chapter: str) -> set[str]:
    cells = json.loads((ROOT / "notebooks" / chapter).read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return set(re.findall(r"^#+ (.+)$", text, re.M))


def test_exercises_have_the_titles_and_minutes_that_the_plans_give_them() -> None:
    there = {e.number: (e.title.replace("$", ""), e.minutes) for path in NOTEBOOKS for e in exercises(path)}
    named = re.findall(r"(\d\.\d) \*(.+?)\*\s\((\d+)\sminutes\)", TEACHING)
    assert len(named) > 30
    for number, title, minutes in named:
        assert (" ".join(title.replace("$", "").split()), minutes) == there[number]


def test_the_sections_that_are_to_be_read_exist() -> None:
    named = re.findall(r"\[\]\(executed/(\w+\.ipynb)\): (\*.+?\*)(?: \||;)", TEACHING)
    assert len(named) > 15
    for chapter, sections in named:
        assert set(re.findall(r"\*(.+?)\*", sections)) <= headings(chapter), chapter


def test_sessions_have_ninety_minutes() -> None:
    tables = [table for table in TEACHING.split("\n\n") if table.startswith("| minutes |")]
    assert len(tables) == 1 + 2 + 4
    for table in tables:
        assert sum(map(int, re.findall(r"^\| (\d+) \|", table, re.M))) == 90
        assert re.findall(r"^\| (\d+) \| set up, questions \|", table, re.M) == ["10"]
        for minutes, exercise in re.findall(r"^\| (\d+) \| exercise .*\((\d+) minutes\)", table, re.M):
            assert minutes == exercise


def test_the_code_of_the_pages_runs(capsys: pytest.CaptureFixture[str]) -> None:
    seconds, check, cluster = python_of(PAPER_SCALE)
    exec(seconds, {})
    assert re.search(r"^vanilla: 20 epochs, \d+ minutes$", capsys.readouterr().out, re.M)
    compile(check, "check", "exec")  # it needs CIFAR-10
    compile(cluster, "cluster", "exec")  # it needs Slurm


def test_the_commands_have_known_settings_and_rows() -> None:
    commands = re.findall(r"^make reproduce (.+)$", PAPER_SCALE.replace("\\\n", ""), re.M)
    assert len(commands) == 15
    for command in commands:
        given: dict[str, Any] = dict(part.lower().split("=") for part in command.split())
        float(given.pop("hours", "1"))
        int(given.pop("jobs", "1"))
        given.pop("scheduler", "")
        rows = given.pop("rows", "vanilla").split(",")
        assert set(rows) <= set(rows_for(settings.from_parameters(given).model))


def test_the_numbers_of_the_recorded_profile() -> None:
    small, full = (settings.PROFILES[name] for name in ("cifar10-small", "cifar10"))
    assert (small.vanilla_epochs, small.pat_epochs, small.epochs, small.source_epochs) == (20, 8, 4, 5)
    assert (small.vanilla_lr, small.pat_lr, small.lr, small.batch_size) == (0.1, 0.1, 0.01, 128)
    assert (small.width, small.precision, small.seed, small.validation) == (0.25, "bfloat16", 0, 1000)
    assert (full.vanilla_epochs, full.pat_epochs, full.epochs, full.lr) == (10, 11, 4, 0.01)
    assert (full.width, full.precision, (50_000 - full.validation) // full.batch_size) == (1, "bfloat16", 382)
    resnet = settings.PROFILES["cifar10-resnet18-small"]
    assert (resnet.vanilla_epochs, resnet.pat_epochs, resnet.n_test, resnet.precision) == (10, 4, 5000, "float32")
    assert (reproduce.N_ROBUSTNESS, reproduce.N_FIG_3B) == (1000, 2000)

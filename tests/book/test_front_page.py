"""Pages refer to numbers that the chapter on results provides, and these are the records' numbers."""

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from snslib.book import front_page
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.settings import PROFILES
from snslib.training import pretrained

BOOK = Path(__file__).parents[2] / "book"
FOLDER, NARROW = "data/net-w1", "data/net-w0.25"
RESULT = {"clean": 0.9, "step_ll": 0.5, "mi_fgsm": 0.4, "pgd": 0.125, "fgsm": 0.3}


@pytest.fixture
def figure() -> Figure:
    figure, _ = plt.subplots()
    plt.close(figure)
    return figure


def values(figure: Figure) -> dict[str, Any]:
    data = {"name": "digits", "origin": "scikit-learn"}
    records = {name: Record("accuracy", RESULT, {"n": 360}, defense=name, data=data) for name in LABELS}
    strong = {name: Record("strong-accuracy", 0.0625, {"n": 360, "steps": 50, "restarts": 1}) for name in LABELS}
    return front_page.values(PROFILES["digits"], records, strong, FOLDER, NARROW, figure)


def test_every_name_that_a_page_uses_is_there_and_no_other(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    pages = "".join(path.read_text() for path in BOOK.glob("*.md"))
    used = set(re.findall(r"executed/06_results\.ipynb::(\w+)", pages))
    used |= set(re.findall(r"```\{glue\} (\w+)\n:doc: executed/06_results\.ipynb", pages))
    assert used == set(values(figure))


def test_live_accuracies_and_the_papers_are_in_percent(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    found = values(figure)
    assert (found["n_test"], found["strong_name"]) == (360, "PGD-50")
    assert (found["pat_clean"], found["pat_pgd"], found["pat_strong"]) == (90.0, 12.5, 6.25)
    assert (found["paper_pat_clean"], found["paper_pat_pgd"]) == (85.16, 46.04)
    assert "run live." in found["this_build"].data
    assert found["against_paper"].data.startswith('<div class="figure-scroll"><img alt="One line per network')
    assert found["recorded_pat_pgd"] == "not run"


def test_recorded_accuracies_are_texts(figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    neurons = {"sigma": {"conv8": [1.0, 2.0]}, "activation": {"conv8": [1.0, 2.0]}}
    for row in ("vanilla", "sns_sen_adv"):
        trained = {"sns": {"layers": ["conv8"]}} if row == "sns_sen_adv" else {}
        for what, result, config in (
            ("accuracy", RESULT, {"n": 1000}),
            ("accuracy-on-fixed", 0.5, {"n": 1000}),
            ("strong-accuracy", 0.0625, {"n": 1000, "steps": 100, "restarts": 5}),
            ("sensitivity", neurons, {"split": "test", "under": "pgd", "trained": trained}),
            ("sensitivity", neurons, {"split": "train", "under": "pgd", "trained": trained}),
        ):
            results.publish_record(tmp_path / FOLDER / f"{row}.json", row, Record(what, result, config))
    found = values(figure)
    assert [found[f"recorded_sns_sen_adv_{column}"] for column in ("clean", "pgd", "strong")] == [
        "90.0%",
        "12.5%",
        "6.2%",
    ]
    assert found["recorded_pat_clean"] == "not run"

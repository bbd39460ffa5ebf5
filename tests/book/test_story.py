"""The front page's story has its pictures and verdicts where the rows are recorded, and says so where they are not."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from snslib.book import story
from snslib.claims import claims
from snslib.training import pretrained

BOOK = Path(__file__).parents[2] / "book"
FOLDER = "cifar10/vgg16-w0.25"


def test_every_picture_and_verdict_of_the_front_page_is_made_and_no_other() -> None:
    page = (BOOK / "intro.md").read_text()
    used = set(re.findall(r"```\{glue\} (\w+)\n:doc: executed/scorecard\.ipynb", page))
    used |= set(re.findall(r"executed/scorecard\.ipynb::(verdict_\w+)", page))
    made = story.recorded(FOLDER, claims.scorecard(FOLDER))
    assert used == set(made)
    assert all(
        made[name].data.startswith('<div class="figure-scroll"><img alt=') for name in made if name.startswith("story_")
    )


def test_verdicts_are_those_of_the_scorecard() -> None:
    card = claims.scorecard(FOLDER)
    made = story.recorded(FOLDER, card)
    decided = {claim.number: (claim, outcome) for claim, outcome in card}
    for picture, number, place in (("suppression", 5, "Fig. 3a"), ("stabilised", 14, "Fig. 8")):
        claim, outcome = decided[number]
        assert (claim.place, outcome.verdict) == (place, made[f"verdict_{picture}"])


def test_what_is_not_recorded_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    made = story.recorded(FOLDER, claims.scorecard(FOLDER))
    assert {name: made[name].data for name in made if name.startswith("story_")} == dict.fromkeys(
        ("story_neurons", "story_suppression", "story_stabilised", "story_networks"), "<em>Not run yet.</em>"
    )
    assert {made["verdict_suppression"], made["verdict_stabilised"]} == {"not run"}


def test_the_attacked_image_is_the_figure_that_was_drawn() -> None:
    figure, _ = plt.subplots()
    plt.close(figure)
    assert story.attacked(figure).data.startswith('<div class="figure-scroll"><img alt="A test image')

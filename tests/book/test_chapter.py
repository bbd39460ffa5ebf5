"""The first cell of a chapter takes its parameters, refuses what it does not know, and may run again."""

import json
from typing import Any

import pytest

from snslib.book import chapter

IPYTHON: dict[str, Any] = {"__name__": "x", "_i": "history", "In": [""], "get_ipython": print, "json": json}


def test_parameters_become_the_settings_of_the_networks() -> None:
    namespace = IPYTHON | {"lam": "2", "eps": "8/255", "seed": None, "defense": "sns_sen_cls"}
    settings = chapter.begin(namespace).settings
    assert (settings.lam, settings.eps, settings.seed) == (2.0, 8 / 255, 0)
    assert namespace["defense"] == "sns_sen_cls"


def test_without_its_parameters_a_chapter_has_the_defaults() -> None:
    namespace = dict(IPYTHON)
    assert chapter.begin(namespace).settings.profile == "digits"
    assert chapter.DEFAULTS.items() <= namespace.items()


def test_a_misspelt_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^unknown parameter lamda; this notebook takes lam, seed$"):
        chapter.begin(IPYTHON | {"lam": 2.0, "seed": None, "lamda": 3.0})


def test_when_the_cell_runs_again_what_the_chapter_computed_is_no_parameter() -> None:
    namespace = IPYTHON | {"seed": 1}
    chapter.begin(namespace)
    namespace |= {"rows": [1, 2], "seed": 2}
    assert chapter.begin(namespace).settings.seed == 2


@pytest.mark.parametrize(("name", "value"), [("defense", "pat"), ("recorded", "cifar100/vgg16-w1")])
def test_a_bad_choice_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected one of .*, got '{value}'$"):
        chapter.begin(IPYTHON | {name: value})


def test_pages_of_records_and_the_chapter_about_any_model_take_their_own() -> None:
    chapter.begin_records(IPYTHON | {"record": "all"}, record=("all", "cpu"))
    with pytest.raises(ValueError, match=r"^record: expected one of all, cpu, got .gpu.$"):
        chapter.begin_records(IPYTHON | {"record": "gpu"}, record=("all", "cpu"))
    assert chapter.begin_profile(IPYTHON | {"network": None, "eps": "8/255"}) == {"eps": 8 / 255}
    with pytest.raises(ValueError, match="unknown parameter model; this notebook takes eps"):
        chapter.begin_profile(IPYTHON | {"model": None, "eps": 0.1})
    with pytest.raises(ValueError, match="network, data: one needs the other"):
        chapter.begin_profile(IPYTHON | {"network": "torchvision:resnet50", "data": None})

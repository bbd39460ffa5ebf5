"""A report has the same elements whatever a model, its layers and its files are called, and CSV without formulas."""

import csv
import io

import pytest
import torch
from hostile import HARMLESS, NAMES, Page

from snslib.profile.layers import Layer
from snslib.profile.report import Profile, report_files


def files(name: str) -> dict[str, str]:
    """The report on a model that has this name wherever it has one."""
    values, masks = torch.tensor([1.0, 3.0, 0.5]), torch.ones(4, 4, 4, dtype=torch.bool)
    x = torch.rand(4, 3, 4, 4)
    return report_files(
        Profile(
            title=name,
            layers={name: Layer(name, (3, 4, 4), 1)},
            sigma={name: values},
            activation={name: values},
            omega={name: torch.tensor([1])},
            clean=0.5,
            attacked=0.25,
            masked_layer=name,
            masks={"most sensitive": {"1": (x, x, masks, masks)}},
            about={"eps": 8 / 255, "n": 10, "steps": 10, "image_size": 4, "labels": "folders", "seconds": 3.0}
            | {"mean": None, "std": None, "data": name, "weights": name, "device": name, "commit": name, "date": name}
            | {"versions": {"torch": name}},
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_no_other_elements_and_attributes(name: str) -> None:
    page, wanted = Page(files(name)["report.html"]), Page(files(HARMLESS)["report.html"])
    assert page.elements == wanted.elements
    assert page.text.count(name) >= wanted.text.count(HARMLESS)


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_have_names_as_they_are_but_for_formulas(name: str) -> None:
    written = files(name)
    for table in ("layers.csv", "sensitivity.csv"):
        _, *rows = csv.reader(io.StringIO(written[table], newline=""))
        layers = {row[0] for row in rows}
        assert layers == {f"'{name}" if name.startswith(("=", "-")) else name}
        assert len(rows) == (1 if table == "layers.csv" else 3)


def test_a_path_that_is_no_utf_8_is_written_with_its_bytes() -> None:
    assert "photos\\udcff" in files("photos\udcff")["report.html"].encode().decode()

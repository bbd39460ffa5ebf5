"""The notebooks' sources, and the exercises in them."""

import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TITLE = re.compile(r"### Exercise (\d\.\d) \((\d+) minutes(.*?)\): (.+)\n")


class Exercise(NamedTuple):
    """An exercise: what its title says, and its cells, the title's first."""

    number: str
    minutes: str
    kind: str  # ", open" or ", pen and paper", or nothing
    title: str
    cells: list[NotebookNode]

    def tagged(self, tag: str) -> list[str]:
        """The sources of its cells with a tag: "exercise", "hint" or "solution"."""
        return [cell.source for cell in self.cells if tag in cell.metadata.get("tags", [])]


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def exercises(path: Path) -> list[Exercise]:
    """The exercises of a notebook in their order."""
    found: list[Exercise] = []
    for cell in read(path).cells:
        if title := TITLE.match(cell.source):
            found.append(Exercise(*title.groups(), [cell]))
        elif found and (cell.cell_type == "markdown" or "exercise" in cell.metadata.get("tags", [])):
            found[-1].cells.append(cell)
    return found


def myst(text: str) -> list[str]:
    """What only MyST knows in a text, code and formulas aside: roles, directives, targets, links to files."""
    labelled = re.findall(r"^\$\$ \(.*", text, re.M)
    directives = re.findall(r"^ *(?:```|~~~)\{.*", text, re.M)
    prose = re.sub(r"^ *```.*?^ *```$|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.M | re.S)
    others = re.findall(r"\{[a-z][\w:-]*\}|:::|^\([\w-]+\)=|\]\((?!https?://).*?\)", prose, re.M)
    return [*labelled, *directives, *others]

"""The plans of `book/teaching.md`, as slides and tests read them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

PLAN = re.compile(r"^### (\w+) sessions?: (.+)$", re.M)
OWN_TITLE = re.compile(r"\*\*(\w+ session): (.+?)\.\*\*", re.S)  # before a plan's table, where it has several
AIM = re.compile(r"^(?:\*\*.+?\*\* )?(Afterwards students can\b.+?)(?=\n\n|\Z)", re.M | re.S)
HEAD = "| minutes |"  # of a table that is a session
ROW = re.compile(r"^\| (\d+|home) \| (.+?) \| (.+) \|$", re.M)


class Row(NamedTuple):
    """A row of a plan: minutes, or "home", what is done, and with what."""

    minutes: str
    what: str
    where: str


class Session(NamedTuple):
    """A session of a plan: the name of its slides, its title and its plan's, what its students learn, and its rows."""

    name: str
    title: str
    plan: str
    aim: str
    rows: list[Row]


def sessions(page: str) -> Iterator[Session]:
    """The sessions of all plans of the page, such as "one", "two-1" and "two-2"."""
    plans = PLAN.split(page)[1:]
    for count, title, text in zip(plans[::3], plans[1::3], plans[2::3], strict=True):
        blocks = re.split(r"^##", text, maxsplit=1, flags=re.M)[0].split("\n\n")
        tables = [place for place, block in enumerate(blocks) if block.lstrip().startswith(HEAD)]
        several = len(tables) > 1
        plan = f"{count} session{'s' if several else ''}: {title}"
        for number, place in enumerate(tables, start=1):
            own = OWN_TITLE.search(blocks[place - 1])
            aim = AIM.search(blocks[place - 1]) or AIM.search(text)
            yield Session(
                f"{count.lower()}-{number}" if several else count.lower(),
                f"{own[1]}: {own[2]}" if own else plan,
                plan if own else "",
                aim[1] if aim else "",
                [Row(*row) for row in ROW.findall(blocks[place])],
            )

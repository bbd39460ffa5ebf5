"""A numbered Markdown table."""

from collections.abc import Sequence

from IPython.display import Markdown


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, name: str, align: str | None = None
) -> Markdown:
    """A numbered table that the text can refer to.

    Args:
        header: titles of the columns.
        rows: cells as Markdown.
        caption: a sentence or two.
        name: the label to refer to it by, such as "tbl-accuracy".
        align: a letter l, c or r per column; by default the first column left and the others right.
    """
    signs = {"l": ":--", "c": ":-:", "r": "--:"}
    align = align or "l" + "r" * (len(header) - 1)
    lines = [header, [signs[letter] for letter in align], *rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return Markdown(f"~~~{{table}} {caption}\n:name: {name}\n\n{body}\n~~~")  # tildes: a caption may hold `code`

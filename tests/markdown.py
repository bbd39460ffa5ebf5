"""Reading the tables that the book shows."""

from IPython.display import Markdown


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.split("|")[1:-1]]


def table_rows(table: Markdown) -> list[list[str]]:
    """Header and rows of a numbered table."""
    header, _, *below = (cells(line) for line in table.data.splitlines() if line.startswith("|"))
    assert {len(row) for row in below} <= {len(header)}
    return [header, *below]

"""What of a hand-in is run: the functions that are asked for, and what they need, wherever it stands.

A chapter trains networks and draws figures, cells of nbgrader and Otter ask for packages that are not here, and a cell
of notes may stop half-way. So a notebook or script is not run from end to end. Of its statements at top level those are
taken that define a function by a name that is asked for, those that bind a name which these use, and so on, in the
order of the file. Whatever nbgrader, Otter or an editor wrote into the metadata of a cell plays no part in it.
"""

import ast
import dis
import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from types import CodeType
from typing import NamedTuple

LARGEST = 20 * 2**20  # bytes of a file that is read
_READS, _BINDS = {"LOAD_NAME", "LOAD_GLOBAL"}, {"STORE_NAME", "STORE_GLOBAL"}


class Cell(NamedTuple):
    """A piece of source: of a notebook a code cell, of a script all of it."""

    where: str  # for people, such as "fgsm.ipynb, code cell 3"
    source: str


class Statement(NamedTuple):
    """A statement at top level, the names that it reads and binds, and the functions that it defines."""

    where: str
    code: CodeType
    reads: set[str]
    binds: set[str]
    defines: set[str]
    always: bool  # to be run: it binds names that nobody can tell, or changes how the rest is read


def cells(path: Path) -> list[Cell]:
    """The code of a notebook (.ipynb, of any version) or of a script (.py); ValueError where it cannot be read."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST // 2**20} MiB")
    if path.suffix != ".ipynb":
        return [Cell(path.name, path.read_bytes().decode("utf-8-sig"))]
    import nbformat  # which only a notebook needs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cells without an id, in notebooks of editors that are older
        try:
            notebook = nbformat.read(path, as_version=4)
            code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        except Exception as error:  # nbformat's, jsonschema's, and those of what is no notebook at all
            raise ValueError(f"{path.name} cannot be read as a notebook ({type(error).__name__})") from error
    return [Cell(f"{path.name}, code cell {number}", source) for number, source in enumerate(code, start=1)]


def statements(cell: Cell) -> Iterator[Statement]:
    """Those of a cell in their order; SyntaxError or ValueError where it is no Python."""
    tree = _parsed(cell)
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    for node in tree.body:
        body: list[ast.stmt] = [*future, node] if node not in future else [node]
        code = compile(ast.Module(body, []), cell.where, "exec", dont_inherit=True)
        imports_all = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        reads, binds = _names(code, _READS, deep=True), _names(code, _BINDS, deep=False)
        yield Statement(cell.where, code, reads, binds, set(_defined(node)), imports_all)


def needed(found: list[Statement], functions: Collection[str]) -> list[Statement]:
    """The statements that define functions of these names, and all that they need; in their order."""
    kept = {i for i, one in enumerate(found) if one.always or one.defines & set(functions)}
    while True:
        names = set().union(*(found[i].reads for i in kept)) - set(functions)
        more = {i for i, one in enumerate(found) if one.binds & names} - kept
        if not more:
            return [found[i] for i in sorted(kept)]
        kept |= more


def _parsed(cell: Cell) -> ast.Module:
    """As Python, or else as Python with lines for Jupyter and its shell in between."""
    try:
        return ast.parse(cell.source, cell.where)
    except SyntaxError:
        if re.match(r"\s*%%(?!time|capture)", cell.source):  # of another language
            return ast.Module([], [])
        plain = re.sub(r"^(\s*)(?:[%!].*|.*\S\?{1,2}\s*)$", r"\1pass", cell.source, flags=re.M)
        with_values = re.sub(r"^(\s*\w+\s*=\s*)[%!].*$", r"\1None", plain, flags=re.M)
        return ast.parse(with_values, cell.where)


def _defined(node: ast.stmt) -> Iterator[str]:
    """Names of functions that a statement defines, inside of if, try or with too, but not of other functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif not isinstance(node, ast.ClassDef):
        for below in ast.iter_child_nodes(node):
            if isinstance(below, ast.stmt):
                yield from _defined(below)


def _names(code: CodeType, operations: set[str], deep: bool) -> set[str]:
    """Names in certain operations of a code, ``deep`` also in those of functions and classes in it."""
    names = {of.argval for of in dis.get_instructions(code) if of.opname in operations}
    if deep:
        names |= set().union(*(_names(one, operations, deep) for one in code.co_consts if isinstance(one, CodeType)))
    return names

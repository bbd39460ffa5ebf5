"""How many wrong solutions the checks of the exercises let pass: small changes of the right ones, tried one by one.

    python tools/mutants.py [NUMBER ...] [--survivors]

Takes the solutions of the chapters' exercises, of all or of those with a number such as 1.4, and changes one thing at a
time: an operator, a constant, a variable, a method's name, an argument or a statement that goes. Prints a table with
the share of these mutants that a check takes for right, with --survivors also which they are. A survivor is either
equivalent to the solution, as far as the exercise asks, or a hole in the check.
"""

import argparse
import ast
import copy
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from snslib.exercises import ExerciseError

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
MODULES = {"torch", "F", "nn", "sns"}  # their functions are no methods of a value
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr}
OPERATORS |= {ast.BitOr: ast.BitAnd}
COMPARISONS = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.GtE: ast.LtE, ast.LtE: ast.GtE}
NAMES = {"sum": "mean", "mean": "sum", "argmin": "argmax", "argmax": "argmin", "all": "any", "any": "all"}
NAMES |= {"min": "max", "max": "min", "amax": "amin", "amin": "amax", "indices": "values", "abs": "square"}
NAMES |= {"sign": "abs", "combinations": "permutations"}


class Solution(NamedTuple):
    """An exercise's solution: its number, the code around the function, and the function."""

    number: str
    around: list[ast.stmt]
    function: ast.FunctionDef
    check: str  # the name of the check that it is given to


class Survivor(NamedTuple):
    """A mutant that passed: what became of what, or how it broke the check."""

    line: int
    change: str


def solutions() -> Iterator[Solution]:
    """Those of the chapters that a check is called with."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        number = ""
        for cell in json.loads(path.read_text())["cells"]:
            source = "".join(cell["source"])
            if title := re.match(r"### Exercise (\d\.\d)", source):
                number = title[1]
            if "solution" in cell["metadata"].get("tags", []):
                for code in re.findall(r"^```python\n(.*?)\n```$", source, re.M | re.S):
                    if call := re.search(r"^(check_\w+)\((\w+)\)$", code, re.M):
                        body = ast.parse(code).body
                        functions = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == call[2]]
                        around: list[ast.stmt] = [s for s in body if isinstance(s, ast.Import | ast.ImportFrom)]
                        yield Solution(number, around, functions[0], call[1])


def mutants(function: ast.FunctionDef) -> Iterator[tuple[Survivor, ast.FunctionDef]]:
    """Every function that differs in one place, and what that is."""
    names = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    names |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for place, node in enumerate(ast.walk(function)):
        for other in _instead_of(node, names):
            mutant = copy.deepcopy(function)
            target = list(ast.walk(mutant))[place]
            mutant = _Put(target, other).visit(mutant)
            after = "; ".join(map(ast.unparse, other)) if isinstance(other, list) else ast.unparse(other)
            change = f"{ast.unparse(node)} → {after or 'nothing'}".replace("\n", " ")
            yield Survivor(getattr(node, "lineno", 0), change), ast.fix_missing_locations(mutant)


class _Put(ast.NodeTransformer):
    """Puts something else in a node's place."""

    def __init__(self, target: ast.AST, other: ast.AST | list[ast.stmt]) -> None:
        self.target, self.other = target, other

    def visit(self, node: ast.AST) -> Any:
        return copy.deepcopy(self.other) if node is self.target else self.generic_visit(node)


def _instead_of(node: ast.AST, names: set[str]) -> Iterator[Any]:
    """What may stand in place of a node, a mistake for each."""
    match node:
        case ast.BinOp(left, op, right):
            if other := OPERATORS.get(type(op)):
                yield ast.BinOp(left, other(), right)
            yield from (left, right)
        case ast.AugAssign(target, op, value) if other := OPERATORS.get(type(op)):
            yield ast.AugAssign(target, other(), value)
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Compare(left, [op], [right]):
            yield ast.Compare(left, [COMPARISONS[type(op)]()], [right])
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield from (ast.Constant(other) for other in sorted({value + 1, value - 1, 2 * value} - {value}))
        case ast.Name(name, ast.Load()) if name in names:
            yield from (ast.Name(other, ast.Load()) for other in sorted(names - {name}))
        case ast.Attribute(value, name, ast.Load()) if name in NAMES:
            yield ast.Attribute(value, NAMES[name], ast.Load())
        case ast.Slice(lower, upper, None) if lower or upper:
            yield ast.Slice()
        case ast.ListComp():
            yield ast.Subscript(node, ast.Slice(ast.Constant(1)), ast.Load())
    match node:
        case ast.Name(name, ast.Load()) if name in NAMES and name not in names:
            yield ast.Name(NAMES[name], ast.Load())
        case ast.Call(function, arguments, keywords):
            match function:
                case ast.Attribute(value) if not (isinstance(value, ast.Name) and value.id in MODULES):
                    yield value
            yield from (ast.Call(function, arguments, keywords[:i] + keywords[i + 1 :]) for i in range(len(keywords)))
            yield from (ast.Call(function, arguments[:i] + arguments[i + 1 :], keywords) for i in range(len(arguments)))
            if len(arguments) == 2 and ast.unparse(arguments[0]) != ast.unparse(arguments[1]):
                yield ast.Call(function, arguments[::-1], keywords)
        case ast.With(_, body) | ast.Try(body) | ast.For(_, _, body):
            yield body
        case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Return():
            yield ast.Pass()


def verdict(solution: Solution, mutant: ast.FunctionDef) -> str:
    """What the check says of a mutant: "right", "wrong", or the error that is none of the check's own."""
    namespace: dict[str, Any] = {}
    torch.manual_seed(0)
    try:
        exec(compile(ast.Module([*solution.around, mutant], []), f"exercise {solution.number}", "exec"), namespace)
        said = namespace[solution.check](namespace[mutant.name])
    except ExerciseError:
        return "wrong"
    except Exception as error:
        return f"the check itself stopped with {error!r}"
    return "right" if said.startswith("Right") else "wrong"


def tried(solution: Solution) -> tuple[int, list[Survivor]]:
    """How many mutants of a solution were tried, and which its check did not refuse."""
    number, survivors = 0, []
    for survivor, mutant in mutants(solution.function):
        number += 1
        if (said := verdict(solution, mutant)) != "wrong":
            survivors.append(survivor._replace(change=survivor.change + ("" if said == "right" else f": {said}")))
    return number, survivors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("numbers", nargs="*", help="exercises, such as 1.4; all where none is named")
    parser.add_argument("--survivors", action="store_true", help="print which mutants a check lets pass")
    options = parser.parse_args(arguments)
    print("exercise  mutants  survive  share  solution")
    for solution in solutions():
        if options.numbers and solution.number not in options.numbers:
            continue
        number, survivors = tried(solution)
        share = len(survivors) / number
        print(
            f"{solution.number:8}  {number:7}  {len(survivors):7}  {share:5.1%}  {solution.function.name}", flush=True
        )
        if options.survivors:
            print(*(f"    line {survivor.line}: {survivor.change}" for survivor in survivors), sep="\n")


if __name__ == "__main__":
    main()

"""Run every notebook with papermill, each only when something it depends on has changed.

    python book/execute.py [NAME=VALUE ...]

Each `notebooks/NAME.ipynb` becomes `book/executed/NAME.ipynb`, run from the project's root. Beside it, `NAME.run.json`
holds a digest of everything the run depended on; the notebook is run again when that digest changes. A variable goes
to every notebook that declares it in its cell tagged "parameters".
"""

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

ROOT = Path(__file__).resolve().parent.parent


class VariableError(ValueError):
    """A variable that cannot be read, or that no notebook declares."""


class KernelDiedError(RuntimeError):
    """The process in which a notebook ran ended, without an error of Python's."""


def parse_variables(arguments: list[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` arguments: names in lower case, values as Python literals, or else as text (`8/255`, `cpu`).

    Raises VariableError where an argument has another form.
    """
    variables: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name.isidentifier():
            raise VariableError(f"{argument!r}: a variable is given as NAME=VALUE, for example PROFILE=digits")
        try:
            variables[name.lower()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            variables[name.lower()] = value
    return variables


def with_recorded_profile(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables, with a profile that `results/` has rows of in place of the same network at full width.

    MODEL, WIDTH or DATASET ask for something in particular, and leave the profile as it is.
    """
    name = variables.get("profile")
    if not isinstance(name, str) or variables.keys() & {"model", "width", "dataset"}:
        return variables
    from snslib.study import rows  # takes seconds to import

    if (recorded := rows.recorded_profile(name)) != name:
        print(f"no rows of {name} are recorded: the book shows {recorded}. With WIDTH=1 {name} is trained.", flush=True)
    return variables | {"profile": recorded}


def declared_parameters(notebook: NotebookNode) -> set[str]:
    """The names that the notebook's cell tagged "parameters" assigns."""
    source = "\n".join(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def library_files(root: Path) -> Iterator[Path]:
    """Every file of snslib, code and data, and every recorded result, in a fixed order."""
    for folder in ("snslib", "results"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def installed_versions(root: Path) -> dict[str, str]:
    """The installed version of each package that pyproject.toml asks for to build the book, and Python's own."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["book"]]
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in wanted]
    return {"python": ".".join(map(str, sys.version_info[:2]))} | {
        name: importlib.metadata.version(name) for name in names
    }


def run_digest(root: Path, notebook: NotebookNode, parameters: dict[str, Any]) -> str:
    """SHA-256 of what a run depends on: the notebook's cells without outputs, snslib, parameters and versions."""
    cells = [[cell.cell_type, cell.source, cell.metadata] for cell in notebook.cells]
    described = [cells, sorted(parameters.items()), installed_versions(root)]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for path in library_files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


class CellLog(logging.Handler):
    """Shows papermill's log: the number of the cell that runs now, and what it prints as it prints it.

    Left out are papermill's other remarks, and outputs that have no text of their own, such as `<Figure ...>`.
    """

    def __init__(self, cells: int) -> None:
        super().__init__(logging.INFO)
        self.cells = cells
        self.current = 0

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if started := re.match(r"Executing Cell (\d+)", message):
            self.current = int(started[1])
            print(f"    cell {self.current} of {self.cells}", flush=True)
        elif record.funcName == "log_output_message" and not re.fullmatch(r"<.+>", message):
            print(textwrap.indent(message.rstrip(), " " * 8), flush=True)


@contextlib.contextmanager
def shown_log(cells: int) -> Iterator[CellLog]:
    """Send papermill's log to the terminal while a notebook of that many cells runs."""
    logger, handler = logging.getLogger("papermill"), CellLog(cells)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def fold_injected_cell(notebook: NotebookNode) -> None:
    """Fold the cell of parameters that papermill adds, under a title that says what it holds."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")
            cell.metadata.mystnb = {"code_prompt_show": "Parameters of this run"}


def run_notebook(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Run `source` in this directory with this Python's kernel and move the result to `target` once it is whole.

    While it runs, and after a failure, what there is of it lies beside the target as `NAME.partial.ipynb`.
    Raises PapermillExecutionError where a cell raises, KernelDiedError where its process ends.
    """
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")  # a process that crashes says where
    # A kernel of the same name that the user installed elsewhere must not take the place of this environment's own.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)
    partial = target.with_suffix(".partial.ipynb")
    cells = len(nbformat.read(source, as_version=4).cells) + bool(parameters)
    with shown_log(cells) as log:
        try:
            executed = papermill.execute_notebook(
                source,
                partial,
                parameters,
                kernel_name="python3",
                language="python",
                log_output=True,
                progress_bar=False,
                cwd=".",
                extra_arguments=["--log-level=ERROR"],  # the kernel's own log, not that of the cells
            )
        except DeadKernelError as error:
            raise KernelDiedError(f"the process that ran {source} died in cell {log.current} of {cells}") from error
    fold_injected_cell(executed)
    nbformat.write(executed, partial)
    os.replace(partial, target)


def run_all(root: Path, variables: dict[str, Any]) -> None:
    """Bring `book/executed` up to date with `notebooks`.

    Raises VariableError where no notebook declares one of the variables, PapermillExecutionError where a cell raises,
    KernelDiedError where the process of a notebook ends.
    """
    sources = sorted((root / "notebooks").glob("*.ipynb"))
    notebooks = {source: nbformat.read(source, as_version=4) for source in sources}
    declared = {source: declared_parameters(notebook) for source, notebook in notebooks.items()}
    known = sorted(set().union(*declared.values()))
    if unknown := sorted(variables.keys() - set(known)):
        raise VariableError(f"{', '.join(unknown)}: no notebook has such a parameter; there are {', '.join(known)}")

    executed = root / "book" / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    for number, (source, notebook) in enumerate(notebooks.items(), start=1):
        parameters = {name: value for name, value in variables.items() if name in declared[source]}
        target, record = executed / source.name, executed / f"{source.stem}.run.json"
        digest = run_digest(root, notebook, parameters)
        title = f"[{number}/{len(notebooks)}] {source.stem}"
        if target.exists() and record.exists() and json.loads(record.read_text())["digest"] == digest:
            print(f"{title}: unchanged since its last run", flush=True)
            continue
        print(f"{title}: running", *(f"{name}={value}" for name, value in parameters.items()), flush=True)
        started = time.monotonic()
        try:
            with contextlib.chdir(root):
                run_notebook(source.relative_to(root), target.relative_to(root), parameters)
        except PapermillExecutionError as error:
            partial = f"book/executed/{source.stem}.partial.ipynb"
            print(f"{title}: failed in cell {error.cell_index + 1}, see {partial}", flush=True)
            raise
        except KernelDiedError as error:
            raise KernelDiedError(
                f"{error}, without an error of Python's. The system may have ended it for want of memory, or a "
                f"library crashed, and the lines above say where.\n{number - 1} of {len(notebooks)} notebooks are "
                "finished, and the models that were trained are kept: the same command goes on from there. If it dies "
                "in the same place again, a smaller network needs less memory (WIDTH=0.0625 BATCH_SIZE=64)."
            ) from error
        seconds = round(time.monotonic() - started, 1)
        draft = record.with_suffix(".partial.json")
        draft.write_text(json.dumps({"digest": digest, "parameters": parameters, "seconds": seconds}, indent=1) + "\n")
        os.replace(draft, record)
        print(f"{title}: done in {seconds:.0f} s", flush=True)


def describe_build(root: Path) -> str:
    """A page that says how long each notebook ran, with which parameters, and which versions were installed."""
    runs = []
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        record = json.loads((root / "book" / "executed" / f"{source.stem}.run.json").read_text())
        given = ", ".join(f"`{name}={value}`" for name, value in record["parameters"].items())
        runs.append(f"| []({source.name}) | {record['seconds']:.0f} s | {given or 'the defaults'} |")
    versions = [f"| {name} | {version} |" for name, version in installed_versions(root).items()]
    return "\n".join(
        [
            "# About this build",
            "",
            "Each notebook of this book was run by papermill, with these parameters and in this time. What a notebook",
            "finds trained or measured already is not made again, so a first build takes longer than a later one.",
            "",
            f"{os.cpu_count()} processor cores, {platform.system()} on {platform.machine()}.",
            "",
            "| notebook | time | parameters |",
            "| :-- | --: | :-- |",
            *runs,
            "",
            "| package | version |",
            "| :-- | :-- |",
            *versions,
            "",
        ]
    )


def main() -> None:
    try:
        run_all(ROOT, with_recorded_profile(parse_variables(sys.argv[1:])))
        (ROOT / "book" / "executed" / "build.md").write_text(describe_build(ROOT))
    except (VariableError, KernelDiedError) as error:
        sys.exit(f"error: {error}")
    except PapermillExecutionError as error:
        sys.exit(str(error))  # the traceback, which ends with the exception


if __name__ == "__main__":
    main()

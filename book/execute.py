"""Run every notebook with papermill, each only when something it depends on has changed.

    python book/execute.py [NAME=VALUE ...]

Each `notebooks/NAME.ipynb` becomes `book/executed/NAME.ipynb`, run from the project's root. Beside it, `NAME.run.json`
holds a digest of everything the run depended on and one of what it left; the notebook is run again when either of them
is another now. A variable goes to every notebook that declares it in its cell tagged "parameters".
"""

import ast
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shlex
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / ".cache" / "book.lock"  # held while book/executed is written


class VariableError(ValueError):
    """A variable that cannot be read, or that no notebook declares."""


class KernelDiedError(RuntimeError):
    """The process in which a notebook ran ended, without an error of Python's."""


class EndedEarlyError(RuntimeError):
    """Not everything was run; the message says why, what is finished and kept, and which command goes on."""

    def __init__(self, why: str, finished: str, status: int = 1) -> None:
        again = shlex.join([sys.executable, *sys.argv])
        super().__init__(" ".join(filter(None, [why, finished, f"This goes on from there: {again}"])))
        self.status = status


@contextlib.contextmanager
def ending_in_words(finished: Callable[[], str]) -> Iterator[None]:
    """What ends a run from outside becomes an EndedEarlyError: Ctrl-C, a full disk, a process that dies.

    `finished` says what is finished and kept by then, a sentence or nothing.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise EndedEarlyError("Interrupted.", finished(), 130) from None
    except OSError as error:
        raise EndedEarlyError(f"error: {error}.", finished()) from error
    except KernelDiedError as error:
        why = (
            f"error: {error}, without an error of Python's. The system may have ended it for want of memory, or a "
            "library crashed, and the lines above say where. If it dies in the same place again, a smaller network "
            "needs less memory (WIDTH=0.0625 BATCH_SIZE=64)."
        )
        raise EndedEarlyError(why, finished()) from error


@contextlib.contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Wait until no other process, a `what`, holds the lock, and hold it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another {what} is at work here; this one waits for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def parse_variables(arguments: list[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` arguments: names in lower case, values as Python literals, or else as text (`8/255`, `cpu`).

    Raises VariableError where an argument has another form, or JSON has no such value: a set, bytes, infinity.
    """
    variables: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name.isidentifier():
            raise VariableError(f"{argument!r}: a variable is given as NAME=VALUE, for example PROFILE=digits")
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            read = value
        try:
            variables[name.lower()] = json.loads(json.dumps(read, allow_nan=False))
        except (ValueError, TypeError):
            raise VariableError(f"{name}: expected a number, a text or a list, got {value[:80]}") from None
    return variables


def with_recorded_profile(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables, with a profile whose networks `results/` holds in place of the same network at full width.

    MODEL, WIDTH or DATASET ask for something in particular, and leave the profile as it is.
    """
    name = variables.get("profile")
    if not isinstance(name, str) or variables.keys() & {"model", "width", "dataset"}:
        return variables
    from snslib.study import rows  # takes seconds to import

    if (recorded := rows.recorded_profile(name)) != name:
        print(f"the networks of {name} are not kept here: the book takes {recorded}; WIDTH=1 trains it.", flush=True)
    return variables | {"profile": recorded}


def read_notebook(path: Path) -> NotebookNode:
    """A notebook of `notebooks/`; ValueError, which names the file, where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        if type(held := json.loads(text)) is not dict or not held.get("cells") or held.get("nbformat") != 4:
            raise ValueError("it holds no cells")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises what its code stumbles over
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no notebook ({reason}); git checkout brings it back") from error
    return notebook


def declared_parameters(notebook: NotebookNode) -> set[str]:
    """The names that the notebook's cell tagged "parameters" assigns."""
    source = "\n".join(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def library_files(root: Path) -> Iterator[Path]:
    """Every file of snslib, code and data, every recorded result, and the goals of speed, in a fixed order."""
    for folder, pattern in (("snslib", "*"), ("results", "*"), ("benchmarks", "*.json")):
        for path in sorted((root / folder).rglob(pattern)):
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


@dataclass(frozen=True)
class Run:
    """How an executed notebook came about; a file beside it has it as JSON."""

    digest: str  # SHA-256 of what the run depended on
    executed: str  # SHA-256 of the executed notebook
    parameters: dict[str, Any]
    seconds: float

    def __post_init__(self) -> None:
        sums = all(isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one) for one in (self.digest, self.executed))
        counted = type(self.seconds) in (int, float) and 0 <= self.seconds < float("inf")
        if not sums or not counted or type(self.parameters) is not dict:
            raise ValueError("it holds something else than a run")


def read_run(target: Path) -> Run | None:
    """How an executed notebook came about; None, and a line that names the file, where what is there does not say."""
    path = target.with_suffix(".run.json")
    if not path.exists():
        return None
    try:
        return Run(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        print(f"{path} is damaged ({error}) and does not count", flush=True)
        return None


def up_to_date(target: Path, digest: str) -> bool:
    """Whether a notebook was executed with this digest, and is what that run left."""
    run = read_run(target)
    if run is None or run.digest != digest or not target.exists():
        return False
    intact = run.executed == hashlib.sha256(target.read_bytes()).hexdigest()
    if not intact:
        print(f"{target} is not what its run left and does not count", flush=True)
    return intact


class CellLog(logging.Handler):
    """Follows papermill's log: the number of the cell that runs now, and what it prints as it prints it.

    Left out are papermill's other remarks, and outputs that have no text of their own, such as `<Figure ...>`. Only
    where it is `shown` does it go to the terminal.
    """

    def __init__(self, cells: int, shown: bool) -> None:
        super().__init__(logging.INFO)
        self.cells, self.current, self.shown = cells, 0, shown

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if started := re.match(r"Executing Cell (\d+)", message):
            self.current = int(started[1])
            if self.shown:
                print(f"    cell {self.current} of {self.cells}", flush=True)
        elif self.shown and record.funcName == "log_output_message" and not re.fullmatch(r"<.+>", message):
            print(textwrap.indent(message.rstrip(), " " * 8), flush=True)


@contextlib.contextmanager
def followed(cells: int, shown: bool) -> Iterator[CellLog]:
    """Follow papermill's log while a notebook of that many cells runs."""
    logger, handler = logging.getLogger("papermill"), CellLog(cells, shown)
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


def run_notebook(source: Path, target: Path, parameters: dict[str, Any], shown: bool = True) -> None:
    """Run `source` in this directory with this Python's kernel and move the result to `target` once it is whole.

    While it runs, and after a failure, what there is of it lies beside the target as `NAME.partial.ipynb`.
    Raises PapermillExecutionError where a cell raises, KernelDiedError where its process ends.
    """
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")  # a process that crashes says where
    # After Ctrl-C a socket to the kernel may be closed while something is on its way; one line says enough.
    logging.getLogger("tornado.general").setLevel(logging.CRITICAL)
    # A kernel of the same name that the user installed elsewhere must not take the place of this environment's own.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("JUPYTER_PATH", None)
    partial = target.with_suffix(".partial.ipynb")
    cells = len(read_notebook(source).cells) + bool(parameters)
    with followed(cells, shown) as log:
        try:
            executed = papermill.execute_notebook(
                *(str(path).replace("{", "{{").replace("}", "}}") for path in (source, partial)),  # it formats them
                parameters,
                kernel_name="python3",
                language="python",
                log_output=True,
                progress_bar=False,
                cwd=".",
                extra_arguments=["--log-level=CRITICAL"],  # the kernel's own log, not that of the cells
            )
        except DeadKernelError as error:
            raise KernelDiedError(f"the process that ran {source} died in cell {log.current} of {cells}") from error
    fold_injected_cell(executed)
    nbformat.write(executed, partial)
    os.replace(partial, target)


def run_and_record(
    root: Path, source: Path, target: Path, parameters: dict[str, Any], digest: str, shown: bool = True
) -> float:
    """Run a notebook from the project's root, write down beside the result how it came about, and return the seconds.

    Raises what run_notebook does.
    """
    started = time.monotonic()
    with contextlib.chdir(root):
        run_notebook(source.relative_to(root), target.relative_to(root), parameters, shown)
    seconds = round(time.monotonic() - started, 1)
    run = Run(digest, hashlib.sha256(target.read_bytes()).hexdigest(), parameters, seconds)
    draft = target.with_suffix(".partial.json")
    draft.write_text(json.dumps(asdict(run), indent=1) + "\n", encoding="utf-8")
    os.replace(draft, target.with_suffix(".run.json"))
    return seconds


def run_all(root: Path, variables: dict[str, Any]) -> None:
    """Bring `book/executed` up to date with `notebooks`.

    Raises VariableError where no notebook declares one of the variables, ValueError where a file is none,
    PapermillExecutionError where a cell raises, EndedEarlyError where the run is ended from outside.
    """
    sources = sorted((root / "notebooks").glob("*.ipynb"))
    notebooks = {source: read_notebook(source) for source in sources}
    declared = {source: declared_parameters(notebook) for source, notebook in notebooks.items()}
    known = sorted(set().union(*declared.values()))
    if unknown := sorted(variables.keys() - set(known)):
        raise VariableError(f"{', '.join(unknown)}: no notebook has such a parameter; there are {', '.join(known)}")

    def finished() -> str:
        return f"{number - 1} of {len(notebooks)} notebooks are finished, and the models that were trained are kept."

    for number, (source, notebook) in enumerate(notebooks.items(), start=1):
        parameters = {name: value for name, value in variables.items() if name in declared[source]}
        with ending_in_words(finished):
            (root / "book" / "executed").mkdir(parents=True, exist_ok=True)
            digest = run_digest(root, notebook, parameters)
            bring_up_to_date(root, source, digest, parameters, f"[{number}/{len(notebooks)}] {source.stem}")


def bring_up_to_date(root: Path, source: Path, digest: str, parameters: dict[str, Any], title: str) -> None:
    """Run a notebook into `book/executed` unless what is there is what it would become; say so under the title."""
    target = root / "book" / "executed" / source.name
    if up_to_date(target, digest):
        print(f"{title}: unchanged since its last run", flush=True)
        return
    print(f"{title}: running", *(f"{name}={value}" for name, value in parameters.items()), flush=True)
    try:
        seconds = run_and_record(root, source, target, parameters, digest)
    except PapermillExecutionError as error:
        partial = target.with_suffix(".partial.ipynb").relative_to(root)
        print(f"{title}: failed in cell {error.cell_index + 1}, see {partial}", flush=True)
        raise
    print(f"{title}: done in {seconds:.0f} s", flush=True)


def describe_build(root: Path) -> str:
    """A page that says how long each notebook ran, with which parameters, and which versions were installed."""
    from snslib.book.text import code, in_a_cell  # takes seconds to import

    runs = []
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        run = read_run(root / "book" / "executed" / source.name)
        given = ", ".join(code(f"{name}={value}") for name, value in run.parameters.items()) if run else "unknown"
        took = f"{run.seconds:.0f} s" if run else "unknown"
        runs.append(f"| []({source.name}) | {took} | {in_a_cell(given) or 'the defaults'} |")
    versions = [f"| {name} | {version} |" for name, version in installed_versions(root).items()]
    return "\n".join(
        [
            "# About this build\n",
            "Each notebook of this book was run by papermill, with these parameters and in this time. What a notebook",
            "finds trained or measured already is not made again, so a first build takes longer than a later one.\n",
            f"{os.cpu_count()} processor cores, {platform.system()} on {platform.machine()}.\n",
            "| notebook | time | parameters |",
            "| :-- | --: | :-- |",
            *runs,
            "\n| package | version |",
            "| :-- | :-- |",
            *versions,
            "",
        ]
    )


def program(work: Callable[[], None]) -> None:
    """Do the work of a script; what ends it early is told in a line, and the status says so."""
    try:
        with ending_in_words(lambda: ""):
            work()
    except EndedEarlyError as error:
        print(error, file=sys.stderr)
        sys.exit(error.status)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except PapermillExecutionError as error:
        sys.exit(str(error))  # the traceback, which ends with the exception


def make_notebooks() -> None:
    """Bring `book/executed` up to date with the arguments of the script, and write the page about it."""
    run_all(ROOT, with_recorded_profile(parse_variables(sys.argv[1:])))
    (ROOT / "book" / "executed" / "build.md").write_text(describe_build(ROOT), encoding="utf-8")


def main() -> None:
    with alone(LOCK, "build of the book"):
        make_notebooks()


if __name__ == "__main__":
    program(main)

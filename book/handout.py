"""Write the zip that a course is handed out: what make handout does.

    python book/handout.py [SOLUTIONS=1]

It holds the chapters, the exercises of each as a notebook of their own, the library, the records that the chapters
show, and, of the cache, what they read, so that each of them runs in seconds. To know what that is, every chapter is
run here as it is handed out; what is not trained or measured yet is made by that, in about ten minutes on two cores.

There is no solution in the students' zip, no note for teachers, and no table that is to be predicted, since notebooks
carry no outputs; nor do they link to where solutions are. It does not make an exercise fit for an exam. Whoever looks
for it still finds that

- the library has what several exercises ask for: `snslib.fgsm` passes the check of Exercise 1.1;
- `snslib/exercises/expected.py` computes what the checks compare with, and chapter 7 tells of remedies, which 7.4 asks
  for;
- records have the numbers of the tables that are to be predicted, in JSON files that are named by a hash;
- the published book and the repository have all solutions.
"""

import io
import json
import re
import runpy
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import execute
import handout_cache
import handout_notebooks
import handout_notes
import nbformat

from snslib import locks
from snslib.study import records
from snslib.training import pretrained

ROOT = execute.ROOT
FOLDER = "neuron-sensitivity"  # that unpacking makes
LIMIT = 15_000_000  # bytes, of the zip
DATE = (2000, 1, 1, 0, 0, 0)  # of every file, so that the same files make the same zip
README = """\
# Neuron sensitivity: {kind}

| what | where |
| :-- | :-- |
| the chapters | `notebooks/` |
| the exercises of each chapter{with_solutions} | `exercises/` |
| the library that both use, and the checks of exercises | `snslib/` |
| records of networks that were trained on CIFAR-10 and Tiny ImageNet, which the chapters show | `results/` |
| networks that are trained already, and measurements of them | `.cache/`, a hidden folder |
{notes}
## Set up

Python {python} or newer is needed, and about 2 GB of disk. In this folder, on Linux or macOS, and on Windows in
[WSL](https://learn.microsoft.com/windows/wsl/install):

```
python3 -m venv .venv
.venv/bin/pip install torch=={torch} torchvision=={torchvision} --index-url https://download.pytorch.org/whl/cpu
.venv/bin/pip install --no-deps -r requirements.txt
.venv/bin/jupyter lab
```

The second line takes PyTorch without what only a GPU needs, which is 5 GB more; for a GPU, leave out `--index-url` and
what follows it. The networks are found with just this version of PyTorch and this library: with others they are trained
anew where a chapter needs them, which takes minutes.

## Work

Open `exercises/01_adversarial_examples.ipynb`, and the chapter of the same name beside it. A chapter runs from its
first cell to its last in seconds; its parameters are in its first cells, and papermill sets them from outside:

```
.venv/bin/papermill notebooks/04_sns_training.ipynb out.ipynb -p lam 50
```

What such a run needs and is not here is trained first, and then kept.

## What is not here

Of the networks that were trained on CIFAR-10 and Tiny ImageNet there are the records, not the weights, which are too
large to be handed out: no chapter loads them, and `sns.load_pretrained` says that they are not here. Of the networks
on digits there are those that a chapter or an exercise loads; of the others there are the measurements, and the
network is trained when somebody asks for it.
"""
NOTES = "| the teacher's notes: plans, mistakes, how to grade | `teaching.md` |\n"


def parse(arguments: list[str]) -> bool:
    """Whether solutions are asked for.

    Raises:
        ValueError: a variable that is not SOLUTIONS, or a value that is neither 0 nor 1.
    """
    variables = execute.parse_variables(arguments)
    solutions = variables.pop("solutions", 0)
    if variables:
        raise ValueError(f"{', '.join(variables)}: make handout takes SOLUTIONS=1 alone")
    if solutions not in (0, 1):
        raise ValueError(f"solutions: expected 0 or 1, got {solutions!r}")
    return bool(solutions)


def tree(root: Path, solutions: bool) -> dict[str, bytes]:
    """All that is handed out but the cache: each file's path and content.

    Raises:
        ValueError: a notebook is none, or another version of PyTorch is installed than requirements.txt asks for.
    """
    files = {path.name: path.read_bytes() for path in (root / "pyproject.toml", *root.glob("LICENSE*"))}
    without_torch = runpy.run_path(str(root / "tools" / "environment.py"))["requirements"]
    files["requirements.txt"] = without_torch((root / "requirements.txt").read_text(), with_torch=False).encode()
    for path in execute.library_files(root):
        if path.suffix == ".safetensors":
            path, content = pretrained.state_alone(path), _state(path)
        else:
            content = path.read_bytes()
        if not path.name.startswith("."):
            files[path.relative_to(root).as_posix()] = content
    pages = "snslib/book/labels.py"
    files[pages] = handout_notebooks.own_links(files[pages].decode()).encode()
    notebooks = {path.stem: execute.read_notebook(path) for path in sorted((root / "notebooks").glob("*.ipynb"))}
    for name, source in notebooks.items():
        chapter = handout_notebooks.chapter(source, solutions)
        files[f"{handout_notebooks.CHAPTERS}/{name}.ipynb"] = nbformat.writes(chapter).encode()
        if exercises := handout_notebooks.exercises(source, name, solutions):
            files[f"{handout_notebooks.EXERCISES}/{name}.ipynb"] = nbformat.writes(exercises).encode()
    if solutions:
        notes = (root / "book" / "teaching.md").read_text(encoding="utf-8")
        files["teaching.md"] = handout_notes.plain(notes, notebooks).encode()
    files["README.md"] = readme(root, solutions).encode()
    return files


def _state(path: Path) -> bytes:
    """How a published network was trained, without its weights: as the library finds it where these are not kept."""
    return json.dumps(pretrained.read(path, only_state=True)[1], indent=1).encode()


def readme(root: Path, solutions: bool) -> str:
    """What is in the zip and how it is set up."""
    asked = {name: _asked_for(root, name) for name in ("torch", "torchvision")}
    if (installed := version("torch").partition("+")[0]) != asked["torch"]:
        raise ValueError(
            f"PyTorch {installed} is installed, and requirements.txt has {asked['torch']}, with which no network would "
            "be found that was trained here; make setup installs that one"
        )
    python = re.search(r'^requires-python = ">=([\d.]+)"', (root / "pyproject.toml").read_text(), re.M)
    return README.format(
        kind="for teachers, with solutions" if solutions else "chapters and exercises",
        with_solutions=", with solutions" if solutions else "",
        notes=NOTES if solutions else "",
        python=python[1] if python else "3.11",
        **asked,
    )


def _asked_for(root: Path, package: str) -> str:
    """The version of a package that requirements.txt has."""
    found = re.search(rf"^{package}==([\w.]+)", (root / "requirements.txt").read_text(), re.M)
    if found is None:
        raise ValueError(f"requirements.txt: expected a version of {package}; make lock writes it anew")
    return found[1]


def zipped(files: Mapping[str, bytes], limit: int = LIMIT) -> bytes:
    """A zip of files by path, the same for the same files.

    Raises:
        ValueError: it would have more bytes than ``limit``, with what takes the most room.
    """
    buffer = io.BytesIO()
    room: Counter[str] = Counter()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, files[name])
            room[name.partition("/")[0]] += entry.compress_size
    made = buffer.getvalue()
    if len(made) > limit:
        most = ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in room.most_common(3))
        raise ValueError(f"the handout would have {len(made) / 1e6:.1f} MB, more than {limit / 1e6:.0f}: {most}")
    return made


def main() -> None:
    solutions = parse(sys.argv[1:])
    files, cache = tree(ROOT, solutions), records.default_folder().absolute()
    zipped(files)  # what is too large without any network is refused at once
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        print("Every chapter is run as it is handed out.", flush=True)
        for path in handout_cache.files_read(Path(folder), cache):
            files[f".cache/snslib/{path.as_posix()}"] = (cache / path).read_bytes()
    made = zipped(files)
    target = ROOT / "book" / "_build" / ("handout-solutions.zip" if solutions else "handout.zip")
    with locks.written_beside(target) as new:
        new.write_bytes(made)
    print(f"\n{target}: {len(made) / 1e6:.1f} MB, {len(files)} files{', WITH solutions' if solutions else ''}")


if __name__ == "__main__":
    execute.program(main)

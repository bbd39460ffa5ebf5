"""Where the hand-ins of students lie in a folder."""

from pathlib import Path

KINDS = (".ipynb", ".py")


def students(folder: Path) -> dict[str, list[Path]]:
    """The students' names, sorted, and the files of each in the order of their paths.

    A notebook or script in the folder itself is a student's, who is called as the file is. A folder in it is a
    student's too, with all notebooks and scripts in it and below, as nbgrader lays them out (``submitted/``). Hidden
    files and folders are left out, and links, which may lead to what is nobody's hand-in.

    Raises:
        ValueError: no folder, or one without a hand-in.
    """
    if not folder.is_dir():
        raise ValueError(f"folder: {folder} is no folder; name one with a notebook, a script or a folder per student")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        if any(part.startswith((".", "__")) for part in within.parts) or path.suffix not in KINDS:
            continue
        if not path.is_file() or any(above.is_symlink() for above in (path, *path.parents[: len(within.parts) - 1])):
            continue
        name = within.parts[0] if len(within.parts) > 1 else path.stem
        found.setdefault(name, []).append(path)
    for path in folder.iterdir():  # who handed in nothing that can be read has a line all the same
        if path.is_dir() and not path.is_symlink() and not path.name.startswith((".", "__")):
            found.setdefault(path.name, [])
    if not found:
        raise ValueError(f"folder: {folder} has no .ipynb, no .py and no folder; unpack archives (.zip) first")
    return dict(sorted(found.items()))

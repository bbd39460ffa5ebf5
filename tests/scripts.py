"""Scripts that are no part of the package, as modules to test."""

import importlib.util
from pathlib import Path
from types import ModuleType

BOOK = Path(__file__).parent.parent / "book"


def load(path: str) -> ModuleType:
    """The module of a file by its path from ``book/``, such as "_ext/vendored.py" or "../tools/matrix.py"."""
    specification = importlib.util.spec_from_file_location(Path(path).stem, BOOK / path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module

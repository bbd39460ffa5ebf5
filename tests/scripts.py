"""Scripts that are no part of the package, as modules to test."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BOOK = Path(__file__).parent.parent / "book"


def load(path: str) -> ModuleType:
    """The module of a file by its path from ``book/``, such as "_ext/vendored.py" or "../tools/matrix.py"."""
    specification = importlib.util.spec_from_file_location(Path(path).stem, BOOK / path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def beside_others(name: str) -> ModuleType:
    """A script of ``book/`` that imports its neighbours there, such as "slides"."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOK)
        return importlib.import_module(name)

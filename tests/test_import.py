"""`import snslib` brings the library and nothing of the book, and needs no Triton of its own."""

import subprocess
import sys


def test_importing_the_library_does_not_import_the_book() -> None:
    book = ["seaborn", "matplotlib", "IPython", "papermill", "ipywidgets", "pandas", "sklearn", "torchvision"]
    code = f"""
import sys, torch
before = set(sys.modules)
import snslib
print([m for m in {book} if m in sys.modules])
print("triton" in set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]

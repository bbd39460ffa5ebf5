"""What SECURITY.md says of the code is so."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from snslib.training import image_folders

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
CODE = [path for folder in ("snslib", "book", "tools", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def calls(*names: str) -> Iterator[tuple[Path, ast.Call]]:
    """The calls of what ends in one of these names, such as "torch.load"."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(names):
                yield path, node


def test_state_dicts_are_read_without_objects() -> None:
    assert "`weights_only=True`, from PyTorch 2.6 on" in TEXT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch>=2.6" in project["dependencies"]
    found = list(calls("torch.load"))
    assert found
    for path, call in found:
        assert {each.arg: ast.unparse(each.value) for each in call.keywords}["weights_only"] == "True", path


def test_nothing_that_was_read_is_run() -> None:
    runs = ("pickle.load", "pickle.loads", "os.system", "os.popen", "yaml.load", "joblib.load", "marshal.loads")
    handins = ROOT / "snslib" / "exercises" / "grading" / "child.py"  # runs hand-ins
    assert [path for path, _ in calls(*runs)] == [handins]
    names = [path for path, call in calls("eval", "exec") if isinstance(call.func, ast.Name)]
    assert names == [handins, ROOT / "tools" / "mutants.py"]  # the latter: variants of the solutions in this repository
    for path, call in calls("run", "Popen", "check_output", "np.load", "numpy.load", "read_array", "from_pretrained"):
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        assert given.get("shell", "False") == "False", path
        assert given.get("allow_pickle", "False") == "False", path
        assert given.get("trust_remote_code", "False") == "False", path


def test_images_are_read_in_the_formats_and_up_to_the_size_that_are_named() -> None:
    *others, last = image_folders._FORMATS
    assert f"as {', '.join(others)} or WebP whatever" in TEXT
    assert last == "WEBP"
    assert Image.MAX_IMAGE_PIXELS is not None
    assert f"up to {2 * Image.MAX_IMAGE_PIXELS:,} pixels" in TEXT
    assert not [path for path in CODE if "MAX_IMAGE_PIXELS" in path.read_text(encoding="utf-8")]

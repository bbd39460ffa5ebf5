"""What CONTRIBUTING says is enough to add something is enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import snslib

PACKAGE = Path(snslib.__file__).parent
OBJECTIVE = '''

@dataclass
class Smoothed(Objective):
    """Cross-entropy to smoothed labels."""

    def __call__(self, model, x, x_adv, y):
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        return loss, {"cls": loss}
'''
ROW = '    "smoothed": Defense("Smoothed", _vanilla, lambda networks: objectives.Smoothed(), attacks=False),\n'
USE = """
import sys
sys.path.insert(0, {tests!r})
from tiny import TINY
from snslib.book import tables
from snslib.book.figures import defenses
from snslib.study import measurements as measure
from snslib.study.networks import Networks

networks = Networks(TINY, {cache!r}, lambda line: None)
record = measure.accuracy(networks, "smoothed")
print(tables.accuracy([record], "Accuracy.", "tbl-x").data)
defenses.validation_curves({{"smoothed": networks.history("smoothed")}})
shares = {{column: {{"smoothed": record.result[column]}} for column in ("clean", "pgd")}}
defenses.accuracy_points(shares, {{"clean": 20, "pgd": 20}})
print(networks.configuration("smoothed")["schedule"]["epochs"])
"""


@pytest.mark.slow
def test_a_defense_is_a_class_and_a_row(tmp_path: Path) -> None:
    package = tmp_path / "snslib"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    objectives, defenses = package / "training" / "objectives.py", package / "study" / "defenses.py"
    objectives.write_text(objectives.read_text() + OBJECTIVE)
    table = defenses.read_text().replace("DEFENSES = {\n", "DEFENSES = {\n" + ROW)
    imports = "from snslib.training.objectives"
    defenses.write_text(table.replace(imports, f"from snslib.training import objectives\n{imports}"))
    use = USE.format(tests=str(Path(__file__).parent), cache=str(tmp_path / "cache"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", use], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Smoothed" in done.stdout
    assert done.stdout.splitlines()[-1] == "2"  # the epochs of vanilla training
    assert "snslib/training/objectives.py" in (PACKAGE.parent / "CONTRIBUTING.md").read_text()

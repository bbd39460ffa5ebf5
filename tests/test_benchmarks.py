"""The benchmarks run, and check that what they compare is equal, at a toy size; nothing is timed here."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snslib.precision import has_bfloat16

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_toy_run_of_every_section_in_one_process() -> None:
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "results").iterdir()}
    sections = ["attacks", "sensitivity", "sns_epoch", "pat_step", "kernels", "passes"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "run.py", "--device", "cpu", "--quick", "--only", *sections],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows: dict[str, list[dict[str, object]]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("== "):
            section = rows.setdefault(line.removeprefix("== "), [])
        elif line.startswith("{"):
            section.append(ast.literal_eval(line))
    assert list(rows) == sections
    ours = [row for row in rows["attacks"] if row["library"] == "snslib"]
    assert {row["attack"] for row in ours} == {"PGD-10", "MI-FGSM-10", "FGSM"}
    assert all(row["same_pixels"] > 0.99 for row in ours)
    for name, key in {"sensitivity": "how", "sns_epoch": "how", "pat_step": "how", "kernels": "how"}.items():
        assert any("snslib" in str(row[key]) for row in rows[name])
    assert sum(row["chosen"] is True for row in rows["passes"]) == 1 + has_bfloat16("cpu")  # one way per precision
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "results").iterdir()} == before


DAMAGED = ["", "[]", "null", '{"attacks": {"rows": [NaN]}}', '{"attacks": {']


@pytest.mark.slow
@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize(("script", "file"), [("run", "RESULTS"), ("convolutions", "RECORD")])
def test_a_damaged_record_of_speed_is_named_before_anything_is_measured(
    script: str, file: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / ("speed_cpu.json" if script == "run" else "convolutions.json")
    path.write_text(text)
    place = tmp_path if script == "run" else path
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); import {script}; from pathlib import Path; "
        f"{script}.{file} = Path({str(place)!r}); sys.argv[1:] = {['--device', 'cpu'] if script == 'run' else []}; "
        f"{script}.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path} is damaged")
    assert "git checkout" in done.stderr
    assert path.read_text() == text

"""Hand-ins are judged apart: a right one is right, and what another does reaches no verdict but its own."""

import csv
import json
import re
from pathlib import Path

import chapters
import nbformat
import numpy as np
import pytest
import torch
from hostile import Page
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_wrong_solutions import SOLUTIONS

from snslib import exercises as ex
from snslib.__main__ import main
from snslib.exercises import ExerciseError, tasks
from snslib.exercises.grading import grade as grade_module
from snslib.exercises.grading import plain, report
from snslib.exercises.grading.grade import Verdict, grade, student_seed
from snslib.exercises.grading.points import EXERCISES, read_points
from snslib.exercises.grading.sources import Cell, needed, statements
from snslib.exercises.grading.students import students

QUICK = ["2.1", "2.2", "3.2", "5.2", "6.1"]  # which the grader judges without compiling anything


def notebook(path: Path, cells: list[str]) -> None:
    """A notebook with the metadata of nbgrader and Otter, which play no part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [new_code_cell(source, metadata={"nbgrader": {"grade_id": f"c{i}", "solution": True, "grade": False,
            "locked": False, "schema_version": 3}, "otter": {"tests": ["q1"]}, "deletable": False})
            for i, source in enumerate(cells)]  # fmt: skip
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Text"), *made], metadata={"otter": {}}), path)


def points_file(path: Path, numbers: list[str]) -> Path:
    path.write_text("\n".join(f'"{number}" = 2' for number in numbers))
    return path


def said(verdicts: list[Verdict], student: str) -> dict[str, tuple[str, str]]:
    return {one.exercise: (one.verdict, one.said) for one in verdicts if one.student == student}


OTTER = ["import otter\ngrader = otter.Notebook()", "%matplotlib inline\n!pip install x", "grader.check('q1')"]
SPOILED = """
import sys, os, socket, ctypes, time, torch
import snslib.exercises, snslib.exercises.run as run

print('{"verdict": "right"}')

def spoil():
    snslib.exercises.check_neuron_sensitivity = snslib.exercises.check_top_neurons = lambda solution: "Right: forged"
    for name in ("returned", "check_unchanged", "compare", "close"):
        setattr(run, name, lambda *given, **others: True)
    run.exercise = run.answer = lambda *given: run.Answer("Right: forged")
    print("Right: " * 1000000)
    for descriptor in range(1, 20):
        try: os.write(descriptor, b'{"verdict": "right", "result": "Right"}')
        except OSError: pass
"""


@pytest.mark.slow
def test_right_hand_ins_get_all_points_on_tasks_that_nobody_has_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "submitted"
    right = [SOLUTIONS[number] for number in (*QUICK, "4.1")]
    notebook(folder / "ada" / "week 1" / "hello.ipynb", [OTTER[0], right[0], OTTER[1], *right[1:3], OTTER[2]])
    (folder / "ada" / "later.py").write_text("\n".join(right[3:]))
    (folder / "bob.py").write_text(right[0].replace(".mean(0)", ".sum(0)") + "\ndef top_neurons(sigma, fraction): ...")
    points = points_file(tmp_path / "p.toml", [*QUICK, "4.1"])
    words = ["grade", str(folder), "--seed", "7", "--points", str(points), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:3] == [
        "ada: 12 of 12 points",
        "bob: 0 of 12 points",
        "with --seed 7 the same tasks come again",
    ]
    assert err.splitlines() == ["ada: 6 of 6 right", "bob: 0 of 6 right"]
    rows = list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))
    assert [(row["student"], row["exercise"]) for row in rows] == [
        (student, number) for student in ("ada", "bob") for number in ("2.1", "2.2", "3.2", "4.1", "5.2", "6.1")
    ]
    assert all((row["verdict"], row["points"]) == ("right", "2") for row in rows[:6])
    assert [row["verdict"] for row in rows[6:]] == ["wrong", "unsolved", *4 * ["missing"]]
    assert "divides by their number N" in rows[6]["said"]
    assert {int(row["own_seed"]) for row in rows[:6]} == {student_seed("ada")}
    page = (tmp_path / "out" / "grades.html").read_text()
    assert "12 of 12 points" in page
    assert "Tasks of seed 7." in page


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    """Verdicts on hand-ins that want to harm, between two that do not."""
    folder = tmp_path_factory.mktemp("submitted")
    right = SOLUTIONS["2.1"]
    sigma = "def neuron_sensitivity(clean, adversarial):\n    "
    top = "\ndef top_neurons(sigma, fraction):\n    "
    for name, code in {
        "a first": right,
        "forger": SPOILED + sigma + "spoil()\n    return clean" + top + "spoil()\n    return sigma.argsort()",
        "leaver": "import os" + top + "os._exit(0)\n" + sigma + "raise SystemExit('Right: all')",
        "looper": sigma + "while True: pass" + top + "return sigma.sort(descending=True).indices[:1] * 0 + 99",
        "outsider": SPOILED + sigma + "return socket.create_connection(('127.0.0.1', 9))" + top + "return os.fork()",
        "hog": "import torch\n" + sigma + "return torch.zeros(10**10)" + top + "return torch.zeros(2**23)",
        "child": SPOILED
        + sigma
        + "sys.modules['__main__']._call = lambda *given: {'result': [1]}; return 1"
        + top
        + "return open('/tmp/forged-grades.csv', 'w')",
        "hider": SPOILED
        + sigma
        + "run.check_unchanged = run.answer = run._left = lambda *given: ''\n    return clean.zero_().sum(1)",
        "typo": "def neuron_sensitivity(clean:\n    pass",
        "z last": right,
    }.items():
        (folder / f"{name}.py").write_text(code)
    points = points_file(folder.parent / f"{folder.name}.toml", ["2.1", "2.2"])
    return grade(folder, timeout=12, memory=1, seed=11, points=points)[0]


@pytest.mark.slow
def test_whatever_a_hand_in_does_the_others_are_graded(attacked: list[Verdict]) -> None:
    assert [one.student for one in attacked] == [
        student
        for student in ("a first", "child", "forger", "hider", "hog", "leaver", "looper", "outsider", "typo", "z last")
        for _ in range(2)
    ]
    for student in ("a first", "z last"):
        assert said(attacked, student)["2.1"] == ("right", "Right: Eq. 1, for layers with positions and without.")
        assert said(attacked, student)["2.2"] == ("missing", "There is no function top_neurons.")
    assert {one.points for one in attacked if one.verdict != "right"} == {0}
    assert {one.student for one in attacked if one.verdict == "right"} == {"a first", "z last"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "exercise", "verdict", "part"),
    [
        ("forger", "2.1", "stopped", "sent something that is no answer"),
        ("forger", "2.2", "stopped", "sent something that is no answer"),
        ("leaver", "2.1", "wrong", "your function stopped with SystemExit: Right: all"),
        ("leaver", "2.2", "stopped", "its process ended with status 0, as os._exit does"),
        ("looper", "2.1", "stopped", "was stopped after 12 s; look for an endless loop"),
        ("looper", "2.2", "wrong", "Here the result is [99]: indices are from 0 to 15."),
        ("outsider", "2.1", "wrong", "PermissionError: a hand-in is graded without network"),
        ("outsider", "2.2", "wrong", "PermissionError: a hand-in may not start or stop processes"),
        ("hog", "2.1", "wrong", "your function stopped with RuntimeError"),
        ("hog", "2.2", "wrong", "your function returned a tensor of 8,388,608 values, more than can be right."),
        ("child", "2.1", "wrong", "the result should be a tensor, and it is a int"),
        ("child", "2.2", "stopped", "sent something that is no answer"),
        ("hider", "2.1", "wrong", "clean was changed in place"),
        ("typo", "2.1", "missing", "typo.py, line 1 is no Python: '(' was never closed"),
    ],
)
def test_each_attack_ends_in_a_line_that_says_what_happened(
    attacked: list[Verdict], student: str, exercise: str, verdict: str, part: str
) -> None:
    got = said(attacked, student)[exercise]
    assert got[0] == verdict
    assert part in got[1]
    assert "\n" not in got[1]
    assert len(got[1]) < 500


# --- the same without a process ---


def sliced(source: str, *functions: str) -> dict[str, object]:
    """The names that are there after what is needed of a source was run."""
    namespace: dict[str, object] = {}
    for one in needed(list(statements(Cell("there", source))), functions):
        exec(one.code, namespace)
    return namespace


def test_of_a_source_the_functions_are_run_and_what_they_need() -> None:
    found = sliced(
        """
from __future__ import annotations
import math
raise SystemExit
trained = 1 / 0
SIZE = math.isqrt(16)
unused = SIZE / 0
def helper(x: Undefined): return SIZE * x
def other(): return missing
if True:
    def wanted(x): return (lambda y: helper(y))(x)
wanted("check")
square = lambda x: x**2
""",
        "wanted",
        "square",
    )
    assert found["wanted"](2) == 8  # type: ignore[operator]
    assert found["square"](3) == 9  # type: ignore[operator]
    assert not {"trained", "unused", "other"} & found.keys()


def test_of_two_definitions_the_last_counts_and_a_name_of_another_thing_does_not() -> None:
    assert sliced("def f(): return 1\ndef f(): return 2\nf = 1 / 0", "f")["f"]() == 2  # type: ignore[operator]
    assert "f" not in sliced("for f in range(3): 1 / 0", "f")


def test_lines_for_jupyter_are_left_out() -> None:
    source = "%%time\n%matplotlib inline\nfiles = !ls\ndef f():\n    !ls\n    %time x\n    return 1\nf?"
    assert sliced(source, "f")["f"]() == 1  # type: ignore[operator]
    assert sliced("%%bash\ndef f() {", "f").keys() <= {"__builtins__"}
    with pytest.raises(SyntaxError):
        sliced("def f(:", "f")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 2.5, float("inf"), "Right", [1, (2, [3.5])], np.int64(3), np.float32(0.5)),
        *(np.arange(6).reshape(2, 3), torch.rand(2, 0, 3), torch.tensor(7), torch.rand(2, 3).T),
        *(torch.rand(4).bfloat16(), torch.tensor([True, False]), torch.rand(3).to(torch.complex64).conj()),
    ],
)
def test_an_answer_arrives_as_it_was(value: object) -> None:
    arrived = plain.from_plain(json.loads(json.dumps(plain.to_plain(value))))
    assert type(arrived) is (type(value.item()) if isinstance(value, np.generic) else type(value))
    if isinstance(value, torch.Tensor):
        assert (arrived.dtype, arrived.shape) == (value.dtype, value.shape)  # type: ignore[attr-defined]
        assert torch.equal(arrived, value)  # type: ignore[arg-type]
    else:
        assert np.array_equal(arrived, value) if isinstance(value, np.ndarray) else arrived == value


def test_what_is_no_answer_is_refused_and_an_object_is_but_the_name_of_its_type() -> None:
    arrived = plain.from_plain(plain.to_plain({1, 2}))
    assert type(arrived).__name__ == "set"
    assert not isinstance(arrived, set)
    data = {"dtype": "float32", "data": "AAAA"}
    for said in ([1], {}, {"tensor": {**data, "shape": [7]}}, {"tensor": {**data, "shape": [-1]}}, {"code": "1"}):
        with pytest.raises((ValueError, KeyError)):
            plain.from_plain(said)
    with pytest.raises(plain.TooMuch):
        plain.to_plain(torch.zeros(1).expand(2**20))


def test_gradients_arrive_with_a_loss() -> None:
    a, b, unused = (torch.rand(3, 2, requires_grad=True) for _ in range(3))
    loss = (a * b.sin()).sum()
    wanted = torch.autograd.grad(loss, [a, b])
    arrived = plain.with_slopes(loss.detach(), [a, b, unused], [*wanted, None])
    assert arrived == loss
    got = torch.autograd.grad(3 * arrived, [a, b, unused], retain_graph=True)
    for slope, right in zip(got, (*wanted, torch.zeros(3, 2)), strict=True):
        assert torch.equal(slope, 3 * right)
    with pytest.raises(ValueError, match="shape"):
        plain.with_slopes(loss.detach(), [a], [torch.rand(2)])


def test_notebooks_need_nbformat_and_scripts_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grade_module, "find_spec", lambda name: None)
    (tmp_path / "ada").mkdir()
    assert {one.verdict for one in grade(tmp_path)[0]} == {"missing"}
    notebook(tmp_path / "bob.ipynb", ["x = 1"])
    with pytest.raises(ValueError, match="nbformat, which is not installed"):
        grade(tmp_path)


def test_every_exercise_with_a_check_is_graded_by_the_name_of_its_stub() -> None:
    stubs = {}
    for path in chapters.NOTEBOOKS:
        for exercise in chapters.exercises(path):
            for code in exercise.tagged("exercise"):
                names = re.search(r"^def (\w+)\(.*?^(check_\w+)\(\1\)", code, re.M | re.S)
                assert names is not None
                stubs[exercise.number] = (names[1], getattr(ex, names[2]))
    assert stubs == EXERCISES
    assert list(read_points()) == list(EXERCISES)
    everything = f"{sum(read_points().values()):g} of {sum(read_points().values()):g} points"
    assert everything in (Path(__file__).parents[2] / "book" / "teaching.md").read_text()


def test_students_are_files_and_folders_and_links_are_no_hand_ins(tmp_path: Path) -> None:
    folder = tmp_path / "submitted"
    for name in ("ada.py", "ada/b.ipynb", "bob/deep/a.py", "bob/.ipynb_checkpoints/a.py", "notes.txt", "__MACOSX/x.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "cy").mkdir()
    (folder / "eve.py").symlink_to(tmp_path)
    (folder / "mal").symlink_to(folder / "bob")
    found = {student: [str(path.relative_to(folder)) for path in files] for student, files in students(folder).items()}
    assert found == {"ada": ["ada/b.ipynb", "ada.py"], "bob": ["bob/deep/a.py"], "cy": []}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("FOLDER/none", "folder: "),
        ("FOLDER --timeout 0", "timeout: expected seconds above 0"),
        ("FOLDER --memory -1", "memory: expected GiB above 0"),
        ("FOLDER --seed -1", "seed: expected an integer from 0 to 2,147,483,647, got -1"),
        ("FOLDER --points FOLDER/a.py", "points: "),
        ("FOLDER --out FOLDER/grades", "out: "),
    ],
)
def test_a_bad_argument_is_one_line_and_nothing_is_written(
    options: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "submitted"
    folder.mkdir()
    (folder / "a.py").write_text("x = (")
    words = options.replace("FOLDER", str(folder)).split()
    assert main(["grade", *words, *([] if "--out" in words else ["--out", str(tmp_path / "out")])]) == 2
    assert capsys.readouterr().err.startswith(f"python -m snslib: {error}")
    assert {path.name for path in tmp_path.rglob("*")} == {"submitted", "a.py"}


@pytest.mark.parametrize(
    "text", ["", '"9.9" = 1', '"1.1" = "2"', '"1.1" = -1', '"1.1" = true', '"1.1" = nan', "1.1 = 2"]
)
def test_a_file_of_points_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ValueError, match=r"^points: .*p\.toml "):
        read_points(tmp_path / "p.toml")


def test_names_and_messages_are_shown_as_they_are_and_run_nowhere(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    report.write(tmp_path, [Verdict("=cmd()", "2.1", "f", "wrong", 0, 2.5, hostile)], 3)
    page = Page((tmp_path / "grades.html").read_text())
    assert "script" not in {name for name, _ in page.elements}
    (row,) = csv.DictReader((tmp_path / "grades.csv").open())
    assert (row["student"], row["out_of"], row["said"]) == ("'=cmd()", "2.5", hostile)


def test_seeds_of_students_differ_and_stay() -> None:
    seeds = {student_seed(f"student {number}") for number in range(50)}
    assert len(seeds) > 45
    assert all(1 <= seed <= 9999 for seed in seeds)
    assert student_seed("ada") == student_seed("ada")


def test_unseen_tasks_are_others_and_the_readers_own_come_back() -> None:
    before = tasks.random(4)
    with tasks.unseen(5):
        assert not torch.equal(tasks.random(4), before)
    assert torch.equal(tasks.random(4), before)
    for (drawn, *_), (images, channels, seed) in zip(
        tasks.attack_tasks(), ((4, 4, 0), (5, 3, 23), (1, 4, 20)), strict=False
    ):
        chosen, *_ = tasks.small_task(images, channels, seed)
        for a, b in zip(drawn.state_dict().values(), chosen.state_dict().values(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("number", ["1.1", "4.1", "7.4"])
def test_a_right_solution_is_right_and_a_wrong_one_wrong_on_unseen_tasks(number: str) -> None:
    namespace: dict[str, object] = {}
    exec(SOLUTIONS[number], namespace)
    function, check = EXERCISES[number]
    for seed in (1, 923238483, 2**31 - 1):
        with tasks.unseen(seed):
            assert check(namespace[function]).startswith("Right")
            with pytest.raises(ExerciseError):
                check(lambda *given: next(iter(given[1].values())) if isinstance(given[1], dict) else given[1])

"""Grading a folder of hand-ins: each exercise of each student by a check on tasks that students have not seen.

A hand-in runs in a process of its own (``child.py``), the checks in this one. A check gives the hand-in's function its
arguments, and judges what comes back. So a verdict cannot be forged from over there: not by what a hand-in prints, nor
by replacing checks or other parts of snslib, which it does in its own process alone.

What a determined cheat can still do: return what ``snslib`` computes; hide what a function leaves behind, a hook or a
changed weight, which only its own process can see; read other files of this computer; and with compiled code
(``ctypes``) do whatever the user may who runs the grader, see ``fence.py``.
"""

import secrets
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from snslib.exercises import tasks
from snslib.exercises.grading.handin import Ended, HandIn, Limits, one_line
from snslib.exercises.grading.points import EXERCISES, Graded, read_points
from snslib.exercises.grading.students import students
from snslib.exercises.run import ExerciseError

SEEDS = 2**31


class Verdict(NamedTuple):
    """What is said of an exercise of a student."""

    student: str
    exercise: str
    function: str
    verdict: str  # right, wrong, stopped, unsolved or missing
    points: float
    out_of: float
    said: str


def grade(
    folder: Path,
    timeout: float = 60.0,
    memory: float = 2.0,
    seed: int | None = None,
    points: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[list[Verdict], int]:
    """Judge every hand-in of a folder; a line per student and exercise, whatever a hand-in does.

    Args:
        folder: as :func:`snslib.exercises.grading.students.students` reads it.
        timeout: seconds for a hand-in's definitions, and as many for each exercise; above 0, up to 3,600.
        memory: GiB that a hand-in may take besides Python and its libraries; above 0, up to 1,024. Not on macOS.
        seed: of the tasks, from 1 to 2**31 - 1, the same for all students; drawn unless given. 0 has the readers' own.
        points: see :func:`snslib.exercises.grading.points.read_points`.
        progress: gets a line per student.

    Returns:
        The verdicts, and the seed.

    Raises:
        ValueError: an argument that is out of range, a folder without hand-ins, a wrong file of points.
    """
    if not 0 < timeout <= 3600:
        raise ValueError(f"timeout: expected seconds above 0, up to 3,600, got {timeout:g}")
    if not 0 < memory <= 1024:
        raise ValueError(f"memory: expected GiB above 0, up to 1,024, got {memory:g}")
    if seed is not None and not 0 <= seed < SEEDS:
        raise ValueError(f"seed: expected an integer from 0 to {SEEDS - 1:,}, got {seed}")
    seed = 1 + secrets.randbelow(SEEDS - 1) if seed is None else seed
    worth, found = read_points(points), students(folder)
    if any(path.suffix == ".ipynb" for files in found.values() for path in files) and not find_spec("nbformat"):
        raise ValueError("folder: notebooks are read by nbformat, which is not installed; pip install nbformat")
    limits = Limits(timeout, int(memory * 2**30), int(timeout * (len(worth) + 1)) + 60)
    verdicts: list[Verdict] = []
    for name, files in found.items():
        with HandIn(files, [EXERCISES[number].function for number in worth], limits) as handin:
            own = list(_verdicts(one_line(name), handin, worth, seed))
        right = sum(one.verdict == "right" for one in own)
        progress(f"{one_line(name)}: {right} of {len(own)} right")
        verdicts += own
    return verdicts, seed


def student_seed(student: str) -> int:
    """A seed of a student's own for open exercises, from 1 to 9999, as ``papermill -p seed`` takes it.

    It comes from the name alone, so that it can be given out before and looked up afterwards.
    """
    return 1 + zlib.crc32(student.encode(errors="backslashreplace")) % 9999


def _verdicts(student: str, handin: HandIn, worth: dict[str, float], seed: int) -> Iterator[Verdict]:
    for number, most in worth.items():
        exercise = EXERCISES[number]
        verdict, said = _verdict(exercise, handin, seed)
        yield Verdict(student, number, exercise.function, verdict, most if verdict == "right" else 0, most, said)


def _verdict(exercise: Graded, handin: HandIn, seed: int) -> tuple[str, str]:
    """Right, wrong, stopped, unsolved or missing, and what is said of it."""
    if not handin.files:
        return "missing", "There is no notebook and no script."
    try:
        stubs, trouble = handin.found()
        if exercise.function not in stubs:
            return "missing", " ".join([f"There is no function {exercise.function}.", *(f"{one}." for one in trouble)])
        if stubs[exercise.function]:
            return "unsolved", "The function has no body yet."
        with tasks.unseen(seed):
            return "right", exercise.check(handin.solution(exercise.function, seed))
    except ExerciseError as mistake:
        return "wrong", str(mistake)
    except Ended as why:
        return "stopped", f"The hand-in gave no answer: {why}."
    except OSError:  # of this side: no room for the process or its folder
        raise
    except Exception as error:  # of a check, over a result that it does not expect
        return "wrong", f"The check could not read what the function returned ({type(error).__name__})."

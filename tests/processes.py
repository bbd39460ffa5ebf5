"""Real processes that want the same at the same time."""

import multiprocessing
import traceback
from collections.abc import Callable
from typing import Any

FORKED = multiprocessing.get_context("fork")


def at_once(n: int, task: Callable[[int], Any]) -> list[Any]:
    """What a task returned in each of n processes that began it together, by their number; it may not fail."""
    begin, answers = FORKED.Barrier(n), FORKED.Queue()

    def run(number: int) -> None:
        begin.wait(60)
        try:
            answers.put((number, task(number), ""))
        except BaseException:
            answers.put((number, None, traceback.format_exc()))

    processes = [FORKED.Process(target=run, args=(number,)) for number in range(n)]
    for process in processes:
        process.start()
    found = sorted((answers.get(timeout=120) for _ in processes), key=lambda answer: answer[0])
    for process in processes:
        process.join()
    assert not [error for _, _, error in found if error]
    return [answer for _, answer, _ in found]

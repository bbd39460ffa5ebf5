"""The paper's own tables, transcribed as printed: the numbers that ours stand beside.

Each file of ``paper_data`` holds one table with its source and notes on what is odd in it; nothing was repaired.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from snslib import files
from snslib.study import schema

CHANNELS = {"conv1": 64, "conv4": 128, "conv7": 256, "conv11": 512, "conv13": 512, "fc": 10}  # VGG-16's, Tables 3-4


def table1() -> dict[str, dict[str, float]]:
    """Table 1: accuracy of VGG-16 on CIFAR-10, clean and under attack.

    Returns:
        Defense (vanilla, nat, eat, pat, alp, sns_sen_cls, sns_all_cls, sns_sen_adv) to column (clean, step_ll,
        mi_fgsm, pgd, fgsm) to percent in [0, 100].
    """
    return _table(1)["accuracy"]


def table2() -> dict[str, dict[str, float]]:
    """Table 2: accuracy of AlexNet on 200 classes of ImageNet; as :func:`table1`, without alp and sns_all_cls."""
    return _table(2)["accuracy"]


def targeted_neurons() -> dict[str, list[list[int]]]:
    """Tables 3 and 4: sensitive neurons of the vanilla VGG-16 on CIFAR-10 under PGD toward each class.

    Returns:
        Layer (conv1, conv4, conv7, conv11, conv13, fc) to ten lists of channels, counted from 0, one list for each
        target label 0..9, the most sensitive neuron first. Lists of conv11 and conv13 have 50 or 51 entries; fc's
        have all ten.
    """
    return _table(3)["neurons"] | _table(4)["neurons"]


def notes(table: int) -> list[str]:
    """What is odd in a table as printed, in sentences.

    Args:
        table: its number in the paper, 1 to 4.

    Raises:
        ValueError: another number.
    """
    if table not in (1, 2, 3, 4):
        raise ValueError(f"table: expected 1, 2, 3 or 4, got {table!r}")
    return _table(table)["source"]["notes"]


PRINTED = {"accuracy": {str: {str: schema.number}}, "neurons": {str: [[schema.count]]}}  # of which a table has one


def _table(number: int) -> dict[str, Any]:
    path = Path(str(resources.files("snslib.claims") / "paper_data" / f"table{number}.json"))
    try:
        held = files.read_json(path)
        part = "accuracy" if number in (1, 2) else "neurons"
        if problem := schema.problem(held, {"source": {"notes": [schema.text]}, part: PRINTED[part]}, "it"):
            raise ValueError(problem)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back, or install snslib anew") from error
    return held

"""What stronger attacks and the checks for masked gradients say of the published rows."""

from collections.abc import Iterable, Mapping

from snslib.study import results
from snslib.study.records import Record

CHECKS = {"growing": "growing radius", "one_step": "one step", "transfer": "transfer", "noise": "noise"}


def accuracy_under_attacks(folder: str, row: str) -> dict[str, float]:
    """What is recorded of a row on the first test images: accuracy, clean and under attacks that try harder each.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: such as "pat".

    Returns:
        Column to share of images still right, in the order in which a table shows them; what is not recorded lacks.
    """
    found = _of_row(folder, row)
    shares: dict[str, float] = {}
    if "pgd-accuracy" in found:
        steps = found["pgd-accuracy"].config["attack"]["steps"]
        of_paper = found["pgd-accuracy"].result
        shares |= {"clean": of_paper["clean"], f"PGD-{steps}": of_paper["pgd"]}
    if "strong-accuracy" in found:
        shares[strong_name({row: found["strong-accuracy"]})] = found["strong-accuracy"].result
    if "targeted-pgd" in found:
        shares["targeted"] = found["targeted-pgd"].result
    if "autoattack" in found:
        shares["AutoAttack"] = found["autoattack"].result["accuracy"]
    return shares


def failed_checks(folder: str, row: str) -> list[str] | None:
    """Which checks for masked gradients a row fails; None where they were not run."""
    entry = _of_row(folder, row).get("sanity-checks")
    if entry is None:
        return None
    return [label for name, label in CHECKS.items() if not entry.result[name]["passed"]]


def lowest_accuracy(folder: str, rows: Iterable[str]) -> dict[str, tuple[float, float, str, int]]:
    """Of each row that AutoAttack was run on: the paper's PGD, the lowest share, its attack, the number of images."""
    found = {}
    for row in rows:
        shares = accuracy_under_attacks(folder, row)
        if "AutoAttack" not in shares or "clean" not in shares:
            continue
        del shares["clean"]
        attack = min(shares, key=shares.__getitem__)
        n = _of_row(folder, row)["autoattack"].config["n"]
        found[row] = (next(iter(shares.values())), shares[attack], attack, n)
    return found


def strong_name(strong: Mapping[str, Record]) -> str:
    """What the stronger PGD of some records is called in a table: "PGD-50", "PGD-100 x 5"."""
    about = next((entry.config for entry in strong.values()), {"steps": 50, "restarts": 1})
    return f"PGD-{about['steps']}" + (f" × {about['restarts']}" if about["restarts"] > 1 else "")


def _of_row(folder: str, row: str) -> dict[str, Record]:
    names = ("pgd-accuracy", "strong-accuracy", "targeted-pgd", "autoattack", "sanity-checks")
    found = {what: results.records(folder, what).get(row) for what in names}
    return {what: entry for what, entry in found.items() if entry is not None}

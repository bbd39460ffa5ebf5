"""What decides how the chapter on attacks describes the vanilla model's accuracy (section 3.1, Table 1)."""

from collections.abc import Mapping

from snslib.attacks import ATTACKS
from snslib.claims.statistics import Accuracy, sign
from snslib.evaluation.misreadings import Misreadings
from snslib.study.records import Record

TARGETED = ("Step-LL", "MI-FGSM")  # the attacks that aim at a class, as the paper writes them
PAPER_EPS = 8 / 255  # of all four attacks (section 3.1)


def strongest_first(accuracy: Mapping[str, float]) -> list[str]:
    """The four attacks by the accuracy that they leave, the lowest first; of equals in the order of Table 1.

    Args:
        accuracy: attack to accuracy, in any unit.
    """
    return sorted(ATTACKS, key=lambda attack: accuracy[attack])


def leaving_less_than_half(accuracy: Mapping[str, float]) -> list[str]:
    """The attacks under which accuracy is less than half of the clean one, in the order of Table 1.

    Args:
        accuracy: "clean" and each attack to accuracy, in any unit.
    """
    return [attack for attack in ATTACKS if accuracy[attack] < accuracy["clean"] / 2]


def is_at_paper_eps(record: Record) -> bool:
    """Whether a record's attacks have the paper's radius of 8/255."""
    return abs(record.config["attack"]["eps"] - PAPER_EPS) < 1e-8


def comparable_with_table1(record: Record) -> bool:
    """Whether a record is of the data, network, width and eps of Table 1, so that its numbers may be compared."""
    trained = record.config["trained"]
    same = (record.data["name"], trained["model"], trained["width"]) == ("cifar10", "vgg16", 1.0)
    return same and is_at_paper_eps(record)


def two_points_are_chance(n: int) -> bool:
    """Whether accuracies of 51% and 49% on n images each have a difference whose 95% interval holds 0.

    Two points near one half are beyond chance from about 4,800 images on.
    """
    return sign(Accuracy((0.51,), n), Accuracy((0.49,), n)) == 0


def mislead_more_than_arrive(misread: Mapping[str, Misreadings]) -> bool:
    """Whether under both targeted attacks more images are misread than are read as the class aimed at."""
    return all(misread[attack].misread > misread[attack].at_target for attack in TARGETED)

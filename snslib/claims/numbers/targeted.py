"""Sensitive and important neurons under targeted attacks: numbers from their records (section 3.2)."""

from snslib.evaluation import neuron_sets
from snslib.overlap import chance_jaccard
from snslib.study.records import Record

IMAGES = {"reached": "images that reached the target", "all": "all images"}  # that the neurons were measured on


def chance(record: Record) -> float:
    """The Jaccard index to expect of two random sets of the penultimate layer's neurons.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
    """
    return chance_jaccard(record.config["k"], record.result["channels"][record.config["layer"]])


def overlap_by_class(record: Record, images: str) -> dict[str, list[float]]:
    """How alike a class's sensitive and important neurons are (Fig. 2a), as by_class of neuron_sets gives it.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        images: a key of IMAGES.
    """
    sets = record.result["penultimate"][images]
    return neuron_sets.by_class(sets["sensitive"], sets["important"])


def permutation_test(record: Record, images: str) -> neuron_sets.PermutationTest | None:
    """Whether sensitive and important neurons overlap by more than chance; None of fewer than two classes.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        images: a key of IMAGES; classes that none of them has as its target are left out.
    """
    sets = record.result["penultimate"][images]
    pairs = [(a, b) for a, b in zip(sets["sensitive"], sets["important"], strict=True) if b]
    if len(pairs) < 2:
        return None
    sensitive, important = zip(*pairs, strict=True)
    return neuron_sets.permutation_test(sensitive, important, record.result["channels"][record.config["layer"]])

"""Made-up records of a vanilla and a PAT network, for tests of what is said about them."""

from snslib.attacks import ATTACKS
from snslib.claims.numbers.disturbances import Disturbed
from snslib.evaluation.corruptions import CORRUPTIONS
from snslib.study.records import Record

Sigma = dict[str, list[float]]


def sensitivity(sigma: Sigma, output: float = 1.0, under: str = "pgd", seed: int = 0) -> Record:
    """A record of sensitivity in which every neuron's clean output is the same."""
    activation = {layer: [output] * len(values) for layer, values in sigma.items()}
    return Record("sensitivity", {"sigma": sigma, "activation": activation}, {"under": under}, seed)


def accuracy(clean: float, attacked: float) -> Record:
    return Record("accuracy", {"clean": clean, **dict.fromkeys(ATTACKS, attacked)}, {"n": 100})


def corrupted(at_5: float) -> Record:
    return Record("corrupted-accuracy", {name: [0.9, 0.8, 0.7, 0.6, at_5] for name in CORRUPTIONS}, {"n": 100})


def disturbed(vanilla: Sigma, pat: Sigma, in_fog: tuple[Sigma, Sigma] | None = None, output: float = 1.0) -> Disturbed:
    """Both networks under PGD and FGSM, alike, and perhaps in fog of severity 5; PAT's outputs may be smaller."""
    under = {
        name: {"vanilla": sensitivity(vanilla, 1.0, name), "pat": sensitivity(pat, output, name)}
        for name in ("pgd", "fgsm")
    }
    if in_fog:
        a, b = (sensitivity(sigma, 1.0, "fog-5") for sigma in in_fog)
        under["fog-5"] = {"vanilla": a, "pat": b}
    return Disturbed(
        under,
        {"vanilla": accuracy(0.9, 0.1), "pat": accuracy(0.8, 0.5)},
        {"vanilla": corrupted(0.45), "pat": corrupted(0.2)},
    )

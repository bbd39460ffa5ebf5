"""Neuron sensitivity and Sensitive Neuron Stabilizing (Zhang et al. 2021), the parts of the paper as a library."""

# ruff: noqa: E402

import os

# PyTorch's threads spin only briefly while they wait for each other: by default they spin for so long that a run takes
# several times as long when other programs want the cores too (benchmarks/threads.py). OpenMP reads this once, when
# PyTorch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from snslib import ending

ending.while_starting("snslib")  # PyTorch takes seconds to load

from snslib.attacks import fgsm, least_likely_class, mi_fgsm, paper_attacks, pgd, step_ll
from snslib.hooks import record, suppress
from snslib.losses import adversarial_loss, logit_pairing, sns_loss
from snslib.overlap import average_jaccard, chance_jaccard, jaccard, total_jaccard
from snslib.sensitivity import dual_pairs, important_neurons, neuron_sensitivity, top_neurons
from snslib.training.datasets import load_dataset
from snslib.training.models import build_model
from snslib.training.pretrained import load_pretrained

__version__ = "0.1.0"

__all__ = [
    "adversarial_loss",
    "average_jaccard",
    "build_model",
    "chance_jaccard",
    "dual_pairs",
    "fgsm",
    "important_neurons",
    "jaccard",
    "least_likely_class",
    "load_dataset",
    "load_pretrained",
    "logit_pairing",
    "mi_fgsm",
    "neuron_sensitivity",
    "paper_attacks",
    "pgd",
    "record",
    "sns_loss",
    "step_ll",
    "suppress",
    "top_neurons",
    "total_jaccard",
]

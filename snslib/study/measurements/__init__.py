"""What is measured on the networks of a setting, one function a measurement.

Each takes the :class:`snslib.study.networks.Networks` of a setting and returns a record, found again when asked twice.
"""

from snslib.study.measurements.accuracies import (
    accuracy,
    accuracy_by_eps,
    accuracy_on_fixed,
    corrupted_accuracy,
    strong_accuracy,
)
from snslib.study.measurements.adaptive import adaptive_pgd
from snslib.study.measurements.neurons import regions, suppression, targeted_neurons
from snslib.study.measurements.robustness import (
    accuracy_by_statistics,
    autoattack,
    loss_surface,
    outcomes,
    pgd_accuracy,
    sanity_checks,
    targeted_pgd,
    transfer_matrix,
)
from snslib.study.measurements.sensitivities import effect_of_sns, sensitivity, sensitivity_of_halves, variance

__all__ = [
    "accuracy",
    "accuracy_by_eps",
    "accuracy_by_statistics",
    "accuracy_on_fixed",
    "adaptive_pgd",
    "autoattack",
    "corrupted_accuracy",
    "effect_of_sns",
    "loss_surface",
    "outcomes",
    "pgd_accuracy",
    "regions",
    "sanity_checks",
    "sensitivity",
    "sensitivity_of_halves",
    "strong_accuracy",
    "suppression",
    "targeted_neurons",
    "targeted_pgd",
    "transfer_matrix",
    "variance",
]

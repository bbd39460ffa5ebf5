"""Checks of readers' own code for the exercises: each names the first mistake, or says that all is right."""

# A check is in the file of its subject. tasks.py has the small networks and recordings on which solutions are tried,
# run.py runs them and names mistakes, rules.py says what every x' has to obey.

from snslib.exercises.attacks import check_fgsm, check_pgd, check_step_ll
from snslib.exercises.losses import check_adversarial_loss, check_remedy_loss, check_sns_loss
from snslib.exercises.robustness import attacked_accuracy, check_stronger_attack, check_worst_case_accuracy
from snslib.exercises.run import ExerciseError
from snslib.exercises.sensitivity import (
    check_average_jaccard,
    check_neuron_sensitivity,
    check_relative_sensitivity,
    check_top_neurons,
)
from snslib.exercises.suppression import check_helpful_neuron, check_suppression

# In the order of the chapters, which is that of the library's page in the book.
__all__ = [  # noqa: RUF022
    "ExerciseError",
    "check_fgsm",
    "check_step_ll",
    "check_pgd",
    "check_neuron_sensitivity",
    "check_top_neurons",
    "check_average_jaccard",
    "check_suppression",
    "check_helpful_neuron",
    "check_sns_loss",
    "check_adversarial_loss",
    "check_relative_sensitivity",
    "check_worst_case_accuracy",
    "attacked_accuracy",
    "check_stronger_attack",
    "check_remedy_loss",
]

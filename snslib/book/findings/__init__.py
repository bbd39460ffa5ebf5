"""What a chapter found, in words, each a function of records or numbers."""

from snslib.book.findings.attacks import vanilla_under_attack
from snslib.book.findings.defenses import (
    best_settings,
    defenses_live,
    inactive_neurons,
    possible_trainings,
    statistics_of_batchnorm,
)
from snslib.book.findings.neurons import (
    first_of_fc,
    lists_beside_paper,
    lost_regions,
    paper_lists,
    permutation_tests,
    recorded_neurons,
    sensitive_neurons,
    targeted_attacks,
    weights_for_target,
)
from snslib.book.findings.own_model import profiled_model
from snslib.book.findings.readings import all_readings
from snslib.book.findings.remedies import (
    effect_of_remedies,
    neurons_driven_away,
    sensitivity_and_robustness,
    without_neurons,
)
from snslib.book.findings.robustness import (
    added_by_transfer,
    after_all_attacks,
    along_gradient,
    lowest_under_attack,
    masked_gradients,
    pat_and_alp,
    robust_rows,
)
from snslib.book.findings.scorecard import paper_verdicts, sources_elsewhere, verdict_counts
from snslib.book.findings.sensitivity import (
    average_first,
    both_ways_agree,
    held_by_the_sensitive,
    one_model,
    raw_and_relative,
    selections_of_halves,
)
from snslib.book.findings.speed import speed_devices, speed_on_gpu
from snslib.book.findings.stabilising import sns_training
from snslib.book.findings.training import less_sensitive, less_sensitive_under_each, less_sensitive_with_sns

__all__ = [
    "added_by_transfer",
    "after_all_attacks",
    "all_readings",
    "along_gradient",
    "average_first",
    "best_settings",
    "both_ways_agree",
    "defenses_live",
    "effect_of_remedies",
    "first_of_fc",
    "held_by_the_sensitive",
    "inactive_neurons",
    "less_sensitive",
    "less_sensitive_under_each",
    "less_sensitive_with_sns",
    "lists_beside_paper",
    "lost_regions",
    "lowest_under_attack",
    "masked_gradients",
    "neurons_driven_away",
    "one_model",
    "paper_lists",
    "paper_verdicts",
    "pat_and_alp",
    "permutation_tests",
    "possible_trainings",
    "profiled_model",
    "raw_and_relative",
    "recorded_neurons",
    "robust_rows",
    "selections_of_halves",
    "sensitive_neurons",
    "sensitivity_and_robustness",
    "sns_training",
    "sources_elsewhere",
    "speed_devices",
    "speed_on_gpu",
    "statistics_of_batchnorm",
    "targeted_attacks",
    "vanilla_under_attack",
    "verdict_counts",
    "weights_for_target",
    "without_neurons",
]

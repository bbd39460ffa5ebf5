"""The tables of the book, each a function of records or numbers."""

from snslib.book.tables.accuracies import accuracy, beside_paper
from snslib.book.tables.attacks import attacks_at_work, data_set, layer_shapes, vanilla_beside_paper
from snslib.book.tables.defenses import (
    gain_of_sns,
    stabilised_in_table1,
    stabilised_in_table2,
    table1_live,
    table1_recorded,
    table2_recorded,
)
from snslib.book.tables.markdown import markdown_table
from snslib.book.tables.neurons import (
    accuracy_by_beta,
    lists_in_common,
    shared_neurons,
    targeted_neurons,
    whole_lists,
)
from snslib.book.tables.own_model import models_tried, profiled_layers
from snslib.book.tables.readings import all_readings
from snslib.book.tables.robustness import (
    adaptive_attack,
    alp_beside_pat,
    gain_by_remedies,
    gain_without_neurons,
    gradient_checks,
    harder_attacks,
    remedied_neurons,
)
from snslib.book.tables.rows import by_statistics, cost, gain_over_control, stabilised_neurons, stronger_attacks
from snslib.book.tables.scorecard import claims_by_reading, claims_decided, claims_elsewhere
from snslib.book.tables.sensitivity import most_sensitive
from snslib.book.tables.speed import (
    convolutions,
    speed_aims,
    speed_attacks,
    speed_epoch,
    speed_gpu,
    speed_kernels,
    speed_pages,
    speed_passes,
    speed_sensitivity,
    speed_threads,
)
from snslib.book.tables.stabilising import before_and_after, chosen_neurons, sns_effect
from snslib.book.tables.training import disturbed_accuracy, rank_correlations

__all__ = [
    "accuracy",
    "accuracy_by_beta",
    "adaptive_attack",
    "all_readings",
    "alp_beside_pat",
    "attacks_at_work",
    "before_and_after",
    "beside_paper",
    "by_statistics",
    "chosen_neurons",
    "claims_by_reading",
    "claims_decided",
    "claims_elsewhere",
    "convolutions",
    "cost",
    "data_set",
    "disturbed_accuracy",
    "gain_by_remedies",
    "gain_of_sns",
    "gain_over_control",
    "gain_without_neurons",
    "gradient_checks",
    "harder_attacks",
    "layer_shapes",
    "lists_in_common",
    "markdown_table",
    "models_tried",
    "most_sensitive",
    "profiled_layers",
    "rank_correlations",
    "remedied_neurons",
    "shared_neurons",
    "sns_effect",
    "speed_aims",
    "speed_attacks",
    "speed_epoch",
    "speed_gpu",
    "speed_kernels",
    "speed_pages",
    "speed_passes",
    "speed_sensitivity",
    "speed_threads",
    "stabilised_in_table1",
    "stabilised_in_table2",
    "stabilised_neurons",
    "stronger_attacks",
    "table1_live",
    "table1_recorded",
    "table2_recorded",
    "targeted_neurons",
    "vanilla_beside_paper",
    "whole_lists",
]

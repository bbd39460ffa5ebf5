"""The tables of the book, each a function of records or numbers."""

from snslib.book.tables.accuracies import accuracy, beside_paper
from snslib.book.tables.markdown import markdown_table
from snslib.book.tables.rows import by_statistics, cost, gain_over_control, stabilised_neurons, stronger_attacks
from snslib.book.tables.speed import convolutions

__all__ = [
    "accuracy",
    "beside_paper",
    "by_statistics",
    "convolutions",
    "cost",
    "gain_over_control",
    "markdown_table",
    "stabilised_neurons",
    "stronger_attacks",
]

"""The figures of the book: one style, one file per chapter's figures, each figure a function of numbers."""

from snslib.book.figures.style import use_style

__all__ = ["use_style"]

"""Evaluation: accuracy, whether robustness is real, corruptions, receptive fields, sets of neurons."""

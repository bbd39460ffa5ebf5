"""The figure of how a neuron's sensitivity comes about shows the most sensitive neuron, and Eq. 1 by hand."""

import numpy as np
import pytest
import torch

from snslib.book.figures.framework import from_pair_to_neurons
from snslib.book.figures.sensitivity import OTHERS, SENSITIVE

PAIR = (torch.rand(3, 4, 4), torch.rand(3, 4, 4))


def test_the_most_sensitive_neuron_is_shown_with_its_change_and_all_are_ranked() -> None:
    clean = torch.zeros(2, 3, 2, 2)
    moved = clean.clone()
    moved[0, 1] = torch.tensor([[1.0, 0.0], [2.0, 0.0]])  # 3 in the first pair, 1 in the second: 2 on average
    moved[1, 1, 0, 0] = 1.0
    moved[:, 2, 1, 1] = 0.5
    figure = from_pair_to_neurons("conv1", PAIR, (clean, moved), 0.34)
    axes = {ax.get_title(): ax for ax in figure.axes}
    assert "$F_l^{1}(x_1)$" in axes
    np.testing.assert_allclose(axes["$F_l^{1}(x'_1)$"].images[0].get_array(), moved[0, 1])
    np.testing.assert_allclose(axes["absolute difference,\nsum 3"].images[0].get_array(), moved[0, 1])
    bars = axes["conv1: σ of all neurons"].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([2.0, 0.5, 0.0])
    assert len(axes["conv1: σ of all neurons"].containers[0]) == 1
    assert SENSITIVE != OTHERS
    np.testing.assert_allclose(axes["$x_1$"].images[0].get_array(), PAIR[0].permute(1, 2, 0))


def test_a_layer_that_nothing_moves_is_drawn_too() -> None:
    outputs = torch.zeros(1, 2, 1, 1)
    figure = from_pair_to_neurons("a_b", PAIR, (outputs, outputs), 0.5)
    ranked = next(ax for ax in figure.axes if ax.get_title().endswith("σ of all neurons"))
    assert [bar.get_height() for bar in ranked.patches] == [0.0, 0.0]

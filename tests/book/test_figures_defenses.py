"""What a figure that compares defenses shades."""

import pytest

from snslib.book.figures.defenses import by_layer

MEANS = {"vanilla": {"conv1": 3.0, "conv2": 2.0, "conv3": 1.0}}


@pytest.mark.parametrize(
    ("stabilised", "ends"), [((), []), (("fc",), []), (("conv2", "conv3"), [0.5, 2.5]), (("conv3", "fc"), [1.5, 2.5])]
)
def test_the_stabilised_layers_that_are_shown_are_shaded(stabilised: tuple[str, ...], ends: list[float]) -> None:
    (ax,) = by_layer(MEANS, "mean", stabilised).axes
    shades = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    assert [end for shade in shades for end in (shade.x0, shade.x1)] == pytest.approx(ends)

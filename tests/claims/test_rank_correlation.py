"""Points and their rank correlation against numbers worked out by hand."""

import math

import pytest

from snslib.book.figures import correlation as figures
from snslib.claims.numbers.correlation import Point, point, rank_correlation
from snslib.study.records import Record


def record(under: str, sigma: list[float], activation: list[float]) -> Record:
    result = {"sigma": {"conv1": sigma, "conv2": [1.0, 1.0]}, "activation": {"conv1": activation, "conv2": [0.0, 0.0]}}
    return Record("sensitivity", result, {"under": under})


ACCURACY = Record("accuracy", {"clean": 0.9, "pgd": 0.2}, {})
CORRUPTED = Record("corrupted-accuracy", {"fog": [0.8, 0.7, 0.6, 0.5, 0.3]}, {})


def test_a_point_by_hand() -> None:
    """conv1: 3 of 12 is moved. conv2 is inactive, so that it has no relative sensitivity."""
    made = point(record("pgd", [1.0, 2.0], [4.0, 8.0]), ACCURACY, CORRUPTED, "pat", ["conv1", "conv2"])
    assert made == Point("pat", "pgd", 0.25, pytest.approx(1 - 2 / 9))
    made = point(record("fog-3", [1.0, 2.0], [4.0, 8.0]), ACCURACY, CORRUPTED, "pat", ["conv1"])
    assert made.lost == pytest.approx(1 / 3)
    hopeless = Record("accuracy", {"clean": 0.0, "pgd": 0.1}, {})
    assert point(record("pgd", [1.0, 2.0], [4.0, 8.0]), hopeless, CORRUPTED, "pat", ["conv1"]).lost == 0


def points(losses: list[float]) -> list[Point]:
    return [Point("pat", "pgd", float(place), lost) for place, lost in enumerate(losses)]


def test_ranks_are_correlated() -> None:
    assert rank_correlation(points([0.1, 0.2, 0.25, 0.9]))[0] == pytest.approx(1)
    assert rank_correlation(points([0.9, 0.2, 0.1, 0.0]))[0] == pytest.approx(-1)
    # Spearman's 1 - 6 sum(d^2) / (n (n^2 - 1)), with ranks 2 1 4 3: d^2 are all 1
    rho, low, high = rank_correlation(points([0.2, 0.1, 0.4, 0.3]))
    assert rho == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert low <= rho <= high
    assert all(map(math.isnan, rank_correlation(points([0.1, 0.1, 0.1]))))
    with pytest.raises(ValueError, match=r"^points: .*got 2"):
        rank_correlation(points([0.1, 0.2]))


def test_the_interval_narrows_with_more_cells() -> None:
    noisy = [0.1 * place + (0.5 if place % 2 else 0.0) for place in range(40)]
    few, many = (rank_correlation(points(noisy[:n])) for n in (8, 40))
    assert many[2] - many[1] < few[2] - few[1]
    assert rank_correlation(points(noisy)) == many


def test_the_figures_show_every_cell_and_layer() -> None:
    shown = [Point(model, under, 0.1, 0.2) for model in ("vanilla", "pat") for under in ("pgd", "fgsm", "fog-5")]
    lines = figures.lost_accuracy(shown).axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [2, 1, 2, 1]
    groups = {"one": shown[:2], "other": shown[2:]}
    of_two = figures.lost_to_autoattack({"VGG-16": groups, "none": {}, "AlexNet": {"other": shown[:1]}})
    assert [len(line.get_xdata()) for line in of_two.axes[0].lines] == [2, 4, 1]
    of_vgg, other, of_alexnet = of_two.axes[0].lines
    assert other.get_color() == of_alexnet.get_color() != of_vgg.get_color()
    assert other.get_marker() == of_vgg.get_marker() != of_alexnet.get_marker()
    assert [text.get_text() for text in of_two.legends[0].get_texts()] == ["VGG-16", "AlexNet", "one", "other"]
    layers = {"conv1": 1.0, "conv2": 2.0}
    figure = figures.under_each({under: {"vanilla": layers, "pat": layers} for under in ("pgd", "fog-5")}, "σ")
    assert [ax.get_title() for ax in figure.axes] == ["PGD", "fog 5"]

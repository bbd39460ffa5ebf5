"""Overlaps of sets of neurons by hand and by enumeration; tests and errors against exact distributions."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snslib.evaluation.neuron_sets import index_errors, permutation_test
from snslib.overlap import average_jaccard, chance_jaccard, jaccard, total_jaccard


def test_jaccard_by_hand() -> None:
    assert jaccard([1, 2, 3], [2, 3, 4, 5]) == 2 / 5
    assert jaccard(torch.tensor([7, 1]), {1, 7}) == 1.0
    assert jaccard(np.array([1, 2]), torch.tensor([3])) == 0.0


def test_average_and_total_by_hand() -> None:
    """Pairs: {1,2,3} {2,3,4}: 2/4; {1,2,3} {3,4,5}: 1/5; {2,3,4} {3,4,5}: 2/4. All three share 3 of 1..5."""
    sets = [[1, 2, 3], torch.tensor([4, 3, 2]), {3, 4, 5}]
    assert average_jaccard(sets) == pytest.approx((2 / 4 + 1 / 5 + 2 / 4) / 3)
    assert total_jaccard(sets) == 1 / 5


@given(st.lists(st.sets(st.integers(0, 8), min_size=1), min_size=2, max_size=5))
def test_jaccard_properties(sets: list[set[int]]) -> None:
    average, total = average_jaccard(sets), total_jaccard(sets)
    assert 0 <= total <= average + 1e-12  # the intersection of all is the smaller, their union the larger
    assert average <= 1 + 1e-12
    assert average_jaccard(sets[::-1]) == pytest.approx(average)
    assert jaccard(sets[0], sets[1]) == jaccard(sets[1], sets[0]) == pytest.approx(average_jaccard(sets[:2]))
    assert average_jaccard([sets[0]] * 3) == total_jaccard([sets[0]] * 3) == 1


@pytest.mark.parametrize("index", [average_jaccard, total_jaccard])
def test_jaccard_errors(index: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match=r"^sets: .*two"):
        index([[1, 2]])
    with pytest.raises(ValueError, match=r"^sets: .*empty"):
        index([[], []])


@pytest.mark.parametrize(("k", "channels"), [(1, 1), (1, 4), (2, 4), (3, 5), (4, 6), (6, 6)])
def test_chance_jaccard_equals_enumeration(k: int, channels: int) -> None:
    subsets = [set(s) for s in itertools.combinations(range(channels), k)]
    mean = np.mean([len(a & b) / len(a | b) for a in subsets for b in subsets])
    assert chance_jaccard(k, channels) == pytest.approx(mean)


def test_chance_jaccard_for_the_papers_sizes() -> None:
    """51 of 512, against 4,000 random draws."""
    rng = np.random.default_rng(0)
    member = np.zeros((2, 4000, 512), dtype=bool)
    for sets in member:
        for row in sets:
            row[rng.choice(512, 51, replace=False)] = True
    drawn = (member[0] & member[1]).sum(1) / (member[0] | member[1]).sum(1)
    assert abs(chance_jaccard(51, 512) - drawn.mean()) < 4 * drawn.std() / 4000**0.5


@pytest.mark.parametrize(("k", "channels"), [(0, 5), (6, 5), (-1, 5)])
def test_chance_jaccard_errors(k: int, channels: int) -> None:
    with pytest.raises(ValueError, match=r"^k: "):
        chance_jaccard(k, channels)


# --- permutation tests ---


def test_permutation_tests_against_enumeration() -> None:
    """Two classes, pairs of neurons out of four: every draw and every order can be listed."""
    first, second, channels = [{0, 1}, {1, 2}], [{0, 1}, {2, 3}], 4
    found = permutation_test(first, second, channels, resamples=20000)
    mean = (1 + 1 / 3) / 2
    pairs = [set(pair) for pair in itertools.combinations(range(channels), 2)]
    drawn = [(jaccard(first[0], a) + jaccard(first[1], b)) / 2 for a in pairs for b in pairs]
    assert found.mean == pytest.approx(mean)
    assert found.p_neurons == pytest.approx(np.mean([value > mean - 1e-9 for value in drawn]), abs=0.01)
    assert found.p_shuffled_classes == pytest.approx(0.5, abs=0.01)  # in the other order, the mean is 1/6


def test_permutation_tests_separate_alike_for_all_from_alike_by_class() -> None:
    by_class = [set(range(5 * y, 5 * y + 5)) for y in range(8)]
    own = permutation_test(by_class, by_class, 100)
    assert own.mean == 1
    assert own.p_neurons == own.p_shuffled_classes == 1 / 10000  # never reached: the sets as they are count once
    same_for_all = permutation_test([{0, 1, 2}] * 8, [{0, 1, 2}] * 8, 100)
    assert same_for_all.p_neurons == 1 / 10000
    assert same_for_all.p_shuffled_classes == 1


def test_permutation_tests_of_random_sets_are_no_surprise() -> None:
    """Under the null hypothesis p-values are uniform: no more than the share they claim."""
    rng = np.random.default_rng(0)

    def random_sets() -> list[list[int]]:
        return [rng.choice(60, 12, replace=False).tolist() for _ in range(6)]

    found = [permutation_test(random_sets(), random_sets(), 60, resamples=199, seed=i) for i in range(200)]
    for values in ([each.p_neurons for each in found], [each.p_shuffled_classes for each in found]):
        assert 0.1 < np.mean(np.array(values) <= 0.2) < 0.3


@pytest.mark.parametrize(
    ("first", "second", "argument"),
    [([[1]], [[2]], "sets"), ([[1], [2]], [[1]] * 3, "first, second"), ([[1], [2, 3]], [[1], [2]], "first, second")],
)
def test_permutation_test_errors(first: list[list[int]], second: list[list[int]], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        permutation_test(first, second, 9)


# --- resampling errors ---


def test_index_errors_of_equal_blocks_are_zero() -> None:
    of_class = torch.rand(10, generator=torch.Generator().manual_seed(0))
    assert index_errors([of_class.expand(20, 10), of_class.flip(0).expand(20, 10)], 0.3) == (0, 0)


def test_index_errors_estimate_the_spread_between_data_sets() -> None:
    """What resampling one data set says, against the indices of many."""
    rng = np.random.default_rng(1)
    truth = np.linspace(1, 2, 40)
    indices, errors = [], []
    for _ in range(60):
        blocks = [torch.tensor(truth + rng.normal(scale=0.8, size=(20, 40))) for _ in range(4)]
        sets = [of_class.mean(0).topk(8).indices for of_class in blocks]
        indices.append((average_jaccard(sets), total_jaccard(sets)))
        errors.append(index_errors(blocks, fraction=0.2, resamples=60))
    spread, estimated = np.std(indices, axis=0), np.mean(errors, axis=0)
    assert (spread > 0.03).all()
    assert (estimated / spread > 0.6).all()
    assert (estimated / spread < 1.7).all()


def test_index_errors_wants_blocks() -> None:
    with pytest.raises(ValueError, match=r"^blocks: "):
        index_errors([torch.rand(1, 5), torch.rand(1, 5)], 0.2)


# --- what is no set of neurons ---

NO_SETS = [
    *("conv1", b"conv1", ["conv1"], 3, None),
    *(torch.tensor([True, False]), [True, False], np.array([True, False])),
    *([0.0, 1.0], torch.tensor([0.5]), torch.tensor([[0, 1]]), [[0, 1]], [-1, 0]),
]


@pytest.mark.parametrize("other", NO_SETS, ids=str)
def test_what_is_no_set_of_neurons_is_refused(other: Any) -> None:
    for call in (
        lambda: jaccard([0, 1], other),
        lambda: average_jaccard([other, [0]]),
        lambda: total_jaccard([other] * 2),
    ):
        with pytest.raises(ValueError, match=r"^sets: (expected sets of neurons|neurons are counted from 0)"):
            call()


@pytest.mark.parametrize("sets", ["conv1", {"conv1": [0], "conv2": [1]}, {1, 2}, torch.tensor([0, 1])])
def test_sets_come_in_a_list(sets: Any) -> None:
    for index in (average_jaccard, total_jaccard):
        with pytest.raises(ValueError, match=r"^sets: expected a list of sets"):
            index(sets)


@pytest.mark.parametrize(
    ("k", "channels", "name"), [(1.0, 5, "k"), (True, 5, "k"), (1, 0, "channels"), (1, 5.0, "channels")]
)
def test_chance_is_of_whole_numbers(k: Any, channels: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected an integer"):
        chance_jaccard(k, channels)


def test_a_permutation_test_needs_all_the_channels_that_the_sets_have() -> None:
    assert permutation_test([[0], [8]], [[0], [8]], 9, resamples=10).mean == 1
    with pytest.raises(ValueError, match=r"^channels: expected an integer >= 9 .*got 8"):
        permutation_test([[0], [8]], [[0], [8]], 8)


@pytest.mark.parametrize("fraction", [0, 1.5, float("nan"), True])
def test_index_errors_wants_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"^fraction: .*\(a share\)"):
        index_errors([torch.rand(4, 5)] * 2, fraction)

"""Splits are partitions, repeat, and keep the classes in proportion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import k_folds, split_indices
from chainrule.data.split import folds_in_time, split_in_time
from chainrule.errors import DataError

CLASSES = st.lists(st.integers(0, 4), min_size=12, max_size=200)
SEEDS = st.integers(-5, 2**70)


@given(st.integers(3, 300), SEEDS, st.floats(0.05, 0.9))
@settings(max_examples=100, deadline=None)
def test_parts_are_a_partition_of_the_right_sizes(n: int, seed: int, share: float) -> None:
    shares = (share, (1 - share) / 3, 2 * (1 - share) / 3)
    parts = split_indices(n, shares, seed)
    assert sorted(np.concatenate(parts)) == list(range(n))
    for part, fraction in zip(parts, shares, strict=True):
        assert len(part) >= 1
        assert abs(len(part) - fraction * n) < 2
        assert (np.diff(part) > 0).all()


@given(CLASSES, SEEDS)
@settings(max_examples=100, deadline=None)
def test_stratified_parts_hold_each_class_in_proportion(labels: list[int], seed: int) -> None:
    y = np.array(labels)
    parts = split_indices(len(y), (0.6, 0.2, 0.2), seed, stratify=y)
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    assert set(y[parts[0]]) == set(labels)
    exchanged = sum(labels.count(label) == 1 for label in set(labels))
    for label in set(labels):
        for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
            expected = share * labels.count(label)
            assert abs((y[part] == label).sum() - expected) <= 1.5 + exchanged


@given(CLASSES, SEEDS, st.integers(2, 6))
@settings(max_examples=100, deadline=None)
def test_folds_test_every_row_once_but_lonely_ones(labels: list[int], seed: int, k: int) -> None:
    y = np.array(labels)
    folds = k_folds(len(y), k, seed, stratify=y)
    tested = np.concatenate([test for _, test in folds])
    lonely = [i for i, label in enumerate(labels) if labels.count(label) == 1]
    assert sorted(tested) == sorted(set(range(len(y))) - set(lonely))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(y)))
        assert set(lonely) <= set(train)
        for label in set(labels):
            assert abs((y[test] == label).sum() - labels.count(label) / k) <= 1.5
    assert max(map(len, tests := [test for _, test in folds])) - min(map(len, tests)) <= 1


def test_the_seed_alone_decides() -> None:
    first = split_indices(1000, (0.7, 0.3), seed=3)
    again = split_indices(1000, (0.7, 0.3), seed=3)
    other = split_indices(1000, (0.7, 0.3), seed=4)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_the_same_rows_on_every_machine() -> None:
    """Philox is specified to the bit: see tests/utils/test_random.py."""
    keys = np.random.Philox(key=0).random_raw(10).tolist()
    order = sorted(range(10), key=keys.__getitem__)
    train, test = split_indices(10, (0.5, 0.5), seed=0)
    assert train.tolist() == sorted(order[::2])  # two equal parts take turns
    assert test.tolist() == sorted(order[1::2])


def test_labels_may_be_text() -> None:
    train, _ = split_indices(4, (0.5, 0.5), 0, stratify=["a", "b", "a", "b"])
    assert sorted(train % 2) == [0, 1]


def test_the_split_is_random_within_a_class() -> None:
    """Over seeds, every row is tested about as often as its share says."""
    times = np.zeros(20)
    for seed in range(400):
        times[split_indices(20, (0.75, 0.25), seed, stratify=[0] * 15 + [1] * 5)[1]] += 1
    # 400 draws at 1/4: mean 100, standard deviation 8.7. Five of them is one in a million.
    assert (np.abs(times - 100) < 45).all()


@pytest.mark.parametrize(
    ("n", "shares", "message"),
    [
        (1, (0.8, 0.2), "1 row cannot be split into 2 parts"),
        (0, (1.0,), "0 rows cannot be split"),
        (10, (0.8, 0.3), "add up to 1"),
        (10, (1.5, -0.5), "fractions from 0 to 1"),
        (10, (float("nan"), 1.0), "fractions from 0 to 1"),
        (10, (0.0, 1.0), "the first (training) above 0"),
        (10, (), "none"),
    ],
)
def test_impossible_splits(n: int, shares: tuple[float, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        split_indices(n, shares, 0)
    assert message in str(caught.value)


def test_more_classes_than_training_rows() -> None:
    with pytest.raises(DataError, match="too small to hold every class"):
        split_indices(6, (0.34, 0.66), 0, stratify=range(6))
    with pytest.raises(DataError, match="one class for each of 6 rows"):
        split_indices(6, (0.5, 0.5), 0, stratify=[0, 1])


@pytest.mark.parametrize(("n", "k"), [(3, 4), (3, 1), (3, 0), (1, 2), (0, 2)])
def test_impossible_folds(n: int, k: int) -> None:
    with pytest.raises(DataError, match="cannot be split into") as caught:
        k_folds(n, k, 0)
    assert "hint" in str(caught.value)


def test_lonely_rows_are_said_where_they_leave_too_few() -> None:
    with pytest.raises(DataError, match="only one of their class"):
        k_folds(4, 3, 0, stratify=[0, 0, 1, 2])


GROUPS = st.lists(st.integers(0, 12), min_size=30, max_size=200).filter(lambda g: len(set(g)) > 5)


@given(GROUPS, SEEDS)
@settings(max_examples=50, deadline=None)
def test_a_group_is_in_one_part_only(groups: list[int], seed: int) -> None:
    g = np.array(groups)
    parts = split_indices(len(g), (0.7, 0.2, 0.1), seed, groups=g)
    assert sorted(np.concatenate(parts)) == list(range(len(g)))
    assert all(len(part) for part in parts)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(g[parts[one]]) & set(g[parts[other]])
    tests = [test for _, test in k_folds(len(g), 3, seed, groups=g)]
    assert sorted(np.concatenate(tests)) == list(range(len(g)))
    assert all(not set(g[tests[0]]) & set(g[tests[i]]) for i in (1, 2))


def test_whole_groups_meet_fractions_and_classes_closely() -> None:
    g = np.random.default_rng(0).integers(0, 200, 2000)
    y = g % 4 == 0
    train, test = split_indices(2000, (0.8, 0.2), 1, y, groups=g)
    assert len(test) == pytest.approx(400, abs=15)
    assert y[test].mean() == pytest.approx(y.mean(), abs=0.03)
    assert y[train].mean() == pytest.approx(y.mean(), abs=0.03)


def test_groups_of_one_row_change_nothing() -> None:
    y = np.arange(50) % 3
    plain, grouped = (split_indices(50, (0.8, 0.2), 7, y, groups=g) for g in (None, np.arange(50)))
    assert all((a == b).all() for a, b in zip(plain, grouped, strict=True))


def test_a_class_of_one_group_is_trained_on() -> None:
    g = np.repeat(np.arange(10), 3)
    y = (g == 4).astype(int)
    for seed in range(5):
        assert y[split_indices(30, (0.5, 0.5), seed, y, groups=g)[0]].any()
        assert not any(y[test].any() for _, test in k_folds(30, 4, seed, y, groups=g))


@pytest.mark.parametrize(
    ("groups", "classes", "message"),
    [
        ([0] * 9, None, "1 group of rows cannot be split"),
        ([0] * 5 + [1] * 4, [0] * 5 + [1] * 4, "cannot be split so that every class"),
        ([0, 1], None, "do not fit the rows"),
    ],
)
def test_groups_that_cannot_be_split(groups: list, classes: list | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_indices(9, (0.8, 0.2), 0, classes, groups=groups)


@given(st.lists(st.integers(0, 30), min_size=12).filter(lambda t: len(set(t)) > 4))
@settings(max_examples=50, deadline=None)
def test_what_comes_later_is_in_a_later_part(times: list[int]) -> None:
    t = np.array(times, float)
    parts = split_in_time(t, (0.6, 0.2, 0.2))
    assert sorted(np.concatenate(parts)) == list(range(len(t)))
    assert t[parts[0]].max() < t[parts[1]].min()
    assert t[parts[1]].max() < t[parts[2]].min()
    for train, test in folds_in_time(t, 3):
        assert t[train].max() < t[test].min()


def test_times_in_any_order_and_missing_ones() -> None:
    t = np.random.default_rng(0).permutation(100).astype(float)
    t[t == 99] = np.nan
    train, test = split_in_time(t, (0.8, 0.2))
    assert len(test) == 20
    assert np.isnan(t[train]).sum() == 1
    assert t[test].min() == 79
    with pytest.raises(DataError, match="cannot be split in time"):
        split_in_time([1.0, 1.0, np.nan], (0.5, 0.5))

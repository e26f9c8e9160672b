"""Wrong labels are found by out-of-fold probabilities."""

import numpy as np
import pytest

from chainrule.doctor import suspects
from chainrule.errors import DataError


def clouds(seed, rows=600, classes=3, wrong=0.1):
    """Points of three clouds, their true probabilities, labels of which some are wrong."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    centres = np.array([[0, 0], [4, 0], [0, 4]], float)
    x = centres[y] + rng.normal(0, 1, (rows, 2))
    density = np.exp(-((x[:, None] - centres) ** 2).sum(axis=2) / 2)
    p = density / density.sum(axis=1, keepdims=True)
    labels, bad = y.copy(), rng.random(rows) < wrong
    labels[bad] = (labels[bad] + rng.integers(1, classes, bad.sum())) % classes
    return labels, 0.9 * p + 0.1 / classes, bad, y


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_are_found(seed):
    labels, p, bad, y = clouds(seed)
    found = suspects(labels, p)
    hit = bad[found.rows]
    assert hit.mean() > 0.8
    assert hit.sum() > 0.8 * bad.sum()
    assert (found.given == labels[found.rows]).all()
    assert (found.likely[hit] == y[found.rows][hit]).mean() > 0.95
    assert (np.diff(found.sure) <= 0).all()
    assert found.noise == pytest.approx(bad.mean(), abs=0.04)


def test_right_labels_are_left_alone():
    labels, p, _, _ = clouds(0, wrong=0.0)
    assert len(suspects(labels, p)) < 0.03 * len(labels)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(DataError, match="do not fit"):
        suspects([0, 1], np.ones((3, 2)) / 2)
    with pytest.raises(DataError, match="no probabilities"):
        suspects([0, 5], np.ones((2, 2)) / 2)

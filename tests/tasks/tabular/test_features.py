"""Preprocessing as part of the graph, against arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chainrule.data import infer_schema, read_table
from chainrule.engine.tensor import as_tensor
from chainrule.tasks.scaling import TargetScaler
from chainrule.tasks.tabular.features import (
    CategoryVectors,
    TableFeatures,
    _Curves,
    columns_by_kind,
    embedding_width,
    side_by_side,
)


def features_of(columns, rows=None, bins=0, kinds=None):
    table = read_table({**columns, "target": list(range(len(next(iter(columns.values())))))})
    schema = infer_schema(table, "target", kinds=kinds, task="regression").fit(table)
    module = TableFeatures(schema, bins)
    found = module(columns_by_kind(schema.encode(read_table(rows or columns))))
    vectors = CategoryVectors(module.learned, 0) if module.learned else None
    return side_by_side(found, vectors, None).numpy()


def test_numbers_are_standardised():
    x = [1.5, 2.5, 3.5, 9.5]
    expected = (np.array(x) - np.mean(x)) / np.std(x)
    np.testing.assert_allclose(features_of({"x": x})[:, 0], expected, rtol=1e-6)


def test_what_lies_far_out_is_cut_off():
    x = list(np.linspace(0.5, 1.5, 20))
    assert features_of({"x": x}, {"x": [1e9, -1e9]})[:, 0].tolist() == [10, -10]


def test_missing_numbers_get_the_median_and_a_sign():
    x = [1.5, 2.5, None, 10.5]
    found = features_of({"x": x})
    known = np.array([1.5, 2.5, 10.5])
    assert found[2, 0] == pytest.approx((2.5 - known.mean()) / known.std(), rel=1e-6)
    assert found[:, 1].tolist() == [0, 0, 1, 0]


def test_a_number_that_is_missing_only_in_prediction_is_the_median():
    x = [1.5, 2.5, 10.5, 11.5]
    found = features_of({"x": x}, {"x": [None]})
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx((6.5 - np.mean(x)) / np.std(x), rel=1e-6)


def test_piecewise_encoding_is_linear_between_quantiles():
    """With the edges 0, 1, 3, 7: x = 2 fills the first piece, half of the second, no third."""
    x = [0.0, 1.0, 3.0, 7.0]
    found = features_of({"x": x}, {"x": [2.0, -5.0, 50.0]}, bins=64, kinds={"x": "numeric"})
    pieces = found[:, 1:]
    assert np.all(np.diff(pieces, axis=1) <= 1e-7)  # earlier pieces are filled first
    assert pieces[1].tolist() == [0] * pieces.shape[1]
    assert pieces[2].tolist() == [1] * pieces.shape[1]
    quantiles = np.unique(np.quantile(x, np.arange(65) / 64))
    expected = np.clip((2.0 - quantiles[:-1]) / np.diff(quantiles), 0, 1)
    np.testing.assert_allclose(pieces[0], expected, atol=1e-6)


def test_curves_of_several_columns_are_interpolated_each_by_its_own_points():
    draw = np.random.default_rng(0)
    curves = [(np.sort(draw.lognormal(size=n)), draw.normal(size=n)) for n in (2, 40, 11)]
    x = draw.lognormal(size=(200, 3), sigma=2)
    x[:40, 1] = curves[1][0]  # the points themselves
    x[0] = -5.0
    expected = np.stack([np.interp(x[:, i], *each) for i, each in enumerate(curves)], 1)
    np.testing.assert_allclose(_Curves(curves)(as_tensor(x)).numpy(), expected, rtol=1e-12)


def test_categories_are_one_hot_and_unseen_ones_are_nothing():
    found = features_of({"c": ["a", "b", "a", "b", "a"]}, {"c": ["b", "a", "new", None]})
    assert found.tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]


def test_many_categories_get_learned_vectors():
    names = [f"city {i % 300}" for i in range(900)]
    found = features_of({"c": names}, kinds={"c": "category"})
    assert found.shape == (900, embedding_width(301))


def test_dates_know_their_place_in_the_year_and_the_week():
    days = ["2024-01-01", "2024-03-05", "2024-07-01", "2024-12-30"]  # Mon, Tue, Mon, Mon
    found = features_of({"d": days})
    assert found.shape == (4, 8)
    weekday = found[:, 4:6]
    np.testing.assert_allclose(weekday[0], weekday[2], atol=1e-6)
    assert not np.allclose(weekday[0], weekday[1], atol=0.1)
    turn = 2 * math.pi / 365.2425
    difference = np.unwrap(np.arctan2(found[:, 2], found[:, 3]))
    np.testing.assert_allclose(np.diff(difference) % (2 * math.pi),
                               np.array([64, 118, 182]) * turn, rtol=1e-4)  # fmt: skip


def test_skewed_targets_are_learned_by_their_logarithm():
    y = np.exp(np.random.default_rng(0).normal(10, 1, 500))
    scale = TargetScaler().fit(y)
    assert scale.log
    back = scale(scale.transform(y)).numpy()
    np.testing.assert_allclose(back, y, rtol=1e-5)
    t = scale.transform(y)
    assert (abs(t.mean()), t.std()) == pytest.approx((0, 1), abs=1e-5)


def test_symmetric_or_negative_targets_are_not():
    y = np.random.default_rng(0).normal(0, 5, 500)
    scale = TargetScaler().fit(y)
    assert not scale.log
    np.testing.assert_allclose(scale(scale.transform(y)).numpy(), y, atol=1e-5)


def test_an_exponential_cannot_run_away():
    y = np.exp(np.random.default_rng(0).normal(0, 1, 500))
    assert TargetScaler().fit(y)(np.array([1e6], np.float32)).item() < 10 * y.max()

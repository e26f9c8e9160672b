"""Metrics equal scikit-learn's."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import metrics
from chainrule.errors import ConfigError, DataError, ShapeError

#: Each comparison costs milliseconds in scikit-learn; tests are not timed.
CHECK = settings(max_examples=40, deadline=None)


def exactly(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@st.composite
def values(draw, outputs=(None,)):
    """Targets and predictions of a few distinct sizes, and weights or none."""
    n, k = draw(st.integers(2, 12)), draw(st.sampled_from(outputs))
    shape = (n,) if k is None else (n, k)
    numbers = st.lists(
        st.one_of(st.integers(-3, 3).map(float), st.floats(-100, 100).map(lambda x: round(x, 3))),
        min_size=math.prod(shape),
        max_size=math.prod(shape),
    )
    target, prediction = (np.array(draw(numbers)).reshape(shape) for _ in range(2))
    return target, prediction, draw(weights(n))


def weights(n: int) -> Any:
    some = st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)
    return st.one_of(st.none(), some.map(lambda w: np.array(w, dtype=float)))


@st.composite
def labels(draw, classes=4):
    n = draw(st.integers(1, 15))
    one = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)
    return np.array(draw(one)), np.array(draw(one)), draw(weights(n))


@st.composite
def scores(draw, classes):
    """Class indices, and probabilities with many ties."""
    n = draw(st.integers(2, 15))
    target = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    raw = draw(st.lists(st.integers(0, 4), min_size=n * classes, max_size=n * classes))
    p = np.array(raw).reshape(n, classes) + 0.25
    return target, p / p.sum(axis=1, keepdims=True), draw(weights(n))


def quiet(function: Any, *arguments: Any, **options: Any) -> Any:
    """scikit-learn's result without its warnings of what is not defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


# ---- values --------------------------------------------------------------------------------------

REGRESSION: dict[str, Any] = {
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
}


@pytest.mark.parametrize("name", REGRESSION)
@CHECK
@given(data=values(outputs=(None, 1, 3)))
def test_regression(name, data):
    target, prediction, w = data
    if w is not None and len(set(target[w > 0].ravel())) < 2:
        w = None  # scikit-learn rounds the spread of a constant target differently
    expected = quiet(REGRESSION[name], target, prediction, sample_weight=w)
    found = metrics.METRICS[name].function(target, prediction, sample_weights=w)
    if name in ("r2", "explained_variance") and abs(expected) > 1e6:
        return  # a spread of almost 0 leaves nothing but rounding
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)


@CHECK
@given(values())
def test_median_and_maximum(data):
    target, prediction, _ = data
    assert metrics.median_ae(target, prediction) == sk.median_absolute_error(target, prediction)
    assert metrics.max_error(target, prediction) == sk.max_error(target, prediction)


def test_constant_target():
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert metrics.r2([2.0, 2.0], [2.0, 3.0]) == 0.0


# ---- classes -------------------------------------------------------------------------------------

CLASSIFICATION: dict[str, Any] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "matthews": sk.matthews_corrcoef,
}


@pytest.mark.parametrize("name", CLASSIFICATION)
@CHECK
@given(data=labels())
def test_classification(name, data):
    target, prediction, w = data
    expected = quiet(CLASSIFICATION[name], target, prediction, sample_weight=w)
    if name == "balanced_accuracy" and w is not None:
        target, prediction, w = (x[w > 0] for x in (target, prediction, w))
        expected = quiet(sk.balanced_accuracy_score, target, prediction, sample_weight=w)
    found = metrics.METRICS[name].function(target, prediction, sample_weights=w)
    assert found == exactly(expected)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@CHECK
@given(data=labels())
def test_precision_recall_f1(name, average, data):
    target, prediction, w = data
    reference = getattr(sk, f"{name}_score")
    expected = reference(target, prediction, average=average, sample_weight=w, zero_division=0.0)
    function = getattr(metrics, name)
    found = function(target, prediction, average=average, sample_weights=w)
    assert found == exactly(expected)
    named = metrics.METRICS[f"{name}_{average}"].function(target, prediction, sample_weights=w)
    assert named == found


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
@CHECK
@given(data=labels(classes=2))
def test_two_classes(name, data):
    target, prediction, w = data
    reference = getattr(sk, f"{name}_score")
    expected = reference(target, prediction, sample_weight=w, zero_division=0.0)
    for average in ("auto", "binary"):
        found = getattr(metrics, name)(target, prediction, average=average, sample_weights=w)
        assert found == exactly(expected)


def test_auto_is_macro_of_other_labels():
    target, prediction = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1])
    assert metrics.f1(target, prediction) == metrics.f1(target, prediction, average="macro")


def test_labels_may_be_text():
    target, prediction = ["no", "yes", "yes", "no"], ["no", "yes", "no", "no"]
    assert metrics.accuracy(target, prediction) == 0.75
    assert metrics.recall(target, prediction, average="binary", positive="yes") == 0.5
    assert metrics.f1(target, prediction) == pytest.approx(
        sk.f1_score(target, prediction, average="macro")
    )


@CHECK
@given(labels())
def test_confusion_matrix(data):
    target, prediction, w = data
    found = metrics.confusion_matrix(target, prediction, sample_weights=w)
    np.testing.assert_array_equal(
        found, quiet(sk.confusion_matrix, target, prediction, sample_weight=w)
    )
    order = [3, 0, 2]
    if np.isin(target, order).any():
        np.testing.assert_array_equal(
            metrics.confusion_matrix(target, prediction, labels=order),
            sk.confusion_matrix(target, prediction, labels=order),
        )
    assert found.dtype == (np.int64 if w is None else np.float64)


# ---- probabilities -------------------------------------------------------------------------------


def both_classes(target: Any, w: Any) -> bool:
    seen = target if w is None else target[w > 0]
    return len(np.unique(seen)) > 1


@CHECK
@given(scores(2))
def test_two_classes_of_probabilities(data):
    target, p, w = data
    if both_classes(target, w):
        expected = {
            "roc_auc": sk.roc_auc_score(target, p[:, 1], sample_weight=w),
            "average_precision": sk.average_precision_score(target, p[:, 1], sample_weight=w),
        }
    else:
        expected = {}
        assert math.isnan(metrics.roc_auc(target, p[:, 1], sample_weights=w))
    expected["log_loss"] = sk.log_loss(target, p, sample_weight=w, labels=[0, 1])
    expected["brier"] = sk.brier_score_loss(target, p[:, 1], sample_weight=w, pos_label=1)
    for name, value in expected.items():
        for given_as in (p[:, 1], p[:, 1:], p):
            found = metrics.METRICS[name].function(target, given_as, sample_weights=w)
            assert found == exactly(value)


@CHECK
@given(scores(3))
def test_several_classes_of_probabilities(data):
    target, p, w = data
    weight = np.ones(len(target)) if w is None else w
    one_hot = np.eye(3)[target]
    areas, precisions = [], []
    for k in range(3):
        if both_classes(target == k, w):
            areas.append(sk.roc_auc_score(target == k, p[:, k], sample_weight=w))
        if (weight[target == k] > 0).any():
            precisions.append(sk.average_precision_score(target == k, p[:, k], sample_weight=w))
    if len(areas) == 3:
        expected = sk.roc_auc_score(target, p, multi_class="ovr", sample_weight=w)
        assert np.mean(areas) == exactly(expected)
    if areas:
        found = metrics.roc_auc(target, p, sample_weights=w)
        assert found == exactly(np.mean(areas))
    assert metrics.average_precision(target, p, sample_weights=w) == exactly(np.mean(precisions))
    assert metrics.log_loss(target, p, sample_weights=w) == exactly(
        sk.log_loss(target, p, sample_weight=w, labels=[0, 1, 2])
    )
    brier = np.average(((p - one_hot) ** 2).sum(axis=1), weights=weight)
    assert metrics.brier(target, p, sample_weights=w) == exactly(brier)
    for k in (1, 2):
        expected = sk.top_k_accuracy_score(target, p, k=k, labels=[0, 1, 2], sample_weight=w)
        assert metrics.top_k_accuracy(target, p, k=k, sample_weights=w) == exactly(expected)


@CHECK
@given(scores(2))
def test_area_is_the_probability_of_the_right_order(data):
    """By its definition, pair by pair."""
    target, p, _ = data
    score = p[:, 1]
    pairs = [(a > b) + (a == b) / 2 for a in score[target == 1] for b in score[target == 0]]
    found = metrics.roc_auc(target, score)
    assert math.isnan(found) if not pairs else found == exactly(np.mean(pairs))


def test_certain_and_wrong_is_finite():
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(np.finfo(np.float64).eps))
    single = metrics.log_loss([1], np.array([0.0], dtype=np.float32))
    assert single == pytest.approx(-math.log(np.finfo(np.float32).eps))


def test_scores_that_are_not_numbers():
    assert math.isnan(metrics.roc_auc([0, 1], [0.5, math.nan]))


@pytest.mark.parametrize("wrong", [[0, 2], [0.5, 1], ["a", "b"], [-1, 0]])
def test_targets_must_be_class_indices(wrong):
    with pytest.raises(DataError, match="class indices"):
        metrics.roc_auc(wrong, [0.1, 0.2])


def test_logits_are_not_probabilities():
    with pytest.raises(DataError, match="probabilities") as caught:
        metrics.log_loss([0, 1], [[2.0, -1.0], [0.0, 1.0]])
    assert "softmax" in str(caught.value)


# ---- by name -------------------------------------------------------------------------------------


def test_compute_makes_classes():
    target = np.array([0, 1, 1, 0])
    p = np.array([0.2, 0.7, 0.5, 0.6])
    for prediction in (p, p[:, None], np.stack([1 - p, p], axis=1), np.array([0, 1, 0, 1])):
        assert metrics.compute("accuracy", target[:, None], prediction) == 0.5
    three = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    assert metrics.compute("accuracy", [2, 1], three) == 0.5
    assert metrics.compute("roc_auc", target, p) == 0.75
    assert metrics.compute("mse", [[1.0], [3.0]], [1.0, 1.0]) == 2.0
    assert metrics.compute("accuracy", target, p, sample_weights=[1, 0, 0, 3]) == 0.25
    with pytest.raises(ConfigError, match="Unknown metric"):
        metrics.compute("acuracy", target, p)


PERFECT: dict[str, Any] = {
    "values": ([1.0, 2.0, 4.0], [1.0, 2.0, 4.0]),
    "classes": ([0, 1, 2], [0, 1, 2]),
    "probabilities": ([0, 1, 2], np.eye(3)),
    "texts": (["a red cat sat", ("x", "one two three four"), "c"], ["a red cat sat", "x", "c"]),
}
WORSE: dict[str, Any] = {
    "values": ([1.0, 2.0, 4.0], [2.0, 2.0, -3.0]),
    "classes": ([0, 1, 2], [1, 0, 2]),
    "probabilities": ([0, 1, 2], np.roll(np.eye(3), 1, axis=0)),
    "texts": (["a red cat sat", "one two three four", "c"], ["a cat", "y y", "z"]),
}


@pytest.mark.parametrize("name", metrics.METRICS)
def test_directions_and_kinds(name):
    metric = metrics.METRICS[name]
    good, bad = (metric.function(*example[metric.kind]) for example in (PERFECT, WORSE))
    assert isinstance(good, float)
    if name.startswith("top_"):
        return  # of three classes the three best are always right
    assert good > bad if metric.higher_is_better else good < bad
    best = 100.0 if name in ("bleu", "chrf") else 1.0
    assert good == pytest.approx(best if metric.higher_is_better else 0.0, abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_wrong_shapes(name):
    metric = metrics.METRICS[name]
    target, prediction = PERFECT[metric.kind]
    with pytest.raises(ShapeError):
        metric.function(target[:2], prediction)
    with pytest.raises(DataError, match="at least one row"):
        metric.function(target[:0], prediction[:0])
    if metric.weighted:
        with pytest.raises(ShapeError, match="one sample weight"):
            metric.function(target, prediction, sample_weights=[1.0])
        with pytest.raises(DataError, match="at least 0"):
            metric.function(target, prediction, sample_weights=[0.0, 0.0, 0.0])


def test_a_column_is_a_vector():
    assert metrics.r2([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0]) == metrics.r2(
        [1.0, 2.0, 4.0], [1.0, 2.0, 3.0]
    )


def test_tensors_are_taken():
    assert metrics.mae(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0])) == 1.0


def test_unknown_average():
    with pytest.raises(ConfigError, match="average"):
        metrics.f1([0], [0], average="mean")
    with pytest.raises(ConfigError, match="k must"):
        metrics.top_k_accuracy([0], [[1.0, 0.0]], k=0)


@pytest.mark.parametrize("constant", [0.1, 1e8 + 0.1, -7.0])
def test_of_a_constant_target_nothing_is_explained(constant):
    """Sums of equal numbers are rounded, so that their mean is another number."""
    target = np.full((3, 2), constant)
    wrong = target + np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.1]])
    assert metrics.r2(target, target) == 1.0
    assert metrics.r2(target, wrong) == 0.5
    assert metrics.explained_variance(target, wrong) == 0.5
    assert metrics.explained_variance(target[:, 0], np.full(3, 0.5)) == 1.0
    varied = np.array([constant, constant, constant, 99.0])
    weights = [1.0, 1.0, 1.0, 0.0]
    assert (
        metrics.r2(varied, varied + np.array([0.0, 0.0, 0.1, 0.0]), sample_weights=weights) == 0.0
    )


@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1e160, 1e300])
def test_metrics_of_numbers_whose_squares_are_none(factor: float) -> None:
    target, wrong = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    for metric in (metrics.r2, metrics.explained_variance):
        assert metric(factor * target, factor * wrong) == pytest.approx(metric(target, wrong))
    found = metrics.rmse(factor * target, factor * wrong)
    assert found / factor == pytest.approx(1 / np.sqrt(3))

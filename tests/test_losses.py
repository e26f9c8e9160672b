"""Losses; their values and gradients are compared with PyTorch's in test_references.py."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import losses
from chainrule.errors import ConfigError, DataError, ShapeError, TypeRuleError

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(4, 3))
POSITIVE = RNG.uniform(0.3, 2.0, (4, 3))
COUNTS = RNG.integers(0, 4, (4, 3))
LABELS = RNG.integers(0, 2, (4, 3))
CLASSES = np.array([0, 2, 1, 2])
SIGNS = 2 * LABELS - 1
SOFT = RNG.dirichlet([1.0, 1.0, 1.0], 4)
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0])

#: A loss of two inputs with options, its prediction and its target.
EXAMPLES: dict[str, Any] = {
    "mse": (losses.mse, NUMBERS, POSITIVE),
    "mae": (losses.mae, NUMBERS, POSITIVE),
    "huber": (partial(losses.huber, delta=0.7), NUMBERS, POSITIVE),
    "smooth_l1": (partial(losses.smooth_l1, beta=0.7), NUMBERS, POSITIVE),
    "log_cosh": (losses.log_cosh, NUMBERS, POSITIVE),
    "msle": (losses.msle, POSITIVE, POSITIVE[::-1]),
    "mape": (losses.mape, NUMBERS, POSITIVE),
    "quantile": (partial(losses.quantile, q=0.8), NUMBERS, POSITIVE),
    "poisson_nll": (partial(losses.poisson_nll, full=True), NUMBERS, COUNTS),
    "cosine": (losses.cosine, NUMBERS, POSITIVE),
    "binary_cross_entropy": (
        partial(losses.binary_cross_entropy, pos_weight=1.7, label_smoothing=0.1),
        NUMBERS,
        LABELS,
    ),
    "focal": (losses.focal, NUMBERS, LABELS),
    "multilabel_soft_margin": (losses.multilabel_soft_margin, NUMBERS, LABELS),
    "multilabel_margin": (losses.multilabel_margin, NUMBERS, LABELS),
    "dice": (losses.dice, NUMBERS, LABELS),
    "cross_entropy": (
        partial(losses.cross_entropy, class_weights=[1.0, 2.0, 0.5], label_smoothing=0.1),
        NUMBERS,
        CLASSES,
    ),
    "nll": (losses.nll, -POSITIVE, CLASSES),
    "kl_div": (losses.kl_div, -POSITIVE, SOFT),
    "arcface": (partial(losses.arcface, scale=4.0), np.tanh(NUMBERS), CLASSES),
    "multi_margin": (losses.multi_margin, NUMBERS, CLASSES),
    "hinge": (losses.hinge, NUMBERS, SIGNS),
    "squared_hinge": (losses.squared_hinge, NUMBERS, SIGNS),
    "soft_margin": (losses.soft_margin, NUMBERS, SIGNS),
    "hinge_embedding": (losses.hinge_embedding, POSITIVE, SIGNS),
}
EVERY = pytest.mark.parametrize("name", EXAMPLES)


def test_every_named_loss_is_tried():
    assert set(EXAMPLES) == set(losses.LOSSES)


@EVERY
def test_gradients(name):
    loss, prediction, target = EXAMPLES[name]
    cr.check_grad(lambda p: loss(p, cr.tensor(target)), prediction)
    weighted = partial(loss, sample_weights=WEIGHTS)
    cr.check_grad(lambda p: weighted(p, cr.tensor(target)), prediction)


def test_gradients_of_losses_of_three_inputs():
    a, b, c = (RNG.normal(size=(4, 3)) for _ in range(3))
    signs = cr.tensor([1, -1, -1, 1])
    cr.check_grad(losses.gaussian_nll, a, b, POSITIVE)
    cr.check_grad(partial(losses.triplet_margin, margin=3.0), a, b, c)
    cr.check_grad(partial(losses.triplet_margin, margin=3.0, order=3, swap=True), a, b, c)
    cr.check_grad(losses.nt_xent, a, b)
    cr.check_grad(lambda a, b: losses.cosine_embedding(a, b, signs, margin=-0.9), a, b)
    cr.check_grad(lambda a, b: losses.margin_ranking(a, b, signs, margin=0.5), a[:, 0], b[:, 0])


@EVERY
def test_compiled_is_eager(name):
    loss, prediction, target = EXAMPLES[name]
    run = partial(loss, sample_weights=WEIGHTS)
    np.testing.assert_array_equal(
        cr.compile(run, backend="numpy")(prediction, target).numpy(),
        run(prediction, target).numpy(),
    )


@EVERY
def test_reductions(name):
    """Rows of weight 0 count for nothing, and equal weights change nothing."""
    loss, prediction, target = EXAMPLES[name]
    each = loss(prediction, target, reduction="none").numpy()
    assert each.shape[0] == 4
    assert loss(prediction, target, reduction="sum").item() == pytest.approx(each.sum())
    mean = loss(prediction, target).item()
    assert loss(prediction, target, sample_weights=np.full(4, 3.0)).item() == pytest.approx(mean)
    some = np.array([1, 0, 1, 1])
    kept = loss(prediction[some == 1], target[some == 1]).item()
    assert loss(prediction, target, sample_weights=some).item() == pytest.approx(kept)
    doubled = loss(prediction[[0, 0, 1]], target[[0, 0, 1]]).item()
    assert loss(
        prediction, target, sample_weights=np.array([2.0, 1.0, 0.0, 0.0])
    ).item() == pytest.approx(doubled)


@EVERY
def test_rows_without_weight_have_no_loss_and_no_gradient(name):
    loss, prediction, target = EXAMPLES[name]
    value, gradient = cr.value_and_grad(
        lambda p: loss(p, cr.tensor(target), sample_weights=np.zeros(4))
    )(cr.tensor(prediction))
    assert value.item() == 0
    assert not gradient.numpy().any()


@EVERY
def test_large_numbers_stay_finite(name):
    loss, prediction, target = EXAMPLES[name]
    if name in ("poisson_nll", "nll", "kl_div"):
        pytest.skip("they take logarithms, of which e^x is meant")
    if name == "arcface":
        pytest.skip("cosines are at most 1")
    large = 1e4 * np.abs(prediction) if name == "msle" else 1e4 * prediction
    value, gradient = cr.value_and_grad(lambda p: loss(p, cr.tensor(target)))(
        cr.tensor(large, "float32")
    )
    assert np.isfinite(value.item())
    assert np.isfinite(gradient.numpy()).all()


@EVERY
def test_wrong_arguments(name):
    loss, prediction, target = EXAMPLES[name]
    with pytest.raises(ConfigError, match="reduction"):
        loss(prediction, target, reduction="average")
    with pytest.raises(ShapeError):
        loss(prediction, target[:3])
    with pytest.raises(ShapeError, match="no samples"):
        loss(prediction[:0], target[:0])
    with pytest.raises(ShapeError, match="sample weights"):
        loss(prediction, target, sample_weights=np.ones(3))
    with pytest.raises(DataError, match="negative"):
        loss(prediction, target, sample_weights=np.array([1.0, -1.0, 1.0, 1.0]))


# ---- shapes: nothing is broadcast ----------------------------------------------------------------

SIMPLE = pytest.mark.parametrize("loss", [losses.mse, losses.mae, losses.huber, losses.quantile])


@SIMPLE
def test_a_column_goes_with_a_vector(loss):
    p, t = np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.5, 1.0])
    expected = loss(p, t).item()
    assert loss(p[:, None], t).item() == expected
    assert loss(p, t[:, None]).item() == expected
    assert loss(p[:, None], t[:, None]).item() == expected
    assert loss(p[:, None], t, sample_weights=np.ones((3, 1))).item() == expected
    assert loss(p[:, None], t, reduction="none").shape == (3,)


@SIMPLE
@pytest.mark.parametrize("shape", [(), (1,), (1, 3), (3, 3), (4,), (3, 1, 1)])
def test_other_shapes_are_errors(loss, shape):
    with pytest.raises(ShapeError, match="differ in shape"):
        loss(np.ones(3), np.ones(shape))


def test_the_target_takes_the_type_of_the_prediction():
    loss = losses.mse(cr.ones(3), np.ones(3, dtype=np.float64))
    assert loss.dtype == np.float32
    assert losses.mse(cr.ones(3), np.array([1, 2, 3])).dtype == np.float32
    assert losses.cross_entropy(cr.ones((2, 3)), SOFT[:2]).dtype == np.float32


def test_weights_of_rows_and_of_numbers():
    p, t = np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])
    assert losses.mse(p, t, sample_weights=[1.0, 3.0]).item() == (1 + 4 + 27 + 48) / 8
    each = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert losses.mse(p, t, sample_weights=each).item() == (1 + 16) / 2


# ---- targets -------------------------------------------------------------------------------------


def test_class_indices_out_of_range_are_named():
    with pytest.raises(DataError) as caught:
        losses.cross_entropy(NUMBERS, np.array([0, 1, 3, 2]))
    assert caught.value.found == "3 at [2]"
    assert str(caught.value.expected).startswith("0 to 2")
    with pytest.raises(DataError):
        losses.cross_entropy(NUMBERS, np.array([0, 1, -1, 2]))


def test_class_indices_are_integers():
    with pytest.raises(TypeRuleError, match="must be integers"):
        losses.cross_entropy(NUMBERS, CLASSES.astype(float))


def test_one_hot_integers_are_refused_with_a_hint():
    with pytest.raises(ShapeError) as caught:
        losses.cross_entropy(NUMBERS, np.eye(3, dtype=int)[CLASSES])
    assert "floating-point" in str(caught.value)


def test_one_hot_targets_are_class_indices():
    one_hot = np.eye(3)[CLASSES]
    for smoothing in (0.0, 0.2):
        a, b = (losses.cross_entropy(NUMBERS, t, label_smoothing=smoothing).item()
                for t in (CLASSES, one_hot))  # fmt: skip
        assert a == pytest.approx(b)


def test_a_column_of_class_indices():
    expected = losses.cross_entropy(NUMBERS, CLASSES).item()
    assert losses.cross_entropy(NUMBERS, CLASSES[:, None]).item() == expected


def test_scores_of_one_class_only():
    with pytest.raises(ShapeError, match="one class only") as caught:
        losses.cross_entropy(NUMBERS[:, :1], CLASSES)
    assert "binary_cross_entropy" in str(caught.value)


def test_two_columns_for_binary_cross_entropy():
    with pytest.raises(ShapeError) as caught:
        losses.binary_cross_entropy(NUMBERS[:, :2], np.array([0, 1, 1, 0]))
    assert "cross_entropy" in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (losses.binary_cross_entropy, [0.0, 1.5]),
        (losses.binary_cross_entropy, [0.0, math.nan]),
        (losses.focal, [0.0, 0.5]),
        (losses.hinge, [0, 1]),
        (losses.poisson_nll, [1.0, -1.0]),
        (losses.msle, [1.0, -1.0]),
    ],
)
def test_targets_outside_of_what_is_meant(loss, target):
    with pytest.raises(DataError, match=r"at \[[01]\]"):
        loss(np.array([0.5, 1.0]), np.array(target))


def test_hinge_says_how_to_make_signs():
    with pytest.raises(DataError) as caught:
        losses.hinge([0.5, 1.0], [0, 1])
    assert caught.value.hint == "From 0 and 1 make 2 * target - 1."


#: The losses that take any number.
OF_NUMBERS = ["mse", "mae", "huber", "smooth_l1", "log_cosh", "mape", "quantile", "cosine"]


@pytest.mark.parametrize("name", [name for name in losses.LOSSES if name not in OF_NUMBERS])
def test_other_losses_refuse_numbers_by_name(name):
    with pytest.raises(DataError, match=f"The loss {name!r} does not fit the target") as caught:
        losses.LOSSES[name](np.array([0.5, 1.0]), np.array([-7.5, 2.25]))
    assert caught.value.found == "-7.5 at [0]"
    assert caught.value.hint == f"For regression use {', '.join(OF_NUMBERS[:-1])} or cosine."


def test_every_loss_says_its_task():
    assert set(losses.LOSSES) == {name for task in losses.TASKS for name in losses.losses_for(task)}
    assert losses.losses_for("binary", "scores") == ["hinge", "squared_hinge", "soft_margin"]
    for name in losses.LOSSES:
        for task in losses.TASKS:
            if name in losses.losses_for(task):
                losses.check_task(name, task)
            else:
                with pytest.raises(ConfigError, match=f"The loss {name!r} is for .*, not for"):
                    losses.check_task(name, task)


def test_a_loss_for_another_output_or_of_no_known_name():
    with pytest.raises(ConfigError, match="'nll' takes log-probabilities, not logits") as caught:
        losses.check_task("nll", "multiclass", "logits")
    assert caught.value.expected == "cross_entropy"
    with pytest.raises(ConfigError, match="Unknown loss 'hubert'") as caught:
        losses.check_task("hubert", "regression", "values")
    assert caught.value.hint == "Did you mean 'huber'?"


def test_targets_of_a_loss_with_options_are_checked_and_of_other_functions_not():
    with pytest.raises(DataError, match="'focal'"):
        losses.check_target(partial(losses.focal, gamma=1.0), [0.5])

    def hinge(prediction, target):
        return prediction

    losses.check_target(hinge, [0.5])


@pytest.mark.parametrize(
    "wrong",
    [
        partial(losses.huber, delta=0.0),
        partial(losses.smooth_l1, beta=-1.0),
        partial(losses.quantile, q=1.0),
        partial(losses.binary_cross_entropy, label_smoothing=1.0),
    ],
)
def test_options_outside_of_what_is_meant(wrong):
    with pytest.raises(ConfigError):
        wrong(np.ones(2), np.ones(2))


def test_class_weights_must_fit():
    with pytest.raises(ShapeError, match="class weights"):
        losses.cross_entropy(NUMBERS, CLASSES, class_weights=[1.0, 2.0])


# ---- values --------------------------------------------------------------------------------------


def test_cross_entropy_of_two_classes_is_the_binary_one():
    z, t = NUMBERS[:, 0], np.array([0, 1, 1, 0])
    two = np.stack([np.zeros(4), z], axis=1)
    assert losses.cross_entropy(two, t).item() == pytest.approx(
        losses.binary_cross_entropy(z, t).item(), rel=1e-12
    )


@pytest.mark.parametrize("z", [-80.0, -15.0, 0.0, 15.0, 80.0])
@pytest.mark.parametrize("pos_weight", [None, 2.0])
@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_binary_cross_entropy_is_exact_on_both_sides(z, pos_weight, backend):
    """In float32; the truth is ln(1 + e^∓z) and the sigmoid, in float64."""
    loss = cr.value_and_grad(partial(losses.binary_cross_entropy, pos_weight=pos_weight))
    compiled = cr.compile(loss, backend=backend)
    for target in (0.0, 1.0):
        sign = 2 * target - 1
        scale = 1.0 if pos_weight is None or not target else pos_weight
        value, gradient = (x.item() for x in compiled(np.float32(z), np.float32(target)))
        expected = np.logaddexp(0.0, -sign * z)
        assert value == pytest.approx(scale * expected, rel=1e-5)
        assert gradient == pytest.approx(-scale * sign * math.exp(-sign * z - expected), rel=1e-5)


@pytest.mark.parametrize("e", [1e-4, 0.01, 0.3, 0.999, 1.001, 3.0, 40.0, 1e4])
def test_log_cosh_is_exact_near_zero_and_far(e):
    """In float32; the truth in float64, by its series where e is small."""
    series = e**2 / 2 - e**4 / 12
    expected = series if e < 0.02 else e + math.log1p(math.exp(-2 * e)) - math.log(2)
    for error in (e, -e):
        found = cr.value_and_grad(losses.log_cosh)(cr.tensor(error), cr.tensor(0.0))
        value, slope = (x.item() for x in found)
        assert value == pytest.approx(expected, rel=1e-6)
        assert slope == pytest.approx(math.tanh(error), rel=1e-6)


def test_label_smoothing_of_two_classes():
    """t·(1-ε) + ε/2 by definition."""
    z, t = NUMBERS[:, 0], np.array([0.0, 1.0, 1.0, 0.0])
    smoothed = losses.binary_cross_entropy(z, t, label_smoothing=0.2).item()
    assert smoothed == pytest.approx(losses.binary_cross_entropy(z, 0.8 * t + 0.1).item())


def test_focal_without_focus_is_half_of_cross_entropy():
    z, t = NUMBERS[:, 0], np.array([0, 1, 1, 0])
    focal = losses.focal(z, t, gamma=0.0, alpha=0.5).item()
    assert focal == pytest.approx(losses.binary_cross_entropy(z, t).item() / 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=9), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_quantile_makes_the_quantile_loss_least(values, q):
    x = np.array(values)

    def loss(prediction: float) -> Any:
        return losses.quantile(np.full(x.shape, prediction), x, q=q).item()

    best = loss(np.quantile(x, q, method="inverted_cdf"))
    assert all(best <= loss(other) + 1e-9 for other in [*values, x.mean(), 0.0])


@pytest.mark.parametrize(
    ("loss", "p", "t", "slope"),
    [
        (losses.mae, 1.0, 1.0, 0.0),
        (partial(losses.quantile, q=0.9), 1.0, 1.0, -0.4),
        (losses.hinge, 1.0, 1.0, 0.0),
        (losses.squared_hinge, 1.0, 1.0, 0.0),
        (losses.huber, 2.0, 1.0, 1.0),
        (losses.mape, 2.0, 2.0, 0.0),
    ],
)
def test_conventions_at_kinks(loss, p, t, slope):
    gradient = cr.grad(lambda p: loss(p, cr.tensor([t])))(cr.tensor([p]))
    assert gradient.item() == pytest.approx(slope)


def test_the_second_derivative_of_the_parabola_holds_at_its_bottom():
    one = cr.tensor([1.0])
    for loss in (losses.mse, losses.huber, losses.log_cosh):
        bend = cr.hvp(partial(loss, target=one), one, one)
        assert bend.item() == pytest.approx(2.0 if loss is losses.mse else 1.0)


def test_divergence_is_zero_only_between_equals():
    log_p = np.log(SOFT)
    assert losses.kl_div(log_p, SOFT).item() == pytest.approx(0.0, abs=1e-12)
    assert losses.kl_div(log_p, SOFT[::-1]).item() > 0.01
    certain = losses.kl_div(log_p, np.eye(3)[CLASSES]).item()
    assert certain == pytest.approx(losses.nll(log_p, CLASSES).item())


def test_gaussian_nll_is_least_at_the_true_variance():
    e = RNG.normal(size=1000)
    values = {
        v: losses.gaussian_nll(e, np.zeros(1000), np.full(1000, v)).item()
        for v in (0.5 * e.var(), (e**2).mean(), 2 * e.var())
    }
    assert min(values, key=lambda v: values[v]) == (e**2).mean()
    with pytest.raises(DataError, match="variance"):
        losses.gaussian_nll([0.0], [0.0], [-1.0])


def test_dice_by_hand_and_of_empty_areas():
    """Two areas of 3 and 2 pixels that share one; and two empty ones, whose loss is 0."""
    first = np.array([[[1, 1], [1, 0]], [[0, 0], [0, 0]]])
    second = np.array([[[0, 1], [0, 1]], [[0, 0], [0, 0]]])
    certain = 60.0 * (2.0 * first - 1)
    each = losses.dice(certain, second, smooth=0.5, reduction="none").numpy()
    np.testing.assert_allclose(each, [1 - 2.5 / 5.5, 0], atol=1e-12)
    by_class = losses.dice(
        np.moveaxis(certain, 0, -1)[None], np.moveaxis(second, 0, -1)[None], axis=(1, 2),
        smooth=0.5, reduction="none",
    )  # fmt: skip
    np.testing.assert_allclose(by_class.numpy(), each[None], atol=1e-12)
    assert losses.dice(certain[..., None], second, smooth=0.5).item() == pytest.approx(each.mean())
    with pytest.raises(ShapeError, match="not over the batch"):
        losses.dice(np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match="not over the batch"):
        losses.dice(certain, second, axis=0)


def test_arcface_without_margin_is_cross_entropy_of_scaled_cosines():
    cosines = np.tanh(NUMBERS)
    plain = losses.cross_entropy(10 * cosines, CLASSES).item()
    assert losses.arcface(cosines, CLASSES, margin=0.0, scale=10.0).item() == pytest.approx(plain)
    assert losses.arcface(cosines, CLASSES, margin=0.2, scale=10.0).item() > plain
    with pytest.raises(DataError, match="cosine is out of range"):
        losses.arcface(1.2 * np.sign(NUMBERS), CLASSES)


def test_arcface_grows_with_the_angle_and_has_finite_gradients_at_its_ends():
    angles = np.linspace(0, np.pi, 41)
    cosines = np.stack([np.cos(angles), np.zeros(41)], axis=1)
    cosines[[0, -1], 0] = 1, -1
    zeros = np.zeros(41, int)
    each = losses.arcface(cosines, zeros, scale=2.0, reduction="none").numpy()
    assert (np.diff(each) > 0).all()
    gradient = cr.grad(lambda c: losses.arcface(c, cr.tensor(zeros)))(cr.tensor(cosines))
    assert np.isfinite(gradient.numpy()).all()
    with pytest.raises(ConfigError, match="margin"):
        losses.arcface(cosines, zeros, margin=4.0)


def test_nt_xent_by_its_definition():
    first, second = NUMBERS, POSITIVE
    z = np.concatenate([first, second])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    each = []
    for i in range(8):
        terms = [np.exp(z[i] @ z[k] / 0.3) for k in range(8) if k != i]
        each.append(-np.log(np.exp(z[i] @ z[(i + 4) % 8] / 0.3) / np.sum(terms)))
    found = losses.nt_xent(first, second, temperature=0.3, reduction="none").numpy()
    np.testing.assert_allclose(found, np.reshape(each, (2, 4)).mean(0))
    with pytest.raises(ShapeError, match="compared with the others"):
        losses.nt_xent(first[:1], second[:1])
    with pytest.raises(ConfigError, match="temperature"):
        losses.nt_xent(first, second, temperature=0.0)


def test_triplets_with_another_distance():
    a, p, n = NUMBERS, POSITIVE, NUMBERS[::-1]

    def cosine(x, y):
        return 1 - cr.cosine_similarity(x, y)

    expected = np.maximum(cosine(a, p).numpy() - cosine(a, n).numpy() + 1, 0).mean()
    assert losses.triplet_margin(a, p, n, distance=cosine).item() == pytest.approx(expected)


def test_an_ignored_class_counts_for_nothing():
    z, t = RNG.normal(size=(2, 3, 4)), np.array([[1, -100, 3], [-100, 0, 2]])
    kept = t != -100
    for options in ({}, {"label_smoothing": 0.2}, {"class_weights": [1.0, 2.0, 0.5, 3.0]}):
        found = losses.cross_entropy(z, t, ignore_index=-100, **options).item()
        assert found == pytest.approx(losses.cross_entropy(z[kept], t[kept], **options).item())
    each = losses.cross_entropy(z, t, ignore_index=-100, reduction="none").numpy()
    assert (each[~kept] == 0).all()
    assert (each[kept] > 0).all()
    with pytest.raises(ConfigError, match="no index to ignore"):
        losses.cross_entropy(z, RNG.dirichlet(np.ones(4), (2, 3)), ignore_index=0)

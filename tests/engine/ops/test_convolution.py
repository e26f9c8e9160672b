"""Convolution and pooling against their definitions, written out as loops."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.ops import convolution, sliding_window
from chainrule.engine.tensor import apply
from chainrule.errors import ConfigError, ShapeError, TypeRuleError


def reals(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def numbers(low, high, rank):
    return st.tuples(*[st.integers(low, high)] * rank)


@st.composite
def convolutions(draw) -> Any:
    """An image, weights and the attributes of a convolution that exists."""
    rank = draw(st.integers(1, 3))
    groups, each, outputs = (draw(st.integers(1, 3 if rank < 3 else 2)) for _ in range(3))
    window, stride, dilation = (draw(numbers(1, 3, rank)) for _ in range(3))
    before, after = (draw(numbers(0, 2, rank)) for _ in range(2))
    more = draw(numbers(0, 3, rank))
    reach = sliding_window.spans(window, dilation)
    sizes = zip(reach, before, after, more, strict=True)
    extents = [max(wide - low - high, 1) + m for wide, low, high, m in sizes]
    x = reals(draw(st.integers(0, 2)), *extents, groups * each)
    w = reals(*window, each, groups * outputs, seed=1)
    slide = {"stride": stride, "before": before, "after": after, "dilation": dilation}
    return x, w, slide | {"groups": groups}


def by_definition(x, w, stride, before, after, dilation, groups):
    """y[n, o, m] = Σₖ Σ_c x[n, o·stride + k·dilation - before, c] · w[k, c, m]."""
    full = np.pad(x, [(0, 0), *zip(before, after, strict=True), (0, 0)])
    window, each, outputs = w.shape[:-2], w.shape[-2], w.shape[-1] // groups
    counts = [
        (extent - d * (k - 1) - 1) // s + 1
        for extent, k, s, d in zip(full.shape[1:-1], window, stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), *counts, w.shape[-1]))
    for o in itertools.product(*map(range, counts)):
        for k in itertools.product(*map(range, window)):
            place = zip(o, stride, k, dilation, strict=True)
            pixels = full[(slice(None), *[a * s + b * d for a, s, b, d in place])]
            for m in range(w.shape[-1]):
                channels = slice(m // outputs * each, (m // outputs + 1) * each)
                y[(slice(None), *o, m)] += pixels[:, channels] @ w[k][:, m]
    return y


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_the_three_operations_are_one_trilinear_form(case):
    """Σ y·g = Σ x·(gradient by x) = Σ w·(gradient by w), with y as its definition has it."""
    x, w, attributes = case
    y = by_definition(x, w, **attributes)
    found = apply(convolution.CONVOLUTION, cr.tensor(x), cr.tensor(w), **attributes)
    np.testing.assert_allclose(found.numpy(), y, rtol=1e-12, atol=1e-12)
    g = reals(*y.shape, seed=2)
    total = (y * g).sum()
    back = apply(
        convolution.TRANSPOSED_CONVOLUTION,
        *(cr.tensor(g), cr.tensor(w)),
        extents=x.shape[1:-1],
        **attributes,
    ).numpy()
    weights = apply(
        convolution.CONVOLUTION_WEIGHTS,
        *(cr.tensor(x), cr.tensor(g)),
        window=w.shape[:-2],
        **attributes,
    ).numpy()
    assert (back.shape, weights.shape) == (x.shape, w.shape)
    for part, gradient in ((x, back), (w, weights)):
        np.testing.assert_allclose((part * gradient).sum(), total, rtol=1e-10, atol=1e-10)
        # Linear, so a step along any direction changes the total by exactly gradient · step.
        step = reals(*part.shape, seed=3)
        moved = (x + step, w) if part is x else (x, w + step)
        change = (by_definition(*moved, **attributes) * g).sum() - total
        np.testing.assert_allclose((step * gradient).sum(), change, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_size_of_the_blocks_plays_no_part(groups, monkeypatch):
    x, w = cr.tensor(reals(5, 6, 6, 4)), cr.tensor(reals(3, 3, 4 // groups, 4))

    def everything():
        y = cr.conv2d(x, w, padding=1, groups=groups)
        slopes = cr.grad(
            lambda x, w: (cr.conv2d(x, w, padding=1, groups=groups) ** 2).sum(), argnums=(0, 1)
        )(x, w)
        return [part.numpy() for part in (y, *slopes)]

    whole = everything()
    monkeypatch.setattr(convolution, "_BLOCK", 1)
    for found, expected in zip(everything(), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_derivatives_of_every_order_are_the_same_three_operations():
    def loss(x, w):
        return (cr.conv2d(x, w, stride=2, padding=1) ** 3).sum()

    def second(x, w):
        return (cr.grad(loss)(x, w) ** 2).sum()

    def third(x, w):
        return cr.grad(lambda w: (cr.grad(second)(x, w) ** 2).sum())(w)

    graph = cr.trace(third, reals(1, 4, 4, 1), reals(3, 3, 1, 1)).graph
    used = {node.op.name for node in graph.nodes if "conv" in node.op.name}
    assert used == {"convolution", "transposed_convolution", "convolution_weights"}
    cr.check_grad(second, reals(1, 4, 4, 1), reals(3, 3, 1, 1), order=2)


def test_same_padding_gives_as_many_places_as_the_stride_allows():
    for extent, window, stride, dilation in itertools.product(
        range(1, 9), (1, 2, 3, 4), (1, 2, 3), (1, 2)
    ):
        x, w = cr.ones((1, extent, 1)), cr.ones((window, 1, 1))
        y = cr.conv1d(x, w, padding="same", stride=stride, dilation=dilation)
        assert y.shape == (1, -(-extent // stride), 1)
        back = cr.conv_transpose1d(y, w, padding="same", stride=stride, dilation=dilation)
        assert back.shape == (1, -(-extent // stride) * stride, 1)


def test_a_causal_convolution_sees_no_later_inputs():
    w = cr.tensor(reals(3, 2, 2))
    slopes = cr.jacobian(lambda x: cr.conv1d(x, w, padding=((4, 0),), dilation=2))(
        cr.tensor(reals(1, 6, 2))
    ).numpy()
    seen = np.abs(slopes).sum((0, 2, 3, 5)) > 0  # [output, input]
    lag = np.subtract.outer(np.arange(6), np.arange(6))
    np.testing.assert_array_equal(seen, np.isin(lag, [0, 2, 4]))


def test_an_integer_image_becomes_float32():
    image = np.ones((1, 3, 1), dtype=np.int64)
    assert cr.conv1d(image, cr.ones((2, 1, 1))).dtype == np.float32
    assert cr.max_pool(image, 3).dtype == np.float32


# ---- pooling ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pooling_by_definition(data):
    """Every window on its own, without what is padding."""
    rank = data.draw(st.integers(1, 2))
    window, stride = data.draw(numbers(1, 3, rank)), data.draw(numbers(1, 3, rank))
    padding = tuple((data.draw(st.integers(0, k - 1)), data.draw(st.integers(0, k - 1)))
                    for k in window)  # fmt: skip
    x = reals(2, *data.draw(numbers(3, 6, rank)), 2)
    options = {"stride": stride, "padding": padding}
    largest = cr.max_pool(x, window, **options).numpy()
    mean = cr.avg_pool(x, window, **options, count_include_pad=False).numpy()
    for o in itertools.product(*map(range, largest.shape[1:-1])):
        sides = zip(o, stride, padding, window, strict=True)
        part = [slice(max(i * s - p, 0), max(i * s - p + k, 0)) for i, s, (p, _), k in sides]
        inside = x[(slice(None), *part)].reshape(2, -1, 2)
        np.testing.assert_array_equal(largest[(slice(None), *o)], inside.max(1))
        np.testing.assert_allclose(mean[(slice(None), *o)], inside.mean(1), rtol=1e-12)


def test_equal_largest_elements_share_the_gradient():
    x = cr.tensor([1.0, 3.0, 3.0, 2.0, 5.0, 5.0]).reshape((1, 6, 1))
    slope = cr.grad(lambda x: (cr.max_pool(x, 3) * cr.tensor([[[1.0], [10.0]]])).sum())(x)
    assert slope.reshape(-1).tolist() == [0.0, 0.5, 0.5, 0.0, 5.0, 5.0]
    same = cr.grad(lambda x: cr.max(x.reshape((2, 3)), 1).sum())(x)
    assert same.reshape(-1).tolist() == [0.0, 0.5, 0.5, 0.0, 0.5, 0.5]


def test_the_padding_is_never_the_largest():
    x = cr.tensor(-np.ones((1, 3, 1)))
    y, slope = cr.max_pool(x, 3, 1, 1), cr.grad(lambda x: cr.max_pool(x, 3, 1, 1).sum())(x)
    assert y.reshape(-1).tolist() == [-1.0] * 3
    np.testing.assert_allclose(slope.numpy().sum(), 3.0)
    low = cr.max_pool(cr.tensor([[[-np.inf], [-np.inf]]]), 2, 1, 1)
    assert low.reshape(-1).tolist() == [-np.inf] * 3


def test_nan_is_the_largest_of_its_windows():
    x = cr.tensor([[[np.nan], [1.0], [2.0], [3.0]]])
    assert str(cr.max_pool(x, 2).reshape(-1).tolist()) == "[nan, 3.0]"


def test_adaptive_means_keep_the_total_when_parts_are_equal():
    x = reals(2, 6, 4, 3)
    np.testing.assert_allclose(
        cr.adaptive_avg_pool(x, (3, 2)).numpy(), cr.avg_pool(x, 2).numpy(), rtol=1e-12
    )
    np.testing.assert_allclose(
        cr.adaptive_avg_pool(x, 1).numpy()[:, 0, 0], x.mean((1, 2)), rtol=1e-12
    )


def test_linear_interpolation_is_exact_for_straight_lines():
    line = np.arange(5.0).reshape(1, 5, 1)
    found = cr.interpolate(line, 9, mode="linear", align_corners=True).numpy().ravel()
    np.testing.assert_allclose(found, np.arange(9) / 2, atol=1e-12)
    found = cr.interpolate(line, scale_factor=2, mode="linear").numpy().ravel()
    np.testing.assert_allclose(found, np.clip(np.arange(10) / 2 - 0.25, 0, 4), atol=1e-12)


# ---- bad input -------------------------------------------------------------------------------

IMAGE, WEIGHTS = cr.ones((2, 5, 6, 4)), cr.ones((3, 3, 4, 6))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: cr.conv2d(IMAGE, cr.ones((7, 3, 4, 6)), padding=((0, 1), (0, 0))),
            ShapeError,
            ["larger than the padded input", "(6, 6)", "(5, 6)", "(7, 3)"],
        ),
        (
            lambda: cr.conv2d(IMAGE, WEIGHTS, dilation=3),
            ShapeError,
            ["dilation (3, 3)", "spans (7, 7)"],
        ),
        (
            lambda: cr.conv2d(IMAGE, cr.ones((3, 3, 3, 6))),
            ShapeError,
            ["3 on the last axis", "float32[2, 5, 6, 4]", "channels-last"],
        ),
        (
            lambda: cr.conv2d(IMAGE, cr.ones((3, 3, 1, 6)), groups=4),
            ShapeError,
            ["6 output channels", "4 groups", "[3, 3, 1, 6]"],
        ),
        (
            lambda: cr.conv2d(IMAGE, WEIGHTS, groups=3),
            ShapeError,
            ["12 on the last axis", "3 groups", "[2, 5, 6, 4]"],
        ),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, groups=0), ShapeError, ["0 groups"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, groups=1.5), ShapeError, ["1.5"]),
        (lambda: cr.conv2d(IMAGE[0], WEIGHTS), ShapeError, ["4 axes", "x[None]"]),
        (lambda: cr.conv1d(IMAGE, WEIGHTS), ShapeError, ["(batch, length, channels)"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS[0]), ShapeError, ["weights", "have 4 axes"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, stride=0), ConfigError, ["stride", "found: 0"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, stride=(1, 1, 1)), ConfigError, ["stride", "2 of"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, stride=1.5), ConfigError, ["stride", "1.5"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, padding="full"), ConfigError, ["'same'", "'full'"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, padding=-1), ConfigError, ["padding", "-1"]),
        (lambda: cr.conv2d(IMAGE, WEIGHTS, padding=((1, 2), 3)), ConfigError, ["2 pairs"]),
        (
            lambda: cr.conv_transpose2d(IMAGE, WEIGHTS),
            ShapeError,
            ["6 on the last axis", "out / groups, in"],
        ),
        (
            lambda: cr.conv_transpose2d(cr.ones((1, 1, 1, 6)), WEIGHTS, padding=2),
            ShapeError,
            ["Nothing is left", "[1, 1, 1, 6]", "(3, 3, 4, 6)"],
        ),
        (
            lambda: cr.conv_transpose2d(cr.ones((1, 2, 2, 6)), WEIGHTS, output_padding=1),
            ConfigError,
            ["less than the stride"],
        ),
        (lambda: cr.max_pool(IMAGE, 6), ShapeError, ["(6, 6)", "(5, 6)"]),
        (lambda: cr.max_pool(IMAGE, 2, padding=2), ShapeError, ["smaller than its window"]),
        (lambda: cr.max_pool(cr.ones((2, 3)), 2), ShapeError, ["(batch, *extents, channels)"]),
        (lambda: cr.interpolate(IMAGE), ConfigError, ["neither"]),
        (lambda: cr.interpolate(IMAGE, 2, mode="linear"), ConfigError, ["bilinear"]),
        (lambda: cr.interpolate(IMAGE[:, :0], 2), ShapeError, ["empty image"]),
        (lambda: cr.adaptive_avg_pool(IMAGE[:, :0], 2), ShapeError, ["no elements"]),
    ],
)
def test_bad_input_is_explained(call, error, words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_the_operations_refuse_what_no_convolution_gives():
    """As a stored graph might ask for it: nothing is read outside of the arrays."""
    slide = {"stride": (1,), "before": (0,), "after": (0,), "dilation": (1,), "groups": 1}
    x, w, g = cr.ones((1, 5, 1)), cr.ones((2, 1, 1)), cr.ones((1, 4, 1))
    with pytest.raises(ShapeError, match="not the output"):
        apply(convolution.TRANSPOSED_CONVOLUTION, g, w, extents=(6,), **slide)
    with pytest.raises(ShapeError, match="not the output"):
        apply(convolution.CONVOLUTION_WEIGHTS, x, g, window=(3,), **slide)
    for wrong in ({"stride": (0,)}, {"dilation": (-1,)}, {"stride": (1, 1)}, {"before": (-1,)}):
        with pytest.raises(ShapeError):
            apply(convolution.CONVOLUTION, x, w, **(slide | wrong))
    with pytest.raises(TypeRuleError):
        apply(convolution.CONVOLUTION, x.astype(int), w.astype(int), **slide)
    for image, weights in ((x, w.astype("float64")), (x, w[0]), (x[0], w[0]), (x, w[None])):
        with pytest.raises(ShapeError, match="as many axes and one element type"):
            apply(convolution.CONVOLUTION, image, weights, **slide)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_what_is_not_given_changes_nothing(rank: int) -> None:
    """The defaults: steps of 1, nothing around, no gaps, one group, no bias."""
    rng = np.random.default_rng(rank)
    x, w = rng.normal(size=(2, *[4] * rank, 3)), rng.normal(size=(*[2] * rank, 3, 5))
    plain = getattr(cr, f"conv{rank}d")(x, w).numpy()
    assert plain.shape == (2, *[3] * rank, 5)
    given = getattr(cr, f"conv{rank}d")(x, w, None, 1, 0, 1, 1).numpy()
    np.testing.assert_array_equal(plain, given)
    back = getattr(cr, f"conv_transpose{rank}d")(plain, w).numpy()
    assert back.shape == (2, *[4] * rank, 3)

"""Options that are rarely given, against NumPy, SciPy or a few plain loops."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import linalg, special

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ShapeError

Array = np.ndarray[Any, Any]


def numbers(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def close(found: Any, expected: Any) -> None:
    found, expected = np.asarray(cr.as_tensor(found).numpy()), np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


# ---- images ----------------------------------------------------------------------------------


def mirrored(place: float, low: float, high: float) -> float:
    """Step by step: whatever is beyond an end comes back from it."""
    if low == high:
        return low
    while not low <= place <= high:
        place = 2 * low - place if place < low else 2 * high - place
    return place


def keys(distance: float, a: float = -0.75) -> float:
    """The cubic of Keys (1981)."""
    t = abs(distance)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def sampled(x: Array, grid: Array, mode: str, padding: str, corners: bool) -> Array:
    """`grid_sample` one place after the other."""
    extents = x.shape[1:-1]
    result = np.zeros((*grid.shape[:-1], x.shape[-1]))
    ends = [(0.0, n - 1.0) if corners else (-0.5, n - 0.5) for n in extents]

    def inside(place: float, axis: int) -> float:
        last = extents[axis] - 1
        if padding == "border":
            return min(max(place, 0.0), last)
        if padding == "reflection":
            return min(max(mirrored(place, *ends[axis]), 0.0), last)
        return place

    for at in np.ndindex(*grid.shape[:-1]):
        weights = []
        for axis, extent in enumerate(extents):
            place = (grid[at][::-1][axis] + 1) / 2
            place = place * (extent - 1) if corners else place * extent - 0.5
            if mode == "bicubic":
                low = math.floor(place)
                taps = [(inside(low + k, axis), keys(place - low - k)) for k in (-1, 0, 1, 2)]
            else:
                place = inside(place, axis)
                low = math.floor(place)
                taps = [(low, 1 - (place - low)), (low + 1, place - low)]
                if mode == "nearest":
                    taps = [(round(place), 1.0)]
            weights.append([(int(i), w) for i, w in taps if 0 <= i < extent])
        for taps in itertools.product(*weights):
            index = (at[0], *(i for i, _ in taps))
            result[at] += math.prod(w for _, w in taps) * x[index]
    return result


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_an_image_at_places_far_outside(mode: str, padding: str, corners: bool) -> None:
    x, grid = numbers(2, 3, 4, 2), 2.3 * numbers(2, 3, 2, 2, seed=4)
    close(cr.grid_sample(x, grid, mode, padding, corners),
          sampled(x, grid, mode, padding, corners))  # fmt: skip


def test_the_options_of_grid_sample_that_are_not_given() -> None:
    x, grid = numbers(1, 3, 2, 2, 1), 1.2 * numbers(1, 2, 1, 2, 3, seed=4)
    close(cr.grid_sample(x, grid), sampled(x, grid, "bilinear", "zeros", False))
    one = numbers(1, 1, 2, 1)
    close(cr.grid_sample(one, grid[:, :, 0, :, :2], padding="reflection", align_corners=True),
          sampled(one, grid[:, :, 0, :, :2], "bilinear", "reflection", True))  # fmt: skip


@pytest.mark.parametrize("corners", [False, True])
def test_places_of_a_linear_map(corners: bool) -> None:
    theta, size = numbers(2, 2, 3), (3, 1)
    expected = np.zeros((2, *size, 2))
    for b, i, j in np.ndindex(2, *size):
        ends = [(k / (n - 1) * 2 - 1 if n > 1 else 0.0) if corners else (2 * k + 1) / n - 1
                for k, n in ((j, size[1]), (i, size[0]))]  # fmt: skip
        expected[b, i, j] = theta[b] @ [*ends, 1.0]
    close(cr.affine_grid(theta, size, align_corners=corners), expected)
    if not corners:
        close(cr.affine_grid(theta, size), expected)


@pytest.mark.parametrize(
    "how", [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"stride": 2, "padding": (1, 2)}]
)
def test_patches_lie_where_they_were(how: dict[str, Any]) -> None:
    """unfold picks them one by one; fold is its transpose."""
    x = numbers(2, 5, 6, 2)
    stride, dilation = how.get("stride", 1), how.get("dilation", 1)
    margins = how.get("padding", 0)
    rows, columns = margins if isinstance(margins, tuple) else (margins, margins)
    full = np.pad(x, [(0, 0), (rows, rows), (columns, columns), (0, 0)])
    places = [(n - 1 - dilation * (w - 1)) // stride + 1
              for n, w in zip(full.shape[1:3], (2, 3), strict=True)]  # fmt: skip
    expected = np.zeros((2, *places, 2, 3, 2))
    for i, j, a, b in np.ndindex(*places, 2, 3):
        expected[:, i, j, a, b] = full[:, i * stride + a * dilation, j * stride + b * dilation]
    found = cr.unfold(x, (2, 3), **how)
    close(found, expected)
    patches = numbers(*found.shape, seed=7)
    back = cr.fold(patches, (5, 6), **how).numpy()
    assert back.shape == x.shape
    np.testing.assert_allclose((back * x).sum(), (patches * expected).sum(), rtol=1e-10)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_neighbouring_channels(size: int) -> None:
    x = numbers(2, 5)
    expected = np.zeros_like(x)
    for c in range(5):
        around = [i for i in range(c - size // 2, c - size // 2 + size) if 0 <= i < 5]
        mean = (x[:, around] ** 2).sum(1) / size
        expected[:, c] = x[:, c] / (1 + 1e-4 * mean) ** 0.75
    close(cr.local_response_norm(x, size), expected)


# ---- what counts -----------------------------------------------------------------------------

MASKED: dict[str, Any] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
    "var": np.var,
    "std": np.std,
    "median": np.median,
    "norm": lambda v: np.sqrt((v * v).sum()),
    "logsumexp": special.logsumexp,
}


@pytest.mark.parametrize("name", MASKED)
def test_reductions_of_what_counts(name: str) -> None:
    x = 2 * numbers(3, 4)
    mask = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]], bool)
    function, numpys = getattr(cr.masked, name), MASKED[name]
    close(function(x, mask), numpys(x[mask]))
    close(function(x), numpys(x.ravel()))
    rows = [numpys(row[own]) for row, own in zip(x, mask, strict=True)]
    close(function(x, mask, 1), rows)
    close(function(x, mask, 1, True), np.reshape(rows, (3, 1)))
    close(function(x, np.array([True, False, True, True]), 1), [numpys(r[[0, 2, 3]]) for r in x])


def test_options_of_what_counts() -> None:
    x, mask = numbers(4), np.array([True, True, False, True])
    kept = x[mask]
    close(cr.masked.var(x, mask, correction=1), kept.var(ddof=1))
    close(cr.masked.std(x, mask, correction=1), kept.std(ddof=1))
    assert cr.masked.var(x, mask, correction=4).item() == math.inf
    close(cr.masked.norm(x, mask, order=3), (np.abs(kept) ** 3).sum() ** (1 / 3))
    close(cr.masked.norm(x, mask, order=-2), (np.abs(kept) ** -2.0).sum() ** (-1 / 2))
    close(cr.masked.cumsum(x, mask), np.cumsum(np.where(mask, x, 0.0)))
    close(cr.masked.cumprod(x, mask, 0), np.cumprod(np.where(mask, x, 1.0)))
    close(cr.masked.normalize(x, mask), np.where(mask, x, 0) / np.linalg.norm(kept))
    close(cr.masked.normalize(x), x / np.linalg.norm(x))


def test_softmax_of_what_counts() -> None:
    x, mask = numbers(2, 3), np.array([[True, False, True], [False] * 3])
    expected = np.zeros((2, 3))
    expected[0, [0, 2]] = special.softmax(x[0, [0, 2]])
    close(cr.masked.softmax(x, mask), expected)
    close(cr.masked.softmax(x.T, mask.T, 0), expected.T)
    close(cr.masked.softmax(x), special.softmax(x, -1))
    close(cr.masked.softmin(-x, mask), expected)
    with np.errstate(divide="ignore"):
        close(cr.masked.log_softmax(x, mask), np.log(expected))
        close(cr.masked.log_softmax(x.T, mask.T, axis=0), np.log(expected).T)
    close(cr.masked.log_softmax(x), special.log_softmax(x, -1))
    a, b = x[0], x[1]
    found = cr.masked.logaddexp(a, b, mask[0], np.array([True, False, False]))
    close(found, [np.logaddexp(a[0], b[0]), -math.inf, a[2]])
    close(cr.masked.logaddexp(a, b), np.logaddexp(a, b))


# ---- statistics ------------------------------------------------------------------------------


def test_covariances() -> None:
    x, counts, weights = numbers(3, 5), np.array([1, 2, 0, 3, 1]), np.array([0.5, 1, 2, 0.3, 1])
    close(cr.cov(x), np.cov(x))
    close(cr.cov(x[0]), np.cov(x[0]))
    close(cr.cov(x, 0), np.cov(x, ddof=0))
    close(cr.cov(x, fweights=counts), np.cov(x, fweights=counts))
    close(cr.cov(x, aweights=weights), np.cov(x, aweights=weights))
    close(cr.cov(x, 0, counts, weights), np.cov(x, ddof=0, fweights=counts, aweights=weights))
    close(cr.cov(x, 2, counts, weights), np.cov(x, ddof=2, fweights=counts, aweights=weights))
    close(cr.corrcoef(x), np.corrcoef(x))
    close(cr.corrcoef(x[0]), np.corrcoef(x[0]))


def test_histograms() -> None:
    x, weights = numbers(20), numbers(20, seed=5)
    for how in (
        {},
        {"bins": 4},
        {"bins": 3, "range": (-1.0, 0.5)},
        {"bins": [-1.0, 0.0, 0.1, 2.0]},
    ):
        for one, other in zip(cr.histogram(x, **how), np.histogram(x, **how), strict=True):
            close(one, other)
        found = cr.histogram(x.reshape(4, 5), weights=weights.reshape(4, 5), **how)[0]
        close(found, np.histogram(x, weights=weights, **how)[0])
    same, none = np.array([2.0, 2.0]), np.zeros(0)
    for x in (same, none, np.array([0.0, 1.0, 2.0, 3.0])):
        for one, other in zip(cr.histogram(x, 3), np.histogram(x, 3), strict=True):
            close(one, other)
    assert cr.histogram([math.nan, 1.0], 1, (0.0, 2.0))[0].tolist() == [1]


def test_distances() -> None:
    a, b = numbers(2, 3), numbers(4, 3, seed=5)
    for order in (1.0, 2.0, 3.0):
        table = np.linalg.norm(a[:, None] - b[None], order, -1)
        close(cr.cdist(a, b, order), table)
        close(cr.pdist(b, order), [np.linalg.norm(b[i] - b[j], order)
                                   for i, j in itertools.combinations(range(4), 2)])  # fmt: skip
        close(cr.pairwise_distance(a, b[:2], order, keepdims=True),
              np.linalg.norm(a - b[:2] + 1e-6, order, -1, keepdims=True))  # fmt: skip
    close(cr.cdist(a, b), np.linalg.norm(a[:, None] - b[None], axis=-1))
    close(cr.pdist(b[:2]), [np.linalg.norm(b[0] - b[1])])
    close(cr.pairwise_distance(a, b[:2]), np.linalg.norm(a - b[:2] + 1e-6, axis=-1))


def test_differences_of_samples() -> None:
    x, places = numbers(3, 5), np.array([0.0, 0.5, 2.0, 2.25, 4.0])
    for edge in (1, 2):
        for one, other in zip(cr.gradient(x, edge_order=edge), np.gradient(x, edge_order=edge),
                              strict=True):  # fmt: skip
            close(one, other)
        close(cr.gradient(x, places, axis=1, edge_order=edge),
              np.gradient(x, places, axis=1, edge_order=edge))  # fmt: skip
        ours = cr.gradient(x, 0.5, places, edge_order=edge)
        for one, other in zip(ours, np.gradient(x, 0.5, places, edge_order=edge), strict=True):
            close(one, other)
    found = cr.gradient(x, 2.0, axis=(1, 0))
    for one, other in zip(found, np.gradient(x, 2.0, axis=(1, 0)), strict=True):
        close(one, other)
    close(cr.gradient(x[0]), np.gradient(x[0]))


def test_lines_between_points() -> None:
    xp, fp = np.array([-1.0, 0.0, 0.5, 3.0]), numbers(4)
    x = np.array([[-2.0, -1.0, -0.25], [0.5, 2.0, 9.0]])
    close(cr.interp(x, xp, fp), np.interp(x, xp, fp))
    close(cr.interp(x, xp, fp, left=7.0, right=-7.0), np.interp(x, xp, fp, 7.0, -7.0))
    close(cr.interp(x, xp[:1], fp[:1]), np.interp(x, xp[:1], fp[:1]))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(method: Any) -> None:
    x = numbers(3, 4, 2)
    for q in (0.0, 0.3, 0.5, 1.0):
        close(cr.quantile(x, q, method=method), np.quantile(x, q, method=method))
        close(cr.quantile(x, q, (0, -1), True, method=method),
              np.quantile(x, q, (0, -1), keepdims=True, method=method))  # fmt: skip
    y = np.where(x > 0.9, math.nan, x)
    y[0, :, 0] = math.nan
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        for q in ([0.2, 0.75], [0.5]):
            close(cr.nanquantile(y, q, 1, True, method=method),
                  np.nanquantile(y, q, 1, keepdims=True, method=method))  # fmt: skip
            close(cr.quantile(y, q, 1, method=method), np.quantile(y, q, 1, method=method))
        close(cr.nanmedian(y, 1), np.nanmedian(y, 1))
        close(cr.nanmedian(y), np.nanmedian(y))


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax",
                                  "nanmin"])  # fmt: skip
def test_reductions_without_nan(name: str) -> None:
    x = numbers(3, 4)
    x[0, 1] = x[2] = math.nan
    ours, numpys = getattr(cr, name), getattr(np, name)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        for how in ({}, {"axis": 0}, {"axis": 1}, {"axis": 1, "keepdims": True}):
            close(ours(x, **how), numpys(x, **how))
        if name in ("nanvar", "nanstd"):
            close(ours(x, 0, correction=1), numpys(x, 0, ddof=1))


def test_the_kth_and_the_most_frequent() -> None:
    x = np.array([[3.0, 1.0, 2.0, 1.0], [0.0, 5.0, 5.0, 0.0], [4.0, 4.0, 4.0, 9.0]])
    for k in (1, 2, 4):
        value, index = cr.kthvalue(x, k)
        close(value, np.sort(x)[:, k - 1])
        close(np.take_along_axis(x, index.numpy()[:, None], 1)[:, 0], value)
    value, index = cr.kthvalue(x, 2, 0, True)
    assert value.tolist() == [[3.0, 4.0, 4.0, 1.0]]
    assert index.tolist() == [[0, 2, 2, 0]]
    value, index = cr.mode(x)
    assert (value.tolist(), index.tolist()) == ([1.0, 0.0, 4.0], [3, 3, 2])
    value, index = cr.mode(x.T, 0, True)
    assert (value.tolist(), index.tolist()) == ([[1.0, 0.0, 4.0]], [[3, 3, 2]])
    assert [y.item() for y in cr.mode(2.0)] == [y.item() for y in cr.kthvalue(2.0, 1)] == [2.0, 0]


# ---- arrangement, scattering -----------------------------------------------------------------


def test_arrangements() -> None:
    a, b = numbers(3), numbers(3, seed=5)
    for name in ("hstack", "vstack", "dstack", "column_stack"):
        close(getattr(cr, name)([a, b]), getattr(np, name)([a, b]))
        close(
            getattr(cr, name)([a[:, None], b[:, None]]),
            getattr(np, name)([a[:, None], b[:, None]]),
        )
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        for x in (np.array(1.5), a, np.outer(a, b), np.ones((1, 2, 3, 4))):
            close(getattr(cr, name)(x), getattr(np, name)(x))
    x = numbers(4, 6, 2)
    for name in ("fliplr", "flipud"):
        close(getattr(cr, name)(x), getattr(np, name)(x))
    for axis, parts in ((1, 4), (0, 3), (1, [1, 4]), (-1, 2)):
        for one, other in zip(cr.array_split(x, parts, axis), np.array_split(x, parts, axis),
                              strict=True):  # fmt: skip
            close(one, other)
    for name in ("hsplit", "vsplit", "dsplit"):
        if hasattr(cr, name):
            for one, other in zip(getattr(cr, name)(x, 2), getattr(np, name)(x, 2), strict=True):
                close(one, other)
    assert [y.shape[0] for y in cr.chunk(numbers(7), 3)] == [3, 3, 1]
    assert [y.shape[1] for y in cr.chunk(x, 4, 1)] == [2, 2, 2]
    close(cr.diagflat(x[0]), np.diagflat(x[0]))
    close(cr.diagflat(a, -1), np.diagflat(a, -1))
    close(cr.block_diag([x[0], a[:, None] * b]), linalg.block_diag(x[0], a[:, None] * b))
    close(cr.combinations(a), list(itertools.combinations(a, 2)))
    close(cr.combinations(a, 2, True), list(itertools.combinations_with_replacement(a, 2)))
    close(cr.cartesian_product(a, b), list(itertools.product(a, b)))
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, 1)
    close(cr.sliding_window_view(x, 3, 1), windows)
    close(cr.sliding_window_view(x, 3, 1, 2), windows[:, ::2])


@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_diagonals(offset: int) -> None:
    x = numbers(2, 3)
    size = 3 + abs(offset)
    expected = np.zeros((2, size, size))
    for i in range(2):
        expected[i] = np.diag(x[i], offset)
    close(cr.diag_embed(x, offset), expected)
    close(cr.diag_embed(x, offset, 0, 1), np.moveaxis(expected, 0, 2))
    close(cr.diag_embed(x, offset, 1, 0), np.moveaxis(expected, 0, 2).swapaxes(0, 1))
    y = numbers(3, 4)
    close(cr.diag(y, offset), np.diag(y, offset))
    close(cr.diag(x[0], offset), np.diag(x[0], offset))
    close(cr.diagonal(y, offset), np.diagonal(y, offset))


def test_selected_and_filled_in() -> None:
    x, mask = np.arange(6.0).reshape(2, 3), np.array([True, False, True])
    chosen = [0.0, 2.0, 3.0, 5.0]
    close(cr.masked_select(x, mask), chosen)
    close(cr.masked_select(x, mask, 3), chosen[:3])
    close(cr.masked_select(x, mask, 5), [*chosen, 0.0])
    close(cr.masked_select(x, mask, 8, 9.0), [*chosen, 9.0, 9.0, 9.0, 9.0])
    found = cr.nonzero(x, 7, fill=-1)
    assert [y.tolist() for y in found] == [[0, 0, 1, 1, 1, -1, -1], [1, 2, 0, 1, 2, -1, -1]]
    assert [y.tolist() for y in cr.nonzero(x, 2)] == [[0, 0], [1, 2]]
    assert [y.tolist() for y in cr.nonzero(x)] == [y.tolist() for y in np.nonzero(x)]
    assert [y.tolist() for y in cr.nonzero([0, 3], 3)] == [[1, 0, 0]]
    y = [3.0, math.nan, 1.0, math.nan, 3.0, 2.0]
    close(cr.unique(y), np.unique(y))
    assert cr.unique([3, 1, 3, 2], 5).tolist() == [1, 2, 3, 1, 1]
    assert cr.unique([3, 1, 3, 2], 5, 9).tolist() == [1, 2, 3, 9, 9]
    assert cr.unique([3, 1, 3, 2], 2).tolist() == [1, 2]
    empty = np.zeros(0, int)
    assert cr.unique(empty).tolist() == []
    assert cr.unique(empty, 2).tolist() == [0, 0]
    assert cr.unique(empty, 2, 5).tolist() == [5, 5]
    close(cr.masked_scatter(x, ~mask, [7.0, 8.0, 9.0]), [[0.0, 7.0, 2.0], [3.0, 8.0, 5.0]])
    assert cr.bincount([0, 2, 2]).tolist() == [1, 0, 2]
    assert cr.bincount(empty).tolist() == []
    close(cr.bincount([0, 2, 2], 4, [0.5, 1.0, 2.0]), [0.5, 0.0, 3.0, 0.0])


def test_sums_by_segment() -> None:
    x, segments = numbers(5, 2), np.array([2, 0, 2, 2, 0])
    empty = {"sum": 0.0, "mean": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}
    for name, nothing in empty.items():
        numpys = getattr(np, name)
        expected = [numpys(x[segments == k], 0) if k != 1 else [nothing] * 2 for k in range(3)]
        close(getattr(cr, f"segment_{name}")(x, segments, 3), expected)
    assert cr.segment_max(np.array([4]), [0], 2).tolist() == [4, np.iinfo(np.int64).min]
    assert cr.segment_min(np.array([4]), [0], 2).tolist() == [4, np.iinfo(np.int64).max]


# ---- norms, products -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_norms_of_matrices(order: Any) -> None:
    x = numbers(3, 4)
    close(cr.linalg.norm(x, order), np.linalg.norm(x, order))
    wide = numbers(3, 2, 4)
    for keep in (False, True):
        close(cr.linalg.norm(wide, order, (0, 2), keep),
              np.linalg.norm(wide, order, (0, 2), keep))  # fmt: skip
        close(cr.linalg.norm(wide, order, (2, 0), keep),
              np.linalg.norm(wide, order, (2, 0), keep))  # fmt: skip
    square = numbers(3, 3)
    if order is not None:
        close(cr.linalg.cond(square, order), np.linalg.cond(square, order))
    close(cr.linalg.cond(square), np.linalg.cond(square))
    close(cr.linalg.matrix_norm(x), np.linalg.norm(x))


@pytest.mark.parametrize("order", [0, 1, 2, 3, -1, -2, math.inf, -math.inf])
def test_norms_of_vectors(order: Any) -> None:
    x = numbers(3, 4)
    close(cr.linalg.norm(x[0], order), np.linalg.norm(x[0], order))
    close(cr.linalg.norm(x, order, 0), np.linalg.norm(x, order, 0))
    close(cr.linalg.norm(x, order, 1, True), np.linalg.norm(x, order, 1, True))
    close(cr.linalg.vector_norm(x, order), np.linalg.norm(x.ravel(), order))


def test_powers_and_solutions() -> None:
    x, a, b = numbers(3, 3), numbers(5, 3), numbers(5, 2, seed=6)
    for power in (-3, -1, 0, 1, 2, 5, 6):
        np.testing.assert_allclose(
            cr.linalg.matrix_power(x, power).numpy(), np.linalg.matrix_power(x, power), rtol=1e-8
        )
    solution, _, rank, values = np.linalg.lstsq(a, b, rcond=None)
    found = cr.linalg.lstsq(a, b)
    close(found[0] if isinstance(found, tuple) else found, solution)
    close(cr.linalg.matrix_rank(a), rank)
    close(cr.linalg.matrix_rank(np.outer(a[0], a[1])), 1)
    close(cr.linalg.svdvals(a), values)
    close(cr.linalg.solve(x, a.T), np.linalg.solve(x, a.T))
    close(cr.linalg.solve(x, a[0]), np.linalg.solve(x, a[0]))
    stacked = np.stack([x, x.T])
    close(cr.linalg.solve(stacked, a.T), np.linalg.solve(stacked, np.stack([a.T, a.T])))
    system = numbers(2, 3, 6)
    close(cr.linalg.tensorsolve(system, x[:2]), np.linalg.tensorsolve(system, x[:2]))
    close(cr.linalg.tensorinv(system, 2), np.linalg.tensorinv(system, 2))


def test_products() -> None:
    a, b = numbers(2, 3, 4), numbers(4, 3, 5, seed=6)
    close(cr.tensordot(a, b, 1), np.tensordot(a, b, 1))
    close(cr.tensordot(a, b, ([1, 2], [1, 0])), np.tensordot(a, b, ([1, 2], [1, 0])))
    close(cr.tensordot(a, b, (1, 1)), np.tensordot(a, b, (1, 1)))
    close(cr.tensordot(a, numbers(3, 4, 2)), np.tensordot(a, numbers(3, 4, 2)))
    close(cr.kron(a[0], b[0]), np.kron(a[0], b[0]))
    close(cr.inner(a, numbers(5, 4)), np.inner(a, numbers(5, 4)))
    close(cr.outer(a, b[0]), np.outer(a, b[0]))
    close(cr.vdot(a[0], b[:, :, 0].T), np.vdot(a[0], b[:, :, 0].T))
    close(cr.cross(a[:, :, 0], b[:2, :, 1]), np.cross(a[:, :, 0], b[:2, :, 1]))
    close(cr.cross(a, numbers(2, 3, 4, seed=8), 1), np.cross(a, numbers(2, 3, 4, seed=8), axis=1))


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    m, n = shape[-2:]
    k = min(m, n)
    p, lower, upper = (y.numpy() for y in cr.linalg.lu(x))
    close(p @ lower @ upper, x)
    assert (p.shape[-1], lower.shape[-1], upper.shape[-2]) == (m, k, k)
    np.testing.assert_array_equal(np.triu(lower, 1), 0)
    np.testing.assert_array_equal(np.tril(upper, -1), 0)
    close(np.diagonal(lower, axis1=-2, axis2=-1), np.ones((*shape[:-2], k)))
    assert np.abs(lower).max() <= 1
    for mode in ("reduced", "complete"):
        q, r = (y.numpy() for y in cr.linalg.qr(x, mode))
        close(q @ r, x)
        size = m if mode == "complete" else k
        close(q.swapaxes(-1, -2) @ q, np.broadcast_to(np.eye(size), (*shape[:-2], size, size)))
        assert r.shape == (*shape[:-2], size, n)
        np.testing.assert_array_equal(np.tril(r, -1), 0)
    close(cr.linalg.qr(x, "r"), cr.linalg.qr(x)[1])
    for full in (False, True):
        u, singular, v = (y.numpy() for y in cr.linalg.svd(x, full))
        close(singular, np.linalg.svd(x, compute_uv=False))
        close((u[..., :k] * singular[..., None, :]) @ v[..., :k, :], x)
        assert (u.shape[-1], v.shape[-2]) == ((m, n) if full else (k, k))
        one = np.eye(u.shape[-1])
        close(u.swapaxes(-1, -2) @ u, np.broadcast_to(one, (*shape[:-2], *one.shape)))


def test_signs_of_vectors_are_fixed() -> None:
    """The first of the large entries of each vector is positive, whatever LAPACK gives."""
    x = numbers(2, 4, 3)
    symmetric = x @ x.swapaxes(-1, -2) + np.eye(4)
    values, vectors = cr.linalg.eigh(symmetric)
    close(values, np.linalg.eigvalsh(symmetric))
    close(cr.linalg.eigvalsh(symmetric), values)
    for found in (vectors.numpy(), cr.linalg.svd(x)[0].numpy()):
        large = np.abs(found) >= 0.618 * np.abs(found).max(-2, keepdims=True)
        first = np.take_along_axis(found, large.argmax(-2)[..., None, :], -2)
        assert (first > 0).all()
    close(symmetric @ vectors.numpy(), vectors.numpy() * values.numpy()[:, None, :])


def test_systems_with_triangles() -> None:
    a, b = numbers(3, 3) + 3 * np.eye(3), numbers(3, 2, seed=5)
    for lower, unit, transpose in itertools.product([False, True], repeat=3):
        how = {"lower": lower, "unit": unit, "transpose": transpose}
        expected = linalg.solve_triangular(a, b, int(transpose), lower, unit)
        close(cr.linalg.solve_triangular(a, b, **how), expected)
        close(cr.linalg.solve_triangular(a, b[:, 0], **how), expected[:, 0])
        left = linalg.solve_triangular(a, b, int(not transpose), lower, unit).T
        close(cr.linalg.solve_triangular(a, b.T, left=False, **how), left)
    matrix = a @ a.T
    factor = np.linalg.cholesky(matrix)
    close(cr.linalg.cholesky(matrix), factor)
    close(cr.linalg.cholesky(matrix, upper=True), factor.T)
    close(cr.linalg.cholesky_solve(b, factor), np.linalg.solve(matrix, b))
    close(cr.linalg.cholesky_solve(b, factor.T, upper=True), np.linalg.solve(matrix, b))
    close(cr.linalg.cholesky_inverse(factor), np.linalg.inv(matrix))
    close(cr.linalg.cholesky_inverse(factor.T, upper=True), np.linalg.inv(matrix))
    packed, rows = cr.linalg.lu_factor(a)
    close(cr.linalg.lu_solve(packed, rows, b), np.linalg.solve(a, b))


def test_determinants_and_exponentials() -> None:
    x = numbers(3, 4, 4)
    close(cr.linalg.det(x), np.linalg.det(x))
    sign, log = np.linalg.slogdet(x)
    found = cr.linalg.slogdet(x)
    close(found[0], sign)
    close(found[1], log)
    close(cr.linalg.logdet(x), np.where(sign < 0, math.nan, log))
    assert cr.linalg.logdet(np.zeros((2, 2))).item() == -math.inf
    for scale in (0.01, 1.0, 30.0):
        expected = linalg.expm(scale * x)
        found = cr.linalg.matrix_exp(scale * x).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())
    wide = numbers(2, 5)
    close(cr.linalg.pinv(wide), np.linalg.pinv(wide))
    close(cr.linalg.pinv(np.diag([1.0, 1e-3]), rtol=1e-2), np.diag([1.0, 0.0]))
    assert cr.linalg.matrix_rank(np.diag([1.0, 1e-3])).item() == 2
    assert cr.linalg.matrix_rank(np.diag([1.0, 1e-3]), 1e-2).item() == 1
    assert cr.linalg.matrix_rank(np.zeros((2, 3))).item() == 0
    empty = np.zeros((0, 0))
    close(cr.linalg.det(empty), 1.0)
    for shape in ((0, 3), (3, 0), (2, 0, 3)):
        close(cr.linalg.pinv(np.zeros(shape)), np.linalg.pinv(np.zeros(shape)))
    close(cr.linalg.matrix_exp(empty), empty)


def test_products_of_several_matrices() -> None:
    parts = [numbers(*shape, seed=i) for i, shape in enumerate([(2, 9), (9, 3), (3, 7), (7, 1)])]
    close(cr.linalg.multi_dot(parts), np.linalg.multi_dot(parts))
    close(cr.linalg.multi_dot([parts[0][0], *parts[1:3], numbers(7)]),
          np.linalg.multi_dot([parts[0][0], *parts[1:3], numbers(7)]))  # fmt: skip
    close(cr.linalg.multi_dot([parts[0], numbers(9)]), parts[0] @ numbers(9))
    reflections, scales = linalg.qr(parts[1], mode="raw")[0]
    orthogonal = linalg.qr(parts[1], mode="economic")[0]
    close(cr.linalg.householder_product(reflections, scales), orthogonal)
    a, b = numbers(2, 3), numbers(2, 3, seed=6)
    close(cr.linalg.vecdot(a, b), (a * b).sum(-1))
    close(cr.linalg.vecdot(a, b, 0), (a * b).sum(0))
    close(cr.linalg.vander(a), np.stack([np.vander(row, increasing=True) for row in a]))
    close(cr.linalg.vander(a[0], 2), np.vander(a[0], 2, increasing=True))
    close(cr.linalg.vander(a[0], 4, increasing=False), np.vander(a[0], 4))
    x = numbers(2, 3, 4)
    close(cr.linalg.diagonal(x), np.diagonal(x, 0, -2, -1))
    close(cr.linalg.diagonal(x, 1, 0, 2), np.diagonal(x, 1, 0, 2))


SQUARE = [
    *("matrix_power", "matrix_exp", "inv", "det", "slogdet", "cholesky", "cholesky_inverse"),
    *("eigh", "eigvalsh", "logdet"),
]
ANY = ["pinv", "matrix_rank", "lu", "lu_factor", "qr", "svd", "svdvals", "cond"]


@pytest.mark.parametrize("name", [*SQUARE, *ANY])
def test_what_is_no_matrix_is_refused(name: str) -> None:
    more = (2,) if name == "matrix_power" else ()
    wrong = [np.ones(3), np.ones(())] + ([np.ones((2, 3))] if name in SQUARE else [])
    for x in wrong:
        with pytest.raises(ShapeError, match="matrices"):
            getattr(cr.linalg, name)(x, *more)
    with pytest.raises(ShapeError, match="at least two"):
        cr.linalg.multi_dot([np.ones((2, 2))])
    with pytest.raises(ShapeError, match="at least two"):
        cr.linalg.multi_dot([np.ones((2, 2)), np.ones(2), np.ones((2, 2))])
    with pytest.raises(ConfigError, match="three modes"):
        cr.linalg.qr(np.ones((2, 2)), "raw")


def test_singular_and_indefinite_matrices_are_refused() -> None:
    singular = np.array([np.eye(2), np.ones((2, 2))])
    for function in (cr.linalg.inv, lambda x: cr.linalg.solve(x, np.ones((2, 1)))):
        with pytest.raises(DataError, match=r"singular[\s\S]*matrix \[1\]"):
            function(singular)
    with pytest.raises(DataError, match="not positive definite"):
        cr.linalg.cholesky(-np.eye(2))


# ---- ends of what is allowed -----------------------------------------------------------------


def test_the_whole_axis_is_one_part() -> None:
    x = numbers(6, 2)
    (whole,) = cr.split(x, 1)
    close(whole, x)
    for part, expected in zip(cr.split(x, 6), x, strict=True):
        close(part, expected[None])
    with pytest.raises(ShapeError):
        cr.split(x, 0)


def test_an_update_may_be_as_large_as_what_it_updates() -> None:
    x, new = numbers(3, 4), numbers(3, 4, seed=4)
    close(cr.dynamic_update_slice(x, new, 0, axis=0), new)
    close(cr.dynamic_update_slice(x, new[:, :1], 2, axis=1)[:, 2], new[:, 0])
    with pytest.raises(ShapeError):
        cr.dynamic_update_slice(x, numbers(4, 4), 0, axis=0)


def test_a_window_that_would_begin_behind_the_image_is_left_out() -> None:
    """PyTorch's rule: (3 + 2 - 2) / 2 + 1 is three windows rounded up, the last one all padding."""
    x = np.array([5.0, 1.0, 3.0]).reshape(1, 3, 1)
    close(cr.max_pool(x, 2, 2, 1, ceil_mode=True), [[[5.0], [3.0]]])
    longer = np.array([5.0, 1.0, 3.0, 2.0, 7.0, 4.0]).reshape(1, 6, 1)
    close(cr.max_pool(longer, 3, 2, ceil_mode=True), [[[5.0], [7.0], [7.0]]])


def test_uniform_numbers_are_between_nought_and_one_unless_told() -> None:
    x = cr.random.uniform(cr.random.key(3), (4096,)).numpy()
    assert 0 <= x.min() < 0.01
    assert 0.99 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.02


def test_a_point_behind_the_last_one_between_two() -> None:
    """The last interval is used up to its end, and nothing behind it."""
    xp, fp = np.array([0.0, 1.0, 4.0]), np.array([2.0, -1.0, 5.0])
    x = np.array([-1.0, 0.0, 0.25, 1.0, 3.999, 4.0, 4.5])
    close(cr.interp(x, xp, fp), np.interp(x, xp, fp))
    close(cr.interp(x, xp[:1], fp[:1]), np.interp(x, xp[:1], fp[:1]))


def test_how_many_are_different_must_be_known_in_a_program() -> None:
    with pytest.raises(ShapeError, match="unique"):
        cr.compile(lambda x: cr.unique(x))(np.array([3.0, 1.0, 3.0]))


def test_negative_places_count_from_the_end() -> None:
    x, updates = numbers(4, 2), numbers(3, 2, seed=4)
    for mode, reduce in [("multiply", np.multiply), ("add", np.add), ("max", np.maximum)]:
        expected = x.copy()
        reduce.at(expected, [-1, 1, -1], updates)
        close(cr.scatter(x, [-1, 1, -1], updates, mode=mode), expected)


def test_norms_of_what_counts_drop_the_axis_unless_it_is_to_stay() -> None:
    x, mask = numbers(3, 4), numbers(3, 4, seed=5) > 0
    expected = np.sqrt((np.where(mask, x, 0.0) ** 2).sum(1))
    close(cr.masked.norm(x, mask, 1), expected)
    close(cr.masked.norm(x, mask, 1, keepdims=True), expected[:, None])


def test_other_libraries_get_the_numbers_of_a_tensor() -> None:
    x = numbers(3, 4)
    np.testing.assert_array_equal(np.from_dlpack(cr.tensor(x, dtype="float64")), x)

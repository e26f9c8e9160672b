"""Convolutions of numbers rounded to bfloat16, and their gradients, on every backend.

The truth is a sum over the elements of the window in float64, of operands that are rounded here.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.compile import Compiled
from chainrule.engine.passes.narrow import narrow_products

from .test_bfloat16 import _built_in_little_time, needs_compiler, needs_tiles, rounded

__all__ = ["_built_in_little_time"]

#: Images, rows, columns, channels in and out, window, stride, zeros before and after, dilation.
CASES = [
    (4, 8, 8, 16, 32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    (3, 8, 8, 32, 48, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    (2, 11, 13, 20, 40, (5, 3), (1, 2), ((2, 2), (0, 1)), (1, 1)),
    (2, 11, 13, 17, 33, (3, 3), (1, 1), ((2, 2), (2, 0)), (2, 2)),
    (2, 15, 12, 24, 16, (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    (2, 16, 16, 64, 64, (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    (2, 16, 16, 3, 20, (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1)),
    (2, 9, 9, 16, 16, (4, 4), (1, 1), ((3, 5), (3, 4)), (1, 1)),
    (5, 40, 40, 16, 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),  # sums in several blocks
    (6, 1, 50, 18, 30, (1, 5), (1, 1), ((0, 0), (4, 0)), (1, 1)),
    (6, 1, 50, 18, 30, (1, 3), (1, 2), ((0, 0), (4, 0)), (1, 3)),
]


def places(case):
    _, *extents, _, _, window, stride, padding, dilation = case
    axes = zip(extents, window, stride, padding, dilation, strict=True)
    return [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]


def operands(case, seed=0):
    n, high, wide, c, m, window, *_ = case
    random = np.random.default_rng((seed, n, c, m))
    shapes = (n, high, wide, c), (*window, c, m), (n, *places(case), m)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def truth(case, x, w, g):
    """The convolution and the gradients of its sum, weighted by g."""
    _, high, wide, _, _, window, stride, (above, left), dilation = case
    full = np.pad(x, ((0, 0), above, left, (0, 0)))
    y, of_full, of_w = np.zeros(g.shape), np.zeros(full.shape), np.zeros(w.shape)
    for k in itertools.product(*map(range, window)):
        starts = [k[a] * dilation[a] for a in (0, 1)]
        ends = [starts[a] + (g.shape[a + 1] - 1) * stride[a] + 1 for a in (0, 1)]
        seen = (slice(None), *map(slice, starts, ends, stride))
        y += np.einsum("nijc,cm->nijm", full[seen], w[k])
        of_full[seen] += np.einsum("nijm,cm->nijc", g, w[k])
        of_w[k] = np.einsum("nijc,nijm->cm", full[seen], g)
    inside = slice(above[0], above[0] + high), slice(left[0], left[0] + wide)
    return y, of_full[:, inside[0], inside[1]], of_w


def convolution(case, x, w):
    """In one dimension where there is one row and one of the window."""
    _, high, _, _, _, _, stride, padding, dilation = case
    if high > 1:
        return cr.conv2d(x, w, stride=stride, padding=padding, dilation=dilation)
    y = cr.conv1d(x[:, 0], w[0], stride=stride[1], padding=(padding[1],), dilation=dilation[1])
    return y[:, None]


def all_of(cases):
    """A function of the operands of all cases: convolutions and both gradients."""

    def function(*given):
        found = []
        for case, x, w, g in zip(cases, given[::3], given[1::3], given[2::3], strict=True):

            def total(x, w, case=case, g=g):
                return cr.sum(convolution(case, x, w) * g)

            found += [convolution(case, x, w), *cr.grad(total, argnums=(0, 1))(x, w)]
        return found

    return function


def check(cases, backend):
    given = [x for case in cases for x in operands(case)]
    function = Compiled(all_of(cases), backend)
    found = iter(function(*given))
    for case, x, w, g in zip(cases, given[::3], given[1::3], given[2::3], strict=True):
        narrow = [rounded(array) for array in (x, w, g)]
        scales = truth(case, *map(np.abs, narrow))
        for expected, scale, y in zip(truth(case, *narrow), scales, found, strict=False):
            assert y.dtype == np.float32
            assert (np.abs(y.numpy() - expected) <= 2e-6 * scale + 1e-30).all(), case
    return function


@needs_compiler
@pytest.mark.parametrize("options", [{}, {"exact": True}], ids=["native", "exact"])
def test_convolutions_and_gradients(options):
    cases = CASES[::4] if options else CASES
    check(cases, find_backend("c", precision="bf16", **options))


def test_numpy_says_the_same():
    check(CASES, find_backend("numpy", precision="bf16"))


extents = st.integers(1, 3)


@needs_compiler
@settings(max_examples=2, deadline=None)
@given(st.tuples(st.integers(1, 3), st.integers(9, 14), st.integers(9, 14), st.integers(16, 40),
                 st.integers(1, 40), st.tuples(extents, extents), st.tuples(extents, extents),
                 st.tuples(st.tuples(extents, extents), st.tuples(extents, extents)),
                 st.tuples(extents, extents)))  # fmt: skip
def test_any_shape(case):
    check([case], find_backend("c", precision="bf16"))


@needs_tiles
def test_tiles_are_used_where_they_are_and_nowhere_else(monkeypatch):
    with_tiles = check(CASES[:2], find_backend("c", precision="bf16"))
    for name, count in (("tile_convolution", 4), ("tile_weights", 2)):
        assert with_tiles.source.count(f"] {name} */") == with_tiles.source.count(f"{name} */")
        assert with_tiles.source.count(f"{name} */") == count
    exact = check(CASES[:1], find_backend("c", precision="bf16", exact=True))
    monkeypatch.setattr(toolchain, "has_tiles", lambda: False)
    without = check(CASES[:1], find_backend("c", precision="bf16"))
    assert "cr_tiles" not in exact.source + without.source


@needs_compiler
def test_the_number_of_threads_changes_no_bit():
    cases = [CASES[1], CASES[2], CASES[8]]
    given = [x for case in cases for x in operands(case)]
    found = []
    for threads in (1, 2, 3):
        function = Compiled(all_of(cases), find_backend("c", threads, precision="bf16"))
        found.append([y.numpy().tobytes() for y in function(*given)])
    assert found[0] == found[1] == found[2]


@needs_compiler
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_image(value):
    """Images lie one behind the other in memory, and windows at the ends see both."""
    case = CASES[0]
    x, w, _ = operands(case)
    backend = find_backend("c", precision="bf16")
    function = Compiled(lambda x, w: convolution(case, x, w), backend)
    before = function(x, w).numpy()
    x[1, 3, 4, 5] = value
    after = function(x, w).numpy()
    touched = ~np.isfinite(after).all(-1)
    assert touched[1, 2:5, 3:6].all()
    assert touched.sum() == 9
    np.testing.assert_array_equal(after[~touched], before[~touched])


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=needs_compiler), "xla"])
def test_convolutions_in_groups_stay_in_float32(backend):
    if backend == "xla":
        pytest.importorskip("jax", reason="JAX is not installed")
    random = np.random.default_rng(3)
    x, w = (random.normal(size=s).astype("f") for s in [(2, 8, 8, 32), (3, 3, 1, 32)])

    def gradients(x, w):
        def total(x, w):
            return cr.sum(cr.conv2d(x, w, groups=32, padding=1) ** 2)

        return cr.grad(total, argnums=(0, 1))(x, w)

    for narrow, wide in zip(
        cr.compile(gradients, backend=backend, precision="bf16")(x, w),
        cr.compile(gradients, backend=backend)(x, w), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(narrow.numpy(), wide.numpy(), rtol=1e-5, atol=1e-4)
    names = [node.op.name for node in narrow_products(cr.trace(gradients, x, w).graph).nodes]
    assert "round_to_bfloat16" not in names


@needs_tiles
def test_tile_registers_by_the_names_of_clang_14(monkeypatch):
    known = toolchain.find()
    names = tuple(name.replace("AMX_", "AMX") for name in known.extensions)
    monkeypatch.setattr(toolchain, "find", lambda: dataclasses.replace(known, extensions=names))
    assert toolchain.has_tiles.__wrapped__()
    without = tuple(name for name in names if "TILE" not in name)
    monkeypatch.setattr(toolchain, "find", lambda: dataclasses.replace(known, extensions=without))
    assert not toolchain.has_tiles.__wrapped__()

"""Convolution and pooling in C: right for every shape, the same bits however they are cut."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.base import UnsupportedError
from chainrule.engine.backends.c import lowering_cache
from chainrule.engine.backends.c.kernels import (
    gemm,
    winograd,
)  # fmt: skip
from chainrule.engine.backends.c.kernels.cpu import writing_for
from chainrule.engine.backends.c.kernels.direct_convolution import strips
from chainrule.engine.backends.c.kernels.sliding_window import backward, forward
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.ops.sliding_window import sliding
from chainrule.engine.tensor import apply
from chainrule.errors import ShapeError

from ...nightly import by_night
from .flags import STRICT

TOLERANCE = {"float32": 4e-6, "float64": 2e-13}


@dataclasses.dataclass(frozen=True)
class Slide:
    """Windows over images of so many channels."""

    batch: int
    extents: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    taken: int = 1
    given: int = 1
    dtype: str = "float32"

    @property
    def attributes(self):
        names = ("stride", "before", "after", "dilation")
        return {name: getattr(self, name) for name in names}

    @property
    def places(self):
        return sliding(self.extents, self.window, **self.attributes)


def slides(pooling=False):
    """Any that make sense."""

    @st.composite
    def draw_slide(draw):
        rank = draw(st.integers(1, 3))
        largest = {1: 40, 2: 13, 3: 5}[rank]

        def axes(low, high):
            return draw(st.tuples(*[st.integers(low, high)] * rank))

        groups = 1 if pooling else draw(st.sampled_from((1, 1, 1, 2, 5, 16)))
        most = 20 if groups == 1 else 3
        window = axes(1, 6 if pooling else 4)
        margins = axes(0, 0 if 1 in window else 3)
        slide = Slide(
            batch=draw(st.integers(0, 5)),
            extents=axes(1, largest),
            window=window,
            stride=axes(1, 3),
            before=tuple(min(m, w - 1) for m, w in zip(margins, window, strict=True)),
            after=tuple(min(m, w - 1) for m, w in zip(axes(0, 3), window, strict=True)),
            dilation=(1,) * rank if pooling else axes(1, 2),
            groups=groups,
            taken=draw(st.integers(1, most)),
            given=draw(st.integers(1, 2 * most)),
            dtype=draw(st.sampled_from(("float32", "float64"))),
        )
        try:
            assert slide.places
        except ShapeError:
            slide = dataclasses.replace(slide, window=(1,) * rank, before=(0,) * rank,
                                        after=(0,) * rank)  # fmt: skip
        return slide

    return draw_slide()


def convolutions(slide, seed=0):
    """The graph of a convolution and both of its gradients, and its inputs."""
    r = np.random.default_rng(seed)
    s = slide
    shapes = [
        (s.batch, *s.extents, s.taken * s.groups),
        (*s.window, s.taken, s.given * s.groups),
        (s.batch, *s.places, s.given * s.groups),
    ]
    arrays = [r.standard_normal(shape).astype(s.dtype) for shape in shapes]
    more = {**s.attributes, "groups": s.groups}

    def all_three(x, w, g):
        return (
            apply(OPERATIONS["convolution"], x, w, **more),
            apply(OPERATIONS["transposed_convolution"], g, w, extents=s.extents, **more),
            apply(OPERATIONS["convolution_weights"], x, g, window=s.window, **more),
        )

    return cr.trace(all_three, *arrays).graph, arrays


def poolings(slide, seed=0):
    """The graph of everything about pooling, with ties, infinities and numbers that are none."""
    r = np.random.default_rng(seed)
    shape = (slide.batch, *slide.extents, slide.taken)
    x = r.integers(-2, 3, shape).astype(slide.dtype)
    if x.size and seed % 2:
        x.flat[r.integers(0, x.size, 3)] = np.nan, np.inf, -np.inf
    v = r.standard_normal(shape).astype(slide.dtype)
    g = r.standard_normal((slide.batch, *slide.places, slide.taken)).astype(slide.dtype)
    more = {name: getattr(slide, name) for name in ("window", "stride", "before", "after")}

    def everything(x, v, g):
        return (
            apply(OPERATIONS["max_pool"], x, **more),
            apply(OPERATIONS["max_pool_scatter"], x, g, **more),
            apply(OPERATIONS["max_pool_gather"], x, v, **more),
            apply(OPERATIONS["sum_pool"], v, **more),
            apply(OPERATIONS["sum_unpool"], g, extents=slide.extents, **more),
        )

    return cr.trace(everything, x, v, g).graph, [x, v, g]


def together(parts):
    """Several graphs as one."""
    graph = Graph(
        [node for graph, _ in parts for node in graph.inputs],
        [node for graph, _ in parts for node in graph.outputs],
    )
    return graph, [array for _, arrays in parts for array in arrays]


def check(found, expected, what):
    """Relative to the largest number."""
    with np.errstate(all="ignore"):
        finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(np.max(finite, initial=0.0)))
    np.testing.assert_allclose(
        found / scale, expected / scale, rtol=0, atol=TOLERANCE[expected.dtype.name],
        err_msg=str(what), equal_nan=True,
    )  # fmt: skip


def compare(make, drawn, flags=STRICT):
    """With the NumPy program, and with itself on other numbers of threads."""
    graph, arrays = together([make(slide, seed) for seed, slide in enumerate(drawn)])
    with np.errstate(all="ignore"):
        expected = Program(graph)(arrays)
    program = CProgram(graph, flags=flags)
    program.threads = 1
    found = program(arrays)
    each = len(expected) // len(drawn)
    for number, pair in enumerate(zip(found, expected, strict=True)):
        check(*pair, (drawn[number // each], f"output {number % each}"))
    for threads in (2, 3, 8):
        program.threads = threads
        assert [y.tobytes() for y in program(arrays)] == [y.tobytes() for y in found]
    return program


few = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(st.lists(slides(), min_size=8, max_size=8))
def test_convolutions_of_any_shape(drawn):
    compare(convolutions, drawn)


@few
@given(st.lists(slides(pooling=True), min_size=6, max_size=6))
def test_poolings_of_any_shape(drawn):
    compare(poolings, drawn)


def two(batch, extent, window, taken, given, stride=1, groups=1, dtype="float32", margin=None):
    """A square image with equal margins."""
    margin = (window - 1) // 2 if margin is None else margin
    pair = [(number,) * 2 for number in (extent, window, stride, margin, margin, 1)]
    return Slide(batch, *pair, groups, taken, given, dtype)


#: What networks are made of, large enough for threads, blocks of sums and several bands.
LAYERS = [
    two(16, 28, 5, 1, 16), two(16, 14, 5, 16, 32), two(8, 32, 3, 3, 32), two(4, 16, 3, 64, 40),
    two(4, 8, 3, 128, 128), two(4, 16, 3, 32, 64, stride=2), two(16, 16, 3, 1, 1, groups=64),
    two(8, 16, 3, 1, 1, 2, 24), two(1, 64, 3, 24, 16), two(2, 9, 7, 4, 6, dtype="float64"),
    Slide(2, (700,), (9,), (1,), (8,), (0,), (2,), 1, 24, 20),
    Slide(1, (5, 40, 30), (3, 3, 3), (1, 2, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1, 6, 8),
    two(3, 6, 3, 700, 24), two(2, 12, 3, 4, 4, groups=8),
]  # fmt: skip


def test_layers_of_networks():
    compare(convolutions, LAYERS)


#: Which are computed with fewer multiplications: odd extents, any margin, few and many tiles.
QUICK_ONES = [
    two(2, 9, 3, 16, 32), two(3, 8, 3, 64, 48), two(2, 7, 5, 32, 16), two(5, 14, 5, 16, 32),
    two(1, 6, 3, 128, 128, margin=0), two(33, 8, 3, 16, 16), two(4, 10, 3, 32, 16, margin=2),
    two(3, 5, 3, 256, 48),
]  # fmt: skip


def test_convolutions_with_fewer_multiplications():
    assert "the transformed inputs of one tile" in compare(convolutions, QUICK_ONES).source


@pytest.mark.parametrize("window", [3, 5])
def test_fewer_multiplications_give_the_same(window):
    """Exactly so in exact arithmetic, also for the place at infinity."""
    a, g, b = winograd.matrices(window)
    x = [Fraction(k * k % 7 - 3) for k in range(window + 1)]
    w = [Fraction(3 * k - 5, 2) for k in range(window)]

    def times(matrix, vector):
        return [sum(p * q for p, q in zip(row, vector, strict=True)) for row in matrix]

    product = [p * q for p, q in zip(times(g, w), times(b, x), strict=True)]
    assert times(a, product) == [sum(x[i + k] * w[k] for k in range(window)) for i in range(2)]


def test_wide_images_do_not_need_much_stack():
    compare(convolutions, [two(1, 150, 3, 80, 2), Slide(1, (9000,), (5,), (1,), (2,), (2,), (1,), 1,
                                                        24, 3)])  # fmt: skip


def test_a_huge_window_is_refused():
    graph, _ = convolutions(Slide(1, (9000,), (5001,), (1,), (2500,), (2500,), (1,), 1, 300, 1))
    with pytest.raises(UnsupportedError, match="so large a window"):
        CProgram(graph)


@pytest.mark.parametrize(
    "name",
    ["sse", *map(by_night, ("avx512", "neon", "plain"))],
)
def test_other_processors_give_the_same_bits(name, monkeypatch):
    """Their tiles; the compiler makes of long vectors what this processor has."""
    drawn = [two(2, 9, 3, 5, 37), two(1, 8, 3, 40, 19, 2), two(2, 7, 3, 1, 1, groups=21),
             two(2, 6, 5, 2, 9, dtype="float64"), two(1, 7, 3, 16, 48),
             two(1, 6, 5, 16, 16)]  # fmt: skip
    graph, arrays = together([convolutions(slide) for slide in drawn])
    own = CProgram(graph, flags=STRICT)(arrays)
    target = gemm.TARGETS[name]
    monkeypatch.setattr(lowering_cache, "_generator", lambda: name)
    with writing_for(target):
        program = CProgram(graph, flags=(*STRICT, "-Wno-psabi"))
    assert (f"cr_f32x{target.vector // 4}" in program.source) == (target.vector > 0)
    for found, expected in zip(program(arrays), own, strict=True):
        assert found.tobytes() == expected.tobytes()


def test_a_window_of_one_pixel_is_a_matrix_product():
    slide = two(2, 5, 1, 7, 3)
    graph, arrays = convolutions(slide)
    program = CProgram(graph)
    assert "A^T B" in program.source
    assert "pixels" not in program.source
    for found, expected in zip(program(arrays), Program(graph)(arrays), strict=True):
        check(found, expected, slide)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(6, 2), (12, 2), (12, 1), (8, 1)]))
def test_strips_cover_the_rows(rows, columns, tile):
    most, vectors = tile
    for tallest, most_rest in ((most, rows), (most, 1), (1, 1)):
        cut = strips(rows, columns, most, vectors, tallest, most_rest)
        assert cut.whole * cut.height + cut.rest * cut.rest_height == rows
        assert 1 <= cut.rest_height <= cut.height <= tallest
        assert cut.rest <= most_rest


@given(slides())
def test_phases_are_the_transpose(slide):
    """Each pair of input and output that meets going forward meets going back, and no other."""
    numbers = (slide.extents, slide.places, slide.window, slide.stride, slide.before,
               slide.dilation)  # fmt: skip

    def meetings(axis):
        return {
            (axis.first + q * axis.step, q * axis.stride + shift, k)
            for q, (shift, k) in itertools.product(range(axis.count), axis.taps)
            if 0 <= q * axis.stride + shift < axis.extent
        }

    back = list(backward(*numbers))
    for number, axis in enumerate(forward(*numbers)):
        found = set().union(*(meetings(axes[number]) for axes in back))
        assert {(i, o, k) for o, i, k in meetings(axis)} == found

"""With ``exact`` programs have the same bits with fused multiply-adds and without."""

import contextlib
import ctypes
import functools
import importlib.util
import itertools
import math
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.base import UnsupportedError
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels.cpu import (
    TARGETS,
    exact_target,
    native_target,
    writing_for,
)
from chainrule.engine.backends.c.prelude import prelude
from chainrule.engine.backends.c.schedule import check_support
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.compile import Compiled
from chainrule.engine.ops.attention import scaled_dot_product_attention
from chainrule.engine.ops.convolution import conv2d
from chainrule.engine.passes import optimize
from chainrule.errors import ConfigError

from ...nightly import by_night
from ..test_every_op import CASES, converted
from .same_bits import Recorder, assert_same_bits, building, need_x86
from .test_vector_widths import networks, values

nn = cr.nn


# ---- a b + c, rounded once -----------------------------------------------------------------

LOOPS = """
void one(const float *a, const float *b, const float *c, float *y, int64_t n);
void one(const float *a, const float *b, const float *c, float *y, int64_t n)
{
  for (int64_t i = 0; i < n; i++) y[i] = CR_FMAf(a[i], b[i], c[i]);
}

void four(const float *a, const float *b, const float *c, float *y, int64_t n);
void four(const float *a, const float *b, const float *c, float *y, int64_t n)
{
  for (int64_t i = 0; i + 4 <= n; i += 4)
    *(cr_f32x4 *)(y + i) = CR_FMA_f32x4(*(const cr_f32x4 *)(a + i), *(const cr_f32x4 *)(b + i),
                                        *(const cr_f32x4 *)(c + i));
}

void two(const double *a, const double *b, const double *c, double *y, int64_t n);
void two(const double *a, const double *b, const double *c, double *y, int64_t n)
{
  for (int64_t i = 0; i + 2 <= n; i += 2)
    *(cr_f64x2 *)(y + i) = CR_FMA_f64x2(*(const cr_f64x2 *)(a + i), *(const cr_f64x2 *)(b + i),
                                        *(const cr_f64x2 *)(c + i));
}
"""


def triples(dtype, count):
    """Numbers whose a b + c is hard to round: it nearly vanishes, is a tie, is huge or tiny."""
    random = np.random.default_rng(7)
    digits, low, high = (23, -149, 127) if dtype == np.float32 else (52, -1074, 1023)
    ends = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan]
    ends += [2.0**low, -(2.0**low), 2.0 ** (low + digits), 2.0 ** (low // 2)]
    ends += [2.0 ** (high // 2 + 1), (2.0 - 2.0**-digits) * 2.0**high]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        a, b, c = (np.ldexp(random.uniform(-2, 2, count), random.integers(low, high, count))
                   .astype(dtype) for _ in range(3))  # fmt: skip
        near = slice(0, count // 5)  # of 1, where products and sums have about the same size
        for x in (a, b, c):
            x[near] = np.ldexp(
                random.uniform(-2, 2, count // 5), random.integers(-9, 9, count // 5)
            )
        c[near][::2] = -(a[near] * b[near])[::2]
        tie = slice(count // 5, 2 * count // 5)  # few digits, far apart: halves and a little more
        few = [random.integers(-9, 9, count // 5) for _ in range(3)]
        a[tie], b[tie] = few[0] + np.ldexp(1.0, -digits + 3), few[1]
        c[tie] = np.ldexp(few[2] + 0.5, random.integers(-digits - 6, digits + 6, count // 5))
        small = slice(2 * count // 5, 3 * count // 5)  # results of which the last digits are lost
        a[small] = np.ldexp(random.uniform(1, 2, count // 5), low // 2 + random.integers(-9, 30))
        b[small] = np.ldexp(random.uniform(1, 2, count // 5), low - low // 2)
        c[small] = np.ldexp(random.integers(-99, 99, count // 5), low)
    for x in (a, b, c):
        x[-count // 5 :] = random.choice(np.array(ends, dtype), count // 5)
    return a, b, c


def fused(a, b, c):
    """a b + c by fractions, rounded once."""
    dtype = a.dtype
    digits, low = (24, -149) if dtype == np.float32 else (53, -1074)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if not all(map(np.isfinite, (a, b, c))):
            return c if np.isfinite(a) and np.isfinite(b) else a * b + c
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        if exact == 0:
            return a * b + c if a == 0 or b == 0 else dtype.type(0.0)
        size = exact.numerator.bit_length() - exact.denominator.bit_length()
        size += abs(exact) >= Fraction(2) ** size  # |exact| < 2^size
        step = Fraction(2) ** max(size - digits, low)
        rounded = round(exact / step) * step
        limit = Fraction(float(np.finfo(dtype).max))
        if abs(rounded) > limit:
            return dtype.type(-math.inf if exact < 0 else math.inf)
        return dtype.type(math.copysign(float(rounded), -1 if exact < 0 else 1))


@pytest.mark.parametrize("function", ["one", "four", "two"])
@pytest.mark.parametrize("name", ["sse", "plain"])
def test_numbers_are_fused_as_fractions_say(function, name):
    need_x86()
    dtype = np.float64 if function == "two" else np.float32
    a, b, c = triples(dtype, 2000)
    expected = np.array([fused(*triple) for triple in zip(a, b, c, strict=True)], dtype)
    with building(name), writing_for(exact_target()):
        assert exact_target() == replace(TARGETS[name], exact=True)
        library = toolchain.load(prelude(LOOPS) + LOOPS, ("-O1",))
    y = np.zeros_like(a)
    pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, c, y)]
    getattr(library, function)(*pointers, ctypes.c_int64(len(a)))
    assert_same_bits([y], [expected])
    with np.errstate(all="ignore"):
        assert np.sum(y != a * b + c) > 100  # twice rounded they are others


def test_where_there_is_an_instruction_nothing_changes():
    need_x86()
    assert exact_target() == native_target()
    x = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    sources = [
        find_backend("c", 1, exact=exact).build(
            cr.trace(lambda x: cr.exp(x) @ x.T, x).graph, {}, ()
        )
        for exact in (False, True)
    ]
    assert sources[0].source == sources[1].source


# ---- programs ------------------------------------------------------------------------------


#: Functions of doubles that are the C library's, of which each rounds as it likes.
LIBRARY = ("cbrt", "cofactors")


class Recurrent(nn.Module):
    """What an LSTM has found at the last step."""

    def __init__(self):
        super().__init__()
        self.cells, self.last = nn.LSTM(5, 24), nn.Linear(24, 1)

    def forward(self, x):
        return self.last(self.cells(x)[0][:, -1])


def slopes(function, *inputs):
    """The gradients of a function with respect to all of its inputs."""
    places = tuple(range(len(inputs)))
    return list(cr.grad(lambda *x: cr.sum(cr.tanh(0.1 * function(*x))), places)(*inputs))


def attention(*inputs):
    """The gradients of more queries than the backward pass keeps the weights of at once."""
    return slopes(scaled_dot_product_attention, *inputs)


def random_numbers(seed):
    key = cr.random.key(seed)
    wide = [cr.random.normal(key, (70,)), cr.random.uniform(key, (70,), dtype=np.float64)]
    return [*wide, cr.random.bernoulli(key, 0.3, (50,)), cr.random.randint(key, (50,), 0, 99)]


def operations(dtype, left_out=()):
    """The first sample of every operation with a kernel in C, in one program."""

    def run(backend):
        chosen = []
        for case in CASES:
            if case.is_operation and case.number == 0 and case.name not in left_out:
                arrays = converted(case.tensors, dtype)
                with contextlib.suppress(UnsupportedError):
                    check_support(optimize(cr.trace(case.on, *arrays).graph))
                    chosen.append((case, arrays))
        assert len(chosen) > 100

        def every(*tensors):
            given = iter(tensors)
            return [y for case, arrays in chosen for y in case.on(*(next(given) for _ in arrays))]

        Compiled(every, backend)(*(x for _, arrays in chosen for x in arrays))

    return run


def shapes(seed, dtype="float32"):
    """Products, convolutions, attention and sums of random shapes, in one program."""
    random = np.random.default_rng(seed)
    sizes = (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 64, 65, 100, 129, 200, 600)
    calls, arrays = [], []

    def add(call, *extents):
        arrays.append([random.normal(size=shape).astype(dtype) for shape in extents])
        calls.append(call)

    for turned in itertools.product((False, True), repeat=2):
        m, k, n = (int(random.choice(sizes)) for _ in range(3))
        a, b = turned
        add(lambda x, y, a=a, b=b: [cr.tanh((x.T if a else x) @ (y.T if b else y))],
            (k, m) if a else (m, k), (n, k) if b else (k, n))  # fmt: skip
    for window, stride in ((1, 1), (3, 1), (3, 2), (5, 1)):
        taken, given = (int(random.choice((1, 3, 7, 16, 20, 32, 48))) for _ in range(2))
        high, wide = (int(x) for x in random.integers(5, 19, 2))
        how = {"stride": stride, "padding": window // 2}
        add(functools.partial(slopes, functools.partial(conv2d, **how)),
            (3, high, wide, taken), (window, window, taken, given))  # fmt: skip
    for causal in (False, True):
        queries, keys, features = (int(random.integers(1, most)) for most in (400, 300, 40))
        keys = max(keys, queries) if causal else keys
        look = functools.partial(scaled_dot_product_attention, causal=causal)
        add(functools.partial(slopes, look),
            (2, queries, features), (2, keys, features), (2, keys, features))  # fmt: skip
    along = (cr.sum, cr.softmax, cr.var, cr.logsumexp)
    for axis in range(3):
        add(lambda x, axis=axis: [f(x, axis=axis) for f in along],
            tuple(int(x) for x in random.integers(1, 60, 3)))  # fmt: skip

    def every(*given):
        given = iter(given)
        return [call(*(next(given) for _ in part))
                for call, part in zip(calls, arrays, strict=True)]  # fmt: skip

    return lambda backend: Compiled(every, backend)(*itertools.chain(*arrays))


def samples():
    """By name what runs with a backend."""
    random = np.random.default_rng(3)
    more = {
        "lstm": ((Recurrent(),), networks()["series"][1]),
        "winograd": ((nn.Conv2d(16, 32, 3, padding="same"), nn.SiLU(),
                      nn.Conv2d(32, 16, 5, padding="same"), nn.Flatten(), nn.Linear(1600, 1)),
                     networks()["images"][1]),
    }  # fmt: skip

    def training(layers, x):
        def run(backend):
            model = nn.Sequential(*layers).initialize(seed=0)
            trainer = cr.Trainer(model, "mse", "adam", lr=0.01, progress=False, backend=backend)
            y = x.reshape(len(x), -1)[:, :1] ** 2
            trainer.fit((x, y), epochs=2, batch_size=len(x) // 2)

        return run

    def function(call, *arrays):
        return lambda backend: Compiled(call, backend)(*arrays)

    rows = random.normal(size=(37, 213)).astype(np.float32)
    return {
        **{name: training(*pair) for name, pair in (networks() | more).items()},
        "attention": function(attention, *(random.normal(size=(2, n, 12)).astype(np.float32)
                                           for n in (300, 100, 100))),
        "values": function(values, rows),
        "doubles": function(values, rows.astype(np.float64)),
        "random": function(random_numbers, 5),
        **{f"shapes {seed}": shapes(seed) for seed in (1, 2, 3)},
        "shapes of doubles": shapes(4, "float64"),
        "operations": operations("float32"),
        "operations on doubles": operations("float64", LIBRARY),
    }  # fmt: skip


#: Of the samples, those of the day.
DAY = ("dense", "images", "lstm", "attention")


def recorded(name, compiler="cc"):
    recorder = Recorder()
    with building("native", compiler):
        samples()[name](recorder)
    assert recorder.calls
    return recorder.calls[-1]


@pytest.mark.parametrize("name", [by_night(name, unless=name in DAY) for name in samples()])
def test_programs_for_other_instructions_have_the_same_bits(name):
    need_x86()
    call = recorded(name)
    for build in ("avx2", "sse", "plain"):
        with building(build):
            assert_same_bits(call.again(), call.found)


@pytest.mark.nightly
@pytest.mark.parametrize("name", samples())
def test_clang_finds_the_same_bits(name):
    need_x86()
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("there is no ziglang")
    call = recorded(name)
    for build in ("native", "avx2", "sse", "plain"):
        with building(build, f"{sys.executable} -m ziglang cc"):
            assert_same_bits(call.again(), call.found)


def test_otherwise_they_have_others():
    """Which says that the comparison would see it."""
    need_x86()
    call = recorded("dense")
    with building("sse"), pytest.raises(AssertionError, match="differ"):
        assert_same_bits(call.again(exact=False), call.found)


# ---- how it is asked for -------------------------------------------------------------------


def test_trainer_and_compile_take_it():
    need_x86()
    x = networks()["dense"][1]

    def states():
        model = nn.Sequential(nn.Linear(21, 7), nn.Tanh(), nn.Linear(7, 1)).initialize(seed=0)
        trainer = cr.Trainer(model, "mse", "sgd", lr=0.1, progress=False, exact=True)
        trainer.fit((x, x[:, :1]), epochs=1, batch_size=20)
        found = cr.compile(lambda x: cr.exp(x) @ x.T, exact=True)(x)
        return [*model.state().values(), found.numpy()]

    with building("native"):
        expected = states()
    with building("sse"):
        assert_same_bits(states(), expected)


@pytest.mark.parametrize("options", [{"backend": "numpy"}, {"backend": "xla"}, {"device": "gpu"}])
def test_what_cannot_be_exact_is_refused(options):
    with pytest.raises(ConfigError, match="same bits on every processor"):
        find_backend(**{"backend": "auto", **options}, exact=True)


def test_without_a_compiler_it_is_refused_rather_than_run_on_numpy(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CC", "")
    with pytest.raises(toolchain.CompilerError, match="No C compiler"):
        cr.compile(lambda x: x * 2.0, exact=True)(np.ones(3, np.float32))


def test_a_backend_of_ones_own_is_refused():
    with pytest.raises(ConfigError, match="name of a backend"):
        cr.Trainer(nn.Linear(1, 1), "mse", backend=find_backend("c"), exact=True)

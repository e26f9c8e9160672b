"""What eager code refuses, compiled code refuses with the same error; what one computes, all do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.tensor import FUNCTIONS
from chainrule.errors import ChainruleError, DataError, OutOfRangeError

from .backends.flags import NIGHTLY

BACKENDS = ("numpy", "c")


def refused(function: Any, *arguments: Any) -> tuple[type, str, str | None, str | None, str | None]:
    with pytest.raises(ChainruleError) as caught:
        function(*arguments)
    error = caught.value
    return type(error), error.what, error.expected, error.found, error.hint


def same_refusal(function: Any, *arrays: Any) -> type:
    eager = refused(function, *map(cr.tensor, arrays))
    for backend in BACKENDS:
        assert refused(cr.compile(function, backend=backend), *arrays) == eager, backend
    return eager[0]


LOGITS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("bad", [-1, 3, -(2**40), 2**40])
@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "multi_margin"])
def test_classes(loss, bad):
    classes = np.array([0, 2, bad, 1])
    assert same_refusal(getattr(cr.losses, loss), LOGITS, classes) is DataError


def test_classes_of_the_function_below_the_loss():
    assert (
        same_refusal(cr.ops.cross_entropy_from_logits, LOGITS, np.array([0, -1, 0, 0])) is DataError
    )


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        ("binary_cross_entropy", 255.0),
        ("binary_cross_entropy", np.nan),
        ("focal", 0.5),
        ("multilabel_soft_margin", -0.1),
        ("hinge", 0.0),
        ("squared_hinge", 2.0),
        ("soft_margin", np.nan),
        ("poisson_nll", -1.0),
        ("msle", -1.0),
        ("kl_div", 1.5),
    ],
)
def test_targets(loss, bad):
    target = np.ones((4, 3), np.float32)
    target[2, 1] = bad
    assert same_refusal(getattr(cr.losses, loss), LOGITS, target) is DataError


def test_weights_and_variances():
    def weighted(x, w):
        return cr.losses.mse(x, np.zeros((4, 3)), sample_weights=w)

    assert same_refusal(weighted, LOGITS, np.array([1.0, -1.0, 0.0, 1.0], np.float32)) is DataError

    def likelihood(x, v):
        return cr.losses.gaussian_nll(x, np.zeros((4, 3)), v)

    assert same_refusal(likelihood, LOGITS, LOGITS) is DataError


@pytest.mark.parametrize("bad", [5, -6, 2**40, -(2**40)])
def test_indices(bad):
    x, index = np.arange(15.0, dtype=np.float32).reshape(5, 3), np.array([0, bad])
    functions = [
        lambda x, i: x[i],
        lambda x, i: x[i, [0, 1]],
        lambda x, i: x[[0, 1], i],
        lambda x, i: cr.take(x, i),
        lambda x, i: cr.grad(lambda x: cr.take(x, i).sum())(x),
        lambda x, i: cr.scatter_add(x, i, np.ones((2, 3))),
        lambda x, i: cr.take_along_axis(x[:, :1], i[:, None], 0),
        lambda x, i: cr.add_along_axis(x[:, :1], i[:, None], 1.0, 0),
        lambda x, i: cr.embedding_bag(x, i[None], np.ones((1, 2))),
    ]
    for function in functions:
        assert same_refusal(function, x, index) is OutOfRangeError


@pytest.mark.parametrize("bad", [-1, 3])
def test_embeddings_and_positions(bad):
    table = cr.nn.Embedding(3, 2).initialize(0)
    assert same_refusal(table, np.array([[0, bad]])) is DataError
    positions = cr.nn.LearnedPositions(4, 2)
    assert (
        same_refusal(lambda x, n: positions(x, n), np.ones((2, 2)), np.array(bad))
        is OutOfRangeError
    )


def test_a_full_cache_of_attention():
    attention = cr.nn.MultiHeadAttention(4, 2).initialize(0)

    def step(x, position):
        cache = attention.cache(1, 4) | {"position": position}
        return attention(x, cache=cache)[0]

    assert same_refusal(step, np.ones((1, 2, 4), np.float32), np.array(3)) is OutOfRangeError


def test_the_error_says_where_and_nothing_was_overwritten():
    w = cr.Buffer(np.ones(3))

    def step(z, t):
        loss = cr.losses.cross_entropy(z * w, t)
        w.assign(w * 2)
        return loss

    run = cr.compile(step, backend="c")

    with pytest.raises(DataError) as caught:
        run(LOGITS, np.array([0, 1, 2, 3]))
    assert __file__ in caught.value.where
    assert w.tolist() == [1, 1, 1]


def test_many_steps_in_one_call_stop_at_the_first_that_is_refused():
    w = cr.Buffer(np.zeros((), np.float32))

    def step(z, t):
        loss = cr.losses.cross_entropy(z, t)
        w.assign(w + 1)
        return loss

    classes = np.array([0, 1, -1, 2])
    for backend in BACKENDS:
        w.assign(0.0)
        run = cr.compile(step, backend=backend)
        with pytest.raises(DataError) as caught:
            run.run_steps([[0, 1], [1, 3], [0, 2], [3, 3]], LOGITS, classes, rows=(0, 1))
        assert caught.value.found == "-1 at [1]"
        assert w.item() == 2


def test_the_step_of_the_trainer():
    model = cr.nn.Linear(2, 3).initialize(0)
    trainer = cr.Trainer(model, "cross_entropy", "sgd", progress=False)
    with pytest.raises(DataError):
        trainer.fit((np.ones((4, 2), np.float32), np.array([0, 1, 2, -1])), epochs=1)
    with pytest.raises(DataError, match="class index"):
        trainer.fit((np.ones((4, 2), np.float32), np.array([0, 1, 2, 3])), epochs=1)


# ---- every element type, with the ends of its range ----------------------------------------------

EDGES = {
    "bool": [True, False, True, True],
    "int32": [-(2**31), 2**31 - 1, -1, 0, 7, -8],
    "int64": [-(2**63), 2**63 - 1, -1, 0, 7, -8],
    "uint32": [0, 2**32 - 1, 1, 5, 7, 100],
    "float32": [np.nan, np.inf, -np.inf, -0.0, 1.5, -2.5],
    "float64": [np.nan, np.inf, -np.inf, -0.0, 1.5, -2.5],
}
ONE = [
    "negative", "abs", "sign", "floor", "trunc", "round", "sqrt", "exp", "square", "reciprocal",
    "logical_not", "isnan", "isfinite", "relu", "sigmoid", "bitwise_not",
]  # fmt: skip
TWO = [
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "floor_divide",
    "remainder", "fmod", "copysign", "equal", "less", "less_equal", "logical_and",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "fmax",
]  # fmt: skip
MANY = [
    "sum", "max", "min", "prod", "any", "all", "argmax", "argmin", "cumsum", "cumprod",
    "cummax", "cummin", "sort", "argsort", "logsumexp", "softmax", "count_nonzero", "median",
]  # fmt: skip


def edges(dtype: str, count: int = 6, repeated: int = 1) -> np.ndarray[Any, Any]:
    return np.resize(np.repeat(np.array(EDGES[dtype], dtype), repeated), count)


def converted(*dtypes: str) -> Any:
    def function(x: Any) -> Any:
        for dtype in dtypes:
            x = cr.tensor(x).astype(dtype) if isinstance(x, np.ndarray) else x.astype(dtype)
        return x

    return function


def cases() -> list[tuple[str, Any, list[Any]]]:
    found = []
    for d in EDGES:
        for name in ONE:
            found.append((f"{name} {d}", FUNCTIONS[name], [edges(d)]))
        for name in MANY:
            found.append((f"{name} {d}", FUNCTIONS[name], [edges(d)]))
            found.append((f"{name} finite {d}", FUNCTIONS[name], [edges(d)[3:]]))
        for e in EDGES:
            pair = [edges(d, 36), edges(e, 36, 6)]
            found += [(f"{name} {d} {e}", FUNCTIONS[name], pair) for name in TWO]
            found += [(f"{d}, {e}, {f}", converted(e, f), [edges(d)]) for f in EDGES]
    return found


def outcome(function: Any, arrays: Any) -> Any:
    """The array, or the error: never a bare one."""
    try:
        return function(*arrays).numpy()
    except ChainruleError as error:
        return type(error), error.what, error.found


def agree(found: Any, expected: Any, exactly: bool, what: str) -> None:
    if isinstance(found, tuple) or isinstance(expected, tuple):
        assert found == expected, what
        return
    assert found.dtype == expected.dtype, what
    tolerance = 0 if exactly or found.dtype.kind != "f" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def test_every_type_on_numpy():
    for what, function, arrays in cases():
        eager = outcome(function, list(map(cr.tensor, arrays)))
        agree(outcome(cr.compile(function, backend="numpy"), arrays), eager, True, what)


@pytest.mark.parametrize("part", range(8 if NIGHTLY else 1))
def test_every_type_in_c(part):
    found = cases()[part::8]
    for start in range(0, len(found), 50):
        group = [
            (what, f, arrays, eager)
            for what, f, arrays in found[start : start + 50]
            if not isinstance(eager := outcome(f, list(map(cr.tensor, arrays))), tuple)
        ]

        def many(*arrays: Any, group: Any = group) -> list[Any]:
            rest = iter(arrays)
            return [f(*[next(rest) for _ in given]) for _, f, given, _ in group]

        given = [array for _, _, arrays, _ in group for array in arrays]
        results = cr.compile(many, backend="c")(*given)
        for (what, _, _, eager), result in zip(group, results, strict=True):
            agree(result.numpy(), eager, False, what)


def test_integers_to_negative_powers():
    base, exponent = np.array([2, 10]), np.array([-1, -2])
    assert same_refusal(lambda a, b: a**b, base, exponent) is DataError
    assert (cr.tensor(base) ** -1).dtype == np.float32
    assert (cr.tensor(base) ** 2.0).dtype == np.float32
    assert (cr.tensor(base) ** 2).dtype == np.int64


# ---- Python's numbers, and lists of tensors ------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_python_floats_keep_their_digits(backend):
    def compiled(function: Any, *arguments: Any) -> Any:
        expected = function(*[cr.tensor(x) if isinstance(x, np.ndarray) else x for x in arguments])
        found = cr.compile(function, backend=backend)(*arguments)
        assert found.type == expected.type
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
        return found

    x64, x32, n = np.array([1.0, 1e-300]), np.array([1.0, 2.0], np.float32), np.array([3, 4])
    for x in (x64, x32, n):
        compiled(lambda x, c: x * c, x, 0.1)
        compiled(lambda x, c: c - x, x, 0.1)
        compiled(lambda x, c: x * (1 - c) ** 2 / 3, x, 0.9)
        compiled(lambda x, c: cr.where(x > c, c, x), x, 1.1)
        compiled(lambda x, c: cr.stack([x[0], c]), x, 0.1)
        compiled(lambda x, c: x + cr.as_tensor(c), x, 0.1)
    assert compiled(lambda x, c: x * c, np.array([1e-300]), 1e300).item() == 1.0
    found = cr.compile(lambda c: cr.grad(lambda c: c * c)(c), backend=backend)(3.0)
    assert (found.item(), found.dtype) == (6.0, np.float32)


def test_lists_of_tensors_keep_their_gradient():
    x = cr.tensor([1.0, 1.0])
    functions = [
        lambda x: cr.sum([x[0] * 2, x[1] * 3]),
        lambda x: cr.sum([[x[0] * 2], (x[1] * 3,)]),
        lambda x: ([x[0] * 2, 0.0] * cr.tensor([1.0, 1.0])).sum() + cr.sum((1.0, x[1] * 3)),
        lambda x: cr.where([True, False], [x[0] * 2, 5.0], [x[1], x[1] * 3]).sum(),
    ]
    for function in functions:
        assert cr.grad(function)(x).tolist() == [2.0, 3.0]
        for backend in BACKENDS:
            assert cr.compile(cr.grad(function), backend=backend)(x).tolist() == [2.0, 3.0]
    loss = lambda x: cr.losses.mse([x[0] * 2, x[1] * 3], [0.0, 0.0])  # noqa: E731
    assert cr.grad(loss)(x).tolist() == [4.0, 9.0]
    with pytest.raises(ChainruleError, match="one shape"):
        cr.sum([x, x[0]])


def test_bits_of_integers():
    a, b = cr.tensor([6, 5]), cr.tensor([3, 1])
    assert [(a & b).tolist(), (a | b).tolist(), (a ^ b).tolist(), (~a).tolist()] == [
        [2, 1], [7, 5], [5, 4], [-7, -6],
    ]  # fmt: skip
    assert (3 & a).tolist() == [2, 1]
    assert ((a > 5) & (b > 1)).tolist() == [True, False]
    with pytest.raises(ChainruleError, match="integers or booleans"):
        cr.tensor([1.0]) & a


@pytest.mark.parametrize("backend", ["eager", "numpy", "c"])
def test_a_cast_between_two_others_rounds(backend):
    """Integers of more digits than a float has, and those that do not fit in the last type."""

    def run(function: Any, x: Any) -> Any:
        return (
            function(cr.tensor(x))
            if backend == "eager"
            else cr.compile(function, backend=backend)(x)
        )

    x = np.array([2**24 + 1, -(2**24) - 1, 2**53 + 1, -(2**53) - 1, 2**62 + 1, 5])
    exact = [int(float(n)) for n in x]
    assert run(lambda a: a.astype("float64").astype("int64"), x).tolist() == exact
    single = [2**24, -(2**24), 2**53, -(2**53), 2**62, 5]
    assert run(lambda a: a.astype("float32").astype("int64"), x).tolist() == single
    assert run(lambda a: a.astype("float32").astype("int32"), x[[0, 5]]).tolist() == [2**24, 5]
    for size in (2, 3, 7, 100):
        halves = np.random.default_rng(size).normal(size=size)
        found = run(lambda a: a.astype("float32").astype("float64"), halves)
        assert found.tolist() == halves.astype(np.float32).astype(np.float64).tolist()
        assert run(lambda a: a.astype("bool").astype("float32"), halves).tolist() == [1.0] * size
    far = np.array([-(2**31) - 1, 2**31, 2**40, -(2**63), 7])
    for through in ("float64", "float32"):
        found = run(lambda a, t=through: a.astype(t).astype("int32"), far)
        assert found.tolist() == [-(2**31)] * 4 + [7]  # as processors convert what does not fit


# ---- what is not read may be NaN -----------------------------------------------------------------


def test_rows_that_no_index_picks_are_not_read():
    table, weight = np.ones((3, 2), np.float32), np.full((2, 2), 0.5, np.float32)
    index = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    hole = table.copy()
    hole[2] = np.nan

    def slopes(e: Any, w: Any) -> Any:
        return cr.grad(lambda e, w: (cr.take(e, index) @ w).sum(), argnums=(0, 1))(e, w)

    for backend in BACKENDS:
        found = cr.compile(slopes, backend=backend)(hole, weight)
        for one, other in zip(found, slopes(cr.tensor(table), cr.tensor(weight)), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
        infinite = cr.compile(slopes, backend=backend)(table, weight * np.inf)[0].numpy()
        assert np.isinf(infinite[:2]).all()
        assert (infinite[2] == 0).all()

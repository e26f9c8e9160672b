"""vmap equals a Python loop: every operation and function, every sample, values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.engine.vmap import vmap
from chainrule.errors import ConfigError, OutOfRangeError, ShapeError, TraceError

from ..nightly import by_night
from .test_every_op import CASES, Case, is_smooth, weighted

RNG = np.random.default_rng(5)


def variants(x: Any) -> Any:
    """Three examples of a sample's array; reversed, it stays in the domain of the operation."""
    return np.stack([x, x[(slice(None, None, -1),) * x.ndim], x])


def which_are_mapped(case: Case) -> list[tuple[bool, ...]]:
    count = len(case.tensors)
    some = [tuple(i == one for i in range(count)) for one in range(count)] if count > 1 else []
    return [(True,) * count, *some] if count else []


def loop(case: Case, stacked: list[Any], mapped: tuple[bool, ...], number: int) -> list[Any]:
    """The arrays of one example."""
    pairs = zip(case.tensors, stacked, mapped, strict=True)
    return [s[number] if is_mapped else x for x, s, is_mapped in pairs]


def check(case: Case, mapped: tuple[bool, ...], run: Any = lambda f, *x: f(*x)) -> None:
    stacked = [variants(x) for x in case.tensors]
    axes = tuple(0 if is_mapped else None for is_mapped in mapped)
    given = [s if m else x for x, s, m in zip(case.tensors, stacked, mapped, strict=True)]
    smooth = [i for i, x in enumerate(case.tensors) if x.dtype.kind == "f"]
    with_gradients = is_smooth(case)

    def one(*x: Any) -> list[Any]:
        results = case.on(*x)
        if with_gradients:
            results += cr.grad(lambda *z: weighted(case.on(*z)), argnums=tuple(smooth))(*x)
        return results

    found = run(vmap(one, in_axes=axes), *map(cr.tensor, given))
    singles = [one(*map(cr.tensor, loop(case, stacked, mapped, i))) for i in range(3)]
    for y, *expected in zip(found, *singles, strict=True):
        wanted = np.stack([z.numpy() for z in expected])
        assert (y.dtype, y.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-9, atol=1e-11)
    if with_gradients:  # and the gradient of what is mapped

        def total(*x: Any) -> Any:
            return weighted(list(vmap(lambda *z: case.on(*z), in_axes=axes)(*x)))

        slopes = cr.grad(total, argnums=tuple(smooth))(*map(cr.tensor, given))

        def of_loop(*x: Any) -> Any:
            rows = [
                case.on(*[z[i] if m else z for z, m in zip(x, mapped, strict=True)])
                for i in range(3)
            ]
            return weighted([cr.stack(list(parts)) for parts in zip(*rows, strict=True)])

        expected = cr.grad(of_loop, argnums=tuple(smooth))(*map(cr.tensor, given))
        for a, b in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-10)


#: Functions of operations that have no samples of their own; the other functions are for the night.
BY_DAY = ("linalg.", "scan", "remat", "scaled_dot_product_attention", "getitem", "setitem")
EVERY = [(case, mapped) for case in CASES for mapped in which_are_mapped(case)]


@pytest.mark.parametrize(
    ("case", "mapped"),
    [
        by_night(
            case,
            mapped,
            unless=case.is_operation or (all(mapped) and case.name.startswith(BY_DAY)),
        )
        for case, mapped in EVERY
    ],
    ids=lambda value: "".join("01"[m] for m in value) if isinstance(value, tuple) else str(value),
)
def test_every_sample(case: Case, mapped: tuple[bool, ...]) -> None:
    check(case, mapped)


#: So many samples are one program.
_TOGETHER = 25
GROUPS = [CASES[i : i + _TOGETHER] for i in range(0, len(CASES), _TOGETHER)]


@pytest.mark.parametrize(
    ("group", "backend"),
    [by_night(group, backend) for group in GROUPS for backend in ("numpy", "c")],
    ids=lambda value: str(value[0]) if isinstance(value, list) else value,
)
def test_every_sample_compiled(group: list[Case], backend: str) -> None:
    cases = [case for case in group if case.tensors]

    def everything(given: list[list[Any]]) -> list[Any]:
        return [vmap(lambda *x, case=case: case.on(*x))(*arrays)
                for case, arrays in zip(cases, given, strict=True)]  # fmt: skip

    given = [[variants(x) for x in case.tensors] for case in cases]
    found = cr.compile(everything, backend=backend)(given)
    for case, arrays, results in zip(cases, given, found, strict=True):
        singles = [
            [y.numpy() for y in case.on(*(cr.tensor(x[i]) for x in arrays))] for i in range(3)
        ]
        for y, *expected in zip(results, *singles, strict=True):
            np.testing.assert_allclose(
                y.numpy(), np.stack(expected), rtol=1e-6, atol=1e-7, err_msg=str(case)
            )


# ---- axes --------------------------------------------------------------------------------------


def test_axes_of_arguments_and_results():
    a, b = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3))
    expected = np.stack([a[i] * 2 + b[:, i] for i in range(3)])

    def f(x, tree):
        return {"sum": x * 2 + tree["b"], "same": tree["c"] + 1}

    tree = {"b": b, "c": np.array(2.0)}
    for in_axes in ((0, {"b": 1, "c": None}), [0, {"b": -1, "c": None}]):
        for axis in (0, 1, -1):
            found = cr.vmap(f, in_axes, {"sum": axis, "same": None})(a, tree)
            np.testing.assert_allclose(found["sum"].numpy(), expected if axis == 0 else expected.T)
            assert found["same"].numpy() == 3
    found = cr.vmap(f, in_axes)(a, tree)
    np.testing.assert_allclose(found["same"].numpy(), [3, 3, 3])  # repeated
    by_name = cr.vmap(lambda x, *, y: x + y)(a, y=a)
    np.testing.assert_allclose(by_name.numpy(), 2 * a)
    none = cr.vmap(lambda x: x + 1, in_axes=None, axis_size=2)(a)
    np.testing.assert_allclose(none.numpy(), np.stack([a + 1, a + 1]))
    empty = cr.vmap(lambda x: (x * 2).sum())(np.zeros((0, 3)))
    assert empty.shape == (0,)
    assert cr.vmap(cr.linalg.svd)(np.zeros((0, 3, 2)))[0].shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: cr.vmap(lambda a, b: a + b)(x, x[:2]), ShapeError, "differ"),
        (lambda x: cr.vmap(lambda a, b: a + b)(x, 1.0), ShapeError, "single number"),
        (lambda x: cr.vmap(lambda a: a, in_axes=2)(x), ShapeError, "no such axis"),
        (lambda x: cr.vmap(lambda a: a, in_axes=(0, 0))(x), ConfigError, "entry for each"),
        (lambda x: cr.vmap(lambda a: a[0], in_axes=([0, 0],))([x]), ConfigError, "does not fit"),
        (lambda x: cr.vmap(lambda a: a, in_axes=None)(x), ConfigError, "No argument"),
        (lambda x: cr.vmap(lambda a: a, out_axes=None)(x), ConfigError, "differs between"),
        (lambda x: cr.vmap(lambda a: a, out_axes=(0, 0))(x), ConfigError, "out_axes"),
        (lambda x: cr.vmap(lambda a: a if a.sum() > 0 else -a)(x), TraceError, "no value"),
        (lambda x: cr.vmap(lambda a: cr.take(a, cr.argmax(a) + 9))(x), OutOfRangeError, "range"),
        (lambda x: cr.vmap(lambda a: cr.linalg.inv(cr.outer(a, a)))(x), Exception, "singular"),
    ],
)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(cr.tensor(np.arange(6.0).reshape(3, 2)))


# ---- with everything else ----------------------------------------------------------------------


def layers() -> list[tuple[nn.Module, Any]]:
    return [
        (nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)), (5, 3)),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            (4, 1, 8, 8, 1),
        ),
        (nn.LSTM(2, 3), (3, 2, 4, 2)),
        (nn.TransformerEncoderLayer(4, 2, 8, 0.0), (3, 1, 5, 4)),
        (nn.BatchNorm(3), (3, 4, 3)),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("backend", [None, "numpy", by_night("c")])
def test_gradients_for_each_example(number, backend):
    """Of every parameter: the norm of a gradient for each example, as private training needs it."""
    model, shape = layers()[number]
    model.initialize(0).to("float64")
    x = RNG.normal(size=shape)

    def loss(model, x):
        y = model(x)
        return ((y[0] if isinstance(y, tuple) else y) ** 2).sum()

    run = cr.vmap(cr.value_and_grad(loss), in_axes=(None, 0))
    values, slopes = (cr.compile(run, backend=backend) if backend else run)(model, x)
    for i in range(shape[0]):
        value, expected = cr.value_and_grad(loss)(model, cr.tensor(x[i]))
        np.testing.assert_allclose(values.numpy()[i], value.numpy(), rtol=1e-10)
        assert slopes.keys() == expected.keys()
        for path, slope in expected.items():
            np.testing.assert_allclose(
                slopes[path].numpy()[i], slope.numpy(), rtol=1e-9, atol=1e-12, err_msg=path
            )


def test_an_ensemble_is_mapped_over_its_parameters():
    weights = {"w": RNG.normal(size=(4, 3, 2)), "b": RNG.normal(size=(4, 2))}
    x = RNG.normal(size=(5, 3))
    found = cr.vmap(lambda p, x: x @ p["w"] + p["b"], in_axes=(0, None))(weights, x)
    np.testing.assert_allclose(found.numpy(), x @ weights["w"] + weights["b"][:, None])


def test_kernels_of_convolutions_for_each_example():
    x, w = RNG.normal(size=(2, 6, 6, 1)), RNG.normal(size=(3, 2, 2, 1, 4))
    found = cr.vmap(lambda w: cr.conv2d(x, w))(w).numpy()
    expected = np.stack([cr.conv2d(x, one).numpy() for one in w])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_loops_whose_carry_begins_without_the_axis():
    x = RNG.normal(size=(3, 5, 2))

    def f(x):
        return cr.scan(lambda carry, x: (carry * 0.5 + x, carry), cr.zeros(2, "float64"), x)

    last, stacked = cr.vmap(f)(x)
    for i in range(3):
        one, several = f(cr.tensor(x[i]))
        np.testing.assert_allclose(last.numpy()[i], one.numpy())
        np.testing.assert_allclose(stacked.numpy()[i], several.numpy())
    cr.check_grad(lambda x: cr.vmap(f)(x)[1], x)


def test_nested_and_of_higher_order():
    a, b = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2))
    products = cr.vmap(lambda x: cr.vmap(lambda y: (x * y).sum())(cr.tensor(b)))(a)
    np.testing.assert_allclose(products.numpy(), a @ b.T)
    second = cr.vmap(cr.grad(cr.grad(lambda x: cr.exp(2 * x))))(a[:, 0])
    np.testing.assert_allclose(second.numpy(), 4 * np.exp(2 * a[:, 0]))
    cr.check_grad(lambda a: cr.vmap(cr.grad(lambda x: (x**3).sum()))(a), a, order=2)
    remat = cr.vmap(cr.grad(lambda x: cr.remat(lambda z: (cr.tanh(z) ** 2).sum())(x)))(a)
    plain = cr.vmap(cr.grad(lambda x: (cr.tanh(x) ** 2).sum()))(a)
    np.testing.assert_allclose(remat.numpy(), plain.numpy())


def test_running_statistics_that_differ_are_refused_and_common_ones_are_not():
    norm = nn.BatchNorm(3)
    with pytest.raises(TraceError, match="another value for each example"):
        cr.vmap(lambda x: norm(x, train=True))(RNG.normal(size=(2, 4, 3)))
    counter = cr.Buffer(np.zeros(()))

    def f(x):
        counter.assign(counter + 1)
        return x * 2

    cr.vmap(f)(np.ones((5, 2)))
    assert counter.item() == 1


def test_keys_draw_the_same_or_their_own():
    x = np.zeros((3, 4))
    key = cr.random.key(0)
    same = cr.vmap(lambda x: x + cr.random.normal(key, (4,), "float64"))(x).numpy()
    assert (same == same[0]).all()
    keys = cr.stack([cr.random.fold_in(key, i) for i in range(3)])
    own = cr.vmap(lambda x, key: x + cr.random.normal(key, (4,), "float64"))(x, keys).numpy()
    for i in range(3):
        np.testing.assert_array_equal(
            own[i], cr.random.normal(cr.random.fold_in(key, i), (4,), "float64").numpy()
        )


def test_no_loop_where_there_is_a_rule():
    """A network's gradients for each example are one graph of ordinary operations."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    run = cr.vmap(cr.grad(lambda m, x: (m(x) ** 2).sum()), in_axes=(None, 0))
    graph = cr.trace(run, model, np.ones((7, 3), "float32")).graph
    assert "scan" not in {node.op.name for node in graph.nodes}


# ---- Jacobians and Hessians --------------------------------------------------------------------


def test_a_jacobian_is_one_backward_pass():
    w = RNG.normal(size=(5, 3))
    calls = []

    def f(x):
        calls.append(1)
        return cr.tanh(cr.tensor(w) @ x)

    x = RNG.normal(size=3)
    found = cr.jacobian(f)(cr.tensor(x)).numpy()
    np.testing.assert_allclose(found, (1 - np.tanh(w @ x) ** 2)[:, None] * w)
    assert len(calls) <= 2
    assert cr.jacobian(lambda x: x[:0])(cr.tensor(x)).shape == (0, 3)
    assert cr.jacobian(lambda x: x.sum())(cr.tensor(x)).tolist() == [1, 1, 1]
    compiled = cr.compile(cr.jacobian(f), backend="numpy")(x)
    np.testing.assert_allclose(compiled.numpy(), found)
    if_positive = cr.jacobian(lambda x: x * 2 if x.sum() > 0 else x)(cr.tensor([1.0, 2.0]))
    assert if_positive.tolist() == [[2, 0], [0, 2]]


def test_a_hessian_is_made_of_products_with_directions():
    a = RNG.normal(size=(2, 3))

    def f(x):
        return (cr.sin(x) * cr.exp(x[::-1])).sum() * x[0, 0]

    found = cr.hessian(f)(cr.tensor(a)).numpy()
    assert found.shape == (2, 3, 2, 3)
    for place in np.ndindex(2, 3):
        direction = np.zeros((2, 3))
        direction[place] = 1
        row = cr.hvp(f, cr.tensor(a), cr.tensor(direction)).numpy()
        np.testing.assert_allclose(found[..., *place], row, rtol=1e-10, atol=1e-12)
    of_many = cr.vmap(cr.hessian(lambda x: (x**3).sum()))(a).numpy()
    np.testing.assert_allclose(of_many, [np.diag(6 * row) for row in a])

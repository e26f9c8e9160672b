"""Random shapes, indices, axes and expressions: values as in NumPy, gradients as they must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr

Array = np.ndarray[Any, Any]

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def numbers(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.3, 2.0, shape)


def same(found: cr.Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)


# ---- broadcasting ----------------------------------------------------------------------------

NUMPYS = {
    name: (getattr(cr, name), getattr(np, name))
    for name in [
        *("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "arctan2"),
        *("hypot", "logaddexp", "floor_divide", "remainder", "fmod", "copysign", "fmax", "fmin"),
        *("equal", "less", "greater_equal", "logical_and"),
    ]
}


@pytest.mark.parametrize("name", NUMPYS)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3))
@settings(max_examples=25)
def test_broadcasting(name: str, shapes: Any) -> None:
    ours, numpys = NUMPYS[name]
    a, b = (numbers(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    same(ours(a, b), numpys(a, b))


@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, min_side=0, max_side=3))
def test_the_gradient_of_broadcasting_sums_it_up(shapes: Any) -> None:
    """∂/∂a Σ w·(a + c)·b = Σ over the places that a was repeated to of w·b, in a's own shape."""
    a, b, c = (numbers(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    w = numbers(shapes.result_shape, 9)
    found = cr.grad(lambda a: (w * (a + c) * b).sum())(a).numpy()
    full = w * np.broadcast_to(b, w.shape)
    lead = full.ndim - a.ndim
    summed = full.sum(tuple(range(lead)))
    axes = tuple(i for i in range(a.ndim) if a.shape[i] == 1)
    np.testing.assert_allclose(found, summed.sum(axes, keepdims=True), rtol=1e-12)
    assert found.shape == a.shape


@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_shapes_that_numpy_refuses_are_refused(shapes: Any) -> None:
    a = np.zeros((*shapes.input_shapes[0], 5))
    b = np.zeros((*shapes.input_shapes[1], 4))
    with pytest.raises(cr.errors.ShapeError, match="broadcast"):
        cr.add(a, b)


@given(
    shapes=hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3
    )
)
def test_matrix_products(shapes: Any) -> None:
    a, b = (numbers(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    found = cr.matmul(a, b)
    assert found.shape == shapes.result_shape
    np.testing.assert_allclose(found.numpy(), np.matmul(a, b), rtol=1e-13)


# ---- indices ---------------------------------------------------------------------------------


@st.composite
def arrays_and_indices(draw: Any) -> tuple[Array, Any]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    x = numbers(shape, 3)
    kind = draw(st.sampled_from(["basic", "lists", "mask", "mixed"]))
    if kind == "basic":
        return x, draw(hnp.basic_indices(shape, allow_newaxis=True))
    if kind == "mask":
        rank = draw(st.integers(1, len(shape)))
        mask = draw(hnp.arrays(bool, shape[:rank]))
        return x, (mask, *draw(basic(shape[rank:])))
    if kind == "lists" and all(shape):
        return x, draw(hnp.integer_array_indices(shape))
    return x, tuple(draw(part(extent)) for extent in shape)


def basic(shape: tuple[int, ...]) -> Any:
    return hnp.basic_indices(shape, allow_newaxis=False, allow_ellipsis=False).map(
        lambda index: index if isinstance(index, tuple) else (index,)
    )


def part(extent: int) -> Any:
    """A slice, a number, or a list of two numbers, which go together with other lists."""
    choices: list[Any] = [st.slices(extent)]
    if extent:
        number = st.integers(-extent, extent - 1)
        choices += [number, st.lists(number, min_size=2, max_size=2).map(lambda x: np.array(x))]
    return st.one_of(choices)


@given(case=arrays_and_indices())
@settings(max_examples=400)
def test_indexing(case: tuple[Array, Any]) -> None:
    x, index = case
    expected = x[index]
    same(cr.tensor(x)[index], expected)
    # The gradient puts the weights back to where the elements came from, and adds up repeated ones.
    weights = numbers(np.shape(expected), 5)
    found = cr.grad(lambda x: (x[index] * weights).sum())(x)
    scattered = np.zeros_like(x)
    np.add.at(scattered, index, weights)
    np.testing.assert_allclose(found.numpy(), scattered, rtol=1e-12)


def test_a_number_beside_a_list_and_a_slice_between() -> None:
    """NumPy puts the axis of the lists first then."""
    x = np.arange(24.0).reshape(2, 3, 4)
    same(cr.tensor(x)[0, :, [1, 2]], x[0, :, [1, 2]])
    same(cr.tensor(x)[:, 0, [1, 2]], x[:, 0, [1, 2]])
    same(cr.tensor(x)[[0, 1], None, [1, 2]], x[[0, 1], None, [1, 2]])
    same(cr.tensor(x)[[]], x[[]])
    same(cr.tensor(x)[cr.tensor(1), cr.tensor([0, 2])], x[1, [0, 2]])


def test_indices_that_are_traced() -> None:
    x, places = np.arange(12.0).reshape(4, 3), np.array([3, -1, 0])
    f = cr.compile(lambda x, i: x[i, i], backend="numpy")
    with pytest.raises(IndexError):  # NumPy finds it out when the program runs
        f(x, np.array([3, 9, 0]))
    same(f(x[:3], np.array([2, -1, 0])), x[:3][[2, -1, 0], [2, -1, 0]])
    same(cr.compile(lambda x, i: x[i], backend="numpy")(x, places), x[places])
    same(cr.compile(lambda x, i: x[i], backend="numpy")(x, np.array(2)), x[2])


# ---- reductions ------------------------------------------------------------------------------


@st.composite
def arrays_and_axes(draw: Any, min_side: int = 0) -> tuple[Array, Any, bool]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=4))
    axes = draw(st.one_of(st.none(), hnp.valid_tuple_axes(len(shape))))
    if isinstance(axes, tuple) and len(axes) == 1 and draw(st.booleans()):
        axes = axes[0]
    return numbers(shape, 4), axes, draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "prod", "any", "all"])
@given(case=arrays_and_axes())
def test_reductions(name: str, case: Any) -> None:
    x, axis, keepdims = case
    found, expected = (
        getattr(cr, name)(x, axis, keepdims),
        getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["mean", "var", "std", "max", "min"])
@given(case=arrays_and_axes(min_side=1))
def test_reductions_of_something(name: str, case: Any) -> None:
    x, axis, keepdims = case
    found, expected = (
        getattr(cr, name)(x, axis, keepdims),
        getattr(np, name)(x, axis=axis, keepdims=keepdims),
    )
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "logsumexp", "norm"])
@given(case=arrays_and_axes(min_side=1))
@settings(max_examples=12)
def test_gradients_of_reductions(name: str, case: Any) -> None:
    x, axis, keepdims = case
    x = x[tuple(slice(2) for _ in x.shape)]
    assert cr.check_grad(lambda x: getattr(cr, name)(x, axis, keepdims), x) < 1e-6


@given(shape=SHAPES, data=st.data())
def test_moving_elements(shape: tuple[int, ...], data: Any) -> None:
    x = numbers(shape, 6)
    order = data.draw(st.permutations(range(len(shape))))
    same(cr.transpose(x, order), np.transpose(x, order))
    axes = data.draw(hnp.valid_tuple_axes(len(shape)))
    same(cr.flip(x, axes), np.flip(x, axes))
    if shape:
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
        same(cr.roll(x, 3, axis), np.roll(x, 3, axis))
        same(cr.cumsum(x, axis), np.cumsum(x, axis))
        same(cr.concatenate([x, x], axis), np.concatenate([x, x], axis))
        same(cr.stack([x, x], axis), np.stack([x, x], axis))
        same(cr.repeat(x, 2, axis), np.repeat(x, 2, axis))
        same(cr.diff(x, axis), np.diff(x, axis=axis))
        same(cr.moveaxis(x, axis, 0), np.moveaxis(x, axis, 0))
        widths = [(i, 1) for i in range(len(shape))]
        same(cr.pad(x, widths, 0.5), np.pad(x, widths, constant_values=0.5))


# ---- expressions -----------------------------------------------------------------------------

UNARY: list[Any] = [
    cr.tanh, cr.sigmoid, cr.softplus, cr.sin, cr.exp, cr.square, cr.silu, cr.erf, cr.arctan,
    lambda x: cr.log(1.5 + cr.square(x)), lambda x: x[..., ::-1], lambda x: x.T,
    lambda x: cr.softmax(x, -1), lambda x: cr.cumsum(x, 0), lambda x: x.sum(0, keepdims=True) * x,
    lambda x: cr.concatenate([x[1:], x[:1]], 0), lambda x: cr.logsumexp(x, 1, keepdims=True) - x,
]  # fmt: skip
BINARY: list[Any] = [
    cr.add, cr.subtract, cr.multiply, cr.matmul, cr.logaddexp,
    lambda a, b: a / (1.5 + b * b), lambda a, b: cr.where(np.eye(3) > 0, a, b),
    lambda a, b: cr.einsum("ij,kj->ik", a, b),
]  # fmt: skip


def expression(choices: list[int], leaves: list[Any]) -> Any:
    """A random expression of 3 × 3 matrices in which every value may be used again."""
    values = [*leaves]
    for choice in choices:
        which, first, second = choice % 97, choice // 97 % len(values), choice // 9409 % len(values)
        functions = UNARY if which % 2 else BINARY
        function = functions[which // 2 % len(functions)]
        result = function(values[first]) if which % 2 else function(values[first], values[second])
        values.append(cr.tanh(result))  # keeps the numbers small
    return values[-1] + 0.1 * values[-2]


@given(choices=st.lists(st.integers(0, 10**6), min_size=2, max_size=9))
@settings(max_examples=40)
def test_random_expressions(choices: list[int]) -> None:
    a, b = numbers((3, 3), 7) - 1.0, numbers((3, 3), 8) - 1.0

    def f(a: Any, b: Any) -> Any:
        return expression(choices, [a, b])

    assert cr.check_grad(f, a, b) < 1e-6
    slopes = lambda a, b: cr.grad(lambda a, b: f(a, b).sum(), argnums=(0, 1))(a, b)  # noqa: E731
    for eager, compiled in zip(
        slopes(a, b), cr.compile(slopes, backend="numpy")(a, b), strict=True
    ):
        assert eager.numpy().tobytes() == compiled.numpy().tobytes()
    value = f(cr.tensor(a), cr.tensor(b)).numpy()
    assert value.tobytes() == cr.compile(f, backend="numpy")(a, b).numpy().tobytes()

"""The passes: less work, the same results, and a graph that verifies."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.node import constant
from chainrule.engine.passes import eliminate_common_subexpressions, optimize
from chainrule.engine.passes.rewrite import make

X = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])


def names(function, *arrays):
    """The operations that are left, in order; values must not have changed."""
    graph = cr.trace(function, *arrays).graph
    less = optimize(graph)
    less.verify()
    for found, expected in zip(Program(less)(arrays), Program(graph)(arrays), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    return [node.op.name for node in less.nodes if node.inputs]


def _batched(x):
    return cr.reshape(x, (1, 2, 3)) @ cr.exp(cr.reshape(x, (1, 3, 2)))


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: x * 1.0, []),
        (lambda x: 1.0 * x + 0.0, []),
        (lambda x: (x - 0.0) / 1.0, []),
        (lambda x: cr.negative(-x), []),
        (lambda x: x * -1.0, ["negative"]),
        (lambda x: x + -cr.exp(x), ["exp", "subtract"]),
        (lambda x: cr.astype(cr.astype(cr.astype(x, "float32"), "float64"), "float32"), ["cast"]),
        (lambda x: cr.transpose(cr.transpose(x)), []),
        (lambda x: cr.reshape(cr.reshape(x, (6,)), (3, 2)), ["reshape"]),
        (lambda x: cr.reshape(cr.reshape(x, (6,)), (2, 3)), []),
        (lambda x: cr.where(np.array(True), x, 0.0), []),
        (lambda x: cr.stop_gradient(x), []),
        (lambda x: x + cr.exp(np.array(0.0)), ["broadcast_to", "add"]),
        (lambda x: (cr.exp(x), cr.exp(x)), ["exp"]),
        (lambda x: cr.transpose(x) @ x, ["matmul"]),
        (lambda x: cr.transpose(cr.transpose(x) @ cr.exp(x)), ["exp", "matmul"]),
        (lambda x: cr.transpose(_batched(x), (0, 2, 1)),
         ["reshape", "exp", "reshape", "matmul"]),
        (lambda x: cr.transpose(_batched(x), (1, 0, 2)),
         ["reshape", "reshape", "exp", "matmul", "transpose"]),
        (lambda x: cr.sum(x, 0) * 0.0, ["sum", "broadcast_to", "multiply"]),
        (lambda x: cr.sum(cr.broadcast_to(cr.max(x), (5, 4))), ["max", "multiply"]),
        (lambda x: x / 4.0, ["broadcast_to", "multiply"]),
        (lambda x: x / 3.0, ["broadcast_to", "divide"]),
        (lambda x: cr.max(x[:, :1], 1), ["slice", "reshape"]),
    ],
)  # fmt: skip
def test_what_is_left(function, left):
    assert names(function, X) == left


def test_scalars_are_computed_once():
    """What is the same for all elements is computed before it is spread over them."""
    left = names(lambda x, s: x * cr.sqrt(cr.broadcast_to(s, (2, 3))), X, np.array(2.0))
    assert left == ["sqrt", "broadcast_to", "multiply"]


def test_what_depends_on_constants_only_is_one_constant():
    """A graph from a file, or what other rules leave, may have operations on constants."""
    (x,) = cr.trace(lambda x: x, X).graph.inputs
    first, second = (constant(np.array([[a], [b]])) for a, b in ((2.0, -1.0), (3.0, 5.0)))
    product = make(x, "multiply", first, make(x, "sqrt", second))
    graph = Graph([x], [make(x, "add", x, make(x, "broadcast_to", product, shape=(2, 3)))])
    less = optimize(graph)
    assert [node.op.name for node in less.nodes if node.inputs] == ["broadcast_to", "add"]
    expected = X + np.array([[2.0], [-1.0]]) * np.sqrt([[3.0], [5.0]])
    np.testing.assert_allclose(Program(less)([X])[0], expected, rtol=1e-15)


def test_zero_times_anything_stays():
    """0 · NaN is NaN: this identity must not be used."""
    assert names(lambda x: x * 0.0, X) == ["broadcast_to", "multiply"]
    graph = optimize(cr.trace(lambda x: x * 0.0 - x + x, X).graph)
    assert np.isnan(Program(graph)([X * np.inf])[0]).all()


def test_relu_is_kept_instead_of_its_argument():
    def slope(x):
        return cr.value_and_grad(lambda x: cr.sum(cr.relu(x) ** 2))(x)

    left = names(slope, X)
    assert left.count("relu") == 1
    graph = optimize(cr.trace(slope, X).graph)
    (comparison,) = [node for node in graph.nodes if node.op.name == "greater"]
    assert comparison.inputs[0].op.name == "relu"


@pytest.mark.parametrize(
    "function", [cr.gelu, cr.silu, cr.mish, lambda x: cr.gelu(x, approximate="tanh")]
)
def test_one_array_is_kept_for_the_derivative_of_an_activation(function):
    """What g is multiplied by is added up first, and needs nothing of the backward pass."""
    w = np.random.default_rng(0).normal(size=(3, 4))

    def slope(x, w):
        return cr.grad(lambda x: cr.sum(cr.sin(function(x @ w + 0.5) @ cr.transpose(w))))(x)

    graph = cr.trace(slope, X, w).graph
    less = optimize(graph)
    expected = Program(graph)([X, w])[0]
    np.testing.assert_allclose(Program(less)([X, w])[0], expected, rtol=1e-13)
    (g,) = [node for node in less.nodes if node.op.name == "matmul" and node.type.shape == (2, 4)
            and node.inputs[0].op.name != "placeholder"]  # fmt: skip
    (reader,) = [node for node in less.nodes if g in node.inputs]
    assert reader.op.name == "multiply"
    (last,) = [node for node in less.nodes if reader in node.inputs]
    assert last.op.name == "matmul"


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x * cr.exp(y) + y,  # a sum of other things
        lambda x, y: x * y + x * y * y,  # arithmetic costs nothing
        lambda x, y: x * cr.exp(y) + x * x * y,  # no multiple
        lambda x, y: x * cr.exp(y) + x * cr.sin(x),  # functions of different numbers
    ],
)
def test_other_sums_stay_as_they_are(function):
    graph = cr.trace(function, X, X[::-1].copy()).graph
    left = [node.op.name for node in optimize(graph).nodes]
    assert left == [node.op.name for node in eliminate_common_subexpressions(graph).nodes]


def test_a_product_that_others_read_is_not_computed_twice():
    def both(x):
        y = x @ cr.transpose(x[:, ::-1])
        return cr.transpose(y), y

    assert names(both, X).count("matmul") == 1


def test_equal_draws_are_one_draw():
    key = cr.ops.random.key(1)
    graph = cr.trace(
        lambda x: x + cr.ops.random.uniform(key, (3,)) - cr.ops.random.uniform(key, (3,)), X[0]
    ).graph
    shared = eliminate_common_subexpressions(graph)
    assert sum(node.op.name == "random_bits" for node in shared.nodes) <= 1


def test_outputs_and_inputs_keep_their_places():
    graph = cr.trace(lambda a, b: (b, a * 1.0, b), X, X[0]).graph
    less = optimize(graph)
    assert less.inputs == graph.inputs
    assert less.outputs == (graph.inputs[1], graph.inputs[0], graph.inputs[1])


# ---- rows picked by number -------------------------------------------------------------------


def embedded(table, w, b, numbers):
    rows = cr.transpose(cr.take(table, numbers), (1, 0, 2))
    flat = cr.reshape(rows, (-1, rows.shape[2]))
    return cr.reshape(flat @ w, (*rows.shape[:2], -1)) * 2.0 + b


def test_products_of_picked_rows_are_products_of_the_table():
    """Forward and both gradients: no product has more rows than the table."""
    numbers = np.random.default_rng(0).integers(0, 3, (4, 5))
    arrays = [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(
        [(3, 2), (2, 6), (6,)])]  # fmt: skip

    def everything(table, w, b, numbers):
        def loss(table, w, b):
            return cr.sum(embedded(table, w, b, numbers) ** 2)

        return embedded(table, w, b, numbers), cr.grad(loss, argnums=(0, 1, 2))(table, w, b)

    graph = cr.trace(everything, *arrays, numbers).graph
    less = optimize(graph)
    less.verify()
    products = [node for node in less.nodes if node.op.name == "matmul"]
    assert len(products) == 3
    assert all(20 not in source.type.shape for node in products for source in node.inputs)
    given = [*arrays, numbers]
    for found, expected in zip(Program(less)(given), Program(graph)(given), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda e, w, n: cr.take(e, n) @ w,  # a batch of products
        lambda e, w, n: cr.transpose(cr.take(e, n), (2, 0, 1)),
        lambda e, w, n: cr.reshape(cr.take(e, n), (-1, 1)),
        lambda e, w, n: cr.take(e, n[:1, 0]) @ w,  # fewer than the table has
        lambda e, w, n: cr.take(e, n, 1),
        lambda e, w, n: cr.take(cr.reshape(e, (-1,)), n) * 2.0,
        lambda e, w, n: cr.transpose(cr.take(e, n[0])) @ cr.take(e, n[1]),
        lambda e, w, n: cr.grad(lambda e: cr.sum(cr.take(e, n[0]) @ w * w[0]))(e),
        lambda e, w, n: w[0] - cr.take(e @ w, n),
    ],
)
def test_other_uses_of_picked_rows(function):
    r = np.random.default_rng(1)
    arrays = [r.normal(size=(2, 2)), r.normal(size=(2, 3)), r.integers(0, 2, (4, 5))]
    names(function, *arrays)


TABLE = np.arange(12.0).reshape(4, 3)
PLACES = np.array([1, 3, 1])


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x, u: x + cr.scatter_add(cr.zeros_like(x), PLACES, u), ["scatter_add"]),
        (lambda x, u: cr.scatter_add(cr.zeros_like(x), PLACES, u) + x, ["scatter_add"]),
        (
            lambda x, u: x - cr.scatter_add(cr.zeros_like(x), PLACES, u),
            ["negative", "scatter_add"],
        ),
        (
            lambda x, u: cr.scatter_add(cr.zeros_like(x), PLACES, u) - x,
            ["negative", "scatter_add"],
        ),
    ],
)
def test_what_is_added_to_zeros_first(function, left):
    updates = np.random.default_rng(0).normal(size=(3, 3))
    assert names(function, TABLE, updates) == left


def test_zeros_that_others_read_stay():
    def function(x, u):
        rows = cr.scatter_add(cr.zeros_like(x), PLACES, u)
        return x + rows, rows

    updates = np.random.default_rng(0).normal(size=(3, 3))
    assert {"add", "scatter_add"} <= set(names(function, TABLE, updates))


def test_the_gradient_of_a_cross_entropy_has_no_zeros():
    def function(z):
        return cr.grad(lambda z: cr.losses.cross_entropy(z, np.array([2, 0, 1, 1])))(z)

    assert names(function, TABLE)[-1] == "add_along_axis"

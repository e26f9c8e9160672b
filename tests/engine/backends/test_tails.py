"""What is computed from a matrix product while its tiles are in the cache."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program


def arrays_of(*shapes, dtype="float32"):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(dtype) for shape in shapes]


def check(function, arrays, joined=True):
    graph = cr.trace(function, *arrays).graph
    program = CProgram(graph)
    assert ("tile[" in program.source or "for (idx i = i0" in program.source) == joined
    tolerance = {"float32": 2e-5, "float64": 1e-12}[arrays[0].dtype.name]
    for found, expected in zip(program(arrays), Program(graph)(arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 10)
    return program


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [(32, 64, 20), (33, 50, 7), (7, 16, 700), (300, 130, 300), (2, 17, 1), (64, 26, 300)],
)
def test_bias_and_activation(m, n, k, dtype):
    arrays = arrays_of((m, k), (k, n), (n,), dtype=dtype)
    check(lambda x, w, b: cr.relu(x @ w + b), arrays)


def test_the_product_is_kept_for_others():
    arrays = arrays_of((40, 12), (12, 32), (32,))
    check(lambda x, w, b: (cr.silu(x @ w + b), (x @ w)[3:9] * 2.0), arrays)


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_of_products(batch):
    arrays = arrays_of((batch, 20, 8), (batch, 8, 48), (batch, 1, 48), (batch, 20, 48))
    check(lambda x, w, b, y: cr.tanh(x @ w + b) * y, arrays)


def test_other_elements_in_the_loop_prevent_it():
    arrays = arrays_of((24, 8), (8, 24))
    check(lambda x, w: (x @ w) + (x @ w)[::-1], arrays, joined=False)


@pytest.mark.parametrize("between", [cr.cumsum, cr.sort])
def test_a_loop_that_waits_for_another_kernel_is_not_joined(between):
    """It reads elements of the product, but also what is made of the whole product."""
    arrays = arrays_of((24, 8), (8, 32))
    check(lambda x, w: (x @ w) * 0.5 + between(x @ w, 0), arrays, joined=False)


def updated(threads, rows=64, inputs=200, outputs=128, fuse=True, dtype="float32"):
    shape = (inputs, outputs)
    w = cr.parameter(arrays_of(shape, dtype=dtype)[0])
    m = cr.Buffer(np.zeros(shape, dtype))
    chosen = cr.Buffer(np.arange(inputs * outputs).reshape(shape) % 3 > 0)

    def step(x, y):
        gradient = cr.grad(lambda w: ((x @ w - y) ** 2).sum())(w)
        m.assign(0.9 * m + cr.where(chosen, gradient, 0.5 * gradient))
        w.assign(w - 0.01 * m / (1.0 + cr.sqrt(m * m)))

    x, y = arrays_of((rows, inputs), (rows, outputs), dtype=dtype)
    graph = cr.trace(step, x, y)
    program = CProgram(graph.graph, graph.donated, fuse=fuse)
    program.threads = threads
    program([x, y, *(variable.numpy().copy() for variable in graph.variables)])
    values = [variable.numpy().copy() for variable in graph.variables]
    for _ in range(3):
        program([x, y, *values])
    return program, values


#: Rows of a batch, inputs and outputs: B where it is, in panels at once, and in parts.
UPDATED = [(64, 200, 128), (256, 37, 300), (130, 90, 512), (128, 61, 1040)]


@pytest.mark.parametrize(("rows", "inputs", "outputs"), UPDATED)
def test_an_update_where_the_gradient_is_finished(rows, inputs, outputs):
    """No loop reads the gradient again, and everything has the same bits as if one did."""
    program, values = updated(1, rows, inputs, outputs)
    assert re.search("matmul, .*sqrt", program.source)
    other, apart = updated(1, rows, inputs, outputs, fuse=False)
    assert not re.search("matmul, .*sqrt", other.source)
    for threads in (2, 3, 8):
        for one, same in zip(values, updated(threads, rows, inputs, outputs)[1], strict=True):
            np.testing.assert_array_equal(one, same)
    for one, same in zip(values, apart, strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_gradient_that_is_updated_is_not_in_memory():
    """The arena holds the error of 64 x 128 outputs only."""
    program, _ = updated(threads=1)
    assert program.arena_bytes < 200 * 128 * 4


def test_an_update_in_double_precision():
    program, values = updated(1, 128, 50, 300, dtype="float64")
    assert re.search("matmul, .*sqrt", program.source)
    for one, same in zip(values, updated(1, 128, 50, 300, False, "float64")[1], strict=True):
        np.testing.assert_array_equal(one, same)


def test_the_arena_of_a_training_step():
    layers = cr.nn.Linear(784, 128), cr.nn.ReLU(), cr.nn.Linear(128, 10)
    model = cr.nn.Sequential(*layers).initialize(0)
    optimizer = cr.optim.Adam(model, lr=1e-3)

    def step(x, target):
        loss, gradients = cr.value_and_grad(
            lambda model: cr.losses.cross_entropy(model(x), target)
        )(model)
        optimizer.update(gradients)
        return loss

    traced = cr.trace(step, np.zeros((64, 784), np.float32), np.zeros(64, np.int64))
    program = CProgram(traced.graph, traced.donated)
    assert program.arena_bytes <= 0.7 * program.unplanned_bytes
    assert program.arena_bytes < 784 * 128 * 4

"""A program that is called often runs as one function: the same results, errors and memory."""

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir import program as module
from chainrule.engine.ir.program import Program
from chainrule.errors import ChainruleError


def runs(program, arrays, count=module._OFTEN + 2):
    return [program(arrays) for _ in range(count)]


def everything(x, k):
    last, each = cr.scan(lambda c, row: (c + row, c * 2.0), cr.zeros((4,)), x)
    places = cr.argsort(x, axis=1)
    return x, x.T, cr.sum(x) * 2.0, places, last, each, cr.take(x, k, axis=0), cr.tensor([1.0])


def test_the_same_results_every_time():
    arrays = [np.random.default_rng(0).normal(size=(3, 4)).astype("f"), np.array([2, 0])]
    program = Program(cr.trace(everything, *arrays).graph)
    first, *others = runs(program, arrays)
    assert program._function is not None
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert type(b) is np.ndarray
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
            assert not any(np.shares_memory(b, array) for array in arrays)


def test_errors_name_the_same_line():
    def function(x, k):
        y = cr.exp(x) + 1.0
        return cr.take(y, k, axis=0)

    x = np.ones((3, 2), "f")
    program = Program(cr.trace(function, x, np.array([0])).graph)
    with pytest.raises(ChainruleError) as first:
        program([x, np.array([5])])
    runs(program, [x, np.array([1])])
    assert program._function is not None
    with pytest.raises(ChainruleError) as later:
        program([x, np.array([5])])
    assert "test_program_again.py" in str(first.value)
    assert str(later.value) == str(first.value)


def test_too_few_inputs_are_refused():
    program = Program(cr.trace(lambda x, y: x + y, *np.ones((2, 3), "f")).graph)
    runs(program, list(np.ones((2, 3), "f")))
    with pytest.raises(ValueError, match="values to unpack"):
        program([np.ones(3, "f")])


def test_values_are_dropped_after_their_last_use():
    """Of a chain of large arrays no more than two are alive."""

    def chain(x):
        for _ in range(8):
            x = cr.sin(x) + 1.0
        return cr.sum(x)

    x = np.ones(1 << 18, "f")
    program = Program(cr.trace(chain, x).graph)
    runs(program, [x])
    assert program._function is not None
    tracemalloc.start()
    program([x])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


def test_what_numpy_broadcasts_itself_has_the_same_bits():
    draw = np.random.default_rng(1)
    arrays = [draw.normal(size=shape).astype("f") for shape in ((3, 4), (4,), (), (3, 1))]

    def function(x, row, number, column):
        grown = cr.exp(number) * 3.0 + cr.where(x > 0, row, -0.0) / column
        wide = cr.broadcast_to(row, (3, 4)) - cr.broadcast_to(number, (3, 4))
        return (
            grown,
            wide,
            cr.broadcast_to(column, (3, 4)),
            cr.broadcast_to(number * 0.5, (2,)) ** 2,
        )

    program = Program(cr.trace(function, *arrays).graph)
    first, *others = runs(program, arrays)
    assert program._function is not None
    for found in others:
        for a, b in zip(first, found, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert a.tobytes() == b.tobytes()


def test_results_made_of_constants_only_belong_to_the_caller():
    program = Program(cr.trace(lambda x: (x, cr.tensor([1.0, 2.0]) * 2.0), np.ones(2, "f")).graph)
    runs(program, [np.ones(2, "f")])
    program([np.ones(2, "f")])[1][0] = 7.0
    assert program([np.ones(2, "f")])[1].tolist() == [2.0, 4.0]

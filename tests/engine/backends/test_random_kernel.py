"""Random bits of the C backend are those of the definition."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000, 20_011])
def test_same_bits_as_numpy(count):
    def function(key, number):
        return cr.random.bits(cr.random.fold_in(key, number), (count,))

    arrays = [np.array([7, 2**32 - 1], np.uint32), np.array(2**40 + 3)]
    graph = cr.trace(function, *arrays).graph
    (expected,) = Program(graph)(arrays)
    (found,) = CProgram(graph)(arrays)
    np.testing.assert_array_equal(found, expected)
    assert np.unique(found).size == count or count > 10_000

"""Arrays that begin at a line of a cache, and variables that a program overwrites."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.aligned import aligned_copy, aligned_empty, is_aligned

#: Of few bytes, of some, and of so many that they have pages of their own.
SHAPES = [(), (0,), (7,), (133, 165), (1100, 1024)]


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_copy_is_aligned_and_alone(shape, dtype):
    given = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype(dtype)
    for array in (given, np.asfortranarray(given), np.repeat(given[..., None], 2, -1)[..., 0]):
        copy = aligned_copy(array)
        assert address(copy) % 64 == 0
        assert is_aligned(copy)
        assert not copy.size or not np.shares_memory(copy, array)
        np.testing.assert_array_equal(copy, array)
        assert copy.dtype == dtype


def test_views_and_others_are_not_alone():
    array = aligned_empty((40, 50), np.float64)
    assert not is_aligned(array[1:])
    assert not is_aligned(array.T)
    assert array[1:].base is array  # so that whoever holds a view holds the array
    assert not is_aligned(np.zeros((100, 100)))
    assert is_aligned(np.zeros(4))


@pytest.mark.parametrize("shape", SHAPES[2:])
def test_what_a_program_overwrites_is_aligned_and_stays(shape):
    w = cr.parameter(np.ones(shape, np.float32))

    @cr.compile(backend="c")
    def step(x):
        w.assign(w + x)
        return w.sum()

    places = []
    for _ in range(3):
        step(1.0)
        places.append(address(w._known()))
    assert len(set(places)) == 1  # it is not copied again
    assert w._known().nbytes < 65536 or places[0] % 64 == 0
    np.testing.assert_array_equal(w.numpy(), np.full(shape, 4, np.float32))


def test_views_of_a_variable_keep_their_numbers():
    w = cr.parameter(np.zeros((164, 165), np.float32))

    @cr.compile(backend="c")
    def step():
        w.assign(w + 1.0)

    step()
    view, tensor = w.numpy()[2:5], w * 1.0
    step()
    step()
    assert (view == 1).all()
    assert (tensor.numpy() == 1).all()
    assert (w.numpy() == 3).all()

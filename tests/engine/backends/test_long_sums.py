"""Long sums in float32 keep their digits, along every axis, on NumPy and in C.

Added up one after the other, so many positive numbers would lose three digits and more: the error
of a chain grows with its length.
"""

import numpy as np
import pytest

import chainrule as cr

from ...nightly import by_night

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "c"])


def positive(*shape):
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)


#: Functions of an array of this shape; what they are in float64 is the truth.
REDUCTIONS = {
    "one number": (lambda x: cr.sum(x), (600_000,)),
    "rows": (lambda x: cr.sum(x, 1), (2, 300_000)),
    "columns": (lambda x: cr.sum(x, 0), (3000, 1100)),
    "few columns": (lambda x: cr.sum(x * x, 0), (300_000, 2)),
    "few columns of many rows and planes": (lambda x: cr.sum(x, (0, 1)), (700, 500, 3)),
    "a middle axis": (lambda x: cr.mean(x, 1), (2, 100_000, 5)),
    "outer and inner": (lambda x: cr.sum(x, (0, 2)), (3000, 2, 60)),
    "outer and short": (lambda x: cr.sum(x, (0, 2)), (60_000, 2, 5)),
    "short rows backwards": (lambda x: cr.sum(cr.flip(x, 1)), (60_000, 6)),
    "short axes": (lambda x: cr.mean(x, (0, 1, 2)), (60, 60, 60, 3)),
    "transposed": (lambda x: cr.sum(cr.transpose(x), 1), (200_000, 3)),
    "sums and extremes": (lambda x: cr.sum(x, 0) + cr.max(x, 0) * cr.min(x, 0), (100_000, 3)),
    "variance": (lambda x: cr.var(x, 0), (200_000, 2)),
    "norm": (lambda x: cr.norm(x, axis=0), (200_000, 2)),
    "softmax of columns": (lambda x: cr.softmax(x, 0)[:1] * 1e5, (200_000, 3)),
    "softmax of a row": (lambda x: cr.log_softmax(x), (200_000,)),
    "logsumexp of columns": (lambda x: cr.exp(cr.logsumexp(x, 0) - 12.0), (200_000, 3)),
    "product": (lambda x: x @ cr.transpose(x), (3, 200_000)),
    "gradient of weights": (lambda x: cr.transpose(x) @ x, (200_000, 3)),
    "dot": (lambda x: x @ x, (400_000,)),
}


@BACKENDS
@pytest.mark.parametrize(
    "name",
    [name if i < 9 or i > 16 else by_night(name) for i, name in enumerate(REDUCTIONS)],
)
def test_digits_of_long_sums(name, backend):
    function, shape = REDUCTIONS[name]
    x = positive(*shape)
    truth = cr.compile(function, backend="numpy")(x.astype(np.float64)).numpy()
    found = cr.compile(function, backend=backend)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), truth, rtol=4e-6)


def test_digits_of_many_taps():
    """A convolution over a wide window of many channels is a long sum, too."""
    x, w = positive(1, 9, 9, 1024), positive(5, 5, 1024, 3)
    f = cr.compile(lambda x, w: cr.conv2d(x, w), backend="c")
    truth = np.tensordot(x[0, :5, :5].astype(float), w.astype(float), 3)
    np.testing.assert_allclose(f(x, w).numpy()[0, 0, 0], truth, rtol=2e-6)


@pytest.mark.parametrize("shape", [(1300, 3), (5000,), (700, 40), (2, 513), (130, 2, 1030)])
def test_integers_and_extremes_are_reduced_in_blocks_as_well(shape):
    """With a sum of floats in the same loop; integers wrap around."""
    x = np.random.default_rng(1).integers(-(2**62), 2**62, shape)

    def function(x):
        y = cr.tensor(x) if isinstance(x, np.ndarray) else x
        return [cr.sum(y, 0), cr.max(y, 0), cr.min(y, 0), cr.sum(y.astype("float64"), 0)]

    found = cr.compile(function, backend="c")(x)
    for one, expected in zip(found, (x.sum(0), x.max(0), x.min(0)), strict=False):
        np.testing.assert_array_equal(one.numpy(), expected)
    np.testing.assert_allclose(found[3].numpy(), x.astype(float).sum(0), rtol=1e-9)


def test_nan_goes_through_every_block():
    x = positive(3000, 2)
    x[2900, 1] = np.nan
    total, most = cr.compile(lambda x: (cr.sum(x, 0), cr.max(x, 0)), backend="c")(x)
    np.testing.assert_array_equal(np.isnan(total.numpy()), [False, True])
    np.testing.assert_array_equal(np.isnan(most.numpy()), [False, True])

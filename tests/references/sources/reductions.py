"""Functions along an axis: sums, extremes, running sums, softmax."""

import torch
import torch.nn.functional as F

from .cases import Family, distinct, exactly, integers, real

ops = Family("ops")

AXES = (
    {"axis": None, "keepdims": False},
    {"axis": 0, "keepdims": False},
    {"axis": -1, "keepdims": True},
)
SEVERAL = {"axis": [0, 2], "keepdims": False}


def along(function, x, axis, keepdims, **options):
    """Call a PyTorch reduction, for which no axis means all of them, `keepdims` included."""
    dim = tuple(range(x.ndim)) if axis is None else axis
    return function(x, dim=dim, keepdim=keepdims, **options)


def product(x, axis, keepdims):
    if axis is None:
        return torch.prod(x).reshape([1] * x.ndim if keepdims else [])
    return torch.prod(x, dim=axis, keepdim=keepdims)


REDUCTIONS = {
    "sum": (lambda x, axis, keepdims: along(torch.sum, x, axis, keepdims), real),
    "mean": (lambda x, axis, keepdims: along(torch.mean, x, axis, keepdims), real),
    "max": (lambda x, axis, keepdims: along(torch.amax, x, axis, keepdims), distinct),
    "min": (lambda x, axis, keepdims: along(torch.amin, x, axis, keepdims), distinct),
    "logsumexp": (lambda x, axis, keepdims: along(torch.logsumexp, x, axis, keepdims), real),
}
for name, (function, inputs) in REDUCTIONS.items():
    for attrs in AXES:
        ops.add(name, function, inputs(2, 3), **attrs)
    ops.add(name, function, inputs(2, 3, 2), **SEVERAL)

for name, function in {"var": torch.var, "std": torch.std}.items():

    def spread(x, axis, keepdims, correction, function=function):
        return along(function, x, axis, keepdims, correction=correction)

    for correction in (0, 1):
        for attrs in AXES:
            ops.add(name, spread, real(2, 3), **attrs, correction=correction)
    ops.add(name, spread, real(2, 3, 2), **SEVERAL, correction=0)

for attrs in AXES:
    ops.add("prod", product, real(2, 3), **attrs)
    ops.add(
        "any",
        lambda x, axis, keepdims: along(torch.any, x, axis, keepdims),
        exactly([[True, False, False], [False, False, False]], "bool"),
        **attrs,
    )
    ops.add(
        "all",
        lambda x, axis, keepdims: along(torch.all, x, axis, keepdims),
        exactly([[True, True, True], [True, False, True]], "bool"),
        **attrs,
    )
zeros = exactly([[0.0, 2.0, 3.0], [0.0, 5.0, 0.0]])
ops.add("prod", product, zeros, case="one zero and two zeros in a row", axis=1, keepdims=False)

# Ties: amax and amin share the gradient evenly among the largest.
tie = exactly([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
for name in ("max", "min"):
    ops.add(name, REDUCTIONS[name][0], tie, case="tie", kink=True, axis=1, keepdims=False)

# Empty axes, large numbers, other types.
empty = {"axis": 0, "keepdims": False}
ops.add("sum", REDUCTIONS["sum"][0], real(0, 3), case="empty axis", **empty)
ops.add("prod", product, real(0, 3), case="empty axis", **empty)
ops.add("max", REDUCTIONS["max"][0], real(2, 1), case="axis of size 1", axis=1, keepdims=False)
ops.add("sum", REDUCTIONS["sum"][0], integers(-9, 9, 2, 3), case="integers", **empty)
ops.add("max", REDUCTIONS["max"][0], integers(-9, 9, 2, 3), case="integers", **empty)
ops.add(
    "logsumexp",
    REDUCTIONS["logsumexp"][0],
    exactly([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1002.0]]),
    case="extreme",
    axis=1,
    keepdims=False,
)
ops.add(
    "count_nonzero",
    lambda x, axis: torch.count_nonzero(x, dim=axis),
    exactly([[0.0, 1.0, -2.0], [0.0, 0.0, 3.0]]),
    axis=1,
)
for axis in (None, 0, -1):
    ops.add("argmax", lambda x, axis: torch.argmax(x, dim=axis), distinct(3, 4), axis=axis)
    ops.add("argmin", lambda x, axis: torch.argmin(x, dim=axis), distinct(3, 4), axis=axis)
ops.add("argmax", lambda x, axis: torch.argmax(x, dim=axis), tie, case="tie: the first", axis=1)
for axis in (None, 1):
    ops.add(
        "median",
        lambda x, axis: torch.quantile(x, 0.5, dim=axis),
        distinct(3, 4),
        case=f"even count, axis={axis}",
        axis=axis,
    )


def norm(x, order, axis, keepdims):
    return torch.linalg.vector_norm(x, order, dim=axis, keepdim=keepdims)


for order in (1, 2, 3):
    ops.add("norm", norm, real(2, 3), order=order, axis=None, keepdims=False)
    ops.add("norm", norm, real(2, 3), order=order, axis=-1, keepdims=True)
ops.add(
    "norm", norm, exactly([[0.0, 0.0]]), case="zero", kink=True, order=2, axis=-1, keepdims=False
)

# Running along an axis.

for name, function in {
    "cumsum": lambda x, axis: torch.cumsum(x, dim=axis),
    "cumprod": lambda x, axis: torch.cumprod(x, dim=axis),
    "logcumsumexp": lambda x, axis: torch.logcumsumexp(x, dim=axis),
    "cummax": lambda x, axis: torch.cummax(x, dim=axis).values,
    "cummin": lambda x, axis: torch.cummin(x, dim=axis).values,
    "diff": lambda x, axis: torch.diff(x, dim=axis),
}.items():
    for axis in (0, -1):
        ops.add(name, function, distinct(3, 3), axis=axis)
ops.add("cumprod", lambda x, axis: torch.cumprod(x, dim=axis), zeros, case="zeros", axis=1)
ops.add(
    "cumsum",
    lambda x, axis: torch.cumsum(x, dim=axis),
    integers(0, 9, 2, 3),
    case="integers",
    axis=1,
)

# Softmax and its kin.

for name, function in {
    "softmax": lambda x, axis: F.softmax(x, dim=axis),
    "log_softmax": lambda x, axis: F.log_softmax(x, dim=axis),
    "softmin": lambda x, axis: F.softmin(x, dim=axis),
}.items():
    for axis in (0, -1):
        ops.add(name, function, real(3, 3), axis=axis)
    extreme = exactly([[1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -999.0]])
    ops.add(name, function, extreme, case="extreme", axis=1)

# With a mask: the mean, and the softmax, of the elements where it holds.


def masked_mean(x, mask, axis):
    return torch.where(mask, x, 0.0).sum(dim=axis) / mask.sum(dim=axis)


def masked_softmax(x, mask, axis):
    return F.softmax(x.masked_fill(~mask, float("-inf")), dim=axis)


mask = exactly([[True, False, True], [False, True, False]], "bool")
ops.add("masked_mean", masked_mean, real(2, 3), mask, axis=1)
ops.add("masked_softmax", masked_softmax, real(2, 3), mask, axis=1)

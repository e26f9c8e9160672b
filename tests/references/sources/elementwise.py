"""Functions of one element, or of two that meet by broadcasting."""

import math

import torch
import torch.nn.functional as F

from .cases import Family, booleans, exactly, integers, positive, real, uniform, unit

ops = Family("ops")

# Functions of one number, with the inputs where they are smooth.

for name, function in {
    "negative": torch.negative,
    "abs": torch.abs,
    "sign": torch.sign,
    "square": torch.square,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "arctan": torch.arctan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "arcsinh": torch.arcsinh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "sigmoid": torch.sigmoid,
    "reciprocal": torch.reciprocal,
    "sinc": torch.sinc,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "round": torch.round,
    "deg2rad": torch.deg2rad,
    "rad2deg": torch.rad2deg,
    "cbrt": lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3),
}.items():
    ops.add(name, function, real(2, 3))

for name, function in {
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
}.items():
    ops.add(name, function, positive(2, 3))

for name, function in {
    "arcsin": torch.arcsin,
    "arccos": torch.arccos,
    "arctanh": torch.arctanh,
    "erfinv": torch.erfinv,
}.items():
    ops.add(name, function, unit(2, 3))

ops.add("arccosh", torch.arccosh, uniform(1.1, 3.0, 2, 3))
ops.add("logit", torch.logit, uniform(0.05, 0.95, 2, 3))
ops.add("square", torch.square, uniform(-3.0, 3.0, 0, 3), case="empty")
ops.add("exp", torch.exp, uniform(-3.0, 3.0), case="one number, no axis")
ops.add(
    "round", torch.round, exactly([-1.5, -0.5, 0.5, 1.5, 2.5]), case="halves to even", kink=True
)
ops.add("abs", torch.abs, exactly([-1.0, 0.0, 2.0]), case="zero", kink=True)
ops.add("sign", torch.sign, exactly([-1.0, 0.0, 2.0]), case="zero", kink=True)
ops.add("abs", torch.abs, integers(-5, 5, 2, 3), case="integers")
ops.add("negative", torch.negative, integers(-5, 5, 2, 3), case="integers")
ops.add("log1p", torch.log1p, exactly([1e-18, 1e-9, -1e-9, 1e-4]), case="tiny")
ops.add("expm1", torch.expm1, exactly([1e-18, 1e-9, -1e-9, 1e-4]), case="tiny")

for name, function in {
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
}.items():
    ops.add(name, function, exactly([1.0, math.nan, math.inf, -math.inf, 0.0]))
ops.add(
    "nan_to_num",
    lambda x, nan, posinf, neginf: torch.nan_to_num(x, nan, posinf, neginf),
    exactly([1.0, math.nan, math.inf, -math.inf, 0.5]),
    case="not finite",
    kink=True,
    nan=0.25,
    posinf=9.0,
    neginf=-9.0,
)

# Activations. The derivatives of PyTorch's own celu and hardsigmoid are rounded to float32 within.


def celu(x, alpha):
    return torch.relu(x) - torch.relu(-alpha * torch.expm1(x / alpha))


def hardsigmoid(x):
    return F.relu6(x + 3) / 6


for name, function in {
    "relu": F.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "silu": F.silu,
    "mish": F.mish,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "log_sigmoid": F.logsigmoid,
    "hardsigmoid": hardsigmoid,
    "hardswish": F.hardswish,
}.items():
    ops.add(name, function, uniform(-8.0, 8.0, 2, 4))

ops.add("relu", F.relu, exactly([-1.0, 0.0, 2.0]), case="zero", kink=True)
ops.add("relu6", F.relu6, exactly([0.0, 3.0, 6.0]), case="both ends", kink=True)
for slope in (0.01, 0.2):
    ops.add(
        "leaky_relu",
        lambda x, negative_slope: F.leaky_relu(x, negative_slope),
        real(2, 3),
        negative_slope=slope,
    )
for alpha in (1.0, 0.7):
    ops.add("elu", lambda x, alpha: F.elu(x, alpha), real(2, 3), alpha=alpha)
    ops.add("celu", celu, real(2, 3), alpha=alpha)
for approximate in ("none", "tanh"):
    ops.add(
        "gelu",
        lambda x, approximate: F.gelu(x, approximate=approximate),
        uniform(-4.0, 4.0, 2, 3),
        approximate=approximate,
    )
for low, high in ((-1.0, 1.0), (-0.5, 2.0)):
    ops.add(
        "hardtanh",
        lambda x, low, high: F.hardtanh(x, low, high),
        real(2, 4),
        low=low,
        high=high,
    )
for level in (0.5, 1.2):
    for name, function in {"hardshrink": F.hardshrink, "softshrink": F.softshrink}.items():

        def shrink(x, threshold, function=function):
            return function(x, threshold)

        ops.add(name, shrink, real(2, 3), threshold=level)
ops.add(
    "threshold",
    lambda x, level, value: F.threshold(x, level, value),
    real(2, 3),
    level=0.3,
    value=-1.5,
)
# log(1 + exp x). PyTorch goes over to x above a threshold, here out of reach.
ops.add("softplus", lambda x: F.softplus(x, threshold=1e9), uniform(-5.0, 5.0, 2, 3))
ops.add("softplus", F.softplus, exactly([-800.0, -40.0, 40.0, 800.0]), case="extreme")
ops.add("sigmoid", torch.sigmoid, exactly([-800.0, -40.0, 40.0, 800.0]), case="extreme")
ops.add("log_sigmoid", F.logsigmoid, exactly([-800.0, -40.0, 40.0, 800.0]), case="extreme")
ops.add("silu", F.silu, exactly([-800.0, -40.0, 40.0, 800.0]), case="extreme")
ops.add("tanh", torch.tanh, exactly([-800.0, -20.0, 20.0, 800.0]), case="extreme")
ops.add("erf", torch.erf, exactly([-30.0, -4.0, 1e-9, 4.0, 30.0]), case="extreme")
ops.add("prelu", F.prelu, real(3, 4), unit(4), case="a slope each channel")
ops.add("prelu", F.prelu, real(3, 4), unit(1), case="one slope")
for axis in (-1, 0):
    ops.add("glu", lambda x, axis: F.glu(x, dim=axis), real(2, 4), axis=axis)

# Functions of two numbers, with and without broadcasting.

for name, function in {
    "add": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "divide": torch.divide,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "hypot": torch.hypot,
    "arctan2": torch.arctan2,
    "logaddexp": torch.logaddexp,
    "logaddexp2": torch.logaddexp2,
    "copysign": torch.copysign,
}.items():
    ops.add(name, function, real(2, 3), real(2, 3), case="same shape")
    ops.add(name, function, real(2, 1, 3), real(4, 1), case="broadcast")

for name, function in {
    "power": torch.pow,
    "xlogy": torch.xlogy,
    "xlog1py": torch.special.xlog1py,
}.items():
    ops.add(name, function, positive(2, 3), positive(2, 3), case="same shape")
    ops.add(name, function, positive(2, 1, 3), positive(4, 1), case="broadcast")

# Where the quotient is not whole, both are smooth: a - b floor(a/b), a - b trunc(a/b).
for name, function in {
    "remainder": torch.remainder,
    "fmod": torch.fmod,
}.items():
    a, b = exactly([[5.3, -5.3], [5.3, -5.3]]), exactly([[1.7, 1.7], [-1.7, -1.7]])
    ops.add(name, function, a, b, case="the four signs")
    ops.add(name, function, integers(-9, 9, 2, 3), exactly([2, -3, 4], "int64"), case="integers")
ops.add(
    "floor_divide",
    lambda a, b: torch.div(a, b, rounding_mode="floor"),
    exactly([[5.3, -5.3], [5.3, -5.3]]),
    exactly([[1.7, 1.7], [-1.7, -1.7]]),
    case="the four signs",
)
ops.add(
    "floor_divide",
    lambda a, b: torch.div(a, b, rounding_mode="floor"),
    integers(-9, 9, 2, 3),
    exactly([2, -3, 4], "int64"),
    case="integers",
)
ops.add("add", torch.add, integers(-9, 9, 2, 3), integers(-9, 9, 3), case="integers")
ops.add("multiply", torch.multiply, integers(-9, 9, 2, 3), integers(-9, 9, 3), case="integers")
ops.add("add", torch.add, real(2, 0), real(2, 1), case="empty")
ops.add("multiply", torch.multiply, real(2, 3), real(), case="one number, no axis")
ops.add("power", torch.pow, real(2, 3), exactly(3, "int64"), case="negative base, integer exponent")
ops.add("power", torch.pow, exactly([0.0, 0.0, 0.0]), exactly([0.0, 1.0, 2.0]), case="0", kink=True)
ops.add("maximum", torch.maximum, exactly([1.0, 2.0]), exactly([1.0, 3.0]), case="tie", kink=True)
ops.add("minimum", torch.minimum, exactly([1.0, 2.0]), exactly([1.0, 3.0]), case="tie", kink=True)
ops.add(
    "logaddexp",
    torch.logaddexp,
    exactly([1000.0, -1000.0, 1000.0]),
    exactly([999.0, -1001.0, -1000.0]),
    case="extreme",
)
ops.add("lerp", torch.lerp, real(2, 3), real(2, 3), unit(2, 3))

# Comparisons and logic: no gradient.

for name, function in {
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.less,
    "less_equal": torch.less_equal,
    "greater": torch.greater,
    "greater_equal": torch.greater_equal,
}.items():
    ops.add(name, function, exactly([[1.0, 2.0, 3.0]]), exactly([[2.0], [3.0]]), case="broadcast")
    ops.add(name, function, integers(0, 3, 2, 3), integers(0, 3, 2, 3), case="integers")
for name, function in {
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}.items():
    a, b = exactly([[True], [False]], "bool"), exactly([True, False], "bool")
    ops.add(name, function, a, b)
ops.add("logical_not", torch.logical_not, exactly([True, False], "bool"))

# Choice.

ops.add("where", torch.where, booleans(2, 3), real(2, 3), real(2, 3), case="same shape")
ops.add("where", torch.where, booleans(4, 1), real(3), real(2, 1, 1), case="broadcast")
for low, high in ((-0.75, 0.55), (None, 0.55), (-0.75, None)):
    ops.add("clip", lambda x, low, high: torch.clip(x, low, high), real(2, 3), low=low, high=high)
ops.add(
    "clip",
    lambda x, low, high: torch.clip(x, low, high),
    exactly([-1.0, -0.5, 0.0, 1.0, 2.0]),
    case="both ends",
    kink=True,
    low=-0.5,
    high=1.0,
)
ops.add(
    "masked_fill",
    lambda x, mask, value: torch.masked_fill(x, mask, value),
    real(2, 3),
    booleans(2, 3),
    value=-7.5,
)

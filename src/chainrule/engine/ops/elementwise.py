"""Operations on each element: arithmetic, powers, exponentials, activations, comparisons.

Conventions at kinks and ties (see docs/conventions.md): the derivative of ``abs``, ``relu`` and
``sign`` at 0 is 0; ``maximum`` and ``minimum`` of equal numbers share the gradient in halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...errors import TypeRuleError
from ..ir.batch_axis import ELEMENTWISE
from ..ir.notation import Notation
from ..ir.operation import ZERO, Cost, Operation, Sample, register
from ..ir.types import Type, bool_, promote
from ..tensor import Tensor, TensorLike, apply, as_tensor
from . import special
from .check import require
from .declare import (
    align,
    binary,
    boolean,
    broadcast_to,
    cast,
    floating,
    function,
    integers,
    need_float,
    reals,
    same_type,
    sample_shapes,
    unary,
)

__all__ = [
    "abs", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt",
    "ceil", "clip", "copysign", "cos", "cosh", "deg2rad", "digamma", "divide", "equal", "erf",
    "erfc", "erfinv", "exp", "exp2", "expm1", "floor", "floor_divide", "flush_subnormal", "fmax",
    "fmin", "fmod",
    "greater", "greater_equal", "hypot", "identity", "isfinite", "isinf", "isnan", "lerp", "less",
    "less_equal", "lgamma", "log", "log1p", "log2", "log10", "logaddexp", "logaddexp2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "masked_fill", "maximum",
    "minimum", "multiply", "nan_to_num", "negative", "not_equal", "polygamma", "power", "rad2deg",
    "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "sin", "sinc", "sinh",
    "softplus", "sqrt", "square", "stop_gradient", "subtract", "tan", "tanh", "trunc", "where",
    "xlog1py", "xlogy",
]  # fmt: skip

#: The least normal number of a floating-point type, by its bytes; NumPy compares arrays sooner.
_LEAST_NORMAL = {kind.itemsize: np.array(np.finfo(kind).tiny) for kind in map(np.dtype, "fd")}

# ---- arithmetic ------------------------------------------------------------------------------

negative = unary(
    "negative", lambda xp, x: -x, lambda g, y, x: -g, "-{0}", "-x", floats=False, scales=True,
    numbers=True, c={"*": "-{0}"}, js="-{0}", cost=Cost.TRIVIAL,
    notation=Notation(
        title="negation",
        inside=("add", "subtract", "multiply", "divide", "softplus", "exp", "sigmoid", "sum"),
        derivatives=("-1",),
    ),
    exact=True,
    numpy=np.negative,
)  # fmt: skip
abs = unary(
    "abs", lambda xp, x: xp.abs(x), lambda g, y, x: g * sign(x), "|{0}|",
    "|x|; the derivative at 0 is 0.", floats=False, gap=0.1,
    c={"f": "fabs{f}({0})", "i": "({0} < 0 ? -{0} : {0})", "b": "{0}"}, js="Math.abs({0})",
    notation=Notation(latex=r"\left|{0}\right|", is_activation=True), exact=True,
    square=lambda x: x * x,
    numpy=np.abs,
)  # fmt: skip
sign = unary(
    "sign", lambda xp, x: xp.sign(x), ZERO, "sign({0})", "-1, 0 or 1.", floats=False, gap=0.1,
    numbers=True, c={
        "f": "({0} != {0} ? {0} : ({t})(({0} > 0) - ({0} < 0)))",
        "i": "({t})(({0} > 0) - ({0} < 0))",
    },
    js="Math.sign({0})", exact=True,
)  # fmt: skip
floor = unary(
    "floor", lambda xp, x: xp.floor(x), ZERO, "⌊{0}⌋", "Round down.", low=0.1, high=0.9,
    c={"f": "floor{f}({0})"}, js="Math.floor({0})", notation=Notation(text="floor({0})"),
    exact=True,
    numpy=np.floor,
)  # fmt: skip
ceil = unary(
    "ceil", lambda xp, x: xp.ceil(x), ZERO, "⌈{0}⌉", "Round up.", low=0.1, high=0.9,
    c={"f": "ceil{f}({0})"}, js="Math.ceil({0})", notation=Notation(text="ceil({0})"), exact=True,
    numpy=np.ceil,
)  # fmt: skip
trunc = unary(
    "trunc", lambda xp, x: xp.trunc(x), ZERO, "trunc({0})", "Round towards 0.", low=0.1, high=0.9,
    c={"f": "trunc{f}({0})"}, js="Math.trunc({0})", exact=True,
    numpy=np.trunc,
)  # fmt: skip
round = unary(
    "round", lambda xp, x: xp.round(x), ZERO, "round({0})", "Round; halves go to the even number.",
    low=0.1, high=0.4, c={"f": "rint{f}({0})"}, js="Special.roundToEven({0})", exact=True,
)  # fmt: skip

# ---- powers, exponentials, logarithms --------------------------------------------------------

#: The square of a root: x, rounded as the root was.
SQUARED_ROOT = register(
    Operation(
        "squared_root",
        same_type("squared_root", floats=True),
        lambda xp, x: xp.sqrt(x) * xp.sqrt(x),
        (lambda g, y, x: g,),
        "(√{0})²",
        sample_shapes(low=0.2),
        elementwise=True,
        exact=True,
        c={"f": "sqrt{f}({0}) * sqrt{f}({0})"},
        js="Math.sqrt({0}) ** 2",
        notation=Notation(text="(√({0}))²", latex=r"\left(\sqrt{{{0}}}\right)^2"),
    )
)
#: √x as the last step of a norm: at 0, where it has no derivative, that is taken as 0.
ROOT_OF_NORM = register(
    Operation(
        "root_of_norm",
        same_type("root_of_norm", floats=True),
        lambda xp, x: xp.sqrt(x),
        (lambda g, y, x: where(y == 0, 0.0, g * 0.5 / where(y == 0, 1.0, y)),),
        "√{0}",
        sample_shapes(low=0.2),
        elementwise=True,
        exact=True,
        c={"f": "sqrt{f}({0})"},
        js="Math.sqrt({0})",
        notation=Notation(text="√({0})", latex=r"\sqrt{{{0}}}", derivatives=("1 / (2 · {y})",)),
        square=lambda x: apply(SQUARED_ROOT, x),
    )
)

cbrt = unary(
    "cbrt", lambda xp, x: xp.cbrt(x), lambda g, y, x: g / (3 * y * y), "∛{0}",
    "The cube root, of negative numbers too; its derivative at 0 is infinite.", gap=0.2,
    c={"f": "cr_cbrt{f}({0})"}, js="Math.cbrt({0})",
    notation=Notation(text="∛({0})", latex=r"\sqrt[3]{{{0}}}"),
    numpy=np.cbrt,
)  # fmt: skip
sqrt = unary(
    "sqrt", lambda xp, x: xp.sqrt(x), lambda g, y, x: g * 0.5 / y, "√{0}",
    "√x; its derivative at 0 is infinite.", low=0.2, c={"f": "sqrt{f}({0})"}, js="Math.sqrt({0})",
    notation=Notation(text="√({0})", latex=r"\sqrt{{{0}}}", derivatives=("1 / (2 · {y})",)),
    exact=True, square=lambda x: apply(SQUARED_ROOT, x),
    numpy=np.sqrt,
)  # fmt: skip
rsqrt = unary(
    "rsqrt", lambda xp, x: 1 / xp.sqrt(x), lambda g, y, x: g * -0.5 * y / x, "1/√{0}", "1/√x",
    low=0.2, c={"f": "1 / sqrt{f}({0})"}, js="1 / Math.sqrt({0})",
    notation=Notation(text="1/√({0})", latex=r"\frac{{1}}{{\sqrt{{{0}}}}}"),
)  # fmt: skip
exp = unary(
    "exp", lambda xp, x: xp.exp(x), lambda g, y, x: g * y, "exp({0})", "eˣ",
    c={"f": "cr_exp{f}({0})"}, js="Math.exp({0})",
    range=(0.0, math.inf), notation=Notation(
        latex=r"\exp\left({0}\right)", is_activation=True, derivatives=("{y}",),
        gradient="The exponential is its own derivative.",
    ),
    numpy=np.exp,
)  # fmt: skip
exp2 = unary(
    "exp2", lambda xp, x: xp.exp2(x), lambda g, y, x: g * y * math.log(2), "2^{0}", "2ˣ",
    c={"f": "cr_exp2{f}({0})"}, js="2 ** {0}",
    notation=Notation(text="2^({0})", latex="2^{{{0}}}"),
    numpy=np.exp2,
)  # fmt: skip
expm1 = unary(
    "expm1", lambda xp, x: xp.expm1(x), lambda g, y, x: g * (y + 1), "exp({0}) - 1",
    "eˣ - 1, exact for small x.", c={"f": "cr_expm1{f}({0})"}, js="Math.expm1({0})",
    notation=Notation(text="(exp({0}) - 1)", latex=r"\left(\exp\left({0}\right) - 1\right)"),
    numpy=np.expm1,
)  # fmt: skip
log = unary(
    "log", lambda xp, x: xp.log(x), lambda g, y, x: g / x, "ln({0})", "Natural logarithm.",
    low=0.1, c={"f": "cr_log{f}({0})"}, js="Math.log({0})",
    notation=Notation(
        latex=r"\ln\left({0}\right)", is_activation=True, derivatives=("1 / {x}",),
        gradient="The logarithm of x has the derivative 1 / x.",
    ),
    numpy=np.log,
)  # fmt: skip
log2 = unary(
    "log2", lambda xp, x: xp.log2(x), lambda g, y, x: g / (x * math.log(2)), "log₂({0})",
    "Logarithm to base 2.", low=0.1, c={"f": "cr_log2{f}({0})"}, js="Math.log2({0})",
    notation=Notation(text="log2({0})", latex=r"\log_{{2}}\left({0}\right)"),
    numpy=np.log2,
)  # fmt: skip
log10 = unary(
    "log10", lambda xp, x: xp.log10(x), lambda g, y, x: g / (x * math.log(10)), "log₁₀({0})",
    "Logarithm to base 10.", low=0.1, c={"f": "cr_log10{f}({0})"}, js="Math.log10({0})",
    notation=Notation(text="log10({0})", latex=r"\log_{{10}}\left({0}\right)"),
    numpy=np.log10,
)  # fmt: skip
log1p = unary(
    "log1p", lambda xp, x: xp.log1p(x), lambda g, y, x: g / (x + 1), "ln(1 + {0})",
    "ln(1 + x), exact for small x.", low=-0.8, c={"f": "cr_log1p{f}({0})"}, js="Math.log1p({0})",
    notation=Notation(latex=r"\ln\left(1 + {0}\right)"),
    numpy=np.log1p,
)  # fmt: skip

# ---- trigonometric and hyperbolic ------------------------------------------------------------

sin = unary(
    "sin", lambda xp, x: xp.sin(x), lambda g, y, x: g * cos(x), "sin({0})", "Sine.",
    c={"f": "cr_sin{f}({0})"}, js="Math.sin({0})",
    numpy=np.sin,
)  # fmt: skip
cos = unary(
    "cos", lambda xp, x: xp.cos(x), lambda g, y, x: -g * sin(x), "cos({0})", "Cosine.",
    c={"f": "cr_cos{f}({0})"}, js="Math.cos({0})",
    numpy=np.cos,
)  # fmt: skip
tan = unary(
    "tan", lambda xp, x: xp.tan(x), lambda g, y, x: g * (1 + y * y), "tan({0})", "Tangent.",
    low=-1.2, high=1.2, c={"f": "cr_tan{f}({0})"}, js="Math.tan({0})",
    numpy=np.tan,
)  # fmt: skip
arcsin = unary(
    "arcsin", lambda xp, x: xp.arcsin(x), lambda g, y, x: g * rsqrt((1 - x) * (1 + x)),
    "arcsin({0})",
    "Inverse sine.", low=-0.8, high=0.8, c={"f": "cr_arcsin{f}({0})"}, js="Math.asin({0})",
)  # fmt: skip
arccos = unary(
    "arccos", lambda xp, x: xp.arccos(x), lambda g, y, x: -g * rsqrt((1 - x) * (1 + x)),
    "arccos({0})",
    "Inverse cosine.", low=-0.8, high=0.8, c={"f": "cr_arccos{f}({0})"}, js="Math.acos({0})",
)  # fmt: skip
arctan = unary(
    "arctan", lambda xp, x: xp.arctan(x), lambda g, y, x: g / (1 + x * x), "arctan({0})",
    "Inverse tangent.", c={"f": "cr_arctan{f}({0})"}, js="Math.atan({0})",
)  # fmt: skip
sinh = unary(
    "sinh", lambda xp, x: xp.sinh(x), lambda g, y, x: g * cosh(x), "sinh({0})", "Hyperbolic sine.",
    c={"f": "cr_sinh{f}({0})"}, js="Math.sinh({0})",
    numpy=np.sinh,
)  # fmt: skip
cosh = unary(
    "cosh", lambda xp, x: xp.cosh(x), lambda g, y, x: g * sinh(x), "cosh({0})",
    "Hyperbolic cosine.", c={"f": "cr_cosh{f}({0})"}, js="Math.cosh({0})",
    numpy=np.cosh,
)  # fmt: skip
tanh = unary(
    "tanh", lambda xp, x: xp.tanh(x), lambda g, y, x: g * (1 - y * y), "tanh({0})",
    "Hyperbolic tangent.", c={"f": "cr_tanh{f}({0})"}, js="Math.tanh({0})",
    range=(-1.0, 1.0), notation=Notation(
        latex=r"\tanh\left({0}\right)", is_activation=True, derivatives=("1 - {y}²",),
        gradient="The hyperbolic tangent a = tanh(z) has the derivative 1 - a².",
    ),
    numpy=np.tanh,
)  # fmt: skip
arcsinh = unary(
    "arcsinh", lambda xp, x: xp.arcsinh(x), lambda g, y, x: g / hypot(x, 1.0), "arcsinh({0})",
    "Inverse hyperbolic sine.", c={"f": "cr_arcsinh{f}({0})"}, js="Math.asinh({0})",
)  # fmt: skip
arccosh = unary(
    "arccosh", lambda xp, x: xp.arccosh(x),
    lambda g, y, x: g * (rsqrt(x - 1) * rsqrt(x + 1)), "arccosh({0})",
    "Inverse hyperbolic cosine.", low=1.2, high=3.0, c={"f": "cr_arccosh{f}({0})"},
    js="Math.acosh({0})",
)  # fmt: skip
arctanh = unary(
    "arctanh", lambda xp, x: xp.arctanh(x), lambda g, y, x: g / ((1 - x) * (1 + x)), "arctanh({0})",
    "Inverse hyperbolic tangent.", low=-0.8, high=0.8, c={"f": "cr_arctanh{f}({0})"},
    js="Math.atanh({0})",
)  # fmt: skip

# ---- the functions of neural networks that are stable only as a whole ------------------------


def _sigmoid(xp: Any, x: Any) -> Any:
    e = xp.exp(-xp.abs(x))  # at most 1: never overflows
    return xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)


erf = unary(
    "erf", lambda xp, x: special.erf(x),
    lambda g, y, x: g * exp(-x * x) * (2 / math.sqrt(math.pi)), "erf({0})",
    "The error function 2/√π ∫₀ˣ exp(-t²) dt.", c={"f": "cr_erf{f}({0})"}, js="Special.erf({0})",
    notation=Notation(is_activation=True),
)  # fmt: skip
erfc = unary(
    "erfc", lambda xp, x: special.erfc(x),
    lambda g, y, x: g * exp(-x * x) * (-2 / math.sqrt(math.pi)), "erfc({0})",
    "1 - erf(x), exact for large x.", c={"f": "cr_erfc{f}({0})"}, js="Special.erfc({0})",
)  # fmt: skip
erfinv = unary(
    "erfinv", lambda xp, x: special.erfinv(x),
    lambda g, y, x: g * exp(y * y) * (math.sqrt(math.pi) / 2), "erf⁻¹({0})",
    "The inverse of the error function; ±∞ at ±1 and NaN beyond.", low=-0.9, high=0.9,
    c={"f": "cr_erfinv{f}({0})"}, js="Special.erfinv({0})", notation=Notation(text="erfinv({0})"),
)  # fmt: skip
lgamma = unary(
    "lgamma", lambda xp, x: special.lgamma(x), lambda g, y, x: g * digamma(x), "ln|Γ({0})|",
    "ln |Γ(x)|, the logarithm of the gamma function; for integers Γ(n) = (n-1)!", low=0.2,
    c={"f": "cr_lgamma{f}({0})"}, js="Special.lgamma({0})", notation=Notation(text="lgamma({0})"),
)  # fmt: skip
sigmoid = unary(
    "sigmoid", _sigmoid, lambda g, y, x: g * y * (1 - y), "σ({0})",
    "The logistic function 1 / (1 + exp(-x)); never overflows.", c={"f": "cr_sigmoid{f}({0})"},
    js="Special.sigmoid({0})",
    range=(0.0, 1.0), notation=Notation(
        latex=r"\sigma\left({0}\right)", is_activation=True, derivatives=("{y} · (1 - {y})",),
        gradient="The sigmoid a = σ(z) has the derivative a · (1 - a).",
    ),
)  # fmt: skip
softplus = unary(
    "softplus", lambda xp, x: xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x))),
    lambda g, y, x: g * sigmoid(x), "ln(1 + exp({0}))",
    "ln(1 + eˣ), a smooth relu; never overflows (Dugas et al., 2001).",
    c={"f": "cr_softplus{f}({0})"}, js="Math.max({0}, 0) + Math.log1p(Math.exp(-Math.abs({0})))",
    range=(0.0, math.inf), notation=Notation(
        latex=r"\ln\left(1 + \exp\left({0}\right)\right)", is_activation=True,
        derivatives=("σ({x})",), gradient="Softplus, ln(1 + exp(z)), has the derivative σ(z).",
    ),
)  # fmt: skip
relu = unary(
    "relu", lambda xp, x: xp.maximum(x, 0), lambda g, y, x: where(x > 0, g, 0.0), "max(0, {0})",
    "max(0, x); the derivative at 0 is 0 (Nair and Hinton, 2010).", gap=0.1,
    c={"f": "({0} < 0 ? 0 : {0})"}, js="Math.max({0}, 0)", cost=Cost.SELECTION,
    range=(0.0, math.inf), notation=Notation(
        latex=r"\max\left(0, {0}\right)", is_activation=True,
        derivatives=("1 if {x} > 0 else 0",),
        gradient="ReLU, max(0, z), has the derivative 1 where z is above 0, and 0 elsewhere.",
    ),
    exact=True,
)  # fmt: skip


def _flush_subnormal(xp: Any, x: Any) -> Any:
    subnormal = xp.abs(x) < _LEAST_NORMAL[x.dtype.itemsize]
    if xp is np and not np.count_nonzero(subnormal):  # the usual case
        return x
    return xp.where(subnormal, x.dtype.type(0), x)


def _flush_subnormal_into(x: Any, out: Any) -> None:
    """The same with NumPy, in half of the time."""
    subnormal = np.abs(x) < _LEAST_NORMAL[x.dtype.itemsize]
    if out is not x:
        out[...] = x
    if np.count_nonzero(subnormal):
        np.copyto(out, 0, where=subnormal)


flush_subnormal = unary(
    "flush_subnormal", _flush_subnormal, lambda g, y, x: g, "{0}",
    "x, but 0 where |x| is below the least normal number of its type, 1.2e-38 in float32; as a\n"
    "rounding it has the derivative 1. Processors take up to a hundred times as long over such\n"
    "numbers, and a mean that decays would end among them and stay: β · x rounds to x.",
    c={"f": "cr_flush{f}({0})"}, js="(Math.abs({0}) < 2.2250738585072014e-308 ? 0 : {0})",
    cost=Cost.SELECTION, gap=0.1, exact=True, into=_flush_subnormal_into,
    # Explanations show the number: it is that of the operand wherever it is not 0 in print.
    notation=Notation(latex="{0}", inside=("add", "subtract", "multiply", "divide", "negative")),
)  # fmt: skip

# ---- tests of one number ---------------------------------------------------------------------

logical_not = unary(
    "logical_not", lambda xp, x: xp.logical_not(x), ZERO, "¬{0}", "Not.", floats=False,
    result=bool_, c={"*": "!{0}"}, js="!{0}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.logical_not,
)  # fmt: skip
isnan = unary(
    "isnan", lambda xp, x: xp.isnan(x), ZERO, "isnan({0})", "x is NaN.", result=bool_,
    c={"f": "{0} != {0}"}, js="Number.isNaN({0})", exact=True,
    numpy=np.isnan,
)  # fmt: skip
isinf = unary(
    "isinf", lambda xp, x: xp.isinf(x), ZERO, "isinf({0})", "x is infinite.", result=bool_,
    c={"f": "fabs{f}({0}) == INFINITY"}, js="Math.abs({0}) === Infinity", exact=True,
    numpy=np.isinf,
)  # fmt: skip
isfinite = unary(
    "isfinite", lambda xp, x: xp.isfinite(x), ZERO, "isfinite({0})", "Finite.", result=bool_,
    c={"f": "fabs{f}({0}) < INFINITY"}, js="Number.isFinite({0})", exact=True,
    numpy=np.isfinite,
)  # fmt: skip

# ---- two numbers -----------------------------------------------------------------------------


def _power_of_base(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """∂(aᵇ)/∂a = b·aᵇ⁻¹, and 0 where b = 0, for then aᵇ is the constant 1."""
    return where(b == 0, 0.0, g * b * power(a, where(b == 0, 1.0, b - 1)))


def _power_of_exponent(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """∂(aᵇ)/∂b = aᵇ·ln a, and 0 where a = 0 and b ≥ 0, the limit."""
    flat = logical_and(a == 0, b >= 0)
    return where(flat, 0.0, g * y * log(where(flat, 1.0, a)))


def _winner(g: Tensor, y: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """The input that is the result gets the gradient; equal inputs get half of it each."""
    return g * (cast(own == y, g.dtype) * 1.0 - cast(own == other, g.dtype) * 0.5)


def _share(g: Tensor, y: Tensor, leg: Tensor) -> Tensor:
    """∂√(a² + b²)/∂a = a/y, and 0 at the origin, where there is no derivative."""
    return g * leg / where(y == 0, 1.0, y)


def _angle(g: Tensor, leg: Tensor, other: Tensor) -> Tensor:
    """leg / (leg² + other²) without overflow, and 0 at the origin, where there is no angle."""
    length = hypot(leg, other)
    safe = where(length == 0, 1.0, length)
    return g * (leg / safe) / safe


def _needless(a: Tensor, b: Tensor, end: float) -> Tensor:
    """Where a logarithm is infinite or NaN, but not for a NaN, and its factor is 0."""
    return logical_and(a == 0, logical_or(b <= end, b == math.inf))


add = binary(
    "add", lambda xp, a, b: a + b, (lambda g, y, a, b: g, lambda g, y, a, b: g), "{0} + {1}",
    "a + b", c={"*": "{0} + {1}", "b": "{0} | {1}"}, js="{0} + {1}", cost=Cost.ARITHMETIC,
    notation=Notation(
        title="sum", inside=("add",), derivatives=("1", "1"),
        gradient="A sum passes the gradient on unchanged, to each of its terms.",
    ),
    exact=True, additive=True,
    numpy=np.add,
)  # fmt: skip
subtract = binary(
    "subtract", lambda xp, a, b: xp.subtract(a, b), (lambda g, y, a, b: g, lambda g, y, a, b: -g),
    "{0} - {1}", "a - b", numbers=True, c={"*": "{0} - {1}"}, js="{0} - {1}", cost=Cost.ARITHMETIC,
    notation=Notation(
        title="difference", inside=("multiply",), derivatives=("1", "-1"),
        gradient="A difference passes it on unchanged, with the opposite sign to its second term.",
    ),
    exact=True, additive=True,
    numpy=np.subtract,
)  # fmt: skip


def _square(x: Tensor) -> Tensor | None:
    """The square of a result whose operation knows more of it than its own derivative."""
    node = x.node
    if node.op.square is None or not node.inputs:  # nobody watches
        return None
    squared: Tensor = node.op.square(*map(Tensor, node.inputs))
    return squared


multiply = binary(
    "multiply", lambda xp, a, b: a * b, (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "{0} · {1}", "a · b", scales=True, c={"*": "{0} * {1}", "b": "{0} & {1}"}, js="{0} * {1}",
    cost=Cost.ARITHMETIC,
    notation=Notation(
        title="product", inside=("add", "subtract", "multiply", "sum", "negative"),
        derivatives=("{other}", "{other}"),
        gradient="A product passes it on to each factor, times the other factor.",
    ),
    exact=True, of_one=_square,
    numpy=np.multiply,
)  # fmt: skip


divide = binary(
    "divide", lambda xp, a, b: a / b, (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    "{0} / {1}", "a / b; the quotient of integers is float32.", floats=True, gap=0.3, scales=True,
    c={"f": "{0} / {1}"}, js="{0} / {1}",
    notation=Notation(
        title="quotient", inside=("add", "subtract"), derivatives=("1 / {other}", "-{y} / {x}"),
        gradient="A quotient passes it on divided by the denominator.",
    ),
    exact=True,
    numpy=np.divide,
)  # fmt: skip
_power = binary(
    "power", lambda xp, a, b: xp.power(a, b), (_power_of_base, _power_of_exponent), "{0}^{1}",
    "aᵇ", low=0.3, numbers=True, c={"f": "cr_power{f}({0}, {1})", "i": "cr_power_{s}({0}, {1})"},
    js="{0} === 1 ? 1 : {0} ** {1}",
    numpy=np.power,
)  # fmt: skip
maximum = binary(
    "maximum", lambda xp, a, b: xp.maximum(a, b),
    (lambda g, y, a, b: _winner(g, y, a, b), lambda g, y, a, b: _winner(g, y, b, a)),
    "max({0}, {1})", "The larger of a and b; equal numbers share the gradient in halves.",
    c={"f": "({0} >= {1} || {0} != {0} ? {0} : {1})", "*": "({0} > {1} ? {0} : {1})"},
    js="Math.max({0}, {1})", cost=Cost.SELECTION, exact=True,
    numpy=np.maximum,
)  # fmt: skip
minimum = binary(
    "minimum", lambda xp, a, b: xp.minimum(a, b),
    (lambda g, y, a, b: _winner(g, y, a, b), lambda g, y, a, b: _winner(g, y, b, a)),
    "min({0}, {1})", "The smaller of a and b; equal numbers share the gradient in halves.",
    c={"f": "({0} <= {1} || {0} != {0} ? {0} : {1})", "*": "({0} < {1} ? {0} : {1})"},
    js="Math.min({0}, {1})", cost=Cost.SELECTION, exact=True,
    numpy=np.minimum,
)  # fmt: skip
floor_divide = binary(
    "floor_divide", lambda xp, a, b: xp.floor_divide(a, b), (ZERO, ZERO), "⌊{0} / {1}⌋", "⌊a / b⌋",
    gap=0.3, numbers=True,
    c={"*": "cr_floor_divide_{s}({0}, {1})"}, js="Special.floorDivide({0}, {1})",
    notation=Notation(text="floor({0} / {1})"),
    numpy=np.floor_divide,
)  # fmt: skip
remainder = binary(
    "remainder", lambda xp, a, b: xp.remainder(a, b),
    (lambda g, y, a, b: g, lambda g, y, a, b: -g * floor_divide(a, b)), "{0} mod {1}",
    "a - ⌊a / b⌋ · b, with the sign of b.", gap=0.3, numbers=True,
    c={"*": "cr_remainder_{s}({0}, {1})"},
    js="Special.remainder({0}, {1})", notation=Notation(text="mod({0}, {1})"),
    numpy=np.remainder,
)  # fmt: skip
fmod = binary(
    "fmod", lambda xp, a, b: xp.fmod(a, b),
    (lambda g, y, a, b: g, lambda g, y, a, b: -g * trunc(a / b)), "{0} mod {1}",
    "a - trunc(a / b) · b, with the sign of a.", gap=0.3, numbers=True,
    c={"f": "fmod{f}({0}, {1})", "i": "cr_fmod_{s}({0}, {1})"},
    js="{0} % {1}", notation=Notation(text="fmod({0}, {1})"),
)  # fmt: skip
copysign = binary(
    "copysign", lambda xp, a, b: xp.copysign(a, b),
    (lambda g, y, a, b: g * sign(a) * sign(y), ZERO), "|{0}| · sign({1})",
    "|a| with the sign of b, that of -0.0 too.", floats=True, gap=0.2,
    c={"f": "copysign{f}({0}, {1})"},
    js="{1} < 0 || Object.is({1}, -0) ? -Math.abs({0}) : Math.abs({0})",
    notation=Notation(text="copysign({0}, {1})"), exact=True,
)  # fmt: skip
arctan2 = binary(
    "arctan2", lambda xp, a, b: xp.arctan2(a, b),
    (lambda g, y, a, b: _angle(g, b, a), lambda g, y, a, b: -_angle(g, a, b)),
    "arctan2({0}, {1})", "The angle of the point (b, a).", floats=True, gap=0.3,
    c={"f": "atan2{f}({0}, {1})"}, js="Math.atan2({0}, {1})",
)  # fmt: skip
hypot = binary(
    "hypot", lambda xp, a, b: xp.hypot(a, b),
    (lambda g, y, a, b: _share(g, y, a), lambda g, y, a, b: _share(g, y, b)), "√({0}² + {1}²)",
    "√(a² + b²) without overflow; the derivative at (0, 0) is 0.", floats=True, gap=0.3,
    c={"f": "hypot{f}({0}, {1})"}, js="Math.hypot({0}, {1})",
    notation=Notation(text="hypot({0}, {1})"),
)  # fmt: skip
logaddexp = binary(
    "logaddexp", lambda xp, a, b: xp.logaddexp(a, b),
    (lambda g, y, a, b: g * sigmoid(a - b), lambda g, y, a, b: g * sigmoid(b - a)),
    "ln(exp({0}) + exp({1}))", "ln(eᵃ + eᵇ) without overflow.", floats=True,
    c={"f": "cr_logaddexp{f}({0}, {1})"}, js="Special.logaddexp({0}, {1})",
    notation=Notation(text="logaddexp({0}, {1})"),
)  # fmt: skip

_COMPARE = (ZERO, ZERO)
equal = binary(
    "equal", lambda xp, a, b: a == b, _COMPARE, "{0} = {1}", "a = b", result=bool_,
    c={"*": "{0} == {1}"}, js="{0} === {1}", cost=Cost.TRIVIAL,
    notation=Notation(text="{0} == {1}"), exact=True,
    numpy=np.equal,
)  # fmt: skip
not_equal = binary(
    "not_equal", lambda xp, a, b: a != b, _COMPARE, "{0} ≠ {1}", "a ≠ b", result=bool_,
    c={"*": "{0} != {1}"}, js="{0} !== {1}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.not_equal,
)  # fmt: skip
less = binary(
    "less", lambda xp, a, b: a < b, _COMPARE, "{0} < {1}", "a < b", result=bool_,
    c={"*": "{0} < {1}"}, js="{0} < {1}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.less,
)  # fmt: skip
less_equal = binary(
    "less_equal", lambda xp, a, b: a <= b, _COMPARE, "{0} ≤ {1}", "a ≤ b", result=bool_,
    c={"*": "{0} <= {1}"}, js="{0} <= {1}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.less_equal,
)  # fmt: skip
greater = binary(
    "greater", lambda xp, a, b: a > b, _COMPARE, "{0} > {1}", "a > b", result=bool_,
    c={"*": "{0} > {1}"}, js="{0} > {1}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.greater,
)  # fmt: skip
greater_equal = binary(
    "greater_equal", lambda xp, a, b: a >= b, _COMPARE, "{0} ≥ {1}", "a ≥ b", result=bool_,
    c={"*": "{0} >= {1}"}, js="{0} >= {1}", cost=Cost.TRIVIAL, exact=True,
    numpy=np.greater_equal,
)  # fmt: skip
logical_and = binary(
    "logical_and", lambda xp, a, b: xp.logical_and(a, b), _COMPARE, "{0} ∧ {1}", "a and b",
    result=bool_, operand=boolean, c={"*": "{0} && {1}"}, js="Boolean({0} && {1})",
    cost=Cost.SELECTION, exact=True,
    numpy=np.logical_and,
)  # fmt: skip
logical_or = binary(
    "logical_or", lambda xp, a, b: xp.logical_or(a, b), _COMPARE, "{0} ∨ {1}", "a or b",
    result=bool_, operand=boolean, c={"*": "{0} || {1}"}, js="Boolean({0} || {1})",
    cost=Cost.SELECTION, exact=True,
    numpy=np.logical_or,
)  # fmt: skip
logical_xor = binary(
    "logical_xor", lambda xp, a, b: xp.logical_xor(a, b), _COMPARE, "{0} ⊕ {1}", "either a or b",
    result=bool_, operand=boolean, c={"*": "!{0} != !{1}"}, js="!{0} !== !{1}", exact=True,
    numpy=np.logical_xor,
)  # fmt: skip


def _bitwise(
    name: str, compute: Callable[..., Any], c: str, formula: str, logical: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """Declare an operation on the bits of integers; its function takes booleans, too."""
    count = c.count("{")

    def type_rule(*types: Type) -> Type:
        found = same_type(name)(*types)
        if found.dtype.kind not in "iu":
            raise TypeRuleError(f"{name} takes integers or booleans.", found=str(found),
                                hint="Compare first: (x > 0) & (x < 1).")  # fmt: skip
        return found

    op = register(
        Operation(
            name,
            type_rule,
            compute,
            (ZERO,) * count,
            formula,
            lambda: [
                Sample(tuple(integers(*shape, low=-3, high=9, seed=i) for i in range(count)))
                for shape in [(2, 3), (0,)]
            ],
            elementwise=True,
            cost=Cost.SELECTION,
            c={"i": c},
            js=c,
        )
    )

    def body(*operands: TensorLike) -> Tensor:
        aligned = align(*operands)
        return logical(*aligned) if aligned[0].dtype == bool_ else apply(op, *aligned)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"{formula.format('a', 'b')} of the bits of integers, or of booleans."
    return function(name=name)(body)


bitwise_and = _bitwise(
    "bitwise_and", lambda xp, a, b: a & b, "({0} & {1})", "{0} & {1}", logical_and
)
bitwise_or = _bitwise("bitwise_or", lambda xp, a, b: a | b, "({0} | {1})", "{0} | {1}", logical_or)
bitwise_xor = _bitwise(
    "bitwise_xor", lambda xp, a, b: a ^ b, "({0} ^ {1})", "{0} ^ {1}", logical_xor
)
bitwise_not = _bitwise("bitwise_not", lambda xp, x: ~x, "(~{0})", "~{0}", logical_not)


@function()
def power(a: TensorLike, b: TensorLike) -> Tensor:
    """aᵇ. An integer as exponent keeps the sign right for negative bases."""
    if isinstance(b, (int, float)) and b < 0:
        a = floating(a)  # integers have no integer reciprocals
    if isinstance(b, (int, float)) and b == 2:
        base = as_tensor(a)
        base = base if base.type.is_float else align(base, b)[0]
        return base * base  # one multiplication instead of a power, and exact
    base, exponent = align(a, b)
    if exponent.dtype.kind == "i":
        about = (
            "An integer has no negative integer power.",
            "exponents of at least 0",
            "Let the base be of floating-point numbers: x.astype('float32').",
        )
        exponent = require(exponent, lambda n: n >= 0, about)
    return _power(base, exponent)


# ---- choice ----------------------------------------------------------------------------------


def _where_type(condition: Any, a: Any, b: Any) -> Any:
    same_type("where")(a, b)
    same_type("where")(condition, a._replace(dtype=bool_))
    return a


WHERE = register(
    Operation(
        "where",
        _where_type,
        lambda xp, condition, a, b: xp.where(condition, a, b),
        (
            ZERO,
            lambda g, y, condition, a, b: where(condition, g, 0.0),
            lambda g, y, condition, a, b: where(condition, 0.0, g),
        ),
        "{1} if {0} else {2}",
        lambda: [
            Sample((np.asarray(integers(*shape, high=2) > 0), reals(*shape), reals(*shape, seed=1)))
            for shape in [(), (2, 3), (0, 2), (1, 1)]
        ],
        elementwise=True,
        cost=Cost.CHOICE,
        c={"*": "({0} ? {1} : {2})"},
        js="{0} ? {1} : {2}",
        notation=Notation(is_activation=True),
        exact=True,
        numpy=np.where,
    )
)


@function(
    lambda: [
        Sample((integers(2, 3, high=2) > 0, reals(3), reals(2, 1, seed=1))),
        Sample((integers(3, high=2) > 0, reals(), reals(2, 3))),
    ]
)
def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """``a`` where the condition holds, otherwise ``b``; all three are broadcast.

    Both sides are computed. A derivative that is infinite on the side that is not taken gives
    NaN (0 · ∞): make the argument harmless there with a `where` of its own.
    """
    a, b = align(a, b)
    condition = boolean(condition)
    shape = np.broadcast_shapes(condition.shape, a.shape)
    return apply(WHERE, *(broadcast_to(x, shape) for x in (condition, a, b)))


# ---- identities with a meaning for the derivative --------------------------------------------

STOP_GRADIENT = register(
    Operation(
        "stop_gradient",
        same_type("stop_gradient"),
        lambda xp, x: x,
        (ZERO,),
        "{0}",
        view=True,
        batch=ELEMENTWISE,
    )
)
#: The same value as a node of its own: with respect to which a derivative is taken.
IDENTITY = register(
    Operation(
        "identity",
        same_type("identity"),
        lambda xp, x: x,
        (lambda g, y, x: g,),
        "{0}",
        sample_shapes(),
        view=True,
        batch=ELEMENTWISE,
    )
)


@function()
def stop_gradient(x: TensorLike) -> Tensor:
    """The same value, taken as a constant by the chain rule."""
    return apply(STOP_GRADIENT, as_tensor(x))


def identity(x: Tensor) -> Tensor:
    """The same value as a node of its own."""
    return apply(IDENTITY, x)


# ---- functions of the functions above --------------------------------------------------------


def _smooth(*shapes: tuple[int, ...], **domain: Any) -> Callable[[], Iterable[Sample]]:
    return lambda: [Sample((reals(*s, **domain),)) for s in shapes or [(2, 3), (0, 2), ()]]


@function(_smooth())
def square(x: TensorLike) -> Tensor:
    """x²; of a norm or a root it has all its derivatives at 0, too."""
    x = as_tensor(x)
    return x * x


@function(_smooth(gap=0.3))
def reciprocal(x: TensorLike) -> Tensor:
    """1 / x."""
    return divide(1.0, floating(x))


@function(
    lambda: [
        Sample((reals(2, 3), -0.7, 0.9)),
        Sample((reals(2, 3), reals(3, low=-1.0, high=-0.5), reals(2, 1, low=0.5, high=1.0))),
        Sample((reals(4), None, 0.5)),
    ]
)
def clip(x: TensorLike, low: TensorLike = None, high: TensorLike = None) -> Tensor:
    """The number in [low, high] that is nearest to x. At the bounds the derivative is 1."""
    x = as_tensor(x)
    if low is not None:
        x = where(x < low, low, x)
    if high is not None:
        x = where(x > high, high, x)
    return x


# ---- more of NumPy's and PyTorch's, said by the functions above ------------------------------


@function(_smooth())
def deg2rad(x: TensorLike) -> Tensor:
    """Degrees as radians."""
    return floating(x) * (math.pi / 180)


@function(_smooth())
def rad2deg(x: TensorLike) -> Tensor:
    """Radians as degrees."""
    return floating(x) * (180 / math.pi)


@function(lambda: [Sample((np.array([-1.7, -0.01, 0.0, 1e-9, 0.02, 0.6]),)), Sample((reals(),))])
def sinc(x: TensorLike) -> Tensor:
    """sin(πx) / (πx), and 1 at 0, as in NumPy."""
    z = math.pi * floating(x)
    near = abs(z) < 0.1
    far, square = where(near, 1.0, z), where(near, z * z, 0.0)
    # Where the quotient of small numbers would lose the derivatives: Taylor's series to z⁸.
    series: Any = 1.0
    for factor in (72, 42, 20, 6):
        series = 1.0 - square * series / factor
    return where(near, series, sin(far) / far)


@function(_smooth(low=0.1, high=0.9))
def logit(x: TensorLike) -> Tensor:
    """ln(x / (1 - x)), the inverse of the sigmoid."""
    x = floating(x)
    return log(x) - log1p(-x)


@function(lambda: [Sample((np.array([0.5, np.inf, -np.inf, np.nan]),), smooth=False)])
def nan_to_num(
    x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities as ordinary numbers, without any gradient; ±∞ as the largest of the type.

    Args:
        x: any floating-point tensor.
        nan: what NaN becomes.
        posinf: what ∞ becomes; without it the largest number.
        neginf: what -∞ becomes; without it the smallest number.
    """
    x = floating(x)
    largest = float(np.finfo(x.dtype).max)
    x = where(isnan(x), nan, x)
    x = where(x == math.inf, largest if posinf is None else posinf, x)
    return where(x == -math.inf, -largest if neginf is None else neginf, x)


@function(lambda: [Sample((reals(2, 3), reals(3, seed=1)))])
def fmax(a: TensorLike, b: TensorLike) -> Tensor:
    """The larger of a and b; if one is NaN, the other."""
    a, b = align(a, b, floats=True)
    return where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


@function(lambda: [Sample((reals(2, 3), reals(3, seed=1)))])
def fmin(a: TensorLike, b: TensorLike) -> Tensor:
    """The smaller of a and b; if one is NaN, the other."""
    return -fmax(-floating(a), -floating(b))


@function(lambda: [Sample((reals(2, 3), reals(3, seed=1)))])
def logaddexp2(a: TensorLike, b: TensorLike) -> Tensor:
    """log₂(2ᵃ + 2ᵇ) without overflow."""
    return logaddexp(floating(a) * math.log(2), floating(b) * math.log(2)) / math.log(2)


@function(
    lambda: [Sample((reals(2, 3), reals(3, low=0.2, seed=1))), Sample((0.0, reals(2, low=1.0)))]
)
def xlogy(a: TensorLike, b: TensorLike) -> Tensor:
    """a·ln b, and 0 where a = 0, for b ≤ 0 too: the convention of entropies."""
    a, b = align(a, b, floats=True)
    return a * log(where(_needless(a, b, 0), 1.0, b))


@function(lambda: [Sample((reals(2, 3), reals(3, low=-0.7, seed=1)))])
def xlog1py(a: TensorLike, b: TensorLike) -> Tensor:
    """a·ln(1 + b), and 0 where a = 0, for b ≤ -1 too."""
    a, b = align(a, b, floats=True)
    return a * log1p(where(_needless(a, b, -1), 0.0, b))


@function(lambda: [Sample((reals(2, 3), reals(3, seed=1), reals(2, 1, low=0.0, high=1.0)))])
def lerp(a: TensorLike, b: TensorLike, weight: TensorLike) -> Tensor:
    """a + weight·(b - a), from a at 0 to b at 1."""
    a, b, weight = align(a, b, weight, floats=True)
    return a + weight * (b - a)


@function(lambda: [Sample((reals(2, 3), np.array([True, False, True]), -1.5))])
def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """``x`` with the value where the mask is true."""
    return where(mask, value, x)


#: The factorials in derivatives of higher orders are no longer finite.
_HIGHEST_ORDER = 168


def _polygamma_type(x: Type, *, order: int) -> Type:
    need_float("polygamma", x)
    if not 0 <= order <= _HIGHEST_ORDER:
        raise TypeRuleError("polygamma takes a derivative that can be computed.",
                            expected=f"an order from 0 to {_HIGHEST_ORDER}",
                            found=f"{order!r:.40}")  # fmt: skip
    return x


POLYGAMMA = register(
    Operation(
        "polygamma",
        _polygamma_type,
        lambda xp, x, order: special.polygamma(x, order, xp),
        (lambda g, y, x, order: g * polygamma(x, order + 1),),
        "ψ({0})",
        lambda: [
            Sample((reals(*shape, low=0.3),), {"order": order})
            for shape, order in [((2, 3), 0), ((1, 1), 1), ((0,), 1), ((3,), 2)]
        ],
        elementwise=True,
        c={"f": "cr_polygamma{f}({0}, {order})"},
        work=lambda y, x, order: y.size * (order + 20) ** 2,
        js="Special.polygamma({0}, {order})",
    )
)


@function(lambda: [Sample((reals(3, low=0.3), 1))])
def polygamma(x: TensorLike, order: int) -> Tensor:
    """The derivative of this order of `digamma`."""
    return apply(POLYGAMMA, floating(x), order=order)


@function(lambda: [Sample((reals(3, low=0.3),)), Sample((np.array([-0.4, -3.3]),))])
def digamma(x: TensorLike) -> Tensor:
    """ψ(x) = d ln Γ(x) / dx."""
    return polygamma(x, 0)


def result_dtype(*operands: TensorLike) -> Any:
    """The element type of arithmetic between the operands."""
    dtype = as_tensor(operands[0]).dtype
    for operand in operands[1:]:
        dtype = promote(dtype, as_tensor(operand).dtype)
    return dtype

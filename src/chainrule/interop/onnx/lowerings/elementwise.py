"""Operations on elements. Operands may be smaller than the result: ONNX broadcasts, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ....errors import ConfigError
from ..emitter import Emitter
from ..symbolic import SymbolicNode

Lowering = Callable[..., Any]

#: Operations that ONNX has.
_SAME = {
    "abs": "Abs", "sign": "Sign", "negative": "Neg", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sqrt": "Sqrt", "root_of_norm": "Sqrt",
    "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh", "tanh": "Tanh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh",
    "erf": "Erf", "sigmoid": "Sigmoid", "relu": "Relu", "add": "Add",
    "subtract": "Sub", "multiply": "Mul", "power": "Pow",
    "divide": "Div", "maximum": "Max", "minimum": "Min", "equal": "Equal", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
}  # fmt: skip
#: Of these, what a common runtime computes in float32 only: its results are cast.
_SINGLE = {
    "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh", "arccosh", "arctanh", "erf",
}  # fmt: skip


def _same(operator: str, e: Emitter, node: SymbolicNode, *operands: str) -> str:
    return e.op(operator, *operands)


def _single(operator: str, e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.dtype == np.float64:
        return e.cast(e.op(operator, e.cast(x, np.float32)), np.float64)
    return e.op(operator, x)


def _on_integers(operator: str, e: Emitter, node: SymbolicNode, *operands: str) -> str:
    """Booleans and unsigned integers, which runtimes do not take here, as wider integers."""
    dtype = node.inputs[-1].dtype
    if dtype.kind not in "bu":
        return e.op(operator, *operands)
    found = e.op(operator, *[e.cast(x, np.int64) for x in operands])
    if node.dtype == np.uint32:  # modulo 2³², as such integers are
        found = e.op("Mod", found, e.constant(2**32, np.int64))
    return found if node.dtype == np.bool_ and operator in _COMPARED else e.cast(found, node.dtype)


_COMPARED = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}


def _logical(operator: str, e: Emitter, node: SymbolicNode, *operands: str) -> str:
    given = [
        x if source.dtype == np.bool_ else e.cast(x, np.bool_)
        for x, source in zip(operands, node.inputs, strict=True)
    ]
    return e.op(operator, *given)


def _number(e: Emitter, node: SymbolicNode, value: float) -> str:
    return e.constant(value, node.inputs[-1].dtype)


def _not_equal(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    return e.op("Not", _on_integers("Equal", e, node, a, b))


def _trunc(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Mul", e.op("Sign", x), e.op("Floor", e.op("Abs", x)))


def _cbrt(e: Emitter, node: SymbolicNode, x: str) -> str:
    root = e.op("Pow", e.op("Abs", x), _number(e, node, 1 / 3))
    return e.op("Mul", e.op("Sign", x), root)


def _squared_root(e: Emitter, node: SymbolicNode, x: str) -> str:
    root = e.op("Sqrt", x)
    return e.op("Mul", root, root)


def _rsqrt(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Reciprocal", e.op("Sqrt", x))


def _exp2(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Pow", _number(e, node, 2.0), x)


def _log_of_base(base: float, e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Div", e.op("Log", x), _number(e, node, math.log(base)))


def _expm1(e: Emitter, node: SymbolicNode, x: str) -> str:
    """eˣ - 1 = tanh(x/2)·(eˣ + 1): no digits are lost near 0; far away the plain formula."""
    y = e.op("Exp", x)
    near = e.op(
        "Mul", e.op("Tanh", e.op("Mul", x, _number(e, node, 0.5))),
        e.op("Add", y, _number(e, node, 1.0)),
    )  # fmt: skip
    small = e.op("Less", e.op("Abs", x), _number(e, node, 1.0))
    return e.op("Where", small, near, e.op("Sub", y, _number(e, node, 1.0)))


def _log1p(e: Emitter, node: SymbolicNode, x: str) -> str:
    return log1p(e, x, node.inputs[-1].dtype)


def log1p(e: Emitter, x: str, dtype: Any) -> str:
    """ln(1 + x) with all digits: ln(u)·x / (u - 1) for u = 1 + x as it is rounded (Kahan)."""
    one = e.constant(1.0, dtype)
    u = e.op("Add", x, one)
    corrected = e.op("Div", e.op("Mul", e.op("Log", u), x), e.op("Sub", u, one))
    exact = e.op("Or", e.op("Equal", u, one), e.op("IsInf", u))
    return e.op("Where", exact, x, corrected)


def _softplus(e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.dtype != np.float64:
        return e.op("Softplus", x)
    more = log1p(e, e.op("Exp", e.op("Neg", e.op("Abs", x))), node.dtype)
    return e.op("Add", e.op("Relu", x), more)


def _erfc(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Sub", _number(e, node, 1.0), _single("Erf", e, node, x))


def _isfinite(e: Emitter, node: SymbolicNode, x: str) -> str:
    return e.op("Not", e.op("Or", e.op("IsNaN", x), e.op("IsInf", x)))


def _flush_subnormal(e: Emitter, node: SymbolicNode, x: str) -> str:
    least = float(np.finfo(node.dtype).tiny)
    subnormal = e.op("Less", e.op("Abs", x), _number(e, node, least))
    return e.op("Where", subnormal, _number(e, node, 0.0), x)


def _float_only(operator: str, e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.inputs[0].dtype.kind != "f":
        x = e.cast(x, np.float32)
    return e.op(operator, x)


def _remainder(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    """With the sign of the divisor, as in Python."""
    if node.dtype.kind != "f":
        return e.op("Mod", a, b)
    rest = e.op("Mod", a, b, fmod=1)
    zero = _number(e, node, 0.0)
    other_sign = e.op("Xor", e.op("Less", rest, zero), e.op("Less", b, zero))
    wrong = e.op("And", other_sign, e.op("Not", e.op("Equal", rest, zero)))
    return e.op("Where", wrong, e.op("Add", rest, b), rest)


def _floor_divide(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    exact = e.op("Div", e.op("Sub", a, _remainder(e, node, a, b)), b)
    if node.dtype.kind != "f":
        return exact
    return e.op("Floor", e.op("Add", exact, _number(e, node, 0.5)))


def _fmod(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    return e.op("Mod", a, b, fmod=1)


def _is_negative(e: Emitter, node: SymbolicNode, x: str) -> str:
    """Also of -0."""
    zero = _number(e, node, 0.0)
    return e.op("Or", e.op("Less", x, zero), e.op("Less", e.op("Reciprocal", x), zero))


def _copysign(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    size = e.op("Abs", a)
    return e.op("Where", _is_negative(e, node, b), e.op("Neg", size), size)


def _arctan2(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    zero, half = _number(e, node, 0.0), _number(e, node, math.pi / 2)
    plain = _single("Atan", e, node, e.op("Div", a, b))
    turn = e.op("Where", _is_negative(e, node, a), _number(e, node, -math.pi),
                _number(e, node, math.pi))  # fmt: skip
    behind = e.op("Where", e.op("Less", b, zero), e.op("Add", plain, turn), plain)
    above = e.op("Mul", e.op("Sign", a), half)
    return e.op("Where", e.op("Equal", b, zero), above, behind)


def _hypot(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    """The larger one times √(1 + q²), so that no square overflows."""
    large, small = _larger_and_smaller(e, e.op("Abs", a), e.op("Abs", b))
    q = e.op("Div", small, e.op("Where", e.op("Equal", large, _number(e, node, 0.0)),
                                _number(e, node, 1.0), large))  # fmt: skip
    root = e.op("Sqrt", e.op("Add", e.op("Mul", q, q), _number(e, node, 1.0)))
    return e.op("Mul", large, root)


def _larger_and_smaller(e: Emitter, a: str, b: str) -> tuple[str, str]:
    return e.op("Max", a, b), e.op("Min", a, b)


def _logaddexp(e: Emitter, node: SymbolicNode, a: str, b: str) -> str:
    large, small = _larger_and_smaller(e, a, b)
    gap = e.op("Sub", small, large)
    equal = e.op("Equal", a, b)  # infinities, too
    more = log1p(e, e.op("Exp", gap), node.dtype)
    return e.op("Add", large, e.op("Where", equal, _number(e, node, math.log(2.0)), more))


def _bitwise(operator: str, logical: str, e: Emitter, node: SymbolicNode, *operands: str) -> str:
    if node.dtype == np.bool_:
        return e.op(logical, *operands)
    need_opset(e, node, 18)
    return e.op(operator, *operands)


def need_opset(e: Emitter, node: SymbolicNode, opset: int) -> None:
    """Refuse what older versions of the operators lack."""
    if e.opset < opset:
        raise ConfigError(
            f"The operation {node.op.name} needs newer operators of ONNX.",
            where=node.origin or None,
            expected=f"opset {opset} or later",
            found=f"opset {e.opset}",
            hint=f"Write with --opset {opset} (opset={opset}).",
        )


def _where(e: Emitter, node: SymbolicNode, condition: str, a: str, b: str) -> str:
    if node.dtype == np.bool_:
        inside = e.op("And", condition, a)
        return e.op("Or", inside, e.op("And", e.op("Not", condition), b))
    if node.dtype == np.uint32:
        chosen = e.op("Where", condition, e.cast(a, np.int64), e.cast(b, np.int64))
        return e.cast(chosen, np.uint32)
    return e.op("Where", condition, a, b)


def _cast(e: Emitter, node: SymbolicNode, x: str) -> str:
    if node.dtype == np.uint32 and node.inputs[0].dtype.kind == "f":
        x = e.cast(x, np.int64)  # negative ones wrap
    return e.cast(x, node.dtype)


def _alias(e: Emitter, node: SymbolicNode, x: str) -> str:
    return x


ELEMENTWISE: Mapping[str, Lowering] = {
    **{name: partial(_same, operator) for name, operator in _SAME.items()},
    **{name: partial(_single, _SAME[name]) for name in _SINGLE},
    **{
        name: partial(_on_integers, _SAME[name])
        for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal",
                     "less", "less_equal", "greater", "greater_equal", "abs", "sign")
    },
    "logical_not": partial(_logical, "Not"),
    "logical_and": partial(_logical, "And"),
    "logical_or": partial(_logical, "Or"),
    "logical_xor": partial(_logical, "Xor"),
    "softplus": _softplus,
    "not_equal": _not_equal,
    "trunc": _trunc,
    "cbrt": _cbrt,
    "squared_root": _squared_root,
    "rsqrt": _rsqrt,
    "exp2": _exp2,
    "expm1": _expm1,
    "log2": partial(_log_of_base, 2.0),
    "log10": partial(_log_of_base, 10.0),
    "log1p": _log1p,
    "erfc": _erfc,
    "isnan": partial(_float_only, "IsNaN"),
    "isinf": partial(_float_only, "IsInf"),
    "isfinite": _isfinite,
    "flush_subnormal": _flush_subnormal,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "fmod": _fmod,
    "copysign": _copysign,
    "arctan2": _arctan2,
    "hypot": _hypot,
    "logaddexp": _logaddexp,
    "bitwise_and": partial(_bitwise, "BitwiseAnd", "And"),
    "bitwise_or": partial(_bitwise, "BitwiseOr", "Or"),
    "bitwise_xor": partial(_bitwise, "BitwiseXor", "Xor"),
    "bitwise_not": partial(_bitwise, "BitwiseNot", "Not"),
    "where": _where,
    "cast": _cast,
    "stop_gradient": _alias,
    "identity": _alias,
}  # fmt: skip

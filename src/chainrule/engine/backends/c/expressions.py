"""The C expression of every operation on single elements.

A rule is a template with ``{0}``, ``{1}`` for the operands and ``{f}`` for the ending of the names
of functions: ``cr_exp{f}`` is cr_expf for float32 and cr_exp for float64. Operands are names of
variables or literals. Rules are looked up by the operation and the kind of its first operand that
is not a condition: "f" floating point, "i" integers, "b" booleans; "*" is any of them.

The functions named ``cr_…`` are in `kernels/math.py` and `prelude.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ir.types import DType

#: The C type of an element in memory; booleans are one byte.
C_TYPES = {
    "bool": "unsigned char",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint32": "uint32_t",
    "float32": "float",
    "float64": "double",
}
#: The C type of an element in a variable: compilers make the most of _Bool.
LOCAL_TYPES = {**C_TYPES, "bool": "_Bool"}
_SUFFIX = {"float32": "f", "float64": ""}
#: Short names of element types in the names of C functions.
SHORT = {
    "bool": "b8", "int32": "i32", "int64": "i64", "uint32": "u32", "float32": "f32",
    "float64": "f64",
}  # fmt: skip

_LIBRARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "erf", "erfc",
    "sigmoid", "softplus", "cbrt", "lgamma",
]  # fmt: skip

RULES: dict[str, dict[str, str]] = {
    "negative": {"*": "-{0}"},
    "abs": {"f": "fabs{f}({0})", "i": "({0} < 0 ? -{0} : {0})", "b": "{0}"},
    "sign": {"f": "({0} != {0} ? {0} : ({t})(({0} > 0) - ({0} < 0)))",
             "i": "({t})(({0} > 0) - ({0} < 0))"},
    "floor": {"f": "floor{f}({0})"},
    "ceil": {"f": "ceil{f}({0})"},
    "trunc": {"f": "trunc{f}({0})"},
    "round": {"f": "rint{f}({0})"},
    "sqrt": {"f": "sqrt{f}({0})"},
    "rsqrt": {"f": "1 / sqrt{f}({0})"},
    **{name: {"f": f"cr_{name}{{f}}({{0}})"} for name in _LIBRARY},
    "erfinv": {"f": "cr_erfinv{f}({0})"},
    "polygamma": {"f": "cr_polygamma{f}({0}, {order})"},
    # A comparison with NaN is false: NaN stays.
    "relu": {"f": "({0} < 0 ? 0 : {0})"},
    "logical_not": {"*": "!{0}"},
    "isnan": {"f": "{0} != {0}"},
    "isinf": {"f": "fabs{f}({0}) == INFINITY"},
    "isfinite": {"f": "fabs{f}({0}) < INFINITY"},
    "add": {"*": "{0} + {1}", "b": "{0} | {1}"},
    "subtract": {"*": "{0} - {1}"},
    "multiply": {"*": "{0} * {1}", "b": "{0} & {1}"},
    "divide": {"f": "{0} / {1}"},
    "power": {"f": "cr_power{f}({0}, {1})", "i": "cr_power_{s}({0}, {1})"},
    "maximum": {"f": "({0} >= {1} || {0} != {0} ? {0} : {1})", "*": "({0} > {1} ? {0} : {1})"},
    "minimum": {"f": "({0} <= {1} || {0} != {0} ? {0} : {1})", "*": "({0} < {1} ? {0} : {1})"},
    "floor_divide": {"*": "cr_floor_divide_{s}({0}, {1})"},
    "remainder": {"*": "cr_remainder_{s}({0}, {1})"},
    "fmod": {"f": "fmod{f}({0}, {1})"},
    "copysign": {"f": "copysign{f}({0}, {1})"},
    "arctan2": {"f": "atan2{f}({0}, {1})"},
    "hypot": {"f": "hypot{f}({0}, {1})"},
    "logaddexp": {"f": "cr_logaddexp{f}({0}, {1})"},
    "equal": {"*": "{0} == {1}"},
    "not_equal": {"*": "{0} != {1}"},
    "less": {"*": "{0} < {1}"},
    "less_equal": {"*": "{0} <= {1}"},
    "greater": {"*": "{0} > {1}"},
    "greater_equal": {"*": "{0} >= {1}"},
    "logical_and": {"*": "{0} && {1}"},
    "logical_or": {"*": "{0} || {1}"},
    "logical_xor": {"*": "!{0} != !{1}"},
    "where": {"*": "({0} ? {1} : {2})"},
}  # fmt: skip

#: Operations that are computed for each element by itself.
ELEMENTWISE = frozenset({*RULES, "cast"})

_KIND = {"f": "f", "i": "i", "u": "i", "b": "b"}


def rule(node: Node) -> str | None:
    """The template for a node; None if there is none for its element types."""
    if node.op.name == "cast":
        return _cast(node.inputs[0].type.dtype, node.type.dtype)
    rules = RULES.get(node.op.name)
    if rules is None or not node.inputs:
        return None
    operand = node.inputs[1 if node.op.name == "where" else 0].type.dtype
    template = rules.get(_KIND[operand.kind], rules.get("*"))
    if template is None:
        return None
    return (
        template.replace("{f}", _SUFFIX.get(operand.name, ""))
        .replace("{s}", SHORT[operand.name])
        .replace("{t}", C_TYPES[operand.name])
        .replace("{order}", str(node.attributes.get("order", 0)))
    )


def _cast(source: DType, target: DType) -> str:
    """Like NumPy on the usual machines: a float that does not fit becomes the least integer."""
    if target.kind == "b":
        return "{0} != 0"
    if source.kind == "f" and target.kind in "iu":
        return f"cr_{SHORT[target.name]}_of_f64({{0}})"
    return f"({C_TYPES[target.name]}){{0}}"


def expression(node: Node, operands: list[str]) -> str:
    """The C expression that computes an element of a node."""
    template = rule(node)
    assert template is not None, node
    return template.format(*operands)


def literal(value: np.generic[Any]) -> str:
    """A number in C, exactly."""
    dtype = value.dtype
    if dtype.kind == "b":
        return "1" if value else "0"
    if dtype.kind == "f":
        number = float(value)
        if math.isnan(number):
            return "NAN"
        if math.isinf(number):
            return "INFINITY" if number > 0 else "(-INFINITY)"
        text = str(value) if dtype == np.float64 else str(np.float32(value))
        text = text if any(c in text for c in ".e") else text + ".0"
        text += _SUFFIX[dtype.name]
        return f"({text})" if text.startswith("-") else text
    number = int(value)
    if dtype == np.uint32:
        return f"{number}u"
    if dtype == np.int64:
        if number == -(2**63):
            return "INT64_MIN"
        return f"INT64_C({number})" if number >= 0 else f"(-INT64_C({-number}))"
    if number == -(2**31):
        return "INT32_MIN"
    return str(number) if number >= 0 else f"({number})"

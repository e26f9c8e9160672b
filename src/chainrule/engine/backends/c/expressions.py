"""From the templates in the records of operations to C expressions of single elements.

A template has ``{0}``, ``{1}`` for the operands, which are names of variables or literals; ``{f}``
for the ending of the names of functions (``cr_exp{f}`` is cr_expf for float32 and cr_exp for
float64); ``{t}`` and ``{s}`` for the C type of an operand's elements and its short name, ``{T}``
and ``{S}`` for those of the result; and attributes by name. `Operation.c` says which template is
for which element types.

The functions named ``cr_…`` are in `kernels/math.py` and `prelude.py`.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ir.operation import Operation
from ...ir.types import DType

#: The C type of an element in memory; booleans are one byte.
C_TYPES = {
    "bool": "unsigned char",
    # Only in programs that leave this machine: pixels, and numbers after a quantisation.
    "uint8": "uint8_t",
    "int8": "int8_t",
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
    "bool": "b8", "uint8": "u8", "int8": "i8", "int32": "i32", "int64": "i64",
    "uint32": "u32", "float32": "f32", "float64": "f64",
}  # fmt: skip

_NAMED = re.compile(r"\{([A-Za-z_]\w*)\}")
_KIND = {"f": "f", "i": "i", "u": "i", "b": "b"}


def rule(node: Node) -> str | None:
    """The template for a node; None if there is none for its element types."""
    if not node.op.c or not node.inputs:
        return None
    operand, result = node.inputs[-1].type.dtype, node.type.dtype
    template = template_for(node.op, operand, result)
    if template is None:
        return None
    known = {
        **node.attributes,
        "f": _SUFFIX.get(operand.name, ""), "s": SHORT[operand.name], "t": C_TYPES[operand.name],
        "S": SHORT[result.name], "T": C_TYPES[result.name],
    }  # fmt: skip
    return _NAMED.sub(lambda match: str(known[match[1]]), template)


def template_for(op: Operation, operand: DType, result: DType) -> str | None:
    """The template of an operation for an element type of its last operand, and of its result."""
    own = _KIND[operand.kind]
    keys = (f"{own}>{_KIND[result.kind]}", f"*>{_KIND[result.kind]}", own, "*")
    return next((op.c[key] for key in keys if key in op.c), None)


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

"""The page's arithmetic on single elements, as JavaScript made of the records of the operations.

Values come from the JavaScript expressions in the records, derivatives from their derivative rules:
a rule, applied to symbols without axes, leaves a small graph, and that is an expression again.
"""

from __future__ import annotations

import json
import re

import numpy as np

from ...engine.ir.graph import Graph
from ...engine.ir.node import CONSTANT, Node, constant
from ...engine.ir.operation import OPERATIONS, ZERO, Operation
from ...engine.ir.types import Type, float64
from ...engine.passes.simplify import simplify
from ...engine.tensor import Tensor, symbol
from ...errors import ChainruleError
from ..formatting import written

_SCALAR = Type(float64, ())
_PREFIX = re.compile(r"([^\s({|]+)\(\{0\}(?:, \{\d\})*\)")
_INFIX = re.compile(r"\{0\} (\S+) \{1\}")


def elementwise_script() -> str:
    """``const ELEMENTWISE``: by operation its value, its derivatives and how it is written."""
    entries = [
        f"  {op.name}: {{ {_entry(op)} }},"
        for op in OPERATIONS.values()
        if op.elementwise and op.js
    ]
    lines = [
        "/* Operations on single elements, made of their records in Python: `of` is the value;",
        "   `derivatives`, one for each operand, are functions of the result y and operands. */",
        "const ELEMENTWISE = {",
        *entries,
        "};",
    ]
    return "\n".join(lines)


def _entry(op: Operation) -> str:
    names = "abc"[: len(op.derivatives)]  # type: ignore[arg-type]
    attributes = sorted(set(re.findall(r"\{([a-z]\w*)\}", op.js)))
    given = ", ".join([*names, *([f"{{ {', '.join(attributes)} }}"] if attributes else [])])
    value = op.js.format(*names, **{name: name for name in attributes})
    text = written(op.name) or ""
    prefix, infix = _PREFIX.fullmatch(text), _INFIX.fullmatch(op.formula)
    is_test = _is_test(op, len(names))
    fields = {
        "of": f"({given}) => {value}",
        "derivatives": f"[{', '.join(_derivatives(op, names, attributes))}]",
        "written": json.dumps(prefix[1] if prefix else op.name, ensure_ascii=False),
        "test": json.dumps(infix[1] if infix else op.name, ensure_ascii=False) if is_test else "",
    }
    return ", ".join(f"{name}: {field}" for name, field in fields.items() if field)


def _is_test(op: Operation, count: int) -> bool:
    """Whether the result is a boolean."""
    try:
        return bool(op.type_rule(*[_SCALAR] * count).dtype.kind == "b")
    except (ChainruleError, TypeError):
        return False


def _derivatives(op: Operation, names: str, attributes: list[str]) -> list[str]:
    """Functions of the result and the operands; none where there are attributes."""
    if attributes:
        return []
    found = []
    for position in range(len(names)):
        rule = op.derivative(position)
        if rule is ZERO:
            found.append("() => 0")
            continue
        inputs = [symbol(_SCALAR, name) for name in ("y", *names)]
        one = Tensor(constant(np.ones(())))
        result = simplify(Graph([x.node for x in inputs], [rule(one, *inputs).node]))
        texts = dict(zip(result.inputs, ("y", *names), strict=True))
        found.append(f"(y, {', '.join(names)}) => {_expression(result.outputs[0], texts)}")
    return found


def _expression(node: Node, texts: dict[Node, str]) -> str:
    """A node as JavaScript; what is no name or number stands in parentheses."""
    if node in texts:
        return texts[node]
    if node.op is CONSTANT:
        assert node.value is not None
        return _number(float(node.value.item()))
    operands = [_expression(source, texts) for source in node.inputs]
    if node.op.moves:
        return operands[0]
    return f"({node.op.js.format(*operands, **node.attributes)})"


def _number(value: float) -> str:
    if np.isfinite(value):
        return f"{value!r}" if value >= 0 else f"({value!r})"
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "(-Infinity)"

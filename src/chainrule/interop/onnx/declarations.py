"""What lowerings share: declarations of values, and the error for what cannot be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ConfigError
from .emitter import Emitter, Extent, Rows
from .symbolic import SymbolicNode


def refuse(node: SymbolicNode, reason: str) -> ConfigError:
    """The error for an operation that cannot be written."""
    return ConfigError(
        f"The operation {node.op.name} cannot be written as ONNX.",
        where=node.origin or None,
        expected="operations that ONNX has, or that its operators can express",
        found=f"{node.op.name}: {reason}",
        hint="docs/onnx.md lists what is written; keep the model in chainrule's own file.",
    )


def value_info(e: Emitter, name: str, node: SymbolicNode) -> Any:
    """The declaration of an input or output."""
    return e.onnx.helper.make_tensor_value_info(name, e.tensor_type(node.dtype), dims(node.shape))


def dims(shape: Sequence[Extent]) -> list[Any]:
    """A shape with the name ``rows`` where it is their number, and unknown where it follows."""
    return [
        ("rows" if extent == Rows(1, 0) else None) if isinstance(extent, Rows) else extent
        for extent in shape
    ]

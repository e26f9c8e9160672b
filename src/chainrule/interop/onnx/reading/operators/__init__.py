"""What each operator of ONNX means here: a function for each, by its name.

A function takes a `Call`, the node with the values of its inputs, and gives tensors, computed with
operations of chainrule: so derivatives, explanations and programs come by themselves.
"""

from __future__ import annotations

from . import arrangement, control, elementwise, layers, quantised, reductions, windows
from .calls import OPERATORS, STATIC, Call, as_values

__all__ = [
    "OPERATORS",
    "STATIC",
    "Call",
    "arrangement",
    "as_values",
    "control",
    "elementwise",
    "layers",
    "quantised",
    "reductions",
    "windows",
]

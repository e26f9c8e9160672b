"""The one representation: typed, immutable nodes that form a graph."""

from __future__ import annotations

from .graph import Graph, topological_order
from .node import CONSTANT, PART, PLACEHOLDER, Node, Origin
from .operation import NON_DIFFERENTIABLE, OPERATIONS, ZERO, Operation, Sample
from .serialize import from_json, to_json
from .types import Record, Type

__all__ = [
    "CONSTANT",
    "NON_DIFFERENTIABLE",
    "OPERATIONS",
    "PART",
    "PLACEHOLDER",
    "ZERO",
    "Graph",
    "Node",
    "Operation",
    "Origin",
    "Record",
    "Sample",
    "Type",
    "from_json",
    "to_json",
    "topological_order",
]

"""The reference backend: NumPy, node by node. Its results define what is right.

The program itself belongs to `chainrule.ir`, for operations that hold a graph run it as well.
"""

from __future__ import annotations

from ..ir.program import Program

__all__ = ["Program"]

"""The four steps of backpropagation, with every number: `explain`."""

from __future__ import annotations

from .explain import explain
from .explanation import Explanation

__all__ = ["Explanation", "explain"]

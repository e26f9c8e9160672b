"""Backpropagation beside searches without a derivative: one network, one budget."""

from __future__ import annotations

from .budget import Budget
from .methods import METHODS
from .page import comparison_page
from .side_by_side import Comparison, compare

__all__ = ["METHODS", "Budget", "Comparison", "compare", "comparison_page"]

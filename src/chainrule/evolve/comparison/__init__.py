"""Backpropagation beside searches without a derivative: one network, one budget."""

from __future__ import annotations

from .budget import Budget
from .compare import Comparison, compare
from .methods import METHODS
from .page import comparison_page

__all__ = ["METHODS", "Budget", "Comparison", "compare", "comparison_page"]

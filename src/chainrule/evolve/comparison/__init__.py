"""Backpropagation beside searches without a derivative: one network, one budget."""

from __future__ import annotations

from .budget import Budget
from .methods import METHODS
from .page import comparison_page
from .policies import PolicyComparison, compare_policies
from .policy_page import policy_page
from .side_by_side import Comparison, compare

__all__ = [
    "METHODS",
    "Budget",
    "Comparison",
    "PolicyComparison",
    "compare",
    "compare_policies",
    "comparison_page",
    "policy_page",
]

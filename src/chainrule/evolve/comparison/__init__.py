"""Backpropagation beside searches without a derivative: one network, one budget."""

from __future__ import annotations

from .budget import Budget
from .methods import METHODS
from .page import comparison_page, shown
from .policies import PolicyComparison, compare_policies
from .policy_page import policies_shown, policy_page
from .shown import Shown
from .side_by_side import Comparison, compare

__all__ = [
    "METHODS",
    "Budget",
    "Comparison",
    "PolicyComparison",
    "Shown",
    "compare",
    "compare_policies",
    "comparison_page",
    "policies_shown",
    "policy_page",
    "shown",
]

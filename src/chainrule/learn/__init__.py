"""Learning backpropagation: exercises that grade themselves, a course, and pages to play with."""

from __future__ import annotations

from .exercise import Exercise, make_exercise
from .grading import Verdict, grade, grade_answers

__all__ = ["Exercise", "Verdict", "grade", "grade_answers", "make_exercise"]

"""Cells to values: how a column's text is read as numbers, booleans, dates or categories.

Each module has one subject. Everything here works on whole polars Series and knows nothing of
tables: `tidy` brings a column of any type to one of few, and `read_numbers`, `read_booleans`,
`read_dates`, `read_categories` read it as one kind. A cell that cannot be read becomes null; who
calls counts them.
"""

from .booleans import BOOLEANS, are_booleans, read_booleans
from .categories import read_categories, seen_alike
from .cells import ERRORS, MISSING, WORDS, are_plain, epoch_seconds, is_text, shape, tally, tidy
from .clock import is_doubtful
from .compound import COMPOUNDS, find_compound, odd_numbers
from .currencies import bare_numbers, currency, other_signs, signs
from .dates import (
    DATE_FORMATS,
    OR,
    WEEKDAY,
    fitting_date_formats,
    likely_date_formats,
    mixed_date_format,
    read_dates,
)
from .letters import mended, prove_digits
from .numbers import NOTATIONS, PLAIN, Notation, fitting_notations, read_numbers
from .units import UNITS, find_unit

__all__ = [
    "BOOLEANS",
    "COMPOUNDS",
    "DATE_FORMATS",
    "ERRORS",
    "MISSING",
    "NOTATIONS",
    "OR",
    "PLAIN",
    "UNITS",
    "WEEKDAY",
    "WORDS",
    "Notation",
    "are_booleans",
    "are_plain",
    "bare_numbers",
    "currency",
    "epoch_seconds",
    "find_compound",
    "find_unit",
    "fitting_date_formats",
    "fitting_notations",
    "is_doubtful",
    "is_text",
    "likely_date_formats",
    "mended",
    "mixed_date_format",
    "odd_numbers",
    "other_signs",
    "prove_digits",
    "read_booleans",
    "read_categories",
    "read_dates",
    "read_numbers",
    "seen_alike",
    "shape",
    "signs",
    "tally",
    "tidy",
]

"""Letters in numbers that stand for digits: the O for zero, the l and the I for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_ZERO, _ONE = "Oo", "Il|"
#: Digits, those letters and marks, with a side of the equator behind; no letter alone at the end,
#: which may be another side.
_LIKE = (
    rf"^[$€£¥]?\s*[+-]?[\d{_ZERO}{_ONE}.,°º˚'′’:\"″ -]*[\d{_ZERO}{_ONE}][°º˚'′’\"″]*\s*[NSEW%€$£]?$"
)
_HAS = rf"\d.*[{_ZERO}{_ONE}]|[{_ZERO}{_ONE}].*\d"
_SIDE = rf"[^\d{_ZERO}{_ONE}.,][{_ZERO}]$"
#: Of so many different cells of a column at least this fraction must be free of them.
_FEWEST, _FREE = 20, 0.8


def mended(cells: pl.Series) -> pl.Series:
    """Cells of digits and letters that look like digits, as digits; null for all others.

    Example:
        >>> import polars as pl
        >>> mended(pl.Series(["1O5", "l2.5", "12°O'", "12°30'O", "105", "A1O"])).to_list()
        ['105', '12.5', "12°0'", None, None, None]
    """
    found = cells.str.contains(_LIKE) & cells.str.contains(_HAS) & ~cells.str.contains(_SIDE)
    digits = cells.str.replace_all(f"[{_ZERO}]", "0").str.replace_all(f"[{_ONE}]", "1")
    return digits.set(~found.fill_null(False), None)


def prove_digits(cells: pl.Series) -> bool:
    """Are the other cells of a column numbers, so that letters among these are slips?

    Args:
        cells: distinct.
    """
    slips = mended(cells).is_not_null()
    if not slips.any():
        return False
    others = cells.filter(~slips)
    numbers = others.str.contains(r"^[^\p{L}\d]*\d[^\p{L}]*[NSEW]?$")
    enough = len(others) >= _FEWEST and len(others) >= _FREE * len(cells)
    return enough and int(numbers.sum()) >= 0.95 * len(others)

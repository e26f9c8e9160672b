"""Numbers and time spans as people read them."""

from __future__ import annotations

from typing import Any

#: From here on digits are counted rather than read.
_LONG = 1e15


def number(value: Any) -> str:
    """A number as people read it.

    Example:
        >>> number(113412.7), number(0.89312), number(21.5), number(0.00012), number(None)
        ('113,413', '0.8931', '21.50', '0.00012', '–')
        >>> number(2.5e30)
        '2.5e+30'
    """
    if value is None:
        return "–"
    if isinstance(value, str | bool | list | dict):
        return str(value)
    size = abs(value)
    if isinstance(value, float) and size >= _LONG:
        return f"{value:.4g}"
    if isinstance(value, int) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if size >= 10 else f"{value:.4f}" if size >= 0.001 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """A time span.

    Example:
        >>> duration(0.24), duration(41.2), duration(75), duration(4000)
        ('0.2 s', '41 s', '1 min 15 s', '1 h 6 min')
    """
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its words, in the singular or the plural.

    Example:
        >>> counted(1, "row has", "rows have"), counted(1200, "file"), counted(0, "text")
        ('1 row has', '1,200 files', '0 texts')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"

"""What stands around numbers: currencies, percent, and the signs of accounting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .cells import are_plain

if TYPE_CHECKING:
    import polars as pl

_CURRENCY = (
    r"(?:US\$|R\$|[$€£¥₹₽₩₺]|(?i:USD|EUR|GBP|CHF|JPY|CAD|AUD|NZD|INR|CNY|SEK|NOK|DKK|PLN|CZK|HUF)"
    r"|Rs\.?|kr\.?|zł|Fr\.)"
)


def bare_numbers(text: pl.Series) -> pl.Series:
    """Text without what may stand around a number: currency, percent, signs of accounting.

    There ``(5)`` and ``5-`` are -5, and ``$-`` is 0.
    """
    if are_plain(text):
        return text
    return (
        text.str.replace_all("[\u00a0\u2007\u2009\u202f]", " ")
        .str.replace_all("\u2212", "-", literal=True)
        .str.replace(rf"^(?:{_CURRENCY}\s*[-–—]|[-–—]\s*{_CURRENCY})$", "0")
        .str.replace(r"^(\d.*)-$", "-$1")
        .str.replace(rf"^(?:{_CURRENCY}\s*)?\((.*)\)$", "-$1")
        .str.replace(rf"^([+-]?)\s*{_CURRENCY}\s*", "$1")
        .str.replace(rf"\s*(?:{_CURRENCY}|%)$", "")
    )


def signs(values: pl.Series) -> list[str]:
    """The currency and percent signs that stand around these numbers.

    Example:
        >>> import polars as pl
        >>> signs(pl.Series(["$5", "7 %", "9"]))
        ['$', '%']
    """
    values = values.filter(values.cast(float, strict=False).is_null())
    if not len(values):
        return []
    return [str(sign) for sign in _sign(values).drop_nulls().unique(maintain_order=True).to_list()]


def _sign(values: pl.Series) -> pl.Series:
    before = values.str.extract(rf"^[+-]?\(?\s*({_CURRENCY})")
    return before.fill_null(values.str.extract(rf"({_CURRENCY}|%)\)?$"))


#: Other ways to write the sign of a currency.
_SAME_CURRENCY = {
    "usd": "$", "us$": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cny": "¥", "inr": "₹", "rs": "₹",
    "rs.": "₹", "kr": "kr", "kr.": "kr", "sek": "kr", "nok": "kr", "dkk": "kr", "pln": "zł",
    "fr.": "CHF", "chf": "CHF",
}  # fmt: skip


def currency(sign: str) -> str:
    """One sign for each currency.

    Example:
        >>> currency("usd"), currency("$"), currency("EUR")
        ('$', '$', '€')
    """
    return _SAME_CURRENCY.get(sign.lower(), sign)


def other_signs(text: pl.Series, known: Sequence[str]) -> pl.Series:
    """Which cells have a sign that says something else than these: percent, another currency.

    Example:
        >>> import polars as pl
        >>> other_signs(pl.Series(["5 %", "$5", "5"]), ["€"]).to_list()
        [True, True, False]
        >>> other_signs(pl.Series(["5 %", "$5", "5"]), []).to_list()
        [True, False, False]
    """
    if are_plain(text):
        return text.is_null() & False
    sign = _sign(text)
    strange = sign.is_not_null() & ~sign.is_in(list(known))
    if any(sign != "%" for sign in known):
        return strange
    return strange & (sign == "%").fill_null(False)

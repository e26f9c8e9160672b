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


#: Signs of a number that is a limit, or rough.
LIMITS = frozenset("<>≤≥~≈")
_LIMIT = r"^([<>≤≥~≈])=?\s*[+-]?[\d.,$€£¥]"
#: Words in front of a number that is rough, and a sign behind one that is the least of a range.
_ROUGH = (r"(?i)^(?:ca\.?|circa|approx\.?|approximately|about|around|roughly|etwa|ungefähr|rund|"
          r"env\.?|environ|aprox\.?|unos|около|примерно|约|約)\s*([+-]?\d)")  # fmt: skip
_AT_LEAST = r"^([+-]?\d[\d.,' ]*[kKM]?)\+$"
_POWER = r"(\d)\s*[×x·*]\s*10(?:\^|\*\*)\s?([+-]?\d{1,3})$"
_SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_UNUSUAL = rf"\d\s*[×x·*]\s*10|{_ROUGH}|{_AT_LEAST}"
#: Digits and marks of other scripts: of full width, Arabic, Persian, Devanagari, Bengali, Thai.
_DIGITS = {
    chr(zero + digit): str(digit)
    for zero in (0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
    for digit in range(10)
} | {"٫": ".", "٬": ",", "．": ".", "，": ",", "－": "-", "＋": "+", "％": "%", "٪": "%"}


def bare_numbers(text: pl.Series) -> pl.Series:
    """Text without what may stand around a number: currency, percent, signs of accounting.

    There ``(5)`` and ``5-`` are -5, ``$-`` is 0, ``<5`` is 5, and digits are those of ASCII.
    """
    if are_plain(text):
        return text
    if text.str.contains(r"[^\x00-\x7F]").any():
        text = text.str.replace_many(list(_DIGITS), list(_DIGITS.values()))
    if text.str.contains(_UNUSUAL).any():
        raised = text.str.contains(rf"[×x·*]\s*10[{_SUPERSCRIPT}]").fill_null(False)
        plain = text.str.replace(rf"10([{_SUPERSCRIPT}]+)$", "10^$1")
        plain = plain.str.replace_many(list(_SUPERSCRIPT), list("0123456789-"))
        text = plain.zip_with(raised, text).str.replace(_POWER, "${1}e$2")
        text = text.str.replace(_ROUGH, "$1").str.replace(_AT_LEAST, "$1")
    return (
        text.str.replace(r"^[<>≤≥~≈]=?\s*([+-]?[\d.,$€£¥].*)$", "$1")
        .str.replace_all("[\u00a0\u2007\u2009\u202f]", " ")
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
    found = [*_sign(values).drop_nulls(), *_limit(values).drop_nulls()]
    return list(dict.fromkeys(map(str, found)))


def _limit(values: pl.Series) -> pl.Series:
    """The sign that says that a number is a limit, or rough: ca. 5 is ≈5, and 5+ is ≥5."""
    import polars as pl

    limit = values.str.extract(_LIMIT)
    for pattern, sign in ((_ROUGH, "≈"), (_AT_LEAST, "≥")):
        found = values.str.contains(pattern).fill_null(False)
        limit = pl.Series([sign]).new_from_index(0, len(values)).zip_with(found, limit)
    return limit


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
        >>> [other_signs(pl.Series(["<5"]), known).to_list() for known in ([], [">"])]
        [[True], [False]]
    """
    if are_plain(text):
        return text.is_null() & False
    limited = _limit(text).is_not_null()
    if LIMITS.intersection(known):
        limited &= False
    return _other_currency(text, [sign for sign in known if sign not in LIMITS]) | limited


def _other_currency(text: pl.Series, known: Sequence[str]) -> pl.Series:
    sign = _sign(text)
    strange = sign.is_not_null() & ~sign.is_in(list(known))
    if any(sign != "%" for sign in known):
        return strange
    return strange & (sign == "%").fill_null(False)

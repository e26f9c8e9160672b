"""The words of a text, also in scripts that put no spaces between them.

In Chinese, Japanese, Thai, Lao, Khmer, Burmese and their relatives every character counts as a
word of its own, with the marks that stand on it; neighbours side by side then find the words.
Tibetan marks the ends of its syllables, and Korean has spaces: both are split there. A vowel sign
or an accent belongs to its letter (Unicode's categories Mn and Mc), and so does the joiner within
a word of Persian or Hindi.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

#: Code points of scripts without spaces, first and last.
_UNSPACED = (
    *((0x0E01, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17D3)),  # Thai and Lao, Burmese, Khmer
    *((0x1950, 0x19DF), (0x1A20, 0x1AAF)),  # Tai Le, New Tai Lue, Tai Tham
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035)),  # Han
    *((0x3041, 0x30FA), (0x30FC, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF)),  # kana, Bopomofo
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF)),  # Han, Yi
    *((0xA9E0, 0xA9FF), (0xAA60, 0xAADF)),  # Burmese, Tai Viet
    *((0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x323AF)),  # Han, kana
)
#: So many of their characters make a word, on average.
_LETTERS = 2
_JOINERS = "\u200c\u200d"


@cache
def _classes() -> tuple[str, str]:
    """Characters without spaces, and marks: what stands between the brackets of a pattern."""
    unspaced = "".join(f"{chr(first)}-{chr(last)}" for first, last in _UNSPACED)
    marks = [
        chr(code)
        for code in (*range(0x300, 0xFE30), *range(0x10000, 0x1F000))
        if unicodedata.category(chr(code)) in ("Mn", "Mc")
    ]
    return unspaced, "".join(marks) + _JOINERS


#: The same for ASCII, where it is much faster.
_ASCII = {False: r"\w+(?:'\w+)*|[^\w\s]", True: r" ?\w+(?:'\w+)*| ?[^\w\s]|\s"}


def words_of(text: str, spaces: bool = False) -> list[str]:
    r"""The words of a text, with their apostrophes; each other sign is a word, too.

    Args:
        text: in Unicode's normal form C.
        spaces: words keep the space before them, and spaces that stand alone are words: joined
            they are the text again.

    Example:
        >>> words_of("I don't like 天气!"), words_of("a b\n", spaces=True)
        (['I', "don't", 'like', '天', '气', '!'], ['a', ' b', '\n'])
    """
    pattern = re.compile(_ASCII[spaces]) if text.isascii() else _word_pattern(spaces)
    return pattern.findall(text)


@cache
def _word_pattern(spaces: bool = False) -> re.Pattern[str]:
    unspaced, marks = _classes()
    letter = rf"[^\W{unspaced}]"
    letters = rf"(?:{letter}++[{marks}]*+)++"  # possessive: never tried in another way
    word = rf"{letters}(?:['’]{letters})*"
    alone = rf"[{unspaced}][{marks}]*"
    before, rest = (" ?", r"|\s") if spaces else ("", "")
    return re.compile(rf"{before}{word}|{before}{alone}|{before}[^\w\s][{marks}]*{rest}")


@cache
def _unspaced_pattern() -> re.Pattern[str]:
    return re.compile(rf"[{_classes()[0]}]")


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that puts no spaces between words.

    Example:
        >>> is_unspaced("天"), is_unspaced("sky"), is_unspaced("하늘")
        (True, False, False)
    """
    return not word.isascii() and _unspaced_pattern().match(word) is not None


def count_words(texts: pl.Series) -> pl.Series:
    """About how many words each of some texts has; two characters without spaces are one.

    Example:
        >>> import polars as pl
        >>> count_words(pl.Series(["see you at noon", "今天天气很好", None])).to_list()
        [4.0, 3.0, None]
    """
    unspaced = "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in _UNSPACED)
    spaced = texts.str.count_matches(rf"[^\s{unspaced}]+").cast(float)
    return spaced + texts.str.count_matches(f"[{unspaced}]").cast(float) / _LETTERS

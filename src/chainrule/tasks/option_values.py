"""How the values of options are read, from the command line and from a TOML file alike."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

from .threshold_metrics import EXAMPLES, parse

#: What `kinds` calls the data as a whole, among the names of columns.
WHOLE = ""


class MisfitError(Exception):
    """A value that a reader does not understand; the text says what would be right."""


def names(value: Any) -> tuple[str, ...]:
    """Column names: ``a,b``, ``a,"b, c"``, or a list of such texts.

    Example:
        >>> names('city,"price, sold"'), names(["a,b", "c"])
        (('city', 'price, sold'), ('a', 'b', 'c'))
    """
    texts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise MisfitError("column names, such as city,rooms")
    found = [name.strip() for text in texts for name in next(csv.reader([text]), [])]
    if not all(found) or (texts and not found):
        raise MisfitError("column names with a comma between them, such as city,rooms")
    return tuple(found)


def kinds(value: Any) -> dict[str, str]:
    """Kinds of columns: ``zip=category``, a list of such texts, or a mapping.

    A kind without a column, as in ``--kind images``, is that of the data; it has the key `WHOLE`.

    Example:
        >>> kinds(["zip=category", "built=date"]), kinds("images")
        ({'zip': 'category', 'built': 'date'}, {'': 'images'})
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parts = [text.rpartition("=") for text in names(value)]
        pairs = [(name if mark else WHOLE, kind) for name, mark, kind in parts]
        if any(mark and not name for name, mark, _ in parts):
            raise MisfitError("the column's name before the =, such as zip=category")
    if not all(isinstance(kind, str) and kind for _, kind in pairs):
        raise MisfitError(
            "column=kind, such as zip=category; kinds: numeric, boolean, category, date, text"
        )
    return {name.strip(): kind.strip() for name, kind in pairs}


def layer_sizes(value: Any) -> tuple[int, ...]:
    """Sizes of hidden layers: ``128,64``, a list of numbers, or ``none`` for no hidden layer.

    Example:
        >>> layer_sizes("128,64"), layer_sizes([32]), layer_sizes("none")
        ((128, 64), (32,), ())
    """
    if isinstance(value, str):
        value = [] if value.strip().lower() == "none" else value.split(",")
    elif isinstance(value, int):
        value = [value]
    try:
        if not isinstance(value, list | tuple) or any(isinstance(w, bool | float) for w in value):
            raise TypeError
        return tuple(int(width) for width in value)
    except (TypeError, ValueError):
        raise MisfitError("sizes of layers, such as 128,64, or none") from None


def words(value: Any) -> str:
    """Words with commas between, or a list of them, as one text.

    Example:
        >>> words("flip,shift"), words(["flip", "shift"])
        ('flip,shift', 'flip,shift')
    """
    return ",".join(names(value))


def height_and_width(value: Any) -> tuple[int, int]:
    """The size of images: ``32`` for both, or height and width as ``48x64``.

    Example:
        >>> height_and_width("32"), height_and_width(32), height_and_width("48x64")
        ((32, 32), (32, 32), (48, 64))
    """
    parts = str(value).lower().replace("×", "x").split("x")
    if isinstance(value, bool) or len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise MisfitError("pixels, such as 32, or height and width, such as 48x64")
    return int(parts[0]), int(parts[-1])


def number(value: Any) -> float:
    """A number, which is neither infinite nor missing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise MisfitError("a number")
    return float(value)


def integer(value: Any) -> int:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise MisfitError("an integer")
    return value


def fraction_or_file(value: Any) -> float | str:
    """A fraction of the rows, or the path of a file.

    Example:
        >>> fraction_or_file("0.2"), fraction_or_file("test.csv")
        (0.2, 'test.csv')
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    return number(value)


def text(value: Any) -> str:
    """A word."""
    if not isinstance(value, str) or not value.strip():
        raise MisfitError("a word")
    return value


def column(value: Any) -> str:
    """The name of a column, or a list of names as one text with commas between.

    Example:
        >>> column("price"), column(["price", "sold, last year"])
        ('price', 'price,"sold, last year"')
    """
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        value = line.getvalue() if len(value) > 1 else value[0]
    if not isinstance(value, str) or not value.strip():
        raise MisfitError("the name of a column")
    return value


def fractions(value: Any) -> tuple[float, ...]:
    """Different numbers between 0 and 1 in ascending order: ``0.1,0.5,0.9``, or a list of numbers.

    Example:
        >>> fractions("0.9, 0.1"), fractions(0.5)
        ((0.1, 0.9), (0.5,))
    """
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list | tuple) else [parts]
    try:
        found = [float(part) for part in parts]
    except (TypeError, ValueError):
        found = [math.nan]
    if any(isinstance(part, bool) for part in parts) or not all(0 < x < 1 for x in found):
        raise MisfitError("numbers between 0 and 1, such as 0.1,0.5,0.9")
    return tuple(sorted(set(found)))


#: Characters between fields that have a name, for shells.
_SEPARATORS = {
    "tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|",
}  # fmt: skip


def separator(value: Any) -> str:
    r"""A character between fields, or the name of one.

    Example:
        >>> separator("tab"), separator(";"), separator("space")
        ('\t', ';', ' ')
    """
    named = _SEPARATORS.get(str(value).strip().lower(), value)
    if not isinstance(named, str) or len(named) != 1 or named in '"\n\r' or named > "\x7f":
        raise MisfitError("one character, or tab, space, comma, semicolon or pipe")
    return named


def missing_words(value: Any) -> tuple[str, ...]:
    """Words that mean a missing value; an empty text says that none does.

    Example:
        >>> missing_words("unknown, n.k."), missing_words(["NA"]), missing_words("")
        (('unknown', 'n.k.'), ('NA',), ('',))
    """
    texts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise MisfitError("words, such as unknown,n.k.")
    found = [word.strip() for text in texts for word in next(csv.reader([text]), [""])]
    return tuple(found) or ("",)


def threshold_metric(value: Any) -> str:
    """What a threshold is chosen for: ``f1``, or ``recall@precision=0.9``.

    Example:
        >>> threshold_metric("f1"), threshold_metric("recall @ precision = 0.9")
        ('f1', 'recall@precision=0.9')
    """
    metric = "".join(value.split()).lower().replace("-", "_") if isinstance(value, str) else ""
    try:
        parse(metric)
    except ValueError:
        raise MisfitError(EXAMPLES) from None
    return metric


def flag(value: Any) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise MisfitError("true or false")
    return value


def switch(value: Any) -> bool:
    """Yes or no, where neither is the default: --name and --no-name on the command line."""
    return flag(value)


#: What the parser of the command line makes of a value before it is read.
TYPED: Mapping[Callable[[Any], Any], Any] = {
    names: list[str],
    kinds: list[str],
    layer_sizes: str,
    words: str,
    height_and_width: str,
    number: float,
    integer: int,
    fraction_or_file: str,
    text: str,
    column: str,
    threshold_metric: str,
    fractions: str,
    flag: bool,
    switch: bool,
    separator: str,
    missing_words: list[str],
}

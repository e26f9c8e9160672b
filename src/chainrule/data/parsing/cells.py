"""Cells of any type to one of few types, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# A cell of any of these, in any case, is a missing value: words of spreadsheets and of C.
ERRORS = frozenset(
    {"0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "00.00.0000", "00-00-0000"}  # no dates
    | {"", "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#error!", "#spill!"}
    | {"#calc!", "<na>", "-nan", "-nan(ind)", "1.#qnan", "1.#ind", "-1.#ind"}
    # The same in German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Swedish and
    # Turkish, and what a column shows that is too narrow.
    | {"#wert!", "#nv", "#bezug!", "#zahl!", "#überlauf!"}
    | {"#valeur!", "#n/d", "#nom?", "#nombre!", "#nul!"}
    | {"#¡valor!", "#¡div/0!", "#¡ref!", "#¿nombre?", "#¡num!", "#¡nulo!"}
    | {"#valore!", "#rif!", "#nome?", "#valor!", "#núm!", "#nulo!"}
    | {"#waarde!", "#verw!", "#naam?", "#getal!", "#n/b", "#deel/0!", "#leeg!"}
    | {"#arg!", "#adr!", "#nazwa?", "#liczba!", "#n/d!", "#dziel/0!", "#zero!"}
    | {"#знач!", "#дел/0!", "#ссылка!", "#имя?", "#число!", "#н/д", "#пусто!"}
    | {"#värdefel!", "#saknas!", "#referens!", "#namn?", "#ogiltigt!", "#division/0!"}
    | {"#değer!", "#sayı/0!", "#başv!", "#ad?", "#yok", "#sayı!"}
    | {"#" * count for count in range(3, 16)}
)

# These usually mean a missing value, but some may be values: no damage at all, North America.
WORDS = frozenset({"na", "n/a", "n.a.", "null", "none", "nan", "nat", "?", "-", "--", "."})

MISSING = ERRORS | WORDS

#: How spreadsheets write text that they are not to take for a number: ="007".
FORMULA_OF_TEXT = r'(?s)^="(.*)"$'


def tidy(column: pl.Series, missing: Iterable[str] | None = None) -> pl.Series | None:
    """A column as String (trimmed), Boolean, Int64, Float64 or Datetime (UTC), null where missing.

    None if its cells are lists, structures or bytes. Infinities stay; `read_numbers` keeps them.

    Args:
        column: of any type.
        missing: the words, in lower case, that mean a missing value, beside `ERRORS`; `WORDS`
            without it.

    Example:
        >>> import polars as pl
        >>> tidy(pl.Series([" a", "N/A", "?"])).to_list()
        ['a', None, None]
        >>> tidy(pl.Series(['="007"', "12"])).to_list()
        ['007', '12']
    """
    import polars as pl

    dtype = column.dtype
    if is_text(column):
        text = column.cast(pl.String)
        words = MISSING if missing is None else ERRORS.union(missing)
        if words == MISSING and are_plain(text):
            return text
        text = text.str.strip_chars()
        if text.str.starts_with('="').any():
            text = text.str.replace(FORMULA_OF_TEXT, "${1}").str.strip_chars()
        return text.set(text.str.to_lowercase().is_in(sorted(words)), None)
    if dtype == pl.Null:
        return column.cast(pl.String)
    if dtype == pl.Boolean:
        return column
    if dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
    if dtype.is_float() or dtype.is_decimal():
        return column.cast(pl.Float64).fill_nan(None)
    if dtype in (pl.Date, pl.Datetime):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.cast(pl.Datetime("us"))
    if dtype == pl.Time:  # as a time of 1 January 1970
        return (column.cast(pl.Int64) // 1000).cast(pl.Datetime("us"))
    if dtype == pl.Duration:
        return column.dt.total_microseconds() / 1e6
    return None


def is_text(column: pl.Series) -> bool:
    """Whether its cells are strings, however they are stored."""
    import polars as pl

    return column.dtype in (pl.String, pl.Categorical, pl.Enum)


def are_plain(text: pl.Series) -> bool:
    """Whether all cells are numbers as they stand: nothing is around them, and none is "nan".

    Most columns of numbers are, and one look saves all others.

    Example:
        >>> import polars as pl
        >>> are_plain(pl.Series(["5", None, "-1e3"])), are_plain(pl.Series(["5", " 6"]))
        (True, False)
    """
    numbers = text.cast(float, strict=False)
    total = numbers.sum()
    return numbers.null_count() == text.null_count() and total == total  # not of NaN


def tally(column: pl.Series) -> pl.DataFrame:
    """The distinct values of a column, in order of appearance, and in how many rows each is.

    Example:
        >>> import polars as pl
        >>> tally(pl.Series(["b", "a", None, "b"])).rows()
        [('b', 2), ('a', 1)]
    """
    cells = column.alias("value").drop_nulls().to_frame()
    return cells.group_by("value", maintain_order=True).len("rows")


def epoch_seconds(moments: pl.Series) -> pl.Series:
    """Seconds since 1970-01-01 UTC, as Float64."""
    import polars as pl

    return moments.cast(pl.Int64).cast(pl.Float64) / 1e6


def shape(cells: pl.Series) -> pl.Series:
    """Cells in lower case with 0 for each run of digits: what odd cells of a column have in common.

    Example:
        >>> import polars as pl
        >>> shape(pl.Series(["N.B. 12", "7x33"])).to_list()
        ['n.b. 0', '0x0']
    """
    import polars as pl

    return cells.cast(pl.String).str.to_lowercase().str.replace_all(r"\d+", "0")

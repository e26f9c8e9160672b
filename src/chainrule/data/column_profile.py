"""A column as the rules of inference look at it, and what the columns of a table agree on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from . import parsing
from .identifier_names import words_of_name
from .parsing import PLAIN, Notation
from .parsing.currencies import LIMITS

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T", bool, str)

# A column is of a kind if this fraction of its cells can be read so; the others are missing.
READABLE = 0.95
# So many different words among numbers mean that a number is missing.
_MAX_WORDS = 3
# Words that may be values of a text: no damage at all, North America, not applicable, minus.
_MAY_BE_VALUES = frozenset({"none", "na", "n/a", "-", "--"})
# They are, if they are in this fraction of the rows, and in so many.
_FREQUENT, _FEWEST = 0.02, 5
# So many different shapes of cells that cannot be read are listed.
_MOST_SHAPES = 200
# Numbers that stand for missing ones in many files.
_STAND_INS = frozenset(
    sign * float(digit * count) for sign in (1, -1) for digit in "89" for count in range(2, 8)
)
# Beside so many other values they are told.
_MANY = 6
# Of more categories none are compared.
_MOST_NAMES = 1000
# So few different words are names of things, whatever is in them.
_FEW_WORDS = 20
# Below so many rows, unique values say nothing.
FEW_ROWS = 20


@dataclass(frozen=True)
class Conventions:
    """What the table's unambiguous columns say about how the others are written."""

    decimal: str | None = None
    day_first: bool | None = None


@dataclass(frozen=True)
class Profile:
    """A column with what the rules look at, each computed once."""

    name: str
    values: pl.Series | None  # tidy; None if the cells are nested
    words: tuple[str, ...] | None = None  # those that mean a missing value; None: the usual
    as_numbers: bool = False  # whether it was said that they are
    is_plain: bool = False  # whether it is text of which all cells are numbers as they stand

    @staticmethod
    def of(column: pl.Series, missing: Collection[str] | None = None) -> Profile:
        """A raw column; ``missing`` are the words that mean a missing value, if that was said.

        Words such as ``none`` or ``-`` are values in a column of text where they are frequent.
        """
        import polars as pl

        if missing is not None:
            words = tuple(sorted({word.strip().lower() for word in missing}))
            return Profile(column.name, parsing.tidy(column, words), words)
        if parsing.is_text(column) and parsing.are_plain(text := column.cast(pl.String)):
            return Profile(column.name, text, is_plain=True)
        usual = Profile(column.name, parsing.tidy(column))
        if not usual.is_text:
            return usual
        values = {word for word, _ in doubtful_words(column) if word in _MAY_BE_VALUES}
        if not values or usual.reads_as_values:
            return usual
        counts = dict(doubtful_words(column))
        least = max(_FREQUENT * len(column), _FEWEST)
        values = {word for word in values if counts[word] >= least}
        if not values:
            return usual
        rest = tuple(sorted(parsing.WORDS - values))
        return Profile(column.name, parsing.tidy(column, rest), rest)

    @property
    def reads_as_values(self) -> bool:
        """Are nearly all of its cells numbers, dates or booleans?"""
        return bool(
            self.present
            and (self.notations or self.date_formats or parsing.are_booleans(self.distinct))
        )

    @cached_property
    def _written(self) -> pl.DataFrame:
        assert self.values is not None
        return parsing.tally(self.values)

    @cached_property
    def slips(self) -> pl.Series | None:
        """Its cells with a letter in the place of a digit, if the others prove that it is one."""
        if self.is_plain:
            return None
        cells = self._written["value"]
        if not self.is_text or parsing.are_plain(cells) or not parsing.prove_digits(cells):
            return None
        return cells.filter(parsing.mended(cells).is_not_null())

    @cached_property
    def tally(self) -> pl.DataFrame:
        """Distinct values in the order of the table, and in how many rows each is.

        Letters in numbers are digits.
        """
        import polars as pl

        if self.slips is None:
            return self._written
        cells = self._written["value"]
        digits = self._written.with_columns(value=parsing.mended(cells).fill_null(cells))
        return digits.group_by("value", maintain_order=True).agg(pl.col("rows").sum())

    @property
    def distinct(self) -> pl.Series:
        """Its values, each once, in the order of the table."""
        return self.tally["value"]

    @property
    def counts(self) -> pl.Series:
        """In how many rows each of them is."""
        return self.tally["rows"]

    @cached_property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def missing(self) -> int:
        """Rows without one."""
        assert self.values is not None
        return len(self.values) - self.present

    @property
    def is_text(self) -> bool:
        """Does it hold strings?"""
        import polars as pl

        return self.values is not None and self.values.dtype == pl.String

    @property
    def is_datetime(self) -> bool:
        """Does it hold dates and times?"""
        import polars as pl

        return self.values is not None and self.values.dtype == pl.Datetime

    @cached_property
    def notations(self) -> list[Notation]:
        """The ways to write numbers that fit nearly all of its cells."""
        if not self.is_text or not self.present:
            return []
        found = parsing.fitting_notations(self.distinct, self.counts, READABLE, self.unit)
        if found:
            return found
        # Words among many numbers, such as "unknown", are missing values.
        words = ~self.distinct.str.contains(r"\d")
        numbers, rows = self.distinct.filter(~words), self.counts.filter(~words)
        if words.sum() > _MAX_WORDS or len(numbers) < FEW_ROWS or rows.sum() * 2 < self.present:
            return []
        return parsing.fitting_notations(numbers, rows, READABLE, self.unit)

    @cached_property
    def unit(self) -> str | None:
        """What stands behind its numbers."""
        if self.is_plain or not self.is_text or not self.present:
            return None
        numbers = self.distinct.str.contains(r"[\d½¼¾]")
        cells, counts = self.distinct.filter(numbers), self.counts.filter(numbers)
        if not len(cells) or parsing.are_plain(cells):
            return None
        name = self.name_in_words
        compound = parsing.find_compound(cells, counts, READABLE, name, self.as_numbers)
        return compound or parsing.find_unit(cells, counts, READABLE)

    @property
    def signs(self) -> tuple[str, ...]:
        """The currency and percent signs at its numbers."""
        plain = self.is_plain or not self.is_text
        return () if plain else tuple(parsing.signs(self.distinct))

    def read(self, notation: Notation) -> pl.Series:
        """Its distinct values as numbers, once for all who ask."""
        if notation not in self._read:
            self._read[notation] = parsing.read_numbers(self.distinct, notation, self.unit)
        return self._read[notation]

    @cached_property
    def _read(self) -> dict[Notation, pl.Series]:
        return {}

    def mixed_signs(self) -> str | None:
        """What to say where its numbers are in several currencies, or only some in percent.

        Example:
            >>> import polars as pl
            >>> told = Profile.of(pl.Series("paid", ["$5", "7 €", "USD 9"])).mixed_signs()
            >>> "several currencies ($, €)" in told
            True
        """
        if self.is_plain or not self.is_text:
            return None
        if self.unit in parsing.COMPOUNDS:
            return (f"{self.name!r} is written in parts ({self.unit}) and read as numbers: "
                    f"{parsing.COMPOUNDS[self.unit].told}")  # fmt: skip
        signs = self.signs
        percent = "%" in signs
        limits = sorted(LIMITS.intersection(signs))
        currencies = {parsing.currency(s) for s in signs if s != "%" and s not in LIMITS}
        if len(currencies) > 1:
            return (f"{self.name!r} has amounts in several currencies "
                    f"({', '.join(sorted(currencies))}): they are read as plain numbers, none is "
                    "converted")  # fmt: skip
        if limits:
            return (f"{self.name!r} has numbers that are limits, or rough ({', '.join(limits)}): "
                    f"the sign is left out, {limits[0]}5 is read as 5")  # fmt: skip
        numbers = self.distinct.filter(self.distinct.str.contains(r"\d"))
        if percent and not numbers.str.contains("%", literal=True).all():
            return (f"{self.name!r} has numbers with % and without: the sign is left out, 12 % is "
                    "read as 12")  # fmt: skip
        return None

    def letters_in_numbers(self) -> str | None:
        """What to say of letters that are read as digits.

        Example:
            >>> import polars as pl
            >>> Profile.of(pl.Series("n", [*map(str, range(30)), "1O5"])).letters_in_numbers()
            "'n' has letters in the place of digits, such as '1O5': O is read as 0, l and I as 1"
        """
        if self.slips is None:
            return None
        return (f"{self.name!r} has letters in the place of digits, such as {self.slips[0]!r:.40}: "
                "O is read as 0, l and I as 1")  # fmt: skip

    def stand_in(self, kind: str, remedy: str = "") -> str | None:
        """What to say of a value that may stand for a missing one, as -999 does.

        Args:
            kind: of the column.
            remedy: what to do if it does; by default the option that says so.

        Example:
            >>> import polars as pl
            >>> cells = pl.Series("t", [20, 21, 22, 25, 27, 30] * 3 + [-999] * 3)
            >>> told = Profile.of(cells).stand_in("numeric")
            >>> "'t' holds -999 in 3 rows" in told
            True
        """
        if kind == "date":
            last = self.distinct.filter(self.distinct.cast(str).str.contains("^9999"))
            if not len(last) or len(last) == len(self.distinct):
                return None
            return (f"{self.name!r} holds {last[0]}, which may stand for no date: "
                    f"--missing={last[0]} says so")  # fmt: skip
        notation = self.notations[0] if self.is_text and self.notations else parsing.PLAIN
        read = self.read(notation)
        for odd in (read.min(), read.max()):
            if odd not in _STAND_INS:
                continue
            others = read.filter((read != odd) & read.is_finite())
            rows = int(self.counts.filter((read == odd).fill_null(False)).sum())
            low, high = (float(str(v)) for v in (others.min(), others.max())) \
                if len(others) >= _MANY else (0.0, 0.0)  # fmt: skip
            away = max(low - float(str(odd)), float(str(odd)) - high)
            if rows >= 3 and away > high - low > 0:
                return (f"{self.name!r} holds {shown(odd)} in {rows:,} rows, far from all others "
                        f"({shown(low)} to {shown(high)}): if it stands for a missing value, "
                        + (remedy or f"--missing={odd:g} says so"))  # fmt: skip
        return None

    def alike(self) -> str | None:
        """What to say of categories that differ in case, spaces or the form of letters only."""
        if not self.is_text or len(self.distinct) > _MOST_NAMES:
            return None
        seen: dict[str, str] = {}
        for name in map(str, self.distinct):
            other = seen.setdefault(parsing.seen_alike(name).casefold(), name)
            if other != name and len(name) > 1:
                return (f"values of {self.name!r} differ in case, spaces or the form of letters "
                        f"only, such as {other!r:.40} and {name!r:.40}: they are different "
                        "categories")  # fmt: skip
        return None

    def doubtful_times(self) -> str | None:
        """What to say of times of the day that may be durations."""
        if not self.is_text or not parsing.is_doubtful(self.distinct, self.name_in_words):
            return None
        return (f"{self.name!r} is read as times of the day, such as {self.distinct[0]}; --kind "
                f"{self.name}=numeric reads minutes and seconds")  # fmt: skip

    def numbers_in_text(self) -> str | None:
        """What to say of a column of words that holds numbers, if that it is."""
        if not self.is_text or self.reads_as_values or len(self.distinct) <= _FEW_WORDS:
            return None
        if (why := parsing.odd_numbers(self.distinct)) is None:
            return None
        such = f"{self.distinct[0]!r:.40}"
        return (
            f"column {self.name} holds numbers, such as {such}, that are not read, as {why}: "
            "write each number into a column of its own, in one unit"
        )

    def unread(self, read: pl.Series) -> tuple[str, ...]:
        """The shapes of the distinct cells that were not read; ``("*",)`` if there are too many."""
        if not read.null_count():
            return ()
        shapes = parsing.shape(self.distinct.filter(read.is_null())).unique().sort()
        return tuple(shapes.to_list()) if len(shapes) <= _MOST_SHAPES else ("*",)

    @cached_property
    def date_formats(self) -> list[str]:
        """The formats of dates that fit nearly all of its cells, if no notation does."""
        if not self.is_text or not self.present or self.notations:
            return []
        formats = parsing.fitting_date_formats(self.distinct, self.counts, READABLE)
        mixed = None if formats else parsing.mixed_date_format(self.distinct, self.counts, READABLE)
        return [mixed] if mixed else formats

    @property
    def name_in_words(self) -> str:
        """The name as `chainrule.data.identifier_names` compares it."""
        return words_of_name(self.name)


def doubtful_words(column: pl.Series) -> list[tuple[str, int]]:
    """The words in a raw column that usually mean a missing value, in how many rows each is."""
    import polars as pl

    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return []
    if parsing.are_plain(column.cast(pl.String)):
        return []
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    found = parsing.tally(words.filter(words.is_in(sorted(parsing.WORDS)).fill_null(False)))
    return [(str(word), int(rows)) for word, rows in found.rows()]


def conventions_of(columns: Sequence[Profile]) -> Conventions:
    """What those columns say that can be read in one way only."""
    decimals: list[str] = []
    day_first: list[bool] = []
    for column in columns:
        if not column.is_text:
            continue
        found = {notation.decimal for notation in column.notations}
        if len(found) == 1 and _has_marks(column):
            decimals += found
        if column.date_formats and month_first(column.date_formats) is not None:
            day_first.append(not month_first(column.date_formats))
    return Conventions(_majority(decimals), _majority(day_first))


def _has_marks(column: Profile) -> bool:
    return bool(column.distinct.head(1000).str.contains(r"\d[.,]\d").any())


def _majority(votes: list[T]) -> T | None:
    """The commonest, if no other is as common."""
    common = sorted(set(votes), key=votes.count)
    if not votes or (len(common) > 1 and votes.count(common[-1]) == votes.count(common[-2])):
        return None
    return common[-1]


def month_first(formats: Sequence[str]) -> bool | None:
    """None if the formats leave it open, or have no number of a month beside that of a day."""
    bare = [text.removeprefix(parsing.WEEKDAY) for text in formats if "%B" not in text]
    orders = {text.startswith("%m") for text in bare if text[:2] in ("%m", "%d")}
    return orders.pop() if len(orders) == 1 else None


def choose_notation(
    options: Sequence[Notation], column: Profile, conventions: Conventions
) -> tuple[Notation, str]:
    """One of the fitting notations, and words on how the numbers are written."""
    agreeing = [option for option in options if option.decimal == conventions.decimal]
    chosen = (agreeing or options)[0]
    how = ""
    if chosen != PLAIN and column.distinct.str.contains(r"\d[.,\x{27} \x{a0}\x{202f}]\d").any():
        how = f", written as {chosen}"
        if len({option.decimal for option in options}) > 1:
            why = "as in other columns" if agreeing else "not settled by the data"
            how += f" ({why})"
    if column.unit in parsing.COMPOUNDS:
        return chosen, f"{how}, {column.unit}: {parsing.COMPOUNDS[column.unit].told}"
    left_out = [*column.signs[:3], *([column.unit] if column.unit not in parsing.UNITS else [])]
    if left_out := [word for word in left_out if word]:
        how += f", {' '.join(left_out)} left out"
    if column.unit in parsing.UNITS:
        how += f", {column.unit} in different units" if column.unit != "multiples" else ""
        how += ", with k, M and the like" if column.unit == "multiples" else ""
    return chosen, how


def settled(notation: Notation, column: Profile, conventions: Conventions) -> Notation | None:
    """The notation, if anything in the table says so: integers alone do not."""
    if notation != PLAIN or column.distinct.str.contains(r"[.,]\d|\d[.,]").any():
        return notation
    return notation if conventions.decimal == notation.decimal else None


def are_integers(read: pl.Series) -> bool:
    """Are all numbers that were read integers?"""
    finite = read.filter(read.is_finite().fill_null(False))
    return bool((finite == finite.floor()).all())


def shown(value: object) -> str:
    """A value as a user would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,g}"
    return f"{value!s:.40}"

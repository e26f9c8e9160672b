"""Rows of totals in a table: called so, they hold sums or other statistics of other rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import parsing
from .column_profile import Conventions, Profile, choose_notation
from .records import Floats

if TYPE_CHECKING:
    import polars as pl

Rows = NDArray[np.bool_]

_SUMS = (
    r"totals?|(?:sub|grand)[ -]?totals?|sums?|summen?|(?:gesamt|zwischen|teil|end)summen?|gesamt"
    r"|insgesamt|(?:gesamt|teil)?ergebnis(?:se)?|sommes?|totaux|ensemble|total general|totale[ns]?"
    r"|totali|subtotale|somma|suma|razem|ogółem|łącznie|celkem|spolu|összesen|mindösszesen|totaal"
    r"|subtotaal|samlet|i alt|sum totalt|summa|totalt|sammanlagt|yhteensä|kokonaissumma|kokku"
    r"|kopā|iš viso|ukupno|skupaj|všetko|toplam|ara toplam|genel toplam|yekun|cəmi|jumlah|tổng"
    r"|tổng cộng|cộng|итого|всего|итог|сумма|подытог|усього|всього|разом|сума|общо|укупно|σύνολο"
    r"|γενικό σύνολο|الإجمالي|الاجمالي|المجموع|مجموع|סה\"כ|סך הכל|कुल|योग|รวม"
)
_MEANS = (
    r"means?|averages?|avg\.?|mittelwerte?|mittel|durchschnitt|schnitt|moyennes?|medi[ae]|promedio"
    r"|médias?|gemiddelde?n?|średni[ao]|průměr|medel(?:värde)?|keskiarvo|gennemsnitt?|gjennomsnitt"
    r"|átlag|ortalama|среднее|средний|середнє|rata-rata|trung bình|μέσος όρος"
)
_EASTERN = r"合計|総計|小計|总计|合计|小计|總計|总和|共计|합계|총계|소계|총합"
_EASTERN_MEANS = "平均|평균"
#: A label that names sums, and one that is a word for means, for Python and for polars.
LABEL = (
    rf"(?i)(?:^|[^\w])(?:{_SUMS}|Σ|∑)(?:$|[^\w])|^\W?(?:{_EASTERN})"
    rf"|^\W*(?:{_MEANS}|{_EASTERN_MEANS})\W*$"
)
_LABEL = re.compile(LABEL)
_ONLY = re.compile(rf"(?i)\W*(?:{_SUMS}|{_EASTERN})\W*")


@dataclass(frozen=True)
class _Statistic:
    """What the numbers of a row are of those of others.

    Attributes:
        of: finite numbers, and how many rows there are; gives what may be meant.
        exact: is it written as it is, not rounded?
        all: must all numbers of the row be it, and several? Its name may be that of a person.
    """

    of: Callable[[Floats, int], tuple[float, ...]]
    exact: bool = False
    all: bool = False


_SUM = _Statistic(lambda x, _: (float(x.sum()),))
_MEAN = _Statistic(lambda x, _: (float(x.mean()),))
_COUNT = _Statistic(lambda x, rows: (float(len(x)), float(rows)), exact=True)
_DEVIATION = _Statistic(lambda x, _: (float(x.std()), float(x.std(ddof=1)) if len(x) > 1 else 0.0))
_MEDIAN = _Statistic(lambda x, _: (float(np.median(x)),), all=True)
_LEAST = _Statistic(lambda x, _: (float(x.min()),), exact=True, all=True)
_MOST = _Statistic(lambda x, _: (float(x.max()),), exact=True, all=True)

#: Labels that may be those of ordinary rows: looked for at the end of a table only.
_OTHERS = {
    r"counts?|anzahl|nombre|effectif|recuento|cuenta|contagem|conteggio|conteo|aantal|liczba"
    r"|количество|кол-во|кількість|počet|antal|lukumäärä|adet|個数|件数|计数|개수": _COUNT,
    r"st(?:andar)?d\.? ?dev(?:iation)?\.?|std\.?|sd|standardabweichung|écart[- ]type"
    r"|desviaci[oó]n est[aá]ndar|desvio padrão|deviazione standard|standaarddeviatie"
    r"|odchylenie standardowe|стандартное отклонение|標準偏差|标准差|표준편차": _DEVIATION,
    r"median[aeo]?|médiane|mediaan|медиана|中央値|中位数|중앙값": _MEDIAN,
    r"min\.?|minim(?:um|o|ale?)|минимум|最小値?|최소": _LEAST,
    r"max\.?|maxim(?:um|o|ale?)|máximo|massimo|максимум|最大値?|최대": _MOST,
}
_BY_NAME = {
    re.compile(rf"(?i)\W*(?:{words})\W*"): statistic
    for words, statistic in {rf"{_MEANS}|{_EASTERN_MEANS}": _MEAN, **_OTHERS}.items()
}


def _statistic(labels: list[str]) -> _Statistic:
    """That which one of the labels names, in one word for it; the sum without."""
    for label in labels:
        for pattern, statistic in _BY_NAME.items():
            if pattern.fullmatch(label.strip()):
                return statistic
    return _SUM


def names_statistic(text: str) -> bool:
    """Is it a word for a count, a mean or the like, and nothing else?

    Example:
        >>> [names_statistic(word) for word in ("Count", "Std. Dev.", "MAX", "Maxine", "Total")]
        [True, True, True, False, False]
    """
    return _statistic([text]) is not _SUM


def names_count_or_mean(text: str) -> bool:
    """Is it a word for counts or means, which is hardly a name of anything else?"""
    return _statistic([text]) in (_COUNT, _MEAN)


def is_label(text: str) -> bool:
    """Is it a word for sums or means?

    Example:
        >>> [is_label(word) for word in ("Grand Total:", "North total", "Summe", "Totally")]
        [True, True, True, False]
    """
    return _LABEL.search(text.strip()) is not None


def is_only_label(text: str) -> bool:
    """Is it a word for sums and nothing else?"""
    return _ONLY.fullmatch(text.strip()) is not None


def totals(frame: pl.DataFrame, candidates: list[int], nameless: list[int]) -> list[int]:
    """Which rows hold sums, means or other statistics of others.

    Args:
        frame: the table.
        candidates: rows that are called so, ascending.
        nameless: rows that lack the name that all others have.

    Returns:
        The rows of which at least half of the numbers are those statistics: of the rows above, of
        all others, or of those since the last total. Of a row without a name all must be sums.
    """
    rows = sorted({*candidates, *nameless})
    plain = np.ones(frame.height, dtype=bool)
    plain[rows] = False
    columns = [
        column for column in map(_Numbers.of, frame.get_columns())
        if column is not None and column.has_some(plain)
    ]  # fmt: skip
    found: list[int] = []
    begin = 0
    for row in rows:
        above, block = plain.copy(), plain.copy()
        above[row:] = block[row:] = block[:begin] = False
        parts = [part for part in (above, block, plain) if part.any()]
        labels = [str(cell) for cell in frame.row(row) if cell is not None]
        statistic = _statistic(labels)
        numbers = [column for column in columns if np.isfinite(column.values[row])]
        same = sum(column.is_of(row, parts, statistic) for column in numbers)
        needed = len(numbers) if row in nameless or statistic.all else (len(numbers) + 1) // 2
        if same >= max(needed, 1 + statistic.all):
            found.append(row)
            begin = row + 1
    return found


class _Numbers:
    """A column as numbers, and how each of them is written."""

    def __init__(self, cells: pl.Series, values: Floats) -> None:
        self.cells, self.values = cells, values

    @staticmethod
    def of(column: pl.Series) -> _Numbers | None:
        """The numbers of a column that holds hardly anything else."""
        profile = Profile.of(column)
        if profile.values is None or profile.is_datetime or not profile.present:
            return None
        if profile.is_text:
            if not (notations := profile.notations) or profile.unit in parsing.COMPOUNDS:
                return None
            notation, _ = choose_notation(notations, profile, Conventions())
            read = parsing.read_numbers(profile.values, notation, profile.unit)
        elif profile.values.dtype.is_numeric():
            read = profile.values
        else:
            return None
        return _Numbers(column, read.to_numpy().astype(np.float64))

    def has_some(self, rows: Rows) -> bool:
        """Are there numbers in these rows, not all of which are 0?"""
        values = self.values[rows]
        return bool((np.isfinite(values) & (values != 0)).any())

    def is_of(self, row: int, parts: list[Rows], statistic: _Statistic) -> bool:
        """Is the number of a row that of those of others, as exactly as it is written?"""
        value = float(self.values[row])
        digits = re.search(r"[.,](\d{1,2})\D*$", str(self.cells[row]))
        half = 0.5 * 10.0 ** -(len(digits[1]) if digits else 0)
        for part in parts:
            values = self.values[part]
            values = values[np.isfinite(values)]
            if not values.any():
                continue
            for expected in statistic.of(values, int(part.sum())):
                rounding = min(half, 1e-3 * abs(expected)) if statistic is _SUM else half
                margin = max(1e-6 * abs(expected), 1e-9 * float(np.abs(values).sum()))
                if statistic.exact:
                    margin = 1e-9 * abs(expected)
                elif rounding > margin:
                    margin = rounding
                if abs(value - expected) <= margin:
                    return True
        return False

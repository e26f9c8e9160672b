"""Numbers with colons: durations or times of the day, as the whole column and its name say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

#: Words of names, which are joined by ``_``, that say what a column of such numbers is.
_DURATION = re.compile(
    r"duration|length|laenge|lange|runtime|run_time|pace|elapsed|split|dauer|playtime|play_time"
    r"|(?:^|_)(?:lap|laps|race|finish|swim|bike|run|net|gun|chip|best|winning|driving|travel|flight"
    r"|talk|hold|wait|waiting|handling|response|processing|cook|cooking|prep|baking|sleep|working"
    r"|work|worked|total|track|song|movie|uptime|downtime|delay|air|ride|trip|cpu|wall)_?times?"
    r"|(?:^|_)(?:mm_ss|m_ss|min_sec|minutes|mins|h_mm|hh_mm|hours|hrs|stunden|arbeitszeit"
    r"|laufzeit|fahrzeit|spielzeit|rundenzeit|zeit_min|verspatung|delay|lap|laps|time_taken"
    r"|time_spent|uptime|downtime|age_at)(?:_|$)"
    r"|duree|duracion|duracao|durata|duur|tempo_giro|temps_de_|czas_trwania|delka|doba_trvani"
    r"|длительность|продолжительность|темп|varighet|varighed|langd|kesto|suresi|sure(?:_|$)"
    r"|时长|時長|所要時間|時間_分|소요|길이"
)
_IN_HOURS = re.compile(
    r"(?:^|_)(?:h_mm|hh_mm|hours|hrs|stunden|heures|horas|ore|uren|godziny|часы|arbeitszeit|sleep"
    r"|worked|working|work|flight|shift|schlaf\w*|flugzeit|fahrzeit|uptime)(?:_|$)"
)
_OF_DAY = re.compile(
    r"(?:^|_)(?:start\w*|end\w*|begin\w*|beginn|ende|depart\w*|dep|arriv\w*|arr|open\w*|clos\w*|at"
    r"|clock|hour|uhrzeit|uhr|von|bis|from|to|heure|hora|ora|godzina|tid|tijdstip|timestamp|sunrise"
    r"|sunset|wake\w*|bed\w*|bedtime|abfahrt|ankunft|salida|llegada|departs?|arrives?|check_?in"
    r"|check_?out|pickup|dropoff|scheduled|sched|appointment|of_day|saat|kello|時刻|时刻|시각|ώρα)(?:_|$)"
)
#: Two numbers or three, and their parts as groups.
_PARTS = r"^([+-]?)(?:(\d{1,4}):)?(\d{1,4}):([0-5]\d)(?:[.,]\d+)?$"
#: So many different cells tell how they are spread; minutes of appointments are multiples of 5.
_SOME, _ROUND = 20, 0.5


def are_durations(cells: pl.Series, name: str, asked: bool = False) -> bool:
    """Are numbers with colons durations and no times of the day?

    Longer ones than a day has, or hours of one digit in front of minutes and seconds in all cells,
    cannot be others. Then the name decides, and then how they are written: ``3:45`` and ``12:07``
    in no more than half a day, with minutes of any size, are those of a watch that was stopped.

    Args:
        cells: distinct, in the notation of durations.
        name: of the column, as `chainrule.data.identifier_names` compares it.
        asked: are they to be numbers?

    Example:
        >>> import polars as pl
        >>> are_durations(pl.Series(["75:30"]), "x"), are_durations(pl.Series(["03:45"]), "x")
        (True, False)
        >>> are_durations(pl.Series(["3:45", "4:10"]), "pace")
        True
    """
    long = cells.str.contains(r"^[+-]?(?:2[4-9]|[3-9]\d|\d{3,}):[0-5]\d").any()
    if asked or long or cells.str.contains(r"^\d:[0-5]\d:[0-5]\d").all():
        return True
    if said := _said(name):
        return said == "duration"
    return len(cells) >= _SOME and _are_stopped(cells)


def in_hours(cells: pl.Series, name: str, asked: bool = False) -> bool:
    """Are durations of two parts hours and minutes, as the name says?"""
    two = cells.str.contains(r"^[+-]?\d{1,4}:[0-5]\d$").all()
    return bool(two) and _IN_HOURS.search(name) is not None and are_durations(cells, name, asked)


def is_doubtful(cells: pl.Series, name: str) -> bool:
    """May cells that are read as times of the day be durations?

    Example:
        >>> import polars as pl
        >>> [is_doubtful(pl.Series(cells), "x") for cells in (["3:45"], ["03:45", "17:10"])]
        [True, False]
    """
    if _said(name) is not None or not cells.str.contains(_PARTS).all():
        return False
    first = cells.str.extract(r"^(\d+):", 1).cast(int, strict=False)
    padded = not cells.str.contains(r"^\d:").any()
    return not (padded and (first > 12).any())


def _said(name: str) -> str | None:
    if _DURATION.search(name):
        return "duration"
    return "time of day" if _OF_DAY.search(name) else None


def _are_stopped(cells: pl.Series) -> bool:
    first = cells.str.extract(r"^(\d+):", 1).cast(int, strict=False)
    second = cells.str.extract(r"^\d+:(\d\d)", 1).cast(int, strict=False)
    if cells.str.contains(r"^\d+:\d\d:\d\d").all():
        return bool((first == 0).all())  # nobody takes times within one hour of the night
    unpadded = cells.str.contains(r"^\d:").any() and not cells.str.contains(r"^0\d:").any()
    rounded = ((second % 5) == 0).mean()
    return bool(unpadded and (first <= 12).all() and float(str(rounded)) < _ROUND)

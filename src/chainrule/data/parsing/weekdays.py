"""Days of the week beside dates: they say nothing that the date does not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

#: Names and abbreviations, language by language.
_NAMES = """
monday mon tuesday tue tues wednesday wed weds thursday thu thur thurs friday fri
saturday sat sunday sun
montag mo dienstag di mittwoch mi donnerstag do freitag fr samstag sonnabend sa sonntag so
lundi lun mardi mar mercredi mer jeudi jeu vendredi ven samedi sam dimanche dim
lunes martes miércoles mié miercoles mie jueves jue viernes vie sábado sáb sabado sab
domingo dom
lunedì lunedi martedì martedi mercoledì mercoledi giovedì giovedi gio venerdì venerdi
sabato domenica
segunda segunda-feira seg terça terça-feira ter quarta quarta-feira qua quinta quinta-feira
qui sexta sexta-feira sex
maandag ma dinsdag woensdag wo donderdag vrijdag vr zaterdag za zondag zo
poniedziałek pon wtorek wt środa śr czwartek czw piątek pt sobota sob niedziela niedz nd
понедельник пн вторник вт среда ср четверг чт пятница пт суббота сб воскресенье вс
måndag mån tisdag tis onsdag ons torsdag tors fredag fre lördag lör söndag sön
mandag man tirsdag tir tor lørdag lør søndag søn
pazartesi pzt salı sal çarşamba çar perşembe per cuma cum cumartesi cmt pazar paz
月 火 水 木 金 土 日 月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日
星期一 星期二 星期三 星期四 星期五 星期六 星期日 星期天 周一 周二 周三 周四 周五 周六 周日
월 화 수 목 금 토 일 월요일 화요일 수요일 목요일 금요일 토요일 일요일
"""


@cache
def _patterns() -> tuple[str, str]:
    """In front of a date, and behind it, maybe in brackets."""
    names = "|".join(sorted(_NAMES.split(), key=lambda name: (-len(name), name)))
    name = rf"(?:{names})\.?"
    return rf"(?i)^{name}(?:,\s*|\s+)", rf"(?i)(?:[\s,]+{name}|\s*[(（]{name}[)）])$"


def without_weekday(text: pl.Series) -> pl.Series:
    """Cells without the day of the week in front of a date, or behind it.

    Example:
        >>> import polars as pl
        >>> dates = pl.Series(["Sun 07 Apr 2024", "2024/04/07(日)", "before 2024"])
        >>> without_weekday(dates).to_list()
        ['07 Apr 2024', '2024/04/07', 'before 2024']
    """
    before, after = _patterns()
    return text.str.replace(before, "").str.replace(after, "").str.replace_all(r"\s+", " ")

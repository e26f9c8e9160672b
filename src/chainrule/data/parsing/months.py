"""Names of months in other languages, as English ones."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_ENGLISH = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
#: The names of a language from January on; other spellings and abbreviations follow a /.
_NAMES = (
    "januar/jänner/jän februar/feber märz/mär/mrz april mai juni juli august september/sept "
    "oktober/okt november dezember/dez",
    "janvier/janv février/févr/fév mars avril/avr mai juin juillet/juil août septembre octobre "
    "novembre décembre/déc",
    "enero/ene febrero marzo abril/abr mayo junio julio agosto/ago septiembre/setiembre octubre "
    "noviembre diciembre/dic",
    "gennaio/gen febbraio marzo aprile maggio/mag giugno/giu luglio/lug agosto/ago settembre/set "
    "ottobre/ott novembre dicembre/dic",
    "janeiro fevereiro/fev março/marco abril/abr maio junho julho agosto/ago setembro/set "
    "outubro/out novembro dezembro/dez",
    "januari februari maart/mrt april mei juni juli augustus september oktober/okt november "
    "december",
    "januari februari mars/marts april maj juni juli augusti september oktober/okt november "
    "december/desember/des",
    "styczeń/stycznia/sty luty/lutego/lut marzec/marca kwiecień/kwietnia/kwi maj/maja "
    "czerwiec/czerwca/cze lipiec/lipca/lip sierpień/sierpnia/sie wrzesień/września/wrz "
    "październik/października/paź listopad/listopada/lis grudzień/grudnia/gru",
    "январь/января/янв февраль/февраля/фев март/марта/мар апрель/апреля/апр май/мая июнь/июня/июн "
    "июль/июля/июл август/августа/авг сентябрь/сентября/сен/сент октябрь/октября/окт "
    "ноябрь/ноября/ноя/нояб декабрь/декабря/дек",
    "січень/січня лютий/лютого березень/березня квітень/квітня травень/травня червень/червня "
    "липень/липня серпень/серпня вересень/вересня жовтень/жовтня листопад/листопада грудень/грудня",
    "ocak/oca şubat/şub mart nisan/nis mayıs haziran/haz temmuz/tem ağustos/ağu eylül/eyl ekim/eki "
    "kasım/kas aralık/ara",
)
#: A word that may be such a name, with what stands around it.
_AROUND = r"^(.*?)([^\W\d_]{3,12})\.?(.*)$"
#: What a name looks like.
NAME = r"[^\W\d_]{3,12}\.?"


@cache
def _english() -> dict[str, str]:
    return {
        spelling: english
        for names in _NAMES
        for name, english in zip(names.split(), _ENGLISH, strict=True)
        for spelling in name.split("/")
    }


@cache
def month_names() -> tuple[str, ...]:
    """All that are known, in lower case, the longest first."""
    english = {name.lower() for name in _ENGLISH}
    return tuple(sorted(english | _english().keys(), key=lambda name: (-len(name), name)))


def in_english(text: pl.Series) -> pl.Series:
    """Dates with the first word in English, if it is the name of a month in another language.

    Example:
        >>> import polars as pl
        >>> in_english(pl.Series(["5 août 2024", "1er mai 2024", "3 May 2024"])).to_list()
        ['5 August 2024', '1 May 2024', '3 May 2024']
    """
    import polars as pl

    text = text.str.replace(r"^1er\b", "1")
    parts = text.str.extract_groups(_AROUND).struct.unnest()
    before, word, after = (parts.to_series(i) for i in range(3))
    english = word.str.to_lowercase().replace_strict(
        _english(), default=None, return_dtype=pl.String
    )
    found = before + english.zip_with(english.is_not_null(), word) + after
    return found.zip_with(found.is_not_null(), text)

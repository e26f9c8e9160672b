"""Lines of a table that are notes and no rows: sources, footnotes, counts of rows, dashes."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What notes begin with in the languages of the world, before a colon.
_HEADS = (
    r"sources?|data sources?|notes?|n\.?b\.?|remarks?|footnotes?|disclaimer|legend|key|comments?"
    r"|units?|updated|last updated?|last modified|report|filters?(?: applied)?|applied filters"
    r"|generated|created|exported|downloaded|retrieved|accessed|printed|date of export"
    r"|quellen?|datenquelle|anmerkung(?:en)?|hinweise?|fu(?:ß|ss)noten?|bemerkung(?:en)?|legende|stand"
    r"|datenstand|stichtag|einheit(?:en)?|erstellt|exportiert|abgerufen|lesehilfe|erläuterung(?:en)?"
    r"|remarques?|nota|lecture|champ|légende|unités?|mise à jour|source des données"
    r"|fuentes?|notas|observaci(?:ón|ones)|unidad(?:es)?|elaboración|fonti|fonte|fontes|avvertenz[ae]"
    r"|legenda|unità|bron|bronnen|opmerking(?:en)?|toelichting|eenheid|źródł[oa]|uwag[ai]|stan na"
    r"|zdroj|poznámk[ay]|forrás|megjegyzés(?:ek)?|sursă|sursa|notă|källa|källor|anm|anmärkning(?:ar)?"
    r"|kilder?|bemærk(?:ninger)?|merknad(?:er)?|lähde|lähteet|huom|kaynak|not|notlar|izvor|napomena"
    r"|источники?|примечани[ея]|единиц[аы] измерения|дата выгрузки|по состоянию на|джерел[оа]"
    r"|примітк[аи]|πηγή|πηγές|σημείωση|sumber|catatan|nguồn|ghi chú|स्रोत|नोट"
    r"|المصدر|ملاحظات?|מקור|הערה"
)
_EASTERN = (
    r"(?:資料|资料|数据|數據)?(?:来源|來源|出典|出所)|[注註]\d*|[备備]考?[注註]?|说明|說明"
    r"|資料|출처|자료|주"
)
#: Sentences of programs, and of those who report.
_PHRASES = (
    r"\(?\d[\d,.]* (?:rows?|records?|results?|zeilen?|datensätze|lignes?|filas?|строк\w*)"
    r"(?: (?:in set|affected|returned|selected|fetched|found|total))?\b.{0,30}"
    r"|(?:rows?|records?) (?:returned|affected|exported|selected)\b.*"
    r"|(?:generated|created|exported|downloaded|retrieved|printed|last updated|updated|accessed)"
    r" (?:on|by|at|from|with)\b.*"
    r"|(?:erstellt|exportiert|abgerufen|gedruckt) (?:am|von|mit|aus)\b.*"
    r"|(?:as of|stand(?:ing)?|per) \d.*|page \d+(?: of \d+)?|seite \d+(?: von \d+)?"
    r"|(?:\W*\b)?end of (?:file|report|data|table|document|list)\b.{0,20}|eof|ende der .{3,20}"
    r"|(?:©|\(c\) \d|copyright\b).*|all rights reserved.*"
    r"|(?:all |alle )?(?:figures|numbers|values|amounts|angaben|werte|beträge) (?:are |is |in )\D*"
)
_NOTE = re.compile(
    rf"\W{{0,3}}(?:(?:{_HEADS})(?:\s*\d{{1,2}})?\s*[:：]|(?:{_EASTERN})\s*[:：]|(?:{_PHRASES})$)",
    re.IGNORECASE,
)
#: The sign of a footnote, and what it says.
_SIGNED = re.compile(r"(?:\*{1,3}|[†‡§#]+|[¹²³⁴⁵]|\(\w\)|\[\w\]|\w\))\s*(?=.*[^\W\d_]{2})\S")
_RULE = re.compile(r"[\s|+:]*(?:[-=_─━═]{3,}[\s|+:,;\t]*)+")
#: So many lines at the end may be notes.
MOST_NOTES = 40
RULE_CELL = r"\s*(?:[-=_─━═]{3,}|:-+|:?-+:)\s*"
_RULE_CELL = re.compile(RULE_CELL)


def is_note(text: str) -> bool:
    """Does a text begin as notes below a table do?

    Example:
        >>> is_note("Source: Bureau of Things, 2024"), is_note("Sourdough"), is_note("(30 rows)")
        (True, False, True)
    """
    text = text.strip()
    return bool(_NOTE.match(text) or _SIGNED.match(text))


def is_rule(line: str) -> bool:
    """Is it a line of dashes, as programs draw them?

    Example:
        >>> is_rule("+----+-----+"), is_rule("----,----"), is_rule("-"), is_rule("--5--")
        (True, True, False, False)
    """
    return _RULE.fullmatch(line.strip()) is not None


def is_rule_cell(cell: str) -> bool:
    """Is it a field of such a line?"""
    return _RULE_CELL.fullmatch(cell.strip()) is not None


def is_sentence(fields: Sequence[str]) -> bool:
    """Do the first of these fields hold several words, and the others nothing?"""
    words = re.findall(r"[^\W\d_]{2,}", fields[0])
    return len(words) >= 2 and not any(field.strip() for field in fields[1:])


def closing(lines: Sequence[list[str]], width: int) -> list[bool]:
    """Which of the last lines of a text are notes, from the end up.

    Args:
        lines: the fields of each, the last one last; of a blank line none.
        width: fields of a row.

    Example:
        >>> closing([["1", "2", "3"], [], ["Source: us"], ["and others"]], 3)
        [False, True, True, True]
    """
    found = [False] * len(lines)
    open_ones: list[int] = []  # sentences that follow something which says that they are notes
    for i in range(len(lines) - 1, -1, -1):
        fields = lines[i]
        line = ",".join(fields)
        blank = not any(field.strip() for field in fields)
        note = is_note(line)
        if note and len(fields) == width:
            continue  # as a row it is looked at later
        if blank or note or is_rule(line):
            for j in open_ones:
                found[j] = True
            open_ones, found[i] = [], True
        elif len(fields) < width and is_sentence(fields):
            open_ones.append(i)
        else:
            break
    return found

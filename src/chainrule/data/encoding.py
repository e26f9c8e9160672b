"""Which of the world's older encodings a text is in: by the alphabets of languages.

The right one is that in which the characters beyond ASCII are letters of one language: in Latin
alphabets they stand beside letters of ASCII, in others beside each other, and of those the frequent
ones are frequent. Chinese, Japanese and Korean are known by their standards' common characters.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable

#: Letters beyond ASCII of languages that are written in Latin letters.
_LATIN = (
    "äöüß",  # German
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíóúüñªº",  # Spanish
    "áâãàçéêíóôúªº",  # Portuguese, but for õ, which would be the ő of Hungarian
    "àèéìíòóùç·ïü",  # Italian, Catalan
    "åäöæøéü",  # Danish, Norwegian, Swedish, Finnish
    "áéíóúýðþæö",  # Icelandic
    "ëïéèöüá",  # Dutch
    "ąćęłńóśźż",  # Polish
    "áäčďéěíľĺňóôŕřšťúůýž",  # Czech, Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîşţșț",  # Romanian
    "čćđšž",  # Croatian, Slovene
    "çğıöşüâîİ",  # Turkish
    "ąčęėįšųūž",  # Lithuanian
    "āčēģīķļņšūž",  # Latvian
    "ăâđêôơưàáèéìíòóùúý\u0300\u0301\u0303\u0309\u0323",  # Vietnamese
    "äõöüšž",  # Estonian
)
_ICELANDIC = "áéíóúýðþæö"
#: Letters of other languages, and the most frequent of them.
_OTHER = (
    ("абвгдежзийклмнопрстуфхцчшщъыьэюяё", "оеаинтсрвлкм"),  # Russian, Bulgarian
    ("абвгґдеєжзиіїйклмнопрстуфхцчшщьюяўыэё", "оаниівртсекл"),  # Ukrainian, Belarusian
    ("абвгдђежзијклљмнњопрстћуфхцчџшѓѕќ", "аоиентрсвјку"),  # Serbian, Macedonian
    ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ", "αοιετσνηυρπκς"),  # Greek
    ("אבגדהוזחטיךכלםמןנסעףפץצקרשת", "יוהלארתבשמנם"),  # Hebrew
    ("".join(map(chr, range(0x0E01, 0x0E5C))), "านรอกเงมยลวดทสตะปบคหแพ่้ีัิ"),  # Thai
    ("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگی", "اليمونرتبةعدس"),  # Arabic, Persian
)
#: Encodings and their names, the more frequent first.
_SINGLE = {
    "cp1252": "Windows-1252",
    "cp1251": "Windows-1251",
    "cp1250": "Windows-1250",
    "cp1254": "Windows-1254",
    "cp1257": "Windows-1257",
    "cp1253": "Windows-1253",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp874": "Windows-874",
    "cp1258": "Windows-1258",
    "iso8859-2": "ISO 8859-2",
    "iso8859-15": "ISO 8859-15",
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "cp866": "DOS 866",
    "iso8859-5": "ISO 8859-5",
    "mac-cyrillic": "Mac Cyrillic",
    "cp850": "DOS 850",
    "cp852": "DOS 852",
    "mac-roman": "Mac Roman",
}
#: Encodings of two bytes for a character, and the first bytes of the common ones.
_DOUBLE = {
    "cp949": ("EUC-KR", {*range(0xB0, 0xC9)}),
    "cp932": ("Shift JIS", {0x82, 0x83, *range(0x88, 0x98)}),
    "euc-jp": ("EUC-JP", {0xA4, 0xA5, *range(0xB0, 0xD0)}),
    "gb18030": ("GB 18030", {*range(0xB0, 0xD8)}),
    "big5": ("Big5", {*range(0xA4, 0xC7)}),
}
#: Below this no encoding is likely; so much more likely must be one that is less frequent.
_LEAST, _MARGIN = 0.5, 0.05
_SIGNS = set("\u00a0“”„‘’‚–—…€£°«»§©®™±²³½¼¾µ×№•´¿¡、。「」，：；（）")


def legacy_encoding(data: bytes, decodes: Callable[[str], bool]) -> tuple[str, str]:
    """The encoding, and its name, of text that is not UTF-8.

    Args:
        data: some of the text.
        decodes: whether the whole text is valid in an encoding.

    Example:
        >>> legacy_encoding("Москва, Казань".encode("koi8-r"), lambda encoding: True)
        ('koi8-r', 'KOI8-R')
    """
    lines = re.findall(rb"[^\n]*[\x80-\xff][^\n]*", data)
    sample = b"\n".join(lines[:: max(len(lines) // 1000, 1)])[:100_000]
    best, likely = 0.0, ("cp1252", "Windows-1252") if decodes("cp1252") else ("latin-1", "Latin-1")
    for code, called in [*_SINGLE.items(), *((code, name) for code, (name, _) in _DOUBLE.items())]:
        score = _score(sample, code)
        if score > max(best + _MARGIN, _LEAST) and decodes(code):
            best, likely = score, (code, called)
    return likely


def without_mark(data: bytes) -> str | None:
    r"""The encoding of text in units of two or four bytes, or with escapes, that has no mark.

    Args:
        data: some of the text, from its beginning.

    Example:
        >>> without_mark("город,доход\nКазань,2\n".encode("utf-16-le")), without_mark(b"a,b")
        ('utf-16-le', None)
    """
    if any(escape in data for escape in (b"\x1b$B", b"\x1b$@", b"\x1b(J")):
        return "iso2022_jp"
    for code, size in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        whole = data[: len(data) // size * size]
        unit = "\n".encode(code)
        breaks = [at for at in range(0, len(whole), size) if whole[at : at + size] == unit]
        if not breaks or b"\0\0\0\0" in whole[:4]:
            continue
        try:
            text = whole.decode(code)
        except UnicodeDecodeError:
            continue
        if not any(c < " " and c not in "\t\r\n" for c in text):
            return code
    return None


def is_valid(blocks: Iterable[bytes], code: str) -> bool:
    r"""Whether text that comes in blocks can be decoded.

    Example:
        >>> is_valid([b"caf\xc3", b"\xa9"], "utf-8"), is_valid([b"caf\xe9"], "utf-8")
        (True, False)
    """
    decoder = codecs.getincrementaldecoder(code)()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _score(data: bytes, code: str) -> float:
    """How much of the text beyond ASCII is of one language, from 0 to 1."""
    try:
        text = data.decode(code)
    except UnicodeDecodeError as error:
        if error.end < len(data) - 4:  # the sample may end within a character
            return 0.0
        text = data.decode(code, errors="ignore")
    if code in _DOUBLE:
        common = _DOUBLE[code][1]
        characters = [c for c in text if c > "\x7f" and c not in _SIGNS]
        found = (c.encode(code) for c in characters)
        good = sum(len(b) == 2 and b[0] in common for b in found)
        # Japanese is full of kana; without any, Chinese is likelier.
        doubt = 0.9 if code == "euc-jp" and not re.search("[\u3041-\u30fe]", text) else 1.0
        return doubt * good / len(characters) if characters else 0.0
    runs = re.findall(r"([A-Za-z]?)([^\x00-\x7f]+)(?=([A-Za-z]?))", text)
    inside = [run for a, run, b in runs if (a or b or len(run) == 1) and len(run) <= 3]
    alone = [run for a, run, b in runs if not a and not b]
    strange = sum(bool(a and b) and run in _SIGNS - {"’", "–"} for a, run, b in runs)
    total = strange + sum(c not in _SIGNS for _, run, _ in runs for c in run)
    if not total:
        return 1.0  # signs only: nothing speaks against it
    latin, other = Counter("".join(inside)), Counter("".join(alone))
    fits: list[float] = [_count(latin, letters) for letters in _LATIN]
    if not _count(latin, "áéíóúæ"):  # the letters of Turkish stand where þ, ð and ý are
        fits[_LATIN.index(_ICELANDIC)] *= 0.8
    fits += [(_count(other, letters) + _count(other, often)) / 2 for letters, often in _OTHER]
    return max(fits) / total


def _count(characters: Counter[str], letters: str) -> int:
    return sum(characters[letter] for letter in {*letters, *letters.upper()})

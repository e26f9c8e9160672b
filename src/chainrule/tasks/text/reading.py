"""Text from files: what is no UTF-8 is named with its place, not guessed."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...data.encoding import without_mark
from ...errors import DataError
from ...utils.files import is_endless
from ...utils.numbers import counted
from ..class_folders import find_class_folders, is_class
from .tokenizers import normalize

Say = Callable[[str], None]

#: Files of plain text, by their endings.
ENDINGS = (".txt", ".text", ".md")
#: So many bytes tell whether there are two for each character, of which the second of so many is 0.
_HEAD, _MOSTLY_LATIN = 2**16, 0.5


def read_text(path: str | os.PathLike[str], encoding: str | None = None) -> str:
    """The text of a file, normalised: see `chainrule.tasks.text.normalize`.

    Args:
        path: the file.
        encoding: UTF-8 without it; UTF-16 is understood, with a byte-order mark or without.

    Raises:
        DataError: the file cannot be read, or is not written in this encoding; it names the line
            and the byte.
    """
    where = os.fspath(path)
    try:
        with open(path, "rb") as file:
            if is_endless(file):
                raise DataError("This is a device, not a text.", where=where, hint="Name a file.")
            data = file.read()
    except OSError as error:
        raise DataError("The text cannot be read.", where=where,
                        found=error.strerror or str(error)) from None  # fmt: skip
    return decode_text(data, where, encoding)


def decode_text(data: bytes, where: str, encoding: str | None = None) -> str:
    r"""The text in the bytes of a file; see `read_text`.

    Example:
        >>> decode_text(b"caf\xe9", "menu.txt", "latin-1")
        'café'
    """
    if encoding is None:
        encoding = _marked(data)
    try:
        return normalize(data.decode(encoding))
    except LookupError:
        raise DataError("This encoding is not known.", where=where, found=encoding,
                        hint="Try utf-8, cp1252 or latin-1.") from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise _undecodable(data, error, where, encoding) from None


def _marked(data: bytes) -> str:
    """The encoding by the byte-order mark, or by its bytes of 0; UTF-8 without either."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = data[:_HEAD]
    if 0 not in head:
        return "utf-8"
    first, second = (units.count(0) / max(len(units), 1) for units in (head[::2], head[1::2]))
    if not first and second > _MOSTLY_LATIN:
        return "utf-16-le"
    if not second and first > _MOSTLY_LATIN:
        return "utf-16-be"
    return without_mark(head) or "utf-8"


def _undecodable(data: bytes, error: UnicodeDecodeError, where: str, encoding: str) -> DataError:
    line = data.count(b"\n", 0, error.start) + 1
    column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
    binary = b"\0" in data[:4096]
    hint = "Is it text at all? It holds bytes of 0, as programs and pictures do."
    if not binary:
        hint = "Say how it is written, such as --encoding cp1252, or convert it with iconv."
    return DataError(
        f"The text is not {encoding.upper()}.",
        where=f"{where}, line {line:,}, byte {column:,} of the line ({error.start:,} of the file)",
        expected=encoding.upper(),
        found="the bytes " + data[error.start : error.start + 4].hex(" "),
        hint=hint,
    )


def read_texts(source: Path, encoding: str | None = None, say: Say = lambda sentence: None) -> str:
    """The text of a file, or of all text files of a folder in the order of their names.

    Raises:
        DataError: there is no text.
    """
    if not source.exists():
        raise DataError("There is no such file or folder.", where=str(source))
    files = [source]
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if is_text_file(path))
        if not files:
            raise DataError("The folder holds no text.", where=str(source),
                            expected=f"files that end in {', '.join(ENDINGS)}")  # fmt: skip
    parts = []
    for path in files:
        part = read_text(path, encoding)
        if part.strip():
            parts.append(part)
        elif len(files) > 1:
            say(f"{path.name} is empty and left out")
    text = "\n".join(parts)
    if not text:
        raise DataError("The text is empty.", where=str(source), expected="text to learn from",
                        found=f"{sum(path.stat().st_size for path in files)} bytes")  # fmt: skip
    return text


def is_text_file(path: Path) -> bool:
    """Whether this is a file of plain text, by its name."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and what is known of them.

    Attributes:
        texts: normalised.
        labels: the name of the class of each; empty where they are not known.
        names: what to call each text in messages, such as a path.
    """

    texts: list[str]
    labels: list[str]
    names: list[str]


def read_class_folders(
    folder: Path,
    encoding: str | None = None,
    say: Say = lambda sentence: None,
    fewest: int = 2,
) -> LabelledTexts:
    """Texts in a folder of folders, each of which is a class.

    Args:
        folder: of the folders.
        encoding: of the files; see `read_text`.
        say: takes notes.
        fewest: classes that there must be: to learn them anew two, otherwise one will do.

    Raises:
        DataError: there are fewer classes with texts, or a text cannot be read.
    """
    if fewest > 1:
        _refuse_parts(folder)
    found = LabelledTexts([], [], [])
    others: Counter[str] = Counter()
    places = class_folders(folder)
    for place in places:
        if len(places) > 2 and not is_class(place.name):
            say(f"{place.name}: texts without a class are left out")
            continue
        for path in sorted(place.rglob("*")):
            if not path.is_file() or path.name.startswith("."):
                continue
            if not is_text_file(path):
                others[path.suffix or "no ending"] += 1
                continue
            found.texts.append(read_text(path, encoding))
            found.labels.append(place.name)
            found.names.append(str(path))
    if others:
        are = counted(others.total(), "file is no text", "files are no texts")
        say(f"{are} and left out: {', '.join(others)}")
    classes = sorted(set(found.labels))
    if len(classes) < fewest:
        raise DataError(
            "There is only one class." if classes else "There are no texts in the class folders.",
            where=str(folder),
            expected=f"{'two folders' if fewest > 1 else 'a folder'} at least, with files that end "
            f"in {', '.join(ENDINGS)}",
            found=", ".join(classes) or "none",
            hint="Each class is a folder of its own, with a file for each text.",
        )
    return found


def _refuse_parts(folder: Path) -> None:
    """An error where the folders are parts of the data, with the classes in them."""
    found = find_class_folders(folder, lambda path: is_text_file(Path(path)), "texts")
    if any(place.part for place in found.places):
        raise DataError(
            "The folders are parts of the data, not classes.",
            where=str(folder),
            expected="a folder for each class",
            found="; ".join(found.notes[-1:]),
            hint=found.command or "move the texts of each part into a folder, the classes in it",
        )


def class_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )

"""What a source holds: its bytes, unpacked, and the text that they are."""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..utils.files import is_endless
from .column_names import listed
from .encoding import is_valid, legacy_encoding, without_mark
from .unpacked_size import of_zstd

_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".parquet", ".arrow", ".feather", ".json", ".jsonl", ".ndjson"),
    *(".gz", ".zst", ".bz2", ".xz", ".zip"),
)


#: The beginning of an address; `Path` makes one slash of two.
_URL = re.compile(r"(?:https?|ftps?|s3|gs|hf|azure|abfss?|file)://?", re.IGNORECASE)


@dataclass(frozen=True)
class FileReading:
    """How a file of rows is read, where that is known.

    Attributes:
        encoding: of text.
        separator: between the fields of text.
        table: the sheet of a workbook, or the table of a database.
    """

    encoding: str | None = None
    separator: str | None = None
    table: str | None = None

    def over(self, other: FileReading) -> FileReading:
        """What this leaves open is as in the other."""
        return FileReading(
            self.encoding or other.encoding,
            self.separator or other.separator,
            self.table or other.table,
        )


class TablePath(str):
    """The path of a file with how it is to be read; `read_table` follows it.

    Attributes:
        reading: what was said.
        usual: how files were read when a model was trained, which holds where a file is so, too.

    Example:
        >>> path = TablePath("a.csv", FileReading(separator=";"))
        >>> path, path.reading.separator
        ('a.csv', ';')
    """

    reading: FileReading
    usual: FileReading

    def __new__(
        cls, path: str, reading: FileReading | None = None, usual: FileReading | None = None
    ) -> TablePath:
        """See above."""
        made = super().__new__(cls, path)
        made.reading, made.usual = reading or FileReading(), usual or FileReading()
        return made


def with_reading(
    source: Any, reading: FileReading | None = None, usual: FileReading | None = None
) -> Any:
    """A path that knows how its file is read; what is no path, or a folder, stays as it is."""
    reading, usual = reading or FileReading(), usual or FileReading()
    if isinstance(source, TablePath):
        reading, usual = reading.over(source.reading), source.usual.over(usual)
    if not isinstance(source, str | Path) or (reading == usual == FileReading()):
        return source
    return (
        source
        if str(source) != "-" and Path(source).is_dir()
        else TablePath(str(source), reading, usual)
    )


def readings_of(
    source: Any, encoding: str | None, separator: str | None, table: str | None
) -> tuple[FileReading, FileReading]:
    """What is said of a source, and what is usual for it."""
    said = FileReading(encoding, separator, table)
    if isinstance(source, TablePath):
        return said.over(source.reading), source.usual
    return said, FileReading()


# ---------------------------------------------------------------- bytes


def read_bytes(source: Any, name: str) -> bytes:
    """The bytes of a file, of standard input, or of what can be read.

    Raises:
        DataError: they cannot be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path) and (found := _URL.match(str(source))):
        raise DataError(
            "chainrule reads files, not addresses.",
            where=name,
            found=f"an address: {found[0]}…",
            hint=_download(found[0], _URL.sub(_with_slashes, str(source))),
        )
    try:
        if isinstance(source, str | Path):
            return sys.stdin.buffer.read() if str(source) == "-" else _read_file(Path(source), name)
        content = source.read()
        return content.encode() if isinstance(content, str) else bytes(content)
    except FileNotFoundError:
        raise DataError(
            "There is no such file.", where=name, hint=_near_file(Path(source))
        ) from None
    except IsADirectoryError:
        raise DataError(
            "This is a folder, not a file.", where=name, hint=_files_inside(Path(source))
        ) from None
    except PermissionError:
        raise DataError(
            "Permission denied.", where=name, hint="check its permissions with `ls -l`"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise DataError("The file cannot be read.", where=name, found=str(error)) from None


def _download(scheme: str, address: str) -> str:
    if scheme.lower().startswith("file"):
        return f"name the file itself: {address.partition('//')[2]}"
    command = f": curl -LO {address}" if scheme.lower().startswith(("http", "ftp")) else ""
    return f"download it first{command}, and name the file"


def _with_slashes(found: re.Match[str]) -> str:
    return found[0].rstrip("/") + "//"


def _read_file(path: Path, name: str) -> bytes:
    """The content of a file that nobody writes to meanwhile."""
    with path.open("rb") as file:
        if is_endless(file):
            raise DataError("This is a device, not a file.", where=name, hint="Name a file.")
        before = os.fstat(file.fileno())
        data = file.read()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(
            "The file changed while it was read.",
            where=name,
            expected="a file that nobody writes to",
            found=f"{before.st_size:,} bytes, then {after.st_size:,}",
            hint="wait until it is written to the end, or copy it first",
        )
    return data


def _near_file(path: Path) -> str:
    try:
        inside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else None
    except OSError:
        inside = []
    if inside is None:
        return f"the folder {path.parent} does not exist either"
    near = difflib.get_close_matches(path.name, inside, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the spelling and the folder"


def _files_inside(folder: Path) -> str:
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return f"name one of the files in it: {listed(files)}" if files else "it holds no table either"


#: A packed file may unpack to so many bytes, or to so many times its size. Tables of equal rows
#: reach some hundred times.
_UNPACKED, _RATIO = 2**28, 500


def unpack(data: bytes, name: str) -> bytes:
    """Decompress by the format's first bytes."""
    import bz2
    import gzip
    import lzma
    import zlib

    formats: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
        b"\x1f\x8b": ("gzip", lambda packed: _limited(gzip.open, packed)),
        b"BZh": ("bzip2", lambda packed: _limited(bz2.open, packed)),
        b"\xfd7zXZ\x00": ("xz", lambda packed: _limited(lzma.open, packed)),
        b"\x28\xb5\x2f\xfd": ("zstd", _unpack_zstd),
        b"PK\x03\x04": ("zip", lambda packed: _unpack_zip(packed, name)),
        b"PK\x05\x06": ("zip", lambda packed: _unpack_zip(packed, name)),
    }
    for magic, (label, unpack) in formats.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (
                *(EOFError, OSError, ValueError, RuntimeError, NotImplementedError),
                *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
            ) as error:
                raise DataError(
                    f"The {label} file is damaged or cut off.",
                    where=name,
                    found=str(error),
                    hint="copy or download it again",
                ) from None
    return data


def most_unpacked(packed: bytes) -> int:
    """The bytes that a packed table may become."""
    return _most(len(packed))


def _most(size: int) -> int:
    return max(_UNPACKED, _RATIO * size)


def _limited(open_packed: Any, packed: bytes) -> bytes:
    with open_packed(io.BytesIO(packed)) as stream:
        return _at_most(stream, len(packed))


def _at_most(stream: Any, size: int) -> bytes:
    """What is in a packed file of this size, unless it would fill the memory.

    Raises:
        ValueError: it unpacks to far more than tables do.
    """
    most = _most(size)
    data: bytes = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{size:,} bytes unpack to more than {most:,}: no table does")
    return data


def _unpack_zstd(packed: bytes) -> bytes:
    """Python has no zstd before 3.14, but polars unpacks it on the way to lines of text."""
    import polars as pl

    most = most_unpacked(packed)
    if (size := of_zstd(packed)) > most:
        raise ValueError(f"{len(packed):,} bytes unpack to {size:,}: no table does")
    try:
        lines = pl.read_csv(
            packed, has_header=False, separator="\x1f", quote_char=None, infer_schema=False
        )
    except pl.exceptions.NoDataError:
        return b""
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{error}; only UTF-8 text is read from zstd") from None
    return "\n".join(lines.to_series().fill_null("")).encode()


def _unpack_zip(packed: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = [
            member.filename
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in members or "mimetype" in members:
            raise DataError(
                "This is a document, such as a Word file.",
                where=name,
                expected="a table: CSV, Parquet, a workbook, …",
                hint="save its table as CSV first",
            )
        if len(members) != 1:
            raise DataError(
                "The zip file must hold exactly one table.",
                where=name,
                expected="one member",
                found=f"{len(members)} members: {listed(members)}" if members else "none",
                hint="unpack it and name the file you want",
            )
        with archive.open(members[0]) as member:
            return _at_most(member, len(packed))


# ---------------------------------------------------------------- text


# A byte-order mark says the encoding. UTF-32's starts with UTF-16's, so it comes first.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def decode(data: bytes, name: str, encoding: str | None, notes: list[str]) -> str:
    r"""Bytes to text with lines that end in ``\n``."""
    encoding = encoding or find_encoding(data, name, notes)
    try:
        text = data.decode(encoding)
    except LookupError:
        raise DataError(
            "This encoding is not known.", where=name, found=encoding, hint="try utf-8 or cp1252"
        ) from None
    except UnicodeError as error:
        raise DataError(
            f"The file is not valid {encoding}.",
            where=name,
            found=str(error),
            hint="name its encoding, as in --encoding cp1251 (encoding='cp1251'), or save it again "
            "as UTF-8",
        ) from None
    if "\0" in text:
        raise not_a_table(name, "binary data (a zero byte)")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def find_encoding(data: bytes, name: str, notes: list[str], usual: str | None = None) -> str:
    """The encoding of a text: by its mark, or by what it holds.

    Args:
        data: all of it.
        name: of its source.
        notes: takes a sentence if it was guessed.
        usual: the likely one, if the text is not UTF-8 and can be in it.

    Raises:
        DataError: it is no text, or broken UTF-8.
    """
    marked = next((code for mark, code in _MARKS.items() if data.startswith(mark)), None)
    if marked or (usual and _is_in(data, usual)):
        return marked or str(usual)
    return _guess_encoding(data, name, notes)


def _is_in(data: bytes, code: str) -> bool:
    """Is it text in this encoding, and not in UTF-8?"""
    try:
        return not is_valid([data], "utf-8") and is_valid([data], code)
    except LookupError:
        return False


def _guess_encoding(data: bytes, name: str, notes: list[str]) -> str:
    head = data[:4096]
    if (b"\0" in head or b"\x1b" in head) and (code := without_mark(head)):
        notes.append(f"{name}: read as {code.upper()} without a byte-order mark")
        return code
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    control = sum(head.count(code) for code in range(32) if code not in b"\t\n\r\f\x1a")
    if control > 0.02 * len(head):
        raise not_a_table(name, "binary data")
    repaired = data.decode("utf-8", errors="replace")
    broken = repaired.count("\ufffd")
    proper = len(repaired) - len(repaired.encode("ascii", "ignore")) - broken
    if proper > 2 * broken:
        raise DataError(
            "The file is UTF-8, but for some broken bytes.",
            where=f"{name}, line {line}",
            found=f"{broken} bytes that are not UTF-8, beside {proper} proper characters",
            hint="repair the line, or name the encoding: --encoding cp1252 (encoding='cp1252')",
        )
    code, called = legacy_encoding(data, lambda code: is_valid([data], code))
    other = "if that is wrong, name another with --encoding (encoding=)"
    notes.append(f"{name}: not UTF-8 (line {line}); read as {called}; {other}")
    return code


def not_a_table(name: str, found: str) -> DataError:
    """The error of a file that holds something else."""
    return DataError(
        "This file is not a table that chainrule can read.",
        where=name,
        expected="CSV, TSV, Parquet, Arrow/Feather, JSON lines, JSON, a workbook or a database",
        found=found,
        hint="export it as CSV",
    )

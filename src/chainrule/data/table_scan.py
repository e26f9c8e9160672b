"""Tables that are larger than memory, in parts: `TableScan` reads a file block by block.

CSV and TSV files and JSON lines are cut where a row ends, Parquet and Arrow files by numbers of
rows. Each part is read as `chainrule.data.read_table` reads a whole file, so that the same cells
come out.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.errors import DataError

from ..utils.warned import warned
from .delimited import end_of_rows, parse_delimited
from .dialect import Dialect, find_dialect
from .encoding import is_valid, legacy_encoding
from .extra_rows import LeftOut, called_total
from .source import FileReading, TablePath, decode, readings_of
from .table import read_table, source_name
from .table_files import kind_of_file

if TYPE_CHECKING:
    import polars as pl

#: Files of more bytes than this are read in parts; columnar ones, which are packed, of a fourth.
IN_MEMORY = 50_000_000
_PACKED = 4
#: Bytes of text, and rows of a columnar file, in a part.
_BLOCK = 8_000_000
PART_ROWS = 65_536
_COLUMNAR = {b"PAR1": "parquet", b"ARROW1": "ipc"}
_PACKERS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_larger_than_memory(source: Any, limit: int | None = None) -> bool:
    """Is it a file to be read in parts?

    Args:
        source: as for `read_table`. Only paths of files can be: what comes from a pipe, or is in
            memory, is taken as a whole, and so are compressed files and text in UTF-16.
        limit: bytes; `IN_MEMORY` without it.

    Example:
        >>> is_larger_than_memory("small.csv"), is_larger_than_memory({"a": [1]})
        (False, False)
    """
    if not isinstance(source, str | Path) or str(source) == "-":
        return False
    path = Path(source)
    try:
        if not path.is_file():
            return False
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4096)
    except (OSError, ValueError):
        return False
    columnar = any(start.startswith(magic) for magic in _COLUMNAR)
    if kind_of_file(start) is not None:
        return False
    if isinstance(source, TablePath) and source.reading.separator == " ":
        return False
    if start.startswith((*_PACKERS, *_MARKS)) or (not columnar and b"\0" in start):
        return False
    if start.lstrip()[:1] == b"[":  # one array of JSON has no ends of rows
        return False
    limit = IN_MEMORY if limit is None else limit
    return size > (limit // _PACKED if columnar else limit)


class TableScan:
    r"""A file of rows, read in parts as often as one likes.

    Args:
        path: a CSV or TSV file, JSON lines, Parquet or Arrow.

    Attributes:
        notes: sentences about what was guessed.

    Raises:
        DataError: the file cannot be read; where a row is wrong, with its line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "t.csv"
        >>> _ = path.write_text("a,b\n1,x\n2,y\n")
        >>> [part.rows() for part in TableScan(path).parts()]
        [[('1', 'x'), ('2', 'y')]]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._said, self._usual = readings_of(path, None, None, None)
        self.name = source_name(path)
        self.notes: list[str] = []
        self._size = self.path.stat().st_size
        with self.path.open("rb") as file:
            start = file.read(16)
        kinds = [kind for magic, kind in _COLUMNAR.items() if start.startswith(magic)]
        self._columnar = kinds[0] if kinds else None
        self._is_told = False
        #: Which rows of a columnar file `parts` gives: from, and up to.
        self._rows: tuple[int, int | None] = 0, None
        if self._columnar is None:
            self._begin_text()

    @property
    def reading(self) -> FileReading:
        """How the file is read, said or found out."""
        text = self._columnar is None
        encoding = self._encoding if text and self._encoding != "utf-8-sig" else None
        return FileReading(encoding, self._dialect.separator if text and self._dialect else None)

    def parts(self) -> Iterator[pl.DataFrame]:
        """The rows, in their order."""
        found = self._text_parts() if self._columnar is None else self._columnar_parts()
        for part in found:
            if part.height:
                yield part
        if self.path.stat().st_size != self._size:
            raise DataError(
                "The file changed while it was read.",
                where=self.name,
                expected=f"{self._size:,} bytes, as in the beginning",
                found=f"{self.path.stat().st_size:,} bytes",
                hint="wait until it is written to the end, or copy it first",
            )

    # ---- text ----------------------------------------------------------------------------------

    def _begin_text(self) -> None:
        """Find out how the text is written: encoding, header and separator."""
        self._dialect: Dialect | None
        self._encoding = self._find_encoding()
        first = next(self._raw(0), b"")
        mark = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
        self._is_json = first[mark:].lstrip()[:1] in (b"{", b"[")
        self._start, self._header, self._lines_before, self._dialect = mark, b"", 0, None
        self._end: int | None = None
        if self._is_json or b"\n" not in first:
            return
        text = first[mark:].decode(self._encoding, errors="replace")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        found = find_dialect(text, self._said.separator or self._usual_separator(text))
        self.notes += [f"{self.name}: {sentence}" for sentence in found.notes]
        self._dialect = Dialect(found.separator)
        self._lines_before = text.count("\n", 0, found.begin) + 1
        lines = first[mark:].split(b"\n", self._lines_before)
        self._header = lines[-2] + b"\n"
        self._start = len(first) - len(lines[-1])

    def _usual_separator(self, text: str) -> str | None:
        usual = self._usual.separator
        return usual if usual and usual in text.split("\n", 1)[0] else None

    def _find_encoding(self) -> str:
        if self._said.encoding:
            return self._said.encoding
        if is_valid(self._raw(0), "utf-8"):
            return "utf-8-sig"
        usual = self._usual.encoding
        if usual and is_valid(self._raw(0), usual):
            return usual
        sample = next(block for block in self._raw(0) if not block.isascii())
        code, called = legacy_encoding(sample, lambda code: is_valid(self._raw(0), code))
        other = "if that is wrong, name another with --encoding (encoding=)"
        self.notes.append(f"{self.name}: not UTF-8; read as {called}; {other}")
        return code

    def _raw(self, start: int, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` on, up to ``end`` or to the end of the file."""
        with self.path.open("rb") as file:
            file.seek(start)
            while block := file.read(
                _BLOCK if end is None else max(min(_BLOCK, end - file.tell()), 0)
            ):
                yield block

    def _blocks(self, start: int, end: int | None) -> Iterator[bytes]:
        """Whole rows, about `_BLOCK` bytes at a time."""
        rest = b""
        for raw in self._raw(start, end):
            data = rest + raw
            whole = data.rfind(b"\n") + 1
            if self._dialect is not None:  # in JSON, no line break is inside quotes
                whole = end_of_rows(data, self._dialect.separator)
            if whole:
                yield data[:whole]
            rest = data[whole:]
        if rest:
            yield rest

    def _text_parts(self) -> Iterator[pl.DataFrame]:
        line = self._lines_before
        found: dict[str, None] = {}
        last: pl.DataFrame | None = None
        for number, block in enumerate(self._blocks(self._start, self._end)):
            if block.strip():
                notes = self.notes if number == 0 else []
                try:
                    if self._dialect is None:
                        yield read_table(block, encoding=self._encoding, notes=notes)
                    else:
                        text = decode(self._header + block, self.name, self._encoding, notes)
                        last = parse_delimited(text, self.name, None, notes, self._dialect)[0]
                        yield last
                except DataError as error:
                    raise self._at_its_line(error, line) from None
                found |= {self._moved(s, line): None for s in notes if isinstance(s, LeftOut)}
            line += block.count(b"\n")
        if not self._is_told:
            self._is_told = True
            if last is not None and (called := called_total(last)):
                warned(f"{self.name}: the last row is called {called!r:.40} and stays, as files of "
                       "this size are not summed: delete it if it is none of the rows")  # fmt: skip
            for sentence in found:
                warned(sentence)

    def _at_its_line(self, error: DataError, before: int) -> DataError:
        """The same error with the line counted from the beginning of the file."""
        where = self._moved(error.where or "", before)
        error.where = where.replace(source_name(b""), self.name) or self.name
        return error

    def _moved(self, sentence: str, before: int) -> str:
        """A sentence with the lines counted from the beginning of the file."""
        header = 1 if self._header else 0
        return re.sub(
            r"(?<=line )\d+|(?<=lines )\d+(?:, \d+)*",
            lambda m: ", ".join(str(int(n) - header + before) for n in m[0].split(", ")), sentence,
        )  # fmt: skip

    # ---- columns -------------------------------------------------------------------------------

    def _columnar_parts(self) -> Iterator[pl.DataFrame]:
        import polars as pl

        start, end = self._rows
        while end is None or start < end:
            try:
                part = self._lazy().slice(start, PART_ROWS).collect()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise self._damaged(error) from None
            yield part
            if part.height < PART_ROWS:
                return
            start += part.height

    def _lazy(self) -> pl.LazyFrame:
        import polars as pl

        return (pl.scan_parquet if self._columnar == "parquet" else pl.scan_ipc)(self.path)

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"The {self._columnar} file is damaged or cut off.",
            where=self.name,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="copy or write it again",
        )

"""What a page is made of: sections of charts, tables, pictures and texts, as JSON data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .chart import Chart, plain, restored


@dataclass(frozen=True)
class Text:
    """Sentences.

    Attributes:
        sentences: a paragraph each.
        quiet: whether they only explain what stands beside them.
    """

    kind: ClassVar[str] = "text"
    sentences: tuple[str, ...]
    quiet: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


@dataclass(frozen=True)
class Table:
    """Rows of texts.

    Attributes:
        columns: their titles; those that begin with ``#`` are of numbers.
        rows: a text for each column.
        caption: what it shows.
        marked: pairs of row and column whose cells stand out.
        folded: whether it is shown only when it is opened.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    marked: tuple[tuple[int, int], ...] = ()
    folded: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


@dataclass(frozen=True)
class Picture:
    """A picture with what is said of it.

    Attributes:
        data: a ``data:image/png`` address; see `chainrule.drawing.png`.
        caption: what is said of it.
        alternative: what is seen, for those who cannot see it.
    """

    data: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side.

    Attributes:
        title: what they are.
        pictures: each.
        width: of one, in pixels of the page.
    """

    kind: ClassVar[str] = "gallery"
    title: str
    pictures: tuple[Picture, ...]
    width: int = 128

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


@dataclass(frozen=True)
class Passage:
    """A text whose pieces weigh more or less.

    Attributes:
        title: what it is.
        pieces: of the text, in order.
        weights: of each piece, from -1 to 1.
        note: what the weights mean.
    """

    kind: ClassVar[str] = "passage"
    title: str
    pieces: tuple[str, ...]
    weights: tuple[float | None, ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


@dataclass(frozen=True)
class Finding:
    """Something that is to be seen to, with what to do.

    Attributes:
        title: what it is.
        severity: "error", "warning" or "note".
        sentences: why, and what was measured.
        fix: what to do.
        command: that does it, as it is typed.
    """

    kind: ClassVar[str] = "finding"
    title: str
    severity: str
    sentences: tuple[str, ...]
    fix: str = ""
    command: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


@dataclass(frozen=True)
class Code:
    """Lines as they are typed.

    Attributes:
        text: the lines.
    """

    kind: ClassVar[str] = "code"
    text: str

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {"block": self.kind, **plain(self)}


Block = Text | Table | Chart | Gallery | Passage | Finding | Code
_BLOCKS: dict[str, Any] = {
    block.kind: block for block in (Text, Table, Gallery, Passage, Finding, Code)
}


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        name: of the place in the page, such as ``"errors"``.
        title: its heading.
        blocks: what it holds.

    Example:
        >>> section = Section("data", "The data", (Text(("60 rows.",)),))
        >>> Section.from_json(section.to_json()) == section
        True
    """

    name: str
    title: str
    blocks: tuple[Block, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        blocks = [block.to_json() for block in self.blocks]
        return {"name": self.name, "title": self.title, "blocks": blocks}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Section:
        """What `to_json` gave."""
        blocks = [block for each in content["blocks"] if (block := _block(each)) is not None]
        return Section(str(content["name"]), str(content["title"]), tuple(blocks))

    @property
    def charts(self) -> list[Chart]:
        """Those that it holds."""
        return [block for block in self.blocks if isinstance(block, Chart)]


def _block(content: Mapping[str, Any]) -> Block | None:
    """A block of JSON data; None if this version knows no such block."""
    kind = content.get("block")
    if kind == Chart.kind:
        return Chart.from_json(content)
    if kind == Gallery.kind:
        pictures = tuple(restored(Picture, each) for each in content.get("pictures", ()))
        return Gallery(content["title"], pictures, int(content.get("width", 128)))
    found: Block | None = restored(_BLOCKS[kind], content) if kind in _BLOCKS else None
    return found


def section(name: str, title: str, *blocks: Block | None) -> Section | None:
    """A section of the blocks that there are; None if there are none."""
    found = tuple(block for block in blocks if block is not None)
    return Section(name, title, found) if found else None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], **more: Any) -> Table | None:
    """A table; None without rows."""
    return Table(tuple(columns), tuple(map(tuple, rows)), **more) if rows else None

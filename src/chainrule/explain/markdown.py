"""An explanation as Markdown, with formulas between dollar signs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .detail import at_detail
from .explanation import Explanation
from .formatting import DIGITS, LatexWriter
from .sections import Bars, Formula, Grid, Heading, Lines, Part, Prose, parts

#: What Markdown would take for something else in running text.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~])")


def to_markdown(explanation: Explanation, digits: int = DIGITS, detail: str = "normal") -> str:
    """The explanation as Markdown, as GitHub, GitLab, Jupyter and Pandoc set it.

    Args:
        explanation: what to write.
        digits: significant digits.
        detail: ``brief``, ``normal`` or ``all``; see `detail.at_detail`.
    """
    writer = LatexWriter(explanation.notation, digits)
    return markdown_of(parts(at_detail(explanation, detail), writer))


def markdown_of(written: Iterable[Part]) -> str:
    """Parts as Markdown; their mathematics are LaTeX."""
    blocks: list[str] = []
    for part in written:
        blocks += _set(part)
    return "\n\n".join(blocks) + "\n"


def _set(part: Part) -> Iterator[str]:
    if isinstance(part, Heading):
        yield f"{'#' * (part.level + 1)} {_escape(part.text)}"
    elif isinstance(part, Prose):
        yield _prose(part.text)
    elif isinstance(part, Formula):
        note = f" \\qquad \\text{{({part.note})}}" if part.note else ""
        yield "$$\n" + aligned(part.sides, note) + "\n$$"
    elif isinstance(part, Lines):
        yield "```text\n" + "\n".join(part.lines) + "\n```"
    elif isinstance(part, Grid):
        yield _table(part.header, part.rows)
    else:
        yield _bars(part)


def aligned(sides: tuple[str, ...], note: str = "") -> str:
    """An equation, its sides below each other if they are many."""
    if len(sides) <= 2:
        return " = ".join(sides) + note
    first, *others = sides
    lines = [f"{first} &= {others[0]}", *(f"&= {side}" for side in others[1:])]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + note + "\n\\end{aligned}"


def _prose(text: str) -> str:
    """Running text, lists and warnings."""
    if text.startswith("• "):
        return f"- {_escape(text[2:])}"
    if text.startswith("! "):
        return f"**{_escape(text[2:])}**"
    return _escape(text)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _table(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        "| " + " | ".join(cell if cell == "---" else _escape(cell) for cell in row) + " |"
        for row in lines
    )


def _bars(part: Bars) -> str:
    rows = tuple((name, f"{size:.3g}") for name, size in part.rows)
    return _table((part.title, "RMS"), rows)

"""Tables, and the page that they are kept on."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

Row = list[str]

PAGE = Path(__file__).with_name("README.md")


def table(columns: Row, rows: list[Row]) -> list[str]:
    """The lines of a Markdown table that is also readable as plain text: numbers to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    widths = [max(width, 3) for width in widths]

    def line(cells: Row) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(columns), f"|{'|'.join(f' {part} ' for part in rule)}|", *map(line, rows)]


def today() -> str:
    """The date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_section(title: str, text: str) -> None:
    """Put a section of the page in the place of the one with the same title, or at the end."""
    page = PAGE.read_text(encoding="utf-8")
    section = f"## {title}\n\n{text}\n"
    found = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if found.search(page):
        page = found.sub(lambda _: section + "\n", page)
    else:
        page = f"{page.rstrip()}\n\n{section}"
    PAGE.write_text(page.rstrip() + "\n", encoding="utf-8")

"""The page of a run, and the page that shows several side by side, as one file each."""

from __future__ import annotations

import dataclasses
import functools
import html
import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from ..drawing.blocks import Gallery, Section, Text
from ..drawing.html import block_html, sections_html
from ..drawing.page import THEME, asset, page_of
from ..utils.files import write_atomically
from .comparison import comparison_sections
from .content import PAGE, RunContent
from .sections import sections_of, state_of, title_of

#: A page has so many bytes at most.
MOST_BYTES = 1_500_000


def report_page(content: RunContent, script: str = "", attributes: str = "", more: str = "") -> str:
    """The page of a run.

    Args:
        content: of a run folder.
        script: a program of the page, where it is served; a file has none.
        attributes: of the body, as HTML.
        more: at the end, as HTML.

    Returns:
        A complete document, to be saved with the encoding UTF-8.
    """
    state, is_open = state_of(content)
    said = f'<p class="state{" open" * is_open}" role="status">{html.escape(state)}</p>'
    more += f"<script>{script}</script>" if script else ""
    return page_of_sections(title_of(content), said, sections_of(content), script, attributes, more)


def compare_pages(contents: Sequence[RunContent]) -> str:
    """A page that shows runs side by side."""
    names = ", ".join(content.name for content in contents)
    said = f'<p class="state">{html.escape(names)}</p>'
    title = f"{len(contents)} runs side by side"
    return page_of_sections(title, said, comparison_sections(contents))


def write_page(folder: Path, content: RunContent | None = None) -> Path:
    """Write ``report.html`` into a run folder, whole or not at all.

    Args:
        folder: of a run, finished or not.
        content: what is in it, if it was read already.

    Raises:
        DataError: there is no run.
        ChainruleError: it cannot be written.
    """
    found = RunContent.read(folder) if content is None else content
    write_atomically(folder / PAGE, report_page(found).encode(errors="replace"))
    return folder / PAGE


def page_of_sections(
    title: str, said: str, sections: list[Section], script: str = "", attributes: str = "",
    more: str = "",
) -> str:  # fmt: skip
    """A page of any sections, in the style of reports.

    Args:
        title: of it.
        said: below the title, as HTML.
        sections: what it shows.
        script: a program of the page, where it is served; a file has none.
        attributes: of the body, as HTML.
        more: at the end, as HTML.

    Returns:
        A complete document; the largest pictures are left out, and that is said, where it would be
        too large.
    """
    body = sections_html(sections)
    while len(body.encode(errors="replace")) > MOST_BYTES - 50_000:
        lighter = _lighter(sections)
        if lighter is None:
            break
        sections = lighter
        body = sections_html(sections)
    fields = {"state": said, "body": body, "footer": _footer(), "more": more,
              "attributes": attributes}  # fmt: skip
    return page_of(_template(), title, style_sheet(), script, fields, asks=bool(script))


def _lighter(sections: list[Section]) -> list[Section] | None:
    """The sections without their largest block; None if only small ones are left."""
    sizes = {
        (i, j): len(block_html(block))
        for i, section in enumerate(sections)
        for j, block in enumerate(section.blocks)
    }
    i, j = max(sizes, key=sizes.__getitem__)
    if sizes[i, j] < 5_000:
        return None
    what = "These pictures are" if isinstance(sections[i].blocks[j], Gallery) else "This is"
    note = Text((f"{what} left out: the page would be too large.",), quiet=True)
    blocks = (*sections[i].blocks[:j], note, *sections[i].blocks[j + 1 :])
    return [*sections[:i], dataclasses.replace(sections[i], blocks=blocks), *sections[i + 1 :]]


@functools.cache
def style_sheet() -> str:
    """Colours, page and charts."""
    return "\n".join([THEME, _own("page.css"), asset("charts.css")])


@functools.cache
def _own(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


def _template() -> str:
    return _own("page.html")


def _footer() -> str:
    from .. import __version__

    return f"Written by chainrule {html.escape(__version__)}. Nothing in this page is fetched."

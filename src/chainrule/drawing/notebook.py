"""Blocks as pieces of HTML for notebooks, with their own style sheet, harmless to all around."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence

from .blocks import Block
from .chart import Chart
from .html import block_html
from .page import THEME, asset


def fragment(title: str, blocks: Sequence[Block]) -> str:
    """A piece of HTML for ``_repr_html_``.

    Example:
        >>> from chainrule.drawing.blocks import Text
        >>> fragment("a < b", [Text(("one",))]).endswith("<h3>a &lt; b</h3><p>one</p></div>")
        True
    """
    parts = []
    group: list[str] = []
    for block in [*blocks, None]:
        if isinstance(block, Chart):
            group.append(block_html(block))
            continue
        parts += [f'<div class="charts">{"".join(group)}</div>'] if group else []
        group = []
        parts += [block_html(block)] if block is not None else []
    heading = f"<h3>{html.escape(title)}</h3>"
    return f'<div class="chainrule">{_style()}{heading}{"".join(parts)}</div>'


@functools.cache
def _style() -> str:
    theme = THEME
    for name in (':root:not([data-theme="light"])', ':root[data-theme="dark"]', ":root"):
        theme = theme.replace(name, ".chainrule")
    # The other theme of a page is chosen by its switch, which a notebook has not.
    theme = theme[: theme.rindex(".chainrule {")]
    ground = ".chainrule { background: var(--card); padding: .6rem .8rem; border-radius: .4rem; }"
    return f"<style>{theme}{asset('charts.css')}{ground}</style>"

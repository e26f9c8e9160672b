"""The four steps of backpropagation, with every number: `explain`."""

from __future__ import annotations

from .explain import explain
from .explanation import RENDERERS, Explanation
from .html import to_html
from .latex import to_latex
from .markdown import to_markdown
from .text import to_text

RENDERERS.update(html=to_html, latex=to_latex, markdown=to_markdown, text=to_text)

__all__ = ["Explanation", "explain"]

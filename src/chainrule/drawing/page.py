"""Pages that need nothing but a browser: one file, nothing fetched, nothing of the user's runs.

The content security policy of a page allows the style sheet and the script that are in it, by their
hashes, and nothing else, so that no name of a column or layer can ever become a program.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import importlib.resources
import json
import re
from collections.abc import Mapping
from typing import Any


@functools.cache
def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


#: The colours, in the light and in the dark.
THEME = asset("theme.css")


def page_of(
    template: str, title: str, style: str, script: str = "",
    fields: Mapping[str, str] | None = None, asks: bool = False, compiles: bool = False,
) -> str:  # fmt: skip
    """A template with style sheet and script in it, and the policy that allows them alone.

    Args:
        template: with ``{{policy}}``, ``{{title}}``, ``{{style}}``, ``{{script}}`` and others.
        title: as it is; it is escaped here.
        style: the style sheet.
        script: the program; "" for none.
        fields: of the template, as HTML.
        asks: whether the script may ask the server that the page is from.
        compiles: whether the script may compile WebAssembly; that allows no other script.

    Example:
        >>> page_of("<title>{{title}}</title>{{body}}", "a < b", "", fields={"body": "{{title}}"})
        '<title>a &lt; b</title>{{title}}'
    """
    allowed = f"script-src {_hash(script)}" if script else "script-src 'none'"
    if compiles:
        allowed += " 'wasm-unsafe-eval'"
    if asks:
        allowed += "; connect-src 'self'"
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}; {allowed}"
    )
    found = {"policy": policy, "title": html.escape(title), "style": style, "script": script,
             **(fields or {})}  # fmt: skip
    # One pass: what is put in is not searched for further fields.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: found[match[1]], template)


@functools.lru_cache(maxsize=16)
def _hash(text: str) -> str:
    """How a content security policy names a script or style sheet within the page."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def embedded(data: Any) -> str:
    """JSON that can stand in a script element: without "<" no tag can begin or end in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")

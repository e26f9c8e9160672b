"""Writes an explanation as one self-contained page.

The page is data and a viewer. The data are `Explanation.to_json`; the viewer is plain HTML, CSS and
JavaScript beside this file. Nothing is fetched from anywhere: the page's content security policy
allows the one script and the one style sheet that are in it, by their hashes, and nothing else, so
that no name of a column or layer can ever become a program.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

from ...drawing.page import THEME, embedded, page_of
from ..explanation import Explanation
from .arithmetic import elementwise_script

#: The viewer's parts in the order in which they need each other, after the arithmetic.
SCRIPTS = (
    "numbers.js",
    "live.js",
    "elements.js",
    "chains.js",
    "equations.js",
    "pictures.js",
    "network.js",
    "chosen.js",
    "sliders.js",
    "overview.js",
    "words.js",
    "steps.js",
    "page.js",
)


def to_html(explanation: Explanation, digits: int = 6) -> str:
    """The explanation as one HTML page.

    Args:
        explanation: what `chainrule.explain` found.
        digits: significant digits of the equations; the data in the page have all digits.

    Returns:
        A complete document, to be saved with the encoding UTF-8 or shown in a frame.
    """
    return page(explanation.to_json(), digits)


def page(data: dict[str, Any], digits: int = 6) -> str:
    """The page for an explanation that is JSON data already."""
    data = {**data, "nodes": [_without_contributions(node) for node in data["nodes"]]}
    data["digits"] = digits
    style = f"{THEME}\n{_asset('page.css')}"
    fields = {"data": embedded(data)}
    return page_of(_asset("page.html"), data["title"], style, _script(), fields)


@functools.cache
def _asset(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


def _script() -> str:
    return "\n".join([arithmetic_script(), *map(_asset, SCRIPTS)])


def arithmetic_script() -> str:
    """What runs graphs in the page: `Graphs` of ``evaluate.js``, and all that it needs."""
    return "\n".join([_asset("special.js"), elementwise_script(), _asset("evaluate.js")])


def _without_contributions(node: dict[str, Any]) -> dict[str, Any]:
    """A node whose contributions are summarised by RMS and histogram, as the page shows them.

    A single contribution is the gradient itself; all of them in full would double the page of a
    recurrent network.
    """
    contributions = [
        {
            **one,
            "value": {**one["value"], "data": None},
            "local": one["local"] and {**one["local"], "data": None},
        }
        for one in node["contributions"]
    ]
    return {**node, "contributions": contributions}

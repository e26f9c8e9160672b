"""Writes an explanation as one self-contained page.

The page is data and a viewer. The data are `Explanation.to_json`; the viewer is plain HTML, CSS and
JavaScript beside this file. Nothing is fetched from anywhere: the page's content security policy
allows the one script and the one style sheet that are in it, by their hashes, and nothing else, so
that no name of a column or layer can ever become a program.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import re
from typing import Any

from ...drawing.page import THEME, embedded, page_of
from ..explanation import Explanation
from ..mistakes import Arithmetic
from .arithmetic import elementwise_script
from .fitting import fitted, summary

#: The viewer's parts in the order in which they need each other, after the arithmetic.
SCRIPTS = (
    "numbers.js",
    "live.js",
    "elements.js",
    "chains.js",
    "predict.js",
    "equations.js",
    "charts.js",
    "cell.js",
    "pictures.js",
    "network.js",
    "chosen.js",
    "sliders.js",
    "plane.js",
    "overview.js",
    "words.js",
    "symbols.js",
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
    return page({**explanation.to_json(), "slips": slips(explanation)}, digits)


#: Explanations with more equations have no named slips in their page.
_MAX_EQUATIONS = 200


def slips(explanation: Explanation) -> dict[str, Any]:
    """For each number of a small network what the usual slips give: see `explain.mistakes`.

    Returns:
        ``sentences``, and ``of``: by "of symbol index" a list of [wrong number, sentence], and
        ``room``: how far an answer may be off, where that is not the usual part of the number.
    """
    arithmetic = Arithmetic(explanation)
    found: dict[str, Any] = {"sentences": [], "of": {}, "room": {}}
    is_small = 0 < len(arithmetic.equations) <= _MAX_EQUATIONS and arithmetic.is_whole
    if not is_small or not math.isfinite(explanation.loss):
        return found
    places: dict[str, int] = {}
    for key in arithmetic.equations:
        name = " ".join(map(str, key))
        made = [
            [one.value, places.setdefault(one.sentence, len(places))]
            for one in arithmetic.mistakes(key)
            if math.isfinite(one.value)
        ]
        room = arithmetic.room(key)
        found["of"] |= {name: made} if made else {}
        found["room"] |= {} if room is None else {name: room}
    found["sentences"] = list(places)
    return found


def page(data: dict[str, Any], digits: int = 6) -> str:
    """The page for an explanation that is JSON data already."""
    data = {**page_data(data), "digits": digits}
    style = f"{THEME}\n{_asset('page.css')}"
    fields = {"data": embedded(fitted(data, packed))}
    return page_of(_asset("page.html"), data["title"], style, _script(), fields)


def page_data(data: dict[str, Any]) -> dict[str, Any]:
    """Of the data what a page shows."""
    update = data["update"]
    return {
        **data,
        "nodes": [_without_contributions(node) for node in data["nodes"]],
        "update": {**update, "parameters": [_shown(one) for one in update["parameters"]]},
    }


#: Of the optimizer's state the page shows what its equations say; sliders have it in the graph.
_HIDDEN = ("before", "after", "gradient")


def _shown(parameter: dict[str, Any]) -> dict[str, Any]:
    kept = {key: one for key, one in parameter.items() if key not in _HIDDEN}
    return {**kept, "change": summary(kept["change"])}


@functools.cache
def _asset(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")


@functools.cache
def _script() -> str:
    return compact("\n".join([arithmetic_script(), *map(_asset, SCRIPTS)]))


def compact(script: str) -> str:
    """A script without comments on lines of their own and without indentation: a third less."""
    text = re.sub(r"^[ \t]*/\*.*?\*/[ \t]*\n", "", script, flags=re.DOTALL | re.MULTILINE)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def viewer_script(*names: str) -> str:
    """Parts of the viewer by their names, for other pages."""
    return "\n".join(map(_asset, names))


def arithmetic_script() -> str:
    """What runs graphs in the page: `Graphs` of ``evaluate.js``, and all that it needs."""
    return "\n".join([_asset("special.js"), elementwise_script(), _asset("evaluate.js")])


#: How the page's script finds what was packed.
_QUANTITY, _CALL, _VALUES = "=q", "=c", "=v"


def packed(data: Any) -> Any:
    """The same data with quantities and calls as lists: most of a page would be their field names.

    Of arrays whose numbers are all there only these are written; the page computes the summary.

    Example:
        >>> packed({"kind": "call", "op": "exp", "arguments": []})
        {'=c': ['exp']}
    """
    if isinstance(data, list):
        return [packed(one) for one in data]
    if not isinstance(data, dict):
        return data
    if data.get("kind") == "quantity" and "of" in data:
        fields = [data[key] for key in ("symbol", "place", "value", "of", "node", "index")]
        return {_QUANTITY: fields}
    if data.get("kind") == "call" and "arguments" in data:
        return {_CALL: [data["op"], *map(packed, data["arguments"])]}
    if "histogram" in data and data.get("data") is not None:
        return {_VALUES: [data["shape"], data["dtype"], data["data"]]}
    return {key: packed(one) for key, one in data.items()}


def _without_contributions(node: dict[str, Any]) -> dict[str, Any]:
    """A node whose contributions are summarised by RMS and histogram, as the page shows them.

    A single contribution is the gradient itself; all of them in full would double the page of a
    recurrent network.
    """
    contributions = [
        {**one, "value": summary(one["value"]), "local": one["local"] and summary(one["local"])}
        for one in node["contributions"]
    ]
    return {**node, "contributions": contributions}

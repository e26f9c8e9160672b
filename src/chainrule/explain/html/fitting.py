"""What of the numbers of a large step stands in its page, so that no page is too large to be sent.

Small pages hold every array in full. Large ones are compressed, and hold in full what pictures of
windows, attention and time compute with and every number that an equation names; other arrays as
the colours of their pictures, in steps of 1/127 of the largest number; and the largest ones by
their summaries.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

#: Bytes of data that a page holds: with the viewer's 200 kB it stays below 500 kB.
MOST = 290_000
#: Of a picture so many rows are drawn, as in ``pictures.js``.
_ROWS = 256


class Budget(NamedTuple):
    """How much a page holds: numbers in full, numbers as colours, and so on."""

    exact: int
    colours: int
    #: Arrays up to this size are kept in full in any case.
    small: int = 64
    #: Bytes of maps of attention.
    maps: int = 10_000_000
    has_histograms: bool = True


#: Tried in this order; the first that fits is taken.
_BUDGETS = (
    Budget(24_000, 200_000), Budget(24_000, 90_000), Budget(12_000, 50_000),
    Budget(6_000, 20_000), Budget(2_000, 5_000), Budget(0, 0),
    Budget(0, 0, 8, 100_000), Budget(0, 0, 1, 100_000, has_histograms=False),
    Budget(0, 0, 1, 0, has_histograms=False),
)  # fmt: skip
_STEPS = 127
_ALL = "chainrule explain --format json writes all of them."

COMPRESSED = "=z"

Json = dict[str, Any]


def fitted(data: Json, packed: Callable[[Any], Any]) -> Json:
    """The data of a page, packed; compressed and without what does not fit if they are large.

    Args:
        data: as `page.page_data` gives them.
        packed: writes quantities, calls and arrays shortly.

    Example:
        >>> fitted({"title": "small", "nodes": []}, lambda data: data)
        {'title': 'small', 'nodes': []}
    """
    data = _with_known(data)
    whole = packed(data)
    if len(_json(whole)) <= MOST:
        return whole
    text = _compressed(whole)
    if len(text) <= MOST:
        return {COMPRESSED: text}
    without = {
        **data,
        "graph": None,
        "graph_missing": "the page would be too large with what they need.",
    }
    for candidate in [data, without] if data["graph"] else [data]:
        for budget in _BUDGETS:
            text = _compressed(packed(_cut(candidate, budget)))
            if len(text) <= MOST:
                return {COMPRESSED: text}
    return {COMPRESSED: text}  # equations, formulas and names alone are so many


def _json(data: Any) -> bytes:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _compressed(data: Any) -> str:
    return base64.b64encode(zlib.compress(_json(data), 9)).decode()


def _cut(data: Json, budget: Budget) -> Json:
    """The data with as much of their arrays as is in the budget."""
    kept = _in_full(data["nodes"], budget.exact)
    room, rough, missing = budget.colours, 0, 0

    def values(array: Json | None, node: Json) -> Json | None:
        nonlocal room, rough, missing
        if array is None or array["data"] is None:
            return array and summary(array)
        size = len(array["data"])
        if size <= budget.small or node["id"] in kept:
            return array
        drawn = _drawn(array)
        if node["shown"] and len(array["shape"]) > 1 and drawn <= room:
            room -= drawn
            rough += 1
            return _as_colours(array)
        missing += node["shown"]
        return summary(array)

    found: dict[int, Json] = {}
    for node in sorted(data["nodes"], key=_size):  # the small ones have the room first
        cut = {kind: values(node[kind], node) for kind in ("value", "gradient")}
        found[node["id"]] = _without_repetition({**node, **cut}, budget.has_histograms)
    update = {
        **data["update"],
        "parameters": [_without_new(one, budget) for one in data["update"]["parameters"]],
    }
    nodes, without = _with_few_maps([found[node["id"]] for node in data["nodes"]], budget)
    maps = f" {without} maps of attention are left out." if without else ""
    note = (
        f"So that the page stays small, {rough} arrays are in it as the colours of their pictures, "
        f"in steps of 1/{_STEPS} of the largest number, and {missing} by their summaries alone; "
        f"the numbers of the equations are exact.{maps} {_ALL}"
    )
    return {
        **data,
        "nodes": nodes,
        "update": update,
        "known": data.get("known") or _known(data),
        "notes": [*data["notes"], note],
    }


def _without_repetition(node: Json, has_histograms: bool) -> Json:
    """Without what is not drawn of operations inside of others, and what stands there twice."""
    if not has_histograms:
        briefly = {kind: node[kind] and {**node[kind], "histogram": []}
                   for kind in ("value", "gradient")
                   if node[kind] is None or node[kind]["data"] is None}  # fmt: skip
        rules = [
            {**one, "local": None, "value": {**one["value"], "histogram": []}}
            for one in node["contributions"]
        ]
        node = {**node, **briefly, "contributions": rules}
    if not node["shown"]:
        briefly = {
            kind: node[kind] and {**node[kind], "norm": 0, "histogram": []}
            for kind in ("value", "gradient")
            if node[kind] is None or node[kind]["data"] is None
        }
        return {**node, **briefly, "contributions": []}
    if len(node["contributions"]) == 1:  # it is the gradient itself
        return {**node, "contributions": [{**node["contributions"][0], "value": None}]}
    return node


def _size(node: Json) -> int:
    return len(node["value"]["data"] or ())


def _in_full(nodes: list[Json], room: int) -> set[int]:
    """Nodes that pictures compute with: windows, attention, time steps, and what they look at."""
    pictured: set[int] = set()
    for node in nodes:
        view = node["view"]
        if view is not None:
            pictured |= {node["id"], *(view[key] for key in ("image", "kernel") if key in view)}
    found = set()
    for node in sorted((nodes[number] for number in pictured), key=_size):
        if (size := 2 * _size(node)) <= room:
            room -= size
            found.add(node["id"])
    return found


def _drawn(array: Json) -> int:
    columns = array["shape"][-1]
    return min(len(array["data"]), _ROWS * columns)


def _as_colours(array: Json) -> Json:
    numbers = np.array(array["data"][: _drawn(array)], dtype=float)
    finite = np.isfinite(numbers)
    scale = float(np.abs(numbers[finite]).max(initial=0.0)) or 1.0
    levels = np.where(finite, np.rint(np.where(finite, numbers, 0) / scale * _STEPS), -128)
    text = base64.b64encode(levels.astype(np.int8).tobytes()).decode()
    return {**summary(array), "colours": [float(f"{scale:.6g}"), text]}


def summary(values: Json) -> Json:
    """Without the numbers themselves, and with as many digits as are shown."""
    short = {
        key: float(f"{one:.6g}") if isinstance(one, float) else one for key, one in values.items()
    }
    return {**short, "data": None}


def _without_new(one: Json, budget: Budget) -> Json:
    new = one["new"]
    is_small = new["data"] is None or len(new["data"]) <= budget.small
    found = one if is_small else {**one, "new": summary(new)}
    if budget.has_histograms:
        return found
    return {**found, **{key: {**found[key], "histogram": []} for key in ("new", "change")}}


def _with_few_maps(nodes: list[Json], budget: Budget) -> tuple[list[Json], int]:
    """The nodes with maps of attention as far as there is room, and how many have none."""
    room, without = budget.maps, 0
    found: list[Json] = []
    for node in nodes:
        levels = (node["view"] or {}).get("levels", "")
        if len(levels) <= room:
            room -= len(levels)
            found.append(node)
        else:
            without += 1
            found.append({**node, "view": {**node["view"], "levels": ""}})
    return found, without


def _with_known(data: Json) -> Json:
    """With the numbers of equations, where arrays were too large for the explanation already."""
    arrays = [node[kind] for node in data["nodes"] for kind in ("value", "gradient")]
    is_whole = all(array is None or array["data"] is not None for array in arrays)
    return data if is_whole else {**data, "known": _known(data)}


def _known(data: Json) -> list[list[Any]]:
    """Of every element that an equation names: [node, index, value, gradient, new] or null."""
    new = {one["node"]: one["new"] for one in data["update"]["parameters"]}
    said: dict[tuple[int, int], dict[str, Any]] = {}
    for q in _quantities([data["nodes"], data["error"], data["update"], data["chains"]]):
        if q["node"] is not None and q["of"] in ("value", "gradient", "new"):
            said.setdefault((q["node"], q["index"]), {})[q["of"]] = q["value"]

    def row(number: int, index: int, own: dict[str, Any]) -> list[Any]:
        node = data["nodes"][number]
        arrays = {"value": node["value"], "gradient": node["gradient"], "new": new.get(number)}
        return [number, index] + [
            own.get(of) if array is None or array["data"] is None else array["data"][index]
            for of, array in arrays.items()
        ]

    return [row(*place, own) for place, own in sorted(said.items())]


def _quantities(data: Any) -> Iterator[Json]:
    if isinstance(data, dict):
        if data.get("kind") == "quantity" and "of" in data:
            yield data
            return
        parts: Iterable[Any] = (one for key, one in data.items() if key != "data")
    elif isinstance(data, list | tuple):
        parts = data
    else:
        return
    for one in parts:
        yield from _quantities(one)

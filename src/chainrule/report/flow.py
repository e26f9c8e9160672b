"""How gradients flow: their size by layer and time, as heat maps, where they were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..drawing.blocks import Block, Section, Text, section
from ..drawing.chart import Axis, Cells, Chart, numbers
from .content import RunContent, mapping

#: So many parameters have a row.
_ROWS = 40


def flow(content: RunContent) -> list[Section | None]:
    """Gradients and updates over layers and time; units that never fire."""
    measured = content.stored.measured
    moments = [mapping(each) for each in measured.get("measurements") or ()]
    moments = [each for each in moments if mapping(each.get("gradient"))]
    if not moments:
        return []
    sizes = mapping(measured.get("sizes"))
    names = list(dict.fromkeys(name for each in moments for name in mapping(each["gradient"])))
    kept = _matrices(names)[:_ROWS]
    when = tuple(_written(each) for each in moments)
    more = len(names) - len(kept)
    rest = f" {more:,} other parameters, such as biases, have no row." if more > 0 else ""
    note = (
        "Each row is a parameter, from the input (top) to the output, each column a moment of the "
        "training; colours are logarithmic. A gradient that fades towards the top vanishes: the "
        "first layers hardly learn. An update of about a thousandth of its weight is usual; far "
        f"more is unstable, far less is idle.{rest}"
    )
    charts: list[Block | None] = [
        _chart("gradient_flow", "Gradient: root mean square", kept, when, moments,
               lambda each, name: _mean_square(each, "gradient", name, sizes)),
        _chart("update_ratio", "Update, in parts of the weight", kept, when, moments, _ratio),
        _dead(moments, when),
    ]  # fmt: skip
    return [section("flow", "How gradients flow", Text((note,), quiet=True), *charts)]


def _matrices(names: Sequence[str]) -> list[str]:
    """Weights, without what each unit has besides, if there are any."""
    weights = [name for name in names if not name.rpartition(".")[2].startswith(("bias", "beta"))]
    return weights or list(names)


def _written(moment: Mapping[str, Any]) -> str:
    return f"step {int(moment.get('step') or 0):,}"


def _mean_square(
    moment: Mapping[str, Any], what: str, name: str, sizes: Mapping[str, Any]
) -> float | None:
    norm, size = mapping(moment.get(what)).get(name), sizes.get(name)
    return None if norm is None else norm / math.sqrt(size or 1)


def _ratio(moment: Mapping[str, Any], name: str) -> float | None:
    update, weight = (mapping(moment.get(what)).get(name) for what in ("update", "weight"))
    return update / weight if update is not None and weight else None


def _chart(
    name: str,
    title: str,
    rows: Sequence[str],
    when: tuple[str, ...],
    moments: Sequence[Mapping[str, Any]],
    value: Callable[[Mapping[str, Any], str], float | None],
    log: bool = True,
) -> Chart | None:
    values = tuple(numbers(value(each, row) for each in moments) for row in rows)
    known = [v for row in values for v in row if v is not None and (v > 0 or not log)]
    if not known:
        return None
    said = f"From {min(known):.2g} to {max(known):.2g}."
    return Chart(name, title, Axis(categories=when), Axis(categories=tuple(rows)),
                 (Cells(title, values, log=log, low=None if log else 0.0),), said)  # fmt: skip


def _dead(moments: Sequence[Mapping[str, Any]], when: tuple[str, ...]) -> Chart | None:
    """The fraction of units that are 0 for every row, of activations that have such."""
    layers = dict.fromkeys(name for each in moments for name in mapping(each.get("activations")))

    def dead(moment: Mapping[str, Any], name: str) -> float | None:
        value = mapping(mapping(moment.get("activations")).get(name)).get("dead")
        return None if value is None else float(value)

    kept = [name for name in layers if any((dead(each, name) or 0) > 0 for each in moments)]
    if not kept:
        return None
    return _chart("dead_units", "Fraction of units that never fire", kept[:_ROWS], when, moments,
                  dead, log=False)  # fmt: skip

"""What a network of a table looks at: permutation importance and partial dependence.

    importance of a column = score on the test rows - score with its cells shuffled
    dependence at v        = mean prediction over the rows, with v in the column of each

(Breiman, "Random forests", 2001, section 10; Friedman, "Greedy function approximation", 2001,
section 8.2.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import Column, Encoded, Schema
from ...data.schema import Target
from ...drawing.blocks import Block, Section, Table, Text, section
from ...drawing.chart import Axis, Bars, Chart, Line, Numbers, numbers
from ...drawing.scales import short, told
from ...utils.typing import Array
from ..evaluation import row_errors
from ..evaluation_charts import frequencies, histogram
from ..tested import Tested
from . import targets

#: So many test rows, and so many predictions in all, tell how important a column is.
_ROWS, _PREDICTIONS = 1000, 150_000
_REPEATS = 5
#: A program for so many rows is built where that of the test set would run more often than this;
#: the features of so many rows are computed at once: more take memory.
_PIECE, _MOST_PIECES, _BLOCK = 2048, 1000, 4096
#: So many columns are shown; of so many the dependence.
_SHOWN, _DEPENDENCE = 20, 6
_GRID, _CATEGORIES, _AVERAGED = 20, 12, 200
_MOST_CURVES = 4
#: A profile draws so many columns, and lists so many.
_DRAWN, _LISTED = 12, 60


def inside(plan: Any, tested: Tested) -> list[Section]:
    """Which columns matter, and how the prediction depends on them."""
    schema: Schema = tested.schema
    rows = tested.part.encoded(schema)
    if len(rows) < 2 or not schema.columns:
        return []
    found = Importance.of(plan, tested, rows)
    dependence = _dependence(plan, tested, rows, found.order[:_DEPENDENCE])
    what = "mean prediction" if not schema.targets[0].classes else "mean probability"
    said = Text(
        (
            f"The {what} over {min(len(rows), _AVERAGED):,} test rows, if all of them had this "
            "value in the column. The band holds the middle 80 % of the rows, as far as they move "
            "from their mean. Where columns depend on each other, some of these rows cannot exist.",
        ),
        quiet=True,
    )
    sections = [
        section("importance", "Which columns matter", *found.blocks()),
        section("dependence", "How the prediction depends on them", said, *dependence)
        if dependence
        else None,
    ]
    return [each for each in sections if each is not None]


# ---- importance ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Importance:
    """How much worse predictions become when a column is shuffled.

    Attributes:
        columns: of the table.
        mean: of each.
        deviation: over the repetitions.
        metric: what becomes worse, in words.
        rows: how many were used.
        repeats: how often each column was shuffled.
    """

    columns: tuple[Column, ...]
    mean: Array
    deviation: Array
    metric: str
    rows: int
    repeats: int

    @property
    def order(self) -> list[Column]:
        """The columns, the most important first."""
        return [self.columns[i] for i in np.argsort(-self.mean, kind="stable")]

    @staticmethod
    def of(plan: Any, tested: Tested, rows: Encoded) -> Importance:
        """Shuffle each column by itself; the draws follow from the seed."""
        schema: Schema = tested.schema
        draw = np.random.default_rng(plan.options.seed)
        if len(rows) > _ROWS:
            rows = rows.take(np.sort(draw.choice(len(rows), _ROWS, replace=False)))
        columns = schema.columns
        most = max(2 * _PREDICTIONS // len(columns), 50)
        if len(rows) > most:
            rows = rows.take(np.linspace(0, len(rows) - 1, most).astype(int))
        repeats = max(min(_PREDICTIONS // (len(rows) * len(columns)), _REPEATS), 1)
        score = _scorer(plan, tested, rows)
        before = score([rows])[0]
        at_once = max(_BLOCK // (len(rows) * repeats), 1)
        drops = np.zeros((len(columns), repeats))
        for start in range(0, len(columns), at_once):
            group = columns[start : start + at_once]
            copies = [_shuffled(schema, column, rows, draw.permutation(len(rows)))
                      for column in group for _ in range(repeats)]  # fmt: skip
            found = before - score(copies)
            drops[start : start + at_once] = found.reshape(len(group), repeats)
        metric = "R²" if schema.targets[0].task == "regression" else "accuracy of probabilities"
        return Importance(
            columns, drops.mean(axis=1), drops.std(axis=1), metric, len(rows), repeats
        )

    def blocks(self) -> list[Block]:
        """Bars, the longest first."""
        shown = np.argsort(-self.mean, kind="stable")[:_SHOWN]
        names = tuple(self.columns[i].name for i in shown)
        times = "once" if self.repeats == 1 else f"{self.repeats} times"
        unit = "R²" if self.metric == "R²" else "log loss"
        change = f"{'fall of R²' if unit == 'R²' else 'rise of the log loss'}"
        more = len(self.columns) - len(shown)
        rest = f" {more:,} less important columns are not shown." if more else ""
        chart = Chart(
            "importance", "Permutation importance",
            Axis(f"{change} when the column is shuffled"), Axis(categories=names),
            (Bars(change, numbers(self.mean[shown]), numbers(self.deviation[shown])),),
            f"Each column of {self.rows:,} test rows was shuffled {times}; the whiskers are the "
            f"standard deviation.{rest}",
        )  # fmt: skip
        said = (
            "What the network loses when it cannot see a column. Columns that say the same share "
            "their importance: each may seem to matter little, as the other one is still there."
        )
        return [Text((said,), quiet=True), chart]


def _scorer(plan: Any, tested: Tested, rows: Encoded) -> Callable[[Sequence[Encoded]], Array]:
    """From copies of the rows, which may be changed, to a score of each copy."""
    schema, given = tested.schema, rows.target
    assert given is not None

    def score(copies: Sequence[Encoded]) -> Array:
        predicted = _predict(plan, tested, _joined(copies))
        parts = targets.predicted_of(schema.targets, predicted)
        found = np.zeros(len(copies))
        for i, (target, part) in enumerate(zip(schema.targets, parts, strict=True)):
            own = given.reshape(len(given), -1)[:, i]
            known = ~np.isnan(own.astype(float))
            pieces = part.reshape(len(copies), len(given), *part.shape[1:])
            found += [_goodness(target, own[known], piece[known]) for piece in pieces]
        return found / len(schema.targets)

    return score


def _joined(copies: Sequence[Encoded]) -> Encoded:
    """Copies of rows, one after another."""
    first = copies[0]
    if len(copies) == 1:
        return first
    fields = ("numeric", "category", "date", "text", "image")
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(copy, name) for copy in copies]) for name in fields
    }
    whole = first.take(np.tile(np.arange(len(first)), len(copies)))
    return dataclasses.replace(whole, **arrays)


def _goodness(target: Target, own: Array, predicted: Array) -> float:
    """R², or minus the log loss."""
    if target.classes:
        p = predicted[np.arange(len(own)), own.astype(int)]
        return float(np.log(np.maximum(p, 1e-15)).mean())
    errors = row_errors("regression", own, predicted)
    assert errors is not None
    return 1 - float(errors.mean()) / (float(own.var()) or 1.0)


def _predict(plan: Any, tested: Tested, rows: Encoded) -> Array:
    """In pieces of as many rows as the test set, for which there is a program already."""
    size = min(len(tested.part), _PIECE)
    if len(rows) > _MOST_PIECES * size:  # another program costs less than so many small pieces
        size = _PIECE
    found = []
    for begin in range(0, len(rows), _BLOCK):
        several = rows.take(np.arange(begin, min(begin + _BLOCK, len(rows))))
        features = plan.features(tested.learner, several)
        found.append(tested.trainer.predict(features, at_once=size))
    return np.concatenate(found)


def _place(schema: Schema, column: Column) -> tuple[str, slice]:
    """Where a column lies in encoded rows: the array, and which of its columns."""
    for field, columns in (("numeric", schema.numeric), ("category", schema.category),
                           ("date", schema.date), ("image", schema.image)):  # fmt: skip
        if column in columns:
            at = columns.index(column)
            return field, slice(at, at + 1)
    before = schema.text[: schema.text.index(column)]
    start = sum(each.longest for each in before)
    return "text", slice(start, start + column.longest)


def _shuffled(schema: Schema, column: Column, rows: Encoded, order: Array) -> Encoded:
    """The rows with a column in another order."""
    field, place = _place(schema, column)
    array = getattr(rows, field).copy()
    array[:, place] = array[order, place]
    return dataclasses.replace(rows, **{field: array})


# ---- dependence ----------------------------------------------------------------------------------


def _dependence(plan: Any, tested: Tested, rows: Encoded, columns: Sequence[Column]) -> list[Block]:
    rows = rows.take(np.arange(0, len(rows), -(-len(rows) // _AVERAGED)))
    found: list[Block] = []
    for column in columns:
        if column.kind not in ("text", "image"):
            found += [chart for chart in [_dependence_of(plan, tested, rows, column)] if chart]
    return found


def _dependence_of(plan: Any, tested: Tested, rows: Encoded, column: Column) -> Chart | None:
    schema = tested.schema
    values, names = _grid(column, rows, schema)
    if len(values) < 2:
        return None
    field, place = _place(schema, column)
    copies = rows.take(np.tile(np.arange(len(rows)), len(values)))
    array = getattr(copies, field).copy()
    array[:, place] = np.repeat(values, len(rows))[:, None].astype(array.dtype)
    predicted = _predict(plan, tested, dataclasses.replace(copies, **{field: array}))
    lines = []
    several = len(schema.targets) > 1
    parts = targets.predicted_of(schema.targets, predicted)
    for target, part in zip(schema.targets, parts, strict=True):
        curves = part.reshape(len(values), len(rows), -1)
        lines += _curves(target, curves, values, several)
    name = f"dependence_{column.name}"
    label = schema.targets[0].name if not several else "prediction"
    classes = schema.targets[0].classes
    axis = Axis(f"probability of {classes[1]}" if len(classes) == 2 and not several
                else "probability" if classes and not several else label)  # fmt: skip
    if names:
        bars = tuple(Bars(line.label, line.y, series=i) for i, line in enumerate(lines[:3]))
        return Chart(name, column.name, axis, Axis(column.name, categories=names), bars)
    scale = "time" if column.kind == "date" else _log_scale(column, values)
    return Chart(name, column.name, Axis(column.name, scale), axis, tuple(lines))


def _curves(target: Target, curves: Array, values: Array, several: bool) -> list[Line]:
    """(values, rows, outputs) → a line of the mean of each output that is shown."""
    of = f"{target.name}: " if several else ""
    if not target.classes:
        shown = [(0, f"{of}prediction" if not several else target.name)]
    elif len(target.classes) == 2:
        shown = [(1, f"{of}{target.classes[1]}")]
    else:
        moving = np.argsort(-np.ptp(curves.mean(axis=1), axis=0), kind="stable")[:_MOST_CURVES]
        shown = [(int(i), f"{of}{target.classes[i]}") for i in sorted(moving)]
    lines = []
    for i, label in shown:
        own = curves[:, :, i].astype(float)
        mean = own.mean(axis=1)
        centered = own - own.mean(axis=0) + mean.mean()
        low, high = np.quantile(centered, [0.1, 0.9], axis=1)
        if target.classes:
            low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
        band: tuple[Numbers, Numbers] = (), ()
        if len(shown) == 1:
            band = numbers(np.minimum(low, mean)), numbers(np.maximum(high, mean))
        lines.append(Line(label, numbers(values), numbers(mean), *band))
    return lines


def _log_scale(column: Column, values: Array) -> str:
    return "log" if values.min() > 0 and values.max() > 1000 * values.min() else "linear"


def _grid(column: Column, rows: Encoded, schema: Schema) -> tuple[Array, tuple[str, ...]]:
    """The values that a column is set to, and their names if they are categories."""
    if column.kind == "category":
        count = min(len(column.vocabulary), _CATEGORIES)
        return np.arange(1, count + 1), column.vocabulary[:count]
    if column.kind == "boolean":
        return np.array([0.0, 1.0]), ("no", "yes")
    field, place = _place(schema, column)
    own = getattr(rows, field)[:, place].ravel()
    own = own[np.isfinite(own)]
    if not len(own):
        return own, ()
    distinct = np.unique(own)
    if len(distinct) <= _GRID:
        return distinct, ()
    return np.unique(np.quantile(own, np.linspace(0.01, 0.99, _GRID))), ()


# ---- the data ------------------------------------------------------------------------------------


def profile(schema: Schema, rows: Encoded | None, counts: str) -> list[Section]:
    """What the table holds: its target, its columns, what is left out and why.

    Args:
        schema: fitted on the training rows.
        rows: of the training, for the pictures; without them there are none.
        counts: how many rows there are, in words.
    """
    blocks: list[Block | None] = [Text((counts,))]
    if rows is not None:
        blocks += [_target_chart(target, i, rows) for i, target in enumerate(schema.targets)]
    blocks.append(_columns_table(schema))
    left_out = [(each.name, f"{each.kind}: {each.reason}") for each in schema.dropped[:_LISTED]]
    if left_out:
        blocks.append(Table(("column", "why it is left out"), tuple(left_out), "Left out"))
    if rows is not None:
        drawn = [_column_chart(schema, column, rows) for column in schema.columns[:_DRAWN]]
        blocks += [chart for chart in drawn if chart]
        if len(schema.columns) > _DRAWN:
            more = f"Drawn are the first {_DRAWN} of {len(schema.columns):,} columns."
            blocks.append(Text((more,), quiet=True))
    if schema.notes:
        blocks.append(Text(tuple(schema.notes)))
    found = section("data", "The data", *blocks)
    return [] if found is None else [found]


def _target_chart(target: Target, number: int, rows: Encoded) -> Chart | None:
    if rows.target is None or not len(rows):
        return None
    own = rows.target.reshape(len(rows), -1)[:, number].astype(float)
    title = f"The target: {target.name}"
    if not target.classes:
        return histogram(f"target_{target.name}", title, own, "training rows")
    known = own[~np.isnan(own)].astype(int)
    counts = np.bincount(known, minlength=len(target.classes))
    order = np.argsort(-counts, kind="stable")
    return frequencies(
        f"target_{target.name}", title, [target.classes[i] for i in order],
        counts[order].tolist(), "training rows",
    )  # fmt: skip


def _columns_table(schema: Schema) -> Table | None:
    rows = []
    for column in schema.columns[:_LISTED]:
        known = column.statistics
        if known is None:
            continue
        axis = Axis(scale="time" if column.kind == "date" else "linear")
        is_number = column.kind in ("numeric", "boolean", "date")
        middle = [told(getattr(known, name), axis) if is_number and known.count else ""
                  for name in ("minimum", "median", "mean", "maximum")]  # fmt: skip
        deviation = short(known.std) if is_number and column.kind != "date" else ""
        total = known.count + known.missing
        missing = f"{known.missing / total:.1%}" if known.missing and total else "0"
        rows.append((column.name, column.kind, missing, f"{known.distinct:,}", *middle, deviation))
    if not rows:
        return None
    more = len(schema.columns) - len(rows)
    rest = f"; {more:,} more are not listed" if more else ""
    heads = ("column", "kind", "#missing", "#distinct", "#smallest", "#median", "#mean",
             "#largest", "#std. dev.")  # fmt: skip
    return Table(heads, tuple(rows), f"Columns, in the training rows{rest}")


def _column_chart(schema: Schema, column: Column, rows: Encoded) -> Chart | None:
    name = f"column_{column.name}"
    if column.kind in ("text", "image"):
        return None
    field, place = _place(schema, column)
    own = getattr(rows, field)[:, place].ravel()
    if column.kind == "category":
        counts = np.bincount(own, minlength=len(column.vocabulary) + 1)[1:][:5]
        return frequencies(name, column.name, list(column.vocabulary[:5]), counts.tolist(),
                           "rows", "small")  # fmt: skip
    if not np.isfinite(own).any():
        return None
    chart = histogram(name, column.name, own, "rows", "small")
    if column.kind == "date":
        chart = dataclasses.replace(chart, x=Axis(scale="time"))
    return chart


# ---- rows ----------------------------------------------------------------------------------------


def rows_as_they_are(
    picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]], most: int = 8
) -> Table:
    """Test rows with their cells, beside what is right and what was predicted."""
    columns = picked[0][0].schema.columns[:most]
    names = [column.name for column in columns]
    heads = [f"#{c.name}" if c.kind in ("numeric", "boolean") else c.name for c in columns]
    right = "#" * (not picked[0][0].schema.targets[0].classes)
    rows = []
    for (tested, row), (true, predicted) in zip(picked, said, strict=True):
        rows.append((true, predicted, *_cells(tested, row, names)))
    more = len(picked[0][0].schema.columns) - len(names)
    caption = "Rows with the largest errors" + (f"; {more:,} more columns" if more else "")
    return Table((f"{right}actual", f"{right}predicted", *heads), tuple(rows), caption)


def _cells(tested: Tested, row: int, names: Sequence[str]) -> list[str]:
    part, schema = tested.part, tested.schema
    rows = part.encoded(schema)
    if hasattr(part, "frame"):
        cells = part.frame.select(names).row(row)
        return ["" if cell is None or cell != cell else _short_cell(cell) for cell in cells]
    found = []
    for column in schema.columns[: len(names)]:
        field, place = _place(schema, column)
        value = getattr(rows, field)[row, place].ravel()[0]
        known = column.kind == "category" and 0 < value <= len(column.vocabulary)
        found.append(column.vocabulary[int(value) - 1] if known else short(float(value)))
    return found


def _short_cell(cell: Any) -> str:
    text = " ".join(str(cell).split())
    return text if len(text) <= 60 else text[:59] + "…"

"""Pictures of series and sequences for a report: the data, forecasts, errors, what matters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...drawing.blocks import Block, Section, Text, section, table
from ...drawing.chart import Axis, Bars, Chart, Line, Rule, numbers, thinned
from ...drawing.scales import told
from ...utils.typing import Array
from ..evaluation_charts import frequencies, histogram
from ..tested import Answers, Tested
from .windows import Windows

#: So many series are drawn; of several sequences so many.
_SERIES, _SEQUENCES = 3, 6
#: Forecasts over the test part are drawn from so many origins.
_ORIGINS = 6
#: So many columns of a sequence are drawn.
_COLUMNS = 4
_REPEATS = 5


# ---- forecasts -----------------------------------------------------------------------------------


def profile(plan: Any, schema: Any, split: Any) -> list[Section]:
    """The series, with where each part begins."""
    cut = split.train.cut
    axis = _time_axis(cut)
    charts: list[Block] = []
    for number, series in list(enumerate(cut.panel.series))[:_SERIES]:
        moments = cut.panel.moments(series)
        ends = [min(int(end), len(moments) - 1) for end in cut.ends[number][:2]]
        x, y = thinned(numbers(moments), numbers(series.target), most=900)
        names = ("validation begins", "test begins")
        rules = tuple(
            Rule(name, x=float(moments[end])) for name, end in zip(names, ends, strict=True)
        )
        charts.append(
            Chart(f"series_{number}", series.name or schema.names[0], axis, Axis(schema.names[0]),
                  (Line(schema.names[0], tuple(x), tuple(y)), *rules), size="wide")
        )  # fmt: skip
    more = len(cut.panel.series) - len(charts)
    values = np.concatenate([series.target for series in cut.panel.series])
    found = section(
        "data", "The data", Text((split.counts(plan.unit),)), *charts,
        Text((f"{more:,} more series are not drawn.",), quiet=True) if more > 0 else None,
        histogram(schema.names[0], f"The values of {schema.names[0]}", values, "steps"),
        table(("", ""), schema.described()),
        Text(tuple(schema.notes)) if schema.notes else None,
    )  # fmt: skip
    return [] if found is None else [found]


def _time_axis(cut: Any) -> Axis:
    """The axis of the times: dates, if the calendar is of such."""
    calendar = cut.panel.calendar
    dates = calendar is not None and calendar.unit != "numbers"
    return Axis(cut.panel.time or "step", "time" if dates else "linear")


def answers(schema: Any, part: Windows, predicted: Array) -> list[Answers]:
    """Every known step of every window as a number of its own; its window is its row."""
    found = predicted[..., 0] if predicted.ndim == 3 else predicted
    known = np.isfinite(part.target)
    window = np.broadcast_to(np.arange(len(part))[:, None], known.shape)
    return [Answers(schema.names[0], "regression", part.target[known], found[known],
                    row=window[known])]  # fmt: skip


def windows_as_they_are(picked: Sequence[tuple[Tested, int]]) -> list[Block]:
    """What came before, what was forecast, and what came; each window once."""
    charts: list[Block] = []
    seen: set[tuple[int, int]] = set()
    for tested, row in picked:
        origin = int(tested.part.origin[row]) // tested.part.cut.shape.horizon
        key = int(tested.part.item[row]), origin  # neighbours that overlap are shown once
        if key not in seen and len(charts) < _SEQUENCES:
            seen.add(key)
            charts.append(_window_chart(tested, row, len(charts)))
    return charts


def _window_chart(tested: Tested, row: int, number: int) -> Chart:
    part, schema = tested.part, tested.schema
    series, moments, origin = _place(part, row)
    horizon = part.cut.shape.horizon
    start = max(origin - max(2 * horizon, 24), 0)
    past = slice(start, origin)
    ahead = slice(origin, origin + horizon)
    name = schema.names[0]
    title = _written(part, moments[origin])
    of = f", {series.name}" if series.name else ""
    return Chart(
        f"window_{number}", f"From {title} on{of}", _time_axis(part.cut), Axis(name),
        (Line("before", numbers(moments[past]), numbers(series.target[past]), quiet=True),
         Line("what came", numbers(moments[ahead]), numbers(series.target[ahead]), series=1),
         _forecast_line(tested, row, moments[ahead])),
    )  # fmt: skip


def _written(part: Windows, moment: float) -> str:
    return told(float(moment), _time_axis(part.cut))


def _place(part: Windows, row: int) -> tuple[Any, Array, int]:
    series = part.cut.panel.series[int(part.item[row])]
    return series, part.cut.panel.moments(series), int(part.origin[row])


def _forecast_line(tested: Tested, row: int, moments: Array, label: str = "forecast") -> Line:
    """The forecast of a window, with the band between its outer quantiles if there are such."""
    found = tested.predicted[row]
    middle = found[:, 0] if found.ndim == 2 else found
    band: tuple[Any, Any] = (), ()
    if found.ndim == 2 and found.shape[1] > 2:
        band = numbers(found[:, 1]), numbers(found[:, -1])
    return Line(label, numbers(moments), numbers(middle), *band, series=0)


def inside(tested: Tested) -> list[Section]:
    """Forecasts from some origins over the test part, and how the error grows with the step."""
    part, schema = tested.part, tested.schema
    quantiles = schema.quantiles
    band = f" The band is from quantile {quantiles[0]:g} to {quantiles[-1]:g}." if len(
        quantiles) > 1 else ""  # fmt: skip
    note = Text((f"Forecasts from some origins of the test part, beside what came.{band}",),
                quiet=True)  # fmt: skip
    charts = [_course(tested, item) for item in dict.fromkeys(part.item.tolist())][:_SERIES]
    errors = _by_step(tested)
    found = section("forecasts", "Forecasts", note, *charts, *errors)
    return [] if found is None else [found]


def _course(tested: Tested, item: int) -> Chart:
    part, schema = tested.part, tested.schema
    rows = np.flatnonzero(part.item == item)
    horizon = part.cut.shape.horizon
    apart = rows[:: max(horizon, -(-len(rows) // _ORIGINS))]
    series, moments, first = _place(part, int(rows[0]))
    last = min(int(part.origin[rows[-1]]) + horizon, len(moments))
    start = max(first - max(2 * horizon, 24), 0)
    x, y = thinned(numbers(moments[start:last]), numbers(series.target[start:last]))
    lines = []
    if horizon == 1:  # single steps make a line of their own
        every = np.arange(len(rows))
        lines = [_one_step(tested, rows[every], moments)]
    else:
        for row in apart:
            origin = int(part.origin[row])
            lines.append(_forecast_line(tested, int(row), moments[origin : origin + horizon]))
    return Chart(
        f"forecast_{item}", series.name or schema.names[0], _time_axis(part.cut),
        Axis(schema.names[0]), (Line("actual", tuple(x), tuple(y), quiet=True), *lines),
        size="wide",
    )  # fmt: skip


def _one_step(tested: Tested, rows: Array, moments: Array) -> Line:
    part, found = tested.part, tested.predicted
    places = moments[part.origin[rows]]
    middle = (found[rows][:, 0, 0] if found.ndim == 3 else found[rows][:, 0]).tolist()
    columns = [numbers(places), numbers(middle)]
    if found.ndim == 3 and found.shape[2] > 2:
        columns += [numbers(found[rows][:, 0, 1]), numbers(found[rows][:, 0, -1])]
    x, y, *ends = (tuple(column) for column in thinned(columns[0], *columns[1:]))
    low, high = ends or ((), ())
    return Line("forecast of the next step", x, y, low, high, series=0)


def _by_step(tested: Tested) -> list[Block]:
    """The mean absolute error of each step ahead."""
    part = tested.part
    found = tested.predicted[..., 0] if tested.predicted.ndim == 3 else tested.predicted
    if found.shape[1] < 2:
        return []
    with np.errstate(invalid="ignore"):
        errors = np.nanmean(np.abs(found - part.target), axis=0)
        last = part.past[:, -1:, 0]
        naive = np.nanmean(np.abs(last - part.target), axis=0)
    steps = numbers(np.arange(1, len(errors) + 1))
    lines = (Line("network", steps, numbers(errors)),
             Line("the last value goes on", steps, numbers(naive), quiet=True))  # fmt: skip
    return [
        Chart("error_by_step", "Error by step", Axis("steps ahead", "integer"),
              Axis("mean absolute error"), lines)
    ]  # fmt: skip


# ---- sequences -----------------------------------------------------------------------------------


def sequences_profile(plan: Any, schema: Any, split: Any) -> list[Section]:
    """How many sequences of each class there are, how long, and the first of each class."""
    train = split.train
    counts = np.bincount(train.target, minlength=len(schema.classes))
    order = np.argsort(-counts, kind="stable")
    lengths = np.array([len(steps) for steps in train.sequences.steps], float)
    firsts = [int(np.flatnonzero(train.target == i)[0]) for i in order[:_SEQUENCES] if counts[i]]
    found = section(
        "data", "The data", Text((split.counts(plan.unit),)),
        frequencies("target", "The classes", [schema.classes[i] for i in order],
                    counts[order].tolist(), "training sequences"),
        histogram("length in steps", "How long the sequences are", lengths, "sequences"),
        *(_sequence_chart(schema, train, row, schema.classes[int(train.target[row])])
          for row in firsts),
        table(("", ""), schema.described()),
    )  # fmt: skip
    return [] if found is None else [found]


def _sequence_chart(schema: Any, part: Any, row: int, title: str) -> Chart:
    steps, name = part.sequences.steps[row], part.sequences.names[row]
    lines = []
    for i, column in enumerate(schema.names[:_COLUMNS]):
        x, y = thinned(numbers(np.arange(len(steps))), numbers(steps[:, i]))
        lines.append(Line(column, tuple(x), tuple(y)))
    more = len(schema.names) - len(lines)
    rest = f"{more:,} more columns are not drawn." if more > 0 else ""
    label = schema.names[0] if len(schema.names) == 1 else ""
    return Chart(f"sequence_{name}", f"{title}: {schema.group} {name}", Axis("step"), Axis(label),
                 tuple(lines), rest)  # fmt: skip


def sequences_as_they_are(
    picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
) -> list[Block]:
    """Sequences with the right class and the prediction."""
    return [
        _sequence_chart(tested.schema, tested.part, row, f"{true}, taken for {predicted}")
        for (tested, row), (true, predicted) in list(zip(picked, said, strict=True))[:_SEQUENCES]
    ]


def sequences_inside(plan: Any, tested: Tested) -> list[Section]:
    """How much the log loss rises when a column comes from other sequences."""
    schema, part = tested.schema, tested.part
    if len(schema.names) < 2 or len(part) < 2:
        return []
    draw = np.random.default_rng(plan.options.seed)

    def loss(predicted: Array) -> float:
        p = np.asarray(predicted)[np.arange(len(part)), part.target]
        return float(-np.log(np.maximum(p, 1e-15)).mean())

    before = loss(tested.predicted)
    rises = np.zeros((len(schema.names), _REPEATS))
    for i in range(len(schema.names)):
        for j in range(_REPEATS):
            changed = _swapped(part, i, draw.permutation(len(part)))
            found = plan.predict(schema, tested.learner, tested.trainer, changed)
            rises[i, j] = loss(found) - before
    mean, order = rises.mean(axis=1), np.argsort(-rises.mean(axis=1), kind="stable")[:20]
    names = tuple(schema.names[i] for i in order)
    change = "rise of the log loss"
    chart = Chart("importance", "Permutation importance", Axis(change), Axis(categories=names),
                  (Bars(change, numbers(mean[order]), numbers(rises.std(axis=1)[order])),),
                  f"When the column comes from other sequences, {_REPEATS} times at random; the "
                  "whiskers are the standard deviation.")  # fmt: skip
    found = section("importance", "Which columns matter", chart)
    return [] if found is None else [found]


def _swapped(part: Any, column: int, order: Array) -> Any:
    """Sequences with a column of others, cut or repeated to their length."""
    steps = []
    for own, other in zip(part.sequences.steps, order, strict=True):
        theirs = part.sequences.steps[int(other)][:, column]
        changed = own.copy()
        changed[:, column] = np.resize(theirs, len(own))
        steps.append(changed)
    return dataclasses.replace(part, sequences=dataclasses.replace(part.sequences, steps=steps))

"""Rows of a table as examples of a saved model: raw cells in, preprocessing as first nodes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Column, Encoded, Schema, read_table, source_name
from ...data.text_columns import SPECIAL
from ...engine.ops import log
from ...engine.tensor import Tensor
from ...errors import DataError
from ...losses import LOSSES
from ...optim import Optimizer
from ...serialization import SavedModel
from ...utils.typing import Array
from ..examples import Examples, RawRow, check_rows, no_target, said, shortened
from ..optimizer import make_optimizer
from ..scaling import TargetScaler
from .defaults import choose
from .features import KINDS, columns_by_kind
from .losses import LOSS_OF, table_loss
from .network import TableModel, TableNetwork, TrainedNetwork
from .targets import learned, predicted_of
from .warm_start import Previous

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]


def rows_of_table(
    saved: SavedModel, where: str, source: Any, rows: Sequence[int], say: Say
) -> Examples:
    """Rows of a table with their target, for the model that was trained on such.

    Args:
        saved: the model.
        where: its name in messages.
        source: a table with the columns of the training and the target.
        rows: which rows, counted from 0.
        say: takes notes, such as categories that were never seen.

    Raises:
        DataError: there is no such row, or it has no target.
        ModelFileError: the file does not hold the sizes of the network.
    """
    previous = Previous(saved, where)
    frame, encoded = _picked(source, previous.schema, rows, say)
    trained = previous.model()
    inputs = columns_by_kind(encoded)
    predictions = saved.predict(inputs)
    assert encoded.target is not None
    return Examples(
        inputs,
        _target(trained, encoded),
        _loss(previous, trained),
        tuple(
            dataclasses.replace(
                _raw_row(number, place, previous, frame, encoded, predictions[place]),
                moved=_moved(saved, previous, frame[place], predictions[place]),
            )
            for place, number in enumerate(rows)
        ),
        TrainedNetwork(trained.network, trained.heads),
        lambda whole: _optimizer(previous, whole.network),
        _labels(previous.schema),
        _story(previous, trained.network),
    )


def _picked(
    source: Any, schema: Schema, rows: Sequence[int], say: Say
) -> tuple[pl.DataFrame, Encoded]:
    """The rows as they stand in the table, and encoded."""
    frame = read_table(source)
    name = source_name(source)
    check_rows(rows, frame.height, name, "Rows are counted from 0, without the header.")
    picked = frame[list(rows)]
    for target in schema.targets:
        if target.name not in frame.columns:
            found = ", ".join(frame.columns[:20])
            raise no_target(name, f"a column {target.name!r}", found)
    encoded = schema.encode(picked, target=True, source=name)
    for note in encoded.notes:
        say(note)
    if len(encoded) != len(rows):
        raise DataError(
            "A row has no target: there is no error to explain.",
            where=name,
            expected=f"a known {' or '.join(repr(target.name) for target in schema.targets)}",
            found=f"row {', '.join(str(n) for i, n in enumerate(rows) if i not in encoded.rows)}",
        )
    return picked, encoded


# ---- the loss and the optimizer of the training --------------------------------------------------


def _target(model: TableModel, encoded: Encoded) -> Any:
    """What goes into the loss: of one target it is scaled there, to be seen."""
    assert encoded.target is not None
    return encoded.target if len(model.heads) == 1 else learned(model.heads, encoded.target)


def _loss(previous: Previous, model: TableModel) -> Callable[..., Tensor]:
    options, schema = previous.options, previous.schema
    assert schema.target is not None
    of_members = table_loss(schema, model.heads, options.loss, model.loss_weights)
    if schema.more_targets:
        return of_members
    name = options.loss or LOSS_OF[schema.target.task]
    scale = model.heads[0].scale

    def loss(z: Tensor, target: Tensor) -> Tensor:
        if scale is None:
            return of_members(z, target)
        y = log(target) if scale.log else target
        return of_members(z, ((y - scale.mean) / scale.std).astype("float32"))

    document = (LOSSES[name].__doc__ or "").splitlines()[0].split(";")[0].rstrip(".")
    loss.__name__ = name
    loss.__doc__ = document + _scaled(scale)
    return loss


def _scaled(scale: TargetScaler | None) -> str:
    if scale is None:
        return ""
    of = "the logarithm of the target" if scale.log else "the target"
    return f", where {of} is standardised to mean 0 and standard deviation 1 first"


def _optimizer(previous: Previous, network: TableNetwork) -> Optimizer:
    options = previous.options
    rows = int((previous.report.get("rows") or {}).get("train", 1)) or 1
    chosen = choose(options, rows)
    steps = chosen.epochs * math.ceil(rows / chosen.batch_size)
    return make_optimizer(
        dataclasses.replace(options, lr=None), network, steps, lr=previous.highest_rate,
        weight_decay=chosen.weight_decay, schedule=chosen.schedule,
    )  # fmt: skip


# ---- words ---------------------------------------------------------------------------------------


def _story(previous: Previous, network: TableNetwork) -> tuple[str, ...]:
    *most, last = [target.name for target in previous.schema.targets]
    names = f"{', '.join(most)} and {last}" if most else last
    told = [
        f"A model of {names}. The cells of the row become numbers; the first "
        "operations replace what is missing and bring all to a similar size; then comes the "
        "network."
    ]
    if previous.schema.weight is not None:
        told.append(
            f"In the training a row counted for as much as {previous.schema.weight.name} says; "
            "here all rows count alike."
        )
    if network.members > 1:
        told.append(
            f"{network.members} networks work side by side, and each is trained as if it were "
            "alone: inside of them the first place of a number says which network it belongs to, "
            "the second one which row."
        )
    return tuple(told)


def _labels(schema: Schema) -> dict[str, tuple[str, ...]]:
    return {
        f"x.{kind}": tuple(
            column.name
            for column, where in zip(columns, _places(kind, columns), strict=True)
            for _ in range(where.stop - where.start)
        )
        for kind, columns in _groups(schema).items()
    }


def _groups(schema: Schema) -> Mapping[str, Sequence[Column]]:
    return {kind: found for kind in KINDS if (found := getattr(schema, kind))}


def _places(kind: str, columns: Sequence[Column]) -> list[slice]:
    """Which columns of the arrays of a kind each column of the table has."""
    widths = [column.longest if kind == "text" else 1 for column in columns]
    ends = list(itertools.accumulate(widths, initial=0))
    return [slice(*ends[i : i + 2]) for i in range(len(widths))]


def _raw_row(
    number: int, place: int, previous: Previous, frame: pl.DataFrame, encoded: Encoded, found: Any
) -> RawRow:
    arrays = columns_by_kind(encoded)
    cells = []
    for kind, columns in _groups(previous.schema).items():
        for where, column in zip(_places(kind, columns), columns, strict=True):
            text = _cell(frame[column.name][place])
            cells.append(
                {
                    "column": column.name,
                    "text": shortened(text) if kind == "text" else text,
                    "encoded": _encoded(kind, arrays[kind][place, where]),
                    "input": f"x.{kind}[{place},{where.start}]",
                }
            )
    targets = previous.schema.targets
    aim = {
        "column": ", ".join(target.name for target in targets),
        "text": ", ".join(_cell(frame[target.name][place]) for target in targets),
    }
    parts = predicted_of(targets, found[None])
    told = [said(part[0], target.classes) for target, part in zip(targets, parts, strict=True)]
    return RawRow(number, tuple(cells), aim, ", ".join(told))


def _moved(
    saved: SavedModel, previous: Previous, row: pl.DataFrame, found: Any
) -> tuple[Mapping[str, str], ...]:
    """What the model says of a row without each of its cells, the largest change first."""
    import polars as pl

    schema = previous.schema
    columns = [c for group in _groups(schema).values() for c in group if c.name in row.columns]
    without = [row.with_columns(pl.lit(None, row[c.name].dtype).alias(c.name)) for c in columns]
    if not columns or len(schema.targets) != 1:
        return ()
    encoded = schema.encode(pl.concat(without), source="the row without a cell")
    others = saved.predict(columns_by_kind(encoded))
    (target,) = schema.targets
    ((now,),) = predicted_of([target], found[None])
    (then,) = predicted_of([target], others)
    best = int(np.argmax(now)) if target.classes else 0
    moved = []
    for column, one in zip(columns, then, strict=True):
        change = float(np.ravel(now)[best] - np.ravel(one)[best])
        written = (
            f"{change:+.1%} for {target.classes[best]}" if target.classes else f"{change:+.6g}"
        )
        text = shortened(_cell(row[column.name][0]))
        told = {"column": column.name, "text": text, "without": said(one, target.classes)}
        moved.append((abs(change), {**told, "change": written}))
    return tuple(told for _, told in sorted(moved, key=lambda pair: -pair[0]))


def _encoded(kind: str, values: Array) -> str:
    """What stands for a cell, in words."""
    if kind == "text":
        return f"{np.count_nonzero(values >= SPECIAL):,} words and pairs"
    if kind == "image":
        _, height, width, _ = values.shape
        return f"{height} × {width} pixels" if values.any() else "no picture"
    return f"number {values[0]}" if kind == "category" else f"{values[0]:.10g}"


def _cell(value: Any) -> str:
    return "(missing)" if value is None or value == "" else str(value)

"""Rows of a table, explained with a trained model: raw cells in, preprocessing as first nodes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Column, Encoded, Schema, read_table, source_name
from ..errors import DataError
from ..losses import LOSSES
from ..model_file import load
from ..nn import Module
from ..ops import log
from ..optim import OPTIMIZERS, Optimizer
from ..optim.state import nearest
from ..tables.features import columns_by_kind
from ..tables.network import ScaledTarget, TableNetwork
from ..tables.pipeline import LOSS_OF, Job, member_loss
from ..tables.previous import Previous
from ..tables.recipe import choose, make_optimizer
from ..tensor import Tensor
from ..train.keeping import load_training
from .explain import explain
from .explanation import Explanation, RawRow

if TYPE_CHECKING:
    import polars as pl

Array = np.ndarray[Any, Any]
Say = Callable[[str], None]

#: Beside the model in a run folder: the memory of the optimizer.
TRAINING = "training.safetensors"


class _Training(Module):
    """The network of a table with its preprocessing, up to what the loss takes.

    Args:
        network: trained.
        scale: of a regression's target; None for classes.
    """

    def __init__(self, network: TableNetwork, scale: ScaledTarget | None) -> None:
        self.network = network
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind → (members, rows, outputs)."""
        z: Tensor = self.network(self.network.features(inputs))
        return z


def explain_rows(
    model: str | os.PathLike[str],
    source: Any,
    rows: Sequence[int] = (0,),
    *,
    optimizer: str | None = None,
    lr: float | None = None,
    say: Say = lambda sentence: None,
    **options: Any,
) -> Explanation:
    """The four steps for rows of a table, with a model that `chainrule train` has trained.

    Args:
        model: a model file, or a run folder.
        source: a table with the columns of the training and the target.
        rows: which rows, counted from 0.
        optimizer: a name; without one the optimizer of the training, with the memory that is in
            the run folder.
        lr: the learning rate; without one the highest of the training.
        say: takes notes, such as categories that were never seen.
        options: of `explain`: ``weight``, ``notation``, ``train``, ``seed``, ``show_c``.

    Raises:
        DataError: there is no such row, or it has no target.
        ModelFileError: the model is not one of a table.
    """
    path = Path(model)
    path = path / "model.safetensors" if path.is_dir() else path
    previous = Previous(load(path), str(path))
    frame, encoded = _picked(source, previous.schema, rows, say)
    trained = previous.model()
    whole = _Training(trained.network, trained.scale)
    learner, notes = _optimizer(previous, trained.network, optimizer, lr, path.parent)
    inputs = columns_by_kind(encoded)
    told = explain(
        whole,
        inputs,
        encoded.target,
        loss=_loss(previous, trained.scale),
        optimizer=learner,
        title=f"{source_name(source)}, row {', '.join(map(str, rows))}",
        story=_story(previous, trained.network),
        labels=_labels(previous.schema),
        **{"train": False, **options},
    )
    predictions = previous.saved.predict(inputs)
    cells = [
        _raw_row(number, place, previous, frame, encoded, predictions[place])
        for place, number in enumerate(rows)
    ]
    if not options.get("train"):
        notes.append("Dropout is off, as in predictions.")
    return dataclasses.replace(told, rows=tuple(cells), notes=(*told.notes, *notes))


def _picked(
    source: Any, schema: Schema, rows: Sequence[int], say: Say
) -> tuple[pl.DataFrame, Encoded]:
    """The rows as they stand in the table, and encoded."""
    frame = read_table(source)
    name = source_name(source)
    for row in rows:
        if not 0 <= row < frame.height:
            raise DataError(
                f"There is no row {row}.",
                where=name,
                expected=f"from 0 to {frame.height - 1}",
                hint="Rows are counted from 0, without the header.",
            )
    picked = frame[list(rows)]
    assert schema.target is not None
    if schema.target.name not in frame.columns:
        raise DataError(
            "An explanation needs the target: the error is measured by it.",
            where=name,
            expected=f"a column {schema.target.name!r}",
            found=", ".join(frame.columns[:20]),
        )
    encoded = schema.encode(picked, target=True, source=name)
    for note in encoded.notes:
        say(note)
    if len(encoded) != len(rows):
        raise DataError(
            "A row has no target: there is no error to explain.",
            where=name,
            expected=f"a known {schema.target.name!r}",
            found=", ".join(map(str, set(range(len(rows))) - set(encoded.rows.tolist()))),
        )
    return picked, encoded


# ---- the loss and the optimizer of the training --------------------------------------------------


def _loss(previous: Previous, scale: ScaledTarget | None) -> Callable[..., Tensor]:
    options, schema = previous.options, previous.schema
    job = Job(options, schema, "", False, lambda sentence: None, ())
    name = options.loss or LOSS_OF[job.task]
    of_members = member_loss(name, job)

    def loss(z: Tensor, target: Tensor) -> Tensor:
        if scale is None:
            return of_members(z, target)
        y = log(target) if scale.log else target
        return of_members(z, ((y - scale.mean) / scale.std).astype("float32"))

    document = (LOSSES[name].__doc__ or "").splitlines()[0].split(";")[0].rstrip(".")
    loss.__name__ = name
    loss.__doc__ = document + _scaled(scale)
    return loss


def _scaled(scale: ScaledTarget | None) -> str:
    if scale is None:
        return ""
    of = "the logarithm of the target" if scale.log else "the target"
    return f", where {of} is brought to mean 0 and deviation 1 first"


def _optimizer(
    previous: Previous, network: TableNetwork, name: str | None, lr: float | None, folder: Path
) -> tuple[Optimizer, list[str]]:
    """The optimizer of the training, and what is to be said of it."""
    rate = previous.highest_rate if lr is None else lr
    if name is not None:
        if name not in OPTIMIZERS:
            raise nearest("optimizer", name, OPTIMIZERS)
        return OPTIMIZERS[name](network, lr=rate), []
    options = previous.options
    rows = int((previous.report.get("rows") or {}).get("train", 1)) or 1
    like = make_optimizer(options, choose(options, rows), network, rows, rate)
    given = {
        one.name: getattr(like, one.name)
        for one in dataclasses.fields(like)
        if one.init and one.name not in ("model", "lr")
    }
    optimizer = type(like)(network, lr=rate, **given)
    said = "The optimizer is that of the training; its rate is the highest of the training"
    if lr is not None:
        said = "The optimizer is that of the training, with another rate"
    if not (folder / TRAINING).is_file():
        return optimizer, [f"{said}, its memory is empty: the file does not hold it."]
    start = "optimizer."
    kept = load_training(folder / TRAINING)
    state = {k.removeprefix(start): v for k, v in kept.items() if k.startswith(start)}
    own = {k: v for k, v in state.items() if not k.startswith("schedule.")}
    optimizer.load_state(optimizer.state() | own)
    return optimizer, [f"{said}, its memory is that of the end of the training."]


# ---- words ---------------------------------------------------------------------------------------


def _story(previous: Previous, network: TableNetwork) -> tuple[str, ...]:
    assert previous.schema.target is not None
    said = [
        f"A model of {previous.schema.target.name}. The cells of the row become numbers; the first "
        "operations replace what is missing and bring all to a similar size; then comes the "
        "network."
    ]
    if network.members > 1:
        said.append(
            f"{network.members} networks work side by side, and each is trained as if it were "
            "alone: inside of them the first place of a number says which network it belongs to, "
            "the second one which row."
        )
    return tuple(said)


def _labels(schema: Schema) -> dict[str, tuple[str, ...]]:
    return {
        f"x.{kind}": tuple(column.name for column in columns)
        for kind, columns in _groups(schema).items()
    }


def _groups(schema: Schema) -> Mapping[str, Sequence[Column]]:
    return {"numeric": schema.numeric, "category": schema.category, "date": schema.date}


def _raw_row(
    number: int, place: int, previous: Previous, frame: pl.DataFrame, encoded: Encoded, found: Any
) -> RawRow:
    arrays = columns_by_kind(encoded)
    cells = []
    for kind, columns in _groups(previous.schema).items():
        for position, column in enumerate(columns):
            value = arrays[kind][place, position]
            cells.append(
                {
                    "column": column.name,
                    "text": _cell(frame[column.name][place]),
                    "encoded": f"{value:.10g}" if kind != "category" else f"number {value}",
                    "input": f"x.{kind}[{place},{position}]",
                }
            )
    target = previous.schema.target
    assert target is not None
    classes = previous.saved.classes or []
    if classes:
        best = int(np.argmax(found))
        said = f"{classes[best]} ({float(found[best]):.1%})"
    else:
        said = f"{float(found):.6g}"
    aim = {"column": target.name, "text": _cell(frame[target.name][place])}
    return RawRow(number, tuple(cells), aim, said)


def _cell(value: Any) -> str:
    return "(missing)" if value is None or value == "" else str(value)

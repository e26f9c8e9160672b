"""Series as a kind of data: forecasts, and the classes of whole sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ...errors import ModelFileError
from ...serialization import SavedModel
from ...training import Callback, Checkpoints
from .. import runner
from ..kinds.series import KIND, SeriesOptions
from ..plan import Plan
from ..result import TrainingResult
from ..update import Continuation, Old
from ..update_options import UpdateOptions
from .archive import SEQUENCE, STEP, is_archive
from .calendar import Calendar
from .forecaster import SeriesForecaster
from .forecasting import Forecasting
from .measures import season_of
from .reading import Panel, Series, read_series
from .sequences import SequenceClassification, SequencePredictor
from .update import continued_forecast, continued_sequences

__all__ = [
    "NEW",
    "Calendar",
    "Options",
    "Panel",
    "SequencePredictor",
    "Series",
    "SeriesForecaster",
    "SeriesOptions",
    "continuation",
    "predictor",
    "read_series",
    "season_of",
    "train",
]

Options, NEW = KIND.options, KIND.new
PLANS = (Forecasting, SequenceClassification)


def train(
    source: Any,
    options: SeriesOptions,
    *,
    progress: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
    on_schema: Callable[[Any], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
    checkpoints: Checkpoints | None = None,
) -> TrainingResult:
    """Learn to forecast the target, or, with ``options.group``, the class of whole sequences.

    Args:
        source: a table; see `chainrule.data.read_table`.
        options: what the user says; the rest follows from the data.
        progress: show the training.
        say: takes plain sentences about what is done and why.
        on_schema: takes what was understood of the data, before the training.
        callbacks: for the `Trainer`.
        checkpoints: where the state of the training is written, so that it can go on.

    Raises:
        DataError: the series cannot be read or learned from.
        ConfigError: an option does not fit.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> sold = np.sin(np.arange(200) * 2 * np.pi / 12)
        >>> options = cr.series.SeriesOptions(target="sold", epochs=20)
        >>> report = cr.series.train({"sold": sold}, options, progress=False).report
        >>> report["season"], report["metrics"]["mae"] < report["baselines"]["persistence"]["mae"]
        (12, True)
    """
    if is_archive(source) and options.group is None:
        options = dataclasses.replace(options, group=SEQUENCE, time=STEP)
    plan: Plan[Any, Any, Any] = (Forecasting if options.group is None else SequenceClassification)(
        options, say
    )
    return runner.train(
        plan, source, progress=progress, on_schema=on_schema, callbacks=callbacks,
        checkpoints=checkpoints,
    )  # fmt: skip


def predictor(saved: SavedModel, path: str) -> SeriesForecaster | SequencePredictor:
    """A saved model of this kind, ready for use."""
    task = saved.schema.get("task") if isinstance(saved.schema, dict) else None
    if task == "forecast":
        return SeriesForecaster(saved, path)
    if task == "sequence":
        return SequencePredictor(saved, path)
    raise ModelFileError("The model is for series, but of no known task.", where=path,
                         expected="forecast or sequence", found=f"{task!r:.40}")  # fmt: skip


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Callable[[str], None]
) -> Continuation[Any, Any]:
    """New steps or sequences as examples for a saved model; see `chainrule.tasks.update`."""
    model = predictor(old.saved, old.where)
    if isinstance(model, SeriesForecaster):
        return continued_forecast(model.schema, old, source, requested, say)
    return continued_sequences(model.schema, old, source, requested, say)

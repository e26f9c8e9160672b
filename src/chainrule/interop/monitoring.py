"""Trainings in MLflow and in Weights & Biases. Nothing is sent unless a callback is given.

The callbacks are for any `Trainer`, and for all kinds of data through ``callbacks=``. A model goes
to MLflow as its own model file, which `_load_pyfunc` reads: no pickle, so loading runs no code.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..serialization import load
from ..training.callbacks import Callback, Training
from .extras import need

if TYPE_CHECKING:
    from ..data import Column

#: Longer values are cut off: MLflow takes no longer ones.
_LONGEST = 500


def _numbers(record: Mapping[str, float]) -> dict[str, float]:
    """What can be drawn: finite numbers, without the number of the epoch."""
    return {
        name: float(value)
        for name, value in record.items()
        if name != "epoch" and math.isfinite(value)
    }


def _settings(trainer: Any, epochs: int, steps: int) -> dict[str, Any]:
    """What is known of a training when it begins."""
    optimizer = trainer.optimizer
    found = {
        "epochs": epochs,
        "steps_per_epoch": steps,
        "seed": getattr(trainer, "seed", None),
        "loss": getattr(getattr(trainer, "loss", None), "__name__", None),
        "optimizer": type(optimizer).__name__,
        "learning_rate": float(optimizer.rate.numpy()),
        "parameters": sum(p.size for p in trainer.model.parameters().values()),
    }
    return {name: value for name, value in found.items() if value is not None}


class MLflowCallback(Callback):
    """Logs a training to MLflow: parameters, and the numbers of each epoch.

    Args:
        parameters: more of them to log, such as the options of the training.
        experiment: where a new run belongs; that of MLflow by default.
        name: of a new run.

    A run that is active is logged to and left open; otherwise a new one is made, and ended with the
    training. MLflow's own settings say where that is, such as ``MLFLOW_TRACKING_URI``; without any
    it is a place on this machine.

    Raises:
        ConfigError: MLflow is not installed.

    Attributes:
        run_id: of the run, once the training has begun.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        experiment: str | None = None,
        name: str | None = None,
    ) -> None:
        self._mlflow = need("mlflow", "mlflow", "MLflowCallback")
        self._parameters, self._experiment, self._name = dict(parameters or {}), experiment, name
        self._own = False
        self.run_id: str | None = None

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Begin a run, unless one is active, and log the parameters."""
        active = self._mlflow.active_run()
        self._own = active is None
        if active is None:
            if self._experiment is not None:
                self._mlflow.set_experiment(self._experiment)
            active = self._mlflow.start_run(run_name=self._name)
        self.run_id = active.info.run_id
        settings = _settings(trainer, epochs, steps) | self._parameters
        self._mlflow.log_params({name: _text(value) for name, value in settings.items()})

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """Log its numbers."""
        self._mlflow.log_metrics(_numbers(record), step=int(record["epoch"]))

    def on_end(self, trainer: Training) -> None:
        """Log the best epoch, and end a run of one's own."""
        best = trainer.history.best or {}
        found = {f"best_{name}": value for name, value in _numbers(best).items()}
        if "epoch" in best:
            found["best_epoch"] = float(best["epoch"])
        if found:
            self._mlflow.log_metrics(found)
        if trainer.stop_reason:
            self._mlflow.set_tag("stop_reason", trainer.stop_reason)
        if self._own:
            self._mlflow.end_run("KILLED" if trainer.history.interrupted else "FINISHED")


class WandbCallback(Callback):
    """Logs a training to Weights & Biases: settings, and the numbers of each epoch.

    Args:
        run: what ``wandb.init()`` gave, which stays open; without it the callback begins a run and
            ends it.
        parameters: more settings to log, such as the options of the training.
        init: arguments of ``wandb.init``, such as ``project`` or ``mode="offline"``.

    Raises:
        ConfigError: wandb is needed for a new run, and not installed.
    """

    def __init__(
        self, run: Any = None, parameters: Mapping[str, Any] | None = None, **init: Any
    ) -> None:
        self._wandb = None if run is not None else need("wandb", "wandb", "WandbCallback")
        if run is not None and init:
            raise ConfigError("A run that has begun takes no further arguments.",
                              found=", ".join(init))  # fmt: skip
        self.run, self._parameters, self._init = run, dict(parameters or {}), init

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Begin a run, unless one was given, and log the settings."""
        settings = _settings(trainer, epochs, steps) | self._parameters
        if self._wandb is not None:
            self.run = self._wandb.init(**self._init)
        self.run.config.update(settings, allow_val_change=True)

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """Log its numbers."""
        self.run.log({"epoch": int(record["epoch"]), **_numbers(record)})

    def on_end(self, trainer: Training) -> None:
        """Log the best epoch, and end a run of one's own."""
        best = trainer.history.best or {}
        self.run.summary.update({f"best_{name}": v for name, v in _numbers(best).items()})
        if self._wandb is not None:
            self.run.finish(exit_code=int(trainer.history.interrupted))


def _text(value: Any) -> str:
    plain = isinstance(value, str | int | float | bool) or value is None
    return (str(value) if plain else json.dumps(value, default=str))[:_LONGEST]


# ---- a model for MLflow --------------------------------------------------------------------------


def log_model(model: Any, name: str = "model", **more: Any) -> Any:
    """Log a model of a table to the active run of MLflow, with the signature of its columns.

    Args:
        model: a model file or run folder, or a result of a training.
        name: of the model in the run.
        more: arguments of ``mlflow.pyfunc.log_model``, such as ``registered_model_name``.

    Returns:
        MLflow's description of it; ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` take
        its ``model_uri``.

    Raises:
        ConfigError: MLflow is not installed, or the model is not one of a table.
    """
    mlflow = need("mlflow", "mlflow", "log_model")
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(name=name, **_stored(model, Path(folder), more))


def save_model(model: Any, path: str | os.PathLike[str], **more: Any) -> None:
    """Write a model of a table as an MLflow model, a folder; the arguments are as of `log_model`.

    Raises:
        ConfigError: MLflow is not installed, or the model is not one of a table.
    """
    mlflow = need("mlflow", "mlflow", "save_model")
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(path=os.fspath(path), **_stored(model, Path(folder), more))


def _stored(model: Any, folder: Path, more: Mapping[str, Any]) -> dict[str, Any]:
    """What MLflow keeps: the file, who reads it, and the columns."""
    from ..tasks import load_predictor
    from ..tasks.tabular import TablePredictor
    from ..utils.files import MODEL, model_in

    file = folder / MODEL
    if hasattr(model, "to_bytes"):
        file.write_bytes(model.to_bytes())
    else:
        file.write_bytes(Path(model_in(model)).read_bytes())
    predictor = load_predictor(file)
    if not isinstance(predictor, TablePredictor):
        raise ConfigError("Only models of tables can go to MLflow yet.",
                          found=type(predictor).__name__)  # fmt: skip
    return {
        "loader_module": __name__,
        "data_path": str(file),
        "signature": signature_of(predictor),
        "pip_requirements": ["chainrule"],
        **more,
    }


def signature_of(predictor: Any) -> Any:
    """The columns of a model of a table as a signature of MLflow; all may be missing."""
    need("mlflow", "mlflow", "A signature")
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    from ..data.parsing import PLAIN

    kinds = {"numeric": "double", "boolean": "any", "category": "any", "date": "any"}

    def spec(column: Column) -> Any:
        # Numbers that were text in training, such as "9.50 €", may be text.
        written = column.notation not in (None, PLAIN) or column.signs or column.unit
        kind = "any" if written else kinds.get(column.kind, "string")
        return ColSpec(AnyType() if kind == "any" else kind, name=column.name, required=False)

    schema = predictor.schema
    numbers = {target.name: not target.classes for target in schema.targets}
    several = len(numbers) > 1
    outputs = [
        ColSpec("double" if is_number else "string", name=name if several else "prediction")
        for name, is_number in numbers.items()
    ]
    return ModelSignature(Schema([spec(column) for column in schema.columns]), Schema(outputs))


class _Served:
    """What MLflow calls."""

    def __init__(self, path: Path) -> None:
        from ..tasks.tabular import TablePredictor

        self._predictor = TablePredictor(load(path), str(path))

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predictions as a data frame of pandas, with the probability of each class."""
        import pandas as pd

        found = self._predictor.predict(data, proba=True)
        return pd.DataFrame(found.to_dict(as_series=False), index=getattr(data, "index", None))


def _load_pyfunc(path: str) -> _Served:
    """Called by MLflow: the model in a file."""
    return _Served(Path(path))

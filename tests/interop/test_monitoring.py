"""What MLflow and Weights & Biases are told; with the real packages where they are installed."""

from __future__ import annotations

import types

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.interop import monitoring
from chainrule.interop.monitoring import MLflowCallback, WandbCallback, log_model, save_model

X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]


def train(callback, epochs=3, **more):
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    trainer = cr.Trainer(model, "mse", lr=0.1, callbacks=[callback], progress=False)
    trainer.fit((X, 3 * X), validation=0.25, epochs=epochs, **more)
    return trainer


class Tracking(types.SimpleNamespace):
    """As much of MLflow as a callback uses; it keeps what it is told."""

    def __init__(self, active=None):
        super().__init__(active=active, params={}, metrics=[], tags={}, ended=[])

    def active_run(self):
        return self.active

    def start_run(self, run_name=None):
        self.active = types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"run {run_name}"))
        return self.active

    def log_params(self, values):
        self.params |= values

    def log_metrics(self, values, step=None):
        self.metrics.append((step, values))

    def set_tag(self, name, value):
        self.tags[name] = value

    def end_run(self, status):
        self.ended.append(status)


@pytest.fixture
def tracking(monkeypatch):
    made = Tracking()
    monkeypatch.setattr(monitoring, "need", lambda package, extra, what: made)
    return made


def test_mlflow_gets_parameters_the_numbers_of_each_epoch_and_the_best_one(tracking):
    callback = MLflowCallback({"data": "a line", "sizes": [1, 2]}, name="first")
    trainer = train(callback)
    assert callback.run_id == "run first"
    assert tracking.params["data"] == "a line"
    assert tracking.params["sizes"] == "[1, 2]"
    assert tracking.params["optimizer"] == "AdamW"
    assert tracking.params["parameters"] == "2"
    *epochs, (step, best) = tracking.metrics
    assert [number for number, _ in epochs] == [1, 2, 3]
    assert [each["val_loss"] for _, each in epochs] == trainer.history["val_loss"]
    assert step is None
    assert best["best_val_loss"] == min(trainer.history["val_loss"])
    assert tracking.ended == ["FINISHED"]


def test_a_run_that_is_active_stays_open_and_an_interrupted_one_is_killed(tracking):
    tracking.start_run("outer")
    train(MLflowCallback())
    assert tracking.ended == []

    class Interrupt(cr.Callback):
        def on_epoch_end(self, trainer, record):
            raise KeyboardInterrupt

    tracking.active = None
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    watch = [MLflowCallback(), Interrupt()]
    cr.Trainer(model, "mse", callbacks=watch, progress=False).fit((X, X), epochs=3)
    assert tracking.ended == ["KILLED"]
    assert tracking.tags == {"stop_reason": "interrupted"}


def test_numbers_that_are_none_are_not_drawn():
    found = monitoring._numbers({"epoch": 1, "loss": 2.0, "val_loss": float("nan")})
    assert found == {"loss": 2.0}


class Run:
    """As much of a run of wandb as a callback uses."""

    def __init__(self):
        self.config, self.summary, self.lines, self.finished = self, {}, [], None

    def update(self, values, allow_val_change):
        self.settings = values

    def log(self, values):
        self.lines.append(values)

    def finish(self, exit_code):
        self.finished = exit_code


def test_weights_and_biases_gets_the_same(monkeypatch):
    run = Run()
    trainer = train(WandbCallback(run, {"data": "a line"}))
    assert run.settings["data"] == "a line"
    assert [line["epoch"] for line in run.lines] == [1, 2, 3]
    assert [line["loss"] for line in run.lines] == trainer.history["loss"]
    assert run.summary["best_val_loss"] == min(trainer.history["val_loss"])
    assert run.finished is None  # it was the user's
    own, asked = Run(), {}
    wandb = types.SimpleNamespace(init=lambda **more: asked.update(more) or own)
    monkeypatch.setattr(monitoring, "need", lambda package, extra, what: wandb)
    train(WandbCallback(project="lines"))
    assert (asked, own.finished) == ({"project": "lines"}, 0)
    with pytest.raises(ConfigError, match="takes no further arguments"):
        WandbCallback(run, project="lines")


@pytest.mark.parametrize(("made", "extra"), [(MLflowCallback, "mlflow"), (WandbCallback, "wandb")])
def test_what_is_not_installed_is_named(monkeypatch, made, extra):
    monkeypatch.setitem(__import__("sys").modules, extra, None)
    with pytest.raises(ConfigError) as missing:
        made()
    assert missing.value.hint == f"pip install 'chainrule[{extra}]'"


@pytest.mark.filterwarnings("ignore")
def test_a_model_in_mlflow_has_a_signature_and_predicts(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    table = {"a": np.arange(40.0), "c": ["x", "y"] * 20, "y": np.arange(40.0)}
    options = cr.tables.TableOptions(target="y", epochs=2, members=1, hidden=(4,), backend="numpy")
    result = cr.tables.train_table(table, options, progress=False)
    result.save("m.safetensors")
    save_model("m.safetensors", "folder")
    rows = pd.DataFrame({"a": [1.0, 2.0], "c": ["x", None]})
    served = mlflow.pyfunc.load_model("folder")
    assert served.metadata.signature.inputs.input_names() == ["a", "c"]
    expected = cr.tables.predictor(cr.load("m.safetensors"), "m").predict(rows)
    assert np.allclose(served.predict(rows)["prediction"], expected["prediction"])
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run():
        assert mlflow.pyfunc.load_model(log_model(result).model_uri).predict(rows).shape == (2, 1)

"""A training that is given so many minutes."""

import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.tasks.options import TrainingOptions
from chainrule.tasks.tabular import TableOptions, train_table
from chainrule.tasks.update_options import UpdateOptions
from chainrule.training import Checkpoints
from chainrule.training import trainer as module
from chainrule.training.deadline import Deadline

pytestmark = pytest.mark.usefixtures("without_compiler")


class Clock:
    """Time that passes a second with each step of the training."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


class Ticks(cr.Callback):
    def __init__(self, clock, seconds=1.0):
        self.clock, self.seconds, self.steps = clock, seconds, 0

    def on_step_end(self, trainer, step, loss):
        self.clock.now += self.seconds
        self.steps += 1


def line(rows=64):
    x = np.linspace(-1, 1, rows, dtype=np.float32).reshape(-1, 1)
    return x, 3 * x


def trainer(clock, **options):
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    ticks = Ticks(clock)
    made = cr.Trainer(model, "mse", "sgd", lr=0.1, progress=False, callbacks=[ticks], **options)
    return made, ticks


def test_it_ends_within_an_epoch_and_validates_its_weights(monkeypatch):
    made, ticks = trainer(Clock(monkeypatch))
    history = made.fit(line(), validation=line(), epochs=50, batch_size=4, minutes=0.1,
                       validate_every=10)  # fmt: skip
    assert 6 <= ticks.steps < 16  # six seconds, of the 16 steps of an epoch
    assert len(history) == 1
    assert history.best["val_loss"] == history["val_loss"][0]
    assert made.stop_reason == "the time that was given is over"
    assert made.evaluate(line())["loss"] == pytest.approx(history.best["val_loss"], rel=1e-5)


def test_the_best_weights_are_kept_and_early_stopping_comes_first(monkeypatch):
    made, ticks = trainer(Clock(monkeypatch))
    history = made.fit(line(), validation=line(), epochs=5, batch_size=4, minutes=1.0)
    assert ticks.steps < 70
    assert len(history) == 4
    assert history.best["val_loss"] == min(history["val_loss"])
    made, _ = trainer(Clock(monkeypatch))
    x, y = line()
    made.optimizer.set_rate(0.0)
    made.fit((x, y), validation=(x, y), epochs=50, batch_size=64, minutes=9.0, patience=2)
    assert made.stop_reason == "no better val_loss in 2 validations"


def test_time_that_is_enough_changes_nothing(monkeypatch):
    made, _ = trainer(Clock(monkeypatch))
    made.fit(line(), validation=line(), epochs=3, batch_size=4, minutes=60.0)
    free, _ = trainer(Clock(monkeypatch))
    free.fit(line(), validation=line(), epochs=3, batch_size=4)
    assert made.stop_reason is None
    assert made.model.weight.item() == free.model.weight.item()
    assert made.history["loss"] == free.history["loss"]


def test_time_is_kept_for_the_last_validation(monkeypatch):
    clock = Clock(monkeypatch)
    deadline = Deadline(1.0)
    clock.now = 50.0
    assert not deadline.is_over
    deadline.reserve(15.0)
    assert deadline.is_over
    assert module.Deadline is Deadline


def test_partial_fit_and_tables_take_it(monkeypatch):
    made, ticks = trainer(Clock(monkeypatch))
    made.partial_fit(line(), epochs=9, batch_size=4, minutes=0.1)
    assert ticks.steps < 16
    clock, said = Clock(monkeypatch), []
    x = np.arange(80.0)
    options = TableOptions(target="y", minutes=0.5, epochs=900, members=2, hidden=(4,), cv=2)
    result = train_table({"x": x, "y": 3 * x}, options, progress=False, say=said.append,
                         callbacks=(Ticks(clock),))  # fmt: skip
    assert result.report["stop_reason"] == "the time that was given is over"
    assert result.report["cv"]["folds"] == 2  # each part has its share of the time
    assert clock.now < 45
    assert result.report["options"]["minutes"] == 0.5


def test_reading_counts_and_time_is_left_for_the_report(monkeypatch):
    clock = Clock(monkeypatch)
    x = np.arange(80.0)

    def sentences(sentence):
        if "networks with" in sentence:  # all was read, and the network is built
            clock.now += 20.0

    options = TableOptions(target="y", minutes=1.0, epochs=900, members=2, hidden=(4,))
    result = train_table({"x": x, "y": 3 * x}, options, progress=False, say=sentences,
                         callbacks=(Ticks(clock),))  # fmt: skip
    assert result.report["stop_reason"] == "the time that was given is over"
    assert 45 < clock.now <= 55  # six seconds are left for what comes then


class Interrupt(cr.Callback):
    def on_step_end(self, trainer, step, loss):
        if trainer.epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("cv", [None, 2])
def test_a_training_that_goes_on_has_the_rest_of_its_time(monkeypatch, tmp_path, cv):
    x = np.arange(80.0)
    y = np.exp(np.random.default_rng(0).normal(size=80) + x / 40)  # its logarithm is tried
    options = TableOptions(target="y", minutes=1.0, epochs=900, members=2, hidden=(4,), cv=cv)

    def trained(*more, **how):
        clock = Clock(monkeypatch)
        ticks = Ticks(clock)
        result = train_table(
            {"x": x, "y": y}, options, progress=False, callbacks=(ticks, *more),
            checkpoints=Checkpoints(tmp_path, **how),
        )  # fmt: skip
        return result, ticks

    first, before = trained(Interrupt())
    assert first.history.interrupted
    assert (tmp_path / "logarithm-1.json").exists()
    assert 0 < before.steps < 25
    result, after = trained(resume=True)
    assert result.report["stop_reason"] == "the time that was given is over"
    assert after.steps > 0
    assert 45 < before.steps + after.steps <= 60  # of the 54 that are for training, and trials


def test_what_trials_decided_is_not_decided_anew(tmp_path):
    first = Checkpoints(tmp_path)
    assert first.decided("logarithm", lambda: (True, "it helps")) == (True, "it helps")
    assert first.next_part().folder.name == "fit-1"
    assert first.decided("logarithm", lambda: (False, "no")) == (False, "no")
    again = Checkpoints(tmp_path, resume=True)
    assert again.decided("logarithm", lambda: 1 / 0) == [True, "it helps"]
    again.next_part()
    assert again.decided("logarithm", lambda: 1 / 0) == [False, "no"]


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_no_time_is_refused(minutes):
    with pytest.raises(ConfigError, match="Invalid value for minutes"):
        TrainingOptions(minutes=minutes)
    model = cr.nn.Linear(1, 1).initialize(seed=0)
    with pytest.raises(ConfigError, match="minutes must be positive"):
        cr.Trainer(model, "mse", progress=False).fit(line(), minutes=minutes)
    with pytest.raises(ConfigError, match="minutes must be above 0"):
        UpdateOptions(minutes=minutes)

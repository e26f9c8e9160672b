"""A training that only gets worse ends; the weights that are kept are the same."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.tasks.early_stop import StopWhenWorse, stop_when_worse
from chainrule.tasks.plan import Recipe
from chainrule.tasks.tabular import TableOptions, train_table

pytestmark = pytest.mark.usefixtures("without_compiler")


def stopped_at(values, rates=None, wait=3, worse=0.02):
    """After how many of these validations a training ends; None if it does not."""
    rates = rates or [1.0] * len(values)

    class Trained:
        first_epoch = 0

        def __init__(self):
            self.history, self.reason = cr.History(), None

        def stop(self, reason):
            self.reason = reason

    trainer, watch = Trained(), StopWhenWorse("val_loss", wait, worse)
    for number, (value, rate) in enumerate(zip(values, rates, strict=True), 1):
        record = {"epoch": number, "rate": rate}
        if value is not None:
            record["val_loss"] = value
        trainer.history.records.append(record)
        watch.on_epoch_end(trainer, record)
        if trainer.reason:
            return number
    return None


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([3, 2, 1, 2, 2, 2, 0.5], 6),
        ([3, 2, 1, None, 2, None, 2, 2], 8),  # epochs without validation do not count
        ([3, 2, 1, 1.01, 1.01, 1.01, 1.01, 0.9], None),  # not clearly worse
        ([3, 2, 1, 2, 2, 0.9, 2, 2, 0.8], None),  # it gets better again in time
        ([-1, -2, -1.9, -1.9, -1.9], 5),  # losses may be below 0
        ([3, 2, 1, 0.5, 0.4], None),
    ],
)
def test_it_ends_after_validations_that_are_clearly_worse(values, end):
    assert stopped_at(values) == end


def test_at_a_low_rate_a_little_worse_is_enough():
    values = [3, 2, 1, 1.01, 1.01, 1.01, 1.01]
    assert stopped_at(values, [0.1, 1, 1, 0.5, 0.4, 0.26, 0.24]) == 7
    assert stopped_at(values, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) is None  # it was never higher
    assert stopped_at([3, 2, 1, 1.001, 1.001, 1.001], [1, 1, 1, 0, 0, 0]) is None


def test_short_trainings_and_those_with_a_word_of_the_user_take_their_time():
    assert stop_when_worse("val_loss", Recipe(batch_size=32, epochs=19, lr=0.1)) == ()
    assert [stop.wait for stop in stop_when_worse("val_loss", Recipe(32, 20, 0.1))] == [4]
    g = np.random.default_rng(0)
    data = {"x": g.normal(size=60), "z": g.normal(size=60), "y": g.normal(size=60)}
    options = {"target": "y", "members": 2, "hidden": (64,), "batch_size": 64}
    result = train_table(data, TableOptions(**options, epochs=60), progress=False)
    assert len(result.history) == 60
    assert result.report["stop_reason"] is None


def test_noise_is_not_learned_to_the_end_and_the_best_weights_are_kept():
    g = np.random.default_rng(0)
    data = {"x": g.normal(size=60), "z": g.normal(size=60), "y": g.normal(size=60)}
    options = TableOptions(target="y", members=2, hidden=(64,), batch_size=64)
    result = train_table(data, options, progress=False)
    assert len(result.history) < 400  # of 800
    assert "was best" in result.report["stop_reason"]
    losses = [each["val_loss"] for each in result.history if "val_loss" in each]
    assert result.history.best["val_loss"] == min(losses)

"""What the runner does for every kind: one rule for the optimizer, the test set read first."""

from types import SimpleNamespace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataError
from chainrule.tasks import runner
from chainrule.tasks.examples import has_log_target
from chainrule.tasks.optimizer import SCALED, make_optimizer
from chainrule.tasks.options import TrainingOptions
from chainrule.tasks.plan import Recipe
from chainrule.tasks.scaling import TargetScaler
from chainrule.training import Arrays, Stream

MAILS = {"text": ["good film", "bad film", "good", "bad"] * 8, "mood": ["glad", "sad"] * 16}


class Normed(cr.nn.Module):
    def __init__(self):
        self.members = cr.nn.initialization.parameter((2, 3, 4), "ones")
        self.linear = cr.nn.Linear(4, 4)
        self.norm = cr.nn.LayerNorm(4)


def test_only_matrices_decay():
    optimizer = make_optimizer(TrainingOptions(), Normed(), 10, lr=0.1, weight_decay=0.1)
    parameters = Normed().parameters()
    decays = {path for path, each in parameters.items() if optimizer.decay(path, each)}
    assert decays == {"linear.weight"}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd", "lion"])
def test_a_trial_finds_the_rate_of_methods_without_a_scale(monkeypatch, optimizer):
    tried = []

    def find_rate(trainer, data, **options):
        tried.append(type(trainer.optimizer).__name__)
        return SimpleNamespace(suggestion=0.25)

    monkeypatch.setattr(runner, "find_rate", find_rate)
    options = cr.text.TextOptions(
        target="mood", epochs=1, model="bag", optimizer=optimizer, backend="numpy"
    )
    report = cr.text.train(MAILS, options, progress=False).report
    assert report["optimizer"]["rate"] == (0.005 if optimizer in SCALED else 0.25)
    assert len(tried) == (optimizer not in SCALED)
    given = cr.text.TextOptions(
        target="mood", epochs=1, optimizer=optimizer, lr=0.125, backend="numpy"
    )
    assert cr.text.train(MAILS, given, progress=False).report["optimizer"]["rate"] == 0.125
    assert len(tried) == (optimizer not in SCALED)


def test_the_test_set_is_read_before_the_training(tmp_path):
    (tmp_path / "test.csv").write_text("text,mood\ngood,merry\n")
    started = []
    options = cr.text.TextOptions(
        target="mood", epochs=1, test=str(tmp_path / "test.csv"), backend="numpy"
    )

    class Watch(cr.Callback):
        def on_start(self, *arguments):
            started.append(arguments)

    with pytest.raises(DataError):
        cr.text.train(MAILS, options, progress=False, callbacks=(Watch(),))
    assert not started


def test_a_recipe_counts_its_steps():
    recipe = Recipe(batch_size=8, epochs=3, lr=0.1)
    rows = np.zeros((20, 1), np.float32)
    assert recipe.steps(Arrays(rows, rows)) == 9
    stream = Stream(lambda rows, epoch: (rows, rows), np.arange(20))
    assert recipe.steps(stream) == 9
    stream.whole = True
    assert recipe.steps(stream) == 6
    options = TrainingOptions(epochs=3, batch_size=100)
    assert Recipe.of(options, 20, batch_size=8, epochs=1, lr=0.1) == Recipe(20, 3, 0.1)
    usual = Recipe.of(TrainingOptions(), 20, batch_size=8, epochs=2, updates=30, lr=0.1)
    assert usual == Recipe(8, 10, 0.1)
    short = Recipe.of(
        TrainingOptions(), 20, batch_size=8, epochs=2, updates=300, most_epochs=7, lr=1
    )
    assert short.epochs == 7


class TestLogTarget:
    def test_the_report_tells_it(self):
        for told in (True, False):
            saved = SimpleNamespace(record={"report": {"log_target": told}}, graph=None)
            assert has_log_target(saved) is told

    def test_a_model_of_an_earlier_version_shows_it(self):
        def graph(name):
            node = SimpleNamespace(op=SimpleNamespace(name=name))
            return lambda rows: SimpleNamespace(outputs=[node])

        for name in ("exp", "add"):
            saved = SimpleNamespace(record={"report": {}}, graph=graph(name))
            assert has_log_target(saved) == (name == "exp")

    def test_it_is_chosen_where_it_makes_a_target_less_skewed(self):
        g = np.random.default_rng(0)
        skewed, even = np.exp(g.normal(0, 1, 300)), g.normal(5, 1, 300)
        assert TargetScaler().fit(skewed).log
        assert not TargetScaler().fit(even).log
        scaled = TargetScaler().fit(skewed).transform(skewed)
        assert scaled.mean() == pytest.approx(0, abs=1e-6)
        assert scaled.std() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(
            scaled, (np.log(skewed) - np.log(skewed).mean()) / np.log(skewed).std(), rtol=1e-5
        )

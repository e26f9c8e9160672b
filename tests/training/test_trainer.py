"""The training loop against what textbooks and arithmetic say it does."""

from __future__ import annotations

import math
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError, TrainingError, TypeRuleError
from chainrule.training import Arrays, Step, progress


def line(rows=64, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, (rows, 2)).astype(np.float32)
    y = x @ np.array([2.0, -3.0], np.float32) + 0.5 + noise * generator.normal(size=rows)
    return x, y.astype(np.float32)[:, None]


def network(seed=0):
    return cr.nn.Sequential(
        cr.nn.Linear(2, 16), cr.nn.Tanh(), cr.nn.Dropout(0.1), cr.nn.Linear(16, 1)
    ).initialize(seed)


def quiet(model, optimizer="adam", **options):
    return cr.Trainer(model, "mse", optimizer, progress=False, **options)


def test_batch_gradient_descent_is_the_formula():
    """One full batch of SGD: w ← w − η·∂L/∂w with L the mean squared error, computed by hand."""
    x, y = line()
    model = cr.nn.Linear(2, 1).initialize(3)
    w, b = model.weight.numpy().astype(float), model.bias.numpy().astype(float)
    quiet(model, cr.optim.SGD(model, lr=0.1)).fit((x, y), epochs=1, batch_size=None)
    error = x @ w + b - y
    np.testing.assert_allclose(model.weight.numpy(), w - 0.2 * x.T @ error / len(x), rtol=1e-5)
    np.testing.assert_allclose(model.bias.numpy(), b - 0.2 * error.mean(0), rtol=1e-5)


def test_it_finds_the_least_squares_solution():
    x, y = line(noise=0.1)
    model = cr.nn.Linear(2, 1).initialize(0)
    quiet(model, lr=0.05).fit((x, y), epochs=300, batch_size=None)
    design = np.c_[x, np.ones(len(x))].astype(float)
    expected, *_ = np.linalg.lstsq(design, y.astype(float), rcond=None)
    np.testing.assert_allclose(model.weight.numpy(), expected[:2], atol=1e-3)
    np.testing.assert_allclose(model.bias.numpy(), expected[2], atol=1e-3)


def test_same_seed_same_bits_other_seed_other_bits():
    def train(seed):
        model = network()
        quiet(model, seed=seed).fit(line(), epochs=3, validation=0.2)
        return np.concatenate([v.ravel() for v in model.state().values()])

    assert np.array_equal(train(1), train(1))
    assert not np.array_equal(train(1), train(2))


def test_eager_steps_are_the_compiled_ones():
    x, y = line()
    compiled, eager = cr.nn.Linear(2, 1).initialize(0), cr.nn.Linear(2, 1).initialize(0)
    step = Step(compiled, cr.losses.mse, cr.optim.Adam(compiled, lr=0.1))
    optimizer = cr.optim.Adam(eager, lr=0.1)
    for _ in range(5):
        step(x, y)
        loss = cr.losses.mse(eager(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.array_equal(compiled.weight.numpy(), eager.weight.numpy())


def test_accumulated_batches_are_one_large_batch():
    x, y = line(rows=32)
    whole, parts = cr.nn.Linear(2, 1).initialize(0), cr.nn.Linear(2, 1).initialize(0)
    quiet(whole, cr.optim.SGD(whole, lr=0.1)).fit((x, y), epochs=2, batch_size=32, shuffle=False)
    trainer = quiet(parts, cr.optim.SGD(parts, lr=0.1))
    trainer.fit((x, y), epochs=2, batch_size=8, accumulate=4, shuffle=False)
    np.testing.assert_allclose(parts.weight.numpy(), whole.weight.numpy(), rtol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("weighted", [False, True])
def test_accumulated_batches_of_other_sizes_are_one_large_batch(weighted, backend):
    """Of 30 rows batches of 8, 8, 8 and 6: the mean counts rows, or what these weigh."""
    x, y = line(rows=30)
    weights = np.linspace(0, 3, 30, dtype=np.float32)
    data = (x, y, weights) if weighted else (x, y)
    whole, parts = cr.nn.Linear(2, 1).initialize(0), cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(whole, cr.optim.SGD(whole, lr=0.1))
    trainer.fit(data, epochs=3, batch_size=None, shuffle=False)
    trainer = quiet(parts, cr.optim.SGD(parts, lr=0.1), backend=backend)
    trainer.fit(data, epochs=3, batch_size=8, accumulate=4, shuffle=False)
    np.testing.assert_allclose(parts.weight.numpy(), whole.weight.numpy(), rtol=1e-5)


def test_accumulated_rows_without_weight_change_nothing():
    x, y = line(rows=16)
    weights = np.repeat(np.float32([0, 1]), 8)
    some, those = cr.nn.Linear(2, 1).initialize(0), cr.nn.Linear(2, 1).initialize(0)
    options = {"epochs": 1, "batch_size": 4, "accumulate": 2, "shuffle": False}
    quiet(some, cr.optim.SGD(some, lr=0.1)).fit((x, y, weights), **options)
    quiet(those, cr.optim.SGD(those, lr=0.1)).fit((x[8:], y[8:]), **options)
    np.testing.assert_allclose(some.weight.numpy(), those.weight.numpy(), rtol=1e-6)


def test_what_is_left_over_at_the_end_of_an_epoch_makes_an_update():
    """Of 5 batches two by two the last makes one by itself: 3 updates an epoch."""
    x, y = line(rows=20)
    model = cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(model, cr.optim.SGD(model, lr=0.1))
    trainer.fit((x, y), epochs=2, batch_size=4, accumulate=2, shuffle=False)
    assert trainer.optimizer.steps.item() == 6
    by_hand = cr.nn.Linear(2, 1).initialize(0)
    optimizer = cr.optim.SGD(by_hand, lr=0.1)
    for start, stop in [(0, 8), (8, 16), (16, 20)] * 2:
        gradients = cr.grad(lambda m, a, b: cr.losses.mse(m(x[a:b]), y[a:b]))
        optimizer.update(gradients(by_hand, start, stop))
    np.testing.assert_allclose(model.weight.numpy(), by_hand.weight.numpy(), rtol=1e-5)


class InterruptFirstStep(cr.Callback):
    def on_step_end(self, trainer, step, loss):
        raise KeyboardInterrupt


def test_gradients_from_before_an_interruption_are_forgotten():
    x, y = line(rows=16)
    fresh, used = cr.nn.Linear(2, 1).initialize(0), cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(used, cr.optim.SGD(used, lr=0.1), callbacks=[InterruptFirstStep()])
    one_by_one = cr.training.Stream(lambda rows, epoch: (100 * x[rows], 100 * y[rows]), 100 * y)
    trainer.fit(one_by_one, batch_size=4, accumulate=3)
    assert trainer.history.interrupted
    trainer.callbacks.clear()
    trainer.fit((x, y), epochs=1, batch_size=4, accumulate=3, shuffle=False)
    expected = quiet(fresh, cr.optim.SGD(fresh, lr=0.1))
    expected.fit((x, y), epochs=1, batch_size=4, accumulate=3, shuffle=False)
    assert np.array_equal(used.weight.numpy(), fresh.weight.numpy())


def test_best_weights_are_restored():
    """From the sixth step on the rate is far too large: the kept weights are the fifth's."""
    x, y = line(noise=0.3)
    model = cr.nn.Linear(2, 1).initialize(0)
    schedule = cr.optim.MultiStepLR(0.2, milestones=[5], gamma=20.0)
    trainer = quiet(model, cr.optim.SGD(model, schedule), metrics=["r2"])
    kept = Keeper()
    trainer.callbacks.append(kept)
    history = trainer.fit((x, y), validation=(x[:20], y[:20]), epochs=8, batch_size=None)
    assert history["val_loss"][-1] > 100 * min(history["val_loss"])
    assert history.best["epoch"] == 5
    assert history.best["val_loss"] == min(history["val_loss"])
    for path, array in model.state().items():
        assert np.array_equal(array, kept.states[4][path])
    loss = trainer.evaluate((x[:20], y[:20]))["loss"]
    assert loss == pytest.approx(history.best["val_loss"], rel=1e-6)


class Keeper(cr.Callback):
    """The weights after each epoch."""

    def __init__(self):
        self.states = []

    def on_epoch_end(self, trainer, record):
        self.states.append(trainer.model.state())


class Root(cr.nn.Module):
    """√(w·x): NaN where w·x < 0."""

    def __init__(self, w):
        self.w = cr.parameter(w)

    def forward(self, x):
        return cr.sqrt(self.w * x)


def test_a_validation_of_nan_is_never_the_best():
    """The training rows pull w from -1 up to 1; on the validation row √w is NaN until w > 0."""
    x = np.array([[-1.0], [-4.0]], np.float32)

    class Line(Root):
        def forward(self, x, *, train=False):
            return self.w * x if train else super().forward(x)

    model = Line(-1.0)
    trainer = quiet(model, cr.optim.SGD(model, lr=0.02))
    history = trainer.fit((x, x), validation=(-x, -x), epochs=40, batch_size=None, patience=20)
    losses = np.array(history["val_loss"])
    assert np.isnan(losses[0])
    assert history.best["val_loss"] == np.nanmin(losses)
    assert trainer.evaluate((-x, -x))["loss"] == pytest.approx(np.nanmin(losses), rel=1e-6)


def test_only_nan_in_validation_is_told():
    x = np.ones((4, 1), np.float32)
    model = Root(1.0)
    trainer = quiet(model, cr.optim.SGD(model, lr=0.1))
    with pytest.warns(RuntimeWarning, match="val_loss was never a number"):
        history = trainer.fit((x, 2 * x), validation=(-x, x), epochs=2)
    assert history.best is None
    assert model.w.item() > 1.0


def test_patience_stops_and_says_so():
    x, y = line()
    model = cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(model, cr.optim.SGD(model, lr=0.0))
    history = trainer.fit((x, y), validation=0.25, epochs=50, patience=3)
    assert len(history) == 4
    assert trainer.stop_reason == "no better val_loss in 3 validations"


def test_monitoring_a_metric_that_should_rise():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 2)).astype(np.float32)
    target = (x[:, 0] > 0).astype(np.int64)
    model = cr.nn.Linear(2, 2).initialize(0)
    trainer = cr.Trainer(model, "cross_entropy", "adam", lr=0.05, metrics=["accuracy"],
                         progress=False)  # fmt: skip
    history = trainer.fit((x, target), validation=0.3, epochs=20, monitor="val_accuracy")
    assert history.best["val_accuracy"] == max(history["val_accuracy"]) > 0.9
    probabilities = trainer.predict(x)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_validation_now_and_then():
    history = quiet(network()).fit(line(), validation=0.2, epochs=7, validate_every=3)
    assert [r["epoch"] for r in history if "val_loss" in r] == [3, 6, 7]


def test_averaged_weights_are_validated_and_kept():
    x, y = line()
    model = cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(model, cr.optim.SGD(model, lr=0.1), average=0.9)
    trainer.fit((x, y), epochs=5)
    average = trainer.average.averages["weight"].numpy()
    assert np.array_equal(model.weight.numpy(), average)


def test_sample_weights_of_zero_do_not_count():
    x, y = line()
    spoiled = y.copy()
    spoiled[::2] = 100.0
    weights = np.ones(len(x), np.float32)
    weights[::2] = 0.0
    model = cr.nn.Linear(2, 1).initialize(0)
    trainer = quiet(model, lr=0.05)
    trainer.fit((x, spoiled, weights), epochs=400, batch_size=None)
    assert np.abs(model(x[1::2]).numpy() - y[1::2]).max() < 0.01


class Counter(cr.Callback):
    def __init__(self):
        self.calls = []

    def on_start(self, trainer, epochs, steps):
        self.calls.append(("start", epochs, steps))

    def on_step_end(self, trainer, step, loss):
        self.calls.append("step")

    def on_epoch_end(self, trainer, record):
        if trainer.epoch == 2:
            trainer.stop("enough")

    def on_end(self, trainer):
        self.calls.append("end")


def test_callbacks_and_stopping():
    counter = Counter()
    trainer = quiet(network(), callbacks=[counter])
    history = trainer.fit(line(rows=10), epochs=9, batch_size=4)
    assert counter.calls == [("start", 9, 3), *["step"] * 6, "end"]
    assert (len(history), trainer.stop_reason) == (2, "enough")


class Interrupt(cr.Callback):
    def on_step_end(self, trainer, step, loss):
        if trainer.epoch == 2:
            raise KeyboardInterrupt


def test_an_interruption_keeps_the_best_model():
    x, y = line()
    model = network()
    trainer = quiet(model, callbacks=[Interrupt()])
    history = trainer.fit((x, y), validation=(x, y), epochs=9)
    assert history.interrupted
    assert len(history) == 2
    assert trainer.stop_reason == "interrupted"
    assert trainer.evaluate((x, y))["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-6)


def test_going_on_is_the_same_as_never_having_stopped():
    once, twice = network(), network()
    quiet(once).fit(line(), epochs=4)
    trainer = quiet(twice)
    trainer.fit(line(), epochs=2)
    history = trainer.fit(line(), epochs=2)
    assert [r["epoch"] for r in history] == [1, 2, 3, 4]
    for a, b in zip(once.state().values(), twice.state().values(), strict=True):
        assert np.array_equal(a, b)


def test_another_process_goes_on_with_the_averaged_weights(tmp_path):
    """The trainer is made before the model gets its weights, as the state is read last."""
    first = network()
    trainer = quiet(first, average=0.9)
    trainer.fit(line(), epochs=3)
    path = tmp_path / "training.safetensors"
    cr.training.save_training(path, trainer.state())
    second = network(seed=1)
    resumed = quiet(second, average=0.9)
    second.load_state(first.state())
    resumed.load_state(cr.training.load_training(path))
    for one in (trainer, resumed):
        one.fit(line(), epochs=2)
    for a, b in zip(first.state().values(), second.state().values(), strict=True):
        assert np.array_equal(a, b)


def test_averages_that_were_not_kept_start_at_the_weights_of_the_model():
    first, second = network(), network(seed=1)
    trainer = quiet(first)
    trainer.fit(line(), epochs=3)
    resumed = quiet(second, average=0.9)
    second.load_state(first.state())
    resumed.load_state(trainer.state())
    average = resumed.average.averages["layers.0.weight"].numpy()
    assert np.array_equal(average, first.state()["layers.0.weight"])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("rows", [9, 17])
def test_a_single_last_row_joins_the_batch_before_it_under_batch_norm(rows, streamed):
    x, y = line(rows)
    sizes = []

    class Net(cr.nn.Module):
        def __init__(self):
            self.layers = [cr.nn.BatchNorm(2), cr.nn.Linear(2, 1)]

        def forward(self, x, *, train=False):
            sizes.append(len(x))
            return self.layers[1](self.layers[0](x))

    model = Net().initialize(0)
    trainer = quiet(model, backend="numpy")
    data = cr.training.Stream(lambda rows, epoch: (x[rows], y[rows]), y) if streamed else (x, y)
    counter = Counter()
    trainer.callbacks.append(counter)
    trainer.fit(data, epochs=2, batch_size=8)
    assert counter.calls[0] == ("start", 2, rows // 8)
    assert counter.calls.count("step") == 2 * (rows // 8)
    assert set(sizes) - {5, 7} == ({9} if rows == 9 else {8, 9})


def test_a_single_last_row_of_independent_rows_is_a_batch():
    counter = Counter()
    quiet(network(), callbacks=[counter]).fit(line(9), epochs=1, batch_size=8)
    assert counter.calls.count("step") == 2


class Logarithm(cr.nn.Module):
    def __init__(self):
        self.layers = [cr.nn.Linear(2, 1)]

    def forward(self, x):
        return cr.log(self.layers[0](x) * 0.0 - 1.0)


def test_a_loss_that_is_not_a_number_names_the_operation_the_layer_and_the_line():
    with pytest.raises(TrainingError) as caught:
        quiet(Logarithm()).fit(line(), epochs=1)
    assert "log" in caught.value.found
    assert "made the first NaN" in caught.value.found
    assert "test_trainer.py" in caught.value.found


class Bursts(cr.Callback):
    """After an epoch, weights with which the loss overflows."""

    def __init__(self, epoch):
        self.epoch, self.weights = epoch, []

    def on_epoch_end(self, trainer, record):
        self.weights.append(trainer.model.state())
        if record["epoch"] == self.epoch:
            last = trainer.model.layers[-1].weight
            last.assign(np.full(last.shape, 1e30, np.float32))


@pytest.mark.parametrize("average", [None, 0.5])
def test_after_a_loss_that_is_not_a_number_the_model_is_as_it_was_at_its_best(average):
    model, bursts = network(), Bursts(3)
    trainer = quiet(model, callbacks=[bursts], lr=0.05, average=average)
    x, y = line(64)
    with pytest.raises(TrainingError) as caught:
        trainer.fit((x, y), epochs=50, batch_size=16)
    losses = trainer.history["loss"][:3]
    assert losses == sorted(losses, reverse=True)
    assert "the weights of epoch 3" in caught.value.found
    assert np.isfinite(model(x).numpy()).all()
    if average is None:
        for path, weights in bursts.weights[2].items():
            assert (model.state()[path] == weights).all()


def test_where_the_first_epoch_fails_the_model_is_as_it_was_at_the_start():
    for validation in (None, 0.25):
        model = network()
        start = model.state()
        with pytest.raises(TrainingError, match="the start"):
            quiet(model, optimizer="sgd", lr=1e30).fit(
                line(64), epochs=5, batch_size=8, validation=validation
            )
        assert all((model.state()[path] == w).all() for path, w in start.items())


def test_rows_that_are_no_numbers_cost_no_steps_before_them():
    x, y = line(64)
    y = y.copy()
    y[-1] = np.nan
    model = network()
    start = model.state()
    with pytest.raises(TrainingError, match="such numbers"):
        quiet(model).fit((x, y), epochs=1, batch_size=8, shuffle=False)
    assert any((model.state()[path] != w).any() for path, w in start.items())


def test_an_infinite_gradient_is_found_too():
    model = cr.nn.Linear(2, 1).initialize(0)
    trainer = cr.Trainer(model, lambda z, t: cr.sqrt((z * 0.0).sum()), "sgd", progress=False)
    with pytest.raises(TrainingError, match="gradient is not a finite number"):
        trainer.fit(line(), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "must be positive"),
        ({"batch_size": 0}, "must be positive"),
        ({"validation": 0.2, "monitor": "val_speed"}, "Unknown monitor 'val_speed'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        quiet(network()).fit(line(), **options)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("loss", ["hinge", "nll", "binary_cross_entropy", "cross_entropy"])
def test_losses_of_classes_refuse_numbers_by_name(loss, backend):
    x, y = line()
    model = cr.nn.Linear(2, 1).initialize(0)
    before = model.state()
    trainer = cr.Trainer(model, loss, progress=False, backend=backend)
    for use in (trainer.fit, trainer.evaluate, partial(cr.training.find_rate, trainer)):
        with pytest.raises(DataError, match=f"The loss '{loss}' does not fit the target") as caught:
            use((x, y))
        assert "mse" in caught.value.hint
    assert not trainer.history.records
    for path, array in model.state().items():
        assert np.array_equal(array, before[path])


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "multi_margin"])
@pytest.mark.parametrize("streamed", [False, True])
def test_class_indices_out_of_range_are_refused_in_a_training(loss, backend, streamed):
    x, _ = line(12)
    trainer = cr.Trainer(cr.nn.Linear(2, 3), loss, progress=False, backend=backend)
    for wrong in (-1, 3):
        target = np.arange(12) % 3
        target[7] = wrong
        data = (x, target)
        if streamed:
            data = cr.training.Stream(lambda rows, epoch: (x[rows], target[rows]), target)  # noqa: B023
        for use in (trainer.fit, trainer.evaluate):
            with pytest.raises(DataError) as caught:
                use(data)
            assert caught.value.found.startswith(f"{wrong} at [")
    assert not trainer.history.records


def test_a_layer_that_was_replaced_is_noticed():
    model = network()
    trainer = quiet(model)
    trainer.fit(line(), epochs=1)
    model.layers[0] = cr.nn.Linear(2, 16)
    with pytest.raises(ConfigError, match="not in the model") as caught:
        trainer.fit(line(), epochs=1)
    assert caught.value.where == "parameter 'layers.0.weight'"


def test_early_stopping_needs_validation_data():
    with pytest.raises(ConfigError, match="needs validation data"):
        quiet(network()).fit(line(), epochs=2, patience=1)


@pytest.mark.parametrize(
    ("weight", "words"), [(0.0, "All rows have weight 0"), (-1.0, "finite"), (math.nan, "finite")]
)
def test_weights_that_cannot_be(weight, words):
    x, y = line(rows=8)
    weights = np.full(8, weight, np.float32)
    for data, validation in [((x, y, weights), None), ((x, y), (x, y, weights))]:
        with pytest.raises(DataError, match=words) as caught:
            quiet(network()).fit(data, epochs=1, validation=validation)
        part = "training" if validation is None else "validation"
        assert caught.value.where.startswith(f"{part} data")


@pytest.mark.parametrize(
    ("part", "number", "words"),
    [
        (0, np.nan, r"inputs hold NaN already; inputs\[40, 1\] is nan; 1 of 60 rows has"),
        (0, -np.inf, r"inputs hold infinity already; inputs\[40, 1\] is -inf"),
        (1, np.nan, r"targets hold NaN already; target\[40, 0\] is nan"),
    ],
)
def test_numbers_that_are_not_finite_are_found_in_the_data(part, number, words):
    data = [array.copy() for array in line(60)]
    data[part][40, -1] = number
    with pytest.raises(TrainingError, match=words) as refused:
        quiet(network(), backend="numpy").fit(tuple(data), epochs=1)
    assert "np.isfinite" in refused.value.hint


def warnings_of(fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("scale", "size", "words"),
    [
        (1.0, 1e6, "The target is large (root mean square 1"),
        (1e6, 1.0, "The inputs are large"),
        (1.0, 1.0, None),
        (1.0, 30.0, None),
    ],
)
def test_scales_that_a_network_cannot_begin_with_are_said(scale, size, words):
    x, y = line(100)
    y = np.where(y > 0, size, -size).astype(np.float32)
    model = network() if scale == 1 else cr.nn.Linear(2, 1).initialize(0)
    said = warnings_of(lambda: quiet(model, backend="numpy").fit((scale * x, y), epochs=1))
    assert len(said) == (words is not None)
    assert all(sentence.startswith(words) for sentence in said)


def test_networks_that_answer_at_the_scale_of_the_data_are_left_alone():
    class Scaled(cr.nn.Module):
        def __init__(self):
            self.inner = network()

        def forward(self, x):
            return 1e6 * self.inner(x / 1e6)

    x, y = line(100)
    assert warnings_of(
        lambda: quiet(Scaled().initialize(0), backend="numpy").fit((1e6 * x, 1e6 * y), epochs=1)
    ) == []  # fmt: skip


@pytest.mark.parametrize("hand", [False, True])
def test_probabilities_before_a_loss_of_logits_are_said(hand):
    x, y = line(60)
    model = cr.nn.Sequential(cr.nn.Linear(2, 2), cr.nn.Softmax()).initialize(0)
    labels = (y[:, 0] > 0).astype(int)

    def train(model):
        if hand:
            return cr.losses.cross_entropy(model(x), labels)
        trainer = cr.Trainer(model, "cross_entropy", progress=False, backend="numpy")
        return trainer.fit((x, labels), epochs=1)

    (sentence, *_) = warnings_of(lambda: train(model))
    assert "softmax itself" in sentence
    assert warnings_of(lambda: train(model[0])) == []


@pytest.mark.parametrize(
    ("loss", "labels", "hint"),
    [
        ("binary_cross_entropy", [1.0, 2.0], "make them 0 and 1: target == 2"),
        ("binary_cross_entropy", [-1.0, 1.0], "make them 0 and 1: target == 1"),
        ("cross_entropy", [-1, 1], "np.unique(target, return_inverse=True)[1]"),
        ("cross_entropy", [1, 2], "subtract 1"),
        ("hinge", [0.0, 1.0], "2 * target - 1"),
    ],
)
def test_labels_of_two_classes_that_a_loss_does_not_take(loss, labels, hint):
    x, y = line(60)
    target = np.where(y[:, 0] > 0, *labels[::-1])
    outputs = 2 if loss == "cross_entropy" else 1
    model = cr.nn.Linear(2, outputs).initialize(0)
    trainer = cr.Trainer(model, loss, progress=False, backend="numpy")
    with pytest.raises(DataError) as refused:
        trainer.fit((x, target if outputs == 2 else target[:, None]), epochs=1)
    assert hint in refused.value.hint


def test_wrong_data_and_names():
    with pytest.raises(DataError, match="same number of rows"):
        Arrays(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(DataError, match="must be numeric"):
        Arrays(np.array(["a"]), np.zeros(1))
    with pytest.raises(DataError, match="not a set of examples"):
        quiet(network()).fit(np.zeros((3, 2)))
    with pytest.raises(ConfigError, match="Unknown loss 'mean'"):
        cr.Trainer(network(), "mean")
    model = network()
    with pytest.raises(ConfigError, match="learning rate already"):
        cr.Trainer(model, "mse", cr.optim.SGD(model, lr=1.0), lr=0.1)


def test_plain_lines_without_a_terminal(capsys):
    cr.Trainer(network(), "mse").fit(line(), epochs=2, validation=0.25)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    assert "val_loss" in lines[1]
    assert lines[1].endswith("0:00 left")


@pytest.mark.parametrize(
    ("terminal", "notebook", "live"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_a_line_that_changes_is_for_terminals_and_notebooks(monkeypatch, terminal, notebook, live):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(progress, "_in_notebook", lambda: notebook)
    (display,) = progress.progress_display(True)
    assert isinstance(display, progress.LiveLine) == live
    assert progress.progress_display(False) == []


def test_the_time_that_is_left_is_that_of_the_steps_to_come(monkeypatch):
    """The first 3 steps of 8 took 30 seconds, for a program was built; the next one takes 10."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    live = progress.LiveLine()
    trainer = SimpleNamespace(epoch=0, first_epoch=0, stop_reason=None)
    live.on_start(trainer, 2, 4)
    try:
        now[0] += 30.0
        live.on_step_end(trainer, 3, 0.25)
        (task,) = live.display.tasks
        assert (task.completed, task.total) == (3, 8)
        assert task.fields["left"] == "?"
        assert task.fields["epoch"] == "1/2"
        trainer.epoch, now[0] = 1, 140.0
        live.on_epoch_end(trainer, {"loss": 0.5})
        (task,) = live.display.tasks
        assert (task.completed, task.fields["left"]) == (4, "0:40")
    finally:
        live.on_end(trainer)


def test_rate_finder_leaves_the_model_alone_and_finds_a_rate_that_trains():
    x, y = line()
    model = network()
    before = model.state()
    trainer = quiet(model, "sgd")
    search = cr.training.find_rate(trainer, (x, y), steps=60)
    for a, b in zip(before.values(), model.state().values(), strict=True):
        assert np.array_equal(a, b)
    assert 1e-4 < search.suggestion < 1.0
    assert list(search.rates) == sorted(search.rates)
    history = quiet(model, cr.optim.SGD(model, lr=search.suggestion)).fit((x, y), epochs=30)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("kind", ["?", "u1", "i2", ">i4", ">i8", "u4", "f2", ">f4", ">f8"])
def test_examples_of_every_element_type(kind, backend):
    """They train and predict as the same numbers in float32 do."""
    x = np.arange(37 * 4).reshape(37, 4) % 3 % 2
    found = []
    for inputs, target in ((x, x[:, :1].astype("f4")), (x.astype(kind), x[:, :1].astype(kind))):
        model = cr.nn.Linear(4, 1).initialize(0)
        trainer = quiet(model, "sgd", lr=0.1, backend=backend)
        trainer.fit((inputs, target), validation=(inputs, target), epochs=2, batch_size=8)
        found.append(trainer.predict(inputs))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_split_of_columns_of_labels(columns):
    """One column is classes, of which validation gets its part; of several there are none."""
    target = (np.arange(40)[:, None] % 10 == np.arange(columns)).astype(np.int64)
    train, held_out = quiet(network())._split(Arrays(np.zeros((40, 2)), target), 0.25)
    assert (len(train), len(held_out)) == (30, 10)
    assert columns == 2 or held_out.target.sum() == 1


def test_element_types_that_tensors_do_not_have_are_named():
    with pytest.raises(TypeRuleError, match="Unknown element type") as caught:
        Arrays(np.zeros((2, 1), np.uint64))
    assert caught.value.found == "uint64"


def test_inputs_may_be_dicts_of_arrays():
    class Two(cr.nn.Module):
        def __init__(self):
            self.a, self.b = cr.nn.Linear(2, 1), cr.nn.Linear(1, 1)

        def forward(self, inputs):
            return self.a(inputs["left"]) + self.b(inputs["right"])

    x, y = line()
    trainer = quiet(Two())
    trainer.fit(({"left": x, "right": x[:, :1]}, y), epochs=2)
    assert trainer.predict({"left": x, "right": x[:, :1]}).shape == (64, 1)

"""Batches of other sizes, filled up: the same training with fewer programs."""

import numpy as np
import pytest

import chainrule as cr


def data(rows, weighted=False, seed=0):
    g = np.random.default_rng(seed)
    x = g.normal(size=(rows, 3)).astype(np.float32)
    y = np.sin(x.sum(1, keepdims=True)).astype(np.float32)
    return (x, y, g.uniform(0.5, 2, rows).astype(np.float32)) if weighted else (x, y)


def network(kind):
    layers = {
        "plain": [cr.nn.Tanh()],
        "dropout": [cr.nn.Tanh(), cr.nn.Dropout(0.3)],
        "batch norm": [cr.nn.BatchNorm(8), cr.nn.Tanh()],
    }[kind]
    return cr.nn.Sequential(cr.nn.Linear(3, 8), *layers, cr.nn.Linear(8, 1)).initialize(seed=1)


def filled_or_not(fills, seen):
    """Mean squares; without the argument ``sample_weights`` nothing can be filled up."""

    def weighted(prediction, target, sample_weights=None):
        seen.append(len(prediction))
        return cr.losses.mse(prediction, target, sample_weights=sample_weights)

    return weighted if fills else lambda p, t: weighted(p, t)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("kind", ["plain", "dropout", "batch norm"])
def test_a_short_last_batch_trains_as_by_itself(kind, backend):
    found = []
    for fills in (True, False):
        seen = []
        trainer = cr.Trainer(
            network(kind), filled_or_not(fills, seen), "adam", lr=0.01, progress=False,
            backend=backend,
        )  # fmt: skip
        history = trainer.fit(data(19), epochs=3, batch_size=8, validation=data(21, seed=5))
        found.append((trainer.model.state(), history["loss"], history["val_loss"]))
        apart = fills and kind != "batch norm"
        assert set(seen) == {8, 8 if apart else 3, 32 if fills else 21}
    (first, *losses), (second, *others) = found
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-4, atol=1e-6)


class Shared(cr.nn.Module):
    """What a row gets depends on how many there are, but not on the others."""

    def __init__(self):
        self.layer = cr.nn.Linear(3, 1).initialize(seed=0)

    def forward(self, x, *, train=False):
        return self.layer(x) / len(x)


def test_a_network_that_counts_its_rows_is_not_padded():
    seen = []
    trainer = cr.Trainer(Shared(), filled_or_not(True, seen), "sgd", lr=0.1, progress=False)
    trainer.fit(data(19), epochs=1, batch_size=8)
    assert set(seen) == {8, 3}


def test_weights_of_rows_go_on_counting():
    states = []
    for batch in ([*range(8)], [0, 1, 2, 3, 4]):
        x, y, w = data(8, weighted=True)
        w[5:] = 0
        trainer = cr.Trainer(network("plain"), "mse", "sgd", lr=0.1, progress=False)
        trainer.fit((x, y, w), epochs=1, batch_size=8)  # decides what a whole batch is
        trainer.partial_fit((x[batch], y[batch], w[batch]))
        states.append(trainer.model.state())
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-5, atol=1e-6)


def test_few_programs_for_what_comes_day_by_day():
    seen = []
    trainer = cr.Trainer(
        network("plain"), filled_or_not(True, seen), "sgd", lr=0.1, progress=False, backend="numpy"
    )
    for day, rows in enumerate([32, 31, 5, 17, 9, 32, 30, 7, 3, 1, 2, 12, 50, 40]):
        trainer.partial_fit(data(rows, seed=day), batch_size=64)
    assert len(trainer.history) == 14
    assert set(seen) == {32, 8, 4, 2, 1, 64}  # 9 and more in 32, 5 and 7 in 8, …


class Members(cr.nn.Module):
    """Networks side by side, (members, rows, outputs), with dropout of their own."""

    def __init__(self):
        self.weight = cr.parameter(np.full((2, 3, 4), 0.1, np.float32))
        self.dropout = cr.nn.Dropout(0.5)

    def forward(self, x, *, train=False, key=None):
        hidden = cr.broadcast_to(x, (2, *x.shape)) @ self.weight
        return cr.sum(self.dropout(hidden, train=train, key=key), 2)


def test_dropout_in_networks_side_by_side_needs_no_second_program():
    seen = []

    def loss(z, target, sample_weights=None):
        seen.append(z.shape[1])
        both = cr.reshape(cr.broadcast_to(target[:, 0], z.shape), (-1,))
        weights = sample_weights
        if weights is not None:
            weights = cr.reshape(cr.broadcast_to(weights, z.shape), (-1,))
        return cr.losses.mse(cr.reshape(z, (-1,)), both, sample_weights=weights)

    trainer = cr.Trainer(Members(), loss, "sgd", lr=0.1, progress=False, backend="numpy")
    trainer.fit(data(19), epochs=2, batch_size=8)
    assert set(seen) == {8}


@pytest.mark.parametrize(("rows", "programs"), [(49, 1), (33, 2)])
def test_weighted_rows_of_a_short_last_batch_join_the_program_of_many_full_ones(rows, programs):
    """Six full batches and a row; after four of them, a program of one row is built."""
    trainer = cr.Trainer(network("plain"), "mse", "adam", lr=0.01, progress=False, backend="c")
    x, y, w = data(rows, weighted=True)
    trainer.fit((x, y, w), epochs=1, batch_size=8, shuffle=False)
    (step,) = trainer._steps.values()
    assert len(step._program._programs) == programs
    model = network("plain")  # the same steps one by one, nothing padded
    optimizer = cr.optim.Adam(model, lr=0.01)
    for begin in range(0, rows, 8):
        batch = slice(begin, begin + 8)
        error = lambda m: cr.losses.mse(m(x[batch]), y[batch], sample_weights=w[batch])  # noqa: B023, E731
        optimizer.update(cr.value_and_grad(error)(model)[1])
    for name, value in model.state().items():
        np.testing.assert_allclose(value, trainer.model.state()[name], rtol=1e-4, atol=1e-6)

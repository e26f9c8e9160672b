"""Streams give what arrays give, whatever the workers do."""

import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataError
from chainrule.training import Arrays, Stream, Trainer

X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5]).astype(np.float32)[:, None]


def plain(rows, epoch):
    return X[rows], Y[rows]


def trainer(**options):
    model = cr.nn.Linear(3, 1).initialize(seed=1)
    return Trainer(model, "mse", "sgd", lr=0.05, progress=False, backend="numpy", **options)


def test_a_training_on_a_stream_is_the_one_on_arrays_to_the_bit():
    by_stream, by_arrays = trainer(metrics=["r2"]), trainer(metrics=["r2"])
    first = by_stream.fit(
        Stream(plain, Y), validation=Stream(plain, Y).take(np.arange(9)), epochs=3, batch_size=8
    )
    second = by_arrays.fit((X, Y), validation=(X[:9], Y[:9]), epochs=3, batch_size=8)
    assert first["loss"] == second["loss"]
    assert first["val_loss"] == second["val_loss"]
    assert first["val_r2"] == second["val_r2"]
    for path, weights in by_arrays.model.state().items():
        assert np.array_equal(by_stream.model.state()[path], weights)
    assert np.array_equal(by_stream.predict(Stream(plain, Y)), by_arrays.predict(X))
    assert all(0 <= share <= 1 for share in first["waited"])


def test_a_share_of_a_stream_judges():
    given = trainer().fit(Stream(plain, Y), validation=0.2, epochs=1, batch_size=50)
    assert len(given["val_loss"]) == 1


def test_the_order_does_not_depend_on_the_number_of_workers():
    def slow(rows, epoch):
        time.sleep(0.002 * (rows[0] % 3))  # later batches are made before earlier ones
        return X[rows] * epoch, Y[rows]

    order = np.random.default_rng(0).permutation(50)
    found = [
        np.concatenate([b.inputs for b in Stream(slow, Y, workers=n).batches(order, 4, epoch=2)])
        for n in (1, 2, 5)
    ]
    for one in found:
        assert np.array_equal(one, X[order] * 2)


def test_epochs_count_from_1_and_0_is_for_judging():
    seen = set()

    def load(rows, epoch):
        seen.add(epoch)
        return plain(rows, epoch)

    one = trainer()
    one.fit(Stream(load, Y), epochs=2, batch_size=25)
    assert seen == {1, 2}
    one.evaluate(Stream(load, Y))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("whole", "sizes"), [(True, {20}), (False, {10, 20})])
def test_whole_batches_only(whole, sizes):
    seen = []

    def load(rows, epoch):
        seen.append(rows)
        return plain(rows, epoch)

    trainer().fit(Stream(load, Y, whole=whole), epochs=4, batch_size=20)
    assert {len(rows) for rows in seen} == sizes
    assert set(np.concatenate(seen)) == set(range(50))  # over the epochs every row is learned


def test_few_batches_are_made_ahead():
    made = []

    def load(rows, epoch):
        made.append(rows)
        return plain(rows % 50, epoch)

    batches = Stream(load, np.zeros(10_000), workers=2).batches(np.arange(10_000), 1)
    next(batches)
    time.sleep(0.05)
    assert len(made) <= 10
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("chainrule-stream")]


def test_the_share_of_waiting_is_measured():
    def load(rows, epoch):
        time.sleep(0.05)
        return plain(rows, epoch)

    history = trainer().fit(Stream(load, Y, workers=1), epochs=1, batch_size=25)
    assert history["waited"][0] > 0.5


def test_an_error_of_a_worker_is_the_users():
    def load(rows, epoch):
        if 30 in rows:
            raise DataError("A file is damaged.", where="30.png")
        return plain(rows, epoch)

    with pytest.raises(DataError, match="damaged"):
        trainer().fit(Stream(load, Y), epochs=1, batch_size=5)


def test_a_part_of_a_part():
    part = Stream(plain, Y, weights=np.arange(50)).take([5, 6, 7]).take([2, 0])
    assert np.array_equal(part.read([0, 1]).inputs, X[[7, 5]])
    assert part.weights.tolist() == [7, 5]
    assert len(part) == 2
    assert isinstance(part.read([0]), Arrays)


def test_a_rate_is_found_on_a_stream():
    assert 1e-5 < cr.training.find_rate(trainer(), Stream(plain, Y)).suggestion < 1


# ---- groups: rows of similar length are together -------------------------------------------------

LENGTHS = np.random.default_rng(1).integers(1, 9, 50)
LONGEST = np.array([3, 6, 8])  # of each group
GROUPS = np.searchsorted(LONGEST, LENGTHS)


class Mean(cr.nn.Module):
    """A linear map of the mean over what is there, whatever the padding."""

    def __init__(self):
        self.head = cr.nn.Linear(1, 1)

    def forward(self, inputs):
        total = cr.sum(inputs["x"], 1, keepdims=True)
        return self.head(total / cr.expand_dims(inputs["lengths"], 1).astype("float32"))


def of_similar_length(**options):
    def load(rows, epoch):
        longest = LONGEST[GROUPS[rows].max()]
        x = np.zeros((len(rows), longest), np.float32)
        for place, row in enumerate(rows):
            x[place, : LENGTHS[row]] = np.sin(row + np.arange(LENGTHS[row]))
        mean = x.sum(1, keepdims=True) / LENGTHS[rows][:, None]
        return {"x": x, "lengths": LENGTHS[rows]}, (3 * mean).astype(np.float32)

    return Stream(load, rows=50, groups=GROUPS, **options)


def fitted(epochs, **options):
    model = Mean().initialize(seed=1)
    found = Trainer(model, "mse", "sgd", lr=0.3, progress=False, backend="numpy",
                    callbacks=options.pop("callbacks", ()))  # fmt: skip
    stream = of_similar_length()
    found.fit(stream, validation=stream, epochs=epochs, batch_size=8, **options)
    return found


def test_a_batch_is_of_one_group_and_none_is_forgotten():
    stream = of_similar_length()
    shapes, seen = set(), 0
    for batch in stream.each(stream.in_order(8, cr.random.key(3))):
        shapes.add(batch.inputs["x"].shape[1])
        seen += len(batch)
        assert batch.inputs["lengths"].max() <= batch.inputs["x"].shape[1]
        smaller = LONGEST[batch.inputs["x"].shape[1] > LONGEST]
        assert batch.inputs["lengths"].min() > max(smaller, default=0)
    assert shapes == {3, 6, 8}
    assert seen == 50
    orders = [
        [row for rows in stream.in_order(8, cr.random.key(k)) for row in rows] for k in (0, 1)
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50))
    assert orders[0] != orders[1]
    assert stream.steps(8) == sum(-(-count // 8) for count in np.bincount(GROUPS))


def test_a_training_on_groups_goes_on_to_the_same_bits(tmp_path):
    whole = fitted(4)
    assert whole.history["loss"][-1] < whole.history["loss"][0]
    steps = []

    class Stop(cr.Callback):
        def on_step_end(self, trainer, number, loss):
            steps.append(number)
            if len(steps) == 2 * of_similar_length().steps(8) + 3:
                raise KeyboardInterrupt

    half = fitted(4, checkpoints=tmp_path, callbacks=[Stop()])
    assert half.history.interrupted
    resumed = fitted(4, checkpoints=tmp_path, resume=True)
    for path, array in whole.model.state().items():
        assert (array == resumed.model.state()[path]).all()
    assert whole.history["val_loss"] == resumed.history["val_loss"]


def test_predictions_are_in_the_order_of_the_rows():
    found = fitted(1)
    by_stream = found.predict(of_similar_length(at_once=4))
    each = [found.predict(of_similar_length().read([row]).inputs)[0] for row in range(50)]
    np.testing.assert_allclose(by_stream, each, rtol=1e-6)


def test_a_process_loads_its_own_rows_of_a_batch_only():
    asked = []

    def load(rows, epoch):
        asked.append(rows.tolist())
        return X[rows], Y[rows], np.ones(len(rows))

    weights = np.arange(50.0)
    stream = Stream(load, Y, weights=weights, apart=True, workers=1).take(np.arange(49, -1, -1))

    def own(rows):  # the second half of full batches
        return np.arange(rows) >= 8 if rows == 16 else np.ones(rows, bool)

    *full, last = stream.batches(np.arange(50), 16, 1, own)
    assert asked == [[*range(41, 33, -1)], [*range(25, 17, -1)], [*range(9, 1, -1)], [1, 0]]
    np.testing.assert_array_equal(full[0].inputs[8:], X[41:33:-1])
    assert not full[0].inputs[:8].any()
    np.testing.assert_array_equal(full[0].weights, np.arange(49.0, 33, -1))
    np.testing.assert_array_equal(last.inputs, X[1::-1])


def test_where_rows_depend_on_their_batch_all_are_loaded():
    own = lambda rows: np.arange(rows) < 3  # noqa: E731
    (batch,) = Stream(plain, Y).batches(np.arange(10), 10, 1, own)
    np.testing.assert_array_equal(batch.inputs, X[:10])

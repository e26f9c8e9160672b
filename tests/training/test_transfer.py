"""Learning that goes on: weights of another model, and new rows without the old ones."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.training import freeze_parts


class Net(cr.nn.Module):
    def __init__(self, classes: int, width: int = 8) -> None:
        self.body = cr.nn.Sequential(cr.nn.Linear(4, width), cr.nn.BatchNorm(width), cr.nn.Tanh())
        self.head = cr.nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.body(x))


def test_what_fits_is_taken_over_and_the_rest_keeps_its_values():
    old, new = Net(10).initialize(0), Net(3).initialize(1)
    before = new.state()
    done = cr.transfer(new, old)
    for path in ("body.layers.0.weight", "body.layers.0.bias", "body.layers.1.running_mean"):
        assert path in done.taken
        np.testing.assert_array_equal(new.state()[path], old.state()[path])
    assert done.different == {"head.weight": ((8, 3), (8, 10)), "head.bias": ((3,), (10,))}
    np.testing.assert_array_equal(new.state()["head.weight"], before["head.weight"])
    assert done.numbers == sum(old.state()[path].size for path in done.taken)


def test_it_says_what_was_taken_and_what_was_not():
    old, new = Net(3).initialize(0), Net(3).initialize(1)
    source = {**old.state(), "tail.weight": np.zeros(2, np.float32)}
    del source["head.bias"]
    done = cr.transfer(new, source, freeze=["body"])
    assert (done.new, done.unused) == (("head.bias",), ("tail.weight",))
    first, *others = done.sentences()
    assert first.startswith("taken over: ")
    assert f"({done.numbers:,} numbers)" in first
    assert [line.partition(":")[0] for line in others] == [
        "newly initialised", "not used of the other model", "frozen",
    ]  # fmt: skip
    assert "tail" in others[1]
    assert str(done).splitlines() == done.sentences()


def test_a_saved_file_a_state_and_a_loaded_model_are_the_same_source(tmp_path):
    old = Net(3).initialize(0)
    cr.save(tmp_path / "old.safetensors", old, np.zeros((2, 4), np.float32))
    sources = (tmp_path / "old.safetensors", cr.load(tmp_path / "old.safetensors"), old.state())
    for source in sources:
        new = Net(3).initialize(1)
        done = cr.transfer(new, source, skip=["head"])
        assert done.new == ("head.weight", "head.bias")
        assert (new.body.layers[0].weight == old.body.layers[0].weight).all()
        assert not (new.head.weight == old.head.weight).all()


def test_frozen_layers_stay_as_they_are_and_leave_the_backward_pass():
    old, new = Net(10).initialize(0), Net(3).initialize(1)
    cr.transfer(new, old, freeze=["body"])
    x = np.ones((2, 4), np.float32)
    _, gradients = cr.value_and_grad(lambda model: model(x).sum())(new)
    assert set(gradients) == {"head.weight", "head.bias"}
    rng = np.random.default_rng(0)
    data = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    cr.Trainer(new, "cross_entropy", "adam", average=0.9, progress=False).fit(data, epochs=2)
    assert (new.body.layers[0].weight == old.body.layers[0].weight).all()
    assert not np.allclose(new.head.weight.numpy(), Net(3).initialize(1).head.weight.numpy())


def test_a_layer_is_named_by_any_run_of_names_in_its_path():
    model = Net(3)
    freeze_parts(model, ["layers.0"])
    frozen = model.parameters().keys() - model.trainable_parameters().keys()
    assert frozen == {"body.layers.0.weight", "body.layers.0.bias"}


def test_mistakes_change_nothing():
    model = Net(3).initialize(0)
    before = model.state()
    with pytest.raises(ConfigError, match="No variable of the other model fits"):
        cr.transfer(model, {"other": np.zeros(3)})
    with pytest.raises(ConfigError, match="no layer 'tail'"):
        cr.transfer(model, Net(3).initialize(1), freeze=["tail"])
    with pytest.raises(ConfigError, match="nothing to learn"):
        cr.transfer(model, Net(3).initialize(1), freeze=["body", "head"])
    assert set(model.trainable_parameters()) == set(model.parameters())
    for path, value in model.state().items():
        np.testing.assert_array_equal(value, before[path])


# ---- online ------------------------------------------------------------------------------------


def stream(rows: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(np.int64)


def test_the_parts_of_a_stream_are_the_same_as_the_whole_in_one_go():
    """Nothing is lost between calls: neither Adam's memory, nor running statistics."""
    x, y = stream(96, 0)
    whole, parts = Net(2).initialize(0), Net(2).initialize(0)
    at_once = cr.Trainer(whole, "cross_entropy", "adam", lr=0.01, progress=False)
    at_once.fit((x, y), epochs=1, batch_size=16, shuffle=False)
    trainer = cr.Trainer(parts, "cross_entropy", "adam", lr=0.01, progress=False)
    for start in range(0, 96, 32):
        part = slice(start, start + 32)
        trainer.partial_fit((x[part], y[part]), batch_size=16, shuffle=False)
    for path, value in whole.state().items():
        np.testing.assert_array_equal(parts.state()[path], value)


def test_another_process_goes_on_to_the_bit():
    x, y = stream(64, 0)
    one, two = Net(2).initialize(0), Net(2).initialize(5)
    first = cr.Trainer(one, "cross_entropy", "adam", lr=0.01, seed=3, progress=False)
    first.partial_fit((x, y), epochs=2)
    second = cr.Trainer(two, "cross_entropy", "adam", lr=0.01, seed=3, progress=False)
    two.load_state(one.state())
    second.load_state(first.state())
    for trainer in (first, second):
        trainer.partial_fit((x, y), epochs=2)
    for path, value in one.state().items():
        np.testing.assert_array_equal(two.state()[path], value)


def test_a_new_rate_replaces_a_schedule_that_has_run_out():
    x, y = stream(64, 0)
    model = Net(2).initialize(0)
    schedule = cr.optim.CosineAnnealingLR(0.01, T_max=4)
    optimizer = cr.optim.Adam(model, lr=schedule)
    trainer = cr.Trainer(model, "cross_entropy", optimizer, average=0.9, progress=False)
    trainer.fit((x, y), epochs=4, batch_size=64)
    trainer.partial_fit((x, y), lr=0.02, epochs=3, batch_size=64)
    assert trainer.history["rate"][-3:] == [0.02] * 3
    assert trainer.history["loss"][-1] < trainer.history["loss"][3]

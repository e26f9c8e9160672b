"""Examples on the disk, and the order in which rows are learned from."""

from __future__ import annotations

import os

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ops.random import key
from chainrule.errors import DataError
from chainrule.training import DiskDataset, sampler
from chainrule.training.sampler import batches_in_order


def rows(count, seed=0):
    g = np.random.default_rng(seed)
    inputs = {"x": g.normal(size=(count, 3)).astype(np.float32), "k": g.integers(0, 5, (count, 2))}
    return inputs, g.integers(0, 2, count)


class Net(cr.nn.Module):
    def __init__(self):
        self.first, self.second = cr.nn.Linear(3, 8), cr.nn.Linear(8, 2)

    def forward(self, given):
        return self.second(cr.tanh(self.first(given["x"])))


def dataseted(inputs, target, part=7):
    dataset = DiskDataset()
    for start in range(0, len(target), part):
        chosen = slice(start, start + part)
        dataset.append({name: a[chosen] for name, a in inputs.items()}, target[chosen])
    return dataset


def test_what_is_read_is_what_was_written_to_the_bit_and_the_type():
    inputs, target = rows(50)
    picked = np.array([49, 0, 7, 7, 20])
    found = dataseted(inputs, target).read(picked)
    for name, array in inputs.items():
        assert found.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(found.inputs[name], array[picked])
    assert found.target.dtype == target.dtype
    np.testing.assert_array_equal(found.target, target[picked])


def test_a_training_from_the_disk_is_that_from_memory_to_the_bit():
    inputs, target = rows(100)
    nets = [Net().initialize(0) for _ in range(2)]
    for net, data in zip(nets, ((inputs, target), dataseted(inputs, target).stream()), strict=True):
        trainer = cr.Trainer(net, "cross_entropy", "adam", lr=0.01, seed=4, progress=False)
        trainer.fit(data, epochs=3, batch_size=16)
    for path, value in nets[0].state().items():
        np.testing.assert_array_equal(value, nets[1].state()[path])


def test_the_file_is_closed_with_the_object(tmp_path):
    dataset = DiskDataset(str(tmp_path))
    dataset.append(*rows(5))
    file = dataset._file
    assert dataset.bytes > 0
    del dataset
    assert file.closed
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    dataset = DiskDataset(str(tmp_path))
    dataset.append(*rows(5))

    def full(*where):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(DataError, match="cannot be kept on the disk") as caught:
            dataset.append(*rows(5))
    assert caught.value.where == str(tmp_path)
    assert len(dataset) == 5


def test_many_rows_are_mixed_in_blocks_each_once(monkeypatch):
    monkeypatch.setattr(sampler, "_AT_ONCE", 64)
    monkeypatch.setattr(sampler, "_BLOCK", 16)
    found = list(batches_in_order(1000, 30, key(1)))
    assert [len(batch) for batch in found] == [30] * 33 + [10]
    every = np.concatenate(found)
    np.testing.assert_array_equal(np.sort(every), np.arange(1000))
    # Within 64 rows that are learned one after another there are few blocks of the file.
    assert len(set(every[:64] // 16)) <= 5
    again = np.concatenate(list(batches_in_order(1000, 30, key(1))))
    other = np.concatenate(list(batches_in_order(1000, 30, key(2))))
    np.testing.assert_array_equal(every, again)
    assert not np.array_equal(every, other)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_without_a_key_the_rows_follow_each_other(monkeypatch, count):
    monkeypatch.setattr(sampler, "_AT_ONCE", 64)
    every = np.concatenate(list(batches_in_order(count, 30, None)))
    np.testing.assert_array_equal(every, np.arange(count))


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_processes_send_each_other_their_rows(monkeypatch, at_once):
    """Two of them; the other has the same rows as this one, without the last two."""
    from chainrule.training import disk_dataset

    inputs, target = rows(9)
    own, fewer = dataseted(inputs, target), 7
    size = own._record.itemsize
    sent = []

    def exchanged(data):
        sent.append(data)
        taken = sum(map(len, sent[1:-1]))  # the first says which types there are
        rest = max(fewer * size - taken, 0)
        return [data, data if len(sent) == 1 else data[:rest]]

    monkeypatch.setattr(disk_dataset, "_AT_ONCE", at_once)
    monkeypatch.setattr(disk_dataset.together, "process_count", lambda: 2)
    monkeypatch.setattr(disk_dataset.together, "exchanged", exchanged)
    monkeypatch.setattr(disk_dataset.together, "gathered", lambda number: [number, fewer])
    whole = own.shared()
    assert len(whole) == 9 + 7
    found = whole.read(np.arange(16))
    expected = np.r_[0:9, 0:7]
    np.testing.assert_array_equal(found.inputs["x"], inputs["x"][expected])
    np.testing.assert_array_equal(found.inputs["k"], inputs["k"][expected])
    np.testing.assert_array_equal(found.target, target[expected])

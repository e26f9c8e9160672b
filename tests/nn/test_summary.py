import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ShapeError


def net() -> nn.Sequential:
    return nn.Sequential(
        {
            "embed": nn.Embedding(10, 4),
            "norm": nn.BatchNorm(4),
            "b": nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.ReLU())),
            "out": nn.Linear(4, 1, bias=False),
        }
    )


def test_numbers():
    network = net()
    network.freeze("layers.embed")
    summary = network.summary(np.array([[1, 2, 3]]))
    assert (summary.trainable, summary.frozen, summary.buffers) == (8 + 20 + 4, 40, 8)
    assert summary.parameters == 72
    assert summary.bytes == 4 * (72 + 8)
    rows = {row.path: row for row in summary.rows}
    assert rows["layers.embed"].frozen == 40
    assert rows["layers.norm"].buffers == 8
    assert rows["layers.b"].trainable == 0
    assert rows["layers.b.module.layers.0"].trainable == 20
    assert rows["layers.out"].outputs == ["(1, 3, 1)"]


def test_table():
    network = net()
    network.freeze("layers.embed")
    assert str(network.summary(np.array([[1, 2, 3]]))).splitlines() == [
        "Sequential: 72 parameters (40 frozen) and 8 numbers in buffers, 320 B",
        "path                      layer                                  output     parameters",
        "layers.embed              Embedding(10, 4)                       (1, 3, 4)   frozen 40",
        "layers.norm               BatchNorm(4, eps=1e-05, momentum=0.1)  (1, 3, 4)           8",
        "layers.b                  Residual()                             (1, 3, 4)           0",
        "layers.b.module           Sequential()                           (1, 3, 4)           0",
        "layers.b.module.layers.0  Linear(4, 4)                           (1, 3, 4)          20",
        "layers.b.module.layers.1  Dropout(0.1)                           (1, 3, 4)           0",
        "layers.b.module.layers.2  ReLU()                                 (1, 3, 4)           0",
        "layers.out                Linear(4, 1, bias=False)               (1, 3, 1)           4",
    ]


@pytest.mark.parametrize(
    "example",
    [(2, 3), np.ones((2, 3), np.float32), cr.ones((2, 3)), cr.ir.Type(np.dtype("float32"), (2, 3))],
)
def test_examples_and_shapes(example):
    summary = nn.Sequential(nn.Linear(3, 5)).summary(example)
    assert summary.rows[0].outputs == ["(2, 5)"]


def test_without_an_example_there_are_no_shapes():
    text = str(net().summary())
    assert "output" not in text
    assert "layers.out" in text


def test_several_inputs_and_calls():
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.shared = nn.Linear(3, 3)
            self.unused = nn.Linear(2, 2)
            self.scale = cr.parameter([1.0])

        def forward(self, a, b):
            return self.shared(a) * self.scale + self.shared(b)

    lines = str(Twice().summary((2, 3), (2, 3))).splitlines()
    assert lines[2].split() == ["(itself)", "Twice()", "(2,", "3)", "1"]
    assert lines[3].split() == ["shared", "Linear(3,", "3)", "(2,", "3)", "×2", "12"]
    assert lines[4].split() == ["unused", "Linear(2,", "2)", "not", "called", "6"]


def test_a_single_layer_is_its_own_row():
    assert str(nn.Linear(2, 3).summary((1, 2))).splitlines()[2].split()[0] == "(itself)"
    assert len(nn.ReLU().summary((1, 2)).rows) == 1


def test_summary_computes_nothing():
    network = nn.Sequential(nn.BatchNorm(2), nn.Linear(2, 10**6, bias=False, init="zeros"))
    before = network.state()["layers.0.running_mean"]
    summary = network.summary((10**6, 2))  # the result would take 4 TB
    assert summary.rows[1].outputs == ["(1000000, 1000000)"]
    assert summary.bytes == 4 * (2 * 10**6 + 8)
    assert "8 MB" in str(summary)
    np.testing.assert_array_equal(network.state()["layers.0.running_mean"], before)


def test_a_wrong_shape_is_said():
    with pytest.raises(ShapeError, match="does not fit"):
        nn.Linear(2, 3).summary((1, 5))

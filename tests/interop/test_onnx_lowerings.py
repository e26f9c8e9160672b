"""Every operation as ONNX: its samples, computed by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import chainrule as cr
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.node import PART, Node, placeholder
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.ir.program import Program
from chainrule.engine.ir.types import Record, type_of
from chainrule.errors import ConfigError
from chainrule.interop.onnx.declarations import value_info
from chainrule.interop.onnx.lowering import Writer
from chainrule.interop.onnx.lowerings import LOWERINGS, REFUSED
from chainrule.interop.onnx.symbolic import symbolic

from .running_onnx import session

LEAVES = {"constant", "placeholder"}


def graph_of(op, sample, dtype):
    """The graph of one operation, and the arrays that go in."""
    arrays = [np.asarray(getattr(x, "value", x)) for x in sample.inputs]
    arrays = [a.astype(dtype) if a.dtype == np.float64 else a for a in arrays]
    inputs = [placeholder(type_of(a), str(i), 0) for i, a in enumerate(arrays)]
    kind = op.type_rule(*[node.type for node in inputs], **sample.attributes)
    made = Node(op, tuple(inputs), sample.attributes, kind)
    outputs = [made]
    if isinstance(kind, Record):
        outputs = [Node(PART, (made,), {"index": i}, t) for i, t in enumerate(kind.parts)]
    return Graph(inputs, outputs), arrays


def written(graph, opset):
    e = Writer(opset)
    found = symbolic(graph, graph)
    names = [f"in{i}" for i in range(len(found.inputs))]
    inputs = [value_info(e, name, node) for name, node in zip(names, found.inputs, strict=True)]
    results = [e.op("Identity", name) for name in e.lower(found, names)]
    outputs = [value_info(e, name, n) for name, n in zip(results, found.outputs, strict=True)]
    made = onnx.helper.make_graph(e.nodes, "one", inputs, outputs, list(e.initializers.values()))
    versions = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(made, opset_imports=versions, ir_version=8)


@pytest.mark.parametrize("name", sorted(LOWERINGS))
def test_the_samples_of_every_operation(name):
    op = OPERATIONS[name]
    for number, sample in enumerate(op.samples()):
        for dtype in ("float64", "float32"):
            graph, arrays = graph_of(op, sample, dtype)
            newer = name.startswith("bitwise") or sample.attributes.get("mode") in ("max", "min")
            ready = session(written(graph, 18 if newer or number % 3 == 1 else 17))
            given = dict(zip([i.name for i in ready.get_inputs()], arrays, strict=True))
            for found, expected in zip(ready.run(None, given), Program(graph)(arrays), strict=True):
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_every_operation_is_written_or_refused_with_a_reason():
    assert LOWERINGS.keys() | REFUSED.keys() == OPERATIONS.keys() - LEAVES
    assert not LOWERINGS.keys() & REFUSED.keys()
    assert all(reason.strip() for reason in REFUSED.values())


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_named(name):
    op = OPERATIONS[name]
    for sample in list(op.samples())[:1]:
        graph, _ = graph_of(op, sample, "float64")
        with pytest.raises(ConfigError, match=f"operation {name} cannot") as caught:
            written(graph, 17)
        assert REFUSED[name] in str(caught.value)


def test_what_older_operators_lack_is_said():
    op = OPERATIONS["bitwise_xor"]
    graph, _ = graph_of(op, next(iter(op.samples())), "float64")
    with pytest.raises(ConfigError, match="opset=18"):
        written(graph, 17)


def test_an_operation_of_a_user_is_refused_by_its_name():
    @cr.operation(derivatives=[lambda g, y, x: g * 3.0])
    def threefold(xp, x):
        return x * 3

    class Model(cr.nn.Module):
        def forward(self, x):
            return threefold(x)

    with pytest.raises(ConfigError, match=r"threefold.*cannot be written"):
        cr.onnx.save("/nowhere/x.onnx", Model(), np.zeros((2, 3), np.float32))


def test_a_value_with_a_derivative_of_its_own_is_the_value():
    straight = cr.custom_vjp(lambda g, y, x: (g,))(lambda x: cr.round(x) * 2.0)
    x = np.array([0.4, 1.6, -2.3], np.float32)
    graph = cr.trace(straight, x).graph
    assert "own_derivative" in {node.op.name for node in graph.nodes}
    (found,) = session(written(graph, 17)).run(None, {"in0": x})
    np.testing.assert_array_equal(found, [0.0, 4.0, -4.0])

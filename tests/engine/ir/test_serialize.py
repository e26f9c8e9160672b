"""Graphs as JSON: everything comes back, and nothing else comes in."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.engine.ops  # registers the operations
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir import OPERATIONS, Graph, Node, from_json, to_json
from chainrule.engine.ir.node import placeholder
from chainrule.engine.ir.serialize import decode, encode
from chainrule.engine.ir.types import type_of
from chainrule.errors import ModelFileError

SAMPLES = [
    pytest.param(op, sample, id=f"{op.name}-{number}")
    for op in OPERATIONS.values()
    for number, sample in enumerate(op.samples())
]


@pytest.mark.parametrize(("op", "sample"), SAMPLES)
def test_every_operation_comes_back(op: Any, sample: Any) -> None:
    arrays = [np.asarray(array) for array in sample.inputs]
    inputs = tuple(placeholder(type_of(array), str(i), 0) for i, array in enumerate(arrays))
    result = op.type_rule(*(node.type for node in inputs), **sample.attributes)
    graph = Graph(inputs, [Node(op, inputs, sample.attributes, result)])
    read = from_json(json.loads(json.dumps(to_json(graph))))
    assert str(read) == str(graph)
    for expected, found in zip(Program(graph)(arrays), Program(read)(arrays), strict=True):
        assert expected.tobytes() == found.tobytes()


@pytest.mark.parametrize(
    "value",
    [True, 3, -2.5, float("inf"), None, "same", (1, (2, 3)), (), np.dtype("int32"), 1e-300],
)
def test_attributes_come_back(value: Any) -> None:
    found = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert found == value
    assert type(found) is type(value)


def test_what_has_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be stored"):
        encode(object())


def test_constants_of_all_types_come_back() -> None:
    arrays: list[Any] = [
        np.array([True, False]),
        np.array([2**32 - 1], np.uint32),
        np.array([-(2**63), 2**63 - 1]),
        np.array([0.1, -0.0, np.nan, np.inf, 1e-45], np.float32),
        np.array([[0.1], [5e-324]]),
    ]
    graph = cr.trace(lambda x: [x, *map(cr.tensor, arrays)], 1.0).graph
    read = from_json(json.loads(json.dumps(to_json(graph), allow_nan=False)))
    for array, node in zip(arrays, read.outputs[1:], strict=True):
        assert node.value is not None
        assert node.value.dtype == array.dtype
        assert node.value.tobytes() == array.tobytes()


# ---- what must be refused ------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "nodes": [
        {"op": "placeholder", "type": ["float32", [2, 3]], "attributes": {"name": "x"}},
        {"op": "constant", "type": ["float32", [3]], "value": [1.0, 2.0, 3.0]},
        {"op": "broadcast_to", "type": ["float32", [2, 3]], "inputs": [1],
         "attributes": {"shape": [2, 3]}},
        {"op": "add", "type": ["float32", [2, 3]], "inputs": [0, 2]},
        {"op": "softmax", "type": ["float32", [2, 3]], "inputs": [3], "attributes": {"axis": 1}},
        {"op": "constant", "type": ["float32", [3, 1]], "array": "weight"},
        {"op": "matmul", "type": ["float32", [2, 1]], "inputs": [4, 5],
         "attributes": {"transpose_a": False, "transpose_b": False}},
    ],
    "inputs": [0],
    "outputs": [6],
}  # fmt: skip
ARRAYS = {"weight": np.ones((3, 1), np.float32)}


def node(number: int, **changes: Any) -> Callable[[Any], None]:
    return lambda data: data["nodes"][number].update(changes)


def insert(entry: dict[str, Any]) -> Callable[[Any], None]:
    return lambda data: data["nodes"].append(entry)


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "unknown operation": (node(3, op="os.system"), "Unknown operation 'os.system'"),
    "operation is no name": (node(3, op=["add"]), "expected a name"),
    "placeholder as operation": (node(3, op="placeholder"), "expected the keys"),
    "unknown dtype": (node(0, type=["float16", [2, 3]]), "Unknown element type"),
    "object dtype": (node(0, type=["object", [2, 3]]), "Unknown element type"),
    "dtype is no name": (node(0, type=[["float32"], [2, 3]]), "expected a name"),
    "wrong type": (node(3, type=["float64", [2, 3]]), "not float64"),
    "negative extent": (node(0, type=["float32", [-1, 3]]), "shape"),
    "huge extent": (node(0, type=["float32", [2**40, 3]]), "shape"),
    "huge integer": (node(0, type=["float32", [10**4000, 3]]), "shape"),
    "fractional extent": (node(0, type=["float32", [2.0, 3]]), "shape"),
    "boolean extent": (node(0, type=["float32", [True, 3]]), "shape"),
    "shape is text": (node(0, type=["float32", "23"]), "shape"),
    "many axes": (node(0, type=["float32", [1] * 40]), "shape"),
    "unknown attribute": (node(4, attributes={"axis": 1, "hook": 1}), "unexpected keyword"),
    "missing attribute": (node(4, attributes={}), "missing"),
    "attribute of none": (node(3, attributes={"axis": 0}), "unexpected keyword"),
    "attribute is text": (node(4, attributes={"axis": "*/ system(0)"}), "softmax with axis"),
    "attribute is a fraction": (node(4, attributes={"axis": 1.0}), "softmax with axis"),
    "attribute is a flag": (node(4, attributes={"axis": True}), "softmax with axis"),
    "attribute is missing": (node(4, attributes={"axis": None}), "softmax with axis"),
    "attribute is a list": (node(4, attributes={"axis": [1]}), "softmax with axis"),
    "flag is a number": (
        node(6, attributes={"transpose_a": 0, "transpose_b": False}), "transpose_a"),
    "axis too large": (node(4, attributes={"axis": 2}), "along axis"),
    "axis negative": (node(4, attributes={"axis": -1}), "along axis"),
    "tuple of fractions": (node(2, attributes={"shape": [2.0, 3]}), "broadcast_to with shape"),
    "nested tuple": (node(2, attributes={"shape": [[2], 3]}), "broadcast_to with shape"),
    "unknown object": (node(2, attributes={"shape": {"class": "os"}}), "attribute"),
    "two in an object": (node(2, attributes={"shape": {"float": "nan", "a": 1}}), "too many"),
    "attributes are a list": (node(2, attributes=[1]), "AttributeError"),
    "too few inputs": (node(3, inputs=[0]), "missing a required"),
    "too many inputs": (node(3, inputs=[0, 2, 2]), "too many positional"),
    "no inputs": (node(3, inputs=[]), "without inputs"),
    "inputs are text": (node(3, inputs="02"), "node number"),
    "its own input": (node(3, inputs=[0, 3]), "node number 3, expected 0 to 2"),
    "a cycle": (node(3, inputs=[0, 4]), "node number 4"),
    "negative number": (node(3, inputs=[0, -1]), "node number -1"),
    "flag as number": (node(3, inputs=[0, True]), "node number True"),
    "shapes do not fit": (node(3, inputs=[0, 1]), "add takes inputs of one type"),
    "unknown key": (node(3, code="print()"), "expected the keys"),
    "missing key": (lambda data: data["nodes"][3].pop("type"), "type"),
    "two kinds of value": (node(1, array="weight"), "expected the keys"),
    "missing array": (node(5, array="other"), "An array is missing"),
    "array name is a list": (node(5, array=["weight"]), "unhashable"),
    "array of another type": (node(5, type=["float32", [1, 3]]), "another type"),
    "too few values": (node(1, value=[1.0]), "not the values"),
    "values are integers": (node(1, value=[1, 2, 3]), "not the values"),
    "values are text": (node(1, value=["1", "2", "3"]), "not the values"),
    "nested values": (node(1, value=[[1.0, 2.0, 3.0]]), "not the values"),
    "unknown number": (node(1, value=[1.0, 2.0, {"float": "1e9"}]), "attribute"),
    "name of an input": (node(0, attributes={"name": 3}), "expected a name"),
    "input without name": (node(0, attributes={}), "expected the keys"),
    "input twice": (lambda data: data["inputs"].append(0), "twice"),
    "input is no placeholder": (lambda data: data["inputs"].append(1), "placeholders"),
    "free placeholder": (lambda data: data["inputs"].clear(), "placeholders"),
    "no such output": (lambda data: data["outputs"].append(7), "node number 7"),
    "no nodes": (lambda data: data.pop("nodes"), "expected the keys"),
    "nodes are text": (lambda data: data.update(nodes="abc"), "TypeError"),
    "node is null": (lambda data: data["nodes"].append(None), "TypeError"),
    "unknown part": (lambda data: data.update(hooks=[]), "expected the keys"),
    "no stop in a slice": (
        insert({"op": "slice", "type": ["float32", [2, 3]], "inputs": [0],
                "attributes": {"start": [0, 0], "stop": [2, 3], "step": [1, 0]}}), "slice"),
    "negative padding": (
        insert({"op": "pad", "type": ["float32", [2, 2]], "inputs": [0],
                "attributes": {"before": [0, -1], "after": [0, 0], "between": [0, 0],
                               "value": 0.0}}), "negative"),
}  # fmt: skip


def test_the_good_one_is_read() -> None:
    (result,) = Program(from_json(GOOD, ARRAYS))([np.zeros((2, 3), np.float32)])
    np.testing.assert_allclose(result, 1)


@pytest.mark.parametrize("name", BAD)
def test_damaged_graphs_are_refused_with_the_reason(name: str) -> None:
    damage, reason = BAD[name]
    data = copy.deepcopy(GOOD)
    damage(data)
    with pytest.raises(ModelFileError) as caught:
        from_json(data, ARRAYS)
    assert reason in str(caught.value)


@pytest.mark.parametrize("data", [None, [], 3, "graph", {}, {"nodes": []}])
def test_other_data_are_refused(data: Any) -> None:
    with pytest.raises(ModelFileError):
        from_json(data)


@pytest.mark.parametrize(
    "bomb",
    [
        {"op": "broadcast_to", "type": ["float32", [2**39]], "inputs": [1],
         "attributes": {"shape": [2**39]}},
        {"op": "broadcast_to", "type": ["float32", [2**20, 2**20]], "inputs": [1],
         "attributes": {"shape": [2**20, 2**20]}},
        {"op": "pad", "type": ["float32", [2**39]], "inputs": [1],
         "attributes": {"before": [0], "after": [2**39 - 1], "between": [0], "value": 0.0}},
        {"op": "random_bits", "type": ["uint32", [2**39]], "inputs": [2],
         "attributes": {"shape": [2**39]}},
        {"op": "matmul", "type": ["float32", [2**20, 2**20]], "inputs": [3, 3],
         "attributes": {"transpose_a": False, "transpose_b": True}},
    ],
)  # fmt: skip
def test_nodes_that_would_fill_the_memory_are_refused(bomb: dict[str, Any]) -> None:
    nodes = [
        {"op": "placeholder", "type": ["float32", [1]], "attributes": {"name": "x"}},
        {"op": "constant", "type": ["float32", [1]], "value": [1.0]},
        {"op": "constant", "type": ["uint32", [2]], "value": [1, 2]},
        {"op": "constant", "type": ["float32", [2**20, 1]], "array": "tall"},
        bomb,
    ]
    data = {"nodes": nodes, "inputs": [0], "outputs": [4]}
    arrays = {"tall": np.zeros((2**20, 1), np.float32)}
    with pytest.raises(ModelFileError, match="too large"):
        from_json(data, arrays, max_elements=2**16)
    with pytest.raises(ModelFileError, match="too large"):
        from_json({**data, "outputs": [0]}, arrays, max_elements=2**16)  # computed or not


def count(*arguments: Any) -> Any:
    return cr.scan(*arguments, differentiable=False)


def stored_loop(length: int, inner: int = 1) -> Any:
    """A loop that needs no data, around another one."""

    def body(c: Any, _: Any) -> Any:
        return count(lambda d, _: (d + 1.0, None), c, None, inner)[0], None

    graph = cr.trace(lambda c: count(body, c, None, 2)[0], cr.tensor(0.0)).graph
    stored = json.loads(json.dumps(to_json(graph)))
    loop = next(entry for entry in stored["nodes"] if entry["op"] == "scan")
    loop["attributes"]["length"] = length
    return stored


@pytest.mark.parametrize(("length", "inner"), [(2**62, 1), (2**22, 1), (2**12, 2**11)])
def test_loops_of_a_file_end(length: int, inner: int) -> None:
    with pytest.raises(ModelFileError, match="loops of the graph are too long"):
        from_json(stored_loop(length, inner))


def test_long_loops_come_back() -> None:
    assert Program(from_json(stored_loop(1000)))([np.float32(0.0)])[0] == 1000


def test_a_graph_of_too_many_nodes_is_refused_by_their_number(monkeypatch: Any) -> None:
    from chainrule.engine.ir import serialize

    data = to_json(cr.trace(lambda x: cr.exp(cr.tanh(x)), np.ones(3, np.float32)).graph)
    count = len(data["nodes"])
    monkeypatch.setattr(serialize, "_MAX_NODES", count)
    from_json(data)
    monkeypatch.setattr(serialize, "_MAX_NODES", count - 1)
    with pytest.raises(ModelFileError, match="too large") as caught:
        from_json(data)
    assert caught.value.found == str(count)

"""Updates in pieces: the same bits as node by node, whatever the shapes are."""

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c.pieces import native
from chainrule.engine.ir import pieces
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.pieces import PieceProgram
from chainrule.engine.ir.program import Program

#: Small and large arrays, one larger than a piece, single numbers with and without an axis, none.
SHAPES = [(3, 4), (5,), (1,), (), (0, 2), (7, 2), (150, 90), (300, 250), (4, 3)]


def _update(name: str, dtype: str, **options: Any) -> Graph:
    """The graph of an update of parameters of all these shapes."""
    weights = {f"w{i}": cr.parameter(np.ones(shape, dtype)) for i, shape in enumerate(SHAPES)}
    optimizer = getattr(cr.optim, name)(weights, lr=0.1, **options)
    return cr.trace(optimizer.update, {key: w.numpy() for key, w in weights.items()}).graph


def _numbers(graph: Graph, seed: int) -> list[Any]:
    """Inputs: of all sizes, zeros of both signs and subnormal numbers among them."""
    random = np.random.default_rng(seed)
    found = []
    for node in graph.inputs:
        x = random.standard_normal(node.type.shape) * 10.0 ** random.integers(-44, 3)
        x = np.where(random.random(node.type.shape) < 0.1, -0.0, x)
        if not node.type.shape:
            x = np.array(random.integers(1, 9))
        found.append(x.astype(node.type.dtype))
    return found


CASES: list[tuple[str, dict[str, Any]]] = [
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "clip_norm": 0.5}),
    ("AdamW", {"decay": "matrices"}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Lion", {"l1": 0.01, "clip_value": 0.3}),
    ("RAdam", {}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_bits_are_those_of_one_node_after_another(
    name: str, options: dict[str, Any], dtype: str
) -> None:
    graph = _update(name, dtype, **options)
    program, reference = PieceProgram(graph), Program(graph)
    before = []
    for seed in range(3):
        inputs = _numbers(graph, seed)
        inputs = [x.T.copy().T if seed == 1 else x for x in inputs]  # in another order in memory
        found, expected = program(inputs), reference(inputs)
        before.append((found, [x.copy() for x in found]))
        for x, y in zip(found, expected, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            assert x.tobytes() == y.tobytes()
    for found, copies in before:  # a later call leaves them as they are
        assert all(x.tobytes() == y.tobytes() for x, y in zip(found, copies, strict=True))


def test_what_the_last_call_has_put_together_is_found_there() -> None:
    graph = _update("Adam", "float32")
    program, reference = PieceProgram(graph), Program(graph)
    inputs = _numbers(graph, 0)
    for _ in range(4):
        found = program(inputs)
        assert [x.tobytes() for x in found] == [y.tobytes() for y in reference(inputs)]
        count = len(inputs) - len(found)  # new values of variables take the place of old ones
        shapes = [x.shape for x in inputs[count:]]
        assert sorted(shapes) == sorted(x.shape for x in found)
        by_shape: dict[Any, list[Any]] = {}
        for x in found:
            by_shape.setdefault((x.shape, x.dtype), []).append(x)
        inputs[count:] = [by_shape[x.shape, x.dtype].pop(0) for x in inputs[count:]]


def test_arithmetic_whose_results_are_used_elsewhere() -> None:
    def function(x: cr.Tensor, y: cr.Tensor) -> Any:
        z = x * y - 1.0
        return z + x, cr.sum(z), cr.exp(z) * y, cr.transpose(z) - 2.0, x, z

    x = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    graph = cr.trace(function, x, x).graph
    found, expected = (kind(graph)([x, x[::-1]]) for kind in (PieceProgram, Program))
    assert [a.tobytes() for a in found] == [b.tobytes() for b in expected]


@pytest.mark.parametrize(
    ("name", "options", "dtype"),
    [(*case, "float32") for case in CASES] + [(*CASES[0], "float64")],
)
def test_native_functions_have_the_same_bits(
    name: str, options: dict[str, Any], dtype: str
) -> None:
    graph = _update(name, dtype, **options)
    inputs = _numbers(graph, 0)
    known = dict(zip(graph.inputs, inputs, strict=True))
    for part in {part.form: part for part in pieces._parts(graph)}.values():
        nodes = [*part.leaves, *part.numbers]
        unknown = [node for node in nodes if node not in known]
        known |= zip(unknown, Program(Graph(graph.inputs, unknown))(inputs), strict=True)
        expected = Program(Graph(graph.inputs, part.outputs))(inputs)
        made = [np.empty_like(x).reshape(-1) for x in expected]
        leaves = [np.ascontiguousarray(known[leaf]).reshape(-1) for leaf in part.leaves]
        native(part)(leaves, made, [known[number] for number in part.numbers])
        assert [x.tobytes() for x in made] == [y.tobytes() for y in expected]


def test_a_native_function_is_built_after_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_WORTH_BUILDING", 2 * 300 * 250)
    building: list[Future[Any]] = []

    def in_turn(build: Any) -> Future[Any]:
        building.append(Future())
        building[-1].set_result(build())
        return building[-1]

    monkeypatch.setattr(pieces, "in_background", in_turn)
    asked = []

    def spy(part: pieces.Part) -> pieces.Compute:
        found = native(part)
        return lambda *arguments: asked.append(len(asked)) or found(*arguments)  # type: ignore[func-returns-value]

    graph = _update("Adam", "float32")
    program, reference = PieceProgram(graph, spy), Program(graph)
    calls = []
    for seed in range(5):
        inputs = _numbers(graph, seed)
        assert [x.tobytes() for x in program(inputs)] == [y.tobytes() for y in reference(inputs)]
        calls.append((len(building), len(asked)))
    assert calls == [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)]


def test_where_nothing_can_be_built_numpy_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_WORTH_BUILDING", 1)
    monkeypatch.setenv("CHAINRULE_CC", "")
    failed: list[Future[Any]] = []
    start = pieces.in_background
    monkeypatch.setattr(
        pieces, "in_background", lambda build: failed.append(start(build)) or failed[-1]
    )
    graph = _update("Adam", "float32")
    program, reference = PieceProgram(graph, native), Program(graph)
    for seed in range(3):
        inputs = _numbers(graph, seed)
        assert [x.tobytes() for x in program(inputs)] == [y.tobytes() for y in reference(inputs)]
        assert failed[0].exception() is not None
    assert len(failed) == 1

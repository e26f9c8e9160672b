"""Types, operations, graphs: order, verification, print."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir import (
    CONSTANT,
    OPERATIONS,
    ZERO,
    Graph,
    Node,
    Operation,
    Type,
    topological_order,
)
from chainrule.engine.ir.node import constant, placeholder
from chainrule.engine.ir.operation import register
from chainrule.engine.ir.types import DTYPES, as_dtype, promote
from chainrule.errors import ChainruleError, TypeRuleError

F3 = Type(np.dtype("float32"), (3,))


def node(name: str, *inputs: Node, type: Type = F3, **attributes: Any) -> Node:
    return Node(OPERATIONS[name], inputs, attributes, type)


def test_types() -> None:
    assert str(Type(np.dtype("int64"), (2, 3))) == "int64[2, 3]"
    assert Type(np.dtype("bool"), ()).size == 1
    assert Type(np.dtype("bool"), (4, 0)).size == 0
    assert F3.is_float
    assert not Type(np.dtype("int32"), ()).is_float


@pytest.mark.parametrize(
    ("given", "expected"),
    [(float, "float32"), (int, "int64"), (bool, "bool"), ("float64",) * 2, (np.int32, "int32")],
)
def test_names_of_element_types(given: Any, expected: str) -> None:
    assert as_dtype(given) == np.dtype(expected)


@pytest.mark.parametrize("given", ["float16", "complex64", object, "no such type", np.uint8])
def test_unknown_element_types(given: Any) -> None:
    with pytest.raises(TypeRuleError, match="Unknown element type"):
        as_dtype(given)


def test_promotion_is_a_chain() -> None:
    for i, weak in enumerate(DTYPES):
        for strong in DTYPES[i:]:
            assert promote(weak, strong) == promote(strong, weak) == strong


def test_inputs_come_before_their_users() -> None:
    x = placeholder(F3, "x", 0)
    a = node("exp", x)
    b = node("multiply", a, x)
    c = node("add", b, a)
    order = topological_order([c, a])
    assert order == [x, a, b, c]
    assert topological_order([x, x]) == [x]
    for at, one in enumerate(order):
        assert all(order.index(source) < at for source in one.inputs)


def test_verification() -> None:
    x = placeholder(F3, "x", 0)
    Graph([x], [node("exp", x)]).verify()
    with pytest.raises(ChainruleError, match="Free placeholder 'x'"):
        Graph([], [node("exp", x)]).verify()
    wrong = Type(np.dtype("float64"), (3,))
    with pytest.raises(ChainruleError, match="Wrong type of exp") as caught:
        Graph([x], [node("exp", x, type=wrong)]).verify()
    assert (caught.value.expected, caught.value.found) == ("float32[3]", "float64[3]")
    with pytest.raises(ChainruleError, match="without a value"):
        Graph([], [Node(CONSTANT, (), {}, F3)]).verify()


def test_the_body_of_a_loop_is_verified_too() -> None:
    def summed(xs: Any) -> Any:
        return cr.scan(lambda total, x: (total + x, total), cr.tensor(0.0), xs)[0]

    graph = cr.trace(summed, np.ones(3, np.float32)).graph
    graph.verify()
    (loop,) = [node for node in graph.nodes if node.op.has_body]
    body = loop.attributes["body"]
    loop.attributes["body"] = Graph(body.inputs[:-1], body.outputs)
    with pytest.raises(ChainruleError, match="Free placeholder"):
        graph.verify()


def test_print() -> None:
    x = placeholder(F3, "x", 0)
    graph = Graph([x], [node("sum", x, type=Type(np.dtype("float32"), ()), axes=(0,))])
    assert str(graph) == (
        "%0: float32[3] = placeholder(name='x')\n%1: float32[] = sum(%0, axes=(0,))\nreturn %1"
    )
    assert "constant(2.5)" in str(Graph([], [constant(np.array(2.5, "float32"))]))


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ChainruleError, match="'exp' exists already"):
        register(Operation("exp", lambda x: x, lambda xp, x: x))
    with pytest.raises(TypeError):
        OPERATIONS["mine"] = OPERATIONS["exp"]  # type: ignore[index]


def test_rules_by_position() -> None:
    assert Operation("no_rules", lambda x: x, None).derivative(3) is ZERO
    rules = OPERATIONS["concatenate"]
    assert rules.derivative(0) is not rules.derivative(1)


def test_errors_say_what_where_expected_found_and_a_hint() -> None:
    with pytest.raises(cr.errors.ShapeError) as caught:
        cr.tensor([[1.0, 2.0]]) @ cr.tensor([[1.0, 2.0]])
    assert str(caught.value) == (
        "The inner extents of a matrix product differ.\n"
        "  expected: 2 rows on the right, as there are 2 columns on the left\n"
        "  found: (1, 2) @ (1, 2)"
    )

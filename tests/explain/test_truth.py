"""What an explanation says is what training does, and what mathematics and PyTorch say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir.node import Node as GraphNode
from chainrule.engine.ir.node import placeholder
from chainrule.engine.ir.operation import NON_DIFFERENTIABLE, OPERATIONS, ZERO
from chainrule.engine.ir.types import type_of
from chainrule.engine.tensor import TRACE_BIT
from chainrule.explain.demos import DEMOS, demo
from chainrule.explain.elements import Elements, value_of
from chainrule.explain.explanation import Explanation, Node, Quantity
from chainrule.training import Step

REFERENCES = Path(__file__).parents[1] / "references" / "explanations.json"
STEPS = json.loads(REFERENCES.read_text(encoding="utf-8"))["steps"]

OPTIMIZERS = {
    "sgd": cr.optim.SGD,
    "momentum": cr.optim.SGD,
    "nesterov": cr.optim.SGD,
    "rmsprop": cr.optim.RMSprop,
    "adam": cr.optim.Adam,
    "adamw": cr.optim.AdamW,
    "adagrad": cr.optim.Adagrad,
}
#: What PyTorch calls the memory of an optimizer.
MEMORY = {"exp_avg": "m", "exp_avg_sq": "v", "momentum_buffer": "v", "square_avg": "v", "sum": "s"}


def array(stored: Any) -> np.ndarray[Any, Any]:
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


def whole(values: Any) -> np.ndarray[Any, Any]:
    assert values.data is not None
    return np.asarray(values.data).reshape(values.shape)


def close(found: Any, expected: Any, relative: float) -> None:
    scale = max(float(np.abs(expected).max()), 1e-12)
    assert np.abs(np.asarray(found) - expected).max() <= relative * scale


def by_symbol(told: Explanation) -> dict[str, Node]:
    return {node.symbol: node for node in told.nodes if node.symbol}


# ---- PyTorch -------------------------------------------------------------------------------------


def forward_of(network: str, p: dict[str, Any]) -> Any:
    def dense(x: Any, y: Any) -> Any:
        z1 = x @ p["w1"] + p["b1"]
        a1 = cr.tanh(z1)
        z2 = a1 @ p["w2"] + p["b2"]
        loss = cr.losses.cross_entropy(z2, y)
        return loss

    def convolutional(x: Any, y: Any) -> Any:
        z1 = cr.conv2d(x, p["w1"], p["b1"])
        a1 = cr.tanh(z1)
        h1 = cr.max_pool(a1, 2)
        z2 = h1.reshape(2, 8) @ p["w2"] + p["b2"]
        loss = cr.losses.cross_entropy(z2, y)
        return loss

    return {"dense": dense, "convolutional": convolutional}[network]


@pytest.mark.parametrize("step", STEPS, ids=lambda one: f"{one['network']}-{one['optimizer']}")
def test_a_third_step_is_that_of_pytorch(step: dict[str, Any]) -> None:
    p = {name: cr.parameter(array(value)) for name, value in step["start"].items()}
    given = {"nesterov" if k == "nesterov" else k: v for k, v in step["attrs"].items()}
    optimizer = OPTIMIZERS[step["optimizer"]](p, **given)
    loss = forward_of(step["network"], p)
    x, y = array(step["x"]), array(step["y"])
    for _ in range(2):
        value, gradients = cr.value_and_grad(lambda p: forward_of(step["network"], p)(x, y))(p)
        optimizer.update(gradients, loss=value)

    told = cr.explain(loss, x, y, optimizer=optimizer)

    nodes = {name.removeprefix("p."): node for name, node in by_symbol(told).items()}
    for name, expected in step["values"].items():
        close(whole(nodes["L" if name == "loss" else name].value), array(expected), 1e-10)
    for name, expected in step["grads"].items():
        node = nodes["L" if name == "loss" else name]
        assert node.gradient is not None
        close(whole(node.gradient), array(expected), 1e-10)
    for update in told.update.parameters:
        name = update.path.removeprefix("p.")
        close(whole(nodes[name].value), array(step["old"][name]), 1e-10)
        close(whole(update.new), array(step["new"][name]), 1e-10)
        for when, states in (("before", update.before), ("after", update.after)):
            stored = step[when][name]
            assert {MEMORY[key] for key in stored} == set(states)
            for key, expected in stored.items():
                close(whole(states[MEMORY[key]]), array(expected), 1e-10)
    assert told.update.loss == pytest.approx(array(step["loss_after"]).item(), rel=1e-10)


# ---- finite differences and training -------------------------------------------------------------


def nets() -> dict[str, tuple[cr.nn.Module, Any, Any, str]]:
    draw = np.random.default_rng(0).normal
    classes = np.array([0, 2])
    return {
        "mlp": (cr.models.mlp(3, 3, [4]), draw(size=(2, 3)), classes, "cross_entropy"),
        "lstm": (cr.models.lstm(3, features=2, hidden=3), draw(size=(2, 4, 2)), classes,
                 "cross_entropy"),
        "transformer": (
            cr.models.transformer_classifier(3, vocabulary=7, width=4, heads=2, layers=1),
            np.array([[1, 2, 3], [4, 5, 6]]), classes, "cross_entropy",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", nets())
def test_gradients_and_chains_are_those_of_finite_differences(name: str) -> None:
    model, x, y, loss = nets()[name]
    model.to("float64").initialize(1)
    weights = dict(list(model.parameters().items())[:6])
    told = cr.explain(model, x, y, loss=loss, train=False, weight=list(weights))
    for path, chain in zip(weights, told.chains, strict=True):
        old = weights[path].numpy().copy()
        step = 1e-5 * max(1.0, abs(old.flat[0]))
        losses = []
        for sign in (1, -1):
            moved = old.copy()
            moved.flat[0] += sign * step
            weights[path].assign(moved)
            losses.append(cr.losses.LOSSES[loss](model(x), y).item())
        weights[path].assign(old)
        slope = (losses[0] - losses[1]) / (2 * step)
        largest = max(abs(told.update.gradient_norm), 1e-3)
        assert abs(chain.gradient.value - slope) <= 1e-7 * largest
        total = math.fsum(way.product for way in chain.paths) + chain.rest
        assert total == pytest.approx(chain.gradient.value, abs=1e-12 * largest)
        if chain.examples:
            assert math.fsum(chain.examples) == pytest.approx(
                chain.gradient.value, abs=1e-12 * largest
            )


@pytest.mark.parametrize("name", nets())
def test_the_step_is_the_one_that_training_makes(name: str) -> None:
    model, x, y, loss = nets()[name]
    model.to("float64").initialize(2)
    optimizer = cr.optim.AdamW(model, lr=0.01, clip_norm=0.5)
    before = {path: w.numpy().copy() for path, w in model.parameters().items()}
    told = cr.explain(model, x, y, loss=loss, optimizer=optimizer)
    assert all(np.array_equal(w.numpy(), before[p]) for p, w in model.parameters().items())
    assert optimizer.steps.item() == 0

    step = Step(model, cr.losses.LOSSES[loss], optimizer, backend="numpy")
    loss_value, norm = step(x, y)

    assert told.loss == pytest.approx(loss_value, rel=1e-13)
    assert told.update.gradient_norm == pytest.approx(norm, rel=1e-12)
    assert told.update.clip_factor == pytest.approx(min(1.0, 0.5 / norm), rel=1e-5)
    for update in told.update.parameters:
        # The gradient of a key's bias is 0, and what rounding leaves of it AdamW makes larger.
        expected = model.parameters()[update.path].numpy()
        np.testing.assert_allclose(whole(update.new), expected, rtol=1e-10, atol=1e-11)


def test_dropout_is_that_of_the_training_step() -> None:
    model = cr.nn.Sequential(cr.nn.Linear(4, 64), cr.nn.Dropout(0.5), cr.nn.Linear(64, 1))
    model.to("float64").initialize(0)
    x, y = np.ones((3, 4)), np.zeros((3, 1))
    optimizer = cr.optim.SGD(model, lr=0.1)
    told = cr.explain(model, x, y, loss="mse", optimizer=optimizer, seed=7)
    other = cr.explain(model, x, y, loss="mse", optimizer=optimizer, seed=8)
    calm = cr.explain(model, x, y, loss="mse", optimizer=optimizer, train=False)
    step = Step(model, cr.losses.mse, optimizer, seed=7, backend="numpy")
    assert told.loss == pytest.approx(step(x, y)[0], rel=1e-13)
    assert len({told.loss, other.loss, calm.loss}) == 3


def test_ways_of_a_small_network_are_counted_and_all_told() -> None:
    model = cr.models.mlp(2, 2, [3]).to("float64").initialize(0)
    chain = cr.explain(model, [[1.0, 2.0]], [[0.5, -1.0]], loss="mse").chains[0]
    assert chain.count == len(chain.paths) == 2  # through both outputs
    assert abs(chain.rest) < 1e-15


def test_the_promise_of_the_gradient_is_the_slope_times_the_step() -> None:
    for name in DEMOS:
        told = demo(name, lr=1e-5, optimizer="sgd")
        promised, real = told.loss - told.update.predicted, told.loss - told.update.loss
        assert promised > 0
        assert real == pytest.approx(promised, rel=1e-2)


# ---- single elements, for every operation --------------------------------------------------------


def samples() -> list[Any]:
    found = []
    for op in OPERATIONS.values():
        for number, sample in enumerate(op.samples()):
            arrays = [np.asarray(x) for x in sample.inputs]
            small = all(0 < a.size <= 40 for a in arrays)
            if small and op.compute is not None and number < 3:
                found.append(pytest.param(op, arrays, sample, id=f"{op.name}-{number}"))
    return found


@pytest.mark.parametrize(("op", "arrays", "sample"), samples())
def test_formulas_of_elements_are_what_the_operation_computes(
    op: Any, arrays: Any, sample: Any
) -> None:
    """The formula of each element, and each local derivative beside the operation's own rule."""
    inputs = [placeholder(type_of(a), str(i), TRACE_BIT) for i, a in enumerate(arrays)]
    kind = op.type_rule(*(node.type for node in inputs), **sample.attributes)
    if not hasattr(kind, "dtype") or kind.dtype.kind == "V":
        pytest.skip("several results are looked into when loops are written out")
    node = GraphNode(op, tuple(inputs), dict(sample.attributes), kind, None, TRACE_BIT)
    with np.errstate(all="ignore"):
        value = np.asarray(op.compute(np, *arrays, **sample.attributes))
    values: dict[Any, Any] = {**dict(zip(inputs, arrays, strict=True)), node: value}

    def quantity(one: Any, index: int) -> Quantity:
        return Quantity(one.op.name, (), float(values[one].reshape(-1)[index]), "value")

    elements = Elements(values, quantity, lambda *_: None, lambda _: [])
    for index in range(value.size):
        formula = elements.formula(node, index)
        if formula is not None:
            expected = float(value.reshape(-1)[index])
            assert value_of(formula) == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)
    if not sample.smooth or not kind.is_float:
        return
    for position, source in enumerate(inputs):
        rule = op.derivative(position)
        if rule in (ZERO, NON_DIFFERENTIABLE) or not source.type.is_float:
            continue
        for index in range(source.type.size):
            told: dict[int, float] = {}
            for out, slope in elements.column(node, position, index):
                told[out] = told.get(out, 0.0) + (1.0 if slope is None else value_of(slope))
            if len(set(inputs)) < len(inputs):
                continue
            exact = dict(elements._general_column(node, position, index))
            for out in told.keys() | exact.keys():
                assert told.get(out, 0.0) == pytest.approx(
                    exact.get(out, 0.0), rel=1e-10, abs=1e-12
                )

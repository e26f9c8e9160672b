"""The measuring program: a training step with more outputs and without its assignments.

It is traced from the same model, loss and optimizer as the step, so what it measures is what the
step does: norms of gradients, weights and updates by parameter, the state of each activation, how
well two halves of the rows agree, how the gradient turns over the update, and the loss along the
update's direction. It runs from time to time, on rows that stay the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.autodiff import value_and_grad
from ..engine.backends.registry import find_backend
from ..engine.compile import Traced, trace
from ..engine.ir.graph import Graph, topological_order
from ..engine.ir.node import Node
from ..engine.ops import abs, astype, isfinite, max, mean, sqrt, stack, sum
from ..engine.ops.random import fold_in, key
from ..engine.passes import eliminate_common_subexpressions
from ..engine.pytree import flatten, map_leaves
from ..engine.tensor import Tensor
from ..nn import Module
from ..optim import Optimizer, global_norm
from ..training import Arrays
from .evidence import Activation, Measurement, Structure

#: Rows that are measured, always the same.
ROWS = 256
#: Fewer say nothing.
_FEWEST = 8
#: Predictions that a measurement costs: three times forwards and backwards, and four forwards.
_PASSES = 13
_NODES = 3000
#: The loss is measured at these multiples of the update.
MULTIPLES = (1.0, 3.0, 10.0, 30.0, 100.0)
#: An activation is at a flat end where its derivative is less than this fraction of the largest.
_FLAT = 0.04
_KINDS = ("relu", "sigmoid", "tanh")

Gradients = dict[str, Tensor]


def measured_rows(structure: Structure, rows: int, work: float = 5e9) -> int:
    """How many rows are measured, so that it takes no more work than this; 0 for none.

    Args:
        structure: of the network.
        rows: that there are.
        work: in multiplications.

    Example:
        >>> measured_rows(Structure(work=1e4), 1000), measured_rows(Structure(work=1e9), 1000)
        (256, 0)
    """
    affordable = int(work / (_PASSES * (structure.work or 1.0)))
    found = min(ROWS, rows, affordable) // 2 * 2
    return found if found >= min(_FEWEST, rows) and structure.nodes <= _NODES else 0


class Probe:
    """Measures a training between two of its steps, and changes nothing.

    Args:
        model: the network.
        loss: of prediction and target.
        optimizer: changes the parameters.
        seed: of the training.
    """

    def __init__(
        self, model: Module, loss: Callable[..., Tensor], optimizer: Optimizer, seed: int = 0
    ) -> None:
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._key = key(seed)
        self._program: tuple[Traced, Any] | None = None
        self._layers: list[tuple[str, str]] = []
        self._paths: list[str] = []

    def __call__(self, rows: Arrays, step: int, epoch: int) -> Measurement:
        """Measure on these rows, of which there is an even number, always the same."""
        arguments = (rows.inputs, rows.target, rows.weights, np.int64(step))
        if self._program is None or self._program[0].is_stale():
            traced = trace(self._measured, *arguments)
            count = len(traced.graph.outputs) - len(traced.assigned)
            graph = Graph(traced.graph.inputs, traced.graph.outputs[:count])
            shared = eliminate_common_subexpressions(graph)  # all forward passes draw the same
            self._program = traced, find_backend("numpy").build(shared, {}, ())
        traced, program = self._program
        arrays = [np.asarray(leaf) for leaf in flatten(arguments)[0] if leaf is not None]
        arrays += [variable.numpy() for variable in traced.variables]
        with np.errstate(all="ignore"):
            found = [np.asarray(a, np.float64) for a in program(arrays)]
        return self._measurement(found, step, epoch)

    def _measurement(self, found: list[Any], step: int, epoch: int) -> Measurement:
        numbers, gradients, weights, updates, lines, states = found
        loss, agreement, turn, bad = (float(x) for x in numbers)
        states = states.reshape(-1, 3)
        activations: dict[str, Activation] = {}
        for (path, kind), (dead, flat, size) in zip(self._layers, states, strict=False):
            name = path if path not in activations else f"{path} ({len(activations)})"
            activations[name] = Activation(kind, float(dead), float(flat), float(size))
        return Measurement(
            step=step,
            epoch=epoch,
            loss=loss,
            gradient=dict(zip(self._paths, gradients.tolist(), strict=True)),
            weight=dict(zip(self._paths, weights.tolist(), strict=True)),
            update=dict(zip(self._paths, updates.tolist(), strict=True)),
            agreement=agreement,
            turn=turn,
            line={c: float(x) / loss if loss else math.nan
                  for c, x in zip(MULTIPLES, lines, strict=True)},
            activations=activations,
            not_finite=int(bad) if math.isfinite(bad) else 1,
        )  # fmt: skip

    # ---- the graph -------------------------------------------------------------------------------

    def _measured(self, inputs: Any, target: Any, weights: Any, number: Tensor) -> list[Tensor]:
        draw = fold_in(self._key, number)
        count = target.shape[0] if target is not None else flatten(inputs)[0][0].shape[0]
        halves = slice(0, count // 2), slice(count // 2, count)
        found = []
        for half in halves:
            part = [_rows(x, half) for x in (inputs, target, weights)]
            found.append(self._gradients(part, draw))
        (loss, first, outputs), (_, second, _) = found
        self._paths = list(first)
        old = {path: Tensor(w.node) for path, w in self._model.trainable_parameters().items()}
        self._optimizer.update(first, loss=loss)
        change = {
            path: Tensor(w.node) - old[path]
            for path, w in self._model.trainable_parameters().items()
        }
        part = [_rows(x, halves[0]) for x in (inputs, target, weights)]
        after, turned, _ = self._gradients(part, draw)
        lines = [after]
        for multiple in MULTIPLES[1:]:
            for path, w in self._model.trainable_parameters().items():
                w.assign(old[path] + change[path] * multiple)
            lines.append(self._error(part, draw)[0])
        states, bad = self._states(outputs)
        for gradient in first.values():
            bad = bad + sum(astype(~isfinite(gradient), "float32"))
        agreement, turn = _cosine(first, second), _cosine(first, turned)
        return [
            stack([astype(x, "float32") for x in (loss, agreement, turn, bad)]),
            _norms(first),
            _norms(old),
            _norms(change),
            stack([astype(x, "float32") for x in lines]),
            stack(states) if states else stack([astype(loss, "float32")] * 3),
        ]

    def _error(self, part: list[Any], draw: Tensor) -> tuple[Tensor, Tensor]:
        inputs, target, weights = part
        output = self._model(inputs, train=True, key=draw)
        options = {} if weights is None else {"sample_weights": weights}
        return self._loss(output, target, **options), output

    def _gradients(self, part: list[Any], draw: Tensor) -> tuple[Tensor, Gradients, Any]:
        def error(model: Module) -> tuple[Tensor, Any]:
            loss, output = self._error(part, draw)
            return loss, output

        (loss, output), gradients = value_and_grad(error, has_aux=True)(self._model)
        return loss, gradients, output

    def _states(self, output: Any) -> tuple[list[Tensor], Any]:
        """For each activation: dead units, flat values, size; and how many are not finite."""
        nodes = [leaf.node for leaf in flatten(output)[0] if isinstance(leaf, Tensor)]
        ends = set(nodes)
        states: list[Tensor] = []
        bad: Any = 0.0
        self._layers = []
        for node in topological_order(nodes):
            if node.op.name not in _KINDS or not node.type.shape or node in ends:
                continue
            if not _is_hidden(node):
                continue
            y = Tensor(node)
            self._layers.append((_path_of(node), node.op.name))
            states += [_dead(y), _flat(y, node.op.name), sqrt(mean(y * y))]
            bad = bad + sum(astype(~isfinite(y), "float32"))
        return [astype(x, "float32") for x in states], bad


def _rows(x: Any, part: slice) -> Any:
    return None if x is None else map_leaves(lambda leaf: leaf[part], x)


def _norms(gradients: Gradients) -> Tensor:
    return stack([astype(global_norm([g]), "float32") for g in gradients.values()])


def _cosine(a: Gradients, b: Gradients) -> Tensor:
    dot: Any = 0.0
    for path, x in a.items():
        dot = dot + sum(x * b[path])
    return dot / (global_norm(a) * global_norm(b) + 1e-30)


def _dead(y: Tensor) -> Tensor:
    """The fraction of units, on the last axis, that are 0 in every row and place."""
    axes = tuple(range(y.ndim - 1))
    largest = max(abs(y), axis=axes) if axes else abs(y)
    return mean(astype(largest == 0, "float32"))


def _flat(y: Tensor, kind: str) -> Tensor:
    if kind == "relu":
        return mean(astype(y == 0, "float32"))
    slope = 1 - y * y if kind == "tanh" else 4 * y * (1 - y)
    return mean(astype(slope < _FLAT, "float32"))


def _is_hidden(node: Node) -> bool:
    return node.type.is_float


def _path_of(node: Node) -> str:
    return (node.origin.layer if node.origin is not None else "") or node.op.name

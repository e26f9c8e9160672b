"""Learning on the device: one step of training of a saved model, as a function to be traced.

The forward pass is the graph of the file, so dropout is off and running statistics stay. The loss
is that of the trainings: the cross-entropy of classes; for numbers the squared error on the scale
of the training, on which it is about 1 at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine.autodiff import value_and_grad
from ...engine.ir.graph import Graph
from ...engine.ir.node import CONSTANT, Node
from ...engine.ir.types import Type, float32, float64, int32
from ...engine.ops import log, mean, reshape
from ...engine.tensor import Parameter, Tensor
from ...errors import ConfigError, unknown
from ...losses import cross_entropy
from ...optim import SGD, Adam, Optimizer, Schedule
from ...serialization import SavedModel
from .graphs import run_graph
from .program import Argument
from .running_scale import RunningScale

#: The optimizers, by the names of ``--optimizer``: with (model, schedule) as arguments.
OPTIMIZERS: Mapping[str, Any] = {
    "sgd": lambda model, lr: SGD(model, lr),
    "momentum": lambda model, lr: SGD(model, lr, momentum=0.9),
    "adam": lambda model, lr: Adam(model, lr),
}


@dataclass(frozen=True)
class Learning:
    """What learns, and how.

    Attributes:
        layers: names of layers or arrays, or parts of their paths; "all", or "last" for the last
            layer.
        optimizer: one of `OPTIMIZERS`.
        batch: rows of a step.
        standardise: the fraction by which a step moves the statistics that inputs are standardised
            by; None if they stay as they are.
    """

    layers: Sequence[str] = ("all",)
    optimizer: str = "sgd"
    batch: int = 1
    standardise: float | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.batch < 1:
            raise ConfigError("A step takes at least one row.", expected="--batch of 1 or more",
                              found=str(self.batch), hint="--batch 1")  # fmt: skip


@dataclass(eq=False)
class _Given(Schedule):
    """The learning rate is an argument of every step."""

    value: Tensor | None = field(default=None)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        assert self.value is not None
        return self.value.astype("float64")


class Step:
    """A step of training: call it with the inputs of the graph, the targets and the rate.

    Attributes:
        learning: the options.
        weights: what learns, by the name of its array.
        arguments: targets and rate.
        loss: the result.
        about: what it does.
        running: the statistics of inputs that each step moves, if any.
        notes: what learns, and what does not.
    """

    def __init__(self, saved: SavedModel, learning: Learning) -> None:
        self.learning = learning
        chosen = _chosen(saved, learning.layers)
        self.weights = {
            name: Parameter(saved.arrays[name].copy(), name=name) for name in chosen
        }  # fmt: skip
        moves = learning.standardise
        self.running = None if moves is None else RunningScale(saved, moves)
        self._arrays = saved.arrays
        self._graph, self._loss, self._target, said = _objective(saved, learning.batch)
        self._schedule = _Given()
        self.optimizer: Optimizer = OPTIMIZERS[learning.optimizer](self.weights, self._schedule)
        rows = learning.batch
        self.arguments = [
            Argument("targets", self._target, said),
            Argument("rate", Type(float32, ()), "the learning rate, such as 0.01f"),
        ]
        self.loss = Argument("loss", Type(float32, ()), "the loss before the step")
        each = "one row" if rows == 1 else f"{rows} rows"
        self.about = f"One step of training on {each} by {learning.optimizer}."
        rest = [n for n in saved.state() if n not in chosen and saved.arrays.get(n) is not None
                and saved.arrays[n].dtype == float32 and _is_weight(n)]  # fmt: skip
        self.notes = [f"These arrays learn: {', '.join(chosen)}."]
        if rest:
            self.notes.append(f"These stay as they are: {', '.join(rest)}.")
        if self.running is not None:
            self.notes.append(self.running.about)

    @property
    def names(self) -> dict[int, str]:
        """What the variables are called, by their identity."""
        found = {id(v): name for name, v in self.weights.items()}
        if self.running is not None:
            found |= {id(v): name for name, v in self.running.variables.items()}
        return found | {id(v): name for name, v in self.optimizer.buffers().items()}

    def forward(self, inputs: Sequence[Tensor], graph: Graph) -> Tensor:
        """What the graph gives with the variables as they are now."""
        return self._forward(inputs, graph, self.weights, self._statistics())

    def _statistics(self) -> Mapping[str, Tensor]:
        return {} if self.running is None else self.running.variables

    def _forward(
        self, inputs: Sequence[Tensor], graph: Graph, weights: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
    ) -> Tensor:  # fmt: skip
        if self.running is not None:
            inputs = self.running.inputs(inputs, statistics)
        variables = {**weights, **{n: v for n, v in statistics.items() if n in self._arrays}}
        (found,) = run_graph(graph, inputs, self._arrays, variables)
        return found

    def __call__(self, inputs: Sequence[Tensor], targets: Tensor, rate: Tensor) -> Tensor:
        """The loss; the weights and the optimizer's state get new values."""
        now = {} if self.running is None else self.running.moved(self._graph, inputs)

        def loss(weights: Mapping[str, Tensor]) -> Tensor:
            return self._loss(self._forward(inputs, self._graph, weights, now), targets)

        value, gradients = value_and_grad(loss)(self.weights)
        self._schedule.value = rate
        self.optimizer.update(gradients, loss=value)
        return value.astype("float32")


# ---- what learns ---------------------------------------------------------------------------------


def _is_weight(name: str) -> bool:
    last = name.rpartition(".")[2]
    return "weight" in last or "bias" in last


def _chosen(saved: SavedModel, layers: Sequence[str]) -> list[str]:
    """The names of the arrays that learn, in the order of the graph."""
    used = {id(node.value) for node in saved.graph(1).nodes if node.op is CONSTANT}
    floats = [n for n, a in saved.arrays.items() if a.dtype == float32 and id(a) in used]
    order = {id(node.value): i for i, node in enumerate(saved.graph(1).nodes)}
    floats.sort(key=lambda name: order[id(saved.arrays[name])])
    usual = [name for name in floats if _is_weight(name)]
    found: list[str] = []
    for layer in layers:
        if layer == "all":
            own = usual
        elif layer == "last":
            owner = usual[-1].rpartition(".")[0] if usual else ""
            own = [name for name in usual if name.rpartition(".")[0] == owner]
        else:
            own = [name for name in floats if f".{layer}." in f".{name}."]
        if not own:
            raise unknown("layer", layer, ["all", "last", *floats])
        found += own
    return [name for name in floats if name in found]


# ---- the loss ------------------------------------------------------------------------------------


def _objective(saved: SavedModel, rows: int) -> tuple[Graph, Any, Type, str]:
    """The graph whose output goes into the loss; the loss; the type and meaning of targets."""
    graph = saved.graph(rows)
    shape = saved.output.shape[1:]
    if saved.classes and shape == (len(saved.classes),):
        logits, axis = _logits(graph, rows, len(saved.classes))
        if logits is not None:
            graph = Graph(graph.inputs, [logits])
        return (graph, _Classes(axis), Type(int32, (rows,)),
                "the class of each row, by its index")  # fmt: skip
    if saved.output.dtype.kind == "f" and len(shape) == 2 and _takes_tokens(saved):
        kind = Type(int32, (rows, shape[0]))
        return graph, _Classes(0), kind, "the token that follows each token"
    if isinstance(saved.schema, str) and len(shape) > 0 and _is_table(saved):
        raise ConfigError(
            "Learning in C is for one target without quantiles.",
            found=f"{shape[0]} numbers for each row",
            hint="Export it without --train, or train a model of one target.",
        )
    logarithm = _is_exponential(graph)
    scale = _scale(saved)
    about = "the number to predict for each row" + (", above 0" if logarithm else "")
    return graph, _Numbers(scale, logarithm), Type(float32, (rows, *shape)), about


def _is_table(saved: SavedModel) -> bool:
    return '"format": "chainrule.schema"' in saved.schema[:60]


def _takes_tokens(saved: SavedModel) -> bool:
    return all(kind.dtype.kind in "iu" for kind in saved.inputs.values()) and not saved.classes


@dataclass(frozen=True)
class _Classes:
    """The mean cross-entropy of rows, and of the members of an ensemble.

    Attributes:
        members: how many networks there are side by side; 0 for one without an axis of its own;
            -1 if only the probabilities are known.
    """

    members: int

    def __call__(self, found: Tensor, targets: Tensor) -> Tensor:
        labels = targets.astype("int64").reshape((-1,))
        if self.members < 0:
            p = found.reshape((-1, found.shape[-1]))
            return cross_entropy(log(p), labels)
        if self.members:
            parts = [cross_entropy(found[i].astype("float32"), labels) for i in range(self.members)]
            return mean(sum(parts[1:], parts[0])) / float(self.members)
        return cross_entropy(reshape(found, (-1, found.shape[-1])), labels)


@dataclass(frozen=True)
class _Numbers:
    """The mean squared error, of logarithms if the prediction is an exponential."""

    scale: float
    logarithm: bool

    def __call__(self, found: Tensor, targets: Tensor) -> Tensor:
        y = targets.astype(found.dtype.name)
        difference = log(found) - log(y) if self.logarithm else found - y
        return mean((difference / self.scale) ** 2)


def _logits(graph: Graph, rows: int, classes: int) -> tuple[Node | None, int]:
    """What the softmax takes that the output comes from, and the members that it has."""
    node = graph.outputs[0]
    while node.op.name != "softmax":
        computed = [source for source in node.inputs if not _is_fixed(source)]
        plain = node.op.view or node.op.name in ("sum", "divide", "multiply", "cast", "mean")
        if len(computed) != 1 or not plain:
            return None, -1
        (node,) = computed
    shape, axis = node.type.shape, node.attributes["axis"]
    if shape == (rows, classes) and axis == 1:
        return node.inputs[0], 0
    if len(shape) == 3 and shape[1:] == (rows, classes) and axis == 2:
        return node.inputs[0], shape[0]
    return None, -1


def _is_fixed(node: Node) -> bool:
    """Whether a node does not depend on the inputs."""
    return node.op is CONSTANT or (bool(node.inputs) and all(map(_is_fixed, node.inputs)))


def _is_exponential(graph: Graph) -> bool:
    """Whether the output is an exponential but for factors, sums of members and the like."""
    node = graph.outputs[0]
    while node.op.name != "exp":
        computed = [source for source in node.inputs if not _is_fixed(source)]
        plain = node.op.view or node.op.name in ("sum", "divide", "multiply", "cast", "mean")
        if len(computed) != 1 or not plain:
            return False
        (node,) = computed
    return True


def _scale(saved: SavedModel) -> float:
    """The standard deviation of the target in training; 1 if the file does not say."""
    for name, array in saved.state().items():
        if f".{name}".endswith(".scale.std") and array.dtype == float64 and array.size == 1:
            return float(np.asarray(array).reshape(-1)[0])
    return 1.0

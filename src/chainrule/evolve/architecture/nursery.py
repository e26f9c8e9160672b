"""Networks of different shapes, trained by backpropagation side by side in one program.

All have the weights of the largest network of the space. Units that a network does not have are
multiplied by 0, layers that it does not have are left out, and of the results of all activations
its own is taken: so what it gives, and every gradient of what it has, are those of the network by
itself. The program is the same for all generations; a network is only what goes into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...engine.autodiff import value_and_grad
from ...engine.compile import Compiled
from ...engine.ops import astype, flush_subnormal, where
from ...engine.tensor import Buffer, Parameter, Tensor, as_tensor
from ...engine.vmap import vmap
from ...nn import ACTIVATIONS, Linear, Module, Sequential
from ...optim import AdamW
from ...utils.typing import Array
from .genome import Genome, Space

#: Weights of a network, or of all of them with one more axis, by name.
Arrays = dict[str, Array]
Loss = Callable[..., Tensor]


class Nursery:
    """Trains so many networks at once.

    Args:
        space: of the networks.
        size: how many there are.
        inputs: numbers that a network takes.
        outputs: numbers that it gives.
        loss: of prediction and target.
        backend: what runs the program.
    """

    def __init__(
        self, space: Space, size: int, inputs: int, outputs: int, loss: Loss, backend: str
    ) -> None:
        self.space, self.size, self.loss = space, size, loss
        self.shapes = shapes_of(space, inputs, outputs)
        self._weights = {
            name: Buffer(np.zeros((size, *shape), np.float32), name=name)
            for name, shape in self.shapes.items()
        }
        #: AdamW's formulas, applied to each network with its own rate.
        self._optimizer = AdamW([Parameter(0.0)])
        self._moments = {
            f"{kind}.{name}": Buffer(np.zeros((size, *shape), np.float32))
            for kind in self._optimizer.initial_state()
            for name, shape in self.shapes.items()
        }
        self._kinds = tuple(self._optimizer.initial_state())
        layers, units, count = space.layers, space.units, len(space.activations)
        self._plan = {
            "units": Buffer(np.zeros((size, layers, units), np.float32)),
            "activations": Buffer(np.zeros((size, layers, count), np.float32)),
            "has": Buffer(np.zeros((size, layers), bool)),
            "lr": Buffer(np.zeros(size)),
            "weight_decay": Buffer(np.zeros(size)),
        }
        self._step = Compiled(self._update, backend)
        self._losses = Compiled(self._measured, backend)

    # ---- the program ---------------------------------------------------------------------------

    def _forward(self, w: dict[str, Tensor], plan: dict[str, Tensor], x: Tensor) -> Tensor:
        """One network."""
        functions = [ACTIVATIONS[name]() for name in self.space.activations]
        h = x
        for i in range(self.space.layers):
            z = h @ w[f"weight.{i}"] + w[f"bias.{i}"]
            chosen: Any = 0.0
            for number, function in enumerate(functions):
                chosen = chosen + plan["activations"][i, number] * function(z)
            chosen = chosen * plan["units"][i]
            h = chosen if i == 0 else where(plan["has"][i], chosen, h)
        return h @ w["weight.out"] + w["bias.out"]

    def _update(self, x: Tensor, y: Tensor, number: Tensor) -> Tensor:
        """One step of all networks on the same rows."""
        t = astype(number + 1, "float64")

        def one(w: Any, moments: Any, plan: Any) -> Any:
            loss, gradients = value_and_grad(lambda w: self.loss(self._forward(w, plan, x), y))(w)
            n = self._optimizer.numbers(t, plan["lr"], {})
            n = {name: astype(value, "float32") for name, value in n.items()}
            kept = astype(1 - plan["lr"] * plan["weight_decay"], "float32")
            weights: dict[str, Tensor] = {}
            states: dict[str, Tensor] = {}
            for name, g in gradients.items():
                state = {kind: moments[f"{kind}.{name}"] for kind in self._kinds}
                weights[name], new = self._optimizer.apply_single(w[name] * kept, g, state, n)
                states |= {f"{kind}.{name}": flush_subnormal(value) for kind, value in new.items()}
            return loss, weights, states

        losses, weights, states = vmap(one)(
            *(dict(part) for part in (self._weights, self._moments, self._plan))
        )
        for values, variables in ((weights, self._weights), (states, self._moments)):
            for name, value in values.items():
                variables[name].assign(value)
        return as_tensor(losses)

    def _measured(self, x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = vmap(lambda w, plan: self.loss(self._forward(w, plan, x), y))(
            dict(self._weights), dict(self._plan)
        )
        return found

    # ---- use -----------------------------------------------------------------------------------

    def train(
        self, genomes: Sequence[Genome], weights: Arrays, data: tuple[Array, Array], order: Array
    ) -> Arrays:
        """Train all networks from these weights; the weights that they have then.

        Args:
            genomes: of the networks.
            weights: of all of them, with one more axis.
            data: inputs and target.
            order: (steps, batch) rows.
        """
        self._load(genomes, weights)
        for buffer in self._moments.values():
            buffer.assign(np.zeros(buffer.shape, np.float32))
        if len(order):
            self._step.run_steps(order, *data, np.int64(0), rows=(0, 1), counter=2)
        return {name: buffer.numpy().copy() for name, buffer in self._weights.items()}

    def losses(self, data: tuple[Array, Array]) -> Array:
        """Of the networks that were trained last; infinite where a loss is not a number."""
        found = self._losses(*data).numpy().astype(float)
        return np.where(np.isfinite(found), found, np.inf)

    def _load(self, genomes: Sequence[Genome], weights: Arrays) -> None:
        for name, buffer in self._weights.items():
            buffer.assign(weights[name])
        for name, values in plan_of(genomes, self.space).items():
            self._plan[name].assign(values)


def shapes_of(space: Space, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """The weights of the largest network."""
    found: dict[str, tuple[int, ...]] = {}
    for i in range(space.layers):
        found[f"weight.{i}"] = (inputs if i == 0 else space.units, space.units)
        found[f"bias.{i}"] = (space.units,)
    return found | {"weight.out": (space.units, outputs), "bias.out": (outputs,)}


def plan_of(genomes: Sequence[Genome], space: Space) -> Arrays:
    """What the program is told of each network."""
    size, layers = len(genomes), space.layers
    units = np.zeros((size, layers, space.units), np.float32)
    activations = np.zeros((size, layers, len(space.activations)), np.float32)
    has = np.zeros((size, layers), bool)
    for number, genome in enumerate(genomes):
        for i in range(layers):
            has[number, i] = i < len(genome.hidden)
            if has[number, i]:
                units[number, i, : genome.hidden[i]] = 1
                activations[number, i, space.activations.index(genome.activations[i])] = 1
    return {
        "units": units, "activations": activations, "has": has,
        "lr": np.array([genome.lr for genome in genomes]),
        "weight_decay": np.array([genome.weight_decay for genome in genomes]),
    }  # fmt: skip


def used(genome: Genome, name: str, shape: tuple[int, ...]) -> Array:
    """Which weights of the largest network a network has."""
    kind, place = name.split(".")
    depth = len(genome.hidden)
    found = np.zeros(shape, bool)
    if place == "out":
        found[: genome.hidden[-1] if kind == "weight" else None] = True
    elif int(place) < depth:
        i = int(place)
        below = shape[0] if i == 0 else genome.hidden[i - 1]
        if kind == "weight":
            found[:below, : genome.hidden[i]] = True
        else:
            found[: genome.hidden[i]] = True
    return found


def first_weights(genome: Genome, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """What a network begins with, as a function of its genome: He's normal numbers, biases 0."""
    rng = np.random.default_rng(genome.seed)
    found = {}
    for name, shape in shapes.items():
        kind, place = name.split(".")
        if kind == "bias":
            found[name] = np.zeros(shape, np.float32)
            continue
        i = len(genome.hidden) if place == "out" else int(place)
        fan_in = shape[0] if i == 0 else genome.hidden[min(i, len(genome.hidden)) - 1]
        gain = 1.0 if place == "out" else math.sqrt(2)
        drawn = rng.normal(size=shape) * gain / math.sqrt(fan_in)
        found[name] = np.where(used(genome, name, shape), drawn, 0).astype(np.float32)
    return found


def inherited(
    child: Genome, parent: Genome, weights: Arrays, shapes: dict[str, tuple[int, ...]]
) -> Arrays:
    """What a child begins with that has the weights of a parent where both have some."""
    fresh = first_weights(child, shapes)
    return {
        name: np.where(
            used(child, name, shape) & used(parent, name, shape), weights[name], fresh[name]
        )
        for name, shape in shapes.items()
    }


def network_of(genome: Genome, weights: Arrays) -> Module:
    """A network by itself, with its weights."""
    layers: list[Module] = []
    below = weights["weight.0"].shape[0]
    for i, (units, activation) in enumerate(zip(genome.hidden, genome.activations, strict=True)):
        layer = Linear(below, units)
        layer.weight.assign(weights[f"weight.{i}"][:below, :units])
        assert layer.bias is not None
        layer.bias.assign(weights[f"bias.{i}"][:units])
        layers += [layer, ACTIVATIONS[activation]()]
        below = units
    last = Linear(below, weights["bias.out"].shape[-1])
    last.weight.assign(weights["weight.out"][:below])
    assert last.bias is not None
    last.bias.assign(weights["bias.out"])
    return Sequential(*layers, last)


__all__ = ["Nursery", "first_weights", "inherited", "network_of", "shapes_of", "used"]

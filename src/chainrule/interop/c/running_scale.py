"""Running standardisation: mean and standard deviation of the inputs follow the rows of each step.

A step moves the statistics by a fraction a towards those of its rows: they become those of a
mixture of what was known (weight 1 - a) and of these rows (weight a). With d the mean and q the
mean square of x - m over the rows,

    m' = m + a d,    s'² = (1 - a) s² + a q - (a d)²
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...engine.ir.graph import Graph
from ...engine.ir.node import CONSTANT, PLACEHOLDER, Node
from ...engine.ops import maximum, minimum, sqrt, sum, where
from ...engine.ops.declare import BROADCAST, CAST
from ...engine.ops.shape import RESHAPE
from ...engine.tensor import Buffer, Tensor
from ...errors import ConfigError
from ...serialization import SavedModel
from ...utils.typing import Array
from .graphs import run_graph

#: A standard deviation does not fall below this fraction of that of the training.
_LEAST = 1e-3


@dataclass(frozen=True)
class _Place:
    """Where a graph computes (x - mean) / scale.

    Attributes:
        x: the numbers, in which missing ones are filled up.
        missing: where these are; None if there can be none.
        mean: the name of its array.
        scale: the name of the standard deviation's.
    """

    x: Node
    missing: Node | None
    mean: str
    scale: str


class RunningScale:
    """The statistics that a model standardises its inputs by, as variables.

    Args:
        saved: the model. If it has none, its inputs of floating point are standardised in front,
            by the last axis, at first with mean 0 and standard deviation 1.
        fraction: by which a step moves them.

    Attributes:
        variables: by the names of their arrays.
        about: a sentence.

    Raises:
        ConfigError: the fraction is none, or there is nothing to standardise.
    """

    def __init__(self, saved: SavedModel, fraction: float) -> None:
        if not 0 < fraction < 1:
            raise ConfigError(
                "Invalid value for --standardise (standardise=).",
                expected="more than 0, less than 1",
                found=f"{fraction:g}",
                hint="--standardise 0.01",
            )
        if any(name.rpartition(".")[2] == "lengths" for name in saved.inputs):
            raise ConfigError(
                "Running standardisation is for inputs of one length.",
                found="sequences that are padded",
                hint="Omit --standardise (standardise=).",
            )
        self.fraction = fraction
        self._saved = saved
        names = [n for p in _places(saved.graph(1), saved.arrays) for n in (p.mean, p.scale)]
        values = {name: saved.arrays[name] for name in names}
        self._in_front = not names
        if self._in_front:
            values = _identities(saved)
        self.variables = {n: Buffer(v.copy(), v.dtype.name, n) for n, v in values.items()}
        self._first = {name: value.copy() for name, value in values.items()}
        self.about = (
            f"Each step moves these statistics by {fraction:g} towards those of its rows: "
            f"{', '.join(values)}."
        )

    def inputs(self, given: Sequence[Tensor], now: Mapping[str, Tensor]) -> list[Tensor]:
        """The inputs of the saved graph: standardised, if it does not do that itself."""
        if not self._in_front:
            return list(given)
        return [
            (x - now[f"{name}.mean"]) / now[f"{name}.std"] if f"{name}.mean" in now else x
            for name, x in zip(self._saved.inputs, given, strict=True)
        ]

    def moved(self, graph: Graph, given: Sequence[Tensor]) -> dict[str, Tensor]:
        """The statistics after these rows; the variables are assigned.

        Args:
            graph: the saved one for as many rows.
            given: its inputs, before they are standardised in front.
        """
        new: dict[str, Tensor] = {}
        if self._in_front:
            for name, x in zip(self._saved.inputs, given, strict=True):
                if f"{name}.mean" in self.variables:
                    new |= self._after(f"{name}.mean", f"{name}.std", x)
        for place in [] if self._in_front else _places(graph, self._saved.arrays):
            wanted = [place.x] if place.missing is None else [place.x, place.missing]
            found = run_graph(Graph(graph.inputs, wanted), given, self._saved.arrays, {})
            new |= self._after(place.mean, place.scale, *found)
        for key, value in new.items():
            self.variables[key].assign(value)
        return new

    def _after(
        self, mean: str, scale: str, x: Tensor, missing: Tensor | None = None
    ) -> dict[str, Tensor]:
        m, s = self.variables[mean], self.variables[scale]
        axes = _summed(x.shape, m.shape)
        difference = x - m
        count: Tensor | float = float(x.size // max(m.size, 1))
        fraction: Tensor | float = self.fraction
        if missing is not None:
            difference = where(missing, 0.0, difference)
            known = sum(1.0 - missing.astype(x.dtype.name), axes).reshape(m.shape)
            fraction = minimum(known, 1.0) * self.fraction
            count = maximum(known, 1.0)
        d = sum(difference, axes).reshape(m.shape) / count
        q = sum(difference * difference, axes).reshape(m.shape) / count
        variance = (1.0 - fraction) * s * s + fraction * q - (fraction * d) ** 2
        least = (_LEAST * self._first[scale]).astype(s.dtype.name)
        return {mean: m + fraction * d, scale: maximum(sqrt(maximum(variance, 0.0)), least)}


def _identities(saved: SavedModel) -> dict[str, Array]:
    """Mean 0 and standard deviation 1 for each input of floating point."""
    found: dict[str, Array] = {}
    for name, kind in saved.inputs.items():
        if kind.dtype.kind == "f":
            shape = kind.shape[-1:] if len(kind.shape) > 1 else ()
            found[f"{name}.mean"] = np.zeros(shape, kind.dtype)
            found[f"{name}.std"] = np.ones(shape, kind.dtype)
    if not found:
        raise ConfigError("There is nothing to standardise.", found="inputs that are integers",
                          hint="Omit --standardise (standardise=).")  # fmt: skip
    return found


def _summed(x: tuple[int, ...], statistics: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of x over which statistics of such a shape are taken."""
    own = (1,) * (len(x) - len(statistics)) + statistics
    first = len(x) - len(statistics)
    return tuple(i for i, n in enumerate(own) if i < first or (n == 1 and x[i] > 1))


def _places(graph: Graph, arrays: Mapping[str, Array]) -> list[_Place]:
    """Where a graph standardises what no weight has gone into, each pair of statistics once."""
    names = {id(array): name for name, array in arrays.items()}
    found: dict[str, _Place] = {}
    for node in graph.nodes:
        if node.op.name != "divide" or node.inputs[0].op.name != "subtract":
            continue
        x, mean = node.inputs[0].inputs
        pair = _named(mean, names), _named(node.inputs[1], names)
        owner, _, last = pair[0].rpartition(".")
        if last != "mean" or pair[1] not in (f"{owner}.{n}".lstrip(".") for n in ("scale", "std")):
            continue
        if pair[0] not in found and _depends(x):
            missing = x.inputs[0] if x.op.name == "where" else None
            missing = missing if missing is not None and missing.op.name == "isnan" else None
            found[pair[0]] = _Place(x, missing, *pair)
    return list(found.values())


def _named(node: Node, names: Mapping[int, str]) -> str:
    """The name of the array that a node is, but for its shape and element type."""
    while node.op in (BROADCAST, RESHAPE, CAST):
        node = node.inputs[0]
    return names.get(id(node.value), "") if node.op is CONSTANT else ""


def _depends(node: Node) -> bool:
    """Whether a node depends on the inputs."""
    return node.op is PLACEHOLDER or any(map(_depends, node.inputs))

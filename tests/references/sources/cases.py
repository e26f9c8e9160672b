"""A case: a function, its inputs, its value and its gradient, computed with PyTorch in float64."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

SEED = 20240229
Array = np.ndarray
Maker = Callable[[np.random.Generator], Array]


# What makes the inputs.


def off_kinks(values: Array) -> Array:
    """Numbers of 3 decimals, so that the stored text is short, and the last of them is a 3.

    So none lies where a piecewise function changes, at 0, 0.5, 1 or 6.
    """
    return (np.floor(values * 100) / 100 + 0.003).round(3)


def uniform(low: float, high: float, *shape: int) -> Maker:
    return lambda rng: off_kinks(rng.uniform(low, high, shape))


def real(*shape: int) -> Maker:
    """Both signs, away from zero."""
    return lambda rng: off_kinks(rng.uniform(0.1, 2.4, shape) * rng.choice([-1.0, 1.0], shape))


def positive(*shape: int) -> Maker:
    return uniform(0.2, 3.0, *shape)


def unit(*shape: int) -> Maker:
    return uniform(-0.9, 0.9, *shape)


def probabilities(*shape: int) -> Maker:
    """Rows that sum to one."""

    def make(rng: np.random.Generator) -> Array:
        weights = rng.uniform(0.2, 1.0, shape)
        return weights / weights.sum(axis=-1, keepdims=True)

    return make


def distinct(*shape: int) -> Maker:
    """Values at least 0.3 apart: no ties for sorting and for max."""

    def make(rng: np.random.Generator) -> Array:
        size = int(np.prod(shape))
        values = rng.permutation(size) * 0.4 - 0.2 * size + rng.uniform(0, 0.1, size)
        return values.round(3).reshape(shape)

    return make


def integers(low: int, high: int, *shape: int) -> Maker:
    """Integers from `low` up to and without `high`."""
    return lambda rng: rng.integers(low, high, shape, dtype=np.int64)


def booleans(*shape: int) -> Maker:
    return lambda rng: rng.random(shape) < 0.5


def exactly(values: Any, dtype: str = "float64") -> Maker:
    return lambda rng: np.array(values, dtype=dtype)


# Structures: an input or an output is one tensor, a list of tensors, or a string (einsum's).


def flatten(structure: Any) -> list[Any]:
    if isinstance(structure, list | tuple):
        return [leaf for part in structure for leaf in flatten(part)]
    return [structure]


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    if isinstance(structure, list | tuple):
        return [map_leaves(function, part) for part in structure]
    if isinstance(structure, dict):
        return {key: map_leaves(function, part) for key, part in structure.items()}
    return function(structure)


def encode(value: Any) -> Any:
    """A tensor as `{"dtype", "shape", "data"}`; infinities and NaN as strings."""
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is ...:
        return "..."
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if not isinstance(value, np.ndarray):
        return value
    data = value.ravel().tolist()
    if value.dtype.kind == "f":
        data = [x if np.isfinite(x) else str(x) for x in data]
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.float64


class Family:
    """The cases of one module of chainrule, collected by `add`."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.cases: list[dict[str, Any]] = []
        self.labels: set[tuple[str, str]] = set()

    def add(
        self,
        name: str,
        function: Callable[..., Any],
        *inputs: Maker | Sequence[Maker] | str,
        case: str = "",
        kink: bool = False,
        **attrs: Any,
    ) -> None:
        """Compute and keep one case.

        Args:
            name: chainrule's name of the function.
            function: the same function written with PyTorch, called as chainrule's is: the inputs
                in order, then `attrs` as keywords.
            inputs: what makes each input; a sequence makes a list of tensors.
            case: what sets this case apart from the others of the name.
            kink: the function has no derivative here; a one-sided convention is recorded, and
                finite differences cannot check it.
            attrs: the keywords; one that is a maker becomes a tensor.
        """
        label = case or ", ".join(f"{key}={value}" for key, value in attrs.items()) or "basic"
        if kink:
            label = f"kink: {label}"
        if (name, label) in self.labels:
            raise ValueError(f"{self.module}.{name}: two cases are called {label!r}")
        self.labels.add((name, label))

        # Each case has its own stream of numbers: adding one changes no other.
        rng = np.random.default_rng([SEED, zlib.crc32(f"{self.module}.{name}:{label}".encode())])
        arrays = map_leaves(
            lambda make: np.asarray(make(rng)) if callable(make) else make, list(inputs)
        )
        keywords = {key: make(rng) if callable(make) else make for key, make in attrs.items()}
        called = {key: to_tensor(value, constant=True) for key, value in keywords.items()}

        tensors = map_leaves(to_tensor, arrays)
        output = function(*tensors, **called)
        weights = map_leaves(
            lambda part: draw_weights(rng, part.shape) if part.requires_grad else None, output
        )
        grads = gradients(tensors, output, weights)
        if not kink:
            check_gradients(f"{name} ({label})", function, arrays, called, weights, grads, rng)

        self.cases.append(
            {
                "module": self.module,
                "name": name,
                "case": label,
                "inputs": map_leaves(encode, arrays),
                "attrs": map_leaves(encode, keywords),
                "output": map_leaves(encode, output),
                "weights": map_leaves(encode, weights),
                "grads": map_leaves(encode, grads),
            }
        )


def to_tensor(value: Any, constant: bool = False) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(value, requires_grad=value.dtype == np.float64 and not constant)


def draw_weights(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    return np.asarray(rng.uniform(-1, 1, tuple(shape)).round(2))


def weighted_sum(output: Any, weights: Any) -> torch.Tensor:
    """The number that is differentiated: sum(output * weights) over the weighted outputs."""
    parts = zip(flatten(output), flatten(weights), strict=True)
    return sum(
        ((part * torch.tensor(weight)).sum() for part, weight in parts if weight is not None),
        start=torch.zeros((), dtype=torch.float64),
    )


def gradients(inputs: Any, output: Any, weights: Any) -> Any:
    """The gradient for every float input; None where there is none."""
    total = weighted_sum(output, weights)
    variables = [leaf for leaf in flatten(inputs) if is_float(leaf)]
    if not variables or not total.requires_grad:
        return map_leaves(lambda leaf: None, inputs)
    found = iter(torch.autograd.grad(total, variables, allow_unused=True))
    return map_leaves(lambda leaf: next(found) if is_float(leaf) else None, inputs)


def check_gradients(
    label: str,
    function: Callable[..., Any],
    arrays: Any,
    attrs: dict[str, Any],
    weights: Any,
    grads: Any,
    rng: np.random.Generator,
) -> None:
    """Compare with central differences along a random direction: a case at a kink fails."""
    pairs = zip(flatten(arrays), flatten(grads), strict=True)
    directions = [
        None if grad is None else rng.uniform(-1, 1, array.shape) for array, grad in pairs
    ]
    if all(direction is None for direction in directions):
        return

    def value(step: float) -> float:
        moves = iter(directions)

        def move(array: Any) -> Any:
            direction = next(moves)
            return to_tensor(array if direction is None else np.asarray(array + step * direction))

        output = function(*map_leaves(move, arrays), **attrs)
        return weighted_sum(output, weights).item()

    step = 1e-5
    slope = (value(step) - value(-step)) / (2 * step)
    products = zip(flatten(grads), directions, strict=True)
    expected = sum(float((g.numpy() * d).sum()) for g, d in products if g is not None)
    if not np.isclose(slope, expected, rtol=1e-6, atol=1e-7):
        raise ValueError(f"{label}: central differences give {slope}, autograd {expected}")

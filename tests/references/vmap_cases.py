"""Mapped functions, written once for JAX and for chainrule, whose names are NumPy's in both.

`m` is ``jax.numpy`` with a few names of JAX beside, or ``chainrule``; see `make_vmap.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class VmapCase(NamedTuple):
    """A function of examples.

    Attributes:
        name: of the case.
        function: of the namespace and the arguments of one example.
        shapes: of the arguments, those of the examples included; a dict is a tree of them.
        in_axes: as for vmap.
        out_axes: as for vmap.
        integers: positions of arguments that are indices below 3.
    """

    name: str
    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    in_axes: Any = 0
    out_axes: Any = 0
    integers: tuple[int, ...] = ()


def _recurrent(m: Any, w: Any, x: Any) -> Any:
    last, states = m.scan(lambda h, x: (m.tanh(w @ h + x),) * 2, x[0] * 0.5, x)
    return last, states


def _attention(m: Any, q: Any, k: Any, v: Any) -> Any:
    return m.softmax(q @ k.T / 2.0, -1) @ v


def _norm(m: Any, x: Any, gain: Any) -> Any:
    mean = m.mean(x, axis=-1, keepdims=True)
    return (x - mean) / m.sqrt(m.mean((x - mean) ** 2, axis=-1, keepdims=True) + 1e-5) * gain


def _network(m: Any, p: Any, x: Any) -> Any:
    return m.tanh(x @ p["a"]) @ p["b"]


CASES = [
    VmapCase("elements", lambda m, x, y: m.exp(x) * m.sin(y) + x / (1 + y**2), ((3, 4), (3, 4))),
    VmapCase("scalars", lambda m, x: m.log1p(x**2), ((5,),)),
    VmapCase("broadcast one", lambda m, x, y: x * y, ((3, 2, 4), (4,)), (0, None)),
    VmapCase("broadcast ranks", lambda m, x, y: x + y, ((3, 4), (3, 2, 4))),
    VmapCase("last axis in", lambda m, x: m.cumsum(x), ((4, 3),), -1),
    VmapCase("axis 1 in, 1 out", lambda m, x: m.tanh(x), ((2, 3, 4),), 1, 1),
    VmapCase("last axis out", lambda m, x: x * 2, ((3, 2, 4),), 0, -1),
    VmapCase("two axes", lambda m, x, y: x @ y, ((2, 3, 4), (4, 5, 3)), (1, 2)),
    VmapCase("matrix vector", lambda m, a, x: a @ x, ((3, 4, 2), (3, 2))),
    VmapCase("one matrix", lambda m, a, x: a @ x, ((4, 2), (3, 2)), (None, 0)),
    VmapCase("one vector", lambda m, a, x: a @ x, ((3, 4, 2), (2,)), (0, None)),
    VmapCase("batched product", lambda m, a, b: m.matmul(a, b), ((3, 5, 2, 4), (3, 4, 2))),
    VmapCase("einsum", lambda m, a, b: m.einsum("ij,kj->ik", a, b), ((3, 2, 4), (5, 4)), (0, None)),
    VmapCase("outer", lambda m, a, b: m.outer(a, b), ((3, 2), (3, 4))),
    VmapCase("sum of an axis", lambda m, x: m.sum(x, axis=0), ((3, 4, 2),)),
    VmapCase("mean and variance", lambda m, x: (m.mean(x), m.var(x, axis=1)), ((3, 4, 2),)),
    VmapCase("largest", lambda m, x: m.max(x, axis=-1), ((3, 4, 2),)),
    VmapCase("product", lambda m, x: m.prod(x, axis=0), ((3, 4),)),
    VmapCase("log sum exp", lambda m, x: m.logsumexp(x, axis=0), ((3, 4, 2),)),
    VmapCase("softmax", lambda m, x: m.softmax(x, 0), ((3, 4, 2),)),
    VmapCase("sorted", lambda m, x: m.sort(x, axis=0), ((3, 5),)),
    VmapCase(
        "rows by index", lambda m, x, i: m.take(x, i, axis=0), ((3, 4, 2), (3, 5)), 0, 0, (1,)
    ),
    VmapCase(
        "one table", lambda m, x, i: m.take(x, i, axis=0), ((4, 2), (3, 5)), (None, 0), 0, (1,)
    ),
    VmapCase(
        "columns of one index", lambda m, x, i: m.take(x, i, axis=1), ((3, 2, 4), (5,)), (0, None),
        0, (1,),
    ),
    VmapCase("slices", lambda m, x: x[1:, ::-1][..., 0], ((3, 4, 2),)),
    VmapCase("reshaped", lambda m, x: m.reshape(x.T, (2, 4)), ((3, 4, 2),)),
    VmapCase("stacked", lambda m, x, y: m.stack([x, y], axis=1), ((3, 4), (4,)), (0, None)),
    VmapCase(
        "side by side", lambda m, x, y: m.concatenate([x, y], axis=1), ((3, 2, 4), (3, 2, 1))
    ),
    VmapCase("where", lambda m, x, y: m.where(x > 0, x, y), ((3, 4), ()), (0, None)),
    VmapCase("padded", lambda m, x: m.pad(x, ((1, 0), (0, 2))), ((3, 2, 2),)),
    VmapCase("inverse", lambda m, x: m.linalg.inv(x + 4 * np.eye(3)), ((2, 3, 3),)),
    VmapCase(
        "solved", lambda m, a, b: m.linalg.solve(a + 4 * np.eye(3), b), ((2, 3, 3), (3, 2)),
        (0, None),
    ),
    VmapCase("Cholesky", lambda m, x: m.linalg.cholesky(x @ x.T + np.eye(3)), ((2, 3, 3),)),
    VmapCase("determinant", lambda m, x: m.linalg.det(x), ((4, 3, 3),)),
    VmapCase("eigenvalues", lambda m, x: m.linalg.eigvalsh(x + x.T), ((2, 3, 3),)),
    VmapCase("recurrent", _recurrent, ((2, 2), (3, 5, 2)), (None, 0)),
    VmapCase("recurrent, a matrix each", _recurrent, ((3, 2, 2), (5, 2)), (0, None)),
    VmapCase("attention", _attention, ((3, 4, 2), (3, 5, 2), (3, 5, 2))),
    VmapCase("attention of one memory", _attention, ((3, 4, 2), (5, 2), (5, 2)), (0, None, None)),
    VmapCase("normalised", _norm, ((3, 4, 2), (2,)), (0, None)),
    VmapCase("networks", _network, ({"a": (3, 2, 4), "b": (3, 4, 1)}, (5, 2)), (0, None)),
    VmapCase(
        "a tree of axes", _network, ({"a": (2, 3, 4), "b": (4, 1)}, (3, 2)),
        ({"a": 1, "b": None}, 0),
    ),
    VmapCase(
        "different axes out", lambda m, x: {"a": x * 2, "b": (x + 1, m.sum(x))}, ((3, 4, 2),), 0,
        {"a": 1, "b": (2, 0)},
    ),
    VmapCase(
        "nested", lambda m, x, y: m.vmap(lambda b: m.sum(x * b))(y), ((3, 2), (4, 2)), (0, None)
    ),
    VmapCase(
        "nested, other axes",
        lambda m, x, y: m.vmap(lambda a, b: a @ b, in_axes=(1, None), out_axes=1)(x, y),
        ((3, 2, 4), (2, 5)), (0, None),
    ),
    VmapCase("gradients", lambda m, x: m.grad(lambda z: m.sum(m.tanh(z) ** 2))(x), ((3, 4),)),
    VmapCase(
        "gradients of one network",
        lambda m, p, x: m.grad(lambda q: m.sum(_network(m, q, x)))(p),
        ({"a": (2, 4), "b": (4, 1)}, (3, 2)), (None, 0),
    ),
    VmapCase(
        "second derivatives",
        lambda m, x: m.grad(lambda z: m.sum(m.grad(lambda u: m.sum(u**3))(z) * z))(x), ((3, 2),),
    ),
    VmapCase(
        "the same for all", lambda m, x, y: (x * 2, y + 1), ((3, 2), ()), (0, None), (0, None)
    ),
]  # fmt: skip


def arrays_of(case: VmapCase) -> list[Any]:
    """The arguments: numbers of three decimals, so that a file of results stays short."""
    seed = sum(map(ord, case.name)) * 31 + len(case.shapes)
    rng = np.random.default_rng(seed)

    def made(shape: Any, position: int) -> Any:
        if isinstance(shape, dict):
            return {name: made(one, position) for name, one in shape.items()}
        if position in case.integers:
            return rng.integers(0, 3, shape)
        return np.asarray(rng.uniform(0.2, 1.6, shape) * rng.choice([-1.0, 1.0], shape)).round(3)

    return [made(shape, position) for position, shape in enumerate(case.shapes)]


def weights_of(shape: tuple[int, ...], number: int) -> Any:
    """Fixed weights of an output, so that a gradient is that of a weighted sum."""
    return np.cos(np.arange(int(np.prod(shape))) + number).reshape(shape).round(3)

"""Random programs of every element type: values, types and errors, eagerly, on NumPy and in C.

Where `random_graphs` is about smooth functions of floats, this is about all the rest: huge and
negative integers, NaN and infinities, also where nobody reads them, indices and classes that are
out of range, and Python's numbers. Only operations that round as IEEE 754 says are among them, so
that everything agrees to the bit.

CHAINRULE_RANDOM_GRAPHS sets how many: 300 by default.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir.graph import Graph
from chainrule.errors import ChainruleError, DataError, OutOfRangeError

from .flags import NIGHTLY

_COUNT = int(os.environ.get("CHAINRULE_RANDOM_GRAPHS", "300"))
_BATCH = 25
_TYPES = ("bool", "int32", "int64", "uint32", "float32", "float64")
#: By day little time for building.
_FLAGS = () if NIGHTLY else ("-O1",)

_EDGES: dict[str, list[Any]] = {
    "b": [True, False],
    "i": [0, 1, -1, 2, 3, -5, 7, 100],
    "u": [0, 1, 2, 3, 7, 2**32 - 1, 2**31],
    "f": [0.5, 1.0, -1.5, 2.0, -4.0, 0.25, 3.0, np.nan, np.inf, -np.inf],
}


def drawn(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...] = (2, 3)) -> Any:
    dtype = np.dtype(dtype)
    values = list(_EDGES[dtype.kind])
    if dtype.kind == "i":
        info = np.iinfo(dtype)
        values += [info.min, info.max, info.min + 1, info.max // 2 + 1]
    return rng.choice(np.array(values, dtype), size=shape)


def _integers(x: Any) -> Any:
    return x if x.dtype.kind in "iu" else x.astype("int64")


def _index(x: Any, choice: int) -> Any:
    """Numbers around the extent of an axis: mostly inside of it."""
    return cr.reshape(_integers(x), (-1,))[:3] % (4 if choice % 8 == 0 else 2)


def _matrix(x: Any) -> Any:
    return cr.reshape(cr.concatenate([cr.reshape(x, (-1,))] * 6)[:6], (2, 3))


def _unread(x: Any, choice: int) -> Any:
    """The gradients of products with rows of a table, one of which is NaN and not read."""
    table = np.array([[1.0, 2.0], [0.5, -1.0], [np.nan, np.inf]])
    index = (cr.reshape(_integers(x), (-1,)) % 2).astype("int64")
    rows = cr.concatenate([index] * 8)[:8]
    weight = cr.tensor(np.array([[0.5], [2.0]]))

    def loss(e: Any, w: Any) -> Any:
        return (cr.take(e, rows) @ w).sum()

    return cr.grad(loss, argnums=choice % 2)(cr.tensor(table), weight)


def _classes(x: Any, choice: int) -> Any:
    """Only that class indices are refused or not; the loss itself is rounded otherwise in C."""
    classes = cr.reshape(_integers(x), (-1,))[:2] % 4 - (choice % 16 == 0)
    loss = cr.losses.cross_entropy(np.zeros((classes.shape[0], 3)), classes.astype("int64"))
    return cr.isfinite(loss)


def _target(x: Any, choice: int) -> Any:
    target = cr.reshape(cr.where(cr.isfinite(x.astype("float32")), x, 1), (-1,))[:3]
    loss = cr.losses.hinge(np.zeros(target.shape[0], np.float32), target)
    return cr.isfinite(loss)


OPERATIONS = [
    lambda a, b, c, n: a + b,
    lambda a, b, c, n: a - b,
    lambda a, b, c, n: a * b,
    lambda a, b, c, n: a * b - b * a,
    lambda a, b, c, n: -a,
    lambda a, b, c, n: cr.abs(a),
    lambda a, b, c, n: cr.sign(a),
    lambda a, b, c, n: cr.maximum(a, b),
    lambda a, b, c, n: cr.minimum(a, b),
    lambda a, b, c, n: cr.fmax(a, b),
    lambda a, b, c, n: _integers(a) // b.astype("int32"),
    lambda a, b, c, n: _integers(a) % b.astype("int64"),
    lambda a, b, c, n: cr.fmod(_integers(a), _integers(b)),
    lambda a, b, c, n: a**b if a.dtype.kind in "iu" and b.dtype.kind in "iu" else a,
    lambda a, b, c, n: a ** (c % 4 - 1) if a.dtype.kind == "i" and c % 4 else a**2,
    lambda a, b, c, n: a**2.0,
    lambda a, b, c, n: a == b,
    lambda a, b, c, n: a < b,
    lambda a, b, c, n: a >= n,
    lambda a, b, c, n: a & b,
    lambda a, b, c, n: a | b,
    lambda a, b, c, n: a ^ b,
    lambda a, b, c, n: ~a,
    lambda a, b, c, n: cr.logical_and(a, b),
    lambda a, b, c, n: cr.logical_not(a),
    lambda a, b, c, n: a.astype(_TYPES[c % 6]),
    lambda a, b, c, n: a.astype(_TYPES[c % 6]).astype(_TYPES[c // 6 % 6]),
    lambda a, b, c, n: a.astype("float64").astype(_TYPES[c % 6]),
    lambda a, b, c, n: cr.where(a, b, a),
    lambda a, b, c, n: cr.where(b > n, a, n),
    lambda a, b, c, n: cr.clip(a, -2, n),
    lambda a, b, c, n: a * n + b,
    lambda a, b, c, n: n - a,
    lambda a, b, c, n: a * (1 - n) * 0.5,
    lambda a, b, c, n: a + [1, 2.5, True][c % 3],
    lambda a, b, c, n: cr.floor(a),
    lambda a, b, c, n: cr.round(a),
    lambda a, b, c, n: cr.isnan(a),
    lambda a, b, c, n: cr.relu(a),
    lambda a, b, c, n: cr.sum(_integers(a), c % 2),
    lambda a, b, c, n: cr.prod(_integers(a)),
    lambda a, b, c, n: cr.max(a, c % 2),
    lambda a, b, c, n: cr.min(a),
    lambda a, b, c, n: cr.any(a, c % 2),
    lambda a, b, c, n: cr.count_nonzero(a),
    lambda a, b, c, n: cr.argmax(a, c % 2),
    lambda a, b, c, n: cr.argmin(a),
    lambda a, b, c, n: cr.cumsum(_integers(a), c % 2),
    lambda a, b, c, n: cr.sort(a, c % 2),
    lambda a, b, c, n: cr.argsort(a, c % 2, descending=bool(c & 2)),
    lambda a, b, c, n: cr.take(a, _index(b, c), c % 2),
    lambda a, b, c, n: a[_index(b, c), _index(a, c)],
    lambda a, b, c, n: cr.scatter_add(a, _index(b, c), a[0]),
    lambda a, b, c, n: cr.take_along_axis(a, cr.reshape(_index(b, c)[:2], (-1, 1)), 1),
    lambda a, b, c, n: cr.one_hot(_index(b, c), 3),
    lambda a, b, c, n: cr.concatenate([a, b], c % 2),
    lambda a, b, c, n: cr.sum([a[0, 0].astype("int64"), [3, n][c % 2]]),
    lambda a, b, c, n: cr.stack([a, b])[c % 2],
    lambda a, b, c, n: cr.pad(a, 1, c % 3),
    lambda a, b, c, n: cr.flip(a, c % 2),
    lambda a, b, c, n: cr.masked_fill(a, b, c % 5),
    lambda a, b, c, n: _unread(a, c),
    lambda a, b, c, n: _classes(a, c),
    lambda a, b, c, n: _target(a, c),
]


class RandomProgram:
    """A function of three arrays and a Python float."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 7])
        self.arrays = [drawn(rng, rng.choice(_TYPES)) for _ in range(3)]
        self.number = float(rng.choice([0.5, -1.0, 3.0, 0.1, 1e300]))
        self.steps = rng.integers(0, 2**16, (int(rng.integers(1, 7)), 4)).tolist()

    def __call__(self, *inputs: Any) -> list[Any]:
        *values, number = inputs
        for op, a, b, choice in self.steps:
            left, right = (_matrix(values[-1 - n % len(values)]) for n in (a % 4, b))
            values.append(OPERATIONS[op % len(OPERATIONS)](left, right, choice, number))
        return values[3:]

    def outcome(self, run: Any) -> Any:
        """The arrays, or the error: never a bare one."""
        try:
            return run()
        except ChainruleError as error:
            return type(error), error.what, error.expected, error.found

    def eager(self) -> Any:
        inputs = [*map(cr.tensor, self.arrays), self.number]
        return self.outcome(lambda: [y.numpy() for y in self(*inputs)])

    def graph(self) -> Any:
        return self.outcome(lambda: cr.trace(self, *self.arrays, self.number).graph)

    @property
    def inputs(self) -> list[Any]:
        return [*self.arrays, np.array(self.number)]


def agree(found: Any, expected: Any, what: str) -> None:
    if isinstance(found, tuple) or isinstance(expected, tuple):
        assert found == expected, what
        return
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.dtype == other.dtype, f"{what}, result {number}"
        np.testing.assert_array_equal(one, other, err_msg=f"{what}, result {number}")


def in_one_program(batch: list[tuple[RandomProgram, Graph, Any]]) -> None:
    """All graphs of a batch in C, as one program."""
    graph = Graph(
        [node for _, one, _ in batch for node in one.inputs],
        [node for _, one, _ in batch for node in one.outputs],
    )
    run = CProgram(graph, flags=_FLAGS)
    results = iter(run([x for program, _, _ in batch for x in program.inputs]))
    for program, one, expected in batch:
        found = [next(results) for _ in one.outputs]
        agree(found, expected, f"C, seed {program.seed}")


@pytest.mark.parametrize("part", range(4))
def test_random_programs(part: int) -> None:
    first = int.from_bytes(os.urandom(4), "little") if NIGHTLY else 0
    batch: list[tuple[RandomProgram, Graph, Any]] = []
    stopped = 0
    for seed in range(first + part, first + _COUNT, 4):
        program = RandomProgram(seed)
        expected, graph = program.eager(), program.graph()
        what = f"seed {seed}"
        if isinstance(graph, tuple):  # a type or a shape that does not fit
            assert isinstance(expected, tuple), what
            if expected[0] not in (DataError, OutOfRangeError):  # a value may be refused before
                agree(graph, expected, what)
            continue
        agree(program.outcome(lambda g=graph, p=program: Program(g)(p.inputs)), expected, what)
        if not isinstance(expected, tuple):
            batch.append((program, graph, expected))
        elif NIGHTLY or stopped < 3:  # a program of its own, for it stops
            stopped += 1
            native = program.outcome(lambda g=graph, p=program: CProgram(g, flags=_FLAGS)(p.inputs))
            agree(native, expected, f"C, {what}")
        if len(batch) == _BATCH:
            in_one_program(batch)
            batch = []
    if batch:
        in_one_program(batch)

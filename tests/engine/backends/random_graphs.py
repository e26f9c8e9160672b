"""Well-typed random graphs: programs of small instructions on small arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import chainrule as cr

#: Which operation, which operands, and numbers that choose axes and the like.
Instruction = tuple[int, int, int, int]

instructions = st.lists(
    st.tuples(*[st.integers(0, 2**16 - 1) for _ in range(4)]), min_size=1, max_size=14
)


def _axis(x, choice):
    return choice % x.ndim


def _axes(x, choice):
    chosen = [axis for axis in range(x.ndim) if choice >> axis & 1]
    return tuple(chosen) or None


def _pair(a, b):
    """The second operand in a shape that broadcasts against the first."""
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        b = cr.reshape(b, (-1,))[:1]
    return a, b


def _matmul(a, b, choice):
    rows = cr.reshape(a, (-1, a.shape[-1]))
    columns = cr.reshape(b, (b.shape[0], -1))
    inner = min(rows.shape[1], columns.shape[0])
    rows, columns = rows[:, :inner], columns[:inner]
    if choice & 1:
        return cr.transpose(columns) @ cr.transpose(rows)
    return rows @ columns


def _batched(a, b, choice):
    rows = cr.reshape(a, (-1, a.shape[-1]))
    stack = cr.stack([rows, cr.flip(rows, 0)])
    return stack @ cr.swapaxes(stack, 1, 2) if choice & 1 else cr.swapaxes(stack, 1, 2) @ stack


def _reshape(x, choice):
    factors = [n for n in range(1, x.size + 1) if x.size % n == 0]
    first = factors[choice % len(factors)]
    return cr.reshape(x, (first, x.size // first))


def _slice(x, choice):
    axis = _axis(x, choice)
    index = [slice(None)] * x.ndim
    start = (choice >> 3) % x.shape[axis]
    index[axis] = slice(start, None, 1 + (choice >> 6) % 3)
    if choice >> 8 & 1:
        index[axis] = slice(None, None, -1 - (choice >> 6) % 2)
    return x[tuple(index)]


def _take(x, choice):
    axis = _axis(x, choice)
    numbers = np.array([choice % x.shape[axis], (choice >> 4) % x.shape[axis], 0])
    return cr.take(x, numbers, axis)


def _pad(x, choice):
    return cr.pad(x, [((choice >> i) & 1, (choice >> (i + 3)) & 1) for i in range(x.ndim)], 0.5)


def _broadcast(x, choice):
    return cr.broadcast_to(x, (1 + choice % 3, *x.shape))


SMOOTH = [
    lambda a, b, c: cr.tanh(a),
    lambda a, b, c: cr.sigmoid(a),
    lambda a, b, c: cr.exp(cr.tanh(a)),
    lambda a, b, c: cr.softplus(a),
    lambda a, b, c: cr.sin(a) * cr.cos(a),
    lambda a, b, c: cr.sqrt(a * a + 1.0),
    lambda a, b, c: cr.log(a * a + 0.5),
    lambda a, b, c: cr.erf(a),
    lambda a, b, c: cr.gelu(a),
    lambda a, b, c: -a,
    lambda a, b, c: a * 0.5 + 1.0,
    lambda a, b, c: 2.0 - a,
    lambda a, b, c: cr.add(*_pair(a, b)),
    lambda a, b, c: cr.subtract(*_pair(a, b)),
    lambda a, b, c: cr.multiply(*_pair(a, b)),
    lambda a, b, c: cr.divide(*_pair(a, b * b + 1.0)),
    lambda a, b, c: cr.logaddexp(*_pair(a, b)),
    lambda a, b, c: cr.sum(a, _axes(a, c), keepdims=bool(c & 64)),
    lambda a, b, c: cr.mean(a, _axes(a, c), keepdims=bool(c & 64)),
    lambda a, b, c: a - cr.mean(a, _axis(a, c), keepdims=True),
    lambda a, b, c: cr.var(a, _axis(a, c), keepdims=True),
    lambda a, b, c: cr.softmax(a, _axis(a, c)),
    lambda a, b, c: cr.log_softmax(a, _axis(a, c)),
    lambda a, b, c: cr.logsumexp(a, _axes(a, c), keepdims=bool(c & 64)),
    lambda a, b, c: cr.cumsum(a, _axis(a, c), reverse=bool(c & 64)),
    lambda a, b, c: cr.prod(cr.tanh(a), _axis(a, c)),
    lambda a, b, c: _matmul(a, b, c),
    lambda a, b, c: _batched(a, b, c),
    lambda a, b, c: _reshape(a, c),
    lambda a, b, c: cr.transpose(a),
    lambda a, b, c: cr.swapaxes(a, _axis(a, c), _axis(a, c >> 2)),
    lambda a, b, c: cr.flip(a, _axis(a, c)),
    lambda a, b, c: cr.roll(a, c % 5, _axis(a, c)),
    lambda a, b, c: _slice(a, c),
    lambda a, b, c: _pad(a, c),
    lambda a, b, c: cr.concatenate([a, cr.tanh(a)], _axis(a, c)),
    lambda a, b, c: _take(a, c),
    lambda a, b, c: _broadcast(a, c),
    lambda a, b, c: cr.expand_dims(a, c % (a.ndim + 1)),
    lambda a, b, c: cr.stop_gradient(a) * 0.5,
]
#: With kinks or jumps: where two backends round differently their gradients may differ.
ROUGH = [
    lambda a, b, c: cr.relu(a),
    lambda a, b, c: cr.abs(a),
    lambda a, b, c: cr.maximum(*_pair(a, b)),
    lambda a, b, c: cr.minimum(*_pair(a, b)),
    lambda a, b, c: cr.clip(a, -0.5, 0.75),
    lambda a, b, c: cr.max(a, _axes(a, c), keepdims=bool(c & 64)),
    lambda a, b, c: cr.min(a, _axis(a, c)),
    lambda a, b, c: cr.sort(a, _axis(a, c)),
    lambda a, b, c: cr.elu(a),
]
_LARGEST = 400


class RandomFunction:
    """A function of three arrays that a list of instructions spells out.

    The first call must be with values: there each result that grows too large is tamed, and the
    following calls repeat that.
    """

    def __init__(self, program: list[Instruction], *, smooth: bool) -> None:
        self.program = program
        self.choices = SMOOTH if smooth else SMOOTH + ROUGH
        self.tamed: list[bool] | None = None

    def __call__(self, *inputs: Any) -> list[Any]:
        first = self.tamed is None
        tamed: list[bool] = [] if self.tamed is None else self.tamed
        values = list(inputs)
        for number, (op, a, b, choice) in enumerate(self.program):
            # Mostly recent values, so that graphs grow deep.
            left = values[-1 - a % min(len(values), 4)]
            right = values[-1 - b % len(values)]
            left, right = (cr.reshape(x, (1,)) if x.ndim == 0 else x for x in (left, right))
            y = self.choices[op % len(self.choices)](left, right, choice)
            if y.size > _LARGEST or y.size == 0 or y.ndim > 4:
                y = cr.tanh(left)
            if first:
                tamed.append(bool(np.max(np.abs(y.numpy())) > 8))
            values.append(cr.tanh(y) if tamed[number] else y)
        self.tamed = tamed
        return values[len(inputs) :][-4:]


def inputs(dtype: Any, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.uniform(-1.5, 1.5, s).astype(dtype) for s in [(3, 4), (4,), (2, 1, 4)]]

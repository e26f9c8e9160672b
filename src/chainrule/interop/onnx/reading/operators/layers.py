"""Normalisation, recurrent layers, attention: operators that are layers of their own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from ..values import Value
from .calls import Call, operator


@operator("BatchNormalization")
def _batch_norm(c: Call) -> Any:
    """With the statistics of the file, also in a training."""
    if c.attribute("training_mode") or c.outputs > 1:
        return _batch_norm_training(c)
    x = c[0]
    view = (-1, *(1,) * (x.ndim - 2))
    scale, bias, mean, var = (ops.reshape(c[i], view) for i in range(1, 5))
    found = (x - mean) / ops.sqrt(var + c.attribute("epsilon", 1e-5)) * scale + bias
    return as_tensor(found, x.dtype)


def _batch_norm_training(c: Call) -> Any:
    x, keep = c[0], c.attribute("momentum", 0.9)
    axes = (0, *range(2, x.ndim))
    view = (-1, *(1,) * (x.ndim - 2))
    mean, var = ops.mean(x, axes), ops.var(x, axes)
    scale, bias = ops.reshape(c[1], view), ops.reshape(c[2], view)
    spread = ops.sqrt(ops.reshape(var, view) + c.attribute("epsilon", 1e-5))
    y = (x - ops.reshape(mean, view)) / spread * scale + bias
    return [y, c[3] * keep + mean * (1 - keep), c[4] * keep + var * (1 - keep)]


@operator("InstanceNormalization")
def _instance_norm(c: Call) -> Any:
    x = c[0]
    view = (-1, *(1,) * (x.ndim - 2))
    y = _normalised(x, tuple(range(2, x.ndim)), c.attribute("epsilon", 1e-5))
    return y * ops.reshape(c[1], view) + ops.reshape(c[2], view)


def _normalised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    mean = ops.mean(x, axes, True)
    return (x - mean) / ops.sqrt(ops.mean((x - mean) ** 2, axes, True) + eps)


@operator("LayerNormalization")
def _layer_norm(c: Call) -> Any:
    x = c[0]
    axes = tuple(range(c.axis(default=-1), x.ndim))
    mean = ops.mean(x, axes, True)
    inverse = 1 / ops.sqrt(ops.mean((x - mean) ** 2, axes, True) + c.attribute("epsilon", 1e-5))
    y = (x - mean) * inverse * c[1]
    y = y + c[2] if c.has(2) else y
    return [y, mean, inverse] if c.outputs > 1 else y


@operator("RMSNormalization")
def _rms_norm(c: Call) -> Any:
    x = c[0]
    axes = tuple(range(c.axis(default=-1), x.ndim))
    return x / ops.sqrt(ops.mean(x * x, axes, True) + c.attribute("epsilon", 1e-5)) * c[1]


@operator("GroupNormalization")
def _group_norm(c: Call) -> Any:
    x, groups = c[0], int(c.attributes["num_groups"])
    split = ops.reshape(x, (x.shape[0], groups, -1))
    y = ops.reshape(_normalised(split, (2,), c.attribute("epsilon", 1e-5)), x.shape)
    scale, bias = c[1], c[2]
    if c.opset < 21:  # one for each group
        scale, bias = (ops.repeat(s, x.shape[1] // groups, 0) for s in (scale, bias))
    view = (-1, *(1,) * (x.ndim - 2))
    return y * ops.reshape(scale, view) + ops.reshape(bias, view)


# ---- recurrent layers ----------------------------------------------------------------------------

_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "sigmoid": ops.sigmoid, "tanh": ops.tanh, "relu": ops.relu, "softsign": ops.softsign,
    "softplus": ops.softplus,
    "affine": lambda x, alpha=1.0, beta=0.0: alpha * x + beta,
    "leakyrelu": lambda x, alpha=0.01: ops.leaky_relu(x, alpha),
    "thresholdedrelu": lambda x, alpha=1.0: ops.threshold(x, alpha, 0.0),
    "scaledtanh": lambda x, alpha=1.0, beta=1.0: alpha * ops.tanh(beta * x),
    "hardsigmoid": lambda x, alpha=0.2, beta=0.5: ops.clip(alpha * x + beta, 0.0, 1.0),
    "elu": lambda x, alpha=1.0: ops.elu(x, alpha),
}  # fmt: skip
_TWO = {"affine", "scaledtanh", "hardsigmoid"}
_NONE = {"sigmoid", "tanh", "relu", "softsign", "softplus"}


class _Layer:
    """What the three kinds of layers share: X (time, rows, in), W and R for each direction."""

    def __init__(self, c: Call, gates: int, default: Sequence[str]) -> None:
        self.c, self.gates = c, gates
        self.hidden = int(c.attributes.get("hidden_size", c[2].shape[-1]))
        self.batch_first = bool(c.attribute("layout"))
        self.x = ops.swapaxes(c[0], 0, 1) if self.batch_first else c[0]
        self.way = c.attribute("direction", "forward")
        self.directions = 2 if self.way == "bidirectional" else 1
        self.functions = self._functions(default)
        self.lengths = c.ints(4)
        self.clip = c.attribute("clip")

    def _functions(self, default: Sequence[str]) -> list[Callable[[Any], Tensor]]:
        names = self.c.attribute("activations", list(default) * self.directions)
        alphas = list(self.c.attribute("activation_alpha", []))
        betas = list(self.c.attribute("activation_beta", []))
        found: list[Callable[[Any], Tensor]] = []
        for name in names:
            key = str(name).lower()
            if key not in _ACTIVATIONS:
                raise self.c.error("Unknown activation.", str(name))
            options = {}
            if key not in _NONE and alphas:
                options["alpha"] = alphas.pop(0)
            if key in _TWO and betas:
                options["beta"] = betas.pop(0)
            function = _ACTIVATIONS[key]
            found.append(functools.partial(function, **options))
        return found

    def limited(self, x: Tensor) -> Tensor:
        return x if self.clip is None else ops.clip(x, -self.clip, self.clip)

    def initial(self, position: int, direction: int) -> Tensor:
        if self.c.has(position):
            start = self.c[position]
            return start[:, direction] if self.batch_first else start[direction]
        return ops.zeros((self.x.shape[1], self.hidden), self.x.dtype)

    def bias(self, direction: int) -> tuple[Any, Any]:
        width = self.gates * self.hidden
        if not self.c.has(3):
            return 0.0, 0.0
        return self.c[3][direction, :width], self.c[3][direction, width:]

    def run(self, states: int, step: Callable[..., Any]) -> list[Tensor]:
        """Y and the last states; ``step(direction, projected, *states)`` gives new states."""
        outputs, ends = [], []
        for direction in range(self.directions):
            back = self.way == "reverse" or direction == 1
            w = ops.transpose(self.c[1][direction])
            projected = ops.matmul(self.x, w) + self.bias(direction)[0]
            y, last = self._loop(projected, direction, back, states, step)
            outputs.append(y)
            ends.append(last)
        y = ops.stack(outputs, 1)  # (time, directions, rows, hidden)
        finals = [ops.stack(parts, 0) for parts in zip(*ends, strict=True)]
        if self.batch_first:
            y = ops.transpose(y, (2, 0, 1, 3))
            finals = [ops.swapaxes(final, 0, 1) for final in finals]
        return [y, *finals]

    def _loop(
        self, projected: Tensor, direction: int, back: bool, states: int, step: Any
    ) -> tuple[Tensor, list[Tensor]]:
        start = tuple(self.initial(5 + i, direction) for i in range(states))
        steps = projected.shape[0]
        there = np.ones((steps, projected.shape[1], 1), bool)
        if self.lengths is not None:
            there = np.arange(steps)[:, None, None] < np.array(self.lengths)[None, :, None]

        def body(carry: Any, at: Any) -> Any:
            x, present = at
            new = step(direction, x, *carry)
            if self.lengths is not None:
                new = tuple(ops.where(present, n, old) for n, old in zip(new, carry, strict=True))
                return new, ops.where(present, new[0], 0.0)
            return new, new[0]

        last, y = ops.scan(body, start, (projected, as_tensor(there)), reverse=back)
        return y, list(last)


def _split(x: Tensor, count: int) -> list[Tensor]:
    return list(ops.split(x, [x.shape[-1] // count] * count, -1))


@operator("RNN", static=(4,))
def _rnn(c: Call) -> Any:
    layer = _Layer(c, 1, ["Tanh"])

    def step(direction: int, x: Tensor, h: Tensor) -> Any:
        f = layer.functions[direction]
        recurrent = ops.matmul(h, ops.transpose(c[2][direction])) + layer.bias(direction)[1]
        return (f(layer.limited(x + recurrent)),)

    return layer.run(1, step)


@operator("LSTM", static=(4,))
def _lstm(c: Call) -> Any:
    """Gates i, o, f, c; peepholes P of i, o, f."""
    layer = _Layer(c, 4, ["Sigmoid", "Tanh", "Tanh"])

    def step(direction: int, x: Tensor, h: Tensor, cell: Tensor) -> Any:
        f, g, last = layer.functions[3 * direction : 3 * direction + 3]
        recurrent = ops.matmul(h, ops.transpose(c[2][direction])) + layer.bias(direction)[1]
        i, o, forget, new = _split(x + recurrent, 4)
        if c.has(7):
            p_i, p_o, p_f = _split(c[7][direction], 3)
            i, forget = i + p_i * cell, forget + p_f * cell
        i = f(layer.limited(i))
        keep = 1 - i if c.attribute("input_forget") else f(layer.limited(forget))
        cell = keep * cell + i * g(layer.limited(new))
        if c.has(7):
            o = o + p_o * cell
        return f(layer.limited(o)) * last(cell), cell

    return layer.run(2, step)


@operator("GRU", static=(4,))
def _gru(c: Call) -> Any:
    """Gates z, r, h."""
    layer = _Layer(c, 3, ["Sigmoid", "Tanh"])

    def step(direction: int, x: Tensor, h: Tensor) -> Any:
        f, g = layer.functions[2 * direction : 2 * direction + 2]
        size = layer.hidden
        weights, bias = c[2][direction], layer.bias(direction)[1]
        bias = ops.broadcast_to(as_tensor(bias, x.dtype), (3 * size,))
        first = ops.matmul(h, ops.transpose(weights[: 2 * size])) + bias[: 2 * size]
        z, r = (f(layer.limited(part)) for part in _split(x[:, : 2 * size] + first, 2))
        to_new = ops.transpose(weights[2 * size :])
        if c.attribute("linear_before_reset"):
            inner = r * (ops.matmul(h, to_new) + bias[2 * size :])
        else:
            inner = ops.matmul(r * h, to_new) + bias[2 * size :]
        new = g(layer.limited(x[:, 2 * size :] + inner))
        return ((1 - z) * new + z * h,)

    return layer.run(1, step)


# ---- attention -----------------------------------------------------------------------------------


@operator("Attention", static=(6,))
def _attention(c: Call) -> Any:
    """Of versions 23 and later: (rows, heads, time, width), or heads side by side."""
    q, k, v, packed = _heads(c)
    past = 0
    if c.has(4):
        past = c[4].shape[2]
        k, v = ops.concatenate([c[4], k], 2), ops.concatenate([c[5], v], 2)
    present = [k, v]
    repeat = q.shape[1] // k.shape[1]
    if repeat > 1:
        k, v = (ops.repeat(x, repeat, 1) for x in (k, v))
    scale = c.attribute("scale") or 1 / math.sqrt(q.shape[-1])
    half = math.sqrt(scale)
    raw = ops.matmul(q * half, ops.swapaxes(k, -1, -2) * half)
    n, m = q.shape[2], k.shape[2]
    cap = c.attribute("softcap", 0.0)
    soft = cap * ops.tanh(raw / cap) if cap else raw
    bias = _mask(c, q.shape[0], n, m, past)
    masked = soft if bias is None else _masked(soft, bias)
    top = ops.max(masked, -1, True)
    dead = ops.equal(top, -math.inf)
    weights = ops.where(dead, 0.0, ops.softmax(ops.where(dead, 0.0, masked), -1))
    y = ops.matmul(weights, v)
    mode = int(c.attribute("qk_matmul_output_mode", 0))
    if mode not in (0, 3) and c.outputs > 3:
        raise c.error("The scores of attention are not read in this mode.",
                      f"qk_matmul_output_mode = {mode}", "0 or 3")  # fmt: skip
    scores = weights if mode == 3 else raw
    if packed:
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (q.shape[0], n, -1))
    return [y, Value(present[0], c.dtype(1)), Value(present[1], c.dtype(2)), scores][: c.outputs]


def _masked(scores: Tensor, bias: Tensor) -> Tensor:
    if bias.dtype == np.bool_:
        return ops.where(bias, scores, -math.inf)
    return scores + as_tensor(bias, scores.dtype)


def _heads(c: Call) -> tuple[Tensor, Tensor, Tensor, bool]:
    q, k, v = c[0], c[1], c[2]
    if q.ndim == 4:
        return q, k, v, False
    heads = int(c.attributes["q_num_heads"])
    shared = int(c.attributes["kv_num_heads"])

    def apart(x: Tensor, count: int) -> Tensor:
        split = ops.reshape(x, (x.shape[0], x.shape[1], count, -1))
        return ops.transpose(split, (0, 2, 1, 3))

    return apart(q, heads), apart(k, shared), apart(v, shared), True


def _mask(c: Call, rows: int, n: int, m: int, past: int) -> Tensor | None:
    """What is added to the scores: -inf where a key is not seen."""
    found: Any = None
    if c.has(3):
        found = c[3]
        if found.shape[-1] < m:
            width = [(0, 0)] * (found.ndim - 1) + [(0, m - found.shape[-1])]
            if found.dtype == np.bool_:
                found = as_tensor(ops.pad(as_tensor(found, "int64"), width), "bool")
            else:
                found = ops.pad(found, width, -math.inf)
        if found.dtype == np.bool_:
            found = ops.where(found, 0.0, -math.inf)
    lengths = c.static(6) if c.has(6) else None
    offset: Any = past if lengths is None else (lengths.astype(int) - n)[:, None, None, None]
    for name in ("left_window_size", "right_window_size"):
        if c.attribute(name, -1) >= 0:
            raise c.error("Windows of attention are not read.", name)
    keys, queries = np.arange(m)[None, :], np.arange(n)[:, None] + offset
    blocked: Any = keys > queries if c.attribute("is_causal") else None
    if lengths is not None:
        beyond = np.arange(m)[None, None, None, :] >= lengths[:, None, None, None]
        blocked = beyond if blocked is None else blocked | beyond
    if blocked is not None:
        kept = as_tensor(np.where(blocked, -np.inf, 0.0).astype(c[0].dtype))
        found = kept if found is None else as_tensor(found, c[0].dtype) + kept
    return None if found is None else as_tensor(found)


@operator("RotaryEmbedding")
def _rotary(c: Call) -> Any:
    x = c[0]
    packed = x.ndim == 3
    if packed:
        heads = int(c.attributes["num_heads"])
        x = ops.transpose(ops.reshape(x, (x.shape[0], x.shape[1], heads, -1)), (0, 2, 1, 3))
    cos, sin = c[1], c[2]
    if c.has(3):
        cos, sin = ops.take(cos, c[3], 0), ops.take(sin, c[3], 0)
    cos, sin = ops.expand_dims(cos, 1), ops.expand_dims(sin, 1)
    size = int(c.attribute("rotary_embedding_dim", 0)) or x.shape[-1]
    turned, rest = x[..., :size], x[..., size:]
    cos, sin = cos[..., : size // 2], sin[..., : size // 2]
    if c.attribute("interleaved"):
        a, b = turned[..., 0::2], turned[..., 1::2]
        pair = ops.stack([a * cos - b * sin, a * sin + b * cos], -1)
        turned = ops.reshape(pair, turned.shape)
    else:
        a, b = turned[..., : size // 2], turned[..., size // 2 :]
        turned = ops.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
    y = ops.concatenate([turned, rest], -1) if rest.shape[-1] else turned
    if packed:
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), c[0].shape)
    return y

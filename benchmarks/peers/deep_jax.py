"""JAX's networks: the step under jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..deep import CHANNELS, HIDDEN, TRANSFORMERS, DeepTask, make_deep_task
from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array
from ..worker import Prepare, serve


def _linear(w: Any, name: str, x: Any) -> Any:
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def _convolution(x: Any, kernel: Any) -> Any:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _halved(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _lenet(w: Any, x: Any) -> Any:
    for name in ("conv1", "conv2"):
        x = _halved(jax.nn.relu(_convolution(x, w[f"{name}.weight"]) + w[f"{name}.bias"]))
    x = x.reshape(len(x), -1)
    return _linear(w, "linear2", jax.nn.relu(_linear(w, "linear1", x)))


def _six_convolutions(w: Any, x: Any) -> Any:
    for number in range(len(CHANNELS)):
        x = _convolution(x, w[f"conv{number}.weight"])
        centred = x - x.mean((0, 1, 2))
        normal = centred * lax.rsqrt((centred**2).mean((0, 1, 2)) + 1e-5)
        x = jax.nn.relu(normal * w[f"norm{number}.weight"] + w[f"norm{number}.bias"])
        if number in (1, 3):
            x = _halved(x)
    return _linear(w, "linear", x.mean((1, 2)))


def _lstm(w: Any, words: Any) -> Any:
    projected = _linear(w, "input", w["embedding"][words]).swapaxes(0, 1)

    def step(state: Any, x: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x + _linear(w, "hidden", h), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((len(words), HIDDEN))
    _, h = lax.scan(step, (start, start), projected)
    return _linear(w, "head", h.swapaxes(0, 1))


def _norm(w: Any, name: str, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    normal = centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normal * w[f"{name}.weight"] + w[f"{name}.bias"]


def _gpt(name: str) -> Callable[[Any, Any], Any]:
    size = TRANSFORMERS[name]

    def forward(w: Any, words: Any) -> Any:
        x = w["tokens"][words] + w["positions"]
        shape = (*words.shape, size.heads, size.width // size.heads)
        for number in range(size.layers):
            block = f"block{number}"
            y = _norm(w, f"{block}.norm1", x)
            q, k, v = (_linear(w, f"{block}.{part}", y).reshape(shape) for part in "qkv")
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
            x = x + _linear(w, f"{block}.out", y.reshape(x.shape))
            y = jax.nn.gelu(
                _linear(w, f"{block}.linear1", _norm(w, f"{block}.norm2", x)), approximate=False
            )
            x = x + _linear(w, f"{block}.linear2", y)
        return _norm(w, "norm", x) @ w["tokens"].T

    return forward


def build(task: DeepTask, mode: str) -> Prepare:
    """Mode: ``step``."""
    name = task.network.name
    known = {"LeNet": _lenet, "6 convolutions": _six_convolutions, "LSTM": _lstm}
    forward = known[name] if name in known else _gpt(name)
    weights = jax.tree.map(jnp.asarray, task.weights)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.float32(0)]
    data = jnp.asarray(task.x), jnp.asarray(task.y)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        logarithms = jax.nn.log_softmax(forward(weights, x))
        return -jnp.mean(jnp.take_along_axis(logarithms, y[..., None], axis=-1))

    def train(state: Any, rows: Any, data: Any) -> Any:
        weights, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(weights, data[0][rows], data[1][rows])
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t

        def update(w: Any, m: Any, v: Any) -> Any:
            return w - LEARNING_RATE * (m / c1) / (jnp.sqrt(v / c2) + EPSILON)

        return [jax.tree.map(update, weights, m, v), m, v, t], loss

    step = jax.jit(train, donate_argnums=0)

    def prepare(order: Array) -> Callable[[], Any]:
        batches = [jnp.asarray(rows) for rows in order]

        def run() -> Any:
            nonlocal state
            losses = []
            for rows in batches:
                state, loss = step(state, rows, data)
                losses.append(loss)
            return jax.block_until_ready((losses, state))[0]

        return run

    return prepare


serve(build, make_deep_task)

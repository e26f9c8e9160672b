"""JAX: the step under jit, or the whole loop inside lax.scan under jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve
from .jax_networks import network


def build(task: Task, mode: str) -> Prepare:
    """Modes: ``step``, ``scan``."""
    forward = network(task)
    weights = jax.tree.map(jnp.asarray, task.weights)
    task.forget_weights()
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.float32(0)]
    data = jnp.asarray(task.x), jnp.asarray(task.y)

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        z = forward(weights, x)
        if task.is_regression:
            return jnp.mean((z - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], axis=-1))

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

    def scan(state: Any, order: Any, data: Any) -> Any:
        return jax.lax.scan(lambda state, rows: train(state, rows, data), state, order)

    step = jax.jit(train, donate_argnums=0)
    loop = jax.jit(scan, donate_argnums=0)

    def prepare(order: Array) -> Callable[[], Any]:
        batches = jnp.asarray(order) if mode == "scan" else [jnp.asarray(rows) for rows in order]

        def run() -> Any:
            nonlocal state
            if mode == "scan":
                state, losses = loop(state, batches, data)
            else:
                losses = []
                for rows in batches:
                    state, loss = step(state, rows, data)
                    losses.append(loss)
            return jax.block_until_ready((losses, state))[0]

        return run

    return prepare


serve(build)

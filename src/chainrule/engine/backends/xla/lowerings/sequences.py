"""CTC: see `chainrule.engine.ops.ctc`, whose names these are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def _shifted(x: Any, by: int) -> Any:
    """States by so many places later, or earlier; what comes in is impossible."""
    edges = ((0, 0), (by, 0)) if by > 0 else ((0, 0), (0, -by))
    moved = jnp.pad(x, edges, constant_values=-jnp.inf)
    return moved[:, : x.shape[1]] if by > 0 else moved[:, -by:]


def _forward(emitted: Any, skips: Any, steps: Any) -> tuple[Any, Any]:
    """α of every step (steps, batch, states), and of the last step that counts."""
    start = jnp.full(emitted.shape[1:], -jnp.inf, emitted.dtype).at[:, 0].set(0)

    def step(alpha: Any, given: Any) -> Any:
        t, own = given
        reached = jnp.logaddexp(alpha, _shifted(alpha, 1))
        reached = jnp.logaddexp(reached, jnp.where(skips, _shifted(alpha, 2), -jnp.inf))
        alpha = jnp.where((t < steps)[:, None], reached + own, alpha)
        return alpha, alpha

    final, every = lax.scan(step, start, (jnp.arange(len(emitted)), emitted))
    return every, final


def _occupancies(emitted: Any, skips: Any, steps: Any, end: Any, alphas: Any) -> Any:
    """γ of every step that counts (steps, batch, states), 0 of the others."""
    size = emitted.shape[2]
    following = jnp.pad(skips, ((0, 0), (0, 2)))[:, 2 : size + 2]
    later = jnp.pad(emitted, ((0, 1), (0, 0), (0, 0)))[1:]

    def step(beta: Any, given: Any) -> Any:
        t, next_emitted, alpha = given
        reached = beta + next_emitted
        found = jnp.logaddexp(reached, _shifted(reached, -1))
        found = jnp.logaddexp(found, jnp.where(following, _shifted(reached, -2), -jnp.inf))
        beta = jnp.where((t + 1 == steps)[:, None], end, found)
        both = alpha + beta
        weights = jnp.exp(both - both.max(-1, keepdims=True))
        share = weights / weights.sum(-1, keepdims=True)
        return beta, jnp.where((t < steps)[:, None], share, 0)

    nowhere = jnp.full(emitted.shape[1:], -jnp.inf, emitted.dtype)
    return lax.scan(step, nowhere, (jnp.arange(len(emitted)), later, alphas), reverse=True)[1]


def _ctc(trace: Any, z: Any, target: Any, steps: Any, labels: Any, *, blank: int) -> Any:
    """In double precision, as the reference; a gradient is a scatter of occupancies."""
    *outer, count, classes = z.shape
    size = target.shape[-1]
    x = z.astype(jnp.float64).reshape(-1, count, classes)
    batch = x.shape[0]
    target = jnp.clip(target, 0, classes - 1).reshape(batch, size)
    steps = jnp.clip(steps, 0, count).reshape(batch)
    labels = jnp.clip(labels, 0, size).reshape(batch)
    logarithms = jax.nn.log_softmax(x, axis=-1)
    states = jnp.full((batch, 2 * size + 1), blank, target.dtype).at[:, 1::2].set(target)
    before = jnp.pad(states, ((0, 0), (2, 0)), constant_values=blank)[:, : 2 * size + 1]
    skips = (states != blank) & (states != before)
    emitted = jnp.take_along_axis(logarithms, states[:, None], -1).swapaxes(0, 1)
    number, last = jnp.arange(2 * size + 1), 2 * labels[:, None]
    end = jnp.where((number == last) | (number == last - 1), 0.0, -jnp.inf)
    alphas, final = _forward(emitted, skips, steps)
    counts = jnp.arange(count) < steps[:, None]
    bad = (jnp.isnan(logarithms).any(-1) & counts).any(-1)
    loss = jnp.maximum(-jax.nn.logsumexp(final + end, axis=-1), 0)
    loss = jnp.where(bad, jnp.nan, loss)
    held = _occupancies(emitted, skips, steps, end, alphas).swapaxes(0, 1)
    rows, times = jnp.arange(batch)[:, None, None], jnp.arange(count)[:, None]
    gradient = jnp.exp(logarithms).at[rows, times, states[:, None]].add(-held)
    gradient = jnp.where(counts[..., None] & ~jnp.isinf(loss)[:, None, None], gradient, 0)
    gradient = jnp.where(bad[:, None, None], jnp.nan, gradient)
    return loss.reshape(outer).astype(z.dtype), gradient.reshape(z.shape).astype(z.dtype)


SEQUENCES = {"ctc": _ctc}

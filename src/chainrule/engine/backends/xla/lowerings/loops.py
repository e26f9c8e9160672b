"""Operations that hold a graph, and attention."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from ....ir.graph import Graph
from ....ops.attention import options, smallest_kept
from .elementwise import random_bits


def _call(trace: Any, *arrays: Any, body: Graph) -> Any:
    """Computed where it stands: XLA must not merge it with an equal part and keep the results."""
    return tuple(trace.run(body, lax.optimization_barrier(arrays)))


def _scan(
    trace: Any, *arrays: Any, body: Graph, consts: int, carries: int, sums: int, length: int,
    reverse: bool,
) -> Any:  # fmt: skip
    fixed = arrays[:consts]
    results = [node.type for node in body.outputs]
    zeros = [jnp.zeros(s.shape, s.dtype) for s in results[carries : carries + sums]]
    given = arrays[consts : consts + carries]
    start = [x.astype(own.dtype) for x, own in zip(given, results, strict=False)]

    def step(state: Any, slices: Any) -> Any:
        carry, totals, fits = state
        inside = trace.inner()
        found = inside.run(body, [*fixed, *carry, *slices])
        parts = found[carries : carries + sums]
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
        return (found[:carries], totals, fits & inside.all_fit()), found[carries + sums :]

    state = (start, zeros, jnp.ones((), bool))
    slices = list(arrays[consts + carries :])
    (carry, totals, fits), stacks = lax.scan(step, state, slices, length, reverse)
    trace.require(fits)
    return (*carry, *totals, *stacks)


# ---- attention: see chainrule.engine.ops.attention ---------------------------------------------


def _product(trace: Any, a: Any, b: Any) -> Any:
    """A product whose result keeps the digits of its sums, as scores need them."""
    a, b = trace.narrowed(a, b)
    kind = jnp.float32 if a.dtype == jnp.bfloat16 else a.dtype
    return jnp.matmul(a, b, preferred_element_type=kind)


def _scores(trace: Any, q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    scores = _product(trace, q, jnp.swapaxes(k, -1, -2)) * scale
    n, m = scores.shape[-2:]
    if causal:
        scores = jnp.where(jnp.tri(n, m, m - n, dtype=bool), scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    return scores


def _dropped(trace: Any, x: Any, key: Any, dropout: float) -> Any:
    if key is None:
        return x
    keep = (random_bits(trace, key, x.shape) >> 8) >= smallest_kept(dropout)
    return jnp.where(keep, x * (1 / (1 - dropout)), 0)


def _attention(
    trace: Any, q: Any, k: Any, v: Any, *more: Any, causal: bool, scale: float, dropout: float = 0.0
) -> Any:
    mask, key = options(more)
    scores = _scores(trace, q, k, mask, causal, scale)
    top = jnp.max(scores, axis=-1, keepdims=True, initial=-jnp.inf)
    nowhere = top == -jnp.inf
    top = jnp.where(nowhere, 0, top)
    weights = jnp.exp(scores - top)
    total = jnp.where(nowhere, 1, jnp.sum(weights, axis=-1, keepdims=True))
    kept = _dropped(trace, weights, key, dropout)
    y = _product(trace, kept, v) / total
    return y.astype(trace.narrowed(q)[0].dtype), (top + jnp.log(total))[..., 0]


def _gradients(
    trace: Any, q: Any, k: Any, v: Any, sums: Any, delta: Any, g: Any, *more: Any,
    causal: bool, scale: float, dropout: float = 0.0,
) -> Any:  # fmt: skip
    mask, key = options(more)
    weights = jnp.exp(_scores(trace, q, k, mask, causal, scale) - sums[..., None])
    back = _dropped(trace, _product(trace, g, jnp.swapaxes(v, -1, -2)), key, dropout)
    back = jnp.where(weights == 0, 0, weights * (back - delta[..., None])) * scale
    kept = _dropped(trace, weights, key, dropout)
    found = (
        _product(trace, back, k),
        _product(trace, jnp.swapaxes(back, -1, -2), q),
        _product(trace, jnp.swapaxes(kept, -1, -2), g),
    )
    return tuple(x.astype(trace.narrowed(like)[0].dtype)
                 for x, like in zip(found, (q, k, v), strict=True))  # fmt: skip


LOOPS = {
    "call": _call,
    "scan": _scan,
    "attention": _attention,
    "attention_gradients": _gradients,
}

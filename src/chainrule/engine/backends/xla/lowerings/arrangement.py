"""Padding, gathering and scattering."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def _pad(trace: Any, x: Any, before: Any, after: Any, between: Any, value: float) -> Any:
    # XLA counts an empty axis with gaps as one of negative extent.
    gaps = [gap if extent else 0 for gap, extent in zip(between, x.shape, strict=True)]
    fill = jnp.asarray(value).astype(x.dtype)
    return lax.pad(x, fill, list(zip(before, after, gaps, strict=True)))


def _places(trace: Any, indices: Any, extent: int) -> Any:
    """Indices from the front, of which those out of range stop the program."""
    trace.require((indices >= -extent) & (indices < extent))
    return jnp.where(indices < 0, indices + extent, indices)


def _take(trace: Any, x: Any, indices: Any, axis: int) -> Any:
    places = _places(trace, indices, x.shape[axis])
    if not x.shape[axis]:
        shape = x.shape[:axis] + indices.shape + x.shape[axis + 1 :]
        return jnp.zeros(shape, x.dtype)
    return jnp.take(x, places, axis=axis, mode="clip")


def _scatter_add(trace: Any, x: Any, indices: Any, updates: Any, axis: int) -> Any:
    places = _places(trace, indices, x.shape[axis])
    return x.at[(*(slice(None),) * axis, places)].add(updates, mode="drop")


def _take_along_axis(trace: Any, x: Any, indices: Any, axis: int) -> Any:
    places = _places(trace, indices, x.shape[axis])
    if not x.size:
        return jnp.zeros(indices.shape, x.dtype)
    return _line_by_line(lambda line, own: line.at[own].get(mode="clip"), axis, x, places)


def _add_along_axis(trace: Any, x: Any, indices: Any, updates: Any, axis: int) -> Any:
    places = _places(trace, indices, x.shape[axis])
    return _line_by_line(
        lambda line, own, more: line.at[own].add(more, mode="drop"), axis, x, places, updates
    )


def _line_by_line(function: Any, axis: int, *arrays: Any) -> Any:
    """A function of lines along an axis: where rows are on other axes, devices exchange nothing."""
    for _ in range(arrays[0].ndim - 1):
        function = jax.vmap(function)
    moved = (jnp.moveaxis(array, axis, -1) for array in arrays)
    return jnp.moveaxis(function(*moved), -1, axis)


def _scatter(trace: Any, x: Any, indices: Any, updates: Any, mode: str) -> Any:
    places = _places(trace, indices, x.shape[0]).reshape(-1)
    rows = updates.reshape(-1, *x.shape[1:])
    if mode != "set":
        target = x.at[places]
        return (target.max if mode == "max" else target.min)(rows, mode="drop")
    if not places.size:
        return x
    # Of repeated indices the last one wins, on every device.
    last = jnp.full(x.shape[:1], -1).at[places].max(jnp.arange(places.size), mode="drop")
    wins = (last >= 0).reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.where(wins, jnp.take(rows, last, axis=0, mode="clip"), x)


def _update_slice(trace: Any, x: Any, updates: Any, start: Any, axis: int) -> Any:
    first = jnp.clip(start, 0, x.shape[axis] - updates.shape[axis])
    return lax.dynamic_update_slice_in_dim(x, updates, first, axis)


#: Up to so many indices a bag is summed one by one, with no table of all rows in memory.
_FEW = 32


def _embedding_bag(trace: Any, table: Any, indices: Any, weights: Any) -> Any:
    places = _places(trace, indices, table.shape[0])
    if indices.shape[1] > _FEW:
        rows = jnp.take(table, places, axis=0, mode="clip")
        return jnp.einsum("bk,bkc->bc", weights, rows)
    total = jnp.zeros((indices.shape[0], table.shape[1]), table.dtype)
    for k in range(indices.shape[1]):
        total = total + weights[:, k, None] * jnp.take(table, places[:, k], axis=0, mode="clip")
    return total


def _scatter_bag(trace: Any, y: Any, indices: Any, weights: Any, rows: int) -> Any:
    places = _places(trace, indices, rows)
    return (
        jnp.zeros((rows, y.shape[1]), y.dtype)
        .at[places]
        .add(weights[..., None] * y[:, None, :], mode="drop")
    )


ARRANGEMENT = {
    "pad": _pad,
    "take": _take,
    "scatter_add": _scatter_add,
    "take_along_axis": _take_along_axis,
    "add_along_axis": _add_along_axis,
    "scatter": _scatter,
    "dynamic_update_slice": _update_slice,
    "embedding_bag": _embedding_bag,
    "scatter_bag": _scatter_bag,
}

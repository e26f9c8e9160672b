"""How operations take one more axis: rules of `chainrule.vmap` for the declarations to name.

A rule ``(op, size, inputs, mapped, attributes) -> result`` gets operands that have the axis of the
examples first where ``mapped`` says so, and gives the result with that axis first; or None where it
has no answer, and the operation runs in a loop over the examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.operation import Operation
from ..ir.types import int64, uint32
from ..tensor import FUNCTIONS, Tensor, apply
from .check import require
from .declare import broadcast_to, cast

Inputs = Sequence[Tensor]
Attributes = Mapping[str, Any]


def everywhere(size: int, x: Tensor, is_mapped: bool) -> Tensor:
    """The operand with the axis of the examples, if need be the same for each."""
    return x if is_mapped else broadcast_to(x, (size, *x.shape))


def _all(size: int, inputs: Inputs, mapped: Sequence[bool]) -> list[Tensor]:
    return [everywhere(size, *pair) for pair in zip(inputs, mapped, strict=True)]


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The function of this name, which is declared with rules of this module."""
    reshaped: Tensor = FUNCTIONS["reshape"](x, tuple(shape))
    return reshaped


def moved(x: Tensor, before: int | Sequence[int], after: int | Sequence[int]) -> Tensor:
    """`chainrule.moveaxis`, for the same reason."""
    result: Tensor = FUNCTIONS["moveaxis"](x, before, after)
    return result


# ---- rules that follow from the kind of an operation -------------------------------------------


def leading(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """Operations that take any number of axes in front: elements, matrices."""
    return apply(op, *_all(size, inputs, mapped), **attributes)


def along(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """Operations along ``axis``."""
    more = {**attributes, "axis": attributes["axis"] + 1}
    return apply(op, *_all(size, inputs, mapped), **more)


def over_axes(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """Operations over ``axes``: reductions, flips."""
    axes = tuple(axis + 1 for axis in attributes["axes"])
    return apply(op, *inputs, **{**attributes, "axes": axes})


def images(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor | None:
    """The first operand is a batch of images, which the examples enlarge."""
    if not mapped[0] or any(mapped[1:]):
        return None
    return _merged(op, size, [inputs[0]], inputs[1:], attributes)


def all_images(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """All operands are batches of images."""
    return _merged(op, size, _all(size, inputs, mapped), (), attributes)


def _merged(
    op: Operation, size: int, batches: Inputs, others: Inputs, attributes: Attributes
) -> Tensor:
    flat = [reshape(x, (size * x.shape[1], *x.shape[2:])) for x in batches]
    y = apply(op, *flat, *others, **attributes)
    return reshape(y, (size, batches[0].shape[1], *y.shape[1:]))


# ---- views, and what moves elements ------------------------------------------------------------


def reshaped(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """To ``shape``."""
    return reshape(inputs[0], (size, *attributes["shape"]))


def transposed(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """By ``axes``."""
    return apply(op, *inputs, axes=(0, *(axis + 1 for axis in attributes["axes"])))


def sliced(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """From ``start`` to ``stop`` by ``step``, on each axis."""
    return apply(
        op, *inputs, start=(0, *attributes["start"]), stop=(size, *attributes["stop"]),
        step=(1, *attributes["step"]),
    )  # fmt: skip


def padded(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """With margins ``before`` and ``after``, and gaps ``between`` the elements."""
    margins = {key: (0, *attributes[key]) for key in ("before", "after", "between")}
    return apply(op, *inputs, **{**attributes, **margins})


# ---- indices -----------------------------------------------------------------------------------


def _offset(size: int, extent: int, indices: Tensor) -> Tensor:
    """Indices into the tables of all examples, one behind the other; checked before."""
    about = (
        "An index is out of range.",
        f"from {-extent} to {extent - 1}" if extent else "none: the axis is empty",
    )
    numbers = require(cast(indices, int64), lambda i: (i >= -extent) & (i < extent), about, "range")
    first = np.arange(size).reshape(size, *(1,) * (indices.ndim - 1)) * extent
    result: Tensor = FUNCTIONS["where"](numbers < 0, numbers + extent, numbers) + first
    return result


def _tables(size: int, x: Tensor, axis: int) -> Tensor:
    """The tables of all examples as one, with the axis that is indexed first."""
    x = moved(x, axis + 1, 1)
    return reshape(x, (size * x.shape[1], *x.shape[2:]))


def taken(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """Rows by index along ``axis``, from one table or one for each example."""
    x, indices = inputs
    axis = attributes["axis"]
    if not mapped[1]:
        return apply(op, x, indices, axis=axis + 1)
    if not mapped[0]:
        return moved(apply(op, x, indices, axis=axis), axis, 0)
    rows = apply(op, _tables(size, x, axis), _offset(size, x.shape[axis + 1], indices), axis=0)
    count = indices.ndim - 1  # the axes of the indices go behind those before ``axis``
    return moved(rows, range(1, count + 1), range(axis + 1, axis + count + 1))


def scattered(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor:
    """Updates of rows by index, along ``axis`` or the first axis."""
    x, updates = (everywhere(size, inputs[i], mapped[i]) for i in (0, 2))
    indices = inputs[1]
    axis = attributes.get("axis", 0)
    if not mapped[1] and "axis" in attributes:
        return apply(op, x, indices, updates, axis=axis + 1)
    indices = everywhere(size, indices, mapped[1])
    count = indices.ndim - 1
    rows = moved(updates, range(axis + 1, axis + count + 1), range(1, count + 1))
    extent = x.shape[axis + 1]
    table = _tables(size, x, axis)
    first = {"axis": 0} if "axis" in attributes else {}
    y = apply(op, table, _offset(size, extent, indices), rows, **{**attributes, **first})
    y = reshape(y, (size, extent, *y.shape[1:]))
    return moved(y, 1, axis + 1)


def searched(
    op: Operation, size: int, inputs: Inputs, mapped: Sequence[bool], attributes: Attributes
) -> Tensor | None:
    """Numbers to be found in one sorted list."""
    return None if mapped[0] else apply(op, *inputs, **attributes)


def attended(
    fixed: int,
    op: Operation,
    size: int,
    inputs: Inputs,
    mapped: Sequence[bool],
    attributes: Attributes,
) -> Tensor | None:
    """Attention: ``fixed`` operands with any axes in front, then perhaps a mask that is broadcast.

    The key of dropout is for all axes at once: examples with one of their own run in a loop.
    """
    if any(x.dtype == uint32 for x in inputs[fixed:]):
        return None
    rank = inputs[0].ndim - mapped[0]
    operands = _all(size, inputs[:fixed], mapped[:fixed])
    for x, is_mapped in zip(inputs[fixed:], mapped[fixed:], strict=True):
        own = x.shape[1:]
        wide = (size, *(1,) * (rank - len(own)), *own)
        operands.append(reshape(x, wide) if is_mapped else x)
    return apply(op, *operands, **attributes)

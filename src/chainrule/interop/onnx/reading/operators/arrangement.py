"""Operators that move elements: shapes, slices, gathering, scattering, sorting, constants."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from .....utils.typing import Array
from ..values import TEXT, UNUSED, Value, kept_as, need_size, value_of
from .calls import Call, operator


@operator("Constant")
def _constant(c: Call) -> Any:
    kinds: dict[str, Any] = {"value": None, "value_float": np.float32, "value_floats": np.float32,
             "value_int": np.int64, "value_ints": np.int64, "value_strings": TEXT}  # fmt: skip
    for name, kind in kinds.items():
        if name in c.attributes:
            value = c.attributes[name]
            return value_of(np.asarray(value, kind))
    raise c.error("A constant that is not read.", ", ".join(c.attributes),
                  "a tensor, numbers or integers")  # fmt: skip


@operator("ConstantOfShape", static=(0,))
def _constant_of_shape(c: Call) -> Any:
    value = np.asarray(c.attribute("value", np.zeros(1, np.float32)))
    return value_of(np.full(need_size(c.static(0)), value.ravel()[0], value.dtype))


@operator("Shape")
def _shape(c: Call) -> Any:
    start, end = c.attribute("start", 0), c.attribute("end")
    return value_of(np.array(c[0].shape[slice(start, end)], np.int64))


@operator("Size")
def _size(c: Call) -> Any:
    return value_of(np.array(math.prod(c[0].shape), np.int64))


@operator("Reshape", static=(1,))
def _reshape(c: Call) -> Any:
    shape = c.list_of("shape", 1) or []
    if not c.attribute("allowzero"):
        extents = c[0].shape
        shape = [extents[i] if extent == 0 else extent for i, extent in enumerate(shape)]
    return ops.reshape(c[0], shape)


@operator("Flatten")
def _flatten(c: Call) -> Any:
    axis = c.axis(default=1)
    shape = c[0].shape
    return ops.reshape(c[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))


@operator("Squeeze", static=(1,))
def _squeeze(c: Call) -> Any:
    axes = c.list_of("axes", 1)
    return ops.squeeze(c[0]) if axes is None else ops.squeeze(c[0], axes)


@operator("Unsqueeze", static=(1,))
def _unsqueeze(c: Call) -> Any:
    axes = c.list_of("axes", 1) or []
    rank = c[0].ndim + len(axes)
    return ops.expand_dims(c[0], [axis + rank if axis < 0 else axis for axis in axes])


@operator("Transpose")
def _transpose(c: Call) -> Any:
    perm = c.attribute("perm")
    return ops.transpose(c[0], None if perm is None else [int(i) for i in perm])


@operator("Expand", static=(1,))
def _expand(c: Call) -> Any:
    shape = np.broadcast_shapes(c[0].shape, need_size(c.static(1)))
    return ops.broadcast_to(c[0], need_size(shape))


@operator("Tile", static=(1, 2))
def _tile(c: Call) -> Any:
    repeats = c.ints(1) or []
    if c.opset < 6:
        count, axis = int(c.static(1)), int(c.static(2))
        repeats = [count if i == axis else 1 for i in range(c[0].ndim)]
    need_size([n * r for n, r in zip(c[0].shape, repeats, strict=True)])
    return ops.tile(c[0], repeats)


@operator("Concat")
def _concat(c: Call) -> Any:
    return ops.concatenate(c.all(), c.axis())


@operator("Split", static=(1,))
def _split(c: Call) -> Any:
    axis = c.axis()
    sizes = c.list_of("split", 1)
    if sizes is None:
        count = int(c.attribute("num_outputs", c.outputs))
        size = -(-c[0].shape[axis] // count)
        extent = c[0].shape[axis]
        sizes = [max(min(size, extent - i * size), 0) for i in range(count)]
    return list(ops.split(c[0], sizes, axis))


@operator("Slice", static=(1, 2, 3, 4))
def _slice(c: Call) -> Any:
    starts, ends = c.list_of("starts", 1) or [], c.list_of("ends", 2) or []
    axes = c.list_of("axes", 3) or list(range(len(starts)))
    steps = c.ints(4) or [1] * len(starts)
    x = c[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            raise c.error("A step of 0.", "Slice")
        x = _sliced(x, axis + x.ndim if axis < 0 else axis, start, end, step)
    return x


def _sliced(x: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    size = x.shape[axis]
    if step > 0:
        index = slice(*slice(start, end, step).indices(size))
    else:
        first = min(start + size if start < 0 else start, size - 1)
        last = max(end + size if end < 0 else end, -1)
        index = slice(first, None if last < 0 else last, step)
    return x[(slice(None),) * axis + (index,)]


@operator("Pad", static=(1, 2, 3))
def _pad(c: Call) -> Any:
    pads = c.list_of("pads", 1) or c.list_of("paddings", 1) or []
    x, rank = c[0], c[0].ndim
    axes = c.ints(3) or list(range(rank))
    count = len(axes)
    width = [[0, 0] for _ in range(rank)]
    for i, axis in enumerate(axes):
        width[axis] = [pads[i], pads[i + count]]
    # Negative ones cut off.
    for axis, (before, after) in enumerate(width):
        if before < 0 or after < 0:
            cut = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
            x = x[(slice(None),) * axis + (cut,)]
    width = [[max(b, 0), max(a, 0)] for b, a in width]
    need_size([n + b + a for n, (b, a) in zip(x.shape, width, strict=True)])
    return _padded(c, x, width)


def _padded(c: Call, x: Tensor, width: list[list[int]]) -> Any:
    mode = c.attribute("mode", "constant")
    if mode == "constant":
        value = c.static(2) if c.has(2) else np.array(c.attribute("value", 0.0))
        return ops.pad(x, [tuple(w) for w in width], float(value.ravel()[0]))
    numpy_mode = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}.get(mode)
    if numpy_mode is None:
        raise c.error("Unknown mode of Pad.", str(mode))
    for axis, (before, after) in enumerate(width):
        places = np.pad(np.arange(x.shape[axis]), (before, after), mode=numpy_mode)  # type: ignore[call-overload]
        x = ops.take(x, places, axis)
    return x


@operator("Gather")
def _gather(c: Call) -> Any:
    return ops.take(c[0], c[1], c.axis())


@operator("GatherElements")
def _gather_elements(c: Call) -> Any:
    return _along(c[0], c[1], c.axis())


def _along(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """x may be larger than the indices along the other axes."""
    cut = tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(indices.shape))
    return ops.take_along_axis(x[cut], indices, axis)


@operator("GatherND")
def _gather_nd(c: Call) -> Any:
    x, indices = c[0], c[1]
    batch, depth = int(c.attribute("batch_dims", 0)), indices.shape[-1]
    lead = math.prod(x.shape[:batch])
    rest = x.shape[batch:]
    flat = ops.reshape(x, (lead * math.prod(rest[:depth]), *rest[depth:]))
    numbers = flat_index(indices, rest[:depth])
    if batch:
        shape = (lead, *(1,) * (numbers.ndim - batch))
        numbers = ops.reshape(numbers, (lead, *numbers.shape[batch:]))
        offset = ops.reshape(ops.arange(lead, dtype="int64"), shape) * math.prod(rest[:depth])
        numbers = numbers + offset
    found = ops.take(flat, numbers, 0)
    return ops.reshape(found, (*indices.shape[:-1], *rest[depth:]))


def flat_index(indices: Tensor, extents: tuple[int, ...]) -> Tensor:
    """(…, k) positions along k axes → positions in the flattened axes."""
    total: Any = ops.zeros(indices.shape[:-1], "int64")
    for number, extent in enumerate(extents):
        index = as_tensor(indices[..., number], "int64")
        total = total * extent + ops.where(index < 0, index + extent, index)
    return as_tensor(total)


_MODES = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}


@operator("ScatterElements", "Scatter")
def _scatter_elements(c: Call) -> Any:
    """Positions along one axis, as positions in the flattened array."""
    x, indices, updates = c[0], c[1], c[2]
    axis, mode = c.axis(), c.attribute("reduction", "none")
    grid = [ops.reshape(ops.arange(n, dtype="int64"), [-1 if i == j else 1 for j in range(x.ndim)])
            for i, n in enumerate(indices.shape)]  # fmt: skip
    grid[axis] = as_tensor(indices, "int64")
    places = ops.stack([ops.broadcast_to(part, indices.shape) for part in grid], -1)
    flat = ops.reshape(flat_index(places, x.shape), (-1,))
    found = ops.scatter(ops.reshape(x, (-1,)), flat, ops.reshape(updates, (-1,)), mode=_mode(mode))
    return ops.reshape(found, x.shape)


@operator("ScatterND")
def _scatter_nd(c: Call) -> Any:
    x, indices, updates = c[0], c[1], c[2]
    depth = indices.shape[-1]
    rest = x.shape[depth:]
    flat = ops.reshape(x, (math.prod(x.shape[:depth]), *rest))
    numbers = ops.reshape(flat_index(indices, x.shape[:depth]), (-1,))
    rows = ops.reshape(updates, (numbers.shape[0], *rest))
    mode = c.attribute("reduction", "none")
    return ops.reshape(ops.scatter(flat, numbers, rows, mode=_mode(mode)), x.shape)


def _mode(name: str) -> str:
    return _MODES.get(name, name)


@operator("TensorScatter")
def _tensor_scatter(c: Call) -> Any:
    past, update = c[0], c[1]
    axis = c.axis(default=-2)
    starts = c.static(2, np.zeros(past.shape[0], np.int64))
    extent, count = past.shape[axis], update.shape[axis]
    rows = []
    for row in range(past.shape[0]):
        places = int(starts[row]) + np.arange(count)
        if c.attribute("mode", "linear") == "circular":
            places = places % extent
        moved = ops.moveaxis(past[row], axis - 1, 0)
        new = ops.moveaxis(update[row], axis - 1, 0)
        rows.append(ops.moveaxis(ops.scatter(moved, places, new), 0, axis - 1))
    return ops.stack(rows, 0)


@operator("Range", static=(0, 1, 2))
def _range(c: Call) -> Any:
    start, limit, step = (c.static(i).ravel()[0] for i in range(3))
    if not step:
        raise c.error("A step of 0.", "Range")
    need_size([max(math.ceil((float(limit) - float(start)) / float(step)), 0)])
    places: Any = np.arange(start, limit, step)  # type: ignore[call-overload, unused-ignore]
    return value_of(places.astype(np.dtype(c.dtype())))


@operator("EyeLike")
def _eye_like(c: Call) -> Any:
    rows, columns = need_size(c[0].shape)
    kind = np.dtype(c.attribute("dtype", c.dtype()))
    return value_of(np.eye(rows, columns, int(c.attribute("k", 0)), kind))


@operator("OneHot", static=(1,))
def _one_hot(c: Call) -> Any:
    depth = int(c.static(1).ravel()[0])
    indices = as_tensor(c[0], "int64")
    axis = c.axis(default=-1, rank=indices.ndim + 1)
    indices = ops.where(indices < 0, indices + depth, indices)
    shape = [1] * (indices.ndim + 1)
    shape[axis] = depth
    need_size([*indices.shape, depth])
    at = ops.equal(ops.expand_dims(indices, axis), ops.reshape(ops.arange(depth), shape))
    return Value(ops.where(at, c[2][1], c[2][0]), c.dtype(2))


@operator("Trilu", static=(1,))
def _trilu(c: Call) -> Any:
    k = int(c.static(1).ravel()[0]) if c.has(1) else 0
    return (ops.triu if c.attribute("upper", 1) else ops.tril)(c[0], k)


@operator("TopK", static=(1,))
def _top_k(c: Call) -> Any:
    k = int(c.attribute("k", 0)) if "k" in c.attributes else int(c.static(1).ravel()[0])
    axis = c.axis(default=-1)
    largest = bool(c.attribute("largest", 1))
    order = ops.argsort(c[0], axis, descending=largest)
    order = order[(slice(None),) * axis + (slice(0, k),)]
    return [ops.take_along_axis(c[0], order, axis), Value(order, np.dtype(np.int64))]


@operator("NonZero")
def _nonzero(c: Call) -> Any:
    return value_of(np.array(np.nonzero(c.static(0)), np.int64))


@operator("Compress", static=(1,))
def _compress(c: Call) -> Any:
    places = np.flatnonzero(c.static(1))
    if "axis" not in c.attributes:
        return ops.take(ops.reshape(c[0], (-1,)), places, 0)
    return ops.take(c[0], places, c.axis())


@operator("Unique")
def _unique(c: Call) -> Any:
    x = c.static(0)
    axis = c.attributes.get("axis")
    found, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not c.attribute("sorted", 1):
        order = np.argsort(first)
        found = np.take(found, order, 0 if axis is None else axis)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    numbers = [value_of(part.astype(np.int64)) for part in (first, inverse, counts)]
    return [Value(as_tensor(found), c.dtype()), *numbers]


@operator("ReverseSequence", static=(1,))
def _reverse_sequence(c: Call) -> Any:
    time, batch = int(c.attribute("time_axis", 0)), int(c.attribute("batch_axis", 1))
    x = ops.moveaxis(c[0], (batch, time), (0, 1))
    steps = np.arange(x.shape[1])
    rows = [ops.take(x[row], np.where(steps < n, n - 1 - steps, steps), 0)
            for row, n in enumerate(c.ints(1) or [])]  # fmt: skip
    return ops.moveaxis(ops.stack(rows, 0), (0, 1), (batch, time))


@operator("DepthToSpace")
def _depth_to_space(c: Call) -> Any:
    size = int(c.attributes["blocksize"])
    n, channels, height, width = c[0].shape
    rest = channels // size**2
    if c.attribute("mode", "DCR") == "DCR":
        parts, order = (n, size, size, rest, height, width), (0, 3, 4, 1, 5, 2)
    else:
        parts, order = (n, rest, size, size, height, width), (0, 1, 4, 2, 5, 3)
    x = ops.transpose(ops.reshape(c[0], parts), order)
    return ops.reshape(x, (n, rest, height * size, width * size))


@operator("SpaceToDepth")
def _space_to_depth(c: Call) -> Any:
    size = int(c.attributes["blocksize"])
    n, channels, height, width = c[0].shape
    parts = (n, channels, height // size, size, width // size, size)
    order = (0, 3, 5, 1, 2, 4) if c.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    x = ops.transpose(ops.reshape(c[0], parts), order)
    return ops.reshape(x, (n, channels * size**2, height // size, width // size))


@operator("CenterCropPad", static=(1,))
def _center_crop_pad(c: Call) -> Any:
    x = c[0]
    axes = c.attribute("axes")
    axes = list(range(x.ndim)) if axes is None else [int(a) % x.ndim for a in axes]
    for axis, wanted in zip(axes, need_size(c.static(1)), strict=True):
        extent = x.shape[axis]
        if wanted < extent:
            start = (extent - wanted) // 2
            x = x[(slice(None),) * axis + (slice(start, start + wanted),)]
        elif wanted > extent:
            before = (wanted - extent) // 2
            width = [(0, 0)] * x.ndim
            width[axis] = (before, wanted - extent - before)
            x = ops.pad(x, width)
    return x


@operator("ai.onnx.ml.ArrayFeatureExtractor")
def _array_feature_extractor(c: Call) -> Any:
    found = ops.take(c[0], ops.reshape(c[1], (-1,)), c[0].ndim - 1)
    return found if c[0].ndim > 1 else ops.reshape(found, (1, -1))


@operator("ai.onnx.ml.Binarizer")
def _binarizer(c: Call) -> Any:
    return as_tensor(c[0] > c.attribute("threshold", 0.0), c[0].dtype)


@operator("Dropout")
def _dropout(c: Call) -> Any:
    """In predictions it does nothing; exported trainings are not read."""
    if c.has(2) and bool(c.static(2).ravel()[0]):
        ratio = float(c.static(1).ravel()[0]) if c.has(1) else 0.5
        if ratio:
            raise c.error("Dropout that is switched on is not read.", "training_mode = true",
                          "a model that was exported for predictions")  # fmt: skip
    return [c[0], value_of(np.ones(c[0].shape, bool))]


def _table_of(c: Call, side: str) -> tuple[Array, Any]:
    """The keys or the values of a table, and their element type."""
    kinds: dict[str, Any] = {"int64s": np.int64, "floats": np.float32, "strings": TEXT,
                             "tensor": None}  # fmt: skip
    said = [(c.attribute(f"{side}_{name}"), kind) for name, kind in kinds.items()]
    given = [(found, kind) for found, kind in said if found is not None]
    if len(given) != 1:
        raise c.error(f"One list of {side} is needed.", ", ".join(c.attributes))
    found, kind = given[0]
    array = np.ravel(np.asarray(found, kind))
    return array, array.dtype


@operator("ai.onnx.ml.LabelEncoder")
def _label_encoder(c: Call) -> Any:
    """A table from keys to values; of a key that is there twice, the first counts."""
    keys, _ = _table_of(c, "keys")
    values, kind = _table_of(c, "values")
    defaults = {"i": ("default_int64", -1), "f": ("default_float", -0.0)}
    name, usual = defaults.get(kind.kind, ("default_string", UNUSED))
    default = c.attribute("default_tensor", c.attribute(name, usual))
    if len(keys) != len(values):
        raise c.error("There are not as many keys as values.", f"{len(keys)} and {len(values)}")
    x = c[0]
    keys, first = np.unique(keys.astype(x.dtype), return_index=True)  # sorted, NaN last
    table = as_tensor(np.append(values[first], np.ravel(default)[:1]).astype(kept_as(kind)))
    known, count = keys[keys == keys], len(keys)
    at = ops.full(x.shape, count, "int64")
    if len(known):
        near = ops.minimum(ops.searchsorted(as_tensor(known), x), len(known) - 1)
        at = ops.where(ops.equal(ops.take(as_tensor(known), near, 0), x), near, at)
    if len(known) < count and c.opset >= 4:
        at = ops.where(ops.isnan(x), count - 1, at)
    return Value(ops.take(table, at, 0), kind)


@operator("Col2Im", static=(1, 2))
def _col2im(c: Call) -> Any:
    """Sums of patches at their places; in any number of dimensions."""
    extents, window = need_size(c.static(1)), need_size(c.static(2))
    rank = len(extents)
    steps = c.attribute("strides", [1] * rank)
    gaps = c.attribute("dilations", [1] * rank)
    pads = c.attribute("pads", [0] * 2 * rank)
    n, columns, count = c[0].shape
    channels = columns // math.prod(window)
    full = [e + pads[i] + pads[i + rank] for i, e in enumerate(extents)]
    places = [range((f - g * (k - 1) - 1) // s + 1)
              for f, g, k, s in zip(full, gaps, window, steps, strict=True)]  # fmt: skip
    need_size([n, channels, *full])
    corners = np.array(list(itertools.product(*places))).reshape(count, rank) * np.array(steps)
    offsets = np.array(list(itertools.product(*map(range, window)))) * np.array(gaps)
    at = offsets[:, None, :] + corners[None]
    flat = np.ravel_multi_index(tuple(np.moveaxis(at, -1, 0)), tuple(full)).ravel()
    x = ops.reshape(ops.reshape(c[0], (n * channels, math.prod(window), count)),
                    (n * channels, -1))  # fmt: skip
    total = ops.scatter_add(ops.zeros((n * channels, math.prod(full)), x.dtype), flat, x, axis=1)
    image = ops.reshape(total, (n, channels, *full))
    inside = tuple(slice(pads[i], pads[i] + e) for i, e in enumerate(extents))
    return image[(slice(None), slice(None), *inside)]

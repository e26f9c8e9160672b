"""Convolution, pooling, resizing. Images are channels first in ONNX, channels last here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .....engine import ops
from .....engine.tensor import Tensor, as_tensor
from ..values import Value, need_size
from .calls import Call, operator


def channels_last(x: Tensor) -> Tensor:
    """(n, c, *extents) → (n, *extents, c)."""
    return ops.transpose(x, (0, *range(2, x.ndim), 1))


def channels_first(x: Tensor) -> Tensor:
    """(n, *extents, c) → (n, c, *extents)."""
    return ops.transpose(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _per_axis(c: Call, name: str, rank: int, default: int = 1) -> list[int]:
    found = [int(n) for n in c.attribute(name, [default] * rank)]
    if len(found) != rank or (name != "output_padding" and min(found, default=1) < 1):
        raise c.error(f"{name} must be an integer from 1 for each axis.", str(found))
    return found


def _pads(
    c: Call, extents: Sequence[int], window: Sequence[int], steps: Sequence[int],
    gaps: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """Elements before and after, on each axis."""
    rank = len(extents)
    automatic = c.attribute("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for n, k, s, d in zip(extents, window, steps, gaps, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            less, more = total // 2, total - total // 2
            found.append((less, more) if automatic == "SAME_UPPER" else (more, less))
        return found
    if automatic == "VALID":
        return [(0, 0)] * rank
    pads = [int(p) for p in c.attribute("pads", [0] * 2 * rank)]
    if len(pads) != 2 * rank or min(pads) < 0:
        raise c.error("pads must be two integers from 0 for each axis.", str(pads))
    return list(zip(pads[:rank], pads[rank:], strict=True))


_CONV = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
_CONV_TRANSPOSE = {1: ops.conv_transpose1d, 2: ops.conv_transpose2d, 3: ops.conv_transpose3d}


def convolved(c: Call, x: Tensor, w: Tensor) -> Tensor:
    """x (n, c, *extents) and w (out, in, *window) → (n, out, *places)."""
    rank = x.ndim - 2
    if rank not in _CONV:
        raise c.error("Images have one to three extents.", f"{rank} extents")
    window = w.shape[2:]
    steps, gaps = _per_axis(c, "strides", rank), _per_axis(c, "dilations", rank)
    groups = int(c.attribute("group", 1))
    if groups < 1:
        raise c.error("group must be from 1.", str(groups))
    padding = _pads(c, x.shape[2:], window, steps, gaps)
    weight = ops.transpose(w, (*range(2, w.ndim), 1, 0))
    y = _CONV[rank](channels_last(x), weight, stride=tuple(steps), padding=tuple(padding),
                    dilation=tuple(gaps), groups=groups)  # fmt: skip
    return channels_first(y)


def _plus_bias(y: Tensor, bias: Tensor) -> Tensor:
    return y + ops.reshape(bias, (-1, *(1,) * (y.ndim - 2)))


@operator("Conv")
def _conv(c: Call) -> Any:
    y = convolved(c, c[0], c[1])
    return _plus_bias(y, c[2]) if c.has(2) else y


@operator("ConvTranspose")
def _conv_transpose(c: Call) -> Any:
    x, w = c[0], c[1]
    rank = x.ndim - 2
    if rank not in _CONV_TRANSPOSE:
        raise c.error("Images have one to three extents.", f"{rank} extents")
    steps, gaps = _per_axis(c, "strides", rank), _per_axis(c, "dilations", rank)
    more = [int(n) for n in c.attribute("output_padding", [0] * rank)]
    full = [s * (n - 1) + d * (k - 1) + 1 + o for n, k, s, d, o in
            zip(x.shape[2:], w.shape[2:], steps, gaps, more, strict=True)]  # fmt: skip
    need_size([x.shape[0], w.shape[1] * c.attribute("group", 1), *full])
    margins = _margins(c, full, x.shape[2:], steps, more)
    weight = ops.transpose(w, (*range(2, w.ndim), 1, 0))
    groups = int(c.attribute("group", 1))
    y = _CONV_TRANSPOSE[rank](channels_last(x), weight, stride=tuple(steps), padding=0,
                              dilation=tuple(gaps), groups=groups)  # fmt: skip
    y = channels_first(y)
    # What output_padding adds behind has no input beneath it.
    y = ops.pad(y, [(0, 0), (0, 0), *((0, max(o, max(-after, 0))) for o, (_, after) in
                                      zip(more, margins, strict=True))])  # fmt: skip
    inside = [slice(before, f - after) for f, (before, after) in zip(full, margins, strict=True)]
    y = y[(slice(None), slice(None), *inside)]
    return _plus_bias(y, c[2]) if c.has(2) else y


def _margins(
    c: Call, full: Sequence[int], extents: Sequence[int], steps: Sequence[int], more: Sequence[int]
) -> list[tuple[int, int]]:
    """What is cut off before and behind."""
    rank = len(full)
    shape, automatic = c.attribute("output_shape"), c.attribute("auto_pad", "NOTSET")
    if shape is None and automatic in ("SAME_UPPER", "SAME_LOWER"):
        shape = [n * s for n, s in zip(extents, steps, strict=True)]
    if shape is None:
        pads = [int(p) for p in c.attribute("pads", [0] * 2 * rank)]
        return list(zip(pads[:rank], pads[rank:], strict=True))
    found = []
    for f, wanted in zip(full, list(shape)[-rank:], strict=True):
        total = f - int(wanted)
        less, rest = total // 2, total - total // 2
        if total < 0:
            less, rest = 0, total
        found.append((less, rest) if automatic == "SAME_UPPER" or total < 0 else (rest, less))
    return found


# ---- pooling -------------------------------------------------------------------------------------


class _Windows:
    """Where the windows of a pooling lie."""

    def __init__(self, c: Call, extents: Sequence[int]) -> None:
        rank = len(extents)
        self.window = _per_axis(c, "kernel_shape", rank)
        self.steps = _per_axis(c, "strides", rank)
        self.gaps = _per_axis(c, "dilations", rank)
        self.pads = _pads(c, extents, self.window, self.steps, self.gaps)
        self.spans = [d * (k - 1) + 1 for k, d in zip(self.window, self.gaps, strict=True)]
        self.places, self.more = [], []
        for n, (before, after), s, span in zip(extents, self.pads, self.steps, self.spans,
                                               strict=True):  # fmt: skip
            room = n + before + after - span
            places = room // s + 1
            if c.attribute("ceil_mode") and c.attribute("auto_pad", "NOTSET") == "NOTSET":
                places = -(-room // s) + 1
                if (places - 1) * s >= n + before:  # it would lie behind the image
                    places -= 1
            self.places.append(places)
            self.more.append(max((places - 1) * s + span - n - before - after, 0))

    def padded(self, x: Tensor, value: float) -> Tensor:
        """With what the windows need around the image (n, c, *extents)."""
        width = [(b, a + m) for (b, a), m in zip(self.pads, self.more, strict=True)]
        return ops.pad(x, [(0, 0), (0, 0), *width], value)

    def parts(self, x: Tensor) -> list[Tensor]:
        """For each element of the window what it meets: (n, c, *places)."""
        found = []
        for element in itertools.product(*map(range, self.window)):
            index = [slice(k * d, k * d + (p - 1) * s + 1, s) for k, d, p, s in
                     zip(element, self.gaps, self.places, self.steps, strict=True)]  # fmt: skip
            found.append(x[(slice(None), slice(None), *index)])
        return found


@operator("MaxPool")
def _max_pool(c: Call) -> Any:
    x = c[0]
    windows = _Windows(c, x.shape[2:])
    lowest = -math.inf if x.dtype.kind == "f" else int(np.iinfo(np.dtype(c.dtype())).min)
    if c.outputs == 1:
        if x.dtype.kind == "f" and len(windows.window) <= 3:
            full = channels_last(windows.padded(x, lowest))
            y = ops.max_pool(full, tuple(windows.window), tuple(windows.steps),
                             dilation=tuple(windows.gaps))  # fmt: skip
            places = tuple(slice(0, p) for p in windows.places)
            return channels_first(y)[(slice(None), slice(None), *places)]
        parts = windows.parts(windows.padded(x, lowest))
        return ops.max(ops.stack(parts, 0), 0)
    stacked = ops.stack(windows.parts(windows.padded(x, lowest)), 0)
    best = ops.argmax(stacked, 0, keepdims=True)
    y = ops.squeeze(ops.take_along_axis(stacked, best, 0), 0)
    shape = x.shape
    order = list(range(2, x.ndim))
    if c.attribute("storage_order"):  # columns count first
        numbers = np.arange(math.prod(shape[2:])).reshape(shape[2:][::-1]).T
    else:
        numbers = np.arange(math.prod(shape[2:])).reshape(shape[2:])
    plane = np.arange(math.prod(shape[:2])).reshape(*shape[:2], *(1,) * len(order))
    flat = as_tensor((plane * math.prod(shape[2:]) + numbers).astype(np.int64))
    where = ops.stack(windows.parts(windows.padded(flat, -1)), 0)
    return [y, Value(ops.squeeze(ops.take_along_axis(where, best, 0), 0), np.dtype(np.int64))]


@operator("AveragePool")
def _average_pool(c: Call) -> Any:
    return _mean_of_windows(c, c[0])


def _mean_of_windows(c: Call, x: Tensor) -> Tensor:
    windows = _Windows(c, x.shape[2:])
    total = _sums(windows, windows.padded(x, 0.0))
    counted = np.ones(x.shape[2:])
    inside = 1.0 if c.attribute("count_include_pad") else 0.0
    counted = np.pad(counted, windows.pads, constant_values=inside)
    counted = np.pad(counted, [(0, m) for m in windows.more])
    count = _sums(windows, as_tensor(counted[None, None]))
    return total / as_tensor(count, x.dtype)


def _sums(windows: _Windows, x: Tensor) -> Tensor:
    parts = windows.parts(x)
    return ops.sum(ops.stack(parts, 0), 0) if len(parts) > 1 else parts[0]


@operator("LpPool")
def _lp_pool(c: Call) -> Any:
    windows, p = _Windows(c, c[0].shape[2:]), c.attribute("p", 2)
    return _sums(windows, windows.padded(ops.abs(c[0]) ** p, 0.0)) ** (1 / p)


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _global(c: Call) -> Any:
    axes = tuple(range(2, c[0].ndim))
    if c.kind == "GlobalLpPool":
        p = c.attribute("p", 2)
        return ops.sum(ops.abs(c[0]) ** p, axes, True) ** (1 / p)
    return (ops.mean if c.kind == "GlobalAveragePool" else ops.max)(c[0], axes, True)


@operator("MaxUnpool", static=(2,))
def _max_unpool(c: Call) -> Any:
    x, places = c[0], c[1]
    rank = x.ndim - 2
    window, steps = _per_axis(c, "kernel_shape", rank), _per_axis(c, "strides", rank)
    pads = [int(p) for p in c.attribute("pads", [0] * 2 * rank)]
    natural = [(n - 1) * s + k - pads[i] - pads[i + rank] for i, (n, k, s) in
               enumerate(zip(x.shape[2:], window, steps, strict=True))]  # fmt: skip
    shape = need_size(c.static(2)) if c.has(2) else need_size([*x.shape[:2], *natural])
    inner = need_size([*x.shape[:2], *natural])
    numbers = ops.reshape(as_tensor(places, "int64"), (-1,))
    if inner != shape:  # counted in the natural size, in which they are
        at = np.unravel_index(np.asarray(numbers.numpy()), inner)
        numbers = as_tensor(np.ravel_multi_index(at, shape))
    flat = ops.scatter(ops.zeros((math.prod(shape),), x.dtype), numbers, ops.reshape(x, (-1,)))
    return ops.reshape(flat, shape)


# ---- resizing ------------------------------------------------------------------------------------


@operator("Upsample", static=(1,))
def _upsample(c: Call) -> Any:
    scales = c.attribute("scales")
    scales = c.static(1) if scales is None else scales
    return _resampled(c, c[0], [float(s) for s in np.ravel(scales)], None, None, "asymmetric")


@operator("Resize", static=(1, 2, 3))
def _resize(c: Call) -> Any:
    x = c[0]
    if c.opset < 11:
        return _resampled(c, x, [float(s) for s in c.static(1)], None, None, "asymmetric")
    axes = [int(a) % x.ndim for a in c.attribute("axes", range(x.ndim))]
    sizes: Any = c.static(3) if c.has(3) and c[3].shape != (0,) else None
    scales = c.static(2) if c.has(2) and c[2].shape != (0,) else None
    roi = c.static(1) if c.has(1) and c[1].shape != (0,) else None
    wanted: list[int | None] = [None] * x.ndim
    factors = [1.0] * x.ndim
    if sizes is not None:
        policy = c.attribute("keep_aspect_ratio_policy", "stretch")
        each = [float(s) / x.shape[a] for a, s in zip(axes, sizes, strict=True)]
        if policy != "stretch":
            each = [min(each) if policy == "not_larger" else max(each)] * len(axes)
            sizes = [math.floor(e * x.shape[a] + 0.5) for a, e in zip(axes, each, strict=True)]
        for a, s, e in zip(axes, sizes, each, strict=True):
            wanted[a], factors[a] = int(s), e
    else:
        for a, s in zip(axes, scales if scales is not None else [1.0] * len(axes), strict=True):
            factors[a] = float(s)
    area = None
    if roi is not None:
        area = [(0.0, 1.0)] * x.ndim
        for i, a in enumerate(axes):
            area[a] = (float(roi[i]), float(roi[i + len(axes)]))
    mode = c.attribute("coordinate_transformation_mode", "half_pixel")
    return _resampled(c, x, factors, wanted, area, mode)


def _resampled(
    c: Call, x: Tensor, factors: Sequence[float], wanted: Sequence[int | None] | None,
    area: Sequence[tuple[float, float]] | None, coordinates: str,
) -> Any:  # fmt: skip
    """A product with a matrix of weights along each axis that changes."""
    kind = x.dtype
    shape = [
        math.floor(n * f) if wanted is None or wanted[a] is None else int(wanted[a] or 0)
        for a, (n, f) in enumerate(zip(x.shape, factors, strict=True))
    ]
    need_size(shape)
    y = as_tensor(x, "float32") if kind.kind != "f" else x
    outside = None
    for axis, (n, f) in enumerate(zip(x.shape, factors, strict=True)):
        if shape[axis] == n and f == 1 and area is None:
            continue
        at = _coordinates(c, coordinates, n, shape[axis], f, None if area is None else area[axis])
        weights = _weights(c, at, n, f)
        if coordinates == "tf_crop_and_resize":
            far = (at < 0) | (at > n - 1)
            view = [1] * x.ndim
            view[axis] = len(at)
            far = far.reshape(view)
            outside = far if outside is None else outside | far
        y = _along_axis(y, weights, axis)
    if outside is not None and outside.any():
        y = ops.where(outside, c.attribute("extrapolation_value", 0.0), y)
    return Value(as_tensor(ops.round(y) if kind.kind != "f" else y, kind), c.dtype())


def _along_axis(x: Tensor, weights: Any, axis: int) -> Tensor:
    chosen = weights.argmax(1)
    if ((weights == 0) | (weights == 1)).all() and (weights.sum(1) == 1).all():
        return ops.take(x, chosen, axis)
    moved = ops.matmul(ops.moveaxis(x, axis, -1), as_tensor(weights.T.astype(x.dtype)))
    return ops.moveaxis(moved, -1, axis)


def _coordinates(
    c: Call, mode: str, n: int, m: int, factor: float, area: tuple[float, float] | None
) -> Any:
    """Where each of m elements lies among n."""
    i = np.arange(m, dtype=np.float64)
    exact = factor * n  # what m is rounded from
    match mode:
        case "half_pixel":
            return (i + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / factor - 0.5 if m > 1 else np.zeros(m)
        case "half_pixel_symmetric":
            shift = n / 2 * (1 - m / exact)
            return shift + (i + 0.5) / factor - 0.5
        case "align_corners":
            return i * (n - 1) / (exact - 1) if m > 1 else np.zeros(m)
        case "asymmetric":
            return i / factor
        case "tf_half_pixel_for_nn":
            return (i + 0.5) / factor
        case "tf_crop_and_resize" if area is not None:
            start, end = area
            if m > 1:
                return start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
            return np.full(m, 0.5 * (start + end) * (n - 1))
    raise c.error("Unknown coordinates of Resize.", mode)


_ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _weights(c: Call, at: Any, n: int, factor: float) -> Any:
    """(m, n): what each element of the result takes of each of the input."""
    mode = c.attribute("mode", "nearest")
    if mode == "nearest":
        how = c.attribute("nearest_mode", "floor" if c.kind == "Upsample" or c.opset < 11
                          else "round_prefer_floor")  # fmt: skip
        place = _ROUNDING[how](at)
        return np.eye(n)[np.clip(place, 0, n - 1).astype(int)]
    cubic = mode == "cubic"
    a = c.attribute("cubic_coeff_a", -0.75)
    stretch = min(factor, 1.0) if c.attribute("antialias") else 1.0
    reach = math.ceil((2 if cubic else 1) / stretch)
    base = np.floor(at)[:, None]
    places = base + np.arange(-reach + 1, reach + 1)
    distance = np.abs(at[:, None] - places) * stretch
    weights = _cubic(distance, a) if cubic else np.maximum(1 - distance, 0)
    if c.attribute("exclude_outside"):
        weights = np.where((places < 0) | (places > n - 1), 0, weights)
    total = weights.sum(1, keepdims=True)
    if c.attribute("antialias") or c.attribute("exclude_outside"):
        weights = weights / np.where(total == 0, 1, total)
    found = np.zeros((len(at), n))
    rows = np.broadcast_to(np.arange(len(at))[:, None], places.shape)
    np.add.at(found, (rows, np.clip(places, 0, n - 1).astype(int)), weights)
    return found


def _cubic(d: Any, a: float) -> Any:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@operator("GridSample")
def _grid_sample(c: Call) -> Any:
    names = {"bilinear": "bilinear", "linear": "bilinear", "nearest": "nearest",
             "cubic": "bicubic", "bicubic": "bicubic"}  # fmt: skip
    mode = names.get(c.attribute("mode", "bilinear"))
    if mode is None or c[0].ndim != 4:
        raise c.error("Only images of two extents are sampled.", f"{c[0].ndim - 2} extents")
    y = ops.grid_sample(channels_last(c[0]), c[1], mode, c.attribute("padding_mode", "zeros"),
                        bool(c.attribute("align_corners")))  # fmt: skip
    return channels_first(y)


@operator("AffineGrid", static=(1,))
def _affine_grid(c: Call) -> Any:
    n, _, *extents = need_size(c.static(1))
    align = bool(c.attribute("align_corners"))
    axes = []
    for size in extents:
        if align:
            axes.append(np.linspace(-1, 1, size) if size > 1 else np.zeros(1))
        else:
            axes.append((np.arange(size) * 2 + 1) / size - 1)
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]
    points = np.stack([*mesh, np.ones(extents)], -1).reshape(-1, len(extents) + 1)
    theta = c[0]
    found = ops.matmul(as_tensor(points.astype(theta.dtype)), ops.swapaxes(theta, 1, 2))
    return ops.reshape(found, (n, *extents, len(extents)))


@operator("LRN")
def _lrn(c: Call) -> Any:
    size = int(c.attributes["size"])
    alpha, beta, bias = (
        c.attribute("alpha", 1e-4),
        c.attribute("beta", 0.75),
        c.attribute("bias", 1.0),
    )
    x = c[0]
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = ops.pad(x * x, [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)])
    total = _sum_of([squares[:, i : i + x.shape[1]] for i in range(size)])
    return x / (bias + alpha / size * total) ** beta


def _sum_of(parts: Sequence[Tensor]) -> Tensor:
    """The sum of tensors."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


@operator("RoiAlign", static=(2,))
def _roi_align(c: Call) -> Any:
    """Means (or extremes) of points in each bin of each region, interpolated linearly."""
    x, rois, batch = c[0], c.static(1), c.ints(2) or []
    height, width = int(c.attribute("output_height", 1)), int(c.attribute("output_width", 1))
    ratio, scale = int(c.attribute("sampling_ratio", 0)), float(c.attribute("spatial_scale", 1.0))
    mode = c.attribute("coordinate_transformation_mode", "half_pixel" if c.opset >= 16
                       else "output_half_pixel")  # fmt: skip
    shift = 0.5 if mode == "half_pixel" else 0.0
    found = []
    for (x1, y1, x2, y2), image in zip(rois * scale - shift, batch, strict=True):
        rows, columns = y2 - y1, x2 - x1
        if shift == 0:
            rows, columns = max(rows, 1.0), max(columns, 1.0)
        per_row = ratio or math.ceil(rows / height)
        per_column = ratio or math.ceil(columns / width)
        need_size([height * per_row, width * per_column])
        ys = y1 + (np.arange(height * per_row) + 0.5) * rows / height / per_row
        xs = x1 + (np.arange(width * per_column) + 0.5) * columns / width / per_column
        wy, wx = (_linear(at, n) for at, n in ((ys, x.shape[2]), (xs, x.shape[3])))
        parts = (height, per_row, width, per_column)
        if c.attribute("mode", "avg") == "avg":
            y = _along_axis(_along_axis(x[image], wy, 1), wx, 2)
            found.append(ops.mean(ops.reshape(y, (x.shape[1], *parts)), (2, 4)))
        else:
            found.append(_roi_max(x[image], ys, xs, parts))
    return ops.stack(found, 0)


def _linear(at: Any, n: int) -> Any:
    """(m, n) weights of linear interpolation; nothing more than a pixel outside."""
    inside = (at >= -1) & (at <= n)
    at = np.clip(at, 0, n - 1)
    low = np.minimum(np.floor(at).astype(int), n - 1)
    high = np.minimum(low + 1, n - 1)
    found = np.zeros((len(at), n))
    np.add.at(found, (np.arange(len(at)), low), 1 - (at - low))
    np.add.at(found, (np.arange(len(at)), high), at - low)
    return found * inside[:, None]


def _roi_max(x: Tensor, ys: Any, xs: Any, parts: tuple[int, ...]) -> Tensor:
    """The largest of the four weighted neighbours of all points of a bin."""

    def neighbours(at: Any, n: int) -> list[tuple[Any, Any]]:
        inside = (at >= -1) & (at <= n)
        at = np.clip(at, 0, n - 1)
        low = np.minimum(np.floor(at).astype(int), n - 1)
        high = np.minimum(low + 1, n - 1)
        return [(low, (1 - (at - low)) * inside), (high, (at - low) * inside)]

    candidates = []
    for row, weight in neighbours(ys, x.shape[1]):
        for column, other in neighbours(xs, x.shape[2]):
            picked = ops.take(ops.take(x, row, 1), column, 2)
            candidates.append(picked * as_tensor(np.outer(weight, other).astype(x.dtype)))
    best = ops.max(ops.stack(candidates, 0), 0)
    return ops.max(ops.reshape(best, (x.shape[0], *parts)), (2, 4))


@operator("ConvInteger")
def _conv_integer(c: Call) -> Any:
    x, w = (as_tensor(c[i], "float64") for i in (0, 1))
    if c.has(2):
        x = x - as_tensor(c[2], "float64")
    if c.has(3):
        zero = as_tensor(c[3], "float64")
        w = w - (ops.reshape(zero, (-1, *(1,) * (w.ndim - 1))) if zero.ndim else zero)
    return Value(as_tensor(ops.round(convolved(c, x, w)), "int32"), np.dtype(np.int32))


__all__ = ["channels_first", "channels_last", "convolved"]

"""Convolution in one, two and three dimensions, and transposed convolution.

As everywhere in the field this is cross-correlation: the window is not flipped. For an image
x[n, i, c], weights w[k, c, m] and output y[n, o, m], where i, k and o stand for one index on each
axis,

    y[n, o, m] = Σₖ Σ_c x[n, o·stride + k·dilation - before, c] · w[k, c, m],

and outside of the image x is 0. With groups the channels are split into as many parts, each with
weights of its own: w is (*window, in / groups, out), and output channels belong to the group of
their place. As many groups as channels is a depthwise convolution.

The sum over all three, Σ x·w·g, is linear in each of x, w and g. Its derivatives with respect to
g, x and w are the three operations here, so the derivatives of each are the other two, to any
order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...errors import ConfigError, ShapeError
from ..ir.batch_axis import IMAGES, BatchRule, mixed, on_first_axes
from ..ir.notation import Notation
from ..ir.operation import Operation, Sample, register
from ..ir.types import Type
from ..ir.work import STARTED
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import cast, floating, function, need_float, reals
from .elementwise import result_dtype
from .sliding_window import (
    LAYOUT,
    Extents,
    Padding,
    PerAxis,
    margins,
    meetings,
    padded,
    per_axis,
    sliding,
    spans,
    windows,
)

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip

# ---- type rules ------------------------------------------------------------------------------


def _check(x: Type, w: Type, groups: Any) -> None:
    """Whether an image of this type goes with weights of that type."""
    need_float("A convolution", x)
    if x.dtype != w.dtype or len(x.shape) != len(w.shape) or len(x.shape) < 3:
        raise ShapeError(
            "A convolution takes an image and weights of as many axes and one element type.",
            expected="(batch, *extents, channels) and (*window, in / groups, out)",
            found=f"{x} and {w}",
        )
    channels, outputs = w.shape[-2] * groups, w.shape[-1]
    if not isinstance(groups, (int, np.integer)) or groups < 1 or outputs % groups:
        raise ShapeError(
            f"{outputs} output channels cannot be divided into {groups} groups.", found=str(w)
        )
    if x.shape[-1] != channels:
        divided = f" in each of {groups} groups" if groups > 1 else ""
        raise ShapeError(
            "The channels of the image are not those of the weights.",
            expected=f"{channels} on the last axis, for weights {w.shape} "
            f"take {w.shape[-2]}{divided}",
            found=f"{x.shape[-1]} ({x})",
            hint="Images are channels-last: (batch, height, width, channels).",
        )


def _convolution_type(x: Type, w: Type, *, groups: int, **slide: Any) -> Type:
    _check(x, w, groups)
    places = sliding(x.shape[1:-1], w.shape[:-2], **slide)
    return Type(x.dtype, (x.shape[0], *places, w.shape[-1]))


def _transposed_type(g: Type, w: Type, *, extents: Extents, groups: int, **slide: Any) -> Type:
    channels = w.shape[-2] * groups if len(w.shape) > 1 else 0
    x = Type(g.dtype, (g.shape[0], *extents, channels))
    expected = _convolution_type(x, w, groups=groups, **slide)
    if g != expected:
        raise ShapeError(
            "This is not the output of a convolution with these weights.",
            expected=f"{expected}, for weights {w.shape} and an image {x}",
            found=str(g),
        )
    return x


def _weights_type(x: Type, g: Type, *, window: Extents, groups: int, **slide: Any) -> Type:
    if groups < 1 or x.shape[-1] % groups:
        raise ShapeError(f"{x.shape[-1]} channels cannot be divided into {groups} groups.")
    w = Type(x.dtype, (*window, x.shape[-1] // groups, g.shape[-1]))
    expected = _convolution_type(x, w, groups=groups, **slide)
    if g != expected:
        raise ShapeError("This is not the output of a convolution with such weights.",
                         expected=str(expected), found=str(g))  # fmt: skip
    return w


# ---- the meaning -----------------------------------------------------------------------------

#: Windows are copied into the rows of a matrix for so many bytes of images at a time that they
#: stay in the cache; measured, half to four times as much are about as fast.
_BLOCK = 2**21


def _blocks(x: Any, per_image: int) -> Iterator[slice]:
    """The batch in parts whose windows, of so many elements for each image, fit the block."""
    count = max(1, _BLOCK // max(1, per_image * x.itemsize))
    return (slice(start, start + count) for start in range(0, x.shape[0], count))


def _rows(x: Any, places: Extents, window: Extents, groups: int, slide: dict[str, Any]) -> Any:
    """The windows as matrices: (groups, batch·places, window·channels)."""
    full = padded(x, slide["before"], slide["after"])
    view = windows(full, places, window, slide["stride"], slide["dilation"])
    count, size = x.shape[0] * math.prod(places), math.prod(window)
    if groups == 1:
        return view.reshape(1, count, size * x.shape[-1])
    each = x.shape[-1] // groups
    split = view.reshape(count, size, groups, each)
    return split.transpose(2, 0, 1, 3).reshape(groups, count, size * each)


def _by_group(w: Any, groups: int) -> Any:
    """Weights as matrices: (groups, window·in, out), with the numbers of each group."""
    matrix = w.reshape(math.prod(w.shape[:-1]), groups, w.shape[-1] // groups)
    return matrix.transpose(1, 0, 2)


def _split(g: Any, groups: int) -> Any:
    """Outputs as matrices: (groups, batch·places, out), a view."""
    rows = g.reshape(math.prod(g.shape[:-1]), groups, g.shape[-1] // groups)
    return rows.transpose(1, 0, 2)


def _depthwise(x: Any, g: Any) -> tuple[Any, Any]:
    """Images and outputs with one more axis: the outputs of each channel, each on its own."""
    return x[..., None], g.reshape(*g.shape[:-1], x.shape[-1], g.shape[-1] // max(x.shape[-1], 1))


def _convolution(xp: Any, x: Any, w: Any, groups: int, **slide: Any) -> Any:
    """Windows as rows, times weights: one matrix product ("im2col")."""
    extents, window = x.shape[1:-1], w.shape[:-2]
    places = sliding(extents, window, **slide)
    y = np.zeros((x.shape[0], *places, w.shape[-1]), x.dtype)
    if _is_depthwise(w, groups):
        image, sums = _depthwise(x, y)
        for k, inside, outside in _meetings(extents, places, window, slide):
            sums[outside] += image[inside] * w[k].reshape(sums.shape[-2:])
        return y
    matrices = _by_group(w, groups)
    for block in _blocks(x, math.prod(places) * math.prod(window) * x.shape[-1]):
        rows = _rows(x[block], places, window, groups, slide)
        np.matmul(rows, matrices, out=_split(y[block], groups))
    return y


def _transposed(xp: Any, g: Any, w: Any, extents: Extents, groups: int, **slide: Any) -> Any:
    """For each element of the window outputs times weights, added to the inputs they come from.

    Measured, this beats a backward pass through a matrix of windows: it needs no memory for that.
    """
    window, places = w.shape[:-2], g.shape[1:-1]
    x = np.zeros((g.shape[0], *extents, w.shape[-2] * groups), g.dtype)
    for block in _blocks(g, math.prod(places) * max(x.shape[-1], g.shape[-1])):
        part, split = g[block], _split(g[block], groups)
        for k, inside, outside in _meetings(extents, places, window, slide):
            if _is_depthwise(w, groups):
                _, each = _depthwise(x[block], part)
                x[block][inside] += (each[outside] * w[k].reshape(each.shape[-2:])).sum(-1)
            else:
                back = np.matmul(split, _by_group(w[k], groups).transpose(0, 2, 1))
                image = back.transpose(1, 0, 2).reshape(*part.shape[:-1], x.shape[-1])
                x[block][inside] += image[outside]
    return x


def _weights(xp: Any, x: Any, g: Any, window: Extents, groups: int, **slide: Any) -> Any:
    """The windows as rows, transposed, times outputs."""
    extents, places = x.shape[1:-1], g.shape[1:-1]
    w = np.zeros((*window, x.shape[-1] // groups, g.shape[-1]), x.dtype)
    axes = tuple(range(g.ndim - 1))
    total = np.zeros_like(_by_group(w, groups))
    for block in _blocks(x, math.prod(places) * math.prod(window) * x.shape[-1]):
        if _is_depthwise(w, groups):
            image, each = _depthwise(x[block], g[block])
            for k, inside, outside in _meetings(extents, places, window, slide):
                w[k] += (image[inside] * each[outside]).sum(axes).reshape(w.shape[-2:])
        else:
            rows = _rows(x[block], places, window, groups, slide)
            total += np.matmul(rows.transpose(0, 2, 1), _split(g[block], groups))
    return w if _is_depthwise(w, groups) else total.transpose(1, 0, 2).reshape(w.shape)


def _is_depthwise(w: Any, groups: int) -> bool:
    return groups > 1 and w.shape[-2] == 1


def _meetings(extents: Extents, places: Extents, window: Extents, slide: dict[str, Any]) -> Any:
    return meetings(extents, places, window, slide["stride"], slide["before"], slide["dilation"])


# ---- the operations --------------------------------------------------------------------------


def _slide(
    rank: int, stride: int = 1, before: int = 0, after: int = 0, dilation: int = 1, groups: int = 1
) -> dict[str, Any]:
    """The attributes of a sample, the same on all axes."""
    sizes = {"stride": stride, "before": before, "after": after, "dilation": dilation}
    return {name: (size,) * rank for name, size in sizes.items()} | {"groups": groups}


#: Shapes of image and weights with attributes, for the samples of all three operations.
_CASES: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 2), (3, 2, 1), _slide(1, before=1, after=2)),
    ((1, 6, 1), (2, 1, 2), _slide(1, stride=2, dilation=3)),
    ((1, 3, 2, 2), (2, 2, 2, 1), _slide(2, before=1)),
    ((1, 3, 3, 2), (3, 2, 1, 2), _slide(2, stride=2, before=1, after=1, groups=2)),
    ((1, 2, 1, 4), (2, 1, 2, 2), _slide(2, after=1, groups=2)),
    ((1, 2, 2, 2, 1), (2, 1, 2, 1, 1), _slide(3, after=1)),
    ((0, 4, 1), (3, 1, 2), _slide(1)),
)


def _outputs(x: Extents, w: Extents, a: dict[str, Any]) -> Extents:
    slide = {name: value for name, value in a.items() if name != "groups"}
    return (x[0], *sliding(x[1:-1], w[:-2], **slide), w[-1])


def _transposed_samples() -> Iterable[Sample]:
    for x, w, a in _CASES:
        yield Sample((reals(*_outputs(x, w, a)), reals(*w)), {"extents": x[1:-1], **a})


def _weights_samples() -> Iterable[Sample]:
    for x, w, a in _CASES:
        yield Sample((reals(*x), reals(*_outputs(x, w, a), seed=1)), {"window": w[:-2], **a})


def _work(images: Type, weights: Type) -> int:
    """Multiplications, and starts, of a convolution or a derivative of one."""
    window = math.prod(weights.shape[:-2])
    return images.size * window * weights.shape[-2] + STARTED * window


CONVOLUTION: Operation = register(
    Operation(
        "convolution",
        _convolution_type,
        _convolution,
        (
            lambda g, y, x, w, **a: apply(TRANSPOSED_CONVOLUTION, g, w, extents=x.shape[1:-1], **a),
            lambda g, y, x, w, **a: apply(CONVOLUTION_WEIGHTS, x, g, window=w.shape[:-2], **a),
        ),
        "{0} ∗ {1}",
        lambda: [Sample((reals(*x), reals(*w, seed=1)), a) for x, w, a in _CASES],
        batch=IMAGES,
        notation=Notation(
            inside=("add", "subtract"),
            gradient="A convolution is a weighted sum at each position of its kernel: it passes "
            "the gradient on to each input times its weight, and to each weight times "
            "its input, summed over all positions.",
        ),
        linear=True,
        work=lambda y, x, w, **how: _work(y, w),
    )
)
#: The gradient of a convolution with respect to its image, which has these extents.
TRANSPOSED_CONVOLUTION: Operation = register(
    Operation(
        "transposed_convolution",
        _transposed_type,
        _transposed,
        (
            lambda h, x, g, w, extents, **a: apply(CONVOLUTION, h, w, **a),
            lambda h, x, g, w, extents, **a: apply(
                CONVOLUTION_WEIGHTS, h, g, window=w.shape[:-2], **a
            ),
        ),
        "{0} ∗ᵀ {1}",
        _transposed_samples,
        batch=IMAGES,
        linear=True,
        work=lambda x, g, w, **how: _work(g, w),
    )
)
#: The gradient of a convolution with respect to its weights, of this window.
CONVOLUTION_WEIGHTS: Operation = register(
    Operation(
        "convolution_weights",
        _weights_type,
        _weights,
        (
            lambda h, w, x, g, window, **a: apply(
                TRANSPOSED_CONVOLUTION, g, h, extents=x.shape[1:-1], **a
            ),
            lambda h, w, x, g, window, **a: apply(CONVOLUTION, x, h, **a),
        ),
        "{0} ⋆ {1}",
        _weights_samples,
        batch=BatchRule(mixed, sums=on_first_axes),
        work=lambda w, x, g, **how: _work(g, w),
    )
)


# ---- functions -------------------------------------------------------------------------------


def _operands(
    rank: int, x: TensorLike, weight: TensorLike, bias: TensorLike | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    given = [floating(part) for part in (x, weight)]
    dtype = result_dtype(*given)
    image, weights = (cast(part, dtype) for part in given)
    for what, tensor, layout in (
        ("image", image, LAYOUT[rank]),
        ("weights", weights, "(*window, in / groups, out)"),
    ):
        if tensor.ndim != rank + 2:
            raise ShapeError(
                f"The {what} of a {rank}-D convolution ha{'ve' if what == 'weights' else 's'} "
                f"{rank + 2} axes.",
                expected=layout,
                found=str(tensor.type),
                hint=None
                if what == "weights"
                else "A single image is x[None]; one without channels x[..., None].",
            )
    return image, weights, None if bias is None else as_tensor(bias, dtype)


def _conv(
    rank: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
) -> Tensor:
    image, weights, offset = _operands(rank, x, weight, bias)
    strides, gaps = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    before, after = margins(padding, image.shape[1:-1], weights.shape[:-2], strides, gaps)
    y = apply(
        CONVOLUTION,
        image,
        weights,
        stride=strides,
        before=before,
        after=after,
        dilation=gaps,
        groups=groups,
    )
    return y if offset is None else y + offset


def _transposed_extents(
    image: Tensor,
    weights: Tensor,
    strides: Extents,
    gaps: Extents,
    padding: Padding,
    extra: Extents,
) -> tuple[Extents, Extents, Extents]:
    """The extents of a transposed convolution's result, and what is cut off before and after."""
    window, inside = weights.shape[:-2], image.shape[1:-1]
    if padding == "same":
        extents = tuple(n * s for n, s in zip(inside, strides, strict=True))
        return extents, *margins("same", extents, window, strides, gaps)
    before, after = margins(padding, (0,) * len(inside), window, strides, gaps)
    # The last window ends where the padded image does, but for what is added.
    reach = spans(window, gaps)
    counts = zip(inside, strides, reach, before, after, extra, strict=True)
    extents = tuple(
        (n - 1) * s + wide - low - high + more for n, s, wide, low, high, more in counts
    )
    if min(extents) < 1:
        raise ShapeError(
            "Nothing is left of a transposed convolution with so much padding.",
            expected="extents of the output from 1",
            found=f"{extents}, from {image.type} and weights {weights.shape}",
        )
    return extents, before, after


def _conv_transpose(
    rank: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> Tensor:
    image, weights, offset = _operands(rank, x, weight, bias)
    strides, gaps = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    extra = per_axis("output_padding", output_padding, rank, least=0)
    if image.shape[-1] != weights.shape[-1]:
        raise ShapeError(
            "The channels of the image are not those of the weights.",
            expected=f"{weights.shape[-1]} on the last axis, for weights {weights.shape}",
            found=f"{image.shape[-1]} ({image.type})",
            hint="The weights of a transposed convolution are (*window, out / groups, in).",
        )
    extents, before, after = _transposed_extents(image, weights, strides, gaps, padding, extra)
    if any(more >= step for more, step in zip(extra, strides, strict=True)) and any(extra):
        raise ConfigError(
            "output_padding chooses among the sizes that the stride makes alike.",
            expected=f"less than the stride {strides}",
            found=str(extra),
        )
    y = apply(
        TRANSPOSED_CONVOLUTION,
        image,
        weights,
        extents=extents,
        stride=strides,
        before=before,
        after=after,
        dilation=gaps,
        groups=groups,
    )
    return y if offset is None else y + offset


def _example(rank: int, *options: dict[str, Any]) -> Any:
    shapes = [(1, *(3, 2, 2)[:rank], 2), (*(2,) * rank, 2, 2), (2,)]
    return lambda: [
        Sample(tuple(reals(*shape, seed=i) for i, shape in enumerate(shapes)), option)
        for option in options
    ]


@function(_example(1, {"padding": ((2, 0),), "dilation": 2}))
def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution over one axis, such as time; for options see `conv2d`.

    A causal convolution, where an output sees no later inputs, has all padding in front:
    ``padding=((dilation * (window - 1), 0),)``.

    Args:
        x: (batch, length, in).
        weight: (window, in / groups, out).
        bias: (out), added.
        stride: see `conv2d`.
        padding: see `conv2d`.
        dilation: see `conv2d`.
        groups: see `conv2d`.

    Returns:
        (batch, new length, out).

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([[[1.0], [2.0], [4.0]]])
        >>> cr.conv1d(x, cr.tensor([[[-1.0]], [[1.0]]])).reshape(-1).tolist()
        [1.0, 2.0]
    """
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


@function(
    _example(
        2, {"padding": "same"}, {"padding": 1, "stride": (2, 1)}, {"padding": ((1, 0), (0, 2))}
    )
)
def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of images: a weighted sum of every window (cross-correlation).

    Args:
        x: (batch, height, width, in), channels last.
        weight: (window height, window width, in / groups, out).
        bias: (out), added.
        stride: from one window to the next; one number or one for each axis.
        padding: zeros around the image: a number, one for each axis, or ((top, bottom), (left,
            right)); "valid" for none, "same" for ⌈extent / stride⌉ outputs.
        dilation: from one element of the window to the next.
        groups: into how many parts the channels are split, each with its own weights. As many as
            input channels: a depthwise convolution.

    Returns:
        (batch, new height, new width, out).

    Raises:
        ShapeError: the window is larger than the padded image, or channels do not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.conv2d(cr.ones((1, 28, 28, 3)), cr.ones((5, 5, 3, 8)), padding="same").shape
        (1, 28, 28, 8)
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


@function(_example(3, {"padding": (0, 1, 0)}))
def conv3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of volumes or videos, (batch, depth, height, width, in); see `conv2d`."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


@function(_example(1, {"stride": 2}))
def conv_transpose1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution over one axis, (batch, length, in); see `conv_transpose2d`."""
    return _conv_transpose(1, x, weight, bias, stride, padding, output_padding, dilation, groups)


@function(_example(2, {"stride": 2, "padding": "same"}, {"stride": 3, "output_padding": (1, 2)}))
def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """A transposed convolution: from an image of its output's shape to one of its input's.

    Every input element adds its multiple of the weights to the output; with a stride it enlarges
    the image. It is the gradient of `conv2d` with respect to its input, so it takes the weights of
    a convolution that goes from its output to its input: PyTorch's, with the axes
    (in, out / groups, …) moved to (…, out / groups, in).

    Args:
        x: (batch, height, width, in).
        weight: (window height, window width, out / groups, in).
        bias: (out), added.
        stride: from one window in the output to the next.
        padding: what the convolution would pad, and so is cut off here; with "same" the output is
            ``stride`` times as large as the input.
        output_padding: enlarges the output at the end, by less than the stride.
        dilation: from one element of the window to the next.
        groups: into how many parts the channels are split.

    Returns:
        (batch, extent, extent, out), with each
        extent = (input - 1)·stride - before - after + dilation·(window - 1) + 1 + output_padding.

    Example:
        >>> import chainrule as cr
        >>> x, weight = cr.ones((1, 7, 7, 8)), cr.ones((4, 4, 3, 8))
        >>> cr.conv_transpose2d(x, weight, stride=2, padding="same").shape
        (1, 14, 14, 3)
    """
    return _conv_transpose(2, x, weight, bias, stride, padding, output_padding, dilation, groups)


@function(_example(3, {"padding": 1}))
def conv_transpose3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution of volumes, (batch, depth, height, width, in)."""
    return _conv_transpose(3, x, weight, bias, stride, padding, output_padding, dilation, groups)

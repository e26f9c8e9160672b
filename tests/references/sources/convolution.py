"""Convolution, pooling and resizing. Images are channels-last here and channels-first in PyTorch.

Weights are (*window, in / groups, out), those of transposed convolutions (*window, out / groups,
in): PyTorch's with the first two axes, (out, in / groups) and (in, out / groups), moved to the end.
"""

import torch
import torch.nn.functional as F

from .cases import Family, distinct, real
from .layers import channels_first

ops = Family("ops")

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def with_weights(function):
    """Wrap a PyTorch function of (image, weight, bias) for images and weights channels-last."""

    def call(x, weight, bias=None, **attrs):
        weight = torch.movedim(weight, (-1, -2), (0, 1))
        return channels_first(function)(x, weight, bias, **attrs)

    return call


def padded(function):
    """The same for explicit padding, (before, after) for each axis, which PyTorch's F.pad does."""

    def call(x, weight, bias=None, *, padding, **attrs):
        margins = [extent for pair in reversed(padding) for extent in pair]
        return with_weights(function)(F.pad(x, [0, 0, *margins]), weight, bias, **attrs)

    return call


for rank, image, window in ((1, (5,), (3,)), (2, (4, 3), (2, 3)), (3, (3, 2, 3), (2, 1, 2))):
    name, conv, weights = f"conv{rank}d", with_weights(CONV[rank]), real(*window, 2, 3)
    ops.add(name, conv, real(2, *image, 2), weights, case="no bias")
    ops.add(name, conv, real(1, *image, 2), weights, real(3), stride=2, padding=1)
    ops.add(name, conv, real(1, *image, 2), weights, real(3), padding="same", dilation=2)
    ops.add(name, conv, real(1, *image, 4), real(*window, 2, 2), real(2), padding=1, groups=2)
    name, back = f"conv_transpose{rank}d", with_weights(TRANSPOSED[rank])
    ops.add(name, back, real(2, *image, 3), weights, case="no bias")
    ops.add(
        name,
        back,
        real(1, *image, 3),
        weights,
        real(2),
        case="stride, padding, output_padding",
        stride=2,
        padding=1,
        output_padding=1,
    )
    ops.add(name, back, real(1, *image, 2), real(*window, 1, 2), real(2), groups=2, dilation=2)
ops.add(
    "conv1d",
    padded(F.conv1d),
    real(2, 5, 2),
    real(2, 2, 1),
    case="causal, dilation 2",
    padding=[[2, 0]],
    dilation=2,
)
ops.add(
    "conv2d",
    padded(F.conv2d),
    real(1, 3, 4, 1),
    real(2, 2, 1, 2),
    real(2),
    case="explicit padding",
    padding=[[1, 0], [0, 2]],
    stride=[1, 2],
)
for multiplier in (1, 2):
    ops.add(
        "conv2d",
        with_weights(F.conv2d),
        real(2, 4, 3, 3),
        real(3, 2, 1, 3 * multiplier),
        real(3 * multiplier),
        case=f"depthwise, {multiplier} for each channel",
        padding=1,
        stride=2,
        groups=3,
    )

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def pool(function):
    return channels_first(
        lambda x, window, stride=None, **attrs: function(x, window, stride, **attrs)
    )


def adaptive(function):
    return channels_first(lambda x, size: function(x, size))


for rank, image, few in ((1, (7,), 3), (2, (5, 4), [2, 3]), (3, (3, 4, 3), 2)):
    for name, functions in (("max_pool", MAX), ("avg_pool", AVERAGE)):
        for label, window, attrs in (
            ("window only", 2, {}),
            ("padding", 3, {"stride": 2, "padding": 1}),
            ("ceil mode", 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
        ):
            ops.add(
                name,
                pool(functions[rank]),
                distinct(2, *image, 2),
                case=f"{rank}-D, {label}",
                window=window,
                **attrs,
            )
    ops.add(
        "avg_pool",
        pool(AVERAGE[rank]),
        real(1, *image, 2),
        case=f"{rank}-D, padding does not count",
        window=3,
        stride=2,
        padding=1,
        ceil_mode=True,
        count_include_pad=False,
    )
    ops.add(
        "adaptive_avg_pool", adaptive(ADAPTIVE[rank]), real(1, *image, 2), case=f"{rank}-D",
        size=few,
    )  # fmt: skip

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize(x, **attrs):
    return channels_first(lambda y: F.interpolate(y, **attrs))(x)


for rank, image, size in ((1, (3,), 5), (2, (3, 4), [5, 3]), (3, (2, 3, 2), [4, 3, 5])):
    ops.add("interpolate", resize, real(1, *image, 2), case=f"{rank}-D, nearest", size=size)
    ops.add("interpolate", resize, real(1, *image, 1), case=f"{rank}-D, doubled", scale_factor=2)
    for corners in (False, True):
        ops.add(
            "interpolate",
            resize,
            real(1, *image, 1),
            case=f"{rank}-D, linear, corners {'kept' if corners else 'not kept'}",
            size=size,
            mode=LINEAR[rank],
            align_corners=corners,
        )

"""Layers that normalise features: to mean 0 and variance 1, or to a mean square of 1."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from ..engine.ops import mean, reshape, rsqrt
from ..engine.ops.declare import floating
from ..engine.tensor import Buffer, Tensor, TensorLike
from ..errors import ConfigError, ShapeError
from .checks import features_last, fraction, positive_integer
from .initialization import buffer, parameter
from .module import Module

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class BatchNorm(Module):
    """y = (x - mean) / √(var + eps) · weight + bias, for every feature over the batch.

    The features are on the last axis; the batch is all other axes: of rows, series and images this
    is PyTorch's BatchNorm1d, 2d and 3d. While training, mean and
    variance are those of the batch (divided by n), and the running statistics move towards them
    (with the variance divided by n - 1, as in PyTorch): new = (1 - momentum)·old + momentum·batch.
    Otherwise the running statistics are used (Ioffe and Szegedy, 2015).

    ``weight``, ``bias``: parameters (features); ``running_mean``, ``running_var``: buffers.

    Args:
        num_features: extent of the last axis.
        eps: keeps the root away from 0.
        momentum: how far the running statistics move in one step.
        affine: whether there are a weight and a bias.

    Raises:
        ShapeError: when training on a single row, whose variance would be 0.

    Example:
        >>> import chainrule as cr
        >>> norm = cr.nn.BatchNorm(1)
        >>> norm(cr.tensor([[1.0], [3.0]]), train=True).tolist()
        [[-0.99999...], [0.99999...]]
        >>> norm.running_mean.tolist()
        [0.2...]
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        self.num_features = positive_integer("num_features", num_features)
        self.eps = eps
        self.momentum = fraction("momentum", momentum, include_one=True)
        self.weight = parameter((num_features,), "ones") if affine else None
        self.bias = parameter((num_features,), "zeros") if affine else None
        self.running_mean = buffer((num_features,), "zeros")
        self.running_var = buffer((num_features,), "ones")

    def forward(self, x: TensorLike, *, train: bool = False) -> Tensor:
        x = features_last(floating(x), self.num_features)
        if train:
            y = self._normalize_batch(x)
        else:
            y = (x - self.running_mean) * rsqrt(self.running_var + self.eps)
        return _affine(y, self.weight, self.bias)

    def _normalize_batch(self, x: Tensor) -> Tensor:
        count = x.size // self.num_features
        if count < 2:
            raise ShapeError(
                "BatchNorm cannot train on a batch of one row: its variance is 0.",
                expected="at least 2 rows",
                found=str(x.type),
                hint="Choose another batch size, or use LayerNorm.",
            )
        batch = range(x.ndim - 1)
        center = mean(x, batch)
        centred = x - center
        variance = mean(centred * centred, batch)
        self._follow(self.running_mean, center)
        self._follow(self.running_var, variance * (count / (count - 1)))
        y: Tensor = centred * rsqrt(variance + self.eps)
        return y

    def _follow(self, running: Buffer, batch: Tensor) -> None:
        running.assign((1 - self.momentum) * running + self.momentum * batch.detach())

    def extra_repr(self) -> str:
        options = f"eps={self.eps}, momentum={self.momentum}{_without_affine(self.weight)}"
        return f"{self.num_features}, {options}"


class LayerNorm(Module):
    """y = (x - mean) / √(var + eps) · weight + bias, for every row over its features.

    Mean and variance (divided by n) are over the last axes (Ba et al., 2016).

    Args:
        normalized_shape: extent of the last axis, or extents of the last axes.
        eps: keeps the root away from 0.
        affine: whether there are a weight and a bias.
        bias: whether there is a bias.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.LayerNorm(2)(cr.tensor([[1.0, 3.0]])).tolist()
        [[-0.99999..., 0.99999...]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = _extents(normalized_shape)
        self.eps = eps
        self.weight = parameter(self.normalized_shape, "ones") if affine else None
        self.bias = parameter(self.normalized_shape, "zeros") if affine and bias else None

    def forward(self, x: TensorLike) -> Tensor:
        x = features_last(floating(x), *self.normalized_shape)
        axes = range(-len(self.normalized_shape), 0)
        centred = x - mean(x, axes, keepdims=True)
        variance = mean(centred * centred, axes, keepdims=True)
        return _affine(centred * rsqrt(variance + self.eps), self.weight, self.bias)

    def extra_repr(self) -> str:
        without = "" if self.bias is not None else _without_affine(self.weight) or ", bias=False"
        return f"{_brief(self.normalized_shape)}, eps={self.eps}{without}"


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) · weight, over the last axes (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: extent of the last axis, or extents of the last axes.
        eps: keeps the root away from 0.
        affine: whether there is a weight.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.RMSNorm(2, eps=0.0)(cr.tensor([[1.0, 7.0]])).tolist()
        [[0.20000..., 1.39999...]]
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-6, affine: bool = True
    ) -> None:
        self.normalized_shape = _extents(normalized_shape)
        self.eps = eps
        self.weight = parameter(self.normalized_shape, "ones") if affine else None

    def forward(self, x: TensorLike) -> Tensor:
        x = features_last(floating(x), *self.normalized_shape)
        axes = range(-len(self.normalized_shape), 0)
        scale = rsqrt(mean(x * x, axes, keepdims=True) + self.eps)
        return _affine(x * scale, self.weight, None)

    def extra_repr(self) -> str:
        shape = _brief(self.normalized_shape)
        return f"{shape}, eps={self.eps}{_without_affine(self.weight)}"


class GroupNorm(Module):
    """y = (x - mean) / √(var + eps) · weight + bias, for every image over each group of channels.

    Mean and variance (divided by n) are over all extents and the channels of a group, so that the
    other images of the batch do not matter (Wu and He, ECCV 2018).

    ``weight``, ``bias``: parameters (channels).

    Args:
        num_groups: into how many groups the channels are divided.
        num_channels: extent of the last axis.
        eps: keeps the root away from 0.
        affine: whether there are a weight and a bias.

    Raises:
        ConfigError: the groups do not divide the channels.
        ShapeError: a group is a single number, whose variance would be 0.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.GroupNorm(2, 4)(cr.tensor([[1.0, 3.0, 7.0, 5.0]])).tolist()
        [[-0.99999..., 0.99999..., 0.99999..., -0.99999...]]
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        self.num_groups = positive_integer("num_groups", num_groups)
        self.num_channels = positive_integer("num_channels", num_channels)
        if num_channels % num_groups:
            raise ConfigError(
                "The number of groups must divide the channels.",
                where=f"layer {type(self).__name__}",
                expected=f"num_channels that {num_groups} divides",
                found=str(num_channels),
            )
        self.eps = eps
        self.weight = parameter((num_channels,), "ones") if affine else None
        self.bias = parameter((num_channels,), "zeros") if affine else None

    def forward(self, x: TensorLike) -> Tensor:
        x = features_last(floating(x), self.num_channels)
        size = self.num_channels // self.num_groups
        positions = math.prod(x.shape[1:-1])
        if x.ndim < 2 or positions * size == 1:
            raise ShapeError(
                f"{type(self).__name__} cannot normalise single numbers: their variance is 0.",
                expected=f"(batch, *extents, {self.num_channels}) with several numbers in a group",
                found=str(x.type),
            )
        grouped = reshape(x, (x.shape[0], positions, self.num_groups, size))
        centred = grouped - mean(grouped, (1, 3), keepdims=True)
        variance = mean(centred * centred, (1, 3), keepdims=True)
        y = reshape(centred * rsqrt(variance + self.eps), x.shape)
        return _affine(y, self.weight, self.bias)

    def extra_repr(self) -> str:
        options = f"eps={self.eps}{_without_affine(self.weight)}"
        return f"{self.num_groups}, {self.num_channels}, {options}"


class InstanceNorm(GroupNorm):
    """y = (x - mean) / √(var + eps), for every image and channel over its extents.

    PyTorch's InstanceNorm1d, 2d and 3d without running statistics (Ulyanov et al., 2016): a
    `GroupNorm` with as many groups as channels.

    Args:
        num_features: extent of the last axis.
        eps: keeps the root away from 0.
        affine: whether there are a weight and a bias.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.InstanceNorm(1)(cr.tensor([[[1.0], [3.0]]])).reshape(-1).tolist()
        [-0.99999..., 0.99999...]
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__(num_features, num_features, eps, affine)

    def extra_repr(self) -> str:
        affine = ", affine=True" if self.weight is not None else ""
        return f"{self.num_channels}, eps={self.eps}{affine}"


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _without_affine(weight: Tensor | None) -> str:
    return ", affine=False" if weight is None else ""


def _extents(shape: int | Sequence[int]) -> tuple[int, ...]:
    extents = tuple(shape) if isinstance(shape, Sequence) else (operator.index(shape),)
    return tuple(positive_integer("normalized_shape", extent) for extent in extents)


def _brief(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if len(shape) == 1 else str(shape)

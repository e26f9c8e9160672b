"""What layers ask of their options and inputs."""

from __future__ import annotations

import operator
from typing import Any

from ..engine.tensor import Tensor, TensorLike, as_tensor, need_plain
from ..errors import ConfigError, ShapeError


def positive_integer(name: str, value: Any) -> int:
    """The option as an integer, at least 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigError(
            f"{name} must be a positive integer.",
            expected="an integer, at least 1",
            found=repr(value),
        )
    return number


def fraction(name: str, value: float, *, include_one: bool) -> float:
    """The option as a fraction, from 0 to 1."""
    need_plain(name, value, "a layer")
    if not (0 <= value < 1 or (include_one and value == 1)):
        raise ConfigError(
            f"{name} is out of range.",
            expected="from 0 to 1" if include_one else "from 0 to below 1",
            found=repr(value),
        )
    return float(value)


def features_last(x: TensorLike, *extents: int) -> Tensor:
    """The input as a tensor, whose last axes must be these."""
    given = as_tensor(x)
    if given.shape[-len(extents) :] != extents:
        wanted = str(extents[0]) if len(extents) == 1 else str(extents)
        shape = given.shape
        found = str(shape[-1]) if shape and len(extents) == 1 else str(shape)
        raise ShapeError(
            "The input does not fit the layer.",
            expected=f"{wanted} features on the last ax{'is' if len(extents) == 1 else 'es'}",
            found=f"{found} ({given.type})",
            hint="A layer must take as many features as the layer before it gives.",
        )
    return given


def image(x: TensorLike, layout: str, channels: int | None = None) -> Tensor:
    """The input as a tensor, whose axes must be those of the layout, with so many channels."""
    given = as_tensor(x)
    if given.ndim != layout.count(",") + 1:
        raise ShapeError(
            "The input does not fit the layer.",
            expected=layout,
            found=str(given.type),
            hint="A single image is x[None]; one without channels x[..., None].",
        )
    if channels is not None and given.shape[-1] != channels:
        raise ShapeError(
            "The input does not fit the layer.",
            expected=f"{channels} channels on the last axis",
            found=f"{given.shape[-1]} ({given.type})",
            hint=f"Images are channels-last: {layout}. A layer must take as many "
            "channels as the layer before it gives.",
        )
    return given

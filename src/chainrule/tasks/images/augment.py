"""Random changes of training images that leave the class as it is.

Each is a function of (seed, epoch, row): the same for any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...utils.random import generator, uniform
from ...utils.typing import Array
from ..kinds.images import CHANGES
from ..kinds.media import changes_in

_LIGHT = ("flip", "shift", "rotate", "zoom", "colour")
#: Largest shift as a fraction of the extent, turn in degrees, change of the size, of the colours.
_SHIFT, _ROTATION, _ZOOM, _COLOUR = 0.08, 10.0, 0.1, 0.2
#: Side of the square that is cut out, as a fraction of the shorter side (DeVries and Taylor, 2017).
_CUT = 0.35
#: λ of mixup is of Beta(α, α) (Zhang et al., 2018); λ is seldom near 1/2.
_ALPHA = 0.2


def parse(text: str) -> tuple[str, ...] | None:
    """The changes that an option names; None if it names others.

    Example:
        >>> parse("flip, mixup"), parse("none"), parse("flop")
        (('flip', 'mixup'), (), None)
    """
    return changes_in(text, CHANGES, _LIGHT)


def choose(text: str | None, grey: bool, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The changes for images of these classes; what is named one by one is taken as it is.

    Letters and digits are no others in a mirror, and neither is left right: they are not flipped.
    Nor are grey images, which are mostly of writing or of measurements. Grey ones have no colour.

    Example:
        >>> choose(None, True, ("0", "1")), choose("light", False, ("cat", "dog"))
        (('shift', 'rotate', 'zoom'), ('flip', 'shift', 'rotate', 'zoom', 'colour'))
    """
    names = parse("light" if text is None else text)
    assert names is not None, "checked by the options"
    if text not in (None, "light", "full"):
        return names
    sided = grey or all(len(c) == 1 or c.isdecimal() for c in classes)
    sided = sided or any(word in c.lower() for c in classes for word in ("left", "right"))
    unfit = {"flip"} if sided else set()
    return tuple(n for n in names if n not in unfit and not (grey and n == "colour"))


@dataclass(frozen=True)
class Augment:
    """Changes batches of images.

    Args:
        changes: names in `CHANGES`.
        seed: all that is random follows from it, the epoch and the row.
        fill: (channels,) what comes in from outside of the image.
    """

    changes: tuple[str, ...]
    seed: int
    fill: Array

    def __call__(
        self, batch: Array, rows: Array, epoch: int
    ) -> tuple[Array, Array | None, Array | None]:
        """Changed images; with mixup also λ of each and the index of its partner.

        Args:
            batch: (n, height, width, channels) uint8, or float32 from 0 to 255.
            rows: (n,) the index of each image.
            epoch: from 1.
        """
        draws = uniform(self.seed, "augment", epoch, rows, 12)
        if {"flip", "shift", "rotate", "zoom"} & set(self.changes):
            batch = self._moved(batch, draws)
        if "colour" in self.changes:
            batch = _coloured(batch, draws[:, 5:8])
        if "cutout" in self.changes:
            batch = self._cut(batch, draws[:, 8:10])
        if "mixup" not in self.changes:
            return batch, None, None
        return _mixed(batch, generator(self.seed, "mixup", epoch, *rows[:1]))

    def _moved(self, batch: Array, draws: Array) -> Array:
        """Rotated, scaled, shifted and flipped about the centre, all in one.

        The pixel at p of the result is taken at A·(p - c) + c + d of the image, between its four
        neighbours (bilinear).
        """
        _, height, width, _ = batch.shape
        amount = {name: float(name in self.changes) for name in CHANGES}
        either = 2 * draws - 1  # from -1 to 1
        angle = np.deg2rad(_ROTATION) * amount["rotate"] * either[:, 0]
        scale = np.exp(_ZOOM * amount["zoom"] * either[:, 1])
        mirror = np.where((draws[:, 2] < 0.5) & ("flip" in self.changes), -1.0, 1.0)
        down = _SHIFT * amount["shift"] * height * either[:, 3]
        right = _SHIFT * amount["shift"] * width * either[:, 4]
        if not amount["rotate"] and not amount["zoom"]:
            down, right = np.rint(down), np.rint(right)  # then no pixel is blurred
        y = (np.arange(height) - (height - 1) / 2)[None, :, None]
        x = (np.arange(width) - (width - 1) / 2)[None, None, :]
        cosine, sine = ((f(angle) * scale)[:, None, None] for f in (np.cos, np.sin))
        x = x * mirror[:, None, None]
        rows = cosine * y - sine * x + (down + (height - 1) / 2)[:, None, None]
        columns = sine * y + cosine * x + (right + (width - 1) / 2)[:, None, None]
        return _sampled(batch, rows.astype(np.float32), columns.astype(np.float32), self.fill)

    def _cut(self, batch: Array, draws: Array) -> Array:
        """A square somewhere is filled, half of it perhaps outside of the image."""
        _, height, width, _ = batch.shape
        reach = max(round(_CUT * min(height, width) / 2), 1)
        y, x = draws[:, :1] * height, draws[:, 1:] * width
        inside = (np.abs(np.arange(height) - y) < reach)[:, :, None] & (
            np.abs(np.arange(width) - x) < reach
        )[:, None, :]
        return np.where(inside[..., None], self.fill.astype(batch.dtype), batch)


def _sampled(batch: Array, y: Array, x: Array, fill: Array) -> Array:
    """(n, h, w, c) images at positions (n, h, w) between the pixels (bilinear)."""
    count, height, width, channels = batch.shape
    # A border of what is outside, so that every place has four neighbours.
    wide = np.empty((count, height + 3, width + 3, channels), np.float32)
    wide[:] = fill
    wide[:, 1:-2, 1:-2] = batch
    flat = wide.reshape(-1, channels)
    y, x = np.clip(y + 1, 0, height + 1), np.clip(x + 1, 0, width + 1)
    top, left = y.astype(np.int64), x.astype(np.int64)
    dy, dx = (y - top)[..., None], (x - left)[..., None]
    start = (np.arange(count)[:, None, None] * (height + 3) + top) * (width + 3) + left
    upper = flat[start] * (1 - dx) + flat[start + 1] * dx
    lower = flat[start + width + 3] * (1 - dx) + flat[start + width + 4] * dx
    return _like(batch, upper * (1 - dy) + lower * dy)


def _coloured(batch: Array, draws: Array) -> Array:
    """Brightness, contrast and saturation a little different: affine in the pixels."""
    brightness, contrast, saturation = (
        (1 + _COLOUR * (2 * c - 1)).astype(np.float32)[:, None, None, None] for c in draws.T
    )
    x = batch.astype(np.float32) * brightness
    grey = x.mean(axis=3, keepdims=True)
    x = grey + saturation * (x - grey)
    middle = grey.mean(axis=(1, 2), keepdims=True)
    return _like(batch, middle + contrast * (x - middle))


def _mixed(batch: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """x̃ = λ·x + (1 - λ)·x′ for a random partner x′ in the batch."""
    weight = rng.beta(_ALPHA, _ALPHA, len(batch))
    partner = rng.permutation(len(batch))
    own = weight.astype(np.float32)[:, None, None, None]
    mixture = own * batch + (1 - own) * batch[partner]
    return _like(batch, mixture), weight, partner


def _like(batch: Array, changed: Array) -> Array:
    """Of the same type: bytes are rounded, images of more bits are not."""
    if batch.dtype == np.uint8:
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return np.asarray(changed, batch.dtype)

"""Image files as arrays of one size and one number of channels; needs Pillow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...utils.typing import Array

#: Images of more pixels than this are taken for decompression bombs.
MAX_PIXELS = 100_000_000
#: A file of n bytes cannot honestly hold more pixels than n times this: no format shrinks more.
_MAX_SHRUNK = 4_000
_GREY = ("1", "L", "LA", "La", "I", "F")


def pillow() -> ModuleType:
    """Pillow's module for images.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError(
            "Reading images needs Pillow.",
            expected="the extra images",
            hint="pip install 'chainrule[images]'",
        ) from None
    # Decompression bombs are found by `_open` already, as errors, not as warnings.
    Image.MAX_IMAGE_PIXELS = None
    return Image


@dataclass(frozen=True)
class Header:
    """What an image says of itself before it is decoded: as it is to be looked at."""

    height: int
    width: int
    grey: bool


def read_header(path: str) -> Header:
    """Size and colours of an image.

    Raises:
        DataError: the file cannot be read; names it.
    """
    image = _open(path)
    with image:
        width, height = image.size
        if image.getexif().get(0x0112) in (5, 6, 7, 8):  # orientation: on its side
            width, height = height, width
        return Header(height, width, image.mode.startswith("I;") or image.mode in _GREY)


def read_image(path: str, height: int, width: int, channels: int) -> Array:
    """An image, rotated as its EXIF orientation says, resized to one size.

    Colours become grey by their luminance (ITU-R 601-2), transparency becomes white, 16 bits become
    8, and other proportions are stretched.

    Args:
        path: any file that Pillow reads; of an animation the first picture.
        height: of the result.
        width: of the result.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        (height, width, channels) uint8.

    Raises:
        DataError: the file cannot be read; names it.
    """
    from PIL import Image, ImageOps

    image = _open(path)
    mode = "L" if channels == 1 else "RGB"
    try:
        with image:
            # JPEG files are decoded at a fraction of their size where that is enough.
            image.draft(mode, (max(height, width),) * 2)
            upright = _opaque(ImageOps.exif_transpose(image)).convert(mode)
            if upright.size != (width, height):
                upright = upright.resize(
                    (width, height), Image.Resampling.BILINEAR, reducing_gap=2.0
                )
            return np.asarray(upright, dtype=np.uint8).reshape(height, width, channels)
    except Exception as error:  # Pillow's decoders raise what they like
        raise _damaged(path, error) from None


def _open(path: str) -> Any:
    image = pillow()
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise DataError("An image cannot be read.", where=path,
                        found=error.strerror or str(error)) from None  # fmt: skip
    if not size:
        raise DataError("An image cannot be read.", where=path, found="an empty file (0 bytes)")
    try:
        opened = image.open(path)
    except Exception as error:
        raise _damaged(path, error) from None
    width, height = opened.size
    if width * height > MAX_PIXELS or width * height > size * _MAX_SHRUNK:
        opened.close()
        raise DataError(
            "An image claims more pixels than it can have, or than fit in memory.",
            where=path,
            expected=f"at most {MAX_PIXELS // 10**6} million pixels, and no more than "
            f"{_MAX_SHRUNK:,} for each byte",
            found=f"{width:,}×{height:,} pixels in {size:,} bytes",
        )
    return opened


def _damaged(path: str, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    if type(error).__name__ == "UnidentifiedImageError":
        found = "no image of a known format"
    return DataError("An image cannot be read.", where=path, found=found)


def _opaque(image: Any) -> Any:
    """Without transparency, and with 8 bits a channel."""
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image


def _eight_bits(x: Array) -> Array:
    """Integers beyond 8 bits are of 16; numbers with a fraction are from 0 to 1."""
    top = x.max(initial=0)
    if x.dtype.kind == "f":
        x = x * 255 if top <= 1 else x
    elif top > 255:
        x = x / 257
    return np.asarray(np.clip(np.rint(x), 0, 255), dtype=np.uint8)

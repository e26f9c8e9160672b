"""Image files as arrays of one size and one number of channels; needs Pillow."""

from __future__ import annotations

import contextlib
import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError
from ..utils.files import content_size
from ..utils.locks import new_lock
from ..utils.typing import Array

#: Images of more pixels than this are taken for decompression bombs.
MAX_PIXELS = 100_000_000
#: Images of more pixels than this are decoded one at a time.
_LARGE = 25_000_000
_GREY = ("1", "L", "LA", "La", "I", "F")
#: Formats of pixels that Pillow decodes by itself. Others start a program (EPS), belong to another
#: package (WMF, HDF5, GRIB, BUFR) or are guessed (SPIDER), and are not even tried.
FORMATS = (
    "AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF", "HEIF",
    "ICNS", "ICO", "IM", "IMT", "JPEG", "JPEG2000", "MCIDAS", "MPO", "MSP", "PCD", "PCX", "PIXAR",
    "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM", "XVTHUMB",
)  # fmt: skip
_HEIF = (".heic", ".heif", ".hif")
_one_large_at_a_time = new_lock()


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


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow has; with pillow-heif also HEIF."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    image = pillow()
    image.init()
    return tuple(name for name in FORMATS if name in image.OPEN)


@dataclass(frozen=True)
class Header:
    """What an image says of itself before it is decoded: as it is to be looked at.

    Attributes:
        height: in pixels.
        width: in pixels.
        grey: it has one channel, and perhaps transparency.
        deep: it has more than 8 bits for each channel.
        transparent: it may have pixels that can be seen through.
        several: it has more pictures, of which only the first is taken.
    """

    height: int
    width: int
    grey: bool
    deep: bool = False
    transparent: bool = False
    several: bool = False


def read_header(path: str) -> Header:
    """Size and colours of an image.

    Raises:
        DataError: the file cannot be read; names it.
    """
    image = _open(path)
    try:
        with image:
            width, height = image.size
            if image.getexif().get(0x0112) in (5, 6, 7, 8):  # orientation: on its side
                width, height = height, width
            return Header(
                height, width, image.mode.startswith("I;") or image.mode in _GREY,
                _is_deep(image), _is_transparent(image), bool(getattr(image, "is_animated", False)),
            )  # fmt: skip
    except Exception as error:  # Pillow's decoders raise what they like
        raise _damaged(path, error) from None


def _is_deep(image: Any) -> bool:
    return image.mode.startswith("I;") or image.mode in ("I", "F")


def _is_transparent(image: Any) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def read_image(
    path: str,
    height: int,
    width: int,
    channels: int,
    levels: tuple[float, float] | None = None,
    background: int = 255,
) -> Array:
    """An image, rotated as its EXIF orientation says, resized to one size.

    Colours become grey by their luminance (ITU-R 601-2), transparency becomes white, and other
    proportions are stretched.

    Args:
        path: any file of `FORMATS`; of an animation the first picture.
        height: of the result.
        width: of the result.
        channels: 1 for grey, 3 for red, green and blue.
        levels: what is black and what is white in images of more than 8 bits, for all the same;
            without it such an image becomes one of 8 bits by itself.
        background: what shows through transparent pixels, from 0 (black) to 255 (white).

    Returns:
        (height, width, channels) uint8; float32 from 0 to 255 with levels.

    Raises:
        DataError: the file cannot be read, or has pixels that are not finite; names it.
    """
    from PIL import ImageOps

    image = _open(path)
    mode = "L" if channels == 1 else "RGB"
    large = image.size[0] * image.size[1] > _LARGE
    try:
        with image, _one_large_at_a_time if large else contextlib.nullcontext():
            # JPEG files are decoded at a fraction of their size where that is enough.
            image.draft(mode, (max(height, width),) * 2)
            upright = ImageOps.exif_transpose(image)
            if levels is not None and _is_deep(upright):
                return _scaled(upright, height, width, channels, levels)
            flat = _resized(_opaque(upright, background).convert(mode), height, width)
            pixels = np.asarray(flat, dtype=np.uint8 if levels is None else np.float32)
            return pixels.reshape(height, width, channels)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise what they like
        raise _damaged(path, error) from None


def read_range(path: str) -> tuple[float, float, bool]:
    """The smallest and largest number in an image of more than 8 bits; whether all are integers.

    Raises:
        DataError: the file cannot be read, or has pixels that are not finite; names it.
    """
    with _open(path) as image:
        try:
            x = np.asarray(image)
        except Exception as error:
            raise _damaged(path, error) from None
    if not np.isfinite(x).all():
        raise DataError("An image cannot be read.", where=path, found="pixels that are not finite")
    return float(x.min()), float(x.max()), x.dtype.kind != "f" or bool((x == np.rint(x)).all())


def _resized(image: Any, height: int, width: int) -> Any:
    from PIL import Image

    if image.size == (width, height):
        return image
    gap = None if image.mode == "F" else 2.0
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=gap)


def _scaled(
    image: Any, height: int, width: int, channels: int, levels: tuple[float, float]
) -> Array:
    """A grey image of more than 8 bits as numbers that are 0 at black and 255 at white."""
    from PIL import Image

    x = np.asarray(image).astype(np.float32)
    if not np.isfinite(x).all():
        raise ValueError("pixels that are not finite")
    black, white = levels
    x = (x - np.float32(black)) * np.float32(255 / (white - black))
    grey = np.asarray(_resized(Image.fromarray(x), height, width), np.float32)
    return np.repeat(grey[:, :, None], channels, axis=2)


def _open(path: str) -> Any:
    image = pillow()
    size = content_size(path, "An image")
    try:
        opened = image.open(path, formats=_formats())
    except Exception as error:
        raise _damaged(path, error) from None
    width, height = opened.size
    if width * height > MAX_PIXELS:
        opened.close()
        raise DataError(
            "An image claims more pixels than fit in memory.",
            where=path,
            expected=f"at most {MAX_PIXELS // 10**6} million pixels",
            found=f"{width:,}×{height:,} pixels in {size:,} bytes",
        )
    return opened


def _damaged(path: str, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    if type(error).__name__ == "UnidentifiedImageError":
        found = "no image of a known format"
        if path.lower().endswith(_HEIF) and "HEIF" not in _formats():
            found = "HEIC, which Pillow reads with another package"
            return DataError(
                "An image cannot be read.", where=path, found=found, hint="pip install pillow-heif"
            )
    return DataError("An image cannot be read.", where=path, found=found)


def _opaque(image: Any, background: int) -> Any:
    """Without transparency, and with 8 bits a channel."""
    from PIL import Image

    if _is_deep(image):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if _is_transparent(image):
        layer = image.convert("RGBA")
        below = Image.new("RGBA", layer.size, (background,) * 3 + (255,))
        return Image.alpha_composite(below, layer).convert("RGB")
    return image


def opaque_level(path: str) -> float | None:
    """How bright the pixels of an image are that cannot be seen through, if others can."""
    from PIL import ImageOps

    with _open(path) as image:
        x = np.asarray(ImageOps.exif_transpose(image).convert("LA"), np.float32)
    shown = x[..., 1] / 255
    if shown.min() > 0.5 or not shown.any():
        return None
    return float((x[..., 0] * shown).sum() / shown.sum())


def _eight_bits(x: Array) -> Array:
    """Integers beyond 8 bits are of 16; numbers with a fraction are from 0 to 1."""
    top = x.max(initial=0)
    if not np.isfinite(x).all():
        raise ValueError("pixels that are not finite")
    if x.dtype.kind == "f":
        x = x * 255 if top <= 1 else x
    elif top > 255:
        x = x / 257
    return np.asarray(np.clip(np.rint(x), 0, 255), dtype=np.uint8)

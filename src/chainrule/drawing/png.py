"""Arrays as PNG files, written with zlib alone (ISO/IEC 15948)."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: The colour type of so many channels: grey, RGB, RGBA.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def png(pixels: Any) -> bytes:
    r"""A PNG file.

    Args:
        pixels: (height, width), or (height, width, 1, 3 or 4): grey, RGB or RGBA, from 0 to 255;
            what lies outside is clipped.

    Example:
        >>> png([[0, 255]])[:4]
        b'\x89PNG'
    """
    array = np.clip(np.nan_to_num(np.asarray(pixels, float)), 0, 255).round().astype(np.uint8)
    if array.ndim == 2:
        array = array[:, :, None]
    height, width, channels = array.shape
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    # Each row begins with its filter: 0, as it is.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), array.reshape(height, -1)], axis=1)
    body = zlib.compress(rows.tobytes(), 9)
    return b"".join(
        [_SIGNATURE, _chunk(b"IHDR", head), _chunk(b"IDAT", body), _chunk(b"IEND", b"")]
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_address(pixels: Any) -> str:
    """The file as a ``data:`` address, which a page shows without fetching anything."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"

"""Keras 3: ``.weights.h5`` and ``.keras``, read as data.

An HDF5 file has the weights of a layer in ``layers/NAME/vars/0``, ``…/1`` and so on; inside of a
layer, its parts have groups of their own (``layers/lstm/cell/vars/0``). A ``.keras`` file is a zip
archive of such a file and of ``config.json``.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ...utils.typing import Array
from ..extras import need

_MAX_DEPTH, _MAX_ARRAYS = 32, 2**16
_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def read_keras(archive: zipfile.ZipFile) -> dict[str, Array]:
    """The weights in a ``.keras`` file; its config, which may name programs, is not looked at."""
    return read_h5(archive.read("model.weights.h5"))


def read_h5(data: bytes) -> dict[str, Array]:
    """The arrays of an HDF5 file by path. Links to other files, and objects, are refused."""
    h5py = need("h5py", "keras", "A file of Keras")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            found: dict[str, Array] = {}
            _walk(h5py, file, "", found, len(data), 0)
            return found
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise ModelFileError("The file is damaged.", found=str(error)[:200]) from None


def _walk(h5py: Any, group: Any, path: str, found: dict[str, Array], size: int, depth: int) -> None:
    if depth > _MAX_DEPTH or len(found) > _MAX_ARRAYS:
        raise ModelFileError("The file is damaged: groups without end.")
    for name in group:
        place = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError("The file has a link to elsewhere, which is not followed.",
                                 found=f"{place!r:.80}")  # fmt: skip
        item = group[name]
        if isinstance(item, h5py.Group):
            _walk(h5py, item, place, found, size, depth + 1)
        elif isinstance(item, h5py.Dataset):
            found[place] = _array(item, place, size)


def _array(item: Any, place: str, size: int) -> Array:
    kind = item.dtype.kind + str(item.dtype.itemsize)
    if kind not in _KINDS or item.external or item.is_virtual:
        raise ModelFileError("The file holds more than numbers.", where=place[:80],
                             expected="arrays of numbers", found=str(item.dtype)[:80])  # fmt: skip
    if item.nbytes > 4 * size + 2**20:  # compressed, or never written
        raise ModelFileError("An array is far larger than the file.", where=place[:80],
                             expected=f"at most {4 * size + 2**20:,} bytes",
                             found=f"{item.nbytes:,}")  # fmt: skip
    return np.asarray(item[()])

"""Numbers that lie beside a file of ONNX, in files of the same folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ....errors import ModelFileError

_KEYS = {"location", "offset", "length", "checksum"}
_HINT = "Files beside the model lie in its folder, or in folders of that, without links."


def external_data(folder: Path | None, tensor: Any, size: int) -> bytes:
    """The bytes of a tensor that lie in another file.

    Args:
        folder: of the model.
        tensor: the ``TensorProto``.
        size: how many bytes it has by shape and element type.

    Raises:
        ModelFileError: the file is outside of the folder, behind a link, no regular file, or too
            short.
    """
    where = f"tensor {tensor.name!r:.80}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data) or not {"location"} <= entries.keys() <= _KEYS:
        raise ModelFileError("External data that are not described as they should be.",
                             where=where, expected=", ".join(sorted(_KEYS)),
                             found=", ".join(map(repr, entries))[:200])  # fmt: skip
    offset, length = (_integer(entries.get(key), where) for key in ("offset", "length"))
    if length is not None and length != size:
        raise ModelFileError("External data of another size than the tensor.", where=where,
                             expected=f"{size:,} bytes", found=f"{length:,}")  # fmt: skip
    location = entries["location"]
    parts = location.split("/")
    if folder is None:
        raise ModelFileError("The numbers of the model lie in another file.", where=where,
                             found=f"{location!r:.80}", hint="Load it by its path.")  # fmt: skip
    if not location or "\\" in location or "\0" in location or {"", ".", ".."} & set(parts):
        raise ModelFileError("External data must lie in the folder of the model.", where=where,
                             found=f"{location!r:.80}", hint=_HINT)  # fmt: skip
    return _read(folder, parts, offset or 0, size, where)


def _integer(text: str | None, where: str) -> int | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ModelFileError("External data with an impossible place.", where=where,
                             expected="integers from 0", found=f"{text!r:.40}")  # fmt: skip
    return int(text)


def _read(folder: Path, parts: list[str], offset: int, size: int, where: str) -> bytes:
    """Open each folder from the one before, so that no link is followed on the way."""
    handles: list[int] = []
    try:
        handles.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            handles.append(os.open(part, flags, dir_fd=handles[-1]))
        last = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        handles.append(os.open(parts[-1], last, dir_fd=handles[-1]))
        status = os.fstat(handles[-1])
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise ModelFileError("External data in a device, a pipe or a file with several links.",
                                 where=where, found="/".join(parts)[:80], hint=_HINT)  # fmt: skip
        if offset + size > status.st_size:
            raise ModelFileError("External data that end too early.", where=where,
                                 expected=f"{offset + size:,} bytes in {'/'.join(parts)[:80]}",
                                 found=f"{status.st_size:,}")  # fmt: skip
        with open(handles.pop(), "rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise ModelFileError("External data that cannot be read.", where=where,
                             found=f"{'/'.join(parts)[:80]}: {error.strerror}", hint=_HINT
                             ) from None  # fmt: skip
    finally:
        for handle in handles:
            os.close(handle)

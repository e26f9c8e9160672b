"""Files of weights that other systems wrote: their arrays by name, as they are there."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from typing import Any

import numpy as np
import safetensors

from ...errors import ModelFileError
from ...serialization.reading import check_arrays, strict_json
from ...utils.typing import Array
from .keras_files import read_h5, read_keras
from .unpickling import check_zip, from_bfloat16, read_pt

_SAFETENSORS = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "u2", "I16": "i2", "U32": "u4", "I32": "i4",
    "U64": "u8", "I64": "i8", "F16": "f2", "F32": "f4", "F64": "f8", "BF16": "u2",
}  # fmt: skip
#: Where a checkpoint keeps the weights beside other things.
_INSIDE = ("state_dict", "model_state_dict", "model", "module", "weights")
#: What else is there, which nobody needs here.
_BESIDE = {"optimizer", "optimizer_state_dict", "optimizers", "lr_scheduler", "scheduler", "ema",
           "scaler", "optim"}  # fmt: skip
_MAX_HEADER = 100_000_000


def read(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name. It is read as data: nothing in it is run.

    Known are safetensors; PyTorch's ``.pt`` and ``.pth`` of tensors in dicts (a ``state_dict``, or
    a checkpoint that has one beside other things); Keras 3's ``.keras`` and ``.weights.h5``, which
    need the extra ``keras``. bfloat16 and float16 come as float32 and float16.

    Raises:
        ModelFileError: it is none of these, damaged, or holds more than data.

    Example:
        >>> import tempfile, chainrule as cr
        >>> path = tempfile.mkdtemp() + "/line.safetensors"
        >>> cr.weights.save(path, cr.nn.Linear(2, 3))
        >>> {name: array.shape for name, array in cr.weights.read(path).items()}
        {'bias': (3,), 'weight': (3, 2)}
    """
    try:
        return _read(_bytes(path))
    except ModelFileError as error:
        inside = f", {error.where}" if error.where else ""
        error.where = f"{os.fspath(path)}{inside}"
        raise


def _bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file; a pipe or device is none."""
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("This is a device, pipe or the like, not a file of weights.")
            return file.read()
    except IsADirectoryError:
        raise ModelFileError("This is a folder, not a file of weights.") from None
    except FileNotFoundError:
        raise ModelFileError("There is no such file.") from None
    except (OSError, ValueError) as error:
        raise ModelFileError("The file cannot be read.", found=str(error)) from None


def _read(data: bytes) -> dict[str, Array]:
    if data[8:9] == b"{":
        return _safetensors(data)
    if data.startswith(b"PK\x03\x04"):
        return _zip(data)
    if data.startswith(b"\x89HDF"):
        return read_h5(data)
    kind = "a pickle, as PyTorch before 1.6 wrote it" if data[:1] == b"\x80" else "another format"
    raise ModelFileError(
        "This is no file of weights that can be read.",
        expected="safetensors, .pt or .pth (of PyTorch 1.6 or later), .keras, .weights.h5",
        found=kind,
        hint="Save it again: torch.save(model.state_dict(), 'model.pt').",
    )


def _zip(data: bytes) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_zip(archive, 2 * len(data) + 2**24)
            if "model.weights.h5" in archive.namelist():
                return read_keras(archive)
            return inner(read_pt(archive))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelFileError("The archive is damaged.", found=str(error)[:200]) from None


def inner(arrays: dict[str, Array]) -> dict[str, Array]:
    """The weights of a checkpoint that has one dict of them, without its name in front.

    Example:
        >>> inner({"state_dict.w": np.ones(1), "optimizer.state.0.m": np.ones(1)}).keys()
        dict_keys(['w'])
    """
    fronts = {name.partition(".")[0] for name in arrays}
    known = [front for front in _INSIDE if front in fronts]
    others = fronts - set(known) - _BESIDE
    if len(known) != 1 or others or (known == ["module"] and len(fronts) == 1):
        return arrays
    front = f"{known[0]}."
    return {n.removeprefix(front): a for n, a in arrays.items() if n.startswith(front)}


def _safetensors(data: bytes) -> dict[str, Array]:
    size = int.from_bytes(data[:8], "little")
    if size > min(_MAX_HEADER, len(data) - 8):
        raise ModelFileError("The file is truncated, or no file of safetensors.",
                             expected=f"a header of {size:,} bytes",
                             found=f"a file of {len(data):,} bytes")  # fmt: skip
    header = strict_json(data[8 : 8 + size], "the header")
    check_arrays(header)
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelFileError("The file is truncated or damaged.", found=str(error)) from None
    return {name: _array(name, entry) for name, entry in sorted(found, key=lambda pair: pair[0])}


def _array(name: str, entry: dict[str, Any]) -> Array:
    if entry["dtype"] not in _SAFETENSORS:
        raise ModelFileError("Unknown element type.", where=f"array {name!r:.80}",
                             expected=", ".join(_SAFETENSORS), found=entry["dtype"])  # fmt: skip
    array = np.frombuffer(entry["data"], f"<{_SAFETENSORS[entry['dtype']]}")
    if entry["dtype"] == "BF16":
        array = from_bfloat16(array)
    return array.reshape(entry["shape"])

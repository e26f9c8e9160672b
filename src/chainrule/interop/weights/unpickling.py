"""PyTorch's ``.pt`` files, read without PyTorch and without running anything that is in them.

Such a file is a zip archive: ``data.pkl``, a pickle of dicts and lists, in which each tensor is a
call of ``torch._utils._rebuild_tensor_v2``, and ``data/0``, ``data/1``, …, the numbers. A pickle is
a program; this one may make lists, tuples, dicts and tensors of the archive, and nothing else.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...errors import ModelFileError
from ...utils.typing import Array

#: Of the pickle: it holds names and shapes only.
_MAX_PICKLE = 2**26
_MAX_ENTRIES = 2**16
#: Tensors, and what is in containers, in all.
_MAX_VALUES = 2**20
#: Containers inside of containers.
_MAX_DEPTH = 64

#: The element types of storages; bfloat16 is the upper half of float32.
_STORAGES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf16",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip
#: What makes an ordinary container, and what is called when it is read.
_CALLS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
}
_HINT = "Save the weights alone: torch.save(model.state_dict(), 'model.pt'), or as safetensors."


class _Storage(NamedTuple):
    """The numbers of a tensor, by their name in the archive."""

    key: str
    kind: str
    size: int


class _Kind(NamedTuple):
    """The element type of a storage."""

    kind: str


class _Rebuild:
    """What stands for a function of PyTorch that makes tensors."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


class _Unpickler(pickle.Unpickler):
    """Knows tensors and containers; any other name is refused."""

    def __init__(self, data: bytes, archive: _Archive) -> None:
        super().__init__(io.BytesIO(data))
        self._archive = archive

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _Kind(_STORAGES[name])
        if (module, name) in _CALLS:
            return _CALLS[module, name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild(self._archive.tensor)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Rebuild(lambda tensor, *rest: tensor)
        raise ModelFileError(
            "The file holds more than tensors: reading it would run a program.",
            expected="a state_dict: tensors in dicts and lists",
            found=f"{module}.{name}"[:200],
            hint=_HINT,
        )

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("storage", _Kind(kind), str(key), str(), int(size)) if size >= 0:
                return _Storage(key, kind, size)
        raise ModelFileError("The file is damaged.", found=f"storage {pid!r:.80}")


class _Archive:
    """The numbers of the archive."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive, self._folder = archive, folder
        self._kept: dict[str, bytes] = {}
        order = self._entry("byteorder")
        self._order: Any = ">" if order == b"big" else "<"

    def _entry(self, name: str) -> bytes | None:
        try:
            return self._archive.read(self._folder + name)
        except KeyError:
            return None

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Array:
        """The tensor of these extents and steps in a storage."""
        numbers = (offset, *size, *stride)
        sound = isinstance(storage, _Storage) and len(size) == len(stride) <= 32
        if not sound or any(type(n) is not int or n < 0 for n in numbers):
            raise ModelFileError("The file is damaged: a tensor that can't be.",
                                 found=f"size {size!r:.60}, stride {stride!r:.60}")  # fmt: skip
        flat = self._numbers(storage)
        reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
        count = math.prod(size)
        if count > flat.size or (count and reach > flat.size):
            raise ModelFileError("The file is damaged: a tensor reaches beyond its numbers.",
                                 expected=f"{flat.size:,} numbers",
                                 found=f"size {tuple(size)}, stride {tuple(stride)}")  # fmt: skip
        if not count:
            return np.zeros(size, flat.dtype)
        steps = [step * flat.itemsize for step in stride]
        shown = np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=False)
        return np.array(shown)

    def _numbers(self, storage: _Storage) -> Array:
        if storage.key not in self._kept:
            data = self._entry(f"data/{storage.key}")
            if data is None:
                raise ModelFileError("The file is damaged: numbers are missing.",
                                     expected=f"data/{storage.key}"[:80])  # fmt: skip
            self._kept[storage.key] = data
        data = self._kept[storage.key]
        width = 2 if storage.kind == "bf16" else np.dtype(storage.kind).itemsize
        if len(data) != storage.size * width:
            raise ModelFileError(
                "The file is damaged: a storage has another size.",
                expected=f"{storage.size:,} numbers of {width} bytes",
                found=f"{len(data):,} bytes",
            )
        if storage.kind == "bf16":
            return from_bfloat16(np.frombuffer(data, f"{self._order}u2"))
        array = np.frombuffer(data, np.dtype(storage.kind).newbyteorder(self._order))
        return array.astype(array.dtype.newbyteorder("="), copy=False)


def from_bfloat16(halves: Array) -> Array:
    """bfloat16, as integers of 16 bits, as float32.

    Example:
        >>> from_bfloat16(np.array([0x3F80], np.uint16)).tolist()
        [1.0]
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)


def read_pt(archive: zipfile.ZipFile) -> dict[str, Array]:
    """The tensors of a ``.pt`` file by name; those in containers as ``state_dict.conv.weight``.

    Raises:
        ModelFileError: it is damaged, or holds anything but tensors, numbers and containers.
    """
    names = [info.filename for info in archive.infolist()]
    (pickled, *more) = [name for name in names if name.rpartition("/")[2] == "data.pkl"] or [""]
    folder = pickled.removesuffix("data.pkl")
    if not pickled or more or pickled.count("/") > 1:
        raise ModelFileError("This zip archive is no file of PyTorch.", hint=_HINT)
    if any(name.startswith(f"{folder}code/") for name in names):
        raise ModelFileError("This is a program of TorchScript, not weights.", hint=_HINT)
    if archive.getinfo(pickled).file_size > _MAX_PICKLE:
        raise ModelFileError("The file is damaged: too many names.")
    data = archive.read(pickled)
    try:
        if sum(1 for _ in pickletools.genops(data)) > 16 * _MAX_VALUES:
            raise ModelFileError("The file is damaged: too many values.")
        content = _Unpickler(data, _Archive(archive, folder)).load()
    except ModelFileError:
        raise
    except Exception as error:  # a pickle that no program of PyTorch has written
        raise ModelFileError("The file is damaged.",
                             found=f"{type(error).__name__}: {error}"[:200]) from None  # fmt: skip
    found: dict[str, Array] = {}
    _flatten(content, "", found, [0], 0)
    return found


def _flatten(value: Any, path: str, found: dict[str, Array], seen: list[int], depth: int) -> None:
    """The tensors in containers, by path; what is no tensor (epochs, options) is left out."""
    seen[0] += 1
    if seen[0] > _MAX_VALUES or depth > _MAX_DEPTH:
        raise ModelFileError("The file is damaged: containers without end.")
    if isinstance(value, np.ndarray):
        found[path] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            _flatten(item, f"{path}.{key}" if path else str(key), found, seen, depth + 1)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            _flatten(item, f"{path}.{number}" if path else str(number), found, seen, depth + 1)


def check_zip(archive: zipfile.ZipFile, most: int) -> None:
    """Refuse what unpacks to far more than the file, or has two entries of a name."""
    entries = archive.infolist()
    names = {info.filename for info in entries}
    if len(entries) > _MAX_ENTRIES or len(names) < len(entries):
        raise ModelFileError("The archive is damaged: too many entries, or two of one name.")
    for info in entries:
        parts = info.filename.replace("\\", "/").split("/")
        if info.filename.startswith("/") or ".." in parts or "\0" in info.filename:
            raise ModelFileError("The archive is damaged: a name that leads elsewhere.",
                                 found=f"{info.filename!r:.80}")  # fmt: skip
    total = sum(info.file_size for info in entries)
    if total > most:
        raise ModelFileError("The archive unpacks to far more than it holds.",
                             expected=f"at most {most:,} bytes", found=f"{total:,}")  # fmt: skip

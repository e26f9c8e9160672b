"""Reading a model: every check that a file from anywhere has to pass."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from operator import itemgetter
from typing import Any, NoReturn

import numpy as np
import safetensors

from ..engine import ops  # noqa: F401  graphs are made of the operations that it registers
from ..errors import ModelFileError
from ..utils.typing import Array
from .dynamic_batch import Template
from .format import CONSTANT, FORMAT, VERSION, digest_of
from .saved import SavedModel

#: The header of a safetensors file: the format's own limit.
_MAX_HEADER = 100_000_000
#: Arrays of a file, and their axes: NumPy's own limit for the oldest version that is supported.
_MAX_ARRAYS, _MAX_RANK = 2**16, 32
#: Brackets and commas of JSON: each value takes a microsecond, and memory of ten times its text.
_MAX_VALUES = 2**23
_DTYPES = {"BOOL": "bool", "U32": "uint32", "I32": "int32", "I64": "int64", "F32": "float32",
           "F64": "float64"}  # fmt: skip
_DIGEST = re.compile(r', "digest": "([0-9a-f]{64})"\}\Z')


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model that `save` wrote. Runs nothing from the file, and trusts nothing in it.

    Raises:
        ModelFileError: it is no model, or damaged, or of a newer version, with the reason.
    """
    try:
        return parse(_read(path))
    except ModelFileError as error:
        inside = f", {error.where}" if error.where else ""
        error.where = f"{os.fspath(path)}{inside}"
        raise
    except MemoryError as error:
        raise ModelFileError("It does not fit into memory.", where=os.fspath(path)) from error


_FOREIGN = {
    b"PK\x03\x04": "a zip archive, as PyTorch, Keras and NumPy (.npz) write them",
    b"\x80": "a pickle, as older PyTorch and scikit-learn write them",
    b"\x89HDF": "an HDF5 file, as Keras writes them",
    b"\x93NUMPY": "a NumPy file",
    b"GGUF": "a GGUF file",
}


def _read(path: str | os.PathLike[str]) -> bytes:
    """The whole file at once; what follows looks at these bytes and never again at the file."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError("This is a device, pipe or the like, not a model file.")
            _check_start(file.read(16), status.st_size)
            file.seek(0)
            return file.read()
    except IsADirectoryError:
        raise ModelFileError("This is a folder, not a model file.") from None
    except FileNotFoundError:
        raise ModelFileError("There is no such file.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ModelFileError("The file cannot be read.", found=str(error)) from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe would wait for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_start(start: bytes, size: int) -> None:
    """Refuse what is no safetensors file by its first bytes, before all of it is read."""
    what, hint = "This is not a model of chainrule.", "Only files that cr.save wrote can be loaded."
    for magic, kind in _FOREIGN.items():
        # The length of a header may begin with the same bytes; then a { follows.
        if start.startswith(magic) and start[8:9] != b"{":
            raise ModelFileError(what, found=kind, hint=hint)
    if size < 10:
        raise ModelFileError(what, found=f"a file of {size} bytes", hint=hint)
    header = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{":
        raise ModelFileError(what, found="a file of another format", hint=hint)
    if header > _MAX_HEADER:
        raise ModelFileError(what, found=f"a header of {header:,} bytes",
                             expected=f"at most {_MAX_HEADER:,}", hint=hint)  # fmt: skip
    if header > size - 8:
        raise ModelFileError(
            "The file is truncated.",
            expected=f"a header of {header:,} bytes",
            found=f"a file of {size:,} bytes",
            hint="It may not have been copied or downloaded to the end.",
        )


def parse(data: bytes) -> SavedModel:
    """The model in the bytes of a file."""
    try:
        return _parse(data)
    except RecursionError:
        raise ModelFileError("The file is damaged: its data are too deeply nested.") from None


def _parse(data: bytes) -> SavedModel:
    _check_start(data[:16], len(data))
    header = strict_json(data[8 : 8 + int.from_bytes(data[:8], "little")], "the header")
    metadata = header.get("__metadata__")
    text = metadata.get(FORMAT) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelFileError(
            "This safetensors file was not written by chainrule: it has arrays, but no graph.",
            hint="Build the network and give it the arrays with load_state.",
        )
    document = strict_json(text, "the document")
    version = document.get("version")
    if document.get("format") != FORMAT or type(version) is not int:
        raise ModelFileError("This is not a model of chainrule.",
                             expected=f"format {FORMAT!r} with a version",
                             found=f"{document.get('format')!r:.60} {version!r:.60}")  # fmt: skip
    if version not in _READERS:
        newer = version > VERSION
        raise ModelFileError(
            f"The model was written by {'a newer' if newer else 'another'} version of chainrule.",
            expected=f"format version {', '.join(map(str, _READERS))}",
            found=f"format version {version}, of chainrule {document.get('library')!r:.60}",
            hint="Update chainrule." if newer else None,
        )
    return _READERS[version](data, header, text, document)


def _read_version_1(
    data: bytes, header: dict[str, Any], text: str, document: dict[str, Any]
) -> SavedModel:
    arrays = _arrays(data, header)
    signature = _DIGEST.search(text)
    if signature is None:
        raise ModelFileError("The digest of the document is missing.")
    if digest_of(text[: signature.start()] + "}", arrays) != signature[1]:
        raise ModelFileError(
            "The file is damaged: its content is not what was written.",
            expected=f"the digest {signature[1]}",
            hint="Copy or download it again.",
        )
    kinds = {"format": str, "version": int, "library": str, "arguments": list, "graph": dict,
             "schema": object, "classes": list | None, "record": object, "digest": str}  # fmt: skip
    if document.keys() != kinds.keys():
        found = ", ".join(document)[:300]
        raise ModelFileError("The document has other parts than it should.",
                             expected=", ".join(kinds), found=found)  # fmt: skip
    for key, kind in kinds.items():
        if not isinstance(document[key], kind):
            raise ModelFileError("A part of the document is of the wrong kind.", where=key,
                                 found=f"{document[key]!r:.60}")  # fmt: skip
    if not all(isinstance(name, str) for name in document["arguments"]):
        raise ModelFileError("The names of the arguments are not names.")
    state = {name: array for name, array in arrays.items() if not name.startswith(CONSTANT)}
    return SavedModel(document, Template(document["graph"], arrays), state)


#: How to read each version of the format. Old ones stay: a file must not outlive its reader.
_READERS = {1: _read_version_1}


def _arrays(data: bytes, header: dict[str, Any]) -> dict[str, Array]:
    check_arrays(header)
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelFileError("The file is truncated or damaged.", found=str(error)) from None
    arrays = {}
    for name, entry in sorted(found, key=itemgetter(0)):  # safetensors gives them in any order
        if entry["dtype"] not in _DTYPES:
            raise ModelFileError("Unknown element type.", where=f"array {name!r:.80}",
                                 expected=", ".join(_DTYPES), found=entry["dtype"])  # fmt: skip
        array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        array.flags.writeable = False
        arrays[name] = array
    return arrays


def check_arrays(header: dict[str, Any]) -> None:
    """What the format allows, and no array can be."""
    if len(header) > _MAX_ARRAYS:
        raise ModelFileError("The file has too many arrays.", expected=f"at most {_MAX_ARRAYS:,}",
                             found=f"{len(header):,}")  # fmt: skip
    for name, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) and name != "__metadata__" else None
        if not isinstance(shape, list):
            continue  # the library says what is wrong
        large = any(isinstance(extent, int) and extent >= 2**40 for extent in shape)
        if len(shape) > _MAX_RANK or large:
            raise ModelFileError(
                "The file is damaged: there are no such arrays.",
                where=f"array {name!r:.80}",
                expected=f"at most {_MAX_RANK} axes, each below 2^40",
                found=f"shape {shape!r:.80}",
            )


def strict_json(text: str | bytes, where: str) -> dict[str, Any]:
    """Strict JSON: no key twice, no NaN, no number that is none of ours, nothing too deep."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if sum(map(data.count, (b"{", b"[", b","))) > _MAX_VALUES:
        raise ModelFileError("The file has too many values.", where=where,
                             expected=f"at most {_MAX_VALUES:,}")  # fmt: skip
    try:
        content = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except ValueError as error:  # no JSON, no UTF-8, huge integers
        raise ModelFileError("The file is damaged: this is not JSON.", where=where,
                             found=str(error)[:200]) from None  # fmt: skip
    except RecursionError:
        raise ModelFileError("The file is damaged: its data are too deeply nested.",
                             where=where) from None  # fmt: skip
    if not isinstance(content, dict):
        raise ModelFileError("The file is damaged.", where=where, expected="a JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, count in Counter(k for k, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r:.80} comes twice")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits:.80} is too large")
    return number

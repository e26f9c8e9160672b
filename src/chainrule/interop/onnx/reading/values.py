"""Values while a graph of ONNX is computed: a tensor, and the element type that ONNX gives it.

chainrule has six element types, ONNX more. Small and unsigned integers are kept as int64, half
precision as float32; the result of a model is converted to what the file declares. Texts are kept
as int32: each that occurs in the file has an index, and any other one that is met gets a later one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ....engine.tensor import Tensor, as_tensor, tensor
from ....errors import ConfigError, ModelFileError
from ....utils.typing import Array

#: No value has more elements than this, whatever a file asks for.
MAX_ELEMENTS = 2**28

_SAME = ("bool", "int32", "int64", "float32", "float64")
_AS_INT64 = ("int8", "int16", "uint8", "uint16", "uint32", "uint64")
_KEPT = {np.dtype(name): np.dtype(name) for name in _SAME}
_KEPT |= {np.dtype(name): np.dtype("int64") for name in _AS_INT64}
_KEPT[np.dtype("float16")] = np.dtype("float32")
#: The element type of texts.
TEXT = np.dtype(object)
_KEPT[TEXT] = np.dtype("int32")
#: The index of ONNX's text for an unknown key, unless a file has one of its own.
UNUSED = 0


class Value(NamedTuple):
    """A tensor and its element type in ONNX."""

    tensor: Tensor
    dtype: Any


def kept_as(dtype: Any) -> Any:
    """The element type here of one there.

    Raises:
        ModelFileError: there is none: complex numbers, 8 and 4 bits.

    Example:
        >>> kept_as(np.uint8).name, kept_as(np.float16).name
        ('int64', 'float32')
    """
    dtype = np.dtype(dtype)
    if dtype.name == "bfloat16":
        return np.dtype("float32")
    if dtype not in _KEPT:
        known = ", ".join(sorted(kind.name for kind in _KEPT if kind != TEXT))
        raise ModelFileError("An element type of ONNX that is not read.", expected=known,
                             found=dtype.name)  # fmt: skip
    return _KEPT[dtype]


def value_of(array: Any, dtype: Any = None) -> Value:
    """An array, or a tensor, as a value."""
    if isinstance(array, Tensor):
        return Value(array, np.dtype(dtype or array.dtype))
    array = np.asarray(array)
    kind = np.dtype(dtype or array.dtype)
    return Value(tensor(array.astype(kept_as(array.dtype))), kind)


def wrapped(x: Tensor, dtype: Any) -> Tensor:
    """Integers of few bits as they overflow in ONNX: modulo 2ⁿ."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 4 or dtype == np.int32:
        return x
    size = 2 ** (8 * dtype.itemsize)
    low = 0 if dtype.kind == "u" else -size // 2
    x = as_tensor(x, "int64")
    return (x - low) % size + low


def known(x: Tensor, what: str) -> Array:
    """The value of a tensor that must not depend on the inputs, such as a shape.

    Raises:
        ConfigError: it does.
    """
    if x.node.value is None:
        raise ConfigError(
            f"{what} depends on the values of the inputs, and not on their shapes alone.",
            expected="a constant",
            found="a computed tensor",
            hint="Call the module eagerly: without cr.compile, training and saving.",
        )
    return np.asarray(x.node.value)


def need_size(shape: Any) -> tuple[int, ...]:
    """A shape whose array fits into memory.

    Raises:
        ModelFileError: it does not: a file of a few bytes may ask for anything.
    """
    extents = tuple(int(extent) for extent in shape)
    total = 1
    for extent in extents:
        total *= extent
    if min(extents, default=0) < 0 or total > MAX_ELEMENTS:
        raise ModelFileError("An operator makes an array that is too large.",
                             expected=f"at most {MAX_ELEMENTS:,} elements",
                             found=f"shape {extents}"[:100])  # fmt: skip
    return extents


def indices_of(texts: Any, known: dict[str, int], where: str) -> Array:
    """The indices of texts; those that are not known yet are entered.

    Raises:
        ConfigError: something is no text, or the texts are no array.

    Example:
        >>> indices_of([["b"], ["new"]], known := {"a": 0, "b": 1}, "town").tolist(), known["new"]
        ([[1], [2]], 2)
    """
    array = np.asarray(texts)
    different, places = np.unique(array.astype(TEXT).ravel().astype(str), return_inverse=True)
    if array.dtype.kind != "U":
        strange = [x for x in array.astype(TEXT).ravel().tolist() if not isinstance(x, str)]
        if strange:
            raise ConfigError("This input takes texts.", where=where,
                              expected="an array of strings", found=f"{strange[0]!r:.80}",
                              hint="Models of tables take '' for a missing category.")  # fmt: skip
    codes = [known.setdefault(str(text), len(known)) for text in different]
    return np.array(codes, np.int32)[places].reshape(array.shape)


__all__ = [
    "MAX_ELEMENTS",
    "TEXT",
    "UNUSED",
    "Value",
    "indices_of",
    "kept_as",
    "known",
    "need_size",
    "value_of",
    "wrapped",
]

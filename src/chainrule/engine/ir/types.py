"""What a node's value is: an element type and a shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import numpy as np

from ...errors import TypeRuleError

DType = np.dtype[Any]

bool_ = np.dtype(np.bool_)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint32 = np.dtype(np.uint32)  # keys and bits of the random number generator
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

#: From the weakest to the strongest: the result of mixed arithmetic is the stronger type.
#: Unlike in NumPy an integer never widens a float: int64 + float32 is float32.
DTYPES: tuple[DType, ...] = (bool_, uint32, int32, int64, float32, float64)
_RANK = {dtype: rank for rank, dtype in enumerate(DTYPES)}
_CLASSES = {type(dtype) for dtype in DTYPES}


class Type(NamedTuple):
    """Element type and shape of a value, such as ``float32[128, 10]``."""

    dtype: DType
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"

    @property
    def size(self) -> int:
        """Number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    @property
    def is_float(self) -> bool:
        """Whether it has derivatives: float32 or float64."""
        return self.dtype.kind == "f"


class Record(Type):
    """Several types as one: that of a node with several results, such as ``(int64[], float32[3])``.

    Its value is a tuple of arrays. Only the operation `PART` takes it apart, and no user meets it.
    As a `Type` its element type is void and its shape is made of the types of the parts.
    """

    __slots__ = ()

    def __new__(cls, parts: Iterable[Type]) -> Record:  # noqa: D102
        return Type.__new__(cls, _VOID, cast("tuple[int, ...]", tuple(parts)))

    @property
    def parts(self) -> tuple[Type, ...]:
        """The types of the results, in order."""
        return cast("tuple[Type, ...]", self.shape)

    @property
    def size(self) -> int:
        """Number of elements of all parts."""
        return sum(part.size for part in self.parts)

    @property
    def is_float(self) -> bool:
        """Whether a part has derivatives."""
        return any(part.is_float for part in self.parts)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parts))})"


_VOID = np.dtype(np.void)


def as_dtype(dtype: Any) -> DType:
    """The element type for a name, a NumPy type or Python's ``float``, ``int``, ``bool``.

    Python's ``float`` means float32, the default of chainrule.
    """
    if dtype is float:
        return float32
    if type(dtype) in _CLASSES and dtype in _RANK:
        return cast("DType", dtype)
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in _RANK:
        raise TypeRuleError(
            "Unknown element type.",
            expected=", ".join(known.name for known in DTYPES),
            found=repr(dtype) if found is None else found.name,
            hint="Convert the data first, for example with array.astype('float32').",
        )
    return found


def promote(first: DType, second: DType) -> DType:
    """The element type of arithmetic between two types: the stronger one."""
    return first if _RANK[first] >= _RANK[second] else second


def type_of(value: Any) -> Type:
    """The type of an array, or of the tuple of arrays that is the value of a record."""
    if isinstance(value, tuple):
        return Record(map(type_of, value))
    return Type(value.dtype, value.shape)


def as_value(result: Any) -> Any:
    """What an operation computed as the value of a node: an array, or a tuple of arrays."""
    if isinstance(result, tuple):
        return tuple([np.asarray(part) for part in result])
    return np.asarray(result)

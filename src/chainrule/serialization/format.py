"""What writing and reading have in common: names, the digest, JSON for what JSON lacks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..utils.typing import Array

FORMAT = "chainrule"
VERSION = 1
#: What the names of arrays that are no variables start with.
CONSTANT = "constant:"


def leaves_of(argument: Any, name: str, known: Container[str] = ()) -> Iterator[tuple[str, Any]]:
    """The arrays in an argument, with names such as ``x`` or ``x.price``.

    What has one of the ``known`` names is an array, also if it is written as a list.
    """
    if name in known:
        yield name, argument
    elif isinstance(argument, dict):
        for key, value in argument.items():
            yield from leaves_of(value, f"{name}.{key}", known)
    elif isinstance(argument, (list, tuple)):
        for position, value in enumerate(argument):
            yield from leaves_of(value, f"{name}.{position}", known)
    else:
        yield name, argument


def plain(value: Any, where: str) -> Any:
    """JSON for a user's data; NaN and infinities are named, for JSON has none.

    Raises:
        ConfigError: there is no JSON for it.
    """
    try:
        return _plain(value, where)
    except RecursionError:
        raise ConfigError("This is too deeply nested for a model file.", where=where) from None


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError("This cannot be stored in a model file.", where=where,
                      expected="JSON: dicts with strings as keys, lists, numbers, strings",
                      found=f"{type(value).__name__} {value!r:.60}")  # fmt: skip


def restore(value: Any) -> Any:
    """What `plain` was given."""
    if isinstance(value, list):
        return [restore(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"float"} and value["float"] in ("nan", "inf", "-inf"):
            return float(value["float"])
        return {key: restore(item) for key, item in value.items()}
    return value


def digest_of(text: str, arrays: Mapping[str, Array]) -> str:
    """SHA-256 of the document and of the names, types and values of the arrays."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

"""Single weights by name: ``layers.0.weight[3,7]``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import numpy as np

from ..errors import ConfigError

_NAME = re.compile(r"(?P<path>[^\[\]]+?)\s*(?:\[\s*(?P<place>-?\d+(?:\s*,\s*-?\d+)*)\s*\])?\s*")


def parse_weight(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The weight in its canonical form: path and indices, from 0.

    Args:
        name: such as ``layers.0.weight[3,7]``; negative indices count from the end, and without
            indices the first element is meant.
        shapes: of the parameters by path.

    Raises:
        ConfigError: there is no such parameter or element; similar names are suggested.

    Example:
        >>> parse_weight("w[-1, 0]", {"w": (2, 3)})
        'w[1,0]'
    """
    match = _NAME.fullmatch(name.strip())
    path = match["path"].strip() if match else name
    if match is None or path not in shapes:
        raise _unknown(name, path, shapes)
    shape = shapes[path]
    text = match["place"]
    place = tuple(map(int, text.split(","))) if text else (0,) * len(shape)
    fits = len(place) == len(shape) and all(-n <= k < n for k, n in zip(place, shape, strict=True))
    if not fits:
        last = ",".join(str(n - 1) for n in shape)
        raise ConfigError(
            f"{path} has no such element.",
            where=f"weight {name!r}",
            expected=f"an index from [{','.join('0' for _ in shape)}] to [{last}]" if shape
            else "no index: it is a scalar",
            found=f"[{text}]",
            hint=f"The shape of {path} is {shape}; indices start at 0.",
        )  # fmt: skip
    return write(path, tuple(k % n for k, n in zip(place, shape, strict=True)))


def write(path: str, place: tuple[int, ...]) -> str:
    """Path and indices as one name."""
    return f"{path}[{','.join(map(str, place))}]" if place else path


def place_of(weight: str, path: str, shape: tuple[int, ...]) -> int | None:
    """The element in row-major order, if the weight is one of this parameter."""
    own, _, rest = weight.partition("[")
    if own != path:
        return None
    place = tuple(map(int, rest.rstrip("]").split(","))) if rest else ()
    return int(np.ravel_multi_index(place, shape)) if place else 0


def _unknown(name: str, path: str, known: Mapping[str, tuple[int, ...]]) -> ConfigError:
    paths = list(known)
    near = (
        difflib.get_close_matches(path, paths, 3, 0.4)
        or [one for one in paths if one.rpartition(".")[2] == path.rpartition(".")[2]][:3]
    )
    shown = ", ".join(paths[:12]) + (f" and {len(paths) - 12} more" if len(paths) > 12 else "")
    return ConfigError(
        "There is no such weight.",
        expected=shown,
        found=repr(name),
        hint=f"Did you mean {' or '.join(write(one, (0,) * len(known[one])) for one in near)}?"
        if near else None,
    )  # fmt: skip

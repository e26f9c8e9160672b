"""What graphs were lowered to before, kept beside the built programs.

Passes, schedule and C text depend on the graph alone, so what they gave is kept under a fingerprint
of the traced graph: a later process goes from the trace straight to the library.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .... import __version__
from ...ir.graph import Graph
from ...ir.node import Node
from ...ir.types import Type
from ...ops.rounding import ROUND_TO_BFLOAT16
from . import cache, toolchain
from .kernels.cpu import (
    Target,
    exact_target,
    target_in_use,
    tile_target,
    writing_for,
)
from .kernels.gemm import Product
from .lowered import Lowered, Stop

#: Graphs with more bytes of constants are not worth keeping.
_MOST_CONSTANTS = 1 << 20


def lowered(graph: Graph, donated: Mapping[int, int], guards: Sequence[int], fuse: bool) -> Lowered:
    """Lower a graph, or find what the same graph was lowered to before.

    Args:
        graph: what to compute.
        donated: positions of inputs that may be overwritten, with those of their next values.
        guards: positions of outputs that must be finite.
        fuse: whether loops are merged.

    Raises:
        UnsupportedError: there is no kernel for an operation.
    """
    key = _fingerprint(graph, donated, guards, fuse)
    known = None if key is None else _read(key)
    if known is None:
        from .lower import lower  # most processes find their programs in the cache

        known = lower(graph, dict(donated), guards, fuse)
        if key is not None:
            _write(key, known)
    return known


def target_for(graph: Graph, exact: bool = False) -> Target:
    """What the kernels of a graph are written for, on this machine.

    Tile registers are asked for only where they are used; they round as no other processor does.
    """
    if exact:
        return exact_target()
    return tile_target() if _rounds(graph) else target_in_use()


def _rounds(graph: Graph) -> bool:
    """Whether numbers are rounded in it, or in a loop."""
    bodies = (node.attributes.get("body") for node in graph.nodes)
    return any(node.op is ROUND_TO_BFLOAT16 for node in graph.nodes) or any(
        _rounds(body) for body in bodies if isinstance(body, Graph)
    )


def is_known(graph: Graph, donated: Mapping[int, int], guards: Sequence[int]) -> bool:
    """Whether a program of this graph was built before."""
    with writing_for(target_for(graph)):
        key = _fingerprint(graph, donated, guards, fuse=True)
    return key is not None and cache.find(key) is not None


# ---- the fingerprint -----------------------------------------------------------------------------


@functools.cache
def _generator() -> str:
    """What makes programs: this version of the package, to the file."""
    package = Path(__file__).parents[2]
    folders = (package / "backends" / "c", package / "passes", package / "ir")
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    stamps = [(str(file), (found := file.stat()).st_size, found.st_mtime_ns) for file in files]
    return repr((__version__, stamps))


class _UnknownError(Exception):
    """Something in a graph that no two processes would name alike."""


def _fingerprint(
    graph: Graph, donated: Mapping[int, int], guards: Sequence[int], fuse: bool
) -> str | None:
    """The same for the same work, layers and places in the user's code included."""
    digest = hashlib.sha256(_generator().encode())
    machine = target_in_use(), toolchain.threads_wanted()  # with the tiles measured on it
    how = sorted(donated.items()), list(guards), fuse, machine
    digest.update(repr(how).encode())
    try:
        _describe(graph, digest)
    except _UnknownError:
        return None
    return f"plan-{digest.hexdigest()[:40]}.json"


def _describe(graph: Graph, digest: Any) -> None:
    number = {node: position for position, node in enumerate(graph.nodes)}
    lines = []
    constants = 0
    for node in graph.nodes:
        name, kind, origin = node.op.name, node.type, node.origin
        where: Any = "" if origin is None else origin if node.op.stops else origin.layer
        shape = (kind.dtype.name, kind.shape) if type(kind) is Type else str(kind)
        sources = [number[source] for source in node.inputs]
        attributes = _attributes(node, digest) if node.attributes else ""
        lines.append(f"{name} {shape} {sources} {attributes} {where}")
        if node.value is not None:
            constants += node.value.nbytes
            if constants > _MOST_CONSTANTS:
                raise _UnknownError
            digest.update(node.value.tobytes())
    outputs = [number[node] for node in (*graph.inputs, *graph.outputs)]
    digest.update("\n".join([*lines, str(outputs)]).encode())


def _attributes(node: Node, digest: Any) -> list[Any]:
    found = []
    for name, value in node.attributes.items():
        if isinstance(value, Graph):
            _describe(value, digest)
            value = "graph"
        found.append((name, _plain(value)))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.dtype, np.generic, Type)):
        return repr(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise _UnknownError


# ---- the file ------------------------------------------------------------------------------------


def _read(name: str) -> Lowered | None:
    """A lowered graph from the cache; None if it is not there, or damaged."""
    text = cache.recall(name)
    if text is None:
        return None
    try:
        data = json.loads(text)
        constants = tuple(
            np.frombuffer(base64.b64decode(text), dtype).reshape(shape)
            for dtype, shape, text in data.pop("constants")
        )
        stops = tuple(Stop(**stop) for stop in data.pop("stops"))
        products = tuple(Product(**product) for product in data.pop("products"))
        return Lowered(**data, stops=stops, constants=constants, products=products)
    except (ValueError, KeyError, TypeError):
        return None


def _write(name: str, known: Lowered) -> None:
    """Keep a lowered graph; without a folder for it, or room, it is lowered again next time."""
    if sum(array.nbytes for array in known.constants) > _MOST_CONSTANTS:
        return
    data = asdict(known) | {
        "constants": [
            (array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode())
            for array in known.constants
        ]
    }
    with suppress(OSError):
        cache.keep(name, json.dumps(data))


def cached_products() -> Counter[Product]:
    """The matrix products of the programs in the cache, with the number of programs of each."""
    found: Counter[Product] = Counter()
    for path in cache.entries():
        known = _read(path.name) if path.name.startswith("plan-") else None
        if known is not None:
            found.update(known.products)
    return found

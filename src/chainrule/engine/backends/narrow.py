"""A backend whose products take bfloat16 numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...errors import ConfigError
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.types import float32
from ..passes.narrow import is_narrow, narrow_products
from .base import Backend, Executable


class NarrowBackend:
    """Builds programs with another backend, of graphs whose products take bfloat16 numbers.

    Args:
        inner: the other one.

    Raises:
        ConfigError: when a program is built whose products are all of float64.
    """

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.name, self.is_instant = inner.name, inner.is_instant

    @property
    def parts(self) -> int:
        """Over how many devices the other backend splits a batch."""
        return self._inner.parts

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Executable:
        """A program of `narrow_products`."""
        kinds = {node.type.dtype for node in _all_nodes(graph) if is_narrow(node)}
        if any(kind.kind == "f" for kind in kinds) and float32 not in kinds:
            raise ConfigError(
                "Products in bfloat16 are for networks in float32.",
                expected="parameters and inputs in float32", found="products in float64",
                hint="Convert them with astype('float32'), or omit the precision.",
            )  # fmt: skip
        return self._inner.build(narrow_products(graph), donated, guards, runs)


def _all_nodes(graph: Graph) -> Iterator[Node]:
    """Its nodes, and those of the bodies of its loops."""
    for node in graph.nodes:
        yield node
        body = node.attributes.get("body")
        if isinstance(body, Graph):
            yield from _all_nodes(body)

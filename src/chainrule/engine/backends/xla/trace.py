"""A graph as a function for JAX to trace: node by node, by the meaning that operations declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ...ir.graph import Graph
from ...ir.node import CONSTANT, PLACEHOLDER, Node
from ...ir.operation import Cost, Operation
from ...ir.types import Record, Type, float32
from ..base import UnsupportedError

if TYPE_CHECKING:
    from .row_sums import RowSums

Lowering = Callable[..., Any]


class Trace:
    """What a trace needs to know beside the graph, and what it finds.

    Args:
        lowerings: by operation what is traced instead of its ``compute``.
        narrow: whether products take bfloat16 operands, as `narrowed` gives them; what comes out of
            one stays so until something needs more digits.

    Attributes:
        fits: booleans of the operations that may refuse a value: all must be true in all of them.
    """

    def __init__(self, lowerings: dict[str, Lowering], narrow: bool = False) -> None:
        self.lowerings = lowerings
        self.narrow = narrow
        self.fits: list[Any] = []

    def require(self, fits: Any) -> None:
        """Stop the program, as it were, unless all these booleans are true."""
        self.fits.append(fits)

    def all_fit(self) -> Any:
        """Whether nothing was refused so far.

        Equal shapes are put together first: devices exchange what they find of each.
        """
        found: dict[tuple[int, ...], Any] = {}
        for fits in self.fits:
            shape = tuple(extent for extent in fits.shape if extent > 1)
            alike = fits.reshape(shape) if fits.size else jnp.ones((), bool)
            found[alike.shape] = found[alike.shape] & alike if alike.shape in found else alike
        whole = jnp.ones((), bool)
        for fits in found.values():
            whole = whole & fits.all()
        return whole

    def run(
        self, graph: Graph, inputs: Sequence[Any], row_sums: RowSums | None = None
    ) -> list[Any]:
        """The outputs of a graph, traced; the devices exchange ``row_sums`` all together."""
        values: dict[Node, Any] = dict(zip(graph.inputs, inputs, strict=True))
        late = () if row_sums is None else row_sums.late
        self._visit([node for node in graph.nodes if node not in late], values)
        if row_sums is not None:
            self._visit([node for node in graph.nodes if node in late], values, row_sums)
        return [_typed(values[node], node.type, narrow=False) for node in graph.outputs]

    def _visit(
        self, nodes: Sequence[Node], values: dict[Node, Any], row_sums: RowSums | None = None
    ) -> None:
        totals = {} if row_sums is None else row_sums.compute(self, values)
        for node in nodes:
            if row_sums is not None and node in totals:
                values[node] = row_sums.completed(node, totals[node], values)
            elif node.op is CONSTANT:
                values[node] = node.value
            elif node.op is not PLACEHOLDER:
                values[node] = self.apply(node, [values[source] for source in node.inputs])

    def inner(self) -> Trace:
        """A trace for the body of a loop, which reports for itself."""
        return Trace(self.lowerings, self.narrow)

    def narrowed(self, *operands: Any) -> tuple[Any, ...]:
        """Operands of a product: in bfloat16, if that is asked for, or else of one type."""
        if self.narrow and all(x.dtype in (jnp.float32, jnp.bfloat16) for x in operands):
            return tuple(x.astype(jnp.bfloat16) for x in operands)
        return operands

    def apply(self, node: Node, operands: list[Any]) -> Any:
        """The value of a node, from those of its operands."""
        own = self.lowerings.get(node.op.name)
        operands = [x if isinstance(x, tuple) else jnp.asarray(x) for x in operands]
        if self.narrow and not _keeps(node.op):
            operands = [widened(x) for x in operands]
        try:
            if own is not None:
                y = own(self, *operands, **node.attributes)
            else:
                assert node.op.compute is not None
                y = node.op.compute(jnp, *operands, **node.attributes)
        except _UNTRACEABLE as error:
            raise UnsupportedError(
                f"The operation {node.op.name} cannot be traced by JAX.",
                where=str(node.origin or "") or None,
                found=str(error).partition("\n")[0][:200],
                hint="Write its compute with the array namespace xp only, without NumPy.",
            ) from error
        return _typed(y, node.type, self.narrow)


#: What a compute that is not for JAX ends in.
_UNTRACEABLE = (
    jax.errors.TracerArrayConversionError,
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerBoolConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _keeps(op: Operation) -> bool:
    """Whether numbers in bfloat16 go into it as they are.

    Products round them anyway; what moves or compares elements, and arithmetic, adds no error
    worth a conversion. Sums, norms, exponentials and losses are computed in float32.
    """
    return op.moves or op.name in _PRODUCTS or (op.elementwise and op.cost <= Cost.SELECTION)


_PRODUCTS = {
    *("matmul", "attention", "attention_gradients", "part"),
    *("convolution", "transposed_convolution", "convolution_weights", "max_pool"),
}


def widened(x: Any) -> Any:
    """In float32, if it is in bfloat16; of several results each."""
    if isinstance(x, tuple):
        return tuple(map(widened, x))
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def _typed(y: Any, kind: Type, narrow: bool) -> Any:
    """The result with the element type that the type rule gives, or bfloat16 for float32."""
    if isinstance(kind, Record):
        return tuple(_typed(part, own, narrow) for part, own in zip(y, kind.parts, strict=True))
    y = jnp.asarray(y)
    assert y.shape == kind.shape, (y.shape, kind)
    if y.dtype == kind.dtype or (narrow and y.dtype == jnp.bfloat16 and kind.dtype == float32):
        return y
    return y.astype(kind.dtype)

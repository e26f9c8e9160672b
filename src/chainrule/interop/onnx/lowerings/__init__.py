"""How each operation of a graph is written with operators of ONNX: a record for each, by name.

A lowering takes the emitter, the node and the names of its operands, and gives the name of the
result, or a tuple of names. What has none is refused by name, with the reason (`REFUSED`). A test
walks the registry of operations: each one is in one of the two tables.
"""

from __future__ import annotations

from .arrangement import ARRANGEMENT
from .elementwise import ELEMENTWISE
from .loops import LOOPS
from .products import PRODUCTS
from .reductions import REDUCTIONS
from .refused import REFUSED
from .windows import WINDOWS

#: By the name of the operation.
LOWERINGS = {
    **ELEMENTWISE,
    **ARRANGEMENT,
    **REDUCTIONS,
    **PRODUCTS,
    **WINDOWS,
    **LOOPS,
}

__all__ = ["LOWERINGS", "REFUSED"]

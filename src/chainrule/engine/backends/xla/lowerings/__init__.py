"""What is traced instead of an operation's own ``compute``, where that is for NumPy only.

A lowering takes the trace that is going on (`Trace`), the operands and the attributes, and gives
what ``compute`` would. A test walks the registry of operations: each is traced with its own
``compute``, or has a lowering here. These modules import JAX.
"""

from __future__ import annotations

from .arrangement import ARRANGEMENT
from .elementwise import ELEMENTWISE
from .linear_algebra import LINEAR_ALGEBRA
from .loops import LOOPS
from .sequences import SEQUENCES
from .windows import WINDOWS

#: By the name of the operation.
LOWERINGS = {**ARRANGEMENT, **ELEMENTWISE, **LINEAR_ALGEBRA, **LOOPS, **SEQUENCES, **WINDOWS}

__all__ = ["LOWERINGS"]

"""What a backend is: it builds a program of a graph, which then runs.

A new backend is a class like these, in a folder of its own, and a line in `registry`. Nothing
outside asks which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...errors import ChainruleError, ConfigError, DataError
from ...utils.typing import Array
from ..ir.graph import Graph
from ..ir.node import Node

#: What users write for the precision of products, and what it is.
PRECISIONS = {
    "float32": "float32", "fp32": "float32", "bfloat16": "bfloat16", "bf16": "bfloat16",
}  # fmt: skip


def precision_of(name: str) -> str:
    """The precision that a user names.

    Raises:
        ConfigError: it is none.
    """
    if name not in PRECISIONS:
        raise ConfigError("Unknown precision.", expected="float32 or bf16", found=repr(name))
    return PRECISIONS[name]


class BuildError(ChainruleError):
    """A backend cannot build a program of this graph, or not on this machine."""


class UnsupportedError(BuildError):
    """A backend has no kernel for an operation."""


class Memory(Protocol):
    """Where variables stay between two calls, if not in arrays of NumPy: that of an accelerator."""

    def put(self, array: Array) -> Any:
        """A copy of the value of a variable, in this memory."""

    def seen(self, node: Node) -> Any:
        """The same of a value that is only read, copied once for each."""

    def is_lost(self, value: Any) -> bool:
        """Whether a call that failed has taken it, so that it cannot be fetched."""

    def fetch(self, value: Any) -> Array:
        """A copy of such a value as an array of NumPy."""

    def own_rows(self, rows: int) -> Array:
        """(rows,) which rows of a batch this process computes; others may hold anything."""


class Executable(Protocol):
    """A program: a graph made ready to run."""

    @property
    def graph(self) -> Graph:
        """What it computes."""

    @property
    def source(self) -> str:
        """Its text, for readers."""

    @property
    def memory(self) -> Memory | None:
        """Where it has the variables; None for arrays of NumPy.

        If there is one, a call replaces in the list of inputs those that it overwrites by their
        next values, and arguments are arrays of NumPy nevertheless.
        """

    @property
    def in_place(self) -> Collection[int]:
        """Positions of donated inputs that a call overwrites with their next values."""

    def __call__(self, inputs: list[Any], mark: object = None) -> list[Array]:
        """The outputs for these inputs, without those that were written in place.

        The mark stands for the values of the variables in `again`.
        """

    @property
    def run_steps(self) -> Callable[..., tuple[int, list[Array]]] | None:
        """Runs many steps in one call, as `chainrule.engine.backends.c.program.CProgram` does.

        None if steps are to be called one by one.
        """

    @property
    def again(self) -> Callable[..., list[Array] | None] | None:
        """Runs it with other arguments and the variables of the call before, as that does.

        None if a program doesn't remember where they are.
        """


class Backend(Protocol):
    """Builds programs.

    Attributes:
        name: how users ask for it.
        is_instant: whether building takes no time worth a thread of its own.
    """

    name: str
    is_instant: bool

    @property
    def parts(self) -> int:
        """Over how many devices a batch is split."""

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Executable:
        """A program.

        Args:
            graph: what to compute.
            donated: positions of inputs that may be overwritten, with those of the outputs that are
                their next values.
            guards: positions of outputs of one floating-point number; if one is not finite, no
                input may be overwritten.
            runs: about how often it will run at most, if that is known.

        Raises:
            BuildError: it cannot.
        """


def checked_order(order: Array, gathered: Mapping[int, Array]) -> Array:
    """The row numbers, (steps, batch) int64, none of them outside of the data.

    Raises:
        DataError: a number is.
    """
    rows = min((len(data) for data in gathered.values()), default=0)
    order = np.require(order, np.int64, ["C", "A"])
    if order.size and gathered and (order.min() < 0 or order.max() >= rows):
        raise DataError(
            "A row number is outside of the data.",
            expected=f"0 to {rows - 1}",
            found=f"{order.min()} to {order.max()}",
        )
    return order

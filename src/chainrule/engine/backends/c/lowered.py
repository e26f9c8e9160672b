"""What a graph is lowered to: all that is needed to build and to run a program."""

from __future__ import annotations

from dataclasses import dataclass

from ....utils.typing import Array
from .kernels.gemm import Product


@dataclass(frozen=True)
class Stop:
    """A kernel that may stop the program: its operation, where it comes from, what it reads."""

    operation: str
    where: str | None
    type: str


@dataclass(frozen=True)
class Lowered:
    """All that is needed to build and to run a program.

    Attributes:
        source: the C text.
        arena: bytes of working memory, scratch included.
        planned: bytes of its stored values.
        unplanned: what these would take if no two shared a place.
        stops: what may stop it, by number.
        constants: arrays that it reads.
        products: the matrix products in it, which may be measured.
    """

    source: str
    arena: int
    planned: int
    unplanned: int
    stops: tuple[Stop, ...]
    constants: tuple[Array, ...]
    products: tuple[Product, ...]

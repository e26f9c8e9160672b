"""The processors that kernels are written for: their vectors, their registers, the best tiles."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import autotune_cache, toolchain
from ..autotune_cache import TileChoice


@dataclass(frozen=True)
class Target:
    """What a processor offers.

    Attributes:
        name: for comments.
        vector: bytes of a vector; 0 for plain C without vectors.
        registers: vectors that it can hold.
        accumulators: vectors of C in a tile, by measurement on some machines.
        panel: width of a panel in vectors, likewise.
        short_panel: the same where a panel is short: wider tiles load less, if B is near.
        choices: what was measured on this very machine, by `Product.name` or `Product.kind`.
        alignment: bytes at whose multiples values begin in memory.
        frugal: whether operands are read where they are, and loops are plain C: no copies in
            panels, no buffers on the stack. Slower, and much smaller.
        threads: whether large kernels are written in parts for threads.
        exact: whether a·b + c is rounded once even where the processor has no instruction for it.
        tile_registers: whether products of bfloat16 numbers go through them: see `kernels.tiles`.
    """

    name: str
    vector: int
    registers: int
    accumulators: int
    panel: int
    short_panel: int
    choices: Mapping[str, TileChoice] = field(default_factory=dict, hash=False)
    alignment: int = 64
    frugal: bool = False
    threads: bool = True
    exact: bool = False
    tile_registers: bool = False

    def holds(self, rows: int, vectors: int) -> bool:
        """Whether a tile stays in registers: C, the shorter side, and one of the longer side.

        Example:
            >>> avx2 = TARGETS["avx2"]
            >>> avx2.holds(6, 2), avx2.holds(7, 2), avx2.holds(3, 4)
            (True, False, True)
        """
        return rows * vectors + min(rows, vectors) + 1 <= self.registers

    def tiles(self) -> list[tuple[int, int]]:
        """The tiles worth a measurement, as (rows, vectors): the default, then by loads.

        For rows·vectors multiplications a step loads rows + vectors values. Only the largest
        tiles that `holds` counts, which cannot be made taller or wider. Those of one row or one
        vector are left out, for they load more than they multiply.

        Example:
            >>> TARGETS["avx2"].tiles()
            [(6, 2), (4, 3), (3, 4), (2, 6)]
        """
        default = self.accumulators // self.panel, self.panel
        sides = range(2, self.registers)
        largest = [
            (rows, vectors)
            for rows in sides
            for vectors in sides
            if self.holds(rows, vectors)
            and not self.holds(rows + 1, vectors)
            and not self.holds(rows, vectors + 1)
        ]
        largest.sort(key=lambda tile: (sum(tile) / (tile[0] * tile[1]), tile[1]))
        return [default, *(tile for tile in largest if tile != default)][:_CANDIDATES]


#: Tiles that are measured against one another.
_CANDIDATES = 7

#: Tiles in single precision: 12 × 32, 6 × 16, 8 × 12, 4 × 8 and 4 × 4, of short products 6 × 64 and
#: 3 × 32 on the first two. Without a fused multiply-add one register takes the products. The last
#: two are for any processor: "plain" makes the most of its caches, "frugal" is for programs that
#: leave this machine, for small devices too.
TARGETS = {
    "avx512": Target("avx512", 64, 32, 24, 2, 4),
    "avx2": Target("avx2", 32, 16, 12, 2, 4),
    "neon": Target("neon", 16, 32, 24, 3, 3),
    "sse": Target("sse", 16, 15, 8, 2, 2),
    "plain": Target("plain", 0, 15, 8, 4, 4),
    "frugal": Target("frugal", 0, 15, 8, 4, 4, alignment=8, frugal=True, threads=False),
}

#: Targets of programs that leave this machine: one thread, the caller's memory.
PORTABLE = {
    "plain": TARGETS["frugal"],
    "avx2": replace(TARGETS["avx2"], threads=False),
    "neon": replace(TARGETS["neon"], threads=False),
}


def native_kind() -> Target:
    """The target for what the compiler makes programs for, or the processor, without a compiler."""
    try:
        return target_of(toolchain.find().extensions)
    except toolchain.CompilerError:
        return _kind_of_processor()


def target_of(extensions: Sequence[str]) -> Target:
    """The target for these of `toolchain.EXTENSIONS`.

    Example:
        >>> target_of(["__SSE2__", "__FMA__", "__AVX2__"]).name, target_of([]).name
        ('avx2', 'plain')
    """
    if "__AVX512F__" in extensions:
        return TARGETS["avx512"]
    if "__AVX2__" in extensions and "__FMA__" in extensions:
        return TARGETS["avx2"]
    if "__ARM_NEON" in extensions:
        return TARGETS["neon"]
    return TARGETS["sse" if "__SSE2__" in extensions else "plain"]


def _kind_of_processor() -> Target:
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return TARGETS["neon"]
    if machine not in ("x86_64", "amd64"):
        return TARGETS["plain"]
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return TARGETS["sse"]
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    if "avx512f" in flags:
        return TARGETS["avx512"]
    return TARGETS["avx2"] if {"avx2", "fma"} <= set(flags) else TARGETS["sse"]


@functools.cache
def native_target() -> Target:
    """The target for the processor that this runs on, with what was measured on it."""
    target, remembered = native_kind(), autotune_cache.read()
    if remembered is None:
        return target
    legal = {
        name: choice
        for name, choice in sorted(remembered.choices.items())
        if target.holds(choice.rows, choice.vectors)
    }
    return replace(target, choices=legal)


def exact_target() -> Target:
    """`native_target` for programs that have the same bits as those of any other target.

    It is the same where products and sums are fused by the processor.
    """
    target = native_target()
    return target if toolchain.fuses(toolchain.find().extensions) else replace(target, exact=True)


_chosen: ContextVar[Target | None] = ContextVar("target", default=None)


def target_in_use() -> Target:
    """The target that kernels are written for: `native_target`, unless `writing_for` says another.

    Example:
        >>> with writing_for(TARGETS["frugal"]):
        ...     target_in_use().name
        'frugal'
    """
    return _chosen.get() or native_target()


def tile_target() -> Target:
    """`target_in_use` for programs with products of bfloat16 numbers."""
    target = target_in_use()
    has_tiles = target.name == "avx512" and target.threads and toolchain.has_tiles()
    return replace(target, tile_registers=True) if has_tiles else target


@contextmanager
def writing_for(target: Target) -> Iterator[None]:
    """Within the block kernels are written for this target, in this thread."""
    token = _chosen.set(target)
    try:
        yield
    finally:
        _chosen.reset(token)

"""Where every stored value lives: one arena with fixed offsets, planned before anything runs.

A value lives from the kernel that computes it to the last that reads it. Values that live at the
same time must not overlap; the largest are placed first, each at the lowest offset that is free
during its life (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
2020). A loop may write its result over an operand that nobody reads later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ...ir.node import CONSTANT, Node
from .function import Place
from .kernel import Kernel, KernelSchedule, operands
from .kernels.cpu import target_in_use
from .kernels.scan import Layout
from .lowerings import OVERWRITING


@dataclass
class MemoryPlan:
    """The place of every stored value.

    Attributes:
        places: by node.
        arena: bytes of the arena.
        unplanned: bytes that the same values would take without sharing.
        constants: constants that are read from buffers, in order.
        copied_back: donated inputs that could not be overwritten: (input, its next value).
        bodies: the plans of loops over time and calls, whose arenas are values of this one.
    """

    places: dict[Node, Place]
    arena: int
    unplanned: int
    constants: list[Node]
    copied_back: list[tuple[Node, Node]]
    bodies: dict[Kernel, MemoryPlan]


@dataclass(eq=False)
class _Block:
    """Values that share one place, one after the other."""

    nodes: list[Node]
    size: int
    first: int
    last: int
    offset: int = 0


def plan_memory(
    schedule: KernelSchedule, donated: dict[Node, Node], constants: dict[Node, Place] | None = None
) -> MemoryPlan:
    """Give every stored value its place.

    Args:
        schedule: the kernels in order.
        donated: inputs whose next values are outputs; these are stored in the inputs' buffers.
        constants: of the whole program, to which those of this schedule are added.
    """
    places = {node: Place("input", number) for number, node in enumerate(schedule.inputs)}
    returned = [node for node in schedule.outputs if node not in set(donated.values())]
    places |= {node: Place("output", number) for number, node in enumerate(returned)}
    places |= {new: places[old] for old, new in schedule.donated.items()}
    copied_back = [(old, new) for old, new in donated.items() if old not in schedule.donated]
    constants = {} if constants is None else constants
    for node in _constants(schedule):
        constants.setdefault(node, Place("constant", len(constants)))
    places |= constants
    bodies = {
        kernel: plan_memory(kernel.body, {}, constants)
        for kernel in schedule.kernels
        if kernel.body is not None
    }

    last_use = _last_uses(schedule)
    last_use |= {new: len(schedule.kernels) for _, new in copied_back}
    places |= _made_in_results(schedule, places, last_use, set(returned))
    blocks = _blocks(schedule, places, last_use, bodies)
    arena = _place(blocks)
    for block in blocks:
        places |= {node: Place("arena", block.offset) for node in block.nodes}
    unplanned = sum(_bytes(node) for block in blocks for node in block.nodes)
    unplanned += sum(kernel.chunks * body.unplanned for kernel, body in bodies.items())
    return MemoryPlan(places, arena, unplanned, list(constants), copied_back, bodies)


def _made_in_results(
    schedule: KernelSchedule, places: dict[Node, Place], last_use: dict[Node, int],
    returned: set[Node],
) -> dict[Node, Place]:  # fmt: skip
    """Values that a result is but for some indices: made where that is returned, never copied.

    So is a cache whose rows are put in another order before a token is added. Nobody sees what a
    result's buffer holds before the end.
    """
    found: dict[Node, Place] = {}
    stored = {node for kernel in schedule.kernels for node in kernel.stores}
    for number, kernel in enumerate(schedule.kernels):
        node = kernel.nodes[0]
        is_one = node.op.in_place and all(source.type.size for source in node.inputs)
        if kernel.is_loop or node not in returned or not is_one:
            continue
        for old in _overwritable(kernel, schedule):
            if old in stored and old not in places and last_use[old] == number:
                found[old] = places[node]
    return found


def _constants(schedule: KernelSchedule) -> list[Node]:
    """Constants that kernels read from memory; single numbers in loops are written into the C."""
    found: dict[Node, None] = {}
    for kernel in schedule.kernels:
        for node in kernel.nodes:
            for view in operands(node, schedule.views):
                if view.base.op is CONSTANT and not (kernel.is_loop and view.base.type.size == 1):
                    found[view.base] = None
    return list(found)


def _last_uses(schedule: KernelSchedule) -> dict[Node, int]:
    last: dict[Node, int] = {}
    for number, kernel in enumerate(schedule.kernels):
        for node in kernel.nodes:
            for view in operands(node, schedule.views):
                last[view.base] = number
    return last


def _readers(schedule: KernelSchedule) -> Counter[Node]:
    """How many kernels read a value."""
    return Counter(
        base
        for kernel in schedule.kernels
        for base in {view.base for node in kernel.nodes for view in operands(node, schedule.views)}
    )


def _blocks(
    schedule: KernelSchedule,
    places: dict[Node, Place],
    last_use: dict[Node, int],
    bodies: dict[Kernel, MemoryPlan],
) -> list[_Block]:
    """The values to be placed in the arena; those that one can overwrite share a block.

    What fewer kernels read is overwritten first: it is in the caches of fewer processors.
    """
    readers = _readers(schedule)
    block_of: dict[Node, _Block] = {}
    for number, kernel in enumerate(schedule.kernels):
        if kernel in bodies:
            size = kernel.chunks * Layout(kernel, bodies[kernel].arena).bytes
            block_of[kernel.nodes[0]] = _Block([kernel.nodes[0]], size, number, number)
        overwritable = [
            node
            for node in _overwritable(kernel, schedule)
            if node in block_of and last_use[node] == number
        ]
        overwritable.sort(key=readers.__getitem__)
        for node in kernel.stores:
            if node in places:
                continue
            last = last_use.get(node, number)
            old = next((o for o in overwritable if _alike(o, node)), None)
            early = node.op.reduction is not None or (bool(kernel.tail) and node is kernel.nodes[0])
            if old is not None and not early:
                overwritable.remove(old)
                block = block_of[old]
                block.nodes.append(node)
                block.last = last
            else:
                block = _Block([node], _bytes(node), number, last)
            block_of[node] = block
    return list(dict.fromkeys(block_of.values()))


def _overwritable(kernel: Kernel, schedule: KernelSchedule) -> Iterable[Node]:
    """What the kernel reads element by element, each just before it writes there."""
    if not kernel.is_loop and not kernel.tail:
        node = kernel.nodes[0]
        over = node.op.name in OVERWRITING and not target_in_use().frugal  # takes some stack
        position = 0 if node.op.in_place or over else None
        reads = [(i, view) for i, view in enumerate(operands(node, schedule.views))]
        aligned = {view.base for i, view in reads if i == position and view.whole}
        return aligned - {view.base for i, view in reads if i != position}
    own = set(kernel.nodes)
    loop = kernel.tail or kernel.nodes
    reads_of_loop = [v for node in loop for v in operands(node, schedule.views)]
    other = {view.base for view in reads_of_loop if not view.whole}
    if kernel.tail:
        other |= {view.base for view in operands(kernel.nodes[0], schedule.views)}
    return dict.fromkeys(
        view.base for view in reads_of_loop if view.base not in own and view.base not in other
    )


def _alike(first: Node, second: Node) -> bool:
    return first.type.dtype == second.type.dtype and first.type.size == second.type.size


def _bytes(node: Node) -> int:
    size = max(node.type.size * node.type.dtype.itemsize, 1)
    alignment = target_in_use().alignment  # a cache line, so that no two threads write to one
    return -(-size // alignment) * alignment


def _place(blocks: list[_Block]) -> int:
    """Set the offsets; the bytes of the arena."""
    placed: list[_Block] = []
    for block in sorted(blocks, key=lambda b: (-b.size, b.first)):
        neighbours = [b for b in placed if b.first <= block.last and block.first <= b.last]
        for other in sorted(neighbours, key=lambda b: b.offset):
            if other.offset - block.offset >= block.size:
                break
            block.offset = max(block.offset, other.offset + other.size)
        placed.append(block)
    return max((block.offset + block.size for block in blocks), default=0)

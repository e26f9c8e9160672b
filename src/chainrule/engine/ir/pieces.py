"""A graph whose large part is arithmetic on elements, such as an update: the same for each weight.

Parts of the same form run as one function of NumPy, in pieces: small arrays one behind the other in
a single one, so that a network of many layers costs no more calls than one of few, and large arrays
cut, so that a piece stays in the cache from its first operation to its last. As only operations
that IEEE 754 rounds are taken, the results have the same bits as node by node.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

import numpy as np

from ...utils.background import in_background
from ...utils.typing import Array
from .graph import Graph
from .node import CONSTANT, Node
from .program import Program
from .types import DType, Type

#: Elements of a piece; arrays of fewer are put together.
_PIECE, _SMALL = 1 << 15, 1 << 13
#: After so many elements, about a quarter of a second of work, a native function is built.
_WORTH_BUILDING = 1 << 26

#: Fills outputs, the second argument, from leaves and numbers.
Compute = Callable[[Sequence[Array], Sequence[Array], Sequence[Array]], None]


class PieceProgram:
    """A graph made ready to run; see the module.

    Args:
        graph: what to compute.
        native: makes a faster function for parts of a form, of the leaves, the outputs and the
            numbers of a part, with the same bits. It is called in the background once much was
            computed, and may fail.
    """

    #: It overwrites no input, and steps are called one by one: see `engine.backends.base`.
    in_place = ()
    memory = None
    run_steps = None
    again = None

    def __init__(self, graph: Graph, native: Callable[[Part], Compute] | None = None) -> None:
        self.graph = graph
        parts = _parts(graph)
        of_form: dict[Any, list[Part]] = defaultdict(list)
        for part in parts:
            of_form[part.form].append(part)
        inputs = set(graph.inputs)
        inside = {node for part in parts for node in part.outputs}
        rest = dict.fromkeys(node for node in graph.outputs if node not in inside)
        for part in parts:
            rest.update(dict.fromkeys(part.numbers))
            rest.update(dict.fromkeys(leaf for leaf in part.leaves if leaf not in inputs))
        self._rest = Program(Graph(graph.inputs, list(rest)))
        known = [*graph.inputs, *rest]
        self._forms = []
        for alike in of_form.values():
            place = {node: number for number, node in enumerate(known)}
            form = _Form(alike, place, native)
            self._forms.append(form)
            known += form.outputs
        place = {node: number for number, node in enumerate(known)}
        self._outputs = [place[node] for node in graph.outputs]

    @property
    def source(self) -> str:
        """The graph as text."""
        return str(self.graph)

    def __call__(self, inputs: Sequence[Array], mark: object = None) -> list[Array]:
        """The outputs for these inputs, in the graph's order."""
        known = [*inputs, *self._rest(inputs)]
        with np.errstate(all="ignore"):
            for form in self._forms:
                known += form.run(known)
        return [known[number] for number in self._outputs]


# ---- what is alike -------------------------------------------------------------------------------


class Part:
    """Nodes that compute element by element on arrays of one shape.

    Attributes:
        nodes: in order.
        leaves: the arrays that they read.
        numbers: the single numbers that they read, without constants.
        outputs: those of the nodes that are results.
        form: the same for parts that one function computes.
    """

    def __init__(self, nodes: Sequence[Node], results: set[Node]) -> None:
        self.nodes = nodes
        self.outputs = [node for node in nodes if node in results]
        leaves: dict[Node, int] = {}
        numbers: dict[Node, None] = {}
        inside = {node: number for number, node in enumerate(nodes)}
        form: list[Any] = [inside[node] for node in self.outputs]
        for node in nodes:
            form += (node.op, node.type.dtype, *node.attributes.items())
            for source in node.inputs:
                number = number_of(source)
                if source in inside:
                    form.append(inside[source])
                elif number is None:
                    form.append((leaves.setdefault(source, len(leaves)), source.type.dtype))
                elif number.op is CONSTANT and number.value is not None:
                    form.append((number.type.dtype, number.value.tobytes()))
                else:
                    numbers[number] = None
                    form.append(number)
        self.leaves, self.numbers = list(leaves), list(numbers)
        self.form = tuple(form)


def number_of(node: Node) -> Node | None:
    """The single number that a node is, or repeats."""
    if node.op.repeats and not node.inputs[0].type.shape:
        return node.inputs[0]
    return node if node.op is CONSTANT and node.type.size == 1 else None


def _is_arithmetic(node: Node) -> bool:
    """Whether an element has the same bits in an array of any shape."""
    return node.op.elementwise and node.op.exact and not node.op.stops and bool(node.type.shape)


def _parts(graph: Graph) -> list[Part]:
    """The parts of a graph that results come from."""
    group_of: dict[Node, set[Node]] = {}
    for output in graph.outputs:
        found: set[Node] = set()
        stack = [output] if _is_arithmetic(output) else []
        while stack:
            node = stack.pop()
            found.add(node)
            stack += [x for x in node.inputs if _is_arithmetic(x) and x not in found]
        group = found.union(*[group_of[node] for node in found if node in group_of])
        group_of |= dict.fromkeys(group, group)
    groups = {id(group): group for group in group_of.values()}.values()
    results = set(graph.outputs)
    place = {node: number for number, node in enumerate(graph.nodes)}
    return [Part(sorted(group, key=place.__getitem__), results) for group in groups]


# ---- one function for all that are alike ---------------------------------------------------------


class _Form:
    """Parts of one form.

    A call may find that small arrays are where the last one has put them, one behind the other.

    Args:
        parts: those of the form.
        place: of what is known, by node.
        native: see `PieceProgram`.

    Attributes:
        outputs: what `run` gives.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        place: Mapping[Node, int],
        native: Callable[[Part], Compute] | None,
    ) -> None:
        self._function, self._scratch = _written(parts[0])
        self._faster = None if native is None else _Faster(partial(native, parts[0]))
        self._numbers = [place[node] for node in parts[0].numbers]
        small = [part for part in parts if part.nodes[0].type.size <= _SMALL]
        small = small if len(small) > 1 else []
        large = [part for part in parts if part not in small]
        self._large = [([place[leaf] for leaf in x.leaves], _types(x.outputs)) for x in large]
        leaves = zip(*[part.leaves for part in small], strict=True)
        outputs = list(zip(*[part.outputs for part in small], strict=True))
        self.outputs = [node for part in large for node in part.outputs]
        self.outputs += [node for nodes in outputs for node in nodes]
        self._small_leaves = [[place[node] for node in nodes] for nodes in leaves]
        self._small = [nodes[0].type.dtype for nodes in outputs]
        self._windows, self._size = _windows([part.nodes[0].type for part in small])
        self._made: list[tuple[list[Array], Array]] = []

    def run(self, known: Sequence[Array]) -> list[Array]:
        """The outputs, from what is known."""
        numbers = [known[place] for place in self._numbers]
        found: list[Array] = []
        for leaves, types in self._large:
            given = [known[place].reshape(-1) for place in leaves]
            made = [np.empty(kind.shape, kind.dtype) for kind in types]
            self._compute(given, [array.reshape(-1) for array in made], numbers)
            found += made
        if self._small:
            given = [self._together([known[place] for place in one]) for one in self._small_leaves]
            made = [np.empty(self._size, dtype) for dtype in self._small]
            self._compute(given, made, numbers)
            self._made = []
            for whole in made:
                shown = [
                    whole[where] if shape is None else whole[where].reshape(shape)
                    for where, shape in self._windows
                ]
                self._made.append((shown, whole))
                found += shown
        return found

    def _together(self, arrays: list[Array]) -> Array:
        """All their elements, one behind the other."""
        for windows, whole in self._made:
            if all(map(operator.is_, windows, arrays)):
                return whole
        return np.concatenate(arrays, axis=None)

    def _compute(
        self, given: Sequence[Array], made: Sequence[Array], numbers: Sequence[Array]
    ) -> None:
        """Fill what is made, piece by piece."""
        size = made[0].size
        scratch = [np.empty(min(size, _PIECE), dtype) for dtype in self._scratch]
        if size <= _PIECE:  # so few that a native call would hardly take less time
            self._function(*given, *made, *numbers, *scratch)
            return
        faster = None if self._faster is None else self._faster.after(size)
        if faster is not None:
            faster(given, made, numbers)
            return
        for start in range(0, size, _PIECE):
            piece = slice(start, start + _PIECE)
            left = min(_PIECE, size - start)
            self._function(
                *[array[piece] for array in given], *[array[piece] for array in made],
                *numbers, *[array[:left] for array in scratch],
            )  # fmt: skip


class _Faster:
    """A function that is built in the background once so much was computed that it is worth it."""

    def __init__(self, build: Callable[[], Compute]) -> None:
        self._build = build
        self._done = 0
        self._building: Future[Compute] | None = None
        self._function: Compute | None = None

    def after(self, size: int) -> Compute | None:
        """The function, if it is there; otherwise so many more elements are computed without it."""
        if self._function is None:
            self._done += size
            if self._building is None:
                if self._done >= _WORTH_BUILDING:
                    self._building = in_background(self._build)
            elif self._building.done() and self._building.exception() is None:
                self._function = self._building.result()
        return self._function


def _types(nodes: Iterable[Node]) -> list[Type]:
    return [node.type for node in nodes]


def _windows(types: Sequence[Type]) -> tuple[list[tuple[slice, tuple[int, ...] | None]], int]:
    """Where values of these types are, one behind the other; their shapes, but those of vectors;
    and how many elements they have.
    """  # noqa: D205
    found: list[tuple[slice, tuple[int, ...] | None]] = []
    end = 0
    for kind in types:
        start, end = end, end + kind.size
        found.append((slice(start, end), None if len(kind.shape) == 1 else kind.shape))
    return found, end


def _written(part: Part) -> tuple[Any, list[DType]]:
    """The function that computes a part, and the element types of the arrays that it needs beside.

    Its arguments are the leaves, the outputs, the numbers and these arrays.
    """
    places, scratch = _places(part)
    name = places | {leaf: f"leaf{i}" for i, leaf in enumerate(part.leaves)}
    numbers: dict[Node, str] = {number: f"number{i}" for i, number in enumerate(part.numbers)}
    values: dict[str, Any] = {"np": np}
    lines = []
    for count, node in enumerate(part.nodes):
        given = []
        for source in node.inputs:
            number = number_of(source)
            if number is None or source in name:
                given.append(name[source])
                continue
            if number not in numbers:  # a constant
                numbers[number] = f"number{len(numbers)}"
                values[numbers[number]] = np.reshape(cast(Array, number.value), ())
            given.append(numbers[number])
        call, y = f"f{count}", name[node]
        into = node.op.into or node.op.numpy
        if node.op.into or isinstance(into, np.ufunc):
            values[call] = into
            lines.append(f" {call}({', '.join(given)}, out={y})")
        else:
            values[call] = partial(cast(Any, node.op.compute), np, **node.attributes)
            lines.append(f" y = {call}({', '.join(given)})")
            lines.append(f" if y is not {y}: {y}[...] = y")
    arguments = [
        *[name[leaf] for leaf in part.leaves], *[name[node] for node in part.outputs],
        *[numbers[number] for number in part.numbers],
        *[f"scratch{i}" for i in range(len(scratch))],
    ]  # fmt: skip
    exec("\n".join([f"def run({', '.join(arguments)}):", *lines]), values)
    return values["run"], scratch


def _places(part: Part) -> tuple[dict[Node, str], list[DType]]:
    """Where each node is computed, and the element types of the scratch arrays.

    That is over an operand which nobody needs any more, so that most nodes are computed in the
    place of the output that they lead to.
    """
    last_use = {source: node for node in part.nodes for source in node.inputs}
    places = {node: f"output{number}" for number, node in enumerate(part.outputs)}

    def over(node: Node) -> list[Node]:
        """The operands over which it may be written."""
        return [
            source
            for source in node.inputs
            if source in own and last_use[source] is node and source.type == node.type
        ]

    own = set(part.nodes)
    for node in reversed(part.nodes):
        before = [source for source in over(node) if source not in places]
        if node in places and before:
            places[before[0]] = places[node]
    scratch: list[DType] = []
    free: list[tuple[DType, str]] = []
    lent: dict[Node, tuple[DType, str]] = {}
    for node in part.nodes:
        done = {source for source in node.inputs if last_use[source] is node and source in lent}
        kind = node.type.dtype
        if node in places:
            free += [lent.pop(source) for source in done]
            continue
        free += [lent.pop(source) for source in done.intersection(over(node))]
        fitting = [one for one in free if one[0] == kind]
        if fitting:
            free.remove(fitting[-1])
        else:
            scratch.append(kind)
        lent[node] = fitting[-1] if fitting else (kind, f"scratch{len(scratch) - 1}")
        places[node] = lent[node][1]
        free += [lent.pop(source) for source in done if source in lent]
    return places, scratch

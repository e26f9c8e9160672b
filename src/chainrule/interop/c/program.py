"""What is written as C: functions with their arguments, and the variables that they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...engine.backends.c.standalone import Task
from ...engine.compile import Traced
from ...engine.ir.graph import Graph
from ...engine.ir.node import Node, constant
from ...engine.ir.types import Type
from ...engine.passes.rewrite import with_inputs
from ...engine.tensor import Variable
from ...utils.typing import Array

#: Variables begin at multiples of this in the state.
ALIGNMENT = 8


@dataclass(frozen=True)
class Argument:
    """What a function takes or gives.

    Attributes:
        name: an identifier.
        type: as it lies in memory, in C order.
        about: what it means, for the comment.
        extent: a name for the number of its elements, by which the header calls it.
    """

    name: str
    type: Type
    about: str = ""
    extent: str = ""


@dataclass(frozen=True)
class Entry:
    """A function of the header.

    Attributes:
        name: after the prefix.
        about: what it does.
        task: the graph; its inputs are the arguments, then variables of the state.
        arguments: what it takes.
        results: what it gives, through pointers.
        variables: the numbers of the variables that it reads, in the order of the graph's inputs.
        reference: the same for the reference, where that cannot run the graph itself.
    """

    name: str
    about: str
    task: Task
    arguments: Sequence[Argument]
    results: Sequence[Argument]
    variables: Sequence[int] = ()
    reference: Graph | None = None

    @property
    def changes(self) -> bool:
        """Whether it changes the state."""
        return bool(self.task.donated)


@dataclass(frozen=True)
class Stored:
    """A variable of the state: its name, its first value, where it begins."""

    name: str
    value: Array
    offset: int


@dataclass
class Program:
    """All that a header declares.

    Attributes:
        prefix: all names begin with it.
        entries: the functions.
        state: the variables that functions change.
        number: the C type of raw rows and predictions, which gets a name; none if empty.
        declarations: of the header besides, such as columns, classes and categories.
        definitions: that belong to them.
        notes: what whoever uses it has to know, as sentences.
        title: what it is, in a line.
        processor: one of `processors.PROCESSORS`, for which the kernels are written.
        exact: whether the bits are to be the same on every processor.
    """

    prefix: str
    entries: list[Entry]
    state: list[Stored] = field(default_factory=list)
    number: str = ""
    declarations: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    title: str = "a function"
    processor: str = "plain"
    exact: bool = False

    @property
    def state_bytes(self) -> int:
        """How large the state is."""
        if not self.state:
            return 0
        last = self.state[-1]
        return last.offset + _aligned(last.value.nbytes)


def _aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


class State:
    """The variables that functions change, numbered.

    Args:
        traced: all functions of a program.
    """

    def __init__(self, traced: Sequence[Traced]) -> None:
        changed = {id(v): v for one in traced for v in one.assigned}
        self.variables: list[Variable] = list(changed.values())
        self._number = {key: number for number, key in enumerate(changed)}

    def number_of(self, variable: Variable) -> int | None:
        """Its number; None of a variable that no function changes."""
        return self._number.get(id(variable))

    def stored(self, names: Mapping[int, str] | None = None) -> list[Stored]:
        """The variables as they are now."""
        found, end = [], 0
        for number, variable in enumerate(self.variables):
            name = (names or {}).get(id(variable)) or variable.name or f"variable {number}"
            value = variable.numpy()
            found.append(Stored(name, value, end))
            end += _aligned(value.nbytes)
        return found


def entry_of(
    name: str,
    about: str,
    traced: Traced,
    arguments: Sequence[Argument],
    results: Sequence[Argument],
    state: State,
    guards: Sequence[int] = (),
) -> Entry:
    """A traced function: its variables become constants, or parts of the state.

    Args:
        name: after the prefix.
        about: what it does.
        traced: the function.
        arguments: of the graph's first inputs, in order.
        results: of the graph's first outputs, in order.
        state: of all functions.
        guards: outputs that have to be finite, or else nothing is changed.
    """
    graph = traced.graph
    first, count = len(graph.inputs) - len(traced.variables), len(graph.outputs)
    values: dict[Node, Array] = {}
    numbers: list[int] = []
    position: dict[int, int] = {}
    for place, variable in enumerate(traced.variables, first):
        number = state.number_of(variable)
        if number is None:
            values[graph.inputs[place]] = variable.numpy()
        else:
            position[place] = first + len(numbers)
            numbers.append(number)
    donated = {position[i]: j for i, j in traced.donated.items()}
    assert len(results) + len(donated) == count
    task = Task(with_constants(graph, values), donated, guards)
    return Entry(name, about, task, arguments, results, numbers)


def with_constants(graph: Graph, values: Mapping[Node, Array]) -> Graph:
    """The graph with constants in the place of some of its inputs."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in values:
            new[node] = constant(values[node])
        else:
            new[node] = with_inputs(node, tuple(new[source] for source in node.inputs))
    inputs = [new[node] for node in graph.inputs if node not in values]
    return Graph(inputs, [new[node] for node in graph.outputs])

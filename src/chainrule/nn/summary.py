"""The table of a network's layers: paths, output shapes, parameter counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..engine import pytree
from ..engine.compile import trace
from ..engine.ir.types import Type, float32
from ..engine.tensor import Buffer, Parameter, Tensor, Variable, as_tensor
from .hooks import observe

__all__ = ["Row", "Summary", "summarize"]


class Network(Protocol):
    """What is needed of a `Module`."""

    def __call__(self, *inputs: Any) -> Any: ...
    def named_modules(self) -> Iterator[tuple[str, Network]]: ...
    def variables(self) -> dict[str, Variable]: ...
    def title(self) -> str: ...


@dataclass
class Row:
    """One layer of a summary; the numbers count its own variables, not those of layers inside."""

    path: str
    layer: str
    outputs: list[str] = field(default_factory=list)  # the shape that each call gave
    trainable: int = 0
    frozen: int = 0
    buffers: int = 0


@dataclass
class Summary:
    """What `Module.summary` gives: prints as a table, and has the numbers.

    Attributes:
        name: the class of the module.
        rows: the layers inside, in the order of their paths; the module itself comes first if it
            has variables of its own or nothing is inside.
        trainable: number of parameters that are learned.
        frozen: number of parameters that are not learned now.
        buffers: numbers that are never learned, such as running statistics.
        bytes: size of all of them.
        traced: whether output shapes are known.
    """

    name: str
    rows: list[Row]
    trainable: int
    frozen: int
    buffers: int
    bytes: int
    traced: bool

    @property
    def parameters(self) -> int:
        """Number of parameters, trainable and frozen."""
        return self.trainable + self.frozen

    def __str__(self) -> str:
        frozen = f" ({self.frozen:,} frozen)" if self.frozen else ""
        buffers = f" and {self.buffers:,} numbers in buffers" if self.buffers else ""
        counts = f"{self.parameters:,} parameters{frozen}{buffers}"
        head = f"{self.name}: {counts}, {_size(self.bytes)}"
        titles = ["path", "layer", *["output"] * self.traced, "parameters"]
        lines = [self._cells(row) for row in self.rows]
        return "\n".join([head, *_columns([titles, *lines])])

    __repr__ = __str__

    def _cells(self, row: Row) -> list[str]:
        count = f"{row.trainable + row.frozen:,}"
        if row.frozen:
            count = f"{'' if row.trainable else 'frozen '}{count}"
        return [row.path, row.layer, *[_calls(row.outputs)] * self.traced, count]


def summarize(module: Network, *examples: Any) -> Summary:
    """The summary of a module; see `Module.summary`."""
    rows = {path: Row(path or "(itself)", one.title()) for path, one in module.named_modules()}
    if examples:
        paths = {id(one): path for path, one in module.named_modules()}

        def note(path: str, one: Network, inputs: Any, result: Any) -> None:
            if id(one) in paths:
                rows[paths[id(one)]].outputs.append(_shapes(result))

        with observe(note):
            trace(module, *(_example(one) for one in examples))
    variables = module.variables()
    for path, variable in variables.items():
        row = rows[_owner(path, rows)]
        if isinstance(variable, Parameter):
            kind = "trainable" if variable.requires_grad else "frozen"
        else:
            kind = "buffers"
        setattr(row, kind, getattr(row, kind) + variable.size)
    own = rows.pop("")
    if own.trainable or own.frozen or own.buffers or not rows:
        rows = {"": own, **rows}
    return Summary(
        type(module).__name__,
        list(rows.values()),
        sum(p.size for p in variables.values() if isinstance(p, Parameter) and p.requires_grad),
        sum(p.size for p in variables.values() if isinstance(p, Parameter) and not p.requires_grad),
        sum(b.size for b in variables.values() if isinstance(b, Buffer)),
        sum(v.size * v.dtype.itemsize for v in variables.values()),
        traced=bool(examples),
    )


def _example(given: Any) -> Any:
    """An input, of which only the type counts; a tuple of integers is a shape."""
    if isinstance(given, Type):
        return given
    if isinstance(given, tuple) and all(isinstance(extent, int) for extent in given):
        return Type(float32, given)
    return given if isinstance(given, (dict, list, tuple)) else as_tensor(given)


def _owner(path: str, rows: dict[str, Row]) -> str:
    """The path of the innermost module around a variable."""
    while path not in rows:
        path = path.rpartition(".")[0]
    return path


def _shapes(result: Any) -> str:
    return ", ".join(str(x.shape) for x in pytree.flatten(result)[0] if isinstance(x, Tensor))


def _calls(outputs: list[str]) -> str:
    """The output of each call, equal ones named once."""
    different = list(dict.fromkeys(outputs))
    times = f" ×{len(outputs)}" if len(outputs) > len(different) == 1 else ""
    return "; ".join(different) + times if outputs else "not called"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Text in columns: the last one, of numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)]
            + [line[-1].rjust(widths[-1])]
        )
        for line in lines
    ]

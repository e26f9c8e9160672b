"""Writes the nodes of an ONNX graph: names, constants, shapes that depend on the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import ConfigError
from ...utils.typing import Array
from ..extras import need

#: The versions that common runtimes read: see docs/onnx.md.
OPSET, IR_VERSION = 17, 8
#: The format's version that came with each version of the operators, and which are written.
IR_OF_OPSET = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


class Rows(NamedTuple):
    """An extent that depends on the number of rows n: a·n + b."""

    a: int
    b: int


Extent = int | Rows


def times(extent: Extent, factor: int) -> Extent:
    """A multiple of an extent."""
    if isinstance(extent, Rows):
        return Rows(extent.a * factor, extent.b * factor)
    return extent * factor


def plus(extent: Extent, more: int) -> Extent:
    """An extent and a number more."""
    return Rows(extent.a, extent.b + more) if isinstance(extent, Rows) else extent + more


class Emitter:
    """A graph under construction. Values are known by name; names are numbers, never a user's.

    Args:
        opset: the version of the operators.
        names: what some arrays are called: parameters by the place in memory of their arrays.
    """

    def __init__(self, opset: int = OPSET, names: dict[int, str] | None = None) -> None:
        self.onnx = need("onnx", "onnx", "ONNX")
        if opset not in IR_OF_OPSET:
            raise ConfigError(
                "This version of the operators of ONNX is not written.",
                expected=f"an opset from {min(IR_OF_OPSET)} to {max(IR_OF_OPSET)}",
                found=str(opset),
                hint=f"Omit --opset (opset=): {OPSET} is read by most runtimes.",
            )
        self.opset = opset
        self.nodes: list[Any] = []
        self._outermost = self.nodes
        self.initializers: dict[str, Any] = {}
        self.custom_domains: set[str] = set()
        self._names = names or {}
        self._kept: list[Any] = []  # arrays whose addresses are keys
        self._constants: dict[Any, str] = {}
        self._count = 0
        self._used: set[str] = set()
        self._transposed: dict[str, tuple[str, list[int]]] = {}
        self._rows: str | None = None
        #: The input whose first extent is the number of rows.
        self.rows_of: str | None = None

    # ---- nodes and constants -------------------------------------------------------------------

    def fresh(self, hint: str = "v") -> str:
        """A name that is not in use."""
        self._count += 1
        return self.reserve(f"{hint}{self._count}")

    def reserve(self, name: str) -> str:
        """This name, or one like it if it is in use."""
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name

    def op(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one result, and the name of that."""
        return self.ops(operator, 1, *inputs, domain=domain, **attributes)[0]

    def ops(
        self, operator: str, results: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node with several results, and their names."""
        if operator == "Transpose":
            inputs, attributes = self._merged(inputs[0], attributes["perm"])
            if attributes["perm"] == sorted(attributes["perm"]):
                return list(inputs)
        names = [self.fresh() for _ in range(results)]
        if operator == "Transpose":
            self._transposed[names[0]] = (inputs[0], attributes["perm"])
        kept = {key: value for key, value in attributes.items() if value is not None}
        node = self.onnx.helper.make_node(operator, list(inputs), names, domain=domain, **kept)
        self.nodes.append(node)
        if domain:
            self.custom_domains.add(domain)
        return names

    def _merged(self, x: str, perm: Sequence[int]) -> tuple[tuple[str], dict[str, Any]]:
        """A transposition of what was transposed before, in one."""
        source, first = self._transposed.get(x, (x, list(range(len(perm)))))
        return (source,), {"perm": [first[axis] for axis in perm]}

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of an array of the file; equal ones are kept once."""
        array = np.asarray(value, dtype)
        named = self._names.get(id(value))
        key: Any = named or (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.reserve(named) if named else self.fresh("c")
            tensor = self.onnx.numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(array.shape), name
            )
            if named:
                self.initializers[name] = tensor
            else:  # no parameter, for whoever trains the file
                node = self.onnx.helper.make_node("Constant", [], [name], value=tensor)
                self._outermost.append(node)
            self._constants[key] = name
            self._kept.append(value)
        return self._constants[key]

    def arranged(self, name: str, axes: Sequence[int], value: Array | None) -> str:
        """A value with its axes in another order; weights are written in that order."""
        if value is None:
            return self.op("Transpose", name, perm=list(axes))
        key = ("arranged", id(value), tuple(axes))
        if key not in self._constants:
            called = f"{self._names[id(value)]}:" if id(value) in self._names else "c"
            made = self.fresh(called)
            turned = np.ascontiguousarray(value.transpose(axes))
            self.initializers[made] = self.onnx.numpy_helper.from_array(turned, made)
            self._constants[key] = made
            self._kept.append(value)
        return self._constants[key]

    def ints(self, values: Sequence[int]) -> str:
        """A list of integers as a constant."""
        return self.constant(np.array(list(values), np.int64))

    def lower(self, graph: Any, inputs: Sequence[str]) -> list[str]:
        """Write the nodes of a graph within this one; the names of its outputs."""
        raise NotImplementedError

    def finished(self, outputs: Sequence[str]) -> tuple[list[Any], list[Any]]:
        """The nodes and initialisers that the outputs depend on."""
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                nodes.append(node)
                needed |= read_by(node)
        kept = [tensor for name, tensor in self.initializers.items() if name in needed]
        return nodes[::-1], kept

    # ---- shapes --------------------------------------------------------------------------------

    def extents(self, shape: Sequence[Extent]) -> str:
        """A shape as a tensor of integers, computed where it depends on the number of rows."""
        if not any(isinstance(extent, Rows) for extent in shape):
            return self.ints([int(extent) for extent in shape])  # type: ignore[arg-type]
        parts: list[str] = []
        fixed: list[int] = []
        for extent in shape:
            if isinstance(extent, Rows):
                parts += [self.ints(fixed)] if fixed else []
                parts.append(self.extent(extent))
                fixed = []
            else:
                fixed.append(extent)
        parts += [self.ints(fixed)] if fixed else []
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def extent(self, extent: Rows) -> str:
        """a·n + b as a tensor of one integer; computed outside of loops."""
        key = ("rows", extent)
        if key not in self._constants:
            inside, self.nodes = self.nodes, self._outermost
            name = self.row_count()
            if extent.a != 1:
                name = self.op("Mul", name, self.ints([extent.a]))
            if extent.b:
                name = self.op("Add", name, self.ints([extent.b]))
            self.nodes = inside
            self._constants[key] = name
        return self._constants[key]

    def row_count(self) -> str:
        """The number of rows, as a tensor of one integer."""
        if self._rows is None:
            assert self.rows_of is not None
            shape = self.op("Shape", self.rows_of)
            self._rows = self.op("Slice", shape, self.ints([0]), self.ints([1]))
        return self._rows

    def new_shape(self, shape: Sequence[Extent]) -> str:
        """What `Reshape` takes: the one extent that depends on the rows is -1 there."""
        growing = [i for i, extent in enumerate(shape) if isinstance(extent, Rows)]
        rest = [extent for extent in shape if not isinstance(extent, Rows)]
        if len(growing) == 1 and 0 not in rest:
            return self.ints([-1 if isinstance(extent, Rows) else extent for extent in shape])
        return self.extents(shape)

    # ---- what changed between versions ----------------------------------------------------------

    def reduce(self, operator: str, x: str, axes: Sequence[int], keep: bool = False) -> str:
        """A reduction over axes; over none it changes nothing."""
        if not axes:
            return x
        if operator == "ReduceSum" or self.opset >= 18:
            return self.op(operator, x, self.ints(axes), keepdims=int(keep))
        return self.op(operator, x, axes=list(axes), keepdims=int(keep))

    def unsqueeze(self, x: str, *axes: int) -> str:
        """New axes of one element."""
        return self.op("Unsqueeze", x, self.ints(axes))

    def squeeze(self, x: str, *axes: int) -> str:
        """Without these axes of one element."""
        return self.op("Squeeze", x, self.ints(axes))

    def cast(self, x: str, dtype: Any) -> str:
        """Another element type."""
        return self.op("Cast", x, to=self.tensor_type(dtype))

    def tensor_type(self, dtype: Any) -> int:
        """ONNX's number of an element type."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def read_by(node: Any) -> set[str]:
    """What a node reads, also in the graphs inside of it."""
    found = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            found |= read_by(inner)
        found |= {output.name for output in attribute.g.output}
    return found

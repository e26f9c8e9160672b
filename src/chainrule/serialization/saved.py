"""A model that was read from a file."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from ..engine.backends.base import BuildError, Executable
from ..engine.backends.numpy import Program
from ..engine.ir.graph import Graph
from ..engine.ir.types import Record, Type, type_of
from ..engine.ir.work import work
from ..engine.passes.fold import fold_constants
from ..errors import DataError, ModelFileError
from ..utils.typing import Array
from .dynamic_batch import Template
from .embeddings import last_hidden, row_axis, rows_first
from .format import leaves_of, restore

#: For one row no node may have more elements than this, or than the largest array of the file.
MAX_ELEMENTS = 2**28
#: Rows that are computed at once, so few that the largest node has no more elements than this.
_MAX_ROWS = 4096
_CHUNK_ELEMENTS = 2**22
#: Elements of a node for one row that any file may ask for.
_ELEMENTS_OF_ANY = 2**24
#: Multiplications for one row that any file may ask for, and for each parameter and input element.
_WORK_OF_ANY, _WORK_OF_EACH = 2**32, 2**4
#: Programs that are kept, one for each number of rows.
_PROGRAMS = 8
#: From so many elements and multiplications on, about a second, it pays to build a native program.
_WORTH_BUILDING = 1e10


class SavedModel:
    """A model from a file, ready to predict.

    Attributes:
        inputs: the types of the arrays for one row, by name.
        output: the type of the result for one row.
        schema: what the columns of a table mean, as JSON data, or None.
        classes: the names of the classes, or None.
        record: how the model was trained, or None.
        version: the version of chainrule that wrote the file.
    """

    def __init__(
        self, document: dict[str, Any], template: Template, state: dict[str, Array]
    ) -> None:
        self.schema = restore(document["schema"])
        self.classes: list[Any] | None = restore(document["classes"])
        self.record = restore(document["record"])
        self.version: str = document["library"]
        self._arguments: list[str] = document["arguments"]
        self._template = template
        self._state = state
        self._seen: list[list[Array]] | None = None
        self._instead: Callable[[list[Array]], Array] | None = None
        self._sample = self._one_row()
        self.inputs = {str(n.attributes["name"]): n.type for n in self._sample.inputs}
        self.output = self._sample.outputs[0].type
        self._rows_at_once = _MAX_ROWS
        while self._rows_at_once > 1 and template.largest(self._rows_at_once) > _CHUNK_ELEMENTS:
            self._rows_at_once //= 2
        self._program = functools.lru_cache(_PROGRAMS)(self._make_program)

    def __repr__(self) -> str:
        takes = ", ".join(f"{name}: {kind}" for name, kind in self.inputs.items())
        size = sum(array.size for array in self._state.values())
        classes = f", {len(self.classes)} classes" if self.classes is not None else ""
        return f"SavedModel({takes} → {self.output}; {size:,} parameters{classes})"

    def _one_row(self) -> Graph:
        """The graph for one row, with its inputs, its output and its work checked."""
        sizes = [array.size for array in self._template.arrays.values()]
        graph = self._template.instantiate(1, max(MAX_ELEMENTS, *sizes, 0))
        _need_work(graph, sizes)
        self._template.instantiate(2)  # so that a false a·rows + b is found now, not later
        data = self._template.graph
        names = [node.attributes["name"] for node in graph.inputs]
        if len(graph.outputs) != 1 or not names or len(set(names)) < len(names):
            raise ModelFileError("The graph is not that of a model with inputs and one output.")
        for position in (*data["inputs"], *data["outputs"]):
            shape = data["nodes"][position]["type"][1]
            if not shape or shape[0] != {"rows": [1, 0]}:
                raise ModelFileError("An input or output of the graph has no rows.",
                                     where=f"node {position} of the graph")  # fmt: skip
        return graph

    def predict(self, *inputs: Any) -> Array:
        """The outputs for any number of rows.

        Many rows are computed in parts, so that memory does not grow with their number.

        Args:
            inputs: the arguments that the model was saved with: arrays with the rows on the first
                axis, or dicts and lists of arrays. Numbers are converted to the element type that
                the model takes if nothing but precision is lost.

        Returns:
            An array with one row for each row of the inputs.

        Raises:
            DataError: the inputs are others than the model takes.
        """
        return self.compute(self._take(inputs))

    @functools.cached_property
    def last_layer(self) -> int | None:
        """The axis that counts the rows in what goes into the last layer; None without a layer."""
        two, three = (last_hidden(self.graph(rows)) for rows in (2, 3))
        return row_axis(two, three) if two is not None and three is not None else None

    def hidden(self, *inputs: Any) -> Array | None:
        """The embedding of each row: what goes into the last layer.

        Args:
            inputs: as for `predict`.

        Returns:
            (rows, features), or None if the model has no last layer that multiplies by weights.
        """
        arrays = self._take(inputs)
        axis = self.last_layer
        if axis is None:
            return None
        parts = []
        for start in range(0, len(arrays[0]), self._rows_at_once):
            part = [array[start : start + self._rows_at_once] for array in arrays]
            graph = self.graph(len(part[0]))
            node = last_hidden(graph)
            assert node is not None
            (values,) = Program(Graph(graph.inputs, [node]))(part)
            parts.append(rows_first(values, axis))
        return np.concatenate(parts)

    def _take(self, inputs: tuple[Any, ...]) -> list[Array]:
        if len(inputs) != len(self._arguments):
            raise DataError("The model takes other inputs.", expected=", ".join(self._arguments),
                            found=f"{len(inputs)} arguments")  # fmt: skip
        given = {
            leaf: array
            for name, argument in zip(self._arguments, inputs, strict=True)
            for leaf, array in leaves_of(argument, name, self.inputs)
        }
        if given.keys() != self.inputs.keys():
            raise DataError("The model takes other inputs.", expected=", ".join(self.inputs),
                            found=", ".join(given) or "none")  # fmt: skip
        arrays = [_convert(given[name], kind, name) for name, kind in self.inputs.items()]
        if len({len(array) for array in arrays}) > 1:
            found = ", ".join(f"{len(a)} in {n}" for n, a in zip(self.inputs, arrays, strict=True))
            raise DataError("The inputs have different numbers of rows.", found=found)
        return arrays

    @contextmanager
    def inputs_seen(self) -> Iterator[list[list[Array]]]:
        """Within the block the inputs of all predictions are collected: a calibration needs them.

        Example:
            >>> import tempfile, numpy as np, chainrule as cr
            >>> path = tempfile.mkdtemp() + "/line.safetensors"
            >>> cr.save(path, cr.nn.Linear(1, 1), np.zeros((1, 1), np.float32))
            >>> model = cr.load(path)
            >>> with model.inputs_seen() as seen:
            ...     _ = model.predict([[10.0], [20.0]])
            >>> seen[0][0].tolist()
            [[10.0], [20.0]]
        """
        seen: list[list[Array]] = []
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None

    @contextmanager
    def computed_by(self, run: Callable[[list[Array]], Array]) -> Iterator[None]:
        """Within the block this function computes instead: another form of the same model.

        Args:
            run: from arrays of the right types, in the order of `inputs`, to the outputs.

        Example:
            >>> import tempfile, numpy as np, chainrule as cr
            >>> path = tempfile.mkdtemp() + "/line.safetensors"
            >>> cr.save(path, cr.nn.Linear(1, 1), np.zeros((1, 1), np.float32))
            >>> model = cr.load(path)
            >>> with model.computed_by(lambda arrays: 2 * arrays[0]):
            ...     model.predict([[10.0], [20.0]]).tolist()
            [[20.0], [40.0]]
        """
        self._instead = run
        try:
            yield
        finally:
            self._instead = None

    def compute(self, arrays: list[Array]) -> Array:
        """The outputs for arrays that are of the right types, in the order of `inputs`.

        Many rows are computed by a native program, if there is a compiler.
        """
        if self._seen is not None:
            self._seen.append(arrays)
        if self._instead is not None:
            return self._instead(arrays)
        rows, most = len(arrays[0]), self._rows_at_once
        result = np.empty((rows, *self.output.shape[1:]), self.output.dtype)
        worth = rows * _work(self._sample) > _WORTH_BUILDING
        native = self._native if worth else None
        for start in range(0, rows, most):
            part = [array[start : start + most] for array in arrays]
            count = len(part[0])
            if native is not None:  # it takes as many rows as it was built for
                part = [array.take(range(most), 0, mode="clip") for array in part]
            found = self._compute_part(part, native or self._program(len(part[0])), start, count)
            result[start : start + count] = found[:count]
        return result

    @functools.cached_property
    def _native(self) -> Executable | None:
        from ..engine.backends.registry import find_backend

        try:
            return find_backend("c").build(self.graph(self._rows_at_once), {}, ())
        except BuildError:
            return None

    def _compute_part(self, arrays: list[Array], run: Executable, start: int, rows: int) -> Array:
        graph = run.graph
        try:
            (result,) = run(arrays)
            if type_of(result) != graph.outputs[0].type:
                raise TypeError(f"the result is {type_of(result)}, not {graph.outputs[0].type}")
        except Exception as error:  # a file from elsewhere may hold a graph that cannot be run
            raise DataError(
                "The model cannot be computed with these inputs.",
                where=f"rows {start} to {start + rows - 1}" if rows > 1 else f"row {start}",
                found=f"{type(error).__name__}: {error}"[:500],
                hint="An index, such as that of a category, may be larger than in training.",
            ) from error
        return result

    def _make_program(self, rows: int) -> Program:
        return Program(fold_constants(self.graph(rows)))

    def graph(self, rows: int) -> Graph:
        """The forward pass as a graph, for this number of rows (at least 1)."""
        return self._template.instantiate(rows)

    @property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays that the graph holds, by name; no copies."""
        return self._template.arrays

    def state(self) -> dict[str, Array]:
        """Copies of the variables by path, for `Module.load_state`: to go on with the training."""
        return {path: array.copy() for path, array in self._state.items()}

    def summary(self) -> dict[str, Any]:
        """A description of the model, as plain data."""
        computed = [node.op.name for node in self._sample.nodes if node.inputs]
        return {
            "version": self.version,
            "inputs": {name: str(kind) for name, kind in self.inputs.items()},
            "output": str(self.output),
            "classes": self.classes,
            "variables": {path: str(type_of(array)) for path, array in self._state.items()},
            "numbers": sum(array.size for array in self._state.values()),
            "operations": dict(Counter(computed).most_common()),
        }


def _need_work(graph: Graph, arrays: list[int]) -> None:
    """A file of a few bytes may keep a computer busy, or fill its memory, only for an instant.

    The work of a network is at most that of using each of its parameters at each element of its
    inputs, some constant times, or else it is small; and what it computes is at most as large as
    its inputs, some thousand times.
    """
    positions, parameters = sum(node.type.size for node in graph.inputs), sum(arrays)
    large = max(_ELEMENTS_OF_ANY, *arrays, 2**12 * positions)
    for node in graph.nodes:
        if node.inputs and node.type.size > large:
            raise ModelFileError(
                "A node of the graph is too large for a file of this size.",
                expected=f"at most {large:,} elements for a row",
                found=f"{node.type.size:,} in {node.op.name}",
            )
    most, found = _WORK_OF_ANY + _WORK_OF_EACH * parameters * positions, work(graph)
    if found > most:
        raise ModelFileError(
            "The graph takes too much work for a file of this size.",
            expected=f"at most {most:,} multiplications for a row",
            found=f"{found:,}",
        )


def _convert(value: Any, kind: Type, name: str) -> Array:
    """An input as an array of the element type that the model takes."""
    try:
        given = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise DataError("This is not an array.", where=name, expected=str(kind),
                        found=str(error)) from None  # fmt: skip
    shape = kind.shape[1:]
    if given.shape[1:] != shape or not given.ndim:
        raise DataError(
            "An input has another shape than the model takes.",
            where=name,
            expected=f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)",
            found=str(given.shape),
            hint="One row needs an axis for the rows, too: x[None]." if given.shape == shape
            else None,
        )  # fmt: skip
    fits = np.can_cast(given.dtype, kind.dtype, "same_kind")
    array = np.ascontiguousarray(given, kind.dtype) if fits else given
    if not fits or (kind.dtype.kind in "iu" and not np.array_equal(array, given)):
        raise DataError("An input cannot be converted to what the model takes.", where=name,
                        expected=kind.dtype.name, found=given.dtype.name)  # fmt: skip
    return cast(Array, array)


def _work(graph: Graph) -> int:
    """Elements that are computed, and multiplications of products."""
    total = 0
    for node in graph.nodes:
        if node.inputs and not isinstance(node.type, Record):
            total += node.type.size
            if node.op.name == "matmul":
                axis = -2 if node.attributes["transpose_a"] else -1
                total += node.type.size * node.inputs[0].type.shape[axis]
    return total

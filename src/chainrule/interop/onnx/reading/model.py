"""A model of ONNX as a module: its initialisers are parameters."""

from __future__ import annotations

import contextlib
import functools
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....engine.source_info import layer
from ....engine.tensor import Buffer, Parameter, Tensor, as_tensor, computed_at_once, has_value
from ....errors import ChainruleError, ModelFileError, ShapeError
from ....nn import Module
from ....utils.typing import Array
from .content import Content, GraphData, NodeData
from .operators import OPERATORS, STATIC, Call, as_values
from .values import TEXT, Value, indices_of, kept_as, value_of

#: Operators that take texts: they move them, or look them up.
_OF_TEXTS = frozenset((
    "ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.LabelEncoder", "Compress", "Concat", "Equal",
    "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "If", "Loop",
    "Reshape", "Scan", "Shape", "Size", "Slice", "Split", "Squeeze", "Tile", "Transpose",
    "Unsqueeze", "Where",
))  # fmt: skip
#: Elements of shapes, axes and the like.
_SMALL = 64
#: Statistics of a normalisation, which are no parameters: positions of its inputs.
_STATISTICS = {"BatchNormalization": (3, 4)}


class OnnxModel(Module):
    """A network that was read from a file of ONNX.

    It is called with one tensor for each input, or with one tuple or dict of them, in the layout of
    the file (images of most systems are channels first), and gives one tensor, or a tuple of them
    in the order of ``output_names``.
    Floating-point initialisers are parameters, called as in the file; statistics of a batch
    normalisation are buffers, and stay as they are in a training, as does dropout, which is off.
    Texts go in as arrays of strings, or as what `encode` makes of them, where a tensor is needed.

    Attributes:
        weights: parameters and buffers by their name in the file.
        input_names: of the arguments.
        output_names: of the results.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self.input_names = list(content.graph.inputs)
        self.output_names = list(content.graph.outputs)
        self.weights, self._constants = _variables(content)
        self._texts = dict(content.texts)

    @property
    def texts(self) -> dict[int, list[str]]:
        """By the position of each input of texts, what the indices from 0 stand for."""
        kinds = [dtype for dtype, _ in self._content.graph.inputs.values()]
        return {i: list(self._texts) for i, dtype in enumerate(kinds) if dtype == TEXT}

    def encode(self, *inputs: Any) -> tuple[Any, ...]:
        """The inputs as tensors take them, to be compiled, trained on, explained or saved.

        Texts are indices (int32) then, and integers of fewer bits int64.

        Args:
            inputs: arrays, one for each input; or one tuple, or one dict by name.

        Raises:
            ConfigError: an input of texts has something else.
        """
        declared = self._content.graph.inputs
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            if inputs[0].keys() != declared.keys():
                raise ShapeError("The model takes other inputs.", expected=", ".join(declared),
                                 found=", ".join(map(str, inputs[0])))  # fmt: skip
            inputs = tuple(inputs[0][name] for name in declared)
        elif len(inputs) == 1 != len(declared) and isinstance(inputs[0], tuple | list):
            inputs = tuple(inputs[0])
        if len(inputs) != len(declared):
            raise ShapeError("The model takes other inputs.", expected=", ".join(declared),
                             found=f"{len(inputs)} arguments")  # fmt: skip
        texts = dict(self._texts)  # of this call: other texts are equal to themselves only
        pairs = zip(declared.items(), inputs, strict=True)
        return tuple(_encoded(x, dtype, texts, name) for (name, (dtype, _)), x in pairs)

    def _run(self, *inputs: Any) -> Any:
        graph = self._content.graph
        inputs = self.encode(*inputs)
        env: dict[str, Value] = dict(self._constants)
        for name, variable in self.weights.items():
            env[name] = Value(variable, graph.arrays[name].dtype)
        double = any(
            variable.dtype == np.float64 and kept_as(graph.arrays[name].dtype) == np.float32
            for name, variable in self.weights.items()
        )
        for (name, (dtype, shape)), given in zip(graph.inputs.items(), inputs, strict=True):
            # A module that was converted, net.to("float64"), computes with all digits.
            kept = np.dtype(np.float64) if double and kept_as(dtype).kind == "f" else kept_as(dtype)
            env[name] = _input(name, given, dtype, kept, shape)
        found = _computed(graph, env, self._content.opsets)
        results = [found[name].tensor for name in graph.outputs]
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, *inputs: Any) -> dict[str, Array]:
        """The outputs by name, as arrays of the element types that the file declares.

        Args:
            inputs: arrays, one for each input.
        """
        found = self(*inputs, train=False)
        parts = found if isinstance(found, tuple) else (found,)
        kinds = self._content.graph.outputs.items()
        return {name: _as_declared(part, kind) for part, (name, kind) in
                zip(parts, kinds, strict=True)}  # fmt: skip

    def extra_repr(self) -> str:
        """Inputs and outputs."""
        return f"{', '.join(self.input_names)} → {', '.join(self.output_names)}"


def _as_declared(x: Any, dtype: Any) -> Array:
    array = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
    return array if dtype is None else array.astype(dtype)


def module_of(content: Content) -> OnnxModel:
    """The module, whose `forward` has the names of the inputs."""
    names = [_identifier(name, i) for i, name in enumerate(content.graph.inputs)]
    if len(set(names)) < len(names):
        names = [f"input{i}" for i in range(len(names))]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *names)]

    def forward(self: OnnxModel, *inputs: Any) -> Any:
        return self._run(*inputs)

    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    kind_of_model = type(
        "OnnxModel", (OnnxModel,), {"forward": forward, "__doc__": OnnxModel.__doc__}
    )
    model: OnnxModel = kind_of_model(content)
    return model


def _identifier(name: str, number: int) -> str:
    tidy = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
    reserved = not tidy.isidentifier() or tidy in ("self", "train", "key")
    return f"input{number}" if reserved or keyword.iskeyword(tidy) else tidy


def _variables(content: Content) -> tuple[dict[str, Any], dict[str, Value]]:
    """Initialisers that are learned or kept as statistics; and those that are constants."""
    fixed, statistics = _roles(content.graph)
    weights: dict[str, Any] = {}
    constants: dict[str, Value] = {}
    for name, array in content.graph.arrays.items():
        kept = array.astype(kept_as(array.dtype))
        if (array.dtype.kind not in "fV" and array.dtype.name != "bfloat16") or name in fixed:
            constants[name] = Value(as_tensor(kept), array.dtype)
        else:
            weights[name] = (Buffer if name in statistics else Parameter)(kept)
    return weights, constants


def _roles(graph: GraphData) -> tuple[set[str], set[str]]:
    fixed: set[str] = set()
    statistics: set[str] = set()
    for node in graph.nodes:
        for positions, names in ((STATIC[node.kind], fixed),
                                 (_STATISTICS.get(node.kind, ()), statistics)):  # fmt: skip
            names.update(node.inputs[i] for i in positions if i < len(node.inputs))
    return fixed, statistics


def _encoded(x: Any, dtype: Any, texts: dict[str, int], name: str) -> Any:
    kept = kept_as(dtype)
    given = getattr(x, "dtype", None)
    if dtype == TEXT:
        return x if given == kept else indices_of(x, texts, name)
    return x.astype(kept) if isinstance(x, np.ndarray) and given == dtype != kept else x


def _input(name: str, given: Any, dtype: Any, kept: Any, shape: tuple[Any, ...] | None) -> Value:
    found = given if isinstance(given, Tensor) else value_of(given).tensor
    if shape is not None:
        pairs = zip(found.shape, shape, strict=False)
        if found.ndim != len(shape) or any(b is not None and a != b for a, b in pairs):
            wanted = ", ".join("any" if extent is None else str(extent) for extent in shape)
            raise ShapeError("An input has another shape than the model takes.", where=name,
                             expected=f"({wanted})", found=str(found.shape),
                             hint=_layout_hint(found.shape, shape))  # fmt: skip
    if found.dtype != kept:
        if found.dtype.kind == "f" and kept.kind != "f":
            raise ShapeError("An input has another element type than the model takes.", where=name,
                             expected=np.dtype(dtype).name, found=found.dtype.name)  # fmt: skip
        found = as_tensor(found, kept)
    return Value(found, np.dtype(dtype))


def _layout_hint(found: Sequence[int], wanted: Sequence[Any]) -> str | None:
    """Channels may be at the other end."""
    if len(found) != len(wanted) or len(found) < 3:
        return None
    moved = (found[0], found[-1], *found[1:-1])
    if all(b is None or a == b for a, b in zip(moved, wanted, strict=True)):
        return "The model takes images channels first: cr.moveaxis(x, -1, 1)."
    return None


def _computed(
    graph: GraphData, outside: Mapping[str, Value], opsets: Mapping[str, int]
) -> dict[str, Value]:
    """The values of a graph by name; those from outside are known in it."""
    env = dict(outside)
    for node in graph.nodes:
        with layer(functools.partial(str, node.label)):
            values = _values(node, env, opsets)
        for name, value in zip(node.outputs, values, strict=False):
            if name:
                env[name] = value
    return env


def _is_of_shapes(call: Call) -> bool:
    """Whether a node computes few constants, such as a shape: others read their values."""
    inputs = [value.tensor for value in call.inputs if value is not None]
    return (
        all(has_value(x.node) and not x.node.watched and x.size <= _SMALL for x in inputs)
        and not any(callable(value) for value in call.attributes.values())
    )  # fmt: skip


def _values(node: NodeData, env: Mapping[str, Value], opsets: Mapping[str, int]) -> list[Value]:
    inputs = [env[name] if name else None for name in node.inputs]
    if node.kind not in _OF_TEXTS and any(x is not None and x.dtype == TEXT for x in inputs):
        raise ModelFileError("An operator that is not read for texts.", where=node.label,
                             expected=", ".join(sorted(_OF_TEXTS)))  # fmt: skip
    attributes = {
        name: _body(value, env, opsets) if isinstance(value, GraphData) else value
        for name, value in node.attributes.items()
    }
    while inputs and inputs[-1] is None:
        inputs.pop()
    domain = node.kind.rpartition(".")[0]
    wanted = max((i for i, name in enumerate(node.outputs, 1) if name), default=1)
    call = Call(node.kind, node.label, inputs, attributes, opsets.get(domain, 1), wanted)
    try:
        with computed_at_once() if _is_of_shapes(call) else contextlib.nullcontext():
            values = as_values(OPERATORS[node.kind](call), call)
    except ChainruleError as error:
        error.where = error.where or node.label
        raise
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise call.error("A node cannot be computed.",
                         f"{type(error).__name__}: {error}"[:300]) from error  # fmt: skip
    if len(values) < wanted:
        raise call.error("A node has a result that is not computed.", f"{len(values)} results",
                         f"{wanted}")  # fmt: skip
    return values


def _body(
    graph: GraphData, env: Mapping[str, Value], opsets: Mapping[str, int]
) -> Callable[[Sequence[Any]], list[Value]]:
    """A graph inside of a node as a function of its inputs, which also reads what is outside."""
    constants = {name: value_of(array) for name, array in graph.arrays.items()}

    def run(given: Sequence[Any]) -> list[Value]:
        inputs = dict(zip(graph.inputs, given, strict=True))
        found = _computed(graph, {**env, **constants, **inputs}, opsets)
        return [found[name] for name in graph.outputs]

    return run

"""A file of ONNX as data that were checked: what follows need not look at the file again."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ModelFileError
from ....utils.typing import Array
from ....utils.warned import warned
from ...extras import need
from ..emitter import read_by
from .external import external_data
from .operators import OPERATORS
from .values import MAX_ELEMENTS, TEXT, UNUSED, kept_as

#: Nodes in all graphs of a file, and graphs inside of graphs.
_MAX_NODES, _MAX_DEPTH = 2**16, 16
#: Versions of the operators that are known here.
FIRST_OPSET, LAST_OPSET = 1, 28
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
#: Attributes that are a number of an element type.
_TYPES = {"to", "dtype", "output_dtype", "output_datatype"}
#: Attributes that are values, and not words which say how something is computed.
_TEXTS = {"keys_strings", "values_strings", "default_string", "value_strings"}


@dataclass(frozen=True, eq=False)
class NodeData:
    """A node.

    Attributes:
        kind: the operator, with its domain unless it is ONNX's own.
        label: how it is called in messages.
        inputs: names of values; empty for one that is left out.
        outputs: names of values; empty for one that nobody wants.
        attributes: arrays, numbers, lists, texts and graphs.
    """

    kind: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class GraphData:
    """A graph: nodes in an order in which each comes after what it reads.

    Attributes:
        inputs: names of what is given, with element type and shape (None where unknown).
        outputs: names of the results, with their element type.
        arrays: the initialisers by name.
        nodes: in order.
    """

    inputs: dict[str, tuple[Any, tuple[Any, ...] | None]]
    outputs: dict[str, Any]
    arrays: dict[str, Array]
    nodes: list[NodeData]


@dataclass(frozen=True, eq=False)
class Content:
    """A file.

    Attributes:
        graph: what is computed.
        opsets: versions of the operators by domain.
        texts: those that occur in the file, with the indices that stand for them.
    """

    graph: GraphData
    opsets: dict[str, int]
    texts: dict[str, int]


def read_file(path: str | os.PathLike[str]) -> Content:
    """Read a file and check everything in it.

    Raises:
        ModelFileError: what is wrong, with the node or tensor.
    """
    try:
        return read_bytes(_bytes(path), Path(path).absolute().parent)
    except ModelFileError as error:
        inside = f", {error.where}" if error.where else ""
        error.where = f"{os.fspath(path)}{inside}"
        raise


def _bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError("This is a device, pipe or the like, not a model file.")
            if status.st_size >= 2**31:
                raise ModelFileError("A file of ONNX has less than 2 GB.",
                                     found=f"{status.st_size:,} bytes")  # fmt: skip
            return file.read()
    except IsADirectoryError:
        raise ModelFileError("This is a folder, not a file of ONNX.") from None
    except FileNotFoundError:
        raise ModelFileError("There is no such file.") from None
    except (OSError, ValueError) as error:
        raise ModelFileError("The file cannot be read.", found=str(error)) from None


def read_bytes(data: bytes, folder: Path | None = None) -> Content:
    """The content of the bytes of a file."""
    onnx = need("onnx", "onnx", "ONNX")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf has its own class of errors
        raise ModelFileError("This is no file of ONNX, or it is damaged.",
                             found=str(error)[:200]) from None  # fmt: skip
    return read_model(model, folder)


def read_model(model: Any, folder: Path | None = None) -> Content:
    """The content of a ``ModelProto``."""
    onnx = need("onnx", "onnx", "ONNX")
    if not model.graph.node and not model.graph.output:
        raise ModelFileError("This is no file of ONNX: it has no graph.")
    opsets = _opsets(model)
    if model.functions:
        _need_closed_functions(model)
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:
            raise ModelFileError("The functions of the file cannot be read.",
                                 found=str(error)[:200]) from None  # fmt: skip
    reader = _Reader(onnx, folder, _context(onnx, model))
    try:
        return Content(reader.graph(model.graph, set(), 0), opsets, reader.texts)
    except UnicodeDecodeError as error:  # raised when a name is looked at
        raise ModelFileError("The file is damaged: a name that is no text.",
                             found=str(error)[:200]) from None  # fmt: skip


def _context(onnx: Any, model: Any) -> Any:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = model.ir_version or onnx.IR_VERSION
    context.opset_imports = {entry.domain: entry.version for entry in model.opset_import}
    return context


def _opsets(model: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if domain in found and found[domain] != entry.version:
            raise ModelFileError("Two versions of the same operators.", found=domain or "ai.onnx")
        found[domain] = entry.version
    version = found.get("", LAST_OPSET if found else 0)
    if not FIRST_OPSET <= version <= LAST_OPSET:
        raise ModelFileError(
            "The operators of the file are of a version that is not read.",
            expected=f"opset {FIRST_OPSET} to {LAST_OPSET}",
            found=f"opset {version}",
            hint="Convert it: onnx.version_converter.convert_version(model, 17).",
        )
    found[""] = version
    return found


def _need_closed_functions(model: Any) -> None:
    """No function that calls itself, which could not be written out."""
    calls = {(f.domain, f.name): {(n.domain, n.op_type) for n in f.node} for f in model.functions}
    done: set[Any] = set()
    for _ in range(len(calls) + 1):
        done |= {name for name, used in calls.items() if used & calls.keys() <= done}
    if len(done) < len(calls):
        raise ModelFileError("A function of the file calls itself.",
                             found=", ".join(n for _, n in calls.keys() - done)[:200])  # fmt: skip
    if len(calls) > 512:
        raise ModelFileError("The file has too many functions.", found=str(len(calls)))


class _Reader:
    """Graphs of a file, with the number of nodes that were read."""

    def __init__(self, onnx: Any, folder: Path | None, context: Any) -> None:
        self.onnx, self.folder, self._context = onnx, folder, context
        self.count = self.elements = 0
        self.texts: dict[str, int] = {"_Unused": UNUSED}

    def graph(self, proto: Any, outside: set[str], depth: int) -> GraphData:
        """A graph, all of whose names are known and given once."""
        if depth > _MAX_DEPTH:
            raise ModelFileError("Graphs inside of graphs without end.")
        if proto.sparse_initializer:
            raise ModelFileError("Sparse tensors are not read.")
        arrays: dict[str, Array] = {}
        for tensor in proto.initializer:
            if not tensor.name or tensor.name in arrays:
                raise ModelFileError("An initialiser without a name, or a name given twice.",
                                     found=f"{tensor.name!r:.80}")  # fmt: skip
            arrays[tensor.name] = self.array(tensor)
        inputs = {}
        for info in proto.input:
            if info.name in inputs or not info.name:
                raise ModelFileError("A name is given twice.", found=f"{info.name!r:.80}")
            if info.name not in arrays:  # old versions list initialisers among the inputs
                inputs[info.name] = self.declared(info, depth)
        known = {*outside, *inputs, *arrays}
        results, needed = self.wanted(proto, depth)
        nodes = []
        for number, node in enumerate(proto.node):
            if needed is None or number in needed:
                nodes.append(self.node(node, number, known, depth))
        outputs = {}
        for info in results:
            if info.name not in known:
                raise ModelFileError("An output of the graph is computed by no node.",
                                     found=f"{info.name!r:.80}")  # fmt: skip
            outputs[info.name] = self.declared(info, max(depth, 1))[0]
        return GraphData(inputs, outputs, arrays, nodes)

    def wanted(self, proto: Any, depth: int) -> tuple[list[Any], set[int] | None]:
        """The outputs that are tensors of numbers, and the nodes that they need if some are not.

        The names of classes, which classifiers give beside the probabilities, are text.
        """
        text = self.onnx.TensorProto.STRING
        kept = [info for info in proto.output if info.type.tensor_type.elem_type != text]
        if depth or len(kept) == len(proto.output):
            return list(proto.output), None
        left = [info.name for info in proto.output if info.type.tensor_type.elem_type == text]
        if not kept:
            raise ModelFileError("The model gives text only, which is not read.",
                                 found=", ".join(left)[:200])  # fmt: skip
        warned(f"outputs of text are left out: {', '.join(left)[:200]}")
        names, needed = {info.name for info in kept}, set()
        for number in reversed(range(len(proto.node))):
            if names & set(proto.node[number].output):
                needed.add(number)
                names |= read_by(proto.node[number])
        return kept, needed

    def declared(self, info: Any, depth: int) -> tuple[Any, tuple[Any, ...] | None]:
        """Element type and shape of an input or output; inside of graphs they may be missing."""
        kind = info.type.WhichOneof("value")
        if kind is None and depth:
            return None, None
        if kind != "tensor_type":
            raise ModelFileError("Only tensors go in and come out.", where=f"{info.name!r:.80}",
                                 found=str(kind or "nothing declared"))  # fmt: skip
        tensor = info.type.tensor_type
        dtype = self.dtype(tensor.elem_type, f"{info.name!r:.80}")
        if not tensor.HasField("shape"):
            return dtype, None
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        return dtype, shape

    def dtype(self, number: int, where: str) -> Any:
        """The element type of a number of ONNX."""
        try:
            dtype = self.onnx.helper.tensor_dtype_to_np_dtype(number)
            kept_as(dtype)
        except ModelFileError as error:
            error.where = where
            raise
        except (KeyError, TypeError, ValueError):
            raise ModelFileError("An unknown element type.", where=where,
                                 found=str(number)) from None  # fmt: skip
        return dtype

    def node(self, node: Any, number: int, known: set[str], depth: int) -> NodeData:
        self.count += 1
        domain = "" if node.domain == "ai.onnx" else node.domain
        kind = f"{domain}.{node.op_type}" if domain else node.op_type
        label = f"node {node.name or number!r} ({kind})"[:160]
        if self.count > _MAX_NODES:
            raise ModelFileError(
                "The graph is too large.", expected=f"at most {_MAX_NODES:,} nodes"
            )
        if kind not in OPERATORS:
            raise ModelFileError("An operator that is not read.", where=label, found=kind[:80],
                                 expected="one of those that docs/onnx.md lists",
                                 hint="docs/onnx.md says which are not, and why.")  # fmt: skip
        for name in node.input:
            if name and name not in known:
                raise ModelFileError(
                    "A node reads what is not there yet: the graph has a circle, or a part is "
                    "missing.", where=label, found=f"{name!r:.80}")  # fmt: skip
        self.check_declaration(node, label)
        attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.name in attributes:
                raise ModelFileError("An attribute is given twice.", where=label,
                                     found=attribute.name[:80])  # fmt: skip
            attributes[attribute.name] = self.attribute(attribute, label, known, depth)
        for name in node.output:
            if name in known:
                raise ModelFileError("A name is given twice.", where=label, found=f"{name!r:.80}")
            known.update([name] if name else [])
        return NodeData(kind, label, tuple(node.input), tuple(node.output), attributes)

    def check_declaration(self, node: Any, label: str) -> None:
        """Names and kinds of attributes, and the number of inputs, by the declarations of ONNX."""
        if any(attribute.HasField("g") for attribute in node.attribute):
            return  # its graphs are read here
        try:
            self.onnx.checker.check_node(node, self._context)
        except self.onnx.checker.ValidationError as error:
            sentence = str(error).strip().splitlines()[0][:300]
            raise ModelFileError("A node is not as ONNX declares it.", where=label,
                                 found=sentence) from None  # fmt: skip

    def indices(self, texts: Sequence[bytes]) -> Array:
        """Texts of the file, as the indices that stand for them."""
        found = np.empty(len(texts), TEXT)
        for place, text in enumerate(texts):
            found[place] = self.texts.setdefault(text.decode("utf-8", "replace"), len(self.texts))
        return found

    def attribute(self, proto: Any, label: str, known: set[str], depth: int) -> Any:
        kinds = proto.AttributeType
        if proto.name in _TEXTS and proto.type in (kinds.STRING, kinds.STRINGS):
            return self.indices([proto.s] if proto.type == kinds.STRING else proto.strings)
        if proto.name in _TYPES and proto.type == kinds.INT:
            return self.dtype(proto.i, label)
        match proto.type:
            case kinds.FLOAT:
                return float(proto.f)
            case kinds.INT:
                return int(proto.i)
            case kinds.STRING:
                return proto.s.decode("utf-8", "replace")
            case kinds.TENSOR:
                return self.array(proto.t)
            case kinds.GRAPH:
                return self.graph(proto.g, known, depth + 1)
            case kinds.FLOATS:
                return list(map(float, proto.floats))
            case kinds.INTS:
                return list(map(int, proto.ints))
            case kinds.STRINGS:
                return [text.decode("utf-8", "replace") for text in proto.strings]
        raise ModelFileError("An attribute of a kind that is not read.", where=label,
                             found=f"{proto.name[:80]}: kind {proto.type}")  # fmt: skip

    def array(self, tensor: Any) -> Array:
        """A tensor, after its size was checked."""
        where = f"tensor {tensor.name!r:.80}"
        dtype = self.dtype(tensor.data_type, where)
        shape = tuple(tensor.dims)
        count = math.prod(shape)
        self.elements += max(count, 0)
        if min(shape, default=0) < 0 or len(shape) > 32 or self.elements > 2 * MAX_ELEMENTS:
            raise ModelFileError("A tensor with an impossible shape.", where=where,
                                 found=f"{shape}"[:80])  # fmt: skip
        if np.dtype(dtype) == TEXT:
            if len(tensor.string_data) != count:
                raise ModelFileError("A tensor has other texts than its shape says.", where=where,
                                     expected=f"{count:,}",
                                     found=f"{len(tensor.string_data):,}")  # fmt: skip
            return self.indices(tensor.string_data).reshape(shape)
        size = count * np.dtype(dtype).itemsize
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raw = external_data(self.folder, tensor, size)
        elif tensor.external_data:
            raise ModelFileError("External data of a tensor that is not external.", where=where)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            return self._typed(tensor, count, shape, where)
        if len(raw) != size:
            raise ModelFileError("A tensor has other numbers than its shape says.", where=where,
                                 expected=f"{size:,} bytes", found=f"{len(raw):,}")  # fmt: skip
        order = np.dtype(dtype)
        array = np.frombuffer(raw, order if order.name == "bfloat16" else order.newbyteorder("<"))
        return array.astype(dtype, copy=False).reshape(shape)

    def _typed(self, tensor: Any, count: int, shape: tuple[int, ...], where: str) -> Array:
        fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        given = max(len(getattr(tensor, field)) for field in fields)
        if given != count:
            raise ModelFileError("A tensor has other numbers than its shape says.", where=where,
                                 expected=f"{count:,} numbers", found=f"{given:,}")  # fmt: skip
        try:
            return np.asarray(self.onnx.numpy_helper.to_array(tensor)).reshape(shape)
        except (TypeError, ValueError) as error:
            raise ModelFileError("A tensor that cannot be read.", where=where,
                                 found=str(error)[:200]) from None  # fmt: skip

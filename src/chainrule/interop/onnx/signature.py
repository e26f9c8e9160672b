"""What goes into an exported model and comes out of it, for each kind of data.

A kind without a record here takes the arrays that its model was saved with, as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...data import Column, Schema, Target
from ...errors import ConfigError
from ...serialization import SavedModel
from ...tasks import kind_of
from ..category_codes import code_of_others, codes_of, refuse_pictures
from .emitter import Emitter, Rows
from .symbolic import SymbolicNode

#: The date that is missing: the smallest integer, as NumPy's NaT.
NO_DATE = int(np.iinfo(np.int64).min)


@dataclass
class Signature:
    """Inputs and outputs under construction.

    Attributes:
        inputs: declarations of the inputs of the file.
        outputs: declarations of its outputs.
        notes: what the user has to know about them.
        beside: JSON documents that are written beside the file, by what is added to its name.
        about: what each input means, in words, for the file.
        texts: by the positions of inputs that the graph takes as indices of texts, which those are.
    """

    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    beside: dict[str, Any] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    texts: Mapping[int, Sequence[str]] = field(default_factory=dict)


def declared(
    e: Emitter, signature: Signature, name: str, dtype: Any, shape: Sequence[Any], about: str = ""
) -> str:
    """An input of the file, and its name there."""
    used = e.reserve(name)
    if used != name:
        signature.notes.append(f"the input {name!r} is called {used!r}, for the name is taken")
    kind = e.onnx.TensorProto.STRING if dtype is str else e.tensor_type(dtype)
    signature.inputs.append(e.onnx.helper.make_tensor_value_info(used, kind, ["rows", *shape]))
    signature.about[used] = about
    e.rows_of = e.rows_of or used
    return used


# ---- inputs --------------------------------------------------------------------------------------


def write_inputs(
    e: Emitter, signature: Signature, saved: SavedModel, nodes: Sequence[SymbolicNode]
) -> list[str]:
    """Declare the inputs of a kind of data; the names of what the graph takes."""
    kind = kind_of(saved.schema, "the model") if saved.schema is not None else ""
    writer = _INPUTS.get(kind, _as_they_are)
    return writer(e, signature, saved, nodes)


def _as_they_are(
    e: Emitter, signature: Signature, saved: SavedModel, nodes: Sequence[SymbolicNode]
) -> list[str]:
    found = []
    for place, node in enumerate(nodes):
        words = signature.texts.get(place)
        kind = node.dtype if words is None else str
        name = declared(e, signature, str(node.attributes["name"]), kind, node.shape[1:])
        if words is not None:
            indices = e.op(
                "LabelEncoder", name, domain="ai.onnx.ml", keys_strings=list(words),
                values_int64s=list(range(len(words))), default_int64=len(words),
            )  # fmt: skip
            name = e.cast(indices, node.dtype)
        found.append(name)
    return found


def _images(
    e: Emitter, signature: Signature, saved: SavedModel, nodes: Sequence[SymbolicNode]
) -> list[str]:
    """Pixels of 8 bits, unless the images had more."""
    schema = json.loads(saved.schema)
    (node,) = nodes
    if schema.get("levels") is not None:
        return _as_they_are(e, signature, saved, nodes)
    about = "pixels 0 to 255, (rows, height, width, channels), resized to this size"
    pixels = declared(e, signature, str(node.attributes["name"]), np.uint8, node.shape[1:], about)
    return [e.cast(pixels, node.dtype)]


def _texts(
    e: Emitter, signature: Signature, saved: SavedModel, nodes: Sequence[SymbolicNode]
) -> list[str]:
    """Token indices; what makes them of a text stands beside."""
    schema = saved.schema
    signature.beside["tokenizer"] = json.loads(schema) if isinstance(schema, str) else schema
    signature.notes.append(
        "texts go in as the indices of their tokens: the tokenizer is written beside the file"
    )
    return _as_they_are(e, signature, saved, nodes)


def _table(
    e: Emitter, signature: Signature, saved: SavedModel, nodes: Sequence[SymbolicNode]
) -> list[str]:
    """A column each, as they are in the table; side by side as the network takes them."""
    schema = Schema.from_json(saved.schema)
    refuse_pictures(schema)
    writers = {"numeric": _numbers, "category": _categories, "date": _dates, "text": _words}
    found = []
    for node in nodes:
        group = str(node.attributes["name"]).rpartition(".")[2]
        parts = [writers[group](e, signature, column) for column in getattr(schema, group)]
        found.append(parts[0] if len(parts) == 1 else e.op("Concat", *parts, axis=1))
    if not found:
        raise ConfigError("A model without inputs cannot be exported.")
    return found


def _numbers(e: Emitter, signature: Signature, column: Column) -> str:
    about = "0 or 1" if column.kind == "boolean" else "a number"
    return declared(e, signature, column.name, np.float64, [1], f"{about}; NaN if missing")


def _dates(e: Emitter, signature: Signature, column: Column) -> str:
    """Seconds since 1970."""
    about = f"seconds since 1970-01-01 UTC; {NO_DATE} if missing"
    seconds = declared(e, signature, column.name, np.int64, [1], about)
    signature.notes.append(
        f"the date {column.name!r} goes in as the integer of its seconds since 1970-01-01 UTC; "
        f"{NO_DATE} (NumPy's NaT) where it is missing"
    )
    missing = e.op("Equal", seconds, e.constant(NO_DATE, np.int64))
    nan = e.constant(np.nan, np.float64)
    return e.op("Where", missing, nan, e.cast(seconds, np.float64))


def _words(e: Emitter, signature: Signature, column: Column) -> str:
    about = "the numbers of the words of a text, see the JSON beside; padded with 0"
    signature.beside[f"{column.name}.words"] = {"column": column.name, "no word": 0, "missing": 1,
                                     "first word": 2, "longest": column.longest,
                                     "words": list(column.vocabulary)}  # fmt: skip
    signature.notes.append(
        f"the text {column.name!r} goes in as the numbers of its words, the highest first: the "
        "words are written beside the file"
    )
    return declared(e, signature, column.name, np.int64, [column.longest], about)


def _categories(e: Emitter, signature: Signature, column: Column) -> str:
    """Codes of words, from 0, what is missing or was never seen."""
    text = declared(e, signature, column.name, str, [1], "text; '' if missing")
    codes = codes_of(column)
    if not codes:
        codes[""] = 0
    return e.op(
        "LabelEncoder", text, domain="ai.onnx.ml",
        keys_strings=list(codes), values_int64s=list(codes.values()),
        default_int64=code_of_others(column),
    )  # fmt: skip


_INPUTS: dict[str, Callable[..., list[str]]] = {
    "table": _table,
    "images": _images,
    "text": _texts,
}


# ---- outputs -------------------------------------------------------------------------------------


def write_outputs(
    e: Emitter, signature: Signature, saved: SavedModel, node: SymbolicNode, found: str
) -> None:
    """Declare the outputs: a label and probabilities for classes, otherwise the prediction."""
    kind = kind_of(saved.schema, "the model") if saved.schema is not None else ""
    if kind == "table":
        _table_outputs(e, signature, Schema.from_json(saved.schema).targets, node, found)
    elif saved.classes and len(node.shape) == 2 and node.shape[1] == len(saved.classes):
        _class_outputs(e, signature, [str(name) for name in saved.classes], node.dtype, found)
    else:
        _output(e, signature, "prediction", found, node.dtype, node.shape[1:])


def reserve_outputs(e: Emitter, saved: SavedModel) -> None:
    """Keep the names of the outputs from inputs that are called so."""
    for name in ("label", "probabilities", "prediction", "quantiles"):
        e.reserve(name)
    if isinstance(saved.schema, str) and kind_of(saved.schema, "the model") == "table":
        for target in Schema.from_json(saved.schema).more_targets:
            for name in ("label", "probabilities", "prediction", "quantiles"):
                e.reserve(f"{name}_{target.name}")


def _table_outputs(
    e: Emitter, signature: Signature, targets: Sequence[Target], node: SymbolicNode, found: str
) -> None:
    if len(node.shape) == 1:
        return _output(e, signature, "prediction", found, node.dtype, [])
    start = 0
    for target in targets:
        end = f"_{target.name}" if len(targets) > 1 else ""
        width = len(target.classes) or 1 + len(target.quantiles)
        part = found
        if len(targets) > 1:
            part = e.op("Slice", found, e.ints([start]), e.ints([start + width]), e.ints([1]))
        start += width
        if target.classes:
            if len(targets) > 1:  # probabilities of float32, beside numbers of float64
                part = e.cast(part, np.float32)
            _class_outputs(e, signature, target.classes, np.float32 if end else node.dtype, part,
                           end, target)  # fmt: skip
            continue
        first = e.op("Gather", part, e.constant(0, np.int64), axis=1)
        _output(e, signature, f"prediction{end}", first, node.dtype, [])
        if target.quantiles:
            rest = e.op("Slice", part, e.ints([1]), e.ints([width]), e.ints([1]))
            _output(e, signature, f"quantiles{end}", rest, node.dtype, [width - 1])
    return None


def _class_outputs(
    e: Emitter, signature: Signature, classes: Sequence[str], dtype: Any, found: str, end: str = "",
    target: Target | None = None,
) -> None:  # fmt: skip
    if target is not None and target.threshold is not None:
        positive = classes.index(target.threshold.positive)
        p = e.op("Gather", found, e.constant(positive, np.int64), axis=1)
        likely = e.op("GreaterOrEqual", p, e.constant(target.threshold.value, dtype))
        number = e.op("Where", likely, e.constant(positive, np.int64),
                      e.constant(1 - positive, np.int64))  # fmt: skip
    else:
        number = e.op("ArgMax", found, axis=1, keepdims=0)
    names = e.constant(np.array(list(classes), object))
    _output(e, signature, f"label{end}", e.op("Gather", names, number, axis=0), str, [])
    _output(e, signature, f"probabilities{end}", found, dtype, [len(classes)])


def _output(
    e: Emitter, signature: Signature, name: str, found: str, dtype: Any, shape: Sequence[Any]
) -> None:
    kind = e.onnx.TensorProto.STRING if dtype is str else e.tensor_type(dtype)
    e.nodes.append(e.onnx.helper.make_node("Identity", [found], [name]))
    dims = ["rows", *(None if isinstance(extent, Rows) else extent for extent in shape)]
    signature.outputs.append(e.onnx.helper.make_tensor_value_info(name, kind, dims))

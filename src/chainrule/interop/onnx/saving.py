"""Models written as ONNX: raw rows in, predictions out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import ConfigError
from ...nn import Module
from ...serialization import SavedModel, load, parse, to_bytes
from ...utils.files import model_in, write_atomically
from .emitter import IR_OF_OPSET, OPSET
from .lowering import Writer
from .reading.model import OnnxModel
from .signature import Signature, reserve_outputs, write_inputs, write_outputs
from .symbolic import symbolic

#: A file of protobuf has fewer bytes than this.
_MAX_BYTES = 2**31


def save(
    path: str | os.PathLike[str],
    model: Any,
    example: Any = None,
    *,
    output: Any = None,
    classes: list[Any] | None = None,
    opset: int = OPSET,
) -> list[str]:
    """Write a model as an ONNX file, for any runtime that reads such.

    Preprocessing is inside: a model of a table takes a column for each input, numbers as float64
    with NaN where they are missing, categories as strings. A classifier gives ``label`` and
    ``probabilities``, any other model ``prediction``. Any number of rows goes in at once.

    Args:
        path: the file, usually ``….onnx``. A tokenizer is written beside it, as JSON.
        model: a run folder, a model file, a loaded model, or a module, which is written as it is
            in evaluation.
        example: of a module: the arguments of a call, as for `chainrule.save`.
        output: of a module: what to do with its result, for example ``cr.softmax``.
        classes: of a module: the names of the classes; its result are then their probabilities.
        opset: the version of the operators; 17 is read by most runtimes.

    Returns:
        What whoever uses the file has to know, as sentences.

    Raises:
        ConfigError: an operation has no ONNX, it is named; or the package onnx is missing.
        ShapeError: the output for one row depends on the others, as for `chainrule.save`.

    Example:
        >>> import tempfile, numpy as np, chainrule as cr
        >>> path = tempfile.mkdtemp() + "/line.onnx"
        >>> cr.onnx.save(path, cr.nn.Linear(2, 1), np.zeros((1, 2), np.float32))
        []
    """
    texts: Mapping[int, Sequence[str]] = {}
    if isinstance(model, OnnxModel) and example is not None:
        example, texts = model.encode(*_arguments(example)), model.texts
    saved = _saved(model, example, output, classes)
    proto, signature = convert(saved, opset, texts)
    path = Path(path)
    data = proto.SerializeToString()
    for name, document in signature.beside.items():
        text = json.dumps(document, ensure_ascii=False, indent=1)
        write_atomically(beside(path, name), text.encode())
    write_atomically(path, data)
    return signature.notes


def beside(path: Path, name: str) -> Path:
    """The JSON document beside a file.

    Example:
        >>> str(beside(Path("out/texts.onnx"), "tokenizer"))
        'out/texts.tokenizer.json'
    """
    tidy = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    return path.with_name(f"{path.stem}.{tidy}.json")


def _arguments(example: Any) -> Sequence[Any]:
    return example if isinstance(example, tuple | list) else (example,)


def _saved(model: Any, example: Any, output: Any, classes: list[Any] | None) -> SavedModel:
    if isinstance(model, Module):
        if example is None:
            raise ConfigError(
                "A module needs an example of its inputs, to be written as ONNX.",
                expected="arrays with the rows on the first axis",
                hint="cr.onnx.save(path, module, x[:2])",
            )
        return parse(to_bytes(model, example, output=output, classes=classes))
    if example is not None or output is not None or classes is not None:
        raise ConfigError(
            "Only a module takes example, output and classes: a saved model has its own.",
            found=type(model).__name__,
        )
    if isinstance(model, str | os.PathLike):
        return load(model_in(model))
    found = getattr(model, "saved", model)
    if not isinstance(found, SavedModel):
        raise ConfigError(
            "This cannot be written as ONNX.",
            expected="a run folder, a model file, a loaded model, or a module",
            found=type(model).__name__,
        )
    return found


def convert(
    saved: SavedModel, opset: int = OPSET, texts: Mapping[int, Sequence[str]] | None = None
) -> tuple[Any, Signature]:
    """A saved model as a checked ``onnx.ModelProto``, with what is known of its inputs.

    Args:
        saved: the model.
        opset: the version of the operators.
        texts: by the positions of inputs that take texts as indices, which texts those are.
    """
    names = {id(array): name for name, array in saved.arrays.items()}
    e = Writer(opset, names)
    signature = Signature(texts=texts or {})
    graph = symbolic(saved.graph(2), saved.graph(3))
    reserve_outputs(e, saved)
    inputs = write_inputs(e, signature, saved, graph.inputs)
    (found,) = e.lower(graph, inputs)
    write_outputs(e, signature, saved, graph.outputs[0], found)
    helper = e.onnx.helper
    nodes, arrays = e.finished([info.name for info in signature.outputs])
    made = helper.make_graph(nodes, "chainrule", signature.inputs, signature.outputs, arrays)
    versions = [helper.make_opsetid("", opset)]
    versions += [helper.make_opsetid("ai.onnx.ml", 3)] if e.custom_domains else []
    proto = helper.make_model(
        made, opset_imports=versions, ir_version=IR_OF_OPSET[opset], producer_name="chainrule",
        producer_version=__version__,
    )  # fmt: skip
    about = {"inputs": json.dumps(signature.about, ensure_ascii=False)}
    if saved.classes:
        about["classes"] = json.dumps(saved.classes, ensure_ascii=False)
    helper.set_model_props(proto, about)
    if proto.ByteSize() >= _MAX_BYTES:
        raise ConfigError(
            "The model is too large for one file of ONNX.",
            expected=f"fewer than {_MAX_BYTES:,} bytes",
            found=f"{proto.ByteSize():,}",
        )
    e.onnx.checker.check_model(proto, full_check=True)
    return proto, signature

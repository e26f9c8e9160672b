"""Writing a model: trace it for any number of rows, check the result, replace the file."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import safetensors.numpy

from .. import __version__
from ..engine import pytree
from ..engine.compile import trace
from ..engine.ir.graph import Graph
from ..engine.ir.types import DTYPES
from ..engine.tensor import Tensor
from ..errors import ConfigError, ShapeError
from ..nn.module import Module
from ..utils.files import write_atomically
from ..utils.typing import Array
from .dynamic_batch import Sample, generalize
from .format import CONSTANT, FORMAT, VERSION, digest_of, leaves_of, plain
from .reading import parse
from .saved import SavedModel


def save(
    path: str | os.PathLike[str],
    model: Module,
    example: Any,
    *,
    output: Callable[[Any], Tensor] | None = None,
    schema: Any = None,
    classes: list[Any] | None = None,
    record: Any = None,
) -> None:
    """Write a model to a file: its variables, and its forward pass as a graph.

    The file is read back and checked before it gets its name, and replaces an older one at once:
    an error leaves the old file as it was.

    Args:
        path: the file, usually ``….safetensors``.
        model: the network; stored as it is in evaluation (``train=False``).
        example: the arguments of a call, as a tuple; arrays, or dicts and lists of arrays, all with
            the rows on the first axis. Their element types and shapes are what `predict` will take;
            the values are not stored.
        output: what to do with the result of the model, for example ``cr.softmax``.
        schema: JSON data that say what the columns of a table mean.
        classes: names of the classes.
        record: JSON data about the training. NaN and infinities are allowed here.

    Raises:
        ShapeError: the output for one row depends on how many rows come with it, or on which.
        ConfigError: an argument cannot be stored.
        ChainruleError: the file cannot be written: no space, no folder, no permission.

    Example:
        >>> import tempfile, numpy as np, chainrule as cr
        >>> path = tempfile.mkdtemp() + "/line.safetensors"
        >>> line = cr.nn.Linear(1, 1)
        >>> line.load_state({"weight": [[2.0]], "bias": [1.0]})
        >>> cr.save(path, line, np.zeros((1, 1), np.float32))
        >>> cr.load(path).predict([[10.0], [20.0]]).tolist()
        [[21.0], [41.0]]
    """
    made = to_bytes(model, example, output=output, schema=schema, classes=classes, record=record)
    write_atomically(path, made)


def to_bytes(
    model: Module,
    example: Any,
    *,
    output: Callable[[Any], Tensor] | None = None,
    schema: Any = None,
    classes: list[Any] | None = None,
    record: Any = None,
) -> bytes:
    """What `save` writes, read back and checked; `chainrule.serialization.parse` reads it."""
    arguments = example if isinstance(example, (tuple, list)) else (example,)
    names = _argument_names(model, len(arguments))
    leaves = _named_leaves(arguments, names)
    values = [_example_array(name, leaf) for name, leaf in leaves]
    variables = _variables(model)
    template = generalize(functools.partial(_trace, model, output, arguments, values))
    for position, (name, _) in zip(template.graph["inputs"], leaves, strict=True):
        template.graph["nodes"][position]["attributes"]["name"] = name
    document = {
        "format": FORMAT,
        "version": VERSION,
        "library": __version__,
        "arguments": names,
        "graph": template.graph,
        "schema": plain(schema, "schema"),
        "classes": None if classes is None else plain(list(classes), "classes"),
        "record": plain(record, "record"),
    }
    data = _pack(document, {**variables, **template.arrays})
    _check_rows_are_independent(parse(data), values)
    return data


def _variables(model: Module) -> dict[str, Array]:
    for name in (variables := model.variables()):
        if name == "__metadata__" or name.startswith(CONSTANT):
            raise ConfigError(f"A variable cannot be stored by the name {name!r}.")
    return {path: variable.numpy() for path, variable in variables.items()}


def _trace(
    model: Module, output: Callable[[Any], Tensor] | None, arguments: Any, values: list[Array],
    rows: int,
) -> Sample:  # fmt: skip
    """The forward pass for a number of rows, with the variables as named arrays."""

    def forward(*inputs: Any) -> Tensor:
        result = model(*inputs, train=False)
        result = result if output is None else output(result)
        if not isinstance(result, Tensor) or result.shape[:1] != (rows,):
            found = result.type if isinstance(result, Tensor) else type(result).__name__
            raise ShapeError(
                "A saved model gives one tensor, with one row for every row of its inputs.",
                where=type(model).__name__,
                expected=f"the first extent {rows} for {rows} rows",
                found=str(found),
                hint="Pass output=…, a function of the result of the model.",
            )
        return result

    _, rebuild, _ = pytree.flatten(list(arguments))
    # Only the types matter in a trace: zeros of this shape take no memory.
    zeros = [np.broadcast_to(value.dtype.type(0), (rows, *value.shape[1:])) for value in values]
    traced = trace(forward, *rebuild(zeros))
    # What an evaluation assigns, such as a count of calls, is no part of the model.
    sample = Sample(Graph(traced.graph.inputs, traced.graph.outputs[:1]))
    paths = {id(variable): path for path, variable in model.variables().items()}
    for node, variable in zip(traced.graph.inputs[len(values) :], traced.variables, strict=True):
        name = paths.get(id(variable), f"{CONSTANT}{len(sample.arrays)}")
        sample.stored[node], sample.arrays[name] = name, variable.numpy()
    return sample


def _argument_names(model: Module, count: int) -> list[str]:
    """What `forward` calls its arguments."""
    parameters = inspect.signature(model.forward).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [names[i] if i < len(names) else f"input{i}" for i in range(count)]


def _named_leaves(arguments: Any, names: list[str]) -> list[tuple[str, Any]]:
    """The arrays in the arguments, with names such as ``x`` or ``x.price``."""
    leaves = [
        leaf
        for name, argument in zip(names, arguments, strict=True)
        for leaf in leaves_of(argument, name)
    ]
    if not leaves or len(dict(leaves)) < len(leaves):
        raise ConfigError("The inputs of a model need different names.",
                          found=", ".join(name for name, _ in leaves) or "no input")  # fmt: skip
    return leaves


def _example_array(name: str, leaf: Any) -> Array:
    array = leaf.numpy() if isinstance(leaf, Tensor) else leaf
    if not isinstance(array, np.ndarray) or array.dtype not in DTYPES or not array.ndim:
        found = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else repr(leaf)
        raise ConfigError(
            "The example of an input must be an array with the rows on its first axis.",
            where=name,
            expected="element type " + ", ".join(dtype.name for dtype in DTYPES),
            found=found[:80],
        )
    return cast(Array, array)


def _check_rows_are_independent(saved: SavedModel, values: list[Array]) -> None:
    """The first row must come out the same, whatever other rows come with it."""
    rows = min(8, *map(len, values))
    if rows < 2:
        return
    together, alone = (
        saved.compute(part)[:1]
        for part in ([v[:rows] for v in values], [v[:1].repeat(rows, 0) for v in values])
    )
    size = np.abs(together[np.isfinite(together)], dtype=float).max(initial=0.0)
    # Products of the same numbers may differ in the last bits, by where they are in memory.
    tolerance = 1e-4 * size if together.dtype.kind == "f" else 0
    if not np.allclose(together, alone, rtol=0, atol=tolerance, equal_nan=True):
        raise ShapeError(
            "The output for one row depends on the other rows that come with it.",
            expected="independent rows, for a model that takes any number of them",
            hint="Something runs along the first axis: a softmax, sort, norm or cumulative sum.",
        )


def _pack(document: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    text = json.dumps(document, allow_nan=False)
    digest = digest_of(text, arrays)
    signed = f'{text[:-1]}, "digest": "{digest}"}}'
    contiguous = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    return safetensors.numpy.save(contiguous, {FORMAT: signed})

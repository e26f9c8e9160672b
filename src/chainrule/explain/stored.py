"""A network from a model file, as a module that can be explained."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ..engine.ir import Graph
from ..engine.ir.node import CONSTANT, Node, constant
from ..engine.ir.types import float64
from ..engine.ops.declare import CAST
from ..engine.ops.reduction import SOFTMAX, SUM
from ..engine.source_info import layer
from ..engine.tensor import Buffer, Parameter, Tensor, apply, as_tensor
from ..errors import DataError
from ..nn import Module
from ..serialization import SavedModel

#: The names of arrays that layers accumulate, or have from a formula, instead of learning them.
_GATHERED = re.compile(r"(^|\.)(running_\w+|num_batches\w*|mean|std|cosine|sine|mel)$")


class StoredNetwork(Module):
    """The forward pass of a model file; its arrays are parameters, as far as can be known.

    A model file does not say which of its arrays were learned: taken are those of the element type
    that most numbers have, without the running statistics of normalisations.

    Args:
        saved: the model.
        before_output: return what the loss of the training takes, instead of the prediction:
            logits instead of probabilities, and a target on the scale of the training.
    """

    def __init__(self, saved: SavedModel, before_output: bool = False) -> None:
        self._before_output = before_output
        state = saved.arrays
        self._saved = saved
        sizes: Counter[Any] = Counter()
        for array in state.values():
            sizes[array.dtype] += array.size if array.dtype.kind == "f" else 0
        ((kind, _),) = sizes.most_common(1)
        self.arrays = {
            path: (Parameter if array.dtype == kind and not _GATHERED.search(path) else Buffer)(
                array
            )
            for path, array in state.items()
        }

    def names(self) -> dict[int, str]:
        """The paths of the variables in the model that was saved, by their identity."""
        return {id(variable): path for path, variable in self.arrays.items()}

    def forward(self, *inputs: Any) -> Tensor:
        """The output of the saved model, built from operations again."""
        given = [as_tensor(leaf) for leaf in _leaves(inputs)]
        graph = self._saved.graph(given[0].shape[0])
        kinds = [node.type for node in graph.inputs]
        if [x.shape for x in given] != [kind.shape for kind in kinds]:
            raise DataError(
                "The inputs do not fit the model.",
                expected=", ".join(map(str, kinds)),
                found=", ".join(str(x.type) for x in given),
            )
        owners = {id(a): self.arrays[path] for path, a in self._saved.arrays.items()}
        paths = {id(variable): path for path, variable in self.arrays.items()}
        tensors: dict[Node, Tensor] = {
            node: x.astype(node.type.dtype) for node, x in zip(graph.inputs, given, strict=True)
        }
        layers: dict[Node, str] = {}
        for node in graph.nodes:
            if node in tensors:
                continue
            if node.op is CONSTANT:
                assert node.value is not None
                known = owners.get(id(node.value))
                tensors[node] = Tensor(constant(node.value)) if known is None else known
                path = paths.get(id(known), "")
                layers[node] = path.rpartition(".")[0]
                continue
            place = next((layers[s] for s in reversed(node.inputs) if layers.get(s)), "")
            layers[node] = place
            with layer(lambda name=place: name):  # type: ignore[misc]
                sources = [tensors[source] for source in node.inputs]
                tensors[node] = apply(node.op, *sources, **node.attributes)
        return tensors[_before_output(graph) if self._before_output else graph.outputs[0]]


def _before_output(graph: Graph) -> Node:
    """The logits before the softmax, or the value before the cast to the target's unit."""
    (output,) = graph.outputs
    if output.op is SOFTMAX:
        return output.inputs[0]
    if (predictions := _averaged(output)) is not None and predictions.op is SOFTMAX:
        return predictions.inputs[0]
    if output.type.dtype == float64:
        casts = [n for n in graph.nodes if n.op is CAST and n.type.dtype == float64]
        return casts[-1].inputs[0] if casts else output
    return output


def _averaged(output: Node) -> Node | None:
    """The predictions of several networks, (members, rows, …), that an output is the mean of."""
    total = output.inputs[0] if output.op.name == "divide" else None
    if total is None or total.op is not SUM or total.attributes["axes"] != (0,):
        return None
    return total.inputs[0]


def _leaves(inputs: Any) -> list[Any]:
    """The arrays in the arguments, in the order in which a model file names them."""
    if isinstance(inputs, dict):
        return [leaf for item in inputs.values() for leaf in _leaves(item)]
    if isinstance(inputs, list | tuple):
        return [leaf for item in inputs for leaf in _leaves(item)]
    return [inputs]

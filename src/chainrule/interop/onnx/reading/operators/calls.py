"""One node while it is computed, and the table of what is known of each operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .....engine.tensor import Tensor
from .....errors import ModelFileError
from .....utils.typing import Array
from ..values import Value, known, value_of

Handler = Callable[["Call"], Any]
#: By the name of the operator, with its domain in front unless it is ONNX's own.
OPERATORS: dict[str, Handler] = {}
#: Inputs whose values must be known before anything is computed: shapes, axes, limits. Numbers of a
#: file that go in there are no parameters.
STATIC: dict[str, Sequence[int]] = {}


def operator(*names: str, static: Sequence[int] = ()) -> Callable[[Handler], Handler]:
    """Enter a function as the meaning of operators."""

    def enter(handler: Handler) -> Handler:
        for name in names:
            OPERATORS[name] = handler
            STATIC[name] = static
        return handler

    return enter


class Call:
    """A node with the values of its inputs.

    Args:
        kind: the operator, with its domain.
        label: how the node is called in messages.
        inputs: values; None for one that is left out.
        attributes: arrays, numbers, texts, and graphs as functions.
        opset: the version of the operators.
        outputs: how many results are wanted.
    """

    def __init__(
        self,
        kind: str,
        label: str,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, Any],
        opset: int,
        outputs: int,
    ) -> None:
        self.kind, self.label = kind, label
        self.inputs, self.attributes = inputs, attributes
        self.opset, self.outputs = opset, outputs

    def __len__(self) -> int:
        return len(self.inputs)

    def has(self, position: int) -> bool:
        """Whether an input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def value(self, position: int) -> Value:
        """An input."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.error("An input of a node is missing.", f"input {position}")
        return found

    def __getitem__(self, position: int) -> Tensor:
        return self.value(position).tensor

    def all(self) -> list[Tensor]:
        """The inputs that are there."""
        return [value.tensor for value in self.inputs if value is not None]

    def dtype(self, position: int = 0) -> Any:
        """The element type of an input in ONNX."""
        return self.value(position).dtype

    def static(self, position: int, default: Any = None) -> Array:
        """An input that must not depend on those of the model."""
        if not self.has(position):
            return default
        return known(self[position], f"Input {position} of {self.label}")

    def ints(self, position: int, default: Any = None) -> list[int] | None:
        """Such an input as a list of integers."""
        if not self.has(position):
            return None if default is None else list(default)
        return [int(i) for i in self.static(position).ravel()]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def list_of(self, name: str, position: int) -> list[int] | None:
        """Integers that are an attribute in old versions and an input in new ones."""
        found = self.attribute(name)
        return [int(i) for i in found] if found is not None else self.ints(position)

    def axis(self, name: str = "axis", default: int = 0, rank: int | None = None) -> int:
        """An attribute that is an axis, counted from 0."""
        axis = int(self.attribute(name, default))
        rank = self[0].ndim if rank is None else rank
        if not -max(rank, 1) <= axis <= max(rank, 1):
            raise self.error("An axis is out of range.", f"{name}={axis} of {rank} axes")
        return axis + rank if axis < 0 else axis

    def error(self, sentence: str, found: str, expected: str | None = None) -> ModelFileError:
        """An error at this node."""
        return ModelFileError(sentence, where=self.label, found=found, expected=expected)


def as_values(result: Any, call: Call) -> list[Value]:
    """What a handler gave: tensors have the element type of the first input, if they can."""
    given = result if isinstance(result, list) else [result]
    first = next((value for value in call.inputs if value is not None), None)
    found = []
    for item in given:
        if isinstance(item, Value):
            found.append(item)
        elif first is not None and isinstance(item, Tensor) and item.dtype == first.tensor.dtype:
            found.append(Value(item, first.dtype))
        else:
            found.append(value_of(item))
    return found


__all__ = ["OPERATORS", "STATIC", "Call", "as_values", "operator"]

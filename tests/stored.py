"""The stored references of another system, and how a computation is held against them.

tests/references/make_references.py says how the files read.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

FOLDER = Path(__file__).parent / "references"
Array = np.ndarray[Any, Any]


def read(name: str) -> Any:
    """What is in a file of tests/references."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def decode(value: Any) -> Any:
    """The stored form as arrays, slices, lists and dicts."""
    if isinstance(value, list):
        return [decode(part) for part in value]
    if isinstance(value, dict) and "slice" in value:
        return slice(*value["slice"])
    if isinstance(value, dict) and "dtype" in value:
        return np.array(value["data"], value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: decode(part) for key, part in value.items()}
    return ... if value == "..." else value


def leaves(value: Any) -> list[Any]:
    """What is in lists of lists, None included."""
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def tensor(value: Any) -> Any:
    """An array as a tensor of its element type; anything else as it is."""
    return cr.tensor(value, dtype=value.dtype.name) if isinstance(value, np.ndarray) else value


@dataclass
class Reference:
    """A computation, and what another system found: values, and gradients of Σ output · weights.

    Attributes:
        label: names the case.
        call: makes the outputs, one or a tree of them, from the arguments as tensors.
        arguments: arrays and modules.
        outputs: the expected values.
        weights: one for each output; None for one that has no derivative.
        gradients: one for each argument: an array, for a module a dict by path, None for nothing.
        buffers: expected values after the call of the buffers of the first argument, by path.
    """

    label: str
    call: Callable[..., Any]
    arguments: list[Any]
    outputs: list[Array]
    weights: list[Array | None]
    gradients: list[Any]
    buffers: dict[str, Array]

    def __str__(self) -> str:
        return self.label

    def inputs(self) -> list[Any]:
        """The arguments as tensors and as modules of this run's own, for a run may change them."""
        return [
            copy.deepcopy(argument) if isinstance(argument, cr.nn.Module) else tensor(argument)
            for argument in self.arguments
        ]

    def results(self, *arguments: Any) -> tuple[list[Any], list[Any]]:
        """The outputs, and the gradients that there are to compare; of operations only."""

        def total(*given: Any) -> tuple[Any, list[Any]]:
            outputs = cr.engine.pytree.flatten(self.call(*given))[0]
            pairs = zip(outputs, self.weights, strict=True)
            return sum((y * tensor(w)).sum() for y, w in pairs if w is not None), outputs

        places = [i for i, gradient in enumerate(self.gradients) if gradient is not None]
        if not places:
            return cr.engine.pytree.flatten(self.call(*arguments))[0], []
        run = cr.value_and_grad(total, argnums=places, has_aux=True)
        (_, outputs), gradients = run(*arguments)
        return outputs, list(gradients)

    def compare(
        self, outputs: Sequence[Any], gradients: Sequence[Any], arguments: Sequence[Any]
    ) -> None:
        """Hold what was found against what is stored; the arguments as they are after the run."""
        for number, pair in enumerate(zip(outputs, self.outputs, strict=True)):
            self._agree(*pair, f"output {number}")
        expected = [gradient for gradient in self.gradients if gradient is not None]
        for number, (found, stored) in enumerate(zip(gradients, expected, strict=True)):
            if isinstance(stored, dict):
                assert found.keys() == stored.keys(), self.label
                for path, value in stored.items():
                    self._agree(found[path], value, f"gradient of {path}")
            else:
                self._agree(found, stored, f"gradient {number}")
        for path, value in self.buffers.items():
            self._agree(arguments[0].variables()[path], value, path)

    def _agree(self, found: Any, expected: Array, what: str) -> None:
        what = f"{self.label}: {what}"
        array = found.numpy()
        assert array.shape == expected.shape, what
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12, err_msg=what)


def check(reference: Reference) -> None:
    """Line by line, without a compiler."""
    arguments = reference.inputs()
    reference.compare(*reference.results(*arguments), arguments)


def check_in_one_program(references: Sequence[Reference], backend: str) -> None:
    """All of them compiled as one function, for a program takes long to build."""

    def everything(arguments: list[list[Any]]) -> list[Any]:
        pairs = zip(references, arguments, strict=True)
        return [reference.results(*given) for reference, given in pairs]

    arguments = [reference.inputs() for reference in references]
    found = cr.compile(everything, backend=backend)(arguments)
    for reference, results, given in zip(references, found, arguments, strict=True):
        outputs, gradients = results
        reference.compare(outputs, gradients, given)

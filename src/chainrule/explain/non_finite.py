"""The first number that is not finite, forward and backward."""

from __future__ import annotations

import numpy as np

from ..engine.ir.graph import Graph
from ..engine.ir.node import PLACEHOLDER
from ..engine.nan_debug import first_bad_number
from .record import Step


def bad_numbers(step: Step) -> tuple[str, ...]:
    """The origin of the first NaN or infinity in the loss; if it is finite, in the gradients."""
    leaves = [*step.inputs.values(), *step.variables]
    inputs = [step.values[node] for node in leaves]
    if not np.isfinite(step.values[step.loss]).all():
        bad = first_bad_number(Graph(leaves, [step.loss]), inputs)
        return (f"The loss is not a finite number: {bad}.",)
    found = []
    for path, node in step.parameters.items():
        gradient = step.gradients.get(node)
        if gradient is None or np.isfinite(step.values[gradient]).all():
            continue
        graph = Graph(leaves, [gradient])
        if any(one.op is PLACEHOLDER and one not in set(leaves) for one in graph.nodes):
            continue
        bad = first_bad_number(graph, inputs)
        found.append(f"The gradient of {path} is not finite: {bad}.")
    return tuple(found[:3])

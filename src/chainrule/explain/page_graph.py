"""The step as one graph in JSON, for pages that recompute it when a slider moves."""

from __future__ import annotations

from typing import Any

from ..engine.ir.graph import Graph
from ..engine.ir.node import PLACEHOLDER, Node
from ..engine.ir.serialize import to_json
from ..engine.ir.types import Record
from ..engine.passes.rewrite import with_inputs
from .explanation import numbers
from .record import Step

#: Larger steps are not recomputed in a page.
MAX_NODES = 3_000
MAX_NUMBERS = 60_000


def page_graph(step: Step, ids: dict[Node, int]) -> dict[str, Any] | str:
    """Forward pass, backward pass, update, and the loss after it, as one graph.

    Returns:
        A sentence that says why there is none, if it is too large. Otherwise ``ir``, the graph as
        `chainrule.ir.to_json` writes it, and the numbers of its nodes: ``values`` and
        ``gradients`` by the number of the explained node, ``sent`` as (consumer, position, node),
        ``new`` by path, ``before`` and ``after`` by the optimizer's own names, ``loss`` and
        ``loss_after``; ``inputs`` say for each placeholder its ``name``, ``role`` (``input``,
        ``target``, ``parameter``, ``buffer`` or ``state``) and ``value``, a flat list.
    """
    update = step.update
    loss_after = _with_new_parameters(step)
    outputs = [
        *step.order,
        *step.gradients.values(),
        *(sent for _, _, sent in step.flows),
        *update.new.values(),
        *update.after.values(),
        loss_after,
    ]
    leaves = [*step.inputs.values(), *step.variables, *update.before.values()]
    graph = Graph(list(dict.fromkeys(leaves)), list(dict.fromkeys(outputs)))
    size = sum(node.type.size for node in graph.nodes if node.op is PLACEHOLDER)
    constants = sum(node.type.size for node in graph.nodes if not node.inputs) - size
    records = [node for node in graph.nodes if isinstance(node.type, Record)]
    if records:
        return f"{records[0].op.name} has several results, which a page cannot compute."
    if len(graph.nodes) > MAX_NODES:
        return f"the step has {len(graph.nodes):,} operations, and a page computes {MAX_NODES:,}."
    if max(size, constants) > MAX_NUMBERS:
        return (f"the step has {max(size, constants):,} inputs, weights and constants, and a page "
                f"holds {MAX_NUMBERS:,}.")  # fmt: skip
    number = {node: place for place, node in enumerate(graph.nodes)}
    return {
        "ir": to_json(graph),
        "inputs": [_input(node, step) | {"node": number[node]} for node in graph.inputs],
        "values": [number[node] for node in step.order],
        "gradients": {
            str(ids[node]): number[found] for node, found in step.gradients.items() if node in ids
        },
        "sent": [
            [ids[user], position, number[found]]
            for user, position, found in step.flows
            if user in ids
        ],
        "new": {path: number[node] for path, node in update.new.items()},
        "before": {name: number[node] for name, node in update.before.items()},
        "after": {name: number[node] for name, node in update.after.items()},
        "loss": number[step.loss],
        "loss_after": number[loss_after],
    }


def _input(node: Node, step: Step) -> dict[str, Any]:
    for name, one in step.inputs.items():
        if one is node:
            role = "target" if name in step.target else "input"
            return {"name": name, "role": role, "value": numbers(step.values[node])}
    for name, one in step.update.before.items():
        if one is node:
            return {"name": name, "role": "state", "value": numbers(step.values[node])}
    learned = node in step.parameters.values()
    return {
        "name": step.variables[node],
        "role": "parameter" if learned else "buffer",
        "value": numbers(step.values[node]),
    }


def _with_new_parameters(step: Step) -> Node:
    """The forward pass once more, with the new values of the parameters."""
    new = {node: step.update.new[path] for path, node in step.parameters.items()}
    for node in step.order:
        if node not in new:
            sources = tuple(new[source] for source in node.inputs)
            new[node] = with_inputs(node, sources)
    return new[step.loss]

"""From a recorded step to an `Explanation`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..nn import Module
from ..optim import Optimizer
from .chain import chain_of
from .collect import Budget, Collector
from .explanation import Explanation
from .gradient_flow import flow_notes
from .node_names import Names
from .non_finite import bad_numbers
from .page_graph import page_graph
from .record import Step
from .updates import explain_update


def build(
    step: Step,
    names: Names,
    optimizer: Optimizer,
    model: Module | None,
    *,
    weights: Iterable[str] = (),
    loss_name: str,
    loss_formula: str,
    title: str,
    notation: str,
    story: Iterable[str] = (),
    notes: Iterable[str] = (),
    show_c: bool = False,
    **more: Any,
) -> Explanation:
    """The explanation of a recorded step."""
    collector = Collector(step, names, Budget(), show_c)
    nodes = collector.nodes()
    update, changes = explain_update(step, collector, optimizer, list(weights))
    layers = collector.layers(model, changes)
    chains = [chain_of(collector, weight) for weight in weights]
    graph = page_graph(step, collector.id)
    loops = ["A loop over time is too long to be unrolled: it is shown as one node."]
    return Explanation(
        title=title,
        notation=notation,
        dtype=step.loss.type.dtype.name,
        loss=float(step.values[step.loss].item()),
        layers=tuple(layers),
        nodes=tuple(nodes),
        error=collector.error(loss_name, loss_formula),
        update=update,
        chains=tuple(chains),
        flow=flow_notes(layers),
        graph=graph if isinstance(graph, dict) else None,
        graph_missing=graph if isinstance(graph, str) else "",
        story=tuple(story),
        notes=(*notes, *(loops if step.kept_loops else ())),
        bad=bad_numbers(step),
        **more,
    )

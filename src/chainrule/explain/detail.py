"""How much of an explanation is written: `at_detail` leaves out what repeats.

Nothing is computed here: equations are left out, and a note says which, and how to have them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ..errors import unknown
from .explanation import Equation, Explanation, Node, ParameterUpdate
from .mistakes import quantities

DETAILS = ("brief", "normal", "all")
#: Of a larger node so many elements are written, and of a parameter's update.
_ELEMENTS, _UPDATES = 4, 4
#: Where time steps are folded the units of a cell repeat, too: so many of them, and so many paths.
_UNITS, _PATHS = 1, 2
#: A layer without anything learned and with more operations is preprocessing that is folded.
_FOLDED = 6
_HOW = '--detail all (in Python detail="all") writes them.'


def at_detail(explanation: Explanation, detail: str) -> Explanation:
    """The explanation with as many equations as are asked for.

    Args:
        explanation: with all of them.
        detail: ``brief`` summarises by layer, with the arithmetic of one path; ``normal`` leaves
            out what repeats: further elements, time steps in the middle, preprocessing;
            ``all`` leaves out nothing.

    Raises:
        ConfigError: there is no such detail.
    """
    if detail not in DETAILS:
        raise unknown("detail", detail, DETAILS)
    if detail == "all":
        return explanation
    notes: list[str] = []
    explanation = _without_preprocessing(explanation, notes)
    explanation, is_recurrent = _without_middle_steps(explanation, notes)
    if is_recurrent:
        explanation = _with_few_paths(explanation)
    explanation = _with_few_elements(explanation, is_recurrent, notes)
    return dataclasses.replace(
        explanation,
        is_brief=detail == "brief",
        is_folded=is_recurrent,
        notes=(*explanation.notes, *notes),
    )


def _without_preprocessing(explanation: Explanation, notes: list[str]) -> Explanation:
    """What is computed of the cells of a row before the network begins."""
    if not explanation.rows:
        return explanation
    learning: set[int] = set()
    for node in explanation.nodes:
        if node.role == "parameter" or learning.intersection(node.inputs):
            learning.add(node.id)

    def is_folded(nodes: Sequence[int]) -> bool:
        computed = [n for n in nodes if explanation.nodes[n].shown and explanation.nodes[n].inputs]
        return not learning.intersection(nodes) and len(computed) > _FOLDED

    kept, folded = [], 0
    for layer in explanation.layers:
        if layer.path != "loss" and is_folded(layer.nodes):
            folded += sum(bool(explanation.nodes[number].inputs) for number in layer.nodes)
        else:
            kept.append(layer)
    if folded:
        notes.append(f"The preprocessing, {folded} operations on the cells, is folded; {_HOW}")
    return dataclasses.replace(explanation, layers=tuple(kept))


def _without_middle_steps(explanation: Explanation, notes: list[str]) -> tuple[Explanation, bool]:
    """Of a loop over time the first and the last step; and whether others were left out."""
    steps = sorted({node.step for node in explanation.nodes if node.step is not None})
    if len(steps) < 3:
        return explanation, False
    middle = set(steps[1:-1])

    def kept(node: Node) -> Node:
        if node.step not in middle:
            return node
        return dataclasses.replace(node, forward=(), backward=(), shown=False)

    nodes = tuple(map(kept, explanation.nodes))
    layers = tuple(
        dataclasses.replace(
            one, nodes=tuple(n for n in one.nodes if explanation.nodes[n].step not in middle)
        )
        for one in explanation.layers
    )
    between = str(steps[1]) if len(middle) == 1 else f"{steps[1]} to {steps[-2]}"
    some = "time step" if len(middle) == 1 else f"the {len(middle)} time steps"
    notes.append(
        f"Of {len(steps)} time steps the first and the last are written: the equations of {some} "
        f"{between} are like theirs; {_HOW}"
    )
    return dataclasses.replace(explanation, nodes=nodes, layers=layers), True


def _with_few_paths(explanation: Explanation) -> Explanation:
    """Of each chain the paths that contribute most; the others go into their sum."""
    chains = tuple(
        dataclasses.replace(
            one,
            paths=one.paths[:_PATHS],
            rest=one.rest + math.fsum(path.product for path in one.paths[_PATHS:]),
        )
        for one in explanation.chains
    )
    return dataclasses.replace(explanation, chains=chains)


def _of_first_units(explanation: Explanation) -> dict[int, set[int]]:
    """By time step's node the elements that the first unit is made of, such as its four gates."""
    found: dict[int, set[int]] = {
        node.id: {0} for node in explanation.nodes if node.step is not None and node.forward
    }
    for number in sorted(found, reverse=True):
        for one in explanation.nodes[number].forward:
            if one.left.index in found[number]:
                for q in quantities(one.right):
                    if q.of == "value" and q.node in found:
                        found[q.node].add(q.index)
    return found


def _with_few_elements(
    explanation: Explanation, is_recurrent: bool, notes: list[str]
) -> Explanation:
    """Of each node some elements, and of each parameter some updates."""
    left_out = 0
    units = _of_first_units(explanation) if is_recurrent else {}
    chosen = {(chain.weight.node, chain.weight.index) for chain in explanation.chains}

    def some(
        equations: tuple[Equation, ...], count: int, unit: set[int] | None = None
    ) -> tuple[Equation, ...]:
        nonlocal left_out
        elements = list(dict.fromkeys(one.left.index for one in equations))
        if is_recurrent:
            shown = unit or {*elements[:_UNITS]}
        elif len(elements) <= 2 * count:
            return equations
        else:
            shown = {*elements[:count]}
        found = tuple(
            one for one in equations
            if one.left.index in shown or (one.left.node, one.left.index) in chosen
        )  # fmt: skip
        left_out += len(equations) - len(found)
        return found

    def of_node(node: Node) -> Node:
        unit = units.get(node.id)
        forward, backward = (some(one, _ELEMENTS, unit) for one in (node.forward, node.backward))
        return dataclasses.replace(node, forward=forward, backward=backward)

    def of_update(one: ParameterUpdate) -> ParameterUpdate:
        return dataclasses.replace(one, equations=some(one.equations, _UPDATES))

    nodes = tuple(map(of_node, explanation.nodes))
    parameters = tuple(map(of_update, explanation.update.parameters))
    if left_out:
        notes.append(f"{left_out:,} equations of further elements are left out; {_HOW}")
    update = dataclasses.replace(explanation.update, parameters=parameters)
    return dataclasses.replace(explanation, nodes=nodes, update=update)

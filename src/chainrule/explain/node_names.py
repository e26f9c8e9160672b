"""The names of the nodes, which of them have equations of their own, and their layers."""

from __future__ import annotations

import ast
import functools
import linecache
from collections import defaultdict
from typing import Any

from ..engine.ir.node import CONSTANT, PLACEHOLDER, Node
from ..engine.ir.operation import Cost
from ..engine.ops.indexing import TAKE
from ..engine.ops.reduction import SUM
from ..engine.ops.shape import CONCATENATE
from .cells import letters
from .record import Step

#: Several functions of the same weighted sum are a1, a1b, a1c and so on.
_LETTERS = ("", *"bcdefghijklmnopqrstuvwxyz")


def operation_title(node: Node) -> str:
    """The name of a node's operation in plain words."""
    return node.op.notation.title or node.op.name.replace("_", " ")


class Names:
    """Symbols, roles and layers of the nodes of a forward pass.

    Attributes:
        consumers: for each node those that use it, with the position, in order.
        named: the nodes that have equations of their own.
        symbol: the name of a node.
        role: see `chainrule.explain.explanation.Node`.
        layer: the path of its layer.
        between: by layer what the network computes after it, outside of any layer.
        examples: the node with the losses of the examples, if the loss is a sum of such.
        unit: what each of these losses belongs to: ``example``, or ``term`` if that is not known.
    """

    def __init__(self, step: Step, is_model: bool) -> None:
        self._step = step
        self.unit = "example" if is_model else "term"
        self.consumers: dict[Node, list[tuple[Node, int]]] = defaultdict(list)
        for node in step.order:
            for position, source in enumerate(node.inputs):
                self.consumers[source].append((node, position))
        self._depends = _depending(step)
        self.examples = self._losses_of_examples()
        self.role = {node: self._role(node) for node in step.order}
        self.between: dict[str, list[Node]] = defaultdict(list)
        self.layer = self._layers(is_model)
        self._lines = {} if is_model else self._names_by_line()
        self.named = {node for node in step.order if self._is_named(node)}
        self.symbol = self._symbols()

    # ---- roles ---------------------------------------------------------------------------------

    def _role(self, node: Node) -> str:
        step = self._step
        if node is step.loss:
            return "loss"
        if node in step.variables:
            return "parameter" if node in step.parameters.values() else "buffer"
        if node.op is PLACEHOLDER:
            name = next((n for n, one in step.inputs.items() if one is node), "")
            return "target" if name in step.target else "input"
        if node.op is CONSTANT:
            return "constant"
        if node in step.outputs:
            return "output"
        return "example_loss" if node is self.examples else "hidden"

    def _losses_of_examples(self) -> Node | None:
        """What the loss is a sum over, if it has a row for each example."""
        rows = {n.type.shape[0] for n in self._step.inputs.values() if n.type.shape}
        node = self._step.loss
        for _ in range(12):
            if node.op.name == "sum" and node.inputs[0].type.size > node.type.size:
                node = node.inputs[0]
                while _keeps_all(node):
                    node = node.inputs[0]
                fits = node.type.shape[:1] and node.type.shape[0] in rows
                if fits and node in self._depends:
                    return node
            else:
                sources = [s for s in node.inputs if s in self._depends]
                if len(sources) != 1 or not (node.op is SUM or node.op.scales or _keeps_all(node)):
                    return None
                node = sources[0]
        return None

    # ---- layers --------------------------------------------------------------------------------

    def _layers(self, is_model: bool) -> dict[Node, str]:
        step = self._step
        layer: dict[Node, str] = {}
        after = {*step.outputs, *(n for n in step.order if self.role[n] == "target")}
        for node in step.order:
            own = node.origin.layer if node.origin else ""
            if node in step.variables:
                own = step.variables[node].rpartition(".")[0] if is_model else ""
            elif is_model and not own and any(source in after for source in node.inputs):
                own = "loss"
                after.add(node)
            layer[node] = own
        if not is_model:
            return layer
        computing = {layer[node] for node in step.order if node.inputs}
        for node in step.variables:  # a part that is never called itself, such as a cell
            users = [layer[user] for user, _ in self.consumers[node]]
            if layer.get(node) not in computing and users:
                layer[node] = users[0]
        for node in step.order:  # what a network computes between its layers goes to the one before
            own = layer[node]
            before = [layer[s] for s in node.inputs if s.inputs and _is_part(layer[s], own)]
            if before and own != "loss":
                layer[node] = before[-1]
                self.between[before[-1]].append(node)
        for node in reversed(step.order):  # constants, targets and casts go where they are used
            is_leaf = self.role[node] in ("constant", "target") or node.op.moves
            if not layer[node] and is_leaf:
                places = {layer[user] for user, _ in self.consumers[node]}
                if len(places) == 1:
                    layer[node] = places.pop()
        return layer

    # ---- which nodes have equations of their own -----------------------------------------------

    def uses(self, node: Node) -> list[Node]:
        """The consumers of a node: broadcasts and the like are looked through."""
        found = []
        for user, _ in self.consumers[node]:
            found += self.uses(user) if user.op.moves else [user]
        return found

    def _is_named(self, node: Node) -> bool:
        if node.op is CONSTANT:
            return node.type.size > 1
        if node.op.moves:
            return False
        if node.op is PLACEHOLDER or self.role[node] in ("loss", "output", "example_loss"):
            return True
        if node in self._lines:
            return True
        inside = node.op.notation.inside
        uses = self.uses(node)
        if not inside or not uses or len(set(uses)) > 1:
            return True
        if len(uses) > 1:  # e · e: written once
            return True
        user = uses[0]
        if user.op.name not in inside:
            return True
        if node.op.name == "subtract" and not any(s.op is CONSTANT for s in _sources(node)):
            return True
        if node.op.name == "multiply" and node.type.size > 4096 and user.op.name == "sum":
            return True
        return self.layer[node] != self.layer[user]

    # ---- symbols -------------------------------------------------------------------------------

    def _symbols(self) -> dict[Node, str]:
        step, taken = self._step, {"L"}
        symbol: dict[Node, str] = {}

        def give(node: Node, wanted: str) -> None:
            name, number = wanted, 2
            while name in taken:
                name, number = f"{wanted}_{number}", number + 1
            taken.add(name)
            symbol[node] = name

        symbol[step.loss] = "L"
        for name, node in step.inputs.items():
            give(node, name)
        for node, path in step.variables.items():
            give(node, path)
        for node, name in self._lines.items():
            if node not in symbol:
                give(node, name)
        weighted = 0
        others: dict[str, int] = defaultdict(int)
        base = self._cells()  # without the time step; of a loop's body for all its steps
        number_of: dict[Node, int] = {}
        uses_of: dict[int, int] = {}
        for node in step.order:
            if node in symbol or node not in self.named:
                continue
            shared = step.twin.get(node, node)
            if self._is_compared(node):
                base[shared] = "ŷ"
            elif self._is_weighted_sum(node) and (shared in number_of or shared not in base):
                if shared not in base:
                    weighted += 1
                    base[shared], number_of[shared] = f"z{weighted}", weighted
                number_of[node] = number_of[shared]
            elif shared not in base:
                source = self._weighted_source(node)
                if node.op.notation.is_activation and source in number_of:
                    number = number_of[source]
                    base[shared] = f"a{number}{_LETTERS[uses_of.get(number, 0) % 26]}"
                    uses_of[number] = uses_of.get(number, 0) + 1
                elif self.role[node] == "example_loss":
                    base[shared] = "ℓ"
                elif self._is_difference(node):
                    base[shared] = "e"
                elif node.op is CONSTANT:
                    base[shared] = "c"
                else:
                    meaning = self._meaning(node)
                    others[meaning] += 1
                    again = str(others[meaning]) if others[meaning] > 1 else ""
                    base[shared] = meaning + again
            time = step.time.get(node)
            give(node, base[shared] if time is None else f"{base[shared]}_t{time}")
        return symbol

    def _is_difference(self, node: Node) -> bool:
        """Whether it is output minus target, or something like it in the loss."""
        return self.layer[node] == "loss" and node.op.name == "subtract"

    def _is_compared(self, node: Node) -> bool:
        """Whether it is the output, and the loss takes the difference from the target: ŷ - y."""
        if self.role[node] != "output" or not node.inputs or len(self._step.outputs) != 1:
            return False
        targets = {one for one in self._step.order if self.role[one] == "target"}
        differences = [user for user in self.uses(node) if self._is_difference(user)]
        return any(targets.intersection(_sources(one)) for one in differences)

    def _meaning(self, node: Node) -> str:
        """What a node without a letter is: ``scaled``, ``weights``, or its operation."""
        step = self._step
        if node in step.attention or step.twin.get(node) in step.attention:
            return "weights"
        is_arithmetic = node.op.scales or (node.op.elementwise and node.op.cost <= Cost.ARITHMETIC)
        is_fixed = node.type.is_float and node not in self._depends
        given = any(self.role[source] in ("input", "hidden") for source in _sources(node))
        return "scaled" if is_arithmetic and is_fixed and given else node.op.name

    def _cells(self) -> dict[Node, str]:
        """The parts of recurrent cells by their letters, with a number where there are several."""
        step, base = self._step, {}
        taken: dict[str, int] = defaultdict(int)
        for node, letter in letters(step.order, _sources).items():
            shared = step.twin.get(node, node)
            if shared not in base:
                taken[letter] += 1
                number = taken[letter]
                base[shared] = letter if number == 1 else f"{letter}{number}"
        return base

    def _is_weighted_sum(self, node: Node) -> bool:
        """Whether it is a sum of products with learned numbers, such as x · w + b."""
        pending, depth = [node], 0
        while pending and depth < 16:
            one = pending.pop()
            depth += 1
            if one.op.linear:
                learned = [s for s in _sources(one) if self.role.get(s) == "parameter"]
                if learned:
                    return True
            elif one.op.name == "add" and (one is node or one not in self.named):
                pending += _sources(one)
        return False

    def _weighted_source(self, node: Node) -> Node | None:
        for source in _sources(node):
            if source.op is not CONSTANT and self.role.get(source) not in ("constant", "parameter"):
                return source
        return None

    def _names_by_line(self) -> dict[Node, str]:
        """The user's name of a result: ``h = cr.tanh(z)`` names the last node of its line."""
        last: dict[tuple[str, int], Node] = {}
        for node in self._step.order:
            if node.origin and node.origin.file and not node.origin.layer and node.inputs:
                last[node.origin.file, node.origin.line] = node
        found = {}
        for (file, line), node in last.items():
            name = _assigned(file, line)
            if name and not node.op.moves and node is not self._step.loss:
                found[node] = name
        return found


def _keeps_all(node: Node) -> bool:
    """Whether it only moves or converts the elements of its operand, all of them."""
    return node.op.moves and node.type.size == node.inputs[0].type.size


def _is_part(path: str, of: str) -> bool:
    """Whether a layer is part of another one; all are parts of the network itself."""
    return path != "loss" and path.startswith(of + "." if of else "") and path != of


def _sources(node: Node) -> list[Node]:
    """The inputs, with broadcasts and the like looked through."""
    found = []
    for source in node.inputs:
        while source.op.moves and source.op is not CONCATENATE and source.op is not TAKE:
            source = source.inputs[0]
        found.append(source)
    return found


def _depending(step: Step) -> set[Node]:
    """The nodes that depend on something that is learned."""
    found = set(step.parameters.values())
    for node in step.order:
        if any(source in found for source in node.inputs):
            found.add(node)
    return found


@functools.lru_cache(256)
def _assigned(file: str, line: int) -> str:
    """The name that a statement of the user's code assigns; empty if there is no single one."""
    return _assignments(file).get(line, "")


@functools.lru_cache(16)
def _assignments(file: str) -> dict[int, str]:
    found: dict[int, str] = {}
    try:
        module: Any = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return found
    for statement in ast.walk(module):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                for line in range(statement.lineno, (statement.end_lineno or 0) + 1):
                    found[line] = target.id
    return found

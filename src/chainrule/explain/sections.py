"""The sections of an explanation, in the order in which every renderer writes them.

What is shown, and in which words, is decided here once; text, Markdown and LaTeX only format it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..engine.ir.operation import OPERATIONS
from ..tasks.examples import RawRow
from .explanation import Chain, Equation, Explanation, Layer, Node, ParameterUpdate, Path, Values
from .formatting import Writer

#: Networks with more nodes are summarised by layer, with the equations along one path.
_NODES = 40
_PARAMETERS = 12
#: A layer with more operations on integers and booleans is shown without them.
_INTEGERS = 8
#: So short a computation is shown as a row of names.
_SHORT = 9
#: So many columns are named that moved a prediction.
_MOVED = 8
#: A parameter's update is written with about so many equations at most.
_UPDATES = 24


@dataclass(frozen=True)
class Heading:
    """A heading: 1 for a step, 2 for a part of it."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Formula:
    """An equation: its sides, which are all equal; a note what it is.

    Equations of one block, such as a time step, stand close together.
    """

    sides: tuple[str, ...]
    note: str = ""
    block: str = ""


@dataclass(frozen=True)
class Lines:
    """Lines that are set as they are: the formula of an optimizer, or code."""

    lines: tuple[str, ...]
    is_code: bool = False


@dataclass(frozen=True)
class Grid:
    """A table."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Bars:
    """Numbers of very different magnitudes by name, as bars on a logarithmic scale."""

    title: str
    rows: tuple[tuple[str, float], ...]


Part = Heading | Prose | Formula | Lines | Grid | Bars


def parts(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    """Everything that is shown, in order."""
    yield from _opening(explanation)
    for sentence in explanation.bad:
        yield Prose(f"! {sentence}")
    yield from _forward(explanation, writer)
    yield from _error(explanation, writer)
    yield from _backward(explanation, writer)
    yield from _chains(explanation, writer)
    yield from _update(explanation, writer)
    yield from _flow(explanation)
    if explanation.notes:
        yield Heading("Notes", 2)
        for note in explanation.notes:
            yield Prose(note)


def _opening(explanation: Explanation) -> Iterator[Part]:
    yield Heading(explanation.title, 0)
    for sentence in explanation.story:
        yield Prose(sentence)
    for row in explanation.rows:
        yield Heading(row.name or f"Row {row.number} of the table", 2)
        yield Grid(
            ("column", "in the file", "becomes", "input"),
            tuple(
                (str(c["column"]), str(c["text"]), str(c["encoded"]), str(c["input"]))
                for c in row.cells
            ),
        )
        if row.target is not None:
            target = row.target
            yield Prose(f"The target {target['column']} is {target['text']}"
                        f"{_predicted(row.prediction)}.")  # fmt: skip
        yield from _moved(row)
    path = [node.symbol for node in explanation.nodes if node.shown and node.inputs]
    inputs = [node.symbol for node in explanation.nodes if node.role == "input"]
    if len(inputs) == 1 and 1 < len(path) <= _SHORT and explanation.error.unit == "example":
        yield Lines((" → ".join([*inputs, *path]),))
    if any(node.value.shape for node in explanation.nodes):
        yield Prose(_indices(explanation))


def _moved(row: RawRow) -> Iterator[Part]:
    """Which cells the prediction depends on: what it would be without each of them."""
    if not row.moved:
        return
    yield Prose(
        "What moved the prediction: what the model would say if a cell were missing, the cell "
        "that changes most first."
    )
    yield Grid(
        ("column", "in the file", "without it", "so it moved the prediction by"),
        tuple(
            (str(c["column"]), str(c["text"]), str(c["without"]), str(c["change"]))
            for c in row.moved[:_MOVED]
        ),
    )


def _indices(explanation: Explanation) -> str:
    if explanation.error.unit != "example":
        return "Indices start at 0."
    first = "the first one is the example: z1[0,0] is example 0, neuron 0."
    return f"Indices start at 0, and {first}{_weight_indices(explanation)}"


def _weight_indices(explanation: Explanation) -> str:
    for node in explanation.nodes:
        if node.role == "parameter" and len(node.value.shape) == 2:
            i, j = (extent - 1 for extent in node.value.shape)
            return f" The weight {node.symbol}[{i},{j}] connects input {i} to neuron {j}."
    return ""


def _depending(explanation: Explanation) -> set[int]:
    """Numbers of the nodes that depend on something that is learned."""
    found: set[int] = set()
    for node in explanation.nodes:
        if node.role == "parameter" or found.intersection(node.inputs):
            found.add(node.id)
    return found


def _predicted(prediction: str) -> str:
    return f"; the model predicts {prediction}" if prediction else ""


# ---- forward -------------------------------------------------------------------------------------


def _forward(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 1: forward")
    yield Prose("The inputs go through the network, operation by operation, up to the output.")
    if _is_large(explanation):
        yield _layer_grid(explanation)
        if explanation.rows:
            yield from _preprocessing(explanation, writer)
        reason = "In brief" if explanation.is_brief else "The network is large"
        yield Prose(f"{reason}: the arithmetic of one path through it is shown.")
        for chain in explanation.chains[:1]:
            for equation in chain.forward:
                yield formula(equation, writer)
        return
    for layer in explanation.layers:
        if layer.path == "loss":
            continue
        body = list(_layer(explanation, layer, writer))
        if body:
            yield Heading(_layer_title(layer), 2)
            yield from body


def _preprocessing(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    """What happens to the cells of a row before the network."""
    learning = _depending(explanation)
    for layer in explanation.layers:
        if layer.path != "loss" and not learning.intersection(layer.nodes):
            yield Heading(_layer_title(layer), 2)
            yield from _layer(explanation, layer, writer)


def _is_large(explanation: Explanation) -> bool:
    """Whether there is too much to show node by node; preprocessing does not count."""
    if explanation.is_brief or len(explanation.update.parameters) > _PARAMETERS:
        return True
    learning = _depending(explanation)
    nodes = [explanation.nodes[number] for number in learning]
    return sum(node.shown and bool(node.inputs) for node in nodes) > _NODES


def _layer_title(layer: Layer) -> str:
    if not layer.path:
        return "The inputs" if layer.title else "The computation"
    return f"{layer.path}: {layer.title}" if layer.title else layer.path


def _layer(explanation: Explanation, layer: Layer, writer: Writer) -> Iterator[Part]:
    nodes = [explanation.nodes[number] for number in layer.nodes]
    integers = [node.id for node in nodes if _is_integer(node)]
    if len(integers) > _INTEGERS:
        yield Prose(f"{len(integers)} operations on integers and booleans are omitted.")
    block = ""
    for node in nodes:
        if not node.shown or node.role in ("constant", "target", "example_loss", "loss"):
            continue
        if len(integers) > _INTEGERS and _is_integer(node):
            continue
        if explanation.is_folded and node.step is not None and node.forward:
            if block != (block := f"Time step {node.step}"):
                yield _time_step(block, node, node.forward)
            for equation in node.forward:
                yield formula(equation, writer, block)
            continue
        if not node.inputs:
            yield from _leaf(explanation, node, writer)
            continue
        if not (node.forward and node.value.size <= len(node.forward)):
            yield Prose(_what(node, writer))
        for equation in node.forward:
            yield formula(equation, writer)
        if node.c:
            yield Lines(tuple(node.c.splitlines()), is_code=True)


def _time_step(block: str, node: Node, equations: tuple[Equation, ...]) -> Prose:
    return Prose(f"{block}, first unit:" if node.value.size > len(equations) else f"{block}:")


def _is_integer(node: Node) -> bool:
    """Whether a node computes integers or booleans, such as the indices of a gather."""
    return node.shown and bool(node.inputs) and not node.value.dtype.startswith("float")


def _leaf(explanation: Explanation, node: Node, writer: Writer) -> Iterator[Part]:
    values = node.value
    if node.role == "input" and values.data is not None and values.size <= 24:
        names = explanation.labels.get(node.symbol, ())
        rows = values.data.reshape(-1, values.shape[-1] if values.shape else 1)
        for number, row in enumerate(rows.tolist()):
            listed = ", ".join(
                f"{names[i]} {writer.plain.number(x)}" if i < len(names) else writer.plain.number(x)
                for i, x in enumerate(row)
            )
            place = f"[{number}]" if len(rows) > 1 or len(values.shape) > 1 else ""
            yield Prose(f"{node.symbol}{place}: {listed}")
    elif node.role == "input":
        yield Prose(f"{node.symbol}: {_summary(values, writer)}")


def _what(node: Node, writer: Writer) -> str:
    """What a node is, for those that are not shown element by element."""
    some = f"; {len(node.forward)} of them:" if 0 < len(node.forward) < node.value.size else ""
    return (f"{node.symbol} = {node.formula}: {node.title}, "
            f"{_summary(node.value, writer)}{some}")  # fmt: skip


def _summary(values: Values, writer: Writer) -> str:
    if values.size == 1:
        return f"value {writer.plain.number(values.mean)}"
    extents = " × ".join(map(str, values.shape))
    bad = f", {values.bad} of them not finite" if values.bad else ""
    return (f"{extents} numbers from {_short(values.low)} to {_short(values.high)}, "
            f"RMS {_short(values.rms)}{bad}")  # fmt: skip


def _short(value: float) -> str:
    return f"{value:.3g}"


def _layer_grid(explanation: Explanation) -> Grid:
    rows = []
    for layer in explanation.layers:
        result = explanation.nodes[layer.result]
        rows.append((layer.path or "(input)", layer.title, " × ".join(map(str, result.value.shape)),
                     f"{layer.parameters:,}", _short(layer.activation)))  # fmt: skip
    return Grid(("layer", "type", "output", "parameters", "RMS"), tuple(rows))


# ---- the error -----------------------------------------------------------------------------------


def _error(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 2: error")
    of = f" ({explanation.error.name})" if explanation.error.name not in ("L", "") else ""
    meaning = f": {explanation.error.formula.rstrip('.')}" if explanation.error.formula else ""
    yield Prose(f"The loss L{of} measures how far the output is from the target{meaning}.")
    covered = {id(equation) for equation in explanation.error.examples}
    for layer in explanation.layers:
        for number in layer.nodes if layer.path == "loss" else ():
            node = explanation.nodes[number]
            if node.role == "target" and node.value.data is not None and node.value.size <= 24:
                listed = ", ".join(writer.plain.number(x) for x in node.value.data.tolist())
                yield Prose(f"{node.symbol}, the target: {listed}")
            elif node.shown and node.role == "hidden":
                for equation in node.forward:
                    yield formula(equation, writer)
    if explanation.error.probabilities:
        yield Prose("The output is no probability yet; the loss makes probabilities p of it:")
        for equation in explanation.error.probabilities:
            yield formula(equation, writer)
    for equation in explanation.error.examples:
        yield formula(equation, writer)
    for equation in explanation.error.batch:
        if id(equation) not in covered:
            yield formula(equation, writer)
    if not explanation.error.batch:
        yield Formula(("L", writer.number(explanation.loss)))


# ---- backward ------------------------------------------------------------------------------------


def _backward(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 3: backward")
    name = writer.plain.gradient("z")
    yield Prose(
        "How does the loss change when a number in the network changes? That is the derivative of "
        f"the loss with respect to this number, its gradient; for a number z it is written {name}. "
        "We go back from the loss. The chain rule, (f(g(x)))′ = f′(g(x)) · g′(x), says how: the "
        "gradient that is known already, times the derivative of the operation in between, is the "
        "gradient one step further back. Where paths meet, gradients add."
    )
    learning = _depending(explanation)
    used = {node.op for node in explanation.nodes if node.id in learning}
    for name, op in OPERATIONS.items():
        if name in used and op.notation.gradient:
            yield Prose(f"• {op.notation.gradient}")
    squares = (n for n in explanation.nodes if n.op == "multiply" and len(set(n.inputs)) == 1)
    if any(node.id in learning for node in squares):
        yield Prose("• The square e² has the derivative 2 · e.")
    if _is_large(explanation):
        for chain in explanation.chains[:1]:
            for equation in chain.equations:
                yield formula(equation, writer)
        return
    block = ""
    for node in reversed(explanation.nodes):
        if not node.backward or node.role == "parameter" or node.id not in learning:
            continue
        if explanation.is_folded and node.step is not None:
            if block != (block := f"Time step {node.step}"):
                yield _time_step(block, node, node.backward)
            for equation in node.backward:
                yield formula(equation, writer, block)
            continue
        if node.value.size > len(node.backward):
            yield Prose(_some(node, writer))
        for equation in node.backward:
            yield formula(equation, writer)
        if node.role == "output":
            yield from _shortcut(explanation, writer)
    learned = [node for node in explanation.nodes if node.role == "parameter" and node.backward]
    if learned:
        yield Heading("The gradients of the weights", 2)
    for node in reversed(learned):
        if node.value.size > len(node.backward) and not explanation.is_folded:
            yield Prose(_some(node, writer))
        for equation in node.backward:
            yield formula(equation, writer)


def _shortcut(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    """The gradient of the output in one line: (p - y) / n."""
    if not explanation.error.shortcut:
        return
    yield Prose(
        "All of these links together come to something short: the probability minus the target, "
        "p - y, divided by the number of examples where the loss is their mean."
    )
    for equation in explanation.error.shortcut:
        yield formula(equation, writer)


def _some(node: Node, writer: Writer) -> str:
    assert node.gradient is not None
    number = len(node.backward)
    some = "one of them" if number == 1 else f"{number} of them"
    return f"{writer.plain.gradient(node.symbol)}: {_summary(node.gradient, writer)}; {some}:"


# ---- one weight ----------------------------------------------------------------------------------


def _chains(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    for chain in explanation.chains:
        yield from _chain(chain, writer, explanation.error.unit)


def _chain(chain: Chain, writer: Writer, unit: str) -> Iterator[Part]:
    name = writer.plain.name(chain.weight)
    yield Heading(f"The chain of one weight: {name}", 2)
    if not chain.paths:
        yield Prose(f"No path leads from {name} to the loss: its gradient is 0.")
        return
    yield Prose(f"{_paths(chain)} Along a path the derivatives multiply, from the loss back to the "
                "weight" + ("." if chain.count == 1 else "; the products are added."))  # fmt: skip
    shown = chain.paths[:8]
    for number, path in enumerate(shown, 1):
        note = "" if path.example is None or chain.count == 1 else f"{unit} {path.example}"
        left = writer.gradient_name(chain.gradient) if chain.count == 1 else writer.path(number)
        sides = [left, *_derivatives(path, writer), writer.number(path.product)]
        yield Formula(tuple(dict.fromkeys(sides)), note)
    if chain.count > 1:
        rest = chain.rest + math.fsum(path.product for path in chain.paths[len(shown) :])
        others = "" if len(shown) == chain.count else _others(chain, len(shown))
        products = [path.product for path in shown]
        yield Formula(
            (
                writer.gradient_name(chain.gradient),
                writer.total(products, rest, others),
                writer.number(chain.gradient.value),
            ),
            "sum over all paths",
        )
    if chain.examples and chain.count > 1:
        yield Formula(
            (
                writer.gradient_name(chain.gradient),
                writer.total(list(chain.examples), 0.0, ""),
                writer.number(chain.gradient.value),
            ),
            f"the same, by {unit}",
        )


def _derivatives(path: Path, writer: Writer) -> tuple[str, str]:
    """The derivatives along a path, from the loss back to the weight: as symbols and as numbers."""
    factors = list(reversed(path.factors))
    symbols = writer.dot.join(
        writer.partial(writer.name(f.upper), writer.name(f.lower))
        if f.upper.place or f.upper.symbol != "L"
        else writer.gradient(writer.name(f.lower))
        for f in factors
    )
    return symbols, writer.product([f.value for f in factors])


def _paths(chain: Chain) -> str:
    if chain.count == 1:
        return "There is one path from this weight to the loss."
    if math.isinf(chain.count):
        return "There are very many paths from this weight to the loss; these contribute most."
    return f"There are {chain.count:,.0f} paths from this weight to the loss."


def _others(chain: Chain, shown: int) -> str:
    count = "all" if math.isinf(chain.count) else f"{chain.count - shown:,.0f}"
    return f"{count} other paths"


# ---- update --------------------------------------------------------------------------------------


def _update(explanation: Explanation, writer: Writer) -> Iterator[Part]:
    update = explanation.update
    yield Heading("Step 4: update")
    yield Prose(
        "Every weight takes a step against its gradient, for in that direction the loss falls. "
        f"The optimizer is {update.optimizer}, this is its step {update.step}, and the learning "
        f"rate is {writer.plain.number(update.rate)}"
        + (f" (schedule {update.schedule})" if update.schedule else "")
        + ". In the formula w is a weight, g its gradient and lr the learning rate; new values are "
        "marked with a prime (′)."
    )
    if update.formula:
        yield Lines(update.formula)
    if update.clip_factor < 1:
        yield Prose(
            f"The norm of all gradients together is {writer.plain.number(update.gradient_norm)}; "
            f"clipping multiplies them by {writer.plain.number(update.clip_factor)}."
        )
    for equation in update.equations:
        yield formula(equation, writer)
    if _is_large(explanation) or explanation.is_folded:
        yield _parameter_grid(explanation)
        for parameter in update.parameters:
            chosen = [one for one in parameter.equations if _has_chain(one, explanation)]
            for equation in chosen:
                yield formula(equation, writer)
    else:
        for parameter in update.parameters:
            yield from _parameter(parameter, explanation, writer)
    yield Heading("The loss after the step", 2)
    yield Prose(_after(explanation, writer))


def _has_chain(equation: Equation, explanation: Explanation) -> bool:
    """Whether it is of a weight whose chain is shown."""
    weights = {(chain.weight.node, chain.weight.index) for chain in explanation.chains}
    return (equation.left.node, equation.left.index) in weights


def _parameter_grid(explanation: Explanation) -> Grid:
    rows = tuple(
        (p.path, f"{p.new.size:,}", _short(p.gradient.rms), _short(p.change.rms), _short(p.new.rms))
        for p in explanation.update.parameters
    )
    return Grid(("parameter", "elements", "RMS of gradient", "of update", "of new value"), rows)


def _parameter(
    parameter: ParameterUpdate, explanation: Explanation, writer: Writer
) -> Iterator[Part]:
    """The equations of the first elements, and of those whose chain is shown."""
    equations = parameter.equations
    elements = list(dict.fromkeys(one.left.index for one in equations))
    shown = set(elements[: max(_UPDATES * len(elements) // max(len(equations), 1), 1)])
    shown |= {one.left.index for one in equations if _has_chain(one, explanation)}
    size = parameter.new.size
    if size > len(shown):
        some = f"; {len(shown)} of them:" if shown else "."
        yield Prose(f"{parameter.path}: {size:,} elements, RMS of the update "
                    f"{_short(parameter.change.rms)}{some}")  # fmt: skip
    for equation in equations:
        if equation.left.index in shown:
            yield formula(equation, writer)


def _after(explanation: Explanation, writer: Writer) -> str:
    update = explanation.update
    fallen = update.loss < explanation.loss
    verb = "fallen" if fallen else "risen"
    numbers = (explanation.loss, update.loss, update.predicted)
    before, after, predicted = map(writer.plain.number, numbers)
    first = (
        f"The loss has {verb} from {before} to {after}. The gradient predicted {predicted}: it "
        "extends the tangent at the old weights"
    )
    expected, actual = explanation.loss - update.predicted, explanation.loss - update.loss
    if expected > 0 and actual < 0:
        return f"{first}. The step was too long for that: try a smaller learning rate."
    if expected > 0 and abs(actual - expected) <= 0.1 * expected:
        return f"{first}. For a step of this length the tangent is a good approximation."
    return f"{first}, but the loss is curved."


# ---- flow ----------------------------------------------------------------------------------------


def _flow(explanation: Explanation) -> Iterator[Part]:
    layers = [layer for layer in explanation.layers if layer.path != "loss" and layer.title != ""]
    learned = [layer for layer in layers if layer.weight_gradient is not None]
    if len(learned) < 2 and not explanation.flow:
        return
    yield Heading("Gradient flow", 2)
    yield Prose("The root mean square (RMS) of the numbers of each layer.")
    named = [(layer.path or "input", layer) for layer in layers]
    rows = {
        "activation": [(name, layer.activation) for name, layer in named],
        "gradient": [(n, one.gradient) for n, one in named if one.gradient is not None],
        "gradient of the weights": [(one.path, one.weight_gradient or 0.0) for one in learned],
        "update of the weights": [(one.path, one.update or 0.0) for one in learned],
    }
    for title, found in rows.items():
        if found:  # a loss of 0 may have no gradient to show
            yield Bars(title, tuple(found))
    for path, sentence in explanation.flow:
        yield Prose(f"! {path}: {sentence}")


def formula(equation: Equation, writer: Writer, block: str = "") -> Formula:
    """An equation as its sides."""
    return Formula(tuple(writer.equation(equation)), equation.note, block)

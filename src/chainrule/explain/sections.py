"""The sections of an explanation, in the order in which every renderer tells them.

What is told, and in which words, is decided here once; text, Markdown and LaTeX only set it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .explanation import Chain, Equation, Explanation, Layer, Node, ParameterUpdate, Path, Values
from .formatting import Writer

#: Networks with more nodes are told by layer, with the equations of a few.
_NODES = 40
_PARAMETERS = 12
#: So short a computation is shown as a row of names.
_SHORT = 9
#: A parameter's update is told in so many equations at most.
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
    """An equation: its sides, which are all equal; a note what it is."""

    sides: tuple[str, ...]
    note: str = ""


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
    """Numbers of very different sizes by name, as bars."""

    title: str
    rows: tuple[tuple[str, float], ...]


Part = Heading | Prose | Formula | Lines | Grid | Bars

#: How a gradient gets through an operation, said once.
_RULES = {
    "add": "A sum passes the gradient on unchanged, to each of its terms.",
    "subtract": "A difference passes it on unchanged, with the other sign to what is subtracted.",
    "multiply": "A product passes it on to each factor, times the other factor.",
    "matmul": "A weighted sum passes it on to each input times its weight, and to each weight "
    "times its input.",
    "convolution": "A convolution is a weighted sum at each place of its window: it passes the "
    "gradient on to each input times its weight, and to each weight times its input, summed over "
    "all places.",
    "divide": "A quotient passes it on divided by the denominator.",
    "sigmoid": "The sigmoid a = σ(z) has the slope a · (1 - a).",
    "tanh": "The hyperbolic tangent a = tanh(z) has the slope 1 - a².",
    "relu": "max(0, z) has the slope 1 where z is above 0, and 0 elsewhere.",
    "max_pool": "The largest of a window gets the gradient, the others get nothing.",
    "exp": "The exponential is its own slope.",
    "log": "The logarithm of x has the slope 1 / x.",
    "softplus": "ln(1 + exp(z)) has the slope σ(z).",
    "log_softmax": "The logarithm of the softmax, y, has the slope 1 - exp(y) by its own input, "
    "and -exp(y) by each other one.",
    "softmax": "The softmax y has the slope y · (1 - y) by its own input, and -y times the other's "
    "y by each other one.",
    "take": "Of a table only the rows that were looked up get a gradient.",
}


def parts(told: Explanation, writer: Writer) -> Iterator[Part]:
    """All that is told, in order."""
    yield from _opening(told, writer)
    for sentence in told.bad:
        yield Prose(f"! {sentence}")
    yield from _forward(told, writer)
    yield from _error(told, writer)
    yield from _backward(told, writer)
    yield from _chains(told, writer)
    yield from _update(told, writer)
    yield from _flow(told, writer)
    if told.notes:
        yield Heading("Notes", 2)
        for note in told.notes:
            yield Prose(note)


def _opening(told: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading(told.title, 0)
    for sentence in told.story:
        yield Prose(sentence)
    for row in told.rows:
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
    way = [node.symbol for node in told.nodes if node.shown and node.inputs]
    inputs = [node.symbol for node in told.nodes if node.role == "input"]
    if len(inputs) == 1 and 1 < len(way) <= _SHORT and told.error.unit == "example":
        yield Lines((" → ".join([*inputs, *way]),))
    if any(node.value.shape for node in told.nodes):
        yield Prose(_places(told))


def _places(told: Explanation) -> str:
    said = "Places are counted from 0."
    if told.error.unit == "example":
        said = (
            "Places are counted from 0, and the first one is the example: z1[0,0] is example 0, "
            "neuron 0."
        )
        return said + _weight_place(told)
    return said


def _weight_place(told: Explanation) -> str:
    for node in told.nodes:
        if node.role == "parameter" and len(node.value.shape) == 2:
            i, j = (extent - 1 for extent in node.value.shape)
            return f" The weight {node.symbol}[{i},{j}] leads from input {i} to neuron {j}."
    return ""


def _depending(told: Explanation) -> set[int]:
    """Numbers of the nodes that depend on something that is learned."""
    found: set[int] = set()
    for node in told.nodes:
        if node.role == "parameter" or found.intersection(node.inputs):
            found.add(node.id)
    return found


def _predicted(prediction: str) -> str:
    return f"; the model says {prediction}" if prediction else ""


# ---- forward -------------------------------------------------------------------------------------


def _forward(told: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 1: forward")
    yield Prose("The inputs go through the network, operation by operation, up to the output.")
    if _is_large(told):
        yield _layer_grid(told, writer)
        if told.rows:
            yield from _preprocessing(told, writer)
        yield Prose("Of so large a network the arithmetic of one way through it is told.")
        for chain in told.chains[:1]:
            for equation in chain.forward:
                yield formula(equation, writer)
        return
    for layer in told.layers:
        if layer.path == "loss":
            continue
        body = list(_layer(told, layer, writer))
        if body:
            yield Heading(_layer_title(layer), 2)
            yield from body


def _preprocessing(told: Explanation, writer: Writer) -> Iterator[Part]:
    """What happens to the cells of a row before the network."""
    learning = _depending(told)
    for layer in told.layers:
        if layer.path != "loss" and not learning.intersection(layer.nodes):
            yield Heading(_layer_title(layer), 2)
            yield from _layer(told, layer, writer)


def _is_large(told: Explanation) -> bool:
    """Whether there is too much to be told node by node: what preprocesses does not count."""
    if len(told.update.parameters) > _PARAMETERS:
        return True
    learning = _depending(told)
    return sum(told.nodes[i].shown and bool(told.nodes[i].inputs) for i in learning) > _NODES


def _layer_title(layer: Layer) -> str:
    if not layer.path:
        return "The inputs" if layer.title else "The computation"
    return f"{layer.path}: {layer.title}" if layer.title else layer.path


def _layer(told: Explanation, layer: Layer, writer: Writer) -> Iterator[Part]:
    for number in layer.nodes:
        node = told.nodes[number]
        if not node.shown or node.role in ("constant", "target", "example_loss", "loss"):
            continue
        if not node.inputs:
            yield from _leaf(told, node, writer)
            continue
        if not (node.forward and node.value.size <= len(node.forward)):
            yield Prose(_what(node, writer))
        for equation in node.forward:
            yield formula(equation, writer)
        if node.c:
            yield Lines(tuple(node.c.splitlines()), is_code=True)


def _leaf(told: Explanation, node: Node, writer: Writer) -> Iterator[Part]:
    values = node.value
    if node.role == "input" and values.data is not None and values.size <= 24:
        names = told.labels.get(node.symbol, ())
        rows = values.data.reshape(-1, values.shape[-1] if values.shape else 1)
        for number, row in enumerate(rows.tolist()):
            said = ", ".join(
                f"{names[i]} {writer.plain.number(x)}" if i < len(names) else writer.plain.number(x)
                for i, x in enumerate(row)
            )
            place = f"[{number}]" if len(rows) > 1 or len(values.shape) > 1 else ""
            yield Prose(f"{node.symbol}{place}: {said}")
    elif node.role == "input":
        yield Prose(f"{node.symbol}: {_summary(values, writer)}")


def _what(node: Node, writer: Writer) -> str:
    """What a node is, for those that are not told element by element."""
    told = f"; {len(node.forward)} of them:" if 0 < len(node.forward) < node.value.size else ""
    return (f"{node.symbol} = {node.formula}: {node.title}, "
            f"{_summary(node.value, writer)}{told}")  # fmt: skip


def _summary(values: Values, writer: Writer) -> str:
    if values.size == 1:
        return f"value {writer.plain.number(values.mean)}"
    extents = " by ".join(map(str, values.shape))
    bad = f", {values.bad} of them not finite" if values.bad else ""
    return (f"{extents} numbers from {_short(values.low)} to {_short(values.high)}, "
            f"typical size {_short(values.rms)}{bad}")  # fmt: skip


def _short(value: float) -> str:
    return f"{value:.3g}"


def _layer_grid(told: Explanation, writer: Writer) -> Grid:
    rows = []
    for layer in told.layers:
        result = told.nodes[layer.result]
        rows.append((layer.path or "(input)", layer.title, " × ".join(map(str, result.value.shape)),
                     f"{layer.parameters:,}", _short(layer.activation)))  # fmt: skip
    return Grid(("layer", "what", "result", "parameters", "typical size"), tuple(rows))


# ---- the error -----------------------------------------------------------------------------------


def _error(told: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 2: error")
    of = f" ({told.error.name})" if told.error.name not in ("L", "") else ""
    meaning = f": {told.error.formula.rstrip('.')}" if told.error.formula else ""
    yield Prose(f"The loss L{of} says by how much the output misses the target{meaning}.")
    covered = {id(equation) for equation in told.error.examples}
    for layer in told.layers:
        for number in layer.nodes if layer.path == "loss" else ():
            node = told.nodes[number]
            if node.role == "target" and node.value.data is not None and node.value.size <= 24:
                listed = ", ".join(writer.plain.number(x) for x in node.value.data.tolist())
                yield Prose(f"{node.symbol}, the target: {listed}")
            elif node.shown and node.role == "hidden":
                for equation in node.forward:
                    yield formula(equation, writer)
    for equation in told.error.examples:
        yield formula(equation, writer)
    for equation in told.error.batch:
        if id(equation) not in covered:
            yield formula(equation, writer)
    if not told.error.batch:
        yield Formula(("L", writer.number(told.loss)))


# ---- backward ------------------------------------------------------------------------------------


def _backward(told: Explanation, writer: Writer) -> Iterator[Part]:
    yield Heading("Step 3: backward")
    name = writer.plain.gradient("z")
    yield Prose(
        "How fast does the loss change when a number in the network changes? That is a derivative, "
        f"called the gradient by that number; by z it is written {name}. We go from the loss back. "
        "The chain rule, (f(g(x)))′ = f′(g(x)) · g′(x), says how: the gradient that is known "
        "already, times the slope of the operation in between, is the gradient one step further "
        "back. Where paths meet, add."
    )
    learning = _depending(told)
    used = {node.op for node in told.nodes if node.id in learning}
    for op, rule in _RULES.items():
        if op in used:
            yield Prose(f"• {rule}")
    squares = (n for n in told.nodes if n.op == "multiply" and len(set(n.inputs)) == 1)
    if any(node.id in learning for node in squares):
        yield Prose("• The square e² has the slope 2 · e.")
    if _is_large(told):
        for chain in told.chains[:1]:
            for equation in chain.equations:
                yield formula(equation, writer)
        return
    for node in reversed(told.nodes):
        if not node.backward or node.role == "parameter" or node.id not in learning:
            continue
        if node.value.size > len(node.backward):
            yield Prose(_some(node, writer))
        for equation in node.backward:
            yield formula(equation, writer)
    learned = [node for node in told.nodes if node.role == "parameter" and node.backward]
    if learned:
        yield Heading("The gradients of the weights", 2)
    for node in reversed(learned):
        if node.value.size > len(node.backward):
            yield Prose(_some(node, writer))
        for equation in node.backward:
            yield formula(equation, writer)


def _some(node: Node, writer: Writer) -> str:
    assert node.gradient is not None
    number = len(node.backward)
    some = "one of them" if number == 1 else f"{number} of them"
    return f"{writer.plain.gradient(node.symbol)}: {_summary(node.gradient, writer)}; {some}:"


# ---- one weight ----------------------------------------------------------------------------------


def _chains(told: Explanation, writer: Writer) -> Iterator[Part]:
    for chain in told.chains:
        yield from _chain(chain, writer, told.error.unit)


def _chain(chain: Chain, writer: Writer, unit: str) -> Iterator[Part]:
    name = writer.plain.name(chain.weight)
    yield Heading(f"The whole chain of one weight: {name}", 2)
    if not chain.paths:
        yield Prose(f"Nothing flows back to {name}: its gradient is 0.")
        return
    ways = _ways(chain)
    yield Prose(f"{ways} Along a way the slopes multiply, from the loss back to the weight"
                + ("." if chain.count == 1 else "; the ways add up."))  # fmt: skip
    shown = chain.paths[:8]
    for number, path in enumerate(shown, 1):
        note = "" if path.example is None or chain.count == 1 else f"{unit} {path.example}"
        left = writer.gradient_name(chain.gradient) if chain.count == 1 else writer.way(number)
        sides = [left, *_slopes(path, writer), writer.number(path.product)]
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
            "the sum of all ways",
        )
    if chain.examples and chain.count > 1:
        yield Formula(
            (
                writer.gradient_name(chain.gradient),
                writer.total(list(chain.examples), 0.0, ""),
                writer.number(chain.gradient.value),
            ),
            f"the same by {unit}s",
        )


def _slopes(path: Path, writer: Writer) -> tuple[str, str]:
    """The slopes along a way, from the loss back to the weight: as symbols, and as numbers."""
    factors = list(reversed(path.factors))
    symbols = writer.dot.join(
        writer.partial(writer.name(f.upper), writer.name(f.lower))
        if f.upper.place or f.upper.symbol != "L"
        else writer.gradient(writer.name(f.lower))
        for f in factors
    )
    return symbols, writer.product([f.value for f in factors])


def _ways(chain: Chain) -> str:
    if chain.count == 1:
        return "There is one way from this weight to the loss."
    if math.isinf(chain.count):
        return "There are very many ways from this weight to the loss; these matter most."
    return f"There are {chain.count:,.0f} ways from this weight to the loss."


def _others(chain: Chain, told: int) -> str:
    return "all other ways" if math.isinf(chain.count) else f"{chain.count - told:,.0f} other ways"


# ---- update --------------------------------------------------------------------------------------


def _update(told: Explanation, writer: Writer) -> Iterator[Part]:
    update = told.update
    yield Heading("Step 4: update")
    yield Prose(
        f"Every weight takes a step against its gradient, for there the loss falls. "
        f"{update.optimizer} is the rule, this is its step number {update.step}, and the learning "
        f"rate is {writer.plain.number(update.rate)}"
        + (f" (schedule {update.schedule})" if update.schedule else "")
        + ". In the formula w is a weight, g its gradient and lr the rate; a new number is marked "
        "with a prime (′)."
    )
    if update.formula:
        yield Lines(update.formula)
    if update.clip_factor < 1:
        yield Prose(
            f"All gradients together have the length {writer.plain.number(update.gradient_norm)}; "
            f"clipping multiplies them by {writer.plain.number(update.clip_factor)}."
        )
    for equation in update.equations:
        yield formula(equation, writer)
    if _is_large(told):
        yield _parameter_grid(told)
        for parameter in update.parameters:
            picked = [q for q in parameter.equations if _is_told(q, told)]
            for equation in picked:
                yield formula(equation, writer)
    else:
        for parameter in update.parameters:
            yield from _parameter(parameter, told, writer)
    yield Heading("The loss after the step", 2)
    yield Prose(_after(told, writer))


def _is_told(equation: Equation, told: Explanation) -> bool:
    """Whether it is of a weight whose chain is told."""
    left = equation.left
    return any((c.weight.node, c.weight.index) == (left.node, left.index) for c in told.chains)


def _parameter_grid(told: Explanation) -> Grid:
    rows = tuple(
        (p.path, f"{p.new.size:,}", _short(p.gradient.rms), _short(p.change.rms), _short(p.new.rms))
        for p in told.update.parameters
    )
    return Grid(("parameter", "numbers", "gradient", "change", "typical size"), rows)


def _parameter(parameter: ParameterUpdate, told: Explanation, writer: Writer) -> Iterator[Part]:
    elements = {equation.left.place for equation in parameter.equations}
    size = parameter.new.size
    if size > len(elements):
        some = f"; {len(elements)} of them:" if elements else "."
        yield Prose(
            f"{parameter.path}: {size:,} numbers change by {_short(parameter.change.rms)} "
            f"in the mean (root of the mean square){some}"
        )
    for equation in parameter.equations[:_UPDATES]:
        yield formula(equation, writer)


def _after(told: Explanation, writer: Writer) -> str:
    update = told.update
    fallen = update.loss < told.loss
    verb = "fallen" if fallen else "risen"
    before, after, promise = map(writer.plain.number, (told.loss, update.loss, update.predicted))
    first = (
        f"The loss has {verb} from {before} to {after}. The gradient had promised {promise}: it is "
        "the slope at the old weights, and promises a straight line"
    )
    promised, real = told.loss - update.predicted, told.loss - update.loss
    if promised > 0 and real < 0:
        return f"{first}. The step was too long: a smaller rate keeps the promise."
    if promised > 0 and abs(real - promised) <= 0.1 * promised:
        return f"{first}. For a step of this length the line is a good guide."
    return f"{first}, but the loss is curved."


# ---- flow ----------------------------------------------------------------------------------------


def _flow(told: Explanation, writer: Writer) -> Iterator[Part]:
    layers = [layer for layer in told.layers if layer.path != "loss" and layer.title != ""]
    learned = [layer for layer in layers if layer.weight_gradient is not None]
    if len(learned) < 2 and not told.flow:
        return
    yield Heading("Gradient flow", 2)
    yield Prose("The size of a typical number (root of the mean square), layer by layer.")
    yield Bars(
        "activation",
        tuple((layer.path or "input", layer.activation) for layer in layers),
    )
    yield Bars(
        "gradient",
        tuple(
            (layer.path or "input", layer.gradient)
            for layer in layers if layer.gradient is not None
        ),
    )  # fmt: skip
    yield Bars(
        "gradient of the weights",
        tuple((layer.path, layer.weight_gradient or 0.0) for layer in learned),
    )
    yield Bars("update of the weights", tuple((x.path, x.update or 0.0) for x in learned))
    for path, sentence in told.flow:
        yield Prose(f"! {path}: {sentence}")


def formula(equation: Equation, writer: Writer) -> Formula:
    """An equation as its sides."""
    return Formula(tuple(writer.equation(equation)), equation.note)

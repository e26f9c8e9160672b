"""The four steps of backpropagation as data.

Everything in here was computed by `chainrule.explain.build`; the renderers (text, Markdown, LaTeX,
HTML) only lay it out. All of it is plain data: `Explanation.to_json`.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..tasks.examples import RawRow
from ..utils.typing import Array

#: The functions that write an explanation, by format; filled by the `__init__` of the package.
RENDERERS: dict[str, Callable[..., str]] = {}

# ---- numbers -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Values:
    """A summary of an array, with all numbers if they are few.

    Attributes:
        shape: extents of the axes.
        dtype: name of the element type.
        data: all numbers in row-major order; None if there are too many.
        norm: √Σx².
        rms: √(Σx²/n), the root mean square.
        mean: of the elements.
        low: the smallest finite element.
        high: the largest finite element.
        zeros: the fraction of elements that are exactly 0.
        bad: how many elements are NaN or infinite.
        histogram: how many (sampled) elements lie between `low` and `high`, in bins of equal width;
            empty for scalars.
    """

    shape: tuple[int, ...]
    dtype: str
    data: Array | None
    norm: float
    rms: float
    mean: float
    low: float
    high: float
    zeros: float
    bad: int
    histogram: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Quantity:
    """A number with a name: one element of a node, of its gradient, or of a parameter's update.

    Attributes:
        symbol: the name of the whole array, such as ``z1`` or ``hidden.weight``.
        place: the index of the element on each axis, from 0; empty for scalars.
        value: the number.
        of: what of it: ``value``, ``gradient``, ``new`` (after the update), ``state``,
            ``number`` (a constant: it has no name), or ``rest`` (the sum of terms that are not
            shown; the symbol says how many).
        node: the id of the node, if it is one.
        index: the element in row-major order.
    """

    symbol: str
    place: tuple[int, ...]
    value: float
    of: str = "value"
    node: int | None = None
    index: int = 0


@dataclass(frozen=True)
class Call:
    """An operation applied to expressions.

    ``op`` is one of ``add`` (any number of terms), ``subtract``, ``multiply`` (any number of
    factors), ``divide``, ``negative``, ``power``, ``max``, ``min`` (any number), ``where``
    (condition, if true, if false), a comparison such as ``greater``, or the name of a function of
    one number, as the operations of chainrule are called: ``exp``, ``log``, ``sigmoid``, ``tanh``…
    """

    op: str
    arguments: tuple[Expression, ...]


Expression = Quantity | Call


@dataclass(frozen=True)
class Equation:
    """``left = right``, with every number on both sides.

    Attributes:
        left: what is computed.
        right: how, from which numbers.
        note: a remark, for example which example it belongs to.
    """

    left: Quantity
    right: Expression
    note: str = ""


# ---- the network ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contribution:
    """A term of a gradient, from one consumer of the node: upstream gradient · local derivative.

    Attributes:
        consumer: the node that uses this one; its gradient is the upstream gradient.
        position: which of the consumer's inputs this node is.
        kind: what the local derivative is: ``elementwise`` (one number for each element, in
            `local`), ``linear`` (a matrix product or convolution with the other operand),
            ``structure`` (elements are only moved, repeated or summed) or ``general``.
        rule: the local derivative as a formula, such as ``a · (1 − a)``.
        local: the local derivative of each element, if it is elementwise and not too large.
        value: the contribution.
    """

    consumer: int
    position: int
    kind: str
    rule: str
    local: Values | None
    value: Values


@dataclass(frozen=True)
class Node:
    """One operation of the network with its numbers.

    Attributes:
        id: its number; the inputs of a node have smaller ones.
        op: name of the operation.
        role: ``input``, ``target``, ``parameter``, ``buffer``, ``constant``, ``hidden``,
            ``output`` (of the network), ``example_loss`` or ``loss``.
        symbol: its name in equations.
        title: the name of the operation in plain words.
        attributes: of the operation, as JSON data.
        inputs: the numbers of its inputs.
        layer: the path of the layer that it belongs to; empty outside layers.
        line: ``file:line`` of the user, or empty.
        formula: how it is computed, with the symbols of its inputs.
        value: its value.
        gradient: of the loss with respect to it; None if the loss does not depend on it.
        contributions: the terms whose sum the gradient is, one for each use.
        shown: whether it has equations of its own; other nodes (broadcasts, reshapes, the product
            in a sum of products) are written inside the equations of those that use them.
        forward: equations of some elements, all of them in small networks.
        backward: equations of the gradients of these elements.
        step: the time step, if the node is part of a loop over time.
        view: how it can be pictured, with what that needs: ``{"kind": "convolution", …}``,
            ``{"kind": "attention", …}``; or None.
        c: the C code of the node, if requested.
    """

    id: int
    op: str
    role: str
    symbol: str
    title: str
    attributes: Mapping[str, Any]
    inputs: tuple[int, ...]
    layer: str
    line: str
    formula: str
    value: Values
    gradient: Values | None = None
    contributions: tuple[Contribution, ...] = ()
    shown: bool = True
    forward: tuple[Equation, ...] = ()
    backward: tuple[Equation, ...] = ()
    step: int | None = None
    view: Mapping[str, Any] | None = None
    c: str = ""


@dataclass(frozen=True)
class Layer:
    """A group of nodes: a layer of the network, or a part without one (``path`` is empty then).

    Attributes:
        path: such as ``layers.0``.
        title: the class with sizes, such as ``Linear(2, 3)``, and what is computed after it.
        nodes: numbers of its nodes in the order of the forward pass.
        result: the last of them that is used outside the layer.
        parameters: the number of learned elements.
        activation: root mean square of its result.
        gradient: the same of the gradient of its result; None if there is none.
        weight: the same of its parameters, if it has any.
        weight_gradient: the same of the gradients of its parameters.
        update: the same of the updates of its parameters.
    """

    path: str
    title: str
    nodes: tuple[int, ...]
    result: int
    parameters: int
    activation: float
    gradient: float | None
    weight: float | None
    weight_gradient: float | None
    update: float | None


# ---- the four steps ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Error:
    """The second step.

    Attributes:
        name: of the loss.
        formula: its formula.
        examples: the loss of each example as equations; of large batches of some.
        batch: from the losses of the examples to the loss of the batch.
        node: the id of the node that is the loss.
        unit: what the loss is a sum of: ``example``, or ``term`` if that is not known.
        probabilities: where the loss makes probabilities of the output: p = σ(z) or softmax(z).
        shortcut: the gradient of the output as a whole, ∂L/∂z = (p - y) / n, if it is that.
    """

    name: str
    formula: str
    examples: tuple[Equation, ...]
    batch: tuple[Equation, ...]
    node: int
    unit: str = "example"
    probabilities: tuple[Equation, ...] = ()
    shortcut: tuple[Equation, ...] = ()


@dataclass(frozen=True)
class Factor:
    """One link of a chain: the derivative of one element with respect to the one before it.

    Attributes:
        upper: what is differentiated.
        lower: with respect to what.
        value: the derivative.
        expression: how it is computed, if there is a formula.
    """

    upper: Quantity
    lower: Quantity
    value: float
    expression: Expression | None = None


@dataclass(frozen=True)
class Path:
    """One path from the weight to the loss; its contribution to the gradient is the product."""

    factors: tuple[Factor, ...]
    product: float
    example: int | None = None


@dataclass(frozen=True)
class Chain:
    """The chain ∂L/∂w of one weight.

    Attributes:
        weight: the weight, with its value.
        gradient: ∂L/∂w as the training uses it.
        paths: the paths from the weight to the loss with the largest contributions, largest first.
        count: how many paths there are (a float, for there may be very many).
        rest: the sum of the contributions of all other paths.
        examples: the contribution of each example, if the loss is a sum over examples.
        equations: ∂L/∂w as upstream gradients times local derivatives, link by link, along the
            largest path from the loss back to the weight.
        forward: the forward pass along that path.
        new: the weight after the update.
    """

    weight: Quantity
    gradient: Quantity
    paths: tuple[Path, ...]
    count: float
    rest: float
    examples: tuple[float, ...]
    equations: tuple[Equation, ...]
    new: Quantity
    forward: tuple[Equation, ...] = ()


@dataclass(frozen=True)
class ParameterUpdate:
    """One parameter in the fourth step.

    Attributes:
        path: of the parameter.
        node: its id.
        gradient: what the optimizer was given: after clipping, before penalties.
        new: its new value.
        change: new − old.
        before: its optimizer state by name (``m``, ``v``, …).
        after: the same after the update.
        equations: the formula of the optimizer with the numbers of some elements, all of them in
            small networks; an element has one equation or several, in order.
    """

    path: str
    node: int
    gradient: Values
    new: Values
    change: Values
    before: Mapping[str, Values] = field(default_factory=dict)
    after: Mapping[str, Values] = field(default_factory=dict)
    equations: tuple[Equation, ...] = ()


@dataclass(frozen=True)
class Update:
    """The fourth step.

    Attributes:
        optimizer: its class, such as ``Adam``.
        options: the hyperparameters, as JSON data.
        formula: its formula, one line each, as documented.
        step: the number t of this update, from 1.
        rate: the learning rate of this update (of the first parameter group).
        schedule: the class of the learning rate schedule; empty if the rate is constant.
        gradient_norm: the norm of all gradients together, before clipping.
        clip_factor: what clipping by norm multiplied them by; 1 without.
        equations: numbers that all parameters share, such as bias corrections and clipping.
        parameters: each parameter.
        predicted: the loss after the step as the gradient predicts it: L + Σ ∂L/∂w · Δw.
        loss: the loss of the same examples after the step.
    """

    optimizer: str
    options: Mapping[str, Any]
    formula: tuple[str, ...]
    step: int
    rate: float
    schedule: str
    gradient_norm: float
    clip_factor: float
    equations: tuple[Equation, ...]
    parameters: tuple[ParameterUpdate, ...]
    predicted: float
    loss: float


@dataclass(frozen=True)
class Explanation:
    """The four steps of backpropagation for one network and some examples, with every number.

    Attributes:
        title: what is explained.
        story: sentences of introduction for beginners.
        notation: ``leibniz`` (∂L/∂z) or ``delta`` (δ).
        dtype: element type of the computation.
        loss: the loss before the step.
        layers: groups of nodes in forward order.
        nodes: the forward pass, inputs first; `Node.id` is the index in this tuple.
        error: the second step.
        update: the fourth step.
        chains: the chains of some weights.
        flow: paths of the layers where the gradient vanishes or explodes, with a sentence each.
        rows: the examples as they stand in the data, if they come from a file.
        labels: for inputs by symbol: names of the features on the last axis, such as columns.
        graph: forward pass, backward pass and update as one graph in the JSON of
            `chainrule.ir`, with names: see `page_graph.page_graph`; None if too large.
        graph_missing: why there is none.
        notes: sentences about what was omitted or assumed, and why.
        bad: sentences about the first NaN or infinity, forward and backward, if there is one.
        is_brief: whether texts summarise it by layer, however small it is.
        is_folded: whether texts have the first and the last time step only, each in one block.
    """

    title: str
    notation: str
    dtype: str
    loss: float
    layers: tuple[Layer, ...]
    nodes: tuple[Node, ...]
    error: Error
    update: Update
    chains: tuple[Chain, ...] = ()
    flow: tuple[tuple[str, str], ...] = ()
    rows: tuple[RawRow, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    graph: Mapping[str, Any] | None = None
    graph_missing: str = ""
    story: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    is_brief: bool = False
    is_folded: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON data.

        Numbers are in full precision. What JSON has no number for is the string ``NaN``,
        ``Infinity`` or ``-Infinity``.
        """
        found: dict[str, Any] = _plain(self)
        return {"format": "chainrule.explanation", "version": 1, **found}

    def to_text(self, width: int = 80, digits: int = 6, detail: str = "normal") -> str:
        """The explanation as plain text, ``width`` columns wide.

        ``detail`` is ``brief`` (by layer), ``normal`` (without what repeats) or ``all``.
        """
        return RENDERERS["text"](self, width=width, digits=digits, detail=detail)

    def to_markdown(self, digits: int = 6, detail: str = "normal") -> str:
        """The explanation as Markdown, with formulas that GitHub and notebooks render."""
        return RENDERERS["markdown"](self, digits=digits, detail=detail)

    def to_latex(self, digits: int = 6, detail: str = "normal") -> str:
        """The explanation as a LaTeX document that compiles as it is."""
        return RENDERERS["latex"](self, digits=digits, detail=detail)

    def to_html(self, digits: int = 6) -> str:
        """The explanation as one self-contained page."""
        return RENDERERS["html"](self, digits=digits)

    def _repr_html_(self) -> str:
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:44em;border:0"></iframe>'

    def __repr__(self) -> str:
        return self.to_text()


def _plain(value: Any) -> Any:
    """Dataclasses as dicts, arrays as lists, numbers as JSON has them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _special(value)
    if isinstance(value, np.ndarray):
        return numbers(value)
    if isinstance(value, Quantity | Call):
        kind = "call" if isinstance(value, Call) else "quantity"
        return {"kind": kind, **_fields(value)}
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def numbers(array: Array) -> list[Any]:
    """The elements in row-major order, with the fewest digits that give the same numbers back."""
    flat = array.ravel()
    if flat.dtype == np.float32:
        flat = flat.astype("U24").astype(np.float64)
    listed: list[Any] = flat.tolist()
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return [x if math.isfinite(x) else _special(x) for x in listed]
    return listed

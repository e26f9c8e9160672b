"""The declaration of an operation: everything that is known of it, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from ...errors import ChainruleError
from .batch_axis import ELEMENTWISE, BatchRule
from .notation import PLAIN, Notation
from .types import DType, Type


class _Marker:
    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.__doc__ = meaning

    def __repr__(self) -> str:
        return self.name


#: The derivative is zero wherever it exists (round, sign, stop_gradient, integer results).
ZERO = _Marker("ZERO", "The derivative is zero wherever it exists.")
#: There is no derivative with respect to this input, such as an index; to ask for it is an error.
NON_DIFFERENTIABLE = _Marker(
    "NON_DIFFERENTIABLE", "There is no derivative with respect to this input."
)


#: In the attributes of a sample: any text, which is for messages and reaches no program.
ANY_TEXT = "…"


@dataclass(frozen=True)
class Sample:
    """One example of the use of an operation or function, for the tests."""

    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    #: Finite differences mean nothing at a kink or jump; then only the declared rule is tested.
    smooth: bool = True


class Cost(IntEnum):
    """How much an element costs: what is cheap is computed again rather than stored."""

    #: Nothing: a view.
    NOTHING = 0
    #: One instruction on one number: conversions, signs, comparisons.
    TRIVIAL = 1
    #: Sums, differences, products.
    ARITHMETIC = 2
    #: A choice between two numbers.
    CHOICE = 3
    #: An extreme, or a logical combination, of two numbers.
    SELECTION = 4
    #: Everything else.
    FUNCTION = 5


class Reduction(NamedTuple):
    """What a reduction does with the elements of its axes.

    Attributes:
        combine: the operation that puts two elements together; in any order, but for rounding.
        identity: the result of no elements, by element type.
    """

    combine: Operation
    identity: Callable[[DType], Any]


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation: how its type follows, what it means, how it is differentiated, what it is.

    Whoever computes, rewrites or explains graphs asks here; nobody keeps a list of operations of
    some kind beside.

    Args:
        name: unique, lower case.
        type_rule: ``(*types, **attributes) -> Type``; raises when the inputs do not fit.
        compute: ``(xp, *arrays, **attributes) -> array``, written against an array namespace
            ``xp``, so that NumPy and compatible libraries share it. Exact meaning: with NumPy.
        derivatives: one rule for each input, or a function from the position of an input to
            its rule, for operations with any number of inputs. ``rule(g, y, *inputs,
            **attributes)`` gives the gradient with respect to that input: the upstream gradient
            ``g`` times the local derivative, written with operations, so that it can be
            differentiated again.
        formula: how the operation is written, with ``{0}``, ``{1}`` for its inputs.
        pull_back: instead of ``derivatives``, where the gradients of all inputs share their work:
            ``pull_back(walk, upstream, wanted, y, *inputs, **attributes)`` gives a dict from the
            wanted positions to gradients; what is missing is zero. ``upstream`` is a dict from the
            number of a part of the record ``y`` to the upstream gradient. ``walk`` is the chain
            rule itself, `chainrule.engine.autodiff.pull_back`, for rules that have a graph inside.
        samples: examples that the tests run through value, gradient and second derivative.
        elementwise: whether an element of the result depends on the elements of the operands at the
            same index only.
        view: whether it shows the elements of its operand by other strides and computes nothing.
        repeats: whether it is its operand, broadcast.
        moves: whether it only moves, repeats or converts elements; views do.
        reduction: how ``axes`` are reduced, if elements are combined two by two.
        cost: how cheap an element is to compute again.
        exact: whether floats are equal on every backend, as integers always are: they are moved,
            compared, or rounded as IEEE 754 says.
        batch: how the rows of a batch go through; None if a row may depend on others.
        indices: the position of the operand that holds indices, for operations that refuse indices
            out of range.
        stops: whether it may refuse a value and stop the program; those with indices may.
        accumulates: whether it is its first operand, with something added at some indices.
        in_place: whether it is its first operand but at some indices, so that it can be written
            over it; what accumulates is.
        has_body: whether ``body`` is a graph that it runs; then there are several results.
        c: the C expression of an element, by the kinds of element types: "f" floating point, "i"
            integers, "b" booleans, "*" any of them, of the last operand; "f>i" for one kind of
            operand and one of result. See `chainrule.engine.backends.c.expressions`.
        js: the JavaScript expression of an element, for the page of an explanation; ``Special`` has
            the functions that JavaScript lacks.
        notation: what explanations say of it.
        linear: whether it is a sum of products of elements of its operands.
        additive: whether it is the sum or the difference of its operands.
        scales: whether it multiplies or divides an operand by something, or by -1.
        work: ``(result type, *operand types, **attributes) -> int``: multiplications and the like,
            where they are more than the elements of the result.
        range: between which numbers all results lie, where that is less than all numbers and an end
            is reached or approached.
        square: ``(*inputs) -> tensor``: the square of its result, to the bit, with the derivatives
            that the square has where the result itself has none, as √x at 0.
        numpy: the function of NumPy that ``compute`` is, if it is one: it takes operands that are
            still to be broadcast, too, and makes a new array.
        into: ``(*operands, out=array)``: ``compute`` with NumPy, into an array that is there,
            which may be an operand; not needed where ``numpy`` can do that.
        vmap: how it takes one more axis, for `chainrule.vmap`: see `chainrule.engine.ops.mapping`.
            Not needed where ``batch`` is the rule of a kind; without any it runs in a loop.

    Attributes:
        is_plain: whether ``compute`` is NumPy's and applies no operations itself.
    """

    name: str
    type_rule: Callable[..., Type]
    compute: Callable[..., Any] | None
    derivatives: Sequence[Any] | Callable[[int], Any] = ()
    formula: str = ""
    samples: Callable[[], Iterable[Sample]] = tuple
    pull_back: Callable[..., dict[int, Any]] | None = None
    _: KW_ONLY
    elementwise: bool = False
    view: bool = False
    repeats: bool = False
    moves: bool = False
    reduction: Reduction | None = None
    cost: Cost = Cost.FUNCTION
    exact: bool = False
    batch: BatchRule | None = None
    indices: int | None = None
    stops: bool = False
    accumulates: bool = False
    in_place: bool = False
    has_body: bool = False
    c: Mapping[str, str] = field(default_factory=dict)
    js: str = ""
    notation: Notation = PLAIN
    linear: bool = False
    additive: bool = False
    scales: bool = False
    work: Callable[..., int] | None = None
    numpy: Callable[..., Any] | None = None
    into: Callable[..., None] | None = None
    is_plain: bool = field(default=False, init=False)
    vmap: Callable[..., Any] | None = None
    square: Callable[..., Any] | None = None
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.elementwise and self.batch is None:
            object.__setattr__(self, "batch", ELEMENTWISE)
        if self.indices is not None:
            object.__setattr__(self, "stops", True)
        if self.accumulates:
            object.__setattr__(self, "in_place", True)
        if self.view:
            object.__setattr__(self, "moves", True)
            object.__setattr__(self, "cost", Cost.NOTHING)
        if self.moves:
            object.__setattr__(self, "exact", True)
        if self.numpy is not None or self.reduction is not None or self.work is not None:
            object.__setattr__(self, "is_plain", not self.has_body)

    def derivative(self, position: int) -> Any:
        """The rule for the input at ``position``."""
        if callable(self.derivatives):
            return self.derivatives(position)
        if not self.derivatives:
            return ZERO
        return self.derivatives[position]

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


_operations: dict[str, Operation] = {}
#: Every operation by its name.
OPERATIONS = MappingProxyType(_operations)


def register(operation: Operation) -> Operation:
    """Add an operation to the registry; its name must be new."""
    if operation.name in _operations:
        raise ChainruleError(
            f"An operation named {operation.name!r} exists already.", hint="Choose another name."
        )
    _operations[operation.name] = operation
    return operation


_custom: set[str] = set()


def is_custom(operation: Operation) -> bool:
    """Whether an operation is a user's own."""
    return operation.name in _custom


def replace_custom(operation: Operation) -> None:
    """Add an operation of a user, in place of an earlier one of the name, as a notebook needs it.

    Graphs that were built with the earlier one keep it.
    """
    if operation.name in _custom:
        del _operations[operation.name]
    register(operation)
    _custom.add(operation.name)

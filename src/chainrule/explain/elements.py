"""Single elements: how one element of a node follows from elements of others, and back.

Forward, an element is a formula of elements: of a matrix product a sum of products, of a
convolution the sum over its window. Backward, the gradient of an element is a sum over those that
use it: their gradient times the local derivative, which comes from the rule that the operation
declares. Formulas that are written down here are tested against that rule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..engine.autodiff import pull_back
from ..engine.ir.node import CONSTANT, Node, constant
from ..engine.ir.operation import NON_DIFFERENTIABLE, OPERATIONS, ZERO, Operation
from ..engine.ops.declare import CAST
from ..engine.ops.elementwise import IDENTITY, STOP_GRADIENT
from ..engine.ops.pooling import MAX_POOL, SUM_POOL
from ..engine.ops.reduction import LOG_SOFTMAX, LOGSUMEXP, SOFTMAX
from ..engine.tensor import TRACE_BIT, Tensor, symbol
from ..utils.typing import Array
from .explanation import Call, Equation, Expression, Quantity
from .record import evaluate

#: A sum of more terms than this is shortened to the first ones and the sum of the others.
TERMS = 10
_SHOWN_TERMS = 6
#: Of an element with more consumers than this only the most important ones are followed.
WIDEST = 64


def number(value: float) -> Quantity:
    """A number without a name."""
    return Quantity("", (), float(value), "number")


def leaves(expression: Expression) -> int:
    """How many numbers an expression holds."""
    if isinstance(expression, Quantity):
        return 1
    return sum(map(leaves, expression.arguments))


def value_of(expression: Expression) -> float:
    """The value of an expression, in float64."""
    if isinstance(expression, Quantity):
        return expression.value
    arguments = [value_of(one) for one in expression.arguments]
    return apply_to_numbers(expression.op, arguments)


def apply_to_numbers(op: str, arguments: Sequence[float]) -> float:
    """An operation of expressions on numbers: sums, products and extremes have many terms."""
    if op == "add":
        return math.fsum(arguments)
    if op == "multiply":
        return math.prod(arguments)
    if op == "max":
        return max(arguments)
    if op == "min":
        return min(arguments)
    if op == "subtract":
        return arguments[0] - arguments[1]
    if op == "negative":
        return -arguments[0]
    operation = OPERATIONS[op]
    assert operation.compute is not None
    kind = np.int64 if set(operation.c or ()) == {"i"} else np.float64  # bits are those of integers
    with np.errstate(all="ignore"):
        return float(operation.compute(np, *map(kind, arguments)))


class Elements:
    """Formulas of single elements in a graph whose values are known.

    Args:
        values: of all nodes.
        quantity: the name of an element, for nodes with equations of their own; None for others.
        gradient: the name of an element's gradient; None where there is none.
        consumers: the consumers of a node, and at which position they use it.
        upstream: the array of a node's gradient; None where there is none.

    Attributes:
        was_cut: whether an element has so many consumers that some of them were left out.
    """

    def __init__(
        self,
        values: dict[Node, Any],
        quantity: Callable[[Node, int], Quantity | None],
        gradient: Callable[[Node, int], Quantity | None],
        consumers: Callable[[Node], list[tuple[Node, int]]],
        upstream: Callable[[Node], Any] = lambda _: None,
    ) -> None:
        self._values = values
        self._quantity = quantity
        self._gradient = gradient
        self._consumers = consumers
        self._upstream = upstream
        self.was_cut = False
        self._moves: dict[Node, tuple[Array, Array]] = {}
        self._locals: dict[tuple[Node, int], Array | None] = {}
        self._columns: dict[tuple[Node, int], Any] = {}

    def value(self, node: Node, index: int) -> float:
        """One element of the value."""
        return float(self._values[node].reshape(-1)[index])

    # ---- forward -------------------------------------------------------------------------------

    def operand(self, node: Node, index: int) -> Expression:
        """An element inside the formula of another: its name, or its own formula."""
        named = self._quantity(node, index)
        if named is not None:
            return named
        if node.op is CONSTANT:
            return number(self.value(node, index))
        if node.op.moves and not _truncates(node):
            position, place = self.source(node, index)
            if place < 0:
                return number(self.value(node, index))
            return self.operand(node.inputs[position], place)
        inside = self.formula(node, index)
        return number(self.value(node, index)) if inside is None else inside

    def formula(self, node: Node, index: int) -> Expression | None:
        """How an element is computed; None where there is no short formula."""
        name = node.op.name
        if _truncates(node):
            return Call("trunc", (self.operand(node.inputs[0], index),))
        if node.op.moves:
            position, place = self.source(node, index)
            return self.operand(node.inputs[position], place) if place >= 0 else None
        if _is_written_out(node):
            return self._elementwise(node, index)
        if node.op.reduction is not None:
            op = _name_in_expressions(node.op.reduction.combine)
            return self._many(op, self._reduced(node, index), node, index)
        if name == "matmul":
            return self._sum_of_products(node, index, self._products(node, index))
        if name == "convolution":
            return self._sum_of_products(node, index, self._window(node, index))
        if node.op is SUM_POOL or node.op is MAX_POOL:
            op = "add" if node.op is SUM_POOL else "max"
            return self._many(op, self._pooled(node, index), node, index)
        if node.op in (SOFTMAX, LOG_SOFTMAX, LOGSUMEXP):
            return self._softmax(node, index)
        return None

    def _elementwise(self, node: Node, index: int) -> Expression:
        name = _name_in_expressions(node.op)
        operands = tuple(self.operand(source, index) for source in node.inputs)
        if name == "multiply" and operands[0] == operands[1]:
            return Call("power", (operands[0], number(2)))
        if name == "add" or name == "multiply":  # a + (b + c) is one sum of three
            terms = (_terms(name, one) for one in operands)
            return Call(name, tuple(itertools.chain.from_iterable(terms)))
        return Call(name, operands)

    def _many(self, op: str, terms: list[tuple[Node, int]], node: Node, index: int) -> Expression:
        """A sum, product or extreme of many elements; long sums are shortened."""
        if op != "add" or len(terms) <= TERMS:
            if op != "add" and len(terms) > 4 * TERMS:
                return self._cut_extreme(op, terms, node, index)
            shown = tuple(self.operand(*one) for one in terms)
            return Call(op, shown) if len(shown) > 1 else shown[0]
        shown = tuple(self.operand(*one) for one in terms[:_SHOWN_TERMS])
        return cut(shown, len(terms), self.value(node, index))

    def _cut_extreme(
        self, op: str, terms: list[tuple[Node, int]], node: Node, index: int
    ) -> Expression:
        shown = tuple(self.operand(*one) for one in terms[:_SHOWN_TERMS])
        others = len(terms) - len(shown)
        if op == "multiply":
            rest = self.value(node, index) / math.prod(map(value_of, shown))
        else:
            rest = apply_to_numbers(op, [self.value(*one) for one in terms[_SHOWN_TERMS:]])
        return Call(op, (*shown, Quantity(f"{others} others", (), rest, "rest")))

    def _sum_of_products(
        self, node: Node, index: int, pairs: list[tuple[tuple[Node, int], tuple[Node, int]]]
    ) -> Expression:
        count = len(pairs)
        if count > TERMS:
            pairs = pairs[:_SHOWN_TERMS]
        terms = tuple(Call("multiply", (self.operand(*a), self.operand(*b))) for a, b in pairs)
        if count > len(terms):
            return cut(terms, count, self.value(node, index))
        if not terms:
            return number(0.0)
        return Call("add", terms) if count > 1 else terms[0]

    def _products(self, node: Node, index: int) -> list[tuple[tuple[Node, int], tuple[Node, int]]]:
        """(Σₖ aᵢₖ·bₖⱼ): the pairs of elements that a matrix product multiplies."""
        a, b = node.inputs
        *batch, i, j = (int(k) for k in np.unravel_index(index, node.type.shape))
        inner = a.type.shape[-2 if node.attributes["transpose_a"] else -1]
        pairs = []
        for k in range(inner):
            left = (k, i) if node.attributes["transpose_a"] else (i, k)
            right = (j, k) if node.attributes["transpose_b"] else (k, j)
            pairs.append(((a, _flat(a, (*batch, *left))), (b, _flat(b, (*batch, *right)))))
        return pairs

    def _window(self, node: Node, index: int) -> list[tuple[tuple[Node, int], tuple[Node, int]]]:
        """The pairs of a convolution: which input is multiplied by which weight.

        ∂y/∂w is the input that is multiplied by w; for an input that holds its own indices, it is
        the index.
        """
        x, w = node.inputs
        places = np.arange(1.0, x.type.size + 1).reshape(x.type.shape)
        met = (
            OPERATIONS["convolution_weights"]
            .compute(  # type: ignore[misc]
                np, places, _one(node, index), window=w.type.shape[:-2], **node.attributes
            )
            .ravel()
        )
        return [((x, int(met[e]) - 1), (w, int(e))) for e in np.flatnonzero(met)]

    def _pooled(self, node: Node, index: int) -> list[tuple[Node, int]]:
        (x,) = node.inputs
        inside = (
            OPERATIONS["sum_unpool"]
            .compute(  # type: ignore[misc]
                np, _one(node, index), extents=x.type.shape[1:-1], **node.attributes
            )
            .ravel()
        )
        return [(x, int(e)) for e in np.flatnonzero(inside)]

    def _reduced(self, node: Node, index: int) -> list[tuple[Node, int]]:
        (x,) = node.inputs
        return [(x, int(e)) for e in np.flatnonzero(self._into(node) == index)]

    def _into(self, node: Node) -> Array:
        """For each element that is reduced, the element of the result that it goes into."""
        if node not in self._moves:
            (x,) = node.inputs
            axes = node.attributes["axes"]
            kept = [1 if axis in axes else n for axis, n in enumerate(x.type.shape)]
            places = np.arange(node.type.size).reshape(kept)
            into = np.broadcast_to(places, x.type.shape).reshape(-1)
            self._moves[node] = (into, into)
        return self._moves[node][0]

    def _softmax(self, node: Node, index: int) -> Expression:
        x = node.inputs[0]
        if node.op.name == "logsumexp":
            along = [e for _, e in self._reduced(node, index)]
        else:
            along = _along(node, index, node.attributes["axis"])
        total = math.fsum(math.exp(min(self.value(x, e), 700.0)) for e in along)
        shown = along if len(along) <= TERMS else along[:_SHOWN_TERMS]
        terms = tuple(Call("exp", (self.operand(x, e),)) for e in shown)
        whole: Expression = Call("add", terms) if len(terms) > 1 else terms[0]
        if len(shown) < len(along):
            whole = cut(terms, len(along), total)
        if node.op.name == "logsumexp":
            return Call("log", (whole,))
        own = self.operand(x, index)
        if node.op.name == "softmax":
            return Call("divide", (Call("exp", (own,)), whole))
        return Call("subtract", (own, Call("log", (whole,))))

    def source(self, node: Node, index: int) -> tuple[int, int]:
        """Which element of which input is moved here; its index is -1 for padding."""
        positions, places = self._moved(node)
        return int(positions[index]), int(places[index])

    def _moved(self, node: Node) -> tuple[Array, Array]:
        """Where elements go: the operation itself, applied to an input that holds indices."""
        if node in self._moves:
            return self._moves[node]
        name = node.op.name
        if node.op is CAST or node.op is IDENTITY or node.op is STOP_GRADIENT:
            places = np.arange(node.type.size)
            positions = np.zeros(node.type.size, int)
        else:
            count = len(node.inputs) if name == "concatenate" else 1
            held = [np.arange(s.type.size).reshape(s.type.shape) for s in node.inputs[:count]]
            others = [self._values[s] for s in node.inputs[count:]]
            attributes = dict(node.attributes)
            if name == "pad":
                attributes["value"] = -1
            assert node.op.compute is not None
            places = np.asarray(node.op.compute(np, *held, *others, **attributes)).reshape(-1)
            positions = np.zeros(node.type.size, int)
            if name == "concatenate":
                which = [np.full(s.type.shape, i) for i, s in enumerate(node.inputs)]
                positions = np.asarray(node.op.compute(np, *which, **attributes))
                positions = positions.reshape(-1)
        self._moves[node] = (positions, places)
        return self._moves[node]

    # ---- backward ------------------------------------------------------------------------------

    def column(
        self, node: Node, position: int, index: int
    ) -> Iterator[tuple[int, Expression | None]]:
        """∂y/∂x of one element x of an input: the elements y that use it, with the derivative.

        None as derivative stands for 1.
        """
        rule = None if node.op.pull_back else node.op.derivative(position)
        if rule is None or rule is ZERO or rule is NON_DIFFERENTIABLE or not node.type.is_float:
            return
        name = node.op.name
        if node.op.moves:
            positions, places = self._moved(node)
            users = np.flatnonzero((places == index) & (positions == position))
            for moved in self._most(node, users, 1.0):
                yield int(moved), None
        elif name == "sum":
            yield int(self._into(node)[index]), None
        elif name == "matmul":
            yield from self._column_of_product(node, position, index)
        elif name == "convolution":
            yield from self._column_of_convolution(node, position, index)
        elif node.op is SOFTMAX or node.op is LOG_SOFTMAX:
            yield from self._column_of_softmax(node, index)
        elif name == "multiply" and node.inputs[0] is node.inputs[1]:
            if position == 0:  # both factors at once: (x²)' = 2x
                yield index, Call("multiply", (number(2), self._term(node.inputs[0], index)))
        elif node.type == node.inputs[position].type and node.op.elementwise:
            yield index, self._derivative(node, position, index)
        else:
            for out, derivative in self._general_column(node, position, index):
                yield out, number(derivative)

    def _derivative(self, node: Node, position: int, index: int) -> Expression | None:
        """The local derivative of an elementwise operation, written out where that is short."""
        name = node.op.name
        if name == "add" or (name == "subtract" and position == 0):
            return None
        if name == "subtract" or name == "negative":
            return number(-1.0)
        if name == "multiply":
            return self._term(node.inputs[1 - position], index)
        if name == "divide" and position == 0:
            below = self._term(node.inputs[1], index)
            return Call("divide", (number(1.0), below))
        named = self._quantity(node, index)
        if named is not None and name == "sigmoid":
            return Call("multiply", (named, Call("subtract", (number(1.0), named))))
        if named is not None and name == "tanh":
            return Call("subtract", (number(1.0), Call("power", (named, number(2)))))
        if named is not None and name == "exp":
            return named
        if name == "log":
            return Call("divide", (number(1.0), self._term(node.inputs[0], index)))
        if name == "softplus":
            return Call("sigmoid", (self._term(node.inputs[0], index),))
        found = self.local(node, position)
        return number(float("nan") if found is None else float(found.reshape(-1)[index]))

    def _term(self, node: Node, index: int) -> Expression:
        """An operand for a product: its name or number, long formulas as their value."""
        found = self.operand(node, index)
        return found if leaves(found) <= 3 else number(value_of(found))

    def _column_of_product(
        self, node: Node, position: int, index: int
    ) -> Iterator[tuple[int, Expression]]:
        a, b = node.inputs
        here = [int(k) for k in np.unravel_index(index, node.inputs[position].type.shape)]
        batch, (first, second) = here[:-2], here[-2:]
        flips = (node.attributes["transpose_a"], node.attributes["transpose_b"])
        if flips[position]:
            first, second = second, first
        left, right = self._values[a][tuple(batch)], self._values[b][tuple(batch)]
        places = np.arange(node.type.size).reshape(node.type.shape)[tuple(batch)]
        if position == 0:  # aᵢₖ meets bₖⱼ in yᵢⱼ, for every j
            users = places[first]
            derivatives = right[:, second] if flips[1] else right[second]
        else:  # bₖⱼ meets aᵢₖ in yᵢⱼ, for every i
            users = places[:, second]
            derivatives = left[first] if flips[0] else left[:, first]
        for out in self._most(node, users, derivatives):
            if position == 0:
                j = out % node.type.shape[-1]
                other = (j, second) if flips[1] else (second, j)
                yield out, self._term(b, _flat(b, (*batch, *other)))
            else:
                i = out // node.type.shape[-1] % node.type.shape[-2]
                other = (first, i) if flips[0] else (i, first)
                yield out, self._term(a, _flat(a, (*batch, *other)))

    def _column_of_convolution(
        self, node: Node, position: int, index: int
    ) -> Iterator[tuple[int, Expression]]:
        """Which elements of the other operand an element is multiplied by, and in which outputs.

        A convolution is linear in each operand: one of them with a single 1, the other holding
        its own indices, gives for each output the index that the 1 is multiplied by.
        """
        other = node.inputs[1 - position]
        operands = [np.empty(0), np.empty(0)]
        operands[position] = _one(node.inputs[position], index)
        operands[1 - position] = np.arange(1.0, other.type.size + 1).reshape(other.type.shape)
        assert node.op.compute is not None
        met = np.asarray(node.op.compute(np, *operands, **node.attributes)).ravel()
        met = np.rint(met).astype(int)
        users = np.flatnonzero(met)
        derivatives = self._values[other].reshape(-1)[met[users] - 1]
        for out in self._most(node, users, derivatives):
            yield out, self._term(other, int(met[out]) - 1)

    def _most(self, node: Node, users: Array, derivatives: Any) -> list[int]:
        """The consumers of an element; of very many those with the largest contributions."""
        if len(users) > WIDEST:
            upstream = self._upstream(node)
            flows = 1.0 if upstream is None else upstream.reshape(-1)[users]
            size = np.abs(np.broadcast_to(derivatives * flows, users.shape))
            best = np.argpartition(np.nan_to_num(size), -WIDEST)[-WIDEST:]
            users = users[np.sort(best)]
            self.was_cut = True
        found: list[int] = users.tolist()
        return found

    def _column_of_softmax(self, node: Node, index: int) -> Iterator[tuple[int, Expression]]:
        """∂ softmaxₖ/∂xᵢ = yₖ·([k = i] − yᵢ);  ∂ ln softmaxₖ/∂xᵢ = [k = i] − exp(yᵢ)."""
        for out in _along(node, index, node.attributes["axis"]):
            own = self._quantity(node, index) or number(self.value(node, index))
            if node.op.name == "log_softmax":
                probability: Expression = Call("exp", (own,))
                yield out, (
                    Call("subtract", (number(1.0), probability)) if out == index
                    else Call("negative", (probability,))
                )  # fmt: skip
            else:
                other = self._quantity(node, out) or number(self.value(node, out))
                rest: Expression = Call("subtract", (number(1.0), own))
                factor = rest if out == index else Call("negative", (own,))
                yield out, Call("multiply", (other, factor))

    def local(self, node: Node, position: int) -> Array | None:
        """The local derivative of each element of an elementwise operation, by its own rule."""
        key = (node, position)
        if key not in self._locals:
            rule = None if node.op.pull_back else node.op.derivative(position)
            found = None
            if rule not in (None, ZERO, NON_DIFFERENTIABLE) and node.type.is_float:
                ones = Tensor(constant(np.ones(node.type.shape, node.type.dtype)))
                given = [Tensor(constant(self._values[n])) for n in (node, *node.inputs)]
                found = rule(ones, *given, **node.attributes).numpy()
            self._locals[key] = found
        return self._locals[key]

    def _general_column(self, node: Node, position: int, index: int) -> Iterator[tuple[int, float]]:
        """A rule is linear in the upstream gradient, with ∂y/∂x as the coefficient."""
        key = (node, position)
        if key not in self._columns:
            upstream = symbol(node.type, "upstream")
            given = [Tensor(constant(self._values[n])) for n in (node, *node.inputs)]
            rule = node.op.derivative(position)
            sent = rule(upstream, *given, **node.attributes)
            pick = symbol(node.inputs[position].type, "pick")
            (found,) = pull_back([sent], [pick], [upstream.node], TRACE_BIT)
            self._columns[key] = (upstream.node, pick.node, None if found is None else found.node)
        upstream_node, pick_node, result = self._columns[key]
        if result is None:
            return
        known: dict[Node, Any] = {
            pick_node: _one(node.inputs[position], index).astype(node.type.dtype),
            upstream_node: np.zeros(node.type.shape, node.type.dtype),
        }
        evaluate([result], known)
        derivatives = known[result].reshape(-1)
        for out in np.flatnonzero(derivatives):
            yield int(out), float(derivatives[out])

    def edges(
        self, node: Node, index: int, depth: int = 0
    ) -> Iterator[tuple[Node, int, tuple[Expression, ...]]]:
        """The named nodes that use an element, at which element, and the derivative's factors.

        Nodes that are written inside others are looked through.
        """
        for user, position in self._consumers(node):
            for out, derivative in self.column(user, position, index):
                factors = () if derivative is None else (derivative,)
                if self._quantity(user, out) is not None:
                    if self._gradient(user, out) is not None:
                        yield user, out, factors
                elif depth < 40:
                    for far, place, more in self.edges(user, out, depth + 1):
                        yield far, place, (*factors, *more)

    def backward(self, node: Node, index: int) -> Equation | None:
        """The gradient of an element as the sum of the contributions of all its consumers."""
        left = self._gradient(node, index)
        if left is None:
            return None
        terms: list[Expression] = []
        count = 0
        self.was_cut = False
        for user, out, factors in self.edges(node, index):
            upstream = self._gradient(user, out)
            assert upstream is not None
            if upstream.value == 0 and user.op.name == "log_softmax":
                continue  # of another class than the target: no gradient comes back
            count += 1
            if count <= TERMS:
                terms.append(_product(upstream, factors))
            elif count > 4 * TERMS:  # how many there are does not matter
                break
        if not terms:
            return None
        if count > TERMS:
            many = count > 4 * TERMS or self.was_cut
            right = cut(tuple(terms[:_SHOWN_TERMS]), 0 if many else count, left.value)
        else:
            right = Call("add", tuple(terms)) if len(terms) > 1 else terms[0]
        return Equation(left, right)


def cut(shown: tuple[Expression, ...], count: int, total: float) -> Expression:
    """A sum of many terms: some of them, and one number for all others (``count`` 0: unknown)."""
    rest = total - math.fsum(value_of(one) for one in shown)
    name = f"{count - len(shown)} more terms" if count else "all other terms"
    others = Quantity(name, (), rest, "rest")
    return Call("add", (*shown, others))


def _is_written_out(node: Node) -> bool:
    """Whether it is written as a function of its operands: of numbers, or a comparison of them."""
    if not node.op.elementwise or node.attributes:
        return False
    is_comparison = len(node.inputs) == 2 and node.inputs[0].type.dtype.kind != "b"
    return node.type.dtype.kind != "b" or is_comparison


def _name_in_expressions(op: Operation) -> str:
    """Its own, but for the extremes, which have many terms."""
    if op.name == "maximum":
        return "max"
    return "min" if op.name == "minimum" else op.name


def _terms(op: str, expression: Expression) -> tuple[Expression, ...]:
    is_same = isinstance(expression, Call) and expression.op == op
    return expression.arguments if is_same else (expression,)  # type: ignore[union-attr]


def _product(upstream: Quantity, factors: tuple[Expression, ...]) -> Expression:
    """Upstream gradient times local derivative; ∂L/∂L = 1 is omitted."""
    if upstream.symbol == "L" and factors:
        return Call("multiply", factors) if len(factors) > 1 else factors[0]
    return Call("multiply", (upstream, *factors)) if factors else upstream


def _truncates(node: Node) -> bool:
    """Whether it is a conversion of floats to integers."""
    is_float = bool(node.inputs) and node.inputs[0].type.is_float
    return node.op.name == "cast" and is_float and not node.type.is_float


def _flat(node: Node, place: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(place, node.type.shape)) if place else 0


def _one(node: Node, index: int) -> Array:
    """Zeros of the node's shape with a single 1."""
    found = np.zeros(node.type.shape)
    found.reshape(-1)[index] = 1.0
    return found


def _along(node: Node, index: int, axis: int) -> list[int]:
    """The elements that differ from this one on one axis only."""
    here = [int(k) for k in np.unravel_index(index, node.type.shape)]
    return [_flat(node, (*here[:axis], k, *here[axis + 1 :])) for k in range(node.type.shape[axis])]

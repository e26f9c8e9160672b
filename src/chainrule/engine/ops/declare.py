"""How operations and functions are declared.

An *operation* is a node of the graph: strict (its inputs have the same shape and element type
unless it says otherwise), with its own derivative rules. A *function* is what users call: it
converts, casts and broadcasts its arguments explicitly and then applies operations. What can be
said by other operations is only a function and needs no derivative rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ...errors import ShapeError, TypeRuleError
from ...utils.typing import Array
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, only_first
from ..ir.node import Node, constant
from ..ir.notation import PLAIN, Notation
from ..ir.operation import Cost, Operation, Sample, register
from ..ir.types import Type, as_dtype, bool_, float32, int64, promote, uint32
from ..tensor import FUNCTIONS, Number, Tensor, TensorLike, apply, as_tensor, tracing

__all__ = ["astype", "broadcast_to"]

Samples = Callable[[], Iterable[Sample]]
#: Examples of the functions, by name; the tests run them all.
FUNCTION_SAMPLES: dict[str, Samples] = {}

F = TypeVar("F", bound=Callable[..., Any])


def function(samples: Samples | None = None, name: str | None = None) -> Callable[[F], F]:
    """Declare a user's function: by its name it is also a tensor's method."""

    def declare(body: F) -> F:
        key = name or body.__name__
        FUNCTIONS[key] = body
        if samples is not None:
            FUNCTION_SAMPLES[key] = samples
        return body

    return declare


# ---- type rules ------------------------------------------------------------------------------


def same_type(
    name: str, *, floats: bool = False, numbers: bool = False, result: Any = None
) -> Callable[..., Type]:
    """All inputs of one type, which is the result's, or of element type ``result``."""

    def rule(*types: Type, **attributes: Any) -> Type:
        first = types[0]
        for other in types[1:]:
            if other != first:
                raise ShapeError(
                    f"{name} takes inputs of one type.", expected=str(first), found=str(other)
                )
        if floats:
            need_float(name, first)
        if numbers and first.dtype == bool_:
            raise TypeRuleError(
                f"{name} takes numbers, not booleans.",
                found=str(first),
                hint="Convert with x.astype('int64'), or use logical_not or logical_xor.",
            )
        return first if result is None else Type(result, first.shape)

    return rule


def need_float(name: str, type: Type) -> None:
    """Refuse integers and booleans."""
    if not type.is_float:
        raise TypeRuleError(
            f"{name} takes floating-point numbers.",
            expected="float32 or float64",
            found=str(type),
            hint="Convert with x.astype('float32').",
        )


# ---- operands --------------------------------------------------------------------------------


def floating(x: TensorLike) -> Tensor:
    """The operand as a floating-point tensor: integers and booleans become float32."""
    x = as_tensor(x)
    return x if x.type.is_float else cast(x, float32)


def align(*operands: TensorLike, floats: bool = False) -> list[Tensor]:
    """The operands with one element type and one shape, by explicit casts and broadcasts.

    Python numbers take the element type of the tensors beside them.
    """
    if len(operands) == 2 and (usual := _usual(*operands)) is not None:
        return usual
    kinds: list[Type | None] = []  # None for Python numbers
    tensors: list[Any] = []
    for x in operands:
        if isinstance(x, Tensor):
            kind = None if type(x) is Number else x.node.type
        elif type(x) is float or _is_scalar(x):
            kind = None
        else:
            x = as_tensor(x)
            kind = x.node.type
        kinds.append(kind)
        tensors.append(x)
    known = [kind for kind in kinds if kind is not None]
    dtype: Any = known[0].dtype if known else None
    for kind in known:
        if kind.dtype is not dtype:
            dtype = promote(dtype, kind.dtype)
    if len(known) < len(tensors):
        for x, kind in zip(tensors, kinds, strict=True):
            if kind is None:
                own = bool_ if isinstance(x, bool) else int64 if isinstance(x, int) else float32
                if dtype is None:
                    dtype = own
                elif _CATEGORY[own.kind] > _CATEGORY[dtype.kind]:
                    dtype = promote(dtype, own)
    if floats and dtype.kind != "f":
        dtype = float32
    shape = common_shape([kind.shape for kind in known])
    return [_fit(x, kind, dtype, shape) for x, kind in zip(tensors, kinds, strict=True)]


def _usual(a: TensorLike, b: TensorLike) -> list[Tensor] | None:
    """What is usual, quickly: floats of one element type, the second of which may be a part."""
    if not isinstance(a, Tensor) or type(a) is Number:
        return None
    kind = a.node.type
    if kind.dtype.kind != "f":
        return None
    if type(b) is float or type(b) is int:
        return None if tracing.record is not None else [a, _fit(b, None, kind.dtype, kind.shape)]
    if not isinstance(b, Tensor) or type(b) is Number:
        return None
    other = b.node.type
    if other == kind:
        return [a, b]
    ends = kind.shape[len(kind.shape) - len(other.shape) :]
    if other.dtype is not kind.dtype or ends != other.shape:
        return None
    node = b.node
    if tracing.record is not None or node.value is None or not node.watched:
        return [a, apply(BROADCAST, b, shape=kind.shape)]
    value = _broadcast(np, node.value, kind.shape)  # as `apply` does it, in half of the time
    wide = Node(BROADCAST, (node,), {"shape": kind.shape}, kind, value, node.watched)
    return [a, Tensor(wide)]


def _fit(x: Any, kind: Type | None, dtype: Any, shape: tuple[int, ...]) -> Tensor:
    """An operand with this element type and shape; ``kind`` is its type, None that of a number."""
    if kind is None:
        if not isinstance(x, Tensor) and tracing.record is None:
            kind_of_number: Any = type(x)
            return Tensor(constant(_number(kind_of_number, x or repr(x), dtype, shape)))
        x = as_tensor(x, dtype)
        return x if x.shape == shape else apply(BROADCAST, x, shape=shape)
    if kind.dtype is not dtype and kind.dtype != dtype:
        x = cast(x, dtype)
    return x if kind.shape == shape else apply(BROADCAST, x, shape=shape)


@functools.lru_cache(256)
def _number(kind: type, number: Any, dtype: Any, shape: tuple[int, ...]) -> Array:
    """What `apply` makes of a Python number that nobody watches: one number, broadcast.

    Zeros are given as text, for 0.0 and -0.0 are equal, and so are 1 and True but for their kind.
    """
    if isinstance(number, str):
        number = False if kind is bool else kind(number)
    value = as_tensor(number, dtype).node.value
    assert value is not None
    found = _broadcast(np, value, shape) if shape else value
    found.flags.writeable = False  # many have it
    return found


#: A Python number changes the element type beside it only to a higher category.
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


def _is_scalar(x: Any) -> bool:
    return isinstance(x, (bool, int, float, Number)) and not isinstance(x, np.generic)


def common_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape to which these are broadcast."""
    widest = max(shapes, key=len, default=())
    if len(shapes) == 2 and shapes[0] == shapes[1]:
        return widest
    if all(shape == widest[len(widest) - len(shape) :] for shape in shapes):
        return widest
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            "These shapes cannot be broadcast together.",
            expected="equal extents, or 1, from the last axis on",
            found=" and ".join(map(str, shapes)),
            hint="Look at the last axes first; expand_dims or reshape may be missing.",
        ) from None


def normalize_axis(axis: int, rank: int) -> int:
    """The axis as a number from 0."""
    if not -rank <= axis < rank:
        raise ShapeError(
            "There is no such axis.",
            expected=f"from {-rank} to {rank - 1}" if rank else "none: a single number has no axes",
            found=str(axis),
        )
    return int(axis) % rank


def normalize_axes(axis: int | Iterable[int] | None, rank: int) -> tuple[int, ...]:
    """The axes as a sorted tuple of numbers from 0; None means all of them."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, (int, np.integer)):
        axis = (int(axis),)
    axes = sorted(normalize_axis(one, rank) for one in axis)
    if len(set(axes)) < len(axes):
        raise ShapeError("An axis is named twice.", found=str(tuple(axes)))
    return tuple(axes)


# ---- the two conversions that everything else needs ------------------------------------------


def _cast_type(x: Type, *, dtype: Any) -> Type:
    return Type(dtype, x.shape)


def _cast(xp: Any, x: Any, dtype: Any) -> Any:
    if dtype == uint32 and x.dtype.kind == "f":
        x = x.astype(int64)  # so that what does not fit is the same on every processor
    return x.astype(dtype)


def _cast_rule(g: Tensor, y: Tensor, x: Tensor, **attributes: Any) -> Tensor:
    return cast(g, x.dtype)


CAST = register(
    Operation(
        "cast",
        _cast_type,
        _cast,
        derivatives=(_cast_rule,),
        formula="{0}",
        samples=lambda: [
            Sample((np.array([1.5, -2.25]),), {"dtype": np.dtype("float64")}),
            Sample((np.array([1.5, -2.25]),), {"dtype": np.dtype("int64")}, smooth=False),
            Sample((np.array([True, False]),), {"dtype": np.dtype("float32")}),
            Sample((np.array([[3, 4]]),), {"dtype": np.dtype("int32")}),
        ],
        elementwise=True,
        moves=True,
        cost=Cost.TRIVIAL,
        c={"f>i": "cr_{S}_of_f64({0})", "*>b": "{0} != 0", "*": "({T}){0}"},
    )
)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The tensor with another element type, by a node of its own if it differs."""
    dtype = as_dtype(dtype)
    return x if x.dtype == dtype else apply(CAST, x, dtype=dtype)


@function()
def astype(x: TensorLike, dtype: Any) -> Tensor:
    """The tensor with another element type; conversion to integers cuts off the fraction."""
    return cast(as_tensor(x), dtype)


def _broadcast_type(x: Type, *, shape: tuple[int, ...]) -> Type:
    lead = len(shape) - len(x.shape)
    if lead >= 0 and type(shape) is tuple and shape[lead:] == x.shape:
        return Type(x.dtype, shape)
    fits = lead >= 0 and all(
        own in (1, wide) for own, wide in zip(x.shape, shape[lead:], strict=True)
    )
    if not fits:
        raise ShapeError(
            "This shape cannot be broadcast.", expected=f"to {shape}", found=f"from {x.shape}"
        )
    return Type(x.dtype, tuple(shape))


def _broadcast_rule(g: Tensor, y: Tensor, x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """A value used in many places receives the sum of the gradients of all places."""
    lead = len(shape) - x.ndim
    stretched = [lead + i for i, extent in enumerate(x.shape) if extent != shape[lead + i]]
    total = FUNCTIONS["sum"](g, axis=(*range(lead), *stretched))
    reshaped: Tensor = FUNCTIONS["reshape"](total, x.shape)
    return reshaped


def _broadcast(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """A view that repeats by strides of 0; made by hand, since NumPy's way takes microseconds."""
    if xp is not np or not x.flags.c_contiguous:
        return xp.broadcast_to(x, shape)
    lead = len(shape) - x.ndim
    if shape[lead:] == x.shape:
        return np.ndarray(shape, x.dtype, x, 0, (0,) * lead + x.strides)
    strides = (0,) * lead + tuple(
        0 if own != wide else step
        for own, wide, step in zip(x.shape, shape[lead:], x.strides, strict=True)
    )
    return np.ndarray(shape, x.dtype, x, 0, strides)


def _broadcast_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    axis = only_first(axes)
    return axis.at(axis.place + len(node.type.shape) - len(node.inputs[0].type.shape))


def _broadcast_same(walk: BatchWalk, node: Node, axis: Axis) -> bool:
    (source,) = node.inputs
    own = axis.place - len(node.type.shape) + len(source.type.shape)
    fixed = own < 0 or source.type.shape[own] != node.type.shape[axis.place]
    return fixed or walk.is_same(source, axis.at(own))


def _broadcast_mapped(
    op: Any, size: int, inputs: Sequence[Tensor], mapped: Sequence[bool], attributes: Any
) -> Tensor:
    """As the rules in `mapping`: single axes go behind that of the examples."""
    (x,), shape = inputs, attributes["shape"]
    between = (1,) * (len(shape) - x.ndim + 1)
    wide: Tensor = FUNCTIONS["reshape"](x, (size, *between, *x.shape[1:]))
    return broadcast_to(wide, (size, *shape))


BROADCAST = register(
    Operation(
        "broadcast_to",
        _broadcast_type,
        _broadcast,
        derivatives=(_broadcast_rule,),
        formula="{0}",
        samples=lambda: [
            Sample((np.array(1.5),), {"shape": (2, 3)}),
            Sample((np.array([[1.0], [2.0]]),), {"shape": (4, 2, 3)}),
            Sample((np.array([[1.0, 3.0]]),), {"shape": (0, 2)}),
            Sample((np.array([2.0]),), {"shape": (1,)}),
        ],
        view=True,
        repeats=True,
        batch=BatchRule(_broadcast_rows, _broadcast_same),
        vmap=_broadcast_mapped,
    )
)


@function()
def broadcast_to(x: TensorLike, shape: Iterable[int]) -> Tensor:
    """The tensor repeated along new or single axes to the given shape, as NumPy does it."""
    x = as_tensor(x)
    shape = tuple(int(extent) for extent in shape)
    return x if x.shape == shape else apply(BROADCAST, x, shape=shape)


def boolean(x: TensorLike) -> Tensor:
    """The operand as booleans: what is not 0 is true."""
    return cast(as_tensor(x), bool_)


# ---- samples ---------------------------------------------------------------------------------


def reals(
    *shape: int, low: float = -2.0, high: float = 2.0, gap: float = 0.0, seed: int = 0
) -> Array:
    """Repeatable random float64 numbers between low and high, at least ``gap`` away from 0."""
    x = np.random.default_rng([seed, len(shape), *shape]).uniform(low, high, shape)
    return np.where(np.abs(x) < gap, np.where(x < 0, -gap - 0.1, gap + 0.1), x)


def integers(*shape: int, low: int = 0, high: int = 3, seed: int = 0) -> Array:
    """Repeatable random integers from low to high - 1."""
    return np.random.default_rng([seed, len(shape), *shape]).integers(low, high, shape)


# ---- operations on single elements -------------------------------------------------------------

UnaryFunction = Callable[[TensorLike], Tensor]
BinaryFunction = Callable[[TensorLike, TensorLike], Tensor]


def sample_shapes(**domain: Any) -> Callable[[], Iterable[Sample]]:
    """Samples of the usual shapes, the empty and the single element among them."""
    return lambda: [
        Sample((reals(*shape, **domain),)) for shape in [(), (3,), (2, 3), (0, 3), (1, 1)]
    ]


def unary(
    name: str,
    compute: Callable[..., Any],
    derivative: Any,
    formula: str,
    doc: str,
    *,
    c: Mapping[str, str],
    js: str,
    notation: Notation = PLAIN,
    cost: Cost = Cost.FUNCTION,
    exact: bool = False,
    scales: bool = False,
    floats: bool = True,
    numbers: bool = False,
    result: Any = None,
    square: Callable[..., Any] | None = None,
    range: tuple[float, float] | None = None,
    numpy: Callable[..., Any] | None = None,
    into: Callable[..., None] | None = None,
    **domain: Any,
) -> UnaryFunction:
    """Declare an operation of one number and its function.

    Args:
        name: of both.
        compute: ``(xp, x) -> y`` on arrays.
        derivative: ``(g, y, x)``: the gradient of x from that of y.
        formula: with ``{0}`` for x.
        doc: of the function.
        c: the C expression, by the kinds of element types; see `Operation`.
        js: the JavaScript expression.
        notation: what explanations say of it.
        cost: how cheap an element is to compute again.
        exact: whether floats are equal on every backend.
        scales: whether it multiplies by a number.
        floats: whether integers become floats first.
        numbers: whether booleans are refused.
        result: the element type of the result, if it is not that of x.
        square: the square of the result, with the derivatives that it has; see `Operation`.
        range: between which numbers all results lie; see `Operation`.
        numpy: the function of NumPy that ``compute`` is, if it is one.
        into: what it is over an array that is there; see `Operation`.
        domain: where the samples lie: options of `reals`.
    """
    op = register(
        Operation(
            name,
            same_type(name, floats=floats, numbers=numbers, result=result),
            compute,
            (derivative,),
            formula,
            sample_shapes(**domain),
            elementwise=True,
            cost=cost,
            exact=exact,
            scales=scales,
            c=c,
            js=js,
            notation=notation,
            range=range,
            square=square,
            numpy=numpy,
            into=into,
        )
    )

    def body(x: TensorLike) -> Tensor:
        return apply(op, floating(x) if floats else as_tensor(x))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return function(name=name)(body)


_PAIRS = [((), ()), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (3,)), ((0, 3), (1, 3)), ((3,), ())]


def binary(
    name: str,
    compute: Callable[..., Any],
    derivatives: tuple[Any, ...],
    formula: str,
    doc: str,
    *,
    c: Mapping[str, str],
    js: str,
    notation: Notation = PLAIN,
    cost: Cost = Cost.FUNCTION,
    exact: bool = False,
    additive: bool = False,
    scales: bool = False,
    floats: bool = False,
    numbers: bool = False,
    result: Any = None,
    operand: Callable[..., Any] | None = None,
    of_one: Callable[[Tensor], Tensor | None] | None = None,
    numpy: Callable[..., Any] | None = None,
    **domain: Any,
) -> BinaryFunction:
    """Declare an operation of two numbers and its broadcasting function.

    Options are those of `unary`, with a rule for each operand; ``operand`` converts them first.
    ``of_one`` may give the result for twice the same tensor.
    """

    def strict() -> Iterable[Sample]:
        return [
            Sample((reals(*shape, **domain), reals(*shape, seed=1, **domain)))
            for shape in [(), (2, 3), (0, 3), (1, 1)]
        ]

    def broadcasting() -> Iterable[Sample]:
        return [
            Sample((reals(*first, **domain), reals(*second, seed=1, **domain)))
            for first, second in _PAIRS
        ]

    op = register(
        Operation(
            name,
            same_type(name, floats=floats, numbers=numbers, result=result),
            compute,
            derivatives,
            formula,
            strict,
            elementwise=True,
            cost=cost,
            exact=exact,
            additive=additive,
            scales=scales,
            c=c,
            js=js,
            notation=notation,
            numpy=numpy,
        )
    )

    def body(a: TensorLike, b: TensorLike) -> Tensor:
        if operand is not None:
            a, b = operand(a), operand(b)
        if a is b and of_one is not None and isinstance(a, Tensor):
            found = of_one(a)
            if found is not None:
                return found
        return apply(op, *align(a, b, floats=floats))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return function(broadcasting, name)(body)

"""A check of values, as a node: what eager code refuses, a compiled program refuses, too.

Eagerly a check looks at the numbers and leaves nothing behind. Inside a trace there are no numbers:
there it is a node, through which the checked value goes, and the backend raises the same error when
it meets a number that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ChainruleError, DataError, OutOfRangeError, ShapeError
from ...utils.typing import Array
from ..ir.batch_axis import ELEMENTWISE
from ..ir.operation import ANY_TEXT, ZERO, Operation, Sample, register
from ..ir.types import Type, bool_
from ..tensor import Tensor, apply, as_tensor, has_value
from .declare import reals

#: ``(values, index of the first that does not fit, *about)`` → the error to raise.
Refusal = Callable[..., ChainruleError]
_REFUSALS: dict[str, Refusal] = {}


def refusal(name: str) -> Callable[[Refusal], Refusal]:
    """Declare how a check refuses, under a name: the attributes of nodes are plain data."""

    def declare(make: Refusal) -> Refusal:
        _REFUSALS[name] = make
        return make

    return declare


def _refused(error: type[ChainruleError]) -> Refusal:
    def make(
        values: Array, index: tuple[int, ...], what: str, expected: str, hint: str | None = None
    ) -> ChainruleError:
        place = f" at {list(index)}" if index else ""
        return error(what, expected=expected, found=f"{values[index]}{place}", hint=hint)

    return make


refusal("value")(_refused(DataError))
refusal("range")(_refused(OutOfRangeError))


def _type(x: Type, fits: Type, *, refusal: str, about: tuple[Any, ...]) -> Type:
    if refusal not in (*_REFUSALS, ANY_TEXT):
        raise ValueError(f"unknown refusal {refusal!r:.80}")
    if fits != Type(bool_, x.shape):
        raise ShapeError("check takes a boolean for every value.", expected=str(x.shape),
                         found=str(fits))  # fmt: skip
    return x


def _check(xp: Any, x: Any, fits: Any, refusal: str, about: tuple[Any, ...]) -> Any:
    if xp is np and not np.all(fits):
        raise _REFUSALS[refusal](x, tuple(np.argwhere(~fits)[0].tolist()), *about)
    return x


#: The values, if all of them fit; otherwise an error.
CHECK = register(
    Operation(
        "check",
        _type,
        _check,
        (lambda g, y, x, fits, refusal, about: g, ZERO),
        "{0}",
        lambda: [
            Sample((reals(*shape), np.ones(shape, bool)), {"refusal": name, "about": (ANY_TEXT,)})
            for shape, name in [((2, 3), "value"), ((0,), ANY_TEXT)]
        ],
        moves=True,
        stops=True,
        batch=ELEMENTWISE,
    )
)


def require(
    x: Tensor, test: Callable[[Any], Any], about: tuple[Any, ...], refusal: str = "value"
) -> Tensor:
    """The tensor, if the test holds for all of its numbers; otherwise an error.

    Args:
        x: any tensor.
        test: from the numbers, an array or a tensor, to booleans of the same shape.
        about: what the refusal says: the message, what is expected, and a hint if there is one.
        refusal: which error: "value" (`DataError`), "range" (`OutOfRangeError`), or another that
            was declared.
    """
    if has_value(x.node):
        assert x.node.value is not None
        with np.errstate(all="ignore"):
            _check(np, x.node.value, test(x.node.value), refusal, about)
        return x
    if x.node.op is CHECK and x.node.attributes == {"refusal": refusal, "about": about}:
        return x
    return apply(CHECK, x, as_tensor(test(x)), refusal=refusal, about=about)

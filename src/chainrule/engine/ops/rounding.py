"""Numbers with fewer digits, kept in their type: what products in bfloat16 take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.notation import Notation
from ..ir.operation import Operation, Sample, register
from ..tensor import Tensor, TensorLike, apply
from .declare import floating, function, reals, same_type

__all__ = ["round_to_bfloat16"]

#: By the bytes of a type: integers of that size, and how many of its last bits are given up.
_BITS: dict[int, tuple[Any, int]] = {4: (np.uint32, 16), 8: (np.uint64, 45)}


def _rounded(xp: Any, x: Any) -> Any:
    integer, cut = _BITS[x.dtype.itemsize]
    number = x == x
    bits = xp.where(number, x, x.dtype.type(0)).view(integer)
    last, below = bits >> integer(cut) & integer(1), integer((1 << cut - 1) - 1)
    rounded = (bits + below + last) & ~integer((1 << cut) - 1)
    return xp.where(number, rounded.view(x.dtype), x)


def _samples() -> list[Sample]:
    # It goes in steps: differences of values are not its derivative.
    return [Sample((reals(*shape),), smooth=False) for shape in [(), (3,), (2, 3), (0, 3), (1, 1)]]


ROUND_TO_BFLOAT16 = register(
    Operation(
        "round_to_bfloat16",
        same_type("round_to_bfloat16", floats=True),
        _rounded,
        (lambda g, y, x: g,),
        "bf16({0})",
        _samples,
        elementwise=True,
        exact=True,
        c={"f": "cr_bfloat16{f}({0})"},
        js="Special.roundToBfloat16({0})",
        notation=Notation(latex=r"\operatorname{bf16}\left({0}\right)"),
    )
)


@function(lambda: [Sample((reals(2, 3),), smooth=False)])
def round_to_bfloat16(x: TensorLike) -> Tensor:
    """The nearest number of 8 significant bits, of two the even one; the type stays that of x.

    In float32 that is a number of bfloat16. As a rounding it has the derivative 1. The operands of
    products get it where ``precision="bf16"`` is asked for, as in `chainrule.compile`.

    Example:
        >>> import chainrule as cr
        >>> cr.ops.round_to_bfloat16(cr.tensor([1.0, 1.01, 3.1415927])).numpy().tolist()
        [1.0, 1.0078125, 3.140625]
    """
    return apply(ROUND_TO_BFLOAT16, floating(x))

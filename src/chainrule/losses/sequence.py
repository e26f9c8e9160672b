"""Losses of sequences: what is predicted step by step against a shorter target without positions.

They take ``sample_weights`` and ``reduction``: see `chainrule.losses`.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine.ops import (
    arange,
    broadcast_to,
    concatenate,
    expand_dims,
    full,
    log_softmax,
    logaddexp,
    maximum,
    pad,
    reshape,
    scan,
    stack,
    swapaxes,
    take_along_axis,
    where,
)
from ..engine.ops.check import require
from ..engine.ops.cross_entropy import need_classes
from ..engine.ops.declare import cast, floating
from ..engine.ops.shape import zeros
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError, TypeRuleError
from .common import SUM_AND_WEIGHT, reduce

#: The logarithm of what is impossible: finite, so that no difference of two is NaN.
_IMPOSSIBLE = -1e30


def ctc(
    logits: TensorLike,
    target: TensorLike,
    *,
    input_lengths: TensorLike | None = None,
    target_lengths: TensorLike | None = None,
    blank: int = 0,
    zero_infinity: bool = False,
    sample_weights: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln of the probability that the steps read as the target (Graves et al., 2006).

    Each step gives a label or the blank; repeated labels count once, then blanks are left out. The
    probabilities of all such paths are added up in a loop over the steps, in logarithms.

    Args:
        logits: (batch, steps, classes) of any size, or logarithms of probabilities, which are the
            same here; or (steps, classes) of one sequence. PyTorch has the steps first.
        target: (batch, labels) class indices, padded with anything behind ``target_lengths``; or
            (labels).
        input_lengths: (batch) how many steps count; all without it.
        target_lengths: (batch) how many labels count; all without it.
        blank: the class index of the blank, which a target must not have.
        zero_infinity: whether a target that does not fit into its steps counts 0, with a gradient
            of 0, in place of ∞.
        sample_weights: one for each sequence.
        reduction: "mean", "sum" or "none". As in PyTorch each loss is divided by the number of its
            labels before the mean, and only then.

    Returns:
        one number, or with "none" one for each sequence; ∞ where no path fits.

    Raises:
        ShapeError: the shapes do not fit together.
        DataError: a length is too large, or a class index is out of range or the blank.

    Example:
        >>> import chainrule as cr
        >>> logits = cr.zeros((1, 2, 2))  # "a" is read from "-a", "a-" and "aa": 3 of 4
        >>> round(cr.losses.ctc(logits, [[1]]).exp().item(), 4)
        1.3333
    """
    z, t = floating(logits), as_tensor(target)
    single = z.ndim == 2 and t.ndim == 1
    if single:
        z, t = expand_dims(z, 0), expand_dims(t, 0)
        input_lengths, target_lengths = (
            None if one is None else reshape(as_tensor(one), (1,))
            for one in (input_lengths, target_lengths)
        )
    _check_shapes(z, t, blank)
    steps = _lengths("input_lengths", input_lengths, z)
    labels = _lengths("target_lengths", target_lengths, t)
    t = _checked_labels(t, labels, z.shape[-1], blank)
    loss = _negative_logarithm(log_softmax(z), t, steps, labels, blank)
    impossible = loss > -_IMPOSSIBLE / 2
    loss = where(impossible, 0.0 if zero_infinity else math.inf, loss)
    if reduction in ("mean", SUM_AND_WEIGHT):
        loss = loss / cast(maximum(labels, 1), loss.dtype)
    if single and reduction == "none":
        return reduce(reshape(loss, ()), reduction, sample_weights)
    return reduce(loss, reduction, sample_weights)


def _check_shapes(z: Tensor, t: Tensor, blank: int) -> None:
    if z.ndim != 3 or t.ndim != 2 or t.shape[0] != z.shape[0]:
        raise ShapeError("The target does not fit the logits.",
                         expected="(batch, steps, classes) and (batch, labels)",
                         found=f"{z.type} and {t.type}")  # fmt: skip
    if t.type.is_float or t.dtype.kind == "b":
        raise TypeRuleError("Class indices must be integers.", expected="an integer type",
                            found=str(t.type))  # fmt: skip
    if not 0 <= blank < z.shape[-1]:
        raise ConfigError("Invalid value for blank.", expected=f"0 to {z.shape[-1] - 1}",
                          found=repr(blank))  # fmt: skip


def _lengths(name: str, given: TensorLike | None, of: Tensor) -> Tensor:
    """How much of the second axis counts, one integer for each sequence."""
    batch, longest = of.shape[:2]
    if given is None:
        return full((batch,), longest, "int64")
    found = as_tensor(given)
    if found.shape != (batch,) or found.type.is_float:
        raise ShapeError(f"{name} has an integer for each sequence.", expected=f"({batch},)",
                         found=str(found.type))  # fmt: skip
    about = (f"{name} is out of range.", f"0 to {longest}")
    return require(cast(found, "int64"), lambda n: (n >= 0) & (n <= longest), about)


def _checked_labels(t: Tensor, labels: Tensor, classes: int, blank: int) -> Tensor:
    """The labels, the blank behind their end; refused where one is no class or the blank."""
    counts = arange(t.shape[1]) < expand_dims(labels, -1)
    other = 0 if blank else min(1, classes - 1)
    t = need_classes(where(counts, cast(t, "int64"), other), classes)
    about = ("A target has the blank.", f"class indices other than {blank}")
    if classes > 1:
        t = require(t, lambda label: label != blank, about)
    return where(counts, t, blank)


def _negative_logarithm(
    logarithms: Tensor, t: Tensor, steps: Tensor, labels: Tensor, blank: int
) -> Tensor:
    """-ln p of every sequence; above 1e29 where no path fits.

    States are the labels with blanks around each. A path stays in a state or goes on to the next;
    it may leave out a blank between two different labels.
    """
    batch, count, _ = logarithms.shape
    dtype = logarithms.dtype
    blanks = full((*t.shape, 1), blank, "int64")
    pairs = reshape(concatenate([blanks, expand_dims(t, -1)], 2), (batch, 2 * t.shape[1]))
    states = concatenate([pairs, full((batch, 1), blank, "int64")], 1)
    size = states.shape[1]
    indices = broadcast_to(expand_dims(states, 1), (batch, count, size))
    emitted = maximum(take_along_axis(logarithms, indices, -1), _IMPOSSIBLE)
    two_before = pad(states, [(0, 0), (2, 0)], blank)[:, :size]
    may_skip = (states != blank) & (states != two_before)

    def shifted(x: Tensor, by: int) -> Tensor:
        moved: Tensor = pad(x, [(0, 0), (by, 0)], _IMPOSSIBLE)[:, :size]
        return moved

    def step(before: Tensor, now: Any) -> Any:
        number, emission = now
        reached = logaddexp(before, shifted(before, 1))
        reached = logaddexp(reached, where(may_skip, shifted(before, 2), _IMPOSSIBLE))
        after = maximum(reached + emission, _IMPOSSIBLE)
        return where(expand_dims(number < steps, -1), after, before), ()

    start = concatenate([zeros((batch, 1), dtype), full((batch, size - 1), _IMPOSSIBLE, dtype)], 1)
    last, _ = scan(step, start, (arange(count), swapaxes(emitted, 0, 1)))
    ends = stack([2 * labels, maximum(2 * labels - 1, 0)], 1)
    final = take_along_axis(last, ends, 1)
    return -logaddexp(final[:, 0], where(labels > 0, final[:, 1], _IMPOSSIBLE))

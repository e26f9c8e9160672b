"""CTC: the probability that steps without positions read as a shorter target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import ShapeError, TypeRuleError
from ...utils.typing import Array
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, RowsDependError, first_axis
from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.operation import Operation, Sample, register
from ..ir.types import Record, Type, int64
from ..tensor import TRACE_BIT, Tensor, TensorLike, apply, as_tensor, symbol
from . import mapping
from .check import require
from .cross_entropy import need_classes
from .declare import broadcast_to, cast, floating, function, need_float, reals
from .elementwise import logaddexp, maximum, where
from .indexing import take_along_axis
from .reduction import log_softmax
from .scan import call_pull_back, parts_of, scan
from .shape import (
    arange,
    concatenate,
    expand_dims,
    full,
    ones_like,
    pad,
    reshape,
    stack,
    swapaxes,
    zeros,
)

__all__ = ["ctc_from_logits"]


@function(
    lambda: [
        Sample((reals(3, 5, 3), np.array([[1, 2, 1], [2, 2, 0], [1, 0, 0]]),
                np.array([5, 4, 3]), np.array([3, 2, 0]))),
        Sample((reals(2, 4, 3), np.array([[0, 1], [1, 1]]), np.array([4, 3]), np.array([2, 2])),
               {"blank": 2}),
        Sample((reals(1, 3, 2), np.array([[1]]), np.array([0]), np.array([0]))),
        Sample((reals(0, 3, 2), np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0, int))),
    ]
)  # fmt: skip
def ctc_from_logits(
    logits: TensorLike,
    target: TensorLike,
    input_lengths: TensorLike,
    target_lengths: TensorLike,
    blank: int = 0,
) -> Tensor:
    """-ln of the probability of each target, ∞ where it does not fit: see `chainrule.losses.ctc`.

    Args:
        logits: (batch, steps, classes) scores.
        target: (batch, labels) class indices; what lies behind ``target_lengths`` is not read.
        input_lengths: (batch) how many steps count.
        target_lengths: (batch) how many labels count.
        blank: the class index of the blank.

    Returns:
        (batch) numbers. The gradient of one that is ∞ is 0.

    Raises:
        DataError: a length is too large, or a class index is out of range or the blank.

    Example:
        >>> import chainrule as cr
        >>> cr.ctc_from_logits(cr.zeros((1, 2, 2)), [[1]], [2], [1]).exp().tolist()
        [1.333...]
    """
    z, t = floating(logits), as_tensor(target)
    steps = _need_lengths("input_lengths", as_tensor(input_lengths), z.shape[1])
    labels = _need_lengths("target_lengths", as_tensor(target_lengths), t.shape[1])
    t = _need_labels(cast(t, int64), labels, z.shape[-1], blank)
    return parts_of(apply(CTC, z, t, steps, labels, blank=int(blank)))[0]


def _need_lengths(name: str, lengths: Tensor, longest: int) -> Tensor:
    about = (f"{name} is out of range.", f"0 to {longest}")
    return require(cast(lengths, int64), lambda n: (n >= 0) & (n <= longest), about)


def _need_labels(t: Tensor, labels: Tensor, classes: int, blank: int) -> Tensor:
    """The labels, the blank behind their end; refused where one is no class or the blank."""
    counts = arange(t.shape[1]) < expand_dims(labels, -1)
    other = 0 if blank else min(1, classes - 1)
    t = need_classes(where(counts, t, other), classes)
    about = ("A target has the blank.", f"class indices other than {blank}")
    if classes > 1:
        t = require(t, lambda label: label != blank, about)
    return where(counts, t, blank)


# ---- as one operation ------------------------------------------------------------------------
#
# The states of a target of S labels are the labels with blanks around each, 2·S + 1. A path stays
# in a state or goes on to the next, and may leave out a blank between two different labels. With
# yₜ(s) = ln softmax(z)ₜ of the label of s:
#
#     αₜ(s) = yₜ(s) + ln Σ exp αₜ₋₁(before s)     βₜ(s) = ln Σ exp(βₜ₊₁ + yₜ₊₁)(after s)
#     loss  = -ln Σ exp α(the last two states)     γₜ(s) = exp(αₜ + βₜ)(s) / Σ of all states
#     z̄ₜ(c) = softmax(z)ₜ(c) - Σ γₜ(s) of the states with label c
#
# (Graves et al., 2006). γ is divided by its own sum, so the gradient of a step adds up to 0, and
# α and β need only be known up to a number for each step: what is kept stays near to 0, which
# saves the digits of long sequences. Loss and gradient are two results of one operation, as they
# share α; whoever wants the loss only does not pay for the other.


def _ctc_type(z: Type, target: Type, steps: Type, labels: Type, *, blank: int) -> Type:
    need_float("ctc", z)
    outer = z.shape[:-2]
    fits = len(z.shape) >= 2 and target.shape[:-1] == outer and len(target.shape) == len(outer) + 1
    if not fits or steps.shape != outer or labels.shape != outer:
        raise ShapeError("The target does not fit the logits.",
                         expected="(…, steps, classes), (…, labels), and lengths (…)",
                         found=f"{z}, {target}, {steps} and {labels}")  # fmt: skip
    if any(x.dtype != int64 for x in (target, steps, labels)):
        raise TypeRuleError("Labels and lengths of a ctc are int64.",
                            found=f"{target}, {steps} and {labels}")  # fmt: skip
    if type(blank) is not int or not 0 <= blank < z.shape[-1]:
        raise TypeRuleError("The blank of a ctc is a class index.",
                            expected=f"0 to {z.shape[-1] - 1}", found=repr(blank))  # fmt: skip
    return Record([Type(z.dtype, outer), z])


def _states(target: Array, blank: int) -> tuple[Array, Array]:
    """The label of every state, and whether the blank before it may be left out."""
    batch, labels = target.shape
    states = np.full((batch, 2 * labels + 1), blank, np.int64)
    states[:, 1::2] = target
    two_before = np.concatenate([np.full((batch, 2), blank), states[:, :-2]], 1)
    return states, (states != blank) & (states != two_before[:, : states.shape[1]])


def _shifted(x: Array, by: int) -> Array:
    """States by so many places later, or earlier; what comes in is impossible."""
    moved = np.full_like(x, -np.inf)
    if by > 0:
        moved[:, by:] = x[:, :-by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def _forward(emitted: Array, skips: Array, steps: Array) -> tuple[Array, Array]:
    """α of every step, and of the last step that counts."""
    batch, count, size = emitted.shape
    alpha = np.full((batch, size), -np.inf)
    alpha[:, 0] = 0.0  # before the first step
    every = np.empty((count, batch, size))
    for t in range(count):
        reached = np.logaddexp(alpha, _shifted(alpha, 1))
        reached = np.logaddexp(reached, np.where(skips, _shifted(alpha, 2), -np.inf))
        alpha = np.where((t < steps)[:, None], reached + emitted[:, t], alpha)
        every[t] = alpha
    return every, alpha


def _occupancies(emitted: Array, skips: Array, steps: Array, end: Array, alphas: Array) -> Array:
    """γ of every step that counts, 0 of the others."""
    batch, count, size = emitted.shape
    found = np.zeros((batch, count, size))
    beta = np.full((batch, size), -np.inf)
    following = np.concatenate([skips[:, 2:], np.zeros((batch, 2), bool)], 1)[:, :size]
    for t in reversed(range(count)):
        if t + 1 < count:
            later = beta + emitted[:, t + 1]
            beta = np.logaddexp(later, _shifted(later, -1))
            beta = np.logaddexp(beta, np.where(following, _shifted(later, -2), -np.inf))
        beta = np.where(np.equal(steps, t + 1)[:, None], end, beta)
        both = alphas[t] + beta
        weights = np.exp(both - both.max(-1, keepdims=True))
        found[:, t] = np.where((steps > t)[:, None], weights / weights.sum(-1, keepdims=True), 0)
    return found


def _ctc(xp: Any, z: Any, target: Any, steps: Any, labels: Any, blank: int) -> Any:
    """In double precision; what is out of range, which the function refuses, is clipped."""
    *outer, count, classes = z.shape
    x: Array = np.asarray(z, np.float64).reshape(-1, count, classes)
    size = np.asarray(target).shape[-1]
    target = np.clip(np.asarray(target), 0, classes - 1).reshape(len(x), size)
    steps = np.clip(np.asarray(steps), 0, count).reshape(-1)
    labels = np.clip(np.asarray(labels), 0, size).reshape(-1)
    with np.errstate(all="ignore"):
        logarithms = x - x.max(-1, keepdims=True)
        logarithms -= np.log(np.exp(logarithms).sum(-1, keepdims=True))
        states, skips = _states(target, blank)
        indices = np.broadcast_to(states[:, None], (len(x), count, states.shape[1]))
        emitted = np.take_along_axis(logarithms, indices, -1)
        number = np.arange(states.shape[1])
        last = 2 * labels[:, None]
        end = np.where((number == last) | (number == last - 1), 0.0, -np.inf)
        alphas, final = _forward(emitted, skips, steps)
        bad: Array = (np.isnan(logarithms).any(-1) & (np.arange(count) < steps[:, None])).any(-1)
        loss = np.maximum(-np.logaddexp.reduce(final + end, -1), 0)
        loss[bad] = np.nan
        gradient = np.exp(logarithms)
        held = _occupancies(emitted, skips, steps, end, alphas)
        rows = np.arange(len(x))[:, None]
        for t in range(count):
            np.subtract.at(gradient[:, t], (rows, states), held[:, t])
        gradient[np.arange(count) >= steps[:, None]] = 0
        gradient[np.isinf(loss)] = 0
        gradient[bad] = np.nan
    return loss.reshape(outer).astype(z.dtype), gradient.reshape(z.shape).astype(z.dtype)


def _ctc_pull_back(
    walk: Any, upstream: dict[int, Tensor], wanted: list[int], y: Tensor, *inputs: Tensor,
    blank: int,
) -> dict[int, Tensor]:  # fmt: skip
    """The gradient is a result already; its own derivative is that of α written out as a loop."""
    z = inputs[0]
    found = None
    if 0 in upstream:
        found = expand_dims(upstream[0], (-2, -1)) * parts_of(y)[1]
    if 1 in upstream:
        symbols = [symbol(x.type, str(number)) for number, x in enumerate(inputs)]
        loss = _written_out(*symbols, blank=blank)
        (gradient,) = walk([loss], [ones_like(loss)], [symbols[0].node], TRACE_BIT)
        if gradient is not None:
            body = Graph([s.node for s in symbols], [gradient.node])
            more = call_pull_back(walk, {0: upstream[1]}, [0], y, *inputs, body=body)
            if 0 in more:
                found = more[0] if found is None else found + more[0]
    return {} if found is None or not z.type.is_float else {0: found}


#: The logarithm of what is impossible: finite, so that no difference of two is NaN.
_IMPOSSIBLE = -1e30


def _written_out(z: Tensor, t: Tensor, steps: Tensor, labels: Tensor, *, blank: int) -> Tensor:
    """The loss in other operations, for derivatives of the gradient; 0 where no path fits."""
    outer, (count, classes) = z.shape[:-2], z.shape[-2:]
    batch = math.prod(outer)
    z, t = reshape(z, (batch, count, classes)), reshape(t, (batch, t.shape[-1]))
    steps, labels = reshape(steps, (batch,)), reshape(labels, (batch,))
    blanks = full((*t.shape, 1), blank, int64)
    pairs = reshape(concatenate([blanks, expand_dims(t, -1)], 2), (batch, 2 * t.shape[1]))
    states = concatenate([pairs, full((batch, 1), blank, int64)], 1)
    size = states.shape[1]
    indices = broadcast_to(expand_dims(states, 1), (batch, count, size))
    emitted = maximum(take_along_axis(log_softmax(z), indices, -1), _IMPOSSIBLE)
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

    rest = full((batch, size - 1), _IMPOSSIBLE, z.dtype)
    start = concatenate([zeros((batch, 1), z.dtype), rest], 1)
    last, _ = scan(step, start, (arange(count), swapaxes(emitted, 0, 1)))
    ends = stack([2 * labels, maximum(2 * labels - 1, 0)], 1)
    final = take_along_axis(last, ends, 1)
    loss = -logaddexp(final[:, 0], where(labels > 0, final[:, 1], _IMPOSSIBLE))
    return reshape(where(loss > -_IMPOSSIBLE / 2, 0.0, loss), outer)


def _ctc_rows(walk: BatchWalk, node: Node, axes: Axes) -> list[Axis]:
    """Every sequence by itself."""
    axis = first_axis(axes)
    for source, own in zip(node.inputs, axes, strict=True):
        if own != axis and not (own is None and walk.is_same(source, axis)):
            raise RowsDependError
    if axis.place >= len(node.inputs[2].type.shape):
        raise RowsDependError
    return [axis, axis]


def _work(y: Type, z: Type, target: Type, *lengths: Type, **how: Any) -> int:
    """Each step meets each state, with an exponential and a logarithm."""
    return z.size + 40 * z.size // max(z.shape[-1], 1) * (2 * target.shape[-1] + 1)


#: ``ctc(logits, target, steps, labels, blank)``: the loss of every sequence, and its gradient.
CTC: Operation = register(
    Operation(
        "ctc", _ctc_type, _ctc, formula="ctc({0}, {1})", pull_back=_ctc_pull_back,
        batch=BatchRule(_ctc_rows), work=_work, vmap=mapping.leading,
    )
)  # fmt: skip

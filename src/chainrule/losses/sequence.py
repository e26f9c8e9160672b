"""Losses of sequences: what is predicted step by step against a shorter target without positions.

They take ``sample_weights`` and ``reduction``: see `chainrule.losses`.
"""

from __future__ import annotations

from ..engine.ops import ctc_from_logits, expand_dims, full, isinf, maximum, reshape, where
from ..engine.ops.declare import cast, floating
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError, TypeRuleError
from .common import SUM_AND_WEIGHT, reduce


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
    probabilities of all such paths are added up in logarithms, in one operation, which gives the
    gradient, too. A target fits if there are as many steps as labels, and one more for every label
    that is that before it. Where it does not, the gradient is 0; PyTorch's is NaN.

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
    loss = ctc_from_logits(z, t, steps, labels, blank)
    if zero_infinity:
        loss = where(isinf(loss), 0.0, loss)
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
    return cast(found, "int64")

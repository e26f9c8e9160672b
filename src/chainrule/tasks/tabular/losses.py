"""Losses of several networks side by side."""

from __future__ import annotations

from collections.abc import Callable

from ...data import Target
from ...engine.ops import broadcast_to, reshape, transpose
from ...engine.tensor import Tensor
from ...losses import LOSSES, check_task

#: What is trained for a task, where the user names no loss.
LOSS_OF = {"regression": "mse", "binary": "cross_entropy", "multiclass": "cross_entropy"}


def member_loss(name: str, column: Target) -> Callable[..., Tensor]:
    """A loss over all members of a network: each is trained as if it were alone.

    Args:
        name: of a loss.
        column: what is predicted.

    Raises:
        ConfigError: the loss does not fit.
    """
    of_classes = bool(column.classes)
    # The network gives a logit for each class, also for each of two.
    check_task(name, *(("multiclass", "logits") if of_classes else ("regression", "values")))
    loss = LOSSES[name]

    def of_members(z: Tensor, target: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        members, rows, outputs = z.shape
        flat = reshape(z, (members * rows, outputs) if of_classes else (members * rows,))
        if sample_weights is None:
            return loss(flat, _for_each_member(target, members))
        by_member = transpose(sample_weights) if sample_weights.ndim == 2 else sample_weights
        weights = _for_each_member(by_member, members)
        return loss(flat, _for_each_member(target, members), sample_weights=weights)

    return of_members


def _for_each_member(x: Tensor, members: int) -> Tensor:
    """(rows,) or (members, rows) → (members · rows,)."""
    return reshape(broadcast_to(x, (members, x.shape[-1])), (members * x.shape[-1],))

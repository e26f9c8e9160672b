"""Losses of several networks side by side, of one target or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...data import Schema, Target
from ...engine.ops import sum, where
from ...engine.tensor import Tensor
from ...losses import LOSSES, check_task, losses_for
from ..members import each_alone
from .heads import Head, NumberHead, parts_of

#: What is trained for a task, where the user names no loss.
LOSS_OF = {"regression": "mse", "binary": "cross_entropy", "multiclass": "cross_entropy"}


def task_of_loss(name: str | None) -> str | None:
    """The task that a loss implies: one for numbers only makes classes of numbers a regression.

    Example:
        >>> task_of_loss("mse"), task_of_loss("cross_entropy"), task_of_loss(None)
        ('regression', None, None)
    """
    if name not in losses_for("regression") or name in losses_for("multiclass"):
        return None
    return "regression"


def table_loss(
    schema: Schema, heads: Sequence[Head], name: str | None, weights: Sequence[float] = ()
) -> Callable[..., Tensor]:
    """The loss of a network for a table: a mean over rows, of each member as if it were alone.

    Of several targets it takes the target as `chainrule.tasks.tabular.targets.learned` makes it,
    and is the sum of their losses, each over the rows that have that target.

    Args:
        schema: with the targets.
        heads: of these.
        name: of the loss; by default the usual one of each task.
        weights: what each of several losses counts for.

    Raises:
        ConfigError: the loss does not fit a target.
    """
    pairs = zip(heads, schema.targets, strict=True)
    losses = [_head_loss(name or LOSS_OF[target.task], target, head) for head, target in pairs]
    if len(losses) == 1:
        return losses[0]
    count = len(losses)

    def of_targets(z: Tensor, target: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        total: Any = 0.0
        for i, (loss, part) in enumerate(zip(losses, parts_of(heads, z), strict=True)):
            values, known = target[:, i], target[:, count + i]
            if schema.targets[i].classes:
                values = values.astype("int64")
            if sample_weights is not None:
                known = known[:, None] if sample_weights.ndim == 2 else known
                known = known * sample_weights
            total = total + weights[i] * loss(part, values, known, reduction="sum")
        members, rows, _ = z.shape
        if sample_weights is None:
            mean: Tensor = total / (members * rows)
            return mean
        weight = sum(sample_weights) * (members if sample_weights.ndim == 1 else 1)
        mean = total / where(weight == 0, 1.0, weight)
        return mean

    return of_targets


def _head_loss(name: str, target: Target, head: Head) -> Callable[..., Tensor]:
    """The loss of one target; with quantiles their pinball losses are added."""
    loss = member_loss(name, target)
    if not isinstance(head, NumberHead) or not head.levels:
        return loss
    levels = head.levels
    pinball = [member_loss("quantile", target, q=level) for level in levels]

    def with_quantiles(
        z: Tensor, values: Tensor, sample_weights: Tensor | None = None, reduction: str = "mean"
    ) -> Tensor:
        total = loss(z[:, :, :1], values, sample_weights, reduction)
        found = head.quantiles(z)
        for i, of_level in enumerate(pinball):
            part = of_level(found[:, :, i : i + 1], values, sample_weights, reduction)
            total = total + part * (2 / len(levels))
        return total

    return with_quantiles


def member_loss(name: str, column: Target, **options: Any) -> Callable[..., Tensor]:
    """A loss over all members of a network: each is trained as if it were alone.

    Args:
        name: of a loss.
        column: what is predicted.
        options: of the loss.

    Raises:
        ConfigError: the loss does not fit.
    """
    of_classes = bool(column.classes)
    # The network gives a logit for each class, also for each of two.
    check_task(name, *(("multiclass", "logits") if of_classes else ("regression", "values")))
    loss = LOSSES[name]

    def of_members(
        z: Tensor,
        target: Tensor,
        sample_weights: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        numbers, more = not of_classes, {"reduction": reduction, **options}
        return each_alone(loss, z, target, sample_weights, numbers=numbers, **more)

    return of_members

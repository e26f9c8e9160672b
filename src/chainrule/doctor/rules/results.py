"""Rules on how the training went and what came out of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Fix
from .context import Context, Limit

_FALLING = Limit(0.03, 0.01)
_GAP = Limit(0.2, 0.1)
_LOST = Limit(0.4, 0.2)
_LITTLE = 0.05
_SOFT_DECAY, _SHRUNK = Limit(0.05, 0.01), Limit(0.7, 0.9)
_DROPOUT = Limit(0.7, 0.4)
_KEPT, _PERFECT = 0.8, 0.9
#: Updates in an epoch, rows in a batch, units of a layer.
_FEW_UPDATES, _FEW_ROWS, _NARROW = Limit(2, 4), Limit(2, 4), Limit(3, 6)


def too_few_epochs(c: Context) -> Iterator[Finding]:
    """The loss was still falling when the training ended."""
    if not c.over or not c.poor or c.failed or not c.evidence.history:
        return
    few = c.updates < 60 or len(c.evidence.history) < 3
    if few or (c.fall > c.limit(_FALLING) and not c.learned):
        epochs = len(c.evidence.history)
        yield Finding(
            "history", "too_few_epochs", "warning",
            f"There were {c.updates} updates, in {epochs} epoch{'s' * (epochs > 1)}."
            if epochs < 3 else
            f"After {epochs} epochs the loss is still falling, by {c.fall:.0%} in the last fifth.",
            "The training ended before the network had learned what quick models learn.",
            "fall of the training loss in the last fifth of the epochs", c.fall, _FALLING.sure,
            Fix(f"Train longer: {max(epochs * 5, 50)} epochs.", {"epochs": max(epochs * 5, 50)}),
            epoch=epochs, score=0.8 if epochs < 3 else 0.7, is_fact=few,
        )  # fmt: skip


def large_batches(c: Context) -> Iterator[Finding]:
    """So few updates in an epoch that the epochs do not suffice."""
    e = c.evidence
    if not c.over or not c.poor or c.failed or c.d.rows < 64:
        return
    few = e.steps <= c.limit(_FEW_UPDATES)
    if few and e.batch_size >= 64 and (c.fall > 0.005 or c.updates < 300):
        yield Finding(
            "configuration", "batch_too_large", "warning",
            f"A batch has {e.batch_size:,} of {c.d.rows:,} rows: an epoch has "
            f"{e.steps} update{'s' * (e.steps > 1)}.",
            "There were too few updates for the network to learn; the gradients of two halves of "
            "the rows agree, so smaller batches would do as well.",
            "updates in an epoch", float(e.steps), _FEW_UPDATES.sure,
            Fix("Use batches of 32 rows.", {"batch-size": 32}), score=0.78, is_fact=True,
        )  # fmt: skip


def small_batches(c: Context) -> Iterator[Finding]:
    """Gradients of a row or two, which are mostly noise."""
    e = c.evidence
    few = 0 < e.batch_size <= c.limit(_FEW_ROWS)
    if c.over and c.poor and few and c.d.rows >= 100:
        yield Finding(
            "configuration", "batch_too_small", "warning",
            f"A batch has {e.batch_size} row{'s' * (e.batch_size > 1)}.",
            "The gradient of so few rows is mostly noise: with this learning rate the weights "
            "wander about.",
            "rows in a batch", float(e.batch_size), _FEW_ROWS.sure,
            Fix("Use batches of 32 rows.", {"batch-size": 32}), score=0.83, is_fact=True,
        )  # fmt: skip


def over_regularised(c: Context) -> Iterator[Finding]:
    """Penalties or dropout that keep the network from learning."""
    if not c.over or c.failed:
        return
    # So few units are left only where a rate was meant as the fraction that is kept.
    mistaken = c.s.dropout >= _KEPT and (c.skill or 0.0) < _PERFECT
    if c.learned and not mistaken:
        return
    shrunk = _shrinkage(c)
    decay = c.s.weight_decay + c.s.l1
    if c.s.dropout >= c.limit(_DROPOUT):
        yield _regularised(f"Dropout takes {c.s.dropout:.0%} of the units away in each step.",
                           "What is left in a step is too small a network to learn what all of "
                           "the units could, and another one each time.",
                           "rate of dropout", c.s.dropout, _DROPOUT.sure,
                           Fix("Use less dropout, such as 0.1: the rate is the fraction that is "
                               "dropped, not the one that is kept.", {"dropout": 0.1}))  # fmt: skip
    elif decay >= c.limit(_SOFT_DECAY) and shrunk < c.limit(_SHRUNK):
        yield _regularised(
            f"The weights have shrunk to {shrunk:.0%} of their initial size.",
            "The penalty weighs more than the error: the network gives nearly the same answer to "
            "all rows, on its own training set, too.",
            "‖w‖ at the end / at the start", shrunk, _SHRUNK.sure,
            Fix("Use less weight decay or a smaller penalty.", {"weight-decay": 0.01}))  # fmt: skip


def _regularised(
    message: str, why: str, formula: str, measured: float, limit: float, fix: Fix
) -> Finding:
    return Finding(
        "regularisation", "over_regularised", "warning", message, why, formula, measured, limit,
        fix, score=0.86, is_fact=True,
    )  # fmt: skip


def _shrinkage(c: Context) -> float:
    """The size of the weights that are trained, at the end over that at the start."""
    if len(c.measured) < 2:
        return 1.0
    first, last = c.measured[0].weight, c.measured[-1].weight
    held = {*c.s.unlisted, *c.s.frozen}
    paths = [p for p in first if p.endswith("weight") and p in last and p not in held]
    sizes = [math.sqrt(sum(w[p] ** 2 for p in paths)) for w in (first, last)]
    return sizes[1] / sizes[0] if sizes[0] else 1.0


def underfitting(c: Context) -> Iterator[Finding]:
    """A network that is too small for what quick models find in the data."""
    if not c.over or c.learned or c.failed or c.untrained is None:
        return
    linear = c.s.hidden_layers == 0 and len(c.s.sizes) <= 2  # a weight and a bias
    small = linear or 0 < c.s.narrowest <= c.limit(_NARROW)
    yield Finding(
        "results", "underfitting", "warning",
        f"On its own training rows the network reaches {c.evidence.outcome.train or 0:.2f}, a "
        f"quick model {max(c.d.reference_train or 0, c.d.reference or 0):.2f} (0 is a constant, 1 "
        "is perfect).",
        "There is more to learn in the data than the network has learned"
        + (f": its narrowest layer has {c.s.narrowest} units." if c.s.hidden_layers and small
           else ": without a hidden layer it is linear." if small else "."),
        "skill of the best quick model − skill on the training rows", c.untrained, 0.06,
        Fix("Use more hidden units.", {"hidden": "64,64"}) if small
        else Fix("Train longer, with a higher rate, or with more hidden units."),
        score=0.79 if small else 0.5,
        is_fact=small,
    )  # fmt: skip


def overfitting(c: Context) -> Iterator[Finding]:
    """The validation loss rises while the training loss falls, and the result suffers."""
    if not c.over or c.failed:
        return
    validated, trained = c.evidence.series("val_loss"), c.evidence.series("loss")
    outcome = c.evidence.outcome
    if len(validated) < 3 or not all(map(math.isfinite, validated)) or not c.measured:
        return
    best, last = min(validated), validated[-1]
    gained = max(c.measured[0].loss - best, 1e-12)
    lost = (last - best) / gained
    apart = (outcome.train or 0.0) - (outcome.held_out or 0.0)
    rises, gap = lost > c.limit(_LOST) and trained[-1] < last / 2, c.limit(_GAP)
    by_heart = apart > 2 * gap and c.d.signal
    by_heart = by_heart or (apart > 1.5 * gap and not c.good and trained[-1] < _LITTLE * last)
    if by_heart or (rises and (not c.good or apart > gap)):
        best_epoch = 1 + validated.index(best)
        yield Finding(
            "history",
            "overfitting",
            "warning",
            f"After epoch {best_epoch} the validation loss rises from {best:.3g} to {last:.3g}, "
            f"while the training loss falls to {trained[-1]:.3g}.",
            "The network learns its rows by heart instead of what they have in common"
            + ("; the weights of the best epoch are kept." if c.evidence.kept_best else "."),
            "rise of the validation loss / what it had fallen",
            lost,
            _LOST.sure,
            Fix(
                "Use more data, a smaller network, weight decay, dropout or early stopping.",
                {"patience": 5, "weight-decay": 0.1},
            ),
            epoch=best_epoch,
            score=0.76,
        )


RULES = (
    too_few_epochs, large_batches, small_batches, over_regularised, underfitting, overfitting,
)  # fmt: skip

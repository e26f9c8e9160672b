"""Rules on the data: scales, copies, leaks, shifts, labels."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Fix
from .context import Context, Limit

_SCALE, _SPREAD = Limit(30.0, 10.0), Limit(300.0, 100.0)
_TARGET = Limit(30.0, 10.0)
_SHARED = 0.05
_NEAR = Limit(0.35, 0.5)
_SHIFT = Limit(0.6, 0.4)
_SORTED = 0.3
_DENIED, _FEWEST = Limit(0.05, 0.025), Limit(4.0, 2.0)
_UNBALANCED, _FOUND = Limit(8.0, 4.0), Limit(0.5, 0.75)
#: Classes that are this rare are a finding also if their recall is clearly behind, by so much.
_VERY, _BEHIND = 20.0, 0.15
_UNLEARNED = Limit(0.1, 0.2)


def missing_values(c: Context) -> Iterator[Finding]:
    """NaN in inputs or targets."""
    if c.d.not_finite:
        yield Finding(
            "inputs", "missing_values", "error",
            f"{c.d.not_finite:,} numbers of the data are NaN or infinite.",
            "One of them makes the loss, and with it every weight, NaN.",
            "count of NaN and ∞", float(c.d.not_finite), 0.0,
            Fix("Fill them in, or leave out their rows; `chainrule train` does so by itself."),
            score=0.99,
        )  # fmt: skip


def unscaled_inputs(c: Context) -> Iterator[Finding]:
    """Features that are large, far from 0, or of very different sizes."""
    ratios = {
        "root mean square of a feature": c.d.scale / c.limit(_SCALE),
        "|mean| / standard deviation of a feature": c.d.offset / c.limit(_SCALE),
        "largest / smallest standard deviation of the features": c.d.spread / c.limit(_SPREAD),
    }
    formula, ratio = max(ratios.items(), key=lambda item: item[1])
    if ratio <= 1 or c.s.batch_norm[:1] == [""]:
        return
    limit = _SPREAD if formula.startswith("largest") else _SCALE
    measured = ratio * c.limit(limit)
    severe = ratio > 3 or c.poor
    yield Finding(
        "inputs", "unscaled_inputs", "warning" if severe else "note",
        f"The inputs are not scaled: the {formula} is {measured:,.4g}.",
        "Large inputs saturate units and make the loss steep in some directions and flat in "
        "others, so that no learning rate suits all of them.",
        formula, measured, limit.sure,
        Fix("Standardise each feature: subtract its mean, divide by its standard deviation."),
        layer=f"feature {c.d.widest}", score=0.95 if severe else 0.6,
    )  # fmt: skip


def unscaled_target(c: Context) -> Iterator[Finding]:
    """A target that the first outputs are far from, and that was not reached."""
    if c.s.task != "regression" or len(c.d.classes) >= 2 or not c.d.target_deviation:
        return
    far = c.d.target_scale
    small = far < 1 / c.limit(_TARGET) ** 2
    if not c.over or not c.poor or not (far > c.limit(_TARGET) or small):
        return
    yield Finding(
        "target", "unscaled_target", "warning",
        f"The target is not scaled: its root mean square is {far:.4g}.",
        "The network starts near 0 and must grow its weights to reach it; meanwhile the gradient "
        "is out of proportion.",
        "root mean square of the target", far, _TARGET.sure,
        Fix("Standardise the target, and scale the predictions back."), score=0.9,
    )  # fmt: skip


def shared_rows(c: Context) -> Iterator[Finding]:
    """Rows of the validation set that were learned."""
    if c.d.shared >= _SHARED:
        yield Finding(
            "split", "leakage_duplicates", "error",
            f"{c.d.shared:.0%} of the validation rows are also training rows.",
            "The network has seen them with their target: its figures are too good.",
            "fraction of validation rows that are in the training set", c.d.shared, _SHARED,
            Fix("Remove duplicate rows before the split, or keep copies on one side."), score=0.96,
        )  # fmt: skip


def near_copies(c: Context) -> Iterator[Finding]:
    """Groups of rows that are torn apart by the split."""
    if max(c.d.near, c.d.near_inside) < c.limit(_NEAR) and c.d.shared < _SHARED:
        yield Finding(
            "split", "leakage_groups", "warning",
            "Most validation rows have a near-copy in the training set.",
            "They seem to come in groups, such as several rows of one person. If new rows are of "
            "other groups, the figures are too good.",
            "nearest / 20th nearest distance, over what the density explains", c.d.near, _NEAR.sure,
            Fix("Split by group, so that a group is on one side."), score=0.9,
        )  # fmt: skip


def target_copy(c: Context) -> Iterator[Finding]:
    """A feature that is the target in another form."""
    if c.d.target_copy is None:
        return
    column, sure = c.d.target_copy
    threshold = not c.d.target_apart
    yield Finding(
        "inputs", "leakage_column", "note" if threshold else "error",
        f"Feature {column} alone gives the target away ({sure:.4f}).",
        "The class is where a threshold of it puts the row, so no network is needed."
        if threshold
        else "It is the target in another form, which new rows will hardly have.",
        "correlation with the target, or rows whose class it tells", sure, 0.998,
        Fix(f"Leave out feature {column}, unless it is known before the target is."),
        layer=f"feature {column}", score=0.4 if threshold else 0.96,
    )  # fmt: skip


def shift(c: Context) -> Iterator[Finding]:
    """Validation rows of another distribution."""
    if c.d.shift > c.limit(_SHIFT) and c.d.shifted > 0:
        yield Finding(
            "split", "distribution_shift", "warning",
            f"The mean of feature {c.d.shift_feature} differs by {c.d.shift:.2f} standard "
            "deviations between training and validation set.",
            "What is validated is not what was learned: the figures tell little of either.",
            "|mean − mean| / standard deviation", c.d.shift, _SHIFT.sure,
            Fix("Split at random, by group or in time, as the model will be used; see where the "
                "validation rows come from."),
            layer=f"feature {c.d.shift_feature}", score=0.93,
        )  # fmt: skip


def unshuffled(c: Context) -> Iterator[Finding]:
    """Sorted rows that are learned in their order."""
    if not c.evidence.shuffle and c.d.sorted > _SORTED and c.evidence.steps > 1:
        yield Finding(
            "configuration", "not_shuffled", "warning",
            "The rows are sorted by the target, and are not shuffled.",
            "Each batch pulls the network towards the classes that it holds, and the next one "
            "back.",
            "fraction of the target's variance between blocks of rows", c.d.sorted, _SORTED,
            Fix("Shuffle: trainer.fit(…, shuffle=True)."), score=0.93,
        )  # fmt: skip


def constant_columns(c: Context) -> Iterator[Finding]:
    """Features with one value."""
    if c.d.constant:
        yield Finding(
            "inputs", "constant_columns", "note",
            f"{len(c.d.constant)} of {c.d.features} features have one value only, such as feature "
            f"{c.d.constant[0]}.",
            "They say nothing; if they vary later, their weights are what they were at random.",
            "features with standard deviation 0", float(len(c.d.constant)), 0.0,
            Fix("Leave them out, or see why they do not vary."),
            layer=f"feature {c.d.constant[0]}", score=0.4,
        )  # fmt: skip


def duplicate_columns(c: Context) -> Iterator[Finding]:
    """Features that are the same."""
    if c.d.duplicates:
        first, second = c.d.duplicates[0]
        yield Finding(
            "inputs", "duplicate_columns", "note",
            f"Feature {second} is feature {first} again"
            + (f", and {len(c.d.duplicates) - 1} more are such" if len(c.d.duplicates) > 1 else "")
            + ".",
            "It counts twice, and explanations share its effect out at will.",
            "pairs of equal standardised features", float(len(c.d.duplicates)), 0.0,
            Fix("Leave one of them out."), layer=f"feature {second}", score=0.4,
        )  # fmt: skip


def shuffled_labels(c: Context) -> Iterator[Finding]:
    """Nothing can be learned, neither by the network nor by quick models."""
    if not c.over or c.d.reference is None or c.skill is None:
        return
    if c.d.signal and not (c.possible and c.d.reference < _UNLEARNED.possible):
        return
    counts = [n for n in c.d.classes if n]
    if counts and max(counts) > _UNBALANCED.sure * min(counts):
        return  # accuracy says little of rare classes
    held_out = c.evidence.outcome.held_out
    if held_out is not None and held_out < c.limit(_UNLEARNED) and not c.failed:
        yield Finding(
            "labels", "shuffled_labels", "warning",
            "On held-out rows neither the network nor quick models are better than a constant.",
            "The target has nothing to do with the inputs, as far as can be seen: rows may have "
            "lost their labels, such as by sorting one of two files.",
            "skill of the best quick model on held-out rows", c.d.reference, 0.03,
            Fix("Check that inputs and targets belong to the same rows."), score=0.92,
        )  # fmt: skip


def mislabelled(c: Context) -> Iterator[Finding]:
    """Rows deep inside of one class that have the label of another."""
    fraction = c.d.suspicious
    if not c.d.signal or fraction * c.d.deepest < c.limit(_FEWEST):
        return
    if c.d.deepest > c.d.rows / 2:
        return  # of so few rows these are not deep
    if fraction < c.limit(_DENIED):
        return
    yield Finding(
        "labels",
        "mislabelled",
        "warning",
        f"{fraction:.0%} of the rows that lie deep inside of one class have the label of another.",
        "The network learns them by heart, or is torn between them and their neighbours.",
        "rows with another label, among the fifth that lie deepest in a class",
        fraction,
        _DENIED.sure,
        Fix("Go through the rows whose label is improbable, and correct it."),
        score=0.87,
    )


def imbalance(c: Context) -> Iterator[Finding]:
    """Rare classes that the network does not find."""
    counts = [n for n in c.d.classes if n]
    recalls = c.evidence.outcome.recalls
    if not c.over or len(counts) < 2 or c.s.task == "regression" or not recalls:
        return
    ratio = max(counts) / min(counts)
    rare = c.d.classes.index(min(counts))
    if rare >= len(recalls) or ratio < c.limit(_UNBALANCED) or max(recalls) < 0.7:
        return
    count = c.d.held_out_classes[rare] if rare < len(c.d.held_out_classes) else 0
    error = math.sqrt(max(recalls[rare] * (1 - recalls[rare]), 0.04) / max(count, 1))
    worse = ratio >= _VERY and max(recalls) - recalls[rare] > max(_BEHIND, 2 * error)
    if recalls[rare] >= c.limit(_FOUND) and not worse:
        return
    yield Finding(
        "labels", "class_imbalance", "warning",
        f"Class {rare} has {min(counts)} rows, the largest {max(counts)}, and only "
        f"{recalls[rare]:.0%} of it is found, of the others up to {max(recalls):.0%}.",
        "Saying the frequent class is right most of the time, so the rare one hardly counts in "
        "the loss.",
        "largest / smallest class, with a recall that is low", ratio, _UNBALANCED.sure,
        Fix("Give the classes balanced weights.", {"balance": True}), score=0.85,
    )  # fmt: skip


RULES = (
    missing_values, unscaled_inputs, unscaled_target, shared_rows, near_copies, target_copy, shift,
    unshuffled, constant_columns, duplicate_columns, shuffled_labels, mislabelled, imbalance,
)  # fmt: skip

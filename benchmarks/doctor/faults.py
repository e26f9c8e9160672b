"""Fault operators, after those of DeepCrime: each puts one cause into a training.

An operator takes a sane case and a generator, and gives the faulty case; None where it does not
apply.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from .cases import Case
from .datasets import CURVED, Data

Operator = Callable[[Case, Any], Case | None]
OPERATORS: dict[str, Operator] = {}
#: These must make the result worse to count as faults: the others are there or not.
MUST_HURT = {
    "vanishing_gradient", "exploding_gradient", "dead_relu", "saturated_units",
    "symmetric_initialisation", "bad_initialisation", "learning_rate_too_high",
    "learning_rate_too_low", "unscaled_target", "underfitting", "too_few_epochs",
    "over_regularised", "batch_too_small", "batch_too_large", "frozen_parameters",
    "missing_nonlinearity", "class_imbalance", "not_shuffled", "output_range",
}  # fmt: skip
#: Faults of one group overwrite each other, so two are never put in together.
GROUPS = (
    {"softmax_twice", "softmax_of_one_unit", "mse_on_classes", "output_range", "unscaled_target"},
    {"symmetric_initialisation", "bad_initialisation", "dead_relu", "saturated_units",
     "exploding_gradient", "vanishing_gradient", "underfitting", "missing_nonlinearity",
     "batch_norm_tiny_batch", "frozen_parameters", "missing_from_optimizer", "overfitting"},
    {"learning_rate_too_high", "learning_rate_too_low"},
    {"too_few_epochs", "batch_too_small", "batch_too_large"},
    {"mislabelled", "shuffled_labels", "class_imbalance", "not_shuffled", "leakage_groups",
     "leakage_duplicates"},
)  # fmt: skip


def together(first: str, second: str) -> bool:
    """Whether two faults can be put into one training."""
    return first != second and not any(first in g and second in g for g in GROUPS)


def operator(name: str) -> Callable[[Operator], Operator]:
    """Register an operator under the cause that it puts in."""

    def register(function: Operator) -> Operator:
        OPERATORS[name] = function
        return function

    return register


def inject(case: Case, cause: str, rng: Any) -> Case | None:
    """The case with this fault."""
    found = OPERATORS[cause](case, rng)
    return None if found is None else found.copy(faults=(*case.faults, cause))


def _changed(case: Case, **changes: Any) -> Data:
    return dataclasses.replace(case.loaded, **changes)


@operator("vanishing_gradient")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(widths=(16,) * int(rng.integers(7, 11)), activation="sigmoid", norm=False)


@operator("exploding_gradient")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(widths=(32,) * int(rng.integers(7, 10)), activation="relu", norm=False,
                     gain=float(rng.uniform(2.2, 3.0)))  # fmt: skip


@operator("dead_relu")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(activation="relu", norm=False, bias=-float(rng.uniform(6, 30)))


@operator("saturated_units")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(activation=str(rng.choice(["tanh", "sigmoid"])), norm=False,
                     widths=case.widths[:1] * max(len(case.widths), 2),
                     bias=float(rng.choice([-1, 1]) * rng.uniform(8, 20)))  # fmt: skip


@operator("symmetric_initialisation")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(constant=float(rng.choice([0.0, 0.1, 0.5])), norm=False)


@operator("bad_initialisation")
def _(case: Case, rng: Any) -> Case | None:
    big = rng.random() < 0.6
    gain = float(rng.uniform(10, 40)) if big else float(10 ** rng.uniform(-4, -2.5))
    widths = case.widths if big else case.widths[:1] * 4
    return case.copy(gain=gain, norm=False, widths=widths)


@operator("learning_rate_too_high")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(lr=case.lr * float(10 ** rng.uniform(1.5, 3)))


@operator("learning_rate_too_low")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(lr=case.lr * float(10 ** rng.uniform(-4, -2.3)))


@operator("unscaled_inputs")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    factor = np.ones(data.x.shape[1], np.float32)
    offset = np.zeros(data.x.shape[1], np.float32)
    kind = rng.integers(3)
    if kind == 0:
        factor[:] = 10 ** rng.uniform(2, 4)
    elif kind == 1:
        factor[rng.integers(len(factor))] = 10 ** rng.uniform(2.7, 4)
    else:
        offset[:] = rng.uniform(50, 1000)
    return case.copy(data=_changed(case, x=data.x * factor + offset,
                                   x_val=data.x_val * factor + offset))  # fmt: skip


@operator("unscaled_target")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    if data.classes:
        return None
    factor, offset = np.float32(10 ** rng.uniform(2, 4)), np.float32(rng.choice([0, 1000]))
    return case.copy(data=_changed(case, y=data.y * factor + offset,
                                   y_val=data.y_val * factor + offset))  # fmt: skip


@operator("output_range")
def _(case: Case, rng: Any) -> Case | None:
    if case.loaded.classes:
        return None
    return case.copy(output=str(rng.choice(["relu", "sigmoid", "tanh"])))


@operator("softmax_twice")
def _(case: Case, rng: Any) -> Case | None:
    classes = case.loaded.classes
    if classes == 2 and rng.random() < 0.5:
        return case.copy(output="sigmoid", outputs=1, loss="binary_cross_entropy")
    return case.copy(output="softmax") if classes else None


@operator("softmax_of_one_unit")
def _(case: Case, rng: Any) -> Case | None:
    if case.loaded.classes != 2:
        return None
    return case.copy(output="softmax", outputs=1, loss="binary_cross_entropy")


@operator("mse_on_classes")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(outputs=1, loss="mse") if case.loaded.classes >= 2 else None


@operator("missing_nonlinearity")
def _(case: Case, rng: Any) -> Case | None:
    if case.dataset not in CURVED:
        return None
    return case.copy(activation="", norm=False)


@operator("overfitting")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    if case.dataset in ("iris", "wine"):
        return None
    keep = int(rng.integers(30, 60))
    y = data.y[:keep].copy()
    if not data.classes:  # wrong classes would be a fault of their own
        y = y + rng.normal(0, 0.7, keep).astype(np.float32)
    return case.copy(data=_changed(case, x=data.x[:keep], y=y), widths=(128, 128), dropout=0.0,
                     norm=False, updates=1500, activation="relu")  # fmt: skip


@operator("underfitting")
def _(case: Case, rng: Any) -> Case | None:
    if case.dataset not in (*CURVED, "clouds", "digits"):
        return None
    widths = ((), (1,), (2,))[int(rng.integers(3))]
    return case.copy(widths=widths, norm=False, dropout=0.0)


@operator("too_few_epochs")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(epochs=int(rng.integers(1, 3)), batch=64, norm=False)


@operator("over_regularised")
def _(case: Case, rng: Any) -> Case | None:
    kind = rng.integers(3)
    if kind == 0:
        return case.copy(dropout=float(rng.uniform(0.85, 0.97)), norm=False)
    name = ("l2", "l1")[int(kind) - 1]
    strength = float(10 ** (rng.uniform(-0.5, 0.7) if name == "l2" else rng.uniform(-1, 0)))
    return case.copy(more={**case.more, name: strength})


@operator("class_imbalance")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    if data.classes < 2 or case.dataset in ("wine", "iris"):
        return None
    rare = int(rng.integers(data.classes))
    others, ours = np.flatnonzero(data.y != rare), np.flatnonzero(data.y == rare)
    keep = np.sort(np.concatenate([others, ours[: max(len(others) // 60, 3)]]))
    return case.copy(data=_changed(case, x=data.x[keep], y=data.y[keep]))


@operator("mislabelled")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    if not data.classes:
        return None
    wrong = rng.permutation(len(data.y))[: int(rng.uniform(0.15, 0.3) * len(data.y))]
    y = data.y.copy()
    y[wrong] = (y[wrong] + rng.integers(1, data.classes, len(wrong))) % data.classes
    return case.copy(data=_changed(case, y=y))


@operator("shuffled_labels")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    y, y_val = rng.permutation(data.y), rng.permutation(data.y_val)
    return case.copy(data=_changed(case, y=y, y_val=y_val))


@operator("leakage_duplicates")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    count = int(rng.uniform(0.15, 0.6) * len(data.x_val))
    return case.copy(data=_changed(case, x=np.concatenate([data.x, data.x_val[:count]]),
                                   y=np.concatenate([data.y, data.y_val[:count]])))  # fmt: skip


@operator("leakage_groups")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    count = len(data.x) // 4
    x = np.repeat(data.x[:count], 5, axis=0)
    x = x + rng.normal(0, 0.005, x.shape).astype(np.float32)
    y = np.repeat(data.y[:count], 5)
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    cut = 4 * len(x) // 5
    return case.copy(data=_changed(case, x=x[:cut], y=y[:cut], x_val=x[cut:], y_val=y[cut:]))


@operator("leakage_column")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded

    def copy(y: Any) -> Any:
        noise = rng.normal(0, 0.003, len(y)) if rng.random() < 0.5 else 0.0
        values = y * 1.7 - 0.5 + noise
        return ((values - values.mean()) / values.std()).astype(np.float32)[:, None]

    return case.copy(data=_changed(case, x=np.hstack([data.x, copy(data.y)]),
                                   x_val=np.hstack([data.x_val, copy(data.y_val)])))  # fmt: skip


@operator("constant_columns")
def _(case: Case, rng: Any) -> Case | None:
    data, count = case.loaded, int(rng.integers(1, 4))
    value = np.float32(rng.choice([0.0, 1.0]))
    return case.copy(data=_changed(
        case,
        x=np.hstack([data.x, np.full((len(data.x), count), value)]),
        x_val=np.hstack([data.x_val, np.full((len(data.x_val), count), value)])))  # fmt: skip


@operator("duplicate_columns")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    column = int(rng.integers(data.x.shape[1]))
    factor = np.float32(rng.choice([1.0, 2.0, -1.0]))
    return case.copy(data=_changed(
        case, x=np.hstack([data.x, data.x[:, [column]] * factor]),
        x_val=np.hstack([data.x_val, data.x_val[:, [column]] * factor])))  # fmt: skip


@operator("batch_too_small")
def _(case: Case, rng: Any) -> Case | None:
    rows = len(case.loaded.x)
    return case.copy(batch=1, norm=False, lr=case.lr * 8, epochs=max(3000 // rows, 2))


@operator("batch_too_large")
def _(case: Case, rng: Any) -> Case | None:
    rows = len(case.loaded.x)
    return case.copy(batch=rows, epochs=max(case.updates * case.batch // rows // 2, 2))


@operator("frozen_parameters")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(hold="frozen", norm=False, widths=(6,) * max(len(case.widths), 2))


@operator("disconnected_parameters")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(hold="unused")


@operator("missing_from_optimizer")
def _(case: Case, rng: Any) -> Case | None:
    return case.copy(hold="missing", norm=False)


@operator("batch_norm_tiny_batch")
def _(case: Case, rng: Any) -> Case | None:
    rows = len(case.loaded.x)
    size = int(rng.integers(2, 4))
    return case.copy(norm=True, batch=size, dropout=0.0, epochs=max(2000 * size // rows, 2))


@operator("distribution_shift")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    gap = np.zeros(data.x.shape[1], np.float32)
    some = rng.permutation(len(gap))[: max(len(gap) // 3, 1)]
    gap[some] = rng.choice([-1, 1], len(some)) * rng.uniform(0.9, 2.5, len(some))
    return case.copy(data=_changed(case, x_val=data.x_val + gap))


@operator("not_shuffled")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    order = np.argsort(data.y, kind="stable")
    return case.copy(data=_changed(case, x=data.x[order], y=data.y[order]), shuffle=False,
                     lr=case.lr * 2, norm=False)  # fmt: skip


@operator("missing_values")
def _(case: Case, rng: Any) -> Case | None:
    data = case.loaded
    x = data.x.copy()
    x[rng.random(x.shape) < 0.01] = np.nan
    x[0, 0] = np.nan
    return case.copy(data=_changed(case, x=x))

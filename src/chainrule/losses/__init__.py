"""Losses: functions of prediction and target that give one number, to be minimised.

Every loss takes two more options:

* ``reduction``: "mean" (default), "sum", or "none" for the loss of each sample;
* ``sample_weights``: one for each row. The mean is then Σ w·l / Σ w, the sum Σ w·l.

Shapes must agree: nothing is broadcast, but a last axis of a single number goes with none, so that
a network's (n, 1) fits targets of (n). Targets are cast to the element type of the prediction.

At kinks the derivative is that of the operations: 0 at e = 0 of |e| and at the margins, the mean of
both sides where two branches of a maximum meet.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from ..engine.tensor import Tensor
from .classification import (
    arcface,
    binary_cross_entropy,
    cross_entropy,
    dice,
    focal,
    hinge,
    kl_div,
    multi_margin,
    multilabel_margin,
    multilabel_soft_margin,
    nll,
    soft_margin,
    squared_hinge,
)
from .registry import TASKS, Loss, check_target, check_task, losses_for, registered
from .regression import (
    cosine,
    gaussian_nll,
    huber,
    log_cosh,
    mae,
    mape,
    mse,
    msle,
    poisson_nll,
    quantile,
    smooth_l1,
)
from .sequence import ctc
from .similarity import cosine_embedding, hinge_embedding, margin_ranking, nt_xent, triplet_margin

#: The losses of one prediction and one target, by name.
LOSSES: MappingProxyType[str, Callable[..., Tensor]] = MappingProxyType(
    {one.name: one.function for one in registered()}
)

__all__ = [
    "LOSSES",
    "TASKS",
    "Loss",
    "arcface",
    "binary_cross_entropy",
    "check_target",
    "check_task",
    "cosine",
    "cosine_embedding",
    "cross_entropy",
    "ctc",
    "dice",
    "focal",
    "gaussian_nll",
    "hinge",
    "hinge_embedding",
    "huber",
    "kl_div",
    "log_cosh",
    "losses_for",
    "mae",
    "mape",
    "margin_ranking",
    "mse",
    "msle",
    "multi_margin",
    "multilabel_margin",
    "multilabel_soft_margin",
    "nll",
    "nt_xent",
    "poisson_nll",
    "quantile",
    "smooth_l1",
    "soft_margin",
    "squared_hinge",
    "triplet_margin",
]

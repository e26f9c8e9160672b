"""The names that ``import chainrule as cr`` gives: ``cr.grad``, ``cr.nn``, ``cr.exp`` and so on."""

from __future__ import annotations

# First, so that the names below win: cr.trace is not the sum of a diagonal.
from .ops import *  # noqa: F403  isort: skip
from . import (
    active,
    audio,
    data,
    errors,
    images,
    ir,
    losses,
    metrics,
    models,
    nn,
    ops,
    optim,
    series,
    tables,
    text,
)
from .compile import compile, trace
from .differentiate import grad, hvp, jacobian, jvp, value_and_grad, vjp
from .explain import Explanation, explain
from .gradient_check import check_grad
from .model_file import SavedModel, load, save
from .tensor import Buffer, Parameter, Tensor, Variable, as_tensor, parameter, tensor
from .train import AdversarialStep, Callback, History, Trainer, transfer

__all__ = [
    "AdversarialStep",
    "Buffer",
    "Callback",
    "Explanation",
    "History",
    "Parameter",
    "SavedModel",
    "Tensor",
    "Trainer",
    "Variable",
    "active",
    "as_tensor",
    "audio",
    "check_grad",
    "compile",
    "data",
    "errors",
    "explain",
    "grad",
    "hvp",
    "images",
    "ir",
    "jacobian",
    "jvp",
    "load",
    "losses",
    "metrics",
    "models",
    "nn",
    "ops",
    "optim",
    "parameter",
    "save",
    "series",
    "tables",
    "text",
    "tensor",
    "trace",
    "transfer",
    "value_and_grad",
    "vjp",
    *ops.__all__,
]

"""The names that ``import chainrule as cr`` gives: ``cr.grad``, ``cr.nn``, ``cr.exp`` and so on."""

from __future__ import annotations

# First, so that the names below win: cr.trace is not the sum of a diagonal.
from .engine.ops import *  # noqa: F403  isort: skip
from . import (
    data,
    errors,
    evolve,
    losses,
    metrics,
    models,
    nn,
    optim,
    report,
    rl,
    training,
)
from .doctor import doctor
from .engine import distributions, ir, ops
from .engine.autodiff import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .engine.backends.xla.backend import XlaBackend
from .engine.backends.xla.devices import devices
from .engine.compile import compile, trace
from .engine.gradcheck import check_grad
from .engine.implicit import fixed_point, linearize, odeint, root
from .engine.tensor import Buffer, Parameter, Tensor, Variable, as_tensor, parameter, tensor
from .engine.vmap import vmap
from .explain import Explanation, explain
from .interop import onnx, weights
from .interop.c import export_c
from .interop.tuning import tune
from .serialization import SavedModel, load, save
from .tasks import active_learning as active
from .tasks import audio, images, sequence_to_text, text
from .tasks import tabular as tables
from .tasks import timeseries as series
from .training import AdversarialStep, Callback, History, Trainer, transfer

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
    "XlaBackend",
    "active",
    "as_tensor",
    "audio",
    "check_grad",
    "compile",
    "data",
    "devices",
    "distributions",
    "doctor",
    "errors",
    "evolve",
    "explain",
    "export_c",
    "fixed_point",
    "grad",
    "hessian",
    "hvp",
    "images",
    "ir",
    "jacobian",
    "jvp",
    "linearize",
    "load",
    "losses",
    "metrics",
    "models",
    "nn",
    "odeint",
    "onnx",
    "ops",
    "optim",
    "parameter",
    "report",
    "rl",
    "root",
    "save",
    "sequence_to_text",
    "series",
    "tables",
    "text",
    "tensor",
    "trace",
    "training",
    "transfer",
    "tune",
    "value_and_grad",
    "weights",
    "vjp",
    "vmap",
    *ops.NAMES,
]

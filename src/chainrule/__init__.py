"""chainrule: a backpropagation compiler and trainer for neural networks."""

from __future__ import annotations

from . import errors, ir, nn, ops
from .compile import compile, trace
from .differentiate import check_grad, grad, hvp, jacobian, jvp, value_and_grad, vjp
from .ops import *  # noqa: F403
from .tensor import Buffer, Parameter, Tensor, Variable, as_tensor, parameter, tensor

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Parameter",
    "Tensor",
    "Variable",
    "as_tensor",
    "check_grad",
    "compile",
    "errors",
    "grad",
    "hvp",
    "ir",
    "jacobian",
    "jvp",
    "nn",
    "ops",
    "parameter",
    "tensor",
    "trace",
    "value_and_grad",
    "vjp",
    *ops.__all__,
]

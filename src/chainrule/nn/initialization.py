"""Initial values of parameters: `chainrule.nn.init`.

An initialiser is a function ``(key, shape, dtype) -> Tensor``; it may have options behind these,
which `functools.partial` sets. Every value is a function of the key alone.

**Fans.** Weights of layers have the shape (…, in, out), with the extents of a window in front, as
in a convolution. Then fan_in = ∏ shape[:-1] is the number of terms that are added up to one output,
and fan_out = ∏ shape[:-2] · shape[-1] the number of outputs that one input goes into.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from ..engine import ops
from ..engine.ops import random
from ..engine.ops.declare import cast
from ..engine.tensor import Buffer, Parameter, Tensor, as_tensor
from ..errors import ConfigError

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "buffer",
    "constant",
    "fans",
    "gain",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "parameter",
    "redraw",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = tuple[int, ...]
Initializer = Callable[[Tensor, Shape, Any], Tensor]

_GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """What the weights before an activation are multiplied by, so that the variance is kept.

    √(2 / (1 + slope²)) for leaky_relu, √2 for relu (He et al., 2015), 5/3 for tanh, 3/4 for selu,
    1 for linear, identity and sigmoid: PyTorch's values.

    Args:
        nonlinearity: one of these names.
        slope: of leaky_relu, where x < 0.

    Example:
        >>> import chainrule as cr
        >>> round(cr.nn.init.gain("relu"), 4)
        1.4142
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ConfigError(
            f"No gain is known for {nonlinearity!r}.", expected=", ".join([*_GAINS, "leaky_relu"])
        )
    return _GAINS[nonlinearity]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (…, in, out): see the top of this module.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.init.fans((3, 3, 16, 32))
        (144, 288)
    """
    if len(shape) < 2:
        raise ConfigError(
            "Fans belong to weights with at least two axes.",
            expected="(…, in, out)",
            found=str(tuple(shape)),
            hint="For vectors such as biases use zeros, constant, normal or uniform.",
        )
    return math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]


def _fan(shape: Shape, mode: str) -> float:
    fan_in, fan_out = fans(shape)
    modes = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    if mode not in modes:
        raise ConfigError("Unknown fan mode.", expected=", ".join(modes), found=repr(mode))
    return max(modes[mode], 1.0)


def _uniform_of_std(key: Tensor, shape: Shape, dtype: Any, std: float) -> Tensor:
    """Uniform numbers of mean 0: the standard deviation of U(-b, b) is b/√3."""
    bound = math.sqrt(3) * std
    return random.uniform(key, shape, -bound, bound, dtype)


# ---- fixed values ------------------------------------------------------------------------------


def zeros(key: Tensor, shape: Shape, dtype: Any = float) -> Tensor:
    """Zeros; the key is not used."""
    return ops.zeros(shape, dtype)


def ones(key: Tensor, shape: Shape, dtype: Any = float) -> Tensor:
    """Ones; the key is not used."""
    return ops.ones(shape, dtype)


def constant(key: Tensor, shape: Shape, dtype: Any = float, *, value: float = 0.0) -> Tensor:
    """The same value everywhere; the key is not used."""
    return ops.full(shape, value, dtype)


# ---- fixed distributions -----------------------------------------------------------------------


def uniform(
    key: Tensor, shape: Shape, dtype: Any = float, *, low: float = -0.05, high: float = 0.05
) -> Tensor:
    """U(low, high)."""
    return random.uniform(key, shape, low, high, dtype)


def normal(
    key: Tensor, shape: Shape, dtype: Any = float, *, mean: float = 0.0, std: float = 1.0
) -> Tensor:
    """N(mean, std²)."""
    x: Tensor = mean + std * random.normal(key, shape, dtype)
    return x


def truncated_normal(
    key: Tensor,
    shape: Shape,
    dtype: Any = float,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    limit: float = 2.0,
) -> Tensor:
    """N(mean, std²) without what lies more than ``limit`` standard deviations off: that is redrawn.

    As in PyTorch, ``std`` is that of the distribution before it is cut off.
    """
    if not limit >= 0.1:
        raise ConfigError("The limit is too narrow.", expected="at least 0.1", found=str(limit))
    x = random.normal(key, shape, dtype).numpy()
    for attempt in itertools.count():
        outside = np.abs(x) > limit
        if not outside.any():
            break
        again = random.normal(random.fold_in(key, attempt), shape, dtype).numpy()
        x = np.where(outside, again, x)
    return as_tensor(mean + std * x, dtype)


# ---- distributions that keep the variance from layer to layer ------------------------------------


def xavier_uniform(key: Tensor, shape: Shape, dtype: Any = float, *, gain: float = 1.0) -> Tensor:
    """U(-b, b), b = gain·√(6 / (fan_in + fan_out)): for tanh (Glorot and Bengio, 2010)."""
    return _uniform_of_std(key, shape, dtype, gain / math.sqrt(_fan(shape, "fan_avg")))


def xavier_normal(key: Tensor, shape: Shape, dtype: Any = float, *, gain: float = 1.0) -> Tensor:
    """N(0, s²), s = gain·√(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return normal(key, shape, dtype, std=gain / math.sqrt(_fan(shape, "fan_avg")))


def kaiming_uniform(
    key: Tensor,
    shape: Shape,
    dtype: Any = float,
    *,
    mode: str = "fan_in",
    gain: float = math.sqrt(2),
) -> Tensor:
    """U(-b, b), b = gain·√(3 / fan): for relu and the like (He et al., 2015).

    Args:
        key: random key.
        shape: (…, in, out).
        dtype: element type.
        mode: "fan_in" keeps the variance in the forward pass, "fan_out" in the backward pass,
            "fan_avg" is between.
        gain: see `gain`; √2 is that of relu.
    """
    return _uniform_of_std(key, shape, dtype, gain / math.sqrt(_fan(shape, mode)))


def kaiming_normal(
    key: Tensor,
    shape: Shape,
    dtype: Any = float,
    *,
    mode: str = "fan_in",
    gain: float = math.sqrt(2),
) -> Tensor:
    """N(0, s²), s = gain / √fan (He et al., 2015); options as in `kaiming_uniform`."""
    return normal(key, shape, dtype, std=gain / math.sqrt(_fan(shape, mode)))


def lecun_uniform(key: Tensor, shape: Shape, dtype: Any = float) -> Tensor:
    """U(-b, b), b = √(3 / fan_in) (LeCun et al., "Efficient BackProp", 1998)."""
    return kaiming_uniform(key, shape, dtype, gain=1.0)


def lecun_normal(key: Tensor, shape: Shape, dtype: Any = float) -> Tensor:
    """N(0, 1 / fan_in): for selu (LeCun et al., 1998; Klambauer et al., 2017)."""
    return kaiming_normal(key, shape, dtype, gain=1.0)


def orthogonal(key: Tensor, shape: Shape, dtype: Any = float, *, gain: float = 1.0) -> Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2014).

    The Q of the QR decomposition of a normal matrix, with the signs that make R's diagonal
    positive: then Q is distributed uniformly (Mezzadri, 2007). All axes but the last are taken as
    one. Decomposed in float64.
    """
    rows, columns = fans(shape)[0], shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.normal(key, tall, "float64").numpy())
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    matrix = q if rows >= columns else q.T
    return as_tensor(gain * matrix.reshape(shape), dtype)


#: The initialisers by name; he and glorot are other names of kaiming and xavier.
INITIALIZERS: MappingProxyType[str, Initializer] = MappingProxyType(
    {
        "zeros": zeros,
        "ones": ones,
        "normal": normal,
        "truncated_normal": truncated_normal,
        "uniform": uniform,
        "xavier_uniform": xavier_uniform,
        "xavier_normal": xavier_normal,
        "glorot_uniform": xavier_uniform,
        "glorot_normal": xavier_normal,
        "kaiming_uniform": kaiming_uniform,
        "kaiming_normal": kaiming_normal,
        "he_uniform": kaiming_uniform,
        "he_normal": kaiming_normal,
        "lecun_uniform": lecun_uniform,
        "lecun_normal": lecun_normal,
        "orthogonal": orthogonal,
    }
)


# ---- variables that know how they are drawn ------------------------------------------------------

#: Two layers that are made alike must differ, or they would stay alike for ever.
_made = itertools.count()


def _find(initial: str | Initializer) -> Initializer:
    if callable(initial):
        return initial
    if initial not in INITIALIZERS:
        raise ConfigError(
            "Unknown initialisation.", expected=", ".join(INITIALIZERS), found=repr(initial)
        )
    return INITIALIZERS[initial]


def _draw(shape: Shape, initial: Initializer) -> Tensor:
    return initial(random.fold_in(random.key(0), next(_made)), shape, float)


def parameter(shape: Shape, initial: str | Initializer) -> Parameter:
    """A parameter that knows how it is drawn, so that `Module.initialize` can redraw it.

    Until then its numbers follow from how many such variables the process has made before.

    Args:
        shape: its shape.
        initial: a name from `INITIALIZERS`, or a function ``(key, shape, dtype) -> Tensor``.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.init.parameter((2, 3), "xavier_uniform").shape
        (2, 3)
    """
    found = _find(initial)
    made = Parameter(_draw(shape, found))
    made.initial = found
    return made


def buffer(shape: Shape, initial: str | Initializer) -> Buffer:
    """A buffer that `Module.initialize` sets to its first value again."""
    found = _find(initial)
    made = Buffer(_draw(shape, found))
    made.initial = found
    return made


M = TypeVar("M")


def redraw(module: M) -> M:
    """The module with its variables redrawn, so that a copy differs from its original."""
    for variable in module.variables().values():  # type: ignore[attr-defined]
        if variable.initial is not None:
            variable.assign(cast(_draw(variable.shape, variable.initial), variable.dtype))
    for _, one in module.named_modules():  # type: ignore[attr-defined]
        one.redrawn()
    return module

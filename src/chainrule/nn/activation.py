"""Activation functions as layers: each is a function of `chainrule.ops` with its options kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from ..engine import ops
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError
from .checks import features_last, positive_integer
from .initialization import parameter
from .module import Module

#: The activations by the name of their function, such as "relu".
ACTIVATIONS: dict[str, type[Activation]] = {}


class Activation(Module):
    """A layer that applies a function of `chainrule.ops`; its options are those of the function.

    A subclass names the function: ``class ReLU(Activation, function=ops.relu)``.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.LeakyReLU(negative_slope=0.1)
        LeakyReLU(negative_slope=0.1)
    """

    function: ClassVar[Callable[..., Tensor]]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, *, function: Callable[..., Tensor]) -> None:
        cls.function = staticmethod(function)
        options = list(inspect.signature(function).parameters.values())[1:]
        cls.__signature__ = inspect.Signature(options)
        ACTIVATIONS[function.__name__] = cls

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            bound = self.__signature__.bind(*arguments, **options)
        except TypeError as error:
            raise ConfigError(
                f"Wrong options of {type(self).__name__}.",
                expected=f"{type(self).__name__}{self.__signature__}",
                found=str(error),
            ) from None
        self.options = bound.arguments

    def forward(self, x: TensorLike) -> Tensor:
        return type(self).function(as_tensor(x), **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class ReLU(Activation, function=ops.relu):
    """max(0, x): `chainrule.ops.relu`."""


class ReLU6(Activation, function=ops.relu6):
    """min(max(0, x), 6): `chainrule.ops.relu6`."""


class LeakyReLU(Activation, function=ops.leaky_relu):
    """x or slope·x: `chainrule.ops.leaky_relu`."""


class ELU(Activation, function=ops.elu):
    """x or α(eˣ - 1): `chainrule.ops.elu`."""


class SELU(Activation, function=ops.selu):
    """The self-normalising ELU: `chainrule.ops.selu`; weights want "lecun_normal"."""


class CELU(Activation, function=ops.celu):
    """x or α(e^(x/α) - 1): `chainrule.ops.celu`."""


class GELU(Activation, function=ops.gelu):
    """x·Φ(x): `chainrule.ops.gelu`."""


class SiLU(Activation, function=ops.silu):
    """x·σ(x), also called swish: `chainrule.ops.silu`."""


class Mish(Activation, function=ops.mish):
    """x·tanh(softplus(x)): `chainrule.ops.mish`."""


class Tanh(Activation, function=ops.tanh):
    """The hyperbolic tangent: `chainrule.ops.tanh`."""


class Sigmoid(Activation, function=ops.sigmoid):
    """1 / (1 + e⁻ˣ): `chainrule.ops.sigmoid`."""


class LogSigmoid(Activation, function=ops.log_sigmoid):
    """ln σ(x): `chainrule.ops.log_sigmoid`."""


class Hardtanh(Activation, function=ops.hardtanh):
    """x between two bounds: `chainrule.ops.hardtanh`."""


class Hardsigmoid(Activation, function=ops.hardsigmoid):
    """min(max(0, x/6 + 1/2), 1): `chainrule.ops.hardsigmoid`."""


class Hardswish(Activation, function=ops.hardswish):
    """x·hardsigmoid(x): `chainrule.ops.hardswish`."""


class Hardshrink(Activation, function=ops.hardshrink):
    """0 near 0, otherwise x: `chainrule.ops.hardshrink`."""


class Softshrink(Activation, function=ops.softshrink):
    """0 near 0, otherwise x moved towards it: `chainrule.ops.softshrink`."""


class Tanhshrink(Activation, function=ops.tanhshrink):
    """x - tanh(x): `chainrule.ops.tanhshrink`."""


class Softplus(Activation, function=ops.softplus):
    """ln(1 + eˣ): `chainrule.ops.softplus`."""


class Softsign(Activation, function=ops.softsign):
    """x / (1 + |x|): `chainrule.ops.softsign`."""


class Threshold(Activation, function=ops.threshold):
    """x above a level, otherwise a value: `chainrule.ops.threshold`."""


class Softmax(Activation, function=ops.softmax):
    """Positive numbers that sum to 1: `chainrule.ops.softmax`. Losses take what comes before it."""


class LogSoftmax(Activation, function=ops.log_softmax):
    """The logarithm of softmax: `chainrule.ops.log_softmax`."""


class GLU(Activation, function=ops.glu):
    """a·σ(b) of two halves of the features: `chainrule.ops.glu`."""


class PReLU(Module):
    """x for x > 0, otherwise w·x with a learned w (He et al., 2015).

    Args:
        num_parameters: 1 slope for all features, or as many as the last axis has.
        init: the first value of w.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.PReLU()(cr.tensor([-4.0, 4.0])).tolist()
        [-1.0, 4.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = positive_integer("num_parameters", num_parameters)
        self.weight = parameter(
            (self.num_parameters,), lambda key, shape, dtype: ops.full(shape, init, dtype)
        )

    def forward(self, x: TensorLike) -> Tensor:
        x = as_tensor(x) if self.num_parameters == 1 else features_last(x, self.num_parameters)
        return ops.where(x > 0, x, self.weight * x)

    def extra_repr(self) -> str:
        return str(self.num_parameters)


__all__ = ["ACTIVATIONS", "Activation", "PReLU", *(kind.__name__ for kind in ACTIVATIONS.values())]

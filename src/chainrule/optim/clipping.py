"""Gradient clipping: of each element, or of the norm of all gradients as one vector."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..engine import pytree
from ..engine.ir.types import DType, Type
from ..engine.ops import abs, astype, broadcast_to, clip, max, maximum, minimum, sqrt, sum
from ..engine.tensor import Tensor, as_tensor
from ..errors import ConfigError
from .state import is_number


class Shared:
    """A number that is the same for all parameters.

    It is computed once, in float64; ``like`` rounds it once for each element type and broadcasts
    it once for each shape, so that a network of many layers has no node for each use.
    """

    def __init__(self, number: Tensor) -> None:
        self.number = number
        self._rounded: dict[DType, Tensor] = {}
        self._broadcast: dict[Type, Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """The number, of the type of x."""
        if x.dtype not in self._rounded:
            self._rounded[x.dtype] = astype(self.number, x.dtype)
        if x.type not in self._broadcast:
            self._broadcast[x.type] = broadcast_to(self._rounded[x.dtype], x.shape)
        return self._broadcast[x.type]


def global_norm(gradients: Any, order: float = 2.0) -> Tensor:
    """The norm of all gradients together, taken as one vector.

        ‖g‖₂ = √(Σᵢ gᵢ²)        ‖g‖_∞ = maxᵢ |gᵢ|

    Args:
        gradients: a tensor, or a dict, list or tuple of them.
        order: 2 or infinity.

    Example:
        >>> import chainrule as cr
        >>> cr.optim.global_norm({"w": cr.tensor([3.0, 0.0]), "b": cr.tensor(4.0)}).item()
        5.0
    """
    leaves = [as_tensor(leaf) for leaf in pytree.flatten(gradients)[0] if as_tensor(leaf).size]
    if order not in (2.0, math.inf):
        raise ConfigError("Unknown order of a norm.", expected="2 or infinity", found=repr(order))
    if not leaves:
        return as_tensor(0.0)
    if order == math.inf:
        return functools.reduce(maximum, [max(abs(leaf)) for leaf in leaves])
    return sqrt(functools.reduce(lambda a, b: a + b, [sum(leaf * leaf) for leaf in leaves]))


def clip_by_norm(gradients: Any, max_norm: float, norm: Tensor | None = None) -> Any:
    """The gradients, all scaled by one factor so that their global norm is at most ``max_norm``.

        g · min(1, max_norm / (‖g‖ + 10⁻⁶))

    The direction stays. Source: Pascanu, Mikolov and Bengio, "On the difficulty of training
    recurrent neural networks", ICML 2013; the 10⁻⁶ is that of PyTorch's `clip_grad_norm_`.

    Args:
        gradients: a tensor, or a dict, list or tuple of them; the result is of the same form.
        max_norm: the largest norm allowed, above 0.
        norm: `global_norm` of the gradients, if it is known already.

    Example:
        >>> import chainrule as cr
        >>> cr.optim.clip_by_norm([cr.tensor([30.0, 40.0])], 5.0)[0].numpy().round(3).tolist()
        [3.0, 4.0]
    """
    _need_positive("max_norm", max_norm)
    norm = global_norm(gradients) if norm is None else norm
    factor = Shared(minimum(max_norm / (norm + 1e-6), 1.0))
    return pytree.map_leaves(lambda g: as_tensor(g) * factor.like(as_tensor(g)), gradients)


def clip_by_value(gradients: Any, limit: float) -> Any:
    """The gradients with every element clipped to [-limit, limit]; the direction may change.

    Example:
        >>> import chainrule as cr
        >>> cr.optim.clip_by_value({"w": cr.tensor([0.5, -3.0])}, 1.0)["w"].tolist()
        [0.5, -1.0]
    """
    _need_positive("limit", limit)
    return pytree.map_leaves(lambda g: clip(g, -limit, limit), gradients)


def _need_positive(name: str, value: float) -> None:
    if not (is_number(value) and value > 0):
        raise ConfigError(
            f"Invalid value for {name}.",
            expected="a number above 0",
            found=repr(value),
            hint="1.0 is a common limit; without clipping there is none.",
        )

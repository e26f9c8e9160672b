"""Weights that are computed from other parameters: weight norm, spectral norm, and users' own.

The parameter ``layer.weight`` gives way to a module under ``layer.parametrizations["weight"]`` that
has the parameters that are learned instead; reading ``layer.weight`` calls it. So every layer can
be parametrised, and nothing else has to know: files, optimizers and explanations see the parameters
``parametrizations.weight.…``, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..engine.ops import matmul, moveaxis, norm, normalize, random, reshape, sum
from ..engine.ops.declare import cast, normalize_axis
from ..engine.tensor import Buffer, Parameter, Tensor
from ..errors import ConfigError
from .checks import positive_integer
from .module import Module

__all__ = ["parametrize", "remove_parametrization", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def parametrize(module: M, name: str, make: Callable[[Parameter], Module]) -> M:
    """Compute a parameter of a layer from other parameters.

    Args:
        module: the layer, which is changed.
        name: of its parameter, such as "weight".
        make: takes the parameter, and gives a module that has it, or others made of it, and whose
            call without arguments gives the value that the layer uses.

    Returns:
        The layer.

    Raises:
        ConfigError: the layer has no such parameter, or it is parametrised already.

    Example:
        >>> import chainrule as cr
        >>> class Symmetric(cr.nn.Module):
        ...     def __init__(self, original):
        ...         self.original = original
        ...     def forward(self):
        ...         return (self.original + self.original.T) / 2
        >>> layer = cr.nn.parametrize(cr.nn.Linear(3, 3, bias=False), "weight", Symmetric)
        >>> bool((layer.weight == layer.weight.T).all()), list(layer.parameters())
        (True, ['parametrizations.weight.original'])
    """
    found = vars(module).get(name)
    known: dict[str, Module] = vars(module).get("parametrizations", {})
    if name in known:
        raise ConfigError(f"{name} of {module.title()} is parametrised already.",
                          found=known[name].title(),
                          hint="Call remove_parametrization first.")  # fmt: skip
    if not isinstance(found, Parameter):
        own = [key for key, value in vars(module).items() if isinstance(value, Parameter)]
        raise ConfigError(f"{module.title()} has no parameter {name!r} of its own.",
                          expected=", ".join(own) or "a layer with parameters",
                          hint="Parametrise the layers inside, one by one." if not own
                          else None)  # fmt: skip
    rule = make(found)
    delattr(module, name)
    module.parametrizations = {**known, name: rule}
    return module


def remove_parametrization(module: M, name: str = "weight") -> M:
    """Make what is computed a parameter again, with the value that it has now.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.weight_norm(cr.nn.Linear(3, 2))
        >>> list(cr.nn.remove_parametrization(layer).parameters())
        ['bias', 'weight']
    """
    known = dict(vars(module).get("parametrizations", {}))
    if name not in known:
        raise ConfigError(f"{name} of {module.title()} is not parametrised.",
                          expected=", ".join(known) or "a parametrised layer")  # fmt: skip
    value = Parameter(known[name]().detach())
    for variable in known.pop(name).parameters().values():
        if variable.shape == value.shape:
            value.initial = variable.initial
    if known:
        module.parametrizations = known
    else:
        del module.parametrizations  # type: ignore[attr-defined]
    setattr(module, name, value)
    return module


# ---- weight norm -----------------------------------------------------------------------------


def weight_norm(module: M, name: str = "weight", axis: int | None = -1) -> M:
    """Learn the norm and the direction of a weight apart: w = g·v / |v| (Salimans, Kingma, 2016).

    g is ``parametrizations.weight.original0`` and v ``original1``, as in PyTorch. At first w is
    what it was.

    Args:
        module: a layer, which is changed.
        name: of its parameter.
        axis: what has a norm for each index: -1 is one for each output of a layer; None is one norm
            of the whole weight.

    Returns:
        The layer.

    Raises:
        ConfigError: the layer has no such parameter, or it is parametrised already.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.weight_norm(cr.nn.Linear(3, 2))
        >>> list(layer.parameters())[1:]
        ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return parametrize(module, name, partial(_WeightNorm, axis=axis))


class _WeightNorm(Module):
    def __init__(self, original: Parameter, axis: int | None) -> None:
        self.axis = axis
        kept = () if axis is None else (normalize_axis(axis, original.ndim),)
        self._others = tuple(i for i in range(original.ndim) if i not in kept)
        self.original0 = Parameter(self._norm(original))
        self.original1 = original
        self.original0.requires_grad = original.requires_grad

    def _norm(self, v: Tensor) -> Tensor:
        return norm(v, self._others, self.axis is not None).detach()

    def forward(self) -> Tensor:
        v = self.original1
        scaled: Tensor = v * (self.original0 / norm(v, self._others, self.axis is not None))
        return scaled

    def redrawn(self) -> None:
        self.original0.assign(self._norm(self.original1))

    def title(self) -> str:
        return f"WeightNorm(axis={self.axis})"


# ---- spectral norm ---------------------------------------------------------------------------


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    axis: int = -1,
) -> M:
    """Divide a weight by its largest singular value (Miyato et al., 2018), for the critic of a GAN.

    The singular vectors are buffers, ``parametrizations.weight.u`` and ``v``, that power iteration
    brings nearer whenever the layer trains. Weights of more than two axes are taken as a matrix:
    one axis by all others; a vector is divided by its norm. No derivative goes through the vectors.

    Args:
        module: a layer, which is changed.
        name: of its parameter.
        n_power_iterations: how many in a step of training.
        eps: the least norm to divide by.
        axis: the rows of the matrix: -1, the outputs; -2 for transposed convolutions.

    Returns:
        The layer.

    Raises:
        ConfigError: the layer has no such parameter, or it is parametrised already.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.spectral_norm(cr.nn.Linear(3, 2))
        >>> round(cr.linalg.matrix_norm(layer.weight, 2).item(), 3)
        1.0
    """
    how = {"iterations": n_power_iterations, "eps": eps, "axis": axis}
    return parametrize(module, name, partial(_SpectralNorm, **how))  # type: ignore[arg-type]


class _SpectralNorm(Module):
    #: How many there are at first, so that the vectors are near.
    _AT_FIRST = 15

    def __init__(self, original: Parameter, iterations: int, eps: float, axis: int) -> None:
        self.axis = normalize_axis(axis, original.ndim)
        self.iterations = positive_integer("n_power_iterations", iterations)
        self.eps = eps
        self.original = original
        self.u: Buffer | None = None
        self.v: Buffer | None = None
        if original.ndim > 1:
            rows = original.shape[self.axis]
            self.u = _direction(rows, original.dtype)
            self.v = _direction(original.size // rows, original.dtype)
            self._iterate(self._AT_FIRST)

    def _matrix(self) -> Tensor:
        moved = moveaxis(self.original, self.axis, 0)
        return reshape(moved, (moved.shape[0], moved.size // moved.shape[0]))

    def _iterate(self, count: int) -> None:
        assert self.u is not None
        assert self.v is not None
        matrix = self._matrix().detach()
        v: Tensor = self.v
        for _ in range(count):
            u = normalize(matmul(matrix, v), eps=self.eps)
            v = normalize(matmul(u, matrix), eps=self.eps)
        self.u.assign(u)
        self.v.assign(v)

    def forward(self, *, train: bool = False) -> Tensor:
        if self.u is None or self.v is None:
            return normalize(self.original, eps=self.eps)
        if train:
            self._iterate(self.iterations)
        u, v = self.u.detach(), self.v.detach()
        weight: Tensor = self.original / sum(u * matmul(self._matrix(), v))
        return weight

    def redrawn(self) -> None:
        if self.u is not None:
            self._iterate(self._AT_FIRST)

    def title(self) -> str:
        return f"SpectralNorm(axis={self.axis}, n_power_iterations={self.iterations})"


def _draw_direction(key: Tensor, shape: tuple[int, ...], dtype: Any = float) -> Tensor:
    return normalize(random.normal(key, shape, dtype))


def _direction(extent: int, dtype: Any) -> Buffer:
    made = Buffer(cast(_draw_direction(random.key(extent), (extent,)), dtype))
    made.initial = _draw_direction
    return made

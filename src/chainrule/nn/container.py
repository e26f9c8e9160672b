"""Modules made of modules, and the plain ones that go between them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from ..engine import ops
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError
from .module import Module

__all__ = ["Flatten", "Identity", "Remat", "Residual", "Sequential", "Unflatten"]


class Sequential(Module):
    """Modules one after the other: each takes what the one before it gives.

    Args:
        modules: the modules in order, or one dict of them by name.

    Example:
        >>> import chainrule as cr
        >>> net = cr.nn.Sequential(cr.nn.Linear(3, 4), cr.nn.ReLU(), cr.nn.Linear(4, 1))
        >>> list(net.parameters())
        ['layers.0.weight', 'layers.0.bias', 'layers.2.weight', 'layers.2.bias']
        >>> net[:2]
        Sequential(
          (layers.0): Linear(3, 4)
          (layers.1): ReLU()
        )
    """

    layers: list[Module] | dict[str, Module]

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = dict(modules[0])
            for name in named:
                if not name or "." in name:
                    raise ConfigError(
                        "Invalid name of a layer: it is a part of its path.",
                        expected="a string without a dot",
                        found=repr(name),
                    )
            self.layers = {name: _need_module(one, name) for name, one in named.items()}
        else:
            self.layers = [_need_module(one, i) for i, one in enumerate(modules)]

    def forward(self, x: Any) -> Any:
        for layer in self:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True  # an empty one is still a module

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers.values() if isinstance(self.layers, dict) else self.layers)

    @overload
    def __getitem__(self, which: int | str) -> Module: ...
    @overload
    def __getitem__(self, which: slice) -> Sequential: ...
    def __getitem__(self, which: int | str | slice) -> Module:
        """A layer by position or name; with a slice, those layers as a network, not copied."""
        if isinstance(which, slice):
            if isinstance(self.layers, dict):
                return Sequential(dict(list(self.layers.items())[which]))
            return Sequential(*self.layers[which])
        if isinstance(which, str):
            if not isinstance(self.layers, dict) or which not in self.layers:
                known = ", ".join(self.layers) if isinstance(self.layers, dict) else "positions"
                raise ConfigError(f"There is no layer {which!r}.", expected=known)
            return self.layers[which]
        return list(self)[which]


def _need_module(found: Any, name: int | str) -> Module:
    if isinstance(found, Module):
        return found
    hint = None
    if isinstance(found, type) and issubclass(found, Module):
        hint = f"Make one: {found.__name__}()."
    raise ConfigError(f"Layer {name} of a Sequential is not a module.", expected="a cr.nn.Module",
                      found=repr(found), hint=hint)  # fmt: skip


class Remat(Module):
    """The same layers with less memory in training: most results are computed twice.

    The layers are split into segments; only what goes from one to the next is kept for the backward
    pass, which recomputes the inside of each (gradient checkpointing). With n layers in √n segments
    O(√n) results are in memory at a time, for one more forward pass (Chen et al., 2016); see
    `cr.remat`.

    Args:
        network: the layers.
        pieces: how many segments; √n without it.

    Raises:
        ConfigError: there are fewer layers than segments.

    Example:
        >>> import chainrule as cr
        >>> net = cr.nn.Sequential(*(cr.nn.Linear(4, 4) for _ in range(9)))
        >>> cr.nn.Remat(net)(cr.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(self, network: Sequential, pieces: int | None = None) -> None:
        count = len(network)
        self.pieces = max(1, round(math.sqrt(count))) if pieces is None else pieces
        if not 1 <= self.pieces <= max(count, 1):
            raise ConfigError("The layers cannot be split into so many segments.",
                              expected=f"from 1 to {count}", found=repr(pieces))  # fmt: skip
        self.network = network

    def forward(self, x: Any) -> Any:
        layers = list(self.network)
        bounds = [len(layers) * i // self.pieces for i in range(self.pieces + 1)]
        for start, stop in itertools.pairwise(bounds):
            x = ops.remat(functools.partial(_one_by_one, layers[start:stop]))(x)
        return x

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


def _one_by_one(layers: list[Module], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


class Residual(Module):
    """x + module(x): the module only learns what to change (He et al., 2016).

    Args:
        module: gives a tensor of the shape that it takes, or of that of the shortcut.
        shortcut: what x goes through on the way around the module, such as a `Linear` that
            changes the number of features; otherwise nothing.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Residual(cr.nn.ReLU())(cr.tensor([-1.0, 2.0])).tolist()
        [-1.0, 4.0]
    """

    def __init__(self, module: Module, shortcut: Module | None = None) -> None:
        self.module = _need_module(module, "module")
        self.shortcut = shortcut

    def forward(self, x: TensorLike) -> Tensor:
        x = as_tensor(x)
        change = self.module(x)
        skipped = x if self.shortcut is None else self.shortcut(x)
        if change.shape != skipped.shape:
            raise ShapeError(
                "The module and the shortcut of a Residual must give one shape.",
                expected=f"{skipped.type}, as goes around module {self.module.title()}",
                found=f"{change.type}, as it gives",
                hint="Give a shortcut that changes the shape alike, such as a Linear.",
            )
        total: Tensor = skipped + change
        return total


class Flatten(Module):
    """All axes from ``start`` on as one; the batch axis is kept by default.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Flatten()(cr.ones((5, 2, 3))).shape
        (5, 6)
    """

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: TensorLike) -> Tensor:
        return ops.flatten(x, self.start)


class Unflatten(Module):
    """The last axis as several: from vectors to images.

    Args:
        shape: their extents.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Unflatten((2, 3))(cr.ones((5, 6))).shape
        (5, 2, 3)
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def forward(self, x: TensorLike) -> Tensor:
        x = as_tensor(x)
        return ops.reshape(x, (*x.shape[:-1], *self.shape))

    def extra_repr(self) -> str:
        return str(self.shape)


class Identity(Module):
    """x, unchanged: a layer that does nothing.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Identity()(cr.tensor([1.0])).tolist()
        [1.0]
    """

    def forward(self, x: Any) -> Any:
        return x

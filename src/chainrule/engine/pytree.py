"""Tensors in lists, tuples, dicts and modules: taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .ir.types import Type
from .tensor import Tensor


class _Changes:
    count = 0


#: How often an attribute of a module that a trace called was replaced, for a program is made of it.
changes = _Changes()


def is_module(leaf: Any) -> bool:
    """Whether this is a network or layer: something that has trainable parameters."""
    return hasattr(leaf, "trainable_parameters") and not isinstance(leaf, (Tensor, type))


def flatten(
    tree: Any, open_modules: bool = False
) -> tuple[list[Any], Callable[[list[Any]], Any], Any]:
    """The leaves of a tree, a function that puts other leaves in their place, and its structure.

    Leaves are everything that is not a list, tuple, dict, named tuple or None, and each `Type`.
    Structures can be compared and hashed.

    Args:
        tree: lists, tuples and dicts, one inside the other.
        open_modules: take a module as the dict of its trainable parameters by path, not as a leaf.

    Example:
        >>> leaves, rebuild, _ = flatten({"a": 1, "b": [2, None]})
        >>> leaves, rebuild(["x", "y"])
        ([1, 2], {'a': 'x', 'b': ['y', None]})
    """
    leaves: list[Any] = []
    rebuild, structure = _flatten(tree, leaves, open_modules)
    return leaves, lambda new: rebuild(iter(new)), structure


def _flatten(tree: Any, leaves: list[Any], open_modules: bool) -> tuple[Callable[[Any], Any], Any]:
    if tree is None:
        return lambda new: None, None
    if open_modules and is_module(tree):
        tree = tree.trainable_parameters()
    if isinstance(tree, dict):
        kind: Any = dict
        keys, children = tuple(tree), list(tree.values())
    elif isinstance(tree, (list, tuple)) and not isinstance(tree, Type):
        kind = type(tree)
        keys, children = tuple(range(len(tree))), list(tree)
    else:
        leaves.append(tree)
        return next, "*"
    parts = [_flatten(child, leaves, open_modules) for child in children]

    def rebuild(new: Any) -> Any:
        made = [part(new) for part, _ in parts]
        if kind is dict:
            return dict(zip(keys, made, strict=True))
        return kind(*made) if hasattr(kind, "_fields") else kind(made)

    return rebuild, (kind, keys, tuple(structure for _, structure in parts))


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with the function applied to each leaf."""
    leaves, rebuild, _ = flatten(tree)
    return rebuild([function(leaf) for leaf in leaves])

"""Tensors in lists, tuples, dicts and modules: taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .tensor import Tensor



def flatten(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any], Any]:
    """The leaves of a tree, a function that puts other leaves in their place, and its structure.

    Leaves are everything that is not a list, tuple, dict, named tuple, None or module. A module
    counts as the dict of its trainable parameters by path. Structures can be compared and hashed.
    """
    leaves: list[Any] = []
    rebuild, structure = _flatten(tree, leaves)
    return leaves, lambda new: rebuild(iter(new)), structure


def _flatten(tree: Any, leaves: list[Any]) -> tuple[Callable[[Any], Any], Any]:
    if tree is None:
        return lambda new: None, None
    if isinstance(tree, dict):
        return _children(tree, list(tree), list(tree.values()), leaves, dict)
    if isinstance(tree, (list, tuple)):
        return _children(tree, range(len(tree)), list(tree), leaves, type(tree))
    trainable = getattr(tree, "trainable_parameters", None)
    if trainable is not None and not isinstance(tree, (Tensor, type)):
        return _flatten(trainable(), leaves)
    leaves.append(tree)
    return next, "*"


def _children(
    tree: Any, keys: Any, children: list[Any], leaves: list[Any], kind: Any
) -> tuple[Callable[[Any], Any], Any]:
    keys = tuple(keys)
    parts = [_flatten(child, leaves) for child in children]

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

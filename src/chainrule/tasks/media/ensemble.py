"""Several networks for files as one model: how many folds they are of, and what they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..members import Members
from ..scaling import TargetScaler
from .medium import Design

#: Few files are all tested, in so many turns.
TURNS = 5
#: So many networks are averaged then, unless the user says another number.
MEMBERS = 10


def side_by_side(designs: Sequence[Design]) -> Design:
    """Several networks as one; a single one stays as it is."""
    first = designs[0]
    if len(designs) == 1:
        return first
    network = Members([design.network for design in designs])
    return dataclasses.replace(first, network=network, name=named(first.name, len(designs)))


def named(network: str, count: int) -> str:
    """The name of several networks.

    Example:
        >>> named("lenet", 1), named("lenet", 10)
        ('lenet', '10 networks (lenet)')
    """
    return network if count == 1 else f"{count} networks ({network})"


def rounds_of(members: int) -> list[int]:
    """In how many folds each round is, so that there is a network for each fold.

    Example:
        >>> rounds_of(10), rounds_of(3), rounds_of(7)
        ([5, 5], [3], [4, 3])
    """
    parts = np.array_split(np.arange(members), -(-members // TURNS))
    return [len(part) for part in parts]


def rescale(head: Any, before: TargetScaler, after: TargetScaler) -> None:
    """Let a layer whose outputs are on one scale give the same numbers on another."""
    factor = before.std.item() / after.std.item()
    shift = (before.mean.item() - after.mean.item()) / after.std.item()
    head.weight.assign((head.weight.numpy() * factor).astype(np.float32))
    head.bias.assign((head.bias.numpy() * factor + shift).astype(np.float32))

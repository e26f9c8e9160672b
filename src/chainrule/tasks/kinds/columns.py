"""Options that several kinds have, but not all."""

from __future__ import annotations

from dataclasses import dataclass

from ..option_values import layer_sizes, names
from ..options import DATA, NETWORK, TrainingOptions, option


@dataclass(frozen=True)
class ColumnOptions(TrainingOptions):
    """Options of data in columns, and of networks with hidden layers that can be chosen."""

    features: tuple[str, ...] | None = option(
        None, "Columns to use; all others by default.", "A,B,…", DATA, names
    )
    drop: tuple[str, ...] = option((), "Columns to leave out.", "A,B,…", DATA, names)
    hidden: tuple[int, ...] | None = option(
        None, "Sizes of the hidden layers, or none.", "128,64", NETWORK, layer_sizes
    )

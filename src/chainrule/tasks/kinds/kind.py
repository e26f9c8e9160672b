"""What is known of a kind of data before it is worked with."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import TrainingOptions


@dataclass(frozen=True)
class Kind:
    """A kind of data.

    Attributes:
        name: of it, as in ``--kind``, and as in model files.
        module: what trains on it, updates and predicts; imported when it is needed.
        options: of its training.
        noun: what such data are called in messages.
        new: what new data are called in an example of a command.
        endings: of the names of its files, where they tell the kind.
        told_by: options that only this kind has, and that tell it.
    """

    name: str
    module: str
    options: type[TrainingOptions]
    noun: str
    new: str
    endings: tuple[str, ...] = ()
    told_by: frozenset[str] = frozenset()

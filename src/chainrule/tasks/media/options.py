"""Options of the training on files."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import TrainingOptions


@dataclass(frozen=True)
class MediaOptions(TrainingOptions):
    """Options that images and sounds share; see `TrainingOptions`, too.

    Attributes:
        augment: ``none``, ``light``, ``full``, or names of changes with commas between.
        skip_bad: leave files out that cannot be read, and list them, instead of an error.
    """

    augment: str | None = None
    skip_bad: bool = False

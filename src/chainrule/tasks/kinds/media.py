"""Options of the training on files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from ...errors import ConfigError
from ..option_values import flag, integer, text, words
from ..options import DATA, NETWORK, option, wrong
from .columns import SplitOptions

#: Names for some or all of a medium's changes.
_SEVERAL = ("none", "light", "full")
#: In a search of options such a part of the files tells which are better.
_HELD_OUT = 0.2


@dataclass(frozen=True)
class MediaOptions(SplitOptions):
    """Options that images and sounds share; see `TrainingOptions`, too."""

    augment: str | None = option(
        None,
        "Augmentation of training images or sounds: none, light, full, or names.",
        "NAME,…",
        DATA,
        words,
    )
    skip_bad: bool = option(
        False, "Leave out files that cannot be read, and list them.", "", DATA, flag
    )

    class_folders: str | None = option(
        None,
        "Where all folders have the same ones in them: which are the classes, outer or inner.",
        "outer|inner",
        DATA,
        text,
    )

    cv: int | None = option(None, "Cross-validation with K folds.", "K", DATA, integer)
    members: int | None = option(
        None,
        "Size of the ensemble: networks that are trained together and averaged.",
        "N",
        NETWORK,
        integer,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(class_folders=("outer", "inner"))
        self._check_positive("members")
        if self.cv is not None and self.cv < 2:
            raise wrong("cv", "at least 2 folds", self.cv)
        if self.cv is not None and self.test is not None:
            raise ConfigError(
                "Cross-validation tests on all files: a test set has no place in it.",
                found=f"cv={self.cv} and test={self.test}",
                hint="Omit one of them.",
            )

    def searched(self) -> Self:
        """Few files are held out, too, and one network learns from the others."""
        held_out, members = self.validation or _HELD_OUT, self.members or 1
        return dataclasses.replace(self, validation=held_out, members=members)

    def _check_changes(self, known: tuple[str, ...]) -> None:
        if self.augment is not None and changes_in(self.augment, known, ()) is None:
            raise wrong("augment", f"none, light, full, or some of {','.join(known)}", self.augment)


def changes_in(text: str, known: tuple[str, ...], light: tuple[str, ...]) -> tuple[str, ...] | None:
    """The changes that an option names; None if it names others.

    Example:
        >>> changes_in("flip, mixup", ("flip", "mixup"), ()), changes_in("flop", ("flip",), ())
        (('flip', 'mixup'), None)
    """
    text = text.strip().lower()
    if text in _SEVERAL:
        return {"none": (), "light": light, "full": known}[text]
    found = tuple(name.strip() for name in text.split(","))
    return found if set(found) <= set(known) else None

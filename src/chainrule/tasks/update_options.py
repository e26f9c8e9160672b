"""What a user can say about an update; light enough for the command line to make its help of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ConfigError
from .option_values import flag, integer, number
from .options import ReadingOptions, documented, option

#: Fraction of the new data that is held out to compare the old model and the new one.
_TEST = 0.2
#: An update takes at least so many steps, in no more than so many epochs.
_STEPS, _MOST_EPOCHS = 100, 20


@documented
@dataclass(frozen=True)
class UpdateOptions(ReadingOptions):
    """Options of an update; None means that the program decides.

    Without ``grow``, categories that were never seen count as unknown, and unknown classes are an
    error.

    Raises:
        ConfigError: an option has an invalid value.
    """

    epochs: int | None = option(
        None, "Epochs over the new data; enough for 100 steps, at most 20, by default.", "N", "",
        integer,
    )  # fmt: skip
    lr: float | None = option(
        None, "Learning rate; 0.3 of the training's highest one by default.", "RATE", "", number
    )
    minutes: float | None = option(None, "Stop after so many minutes.", "M", "", number)
    test: float | None = option(
        None, "Fraction of the new data held out to compare both models; 0.2 by default.",
        "FRACTION", "", number,
    )  # fmt: skip
    grow: bool = option(False, "Extend the network for new categories and classes.", "", "", flag)
    skip_bad: bool = option(
        False, "Leave out images or sounds that cannot be read, and list them.", "", "", flag
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError("There must be at least one epoch.", found=f"epochs {self.epochs}")
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError("The minutes must be above 0.", found=f"minutes {self.minutes}")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ConfigError("The learning rate must be above 0.", found=f"lr {self.lr}")
        if self.test is not None and not 0 < self.test < 1:
            raise ConfigError(
                "The fraction of test rows is between 0 and 1.", found=f"test {self.test}"
            )

    @property
    def test_fraction(self) -> float:
        """Fraction of the new data that is held out."""
        return _TEST if self.test is None else self.test

    def epochs_for(self, examples: int, batch_size: int) -> int:
        """How often to go through so many examples.

        Example:
            >>> UpdateOptions().epochs_for(320, 32), UpdateOptions(epochs=2).epochs_for(320, 32)
            (10, 2)
        """
        steps = math.ceil(examples / batch_size)
        return self.epochs or min(math.ceil(_STEPS / steps), _MOST_EPOCHS)

"""What a user can say about the training on sounds; None means that the program decides."""

from __future__ import annotations

from dataclasses import dataclass

from ..media.options import MediaOptions
from ..options import wrong
from .augment import CHANGES, parse

MODELS = ("cnn", "resnet")
_LOWEST, _HIGHEST = 1_000, 96_000


@dataclass(frozen=True)
class AudioOptions(MediaOptions):
    """Options of `train_audio`; see `MediaOptions` and `TrainingOptions`, too.

    Attributes:
        model: the network on the log-mel features: cnn or resnet.
        sample_rate: sample rate that all sounds are resampled to.
        seconds: length in seconds that all sounds are padded or cropped to.
        augment: random changes of the training sounds: none, light, full, or some of shift, speed,
            noise, mask and mixup, with commas between.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = None
    sample_rate: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        self._check_positive("seconds")
        rate = self.sample_rate
        if rate is not None and not _LOWEST <= rate <= _HIGHEST:
            raise wrong("sample_rate", f"from {_LOWEST:,} to {_HIGHEST:,}, such as 16000", rate)
        if self.augment is not None and parse(self.augment) is None:
            raise wrong(
                "augment", f"none, light, full, or some of {','.join(CHANGES)}", self.augment
            )

"""Sounds as a kind of data."""

from __future__ import annotations

from dataclasses import dataclass

from ..option_values import integer, number, text
from ..options import DATA, NETWORK, documented, option, wrong
from .kind import Kind
from .media import MediaOptions

MODELS = ("cnn", "resnet")
CHANGES = ("shift", "speed", "noise", "mask", "mixup")
_LOWEST, _HIGHEST = 1_000, 96_000


@documented
@dataclass(frozen=True)
class AudioOptions(MediaOptions):
    """Options of `train_audio`; see `TrainingOptions`, too.

    Changes of the training sounds are shift, speed, noise, mask and mixup.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = option(None, "For sounds: cnn or resnet.", "NAME", NETWORK, text)
    sample_rate: int | None = option(
        None, "Sample rate that sounds are resampled to.", "N", DATA, integer
    )
    seconds: float | None = option(
        None, "Length that sounds are padded or cropped to.", "X", DATA, number
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        self._check_positive("seconds")
        rate = self.sample_rate
        if rate is not None and not _LOWEST <= rate <= _HIGHEST:
            raise wrong("sample_rate", f"from {_LOWEST:,} to {_HIGHEST:,}, such as 16000", rate)
        self._check_changes(CHANGES)


KIND = Kind(
    "audio",
    "chainrule.tasks.audio",
    AudioOptions,
    noun="sounds",
    new="NEW_SOUNDS",
    endings=(
        *(".wav", ".wave", ".bwf", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1"),
        *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".voc", ".avr"),
        *(".iff", ".svx", ".8svx", ".sph", ".nist", ".sf", ".ircam", ".htk", ".paf", ".pvf"),
        *(".mpc", ".mat", ".sd2", ".sds", ".wve", ".xi"),
    ),
)

"""From folders of sounds to a trained network that takes sound files.

Example:
    >>> from chainrule.tasks.audio import AudioOptions
    >>> AudioOptions(augment="shift,noise", sample_rate=8000).sample_rate
    8000
"""

from .features import LogMel
from .options import AudioOptions
from .pipeline import continuation, predictor, train_audio

#: As a kind of data; see `chainrule.tasks`.
Options, train = AudioOptions, train_audio
NEW = "NEW_SOUNDS"

__all__ = ["AudioOptions", "LogMel", "continuation", "predictor", "train_audio"]

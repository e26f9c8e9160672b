"""From folders of sounds to a trained network that takes sound files.

Example:
    >>> from chainrule.tasks.audio import AudioOptions
    >>> AudioOptions(augment="shift,noise", sample_rate=8000).sample_rate
    8000
"""

from ..kinds.audio import KIND, AudioOptions
from .features import LogMel
from .plan import AudioPlan, continuation, predictor, train_audio

#: As a kind of data; see `chainrule.tasks`.
Options, NEW, train = KIND.options, KIND.new, train_audio
PLANS = (AudioPlan,)

__all__ = ["AudioOptions", "LogMel", "continuation", "predictor", "train_audio"]

"""Networks that write what is said: convolutions, a recurrent or transformer encoder, CTC."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..engine.ops import arange, expand_dims, relu, reshape, where
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError

ENCODERS = ("lstm", "transformer")


class SpeechEntrance(nn.Module):
    """Two convolutions with a stride over log-mel features: vectors for fewer steps.

    A call takes features (rows, frames, bands) and the ``lengths`` of the rows, and gives vectors
    (rows, steps, width) and their lengths. What lies behind the end of a row changes nothing.

    Args:
        bands: features of a frame.
        width: features of a step.
        channels: of the convolutions.
        stride: frames of a step: 2 or 4.
    """

    def __init__(self, bands: int, width: int, channels: int = 32, stride: int = 4) -> None:
        if stride not in (2, 4):
            raise ConfigError("A step has two or four frames.", expected="2 or 4",
                              found=f"stride={stride}")  # fmt: skip
        self.first = nn.Conv2d(1, channels, 3, 2, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, (stride // 2, 2), padding=1)
        self.project = nn.Linear(channels * -(-bands // 4), width)
        self.norm = nn.LayerNorm(width)
        self.stride = stride

    def steps(self, frames: Any) -> Any:
        """How many steps so many frames make.

        Example:
            >>> SpeechEntrance(40, 8).steps(9)
            3
        """
        return -(-frames // self.stride)

    def forward(self, source: TensorLike, lengths: TensorLike) -> tuple[Tensor, Tensor]:
        x, count = expand_dims(as_tensor(source), 3), as_tensor(lengths)
        for layer, stride in ((self.first, 2), (self.second, self.stride // 2)):
            count = (count + (stride - 1)) // stride
            y = relu(layer(x))
            here = expand_dims(arange(y.shape[1]) < expand_dims(count, 1), (2, 3))
            x = where(here, y, 0.0)
        rows, steps, *rest = x.shape
        return self.norm(self.project(reshape(x, (rows, steps, rest[0] * rest[1])))), count

    def extra_repr(self) -> str:
        """The frames of a step."""
        return f"stride={self.stride}"


class SpeechRecognizer(nn.Module):
    """Scores of labels and the blank, the class 0, in each step of a sound, for `losses.ctc`.

    A call takes a dict of ``source``, log-mel features (rows, frames, bands), and ``lengths``
    (rows), the frames of each; it gives logits (rows, steps, classes). How many steps a row has
    says ``entrance.steps``.

    Args:
        entrance: source and lengths → vectors (rows, steps, width) and their lengths.
        classes: labels and the blank.
        width: features of a step, of the LSTM for both directions together.
        layers: of the encoder.
        encoder: lstm (in both directions) or transformer.
        dropout: the probability of dropping.
    """

    def __init__(
        self, entrance: Any, classes: int, width: int, layers: int, encoder: str, dropout: float
    ) -> None:
        if encoder not in ENCODERS:
            raise ConfigError("There is no such encoder.", expected=", ".join(ENCODERS),
                              found=repr(encoder))  # fmt: skip
        self.entrance = entrance
        self.dropout = nn.Dropout(dropout)
        self.positions = nn.SinusoidalPositions(width) if encoder == "transformer" else None
        if encoder == "lstm":
            half = width // 2
            self.encoder: Any = nn.LSTM(width, half, layers, dropout=dropout, bidirectional=True)
        else:
            heads = next(n for n in range(max(width // 32, 1), 0, -1) if width % n == 0)
            self.encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout, activation="gelu", norm_first=True
                ),
                layers,
                nn.LayerNorm(width),
            )
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Any) -> Tensor:
        x, _ = self.encode(inputs["source"], inputs["lengths"])
        logits: Tensor = self.head(self.dropout(x))
        return logits

    def encode(self, source: TensorLike, lengths: TensorLike) -> tuple[Tensor, Tensor]:
        """What the head sees, (rows, steps, width), and how many steps of each row count."""
        x, count = self.entrance(source, lengths)
        x = self.dropout(x)
        if self.positions is None:
            return self.encoder(x, lengths=count)[0], count
        seen = expand_dims(arange(x.shape[1]) < expand_dims(count, 1), (1, 2))
        return self.encoder(self.positions(x), mask=seen), count


def speech_recognizer(
    classes: int,
    *,
    bands: int = 40,
    width: int = 256,
    layers: int = 2,
    encoder: str = "lstm",
    dropout: float = 0.1,
    stride: int = 4,
) -> SpeechRecognizer:
    """A network that is trained with `chainrule.losses.ctc` to write what is said.

    Args:
        classes: labels, such as characters, and the blank, which is the class 0.
        bands: log-mel features of a frame.
        width: features inside.
        layers: of the encoder.
        encoder: lstm (in both directions) or transformer.
        dropout: the probability of dropping.
        stride: frames of a step: 2 or 4.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.speech_recognizer(28, width=16, layers=1).initialize(0)
        >>> sounds = {"source": cr.ones((2, 50, 40)), "lengths": cr.tensor([50, 30])}
        >>> model(sounds).shape, model.entrance.steps(30)
        ((2, 13, 28), 8)
    """
    entrance = SpeechEntrance(bands, width, stride=stride)
    return SpeechRecognizer(entrance, classes, width, layers, encoder, dropout)

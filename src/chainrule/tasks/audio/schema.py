"""What is known of sounds: how they are decoded, and what is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...data import Target, json_dataclass

_FORMAT, _VERSION = "chainrule.audio", 1


@dataclass(frozen=True)
class AudioSchema:
    """How sound files become arrays, and what is predicted of them.

    Attributes:
        target: the classes, or the number to predict.
        rate: sample rate of every sound after it was read.
        samples: of every sound after it was read.
        found: what the sounds of the training were like, in words.
        kind: of the data.
        notes: warnings.
    """

    target: Target
    rate: int
    samples: int
    found: str = ""
    kind: Literal["audio"] = "audio"
    notes: tuple[str, ...] = json_dataclass.later(())

    @property
    def shape(self) -> tuple[int]:
        """Of one sound."""
        return (self.samples,)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""
        return self.target.classes

    @property
    def dtype(self) -> Any:
        """Of a decoded sound."""
        return np.int16

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell, for the user."""
        return [
            ("target", f"{self.target.name}: {self.target.reason}"),
            *([("classes", ", ".join(self.target.classes))] if self.target.classes else []),
            ("sounds", self.found),
            ("taken as", f"{self.samples / self.rate:.2f} s at {self.rate:,} Hz, one channel"),
        ]

    def to_json(self) -> str:
        """As JSON text, with a format version."""
        return json_dataclass.to_json(self, _FORMAT, _VERSION)

    @staticmethod
    def from_json(text: str) -> AudioSchema:
        """Read what `to_json` wrote.

        Raises:
            DataError: no such schema, or one of another version.
        """
        return json_dataclass.from_json(AudioSchema, text, _FORMAT, _VERSION)

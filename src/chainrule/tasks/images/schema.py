"""What is known of images: how they are decoded, and what is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...data import Target, json_dataclass

_FORMAT, _VERSION = "chainrule.images", 1


@dataclass(frozen=True)
class ImageSchema:
    """How image files become arrays, and what is predicted of them.

    Attributes:
        target: the classes, or the number to predict.
        height: of every image after it was read.
        width: of every image after it was read.
        channels: 1 for grey, 3 for red, green and blue.
        found: what the images of the training were like, in words.
        kind: of the data.
        levels: what is black and what is white in images of more than 8 bits, the same for all.
            Such images keep their detail: they are decoded as float32 from 0 to 255. Without it,
            all are decoded to 8 bits.
        contrast: whether the network takes each image at its own mean colour and contrast.
        background: what shows through transparent pixels, from 0 (black) to 255 (white).
        notes: warnings.
    """

    target: Target
    height: int
    width: int
    channels: int
    found: str = ""
    kind: Literal["images"] = "images"
    levels: tuple[float, float] | None = json_dataclass.later(None)
    background: int = json_dataclass.later(255)
    notes: tuple[str, ...] = json_dataclass.later(())
    contrast: bool = json_dataclass.later(False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image."""
        return self.height, self.width, self.channels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""
        return self.target.classes

    @property
    def dtype(self) -> Any:
        """Of a decoded image."""
        return np.uint8 if self.levels is None else np.float32

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell, for the user."""
        colours = "grey" if self.channels == 1 else "colours"
        taken = f"{self.height}×{self.width} pixels, {colours}"
        if self.levels is not None:
            taken += f", {self.levels[0]:,.6g} is black and {self.levels[1]:,.6g} is white"
        return [
            ("target", f"{self.target.name}: {self.target.reason}"),
            *([("classes", ", ".join(self.target.classes))] if self.target.classes else []),
            ("images", self.found),
            ("taken as", taken),
        ]

    def to_json(self) -> str:
        """As JSON text, with a format version."""
        return json_dataclass.to_json(self, _FORMAT, _VERSION)

    @staticmethod
    def from_json(text: str) -> ImageSchema:
        """Read what `to_json` wrote.

        Raises:
            DataError: no such schema, or one of another version.
        """
        return json_dataclass.from_json(ImageSchema, text, _FORMAT, _VERSION)

"""Pictures of environments: a scene of shapes, drawn as pixels, an animation or characters."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..interop.extras import need
from ..utils.typing import Array

_COLOURS = {
    "paper": (255, 255, 255),
    "ink": (55, 65, 81),
    "grey": (190, 196, 204),
    "orange": (230, 126, 34),
    "blue": (52, 120, 200),
    "green": (46, 160, 67),
}
#: Pixels of the longer side of a picture.
_PIXELS = 300
Point = tuple[float, float]


class Scene:
    """Shapes in the coordinates of a world.

    Args:
        across: the range of x that is shown.
        up: that of y.

    Example:
        >>> scene = Scene((0.0, 2.0), (0.0, 1.0))
        >>> scene.circle((1.0, 0.5), 0.25, "orange")
        >>> scene.pixels(40).shape
        (20, 40, 3)
    """

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across, self.up = across, up
        self.shapes: list[tuple[str, Any, str, float]] = []

    def line(self, points: Sequence[Point], colour: str, width: float = 0.0) -> None:
        """Through these points; without a width as thin as can be."""
        self.shapes.append(("line", list(points), colour, width))

    def polygon(self, points: Sequence[Point], colour: str) -> None:
        """With these corners."""
        self.shapes.append(("polygon", list(points), colour, 0.0))

    def circle(self, centre: Point, radius: float, colour: str) -> None:
        """A disc."""
        self.shapes.append(("circle", centre, colour, radius))

    def pixels(self, longest: int = _PIXELS) -> Array:
        """As uint8 (height, width, 3).

        Raises:
            ConfigError: Pillow is not installed.
        """
        width, height = self.across[1] - self.across[0], self.up[1] - self.up[0]
        scale = longest / max(width, height)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = _pillow("Image").new("RGB", size, _COLOURS["paper"])
        draw = _pillow("ImageDraw").Draw(image)

        def place(point: Point) -> tuple[float, float]:
            return (point[0] - self.across[0]) * scale, (self.up[1] - point[1]) * scale

        for kind, points, colour, number in self.shapes:
            fill = _COLOURS[colour]
            if kind == "line":
                thick = max(round(number * scale), 2)
                draw.line([place(point) for point in points], fill, thick, joint="curve")
            elif kind == "polygon":
                draw.polygon([place(point) for point in points], fill)
            else:
                (x, y), r = place(points), number * scale
                draw.ellipse([x - r, y - r, x + r, y + r], fill)
        return np.asarray(image)


def _pillow(module: str) -> Any:
    return need(f"PIL.{module}", "images", "A picture of an environment")


def animation(frames: Sequence[Array], rate: int) -> bytes:
    """Pictures as a GIF that repeats.

    Args:
        frames: uint8 (height, width, 3) each.
        rate: pictures a second; a GIF shows at most 50.

    Example:
        >>> animation([np.zeros((4, 4, 3), np.uint8)] * 2, 10)[:6]
        b'GIF89a'
    """
    pictures = [_pillow("Image").fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], loop=0,
        duration=max(round(1000 / rate), 20),
    )  # fmt: skip
    return buffer.getvalue()


def in_characters(frame: Array, columns: int = 60) -> str:
    r"""A picture for a terminal: half blocks in colour, two pixels below each other in each.

    Example:
        >>> in_characters(np.zeros((2, 1, 3), np.uint8), 1)
        '\x1b[38;2;0;0;0;48;2;0;0;0m▀\x1b[0m'
    """
    height, width = frame.shape[:2]
    rows = max(round(height / width * columns / 2), 1) * 2
    image = _pillow("Image").fromarray(frame).resize((columns, rows))
    small = np.asarray(image)
    lines = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        cells = [
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*a, *b)
            for a, b in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)

"""How images lie in memory for convolutions by tile registers: numbers in bfloat16, with a margin.

Rows of an image follow one another with zeros before, between and after them, and so do the images
of a batch. A *position* is a place of the window, and positions are counted through as the rows
are: then a step from one to the next is the same step in memory everywhere, over the ends of rows
and images, too, and 16 positions in order are the rows of a tile that is loaded as it lies there.
Those at the ends see a window over two rows; what they give is not kept. Zeros after a row are also
those before the next one, so that few such positions are needed.

With a stride the rows 0, s, 2·s, … come first, then the rows 1, s + 1, …: *planes* in which, again,
the next position is the next place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

#: A tile has so many rows, and a row so many pairs of numbers.
SIDE, PAIRS = 16, 16
#: Positions that are computed together.
TOGETHER = 2 * SIDE


@dataclass(frozen=True)
class Slide:
    """One axis over which a window slides.

    Attributes:
        extent: of the image in memory.
        spread: from one element of it to the next in the image that the window sees; 0 is between.
        before: zeros before it; less than 0 if so much of it is left out.
        places: of the window.
        window: its elements.
        stride: from one place to the next.
        dilation: from one element of the window to the next.
    """

    extent: int
    spread: int
    before: int
    places: int
    window: int
    stride: int
    dilation: int

    @property
    def span(self) -> int:
        """How much all windows see."""
        return (self.places - 1) * self.stride + (self.window - 1) * self.dilation + 1

    @property
    def inner(self) -> int:
        """The extent of the image that the window sees, without zeros around it."""
        return (self.extent - 1) * self.spread + 1

    @property
    def positions(self) -> int:
        """Places with those between the last one and the first of the next row, or image.

        Example:
            >>> Slide(8, 1, 1, 8, 3, 1, 1).positions
            9
        """
        after = self.span - self.before - self.inner
        shared = max(min(self.before, after), 0)
        return max(self.places, -(-(self.span - shared) // self.stride))

    def tap(self, k: int) -> tuple[int, int]:
        """The plane that an element of the window sees, and how many positions further."""
        shift, plane = divmod(k * self.dilation, self.stride)
        return plane, shift


class Cut(NamedTuple):
    """How the numbers of a window are cut into rows of tiles.

    Attributes:
        channels: of a pixel in memory, the last ones 0 if the image has fewer.
        runs: parts of the window that lie in one piece.
        parts: rows of tiles in each of them.
        pairs: pairs of numbers in each of those.
    """

    channels: int
    runs: int
    parts: int
    pairs: int

    @property
    def chunks(self) -> int:
        """Rows of tiles in a window."""
        return self.runs * self.parts


@dataclass(frozen=True)
class Windows:
    """A sum over windows: y[n, i, j, m] = Σ x[n, i·s + k·d - b, j·s + l·d - b, c]·w[k, l, c, m].

    Attributes:
        batch: images.
        channels: of the image.
        outputs: channels of what is computed.
        high: the axis of the rows.
        wide: the axis along a row.
    """

    batch: int
    channels: int
    outputs: int
    high: Slide
    wide: Slide

    @property
    def positions(self) -> int:
        """Of all images together."""
        return self.batch * self.high.positions * self.wide.positions

    @property
    def taps(self) -> int:
        """Elements of the window."""
        return self.high.window * self.wide.window

    @property
    def cut(self) -> Cut:
        """The one with the fewest rows of tiles, none of which ends within another window."""
        together = self.wide.window if self.wide.dilation == 1 else 1
        runs = self.taps // together
        found = []
        for channels in range(-(-self.channels // 2) * 2, self.channels + 2 * PAIRS, 2):
            pairs = together * channels // 2
            parts = next(n for n in range(-(-pairs // PAIRS), pairs + 1) if pairs % n == 0)
            found.append((parts, channels, pairs // parts))
        parts, channels, pairs = min(found)
        return Cut(channels, runs, parts, pairs)

    # ---- the image in order ----------------------------------------------------------------------

    @property
    def row(self) -> int:
        """Numbers of a row with its zeros."""
        return self.wide.positions * self.wide.stride * self.cut.channels

    @property
    def rows(self) -> int:
        """Rows of a plane: those of all images, and zeros after the last one."""
        last = max(-(-self.high.span // self.high.stride) - self.high.positions, 0)
        return self.batch * self.high.positions + last

    @property
    def size(self) -> int:
        """Numbers of all planes, and what is read behind the last one."""
        planes = self.high.stride
        whole = planes * self.rows * self.row
        last = max(self.offsets())
        ends = self.positions + TOGETHER
        read = last + ends * self.wide.stride * self.cut.channels + 2 * self.cut.parts * PAIRS
        return -(-max(whole, read) // 2) * 2

    def offsets(self) -> list[int]:
        """Where each run of the window begins, from the position on."""
        found = []
        each = self.cut.runs // self.high.window
        for k in range(self.high.window):
            plane, shift = self.high.tap(k)
            start = (plane * self.rows + shift) * self.row
            found += [start + m * self.wide.dilation * self.cut.channels for m in range(each)]
        return found

    # ---- channel by channel ----------------------------------------------------------------------

    @property
    def blocks(self) -> int:
        """Blocks of positions that stay in the second-level cache, with those of the outputs."""
        most = min(max((1 << 19) // (self.channels + self.outputs), 8 * TOGETHER), 1 << 12)
        return -(-self.positions // most)

    @property
    def block(self) -> int:
        """Positions of one."""
        return -(-self.positions // (self.blocks * TOGETHER)) * TOGETHER

    @property
    def line(self) -> int:
        """Positions of a block with those that its windows see behind it.

        They are an odd number of tiles, so that channels are in different places of a cache.
        """
        most = max(shift for _, shift in self.tap_offsets())
        count = -(-(self.block + most) // TOGETHER)
        return (count + 1 - count % 2) * TOGETHER

    def tap_offsets(self) -> list[tuple[int, int]]:
        """By element of the window its plane, and how many positions further it sees."""
        found = []
        for k in range(self.high.window):
            for m in range(self.wide.window):
                (above, down), (left, right) = self.high.tap(k), self.wide.tap(m)
                plane = above * self.wide.stride + left
                found.append((plane, down * self.wide.positions + right))
        return found

    @property
    def planes(self) -> int:
        """Planes of pixels."""
        return self.high.stride * self.wide.stride


def tiles(extent: int) -> int:
    """How many tiles so many channels take."""
    return -(-extent // SIDE)

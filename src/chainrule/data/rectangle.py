"""The rectangle around the cells of a sheet, in which libraries make room for every cell."""

from __future__ import annotations

#: Cells that a sheet may span, whatever it holds, and for each that it holds.
_SPANNED, _FOR_EACH = 2**24, 100


class Rectangle:
    """The cells with a value that a sheet holds, and how many the rectangle around them has.

    Attributes:
        count: of cells with a value.
        spanned: cells of the rectangle.
        said: how many the file says that there are.

    Example:
        >>> cells = Rectangle()
        >>> cells.add(1, 1)
        >>> cells.add(10, 4)
        >>> cells.count, cells.spanned, cells.is_far
        (2, 40, False)
    """

    def __init__(self) -> None:
        self.count = self.spanned = self.said = 0
        self._first: tuple[int, int] | None = None
        self._last = 0, 0

    def add(self, row: int, column: int) -> None:
        """There is a cell with a value here."""
        self.count += 1
        if self._first is None:
            self._first = self._last = row, column
        top, left = self._first
        bottom, right = self._last
        if not (top <= row <= bottom and left <= column <= right):
            self._first = top, left = min(top, row), min(left, column)
            self._last = bottom, right = max(bottom, row), max(right, column)
        self.spanned = max(self.spanned, (bottom - top + 1) * (right - left + 1))

    @property
    def columns(self) -> int:
        """The last column that holds a cell, counted from 0, and one."""
        return self._last[1] + 1 if self._first is not None else 0

    def begin_again(self) -> None:
        """Another table begins in the same part."""
        self._first = None

    @property
    def is_far(self) -> bool:
        """Whether the rectangle is far larger than what it holds."""
        return max(self.spanned, self.said) > max(_SPANNED, _FOR_EACH * self.count)

    def need_near(self, where: str) -> None:
        """Refuse a sheet whose cells are far apart.

        Raises:
            ValueError: they are.
        """
        if self.is_far:
            raise ValueError(
                f"{self.count:,} cells with a value span a rectangle of "
                f"{max(self.spanned, self.said):,}, in {where}"
            )

"""Which pages there are to learn with, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..utils.files import folder_to_write_to
from .course import write_course
from .lecture import write_lectures
from .lesson import COUNT
from .play import write_compare, write_play

#: The pages by name; each writes into a folder and says what it wrote, where to begin first.
PAGES: dict[str, Callable[[Path], list[Path]]] = {
    "course": write_course,
    "play": write_play,
    "compare": write_compare,
    "lecture": write_lectures,
    **{str(n): lambda folder, n=n: write_course(folder, [n]) for n in range(1, COUNT + 1)},  # type: ignore[misc]
}


def write_pages(folder: Path, page: str | None = None) -> list[Path]:
    """Write a page, or all of them.

    Args:
        folder: where to; it is made.
        page: a name of `PAGES`.

    Raises:
        ConfigError: there is a file of this name, or the folder cannot be made.
    """
    folder_to_write_to(folder)
    if page is not None:
        return PAGES[page](folder)
    others = [
        path for name, write in PAGES.items()
        if not name.isdigit() and name != "course" for path in write(folder)
    ]  # fmt: skip
    return [*write_course(folder, beside=[path.name for path in others]), *others]

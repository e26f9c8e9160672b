"""Pages to play with: a network in training, and several side by side.

A step is a graph that the page builds itself (`pages/build.js`) and compiles to WebAssembly
(`pages/compile.js`): any network, with no compiler on any machine. Where a
browser refuses, `evaluate.js` runs it, the arithmetic of all pages. Tests compare both with each
other to the last bit, and with Python, step by step.
"""

from __future__ import annotations

from pathlib import Path

from ..drawing.page import THEME, page_of
from ..explain.html.page import arithmetic_script, compact, viewer_script
from ..utils.files import write_atomically
from .course import asset


def play_page() -> str:
    """Paint points, choose a network, train it, and look at every number of it."""
    return _page("Play: train a network and watch it", "play")


def compare_page() -> str:
    """Lanes with the same weights and batches, and one thing that differs."""
    return _page("Compare: the same weights, the same batches", "compare")


def write_play(folder: Path) -> list[Path]:
    """Write the page to play with."""
    return [_written(folder / "play.html", play_page())]


def write_compare(folder: Path) -> list[Path]:
    """Write the page that compares."""
    return [_written(folder / "compare.html", compare_page())]


def _written(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())
    return path


def _page(title: str, name: str) -> str:
    parts = [
        arithmetic_script(),
        viewer_script("numbers.js", "charts.js"),
        *map(asset, ("compile.js", "build.js", "examples.js", f"{name}.js")),
    ]
    style = "\n".join([THEME, asset("play.css")])
    return page_of(asset(f"{name}.html"), title, style, compact("\n".join(parts)),
                   compiles=True)  # fmt: skip

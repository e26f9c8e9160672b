"""``chainrule cache``: the native programs that are kept, and what was measured for them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import display
from .console import note, show, show_json
from .error_handling import Debug

if TYPE_CHECKING:
    from rich.table import Table

    from ..engine.backends.c.autotune import Rating

#: So many of the candidates that were not chosen are shown; all are in the JSON document.
_OTHERS = 2
#: Columns of a terminal that has room for them.
_WIDE = 100


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of them.")] = False,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Measure which tiles make matrix products fast here."),
    ] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="How long --tune may take.")
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show the native programs that are kept, remove them, or measure how to make new ones.

    Example: chainrule cache --clear
    """
    if clear and tune:
        raise typer.BadParameter("--clear removes what --tune measures: give one of them.")
    if tune:
        _tune(seconds, as_json)
        return
    from ..engine.backends.c import autotune_cache
    from ..engine.backends.c import cache as programs
    from ..utils.numbers import counted

    folder, files = programs.folder(), programs.entries()
    size = sum(path.stat().st_size for path in files)
    measured = autotune_cache.read()
    if clear:
        programs.clear()
    if as_json:
        content: dict[str, Any] = {
            "folder": str(folder), "files": len(files), "bytes": size, "cleared": clear,
            "tuned": None if measured is None else measured.day,
        }  # fmt: skip
        show_json(content)
        return
    what = f"{counted(len(files), 'file')}, {size / 1e6:.1f} MB, in {folder}"
    show(f"removed: {what}" if clear else what)
    if measured is not None:
        kinds = f"{len(measured.choices)} kinds and sizes of matrix products"
        show(f"{'removed: ' if clear else ''}tiles of {kinds}, measured on {measured.day}")


def _tune(seconds: float, as_json: bool) -> None:
    from ..engine.backends.c.autotune import tune

    ratings: list[Rating] = []
    note(f"Measuring matrix products for at most {seconds:g} s …")
    tune(seconds, ratings.append)
    if as_json:
        show_json([_as_json(rating) for rating in ratings])
        return
    show(_table(ratings))
    faster = [rating.gain for rating in ratings if rating.chosen != rating.default]
    if faster:
        note(f"{len(faster)} of {len(ratings)} are up to {max(faster):.0%} faster than by default; "
             "programs that are built from now on use it.")  # fmt: skip
    else:
        note(f"The default is good for all {len(ratings)}.")


def _table(ratings: list[Rating]) -> Table:
    """Every product with what was chosen, the default, and the best of the others."""
    titles = ["product", "tile", "#GFLOP/s", "default", "#gain"]
    wide = shutil.get_terminal_size().columns >= _WIDE
    grid = display.table(*titles, *["others, of the best"] * wide)
    for rating in ratings:
        best = max(rating.rates.values())
        others = sorted(
            (choice for choice in rating.rates if choice not in (rating.chosen, rating.default)),
            key=lambda choice: -rating.rates[choice],
        )
        shares = (f"{rating.rates[choice] / best:.0%} {choice}" for choice in others[:_OTHERS])
        changed = rating.chosen != rating.default
        grid.add_row(
            rating.name,
            str(rating.chosen),
            f"{rating.rates[rating.chosen]:.1f}",
            str(rating.default) if changed else "the same",
            f"{rating.gain:.1%}" if changed else "",
            *["; ".join(shares)] * wide,
        )
    return grid


def _as_json(rating: Rating) -> dict[str, Any]:
    return {
        "product": rating.name,
        "chosen": str(rating.chosen),
        "default": str(rating.default),
        "gflops": {str(choice): rate for choice, rate in rating.rates.items()},
    }

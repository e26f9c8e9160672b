"""``chainrule compare``: backpropagation beside searches without a derivative."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import display
from .console import note, say, show, show_json
from .error_handling import INTERRUPTED, Debug
from .options import OPTIONS, read_options, with_options

_PANEL = "The comparison"
#: Options of a training that mean something for one network of a table, trained by any method.
_KEPT = (
    "target", "kind", "features", "drop", "missing", "weight", "task", "test", "split-by-group",
    "split-by-time", "encoding", "separator", "sheet", "table", "hidden", "activation", "norm",
    "loss", "batch-size", "lr", "seed", "threads", "backend",
)  # fmt: skip
_OPTIONS = {
    name: option for name, option in OPTIONS.items() if name in _KEPT and "table" in option.kinds
}


def _option(help: str, metavar: str) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=_PANEL, show_default=False)


@with_options(_OPTIONS)
def compare(
    ctx: typer.Context,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A table, as for chainrule train.", show_default=False),
    ],
    *,
    methods: Annotated[
        str | None,
        _option(
            "backprop, es, cma, ga, de, annealing, hill, random, with commas between; "
            "backprop,es,cma,ga,random by default.",
            "NAMES",
        ),
    ] = None,
    budget: Annotated[
        str,
        _option(
            "Of each method: seconds (30, 2m), or forward passes over the training rows "
            "(5000evaluations); 10 seconds by default.",
            "BUDGET",
        ),
    ] = "10s",
    seeds: Annotated[
        int, _option("How often, each time from other first weights; 1 by default.", "N")
    ] = 1,
    objective: Annotated[
        str,
        _option(
            "What searches minimise: loss (the default), or error, the fraction of rows in the "
            "wrong class, which has no derivative.",
            "NAME",
        ),
    ] = "loss",
    out: Annotated[
        Path | None,
        _option(
            "The page to write, with a picture (.svg) and the numbers (.json) beside it; "
            "comparison-DATA.html by default.",
            "FILE.html",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_PANEL)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notes.", rich_help_panel=_PANEL)
    ] = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Train one network by backpropagation and by searches without a derivative, side by side.

    Example: chainrule compare houses.csv --target price --methods backprop,es,ga --budget 20
    """
    from ..evolve.comparison import compare as compared
    from ..evolve.comparison.side_by_side import USUAL

    typed = {name.rstrip("_").replace("_", "-"): value for name, value in ctx.params.items()}
    chosen = read_options(
        {n: v for n, v in typed.items() if n in _OPTIONS and v not in (None, [], ())}
    )
    tell = (lambda sentence: None) if quiet else note
    found = compared(
        data, methods=USUAL if methods is None else methods.split(","), budget=budget, seeds=seeds,
        objective=objective, say=tell, **chosen,
    )  # fmt: skip
    page = _written(found, out or Path(f"comparison-{Path(found.data).stem}.html"))
    if as_json:
        show_json({**found.to_json(), "table": found.table(), "page": str(page)})
    else:
        _show(found, page)
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)


def _written(found: Any, page: Path) -> Path:
    """The page, the picture and the numbers."""
    import json

    from ..drawing.picture import chart_picture
    from ..evolve.comparison import comparison_page
    from ..evolve.comparison.page import charts
    from ..utils.files import write_atomically

    write_atomically(page, comparison_page(found).encode(errors="replace"))
    write_atomically(page.with_suffix(".svg"), chart_picture(charts(found)[0]).encode())
    numbers = json.dumps(found.to_json(), indent=1) + "\n"
    write_atomically(page.with_suffix(".json"), numbers.encode())
    return page


def _show(found: Any, page: Path) -> None:
    from ..evolve.comparison.page import columns

    titles, rows = columns(found, short=True)
    grid = display.table(*titles)
    for row in rows:
        grid.add_row(*row)
    show(
        "", f"{found.rows[0]:,} rows to learn from, {found.rows[1]:,} held out; a network of "
        f"{found.parameters:,} parameters ({found.network}); {found.budget} each.", "", grid, "",
    )  # fmt: skip
    say(
        "A pass is one of the network over all training rows; a backward pass counts as two. To "
        f"90 %: nine tenths of the way from the first {found.measured} to the best."
    )
    show(f"The page is {page}, its picture {page.with_suffix('.svg')}.")

"""``chainrule report``: the page of a run, of several side by side, or of one that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from .console import say, show
from .error_handling import Debug

#: Where several runs side by side go.
_COMPARISON = "comparison.html"


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A run folder, or its name in the folder runs; several to compare them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page to write; report.html in the run folder by default, comparison.html "
            "for several runs.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Serve the page to this machine, and keep it up to date until Ctrl-C."
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            help="With --watch: the port; a free one by default.", metavar="N", show_default=False
        ),
    ] = 0,
    debug: Debug = False,
) -> None:
    """Write the report of a run as one page, or a page that compares several runs.

    Example: chainrule report runs/houses-2026-01-31-1
    """  # fmt: skip
    from ..report.content import PAGE, RunContent, found_run

    folders = [found_run(run) for run in runs]
    if watch:
        _watch(folders, out, port)
        return
    contents = [RunContent.read(folder) for folder in folders]
    if len(contents) == 1:
        from ..report.page import report_page

        target, page = out or folders[0] / PAGE, report_page(contents[0])
    else:
        from ..report.page import compare_pages

        target, page = out or Path(_COMPARISON), compare_pages(contents)
    from ..utils.files import write_atomically

    write_atomically(target, page.encode(errors="replace"))
    show(str(target))


def _watch(folders: list[Path], out: Path | None, port: int) -> None:
    """Serve the page of one run until Ctrl-C."""
    if len(folders) > 1 or out is not None:
        raise ConfigError(
            "One run is watched at a time, and no file is written.",
            expected="chainrule report --watch RUN",
            found=f"{len(folders)} runs" if out is None else f"--out {out}",
        )
    from ..report.watch import Watcher

    with Watcher(folders[0], port) as server:
        show(server.url)
        say("This page is for this machine alone; Ctrl-C ends it.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")

"""``chainrule cache``: the native programs that are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import show, show_json
from .failures import Debug


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show the native programs that are kept, or remove them.

    Example: chainrule cache --clear
    """
    from ..backends.c import cache as programs

    folder, files = programs.folder(), programs.entries()
    size = sum(path.stat().st_size for path in files)
    if clear:
        programs.clear()
    if as_json:
        content = {"folder": str(folder), "files": len(files), "bytes": size, "cleared": clear}
        show_json(content)
        return
    what = f"{len(files):,} files, {size / 1e6:.1f} MB, in {folder}"
    show(f"removed: {what}" if clear else what)

"""The program: its commands and what they have in common."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from .commands import Commands
from .console import prepare_streams, with_pipe_as_input

app = typer.Typer(
    name="chainrule",
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"chainrule {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _chainrule(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Train neural networks on your data, and see how well they do.

    Start with: chainrule train houses.csv --target price
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def main() -> None:
    """The entry point of the command line."""
    prepare_streams()
    sys.argv[1:] = with_pipe_as_input(sys.argv[1:])
    sys.exit(app(prog_name="chainrule"))

"""The program: its commands and what they have in common."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from .answer import answer
from .cache import cache
from .compare import compare
from .console import prepare_streams, with_pipe_as_input
from .doctor import doctor
from .error_handling import reported
from .evaluate import evaluate
from .example import example
from .exercise import exercise
from .explain import explain
from .export import export
from .generate import generate
from .grade import grade
from .label_next import label_next
from .learn import learn
from .play import play
from .predict import predict
from .report import report
from .runs import runs
from .serve import serve
from .summary import summary
from .train import train
from .transcribe import transcribe
from .translate import translate
from .tune import tune
from .update import update

app = typer.Typer(
    name="chainrule",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    *(train, predict, evaluate, doctor, explain, update, label_next),
    *(generate, translate, answer, transcribe, export, runs, report, summary, cache, example),
    *(serve, tune, compare, play),
    *(learn, exercise, grade),
)
for _command in _COMMANDS:
    app.command()(reported(_command))


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

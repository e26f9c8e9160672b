"""``chainrule generate``: text that goes on as a language model thinks likely."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import ConfigError
from .console import note
from .error_handling import Debug
from .harmless import harmless
from .predict import Model


def generate(
    model: Model,
    prompt: Annotated[
        str, typer.Option(help="What the text begins with.", metavar="TEXT", show_default=False)
    ] = "",
    length: Annotated[int, typer.Option(help="Characters to add.", metavar="N")] = 500,
    temperature: Annotated[
        float,
        typer.Option(help="Above 1 it is bolder, below 1 surer; 0 is the likeliest.", metavar="X"),
    ] = 1.0,
    top_k: Annotated[
        int | None,
        typer.Option(
            help="Draw from so many of the likeliest only.", metavar="K", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.", metavar="N")] = 0,
    debug: Debug = False,
) -> None:
    """Continue a text as a language model thinks likely; it is shown as it is written.

    Example: chainrule generate runs/plays-2026-01-31-1 --prompt "JULIET"
    """  # fmt: skip
    from ..tasks import load_predictor
    from ..tasks.text import LanguageModel
    from ..utils.runs import model_file

    writer = load_predictor(model_file(model))
    if not isinstance(writer, LanguageModel):
        raise ConfigError(
            "This model does not continue texts.",
            where=str(model),
            hint="train one on a text file: chainrule train plays.txt",
        )
    pieces = writer.generate(
        prompt, length, temperature=temperature, top_k=top_k, seed=seed, say=note
    )
    sys.stdout.write(harmless(prompt))
    for piece in pieces:
        sys.stdout.write(harmless(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")

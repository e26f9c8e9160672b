"""``chainrule summary``: what is inside a model."""

from __future__ import annotations

from typing import Annotated

import typer

from .failures import Debug
from .predict import Model


def summary(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show a model: its layers, the columns that it takes, and how it was trained."""

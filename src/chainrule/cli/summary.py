"""``chainrule summary``: what is inside a model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from . import display
from .console import indented, show, show_json
from .error_handling import Debug
from .predict import Model


def summary(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show what is inside a model: layers, columns, and how it was trained.

    Example: chainrule summary runs/houses-2026-01-31-1
    """
    from ..serialization import load
    from ..tasks import kind_of, module_of
    from ..utils.runs import json_data, model_file

    saved = load(model_file(model))
    content = saved.summary()
    record = saved.record if isinstance(saved.record, dict) else {}
    schema = None
    if saved.schema is not None:
        schema = module_of(kind_of(saved.schema, str(model))).predictor(saved, str(model)).schema
    if as_json:
        described = json.loads(saved.schema) if isinstance(saved.schema, str) else saved.schema
        show_json(json_data({"model": str(model), **content, "schema": described, **record}))
        return
    show(f"A model of chainrule {content['version']}, {content['numbers']:,} numbers", "")
    show(indented(display.layers(content["variables"])), "")
    if schema is None:
        show("It takes " + ", ".join(f"{name}: {kind}" for name, kind in content["inputs"].items()))
        show(f"and gives {content['output']}")
    else:
        show(indented(display.understood(schema)))
    if report := record.get("report"):
        show("", display.report_title(report), "", indented(display.report(report)), "")
        show(display.training_line(report))

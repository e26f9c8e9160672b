"""``chainrule evaluate``: how well a model does on data whose target is known."""

from __future__ import annotations

from typing import Annotated

import typer

from . import display
from .console import note, show, show_json
from .error_handling import Debug
from .predict import Model, Rows
from .reading import Encoding, Missing, Separator, Table, as_said, loaded, usual_for


def evaluate(
    model: Model,
    data: Rows,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    encoding: Encoding = None,
    separator: Separator = None,
    table: Table = None,
    missing: Missing = None,
    debug: Debug = False,
) -> None:
    """Measure a model on data whose target is known, beside the report of its training.

    Example: chainrule evaluate runs/houses-2026-01-31-1 sold_houses.csv
    """
    from ..utils.runs import json_data

    predictor = loaded(model, missing)
    source = usual_for(predictor, as_said(data, encoding, separator, table))
    metrics = json_data(predictor.evaluate(source, say=note))
    if as_json:
        show_json({"model": str(model), "data": data, "metrics": metrics})
        return
    in_training = ((predictor.record or {}).get("report") or {}).get("metrics") or {}
    show(display.metrics(metrics, in_training))

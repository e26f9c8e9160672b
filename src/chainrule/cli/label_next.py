"""``chainrule label-next``: which rows to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import display
from .console import note, show, show_json
from .error_handling import Debug
from .predict import Model, check_output, encode
from .reading import Encoding, Missing, Separator, Table, as_said, loaded, usual_for

Pool = Annotated[
    str,
    typer.Argument(
        metavar="POOL",
        help="Rows without labels; of a table in which some have one, those without are the pool.",
        show_default=False,
    ),
]


def label_next(
    model: Model,
    pool: Pool,
    count: Annotated[int, typer.Option(help="How many rows.", metavar="N")] = 20,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="margin or entropy: where the model is unsure; coreset: what covers the pool; "
            "random. By default margin for classes, coreset for numbers.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random choices.", metavar="N")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write: .csv, .parquet or .jsonl.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    encoding: Encoding = None,
    separator: Separator = None,
    table: Table = None,
    missing: Missing = None,
    debug: Debug = False,
) -> None:
    """Find the rows of a pool whose labels would teach a model the most (active learning).

    Example: chainrule label-next runs/mails-2026-01-31-1 unlabelled.csv --count 50
    """
    check_output(out)
    from ..tasks.label_next import next_rows
    from ..utils.files import write_atomically
    from ..utils.numbers import counted
    from ..utils.runs import json_data

    predictor = loaded(model, missing)
    source = usual_for(predictor, as_said(pool, encoding, separator, table))
    rows = next_rows(predictor, source, count, strategy, seed=seed, say=note)
    if out is not None:
        write_atomically(out, encode(rows, out.suffix.lower()))
        note(f"{counted(rows.height, 'row')} to label: {out}")
    if as_json:
        show_json(json_data({"model": str(model), "pool": pool, "rows": rows.to_dicts()}))
    elif out is None:
        show(display.rows(rows))

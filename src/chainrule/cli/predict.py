"""``chainrule predict``: predictions of a model for raw data."""

from __future__ import annotations

import inspect
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import note, write_bytes
from .error_handling import Debug
from .lines import Precision, check_precision
from .reading import Encoding, Missing, Separator, Table, as_said, loaded, usual_for

if TYPE_CHECKING:
    import polars as pl

    from ..tasks import Predictor

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A run folder, or a model file.", show_default=False)
]
Rows = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Data as in the training: a table with its columns, - for standard input; a folder "
        "or a file of images or sounds.",
        show_default=False,
    ),
]

#: Every digit.
_ALL = "all"
_MOST_DIGITS = 17
_FORMATS = (".csv", ".parquet", ".jsonl")


def predict(
    model: Model,
    data: Rows,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write: .csv, .parquet or .jsonl; CSV on standard output by default.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="The probability of every class, too.")
    ] = False,
    encoding: Encoding = None,
    separator: Separator = None,
    table: Table = None,
    missing: Missing = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns of the input to stand before the predictions, such as id,name; all for "
            "every column.",
            metavar="A,B,…",
            show_default=False,
        ),
    ] = None,
    digits: Annotated[
        str | None,
        typer.Option(
            help="Significant digits of the numbers; all for every one. By default those that the "
            "model's error leaves.",
            metavar="N|all",
            show_default=False,
        ),
    ] = None,
    precision: Precision = None,
    debug: Debug = False,
) -> None:
    """Predict the target of raw data, one prediction for each row or file, in their order.

    Example: chainrule predict runs/houses-2026-01-31-1 new_houses.csv --out prices.csv
    """
    check_output(out)
    check_precision(precision)
    significant = _digits(digits)
    from ..tasks.digits import deserved_by_column, with_digits
    from ..utils.files import write_atomically

    predictor = loaded(model, missing)
    source = usual_for(predictor, as_said(data, encoding, separator, table))
    special = _kept(predictor, keep) | _narrowed(predictor, precision)
    predictions = predictor.predict(source, proba=proba, say=note, **special)
    if digits != _ALL:
        decimals = deserved_by_column((predictor.record or {}).get("report") or {})
        predictions = with_digits(predictions, decimals, proba, significant)
    content = encode(predictions, ".csv" if out is None else out.suffix.lower())
    if out is None:
        write_bytes(content)
    else:
        write_atomically(out, content)
        note(f"{predictions.height:,} predictions are in {out}")


def _kept(predictor: Predictor, keep: list[str] | None) -> dict[str, Any]:
    """The columns to keep, as the predictor takes them.

    Raises:
        ConfigError: the model is not one of rows of a table.
    """
    if not keep:
        return {}
    if not _takes(predictor, "keep"):
        raise ConfigError(
            "Only predictions for the rows of a table can stand beside its columns.",
            expected="a model of a table",
            found="--keep",
            hint="Omit --keep.",
        )
    from ..tasks.option_values import MisfitError, names

    try:
        return {"keep": names(keep)}
    except MisfitError as misfit:
        raise ConfigError(
            "The option keep cannot be understood.", expected=str(misfit), found=", ".join(keep)
        ) from None


def _narrowed(predictor: Predictor, precision: str | None) -> dict[str, Any]:
    """The precision of products, as the predictor takes it.

    Raises:
        ConfigError: the model does not write texts.
    """
    if precision is None:
        return {}
    if not _takes(predictor, "precision"):
        raise ConfigError(
            "Only models that write texts predict with products of another precision.",
            expected="a model of pairs of texts, or of sounds with texts",
            found=f"--precision {precision}",
            hint="Omit --precision: other models predict in float32.",
        )
    return {"precision": precision}


def _takes(predictor: Predictor, name: str) -> bool:
    return name in inspect.signature(predictor.predict).parameters


def _digits(said: str | None) -> int | None:
    """How many significant digits are asked for; None for those that are deserved, or all.

    Raises:
        ConfigError: it is no such number.
    """
    if said is None or said == _ALL:
        return None
    if not said.isdecimal() or not 1 <= int(said) <= _MOST_DIGITS:
        raise ConfigError(
            "The option digits cannot be understood.",
            where="the command line",
            expected=f"a number from 1 to {_MOST_DIGITS}, or {_ALL}",
            found=said,
        )
    return int(said)


def check_output(out: Path | None) -> None:
    """Say what is wrong with the output before the work is done."""
    if out is None:
        return
    if out.suffix.lower() not in _FORMATS:
        raise ConfigError(
            "The format of the output is not known.",
            where=str(out),
            expected=f"a file name that ends in {', '.join(_FORMATS)}",
            found=out.suffix or "no ending",
        )
    if not out.parent.is_dir():
        raise ConfigError(
            "There is no such folder.",
            where=str(out.parent),
            hint=f"make it: mkdir -p {out.parent}",
        )


def encode(frame: pl.DataFrame, ending: str) -> bytes:
    """The content of a file with this ending."""
    buffer = io.BytesIO()
    if ending == ".parquet":
        frame.write_parquet(buffer)
    elif ending == ".jsonl":
        frame.write_ndjson(buffer)
    else:
        frame.write_csv(buffer)
    return buffer.getvalue()

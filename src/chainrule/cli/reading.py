"""Options that say how a file of rows is read, for commands that use a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..tasks.option_values import MisfitError, missing_words, separator
from ..tasks.options import ReadingOptions, declared

_DECLARED = declared(ReadingOptions)
_PANEL = "How the data are read; as in the training by default"


def _option(name: str) -> Any:
    said = _DECLARED[name]
    return typer.Option(
        f"--{name}", help=said.help, metavar=said.metavar, rich_help_panel=_PANEL,
        show_default=False,
    )  # fmt: skip


Encoding = Annotated[str | None, _option("encoding")]
Separator = Annotated[str | None, _option("separator")]
Table = Annotated[str | None, _option("table")]
Missing = Annotated[list[str] | None, _option("missing")]


def as_said(data: str, encoding: str | None, fields: str | None, table: str | None) -> Any:
    """A source with what was said of it."""
    from ..data.source import FileReading, with_reading

    mark = _read(separator, "separator", fields)
    return with_reading(data, FileReading(encoding, mark, table))


def usual_for(predictor: Any, source: Any) -> Any:
    """A source for a model that was trained on such files."""
    from ..data.source import with_reading
    from ..tasks.model_reading import usual_reading

    saved = getattr(predictor, "saved", None)
    return source if saved is None else with_reading(source, usual=usual_reading(saved))


def loaded(model: Path, missing: list[str] | None) -> Any:
    """The predictor of a model, with words that mean missing besides those of its training."""
    from ..tasks import load_predictor
    from ..utils.runs import model_file

    words = _read(missing_words, "missing", missing) or ()
    return load_predictor(model_file(model), missing=words)


def _read(reader: Any, name: str, value: Any) -> Any:
    if value is None or value == []:
        return None
    try:
        return reader(value)
    except MisfitError as misfit:
        raise ConfigError(
            f"The option {name} cannot be understood.",
            where="the command line",
            expected=str(misfit),
            found=str(value),
        ) from None

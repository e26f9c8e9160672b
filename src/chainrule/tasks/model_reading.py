"""How a saved model has data read: as the files of its training were, unless somebody says more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..data import Schema
from ..data.source import FileReading
from ..errors import ConfigError
from .kinds import KINDS

if TYPE_CHECKING:
    from ..serialization import SavedModel


def usual_reading(saved: SavedModel) -> FileReading:
    """How the files of the training were read: what was said of them, and what was found out."""
    record: Any = saved.record if isinstance(saved.record, dict) else {}
    options = (record.get("report") or {}).get("options") or {}
    said = FileReading(*(options.get(name) for name in ("encoding", "separator", "table")))
    schema = _table_schema(saved)
    return said if schema is None or schema.reading is None else said.over(schema.reading)


def need_missing(saved: SavedModel, words: Sequence[str] | None) -> None:
    """Let these words mean a missing value in all columns of the model of a table.

    Raises:
        ConfigError: the model is for other data.
    """
    if not words:
        return
    schema = _table_schema(saved)
    if schema is None:
        others = ", ".join(kind.noun for kind in KINDS.values() if kind.name != "table")
        raise ConfigError(
            f"A model of {others} has no words that mean a missing value.",
            found=f"--missing {','.join(words)}",
            hint="Omit --missing.",
        )
    saved.schema = schema.with_missing(words).to_json()


def _table_schema(saved: SavedModel) -> Schema | None:
    """The schema of a model of a table."""
    text = saved.schema
    if not isinstance(text, str) or '"format": "chainrule.schema"' not in text[:60]:
        return None
    return Schema.from_json(text)

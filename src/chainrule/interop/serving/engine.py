"""What answers requests: rows as Python values → predictions as JSON data."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from ...data import Column, Schema
from ...data.schema import check_present
from ...errors import ConfigError
from ...tasks import Predictor
from ...tasks.predictions import PROBABILITY
from ...tasks.sequence_to_text.sources import TextSource, texts_of
from ...tasks.sequence_to_text.translator import Translator
from ...tasks.tabular import TablePredictor
from ...tasks.tabular.rows import RowModel, records
from ...tasks.text import TextClassifier
from ...utils.typing import Array

Row = Mapping[str, Any]

#: What cells of a kind of column may be in JSON.
_JSON_TYPES = {
    "numeric": ["number", "string", "null"],
    "boolean": ["boolean", "number", "string", "null"],
    "category": ["string", "number", "boolean", "null"],
    "date": ["string", "null"],
    "text": ["string", "null"],
}


@dataclass(frozen=True)
class Field:
    """A column of the requests.

    Attributes:
        name: of it.
        kind: of its values.
        description: what is known of them.
        example: one value.
    """

    name: str
    kind: str
    description: str
    example: Any

    def to_json_schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        found: dict[str, Any] = {"type": _JSON_TYPES[self.kind], "description": self.description}
        return found | {"examples": [self.example]}


class Engine(Protocol):
    """A model that answers.

    Attributes:
        predictor: the saved model.
        fields: the columns that rows have.
        most: rows that are computed at once.
    """

    predictor: Any
    fields: tuple[Field, ...]
    most: int

    @property
    def known(self) -> frozenset[str]:
        """Columns that rows may have."""

    def encode(self, rows: Sequence[Row]) -> tuple[dict[str, Array], list[str]]:
        """Rows as arrays with the rows on the first axis, and notes on cells.

        Raises:
            DataError: a column is missing or unknown, or a cell cannot be read.
        """

    def compute(self, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
        """A record for each row."""


def engine_of(predictor: Predictor, backend: str = "auto") -> Engine:
    """What answers with a saved model.

    Args:
        predictor: of tables, of the classes of texts, or that writes texts from texts.
        backend: what runs it: "auto", "c" or "numpy".

    Raises:
        ConfigError: it is of another kind of data.
    """
    if isinstance(predictor, TablePredictor):
        return TableEngine(predictor, backend)
    if isinstance(predictor, TextClassifier):
        return TextEngine(predictor)
    if isinstance(predictor, Translator) and isinstance(predictor.schema.source, TextSource):
        return WritingEngine(predictor, backend)
    raise ConfigError(
        "Models of this kind cannot be served yet.",
        expected="a model of a table, of the classes of texts, or that writes texts from texts",
        found=type(predictor).__name__,
        hint="chainrule predict works for it",
    )


class TableEngine:
    """A model of a table: rows are read without a data frame, by native programs."""

    def __init__(self, predictor: TablePredictor, backend: str) -> None:
        self.predictor = predictor
        self._model = RowModel(predictor.saved, predictor.schema, backend=backend)
        self.fields = tuple(map(_field, predictor.schema.columns))
        self.most = self._model.most

    @property
    def known(self) -> frozenset[str]:
        """All columns of the table of the training."""
        return self._model.encoder.known

    def encode(self, rows: Sequence[Row]) -> tuple[dict[str, Array], list[str]]:
        """See `Engine`."""
        self._model.encoder.check_known(rows)
        return self._model.encoder.encode(rows)

    def compute(self, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
        """See `Engine`."""
        return records(self._model.targets, self._model.compute(arrays))


class TextEngine:
    """A model of the classes of texts."""

    most = 16

    def __init__(self, predictor: TextClassifier) -> None:
        self.predictor = predictor
        self._column = predictor.schema.column or "text"
        self.fields: tuple[Field, ...] = (Field(self._column, "text", "the text", "…"),)

    @property
    def known(self) -> frozenset[str]:
        """The column of the text, and that of the classes."""
        target = self.predictor.schema.target
        names = [] if target is None else [t.name for t in Schema.from_json(target).targets]
        return frozenset([self._column, *names])

    def encode(self, rows: Sequence[Row]) -> tuple[dict[str, Array], list[str]]:
        """See `Engine`: the texts."""
        for number, row in enumerate(rows, 1):
            check_present([self._column], list(row), f"row {number}")
            check_present(sorted(row.keys() - self.known), sorted(self.known), f"row {number}")
        texts = [row[self._column] for row in rows]
        found = np.empty(len(texts), object)
        found[:] = ["" if text is None else str(text) for text in texts]
        return {"text": found}, []

    def compute(self, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
        """See `Engine`."""
        texts = pl.DataFrame({self._column: pl.Series(arrays["text"].tolist(), dtype=pl.String)})
        found = self.predictor.predict(texts, proba=True)
        names = [name for name in found.columns if name.startswith(PROBABILITY)]
        return [
            {
                "prediction": row["prediction"],
                "probabilities": {name.removeprefix(PROBABILITY): row[name] for name in names},
            }
            for row in found.to_dicts()
        ]


class WritingEngine:
    """A model that writes texts from texts: translations, answers.

    Every length of a source is a program; on NumPy none has to be built while somebody waits.
    """

    most = 16

    def __init__(self, predictor: Translator, backend: str) -> None:
        self.predictor = predictor
        self._columns = predictor.schema.source.columns
        self._backend = "numpy" if backend == "auto" else backend
        self.fields: tuple[Field, ...] = tuple(
            Field(name, "text", "a source, or a part of it", "…") for name in self._columns
        )

    @property
    def known(self) -> frozenset[str]:
        """The columns of the source, and that of the target."""
        return frozenset([*self._columns, str(self.predictor.schema.target)])

    def encode(self, rows: Sequence[Row]) -> tuple[dict[str, Array], list[str]]:
        """See `Engine`: the sources, None where one is empty."""
        for number, row in enumerate(rows, 1):
            check_present(list(self._columns), list(row), f"row {number}")
            check_present(sorted(row.keys() - self.known), sorted(self.known), f"row {number}")
        cells = {
            name: [None if row[name] is None else str(row[name]) for row in rows]
            for name in self._columns
        }
        frame = pl.DataFrame({name: pl.Series(cells[name], dtype=pl.String) for name in cells})
        found = np.empty(len(rows), object)
        found[:] = texts_of(frame, self._columns)
        notes: list[str] = []
        if given := [item for item in found if item is not None]:
            self.predictor.doubts(given, notes.append)
        return {"source": found}, notes

    def compute(self, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
        """See `Engine`."""
        items = arrays["source"].tolist()
        given = [item for item in items if item is not None]
        found = iter(self.predictor.write(given, backend=self._backend) if given else [])
        texts = [None if item is None else next(found)[0] for item in items]
        return [
            {"prediction": "", "log_score": None, "ended": True}
            if text is None
            else {"prediction": text.text, "log_score": text.score, "ended": text.ended}
            for text in texts
        ]


def _field(column: Column) -> Field:
    return Field(column.name, column.kind, column.reason, _example(column))


def _example(column: Column) -> Any:
    """A usual value."""
    statistics = column.statistics
    if column.kind == "category":
        return column.vocabulary[0] if column.vocabulary else None
    if column.kind == "text" or statistics is None:
        return "some words"
    if column.kind == "date":
        moment = datetime.datetime.fromtimestamp(statistics.median, datetime.UTC)
        return f"{moment:%Y-%m-%d}" if column.date_format is None else (
            moment.strftime(column.date_format.replace("%.f", "").replace("%#z", "+00:00"))
        )  # fmt: skip
    value = statistics.median
    usual = float(f"{value:.6g}")
    return int(usual) if usual == int(usual) else usual

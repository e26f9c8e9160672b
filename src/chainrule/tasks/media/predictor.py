"""A saved model of files, ready for others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import read_table
from ...engine.ops import expand_dims
from ...engine.tensor import Tensor
from ...errors import DataError
from ...serialization import SavedModel
from ...utils.typing import Array
from ..evaluation import evaluate
from ..examples import Examples, RawRow, check_rows, has_log_target, said, scaled
from ..members import count_members, networks_said
from ..predictions import predictions
from .files import Files, find_files, find_known, targets_of
from .medium import CHUNK, NAMED, Medium, smoothed_cross_entropy, squared
from .reading import FileReader

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]


class MediaPredictor:
    """A saved model of files: files in, predictions out.

    Attributes:
        schema: how files are decoded, and what is predicted.
        record: report and history of the training.
    """

    def __init__(self, medium: Medium, saved: SavedModel) -> None:
        self.saved = saved
        self.record = saved.record
        self.schema = medium.schema(saved.schema)
        self._medium = medium

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""
        classes: tuple[str, ...] = self.schema.target.classes
        return classes

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """Predictions for files, in the order of their names, or of a table's rows.

        Args:
            source: a folder, at any depth, one file, or a table with a column of paths.
            proba: the probability of each class, too.
            say: takes notes: a file that cannot be read is named, and has no prediction.
        """
        import polars as pl

        files = find_files(source, self._medium.file_type)
        for note in files.notes:
            say(note)
        found, good = self._predicted(files, say)
        places = dict(zip(good.tolist(), range(len(good)), strict=True))
        rows = pl.Series([places.get(row) for row in range(len(files))], dtype=pl.UInt32)
        told = predictions(found, self.classes, proba).select(pl.all().gather(rows))
        return told.insert_column(0, pl.Series("file", list(files.paths)))

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics of the task on files whose class or number is known."""
        files = find_known(source, self._medium.file_type, self.schema.target)
        for note in files.notes:
            say(note)
        found, good = self._predicted(files, say)
        assert files.target is not None
        return evaluate(self.schema.target.task, files.target[good], found)

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Files in the order of `predict`, with the class by their folder, or a table's target.

        Raises:
            DataError: there is no such file, it cannot be read, or its target is not known.
        """
        schema, target, file_type = self.schema, self.schema.target, self._medium.file_type
        if isinstance(source, str) and source == "-":  # it cannot be read twice
            source = read_table(source)
        files = find_files(source, file_type)
        hint = (
            f"The {file_type.noun} are counted from 0, in the order of their names or of the table."
        )
        check_rows(rows, len(files), files.source, hint)
        batch = np.stack([self._medium.read(schema, files.paths[row]) for row in rows])
        known = targets_of(files, source, file_type, target, rows)
        inputs = batch.astype(np.float32)
        found = self.saved.predict(inputs)
        size = " × ".join(map(str, batch.shape[1:]))

        def raw(place: int, row: int) -> RawRow:
            path, aim = files.paths[row], known[place]
            cell = {"column": "file", "text": path, "encoded": f"{size} numbers", "input": "x"}
            label = target.classes[aim] if target.classes else f"{aim:.6g}"
            aim = {"column": target.name, "text": label}
            return RawRow(row, (cell,), aim, said(found[place], self.classes), f"File {row}")

        told = tuple(raw(place, row) for place, row in enumerate(rows))
        networks = networks_said(count_members(self.saved.state()))
        if target.classes:
            return Examples(inputs, known, smoothed_cross_entropy, told, story=networks)
        goal, story = scaled(self.saved, known, "scale", has_log_target(self.saved))
        loss = _squared_of_members if networks else "mse"
        return Examples(inputs, goal, loss, told, story=(*networks, *story))

    def hidden(self, source: Any) -> Array | None:
        """What goes into the last layer: (files, features), NaN for files that cannot be read."""
        files = find_files(source, self._medium.file_type)
        if self.saved.last_layer is None:
            return None
        found, good = self._predicted(files, lambda sentence: None, self.saved.hidden)
        result = np.full((len(files), found.shape[1]), np.nan, found.dtype)
        result[good] = found
        return result

    def _predicted(
        self, files: Files, say: Say, compute: Callable[[Array], Any] | None = None
    ) -> tuple[Array, Array]:
        """Predictions for the files that can be read, and which these are."""
        compute = compute or self.saved.predict
        medium, schema = self._medium, self.schema
        for note in medium.differing(schema, files.paths):
            say(note)
        bad: list[DataError] = []
        parts: list[Array] = []
        good: list[int] = []
        for start in range(0, len(files), CHUNK):
            paths = files.paths[start : start + CHUNK]
            read = functools.partial(medium.read, schema)
            reader = FileReader(paths, read, schema.shape, schema.dtype)
            wrong = reader.check(range(len(paths)))
            bad += wrong.values()
            kept = [row for row in range(len(paths)) if row not in wrong]
            if kept:
                parts.append(compute(reader(kept)))
                good += [start + row for row in kept]
        for error in bad[:NAMED]:
            say(f"{error.where} cannot be used: {error.found}")
        if len(bad) > NAMED:
            say(f"… nor {len(bad) - NAMED:,} more")
        if not parts:
            raise bad[0]
        return np.concatenate(parts), np.array(good, dtype=np.int64)


def _squared_of_members(z: Tensor, target: Tensor) -> Tensor:
    """The mean of (z - target)² over all networks."""
    return squared(expand_dims(z, 2), target)

"""Files with a class or a number each, as a plan of the runner."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...data import Target
from ...errors import DataError
from ...training import Stream
from ...utils.typing import Array
from ..evaluation import class_weights, constant_prediction
from ..kinds.media import MediaOptions
from ..linear_baseline import linear_model
from ..plan import Examples, Learner, Plan, Recipe, Split, split_rows
from ..scaling import TargetScaler
from .files import Files, find_known, find_labelled
from .medium import (
    CHUNK,
    NAMED,
    Augment,
    Design,
    MediaModel,
    Medium,
    Schema,
    smoothed_cross_entropy,
    squared,
)
from .reading import FileReader

#: Up to so many files are read once before the training, so that a bad one is found at once.
_FEW = 20_000
#: Up to so many files the test set is a fifth, otherwise a tenth.
_SMALL = 10_000
#: So many files are enough for the linear model.
_LINEAR = 4_000
#: Fewer files are nothing to learn from.
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class FilePart:
    """Some of the files, with what is to be predicted of each.

    Attributes:
        files: all of them.
        column: what is predicted.
        rows: which files.
        weights: how much each of all files counts, if not all the same.
    """

    files: Files
    column: Target
    rows: Array
    weights: Array | None = None

    @property
    def target(self) -> Array:
        """Class indices, or numbers."""
        assert self.files.target is not None
        return self.files.target[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Array) -> FilePart:
        """Some of them."""
        return dataclasses.replace(self, rows=self.rows[rows])

    @staticmethod
    def of(files: Files, column: Target, balance: bool = False) -> FilePart:
        """All files; classes may be weighted so that all count the same."""
        weights = None
        if balance:
            assert files.target is not None
            weights = class_weights(files.target, len(column.classes)).astype(np.float32)
        return FilePart(files, column, np.arange(len(files)), weights)


class FilePlan(Plan[FilePart, FilePart, Any]):
    """Files of a medium: a network predicts the class, or the number, of a file."""

    task = "files"
    medium: ClassVar[Medium]
    options: MediaOptions

    def __init__(self, options: Any, say: Callable[[str], None] = lambda sentence: None) -> None:
        super().__init__(options, say)
        self._readers: dict[int, tuple[Files, FileReader]] = {}

    def reader(self, schema: Any, files: Files) -> FileReader:
        """The files as arrays, which stay in memory if they fit there."""
        if id(files) not in self._readers:
            read = functools.partial(self.medium.read, schema)
            reader = FileReader(files.paths, read, schema.shape, self.medium.dtype)
            self._readers[id(files)] = files, reader
        return self._readers[id(files)][1]

    # ---- data ------------------------------------------------------------------------------------

    def read(self, source: Any) -> FilePart:
        """The files of class folders, or of a table with a column of paths."""
        files, target = find_labelled(source, self.medium.file_type, self.options.target)
        for note in files.notes:
            self.say(note)
        return FilePart.of(files, target, self.options.balance)

    def split(self, data: FilePart) -> Split[FilePart]:
        """By chance, classes in proportion."""
        strata = data.target if data.column.classes else None
        test = 0.2 if len(data) <= _SMALL else 0.1
        return split_rows(data, self.options, strata, self.unit, test=test, fewest=_FEWEST)

    def understand(self, split: Split[FilePart]) -> Any:
        """How files are decoded, from a sample of all."""
        train = split.train
        return self.medium.understand(train.files, train.column, self.options, self.say)

    def check(self, schema: Any, split: Split[FilePart]) -> Split[FilePart]:
        """Without files that cannot be read; of very many the training set is not tried."""
        files = split.train.files
        parts = [split.validation, *([split.test] if split.test else [])]
        if self.options.skip_bad or len(files) <= _FEW:
            parts.append(split.train)
        rows = np.sort(np.concatenate([part.rows for part in parts]))
        good = readable(self, self.reader(schema, files), rows)
        if len(good) == len(rows):
            return split

        def kept(part: FilePart) -> FilePart:
            return part.take(np.flatnonzero(np.isin(part.rows, good)))

        test = None if split.test is None else kept(split.test)
        return Split(kept(split.train), kept(split.validation), test)

    def read_test(self, schema: Any) -> FilePart:
        """The files of the test folder or table."""
        files = find_known(self.options.test, self.medium.file_type, schema.target)
        for note in files.notes:
            self.say(note)
        good = readable(self, self.reader(schema, files), np.arange(len(files)))
        return FilePart.of(files, schema.target).take(good)

    def size(self, data: FilePart) -> dict[str, Any]:
        """How many files there are."""
        return {"rows": len(data)}

    # ---- network ---------------------------------------------------------------------------------

    def build(self, schema: Any, split: Split[FilePart]) -> Learner:
        """The network that the medium's rules choose."""
        train = split.train
        reader = self.reader(schema, train.files)
        design = self.medium.design(schema, self.options, reader, train.rows)
        design.network.initialize(self.options.seed)
        scaler = None if schema.classes else TargetScaler().fit(train.target)
        held_out = f"{len(split.validation):,} others choose the best weights"
        return learner_of(schema, design, scaler, held_out)

    def encode(self, schema: Any, learner: Learner, part: FilePart) -> Stream:
        """Decoded files as they are."""
        return self._streamed(schema, learner, part, None)

    def encode_training(self, schema: Any, learner: Learner, part: FilePart) -> Stream:
        """Decoded files that are changed at random, in whole batches."""
        stream = self._streamed(schema, learner, part, learner.augment)
        stream.whole = True
        return stream

    def _streamed(
        self, schema: Any, learner: Learner, part: FilePart, augment: Augment | None
    ) -> Stream:
        target, scaler = part.files.target, learner.model.scale
        assert target is not None
        goal = target if scaler is None else scaler.transform(target)
        reader = self.reader(schema, part.files)
        return streamed(reader, goal, augment, len(schema.classes), part.weights).take(part.rows)

    def recipe(self, schema: Any, learner: Learner, examples: Examples) -> Recipe:
        """By the medium's rules."""
        return self.medium.recipe(self.options, len(examples)).with_validations()

    def average(self, steps: int) -> float:
        """Averaged weights remember a fiftieth of the training."""
        return min(1 - 50 / max(steps, 100), 0.999)

    # ---- report ----------------------------------------------------------------------------------

    def about(self, schema: Any) -> dict[str, Any]:
        """Classes or numbers."""
        return {"task": schema.target.task, "target": schema.target.name}

    def details(self, learner: Learner) -> dict[str, Any]:
        """The network, and whether it learns the logarithm of the target."""
        scaler = learner.model.scale
        return {"network": learner.name, "log_target": scaler and scaler.log}

    def baselines(self, schema: Any, split: Split[FilePart], test: FilePart) -> dict[str, Array]:
        """A constant answer, and a linear model on a few numbers of each file."""
        train, count = split.train, len(schema.classes)
        name, constant = constant_prediction(train.target, len(test), count)
        some = train.take(np.arange(0, len(train), -(-len(train) // _LINEAR)))
        x = np.concatenate([*self._features(schema, some)])
        mean, std = x.mean(axis=0), x.std(axis=0)
        std[std == 0] = 1.0
        linear = linear_model((x - mean) / std, some.target, count)
        found = [linear((z - mean) / std) for z in self._features(schema, test)]
        return {name: constant, "linear": np.concatenate(found)}

    def _features(self, schema: Any, part: FilePart) -> Iterator[Array]:
        features = functools.partial(self.medium.features, schema)
        return computed(features, self.reader(schema, part.files), part.rows)


def learner_of(
    schema: Schema, design: Design, scaler: TargetScaler | None, note: str = ""
) -> Learner:
    """What is trained of a network for files."""
    model = MediaModel(design.network, scaler)
    changes = f"changed at random by {', '.join(design.changes)}" if design.changes else "unchanged"
    return Learner(
        design.network,
        smoothed_cross_entropy if schema.classes else squared,
        design.name,
        model,
        model.output,
        example=np.zeros((2, *schema.shape), np.float32),
        augment=design.augment,
        note=f"{changes}; {note}",
    )


def readable(plan: FilePlan, reader: FileReader, rows: Array) -> Array:
    """These files without the bad ones, which are an error unless the user wants them skipped."""
    bad = reader.check(rows)
    if not bad:
        return rows
    noun = plan.unit
    if not plan.options.skip_bad:
        first = next(iter(bad.values()))
        more = f", and {len(bad) - 1:,} more like it" if len(bad) > 1 else ""
        raise DataError(
            first.what,
            where=first.where,
            expected=first.expected,
            found=f"{first.found or 'a damaged file'}{more}",
            hint="--skip-bad leaves such files out and lists them",
        )
    plan.say(f"{len(bad):,} {noun} cannot be read and are left out:")
    for error in list(bad.values())[:NAMED]:
        plan.say(f"{error.where}: {error.found}")
    if len(bad) > NAMED:
        plan.say(f"… and {len(bad) - NAMED:,} more")
    kept = np.array([row for row in rows if int(row) not in bad], dtype=np.int64)
    if len(kept) < _FEWEST:
        raise DataError(f"There are too few {noun} that can be read.",
                        expected=f"at least {_FEWEST}",
                        found=str(len(kept)))  # fmt: skip
    return kept


def streamed(
    reader: FileReader, target: Array, augment: Augment | None, classes: int, weights: Array | None
) -> Stream:
    """All files as examples; epoch 0 is without changes.

    Where a row is a mixture of itself, with a weight λ, and of another row of its batch, so is its
    target: λ·t + (1 - λ)·t′ (mixup: Zhang et al., 2018).
    """

    def load(rows: Array, epoch: int) -> tuple[Any, ...]:
        batch, fraction, partner = reader(rows), None, None
        goal = target[rows]
        if augment is not None and epoch:
            batch, fraction, partner = augment(batch, rows, epoch)
        if fraction is not None:
            soft = np.eye(classes, dtype=np.float32)[goal] if classes else goal[:, None]
            fraction = fraction.astype(np.float32)[:, None]
            soft = fraction * soft + (1 - fraction) * soft[partner]
            goal = soft if classes else soft[:, 0]
        batch = batch.astype(np.float32)
        return (batch, goal) if weights is None else (batch, goal, weights[rows])

    return Stream(load, target, weights=weights)


def computed(compute: Callable[[Array], Array], reader: FileReader, rows: Array) -> Iterator[Array]:
    """Part by part, so that memory does not grow with the number of files."""
    for start in range(0, len(rows), CHUNK):
        yield compute(reader(rows[start : start + CHUNK]))

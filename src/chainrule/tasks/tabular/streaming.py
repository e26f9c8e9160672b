"""Tables that are larger than memory: read in parts, kept on the disk as features, streamed.

Three passes over the file: one takes a sample of rows, from which the columns are understood; one
reads the target and deals the rows to training, validation and test; one encodes them. What is
learned from lies in a temporary file. Where the sample holds all rows, the result is that of
`train_table` in memory, to the bit; of larger tables

- kinds of columns, statistics and baselines come from 50,000 to 100,000 rows, evenly spread,
- above a million rows, each is dealt by itself, and their order is mixed in blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Encoded, Schema, infer_schema, read_table, split_indices
from ...data.schema import check_present
from ...data.table_scan import TableScan
from ...errors import ConfigError, DataError
from ...training import Arrays, Callback, DiskDataset
from ...utils.random import generator
from ...utils.typing import Array
from .. import fit
from ..evaluation import class_weights, evaluate
from .defaults import choose
from .options import TableOptions
from .pipeline import (
    Fitted,
    Job,
    TableResult,
    adopted,
    baseline_scores,
    given,
    learn,
    make_model,
    plan,
)

if TYPE_CHECKING:
    import polars as pl

    from .network import TableModel

Say = Callable[[str], None]

#: The sample has at most so many rows, and at least half as many.
_SAMPLE = 100_000
#: Up to so many rows are split as a whole, classes in proportion.
_AT_ONCE = 2**20
#: Values of the target of which the sample has one row each at least.
_MOST_CLASSES = 1_000
#: Rows that are encoded at once.
_CHUNK = 16_384
#: Rows whose roles are drawn at once.
_BLOCK = 16_384

_TRAIN, _VALIDATION, _TEST = 0, 1, 2


def train_in_parts(
    source: str | Path,
    options: TableOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[Schema], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
) -> TableResult:
    """As `train_table`, for a file of any size in the same memory."""
    if options.cv:
        raise ConfigError(
            "Cross-validation needs the whole table in memory.",
            where=str(source),
            found=f"cv={options.cv}",
            hint="Omit it: so many rows give a reliable report without it.",
        )
    started = time.perf_counter()
    scan = TableScan(source)
    for sentence in scan.notes:
        say(sentence)
    sample = _Sample(scan, options.target)
    schema = infer_schema(
        sample.frame,
        options.target,
        features=options.features,
        drop=options.drop or None,
        kinds=options.kinds,
        source=scan.name,
    )
    on_schema(schema)
    say(
        f"the file is read in parts: {sample.rows:,} rows; the columns are understood from "
        f"{sample.frame.height:,} of them"
    )
    job = Job(options, schema, scan.name, progress, say, callbacks)
    with fit.threads(options.threads):
        result = _trained(job, scan, sample)
    result.report["seconds"] = time.perf_counter() - started
    waited = result.history["waited"]
    result.report["data"] = {
        "kind": "table",
        "source": scan.name,
        "rows": sample.rows,
        "columns": len(schema.columns),
        "in_parts": True,
        "waited": float(np.mean(waited)) if waited else 0.0,
    }
    return result


# ---- the sample ----------------------------------------------------------------------------------


class _Sample:
    """Evenly spread rows of a file, and at least one with each value of the target.

    Attributes:
        frame: the rows, in their order.
        places: (n,) where each of them is in the file.
        rows: how many the file has.
    """

    def __init__(self, scan: TableScan, target: str) -> None:
        import polars as pl

        self.rows = 0
        step = 1
        spread: list[tuple[Array, pl.DataFrame]] = []
        first: list[tuple[Array, pl.DataFrame]] = []
        seen: set[Any] = set()
        for part in scan.parts():
            if not self.rows:
                check_present([target], part.columns, scan.name)
            places = np.arange(self.rows, self.rows + part.height)
            chosen = places % step == 0
            spread.append((places[chosen], part.filter(chosen)))
            if target in part.columns and len(seen) <= _MOST_CLASSES:
                new = _first_of_each(part[target], seen)
                first.append((places[new], part[new]))
            self.rows += part.height
            while -(-self.rows // step) > _SAMPLE:
                step *= 2
                spread = [_every(step, places, frame) for places, frame in spread]
        if not self.rows:
            raise DataError("The table has a header but no rows.", where=scan.name)
        every = spread + (first if len(seen) <= _MOST_CLASSES else [])
        places = np.concatenate([places for places, _ in every])
        self.places, picked = np.unique(places, return_index=True)
        try:
            frame = pl.concat([frame for _, frame in every], how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            raise DataError(
                "A column holds values of different types in different parts of the file.",
                where=scan.name,
                found=str(error).splitlines()[0],
            ) from None
        self.frame = frame[picked]


def _every(step: int, places: Array, frame: pl.DataFrame) -> tuple[Array, pl.DataFrame]:
    kept = places % step == 0
    return places[kept], frame.filter(kept)


def _first_of_each(values: pl.Series, seen: set[Any]) -> Array:
    """The first row of each value that was never seen before."""
    import polars as pl

    if values.dtype.is_nested():
        return np.empty(0, np.int64)
    first = pl.DataFrame({"value": values, "row": np.arange(len(values))})
    first = first.drop_nulls().group_by("value", maintain_order=True).first()
    new = [row for value, row in first.rows() if value not in seen]
    seen.update(first["value"].to_list())
    return np.array(new, dtype=np.int64)


# ---- who trains, who judges ----------------------------------------------------------------------


@dataclass
class _Roles:
    """What each row with a target is for: by its number among them.

    Attributes:
        rows: how many there are.
        shares: of validation and test.
        counts: of each class, in training and validation.
        known: (n,) which rows of the sample have a target.
        numbers: (n,) their numbers among the rows with a target.
        dealt: (rows,) the role of each, if there are not too many.
    """

    seed: int
    rows: int = 0
    shares: tuple[float, float] = (0.0, 0.0)
    counts: Array = field(default_factory=lambda: np.zeros(0))
    known: Array = field(default_factory=lambda: np.zeros(0, bool))
    numbers: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    dealt: Array | None = None

    def of(self, numbers: Array) -> Array:
        """The roles of these rows."""
        if self.dealt is not None:
            return self.dealt[numbers]
        u = _uniform(numbers, self.seed)
        validation, test = self.shares
        return np.where(u < test, _TEST, np.where(u < test + validation, _VALIDATION, _TRAIN))


def _uniform(numbers: Array, seed: int) -> Array:
    """For each number one from 0 to 1, which follows from it and the seed."""
    found = np.empty(len(numbers))
    blocks, places = np.divmod(numbers, _BLOCK)
    for block in np.unique(blocks):
        inside = blocks == block
        found[inside] = generator(seed, "roles", block).random(_BLOCK)[places[inside]]
    return found


def _deal(job: Job, scan: TableScan, sample: _Sample) -> _Roles:
    """Read the target of all rows, and deal these as `train_table` does."""
    options = job.options
    roles = _Roles(options.seed)
    roles.known = np.zeros(len(sample.places), bool)
    roles.numbers = np.zeros(len(sample.places), np.int64)
    targets: list[Array] = []
    counts = np.zeros(job.classes)
    start = 0
    for part in scan.parts():
        target = job.schema.read_target(part, job.source)
        known = np.isfinite(target) if target.dtype.kind == "f" else target >= 0
        before = np.cumsum(known) - known
        inside = (sample.places >= start) & (sample.places < start + part.height)
        places = sample.places[inside] - start
        roles.known[inside] = known[places]
        roles.numbers[inside] = roles.rows + before[places]
        if roles.rows <= _AT_ONCE:
            targets.append(target[known])
        if job.classes:
            counts += np.bincount(target[known], minlength=job.classes)
        roles.rows += int(known.sum())
        start += part.height
    if lost := start - roles.rows:
        job.say(f"{lost:,} rows have no target and are left out")
    _check_enough(roles.rows, job.source)
    test = 0.0 if isinstance(options.test, str) else choose(options, roles.rows).test
    recipe, _ = plan(job, round(roles.rows * (1 - test)))
    roles.shares, roles.counts = ((1 - test) * recipe.held_out, test), counts
    if roles.rows <= _AT_ONCE:
        _deal_at_once(job, roles, np.concatenate(targets), test)
    return roles


def _check_enough(rows: int, source: str) -> None:
    if rows < 4:
        raise DataError(
            "There are too few rows to train and to evaluate.",
            where=source,
            expected="at least 4 rows with a target",
            found=str(rows),
        )


def _deal_at_once(job: Job, roles: _Roles, target: Array, test: float) -> None:
    """The same splits as in memory."""
    seed, strata = job.options.seed, target if job.classes else None
    dealt = np.full(roles.rows, _TRAIN)
    if test:
        trains, tests = split_indices(roles.rows, (1 - test, test), seed, strata)
        dealt[tests] = _TEST
    else:
        trains = np.arange(roles.rows)
    recipe, _ = plan(job, len(trains))
    parts = (1 - recipe.held_out, recipe.held_out)
    of_trains = None if strata is None else strata[trains]
    _, judges = split_indices(len(trains), parts, seed + 1, of_trains)
    dealt[trains[judges]] = _VALIDATION
    roles.dealt = dealt
    if job.classes:
        roles.counts = np.bincount(target[dealt != _TEST], minlength=job.classes)


# ---- the training --------------------------------------------------------------------------------


def _trained(job: Job, scan: TableScan, sample: _Sample) -> TableResult:
    roles = _deal(job, scan, sample)
    frame = sample.frame.filter(roles.known)
    role = roles.of(roles.numbers[roles.known])
    schema = job.schema.fit(frame.filter(role == _TRAIN), source=job.source)
    trains = roles.rows * (1 - roles.shares[1])
    if roles.dealt is not None:
        trains = int((roles.dealt != _TEST).sum())
    recipe, previous = plan(job, round(trains))
    schema = adopted(job, schema, previous)
    rows = schema.encode(frame.filter(role != _TEST), target=True, source=job.source)
    assert rows.target is not None
    of_training = rows.target[role[role != _TEST] == _TRAIN]
    model = make_model(job, recipe, previous, schema, of_training)
    kept = _Kept(job, schema, model, roles, columns=sample.frame.columns)
    for part in scan.parts():
        kept.take(part)
    job.say(
        f"{len(kept.spool):,} rows for training lie in a temporary file of "
        f"{kept.spool.bytes / 1e6:,.0f} MB, which goes away"
    )
    trainer, failure = learn(job, recipe, model, kept.spool.stream(), kept.validation())
    fitted = Fitted(schema, recipe, model, trainer, rows, failure)
    result = TableResult(fitted, job)
    test = kept.test()
    result.report["rows"] = {"train": len(kept.spool) + kept.judges, "test": len(test)}
    result.report["metrics"] = evaluate(job.task, test.target, _predicted(fitted, test))
    result.report["baselines"] = baseline_scores(job, fitted, test)
    return result


def _predicted(fitted: Fitted, rows: Encoded) -> Array:
    """The predictions, some thousand rows at a time."""
    starts = range(0, len(rows), _CHUNK)
    parts = [rows.take(np.arange(start, min(start + _CHUNK, len(rows)))) for start in starts]
    return np.concatenate([fitted.predict(part) for part in parts])


class _Kept:
    """The encoded rows: those for training on the disk, those that judge in memory.

    Args:
        job: what is done.
        schema: fitted.
        model: with the features.
        roles: of the rows.
        columns: all columns of the file, of which a part of JSON lines may lack some.
    """

    def __init__(
        self, job: Job, schema: Schema, model: TableModel, roles: _Roles, columns: list[str]
    ) -> None:
        self.job, self.schema, self.model, self.roles = job, schema, model, roles
        self.spool = DiskDataset()
        self.judges = 0
        self._columns = columns
        self._validation: list[tuple[dict[str, Array], Array, Array | None]] = []
        self._test: list[Encoded] = []
        self._rows = 0
        self._noted: set[str] = set()

    def take(self, part: pl.DataFrame) -> None:
        """Encode a part of the file."""
        import polars as pl

        absent = [name for name in self._columns if name not in part.columns]
        part = part.with_columns(pl.lit(None).alias(name) for name in absent)
        rows = self.schema.encode(part, target=True, source=self.job.source)
        for sentence in rows.notes:
            column = sentence.partition(":")[0]
            if column not in self._noted and "without a target" not in sentence:
                self._noted.add(column)
                self.job.say(f"{sentence} (in the first part of the file that has such)")
        role = self.roles.of(np.arange(self._rows, self._rows + len(rows)))
        self._rows += len(rows)
        for start in range(0, len(rows), _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, len(rows)))
            self._learn_from(rows.take(chunk[role[chunk] == _TRAIN]))
        judges = rows.take(np.flatnonzero(role == _VALIDATION))
        if len(judges):
            self._validation.append(self._example(judges))
            self.judges += len(judges)
        if (role == _TEST).any():
            self._test.append(rows.take(np.flatnonzero(role == _TEST)))

    def _learn_from(self, rows: Encoded) -> None:
        if len(rows):
            self.spool.append(*self._example(rows))

    def _example(self, rows: Encoded) -> tuple[dict[str, Array], Array, Array | None]:
        """What the network takes, the target as it is learned, and weights."""
        assert rows.target is not None
        scale = self.model.scale
        target = rows.target if scale is None else scale.transform(rows.target)
        weights = None
        if self.job.options.balance:
            weights = _balance(self.roles.counts, self.job.classes)[rows.target].astype(np.float32)
        return given(self.model.network, rows), target, weights

    def validation(self) -> Arrays:
        """The rows that choose the best weights."""
        inputs, targets, weights = zip(*self._validation, strict=True)
        joined = {name: np.concatenate([part[name] for part in inputs]) for name in inputs[0]}
        weight = None if weights[0] is None else np.concatenate(weights)
        return Arrays(joined, np.concatenate(targets), weight)

    def test(self) -> Encoded:
        """The rows for the report."""
        file = self.job.options.test
        if isinstance(file, str):
            return self.schema.encode(read_table(file), target=True, source=file)
        return _joined(self._test)


def _balance(counts: Array, classes: int) -> Array:
    """The weight of a row of each class: as `class_weights` gives it."""
    one_of_each = np.flatnonzero(counts)
    if not classes:
        class_weights(one_of_each, classes)  # it says what is wrong
    weights = np.zeros(classes)
    weights[one_of_each] = counts.sum() / (len(one_of_each) * counts[one_of_each])
    return weights


def _joined(parts: list[Encoded]) -> Encoded:
    def join(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return Encoded(*(join(name) for name in ("numeric", "category", "date", "target", "rows")))

"""Tables that are larger than memory: read in parts, kept on the disk as features, streamed.

Three passes over the file: one takes a sample of rows, from which the columns are understood; one
reads the target and deals the rows to training, validation and test; one encodes them. What is
learned from lies in a temporary file. Where the sample holds all rows, the result is that of
`train_table` in memory, to the bit; of larger tables

- kinds of columns, statistics and baselines come from 50,000 to 100,000 rows, evenly spread,
- above a million rows, each is dealt by itself, and their order is mixed in blocks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Encoded, Schema
from ...data.infer_target import without_target
from ...data.schema import known_targets
from ...data.split import split_in_time
from ...data.table_share import TableShare
from ...drawing.blocks import Section
from ...errors import ConfigError
from ...training import Arrays, DiskDataset
from ...utils import together
from ...utils.exchange import exchanged_arrays
from ...utils.random import generator
from ...utils.typing import Array
from ..evaluation import class_weights
from ..partition import KeyReader, Keys, Partition, combinations
from ..plan import Examples, Learner, Split
from . import inspection
from .defaults import choose
from .plan import TablePlan, features_of, learned, need_rows
from .sample import Sample, with_columns_of
from .targets import strata

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Up to so many rows are split as a whole, classes in proportion.
_AT_ONCE = 2**20
#: Rows that are encoded at once.
_CHUNK = 16_384
#: Rows whose roles are drawn at once.
_BLOCK = 16_384

_TRAIN, _VALIDATION, _TEST = 0, 1, 2


# ---- training, validation and test set -----------------------------------------------------------


@dataclass
class _Roles:
    """Which set each row with a target is in: by its index among them.

    Attributes:
        rows: how many there are.
        fractions: of validation and test.
        counts: of each class, in training and validation.
        before: rows with a target that other processes read, before those of this one.
        known: (n,) which rows of the sample have a target.
        numbers: (n,) their indices among the rows with a target.
        dealt: (rows,) the set of each, unless there are too many that are each by themselves.
    """

    seed: int
    rows: int = 0
    fractions: tuple[float, float] = (0.0, 0.0)
    counts: Array = field(default_factory=lambda: np.zeros(0))
    before: int = 0
    known: Array = field(default_factory=lambda: np.zeros(0, bool))
    numbers: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    dealt: Array | None = None

    def of(self, numbers: Array) -> Array:
        """The sets of these rows."""
        if self.dealt is not None:
            return self.dealt[numbers]
        return self.drawn(_uniform(numbers, self.seed))

    def drawn(self, u: Array) -> Array:
        """The sets of rows that have drawn these numbers from 0 to 1."""
        validation, test = self.fractions
        found = np.where(u < test, _TEST, np.where(u < test + validation, _VALIDATION, _TRAIN))
        return found.astype(np.int8)

    @property
    def learned(self) -> int:
        """How many rows are in training and validation set, about."""
        if self.dealt is not None:
            return int((self.dealt != _TEST).sum())
        return round(self.rows * (1 - self.fractions[1]))


def _targets_of_all(roles: _Roles, targets: list[Array]) -> list[Array]:
    """The targets of all processes, if they are few; what is counted becomes that of all."""
    if together.process_count() == 1:
        return targets
    counts = together.gathered(roles.rows)
    roles.before = sum(counts[: together.number()])
    own = {"known": roles.known, "numbers": np.where(roles.known, roles.numbers + roles.before, 0),
           "counts": roles.counts}  # fmt: skip
    roles.rows = sum(counts)
    if targets and roles.rows <= _AT_ONCE:
        own["targets"] = np.concatenate(targets)
    found = exchanged_arrays(own)
    roles.known = np.any([each["known"] for each in found], axis=0)
    roles.numbers = np.sum([each["numbers"] for each in found], axis=0)
    roles.counts = np.sum([each["counts"] for each in found], axis=0)
    return [each["targets"] for each in found if "targets" in each]


def _uniform(numbers: Array, seed: int) -> Array:
    """For each number one from 0 to 1, which follows from it and the seed."""
    found = np.empty(len(numbers))
    blocks, places = np.divmod(numbers, _BLOCK)
    for block in np.unique(blocks):
        inside = blocks == block
        found[inside] = generator(seed, "roles", block).random(_BLOCK)[places[inside]]
    return found


def _uniform_of_keys(keys: Array, seed: int) -> Array:
    """For each hash a number from 0 to 1, which follows from it and the seed (SplitMix64)."""
    x = keys.astype(np.uint64) + generator(seed, "roles").bit_generator.random_raw(1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((x ^ (x >> np.uint64(31))) / 2.0**64)


class _Kept:
    """The encoded rows: training rows on the disk, the others in memory.

    Args:
        plan: what is done.
        schema: fitted.
        learner: with the features.
        data: the file.
    """

    def __init__(
        self, plan: StreamedTablePlan, schema: Schema, learner: Learner, data: Scanned
    ) -> None:
        self.plan, self.schema, self.learner, self.roles = plan, schema, learner, data.roles
        self.on_disk = DiskDataset()
        self.validated = 0
        self._where, self._columns = data.scan.name, data.sample.frame
        self._validation: list[tuple[dict[str, Array], Array, Array | None]] = []
        self._test: list[Encoded] = []
        self._rows, self._place = data.roles.before, data.scan.before
        self._notes: dict[str, str] = {}

    def take(self, part: pl.DataFrame) -> None:
        """Encode a part of the file."""
        part = with_columns_of(self._columns, part)
        rows = self.schema.encode(part, target=True, source=self._where, strict=False)
        rows = dataclasses.replace(rows, rows=rows.rows + self._place)
        self._place += part.height
        for sentence in rows.notes:
            if "without a target" not in sentence:
                self._notes.setdefault(sentence.partition(":")[0], sentence)
        role = self.roles.of(np.arange(self._rows, self._rows + len(rows)))
        self._rows += len(rows)
        for start in range(0, len(rows), _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, len(rows)))
            train = rows.take(chunk[role[chunk] == _TRAIN])
            if len(train):
                self.on_disk.append(*self.example(train))
        validation = rows.take(np.flatnonzero(role == _VALIDATION))
        if len(validation):
            self._validation.append(self.example(validation))
        if (role == _TEST).any():
            self._test.append(rows.take(np.flatnonzero(role == _TEST)))

    def complete(self) -> None:
        """All parts are taken: those of other processes come in, and what is odd is said."""
        self.on_disk = self.on_disk.shared()
        self._validation = _of_all_examples(self._validation)
        self._test = _of_all_rows(self._test)
        self.validated = sum(len(target) for _, target, _ in self._validation)
        notes: dict[str, str] = {}
        for each in together.exchanged(json.dumps(self._notes).encode()):
            notes = json.loads(each) | notes
        for sentence in notes.values():
            self.plan.say(f"{sentence} (in the first part of the file that has such)")

    def example(self, rows: Encoded) -> tuple[dict[str, Array], Array, Array | None]:
        """What the network takes, the target as it is learned, and weights."""
        weights = rows.weights
        if self.plan.options.balance:
            classes = len(self.plan.classes(self.schema))
            weights = _balance(self.roles.counts, classes)[rows.target]
        weights = None if weights is None else weights.astype(np.float32)
        return features_of(self.learner, rows), learned(self.learner, rows), weights

    def validation(self) -> Arrays:
        """The rows that choose the best weights."""
        inputs, targets, weights = zip(*self._validation, strict=True)
        joined = {name: np.concatenate([part[name] for part in inputs]) for name in inputs[0]}
        weight = None if weights[0] is None else np.concatenate(weights)
        return Arrays(joined, np.concatenate(targets), weight)

    def test(self) -> Encoded:
        """The test rows."""
        return _joined(self._test)


def _balance(counts: Array, classes: int) -> Array:
    """The weight of a row of each class: as `class_weights` gives it."""
    one_of_each = np.flatnonzero(counts)
    if not classes:
        class_weights(one_of_each, classes)  # it says what is wrong
    weights = np.zeros(classes)
    weights[one_of_each] = counts.sum() / (len(one_of_each) * counts[one_of_each])
    return weights


_ENCODED = ("numeric", "category", "date", "target", "rows", "text", "image")


def _of_all_examples(
    parts: list[tuple[dict[str, Array], Array, Array | None]],
) -> list[tuple[dict[str, Array], Array, Array | None]]:
    """The examples of all processes, in their order."""
    named = [
        {f"input {name}": array for name, array in inputs.items()}
        | {"target": target}
        | ({} if weights is None else {"weights": weights})
        for inputs, target, weights in parts
    ]
    return [
        (
            {name[6:]: array for name, array in each.items() if name.startswith("input ")},
            each["target"],
            each.get("weights"),
        )
        for each in _of_all(named)
    ]


def _of_all_rows(parts: list[Encoded]) -> list[Encoded]:
    """The same of encoded rows."""
    names = (*_ENCODED, "weights")
    named = [{n: getattr(p, n) for n in names if getattr(p, n) is not None} for p in parts]
    found: list[dict[str, Any]] = [*_of_all(named)]
    return [Encoded(**each) for each in found]


def _of_all(parts: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """Arrays by name of all processes, in their order; of one process they stay in parts."""
    if together.process_count() == 1:
        return parts
    own = (
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    )
    return [each for each in exchanged_arrays(own) if each]


def _joined(parts: list[Encoded]) -> Encoded:
    def join(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    rows = Encoded(**{name: join(name) for name in _ENCODED})
    if parts[0].weights is None:
        return rows
    return dataclasses.replace(rows, weights=join("weights"))


# ---- the training --------------------------------------------------------------------------------


@dataclass(eq=False)
class Scanned:
    """A file, a sample of it, what its columns mean, the set of each row, and what is kept."""

    scan: TableShare
    sample: Sample
    schema: Schema
    roles: _Roles
    kept: _Kept | None = None

    def __len__(self) -> int:
        return self.sample.rows


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """The rows of one set of a scanned file."""

    data: Scanned
    role: int

    def __len__(self) -> int:
        kept = self.data.kept
        if kept is None:
            return 0
        if self.role == _TEST:
            return len(kept.test())
        return len(kept.on_disk) if self.role == _TRAIN else kept.validated

    @property
    def target(self) -> Array:
        """Class indices, or numbers."""
        raise NotImplementedError

    def sampled(self, *roles: int) -> pl.DataFrame:
        """The rows of some sets that are in the sample."""
        roles_, sample = self.data.roles, self.data.sample
        frame = sample.frame.filter(roles_.known)
        return frame.filter(np.isin(roles_.of(roles_.numbers[roles_.known]), roles))

    def encoded(self, schema: Schema) -> Encoded:
        """The test rows, or those of a training or validation set that are in the sample."""
        if self.role == _TEST:
            assert self.data.kept is not None
            return self.data.kept.test()
        return self._encoded(schema, self.role)

    def seen(self, schema: Schema) -> Encoded:
        """The rows of training and validation set that are in the sample."""
        return self._encoded(schema, _TRAIN, _VALIDATION)

    def _encoded(self, schema: Schema, *roles: int) -> Encoded:
        return schema.encode(self.sampled(*roles), target=True, source=self.data.scan.name)


class StreamedTablePlan(TablePlan):
    """A table that is read in parts."""

    def read(self, source: Any) -> Scanned:
        """A sample of the rows; the set of each row."""
        if self.options.balance and self.options.weight:
            raise ConfigError(
                "A table that is read in parts can have weights of rows or balanced classes.",
                where=str(source),
                expected="one of the two",
                found=f"--balance and --weight {self.options.weight}",
                hint="Put both into one column of weights.",
            )
        if self.options.cv:
            raise ConfigError(
                "Cross-validation needs the whole table in memory.",
                where=str(source),
                found=f"cv={self.options.cv}",
                hint="Omit it: so many rows give a reliable report without it.",
            )
        scan = TableShare(source)
        for sentence in scan.notes:
            self.say(sentence)
        sample = Sample(scan, self.options.target, self.say)
        schema = self.understood(sample.frame, scan.name)
        schema = dataclasses.replace(schema, reading=scan.reading)
        self.say(
            f"the file is read in parts: {sample.rows:,} rows; the columns are understood from "
            f"{sample.frame.height:,} of them"
        )
        return Scanned(scan, sample, schema, self._dealt(scan, sample, schema))

    def _dealt(self, scan: TableShare, sample: Sample, schema: Schema) -> _Roles:
        """Read the target of all rows, and what they are split by; deal these as in memory."""
        options, classes = self.options, len(self.classes(schema))
        roles = _Roles(options.seed)
        roles.known = np.zeros(len(sample.places), bool)
        roles.numbers = np.zeros(len(sample.places), np.int64)
        reader = KeyReader(sample.frame, schema, options, scan.name)
        targets: list[Array] = []
        keys: list[Keys] = []
        roles.counts = np.zeros(classes)
        start = scan.before
        for part in scan.parts():
            target = schema.read_target(part, scan.name, strict=False)
            known = known_targets(target)
            before: Array = np.cumsum(known) - known
            inside = (sample.places >= start) & (sample.places < start + part.height)
            places = sample.places[inside] - start
            roles.known[inside] = known[places]
            roles.numbers[inside] = roles.rows + before[places]
            if roles.rows <= _AT_ONCE:
                targets.append(target[known])
            keys.append(reader.read(with_columns_of(sample.frame, part).filter(known)))
            if classes:
                roles.counts += np.bincount(target[known], minlength=classes)
            roles.rows += int(known.sum())
            start += part.height
        targets = _targets_of_all(roles, targets)
        if lost := sample.rows - roles.rows:
            self.say(without_target(lost))
        need_rows(roles.rows, scan.name)
        test = 0.0 if isinstance(options.test, str) else choose(options, roles.rows).test
        held_out = self.defaults(round(roles.rows * (1 - test))).held_out
        roles.fractions = (1 - test) * held_out, test
        self._deal(roles, reader, Keys.of_all(keys), targets, sample.frame, schema)
        return roles

    def _deal(
        self,
        roles: _Roles,
        reader: KeyReader,
        keys: Keys,
        targets: list[Array],
        sample: pl.DataFrame,
        schema: Schema,
    ) -> None:
        """As in memory; of very many rows each by its keys, or by itself."""
        where = reader.where
        sample, inside = sample.filter(roles.known), roles.numbers[roles.known]
        different = combinations(schema, sample, where)
        if roles.rows <= _AT_ONCE:
            target = np.concatenate(targets)
            partition, notes = reader.partition(keys, lambda: different, target)
            self.note(*notes)
            self._deal_at_once(roles, partition, strata(schema.targets, target))
            if classes := len(self.classes(schema)):
                roles.counts = np.bincount(target[roles.dealt != _TEST], minlength=classes)
        else:
            partition = Partition(groups=keys.cells)
            self._deal_each(roles, keys, different)
        copies = partition.take(inside).groups
        self.note(*self.warned(sample, schema, copies, where))

    def _deal_at_once(self, roles: _Roles, partition: Partition, strata: Array | None) -> None:
        """The same split as in memory."""
        test, seed = roles.fractions[1], self.options.seed
        dealt = np.full(roles.rows, _TRAIN, np.int8)
        learned = np.arange(roles.rows)
        if test:
            learned, tests = partition.split(roles.rows, (1 - test, test), seed, strata)
            dealt[tests] = _TEST
        held_out = self.defaults(len(learned)).held_out
        parts, strata = (1 - held_out, held_out), None if strata is None else strata[learned]
        _, validation = partition.take(learned).split(len(learned), parts, seed + 1, strata)
        dealt[learned[validation]] = _VALIDATION
        roles.dealt = dealt

    def _deal_each(self, roles: _Roles, keys: Keys, different: float) -> None:
        """By time; each group, or all copies of a row, at once; rows by themselves when asked."""
        validation, test = roles.fractions
        if keys.times is not None:
            fractions = (1 - validation - test, validation, test)
            roles.dealt = np.full(roles.rows, _TRAIN, np.int8)
            for role, rows in enumerate(split_in_time(keys.times, fractions)):
                roles.dealt[rows] = role
        elif keys.groups is not None:
            alone = np.arange(1, roles.rows + 1, dtype=np.uint64)
            hashes = np.where(keys.groups == 0, alone, keys.groups)
            roles.dealt = roles.drawn(_uniform_of_keys(hashes, roles.seed))
        elif different > roles.rows:
            assert keys.cells is not None
            roles.dealt = roles.drawn(_uniform_of_keys(keys.cells, roles.seed))

    def split(self, data: Scanned) -> Split[StreamedRows]:
        """As every row was dealt."""
        test = None if isinstance(self.options.test, str) else StreamedRows(data, _TEST)
        return Split(StreamedRows(data, _TRAIN), StreamedRows(data, _VALIDATION), test)

    def understand(self, split: Split[StreamedRows]) -> Schema:
        """The statistics of the training rows of the sample."""
        data = split.train.data
        return self.adopted(data.schema.fit(split.train.sampled(_TRAIN), source=data.scan.name))

    def size(self, data: Scanned) -> dict[str, Any]:
        """How many rows and columns the file has."""
        return {"rows": len(data), "columns": len(data.schema.columns), "in_parts": True}

    def profile(self, schema: Schema, split: Split[StreamedRows]) -> list[Section]:
        """Target and columns, in the training rows of the sample."""
        roles = split.train.data.roles
        counts = (
            f"{roles.learned:,} rows to learn from and to validate, "
            f"{roles.rows - roles.learned:,} to test; the pictures are of a sample."
        )
        return inspection.profile(schema, split.train.encoded(schema), counts)

    def count(self, split: Split[StreamedRows]) -> int:
        """Known before anything is encoded."""
        return split.train.data.roles.learned

    def examples(
        self, schema: Schema, learner: Learner, split: Split[StreamedRows]
    ) -> tuple[Examples, Examples]:
        """Training rows lie in a temporary file."""
        data = split.train.data
        data.kept = kept = _Kept(self, schema, learner, data)
        for part in data.scan.parts():
            kept.take(part)
        kept.complete()
        self.say(
            f"{len(kept.on_disk):,} rows for training lie in a temporary file of "
            f"{kept.on_disk.bytes / 1e6:,.0f} MB, which goes away"
        )
        sampled = split.train.encoded(schema)
        self.solved_on = Arrays(*kept.example(sampled))
        return kept.on_disk.stream(), kept.validation()

    def seen(self, schema: Schema, split: Split[StreamedRows]) -> Encoded:
        """Those that are in the sample."""
        return split.train.seen(schema)

    def predict(self, schema: Schema, learner: Learner, trainer: Any, part: Any) -> Array:
        """Some thousand rows at a time."""
        rows = part.encoded(schema)
        starts = range(0, len(rows), _CHUNK)
        chunks = [rows.take(np.arange(start, min(start + _CHUNK, len(rows)))) for start in starts]
        return np.concatenate([trainer.predict(features_of(learner, chunk)) for chunk in chunks])

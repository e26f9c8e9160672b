"""Files with a class or a number each, as a plan of the runner."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from ...data import Target
from ...data.infer_target import notes_on_classes
from ...drawing.blocks import Block, Section
from ...errors import ConfigError, DataError
from ...training import Stream
from ...utils import together
from ...utils.exchange import exchanged_arrays
from ...utils.typing import Array
from ..class_folders import TEST, TRAIN, VALIDATION
from ..evaluation import class_weights, constant_prediction
from ..kinds.media import MediaOptions
from ..linear_baseline import linear_model
from ..members import Members, adapted_state, member_seed
from ..partition import Partition
from ..plan import Examples, Learner, Plan, Recipe, Split, split_rows
from ..scaling import TargetScaler, log_is_better
from ..tested import Tested
from ..warm_start import named_model, warm_start
from . import inspection
from .copies import Signatures, copies, digests_of_files, grouped
from .ensemble import MEMBERS, TURNS, named, rescale, rounds_of, side_by_side
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
from .trials import Trials

T = TypeVar("T")

#: Up to so many files are read once before the training, so that a bad one is found at once.
_FEW = 20_000
#: Up to so many files the test set is a fifth, otherwise a tenth.
_SMALL = 10_000
#: So many files are enough for the linear model.
_LINEAR = 4_000
#: Up to so many files are all tested, in turns; of fewer than the least, classes are lost.
_LEAST, _ALL_TESTED = 20, 100
#: Of fewer files none are held out to choose weights by.
FEW_FILES = 250
#: What differs between files that are copies of each other.
_ANSWER = {True: "classes", False: "numbers"}
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
        self._schema: Any = None
        self._test: FilePart | None = None
        self._copies: tuple[int, int] | None = None
        self._partition = Partition()
        self._changes: tuple[tuple[str, ...], str] | None = None
        #: Whether each file is taken at its own mean and contrast; None before it was tried.
        self._contrast: bool | None = None
        #: All files, where the networks of several folds are averaged; how many there are so far.
        self._everything: Split[FilePart] | None = None
        self._built = 0

    def reader(self, schema: Any, files: Files) -> FileReader:
        """The files as arrays, which stay in memory if they fit there."""
        if id(files) not in self._readers:
            read = functools.partial(self.medium.read, schema)
            reader = FileReader(files.paths, read, schema.shape, schema.dtype)
            self._readers[id(files)] = files, reader
        return self._readers[id(files)][1]

    # ---- data ------------------------------------------------------------------------------------

    def read(self, source: Any) -> FilePart:
        """The files of class folders, or of a table with a column of paths."""
        files, target = find_labelled(source, self.medium.file_type, self.options)
        for note in files.notes:
            self.say(note)
        if target.classes and files.target is not None:
            counts = np.bincount(files.target, minlength=len(target.classes))
            by_chance = None if files.parts is not None else counts
            unit = self.unit.removesuffix("s")
            for note in notes_on_classes(target.classes, by_chance, unit=unit):
                self.say(note)
        return FilePart.of(files, target, self.options.balance)

    def split(self, data: FilePart) -> Split[FilePart]:
        """By the folders where they say it, otherwise by chance, classes in proportion.

        Copies stay together. What cannot be read is out before, so that it is in no part.
        """
        data, copies = self._ready(data)
        if data.files.parts is not None:
            return self._with_different(self._split_by_parts(data, copies), copies)
        strata = data.target if data.column.classes else None
        test = 0.2 if len(data) <= _SMALL else 0.1
        with self._told_of(copies, data):
            split = split_rows(
                data, self.options, strata, self.unit, test=test, fewest=_FEWEST,
                partition=self._partition.take(data.rows),
            )  # fmt: skip
        split = self._few(self._without_later_copies(split, copies))
        return self._with_different(split, copies)

    @contextlib.contextmanager
    def _told_of(self, copies: Array | None, data: FilePart) -> Iterator[None]:
        """What cannot be split because of copies is refused with how many there are."""
        try:
            yield
        except DataError as error:
            if copies is None or self.options.splits_by:
                raise
            different = len(np.unique(copies[data.rows]))
            classes = f" of {len(data.column.classes)} classes" if data.column.classes else ""
            raise DataError(
                f"There are too few different {self.unit} to hold some out.",
                where=data.files.source,
                expected=error.expected,
                found=f"{different:,} different ones{classes} among {len(data):,}: the others are "
                "copies of them, or nearly",
                hint=f"add other {self.unit}; a copy that is held out tests nothing",
            ) from None

    def _with_different(self, split: Split[FilePart], copies: Array | None) -> Split[FilePart]:
        """A split, if there are two different files at least to train on."""
        rows = split.train.rows
        different = rows if copies is None else np.unique(copies[rows])
        if len(different) > 1:
            return split
        raise DataError(
            f"There are too few different {self.unit} to train on.",
            where=split.train.files.source,
            expected="two at least, which are not held out",
            found=f"{len(rows):,} {self.unit}, of which {len(different)} "
            f"{'is' if len(different) == 1 else 'are'} different: the others are copies",
            hint=f"add other {self.unit}, or remove copies from the part that is held out",
        )

    def fold_count(self, data: FilePart) -> int:
        """Few files are all tested, in turns, unless the user or the folders say the test set."""
        if self.options.cv:
            return self.options.cv
        said = data.files.parts is not None or self.options.split_by_time
        if said or self.options.test is not None or not _LEAST <= len(data) <= _ALL_TESTED:
            return 0
        return TURNS

    def folds(self, data: FilePart, count: int) -> list[Split[FilePart]]:
        """Each file is tested once, or in each of several rounds, by networks that did not see it.

        Of few files the model is the mean of these networks, unless the user asks for a single one;
        otherwise the last split has all to learn from, and tests none.
        """
        chosen = self.options.cv is None
        data, copies = self._ready(data)
        averaged = chosen and self.options.members != 1
        rounds = rounds_of(self.options.members or MEMBERS) if averaged else [count]
        splits = []
        for number, wanted in enumerate(rounds):
            for train, test in self._folds(data, copies, wanted, number, chosen):
                split = self._within(data.take(train), data.take(test))
                split = self._without_later_copies(split, copies)
                splits.append(self._with_different(split, copies))
        everything = self._within(data, None)
        if chosen:
            self._say_folds(len(data), len(splits), len(rounds), averaged)
        if averaged:
            self._everything = everything
            return splits
        return [*splits, everything]

    def _folds(
        self, data: FilePart, copies: Array | None, count: int, number: int, fewer: bool
    ) -> list[tuple[Array, Array]]:
        """The folds of a round; fewer of them where so few files are no copies of each other."""
        strata = data.target if data.column.classes else None
        partition, seed = self._partition.take(data.rows), member_seed(self.options.seed, number)
        while True:
            try:
                return partition.folds(len(data), count, seed, strata)
            except DataError:  # so few are not copies of each other, or of a class
                if not fewer or count == 2:
                    with self._told_of(copies, data):
                        raise
                count -= 1

    def _say_folds(self, files: int, count: int, rounds: int, averaged: bool) -> None:
        told = f"{files:,} {self.unit} are few: all are tested, each by"
        if averaged:
            by = "a network that was" if rounds == 1 else f"{rounds} networks that were"
            self.say(
                f"{told} {by} trained on others, and the model is the mean of all {count} "
                "networks; --members 1 keeps a single one, --test 0.2 tests a fifth once"
            )
        else:
            self.say(
                f"{told} a network that was trained on the others ({count} folds); --test 0.2 "
                "tests a fifth once"
            )

    def averaged(self, schema: Any, learners: Sequence[Learner]) -> tuple[Split[FilePart], Learner]:
        """The networks side by side; numbers are brought to one scale, that of all files."""
        everything, last = self._everything, learners[-1]
        assert everything is not None
        scale = last.model.scale
        if scale is not None:
            scale = TargetScaler(scale.log).fit(everything.train.target)
            for each in learners:
                rescale(each.network.head, each.model.scale, scale)
        network = Members([each.network for each in learners])
        model = MediaModel(network, scale)
        name = named(last.name, len(learners))
        note = note_of(last.augment.changes if last.augment else (), "")
        return everything, dataclasses.replace(
            last, network=network, model=model, output=model.output, name=name, note=note
        )

    def places(self, part: FilePart) -> Array | None:
        """Which files."""
        return part.rows

    def _within(self, learned: FilePart, test: FilePart | None) -> Split[FilePart]:
        """A part of what is learned from chooses the weights, unless there is little of it."""
        if self._all_train(len(learned)):
            return Split(learned, learned, test)
        fraction = self.options.validation or 0.1
        strata = learned.target if learned.column.classes else None
        train, validation = self._partition.take(learned.rows).split(
            len(learned), (1 - fraction, fraction), self.options.seed + 1, strata
        )
        return Split(learned.take(train), learned.take(validation), test)

    def _all_train(self, count: int) -> bool:
        """Whether no files are held out to choose weights: few would choose by chance."""
        options = self.options
        return count < FEW_FILES and options.validation is None and options.patience is None

    def _few(self, split: Split[FilePart]) -> Split[FilePart]:
        both = np.sort(np.concatenate([split.train.rows, split.validation.rows]))
        if not self._all_train(len(both)):
            return split
        everything = dataclasses.replace(split.train, rows=both)
        return Split(everything, everything, split.test)

    def _ready(self, data: FilePart) -> tuple[FilePart, Array | None]:
        """What can be read and is not tested, and which of all files are copies of each other."""
        data = self._usable(data)
        if isinstance(self.options.test, str):
            data = self._without_copies_of(self.read_test(self._schema), data)
        copies = self._copies_in(data)
        self._partition = data.files.partition.with_copies(copies)
        return data, copies

    def understand(self, split: Split[FilePart]) -> Any:
        """How files are decoded, from a sample of all."""
        return self._understood(split.train)

    def _understood(self, data: FilePart) -> Any:
        if self._schema is None:
            medium = self.medium
            self._schema = medium.understand(data.files, data.column, self.options, self.say)
        return self._schema

    def _usable(self, data: FilePart) -> FilePart:
        """Without files that cannot be read; very many are not all tried."""
        schema = self._understood(data)
        if len(data) > _FEW and not self.options.skip_bad:
            return data
        good = readable(self, self.reader(schema, data.files), data.rows)
        kept = data.take(np.flatnonzero(np.isin(data.rows, good)))
        if lost := _lost_classes(data, kept):
            label = data.column.classes[lost[0]]
            raise DataError(
                f"No file of the class {label!r} can be read.",
                where=data.files.source,
                found=f"{int((data.target == lost[0]).sum()):,} {self.unit} that cannot be read",
                hint=f"mend or convert them, or move the folder {label!r} away to do without it",
            )
        return kept

    def check(self, schema: Any, split: Split[FilePart]) -> Split[FilePart]:
        """Of very many files, those that validate and test."""
        if len(split.train.files) <= _FEW or self.options.skip_bad:
            return split
        parts = [split.validation, *([split.test] if split.test else [])]
        rows = np.sort(np.concatenate([part.rows for part in parts]))
        readable(self, self.reader(schema, split.train.files), rows)
        return split

    def read_test(self, schema: Any) -> FilePart:
        """The files of the test folder or table."""
        if self._test is None:
            files = find_known(self.options.test, self.medium.file_type, schema.target)
            for note in files.notes:
                self.say(note)
            good = readable(self, self.reader(schema, files), np.arange(len(files)))
            self._test = FilePart.of(files, schema.target).take(good)
        return self._test

    # ---- copies and parts ------------------------------------------------------------------------

    def _signatures(self, part: FilePart) -> Signatures:
        """What files are compared by: of very many only their bytes."""
        if len(part.files) > _FEW:
            return digests_of_files(part.files.paths[row] for row in part.rows)
        schema = self._schema

        def signed(batch: Array) -> Signatures:
            return Signatures.of(batch, self.medium.pictures(schema, batch))

        reader = self.reader(schema, part.files)
        if reader.is_cached:
            return Signatures.joined(computed(signed, reader, part.rows))
        own = together.own_part(len(part))  # of several processes each reads a part of the files
        found = computed(signed, reader, part.rows[own.start : own.stop])
        return Signatures.joined(found).of_all()

    def _copies_in(self, data: FilePart) -> Array | None:
        """(files,) which of all files are copies of each other; None if there are none."""
        signatures = self._signatures(data)
        groups, alike = grouped(signatures)
        if blank := signatures.blank:
            self.say(f"{blank:,} of {len(data):,} {self.unit} are {self.medium.blank}")
        if alike:
            self.say(
                f"most of {len(data):,} {self.unit} look nearly the same: they are taken for "
                "different ones, split by chance; if they are copies, or frames of one recording, "
                "new ones will be answered worse than the figures say"
            )
        names, counts = np.unique(groups, return_counts=True)
        several = names[counts > 1]
        if not len(several):
            return None
        if len(names) == 1:
            raise DataError(
                f"All {self.unit} are copies of one, or nearly.",
                where=data.files.source,
                expected=f"different {self.unit}",
                found=f"{len(data):,} copies of {data.files.paths[data.rows[0]]}",
                hint=f"add other {self.unit}: nothing can be learned from one",
            )
        self._copies = int(counts[counts > 1].sum()), len(several)
        mixed = sum(len(set(data.target[groups == group].tolist())) > 1 for group in several)
        differ = f"; in {mixed:,} of them the {_ANSWER[bool(data.column.classes)]} differ"
        self.say(
            f"{self._copies[0]:,} of {len(data):,} {self.unit} are copies of others, or nearly: "
            f"{len(several):,} groups, each on one side of the split{differ if mixed else ''}"
        )
        of_file = -1 - np.arange(len(data.files))
        of_file[data.rows] = groups
        return of_file

    def _without_later_copies(
        self, split: Split[FilePart], copies: Array | None
    ) -> Split[FilePart]:
        """Of a split in time: what is held out is not trained on as a copy of before."""
        if copies is None or self._partition.times is None:
            return split
        train, validation, test = split.train, split.validation, split.test
        tested = copies[:0] if test is None else copies[test.rows]

        def without(part: FilePart, held_out: Array) -> FilePart:
            return part.take(np.flatnonzero(~np.isin(copies[part.rows], held_out)))

        kept = without(train, tested)
        if validation is not train:
            kept = without(kept, copies[validation.rows])
        later = kept if validation is train else without(validation, tested)
        if lost := len(train) - len(kept):
            self.say(f"{lost:,} {self.unit} with later copies that are held out are left out")
        return Split(kept, later, test)

    def _without_copies_of(self, test: FilePart, data: FilePart) -> FilePart:
        """Without what the test set has, too."""
        first, second = self._signatures(test), self._signatures(data)
        if first.pictures is None or second.pictures is None:
            first, second = (digests_of_files(each.files.paths[row] for row in each.rows)
                             for each in (test, data))  # fmt: skip
        groups = copies(Signatures.joined([first, second]))
        twice = np.isin(groups[len(test) :], groups[: len(test)])
        if twice.all():
            raise DataError(
                f"All {self.unit} to train on are copies of those to test.",
                where=data.files.source,
                expected=f"other {self.unit} than in {test.files.source}",
                found=f"{len(data):,} copies",
                hint="name another test set, or --test 0.2 to hold out a fifth",
            )
        if twice.any():
            self.say(
                f"{int(twice.sum()):,} {self.unit} to train on are copies of those to test, or "
                "nearly, and are left out"
            )
        return data.take(np.flatnonzero(~twice))

    def _split_by_parts(self, data: FilePart, copies: Array | None) -> Split[FilePart]:
        """As folders, or a column of the table, say; what they leave open is by chance."""
        if isinstance(self.options.test, float):
            raise ConfigError(
                "The data are split already.",
                where=data.files.source,
                found=f"--test {self.options.test:g}",
                hint="Omit --test, or name the folder of the training set alone.",
            )
        assert data.files.parts is not None
        groups = None if copies is None else copies[data.rows]
        said = data.files.parts[data.rows]
        train, validation, test = (
            np.flatnonzero(said == name) for name in (TRAIN, VALIDATION, TEST)
        )
        if isinstance(self.options.test, str):
            test = train[:0]
        elif not len(test):
            test, validation = validation, train[:0]
        if groups is not None:  # a copy is tested, not trained on
            for held_out in (validation, test):
                train = train[~np.isin(groups[train], groups[held_out])]
            validation = validation[~np.isin(groups[validation], groups[test])]
            lost = len(data) - len(train) - len(validation) - len(test)
            self.say(f"{lost:,} {self.unit} with copies in a part that is held out are left out")
        tested = None if isinstance(self.options.test, str) else data.take(test)
        if not len(validation):
            return self._within(data.take(train), tested)
        return Split(data.take(train), data.take(validation), tested)

    def size(self, data: FilePart) -> dict[str, Any]:
        """How many files there are, and how many of them are copies."""
        size = {"rows": len(data)}
        if self._copies is not None:
            size |= {"copies": self._copies[0], "groups_of_copies": self._copies[1]}
        return size

    # ---- network ---------------------------------------------------------------------------------

    def build(self, schema: Any, split: Split[FilePart]) -> Learner:
        """The network that the medium's rules choose; several side by side if the user says so.

        Of few files a network of each fold is built in its turn.
        """
        train, first = split.train, self._built
        count = self.options.members or 1
        if self._everything is not None:
            count, self._built = 1, first + 1
        reader = self.reader(schema, train.files)
        designs = [
            self._design(schema, reader, train.rows, first + number) for number in range(count)
        ]
        scaler = None
        if not schema.classes:
            everything = self._everything  # one scale for all networks of which a mean is taken
            log = None if everything is None else log_is_better(everything.train.target)
            scaler = TargetScaler(log).fit(train.target)
        held_out = f"{len(split.validation):,} others choose the best weights"
        if split.validation is split.train:
            held_out = "they are too few to choose weights by others: the last are kept"
        return learner_of(schema, side_by_side(designs), scaler, held_out)

    def _design(self, schema: Any, reader: FileReader, rows: Array, number: int) -> Design:
        """The network of a member, with its first weights."""
        options = dataclasses.replace(self.options, seed=member_seed(self.options.seed, number))
        design = self.medium.design(schema, options, reader, rows)
        design.network.initialize(options.seed)
        return design

    def warm_start(self, schema: Any, learner: Learner) -> None:
        """The weights of another model, of one network or several."""
        if (saved := named_model(self.options)) is None:
            return
        paths = learner.model.variables()
        state = adapted_state(saved.state(), paths, max(self._built - 1, 0))
        warm_start(
            learner.model, self.options, classes=self.classes(schema), say=self.say, state=state,
            saved=saved,
        )  # fmt: skip

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

    def tried(
        self, schema: Any, learner: Learner, split: Split[FilePart], trial: Callable[[], Any],
        recipe: Recipe, steps: int,
    ) -> Learner:  # fmt: skip
        """As short trials say: few files at their own contrast, and without harmful changes.

        Changes that the user has named are not tried.
        """
        train = split.train
        trials = self._trials(schema, learner, train, trial, recipe, steps)
        groups = self._partition.take(train.rows).groups
        if self._contrast is None:
            self._contrast = self._own_contrast(schema, learner, trials, train, groups)
        if self._contrast:
            self.medium.at_own_contrast(learner.network, schema, True)
        if learner.augment is None or self.options.augment is not None:
            return learner
        if self._changes is None:
            changes: tuple[str, ...] = learner.augment.changes
            self._changes = trials.kept(changes, train.target, groups, self.options.seed)
        kept, told = self._changes
        if told:
            self.say(f"{self.unit}: {told}")
        if kept == learner.augment.changes:
            return learner
        augment = dataclasses.replace(learner.augment, changes=kept) if kept else None
        held_out = learner.note.partition("; ")[2]
        return dataclasses.replace(learner, augment=augment, note=note_of(kept, held_out))

    def _own_contrast(
        self, schema: Any, learner: Learner, trials: Trials, train: FilePart, groups: Array | None
    ) -> bool:
        """Whether few files are taken each at its own mean and contrast."""
        vary = functools.partial(self.medium.at_own_contrast, learner.network, schema)
        if self.options.from_model or len(train) >= FEW_FILES or vary(False) is None:
            return False
        if self.options.minutes is not None:  # the trials take half as long as all that follows
            self.say(f"with --minutes it is not tried to take {self.unit} at their own contrast")
            return False
        changes = () if learner.augment is None else learner.augment.changes
        told = trials.better(vary, changes, train.target, groups, self.options.seed)
        if told:
            self.say(f"{self.unit} are taken at their own mean and contrast: in a trial the {told}")
        return bool(told)

    def settle(
        self, schema: Any, learner: Learner, validation: Examples, trainer: Any,
        split: Split[FilePart],
    ) -> Any:  # fmt: skip
        """The schema says how the network takes files."""
        if not self._contrast:
            return schema
        return self.medium.at_own_contrast(learner.network, schema, True)

    def _trials(
        self, schema: Any, learner: Learner, train: FilePart, trial: Callable[[], Any],
        recipe: Recipe, steps: int,
    ) -> Trials:  # fmt: skip
        full, reader = learner.augment, self.reader(schema, train.files)

        def stream(changes: tuple[str, ...]) -> Stream:
            augment = dataclasses.replace(full, changes=changes) if changes else None
            return self._streamed(schema, learner, train, augment)

        def changed(change: str | None, rows: Array) -> tuple[Array, Array]:
            files = train.rows[rows]
            batch = reader(files)
            if change is not None:
                batch = dataclasses.replace(full, changes=(change,))(batch, files, 1)[0]
            return batch.astype(np.float32), train.target[rows]

        return Trials(
            learner.network, trial, stream, changed, recipe.batch_size, steps, bool(schema.classes)
        )

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

    def more_tests(self, report: dict[str, Any]) -> str:
        """Cross-validation, where there is none."""
        return "" if report.get("cv") or self.options.test is not None else "--cv 5 tests on all."

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

    # ---- pictures --------------------------------------------------------------------------------

    def profile(self, schema: Any, split: Split[FilePart]) -> list[Section]:
        """Files of each class, and some of them."""
        return inspection.profile(self, schema, split)

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """Their pictures."""
        return inspection.files_as_they_are(self, picked, said)

    def inside(self, tested: Tested) -> list[Section]:
        """Filters and saliency."""
        return inspection.inside(self, tested)

    def _features(self, schema: Any, part: FilePart) -> Iterator[Array]:
        features = functools.partial(self.medium.features, schema)
        reader = self.reader(schema, part.files)
        if reader.is_cached or together.process_count() == 1:
            return computed(features, reader, part.rows)
        own = together.own_part(len(part))  # of several processes each reads a part of the files
        found = [*computed(features, reader, part.rows[own.start : own.stop])]
        parts = exchanged_arrays({"x": np.concatenate(found)} if found else {})
        return iter([each["x"] for each in parts if each])


def _lost_classes(before: FilePart, after: FilePart) -> list[int]:
    return np.setdiff1d(before.target, after.target).tolist() if before.column.classes else []


def learner_of(
    schema: Schema, design: Design, scaler: TargetScaler | None, note: str = ""
) -> Learner:
    """What is trained of a network for files."""
    model = MediaModel(design.network, scaler)
    return Learner(
        design.network,
        smoothed_cross_entropy if schema.classes else squared,
        design.name,
        model,
        model.output,
        example=np.zeros((2, *schema.shape), np.float32),
        augment=design.augment,
        note=note_of(design.changes, note),
    )


def note_of(changes: tuple[str, ...], more: str) -> str:
    """How files are changed, in words, and more."""
    said = f"changed at random by {', '.join(changes)}" if changes else "unchanged"
    return f"{said}; {more}"


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
            hint=f"{first.hint + '; ' if first.hint else ''}--skip-bad leaves such files out and "
            "lists them",
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

    mixed = augment is not None and "mixup" in augment.changes
    return Stream(load, target, weights=weights, apart=not mixed)


def computed(compute: Callable[[Array], T], reader: FileReader, rows: Array) -> Iterator[T]:
    """Part by part, so that memory does not grow with the number of files."""
    for start in range(0, len(rows), CHUNK):
        yield compute(reader(rows[start : start + CHUNK]))

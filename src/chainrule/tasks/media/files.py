"""Files with what is to be predicted of each: by the folder they are in, or by a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...data import Schema, Target, infer_target, read_table, source_name
from ...data.column_names import listed
from ...data.infer import telling_columns
from ...data.infer_target import without_target
from ...errors import ConfigError, DataError
from ...utils.typing import Array
from ..class_extension import new_classes
from ..class_folders import (
    TRAIN,
    ClassFolders,
    files_of,
    find_class_folders,
    in_order,
    label_of,
    role_of,
    said_left_out,
    subfolders,
)
from ..detection import files_in
from ..examples import class_by_folder, no_target
from ..kinds.media import MediaOptions
from ..partition import Partition, partition_of

if TYPE_CHECKING:
    import polars as pl


#: Names of a table's column that says which part of a split a row belongs to.
_PART_COLUMNS = {"split", "subset", "set", "part", "partition", "phase", "usage", "fold", "dataset"}


@dataclass(frozen=True)
class FileType:
    """Which files belong to a medium: what they are called, and how their names end."""

    noun: str
    endings: tuple[str, ...]

    def belongs(self, path: str) -> bool:
        """Whether a file is called like one."""
        return path.lower().endswith(self.endings)


@dataclass(frozen=True, eq=False)
class Files:
    """Files, and the target of each if it is known.

    Attributes:
        paths: where they are.
        target: (n,) class indices from 0, or numbers to predict; None if not known.
        source: where they come from, for messages.
        notes: what was left out.
        parts: (n,) `TRAIN`, `VALIDATION` or `TEST` of each, where the data are split already.
        partition: how they may be split otherwise.
    """

    paths: Sequence[str]
    target: Array | None
    source: str
    notes: list[str] = field(default_factory=list)
    parts: Array | None = None
    partition: Partition = field(default_factory=Partition)

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Array) -> Files:
        """These files, in this order."""
        target, parts = (None if x is None else x[rows] for x in (self.target, self.parts))
        return Files([self.paths[row] for row in rows], target, self.source, parts=parts,
                     partition=self.partition.take(rows))  # fmt: skip

    def sample(self, count: int, each: int) -> list[int]:
        """About so many rows, evenly spread, and from each class at least ``each``, in turns."""
        rows = np.arange(len(self))
        if self.target is None or self.target.dtype.kind == "f":
            return [*range(0, len(self), max(len(self) // count, 1))]
        _, sizes = np.unique(self.target, return_counts=True)
        each = max(each, count // max(len(sizes), 1))
        chosen: list[int] = []
        turn: list[int] = []
        for label in np.unique(self.target):
            own = rows[self.target == label]
            own = own[np.unique(np.linspace(0, len(own) - 1, min(each, len(own))).astype(int))]
            chosen += own.tolist()
            turn += range(len(own))
        return [chosen[i] for i in np.lexsort((chosen, turn))]


def find_files(source: Any, file_type: FileType) -> Files:
    """The files of a folder, at any depth, or of a table's column, or the one file itself.

    Raises:
        DataError: there are none.
    """
    name = source_name(source)
    if isinstance(source, str | Path) and Path(source).is_dir():
        left_out: Counter[str] = Counter()
        found = files_of(source, file_type.belongs, left_out)
        notes = said_left_out(left_out, file_type.noun)
        if not found:
            raise _none_there(name, file_type, notes)
        return Files(found, None, name, notes)
    if isinstance(source, str | Path) and file_type.belongs(str(source)):
        return Files([str(source)], None, name)
    frame = read_table(source)
    return Files(_paths(frame, source, file_type), None, name)


def find_labelled(
    source: Any,
    file_type: FileType,
    options: MediaOptions,
) -> tuple[Files, Target]:
    """The files with their classes or numbers, to learn from.

    Args:
        source: a folder with a folder for each class, or a table with a column of paths.
        file_type: which files.
        options: with the table's column to predict, and how rows are split; or which folders are
            the classes where each has the same in it (`chainrule.tasks.class_folders`).

    Raises:
        DataError: there are no files, or only one class.
        ConfigError: a table, but no column to predict.
    """
    name, column = source_name(source), options.target
    if isinstance(source, str | Path) and Path(source).is_dir():
        options.check_no_columns(name)
        if column is not None:
            raise ConfigError(
                "In a folder the class is the name of the folder that a file is in.",
                where=name,
                found=f"--target {column}",
                hint="Omit --target, or name a table with a column of paths.",
            )
        inner = {"inner": True, "outer": False, None: None}[options.class_folders]
        return _by_folder(Path(source), file_type, inner)
    _refuse_one(source, file_type)
    frame = read_table(source)
    paths = _paths(frame, source, file_type)
    if column is None:
        raise ConfigError(
            "Which column is to be predicted?",
            where=name,
            expected=f"--target and one of {', '.join(frame.columns[:20])}",
        )
    target = infer_target(frame, column, missing=options.missing, source=name)
    if column in options.splits_by:
        raise ConfigError(f"The target {column!r} cannot say how rows are split.", where=name,
                          hint="Name another column.")  # fmt: skip
    partition, notes = partition_of(frame, options, name)
    files = _labelled(Files(paths, None, name, partition=partition), frame, target)
    if files.parts is not None and options.splits_by:
        raise ConfigError("The data are split already, by a column of the table.", where=name,
                          found=f"a split by {options.splits_by[0]!r}, too",
                          hint="Remove that column, or omit the option.")  # fmt: skip
    files.notes.extend(notes)
    files.notes.extend(_left_out(frame, source, file_type, column, options))
    return files, target


def _left_out(
    frame: pl.DataFrame, source: Any, file_type: FileType, target: str, options: MediaOptions
) -> list[str]:
    """The other columns that may say something."""
    used = {file_column(frame, source, file_type), target, *options.splits_by}
    others = [
        name
        for name in telling_columns(frame.drop([name for name in used if name]))
        if name.strip().lower() not in _PART_COLUMNS
    ]
    if not others:
        return []
    beside = "; --kind table learns from them and the pictures" * (file_type.noun == "images")
    return [f"left out: {listed(others)}{beside}"]


def find_known(source: Any, file_type: FileType, target: Target) -> Files:
    """The files with their classes or numbers, to evaluate a model whose target is known.

    Raises:
        DataError: there are none, or none of a class of the model.
    """
    name = source_name(source)
    if not (isinstance(source, str | Path) and Path(source).is_dir()):
        frame = read_table(source)
        files = Files(_paths(frame, source, file_type), None, name)
        return _labelled(files, frame, target)
    if not target.classes:
        raise DataError(
            "The folders of files are classes, but this model predicts numbers.",
            where=name,
            expected=f"a table with a column of paths and the column {target.name!r}",
        )
    number = {label_of(label): i for i, label in enumerate(target.classes)}
    paths: list[str] = []
    classes: list[int] = []
    left_out: Counter[str] = Counter()
    notes = []
    for label, found in _class_folders(Path(source), file_type, left_out):
        known = _known(label, number)
        if known is not None:
            paths += found
            classes += [known] * len(found)
        elif found:
            notes.append(
                f"{name}: {label!r} is no class of the model; its {len(found):,} "
                f"{file_type.noun} are left out"
            )
    notes += said_left_out(left_out, file_type.noun)
    if not paths:
        _refuse_parts(Path(source), target)
    if not paths:
        raise DataError(
            f"There are no {file_type.noun} of the model's classes here.",
            where=name,
            expected=f"folders such as {', '.join(target.classes[:5])}",
            found=", ".join(notes) or "no folders",
        )
    return Files(paths, np.array(classes, dtype=np.int64), name, notes)


def unknown_classes(source: Any, file_type: FileType, target: Target) -> list[str]:
    """The classes of new files, to learn from, that a target does not know.

    Raises:
        DataError: one file, or folders that are no classes.
    """
    _refuse_one(source, file_type)
    if not (isinstance(source, str | Path) and Path(source).is_dir()):
        frame = read_table(source)
        _paths(frame, source, file_type)
        return new_classes(target, frame, source_name(source))
    found = [label for label, paths in _class_folders(Path(source), file_type, Counter()) if paths]
    number = {label_of(label): i for i, label in enumerate(target.classes)}
    new = [label for label in found if _known(label, number) is None]
    if len(new) == len(found):
        _refuse_parts(Path(source), target)
        if len(found) > 1 and all(map(role_of, found)):
            raise _parts_error(Path(source), found, str(Path(source) / found[0]))
    return in_order(new)


def _refuse_one(source: Any, file_type: FileType) -> None:
    if isinstance(source, str | Path) and file_type.belongs(str(source)):
        raise DataError(
            f"One file is not enough to learn from {file_type.noun}.",
            where=str(source),
            expected="a folder with a folder for each class, or a table with a column of paths",
        )


def targets_of(
    files: Files, source: Any, file_type: FileType, target: Target, rows: Sequence[int]
) -> Array:
    """The classes or numbers of some of the files of `find_files`: by a table, or by a folder.

    Raises:
        DataError: one is not known.
    """
    paths = [files.paths[row] for row in rows]
    is_path = isinstance(source, str | Path)
    if is_path and (Path(source).is_dir() or file_type.belongs(str(source))):
        if target.classes:
            return np.array([class_by_folder(path, source, target.classes) for path in paths])
        column = f"the column {target.name!r}"
        raise no_target(files.source, f"a table with a column of paths and {column}")
    frame = read_table(source)
    if target.name not in frame.columns:
        raise no_target(files.source, f"a column {target.name!r}", ", ".join(frame.columns[:20]))
    values = Schema((), (), target).read_target(frame, files.source)[list(rows)]
    if not (values >= 0 if target.classes else np.isfinite(values)).all():
        raise no_target(files.source, f"a known {target.name!r} in each of the rows")
    return values


# ---- folders -------------------------------------------------------------------------------------


def _class_folders(
    folder: Path, file_type: FileType, left_out: Counter[str]
) -> Iterator[tuple[str, list[str]]]:
    for path in subfolders(folder):
        yield label_of(os.path.basename(path)), files_of(path, file_type.belongs, left_out)


def _known(label: str, number: dict[str, int]) -> int | None:
    """The class of a folder; case is ignored where that leaves no doubt."""
    if label in number:
        return number[label]
    alike = [i for known, i in number.items() if known.casefold() == label.casefold()]
    return alike[0] if len(alike) == 1 else None


def _refuse_parts(folder: Path, target: Target) -> None:
    """An error where the folders of the model's classes are one deeper."""
    known = {label_of(label) for label in target.classes}
    holding = [
        path for path in subfolders(folder)
        if known & {label_of(os.path.basename(inner)) for inner in subfolders(path)}
    ]  # fmt: skip
    if holding:
        raise _parts_error(folder, [os.path.basename(path) for path in holding], holding[0])


def _parts_error(folder: Path, found: Sequence[str], first: str) -> DataError:
    return DataError(
        "The folders are parts of the data, not classes.",
        where=str(folder),
        found=", ".join(found),
        hint=f"name one of them: {first}",
    )


def _by_folder(folder: Path, file_type: FileType, inner: bool | None) -> tuple[Files, Target]:
    found = find_class_folders(
        folder, file_type.belongs, file_type.noun, inner=inner,
        overrule="--class-folders outer, or inner; ",
    )  # fmt: skip
    classes = found.labels
    if len(classes) < 2:
        raise _too_few_classes(folder, file_type, found)
    number = {label: i for i, label in enumerate(classes)}
    places = sorted(found.places, key=lambda place: number[place.label])
    sizes = [len(place.paths) for place in places]
    target = np.repeat([number[place.label] for place in places], sizes)
    paths = [path for place in places for path in place.paths]
    split = any(place.part for place in places)
    parts = np.repeat([place.part for place in places], sizes) if split else None
    task: Literal["binary", "multiclass"] = "binary" if len(classes) == 2 else "multiclass"
    reason = f"the name of the folder: {len(classes)} classes"
    files = Files(paths, target, str(folder), found.notes, parts)
    return files, Target("folder", task, reason, classes=tuple(classes))


def _too_few_classes(folder: Path, file_type: FileType, found: ClassFolders) -> DataError:
    beside = [path for path in files_in(folder) if Path(path).parent == folder]
    outside = sum(map(file_type.belongs, beside))
    one = "none"
    if found.places:
        count = sum(len(place.paths) for place in found.places)
        one = f"only {found.places[0].label!r} with {count:,}"
    tables = [path for path in beside if path.lower().endswith((".csv", ".tsv", ".parquet"))]
    table = tables[0] if tables else "table.csv"
    return DataError(
        f"There is nothing to tell apart: {file_type.noun} of two classes or more are needed.",
        where=str(folder),
        expected="a folder for each class, such as cats/ and dogs/",
        found=f"folders with {file_type.noun}: {one}; beside them: {outside:,}",
        hint=f"a table with paths and classes will do, too: chainrule train {table} --target …"
        if outside or tables
        else None,
    )


def _none_there(name: str, file_type: FileType, notes: Sequence[str] = ()) -> DataError:
    return DataError(
        f"There are no {file_type.noun} here.",
        where=name,
        expected=f"files that end in {', '.join(file_type.endings)}",
        found="; ".join(notes) or None,
    )


# ---- tables --------------------------------------------------------------------------------------


def _paths(frame: pl.DataFrame, source: Any, file_type: FileType) -> list[str]:
    """The files that a table names; the paths begin at the table's folder, or at the current.

    Names without an ending, or of files in a folder beside the table, are looked up there.
    """
    name = source_name(source)
    column = file_column(frame, source, file_type)
    if column is None:
        raise DataError(
            f"No column of this table names {file_type.noun}.",
            where=name,
            expected=f"paths that end in {', '.join(file_type.endings[:12])} …",
            found=f"the columns {', '.join(frame.columns[:20])}",
        )
    cells = [None if cell is None else str(cell).strip() for cell in frame[column].to_list()]
    if missing := [row for row, cell in enumerate(cells) if not cell]:
        raise DataError(
            "A row names no file.", where=f"{name}, column {column!r}, row {missing[0] + 1}"
        )
    return located([str(cell) for cell in cells], source, file_type)


def file_column(frame: pl.DataFrame, source: Any, file_type: FileType) -> str | None:
    """The column of a table that names files of a type, by their endings, or by what lies there."""
    import polars as pl

    texts = [column for column in frame.columns if frame[column].dtype == pl.String]
    counts = {
        column: sum(
            file_type.belongs(cell.strip()) for cell in frame[column].drop_nulls().head(1000)
        )
        for column in texts
    }
    column = max(counts, key=lambda column: counts[column], default=None)
    if column is not None and counts[column]:
        return column
    if not isinstance(source, str | Path):
        return None
    below = _names_below(Path(source).parent, file_type)
    ids = {c: sum(str(x) in below for x in frame[c].drop_nulls().head(1000)) for c in frame.columns}
    column = max(ids, key=lambda column: ids[column], default=None)
    return column if column is not None and ids[column] else None


def located(names: Sequence[str], source: Any, file_type: FileType) -> list[str]:
    """Where files are that a table names."""
    paths = [name.replace("\\", "/") for name in names]
    folder = Path(source).parent if isinstance(source, str | Path) else Path()
    first = paths[0] if paths else ""
    start = next((p for p in (folder, Path()) if (p / first).is_file()), None)
    if start is not None or not isinstance(source, str | Path):
        return [str((start or Path()) / path) for path in paths]
    below = _names_below(folder, file_type)
    return [below.get(path, below.get(Path(path).name, str(folder / path))) for path in paths]


def _names_below(folder: Path, file_type: FileType) -> dict[str, str]:
    """The files below a folder by their names, and without endings, where only one has it."""
    found: dict[str, str] = {}
    twice = set()
    for path in files_in(folder):
        if file_type.belongs(path):
            name = os.path.basename(path)
            for key in {name, os.path.splitext(name)[0]}:
                if key in found:
                    twice.add(key)
                found[key] = path
    return {key: path for key, path in found.items() if key not in twice}


def _parts_of(frame: pl.DataFrame) -> tuple[str, Array] | None:
    """The column that says which part each row belongs to, if there is one, and what it says."""
    for column in frame.columns:
        if column.strip().lower() in _PART_COLUMNS:
            said = frame[column].to_list()
            roles = [role_of(cell) if isinstance(cell, str) else "" for cell in said]
            if all(roles) and len(set(roles)) > 1 and TRAIN in roles:
                return column, np.array(roles)
    return None


def _labelled(files: Files, frame: pl.DataFrame, target: Target) -> Files:
    values = Schema((), (), target).read_target(frame, files.source)
    known = values >= 0 if target.classes else np.isfinite(values)
    notes = []
    if lost := int((~known).sum()):
        notes.append(without_target(lost))
    if not known.any():
        raise DataError("No row has a target that is known.", where=files.source)
    parts = None
    if found := _parts_of(frame):
        column, parts = found
        notes.append(f"the column {column!r} says a split already, which is kept")
    rows = np.flatnonzero(known)
    parts = None if parts is None else parts[rows]
    paths = [files.paths[int(row)] for row in rows]
    partition = files.partition.take(rows)
    return Files(paths, values[rows], files.source, notes, parts, partition)

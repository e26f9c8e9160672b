"""Files with what is to be predicted of each: by the folder they are in, or by a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...data import Schema, Target, infer_target, read_table, source_name
from ...errors import ConfigError, DataError
from ...utils.typing import Array
from ..class_extension import new_classes
from ..detection import files_in
from ..examples import class_by_folder, no_target

if TYPE_CHECKING:
    import polars as pl


_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


@dataclass(frozen=True)
class FileType:
    """Which files belong to a medium: what they are called, and how their names end."""

    noun: str
    endings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Files:
    """Files, and the target of each if it is known.

    Attributes:
        paths: where they are.
        target: (n,) class indices from 0, or numbers to predict; None if not known.
        source: where they come from, for messages.
        notes: what was left out.
    """

    paths: Sequence[str]
    target: Array | None
    source: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Array) -> Files:
        """These files, in this order."""
        target = None if self.target is None else self.target[rows]
        return Files([self.paths[row] for row in rows], target, self.source)


def find_files(source: Any, file_type: FileType) -> Files:
    """The files of a folder, at any depth, or of a table's column, or the one file itself.

    Raises:
        DataError: there are none.
    """
    name = source_name(source)
    if isinstance(source, str | Path) and Path(source).is_dir():
        found = [path for path in files_in(source) if _belongs(path, file_type)]
        if not found:
            raise _none_there(name, file_type)
        return Files(found, None, name)
    if isinstance(source, str | Path) and _belongs(str(source), file_type):
        return Files([str(source)], None, name)
    frame = read_table(source)
    return Files(_paths(frame, source, file_type), None, name)


def find_labelled(source: Any, file_type: FileType, column: str | None) -> tuple[Files, Target]:
    """The files with their classes or numbers, to learn from.

    Args:
        source: a folder with a folder for each class, or a table with a column of paths.
        file_type: which files.
        column: the table's column to predict.

    Raises:
        DataError: there are no files, or only one class.
        ConfigError: a table, but no column to predict.
    """
    name = source_name(source)
    if isinstance(source, str | Path) and Path(source).is_dir():
        if column is not None:
            raise ConfigError(
                "In a folder the class is the name of the folder that a file is in.",
                where=name,
                found=f"--target {column}",
                hint="Omit --target, or name a table with a column of paths.",
            )
        return _by_folder(Path(source), file_type)
    _refuse_one(source, file_type)
    frame = read_table(source)
    paths = _paths(frame, source, file_type)
    if column is None:
        raise ConfigError(
            "Which column is to be predicted?",
            where=name,
            expected=f"--target and one of {', '.join(frame.columns[:20])}",
        )
    target = infer_target(frame, column, source=name)
    return _labelled(Files(paths, None, name), frame, target), target


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
    number = {label: i for i, label in enumerate(target.classes)}
    paths: list[str] = []
    classes: list[int] = []
    notes = []
    for label, found in _class_folders(Path(source), file_type):
        if label in number:
            paths += found
            classes += [number[label]] * len(found)
        elif found:
            notes.append(
                f"{name}: {label!r} is no class of the model; its {len(found):,} "
                f"{file_type.noun} are left out"
            )
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
    found = [label for label, paths in _class_folders(Path(source), file_type) if paths]
    if {label.lower() for label in found} <= _PARTS - {name.lower() for name in target.classes}:
        _refuse_parts(Path(source), found)
    return _in_order([label for label in found if label not in target.classes])


def _refuse_one(source: Any, file_type: FileType) -> None:
    if isinstance(source, str | Path) and _belongs(str(source), file_type):
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
    if is_path and (Path(source).is_dir() or _belongs(str(source), file_type)):
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


def _belongs(path: str, file_type: FileType) -> bool:
    return path.lower().endswith(file_type.endings)


def _class_folders(folder: Path, file_type: FileType) -> Iterator[tuple[str, list[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            yield entry.name, [path for path in files_in(entry.path) if _belongs(path, file_type)]


def _by_folder(folder: Path, file_type: FileType) -> tuple[Files, Target]:
    found = dict(_class_folders(folder, file_type))
    classes = _in_order([label for label, paths in found.items() if paths])
    outside = sum(
        _belongs(entry.name, file_type) for entry in os.scandir(folder) if entry.is_file()
    )
    if len(classes) < 2:
        one = f"only {classes[0]!r} with {len(found[classes[0]]):,}" if classes else "none"
        raise DataError(
            f"There is nothing to tell apart: {file_type.noun} of two classes or more are needed.",
            where=str(folder),
            expected="a folder for each class, such as cats/ and dogs/",
            found=f"folders with {file_type.noun}: {one}; beside them: {outside:,}",
            hint="a table with paths and classes will do, too: chainrule train table.csv --target …"
            if outside
            else None,
        )
    if {label.lower() for label in classes} <= _PARTS:
        parts = {label.lower(): label for label in classes}
        train = next((parts[name] for name in ("train", "training") if name in parts), classes[0])
        test = next((parts[name] for name in ("test", "testing") if name in parts), classes[-1])
        _refuse_parts(folder, classes, f"chainrule train {folder / train} --test {folder / test}")
    notes = []
    if outside:
        notes.append(f"{outside:,} {file_type.noun} in no class folder are left out")
    if empty := [label for label, paths in found.items() if not paths]:
        notes.append(f"folders without {file_type.noun} are no classes: {', '.join(empty[:5])}")
    target = np.repeat(np.arange(len(classes)), [len(found[label]) for label in classes])
    paths = [path for label in classes for path in found[label]]
    task: Literal["binary", "multiclass"] = "binary" if len(classes) == 2 else "multiclass"
    reason = f"the name of the folder: {len(classes)} classes"
    return Files(paths, target, str(folder), notes), Target(
        "folder", task, reason, classes=tuple(classes)
    )


def _refuse_parts(folder: Path, labels: Sequence[str], hint: str | None = None) -> None:
    if labels:
        raise DataError(
            "The folders are parts of the data, not classes.",
            where=str(folder),
            found=", ".join(labels),
            hint=hint or f"name one of them: {folder / labels[0]}",
        )


def _in_order(labels: list[str]) -> list[str]:
    """Numbers by their size, everything else by the alphabet."""
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def _none_there(name: str, file_type: FileType) -> DataError:
    return DataError(
        f"There are no {file_type.noun} here.",
        where=name,
        expected=f"files that end in {', '.join(file_type.endings)}",
    )


# ---- tables --------------------------------------------------------------------------------------


def _paths(frame: pl.DataFrame, source: Any, file_type: FileType) -> list[str]:
    """The files that a table names; the paths begin at the table's folder, or at the current."""
    import polars as pl

    name = source_name(source)
    counts = {
        column: sum(_belongs(cell, file_type) for cell in frame[column].drop_nulls().head(1000))
        for column in frame.columns
        if frame[column].dtype == pl.String
    }
    column = max(counts, key=lambda column: counts[column], default=None)
    if column is None or not counts[column]:
        raise DataError(
            f"No column of this table names {file_type.noun}.",
            where=name,
            expected=f"paths that end in {', '.join(file_type.endings)}",
            found=f"the columns {', '.join(frame.columns[:20])}",
        )
    folder = Path(source).parent if isinstance(source, str | Path) else Path()
    cells = frame[column].to_list()
    if missing := [row for row, cell in enumerate(cells) if not cell]:
        raise DataError(
            "A row names no file.", where=f"{name}, column {column!r}, row {missing[0] + 1}"
        )
    first = str(cells[0])
    start = folder if (folder / first).exists() else Path()
    return [str(start / cell) for cell in cells]


def _labelled(files: Files, frame: pl.DataFrame, target: Target) -> Files:
    values = Schema((), (), target).read_target(frame, files.source)
    known = values >= 0 if target.classes else np.isfinite(values)
    notes = []
    if lost := int((~known).sum()):
        notes.append(f"{lost:,} rows have no target that is known and are left out")
    if not known.any():
        raise DataError("No row has a target that is known.", where=files.source)
    rows = np.flatnonzero(known)
    return Files([files.paths[int(row)] for row in rows], values[rows], files.source, notes)

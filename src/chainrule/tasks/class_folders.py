"""Folders of classes, as they come: plain, or already split into training, validation and test set.

cat/  dog/                          a folder for each class
train/cat/  train/dog/  test/cat/ … a folder for each part, the classes in it; `seg_train`,
`Training`, `valid` and so on are understood, too
cat/train/  cat/test/  dog/train/ … the other way round
train_cat/  train_dog/  test_cat/ … both in one name
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .detection import files_in
from .kinds import KINDS

#: The parts of a split.
TRAIN, VALIDATION, TEST = "training", "validation", "test"
_UNLABELLED = "unlabelled"
_ROLES = {
    TRAIN: "train training trainset trn",
    VALIDATION: "val valid validation valset validset dev",
    TEST: "test testing testset tst holdout eval evaluation",
    _UNLABELLED: "pred predict prediction predictions unlabeled unlabelled unsup unsupervised",
}
#: A folder beside those of classes that is called so is none.
_NO_CLASS = {"unlabeled", "unlabelled", "unsup", "unsupervised"}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
#: Words that say nothing beside the name of a part: `train_images`.
_FILLERS = {
    "set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "sounds", "audio",
    "texts", "files",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The files of one class in one part.

    Attributes:
        label: name of the class.
        part: `TRAIN`, `VALIDATION` or `TEST`; empty where there are no parts.
        paths: of the files.
    """

    label: str
    part: str
    paths: list[str]


@dataclass
class ClassFolders:
    """What is in a folder of class folders.

    Attributes:
        places: files by class and part, in the order of the names.
        notes: what was left out, and how the folders were understood.
        command: that trains on the part for it, and tests on another; "" where there is none.
    """

    places: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: str = ""

    @property
    def labels(self) -> list[str]:
        """The classes, in the order of their names: numbers by size, everything else by letters."""
        return in_order({place.label for place in self.places})


def role_of(name: str) -> str:
    """Which part a folder's name tells; empty if none.

    Example:
        >>> role_of("seg_train"), role_of("Valid"), role_of("train2017"), role_of("trainer")
        ('training', 'validation', 'training', '')
    """
    return _role_and_rest(name)[0]


def _role_and_rest(name: str) -> tuple[str, str]:
    """The part that a name tells, and what it says besides.

    Example:
        >>> _role_and_rest("cat_train"), _role_and_rest("TrainingImages"), _role_and_rest("cat")
        (('training', 'cat'), ('training', ''), ('', 'cat'))
    """
    words = re.findall(r"[^\W\d_]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name))
    roles = {_ROLE_OF[word.lower()] for word in words if word.lower() in _ROLE_OF}
    if len(roles) != 1:
        return "", name
    rest = [w for w in words if w.lower() not in _ROLE_OF and w.lower() not in _FILLERS]
    return roles.pop(), " ".join(w for w in rest if not re.fullmatch(r"(19|20)\d\d", w))


def is_class(name: str) -> bool:
    """Whether a folder may be a class: not where its name says that it has none.

    Example:
        >>> is_class("pos"), is_class("unsup"), is_class("un_labelled")
        (True, False, True)
    """
    return name.lower() not in _NO_CLASS


def label_of(name: str) -> str:
    """The class that a folder's name stands for: letters with accents have two spellings."""
    return unicodedata.normalize("NFC", name)


def in_order(labels: set[str] | Sequence[str]) -> list[str]:
    """Numbers by their size, everything else by the alphabet.

    Example:
        >>> in_order(["10", "9"]), in_order(["b", "10", "a"])
        (['9', '10'], ['10', 'a', 'b'])
    """
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def subfolders(folder: str | os.PathLike[str]) -> list[str]:
    """Paths of the folders in a folder, in the order of their names, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(e.path for e in entries if e.is_dir() and not e.name.startswith("."))


def files_of(
    folder: str | os.PathLike[str], belongs: Callable[[str], bool], left_out: Counter[str]
) -> list[str]:
    """The files below a folder that belong to a kind of data; the others are counted by ending."""
    found = []
    for path in files_in(folder, left_out):
        if belongs(path):
            found.append(path)
        else:
            left_out[os.path.splitext(path)[1].lower() or "without an ending"] += 1
    return found


def said_left_out(left_out: Counter[str], noun: str) -> list[str]:
    """A sentence on files that are left out, if there are any.

    Example:
        >>> said_left_out(Counter({".svg": 2, "broken link": 1}), "images")
        ['3 files that are no images are left out: 2 .svg, 1 broken link']
    """
    if not left_out:
        return []
    most = left_out.most_common(8)
    kinds = [f"{count:,} {ending}" for ending, count in most]
    if others := left_out.total() - sum(count for _, count in most):
        kinds.append(f"{others:,} others")
    count = left_out.total()
    files, are = ("file", "is") if count == 1 else ("files", "are")
    return [f"{count:,} {files} that {are} no {noun} {are} left out: {', '.join(kinds)}"]


def find_class_folders(
    folder: Path,
    belongs: Callable[[str], bool],
    noun: str,
    *,
    inner: bool | None = None,
    overrule: str = "",
) -> ClassFolders:
    """The classes of a folder, and the parts of the data where the folders say them.

    Args:
        folder: of the folders.
        belongs: whether a file is of the kind of data.
        noun: what such files are called.
        inner: whether the inner folders are the classes, where each has the same ones in it and
            no name tells; by default that is an error.
        overrule: how the user says that, for the error.

    Raises:
        DataError: the folders are parts, but the classes in them cannot be told; or it is not
            clear which are the classes.
    """
    left_out: Counter[str] = Counter()
    top, notes = _below_wrappers(folder, belongs)
    tops = [_Folder.of(path, belongs, left_out) for path in subfolders(top)]
    with os.scandir(top) as entries:
        beside = sum(e.is_file() and not e.name.startswith(".") and belongs(e.path)
                     for e in entries)  # fmt: skip
    full = [each for each in tops if each.paths]
    if len(full) > 2:  # two classes may be called as they like
        notes += [f"{each.name}: {len(each.paths):,} {noun} without a class are left out"
                  for each in full if not is_class(each.name)]  # fmt: skip
        full = [each for each in full if is_class(each.name)]
    layout = (
        _parts_in_names(full) or _parts_outside(full, folder, noun)
        or _parts_inside(full) or _same_inside(full, folder, inner, overrule)
    )  # fmt: skip
    if layout is None:
        layout = ClassFolders([Place(label_of(each.name), "", each.paths) for each in full])
    if beside:
        notes.append(f"{beside:,} {noun} in no class folder are left out")
    if empty := [each.name for each in tops if not each.paths]:
        notes.append(f"folders without {noun} are no classes: {', '.join(empty[:5])}")
    notes += said_left_out(left_out, noun)
    layout.notes[:0] = notes
    _check_classes(layout, folder, noun)
    return layout


@dataclass(frozen=True)
class _Folder:
    """A folder with its files, and with the folders in it."""

    path: str
    base: str
    name: str
    paths: list[str]
    direct: bool
    inside: dict[str, list[str]]

    @staticmethod
    def of(path: str, belongs: Callable[[str], bool], left_out: Counter[str]) -> _Folder:
        paths = files_of(path, belongs, left_out)
        inside: dict[str, list[str]] = {}
        direct = False
        base = path
        while paths:  # archive/seg_train/seg_train/cat: a folder that holds but one like it
            inside, direct = {}, False
            for file in paths:
                first, *rest = os.path.relpath(file, base).split(os.sep)
                if rest:
                    inside.setdefault(first, []).append(file)
                else:
                    direct = True
            (only, *others) = inside or ("",)
            if direct or others or _words(only) != _words(os.path.basename(base)):
                break
            base = os.path.join(base, only)
        return _Folder(path, base, os.path.basename(path), paths, direct, inside)


def _words(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _below_wrappers(folder: Path, belongs: Callable[[str], bool]) -> tuple[Path, list[str]]:
    """Down to the folder of the classes, where a folder holds but one, as unpacked archives do."""
    top = folder
    while True:
        inside = [path for path in subfolders(top) if not os.path.basename(path).startswith("__")]
        if len(inside) != 1 or any(map(belongs, _files_directly_in(top))):
            break
        within = [path for path in subfolders(inside[0]) if any(map(belongs, files_in(path)))]
        if not within or any(map(belongs, _files_directly_in(inside[0]))):
            break
        top = Path(inside[0])
    said = (
        [f"the classes are the folders in {top}, which is alone in {folder}"]
        if top != folder
        else []
    )
    return top, said


def _files_directly_in(folder: str | os.PathLike[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file():
                yield entry.path


def _parts_outside(full: list[_Folder], folder: Path, noun: str) -> ClassFolders | None:
    """A folder for each part, with the classes in it."""
    roles = {each.path: role_of(each.name) for each in full}
    parts = [each for each in full if roles[each.path] not in ("", _UNLABELLED)
             and (len(each.inside) > 1 or (each.inside and not each.direct))]  # fmt: skip
    if len(set(roles.values()) - {""}) < 2:
        return None
    if not any(roles[each.path] == TRAIN for each in parts):
        if all(roles.values()):
            _refuse_parts(folder, full, roles, noun)
        return None
    result = ClassFolders()
    for each in full:
        inside = {name: paths for name, paths in each.inside.items()
                  if each in parts and is_class(name)}  # fmt: skip
        result.places += [Place(label_of(name), roles[each.path], paths)
                          for name, paths in inside.items()]  # fmt: skip
        if lost := len(each.paths) - sum(map(len, inside.values())):
            result.notes.append(f"{each.name}: {lost:,} {noun} without a class are left out")
    _say_split(result, {roles[each.path]: each.name for each in parts})
    place = {roles[each.path]: shlex.quote(each.base) for each in parts}
    held_out = next((place[part] for part in (TEST, VALIDATION) if part in place), "")
    result.command = f"chainrule train {place[TRAIN]}{held_out and f' --test {held_out}'}"
    return result


def _refuse_parts(folder: Path, full: list[_Folder], roles: dict[str, str], noun: str) -> None:
    tables = sorted(
        path for path in _files_directly_in(folder)
        if path.lower().endswith((".csv", ".tsv", ".parquet", ".txt", ".jsonl", ".xlsx"))
    )  # fmt: skip
    hint = f"put the {noun} of each class into a folder, or name them with their class in a table"
    if tables:
        table = next((t for t in tables if role_of(Path(t).stem) == TRAIN), tables[0])
        kind = next(kind.name for kind in KINDS.values() if kind.noun == noun)
        hint = (
            f"chainrule train {shlex.quote(table)} --target COLUMN --kind {kind}, if that table "
            f"names {noun} and classes"
        )
    raise DataError(
        "The folders are parts of the data, not classes, and there are no class folders in them.",
        where=str(folder),
        expected="class folders in the folder of the training set",
        found=", ".join(f"{each.name} ({roles[each.path] or 'no part'})" for each in full),
        hint=hint,
    )


def _parts_inside(full: list[_Folder]) -> ClassFolders | None:
    """A folder for each class, with the parts in it."""
    if len(full) < 2 or any(each.direct or not each.inside for each in full):
        return None
    roles = {name: role_of(name) for each in full for name in each.inside}
    if not all(roles.values()) or TRAIN not in roles.values() or len(set(roles.values())) < 2:
        return None
    places = [
        Place(label_of(each.name), roles[name], paths)
        for each in full
        for name, paths in each.inside.items()
        if roles[name] != _UNLABELLED
    ]
    result = ClassFolders(places)
    _say_split(result, {role: name for name, role in roles.items()})
    return result


def _parts_in_names(full: list[_Folder]) -> ClassFolders | None:
    """A folder for each class in each part: train_cat."""
    read = [(*_role_and_rest(each.name), each) for each in full]
    roles = {role for role, _, _ in read}
    if not all(role and rest for role, rest, _ in read) or TRAIN not in roles or len(roles) < 2:
        return None
    if len({rest for _, rest, _ in read}) < 2 or not all(each.direct for each in full):
        return None
    places = [Place(label_of(rest), role, each.paths) for role, rest, each in read
              if role != _UNLABELLED]  # fmt: skip
    result = ClassFolders(places)
    _say_split(result, {role: f"{role} in the name" for role in roles})
    return result


def _same_inside(
    full: list[_Folder], folder: Path, inner: bool | None, overrule: str
) -> ClassFolders | None:
    """The same folders in every folder: either could be the classes."""
    first = set(full[0].inside) if full else set()
    same = len(full) > 1 and len(first) > 1 and all(
        set(each.inside) == first and not each.direct for each in full
    )  # fmt: skip
    if inner is None and same:
        raise DataError(
            "Every folder has the same folders in it: which are the classes?",
            where=str(folder),
            found=f"{_named([each.name for each in full])}, and in each of them {_named(first)}",
            hint=f"{overrule}if the outer ones are parts of a split: chainrule train "
            f"{shlex.quote(full[0].path)} --test {shlex.quote(full[1].path)}",
        )
    if not inner:
        return None
    result = ClassFolders()
    for each in full:
        result.places += [Place(label_of(name), "", paths) for name, paths in each.inside.items()]
    return result


def _named(names: Sequence[str] | set[str]) -> str:
    names = in_order(names)
    return ", ".join(names[:5]) + ", …" * (len(names) > 5)


def _say_split(found: ClassFolders, names: dict[str, str]) -> None:
    counts: Counter[str] = Counter()
    for place in found.places:
        counts[place.part] += len(place.paths)
    said = [f"{names[part]} is the {part} set ({counts[part]:,})" for part in counts]
    if TEST not in counts and VALIDATION in counts:
        said = [s.replace("validation set", "test set, as there is no other") for s in said]
    found.notes.append(f"the folders are a split already, which is kept: {', '.join(said)}")


def _check_classes(found: ClassFolders, folder: Path, noun: str) -> None:
    """Every class must be trained on."""
    trained = {place.label for place in found.places if place.part in ("", TRAIN)}
    if unseen := in_order({place.label for place in found.places} - trained):
        raise DataError(
            f"There are {noun} of classes to test that are not in the training set.",
            where=str(folder),
            expected=f"the classes {_named(trained)}",
            found=_named(unseen),
            hint="rename the folders if they are called differently, or move some to the training",
        )

"""Options of `chainrule train`, from the command line and from a TOML file, by the same readers."""

from __future__ import annotations

import csv
import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError

#: What `kinds` calls the data as a whole, among the names of columns.
DATA = ""


class _MisfitError(Exception):
    """A value that a reader does not understand; the text says what would be right."""


def names(value: Any) -> tuple[str, ...]:
    """Column names: ``a,b``, ``a,"b, c"``, or a list of such texts.

    Example:
        >>> names('city,"price, sold"'), names(["a,b", "c"])
        (('city', 'price, sold'), ('a', 'b', 'c'))
    """
    texts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise _MisfitError("column names, such as city,rooms")
    found = [name.strip() for text in texts for name in next(csv.reader([text]), [])]
    if not all(found) or (texts and not found):
        raise _MisfitError("column names with a comma between them, such as city,rooms")
    return tuple(found)


def kinds(value: Any) -> dict[str, str]:
    """Kinds of columns: ``zip=category``, a list of such texts, or a mapping.

    A kind without a column, as in ``--kind images``, is that of the data; it has the key `DATA`.

    Example:
        >>> kinds(["zip=category", "built=date"]), kinds("images")
        ({'zip': 'category', 'built': 'date'}, {'': 'images'})
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parts = [text.rpartition("=") for text in names(value)]
        pairs = [(name if mark else DATA, kind) for name, mark, kind in parts]
        if any(mark and not name for name, mark, _ in parts):
            raise _MisfitError("the column's name before the =, such as zip=category")
    if not all(isinstance(kind, str) and kind for _, kind in pairs):
        raise _MisfitError(
            "column=kind, such as zip=category; kinds: numeric, boolean, category, date"
        )
    return {name.strip(): kind.strip() for name, kind in pairs}


def layer_sizes(value: Any) -> tuple[int, ...]:
    """Sizes of hidden layers: ``128,64``, a list of numbers, or ``none`` for no hidden layer.

    Example:
        >>> layer_sizes("128,64"), layer_sizes([32]), layer_sizes("none")
        ((128, 64), (32,), ())
    """
    if isinstance(value, str):
        value = [] if value.strip().lower() == "none" else value.split(",")
    elif isinstance(value, int):
        value = [value]
    try:
        if not isinstance(value, list | tuple) or any(isinstance(w, bool | float) for w in value):
            raise TypeError
        return tuple(int(width) for width in value)
    except (TypeError, ValueError):
        raise _MisfitError("sizes of layers, such as 128,64, or none") from None


def words(value: Any) -> str:
    """Words with commas between, or a list of them, as one text.

    Example:
        >>> words("flip,shift"), words(["flip", "shift"])
        ('flip,shift', 'flip,shift')
    """
    return ",".join(names(value))


def height_and_width(value: Any) -> tuple[int, int]:
    """The size of images: ``32`` for both, or height and width as ``48x64``.

    Example:
        >>> height_and_width("32"), height_and_width(32), height_and_width("48x64")
        ((32, 32), (32, 32), (48, 64))
    """
    parts = str(value).lower().replace("×", "x").split("x")
    if isinstance(value, bool) or len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise _MisfitError("pixels, such as 32, or height and width, such as 48x64")
    return int(parts[0]), int(parts[-1])


def number(value: Any) -> float:
    """A number, which is neither infinite nor missing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise _MisfitError("a number")
    return float(value)


def integer(value: Any) -> int:
    """An integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _MisfitError("an integer")
    return value


def fraction_or_file(value: Any) -> float | str:
    """A fraction of the rows, or the path of a file.

    Example:
        >>> fraction_or_file("0.2"), fraction_or_file("test.csv")
        (0.2, 'test.csv')
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    return number(value)


def text(value: Any) -> str:
    """A word."""
    if not isinstance(value, str) or not value.strip():
        raise _MisfitError("a word")
    return value


def flag(value: Any) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise _MisfitError("true or false")
    return value


@dataclass(frozen=True)
class Option:
    """An option: the field of a kind's options that it sets, and what reads its value."""

    field: str
    read: Callable[[Any], Any]


#: By the name on the command line and in a file, without the dashes in front.
OPTIONS = {
    "target": Option("target", text),
    "features": Option("features", names),
    "drop": Option("drop", names),
    "kind": Option("kinds", kinds),
    "encoding": Option("encoding", text),
    "time": Option("time", text),
    "group": Option("group", text),
    "horizon": Option("horizon", integer),
    "window": Option("window", integer),
    "season": Option("season", integer),
    "model": Option("model", text),
    "augment": Option("augment", words),
    "size": Option("size", height_and_width),
    "skip-bad": Option("skip_bad", flag),
    "sample-rate": Option("sample_rate", integer),
    "seconds": Option("seconds", number),
    "tokenizer": Option("tokenizer", text),
    "vocabulary": Option("vocabulary", integer),
    "context": Option("context", integer),
    "hidden": Option("hidden", layer_sizes),
    "activation": Option("activation", text),
    "dropout": Option("dropout", number),
    "norm": Option("norm", text),
    "members": Option("members", integer),
    "epochs": Option("epochs", integer),
    "batch-size": Option("batch_size", integer),
    "optimizer": Option("optimizer", text),
    "lr": Option("lr", number),
    "schedule": Option("schedule", text),
    "loss": Option("loss", text),
    "l1": Option("l1", number),
    "l2": Option("l2", number),
    "weight-decay": Option("weight_decay", number),
    "clip": Option("clip", number),
    "validation": Option("validation", number),
    "test": Option("test", fraction_or_file),
    "cv": Option("cv", integer),
    "patience": Option("patience", integer),
    "balance": Option("balance", flag),
    "seed": Option("seed", integer),
    "backend": Option("backend", text),
    "threads": Option("threads", integer),
    "from": Option("from_model", text),
    "freeze": Option("freeze", names),
}
#: Options that are no options of the training itself.
_PLACES = {"data": Option("data", text), "out": Option("out", text)}


def read_options(given: Mapping[str, Any], where: str = "the command line") -> dict[str, Any]:
    """Values by field, from values by option.

    Raises:
        ConfigError: an option that does not exist, or a value that it does not take.
    """
    known = OPTIONS | _PLACES
    values = {}
    for name, value in given.items():
        option = known.get(name.replace("_", "-"))
        if option is None:
            raise _unknown(name, list(known), where)
        try:
            values[option.field] = option.read(value)
        except _MisfitError as misfit:
            raise ConfigError(
                f"The option {name} cannot be understood.",
                where=where,
                expected=str(misfit),
                found=", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value),
            ) from None
    return values


def read_config(path: Path) -> dict[str, Any]:
    """Values by field, from a TOML file of options.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it is not TOML, or holds an option that does not exist.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "The file of options is not valid TOML.",
            where=str(path),
            found=str(error),
            hint='texts need quotes: activation = "relu"',
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise DataError(
            "The file of options cannot be read.", where=str(path), found=found
        ) from None
    return read_options(content, str(path))


def foreign(fields: Iterable[str], kind: str, known: Iterable[str]) -> ConfigError:
    """The error of options, by field, that a kind of data does not have."""
    names_of = {option.field: name for name, option in OPTIONS.items()}
    wrong = [f"--{names_of[field]}" for field in fields]
    having = sorted(names_of[field] for field in known if field in names_of)
    return ConfigError(
        f"Data of the kind {kind} have no {' and no '.join(wrong)}.",
        expected=f"some of {', '.join(having)}",
        found=", ".join(wrong),
        hint=f"Omit it, or say with --kind what the data are if {kind} is wrong.",
    )


def _unknown(name: str, known: list[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=2)
    return ConfigError(
        f"There is no option {name!r}.",
        where=where,
        expected=f"some of {', '.join(known)}",
        hint=f"did you mean {' or '.join(near)}?" if near else None,
    )

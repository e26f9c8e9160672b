"""Frozen dataclasses to JSON and back, strictly: what does not fit is refused with its place."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from chainrule.errors import DataError

T = TypeVar("T")


def to_json(record: Any, format_name: str, version: int) -> str:
    """A dataclass as JSON text that says its format and version.

    Example:
        >>> from chainrule.data.parsing import Notation
        >>> to_json(Notation(",", "."), "notation", 1)
        '{"format": "notation", "version": 1, "decimal": ",", "thousands": "."}'
    """
    content = {"format": format_name, "version": version, **dataclasses.asdict(record)}
    return json.dumps(content, allow_nan=False, ensure_ascii=False)


def from_json(kind: type[T], text: str, format_name: str, version: int) -> T:
    """Read what `to_json` wrote.

    Raises:
        DataError: not JSON, of another format or version, or a field that is unknown, absent or of
            the wrong type.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"This is not a {format_name}: it is not JSON.", where=format_name, found=str(error)
        ) from None
    if not isinstance(content, dict) or content.pop("format", None) != format_name:
        raise DataError(
            f"This is not a {format_name}.",
            where=format_name,
            expected=f'"format": "{format_name}"',
        )
    found = content.pop("version", None)
    if found != version:
        raise DataError(
            f"The {format_name} is of another version.",
            where=format_name,
            expected=f"version {version}",
            found=f"version {found!r:.40}",
            hint="read it with the version of chainrule that wrote it",
        )
    return typing.cast(T, _decode(kind, content, format_name))


def later(default: Any) -> Any:
    """A field of a dataclass that files of earlier versions lack; there it has this value."""
    return dataclasses.field(default=default, metadata={"later": True})


@functools.cache
def _types_of_fields(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(kind):
            return None
        (kind,) = (option for option in typing.get_args(kind) if option is not type(None))
        return _decode(kind, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            raise _misfit(where, " or ".join(map(repr, typing.get_args(kind))), value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _misfit(where, "a list", value)
        (element, _) = typing.get_args(kind)  # tuple[element, ...]
        return tuple(_decode(element, item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, value, where)
    # JSON writes 1.0 as 1.0, but other writers as 1; a bool is no number.
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise _misfit(where, kind.__name__, value)
    return value


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _misfit(where, "an object", value)
    types_of_fields = _types_of_fields(kind)
    unknown = sorted(value.keys() - types_of_fields.keys())
    # What was written before a field came has its default.
    later = {field.name for field in dataclasses.fields(kind) if field.metadata.get("later")}
    absent = sorted(types_of_fields.keys() - value.keys() - later)
    if unknown or absent:
        raise DataError(
            f"A field is {'unknown' if unknown else 'absent'}.",
            where=f"{where}.{(unknown or absent)[0]}",
            expected=f"the fields {', '.join(types_of_fields)}",
            found=f"{', '.join(map(str, value))}",
        )
    given = {k: t for k, t in types_of_fields.items() if k in value}
    return kind(**{k: _decode(t, value[k], f"{where}.{k}") for k, t in given.items()})


def check_types(record: Any, where: str) -> None:
    """See that the fields of a dataclass, which came from a file, are of the types that they say.

    Raises:
        DataError: one is not.

    Example:
        >>> from chainrule.data.parsing import Notation
        >>> check_types(Notation(5, "."), "notation")
        Traceback (most recent call last):
        chainrule.errors.DataError: A field has a wrong value.
          where: notation.decimal
          expected: str
          found: 5
    """
    hints = _types_of_fields(type(record))  # type: ignore[arg-type]
    for field in dataclasses.fields(record):
        _check(hints[field.name], getattr(record, field.name), f"{where}.{field.name}")


def _check(kind: Any, value: Any, where: str) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        fits = [_fits(option, value) for option in arguments]
        if not any(fits):
            raise _misfit(where, " or ".join(_name(option) for option in arguments), value)
        _check(arguments[fits.index(True)], value, where)
        return
    if not _fits(kind, value):
        raise _misfit(where, _name(kind), value)
    if dataclasses.is_dataclass(value):
        check_types(value, where)
    elif origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) != len(value):
            raise _misfit(where, f"{len(kinds)} values", value)
        for position, (one, item) in enumerate(zip(kinds, value, strict=True)):
            _check(one, item, f"{where}[{position}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check(arguments[0], key, f"a key of {where}")
            _check(arguments[1], item, f"{where}.{key}")


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a type, whatever is in it."""
    if kind is Any:
        return True
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    plain = typing.get_origin(kind) or kind
    if plain is float:
        return type(value) in (int, float)
    return type(value) is plain if plain in (int, bool, str) else isinstance(value, plain)


def _name(kind: Any) -> str:
    return "nothing" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _misfit(where: str, expected: str, found: Any) -> DataError:
    return DataError(
        "A field has a wrong value.", where=where, expected=expected, found=f"{found!r:.60}"
    )

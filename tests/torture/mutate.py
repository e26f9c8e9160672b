"""Random changes of bytes, and of JSON data."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

#: Numbers at which something changes in many programs.
INTERESTING = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 4095, 65535,
               65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1,
               10**18, 10**30)  # fmt: skip
TOKENS = (
    *(b"", b"\0", b"\xff", b"\n", b"\r\n", b'"', b"'", b",", b";", b"\t", b"{", b"}", b"[", b"]"),
    *(b":", b"-", b".", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"1e-400", b"null"),
    *(b"true", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\x00" * 16),
    *(b"\\u0000", b"\\ud800", b"9" * 400, b"[" * 300, b'{"a":' * 300, b"%s%n", b"../../etc/passwd"),
)


def mutated(random: Random, data: bytes, others: list[bytes], limit: int = 100_000) -> bytes:
    """The bytes with one to eight changes, often of neighbours; parts may come from others."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _change(random, found, others)
    return bytes(found[:limit])


def _change(random: Random, data: bytearray, others: list[bytes]) -> None:
    size = len(data)
    at = random.randrange(size + 1)
    length = min(size - at, random.choice((1, 1, 2, 4, 8, 16, 64, 256)))
    kind = random.randrange(9)
    if kind == 0 and at < size:
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1 and at < size:
        data[at] = random.randrange(256)
    elif kind == 2:
        data[at:at] = random.choice(TOKENS)
    elif kind == 3:
        data[at : at + length] = random.choice(TOKENS)
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:
        data[at:at] = data[at : at + length] * random.choice((1, 2, 20))
    elif kind == 6:
        del data[at:]
    elif kind == 7 and others:
        other = random.choice(others)
        start = random.randrange(len(other) + 1)
        data[at : at + length] = other[start : start + random.choice((4, 16, 64, 1024))]
    else:
        value = random.choice(INTERESTING) + random.choice((0, 0, 1, -1))
        width = random.choice((1, 2, 4, 8))
        order = random.choice(("little", "big"))
        data[at : at + width] = (value % 256**width).to_bytes(width, order)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of JSON data."""
    children = list(enumerate(value)) if isinstance(value, list) else []
    children = list(value.items()) if isinstance(value, dict) else children
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def mutated_json(random: Random, value: Any, ways: list[tuple[Any, ...]] | None = None) -> Any:
    """JSON data, with one to three parts replaced, removed or exchanged by other parts."""
    value = copy.deepcopy(value)
    ways = ways or places(value)
    for _ in range(random.choice((1, 1, 2, 3))):
        path = random.choice(ways[1:] or ways)
        inner = _at(value, path[:-1])
        if not path or not isinstance(inner, (dict, list)):
            continue
        try:
            if random.random() < 0.15:
                del inner[path[-1]]
            elif random.random() < 0.3:
                inner[path[-1]] = copy.deepcopy(_at(value, random.choice(ways)))
            else:
                inner[path[-1]] = _like(random, inner[path[-1]])
        except (KeyError, IndexError, TypeError):
            continue  # a change before has removed it
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _like(random: Random, value: Any) -> Any:
    """Another value, now and then of the same kind."""
    same = random.random() < 0.6
    if same and isinstance(value, bool):
        return not value
    if same and isinstance(value, (int, float)):
        return random.choice((value + 1, value - 1, -value, value * 2, *INTERESTING, 0.5, 1e300))
    if same and isinstance(value, str):
        return random.choice(("", value + "x", value[::-1], "\x1b[2J", "\0", "a" * 1000, "\ud800"))
    if same and isinstance(value, list):
        return random.choice((value[:-1], value * 2, value[::-1], []))
    return random.choice((None, True, -1, 0.5, "", "x", [], {}, [[]], [1, 2], {"a": 1}, 2**64,
                          {"rows": [1, 0]}, {"float": "nan"}, {"graph": {}}))  # fmt: skip


def dumped(value: Any) -> str:
    """JSON text; lone surrogates are written as JSON can write them."""
    return json.dumps(value)

"""TensorBoard's event files, written without TensorBoard: TFRecord and a few protocol messages.

A record is its length, the masked CRC-32C of the length, the data, and their masked CRC-32C. The
messages are those of ``tensorboard/compat/proto`` (event, summary, tensor, histogram) and of its
plugins for text and hyperparameters; numbers of fields are those of these files.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK, _WORD = 0xA282EAD8, 0xFFFFFFFF
#: Reversed polynomial of Castagnoli's CRC.
_POLYNOMIAL = 0x82F63B78
_BINS = 30


# ---- records -------------------------------------------------------------------------------------


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC (RFC 3720).

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    table, value = _table(), _WORD
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ _WORD


def _masked(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + _MASK) & _WORD)


def record(data: bytes) -> bytes:
    """A TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


# ---- messages ------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _integer(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, _FIXED32) + struct.pack("<f", value)


def _message(field: int, content: bytes | str) -> bytes:
    data = content.encode(errors="replace") if isinstance(content, str) else content
    return _key(field, _BYTES) + _varint(len(data)) + data


def _doubles(field: int, values: Sequence[float]) -> bytes:
    return _message(field, struct.pack(f"<{len(values)}d", *values))


def event(step: int, wall_time: float, values: Sequence[bytes] = (), version: str = "") -> bytes:
    """An event: the version of the format, or values of a summary."""
    parts = [_double(1, wall_time), _integer(2, step) if step else b""]
    if version:
        parts.append(_message(3, version))
    if values:
        parts.append(_message(5, b"".join(_message(1, value) for value in values)))
    return b"".join(parts)


def _plugin(name: str, content: bytes = b"", data_class: int = 0) -> bytes:
    """The metadata that give a value to a plugin."""
    data = _message(1, name) + (_message(2, content) if content else b"")
    return _message(9, _message(1, data) + (_integer(4, data_class) if data_class else b""))


def scalar(tag: str, value: float) -> bytes:
    """A number of a summary."""
    return _message(1, tag) + _float(2, value)


def text(tag: str, content: str) -> bytes:
    """A text of a summary, in Markdown."""
    shape = _message(2, _message(2, _integer(1, 1)))  # one string
    tensor = _integer(1, 7) + shape + _message(8, content)
    return _message(1, tag) + _message(8, tensor) + _plugin("text", data_class=2)


def histogram(tag: str, values: Any) -> bytes:
    """How numbers are distributed, in about 30 bins; what is not finite is left out."""
    array = np.asarray(values, np.float64).ravel()
    known = array[np.isfinite(array)]
    if not len(known):
        known = np.zeros(1)
    counts, edges = np.histogram(known, _BINS)
    content = b"".join([
        _double(1, float(known.min())), _double(2, float(known.max())),
        _double(3, float(len(known))), _double(4, float(known.sum())),
        _double(5, float((known**2).sum())),
        _doubles(6, edges[1:].tolist()), _doubles(7, counts.astype(float).tolist()),
    ])  # fmt: skip
    return _message(1, tag) + _message(5, content)


# ---- hyperparameters -----------------------------------------------------------------------------

#: A tensor without elements, which values of the plugin carry.
_NO_TENSOR = _message(8, _integer(1, 1) + _message(2, _message(2, _integer(1, 0))))


def _hyperparameters(tag: str, content: bytes) -> bytes:
    data = _integer(1, 0) + content
    return _message(1, f"_hparams_/{tag}") + _NO_TENSOR + _plugin("hparams", data)


def session_start(options: Mapping[str, Any], metrics: Sequence[str], now: float) -> list[bytes]:
    """A training with these options begins; ``metrics`` are the tags that its table shows."""
    infos, pairs = [], []
    for name, value in options.items():
        kind, encoded = _parameter(value)
        infos.append(_message(4, _message(1, name) + _integer(4, kind)))
        pairs.append(_message(1, _message(1, name) + _message(2, encoded)))
    tags = [_message(5, _message(1, _message(2, tag))) for tag in metrics]
    experiment = _double(3, now) + b"".join([*infos, *tags])
    start = b"".join(pairs) + _double(5, now)
    return [
        _hyperparameters("experiment", _message(2, experiment)),
        _hyperparameters("session_start_info", _message(3, start)),
    ]


def _parameter(value: Any) -> tuple[int, bytes]:
    """The type of a hyperparameter (1 text, 2 boolean, 3 number), and its value."""
    if isinstance(value, bool):
        return 2, _integer(4, int(value))
    if isinstance(value, int | float):
        return 3, _double(2, float(value))
    return 1, _message(3, value if isinstance(value, str) else str(value))


def session_end(now: float, failed: bool = False) -> bytes:
    """The training is over."""
    return _hyperparameters(
        "session_end_info", _message(4, _integer(1, 2 if failed else 1) + _double(2, now))
    )


# ---- files ---------------------------------------------------------------------------------------

#: What the names of event files begin with, by which TensorBoard finds them.
PREFIX = "events.out.tfevents."


class EventFile:
    """An event file that grows.

    Args:
        folder: made if it does not exist; TensorBoard calls the run as the folder.
        clock: tells the time; for tests.
    """

    def __init__(self, folder: Path, clock: Any = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        stem = f"{PREFIX}{clock():.0f}.{socket.gethostname()}.{os.getpid()}"
        number = 0
        while (folder / f"{stem}.{number}").exists():
            number += 1
        self.path = folder / f"{stem}.{number}"
        self._file = self.path.open("xb")
        self._file.write(record(event(0, clock(), version="brain.Event:2")))

    def now(self) -> float:
        """Seconds since 1970."""
        return float(self._clock())

    def write(self, step: int, *values: bytes) -> None:
        """Values of a step, at once on the disk."""
        self._file.write(record(event(step, self.now(), values)))
        self._file.flush()

    def close(self) -> None:
        """No more events come."""
        self._file.close()

"""Sound files as arrays of one rate, one channel and one length.

The package soundfile reads WAV, FLAC, OGG and more; plain WAV files need only Python itself.
"""

from __future__ import annotations

import functools
import math
import os
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...utils.typing import Array

#: Zero crossings of the sinc on each side, and the shape of the Kaiser window over them.
_CROSSINGS, _BETA = 16, 8.0
#: Values that are resampled at once.
_AT_ONCE = 16_384
#: Sounds of more numbers than this are taken for an attack on the memory.
MOST_NUMBERS = 500_000_000


@dataclass(frozen=True)
class Header:
    """What a sound file says of itself."""

    rate: int
    channels: int
    length: int


def read_header(path: str) -> Header:
    """Rate, channels and length in numbers a channel.

    Raises:
        DataError: the file cannot be read, or has no sound in it; names it.
    """
    _check_there(path)
    soundfile = _soundfile()
    try:
        if soundfile is not None:
            info = soundfile.info(path)
            header = Header(info.samplerate, info.channels, info.frames)
        else:
            with wave.open(path, "rb") as file:
                header = Header(file.getframerate(), file.getnchannels(), file.getnframes())
    except Exception as error:  # as many kinds as there are formats
        raise _damaged(path, error) from None
    if header.length <= 0:
        raise DataError("A sound cannot be read.", where=path, found="a length of 0")
    if header.length * header.channels > MOST_NUMBERS:
        raise DataError(
            "A sound claims a length that the memory cannot hold.",
            where=path,
            expected=f"at most {MOST_NUMBERS:,} numbers",
            found=f"{header.length:,} in {header.channels} channels",
        )
    return header


def read_sound(path: str, rate: int, samples: int) -> Array:
    """A sound with one channel, one rate and one length.

    Channels are averaged; other rates are resampled (see `resample`); shorter sounds get silence on
    both sides, of longer ones the middle is taken.

    Args:
        path: a file.
        rate: sample rate of the result.
        samples: length of the result.

    Returns:
        (samples,) int16; 32767 is full scale.

    Raises:
        DataError: the file cannot be read; names it.
    """
    header = read_header(path)
    try:
        x = _read(path)
    except Exception as error:
        raise _damaged(path, error) from None
    if not len(x):
        raise DataError("A sound cannot be read.", where=path, found="a length of 0")
    if not np.isfinite(x).all():
        raise DataError("A sound cannot be read.", where=path, found="numbers that are not finite")
    # Before it is resampled, what is not needed of a long sound goes.
    x = _middle(x.mean(axis=1), -(-samples * header.rate // rate) + 2 * header.rate // 100)
    x = _middle(resample(x, header.rate, rate), samples)
    short = samples - len(x)
    x = np.pad(x, (short // 2, short - short // 2))
    return np.clip(np.rint(x * 32767), -32768, 32767).astype(np.int16)


def resample(x: Array, rate: int, new_rate: int) -> Array:
    """The same sound with another number of values a second.

    y(m) = Σₖ x(k) · c·sinc(c·(t - k)) · w(t - k) at t = m·rate/new_rate, with the cutoff
    c = min(1, new_rate/rate), so that nothing above half the lower rate is left, and a Kaiser
    window w over 16 zero crossings on each side (J. O. Smith, "Digital audio resampling", 2002).

    Args:
        x: (n,) numbers.
        rate: of x.
        new_rate: of the result.

    Returns:
        (⌈n·new_rate/rate⌉,) float64.

    Example:
        >>> resample(np.ones(1000), 44_100, 16_000)[180:183].round(3).tolist()
        [1.0, 1.0, 1.0]
    """
    if rate == new_rate:
        return np.asarray(x, dtype=np.float64)
    weights = _weights(rate, new_rate)
    reach = weights.shape[1] // 2
    count = -(-len(x) * new_rate // rate)
    padded = np.pad(np.asarray(x, dtype=np.float64), (reach - 1, reach + 1))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach)
    result = np.empty(count)
    for start in range(0, count, _AT_ONCE):
        m = np.arange(start, min(start + _AT_ONCE, count), dtype=np.int64)
        part = around[m * rate // new_rate]
        result[m] = np.einsum("mk,mk->m", part, weights[m % len(weights)])
    return result


@functools.lru_cache(8)
def _weights(rate: int, new_rate: int) -> Array:
    """(phases, neighbours): m and m + phases lie alike among their neighbours."""
    cutoff = min(1.0, new_rate / rate)
    reach = math.ceil(_CROSSINGS / cutoff)
    phases = new_rate // math.gcd(rate, new_rate)
    place = (np.arange(phases) * rate % new_rate) / new_rate
    distance = place[:, None] - np.arange(-reach + 1, reach + 1)
    inside = np.sqrt(np.maximum(1 - (distance / reach) ** 2, 0))
    weights = np.sinc(cutoff * distance) * np.i0(_BETA * inside)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))  # a constant stays one


def _middle(x: Array, samples: int) -> Array:
    start = max(len(x) - samples, 0) // 2
    return x[start : start + samples]


# ---- files ---------------------------------------------------------------------------------------


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        return None
    return soundfile


def _check_there(path: str) -> None:
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise DataError("A sound cannot be read.", where=path,
                        found=error.strerror or str(error)) from None  # fmt: skip
    if not size:
        raise DataError("A sound cannot be read.", where=path, found="an empty file (0 bytes)")
    if _soundfile() is None and not path.lower().endswith(".wav"):
        raise ConfigError(
            "Reading sounds other than WAV needs soundfile.",
            where=path,
            expected="the extra audio",
            hint="pip install 'chainrule[audio]'",
        )


def _read(path: str) -> Array:
    """(length, channels) from -1 to 1."""
    soundfile = _soundfile()
    if soundfile is not None:
        return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0])
    with wave.open(path, "rb") as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        data = file.readframes(file.getnframes())
    data = data[: len(data) // (width * channels) * width * channels]
    return _pcm(data, width).reshape(-1, channels)


def _pcm(data: bytes, width: int) -> Array:
    """Integers of 1 to 4 bytes as fractions; those of one byte have no sign."""
    raw = np.frombuffer(data, np.uint8)
    if width == 1:
        return (raw.astype(np.float32) - 128) / 128
    wide = np.zeros((len(raw) // width, 4), np.uint8)
    wide[:, 4 - width :] = raw.reshape(-1, width)  # little-endian: the low bytes are first
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def _damaged(path: str, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(
        "A sound cannot be read.", where=path, found=found.replace(f"'{path}': ", "").strip()
    )

"""Sound files as arrays of one sample rate, one channel and one length.

The package soundfile reads WAV, FLAC, OGG and more, and soxr resamples; plain WAV files of the
right sample rate need only Python itself.
"""

from __future__ import annotations

import os
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError, DataError
from ...utils.files import content_size
from ...utils.typing import Array

#: Sounds of more samples than this are taken for decompression bombs.
MAX_SAMPLES = 500_000_000
#: Channels cancel if their mean has less than this, over their number, of the power of the loudest.
_CANCELLED = 0.1
#: Sounds whose peak is below this are made louder: that is 48 dB below full scale.
_FAINT = 2.0**-8
#: Of sounds of more samples than this only the part that is needed is read.
_LONG = 10_000_000
#: WAV files whose length was not known when they were begun say about so many bytes or more.
_STREAMED = 0x7FFF0000


@dataclass(frozen=True)
class Header:
    """What a sound file says of itself.

    Attributes:
        rate: sample rate in Hz.
        channels: how many.
        length: in samples per channel.
        cut_off: a WAV file ends before the length that it promises.
    """

    rate: int
    channels: int
    length: int
    cut_off: bool = False


def read_header(path: str) -> Header:
    """Sample rate, channels and length in samples per channel.

    Raises:
        DataError: the file cannot be read, or has no sound in it; names it.
    """
    _check_there(path)
    soundfile = _soundfile()
    try:
        if soundfile is not None:
            info = soundfile.info(path)
            header = Header(info.samplerate, info.channels, info.frames, _is_cut_off(path))
        else:
            with wave.open(path, "rb") as file:
                header = Header(file.getframerate(), file.getnchannels(), file.getnframes(),
                                _is_cut_off(path))  # fmt: skip
    except Exception as error:  # as many kinds as there are formats
        raise _damaged(path, error) from None
    if header.length <= 0:
        raise DataError("A sound cannot be read.", where=path, found="a length of 0")
    if header.length * header.channels > MAX_SAMPLES:
        raise DataError(
            "A sound claims more samples than fit in memory.",
            where=path,
            expected=f"at most {MAX_SAMPLES:,} samples",
            found=f"{header.length:,} in {header.channels} channels",
        )
    return header


def _is_cut_off(path: str) -> bool:
    """Whether the data of a WAV file are fewer bytes than it says; a stream says the most."""
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return size < _STREAMED and size > os.path.getsize(path) - file.tell()
            file.seek(size + size % 2, os.SEEK_CUR)
    return False


def read_sound(path: str, rate: int, samples: int) -> Array:
    """A sound with one channel, one sample rate and one length.

    Channels are averaged, unless they cancel each other: then the loudest is taken. Other rates are
    resampled; shorter sounds are padded with silence on both sides, longer ones cropped to their
    middle. What is louder than full scale, as floats may be, or hardly there, is scaled to fit.

    Args:
        path: a file.
        rate: sample rate of the result, in Hz.
        samples: length of the result.

    Returns:
        (samples,) int16; 32767 is full scale.

    Raises:
        DataError: the file cannot be read; names it.
        ConfigError: it has another sample rate, and soxr is not installed.
    """
    header = read_header(path)
    # Before it is resampled, what is not needed of a long sound goes.
    needed = -(-samples * header.rate // rate) + 2 * header.rate // 100
    x = _middle(_checked_samples(path, header, needed), needed)
    x = _fitting(_middle(_resampled(x, header.rate, rate, path), samples))
    short = samples - len(x)
    x = np.pad(x, (short // 2, short - short // 2))
    return _as_int16(x)


def read_whole_sound(path: str, rate: int, most: int = MAX_SAMPLES) -> Array:
    """As `read_sound`, from beginning to end; of longer sounds the first ``most`` samples.

    Returns:
        (samples,) int16; 32767 is full scale.
    """
    header = read_header(path)
    x = _checked_samples(path, header, MAX_SAMPLES)
    x = x[: -(-most * header.rate // rate) + 2 * header.rate // 100]
    return _as_int16(_fitting(_resampled(x, header.rate, rate, path)[:most]))


def _checked_samples(path: str, header: Header, needed: int) -> Array:
    """One channel of a sound, or an error that names it."""
    try:
        x = _read(path, header, needed)
    except Exception as error:
        raise _damaged(path, error) from None
    if not len(x):
        raise DataError("A sound cannot be read.", where=path, found="a length of 0")
    if not np.isfinite(x).all():
        raise DataError("A sound cannot be read.", where=path, found="samples that are not finite")
    return one_channel(x)[0]


def _as_int16(x: Array) -> Array:
    return np.clip(np.rint(x * 32767), -32768, 32767).astype(np.int16)


def one_channel(x: Array) -> tuple[Array, bool]:
    """The mean of (length, channels); the loudest, and True, where the channels cancel in it.

    Example:
        >>> one_channel(np.array([[1.0, -1.0], [0.5, -0.5]]))
        (array([1. , 0.5]), True)
    """
    mixed = x.mean(axis=1)
    if x.shape[1] == 1:
        return mixed, False
    power = np.einsum("tc,tc->c", x, x, dtype=np.float64)
    if float(mixed @ mixed) >= _CANCELLED / x.shape[1] * power.max():
        return mixed, False
    return x[:, int(np.argmax(power))], True


def cancels(path: str) -> bool:
    """Whether the channels of a sound cancel each other in their mean.

    Raises:
        DataError: the file cannot be read; names it.
    """
    header = read_header(path)
    try:
        return one_channel(_read(path, header, 10 * header.rate))[1]
    except Exception as error:
        raise _damaged(path, error) from None


def _fitting(x: Array) -> Array:
    """Within full scale, and not too soft for 16 bits: loudness does not matter."""
    peak = float(np.abs(x).max(initial=0))
    if peak > 1:
        return np.asarray(x / peak)
    return np.asarray(x * (0.25 / peak)) if 0 < peak < _FAINT else x


def _resampled(x: Array, rate: int, new_rate: int, path: str) -> Array:
    if rate == new_rate:
        return x
    try:
        import soxr
    except ImportError:
        raise ConfigError(
            "Resampling sounds needs soxr.",
            where=path,
            expected=f"a sample rate of {new_rate:,} Hz, or the extra audio",
            found=f"{rate:,} Hz",
            hint="pip install 'chainrule[audio]'",
        ) from None
    return np.asarray(soxr.resample(x, rate, new_rate))


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
    content_size(path, "A sound")
    if _soundfile() is None and not path.lower().endswith(".wav"):
        raise ConfigError(
            "Reading sounds other than WAV needs soundfile.",
            where=path,
            expected="the extra audio",
            hint="pip install 'chainrule[audio]'",
        )


def _read(path: str, header: Header, needed: int) -> Array:
    """(length, channels) from -1 to 1: all, or of a very long sound as much as needed."""
    soundfile = _soundfile()
    if soundfile is not None:
        if header.length * header.channels > _LONG and header.length > 2 * needed:
            with soundfile.SoundFile(path) as file:
                file.seek((header.length - needed) // 2)
                part = file.read(needed, dtype="float32", always_2d=True)
            if len(part) == needed:  # otherwise the header promises more than there is
                return np.asarray(part)
        return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0])
    with wave.open(path, "rb") as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        data = file.readframes(file.getnframes())
    data = data[: len(data) // (width * channels) * width * channels]
    return _pcm(data, width).reshape(-1, channels)


def _pcm(data: bytes, width: int) -> Array:
    """Integers of 1 to 4 bytes as fractions; those of one byte are unsigned."""
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

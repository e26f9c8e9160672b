"""Small folders of sounds that are easy to tell apart."""

import wave

import numpy as np
import pytest


def write_wav(path, x, rate=8000, width=2):
    """(n,) or (n, channels) numbers from -1 to 1 as PCM of so many bytes."""
    x = np.asarray(x, dtype=float)
    channels = 1 if x.ndim == 1 else x.shape[1]
    whole = np.clip(np.rint(x * (2 ** (8 * width - 1) - 1)), -(2 ** (8 * width - 1)), None)
    raw = whole.astype("<i4").ravel()
    data = (raw + 128).astype(np.uint8) if width == 1 else raw.view(np.uint8).reshape(-1, 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data.tobytes() if width == 1 else data[:, :width].tobytes())
    return str(path)


def tone(frequency, rate, seconds=0.3, level=0.5):
    return level * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


def make_tones(folder, count=12, rate=8000):
    """A folder with the class folders low and high, ``count`` noisy tones in each."""
    generator = np.random.default_rng(0)
    for label, frequency in (("low", 400), ("high", 1600)):
        for number in range(count):
            x = tone(frequency * generator.uniform(0.85, 1.15), rate)
            x = x + 0.02 * generator.standard_normal(len(x))
            write_wav(folder / label / f"{number:02}.wav", x, rate)
    return folder


@pytest.fixture
def tones(tmp_path):
    return make_tones(tmp_path / "tones")

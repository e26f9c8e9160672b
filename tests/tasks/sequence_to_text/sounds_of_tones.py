"""Sounds in which every letter is a tone, and so is the space: speech that is learned at once."""

import wave

import numpy as np

RATE = 8000
LETTERS = "abcd"
TONES = {" ": 150, "a": 400, "b": 900, "c": 1500, "d": 2400}


def tones(text, seed=0):
    """Tones of 90 ms with gaps between them, at different loudness."""
    rng = np.random.default_rng([seed, len(text)])
    parts = [np.zeros(800)]
    for letter in text:
        time = np.arange(720) / RATE
        tone = np.sin(2 * np.pi * TONES[letter] * time) * np.hanning(720)
        parts.append(rng.uniform(0.2, 0.5) * tone)
        parts.append(np.zeros(240))
    sound = np.concatenate([*parts, np.zeros(800)])
    return sound + 0.002 * rng.normal(size=len(sound))


def write_sound(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def texts(count, seed=0):
    """Different texts of two words of one to three letters."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < count:
        words = ["".join(rng.choice([*LETTERS], rng.integers(1, 4))) for _ in range(2)]
        found[" ".join(words)] = None
    return list(found)


def write_table(folder, count, name="said.csv"):
    """A table of sounds with their texts."""
    lines = ["file,text"]
    for number, text in enumerate(texts(count)):
        write_sound(folder / "sounds" / f"{number}.wav", tones(text, number))
        lines.append(f"sounds/{number}.wav,{text.upper()}!")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path

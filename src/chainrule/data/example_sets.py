"""Example data that are at hand without a download: one set for each kind of data.

Tables and the series are real and come with the package (sources and licences: README.md beside
them). The others are made here, from a seed, and say so: what they show is how each kind of data
lies on the disk.
"""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError, unknown
from ..utils.typing import Array

__all__ = ["EXAMPLES", "ExampleSet", "write_example"]

_RATE = 8_000  # samples per second
_SIZE = 28  # pixels each way


@dataclass(frozen=True)
class ExampleSet:
    """A set of example data.

    Args:
        what: one line on what it is, and whether it was measured or made.
        write: writes it below a folder and returns what was written.
        train: the options of ``chainrule train`` for it, after the path.
    """

    what: str
    write: Callable[[Path], list[Path]]
    train: str


def write_example(name: str, folder: Path) -> list[Path]:
    """Write the example data of a name below a folder; the first path is that to train on.

    Raises:
        ConfigError: no example of this name, or it needs an extra that is not installed.
        DataError: something of another content is there already; it is left alone.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write_example("iris", folder)]
        ['iris.csv']
    """
    if name not in EXAMPLES:
        raise unknown("example", name, EXAMPLES)
    return EXAMPLES[name].write(folder)


def _shipped(name: str) -> Path:
    """A file that comes with the package, or lies beside it in a clone."""
    package = Path(__file__).parents[1]
    for folder in (package / "example_data", package.parents[1] / "examples" / "data"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        "Example data are missing from this installation.",
        where=name,
        hint="Install chainrule again, or take them from a clone: examples/data",
    )


def _place(path: Path) -> Path:
    """The path, free to be written: what is there already is not overwritten."""
    if path.exists():
        raise DataError(
            "There is something of this name already.",
            where=str(path),
            hint="Remove it, or write elsewhere: --out FOLDER",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(*names: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        paths = [_place(folder / name) for name in names]
        for path in paths:
            shutil.copyfile(_shipped(path.name), path)
        return paths

    return write


def _houses(folder: Path) -> list[Path]:
    import polars as pl

    sales, new = _place(folder / "houses.csv"), _place(folder / "new_houses.csv")
    pl.read_parquet(_shipped("house_prices.parquet")).write_csv(sales)
    shutil.copyfile(_shipped("new_houses.csv"), new)
    return [sales, new]


# ---- texts -----------------------------------------------------------------------------------

_SUBJECTS = {
    "delivery": ("parcel", "order", "package", "courier", "delivery", "shipment"),
    "invoice": ("invoice", "bill", "payment", "receipt", "refund", "charge"),
    "fault": ("screen", "battery", "app", "charger", "keyboard", "update"),
}
_SENTENCES = {
    "delivery": (
        "where is my {0}", "the {0} has not arrived", "my {0} is {1} days late",
        "the {0} went to the wrong address", "can the {0} come on {2}",
    ),
    "invoice": (
        "the {0} shows the wrong amount", "I was asked for {1} dollars twice on one {0}",
        "please send the {0} again", "when do I get the {0}", "the {0} of {2} is missing",
    ),
    "fault": (
        "the {0} does not work", "the {0} stopped after {1} minutes", "the {0} is broken since {2}",
        "how do I reset the {0}", "the new {0} makes a noise",
    ),
}  # fmt: skip
_OPENINGS = ("Hello, ", "Hi, ", "Good morning, ", "", "", "Please help: ", "Once more: ")
_ENDINGS = (".", "!", ", thanks.", ". Regards, A.", ". I wrote on {2} already.", "")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def _messages(folder: Path, count: int = 600) -> list[Path]:
    random = np.random.default_rng(17)
    lines = ["message,topic"]
    for _ in range(count):
        topic = str(random.choice(list(_SUBJECTS)))
        words = (random.choice(_SUBJECTS[topic]), random.integers(2, 30), random.choice(_DAYS))
        body = str(random.choice(_SENTENCES[topic])) + str(random.choice(_ENDINGS))
        lines.append(f'"{random.choice(_OPENINGS)}{body.format(*words)}",{topic}')
    path = _place(folder / "messages.csv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]


# ---- images and sounds -----------------------------------------------------------------------


def _inside(shape: str, x: Array, y: Array, radius: float) -> Array:
    """Which pixels belong to a shape round the origin."""
    if shape == "circle":
        return x**2 + y**2 <= radius**2
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) <= 0.85 * radius
    return (y <= 0.6 * radius) & (2 * np.abs(x) <= y + 1.2 * radius)  # triangle


def _shapes(folder: Path, count: int = 150) -> list[Path]:
    try:
        from PIL import Image
    except ImportError:
        raise ConfigError("Writing images needs Pillow.", expected="the extra images",
                          hint="pip install 'chainrule[images]'") from None  # fmt: skip
    random = np.random.default_rng(17)
    root = _place(folder / "shapes")
    for shape in ("circle", "square", "triangle"):
        (root / shape).mkdir(parents=True)
        for number in range(count):
            radius, turn = random.uniform(5, 11), random.uniform(-0.5, 0.5)
            centre = random.uniform(radius, _SIZE - radius, 2)
            row, column = np.mgrid[:_SIZE, :_SIZE] - centre[:, None, None]
            x = np.cos(turn) * column - np.sin(turn) * row
            y = np.sin(turn) * column + np.cos(turn) * row
            ink, paper = random.uniform(130, 255), random.uniform(0, 90)
            pixels = np.where(_inside(shape, x, y, radius), ink, paper)
            pixels = np.clip(pixels + random.normal(0, 25, pixels.shape), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / shape / f"{number:03}.png")
    return [root]


def _tone(kind: str, random: np.random.Generator) -> Array:
    """Half a second of a sound: steady, or its pitch goes up or down."""
    seconds = np.arange(_RATE // 2) / _RATE
    low = random.uniform(200, 800)
    change = {"falling": -0.5, "rising": 1.0, "steady": 0.0}[kind] * random.uniform(0.6, 1.0)
    pitch = low * (1 + change * seconds / seconds[-1])
    phase = 2 * np.pi * np.cumsum(pitch) / _RATE
    sound = np.sin(phase) + random.uniform(0, 0.5) * np.sin(2 * phase)
    return 0.3 * sound + random.normal(0, random.uniform(0.01, 0.1), sound.shape)


def _tones(folder: Path, count: int = 60) -> list[Path]:
    random = np.random.default_rng(17)
    root = _place(folder / "tones")
    for kind in ("falling", "rising", "steady"):
        (root / kind).mkdir(parents=True)
        for number in range(count):
            samples = np.clip(_tone(kind, random), -1, 1)
            with wave.open(str(root / kind / f"{number:03}.wav"), "wb") as file:
                file.setparams((1, 2, _RATE, 0, "NONE", "not compressed"))
                file.writeframes((samples * 32767).astype("<i2").tobytes())
    return [root]


#: The example sets by name.
EXAMPLES = {
    "houses": ExampleSet(
        "a table, numbers to predict: 21,613 house sales, King County 2014-2015",
        _houses, "--target price",
    ),
    "iris": ExampleSet(
        "a table, classes to predict: 150 flowers measured by Anderson and Fisher, 1936",
        _copy("iris.csv"), "--target species",
    ),
    "co2": ExampleSet(
        "a series: carbon dioxide in the air of Mauna Loa, weekly, 1958-2001",
        _copy("carbon_dioxide.csv"), "--target co2 --horizon 52",
    ),
    "messages": ExampleSet(
        "texts of three topics: 600 messages to a shop, made from sentence patterns",
        _messages, "--target topic",
    ),
    "shapes": ExampleSet(
        "images of three classes: 450 drawings of circles, squares and triangles, made",
        _shapes, "",
    ),
    "tones": ExampleSet(
        "sounds of three classes: 180 tones that rise, fall or stay, made",
        _tones, "",
    ),
}  # fmt: skip

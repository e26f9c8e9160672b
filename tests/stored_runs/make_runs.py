"""Write one tiny run folder of each kind of data, with what its model predicts for new data.

    python tests/stored_runs/make_runs.py FOLDER

The archives beside this file were written once, with version 0.1.0 before its modules had their
present names, and stay as they are: whoever has such a run folder can go on using it. A later
format gets archives of its own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from typer.testing import CliRunner

from chainrule.cli.app import app

HERE = Path(__file__).parent
DAY = np.datetime64("2020-01-01")


def command(*arguments: object) -> str:
    """The standard output of a command of the program, run in this process."""
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    return result.stdout


def rounding() -> str:
    """A digest of how this machine's NumPy rounds, which differs between processors.

    Machines with the same digest compute the same bits from the same model.
    """
    g = np.random.default_rng(0)
    digest = hashlib.sha256()
    for rows, inner, columns in ((1, 8, 4), (8, 40, 4), (16, 24, 8), (6, 300, 17)):
        a = g.normal(size=(rows, inner)).astype(np.float32)
        b = g.normal(size=(inner, columns)).astype(np.float32)
        for x in (a @ b, a.astype(float) @ b.astype(float), np.exp(a), np.log(a * a), np.tanh(a)):
            digest.update(x.tobytes())
            digest.update(x.sum(axis=-1).tobytes())
    return digest.hexdigest()


def houses(path: Path, rows: int, seed: int) -> None:
    """A table with numbers, categories, dates, truth values and gaps, and both sorts of target."""
    g = np.random.default_rng(seed)
    size = g.uniform(20, 120, rows).round(1)
    city = g.choice(["Oslo", "Rome", "Bern"], rows)
    built = DAY + g.integers(0, 2000, rows)
    price = np.exp(0.02 * size + 0.4 * (city == "Oslo") + g.normal(0, 0.1, rows)).round(2)
    pl.DataFrame(
        {
            "size": [
                None if hidden else x for x, hidden in zip(size, g.random(rows) < 0.1, strict=True)
            ],
            "city": city,
            "built": built,
            "garden": g.random(rows) < 0.5,
            "price": price,
            "class": np.where(price < 5, "cheap", "dear"),
        }
    ).write_csv(path)


def mails(path: Path, rows: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    words = {"glad": ["sun", "joy", "cake"], "sad": ["rain", "grief", "bill"]}
    mood = g.choice(list(words), rows)
    text = [" ".join(g.choice([*words[m], "the", "of", "and"], 6)) for m in mood]
    pl.DataFrame({"text": text, "mood": mood}).write_csv(path)


def plays(path: Path, rows: int, seed: int) -> None:
    path.write_text("the cat sat on the mat and the dog sat on the log.\n" * rows)


def sales(path: Path, rows: int, seed: int) -> None:
    g, x = np.random.default_rng(seed), np.arange(rows) + 100 * seed
    sold = 50 + 10 * np.sin(2 * np.pi * x / 7) + g.normal(0, 0.2, rows)
    pl.DataFrame({"day": DAY + x, "sold": sold.round(3)}).write_csv(path)


def walks(path: Path, rows: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    table = []
    for who, kind in enumerate(g.choice(["up", "down"], rows)):
        x = (1.5 if kind == "up" else -1.5) * np.arange(6.0) + g.normal(0, 0.3, 6)
        table += [{"who": who, "t": t, "x": round(y, 3), "kind": kind} for t, y in enumerate(x)]
    pl.DataFrame(table).write_csv(path)


def pictures(folder: Path, count: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    for name, level in (("bright", 200), ("dark", 60)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = g.integers(level - 20, level + 20, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")


def tones(folder: Path, count: int, seed: int) -> None:
    g, time = np.random.default_rng(seed), np.arange(800) / 8000
    for name, pitch in (("high", 1600), ("low", 400)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            x = 8000 * np.sin(2 * np.pi * pitch * time) + 300 * g.normal(size=len(time))
            with wave.open(str(folder / name / f"{i:02}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(x.astype("<i2").tobytes())


def said(folder: Path, count: int, seed: int) -> None:
    """Sounds with a text beside each; every letter is a tone."""
    g, time = np.random.default_rng(seed), np.arange(640) / 8000
    folder.mkdir(parents=True)
    for i in range(count):
        text = "".join(g.choice(list("abc"), g.integers(2, 5)))
        pitches = [400 + 700 * "abc".index(letter) for letter in text]
        sound = [8000 * np.hanning(640) * np.sin(2 * np.pi * pitch * time) for pitch in pitches]
        with wave.open(str(folder / f"{i:02}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(np.concatenate(sound).astype("<i2").tobytes())
        (folder / f"{i:02}.txt").write_text(text)


def spellings(path: Path, count: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    words = ["".join(g.choice(list("abcde"), g.integers(2, 6))) for _ in range(count)]
    table = {"word": words, "spelled": [" ".join(word.upper()) for word in words]}
    pl.DataFrame(table).write_csv(path, separator="\t")


#: By name: the maker of data, their names and numbers for training and later, and the options.
RUNS: dict[str, tuple[Callable[..., None], str, int, int, str]] = {
    "table_numbers": (houses, "houses.csv", 80, 8, "-t price --drop class --hidden 4 --members 2"),
    "table_classes": (houses, "houses.csv", 80, 8, "-t class --drop price --hidden 4 --members 2"),
    "text_classes": (mails, "mails.csv", 60, 8, "-t mood --model bag --hidden 4"),
    "text_transformer": (mails, "mails.csv", 60, 8, "-t mood --model transformer --hidden 8"),
    "language": (plays, "plays.txt", 60, 4, "--model gpt --hidden 8 --context 8"),
    "language_lstm": (plays, "plays.txt", 60, 4, "--model lstm --hidden 8 --context 8"),
    "forecast": (sales, "sales.csv", 120, 40, "-t sold --horizon 3 --window 14 --model lstm"
                 " --hidden 4"),
    "sequences": (walks, "walks.csv", 40, 6, "-t kind --group who --time t --hidden 4"),
    "images": (pictures, "pictures", 12, 3, "--size 8 --model lenet"),
    "audio": (tones, "tones", 12, 3, "--model cnn"),
    "spelling": (spellings, "spellings.tsv", 60, 8, "-t spelled --hidden 8"),
    "speech": (said, "said", 20, 4, "--hidden 8"),
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    """Train a run, keep what its model says of new data, and pack all of it."""
    maker, data, many, few, options = RUNS[name]
    place = folder / name
    (place / "training").mkdir(parents=True)
    (place / "new").mkdir()
    maker(place / "training" / data, many, 0)
    maker(place / "new" / data, few, 1)
    os.chdir(place)
    split = [] if name.startswith("language") else ["--test", "0.2"]
    command("train", f"training/{data}", *options.split(), "--epochs", 2, "--out", "run", *split)
    if name.startswith("language"):
        said = command("generate", "run", "--prompt", "the ", "--length", 40, "--temperature", 0)
    else:
        proba = [] if name in ("table_numbers", "forecast") else ["--proba"]
        said = command("predict", "run", f"new/{data}", *proba)
    (place / "predictions").write_text(said)
    (place / "evaluation").write_text(command("evaluate", "run", f"new/{data}", "--json"))
    (place / "rounding").write_text(rounding())
    if name in ("images", "audio", "speech"):  # a run is whole without it, and these would be large
        (place / "run" / "training.safetensors").unlink()
    return pack(place)


def pack(place: Path) -> Path:
    """The run, the new data and what was said of them, as one text."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for part in ("run", "new", "predictions", "evaluation", "rounding"):
            archive.add(place / part, part)
    text = base64.encodebytes(buffer.getvalue()).decode()
    path = place.parent / f"{place.name}.base64"
    path.write_text(text)
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    for name in RUNS:
        path = make(name, target)
        print(f"{path.name}: {path.stat().st_size:,} bytes")

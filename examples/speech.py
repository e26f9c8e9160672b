"""Speech to text: spoken by machines in many voices, and by a person.

    python examples/speech.py [--quick] [--seeds 5] [--human] [--write FOLDER]

Sentences as people say them to a machine (about 230 words, made by rules) are spoken by espeak-ng
(a program: apt install espeak-ng) in four accents and 48 timbres, at different pitch and speed.
What is tested are sentences that were not learned from, in 16 timbres that were not, either. With
--human the recorded prompts of a telephone system, all by one person, are learned, too, from a
model of the first (Debian's asterisk-core-sounds-en and -en-wav: 8 kHz, CC-BY-SA-3.0). With --write
the sounds and tables are only written to a folder, for:

chainrule train speech/train.csv --target text --test speech/test.csv
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

PROGRAMS = ("espeak-ng",)
#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp")
TIMBRES = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt"),
    *("klatt2", "klatt3", "klatt4", "adam", "Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio"),
    *("belinda", "benjamin", "boris", "caleb", "david", "Denis", "Diogo", "ed", "Gene", "Henrique"),
    *("Hugo", "iven", "Jacky", "john", "kaukovalta", "Lee", "linda", "marcelo", "Marco", "Mario"),
    *("max", "Michael", "michel", "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy"),
    *("rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac", "grandma", "anika"),
)
#: Every fourth timbre is only tested.
UNHEARD = tuple(TIMBRES[3::4])
VOICES = tuple(name for name in TIMBRES if name not in UNHEARD)
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
LIST = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")

ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve")  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = {
    "room": "kitchen,bedroom,bathroom,living room,office,garage,garden,hall,cellar",
    "thing": "light,heating,window,door,curtain,radio,television,fan,oven,alarm,camera,lamp",
    "person": "my mother,my father,my brother,my sister,the doctor,my boss,anna,peter,julia,martin,"
    "the school,the police",
    "day": "monday,tuesday,wednesday,thursday,friday,saturday,sunday,today,tomorrow",
    "month": "january,february,march,april,may,june,july,august,september,october,november,"
    "december",
    "food": "bread,milk,butter,cheese,eggs,apples,oranges,potatoes,rice,coffee,sugar,water,fish,"
    "chicken,tomatoes,onions",
    "place": "london,paris,berlin,madrid,rome,new york,the airport,the station,the beach,"
    "the museum,the hospital,the library",
    "song": "some jazz,classical music,the news,my favourite song,something quiet,the next song",
    "weather": "rain,snow,be sunny,be cold,be warm,be windy,be cloudy",
    "how": "please,could you,can you,would you",
    "colour": "red,green,blue,yellow,white,orange,purple",
}
PATTERNS = """
{how} turn on the {thing} in the {room}
turn off the {thing} in the {room}
{how} open the {thing} in the {room} at {time}
close the {thing} and turn off the {thing}
set the {thing} in the {room} to {number} percent
make the {thing} in the {room} {colour}
{how} call {person} at {time}
call {person} and say that i am late
remind me to call {person} on {day} at {time}
remind me to buy {food} and {food} on {day}
put {food} on the shopping list
add {number} {food} and some {food} to the list
what will the weather be like in {place} on {day}
will it {weather} in {place} {day}
how far is it from {place} to {place}
how long does it take to get to {place}
when does the train to {place} leave on {day}
wake me up at {time} on {day}
set an alarm for {time}
set a timer for {number} minutes
{how} play {song} in the {room}
stop the music and play {song}
what is {number} plus {number}
what is {number} times {number}
what happened on the {ordinal} of {month}
i have a meeting with {person} on {day} at {time}
move the meeting with {person} to {day}
send a message to {person} that dinner is at {time}
my number is {digits}
is the {thing} in the {room} still on
""".strip().splitlines()
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
            "tenth", "eleventh", "twelfth", "thirteenth", "twentieth", "thirtieth")  # fmt: skip


def filled(name: str, draw: random.Random) -> str:
    """One of the texts for a gap."""
    if name == "number":
        tens, ones = draw.choice(["", *TENS]), draw.choice(ONES[:9])
        return draw.choice([ones, draw.choice(ONES), f"{tens} {ones}".strip(), tens or ones])
    if name == "time":
        past = draw.choice(["", "half past ", "a quarter to ", "a quarter past "])
        return past + draw.choice(ONES) + ("" if past else draw.choice(["", " o'clock"]))
    if name == "ordinal":
        return draw.choice(ORDINALS)
    if name == "digits":
        return " ".join(draw.choice(["zero", *ONES[:9]]) for _ in range(draw.choice([4, 5, 6])))
    return draw.choice(WORDS[name].split(","))


def sentences(seed: int) -> Iterator[str]:
    """Sentences without end, each of them once."""
    draw, seen = random.Random(seed), set()
    while True:
        pattern = draw.choice(PATTERNS)
        text = re.sub(r"\{(\w+)\}", lambda gap: filled(gap[1], draw), pattern)
        if text not in seen:
            seen.add(text)
            yield text


def is_test(text: str) -> bool:
    """Whether a sentence is only tested: a tenth of all, by what they are."""
    return hashlib.sha256(text.encode()).digest()[0] < 26


def spoken(folder: Path, texts: list[str], voices: tuple[str, ...], seed: int) -> Path:
    """A table with a file and the text of each; the files are written beside it."""
    draw = random.Random(seed)
    sounds = folder.with_suffix("")
    sounds.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, text in enumerate(texts):
        voice = f"{draw.choice(ACCENTS)}+{draw.choice(voices)}"
        rows.append((f"{sounds.name}/{number:05}.wav", text, voice,
                     draw.randint(30, 70), draw.randint(135, 190)))  # fmt: skip

    def speak(row: tuple[str, str, str, int, int]) -> None:
        name, text, voice, pitch, speed = row
        subprocess.run(
            ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w",
             str(folder.parent / name), text], check=True,
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(speak, rows))
    with folder.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "text", "voice"])
        writer.writerows(row[:3] for row in rows)
    return folder.with_suffix(".csv")


def write(folder: Path, train: int, test: int) -> tuple[Path, Path]:
    """The tables to learn from and to test."""
    learned: list[str] = []
    tested: list[str] = []
    for text in sentences(0):
        part, most = (tested, test) if is_test(text) else (learned, train)
        if len(part) < most:
            part.append(text)
        if len(learned) == train and len(tested) == test:
            break
    return (
        spoken(folder / "train", learned, VOICES, 1),
        spoken(folder / "test", tested, UNHEARD, 2),
    )


def prompts(folder: Path, texts: Path) -> Path:
    """A table of the recorded prompts with their texts, without those that are no speech."""
    if not PROMPTS.is_dir() or not texts.exists():
        print("needs the data: apt install asterisk-core-sounds-en asterisk-core-sounds-en-wav; "
              "systems without /usr/share/doc take the list of the package from --list",
              file=sys.stderr)  # fmt: skip
        raise SystemExit(SKIPPED)
    with gzip.open(texts, "rt", encoding="utf-8") as file:
        pairs = [line.split(":", 1) for line in file if ":" in line and line[0] not in ";\n"]
    path = folder / "prompts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "text"])
        for name, text in pairs:
            sound = PROMPTS / f"{name.strip()}.wav"
            if sound.exists() and text.strip() and "[" not in text:
                writer.writerow([sound, text.strip()])
    return path


def learned(table: Path, test: Path | None, seed: int, quick: bool, **more: Any) -> Any:
    """A training on a table, as `chainrule train` does it."""
    usual = {"sample_rate": 8000, "hidden": (192, 192), "batch_size": 16, "epochs": 22}
    small = {"hidden": (32,), "batch_size": 8, "epochs": 1, "backend": "numpy"} if quick else {}
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="text", test=None if test is None else str(test), seed=seed, **(usual | small | more)
    )
    return cr.sequence_to_text.train(table, options, progress=False)


def show(name: str, reports: list[dict[str, Any]]) -> None:
    """The error rates of some trainings: their mean and standard deviation."""
    found = []
    for metric in ("word_error_rate", "character_error_rate"):
        values = [100 * report["metrics"][metric] for report in reports]
        found.append(f"{metric.replace('_', ' ')} {np.mean(values):.1f} ± {np.std(values):.1f} %")
    print(f"{name}: {', '.join(found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few sounds, one epoch")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sounds", type=int, default=4000, help="sentences to learn from")
    parser.add_argument("--human", action="store_true", help="the recorded prompts, too")
    parser.add_argument("--list", type=Path, default=LIST, metavar="core-sounds-en.txt.gz",
                        help="the texts of the prompts")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the sounds only")
    options = parser.parse_args()
    train, test = (24, 6) if options.quick else (options.sounds, 300)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.write or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tables = write(folder, train, test)
        person = prompts(folder, options.list) if options.human else None
        if options.write:
            print(f"{tables[0]} and {tables[1]}")
            return
        machines, people = [], []
        for seed in range(options.seeds):
            result = learned(*tables, seed, options.quick)
            machines.append(result.report)
            if person is not None:
                model = folder / f"model-{seed}.safetensors"
                result.save(model)
                found = learned(person, None, seed, options.quick, epochs=60, from_model=str(model))
                people.append(found.report)
        show(f"{test} new sentences in {len(UNHEARD)} timbres that were not heard", machines)
        if people:
            show("a fifth of the prompts of one person", people)


if __name__ == "__main__":
    main()

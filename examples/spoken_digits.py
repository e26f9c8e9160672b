"""Spoken digits, from synthetic voices, and a network that understands voices it has never heard.

    python examples/spoken_digits.py [--quick] [--data FOLDER]

The data are synthetic: the program espeak-ng (apt-get install espeak-ng) says "zero" to "nine" with
many voices, each an accent of English and a speaker's timbre, at two speeds and pitches. A quarter
of the timbres are for the test only, so that no test voice was heard in the training. The network
sees log-mel features and trains as `chainrule train DATA/train --test DATA/test` does.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chainrule.tasks.audio import AudioOptions, train_audio

PROGRAMS = ("espeak-ng",)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland")
TIMBRES = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt"),
    *("klatt2", "klatt3", "klatt4", "adam", "Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio"),
    *("belinda", "benjamin", "boris", "caleb", "david", "Denis", "Diogo", "ed", "Gene", "Henrique"),
    *("Hugo", "iven", "Jacky", "john", "kaukovalta", "Lee", "linda", "marcelo", "Marco", "Mario"),
    *("max", "Michael", "michel", "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy"),
    *("rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac", "grandma", "anika"),
)
#: Words a minute, and the pitch from 0 to 99.
MANNERS = ((140, 40), (185, 60))


def say(folder: Path, word: int, accent: str, timbre: str, speed: int, pitch: int) -> None:
    path = folder / WORDS[word] / f"{accent}-{timbre}-{speed}.wav"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    voice = ["-v", f"{accent}+{timbre}", "-s", str(speed), "-p", str(pitch)]
    subprocess.run(["espeak-ng", *voice, "-w", str(path), WORDS[word]], check=True)


def make(folder: Path, accents: tuple[str, ...], timbres: tuple[str, ...], quarter: int) -> int:
    """WAV files in FOLDER/train and FOLDER/test, a folder for each digit in both."""
    jobs = []
    for number, timbre in enumerate(timbres):
        part = folder / ("test" if number % 4 == quarter else "train")
        for word, accent, manner in itertools.product(range(10), accents, MANNERS):
            jobs.append((part, word, accent, timbre, *manner))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job: say(*job), jobs))
    return len(jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few voices and epochs")
    parser.add_argument("--data", type=Path, default=Path("spoken_digits"), help="folder to fill")
    parser.add_argument("--quarter", type=int, default=3, help="of the timbres, for the test: 0-3")
    arguments = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        parser.exit(1, "This needs the program espeak-ng: apt-get install espeak-ng\n")
    accents, timbres = (ACCENTS[:1], TIMBRES[:8]) if arguments.quick else (ACCENTS, TIMBRES)
    count = make(arguments.data, accents, timbres, arguments.quarter)
    print(f"{count:,} synthetic sounds (espeak-ng) in {arguments.data}")
    options = AudioOptions(test=str(arguments.data / "test"), epochs=2 if arguments.quick else None)
    result = train_audio(arguments.data / "train", options, say=print)
    report = result.report
    print(f"test voices that were never heard: {report['rows']['test']:,} sounds")
    for name, metrics in {"network": report["metrics"], **report["baselines"]}.items():
        print(f"  {name:<10} accuracy {metrics['accuracy']:.4f}")


if __name__ == "__main__":
    main()

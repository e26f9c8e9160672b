"""Translation from English to Spanish, learned from the 31,000 verses of two old Bibles.

    apt-get install sword-text-kjv sword-text-sparv
    pip install 'chainrule[translation]'
    python examples/translation.py [--quick] [--minutes M] [--seed N] [--write FILE.tsv]
    python examples/translation.py --from MODEL --rate 0.001    # goes on from one that was saved

The texts are the King James Version and the Reina-Valera of 1909, both in the public domain, from
Debian's packages; --folder says where their modules are, if not in /usr/share/sword. Every 40th
verse is tested. With --write the table is only written, for: chainrule train FILE.tsv --target
spanish
"""

from __future__ import annotations

import argparse
import html
import re
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import polars as pl

import chainrule as cr

#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77
ENGLISH, SPANISH = "engKJV2006eb", "spaRV1909eb"
_NO_TEXT = re.compile(r"<(title|note)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
TESTED = 40


def entries(folder: Path, part: str) -> list[str]:
    """All entries of a testament in the format zText: blocks packed by zlib, and an index."""
    packed, blocks, verses = ((folder / f"{part}.bz{kind}").read_bytes() for kind in "zsv")
    texts = [zlib.decompress(packed[start : start + size])
             for start, size, _ in struct.iter_unpack("<3I", blocks)]  # fmt: skip
    return [
        texts[block][start : start + size].decode("utf-8", "replace") if size else ""
        for block, start, size in struct.iter_unpack("<IIH", verses)
    ]


def plain(entry: str) -> str:
    """The text of an entry without its marks, on one line."""
    return " ".join(html.unescape(_TAG.sub("", _NO_TEXT.sub("", entry))).split())


def verses(folder: Path) -> pl.DataFrame:
    """The columns english and spanish; verses have the same places in both modules."""
    rows = []
    for part in ("ot", "nt"):
        pairs = zip(*(entries(folder / name, part) for name in (ENGLISH, SPANISH)), strict=True)
        rows += [(plain(first), plain(second)) for first, second in pairs]
    found = [(first, second) for first, second in rows if first and second]
    return pl.DataFrame(found, ["english", "spanish"], orient="row")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--folder", type=Path, default=Path("/usr/share/sword"))
    parser.add_argument("--minutes", type=float, help="be done in so many minutes")
    parser.add_argument("--epochs", type=int, default=12, help="times through the verses")
    parser.add_argument("--model", default="lstm", help="or transformer")
    parser.add_argument("--width", type=int, default=192, help="of a layer")
    parser.add_argument("--layers", type=int, default=1, help="that read, and that write")
    parser.add_argument("--vocabulary", type=int, default=3000, help="pieces of words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the native code; all by default")
    parser.add_argument("--rate", type=float, default=2e-3, help="the learning rate")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--beam", type=int, default=12, help="translations that are followed")
    parser.add_argument("--mbr", type=int, default=64, help="translations that are drawn, too")
    parser.add_argument("--from", dest="start", metavar="MODEL", help="go on from these weights")
    parser.add_argument("--save", metavar="MODEL", type=Path, help="keep the model in this file")
    parser.add_argument("--write", metavar="FILE.tsv", type=Path, help="write the table, and stop")
    arguments = parser.parse_args()
    modules = arguments.folder / "modules" / "texts" / "ztext"
    if not (modules / ENGLISH).is_dir() or not (modules / SPANISH).is_dir():
        print("needs the texts: apt-get install sword-text-kjv sword-text-sparv", file=sys.stderr)
        raise SystemExit(SKIPPED)
    table = verses(modules)
    if arguments.write:
        table.write_csv(arguments.write, separator="\t", quote_style="never")
        return
    if arguments.quick:
        table = table.gather_every(150)
    row = pl.int_range(pl.len())
    train, test = table.filter(row % TESTED != 0), table.filter(row % TESTED == 0)
    place = tempfile.TemporaryDirectory()
    tested = Path(place.name) / "test.tsv"
    test.write_csv(tested, separator="\t", quote_style="never")
    network = {
        "model": arguments.model, "vocabulary": 300 if arguments.quick else arguments.vocabulary,
        "hidden": (32,) if arguments.quick else (arguments.width,) * arguments.layers,
    }  # fmt: skip
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="spanish", test=str(tested), seed=arguments.seed, minutes=arguments.minutes,
        threads=arguments.threads, epochs=1 if arguments.quick else arguments.epochs, batch_size=32,
        lr=arguments.rate, dropout=arguments.dropout, from_model=arguments.start,
        beam=arguments.beam, mbr=arguments.mbr,
        **({} if arguments.start else network),
    )  # fmt: skip
    result = cr.sequence_to_text.train(train, options, say=print)
    for name, found in {"network": result.report["metrics"], **result.report["baselines"]}.items():
        print(f"{name:18}", *(f"{metric} {value:.3g}" for metric, value in found.items()))
    others = max(each["chrf"] for each in result.report["baselines"].values())
    print(f"chrF {result.report['metrics']['chrf'] - others:+.1f} beside the best of the others")
    with place as folder:
        file = arguments.save or Path(folder) / "model.safetensors"
        result.save(file)
        model = cr.sequence_to_text.load(file)
    some = test.gather_every(max(len(test) // 20, 1)).head(20)  # unchosen
    written = model.predict(some)["prediction"]
    for (english, spanish), text in zip(some.rows(), written, strict=True):
        print(f"\n{english}\n  right    {spanish}\n  written  {text}")


if __name__ == "__main__":
    main()

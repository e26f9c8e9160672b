"""Draw a terminal in which a command ran: make_picture.py FILE.svg COMMAND."""

from __future__ import annotations

import os
import pty
import re
import sys

from rich.console import Console
from rich.text import Text

WIDTH, MOST_LINES = 100, 46


def run(command: list[str]) -> str:
    """What the command prints to a terminal."""
    os.environ.update(COLUMNS=str(WIDTH), TERM="xterm-256color")
    printed = bytearray()

    def read(file: int) -> bytes:
        data = os.read(file, 4096)
        printed.extend(data)
        return data

    pty.spawn(command, read)
    return printed.decode()


def screen(printed: str) -> list[str]:
    """The lines that stay: a line that is written anew replaces the one before."""
    text = re.sub(r"\x1b\[\?25[lh]", "", printed).replace("\r\n", "\n")
    return [re.split(r"\r|\x1b\[2K", line)[-1] for line in text.split("\n")]


def main() -> None:
    """Run the command and write the picture."""
    out, *command = sys.argv[1:]
    typed = " ".join([os.path.basename(command[0]), *command[1:]])
    lines = ["$ " + typed, *screen(run(command))][:MOST_LINES]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi("\n".join(lines)))
    console.save_svg(out, title="chainrule")


if __name__ == "__main__":
    main()

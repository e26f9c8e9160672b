"""Where the words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text


class Unbreakable:
    """A stream that stays silent when its reader has gone or its disk is full.

    Nobody who types ``chainrule train … 2>&1 | head``, or closes the terminal, wants to lose the
    training.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if anybody listens."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush, if anybody listens."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> None:
    """Streams that are closed, that break, or that lack a character do not stop the program."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the shell: 2>&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the end
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    sys.stderr = cast(TextIO, Unbreakable(sys.stderr))
    # Users of the program see the sentence, not the line of the program that said it.
    warnings.showwarning = lambda message, *place: warn(str(message))


def silence(stream: TextIO) -> None:
    """Send what is still to come to nowhere, so that Python's last flush does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


# ---------------------------------------------------------------- writing


def show(*parts: RenderableType) -> None:
    """Results, for standard output."""
    _print(Console(highlight=False), parts)


def say(*parts: RenderableType) -> None:
    """What the program is doing, for standard error."""
    _print(Console(stderr=True, highlight=False), parts)


def note(sentence: str) -> None:
    """A plain sentence of the program, for standard error."""
    say(hanging("•", sentence))


def warn(sentence: str) -> None:
    """A sentence that the user should not miss, for standard error."""
    say(hanging("warning:", sentence, "yellow"))


def show_json(document: Any) -> None:
    """One JSON document, and nothing else, on standard output."""
    print(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1))


def write_bytes(content: bytes) -> None:
    """Write a file to standard output."""
    rest = memoryview(content)
    while rest:  # unbuffered streams (python -u) may take a part only
        rest = rest[sys.stdout.buffer.write(rest) :]


def hanging(mark: str, sentence: str, style: str = "") -> RenderableType:
    """A sentence after a mark, its further lines indented."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text(mark, style=style or "dim"), Text(sentence))
    return grid


def indented(part: RenderableType) -> RenderableType:
    """A part set in from the margin."""
    return Padding(part, (0, 0, 0, 2))


def _print(console: Console, parts: tuple[RenderableType, ...]) -> None:
    for part in parts:
        # Lines of text are not broken: paths and commands stay whole, to be copied.
        if isinstance(part, str | Text):
            console.print(part, soft_wrap=True, markup=False)
        else:
            console.print(part)

"""Where the words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO, cast

from .harmless import ESCAPED, harmless

if TYPE_CHECKING:
    from rich.console import RenderableType


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


def with_pipe_as_input(arguments: list[str]) -> list[str]:
    """Arguments in which a shell's ``<(command)`` is standard input, which is read once only.

    Such an argument is the path of an open pipe, as /dev/fd/63. What is read from a pipe is gone,
    and data are looked at several times.
    """
    for place, argument in enumerate(arguments):
        found = re.fullmatch(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)", argument)
        if found is None or not _can_be_read(int(found[1] or found[2])):
            continue
        os.dup2(int(found[1] or found[2]), 0)
        return [*arguments[:place], "-", *arguments[place + 1 :]]
    return arguments


def _can_be_read(descriptor: int) -> bool:
    """Whether this is the end of a pipe from which something comes."""
    try:
        import fcntl

        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return is_pipe and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    except (ImportError, OSError):
        return False


def silence(stream: TextIO) -> None:
    """Send what is still to come to nowhere, so that Python's last flush does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


# ---------------------------------------------------------------- writing


def show(*parts: RenderableType) -> None:
    """Results, for standard output."""
    _print(parts)


def say(*parts: RenderableType) -> None:
    """What the program is doing, for standard error."""
    _print(parts, stderr=True)


def note(sentence: str) -> None:
    """A plain sentence of the program, for standard error."""
    say(hanging("•", sentence))


def warn(sentence: str) -> None:
    """A sentence that the user should not miss, for standard error."""
    say(hanging("warning:", sentence, "yellow"))


def show_json(document: Any) -> None:
    """One JSON document, and nothing else, on standard output."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    print(re.sub(ESCAPED, lambda found: f"\\u{ord(found[0]):04x}", text))


def write_bytes(content: bytes) -> None:
    """Write a file to standard output; what a terminal shows gives it no commands."""
    if sys.stdout.isatty():
        content = harmless(content.decode(errors="replace")).encode()
    rest = memoryview(content)
    while rest:  # unbuffered streams (python -u) may take a part only
        rest = rest[sys.stdout.buffer.write(rest) :]


def hanging(mark: str, sentence: str, style: str = "") -> RenderableType:
    """A sentence after a mark, its further lines indented."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")  # a path that is longer than a line is broken, not cut
    grid.add_row(Text(mark, style=style or "dim"), Text(sentence))
    return grid


def indented(part: RenderableType) -> RenderableType:
    """A part set in from the margin."""
    from rich.padding import Padding

    return Padding(part, (0, 0, 0, 2))


def _print(parts: tuple[RenderableType, ...], stderr: bool = False) -> None:
    from rich.text import Text  # what is to be quiet has no use for it, and it takes a while

    from .safe_console import SafeConsole

    console = SafeConsole(stderr=stderr, highlight=False)
    for part in parts:
        # Lines of text are not broken: paths and commands stay whole, to be copied.
        if isinstance(part, str | Text):
            console.print(part, soft_wrap=True, markup=False)
        else:
            console.print(part)

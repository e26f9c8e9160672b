"""What happens when something goes wrong: words for the user, and an exit code for scripts.

====  =============================================================================
code  meaning
====  =============================================================================
0     done
1     the training failed, or a mistake in chainrule itself
2     the command, the data or the model file must be changed
129   the terminal was closed (SIGHUP)
130   interrupted with Ctrl-C
141   the reader of the output has gone, as in ``chainrule predict … | head``
143   ended with `kill` (SIGTERM)
====  =============================================================================
"""

from __future__ import annotations

import functools
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ChainruleError, ConfigError, TrainingError
from ..utils.signals import Terminated, terminating
from .console import indented, say, silence

if TYPE_CHECKING:
    from rich.console import RenderableType

#: What reading a small table and training on it take, on two processors.
_ADDRESS_SPACE = 1_572_864_000
#: What Python says where a limit of memory or processes leaves no room for a thread.
_NO_THREAD = "can't start new thread"
FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141

Debug = Annotated[
    bool,
    typer.Option("--debug", envvar="CHAINRULE_DEBUG", help="Show the traceback of errors."),
]


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with every failure told in words; it must have an option ``debug``."""

    @functools.wraps(command)
    def run(*arguments: Any, debug: bool, **options: Any) -> None:
        try:
            with terminating():
                _need_address_space()
                command(*arguments, debug=debug, **options)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except Terminated as ended:
            raise typer.Exit(int(ended.code or 0)) from None
        except BrokenPipeError:
            with suppress(OSError):
                silence(sys.stdout)
            raise typer.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            say("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if _is_usage_error(error):
                raise
            if debug:
                say_traceback()
            say(*explain(error))
            raise typer.Exit(_code(error)) from None

    return run


def _need_address_space() -> None:
    """Refuse limits under which libraries would end the process, or wait for ever, without a word.

    Raises:
        ConfigError: the limit of the process is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _ADDRESS_SPACE:
        raise ConfigError(
            "The limit of memory is too low for any work.",
            expected=f"at least {_ADDRESS_SPACE // 1024:,} kB of addresses, most never used",
            found=f"{limit // 1024:,} kB",
            hint=f"ulimit -v {_ADDRESS_SPACE // 1024}, or unlimited",
        )


def _is_usage_error(error: Exception) -> bool:
    # Typer shows its own, such as typer.BadParameter; their common base has no public name.
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def _code(error: Exception) -> int:
    usage = isinstance(error, ChainruleError | OSError) and not isinstance(error, TrainingError)
    return USAGE if usage else FAILED


def say_traceback() -> None:
    """The traceback of the error that is being handled."""
    import traceback

    say(traceback.format_exc().rstrip())


def explain(error: Exception) -> list[RenderableType]:
    """An error in words: what, where, expected, found and a hint."""
    from rich.text import Text

    if isinstance(error, ChainruleError):
        return _laid_out(error)
    if isinstance(error, MemoryError) or _NO_THREAD in str(error):
        hint = "use fewer rows or columns, a smaller --hidden or --batch-size"
        if _NO_THREAD in str(error):
            hint = "allow more memory (ulimit -v) or processes (ulimit -u), or say --threads 1"
        return _laid_out(ChainruleError("There is not enough memory.", hint=hint))
    if isinstance(error, OSError):
        found = error.strerror or str(error)
        where = None if error.filename is None else str(error.filename)
        return _laid_out(ChainruleError("A file operation failed.", where=where, found=found))
    name = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    hint = "" if os.environ.get("CHAINRULE_DEBUG") else " Add --debug to see where it happened."
    return [
        Text.assemble(("error:", "bold red"), f" This is a mistake in chainrule: {name}.{hint}")
    ]


def _laid_out(error: ChainruleError) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    parts = Table.grid(padding=(0, 2))
    parts.add_column(style="dim", no_wrap=True)
    parts.add_column()
    for name in ("where", "expected", "found", "hint"):
        if text := getattr(error, name):
            parts.add_row(name, Text(text, style="bold" if name == "hint" else ""))
    what = Text.assemble(("error:", "bold red"), " ", (error.what, "bold"))
    return [what, indented(parts)] if parts.row_count else [what]

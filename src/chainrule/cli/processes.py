"""Trainings by several processes: a parent on each machine that starts them and watches over them.

The parent never trains. When one of its processes ends early or stands still, it says so, ends the
others, and ends itself with an error: those that are left of a training wait for the missing one
for ever, or are ended by JAX without a word.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..utils.environment import seconds
from ..utils.signals import Terminated
from ..utils.together import gathered
from .console import say

#: How a worker knows that it is one, and which: JSON.
_WORKER = "CHAINRULE_WORKER"
#: The options of the command line that only the parent reads.
OWN = ("--processes", "--process", "--coordinator")
#: A process that has no pulse for so many seconds stands still; CHAINRULE_HANG_SECONDS.
_STILL = 600
#: What the others get to end by themselves.
_GRACE = 3.0
_LOOK = 0.1


@dataclass(frozen=True)
class Asked:
    """What a user says of the processes.

    Attributes:
        processes: how many, or None where the launcher of a cluster has started them.
        process: the number of the one on this machine; None for all of them, on this machine.
        coordinator: where they meet.
    """

    processes: int | None
    process: int | None
    coordinator: str | None

    @staticmethod
    def of(processes: str, process: int | None, coordinator: str | None, backend: Any) -> Asked:
        """The options, checked.

        Raises:
            ConfigError: they do not go together.
        """
        if backend not in (None, "xla", "auto"):
            raise ConfigError("Several processes need the backend xla.", found=f"backend {backend}",
                              hint="Omit --backend.")  # fmt: skip
        if processes == "auto":
            if process is not None or coordinator is not None:
                raise ConfigError("--processes auto asks the launcher for all else.",
                                  hint="Omit --process and --coordinator.")  # fmt: skip
            return Asked(None, None, None)
        if not processes.isdigit() or int(processes) < 1:
            raise ConfigError("Invalid value for processes.", expected="a number from 1, or auto",
                              found=processes)  # fmt: skip
        count = int(processes)
        if (process is None) != (coordinator is None):
            raise ConfigError(
                "--process and --coordinator belong together: one process on each machine.",
                hint=f"--coordinator HOST:PORT --processes {count} --process 0, and so on; or omit "
                "both, for all processes on this machine.",
            )
        if process is not None and not 0 <= process < count:
            raise ConfigError("Invalid value for process.", expected=f"from 0 to {count - 1}",
                              found=str(process))  # fmt: skip
        return Asked(count, process, coordinator)


# ---- the parent --------------------------------------------------------------------------------


@dataclass
class _Child:
    number: int
    process: subprocess.Popen[bytes]
    pulse: Path
    log: Path | None

    @property
    def still(self) -> float:
        """The seconds since the last pulse; 0 where it has none at present."""
        with contextlib.suppress(FileNotFoundError):
            return max(time.time() - self.pulse.stat().st_mtime, 0.0)
        return 0.0


def supervise(asked: Asked, arguments: Sequence[str]) -> int:
    """Start the processes of this machine, wait for them, and give the exit code of the command.

    Args:
        asked: how many and where.
        arguments: of the command line, without the options in `OWN`.
    """
    with tempfile.TemporaryDirectory(prefix="chainrule-") as place:
        children = _started(asked, arguments, Path(place))
        try:
            return _watch(children, asked)
        except (KeyboardInterrupt, Terminated):
            _end(children, patience=30.0)
            raise
        finally:
            _end(children)


def _started(asked: Asked, arguments: Sequence[str], place: Path) -> list[_Child]:
    numbers = [asked.process] if asked.process is not None else range(asked.processes or 1)
    coordinator = asked.coordinator
    if coordinator is None and asked.processes is not None:
        coordinator = f"127.0.0.1:{_free_port()}"
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    children = []
    for number in numbers:
        assert number is not None
        own = processors[number :: len(numbers)] if len(processors) >= len(numbers) else []
        worker = {
            "coordinator": coordinator, "processes": asked.processes,
            "process": None if asked.processes is None else number,
            "processors": own if len(numbers) > 1 else [], "place": str(place),
        }  # fmt: skip
        pulse = place / f"pulse-{number}"
        environment = {**os.environ, _WORKER: json.dumps(worker), "CHAINRULE_PULSE": str(pulse),
                       "TF_CPP_MIN_LOG_LEVEL": "3"}  # fmt: skip
        log = place / f"log-{number}" if number and len(numbers) > 1 else None
        with open(log or os.devnull, "wb") as quiet:
            process = subprocess.Popen(
                [sys.executable, "-m", "chainrule", *arguments], env=environment,
                stdin=subprocess.DEVNULL, stdout=quiet if log else None,
                stderr=quiet if log else None,
            )  # fmt: skip
        children.append(_Child(number, process, pulse, log))
    return children


def _watch(children: list[_Child], asked: Asked) -> int:
    """Wait until all have ended well, or one has not."""
    limit = seconds("CHAINRULE_HANG_SECONDS", _STILL)
    while True:
        codes = [child.process.poll() for child in children]
        for child, code in zip(children, codes, strict=True):
            if code:
                _say_end(_culprit(children, child), asked)
                return _exit_code(code)
            if code is None and child.still > limit:
                say(f"Process {child.number} stands still: no step in {limit:.0f} seconds. "
                    "The others are ended.")  # fmt: skip
                return 1
        if all(code == 0 for code in codes):
            return 0
        time.sleep(_LOOK)


def _culprit(children: list[_Child], first: _Child) -> _Child:
    """Of those that have ended, the one that was not ended by the loss of another."""
    time.sleep(_LOOK)
    for child in children:
        code = child.process.poll()
        if code and code not in (-signal.SIGABRT, 134, LOST):
            return child
    return first


def _say_end(child: _Child, asked: Asked) -> None:
    code = child.process.returncode
    count = asked.processes
    of_all = f"Process {child.number}" + (f" of {count}" if count else "")
    if code in (-signal.SIGABRT, 134, LOST):
        say(f"{of_all} has lost another process, which ended or stands still, or did not come.",
            _GO_ON)  # fmt: skip
    elif code < 0:
        name = signal.Signals(-code).name
        say(f"{of_all} was ended by {name}; the others are ended, too.", _GO_ON)
    elif child.log is not None and child.log.exists():
        say(child.log.read_text(errors="replace").strip(), f"  where: process {child.number}")


_GO_ON = (
    "  hint: If the training has a checkpoint, --resume RUN goes on from it, with as many "
    "processes as you like."
)


def _exit_code(code: int) -> int:
    """An error of the command stays what it is; what a signal ended has failed."""
    return 1 if code < 0 or code in (134, LOST) else code


def _end(children: list[_Child], patience: float = _GRACE) -> None:
    """End all that are left: first as a user would, then at once."""
    left = [child.process for child in children if child.process.poll() is None]
    for process in left:
        process.terminate()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
    end = time.monotonic() + patience
    for process in left:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(end - time.monotonic(), 0.01))
    for process in left:
        if process.poll() is None:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def without_own(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line without those that only the parent reads.

    Example:
        >>> without_own(["train", "a.csv", "--processes", "2", "--process=0", "--target", "y"])
        ['train', 'a.csv', '--target', 'y']
    """
    kept, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word in OWN:
            skip = True
        elif word.partition("=")[0] not in OWN:
            kept.append(word)
    return kept


# ---- the worker --------------------------------------------------------------------------------

#: The exit code of a worker that lost the others.
LOST = 75


def is_worker() -> bool:
    """Whether a parent has started this process."""
    return _WORKER in os.environ


@dataclass(frozen=True)
class Worker:
    """One of the processes.

    Attributes:
        number: from 0; the first one writes files and speaks.
        place: a folder for what the others write, which nobody reads.
    """

    number: int
    place: Path

    @property
    def is_first(self) -> bool:
        """Whether it writes files and speaks."""
        return self.number == 0

    def scratch(self, name: str) -> Path:
        """A place of its own for what the first one writes to the user's."""
        return self.place / f"{name}-{self.number}"

    def copy_of(self, run: Path) -> Path:
        """A copy of a run folder: each process goes on from it, only the first one in it."""
        copy = self.scratch("run")
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.lock", "*.html"))
        return copy


@contextlib.contextmanager
def joined() -> Iterator[Worker]:
    """Be one of the processes, until the end.

    However it ends otherwise, the process ends at once: it would wait for the others for ever.
    """
    from ..engine.backends.xla.processes import join

    told = json.loads(os.environ[_WORKER])
    if told["processors"]:
        os.sched_setaffinity(0, told["processors"])
    place = Path(told["place"])
    try:
        with _silent():
            number = join(told["coordinator"], told["processes"], told["process"])
        worker = Worker(number, place)
        if number and (run := _resumed_from()):
            worker.copy_of(run)
        gathered(0)  # the first one changes nothing before all have their copies
        yield worker
    except BaseException as error:
        from .error_handling import explain

        code = _code_of(error)
        if not isinstance(error, (KeyboardInterrupt, SystemExit)) and code != LOST:
            say(*explain(error))  # type: ignore[arg-type]
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Meanwhile standard output goes nowhere: Gloo tells of its connections there."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _resumed_from() -> Path | None:
    for option, value in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if option == "--resume":
            return Path(value)
        if option.startswith("--resume="):
            return Path(option.partition("=")[2])
    return None


def _code_of(error: BaseException) -> int:
    from ..engine.backends.xla.library import is_loss_of_a_process
    from .error_handling import FAILED, INTERRUPTED, USAGE

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if is_loss_of_a_process(error):
        return LOST
    return USAGE if isinstance(error, ConfigError) else FAILED

"""Writes the report of a run while its training goes on, beside the training and never in its way.

Each epoch adds a line to ``history.jsonl``. The page is written by another thread, so seldom that
it takes no more than a hundredth of the time. Whatever goes wrong here is kept as a sentence: it
never ends a training.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec

from ..drawing.blocks import Section
from ..tasks.run_callback import RunCallback
from ..training.callbacks import Training
from ..utils.files import write_atomically
from ..utils.runs import RECORD, json_data, versions
from .content import HISTORY, PAGE, STORED, RunContent, Stored
from .page import write_page

#: The first page is written after so many seconds: who trains for less than that needs none,
_FIRST = 1.0
#: the next ones after so many seconds at the earliest,
_SECONDS = 2.0
#: and after so many times as long as it took to write the one before.
_TIMES = 100.0

P = ParamSpec("P")


def _guarded(
    method: Callable[Concatenate[Recorder, P], None],
) -> Callable[Concatenate[Recorder, P], None]:
    """Keep what goes wrong as a sentence."""

    @functools.wraps(method)
    def guarded(self: Recorder, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.problem = self.problem or f"{type(error).__name__}: {error}"

    return guarded


class Recorder(RunCallback):
    """A callback that keeps the history and the page of a run up to date.

    Args:
        folder: of the run.
        about: what is known before: kind, data, target, options, path and digest of the source.

    Attributes:
        measured: gives what was measured so far: see `Stored.measured`.
        replaces: whether the folder held a run before.
        problem: the first thing that went wrong, as a sentence; "" if nothing did.

    Example:
        >>> import tempfile
        >>> import chainrule as cr, numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
        >>> folder = Path(tempfile.mkdtemp())
        >>> recorder = Recorder(folder, {"data": "squares"})
        >>> model = cr.nn.Linear(1, 1).initialize(seed=0)
        >>> trainer = cr.Trainer(model, "mse", callbacks=[recorder], progress=False)
        >>> history = trainer.fit((x, 3 * x), epochs=3)
        >>> recorder.close()
        >>> sorted(path.name for path in folder.iterdir())
        ['history.jsonl', 'report.html', 'report.json']
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.problem = ""
        self.measured: Callable[[], Mapping[str, Any]] = dict
        self.stored = Stored({**about, "versions": versions(), "machine": machine()})
        self.replaces = (folder / RECORD).exists()
        self._before = _bytes_of(folder) if self.replaces else {}
        self._fits: list[list[dict[str, Any]]] = []
        self._file: IO[str] | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._next = 0.0

    # ---- callbacks -------------------------------------------------------------------------------

    @_guarded
    def on_profile(self, sections: Sequence[Section]) -> None:
        """Keep the pictures of the data, those of the first fit."""
        if not self.stored.profile:
            self.stored = dataclasses.replace(self.stored, profile=tuple(sections))
            self.stored.write(self.folder)

    @_guarded
    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """A fit begins, or goes on from its checkpoint."""
        about = {**self.stored.about, "epochs": epochs, "steps": steps}
        self.stored = dataclasses.replace(self.stored, about=about)
        self.stored.write(self.folder)
        how = "a" if self._fits else "w"
        self._file = open(self.folder / HISTORY, how, encoding="utf-8")  # noqa: SIM115
        self._fits.append([])
        for record in list(trainer.history):
            self._add(record)
        if len(self._fits) == 1:  # epochs may take long: it does not wait for the end of one
            self._page_in_background(_FIRST)

    @_guarded
    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """A line, and perhaps the page."""
        self._add(record)
        if time.perf_counter() >= self._next:
            self._page_in_background()

    @_guarded
    def on_end(self, trainer: Training) -> None:
        """The fit is over, also after an interruption or an error."""
        self._close_file()

    def _add(self, record: Mapping[str, Any]) -> None:
        line = json_data({"fit": len(self._fits), **record})
        self._fits[-1].append(line)
        if self._file is not None:
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()

    # ---- the page --------------------------------------------------------------------------------

    def _page_in_background(self, delay: float = 0.0) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._next = float("inf")  # until the thread knows how long it took
        self.stored = dataclasses.replace(self.stored, measured=json_data(self.measured()))
        self._thread = threading.Thread(target=self._write, args=(delay,), daemon=True)
        self._thread.start()

    def _write(self, delay: float) -> None:
        if delay and self._over.wait(delay):
            return
        begun = time.perf_counter()
        try:
            now = datetime.datetime.now().strftime("%H:%M:%S")
            fits = tuple(list(fit) for fit in self._fits)
            write_page(self.folder, RunContent(
                self.folder, stored=self.stored, fits=fits, running=True, when=now
            ))  # fmt: skip
        except Exception as error:
            self.problem = self.problem or f"{type(error).__name__}: {error}"
        took = time.perf_counter() - begun
        self._next = time.perf_counter() + max(_SECONDS, _TIMES * took)

    # ---- the end ---------------------------------------------------------------------------------

    @_guarded
    def close(self) -> None:
        """Wait for what is being written, and write the page once more as things are now."""
        self._release()
        fits = tuple(list(fit) for fit in self._fits)
        content = RunContent(self.folder, stored=self.stored, fits=fits)
        with suppress(Exception):  # a run folder says more than this recorder knows
            content = RunContent.read(self.folder, running=False)
        write_page(self.folder, content)

    @_guarded
    def finish(self, sections: Callable[[], Sequence[Section]], folder: Path | None = None) -> None:
        """The run is written: make its last pictures and its page.

        Args:
            sections: what is shown of network and test set.
            folder: where the run is, if it could not be written where it was to be.
        """
        self._release()
        place = folder or self.folder
        if place != self.folder:
            self.discard()
            lines = (json.dumps(line, allow_nan=False) + "\n" for fit in self._fits for line in fit)
            write_atomically(place / HISTORY, "".join(lines).encode())
        self.stored = dataclasses.replace(
            self.stored, sections=tuple(sections()), measured=json_data(self.measured())
        )
        self.stored.write(place)
        write_page(place, RunContent.read(place, running=False))

    @_guarded
    def discard(self) -> None:
        """Nothing is left of the training: put back what was there before."""
        self._release()
        for name in (HISTORY, STORED, PAGE):
            path = self.folder / name
            if name in self._before:
                path.write_bytes(self._before[name])
            else:
                path.unlink(missing_ok=True)

    def _release(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _bytes_of(folder: Path) -> dict[str, bytes]:
    """The report of a run that may be replaced."""
    found = {}
    for name in (HISTORY, STORED, PAGE):
        with suppress(OSError):
            found[name] = (folder / name).read_bytes()
    return found


def machine() -> dict[str, Any]:
    """What a training runs on."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else
        os.cpu_count(),
    }  # fmt: skip


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

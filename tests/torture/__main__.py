"""``make torture``: an hour of crashes, interruptions, hostile files and random inputs.

It goes on where the last one stopped: seeds, corpus, counts and failures are in a folder, and the
counts of all runs are printed at the end. A failure ends it with code 1; its input is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import crashes, fuzz, hostile, interruptions

#: What is to be reached over all runs.
AIMS = {"crash points": 2_000, "disk errors": 200, "interruptions": 100, "hostile files": 100,
        "inputs in memory": 10_000_000, "whole files": 100_000}  # fmt: skip
#: Fractions of the time.
PARTS = {"crash": 0.1, "fail": 0.1, "trainers": 0.1, "commands": 0.2, "fuzz": 0.5}


class Store:
    """Counts, seeds, corpus and failures of all runs, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "counts.json"
        self.counts: dict[str, int] = {}
        if self._file.exists():
            self.counts = json.loads(self._file.read_text())
        self.before = dict(self.counts)
        self.failures: list[str] = []

    def count(self, what: str, number: int) -> None:
        """So many more; written at once, also if others count meanwhile."""
        if self._file.exists():
            self.counts |= json.loads(self._file.read_text())
        self.counts[what] = self.counts.get(what, 0) + number
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.counts, indent=1) + "\n")
        new.replace(self._file)

    def seed(self, part: str) -> int:
        """Another one each time."""
        self.count(f"seeds of {part}", 1)
        return self.counts[f"seeds of {part}"]

    def fail(self, what: str) -> None:
        """Something is wrong."""
        self.failures.append(what)
        print(f"FAILURE: {what}", file=sys.stderr, flush=True)

    def table(self) -> str:
        """What this run, and all runs, have counted."""
        lines = [f"{'':24}{'this run':>12}{'all runs':>12}{'aim':>12}"]
        for what, number in self.counts.items():
            if not what.startswith("seeds of "):
                new = number - self.before.get(what, 0)
                aim = f"{AIMS[what]:,}" if what in AIMS else ""
                lines.append(f"{what:24}{new:>12,}{number:>12,}{aim:>12}")
        return "\n".join(lines)


def repeat(store: Store, part: str, work: Callable[[int], Any], seconds: float) -> None:
    """Do it again and again, with other seeds, until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seed = store.seed(part)
        try:
            work(seed)
        except AssertionError as error:
            store.fail(f"{part}, seed {seed}: {error}")
            return
        except Exception:
            store.fail(f"{part}, seed {seed}: {traceback.format_exc()}")
            return


def fuzz_all(store: Store, seconds: float, names: list[str]) -> None:
    """Each target for its part of the time, in a process of its own, which may crash."""
    for name in names:
        part = seconds / len(names)
        seed = store.seed("fuzz")
        command = [sys.executable, "-m", f"{__package__}.fuzz", name, str(store.folder), str(part),
                   str(seed)]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=part + 120)  # fmt: skip
            found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
            told = f"it ended with {done.returncode}: {done.stderr[-2000:]}"
        except subprocess.TimeoutExpired:
            found, told = None, "an input hangs"
        if found is None:
            store.fail(f"{name}: {told}; the input is {_save_current(store, name)}")
            continue
        kind = "whole files" if fuzz.TARGETS[name].is_file else "inputs in memory"
        store.count(kind, found["inputs"])
        store.count(f"  {name}", found["inputs"])
        for answer, wrong in found["failures"].items():
            store.fail(f"{name}: {answer}\n{wrong}")


def _save_current(store: Store, name: str) -> Path:
    """Keep the input at which a process ended."""
    folder = name.replace(" ", "-")
    current = store.folder / "corpus" / folder / "current"
    kept = store.folder / "failures" / folder / f"{int(time.time())}.input"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if current.exists():  # otherwise it ended after its last input
        data = current.read_bytes()
        kept.write_bytes(data[8 : 8 + int.from_bytes(data[:8], "little")])
    for left in Path("/dev/shm").glob("torture-fuzz-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return kept


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--store", type=Path, default=Path(".torture"), help="default: .torture")
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *fuzz.TARGETS], help="these parts")
    options = parser.parse_args()
    store, seconds = Store(options.store.absolute()), options.minutes * 60
    chosen = options.only or list(PARTS)
    parts = [part for part in PARTS if part in chosen]
    targets = [name for name in fuzz.TARGETS if name in chosen] or list(fuzz.TARGETS)
    if len(targets) < len(fuzz.TARGETS):
        parts = [*parts, "fuzz"]
    total = sum(PARTS[part] for part in parts)
    work: dict[str, Callable[[int], Any]] = {
        "crash": lambda seed: crashes.crash(seed, store.count),
        "fail": lambda seed: crashes.fail(seed, store.count, points=60),
        "trainers": lambda seed: interruptions.trainers(
            seed, store.count, backend="numpy" if seed % 4 else "c"),
        "commands": lambda seed: interruptions.commands(
            seed, store.count, (list(interruptions.KINDS)[seed % len(interruptions.KINDS)],)),
    }  # fmt: skip
    if options.only is None:
        store.count("hostile files", -store.counts.get("hostile files", 0))  # the same each time
        try:
            hostile.refuse_all(store.count)
        except AssertionError as error:
            store.fail(str(error))
    for part in parts:
        if part == "fuzz":
            fuzz_all(store, seconds * PARTS[part] / total, targets)
        else:
            repeat(store, part, work[part], seconds * PARTS[part] / total)
        print(f"{part}: done", file=sys.stderr, flush=True)
    print(store.table())
    return 1 if store.failures else 0


if __name__ == "__main__":
    sys.exit(main())

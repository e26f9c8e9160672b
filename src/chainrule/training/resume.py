"""A fit that can be interrupted: where it is, what identifies it, when its state is written."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from ..errors import ConfigError
from ..utils.signals import Deferred
from ..utils.together import gathered, is_first, process_count
from ..utils.typing import Array
from .checkpoints import Checkpoints, Snapshot

#: Larger states are not written any more once the process is to end at once.
_AT_ONCE = 100_000_000


@dataclass(frozen=True)
class FitOptions:
    """What was asked of a fit; see `Trainer.fit`."""

    epochs: int
    batch_size: int
    shuffle: bool
    accumulate: int
    patience: int | None
    monitor: str
    validate_every: int


@dataclass
class Position:
    """Where a fit is, between two steps.

    Attributes:
        epochs: that are done.
        waited: validations since the best one.
        losses: of the steps of the epoch that has begun, in parts.
        weights: what these steps count for in the mean.
        norm: of the last gradient.
        seconds: that this epoch took in processes before this one.
    """

    epochs: int = 0
    waited: int = 0
    losses: list[Array] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    norm: float = 0.0
    seconds: float = 0.0
    begun: float = field(default_factory=lambda: time.perf_counter())

    @property
    def steps(self) -> int:
        """The steps of this epoch that are done."""
        return sum(map(len, self.losses))

    def add(self, losses: Array, weights: Array, norm: float) -> None:
        """Steps are done."""
        self.losses.append(losses)
        self.weights.append(weights)
        self.norm = norm

    def mean_loss(self) -> float:
        """Of the steps of this epoch, whatever parts they came in."""
        losses = np.concatenate(self.losses).astype(np.float64)
        weights = np.concatenate(self.weights).astype(np.float64)
        if not np.isfinite(losses).all():
            return float(losses @ weights / weights.sum())
        return math.fsum(losses * weights) / math.fsum(weights)

    def next_epoch(self) -> None:
        """The epoch is done, its validation too."""
        self.epochs += 1
        self.losses, self.weights, self.seconds = [], [], 0.0
        self.begun = time.perf_counter()

    def elapsed(self) -> float:
        """The seconds that this epoch has taken."""
        return self.seconds + time.perf_counter() - self.begun


class Resumable(Protocol):
    """What a fit needs of its `Trainer` to be written down and to go on."""

    def full_state(self) -> tuple[int, dict[str, Array], dict[str, Any]]:
        """Steps that are done, arrays, and facts as JSON data."""

    def load_full_state(self, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        """Go on from there."""


class Keeper:
    """Keeps the checkpoints of one fit, and lets signals wait for the end of a step.

    Args:
        checkpoints: where they are.
        identity: what must be the same for a training to go on: ``options`` and ``data``.
    """

    def __init__(self, checkpoints: Checkpoints, identity: dict[str, Any]) -> None:
        self.checkpoints = checkpoints
        self._identity = json.loads(json.dumps(identity, default=str))
        self._signals = Deferred()
        self._written = (0, 0)  # steps and epochs at the last checkpoint

    @staticmethod
    def place(
        folder: str | os.PathLike[str] | Checkpoints | None, resume: bool
    ) -> Checkpoints | None:
        """The checkpoints that the arguments of a fit name.

        Raises:
            ConfigError: `resume` without a folder.
        """
        if folder is None:
            if resume:
                raise ConfigError("There is nothing to resume from.", found="resume=True",
                                  hint="Name the folder of checkpoints, too.")  # fmt: skip
            return None
        if isinstance(folder, Checkpoints):
            folder.resume |= resume
            return folder
        return Checkpoints(folder, resume=resume)

    def begin(self, trainer: Resumable) -> Position:
        """Where to go on: at the newest checkpoint, or at the beginning.

        Raises:
            ConfigError: there are checkpoints that nobody asked for, or they are of another
                training.
        """
        found = self.checkpoints.newest()
        if found is None:
            return Position()
        if not self.checkpoints.resume:
            raise ConfigError(
                "The folder has the checkpoints of a training.",
                where=str(self.checkpoints.folder),
                hint="Go on with it with resume=True, or name another folder.",
            )
        facts = found.facts
        changes = _differences(facts["identity"], self._identity)
        if changes and not self.checkpoints.allow_changes:
            raise ConfigError(
                "The training is no longer the one that was interrupted.",
                where=str(self.checkpoints.folder),
                expected="; ".join(f"{name} {before}" for name, (before, _) in changes.items()),
                found="; ".join(f"{name} {now}" for name, (_, now) in changes.items()),
                hint="Resume with the same data and options, or allow changes: "
                "cr.training.Checkpoints(…, resume=True, allow_changes=True), or "
                "--allow-changes.",
            )
        arrays = dict(found.arrays)
        losses, weights = arrays.pop("fit.losses"), arrays.pop("fit.weights")
        if changes:
            facts["stop_reason"] = None  # what ended it may no longer hold
        trainer.load_full_state(arrays, facts)
        position = Position(**facts["position"])
        self._written = found.step, position.epochs
        if len(losses):
            position.add(losses, weights, position.norm)
        return position

    # ---- while it runs -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._signals.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._signals.release()
        self.checkpoints.wait()
        self._signals.deliver()

    def between_steps(self, trainer: Resumable, position: Position) -> None:
        """Nothing is half done: write what is due, and let signals that came do their work."""
        due = self._agree()
        received = self._signals.received
        if received:
            ends = len(received) > 1 or received[0] != signal.SIGINT
            self.write(trainer, position, limit=_AT_ONCE if ends else None)
            self._signals.deliver()
        elif due:
            begun = time.perf_counter()
            snapshot = self._snapshot(trainer, position)
            self._written = snapshot.step, position.epochs
            if is_first():
                self.checkpoints.submit(snapshot, time.perf_counter() - begun)

    def _agree(self) -> bool:
        """Whether a checkpoint is due; of several processes, the first one says so.

        A signal that another one got counts here, too.
        """
        received = self._signals.received
        if process_count() == 1:
            return not received and self.checkpoints.due
        found = gathered(2 * (received[0] if received else 0) + self.checkpoints.due)
        came = max(each // 2 for each in found)
        if came and not received:
            received.append(came)
        return bool(found[0] % 2)

    def write(self, trainer: Resumable, position: Position, limit: int | None = None) -> None:
        """Write the present state now, unless it is written, or larger than so many bytes."""
        self.checkpoints.wait()
        snapshot = self._snapshot(trainer, position)
        is_new = self._written != (snapshot.step, position.epochs)
        if is_new and (limit is None or snapshot.bytes <= limit):
            self._written = snapshot.step, position.epochs
            if is_first():
                self.checkpoints.submit(snapshot)
                self.checkpoints.wait()

    def _snapshot(self, trainer: Resumable, position: Position) -> Snapshot:
        step, arrays, facts = trainer.full_state()
        counts = {"epochs": position.epochs, "waited": position.waited, "norm": position.norm,
                  "seconds": position.elapsed()}  # fmt: skip
        empty = [np.empty(0)]
        done = {"fit.losses": np.concatenate(position.losses or empty),
                "fit.weights": np.concatenate(position.weights or empty)}  # fmt: skip
        return Snapshot(step, arrays | done,
                        facts | {"position": counts, "identity": self._identity})  # fmt: skip


def identity_of(options: FitOptions, **more: Any) -> dict[str, Any]:
    """The options of a fit and of its trainer, as JSON data."""
    return dataclasses.asdict(options) | more


def _differences(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What has changed: by name, as it was and as it is."""
    old, new = _flat(before), _flat(now)
    return {
        name: (_text(old.get(name)), _text(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _flat(content: dict[str, Any], start: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        path = f"{start}{name}"
        found |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

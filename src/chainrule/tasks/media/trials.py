"""Which random changes leave the class as it is: found by trials before the training.

A change is suspicious where a network that has never seen it does worse on changed files. Then
two networks are trained alike, with and without it, and compared on files that neither has seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import k_folds
from ...errors import DataError
from ...training import Stream, Trainer
from ...utils.typing import Array

#: A trial takes at most this fraction of the updates of the training; the fewest and most of them.
_FRACTION, _FEWEST, _MOST = 0.5, 60, 200
#: Of more files one part of four is held out, otherwise each of three.
_SMALL, _FOLDS = 100, 3
#: So many files are trained on in a trial at most.
_FILES = 2000
#: How much larger a loss may be: this much for classes, and this fraction; then a change is spared,
#: as what is harder to learn begins more slowly.
_LARGER, _FRACTION_LARGER = 0.02, 0.5
#: A whole training is compared after no more updates than this.
_WHOLE = 1000
#: Where this is all the probability that wrong classes get, nothing can be better.
_NEARLY_ALL = 0.1
#: A network that is ahead by so many standard errors is probably better.
_LIKELY = 1.0
#: Differences of more standard errors than this are hardly chance.
_CLEAR = 2.0
#: Probabilities below this count as this.
_SURE = 1e-4


@dataclass(frozen=True)
class Trials:
    """Trains one network again and again from the same first weights.

    Attributes:
        network: that is trained; in the end it has its first weights again.
        trainer: makes a trainer of it.
        stream: examples by row, with these changes, or without any.
        changed: the files of some rows under a change, and their targets.
        batch_size: of a step.
        updates: of the training that is to come.
        classes: the target is a class.
    """

    network: Any
    trainer: Callable[[], Trainer]
    stream: Callable[[tuple[str, ...]], Stream]
    changed: Callable[[str | None, Array], tuple[Array, Array]]
    batch_size: int
    updates: int
    classes: bool

    def better(self, vary: Callable[[bool], Any], changes: tuple[str, ...], target: Array,
               groups: Array | None, seed: int) -> str:  # fmt: skip
        """What there is to say if the network probably does better when it is varied, or "".

        These are whole trainings, with all changes: after short ones, and of files that never
        change, the better network need not be ahead yet.

        Args:
            vary: varies the network, or makes it again what it was.
            changes: of the files.
            target: of all rows.
            groups: of the rows, which stay together.
            seed: of the folds.
        """
        parts = self._folds(target, groups, seed) if self.updates >= _FEWEST else []
        if not parts:
            return ""
        before = self._missed(vary, False, changes, parts)
        if self.classes and before.mean() < _NEARLY_ALL:
            return ""
        after = self._missed(vary, True, changes, parts)
        gain = before - after
        if gain.mean() <= _LIKELY * float(gain.std()) / math.sqrt(len(gain)):
            return ""
        what = "probability of wrong classes" if self.classes else "squared error"
        return f"{what} was {after.mean():.3g} with, {before.mean():.3g} without"

    def _missed(
        self, vary: Callable[[bool], Any], own: bool, changes: tuple[str, ...],
        parts: list[tuple[Array, Array]],
    ) -> Array:  # fmt: skip
        """The probability of all wrong classes, which is bounded, or the squared error."""
        vary(own)
        errors = self._compared(changes, parts, min(self.updates, _WHOLE))
        vary(False)
        return 1 - np.exp(-errors) if self.classes else errors

    @property
    def _measure(self) -> str:
        return "log loss" if self.classes else "squared error"

    def kept(self, changes: tuple[str, ...], target: Array, groups: Array | None,
             seed: int) -> tuple[tuple[str, ...], str]:  # fmt: skip
        """The changes that do not harm, and what there is to say of the others.

        Args:
            changes: that are to be tried.
            target: of all rows.
            groups: of the rows, which stay together.
            seed: of the folds.
        """
        updates = min(int(self.updates * _FRACTION), _MOST)
        if updates < _FEWEST or not changes:
            return changes, ""
        parts = self._folds(target, groups, seed)
        if not parts:
            return changes, ""
        plain = [self._trained((), train, updates) for train, _ in parts]
        errors = self._errors(plain, parts, None)
        if self.classes and not _better_than_chance(errors, target):
            return changes, ""
        doubted = {name: self._errors(plain, parts, name) for name in changes}
        doubted = {name: x for name, x in doubted.items() if _suffers(errors, x, self.classes)}
        suspicious = sorted(doubted, key=lambda name: float(doubted[name].mean()))
        harmful: list[str] = []
        worst = errors
        while suspicious:  # without the worst of them, until the others do not harm
            together = self._compared(tuple(suspicious), parts, updates)
            if not _suffers(errors, together, self.classes):
                break
            worst = together if not harmful else worst
            harmful.append(suspicious.pop())
        if not harmful:
            return changes, ""
        return tuple(name for name in changes if name not in harmful), (
            f"files are not changed by {', '.join(harmful)}: in a trial the {self._measure} was "
            f"{worst.mean():.3g} with, {errors.mean():.3g} without; "
            f"--augment {','.join(changes)} insists"
        )

    def _folds(self, target: Array, groups: Array | None, seed: int) -> list[tuple[Array, Array]]:
        strata = target if self.classes else None
        count = _FOLDS if len(target) <= _SMALL else 4
        try:
            folds = k_folds(len(target), count, seed, strata, groups=groups)
        except DataError:  # too few to try anything
            return []
        if len(target) <= _SMALL:
            return folds
        train, test = folds[0]
        rng = np.random.default_rng(seed)
        return [tuple(np.sort(rng.permutation(part)[:most])  # type: ignore[list-item]
                      for part, most in ((train, _FILES), (test, _FILES // 2)))]  # fmt: skip

    def _trained(self, changes: tuple[str, ...], rows: Array, updates: int) -> dict[str, Array]:
        """The weights after so many updates."""
        first = self.network.state()
        trainer = self.trainer()
        steps = max(len(rows) // self.batch_size, 1)
        stream = self.stream(changes).take(rows)
        stream.whole = len(rows) >= self.batch_size
        trainer.fit(stream, epochs=math.ceil(updates / steps), batch_size=self.batch_size)
        found: dict[str, Array] = self.network.state()
        self.network.load_state(first)
        return found

    def _compared(
        self, changes: tuple[str, ...], parts: list[tuple[Array, Array]], updates: int
    ) -> Array:
        trained = [self._trained(changes, train, updates) for train, _ in parts]
        return self._errors(trained, parts, None)

    def _errors(
        self, weights: list[dict[str, Array]], parts: list[tuple[Array, Array]], change: str | None
    ) -> Array:
        """The loss on each row that was held out: cross-entropy, or the squared error."""
        first = self.network.state()
        trainer, found = self.trainer(), []
        for state, (_, rows) in zip(weights, parts, strict=True):
            self.network.load_state(state)
            batch, goal = self.changed(change, rows)
            predicted = trainer.predict(batch)
            if self.classes:
                own = predicted[np.arange(len(goal)), goal]
                found.append(-np.log(np.maximum(own, _SURE)))
            else:
                found.append((predicted.ravel() - goal) ** 2)
        self.network.load_state(first)
        return np.concatenate(found)


def _better_than_chance(losses: Array, target: Array) -> bool:
    """Whether a trial has learned anything: otherwise nothing can be lost."""
    fractions = np.bincount(target) / len(target)
    chance = -float((fractions * np.log(np.maximum(fractions, _SURE))).sum())
    return bool(losses.mean() < chance - _LARGER)


def _suffers(before: Array, after: Array, classes: bool) -> bool:
    """Whether losses grew, clearly and by much."""
    change = after - before
    allowed = _FRACTION_LARGER * float(before.mean()) + _LARGER * classes
    noise = float(change.std()) / math.sqrt(len(change))
    return bool(change.mean() > max(allowed, _CLEAR * noise))

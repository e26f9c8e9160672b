"""What several rules ask of the evidence."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from ..evidence import Evidence, Measurement


class Limit(NamedTuple):
    """A threshold.

    Attributes:
        sure: from here on it is a finding.
        possible: from here on it is named where something else was found.
    """

    sure: float
    possible: float


#: A network is good if it is not worse than quick models by more than this skill.
_MARGIN = Limit(0.06, 0.03)
#: Rows are learned if their loss is less than this fraction of the best constant's.
_FITTED = 0.05
#: A training that goes on is stuck if the loss of so many epochs is no less than this fraction of
#: the first one.
_EPOCHS, _STUCK = 5, 0.98


class Context:
    """Evidence, and what follows from it.

    Args:
        evidence: all of it.
        possible: whether rules give what is possible, too.

    Attributes:
        evidence: all of it.
        possible: whether rules give what is possible, too.
        s: its structure.
        d: its data.
    """

    def __init__(self, evidence: Evidence, possible: bool = False) -> None:
        self.evidence = evidence
        self.possible = possible
        self.s = evidence.structure
        self.d = evidence.data

    def limit(self, threshold: Limit) -> float:
        """What a measured value is compared with."""
        return threshold.possible if self.possible else threshold.sure

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        return self.evidence.over

    @functools.cached_property
    def measured(self) -> list[Measurement]:
        """The measurements with finite numbers."""
        return [m for m in self.evidence.measurements
                if math.isfinite(m.loss) and m.not_finite == 0]  # fmt: skip

    @functools.cached_property
    def late(self) -> list[Measurement]:
        """Those of the second half of the training so far."""
        return self.measured[len(self.measured) // 2 :] if len(self.measured) > 1 else []

    @property
    def failed(self) -> bool:
        """Whether the loss or its gradient became NaN or infinite."""
        if self.evidence.failure:
            return True
        return len(self.measured) < len(self.evidence.measurements)

    @property
    def skill(self) -> float | None:
        """What the network reaches on held-out rows, or else on those that it learned from."""
        found = self.evidence.outcome
        return found.held_out if found.held_out is not None else found.train

    @functools.cached_property
    def deficit(self) -> float | None:
        """How much worse it is than the quick models, on held-out rows; None if unknown."""
        if self.failed:
            return 1.0
        if not self.over or self.skill is None or self.d.reference is None:
            return None
        return self.d.reference - self.skill

    @functools.cached_property
    def untrained(self) -> float | None:
        """How much worse it is than a linear model, on the rows that both learned from."""
        train = self.evidence.outcome.train
        if self.failed:
            return 1.0
        if not self.over or train is None or self.d.reference_train is None:
            return None
        return max(self.d.reference_train, self.d.reference or 0.0) - train

    @property
    def good(self) -> bool:
        """Whether the network is as good as can be expected; unknown counts as good."""
        return self.deficit is None or self.deficit <= self.limit(_MARGIN)

    @property
    def learned(self) -> bool:
        """Whether it has learned its own rows; if that is unknown the losses tell.

        The outcome may be that of an earlier epoch, whose weights were kept.
        """
        losses, validated = self.evidence.series("loss"), self.evidence.series("val_loss")
        if losses and self.constant_loss and losses[-1] < _FITTED * self.constant_loss:
            return True
        if self.stuck:  # however good the model is that the network is only a part of
            return False
        if self.untrained is not None:
            return self.untrained <= self.limit(_MARGIN)
        apart = bool(losses and validated) and losses[-1] < 0.7 * validated[-1]
        return self.good or apart

    @property
    def poor(self) -> bool:
        """Worse than can be expected, on its own rows or on held-out ones, and so known."""
        return not self.good or not self.learned or self.stuck

    @functools.cached_property
    def stuck(self) -> bool:
        """Whether the loss is no better than a constant's after a third of the training.

        Where the outcome is known, that tells more.
        """
        losses, e = self.evidence.series("loss"), self.evidence
        known = e.over and e.outcome.train is not None
        if known or not self.measured or len(losses) < max(_EPOCHS, e.epochs / 3):
            return False
        start = self.constant_loss or min(self.measured[0].loss, losses[0])
        return float(np.median(losses[-_EPOCHS:])) > _STUCK * start

    @functools.cached_property
    def constant_loss(self) -> float | None:
        """The loss of the best constant, for the usual losses; None for others."""
        counts = np.array([n for n in self.d.classes if n], float)
        if self.s.loss in ("cross_entropy", "binary_cross_entropy") and len(counts) > 1:
            shares = counts / counts.sum()
            return float(-(shares * np.log(shares)).sum())
        if self.s.loss == "mse" and self.d.target_deviation:
            return self.d.target_deviation**2
        return None

    @functools.cached_property
    def fall(self) -> float:
        """The fraction by which the training loss fell in the last fifth of the epochs."""
        losses = [x for x in self.evidence.series("loss") if math.isfinite(x)]
        if len(losses) < 2:
            return 1.0
        count = max(len(losses) // 5, 1)
        early, last = np.mean(losses[-2 * count : -count] or losses[:1]), np.mean(losses[-count:])
        return float((early - last) / abs(early)) if early else 0.0

    @functools.cached_property
    def stride(self) -> float:
        """The multiple of the update that would have lowered the loss most, in the middle."""
        best = [min(m.line, key=lambda c: _last(m.line[c])) for m in self.measured if m.line]
        return float(np.median(best)) if best else 1.0

    @functools.cached_property
    def updates(self) -> int:
        """How many updates there were."""
        return len(self.evidence.history) * max(self.evidence.steps, 1)


def _last(value: float) -> float:
    return value if math.isfinite(value) else math.inf

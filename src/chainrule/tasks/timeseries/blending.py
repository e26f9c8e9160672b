"""How much of a network is kept beside the linear forecast that it starts from: what validates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...utils.typing import Array
from .choice import clearly_better
from .windows import Windows

#: So many windows of the training part say the form of the errors.
_ENOUGH = 2000
#: By so many standard errors the network must be better in a part of one season.
_IN_ONE_SEASON = 2.0
#: The fractions of what was learned that are tried.
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Blending:
    """What the validation part says of a trained network.

    Attributes:
        kept: the fraction of what was learned besides the linear forecast that is kept.
        residuals: (rows, horizon) what is then missing to the targets, standardised.
        learned: the same of the training part.
    """

    kept: float
    residuals: Array
    learned: Array

    @staticmethod
    def of(trainer: Any, train: Windows, validation: Windows) -> Blending:
        """Compare several fractions with none, which is kept unless one is clearly better.

        Where the linear forecast follows a cycle that is longer than the validation part, this part
        is one season only: then by more.
        """
        by = _IN_ONE_SEASON if train.cut.follows_cycle else 1.0
        base, whole, target = _forecasts(trainer, validation)
        horizon = target.shape[1]
        errors = {f: np.abs(base + f * (whole - base) - target) for f in FRACTIONS}
        best = min(FRACTIONS, key=lambda f: float(np.nanmean(errors[f])))
        kept = best if clearly_better(errors[best], errors[0.0], horizon, by) else 0.0
        rows = np.unique(np.linspace(0, len(train) - 1, min(len(train), _ENOUGH)).astype(int))
        few = Windows(train.cut, train.item[rows], train.origin[rows])
        residuals = [there - (linear + kept * (all_of_it - linear)) for linear, all_of_it, there in
                     ((base, whole, target), _forecasts(trainer, few))]  # fmt: skip
        return Blending(kept, residuals[0], residuals[1])

    def offsets(self, quantiles: tuple[float, ...]) -> Array:
        """(horizon, quantiles) what lies between a forecast and each quantile, standardised.

        The validation part says how wide the errors of each step are, which never shrinks with the
        distance; those of all steps of both parts, of that width, say the form of their
        distribution. Quantiles are those of a sample of this size from which one more is drawn
        (conformal prediction; Vovk et al., 2005).
        """
        width = _width(self.residuals)
        forms = [part / _width(part) for part in (self.residuals, self.learned)]
        form = np.concatenate([part[~np.isnan(part)] for part in forms])
        count = max(len(self.residuals) + len(self.learned), 1)
        levels = [0.5 + (q - 0.5) * (1 + 1 / count) for q in quantiles]
        found = np.quantile(form, np.clip(levels, 0.0, 1.0))
        return np.asarray(width[:, None] * found)


def _width(residuals: Array) -> Array:
    """(horizon,) the root mean square of each step, which never shrinks with the distance."""
    known = ~np.isnan(residuals)
    squares = np.where(known, residuals, 0.0) ** 2
    width = np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    return np.asarray(np.maximum.accumulate(np.maximum(width, 1e-6)))


def _forecasts(trainer: Any, windows: Windows) -> tuple[Array, Array, Array]:
    """The linear forecast, that of the whole network, and the target, standardised."""
    path, examples = windows.cut.paths[0], windows.examples()
    base = path(examples) + examples.last[:, None]
    whole = np.asarray(trainer.predict(windows.inputs), float)
    return base, whole, windows.scaled_target().astype(float)

"""Which linear forecast a network starts from: what would have been best before.

Forecasts are compared at several origins in time, each of which learns from all that comes before
(Tashman, "Out-of-sample tests of forecasting accuracy", 2000): the last tenth of a short series
alone is too little to tell them apart. Smoothing and regression are then mixed by their errors
(Bates and Granger, "The combination of forecasts", 1969; Stock and Watson, "Combination forecasts
of output growth", 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...utils.typing import Array
from .paths import RIDGES, Examples, Fit, Path, best_smoothing, ridges

#: What each origin learns from, and what tests it.
Folds = Sequence[tuple[Examples, Examples]]

#: Where the origins are, as fractions of all windows, and how much of them each tests.
_ORIGINS, _TESTED = (0.5, 0.6, 0.7, 0.8, 0.9), 0.1
#: Regressions on more numbers take too long.
_WIDEST = 2500
#: The naive forecast is left for smoothing, which has few numbers, if that is better by so many
#: standard errors; for a regression by more, and half of the way by less.
_LIKELY, _HALFWAY, _CLEARLY = 0.7, 1.5, 2.0
#: Weights go with this power of the errors; smaller weights are none.
_POWER, _LEAST = 8.0, 0.05


def origins(examples: Examples) -> Folds:
    """What comes before and after several origins in the windows of one series, in their order."""
    count, horizon = len(examples), examples.change.shape[1]
    found = []
    for origin in _ORIGINS:
        begin, end = int(count * origin), int(count * (origin + _TESTED))
        before = np.arange(max(begin - horizon, 1))
        found.append((examples.take(before), examples.take(np.arange(begin, end))))
    return found


def errors_of(fit: Fit, folds: Folds) -> Array:
    """Absolute errors (rows, horizon) after each origin, of what was learned before."""
    return _errors([fit(before) for before, _ in folds], folds)


def _errors(paths: Sequence[Path], folds: Folds) -> Array:
    return np.concatenate([np.abs(path(later) - later.change)
                           for path, (_, later) in zip(paths, folds, strict=True)])  # fmt: skip


def clearly_better(ours: Array, theirs: Array, horizon: int, by: float = _CLEARLY) -> bool:
    """Whether errors (rows, horizon) are smaller, by so many standard errors.

    Windows that overlap say the same: only every ``horizon``-th counts.
    """
    gain = np.nanmean(theirs, axis=1) - np.nanmean(ours, axis=1)
    gain = gain[np.isfinite(gain)]
    count = max(len(gain) / horizon, 1.0)
    return bool(len(gain) and gain.mean() > by * gain.std() / np.sqrt(count))


def best_ridge(folds: Folds, calendar: int) -> Fit:
    """How the regression is fitted that has the smallest error.

    Args:
        folds: to compare with.
        calendar: how many features of the future are of the calendar.
    """
    best: tuple[float, bool, int, float] | None = None
    for level in (False, True):
        for left_out in sorted({0, calendar}):
            for penalty, *paths in zip(
                RIDGES, *(ridges(before, level, left_out) for before, _ in folds), strict=True
            ):
                error = float(np.nanmean(_errors(paths, folds)))
                if best is None or error < best[0]:
                    best = error, level, left_out, penalty
    assert best is not None
    _, level, left_out, penalty = best
    return lambda part: next(ridges(part, level, left_out, (penalty,)))


def choose(examples: Examples, folds: Folds, season: int, calendar: int) -> tuple[Fit, Fit]:
    """What learns the linear forecast to start from, and what learns a simple one beside it.

    Smoothings have few numbers, and are compared with the naive forecast over all windows.

    Args:
        examples: all windows.
        folds: to compare with.
        season: steps of a season.
        calendar: how many features of the future are of the calendar.

    Returns:
        The forecast; and the smoothing, or persistence where that is no better.
    """
    horizon = examples.change.shape[1]
    naive, smooth = Path.persistence(examples), best_smoothing(examples, season)
    ours, theirs = (np.abs(path(examples) - examples.change) for path in (smooth, naive))
    smooths = clearly_better(ours, theirs, horizon, _LIKELY)

    def simple(part: Examples) -> Path:
        return best_smoothing(part, season) if smooths else Path.persistence(part)

    if examples.past[0].size > _WIDEST:
        return simple, simple
    ridge = best_ridge(folds, calendar)
    weight = _weight(simple, ridge, folds, careful=not smooths)
    if weight == 0.0:
        return simple, simple
    if weight == 1.0:
        return ridge, simple
    return lambda part: simple(part).mixed(ridge(part), weight), simple


def _weight(simple: Fit, ridge: Fit, folds: Folds, careful: bool) -> float:
    """Of the regression beside the simple forecast.

    Args:
        simple: the one.
        ridge: the other.
        folds: to compare with.
        careful: whether the simple one is left for what is clearly better only.
    """
    horizon = folds[0][1].change.shape[1]
    paths = [[fit(before) for before, _ in folds] for fit in (simple, ridge)]
    alone = [_errors(own, folds) for own in paths]
    means = [max(float(np.nanmean(errors)), 1e-12) for errors in alone]
    weight = 1 / (1 + (means[1] / means[0]) ** _POWER)
    if careful and not clearly_better(alone[1], alone[0], horizon):
        weight = min(weight, 0.5)
        both = [a.mixed(b, weight) for a, b in zip(*paths, strict=True)]
        if not clearly_better(_errors(both, folds), alone[0], horizon, _HALFWAY):
            return 0.0
    return 0.0 if weight < _LEAST else 1.0 if weight > 1 - _LEAST else weight

"""The usual value of the time of a long cycle, such as the year, and an anomaly that fades.

ŷ(t + h) = c(t + h) + φ_h · (y(t) − c(t)), where c is a mean and few waves of the cycle (the damped
anomaly persistence of seasonal forecasting; Van den Dool, "Empirical Methods in Short-Term Climate
Prediction", 2007). As the waves of a step are a rotation of those of the next, it is a linear map
of the last value and of what is known of the steps that follow: one more `Path`.

A validation part of a few months says little of a cycle of a year. So it is compared with the other
forecasts at several origins; see `choice`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...utils.typing import Array
from .choice import Folds, clearly_better, errors_of
from .paths import Examples, Fit, Path

#: It must be better than a simple forecast, and the other one it is mixed with no better than the
#: mean of both, by so many standard errors.
_CLEARLY = 1.0
_LITTLE = 1e-4


def climatology(examples: Examples, places: Array) -> Path:
    """The forecast, learned from examples.

    Args:
        examples: with two steps ahead at least.
        places: which of the features of a step are the waves.

    Example:
        >>> angle = 2 * np.pi * (np.arange(300)[:, None] + np.arange(3)) / 50
        >>> future = np.stack([np.sin(angle), np.cos(angle)], axis=2)
        >>> usual, last = np.sin(angle), np.sin(angle[:, 0] - 2 * np.pi / 50)
        >>> past = np.zeros((300, 1, 1))
        >>> examples = Examples(past, last, future, usual - last[:, None])
        >>> found = climatology(examples, np.arange(2))(examples)
        >>> bool(np.abs(found - examples.change).max() < 0.01)
        True
    """
    waves, ahead = examples.future[:, :, places], np.eye(len(places))
    y = examples.change + examples.last[:, None]
    known = ~np.isnan(y)
    x = np.c_[np.ones(known.sum()), waves[known]]
    shrunk = x.T @ x + _LITTLE * len(x) * np.diag(np.r_[0.0, np.ones(len(places))])
    mean, *rest = np.linalg.solve(shrunk, x.T @ y[known])
    slopes = np.array(rest)
    back = np.linalg.lstsq(waves[:, 1], waves[:, 0], rcond=None)[0]
    anomaly = examples.last - mean - waves[:, 0] @ back @ slopes
    left = y - mean - waves @ slopes
    _, horizon, features = examples.future.shape
    simple = Path.persistence(examples)
    level, bias, future = np.zeros(horizon), np.zeros(horizon), np.zeros((horizon, features))
    for step in range(horizon):
        own = known[:, step]
        square = float(anomaly[own] @ anomaly[own])
        fading = float(anomaly[own] @ left[own, step]) / square if square > 0 else 0.0
        level[step], bias[step] = fading - 1.0, mean * (1.0 - fading)
        ahead = ahead @ back  # the waves of the last known step, of those of this one
        future[step, places] = slopes - fading * (ahead @ slopes)
    return Path("the time of the cycle", simple.window, level, bias, future)


def with_climatology(folds: Folds, simple: Fit, other: Fit, waves: Sequence[Array]) -> Fit | None:
    """The mean of another forecast and of the time of the cycle, if that is worth it.

    Args:
        folds: to compare with.
        simple: the forecast that the cycle alone must beat.
        other: the one to take the mean with.
        waves: places of the features, of one wave, of two, and so on. More are taken only where
            they are clearly better.
    """
    horizon = folds[0][1].change.shape[1]
    before = errors_of(simple, folds)

    def alone(places: Array) -> Fit:
        return lambda part: climatology(part, places)

    def mixed(places: Array) -> Fit:
        return lambda part: other(part).mixed(climatology(part, places))

    own = (errors_of(alone(places), folds) for places in waves)
    if not any(clearly_better(errors, before, horizon, _CLEARLY) for errors in own):
        return None
    errors = [errors_of(mixed(places), folds) for places in waves]
    best = 0
    for number in range(1, len(waves)):
        if clearly_better(errors[number], errors[best], horizon, _CLEARLY):
            best = number
    if clearly_better(errors_of(other, folds), errors[best], horizon, _CLEARLY):
        return None
    return mixed(waves[best])

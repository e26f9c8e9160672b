"""The usual value of the time of a long cycle, such as the year, and an anomaly that fades.

ŷ(t + h) = c(t + h) + φ_h · (y(t) − c(t)), where c is a mean and few waves of the cycle (the damped
anomaly persistence of seasonal forecasting; Van den Dool, "Empirical Methods in Short-Term Climate
Prediction", 2007). As the waves of a step are a rotation of those of the next, it is a linear map
of the last value and of what is known of the steps that follow: one more `Path`.

A validation part of a few months says little of a cycle of a year. So it is compared with the other
forecasts at several origins, each of which learns from all that comes before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...utils.typing import Array
from .paths import Examples, Path, clearly_better

Fit = Callable[[Examples], Path]

#: Where the origins are, as fractions of all windows, and how much of them each tests.
_ORIGINS, _TESTED = (0.5, 0.6, 0.7, 0.8, 0.9), 0.1
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


def rolled(fit: Fit, examples: Examples) -> Array:
    """Absolute errors (rows, horizon) after several origins, of what each learned before."""
    count, horizon = len(examples), examples.change.shape[1]
    errors = []
    for origin in _ORIGINS:
        begin, end = int(count * origin), int(count * (origin + _TESTED))
        path = fit(examples.take(np.arange(max(begin - horizon, 1))))
        later = examples.take(np.arange(begin, end))
        errors.append(np.abs(path(later) - later.change))
    return np.concatenate(errors)


def with_climatology(
    examples: Examples, simple: Fit, other: Fit, waves: Sequence[Array]
) -> Fit | None:
    """The mean of another forecast and of the time of the cycle, if that is worth it.

    Args:
        examples: all windows of one series, in their order.
        simple: the forecast that the cycle alone must beat.
        other: the one to take the mean with.
        waves: places of the features, of one wave, of two, and so on. More are taken only where
            they are clearly better.
    """
    horizon = examples.change.shape[1]
    before = rolled(simple, examples)

    def alone(places: Array) -> Fit:
        return lambda part: climatology(part, places)

    def mixed(places: Array) -> Fit:
        return lambda part: other(part).mixed(climatology(part, places))

    own = (rolled(alone(places), examples) for places in waves)
    if not any(clearly_better(errors, before, horizon, _CLEARLY) for errors in own):
        return None
    errors = [rolled(mixed(places), examples) for places in waves]
    best = 0
    for number in range(1, len(waves)):
        if clearly_better(errors[number], errors[best], horizon, _CLEARLY):
            best = number
    if clearly_better(rolled(other, examples), errors[best], horizon, _CLEARLY):
        return None
    return mixed(waves[best])

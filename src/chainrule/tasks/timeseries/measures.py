"""What forecasts are measured by, and the naive ones that cost nothing."""

from __future__ import annotations

import numpy as np

from ...utils.typing import Array
from ..intervals import interval_scores


def season_of(values: Array, longest: int = 400) -> int:
    """How many steps a season has; 1 if there is none.

    The autocorrelation of the series without its linear trend has its highest peak there; a peak
    at about as short a distance is preferred to one at a multiple of it.

    Args:
        values: the training part, NaN where nothing is known.
        longest: season that is looked for; it must be there twice.

    Example:
        >>> steps = np.arange(200)
        >>> season_of(np.sin(2 * np.pi * steps / 12) + 0.01 * steps), season_of(steps**2.0)
        (12, 1)
    """
    count = len(values)
    known = ~np.isnan(values)
    steps = np.arange(count)
    if known.sum() < 12:
        return 1
    trend = np.polynomial.Polynomial.fit(steps[known], values[known], 1)
    rest = np.where(known, values - trend(steps), 0.0)
    longest = min(longest, count // 2 - 1)
    if longest < 3 or not rest.any():
        return 1
    rest = np.ldexp(rest, -np.frexp(np.abs(rest).max())[1])  # squares of any numbers are finite
    size = 1 << (2 * count - 1).bit_length()
    power = np.abs(np.fft.rfft(rest, size)) ** 2
    raw = np.fft.irfft(power)[: longest + 2]
    correlation = raw / raw[0] * count / (count - np.arange(len(raw)))
    middle = correlation[1:-1]
    peaks = np.flatnonzero((middle > correlation[:-2]) & (middle >= correlation[2:])) + 1
    # The valley before it must be clearly lower: a long memory alone is no season.
    valley = np.minimum.accumulate(correlation)[peaks]
    # What is there only twice must be alike to be called a season.
    least = np.where(peaks > count // 3, 0.6, 0.3)
    peaks = peaks[(peaks >= 2) & (correlation[peaks] > least) & (correlation[peaks] > valley + 0.2)]
    if not len(peaks):
        return 1
    best = correlation[peaks].max()
    return int(peaks[correlation[peaks] >= 0.9 * best][0])


def persistence(past: Array, horizon: int) -> Array:
    """The last value, for every step: (rows, horizon)."""
    return np.repeat(past[:, -1, :1], horizon, axis=1)


def naive_scale(values: Array, season: int) -> float:
    """The mean |y(t) - y(t - season)| of the training part: the denominator of MASE.

    Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006.

    Example:
        >>> naive_scale(np.array([1.0, 2.0, 4.0, 4.0]), 1)
        1.0
    """
    change = np.abs(values[season:] - values[:-season])
    known = change[~np.isnan(change)]
    return float(known.mean()) if len(known) else float("nan")


def scores(
    target: Array, predicted: Array, scale: float | Array, levels: tuple[float, ...] = ()
) -> dict[str, float]:
    """Metrics over all known targets: MAE, RMSE, MASE and the symmetric percentage error.

    sMAPE is the mean of 2|y - ŷ| / (|y| + |ŷ|), from 0 to 2; 0 where both are 0.
    With quantiles, how good they are, too; see `interval_scores`.

    Args:
        target: (rows, horizon), NaN where nothing is known.
        predicted: (rows, horizon), or (rows, horizon, 1 + quantiles), of which the first counts.
        scale: of `naive_scale`; one, or one for each row.
        levels: of the quantiles.

    Example:
        >>> scores(np.array([[1.0, np.nan], [3.0, 5.0]]), np.zeros((2, 2)), 1.5)["mase"]
        2.0
    """
    known = ~np.isnan(target)
    quantiles = np.full((int(known.sum()), len(levels)), np.nan)
    if predicted.ndim > target.ndim:
        predicted, quantiles = predicted[..., 0], predicted[known][:, 1:]
    error = (predicted - target)[known]
    sizes = (np.abs(predicted) + np.abs(target))[known]
    relative = 2 * np.abs(error) / np.where(sizes > 0, sizes, 1.0)
    scales = np.broadcast_to(np.reshape(scale, (-1, 1)), target.shape)[known]
    usable = scales > 0
    mase = float((np.abs(error)[usable] / scales[usable]).mean()) if usable.any() else float("nan")
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mase": mase,
        "smape": float(relative.mean()),
        **interval_scores(levels, target[known], quantiles),
    }

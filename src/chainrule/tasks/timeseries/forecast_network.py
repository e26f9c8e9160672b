"""Windows of a series, the networks that forecast from them, and what they must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import models, nn
from ...engine.ops import concatenate, exp, isnan, log, maximum, minimum, reshape, sum, where
from ...engine.tensor import Buffer, Tensor
from ...utils.typing import Array
from ..scaling import log_is_better

#: How far outside of the training range a forecast may be, in standard deviations.
_MARGIN = 4.0


def windows(filled: Array, values: Array, window: int, horizon: int) -> tuple[Array, Array]:
    """All windows of a series, and the target in the steps that follow each.

    Args:
        filled: (steps, columns), without missing values.
        values: the same, NaN where nothing is known.
        window: steps that are looked at.
        horizon: steps that follow.

    Returns:
        (rows, window, columns) and (rows, horizon); row i begins at step i.

    Example:
        >>> x = np.arange(5.0)[:, None]
        >>> past, future = windows(x, x, 2, 2)
        >>> past[..., 0].tolist(), future.tolist()
        ([[0.0, 1.0], [1.0, 2.0]], [[2.0, 3.0], [3.0, 4.0]])
    """
    rows = max(len(filled) - window - horizon + 1, 0)
    past = np.arange(rows)[:, None] + np.arange(window)
    future = np.arange(rows)[:, None] + np.arange(window, window + horizon)
    return filled[past], values[:, 0][future]


# ---- networks ------------------------------------------------------------------------------------


class SeriesScaler(nn.Module):
    """The columns of a series on a scale on which they are alike, and the way back for the target.

    z = (x - mean) / std with the statistics of the training part only; of ln x where that is
    positive and its logarithm far less skewed.

    Args:
        columns: how many there are.
        log: of which columns the logarithm is taken; `fit` decides it.
        floor: the smallest number of each column in the training part; from `fit`.
    """

    def __init__(
        self, columns: int, log: tuple[bool, ...] = (), floor: tuple[float, ...] = ()
    ) -> None:
        self.log, self.floor = log, floor
        self.mean, self.std = (
            Buffer(np.zeros(columns), "float64"),
            Buffer(np.ones(columns), "float64"),
        )
        self.low, self.high = Buffer(0.0, "float64"), Buffer(0.0, "float64")

    def fit(self, train: Array) -> SeriesScaler:
        """Take the statistics of the training part: (steps, columns), NaN where unknown."""
        self.log = tuple(log_is_better(column) for column in train.T)
        columns = zip(train.T, self.log, strict=True)
        usual = np.stack([np.log(column) if is_log else column for column, is_log in columns])
        deviation = np.nan_to_num(np.nanstd(usual, axis=1))
        self.mean.assign(np.nan_to_num(np.nanmean(usual, axis=1)))
        self.std.assign(np.where(deviation > 0, deviation, 1.0))
        known = (usual[0][~np.isnan(usual[0])] - self.mean.numpy()[0]) / self.std.numpy()[0]
        self.low.assign(float(known.min()) - _MARGIN)
        self.high.assign(float(known.max()) + _MARGIN)
        self.floor = tuple(float(np.nan_to_num(np.nanmin(column))) for column in train.T)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Windows (rows, time, columns) float64 → the same, standardised, float32."""
        parts = []
        for number, (is_log, floor) in enumerate(zip(self.log, self.floor, strict=True)):
            column = x[:, :, number : number + 1]
            # Below the smallest number of the training a logarithm would run away.
            parts.append(log(maximum(column, floor / 10)) if is_log else column)
        return ((concatenate(parts, 2) - self.mean) / self.std).astype("float32")

    def transform(self, target: Array) -> Array:
        """Numbers of the target → what the network is trained on, float32; NaN stays NaN."""
        if self.log[0]:
            target = np.log(np.maximum(target, self.floor[0] / 10))
        scaled = (target - self.mean.numpy()[0]) / self.std.numpy()[0]
        return np.asarray(scaled, np.float32)

    def widen(self, target: Array) -> None:
        """Let forecasts go as far as these targets, too."""
        scaled = self.transform(target)
        self.low.assign(min(self.low.item(), float(np.nanmin(scaled)) - _MARGIN))
        self.high.assign(max(self.high.item(), float(np.nanmax(scaled)) + _MARGIN))

    def inverse(self, scaled: Tensor) -> Tensor:
        """What the network gives → numbers of the target, float64."""
        bounded = minimum(maximum(scaled.astype("float64"), self.low), self.high)
        y = bounded * self.std[0] + self.mean[0]
        return exp(y) if self.log[0] else y


class Forecaster(nn.Module):
    """The last value, a linear map of the window and, if there is one, a network of it.

    With z the standardised window and z' the same with the target's last value subtracted from the
    target: ŷ = z_last + A·z' + network(z'). The first term is the persistence forecast, the second
    an autoregression (Zeng et al., "Are transformers effective for time series forecasting?",
    2023), and the network adds what is not linear (Lai et al., "Modeling long- and short-term
    temporal patterns with deep neural networks", 2018).

    Args:
        scale: of the training part.
        network: takes (rows, window, columns), gives (rows, horizon); None for none.
        window: steps that are looked at.
        columns: how many there are.
        horizon: steps that are forecast.
    """

    def __init__(
        self,
        scale: SeriesScaler,
        network: nn.Module | None,
        window: int,
        columns: int,
        horizon: int,
    ) -> None:
        self.scale = scale
        self.linear = nn.Linear(window * columns, horizon, init="zeros")
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Windows (rows, window, columns) → the scaled target (rows, horizon)."""
        z = self.scale(x)
        last = z[:, -1:, :1]
        z = concatenate([z[:, :, :1] - last, z[:, :, 1:]], 2)
        rows, window, columns = z.shape
        y = reshape(last, (rows, 1)) + self.linear(reshape(z, (rows, window * columns)))
        result: Tensor = y if self.network is None else y + self.network(z)
        return result


@dataclass(frozen=True)
class ForecastShape:
    """Sizes of a forecaster.

    Attributes:
        model: linear, lstm or tcn.
        window: steps that are looked at.
        horizon: steps that are forecast.
        columns: how many columns there are.
        hidden: sizes of the layers.
        dropout: fraction of the hidden units that are set to 0 in training.
    """

    model: str
    window: int
    horizon: int
    columns: int
    hidden: tuple[int, ...]
    dropout: float

    def build(self, scale: SeriesScaler) -> Forecaster:
        """A new network."""
        network: Any = None
        if self.model == "lstm":
            network = models.lstm(self.horizon, self.columns, hidden=self.hidden[0],
                                  layers=len(self.hidden), dropout=self.dropout)  # fmt: skip
        elif self.model == "tcn":
            network = models.tcn(self.horizon, self.columns, self.hidden, dropout=self.dropout)
        if network is not None:  # at first the network adds nothing
            network.head = nn.Linear(self.hidden[-1], self.horizon, init="zeros")
        return Forecaster(scale, network, self.window, self.columns, self.horizon)


def known_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error over the targets that are known: those that are no NaN."""
    unknown = isnan(target)
    error = where(unknown, 0.0, prediction - where(unknown, 0.0, target))
    count = maximum(sum(where(unknown, 0.0, 1.0)), 1.0)
    total: Tensor = sum(error * error) / count
    return total


# ---- baselines and metrics -----------------------------------------------------------------------


def season_of(values: Array, longest: int = 400) -> int:
    """How many steps a season has; 1 if there is none.

    The autocorrelation of the series without its linear trend has its highest peak there; a peak
    at about as short a distance is preferred to one at a multiple of it.

    Args:
        values: the training part, NaN where nothing is known.
        longest: season that is looked for; it must be there three times.

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
    longest = min(longest, count // 3)
    if longest < 3 or not rest.any():
        return 1
    size = 1 << (2 * count - 1).bit_length()
    power = np.abs(np.fft.rfft(rest, size)) ** 2
    raw = np.fft.irfft(power)[: longest + 2]
    correlation = raw / raw[0] * count / (count - np.arange(len(raw)))
    middle = correlation[1:-1]
    peaks = np.flatnonzero((middle > correlation[:-2]) & (middle >= correlation[2:])) + 1
    # The valley before it must be clearly lower: a long memory alone is no season.
    valley = np.minimum.accumulate(correlation)[peaks]
    peaks = peaks[(peaks >= 2) & (correlation[peaks] > 0.3) & (correlation[peaks] > valley + 0.2)]
    if not len(peaks):
        return 1
    best = correlation[peaks].max()
    return int(peaks[correlation[peaks] >= 0.9 * best][0])


def persistence(past: Array, horizon: int) -> Array:
    """The last value, for every step: (rows, horizon)."""
    return np.repeat(past[:, -1, :1], horizon, axis=1)


def seasonal(past: Array, horizon: int, season: int) -> Array:
    """The value of a season before, (rows, horizon); windows hold a season at least.

    Example:
        >>> seasonal(np.array([[[1.0], [2.0], [3.0]]]), 5, 3).tolist()
        [[1.0, 2.0, 3.0, 1.0, 2.0]]
    """
    places = past.shape[1] - season + np.arange(horizon) % season
    return np.asarray(past[:, places, 0])


def naive_scale(values: Array, season: int) -> float:
    """The mean |y(t) - y(t - season)| of the training part: the denominator of MASE.

    Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006.

    Example:
        >>> naive_scale(np.array([1.0, 2.0, 4.0, 4.0]), 1)
        1.0
    """
    return float(np.nanmean(np.abs(values[season:] - values[:-season])))


def scores(target: Array, predicted: Array, scale: float) -> dict[str, float]:
    """Metrics over all known targets.

    Args:
        target: (rows, horizon), NaN where nothing is known.
        predicted: (rows, horizon).
        scale: of `naive_scale`.

    Example:
        >>> scores(np.array([[1.0, np.nan], [3.0, 5.0]]), np.zeros((2, 2)), 1.5)["mase"]
        2.0
    """
    error = (predicted - target)[~np.isnan(target)]
    mae = float(np.abs(error).mean())
    rmse = float(np.sqrt((error**2).mean()))
    return {"mae": mae, "rmse": rmse, "mase": mae / scale if scale > 0 else float("nan")}

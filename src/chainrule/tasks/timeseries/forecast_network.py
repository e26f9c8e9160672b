"""The networks that forecast from windows of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import models, nn
from ...engine.ops import (
    concatenate,
    exp,
    expand_dims,
    isnan,
    log,
    maximum,
    minimum,
    relu,
    reshape,
    sum,
    where,
)
from ...engine.tensor import Buffer, Tensor
from ...utils.typing import Array
from ..scaling import log_is_better
from .paths import Path

#: How much further a logarithm may move than in the training part, in standard deviations.
_MARGIN = 4.0
#: So many standard deviations beyond what was seen a level still counts as far as it goes.
_BEYOND = 1.0
#: Numbers of each step that the past says to what is known of the step, and hidden units there.
_TOLD, _DECODER = 8, 32


class SeriesScaler(nn.Module):
    """The columns of series on a scale on which they are alike, and the way back for the target.

    z = (x - center) / scale, of ln x where that is positive and its logarithm far less skewed. Of
    one series, center and scale are mean and standard deviation of the training part; of several,
    each window comes with those of its own series.

    Args:
        columns: how many there are.
        log: of which columns the logarithm is taken.
        floor: the smallest number of each column in the training part.
    """

    def __init__(
        self, columns: int, log: tuple[bool, ...] = (), floor: tuple[float, ...] = ()
    ) -> None:
        self.log = log or (False,) * columns
        self.floor = floor or (0.0,) * columns
        self.mean = Buffer(np.zeros(columns), "float64")
        self.std = Buffer(np.ones(columns), "float64")
        self.fall, self.rise = Buffer(-np.inf, "float64"), Buffer(np.inf, "float64")
        self.low, self.high = Buffer(-np.inf, "float32"), Buffer(np.inf, "float32")

    def fit(self, train: Array) -> SeriesScaler:
        """Take the statistics of the training part: (steps, columns), NaN where unknown."""
        self.log = tuple(log_is_better(column) for column in train.T)
        return self.refit(train)

    def refit(self, train: Array) -> SeriesScaler:
        """The same with the logarithms that there are."""
        self.floor = tuple(float(np.nan_to_num(np.nanmin(column))) for column in train.T)
        mean, std = statistics(self.logged(train))
        self.mean.assign(mean)
        self.std.assign(np.where(std > 0, std, 1.0))
        return self

    def bound(self, change: Array) -> None:
        """Let a logarithm move a little further than these changes from the last value."""
        known = change[~np.isnan(change)]
        if self.log[0] and len(known):
            self.fall.assign(min(self._finite(self.fall), float(known.min()) - _MARGIN))
            self.rise.assign(max(self._finite(self.rise), float(known.max()) + _MARGIN))

    def know(self, last: Array) -> None:
        """Take the levels that were seen: these standardised last values, and a little more."""
        self.low.assign(np.float32(last.min() - _BEYOND))
        self.high.assign(np.float32(last.max() + _BEYOND))

    @staticmethod
    def _finite(bound: Buffer) -> float:
        return bound.item() if np.isfinite(bound.item()) else 0.0

    def logged(self, values: Array) -> Array:
        """Numbers (…, columns) with the logarithm of those columns that have it."""
        result = np.array(values, float)
        for i in np.flatnonzero(self.log):
            # Below the smallest number of the training a logarithm would run away.
            result[..., i] = np.log(np.maximum(result[..., i], self.floor[i] / 10))
        return result

    def standardised(self, values: Array, center: Array | None, scale: Array | None) -> Array:
        """Numbers (rows, …, columns) → z, float64; NaN stays NaN."""
        mean = self.mean.numpy() if center is None else center[:, None]
        std = self.std.numpy() if scale is None else scale[:, None]
        return np.asarray((self.logged(values) - mean) / std)

    def transform(
        self, target: Array, center: Array | None = None, scale: Array | None = None
    ) -> Array:
        """Numbers of the target (rows, …) → what the network is trained on; NaN stays NaN."""
        if self.log[0]:
            target = np.log(np.maximum(target, self.floor[0] / 10))
        mean = self.mean.numpy()[0] if center is None else center[:, :1]
        std = self.std.numpy()[0] if scale is None else scale[:, :1]
        return np.asarray((target - mean) / std, np.float32)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Windows (rows, time, columns) float64 → the same, standardised, float32."""
        x, parts = inputs["past"], []
        for number, (is_log, floor) in enumerate(zip(self.log, self.floor, strict=True)):
            column = x[:, :, number : number + 1]
            parts.append(log(maximum(column, floor / 10)) if is_log else column)
        mean, std = self.of(inputs)
        return ((concatenate(parts, 2) - mean) / std).astype("float32")

    def ahead(self, inputs: dict[str, Tensor], known: int) -> Tensor:
        """What is known of the steps that follow, (rows, horizon, features), standardised.

        Args:
            inputs: of the network.
            known: how many of the features are the last columns of the windows; the calendar is on
                a scale already.
        """
        future = inputs["future"]
        if not known:
            return future.astype("float32")
        mean, std = self.of(inputs)
        mean, std = mean[..., mean.shape[-1] - known :], std[..., std.shape[-1] - known :]
        parts = [(future[:, :, :known] - mean) / std, future[:, :, known:]]
        return concatenate(parts, 2).astype("float32")

    def of(self, inputs: dict[str, Tensor]) -> tuple[Any, Any]:
        """Center and scale of each window, to be broadcast over (rows, time, columns)."""
        if "center" not in inputs:
            return self.mean, self.std
        return expand_dims(inputs["center"], 1), expand_dims(inputs["scale"], 1)

    def inverse(self, inputs: dict[str, Tensor], change: Tensor, last: Tensor) -> Tensor:
        """What the network gives as changes from the last value → numbers of the target, float64.

        Args:
            inputs: of the network.
            change: (rows, horizon).
            last: (rows, 1), standardised.
        """
        change = change.astype("float64")
        if self.log[0]:
            change = minimum(maximum(change, self.fall), self.rise)
        mean, std = self.of(inputs)
        if "center" in inputs:
            mean, std = mean[:, :, 0], std[:, :, 0]
        else:
            mean, std = mean[0], std[0]
        y = (last.astype("float64") + change) * std + mean
        return exp(y) if self.log[0] else y


def statistics(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, of what is known; 0 where nothing is."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    return mean, np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)


class Decoder(nn.Module):
    """What is known of each step that follows, with what the past says to it.

    Source: the temporal decoder of Das et al., "Long-term forecasting with TiDE", 2023.

    Args:
        horizon: steps.
        features: that are known of each.
    """

    def __init__(self, horizon: int, features: int) -> None:
        self.horizon = horizon
        self.first = nn.Linear(_TOLD + features, _DECODER)
        self.head = nn.Linear(_DECODER, 1, init="zeros")

    def forward(self, told: Tensor, future: Tensor) -> Tensor:
        """(rows, horizon · 8) and (rows, horizon, features) → (rows, horizon)."""
        rows = told.shape[0]
        y = concatenate([reshape(told, (rows, self.horizon, _TOLD)), future], 2)
        result: Tensor = reshape(self.head(relu(self.first(y))), (rows, self.horizon))
        return result


class Forecaster(nn.Module):
    """A linear forecast in closed form, and what is learned on top of it.

    With z the standardised window, z' the same with the target's last value subtracted from the
    target, and f what is known of the steps that follow:
    ŷ = z_last + B·(z', z_last, 1, f) + A·z' + C·f + network(z', f).
    B is a `Path`, fixed; far from all levels that were seen, z_last counts in it as the nearest of
    them: how a series comes back to its mean was learned around that mean only. A, C and the
    network begin at zero and are trained (Zeng et al., "Are transformers effective for time series
    forecasting?", 2023; Lai et al., "Modeling long- and short-term temporal patterns with deep
    neural networks", 2018); validation then chooses how much of what was learned is kept.

    Args:
        scale: of the training part.
        network: takes (rows, window, columns), gives (rows, horizon); None for none.
        shape: sizes.
    """

    def __init__(
        self, scale: SeriesScaler, network: nn.Module | None, shape: ForecastShape
    ) -> None:
        inputs, horizon = shape.window * shape.columns, shape.horizon
        self.scale = scale
        self.linear = nn.Linear(inputs, horizon, init="zeros")
        self.network: Any = network
        self.base_window = Buffer(np.zeros((inputs, horizon)), "float32")
        self.base_level = Buffer(np.zeros(horizon), "float32")
        self.base_bias = Buffer(np.zeros(horizon), "float32")
        self.features, self.advance = shape.features, shape.known
        if shape.features:
            self.base_future = Buffer(np.zeros((horizon, shape.features)), "float32")
            self.known = nn.Linear(shape.features, 1, init="zeros")
            self.decoder: Any = Decoder(horizon, shape.features) if network is not None else None

    def start_from(self, path: Path) -> None:
        """Take a linear forecast."""
        self.base_window.assign(path.window)
        self.base_level.assign(path.level)
        self.base_bias.assign(path.bias)
        if self.features:
            self.base_future.assign(path.future)

    def path(self) -> Path:
        """The linear forecast that it starts from."""
        arrays = [self.base_window, self.base_level, self.base_bias]
        window, level, bias = (array.numpy().astype(float) for array in arrays)
        future = (
            self.base_future.numpy().astype(float) if self.features else np.zeros((len(bias), 0))
        )
        return Path("start", window, level, bias, future)

    def change(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Changes from the last value (rows, horizon), and that value (rows, 1), standardised."""
        z = self.scale(inputs)
        rows, window, columns = z.shape
        last = reshape(z[:, -1:, :1], (rows, 1))
        z = concatenate([z[:, :, :1] - z[:, -1:, :1], z[:, :, 1:]], 2)
        flat = reshape(z, (rows, window * columns))
        level = minimum(maximum(last, self.scale.low), self.scale.high)
        base = flat @ self.base_window + level * self.base_level + self.base_bias
        learned = self.linear(flat)
        if self.features:
            future = self.scale.ahead(inputs, self.advance)
            base = base + sum(future * self.base_future, 2)
            learned = learned + self.known(future)[:, :, 0]
            if self.network is not None:
                learned = learned + self.decoder(self.network(z), future)
        elif self.network is not None:
            learned = learned + self.network(z)
        return base + learned, last

    def keep(self, fraction: float) -> None:
        """Keep only a fraction of what was learned beside the linear forecast."""
        heads: list[Any] = [self.linear]
        if self.features:
            heads.append(self.known)
        if self.network is not None:
            heads.append(self.decoder.head if self.features else self.network.head)
        for head in heads:
            for weights in head.parameters().values():
                weights.assign((weights.numpy() * fraction).astype(weights.numpy().dtype))

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """{"past": (rows, window, columns), …} → the standardised target (rows, horizon).

        ``future`` (rows, horizon, features) is there where something is known of the steps that
        follow; ``center`` and ``scale`` (rows, columns) where there are several series.
        """
        change, last = self.change(inputs)
        return last + change


class ForecastModel(nn.Module):
    """What is saved: windows in, forecasts in the unit of the target out.

    Args:
        network: the forecaster.
        quantiles: how many there are besides.
    """

    def __init__(self, network: Forecaster, quantiles: int = 0) -> None:
        self.network = network
        self.quantiles = quantiles
        if quantiles:
            horizon = network.base_bias.shape[0]
            self.offsets = Buffer(np.zeros((horizon, quantiles)), "float32")

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Inputs of `Forecaster` → (rows, horizon), or (rows, horizon, 1 + quantiles) float64."""
        return self.finish(inputs, *self.network.change(inputs))

    def finish(self, inputs: dict[str, Tensor], change: Tensor, last: Tensor) -> Tensor:
        """Standardised changes from the last value → what `forward` gives."""
        scale = self.network.scale
        forecast = scale.inverse(inputs, change, last)
        if not self.quantiles:
            return forecast
        found = [scale.inverse(inputs, change + self.offsets[:, i], last)
                 for i in range(self.quantiles)]  # fmt: skip
        return concatenate([expand_dims(y, 2) for y in (forecast, *found)], 2)


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
        features: how much is known of each step that is forecast.
        known: how many of these are columns, the last ones; the others are of the calendar.
    """

    model: str
    window: int
    horizon: int
    columns: int
    hidden: tuple[int, ...]
    dropout: float
    features: int = 0
    known: int = 0

    def build(self, scale: SeriesScaler) -> Forecaster:
        """A new network."""
        network: Any = None
        outputs = self.horizon * (_TOLD if self.features else 1)
        if self.model == "lstm":
            network = models.lstm(outputs, self.columns, hidden=self.hidden[0],
                                  layers=len(self.hidden), dropout=self.dropout)  # fmt: skip
        elif self.model == "tcn":
            network = models.tcn(outputs, self.columns, self.hidden, dropout=self.dropout)
        if network is not None and not self.features:  # at first the network adds nothing
            network.head = nn.Linear(self.hidden[-1], self.horizon, init="zeros")
        return Forecaster(scale, network, self)


def known_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error over the targets that are known: those that are no NaN."""
    unknown = isnan(target)
    error = where(unknown, 0.0, prediction - where(unknown, 0.0, target))
    count = maximum(sum(where(unknown, 0.0, 1.0)), 1.0)
    total: Tensor = sum(error * error) / count
    return total

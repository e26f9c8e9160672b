"""Linear forecasts in closed form, which a network starts from; see `choice`.

Each is a linear map of the window, so that all of them, and their means, are the same few numbers
of a network: persistence; exponential smoothing with trend and season, whose recursion is linear in
the window (Holt 1957, Winters 1960; damped trends of Gardner and McKenzie 1985); ridge regression
of each step on the window and on what is known of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...utils.typing import Array

_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
#: Trend smoothing and damping.
_TRENDS = (
    *((0.0, 1.0), (0.03, 1.0), (0.1, 1.0), (0.3, 1.0), (0.03, 0.95), (0.1, 0.95), (0.3, 0.95)),
    *((0.1, 0.8), (0.3, 0.8), (0.6, 0.8)),
)
_SEASONS = (0.01, 0.1, 0.3, 0.6)
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
#: A longer window is smoothed without its season: the recursion would take too long.
_LONGEST = 240
#: More windows than these are not needed to tell which smoothing is best.
_ENOUGH = 1000


@dataclass(frozen=True, eq=False)
class Examples:
    """Standardised windows, as the closed forms take them.

    Attributes:
        past: (rows, window, columns); the target relative to its last value.
        last: (rows,) that last value.
        future: (rows, horizon, features) of the steps that follow.
        change: (rows, horizon) the target relative to the last value, NaN where it is not known.
        level: (rows,) the last value, or the nearest that was seen in training; None for the same.
    """

    past: Array
    last: Array
    future: Array
    change: Array
    level: Array | None = None

    def __len__(self) -> int:
        return len(self.past)

    def take(self, rows: Array) -> Examples:
        """Some of them."""
        level = None if self.level is None else self.level[rows]
        return Examples(self.past[rows], self.last[rows], self.future[rows], self.change[rows],
                        level)  # fmt: skip

    @staticmethod
    def joined(parts: list[Examples]) -> Examples:
        """All of several."""
        names = ("past", "last", "future", "change")
        return Examples(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class Path:
    """A linear forecast of the change from the last value.

    Attributes:
        name: of the method.
        window: (window · columns, horizon) weights of the past.
        level: (horizon,) weights of the last value.
        bias: (horizon,).
        future: (horizon, features) weights of what is known of each step.
    """

    name: str
    window: Array
    level: Array
    bias: Array
    future: Array

    @staticmethod
    def persistence(examples: Examples) -> Path:
        """No change."""
        _, steps, columns = examples.past.shape
        horizon, features = examples.future.shape[1:]
        zeros = np.zeros(horizon)
        return Path("persistence", np.zeros((steps * columns, horizon)), zeros, zeros,
                    np.zeros((horizon, features)))  # fmt: skip

    def __call__(self, examples: Examples) -> Array:
        """The changes that it forecasts, (rows, horizon)."""
        flat = examples.past.reshape(len(examples), -1)
        known = (examples.future * self.future).sum(-1)
        level = examples.last if examples.level is None else examples.level
        return np.asarray(flat @ self.window + level[:, None] * self.level + self.bias + known)

    def mixed(self, other: Path, weight: float = 0.5) -> Path:
        """The mean of two, with the weight of the other one."""
        name = f"{self.name} and {other.name}"
        parts = ("window", "level", "bias", "future")
        return Path(name, *((1 - weight) * getattr(self, p) + weight * getattr(other, p)
                            for p in parts))  # fmt: skip


Fit = Callable[[Examples], Path]


# ---- exponential smoothing -----------------------------------------------------------------------


@lru_cache(maxsize=8)
def smoothings(window: int, horizon: int, season: int) -> tuple[Array, ...]:
    """Exponential smoothing with each of a grid of rates, as weights (window, horizon).

    With a season, the values of a season before are among them, too.

    Example:
        >>> found = smoothings(8, 2, 1)
        >>> bool(np.allclose([w.sum(0) for w in found], 1))
        True
    """
    with_season = season > 1 and 2 * season <= window <= _LONGEST
    seasons: tuple[float | None, ...] = (None, *_SEASONS) if with_season else (None,)
    last = [np.eye(window)[:, window - season + np.arange(horizon) % season]] \
        if 1 < season <= window else []  # fmt: skip
    return tuple(last) + tuple(
        _smoothing(window, horizon, season, level, trend, damping, seasonal)
        for level in _LEVELS
        for trend, damping in _TRENDS
        for seasonal in seasons
    )


def _smoothing(
    window: int, horizon: int, season: int, rate: float, trend_rate: float, damping: float,
    seasonal: float | None,
) -> Array:  # fmt: skip
    """The recursion, run on the unit vectors instead of numbers: (window, horizon)."""
    unit, zero = np.eye(window), np.zeros(window)
    period = 1 if seasonal is None else season
    start = min(4, window) if seasonal is None else period
    level = unit[:start].mean(0)
    cycle = [unit[i] - level if seasonal is not None else zero for i in range(period)]
    trend = zero
    if trend_rate > 0 and window >= 2 * start:
        trend = (unit[start : 2 * start].mean(0) - level) / start
    for step in range(0 if seasonal is None else period, window):
        usual = cycle[step % period]
        before, ahead = level, level + damping * trend
        level = rate * (unit[step] - usual) + (1 - rate) * ahead
        if trend_rate > 0:
            trend = trend_rate * (level - before) + (1 - trend_rate) * damping * trend
        if seasonal is not None:
            cycle[step % period] = seasonal * (unit[step] - level) + (1 - seasonal) * usual
    sums = np.cumsum(damping ** np.arange(1, horizon + 1))
    return np.stack([level + sums[h] * trend + cycle[(window + h) % period]
                     for h in range(horizon)], axis=1)  # fmt: skip


def best_smoothing(examples: Examples, season: int) -> Path:
    """The exponential smoothing with the smallest mean error."""
    rows = np.linspace(0, len(examples) - 1, min(len(examples), _ENOUGH)).astype(int)
    few, simple = examples.take(np.unique(rows)), Path.persistence(examples)
    _, steps, columns = examples.past.shape
    found = smoothings(steps, examples.change.shape[1], season)
    target = few.past[:, :, 0]
    errors = [np.nanmean(np.abs(target @ weights - few.change)) for weights in found]
    window = np.zeros((steps, columns, examples.change.shape[1]))
    window[:, 0] = found[int(np.argmin(errors))]
    return Path("smoothing", window.reshape(steps * columns, -1), simple.level, simple.bias,
                simple.future)  # fmt: skip


# ---- ridge regression ----------------------------------------------------------------------------


def ridges(
    examples: Examples, level: bool, calendar: int, penalties: Sequence[float] = RIDGES
) -> Iterator[Path]:
    """Ridge regressions of each step with several penalties.

    Args:
        examples: to learn from.
        level: whether the last value itself counts, or only changes from it.
        calendar: how many of the future's features, from the last, are left out.
        penalties: these.
    """
    examples = _completed(examples)
    rows = len(examples)
    horizon, features = examples.future.shape[1:]
    used = features - calendar
    x = np.concatenate([examples.past.reshape(rows, -1), examples.last[:, None] * level,
                        np.ones((rows, 1))], axis=1)  # fmt: skip
    y, width = examples.change, x.shape[1]
    gram = x.T @ x
    for penalty in penalties:
        shrunk = gram + penalty * rows * np.diag(np.r_[np.ones(width - 1), 1e-6])
        inverse = np.linalg.inv(shrunk)
        weights, future = np.zeros((width, horizon)), np.zeros((horizon, features))
        for step in range(horizon):
            f = examples.future[:, step, :used]
            cross = x.T @ f
            # The Schur complement: what the window says is solved once for all steps.
            inner = f.T @ f + penalty * rows * 1e-2 * np.eye(used) - cross.T @ inverse @ cross
            told = x.T @ y[:, step]
            own = f.T @ y[:, step] - cross.T @ inverse @ told
            future[step, :used] = np.linalg.solve(inner, own) if used else 0.0
            weights[:, step] = inverse @ (told - cross @ future[step, :used])
        yield Path("regression", weights[:-2], weights[-2] * level, weights[-1], future)


def _completed(examples: Examples) -> Examples:
    """The rows whose targets are all known; if these are few, all, with the last known before."""
    unknown = np.isnan(examples.change)
    complete = np.flatnonzero(~unknown.any(axis=1))
    if 2 * len(complete) >= len(examples):
        return examples.take(complete)
    change = examples.change.copy()
    change[unknown[:, 0], 0] = 0.0
    for step in range(1, change.shape[1]):
        change[:, step] = np.where(unknown[:, step], change[:, step - 1], change[:, step])
    return Examples(examples.past, examples.last, examples.future, change)

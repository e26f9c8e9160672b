# ruff: noqa: D102 - methods are described at the base; formulas may be all of a docstring
"""Learning rates that change while the network learns.

A schedule is a function *in the graph* of the number of updates done so far, t = 0, 1, 2, …, and
for some of the loss, so that a compiled training step needs no Python between two updates. Its
state is kept in buffers. One step of a schedule is one update, not one epoch.

Names and arguments are PyTorch's where PyTorch has the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ..engine.ir.types import float64
from ..engine.ops import abs, astype, cos, exp, floor, isfinite, maximum, minimum, sqrt, tanh, where
from ..engine.ops import log as ln
from ..engine.tensor import Buffer, Tensor, as_tensor
from ..errors import ConfigError, unknown
from ..utils.typing import Array
from .state import arrays, load, need, need_between

_schedules: dict[str, type[Schedule]] = {}
#: Every schedule by its name on the command line, such as ``one-cycle``.
SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(_schedules)


@dataclass(eq=False)
class Schedule:
    """Base of all schedules: a dataclass with a ``name``, its options as fields, and `rate`.

    A class of your own needs no more than these three; it is known by its name from then on.

    Example:
        >>> import chainrule as cr
        >>> from dataclasses import dataclass
        >>> @dataclass(eq=False)
        ... class InverseRoot(cr.optim.Schedule):
        ...     name = "inverse-root"
        ...     lr: float
        ...     def rate(self, t, loss):
        ...         return self.lr / cr.sqrt(t + 1)
        >>> InverseRoot(0.5).sequence(4)[::3]
        [0.5, 0.25]
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            _schedules[cls.name] = cls

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        """The learning rate (a float64 tensor) of the update after ``t`` others; to be defined."""
        raise NotImplementedError(f"{type(self).__name__} has no method `rate`")

    def __call__(self, step: Tensor | int, loss: Tensor | None = None) -> Tensor:
        """The learning rate, a float64 tensor without axes.

        Args:
            step: the number of updates done before this one.
            loss: the loss of this update's batch; schedules that follow the loss need it.
        """
        return as_tensor(self.rate(astype(step, float64), loss), float64)

    def observe(self, value: float) -> None:
        """Pass on the value of the validation metric, once an epoch, outside of compiled code."""
        for _, child in self._children():
            child.observe(value)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any] | None:
        """Options that suit a training of ``steps`` updates with the highest rate ``lr``.

        None for schedules that are made of other schedules: they have no such defaults.
        """
        return None

    def sequence(self, count: int, losses: Sequence[float] | None = None) -> list[float]:
        """The first ``count`` rates as numbers, to look at; the schedule itself does not move."""
        fresh = Schedule.from_config(self.to_config())
        given = [None] * count if losses is None else [as_tensor(x, float64) for x in losses]
        return [fresh(step, given[step]).item() for step in range(count)]

    # ---- state and configuration --------------------------------------------------------------

    def _children(self) -> Iterator[tuple[str, Schedule]]:
        for key, value in vars(self).items():
            if isinstance(value, Schedule):
                yield key, value
            elif isinstance(value, (list, tuple)):
                for number, item in enumerate(value):
                    if isinstance(item, Schedule):
                        yield f"{key}.{number}", item

    def buffers(self) -> dict[str, Buffer]:
        """The state of the schedule, by name; that of the schedules inside it included."""
        found = {key: value for key, value in vars(self).items() if isinstance(value, Buffer)}
        for path, child in self._children():
            found |= {f"{path}.{key}": buffer for key, buffer in child.buffers().items()}
        return found

    def state(self) -> dict[str, Array]:
        """A copy of the state."""
        return arrays(self.buffers())

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` gave; ConfigError if it is another schedule's."""
        load(self.buffers(), state, "schedule")

    def to_config(self) -> dict[str, Any]:
        """The name and options as JSON data."""
        return {"name": self.name} | {
            one.name: _to_config(getattr(self, one.name)) for one in fields(self) if one.init
        }

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Schedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: unknown name, unknown or missing option, or a value out of range.

        Example:
            >>> from chainrule.optim import Schedule
            >>> Schedule.from_config({"name": "exponential", "lr": 0.1, "gamma": 0.5}).sequence(3)
            [0.1, 0.05, 0.025]
        """
        options = dict(config)
        name = options.pop("name", None)
        if name not in SCHEDULES:
            raise unknown("schedule", str(name), SCHEDULES)
        kind = SCHEDULES[name]
        known = [one.name for one in fields(kind) if one.init]
        for option in options:
            if option not in known:
                raise unknown(f"option of schedule {name!r}:", option, known)
        try:
            return kind(**{option: _from_config(value) for option, value in options.items()})
        except TypeError as error:
            raise ConfigError(
                f"The options of schedule {name!r} do not fit.",
                expected=", ".join(known),
                found=str(error),
            ) from None


def _to_config(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_config()
    return [_to_config(item) for item in value] if isinstance(value, (list, tuple)) else value


def _from_config(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Schedule.from_config(value)
    return [_from_config(item) for item in value] if isinstance(value, list) else value


def make_schedule(name: str, lr: float, steps: int, warmup: int = 0, **options: Any) -> Schedule:
    """A schedule by name, with options that suit a training of ``steps`` updates.

    Args:
        name: a name of `SCHEDULES`, such as ``one-cycle``.
        lr: the highest rate.
        steps: the number of updates of the whole training.
        warmup: how many of these the rate first rises (see `Warmup`).
        options: options of the schedule itself, instead of the chosen ones.

    Example:
        >>> from chainrule.optim import make_schedule
        >>> make_schedule("cosine", lr=0.1, steps=100)
        CosineAnnealingLR(lr=0.1, T_max=100, eta_min=0.0)
    """
    chosen = SCHEDULES[name].options_for(lr, max(1, steps - warmup)) if name in SCHEDULES else None
    if chosen is None:
        single = [key for key, kind in SCHEDULES.items() if kind.options_for(lr, 1) is not None]
        raise unknown("schedule", name, single)
    schedule = Schedule.from_config({"name": name, **chosen, **options})
    return Warmup(schedule, warmup) if warmup else schedule


# ---- functions of the number of updates ---------------------------------------------------------


@dataclass(eq=False)
class Constant(Schedule):
    """Always the same rate, until another one is `set`.

    rate(t) = lr
    """

    name = "constant"
    lr: float

    def __post_init__(self) -> None:
        need_between(self, "lr")
        self.current = Buffer(self.lr, float64)

    def set(self, lr: float) -> None:
        """Go on with another rate; compiled steps follow."""
        self.lr = lr
        need_between(self, "lr")
        self.current.assign(lr)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return self.current

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr}


@dataclass(eq=False)
class StepLR(Schedule):
    """The rate times ``gamma`` every ``step_size`` updates.

    rate(t) = lr · gamma^⌊t / step_size⌋
    """

    name = "step"
    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "step_size", 1)
        need_between(self, "gamma")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return self.lr * self.gamma ** floor(t / self.step_size)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "step_size": math.ceil(steps / 3)}


@dataclass(eq=False)
class MultiStepLR(Schedule):
    """The rate times ``gamma`` at each of the ``milestones``.

    rate(t) = lr · gamma^(number of milestones ≤ t)
    """

    name = "multi-step"
    lr: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "milestones")
        need_between(self, "gamma")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        passed = astype(np.asarray(self.milestones, float64) <= t, float64)
        return self.lr * self.gamma ** passed.sum()

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "milestones": [steps // 2, steps * 3 // 4]}


@dataclass(eq=False)
class ExponentialLR(Schedule):
    """The rate times ``gamma`` with every update; above 1 it grows, as for finding a rate.

    rate(t) = lr · gamma^t
    """

    name = "exponential"
    lr: float
    gamma: float

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "gamma")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return self.lr * self.gamma**t

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "gamma": 0.01 ** (1 / steps)}


@dataclass(eq=False)
class PolynomialLR(Schedule):
    """Down to zero along a power of the fraction of the updates that are left.

    rate(t) = lr · (1 − min(t, total_iters) / total_iters)^power
    """

    name = "polynomial"
    lr: float
    total_iters: int
    power: float = 1.0

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "total_iters", 1)
        need_between(self, "power")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return self.lr * (1.0 - minimum(t / self.total_iters, 1.0)) ** float(self.power)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "total_iters": steps, "power": 2.0}


@dataclass(eq=False)
class LinearLR(Schedule):
    """Along a straight line from one fraction of the rate to another, which then stays.

    rate(t) = lr · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1))
    """

    name = "linear"
    lr: float
    start_factor: float = 1.0
    end_factor: float = 0.0
    total_iters: int = 100

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "start_factor")
        need_between(self, "end_factor")
        need_between(self, "total_iters", 1)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        change = self.end_factor - self.start_factor
        return self.lr * (self.start_factor + change * minimum(t / self.total_iters, 1.0))

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "total_iters": steps}


@dataclass(eq=False)
class CosineAnnealingLR(Schedule):
    """Half a wave down in ``T_max`` updates; after that it rises again, and so on.

        rate(t) = eta_min + ½ (lr − eta_min) (1 + cos(π t / T_max))

    Source: Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR
    2017, here without restarts.
    """

    name = "cosine"
    lr: float
    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "T_max", 1)
        need_between(self, "eta_min")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return _half_wave(self.lr, self.eta_min, t / self.T_max)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr, "T_max": steps}


def _half_wave(start: float, end: float, fraction: Tensor) -> Tensor:
    """From start (fraction = 0) to end (fraction = 1) along half a cosine wave."""
    return end + (start - end) / 2 * (1 + cos(math.pi * fraction))


@dataclass(eq=False)
class CosineAnnealingWarmRestarts(Schedule):
    """Half a wave down, a jump back up, and again, each time ``T_mult`` times as long.

        rate(t) = eta_min + ½ (lr − eta_min) (1 + cos(π · (t − start of the wave) / its length))

    Wave n = 0, 1, … has length T_0 · T_multⁿ. Source: Loshchilov and Hutter, ICLR 2017.
    """

    name = "cosine-restarts"
    lr: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "T_0", 1)
        need_between(self, "T_mult", 1)
        need_between(self, "eta_min")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        waves = t / self.T_0  # in lengths of the first one
        if self.T_mult == 1:
            return _half_wave(self.lr, self.eta_min, waves - floor(waves))
        # After n waves (multⁿ − 1) / (mult − 1) lengths are over. The small number is far below
        # what one update adds: it keeps the start of a wave from being rounded into the one before.
        more = self.T_mult - 1.0
        n = floor(ln(waves * more + 1) / math.log(self.T_mult) + 1e-9)
        length = float(self.T_mult) ** n
        return _half_wave(self.lr, self.eta_min, (waves - (length - 1) / more) / length)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        # Three waves that end with the training: 1 + 2 + 4 = 7.
        return {"lr": lr, "T_0": math.ceil(steps / 7), "T_mult": 2}


@dataclass(eq=False)
class OneCycleLR(Schedule):
    """Up to ``max_lr`` and down to almost nothing, in one training.

    From max_lr / div_factor in the first ``pct_start`` of the updates up to max_lr, then down to
    max_lr / div_factor / final_div_factor; with ``three_phase`` first as far down as it came up,
    in the same time. Each phase is half a cosine wave (``anneal_strategy="cos"``) or a line
    (``"linear"``). After ``total_steps`` the last rate stays.

    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", 2019; phases as in PyTorch.
    """

    name = "one-cycle"
    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        need_between(self, "max_lr")
        need_between(self, "total_steps", 1)
        need_between(self, "pct_start", 0, 1)
        need_between(self, "div_factor", 1)
        need_between(self, "final_div_factor", 1)
        need(self.anneal_strategy in ("cos", "linear"), self, "anneal_strategy", "cos or linear")

    def _phases(self) -> list[tuple[float, float, float]]:
        """For each phase its last update, and the rates at its two ends."""
        first = self.max_lr / self.div_factor
        least = first / self.final_div_factor
        up = self.pct_start * self.total_steps - 1
        if not self.three_phase:
            return [(up, first, self.max_lr), (self.total_steps - 1, self.max_lr, least)]
        down = 2 * self.pct_start * self.total_steps - 2
        return [
            (up, first, self.max_lr),
            (down, self.max_lr, first),
            (self.total_steps - 1, first, least),
        ]

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        t = minimum(t, self.total_steps - 1.0)
        begin = 0.0
        result: Tensor | None = None
        for last, low, high in self._phases():
            part = (t - begin) / (last - begin if last > begin else 1.0)
            line = low + (high - low) * part
            here = _half_wave(low, high, part) if self.anneal_strategy == "cos" else line
            result = here if result is None else where(t > begin, here, result)
            begin = last
        assert result is not None
        return result

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"max_lr": lr, "total_steps": steps}


@dataclass(eq=False)
class CyclicLR(Schedule):
    """Up and down along straight lines, again and again; the height shrinks with ``gamma``.

        rate(t) = base_lr + (max_lr − base_lr) · height(t) · gamma^t

    The height rises from 0 to 1 in ``step_size_up`` updates and falls in ``step_size_down`` (as
    many, unless given). Source: Smith, "Cyclical learning rates for training neural networks",
    WACV 2017.
    """

    name = "cyclic"
    base_lr: float
    max_lr: float
    step_size_up: int
    step_size_down: int | None = None
    gamma: float = 1.0

    def __post_init__(self) -> None:
        need_between(self, "base_lr")
        need_between(self, "max_lr")
        need_between(self, "step_size_up", 1)
        if self.step_size_down is not None:
            need_between(self, "step_size_down", 1)
        need_between(self, "gamma", 0, 1)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        cycles = t / (up + down)
        within = (cycles - floor(cycles)) * (up + down)
        height = minimum(within / up, (up + down - within) / down)
        if self.gamma != 1.0:
            height = height * self.gamma**t
        return self.base_lr + (self.max_lr - self.base_lr) * height

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"base_lr": lr / 10, "max_lr": lr, "step_size_up": math.ceil(steps / 10)}


# ---- made of other schedules -------------------------------------------------------------------


def _need_schedules(owner: Schedule, option: str) -> None:
    value = getattr(owner, option)
    items = value if isinstance(value, (list, tuple)) else [value]
    need(
        len(items) > 0 and all(isinstance(item, Schedule) for item in items),
        owner,
        option,
        "a schedule" if items is not value else "a list of schedules",
    )


@dataclass(eq=False)
class Warmup(Schedule):
    """Any schedule with a warm-up: the rate first rises linearly to its start.

        rate(t) = schedule(max(t − steps, 0)) · (start + (1 − start) · min(t / steps, 1))

    The schedule itself begins when the warm-up is over.

    Example:
        >>> from chainrule.optim import ExponentialLR, Warmup
        >>> schedule = Warmup(ExponentialLR(1.0, gamma=0.5), steps=2, start=0.1)
        >>> [round(x, 3) for x in schedule.sequence(5)]
        [0.1, 0.55, 1.0, 0.5, 0.25]
    """

    name = "warmup"
    schedule: Schedule
    steps: int
    start: float = 0.01

    def __post_init__(self) -> None:
        _need_schedules(self, "schedule")
        need_between(self, "steps", 1)
        need_between(self, "start", 0, 1)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        factor = self.start + (1 - self.start) * minimum(t / self.steps, 1.0)
        return self.schedule.rate(maximum(t - self.steps, 0.0), loss) * factor


@dataclass(eq=False)
class SequentialLR(Schedule):
    """One schedule after the other, each from its own start; the next begins at a milestone.

        rate(t) = scheduleᵢ(t − milestoneᵢ)    for milestoneᵢ ≤ t < milestoneᵢ₊₁

    Args:
        schedules: one more than there are milestones.
        milestones: rising numbers of updates.
    """

    name = "sequence"
    schedules: Sequence[Schedule]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        _need_schedules(self, "schedules")
        need_between(self, "milestones")
        need(
            len(self.milestones) == len(self.schedules) - 1
            and list(self.milestones) == sorted(set(self.milestones)),
            self,
            "milestones",
            f"{len(self.schedules) - 1} rising numbers, one fewer than schedules",
        )

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        result = self.schedules[0].rate(t, loss)
        for begin, schedule in zip(self.milestones, self.schedules[1:], strict=True):
            result = where(t >= begin, schedule.rate(maximum(t - begin, 0.0), loss), result)
        return result


@dataclass(eq=False)
class ChainedScheduler(Schedule):
    """The product of several schedules; give all but the first the rate 1.

    rate(t) = Πᵢ scheduleᵢ(t)
    """

    name = "chain"
    schedules: Sequence[Schedule]

    def __post_init__(self) -> None:
        _need_schedules(self, "schedules")

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return math.prod(
            (schedule.rate(t, loss) for schedule in self.schedules[1:]),
            start=self.schedules[0].rate(t, loss),
        )


@dataclass(eq=False)
class Average(Schedule):
    """The exponential moving average of another schedule's rate, which smooths its corners.

        a(t) = a(t−1) + αₜ · (schedule(t) − a(t−1)),    αₜ = (1 − decay) / (1 − decay^(t+1))

    With αₜ the average starts at the schedule's first rate and has no bias towards zero.
    """

    name = "average"
    schedule: Schedule
    decay: float = 0.99

    def __post_init__(self) -> None:
        _need_schedules(self, "schedule")
        need_between(self, "decay", 0, 1, below=True)
        self.mean = Buffer(0.0, float64)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        new = _averaged(self.mean, self.schedule.rate(t, loss), self.decay, t)
        self.mean.assign(new)
        return new


def _averaged(mean: Tensor, value: Tensor, decay: float, t: Tensor) -> Tensor:
    """An exponential moving average after ``t`` earlier values, without bias.

    m + α (x − m) with α = (1 − β) / (1 − βᵗ⁺¹) weighs the values as β-powers that add up to 1. It
    is exact for equal values, where dividing by 1 − βᵗ⁺¹ afterwards would leave rounding errors.
    """
    return mean + (1 - decay) / (1 - decay ** (t + 1)) * (value - mean)


# ---- driven by what training achieves ------------------------------------------------------------


@dataclass(eq=False)
class ReduceLROnPlateau(Schedule):
    """The rate times ``factor`` when the validation metric has not improved for a while.

    After each `observe`, once an epoch: a value that is better than the best by more than the
    threshold is an improvement; after more than ``patience`` values without one the rate is
    reduced, not below ``min_lr``, and the next ``cooldown`` values count for nothing.

    Args:
        lr: the first rate.
        mode: "min" if a smaller metric is better, "max" if a larger one is.
        threshold: the least improvement: a fraction of the best value (``threshold_mode="rel"``)
            or a difference (``"abs"``).
        eps: a reduction that would be smaller than this is left out.
    """

    name = "plateau"
    lr: float
    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        for option in ("lr", "patience", "threshold", "cooldown", "min_lr", "eps"):
            need_between(self, option)
        need_between(self, "factor", 0, 1, below=True)
        need(self.mode in ("min", "max"), self, "mode", "min or max")
        need(self.threshold_mode in ("rel", "abs"), self, "threshold_mode", "rel or abs")
        self.current = Buffer(self.lr, float64)
        self.best = Buffer(math.inf if self.mode == "min" else -math.inf, float64)
        self.waited = Buffer(0)
        self.resting = Buffer(0)

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        return self.current

    def _improves(self, value: float) -> bool:
        best, sign = self.best.item(), -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            target = best * (1 + sign * self.threshold)
        else:
            target = best + sign * self.threshold
        return bool(value < target if self.mode == "min" else value > target)

    def observe(self, value: float) -> None:
        waited, resting = self.waited.item() + 1, self.resting.item()
        if self._improves(float(value)):
            self.best.assign(float(value))
            waited = 0
        if resting > 0:
            resting, waited = resting - 1, 0
        if waited > self.patience:
            before = self.current.item()
            after = max(before * self.factor, self.min_lr)
            if before - after > self.eps:
                self.current.assign(after)
            resting, waited = self.cooldown, 0
        self.waited.assign(waited)
        self.resting.assign(resting)

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        return {"lr": lr}


@dataclass(eq=False)
class EMADriven(Schedule):
    """The rate follows exponential moving averages (EMA) of the training loss.

    Two averages of the loss Lₜ, a fast one f and a slow one s, and the variance v of the loss
    around the slow one:

        f ← EMA(L, decay¹⁰)    s ← EMA(L, decay)    v ← EMA((L − s)², decay)

    say how fast the loss falls, in its own standard deviations, so that it does not matter in
    which unit the loss is measured:

        p = (s − f) / (√v + 10⁻⁶ |s|)               progress: > 0 while the fast one is lower
        u = tanh(p / threshold − 1)                 from −1 (none, or worse) to 1 (clear)
        ln rate ← ln rate + (1 − decay) (1 − decay^t) · (growth · max(u, 0) + shrink · min(u, 0))

    and the rate is kept in [min_lr, max_lr]. So with clear progress the rate is kept, or grows if
    it was reduced before; when progress stalls or reverses it shrinks smoothly: in 1 / (1 − decay)
    updates (the memory of the slow average) by the factor e^(−0.76 shrink) at a standstill, and
    by up to e^(−shrink) while the loss rises. The factor 1 − decay^t waits for evidence at the
    start. Changes below a millionth of the loss are rounding errors and no progress. A loss
    that is not finite is left out.

    Args:
        lr: the first rate.
        decay: of the slow average; it remembers about 1 / (1 − decay) updates.
        growth, shrink: the largest change of ln rate in that time, up and down.
        threshold: the progress that keeps the rate, in standard deviations of the loss.
        min_lr, max_lr: the bounds; lr / 1000 and lr unless given.

    Example:
        >>> from chainrule.optim import EMADriven
        >>> falling = [0.99**t for t in range(300)]
        >>> rates = EMADriven(0.1).sequence(1200, [*falling, *[falling[-1]] * 900])
        >>> rates[299] == 0.1, rates[1199] < 0.01
        (True, True)
    """

    name = "ema-driven"
    lr: float
    decay: float = 0.99
    growth: float = 0.2
    shrink: float = 1.0
    threshold: float = 0.2
    min_lr: float | None = None
    max_lr: float | None = None

    def __post_init__(self) -> None:
        need_between(self, "lr")
        need_between(self, "decay", 0, 1, below=True)
        need_between(self, "growth")
        need_between(self, "shrink")
        need_between(self, "threshold")
        need(self.threshold > 0, self, "threshold", "a number above 0")
        for option in ("min_lr", "max_lr"):
            if getattr(self, option) is not None:
                need_between(self, option)
        need(self._low <= self.lr, self, "min_lr", "at most lr")
        need(self.lr <= self._high, self, "max_lr", "at least lr")
        self.current = Buffer(self.lr, float64)
        self.fast = Buffer(0.0, float64)
        self.slow = Buffer(0.0, float64)
        self.variance = Buffer(0.0, float64)

    @property
    def _low(self) -> float:
        return self.lr / 1000 if self.min_lr is None else self.min_lr

    @property
    def _high(self) -> float:
        return self.lr if self.max_lr is None else self.max_lr

    def rate(self, t: Tensor, loss: Tensor | None) -> Tensor:
        if loss is None:
            raise ConfigError(
                "The schedule 'ema-driven' follows the loss, and none was given.",
                hint="Call optimizer.update(gradients, loss=loss).",
            )
        loss = astype(loss, float64).reshape(())
        usable = isfinite(loss)
        fast = where(usable, _averaged(self.fast, loss, self.decay**10, t), self.fast)
        slow = where(usable, _averaged(self.slow, loss, self.decay, t), self.slow)
        squared = (loss - slow) ** 2
        variance = where(usable, _averaged(self.variance, squared, self.decay, t), self.variance)
        tiny = float(np.finfo(float64).tiny)  # a loss of zero: progress 0 / tiny = 0
        progress = (slow - fast) / (sqrt(variance) + 1e-6 * abs(slow) + tiny)
        u = tanh(progress / self.threshold - 1)
        change = self.growth * maximum(u, 0.0) + self.shrink * minimum(u, 0.0)
        change = (1 - self.decay) * (1 - self.decay**t) * change
        rate = maximum(minimum(self.current * exp(change), self._high), self._low)
        for buffer, new in zip(
            (self.fast, self.slow, self.variance, self.current),
            (fast, slow, variance, rate),
            strict=True,
        ):
            buffer.assign(new)
        return rate

    @classmethod
    def options_for(cls, lr: float, steps: int) -> dict[str, Any]:
        # A memory of a thirtieth of the training: short enough to act on, long enough to trust.
        return {"lr": lr, "decay": 1 - 1 / min(max(steps / 30, 20), 1000)}

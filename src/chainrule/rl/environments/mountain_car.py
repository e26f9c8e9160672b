"""MountainCar: a weak car has to swing itself up a hill; with three actions, or any force."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...engine.ops import astype, clip, cos, full_like, random, stack, where, zeros_like
from ...engine.tensor import Tensor, as_tensor
from ..rendering import Scene
from ..spaces import Box, Discrete
from .environment import Environment

_LEFT, _RIGHT, _FAST, _SLOPE = -1.2, 0.6, 0.07, 0.0025


class MountainCarState(NamedTuple):
    """Place and speed, (worlds,): float64, of the continuous car float32."""

    position: Tensor
    speed: Tensor


def _reset(key: Tensor, count: int) -> MountainCarState:
    position = random.uniform(key, (count,), -0.6, -0.4, "float64")
    return MountainCarState(position, zeros_like(position))


def _drive(state: MountainCarState, push: Tensor) -> MountainCarState:
    """Along the hill, with what the motor adds to the speed; the left end is a wall."""
    downhill = astype(_SLOPE * cos(astype(3.0 * state.position, "float64")), push.dtype)
    speed = clip(state.speed + (push - downhill), -_FAST, _FAST)
    position = clip(state.position + speed, _LEFT, _RIGHT)
    stopped = (position == _LEFT) & (speed < 0)
    return MountainCarState(position, where(stopped, zeros_like(speed), speed))


def _height(x: float) -> float:
    return math.sin(3 * x) * 0.45 + 0.55


class MountainCar(Environment):
    """Drive up a hill that is too steep for the motor: go back first to gain speed.

    The reward is −1 a step until the flag is reached. Moore, "Efficient memory-based learning for
    robot control" (1990); the equations are those of Gymnasium's MountainCar-v0.
    """

    name = "MountainCar-v0"
    time_limit = 200
    reward_threshold = -110.0
    goal = 0.5
    observation_space = Box.of([_LEFT, -_FAST], [_RIGHT, _FAST], ["position", "velocity"])
    action_space = Discrete(3, ("left", "nothing", "right"))

    def reset(self, key: Tensor, count: int) -> MountainCarState:
        """At rest in the valley."""
        return _reset(key, count)

    def step(
        self, state: MountainCarState, action: Tensor, key: Tensor | None = None
    ) -> tuple[MountainCarState, Tensor, Tensor]:
        """One step of the car."""
        new = _drive(state, 0.001 * (astype(action, "float64") - 1.0))
        ended = (new.position >= self.goal) & (new.speed >= 0)
        return new, full_like(astype(new.speed, "float32"), -1.0), ended

    def observe(self, state: MountainCarState) -> Tensor:
        """Place and speed."""
        return astype(stack(list(state), 1), "float32")

    def scene(self, state: MountainCarState) -> Scene:
        """The car between the hills."""
        x = float(state.position)
        places = [_LEFT + i * (_RIGHT - _LEFT) / 60 for i in range(61)]
        picture = Scene((-1.3, 0.7), (0.0, 1.3))
        picture.line([(at, _height(at)) for at in places], "ink")
        flag = _height(self.goal)
        picture.line([(self.goal, flag), (self.goal, flag + 0.2)], "grey")
        picture.polygon([(self.goal, flag + 0.2), (self.goal, flag + 0.12),
                         (self.goal + 0.1, flag + 0.16)], "green")  # fmt: skip
        picture.circle((x, _height(x) + 0.05), 0.05, "orange")
        return picture


class MountainCarContinuous(MountainCar):
    """The same car with any force from −1 to 1: 100 for the flag, less 0.1·force² a step.

    The equations are those of Gymnasium's MountainCarContinuous-v0, whose state is float32.
    """

    name = "MountainCarContinuous-v0"
    time_limit = 999
    reward_threshold = 90.0
    goal = 0.45
    action_space = Box.of([-1.0], [1.0], ["force"])  # type: ignore[assignment]

    def reset(self, key: Tensor, count: int) -> MountainCarState:
        """At rest in the valley."""
        return MountainCarState(*(astype(x, "float32") for x in _reset(key, count)))

    def step(
        self, state: MountainCarState, action: Tensor, key: Tensor | None = None
    ) -> tuple[MountainCarState, Tensor, Tensor]:
        """One step of the car; the cost is that of the action before it is clipped."""
        force = astype(as_tensor(action)[:, 0], "float32")
        new = _drive(state, 0.0015 * clip(force, -1.0, 1.0))
        ended = (new.position >= self.goal) & (new.speed >= 0)
        return new, where(ended, 100.0, 0.0).astype("float32") - 0.1 * (force * force), ended

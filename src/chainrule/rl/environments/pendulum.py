"""Pendulum: swing it up and hold it there."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...engine.ops import astype, clip, cos, random, remainder, sin, stack
from ...engine.tensor import Tensor, as_tensor
from ..rendering import Scene
from ..spaces import Box
from .environment import Environment

_GRAVITY, _DT, _MAX_SPEED, _MAX_TORQUE = 10.0, 0.05, 8.0, 2.0


class PendulumState(NamedTuple):
    """Angle from the top and angular speed; float64 (worlds,)."""

    angle: Tensor
    spin: Tensor


class Pendulum(Environment):
    """Swing a pendulum up with a weak motor and hold it there.

    The reward of a step is −(θ² + 0.1·θ̇² + 0.001·u²), with θ from −π to π and 0 at the top. It
    never ends by itself. The equations are those of Gymnasium's Pendulum-v1.
    """

    name = "Pendulum-v1"
    time_limit = 200
    observation_space = Box.of(
        [-1.0, -1.0, -_MAX_SPEED], [1.0, 1.0, _MAX_SPEED], ["cos_angle", "sin_angle", "spin"]
    )
    action_space = Box.of([-_MAX_TORQUE], [_MAX_TORQUE], ["torque"])

    def reset(self, key: Tensor, count: int) -> PendulumState:
        """Any angle, speeds in ±1."""
        drawn = random.uniform(key, (2, count), -1.0, 1.0, "float64")
        return PendulumState(drawn[0] * math.pi, drawn[1])

    def step(
        self, state: PendulumState, action: Tensor, key: Tensor | None = None
    ) -> tuple[PendulumState, Tensor, Tensor]:
        """One of 20 steps a second; what depends on the torque alone is computed in float32."""
        angle, spin = state
        u = clip(astype(as_tensor(action)[:, 0], "float32"), -_MAX_TORQUE, _MAX_TORQUE)
        wrapped = remainder(angle + math.pi, 2 * math.pi) - math.pi
        cost = wrapped * wrapped + 0.1 * spin * spin + astype(0.001 * (u * u), "float64")
        torque = astype(3.0 * u, "float64")
        new_spin = spin + (3 * _GRAVITY / 2 * sin(angle) + torque) * _DT
        new_spin = clip(new_spin, -_MAX_SPEED, _MAX_SPEED)
        new = PendulumState(angle + new_spin * _DT, new_spin)
        return new, astype(-cost, "float32"), angle != angle

    def observe(self, state: PendulumState) -> Tensor:
        """Cosine and sine of the angle, and the speed."""
        parts = [cos(state.angle), sin(state.angle), state.spin]
        return astype(stack(parts, 1), "float32")

    def scene(self, state: PendulumState) -> Scene:
        """The pendulum."""
        angle = float(state.angle)
        picture = Scene((-1.3, 1.3), (-1.3, 1.3))
        picture.line([(0.0, 0.0), (math.sin(angle), math.cos(angle))], "orange", 0.2)
        picture.circle((0.0, 0.0), 0.05, "ink")
        return picture

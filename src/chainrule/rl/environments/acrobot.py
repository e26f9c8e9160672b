"""Acrobot: a double pendulum with a motor at the elbow only."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...engine.ops import astype, clip, cos, random, sin, stack, where
from ...engine.tensor import Tensor
from ..rendering import Scene
from ..spaces import Box, Discrete
from .environment import Environment

_DT, _GRAVITY = 0.2, 9.8
_FAST = (4 * math.pi, 9 * math.pi)
#: All masses, lengths and moments of inertia are 1; the centres of mass are in the middle.
_HALF = 0.5


class AcrobotState(NamedTuple):
    """Angles of both joints and their speeds; float64 (worlds,)."""

    first: Tensor
    second: Tensor
    first_spin: Tensor
    second_spin: Tensor


class Acrobot(Environment):
    """Swing the end of a double pendulum above a line, with torque −1, 0 or 1 at the elbow.

    The reward is −1 a step until then. The equations are those of Sutton and Barto, "Reinforcement
    learning: an introduction" (2018), one Runge-Kutta step of 0.2 s, as in Gymnasium's Acrobot-v1.
    """

    name = "Acrobot-v1"
    time_limit = 500
    reward_threshold = -100.0
    frame_rate = 15
    observation_space = Box.of(
        [-1.0, -1.0, -1.0, -1.0, -_FAST[0], -_FAST[1]],
        [1.0, 1.0, 1.0, 1.0, _FAST[0], _FAST[1]],
        ["cos_angle_1", "sin_angle_1", "cos_angle_2", "sin_angle_2", "spin_1", "spin_2"],
    )
    action_space = Discrete(3, ("torque -1", "torque 0", "torque 1"))

    def reset(self, key: Tensor, count: int) -> AcrobotState:
        """All four uniform in ±0.1, of float32."""
        drawn = astype(random.uniform(key, (4, count), -0.1, 0.1), "float64")
        return AcrobotState(*(drawn[i] for i in range(4)))

    def step(
        self, state: AcrobotState, action: Tensor, key: Tensor | None = None
    ) -> tuple[AcrobotState, Tensor, Tensor]:
        """One step of the classical Runge-Kutta method."""
        torque = astype(action, "float64") - 1.0
        y = list(state)
        k1 = _motion(y, torque)
        k2 = _motion([a + _DT / 2 * b for a, b in zip(y, k1, strict=True)], torque)
        k3 = _motion([a + _DT / 2 * b for a, b in zip(y, k2, strict=True)], torque)
        k4 = _motion([a + _DT * b for a, b in zip(y, k3, strict=True)], torque)
        first, second, *spins = (
            a + _DT / 6 * (b + 2 * c + 2 * d + e)
            for a, b, c, d, e in zip(y, k1, k2, k3, k4, strict=True)
        )
        new = AcrobotState(
            _wrapped(first), _wrapped(second),
            *(clip(spin, -most, most) for spin, most in zip(spins, _FAST, strict=True)),
        )  # fmt: skip
        ended = -cos(new.first) - cos(new.second + new.first) > 1.0
        return new, where(ended, 0.0, -1.0).astype("float32"), ended

    def observe(self, state: AcrobotState) -> Tensor:
        """Cosines and sines of the angles, and the speeds."""
        first, second, *spins = state
        return astype(stack([cos(first), sin(first), cos(second), sin(second), *spins], 1),
                      "float32")  # fmt: skip

    def scene(self, state: AcrobotState) -> Scene:
        """Both links, and the line to be reached."""
        first, second = float(state.first), float(state.second)
        elbow = (math.sin(first), -math.cos(first))
        end = (elbow[0] + math.sin(first + second), elbow[1] - math.cos(first + second))
        picture = Scene((-2.2, 2.2), (-2.2, 2.2))
        picture.line([(-2.2, 1.0), (2.2, 1.0)], "grey")
        picture.line([(0.0, 0.0), elbow, end], "orange", 0.15)
        for joint in ((0.0, 0.0), elbow):
            picture.circle(joint, 0.08, "blue")
        return picture


def _wrapped(angle: Tensor) -> Tensor:
    """Between −π and π; a step turns a joint by less than three turns."""
    turn = 2 * math.pi
    for _ in range(3):
        angle = where(angle > math.pi, angle - turn, angle)
        angle = where(angle < -math.pi, angle + turn, angle)
    return angle


def _motion(y: list[Tensor], torque: Tensor) -> list[Tensor]:
    """The derivatives of the state with respect to time."""
    first, second, w1, w2 = y
    cosine, sine = cos(second), sin(second)
    d1 = _HALF**2 + (1 + _HALF**2 + cosine) + 2.0
    d2 = _HALF**2 + _HALF * cosine + 1.0
    phi2 = _HALF * _GRAVITY * cos(first + second - math.pi / 2)
    phi1 = (
        -_HALF * w2 * w2 * sine - w2 * w1 * sine + 1.5 * _GRAVITY * cos(first - math.pi / 2) + phi2
    )
    a2 = (torque + d2 / d1 * phi1 - _HALF * w1 * w1 * sine - phi2) / (_HALF**2 + 1.0 - d2 * d2 / d1)
    return [w1, w2, -(d2 * a2 + phi1) / d1, a2]

"""CartPole: a pole on a cart is to be kept upright."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...engine.ops import abs, astype, cos, ones_like, random, sin, stack, where
from ...engine.tensor import Tensor
from ..rendering import Scene
from ..spaces import Box, Discrete
from .environment import Environment

_GRAVITY, _CART, _POLE, _HALF_LENGTH = 9.8, 1.0, 0.1, 0.5
_TOTAL, _MOMENT = _CART + _POLE, _POLE * _HALF_LENGTH
_FORCE, _TAU = 10.0, 0.02
_FAR, _TILTED = 2.4, 12 * 2 * math.pi / 360


class CartPoleState(NamedTuple):
    """Place and speed of the cart, angle and angular speed of the pole; float64 (worlds,)."""

    x: Tensor
    speed: Tensor
    angle: Tensor
    spin: Tensor


class CartPole(Environment):
    """Balance a pole on a cart by pushing the cart left or right: the reward is 1 a step.

    An episode ends when the cart is 2.4 away from the middle or the pole leans by 12°. The
    equations of motion are those of Barto, Sutton and Anderson, "Neuronlike adaptive elements that
    can solve difficult learning control problems" (1983), as Gymnasium's CartPole-v1 has them.
    """

    name = "CartPole-v1"
    time_limit = 500
    reward_threshold = 475.0
    frame_rate = 50
    observation_space = Box.of(
        [-2 * _FAR, -np.inf, -2 * _TILTED, -np.inf],
        [2 * _FAR, np.inf, 2 * _TILTED, np.inf],
        ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"],
    )
    action_space = Discrete(2, ("left", "right"))

    def reset(self, key: Tensor, count: int) -> CartPoleState:
        """All four uniform in ±0.05."""
        drawn = random.uniform(key, (4, count), -0.05, 0.05, "float64")
        return CartPoleState(*(drawn[i] for i in range(4)))

    def step(
        self, state: CartPoleState, action: Tensor, key: Tensor | None = None
    ) -> tuple[CartPoleState, Tensor, Tensor]:
        """One of 50 steps a second, by Euler's explicit method."""
        x, speed, angle, spin = state
        force = where(action == 1, _FORCE, -_FORCE).astype("float64")
        cosine, sine = cos(angle), sin(angle)
        push = (force + _MOMENT * spin * spin * sine) / _TOTAL
        angular = (_GRAVITY * sine - cosine * push) / (
            _HALF_LENGTH * (4.0 / 3.0 - _POLE * cosine * cosine / _TOTAL)
        )
        linear = push - _MOMENT * angular * cosine / _TOTAL
        new = CartPoleState(
            x + _TAU * speed, speed + _TAU * linear, angle + _TAU * spin, spin + _TAU * angular
        )
        ended = (abs(new.x) > _FAR) | (abs(new.angle) > _TILTED)
        return new, ones_like(astype(new.x, "float32")), ended

    def observe(self, state: CartPoleState) -> Tensor:
        """The state as it is."""
        return astype(stack(list(state), 1), "float32")

    def scene(self, state: CartPoleState) -> Scene:
        """The cart on its rail."""
        x, angle = float(state.x), float(state.angle)
        top = (x + 2 * _HALF_LENGTH * math.sin(angle), 0.15 + 2 * _HALF_LENGTH * math.cos(angle))
        picture = Scene((-2.6, 2.6), (-0.5, 1.5))
        picture.line([(-2.4, 0.0), (2.4, 0.0)], "grey")
        picture.polygon([(x - 0.25, -0.15), (x + 0.25, -0.15), (x + 0.25, 0.15), (x - 0.25, 0.15)],
                        "ink")  # fmt: skip
        picture.line([(x, 0.15), top], "orange", 0.1)
        picture.circle((x, 0.15), 0.05, "blue")
        return picture

"""Breakout on a grid of 10 × 10, as MinAtar has it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...engine.ops import any as any_of
from ...engine.ops import arange, astype, clip, logical_not, one_hot, random, stack, take, where
from ...engine.tensor import Tensor
from ..rendering import Scene
from ..spaces import Box, Discrete
from .environment import Environment

_SIZE, _LAST = 10, 9
_CHANNELS = ("paddle", "ball", "trail", "brick")
#: The direction of the ball after it met a side wall, the top or a brick, or the paddle's corner.
_SIDE, _FLIPPED, _BACK = ([1, 0, 3, 2], [3, 2, 1, 0], [2, 3, 0, 1])
_ACROSS, _DOWN = [-1, 1, 1, -1], [-1, -1, 1, 1]


class BreakoutState(NamedTuple):
    """The ball now and before, its direction, the paddle, the bricks, whether it just hit one."""

    ball_x: Tensor
    ball_y: Tensor
    last_x: Tensor
    last_y: Tensor
    direction: Tensor
    paddle: Tensor
    bricks: Tensor
    strike: Tensor


class Breakout(Environment):
    """Keep a ball in play with a paddle and break three rows of bricks: 1 for each.

    The rules are those of MinAtar (Young and Tian, "MinAtar: an Atari-inspired testbed for thorough
    and reproducible reinforcement learning experiments", 2019): the ball goes along diagonals, is
    reflected by walls and bricks, and by the paddle to the side that it comes from if only its
    corner is met; new bricks come when all are broken. An episode ends when the ball is missed.
    The observation is (10, 10, 4): paddle, ball, its trail, bricks.
    """

    name = "Breakout"
    time_limit = 1000
    frame_rate = 10
    observation_space = Box.of(
        np.zeros((_SIZE, _SIZE, 4)),
        np.ones((_SIZE, _SIZE, 4)),
        [f"{kind}_{y}_{x}" for y in range(_SIZE) for x in range(_SIZE) for kind in _CHANNELS],
    )
    action_space = Discrete(3, ("nothing", "left", "right"))

    def reset(self, key: Tensor, count: int) -> BreakoutState:
        """The ball comes from the left or the right."""
        right = random.uniform(key, (count,)) < 0.5
        x = where(right, _LAST, 0)
        y = x * 0 + 3
        bricks = _full_rows(count)
        return BreakoutState(x, y, x, y, where(right, 3, 2), x * 0 + 4, bricks, x < 0)

    def step(
        self, state: BreakoutState, action: Tensor, key: Tensor | None = None
    ) -> tuple[BreakoutState, Tensor, Tensor]:
        """Move the paddle, then the ball."""
        count = state.ball_x.shape[0]
        move = astype(action == 2, "int64") - astype(action == 1, "int64")
        paddle = clip(state.paddle + move, 0, _LAST)
        old_x, old_y = state.ball_x, state.ball_y
        ahead_x = old_x + take(np.array(_ACROSS), state.direction)
        ahead_y = old_y + take(np.array(_DOWN), state.direction)
        x = clip(ahead_x, 0, _LAST)
        direction = _turned(ahead_x != x, _SIDE, state.direction)

        at_top = ahead_y < 0
        y = clip(ahead_y, 0, _LAST)
        here = _cells(x, y)
        brick = logical_not(at_top) & any_of(here & state.bricks, (1, 2))
        broken = brick & logical_not(state.strike)
        bricks = state.bricks & logical_not(here & broken[:, None, None])
        at_bottom = logical_not(at_top) & logical_not(brick) & (ahead_y == _LAST)
        cleared = at_bottom & logical_not(any_of(bricks, (1, 2)))
        bricks = bricks | (_full_rows(count) & cleared[:, None, None])
        straight = at_bottom & (old_x == paddle)
        corner = at_bottom & logical_not(straight) & (x == paddle)
        missed = at_bottom & logical_not(straight) & logical_not(corner)

        direction = _turned(at_top | broken | straight, _FLIPPED, direction)
        direction = _turned(corner, _BACK, direction)
        y = where(broken | straight | corner, old_y, y)
        new = BreakoutState(x, y, old_x, old_y, direction, paddle, bricks, brick)
        return new, astype(broken, "float32"), missed

    def observe(self, state: BreakoutState) -> Tensor:
        """The four channels."""
        paddle = _cells(state.paddle, state.paddle * 0 + _LAST)
        ball = _cells(state.ball_x, state.ball_y)
        trail = _cells(state.last_x, state.last_y)
        return astype(stack([paddle, ball, trail, state.bricks], 3), "float32")

    def scene(self, state: BreakoutState) -> Scene:
        """Bricks, ball and paddle."""
        picture = Scene((0.0, _SIZE), (0.0, _SIZE))

        def square(x: int, y: int, colour: str) -> None:
            top, left = _SIZE - int(y), int(x)
            picture.polygon([(left, top), (left + 1, top), (left + 1, top - 1), (left, top - 1)],
                            colour)  # fmt: skip

        for y, x in np.argwhere(np.asarray(state.bricks)):
            square(x, y, "blue")
        square(int(state.last_x), int(state.last_y), "grey")
        square(int(state.ball_x), int(state.ball_y), "orange")
        square(int(state.paddle), _LAST, "green")
        return picture


def _full_rows(count: int) -> Tensor:
    """Three rows of bricks: bool (worlds, 10, 10)."""
    row = arange(_SIZE)
    filled = (row >= 1) & (row <= 3)
    one = filled[:, None] & (row[None, :] >= 0)
    return one[None] & (arange(count)[:, None, None] >= 0)


def _cells(x: Tensor, y: Tensor) -> Tensor:
    """Where x and y are, as bool (worlds, 10, 10)."""
    return (one_hot(y, _SIZE)[:, :, None] * one_hot(x, _SIZE)[:, None, :]) > 0.5


def _turned(where_: Tensor, table: list[int], direction: Tensor) -> Tensor:
    return where(where_, take(np.array(table), direction), direction)

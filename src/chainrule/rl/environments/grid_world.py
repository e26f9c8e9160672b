"""A grid world: cells to walk on, holes to fall into, and a goal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...engine.ops import astype, floor, one_hot, random, take, zeros
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ..rendering import Scene
from ..spaces import Box, Discrete
from .environment import Environment

#: The map of Gymnasium's FrozenLake-v1.
FROZEN_LAKE = ("SFFF", "FHFH", "FFFH", "HFFG")
_MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))


class GridWorld(Environment):
    """Walk from the start to the goal, past the holes: 1 at the goal, 0 otherwise.

    Args:
        rows: the map, a text for each row: S start, F (or a space) free, H hole, # wall, G goal.
        slippery: go in the wanted direction or in one of the two beside it, a third each; as
            Gymnasium's FrozenLake-v1, which this is with the default map.
        step_reward: of every step that does not reach the goal.

    Raises:
        ConfigError: the map has no start or goal, or is no rectangle of these letters.

    Example:
        >>> import chainrule as cr
        >>> world = cr.rl.GridWorld(["SG"])
        >>> world.step(cr.tensor([0]), cr.tensor([2]), None)[1].tolist()
        [1.0]
    """

    name = "GridWorld"
    time_limit = 100
    reward_threshold = 0.99
    frame_rate = 4
    action_space = Discrete(4, ("left", "down", "right", "up"))

    def __init__(
        self, rows: Sequence[str] = FROZEN_LAKE, slippery: bool = False, step_reward: float = 0.0
    ) -> None:
        cells = _checked(rows)
        self.rows, self.slippery, self.step_reward = tuple(rows), bool(slippery), step_reward
        height, width = len(rows), len(rows[0])
        self.start = cells.index("S")
        self._next = np.array([_leads_to(cells, height, width, cell) for cell in range(len(cells))])
        self._goal = np.array([cell == "G" for cell in cells])
        self._ends = np.array([cell in "GH" for cell in cells])
        names = [f"cell_{row}_{column}" for row in range(height) for column in range(width)]
        self.observation_space = Box.of(np.zeros(len(cells)), np.ones(len(cells)), names)

    def reset(self, key: Tensor, count: int) -> Tensor:
        """At the start: int64 (worlds,), the cell."""
        return zeros((count,), "int64") + self.start

    def step(
        self, state: Tensor, action: Tensor, key: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One cell further, unless the edge or a wall is there."""
        if self.slippery:
            assert key is not None
            aside = astype(floor(random.uniform(key, state.shape) * 3.0), "int64") - 1
            action = (action + aside) % 4
        cell = take(self._next.reshape(-1), state * 4 + action)
        reached = take(self._goal, cell)
        reward = astype(reached, "float32") * (1.0 - self.step_reward) + self.step_reward
        return cell, reward, take(self._ends, cell)

    def observe(self, state: Tensor) -> Tensor:
        """One-hot: which cell the agent is in."""
        return one_hot(state, self.observation_space.size)

    def scene(self, state: Tensor) -> Scene:
        """The map and the agent."""
        height, width = len(self.rows), len(self.rows[0])
        picture = Scene((0.0, width), (0.0, height))
        colours = {"H": "blue", "G": "green", "#": "ink"}
        for row, line in enumerate(self.rows):
            for column, letter in enumerate(line):
                x, y = column, height - 1 - row
                corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
                if letter in colours:
                    picture.polygon(corners, colours[letter])
                picture.line([*corners, corners[0]], "grey")
        row, column = divmod(int(state), width)
        picture.circle((column + 0.5, height - row - 0.5), 0.3, "orange")
        return picture

    def __repr__(self) -> str:
        return f"GridWorld({list(self.rows)}, slippery={self.slippery})"


def _leads_to(cells: str, height: int, width: int, cell: int) -> list[int]:
    """The cells that the four actions lead to; an ending cell is never left."""
    if cells[cell] in "GH":
        return [cell] * 4
    found = []
    for down, across in _MOVES:
        row = min(max(cell // width + down, 0), height - 1)
        column = min(max(cell % width + across, 0), width - 1)
        there = row * width + column
        found.append(cell if cells[there] == "#" else there)
    return found


def _checked(rows: Sequence[str]) -> str:
    cells = "".join(rows)
    even = bool(rows) and len({len(row) for row in rows}) == 1
    if not even or set(cells) - set("SFHG# ") or cells.count("S") != 1 or "G" not in cells:
        raise ConfigError(
            "This is no map of a grid world.",
            expected="rows of equal length of S (one start), F, H, # and G (at least one goal)",
            found=" / ".join(rows)[:80] or "no rows",
            hint='For example ["SFF", "F#F", "HFG"].',
        )
    return cells

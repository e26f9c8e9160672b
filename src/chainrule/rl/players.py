"""Policies at play: whole episodes, their returns, and one episode step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.compile import compile
from ..engine.ops import argmax, random
from ..engine.tensor import Tensor, as_tensor
from ..utils.typing import Array
from .spaces import Discrete, Space
from .worlds import Act, GraphWorlds, GymnasiumWorlds, Rollout


class Player:
    """A policy in worlds of an environment.

    Args:
        worlds: of the environment; their own states are left alone.
        act: the policy.
        backend: what runs the graph.
    """

    def __init__(
        self, worlds: GraphWorlds | GymnasiumWorlds, act: Act, backend: str = "auto"
    ) -> None:
        self.worlds = worlds
        self._act, self._backend = act, backend
        self._programs: dict[Any, Any] = {}

    def _program(self, key: Any, function: Any) -> Any:
        if key not in self._programs:
            self._programs[key] = compile(function, backend=self._backend)
        return self._programs[key]

    def act(self, observation: Array) -> Array:
        """The action for each observation, (rows, …)."""
        program = self._program("act", lambda x: self._act(x, random.key(0))[0])
        found: Array = np.array(program(observation))
        return found

    def _stepping(self, seed: int) -> Any:
        """The policy for environments that Python steps."""
        program = self._program(
            "step", lambda x, n, t: self._act(x, random.fold_in(random.fold_in(_KEY, n), t))[0]
        )
        number = np.array(seed, np.int64)
        return lambda x, t: (program(x, number, np.array(t, np.int64)).numpy(), {})

    def episodes(self, count: int, seed: int) -> tuple[Array, Array]:
        """Returns and lengths of so many episodes."""
        worlds = self.worlds
        if isinstance(worlds, GymnasiumWorlds):
            return worlds.episodes(self._stepping(seed), count, seed)
        program = self._program(
            ("episodes", count),
            lambda number: worlds.episodes(self._act, random.fold_in(_KEY, number), count),
        )
        returns, lengths = program(np.int64(seed))
        return np.array(returns), np.array(lengths)

    def one_episode(self, seed: int) -> tuple[list[Any], Rollout]:
        """One episode: its pictures, and what happened.

        Pictures are `chainrule.rl.rendering.Scene`, arrays of pixels, or None where there are none.
        """
        worlds = self.worlds
        if isinstance(worlds, GymnasiumWorlds):
            return worlds.one_episode(self._stepping(seed), seed)
        program = self._program(
            "episode", lambda number: worlds.one_episode(self._act, random.fold_in(_KEY, number))
        )
        states, happened = worlds.cut_at_end(*program(np.int64(seed)))
        return [_scene(worlds.environment, state) for state in states], happened


_KEY = random.key(0)


def _scene(environment: Any, state: Any) -> Any:
    try:
        return environment.scene(state)
    except NotImplementedError:
        return None


def by_chance(space: Space) -> Act:
    """A policy that does anything."""

    def act(observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        rows = observation.shape[0]
        if isinstance(space, Discrete):
            return random.randint(key, (rows,), 0, space.n), {}
        low, high = (np.nan_to_num(x.reshape(-1), posinf=1.0, neginf=-1.0)
                     for x in (space.low, space.high))  # fmt: skip
        unit = random.uniform(key, (rows, space.size))
        return as_tensor(low) + unit * as_tensor(high - low), {}

    return act


def of_model(model: Any, continuous: bool) -> Act:
    """The policy in a module: a number for each action, or continuous actions."""

    def act(observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        found = model(observation)
        return (found if continuous else argmax(found, 1)), {}

    return act

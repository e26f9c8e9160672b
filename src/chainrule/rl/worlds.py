"""Many environments side by side that begin anew by themselves, and what was experienced there.

There are two kinds: `GraphWorlds`, whose rollout is a part of a program, and `GymnasiumWorlds`,
which Python steps one by one. Both give a `Rollout`, in which every step has the state that it led
to before any reset, so that one that was cut off by the time limit still has its value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..engine import pytree
from ..engine.ops import arange, clip, logical_not, random, reshape, scan, where
from ..engine.ops import sum as total
from ..engine.tensor import Buffer, Tensor, as_tensor
from ..errors import ConfigError, TrainingError
from ..utils.typing import Array
from .environments import Environment
from .spaces import Box, Discrete, Space

#: ``act(observations, key) -> (actions, more)``, with more as a dict of (worlds, …) by name.
Act = Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]


class Rollout(NamedTuple):
    """What happened in some steps of some worlds, (steps, worlds, …) each.

    Attributes:
        observation: what was seen.
        action: what was done.
        reward: what it brought.
        terminated: whether it ended the episode.
        done: whether it ended it, or the time limit did.
        next_observation: what was seen then, before a new episode began.
        total: the rewards of the episode so far.
        length: its steps so far.
        more: what the policy said of its actions, by name.
    """

    observation: Any
    action: Any
    reward: Any
    terminated: Any
    done: Any
    next_observation: Any
    total: Any
    length: Any
    more: dict[str, Any]

    def flat(self) -> Rollout:
        """With steps and worlds as one axis."""
        return Rollout(*(pytree.map_leaves(_flat, part) for part in self))


def _flat(x: Any) -> Any:
    return (
        reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
        if isinstance(x, Tensor)
        else (x.reshape(-1, *x.shape[2:]))
    )


def executed(space: Space, action: Tensor) -> Tensor:
    """What an environment is given: an action inside of its bounds, in its shape."""
    if isinstance(space, Discrete):
        return action
    inside = clip(action, space.low.reshape(-1), space.high.reshape(-1))
    return reshape(inside, (inside.shape[0], *space.shape))


class GraphWorlds:
    """Worlds of an `Environment`; their states are buffers.

    Args:
        environment: the environment.
        count: how many.
        seed: of their first states.
    """

    def __init__(self, environment: Environment, count: int, seed: int) -> None:
        self.environment, self.count = environment, count
        self.name = environment.name
        self.observation_space = environment.observation_space
        self.action_space = environment.action_space
        first = environment.reset(random.fold_in(random.key(seed), 1), count)
        leaves, self._rebuild, _ = pytree.flatten(first)
        self._state = [Buffer(leaf) for leaf in leaves]
        self._length = Buffer(np.zeros(count), "int64")
        self._total = Buffer(np.zeros(count), "float32")

    def state(self) -> dict[str, Array]:
        """Copies of where the worlds are."""
        named = {str(i): buffer for i, buffer in enumerate(self._state)}
        named |= {"length": self._length, "total": self._total}
        return {name: buffer.numpy().copy() for name, buffer in named.items()}

    def load_state(self, state: dict[str, Array]) -> None:
        """Go on from what `state` gave."""
        for i, buffer in enumerate(self._state):
            buffer.assign(state[str(i)])
        self._length.assign(state["length"])
        self._total.assign(state["total"])

    def rollout(self, act: Act, key: Tensor, steps: int) -> Rollout:
        """Some steps, as a part of a graph; the worlds are then where these have led."""
        env = self.environment

        def step(carry: None, number: Tensor) -> tuple[None, Rollout]:
            now = random.fold_in(key, number)
            state = self._rebuild(list(self._state))
            seen = env.observe(state)
            action, more = act(seen, random.fold_in(now, 0))
            new, reward, terminated = env.step(
                state, executed(env.action_space, action), random.fold_in(now, 1)
            )
            length, collected = self._length + 1, self._total + reward
            done = terminated | (length >= env.time_limit)
            self._begin_anew(new, done, length, collected, random.fold_in(now, 2))
            return carry, Rollout(
                seen, action, reward, terminated, done, env.observe(new), collected, length, more
            )

        return scan(step, None, arange(steps), differentiable=False)[1]

    def _begin_anew(
        self, new: Any, done: Tensor, length: Tensor, collected: Tensor, key: Tensor
    ) -> None:
        fresh = pytree.flatten(self.environment.reset(key, self.count))[0]
        for buffer, first, later in zip(self._state, fresh, pytree.flatten(new)[0], strict=True):
            over = reshape(done, (self.count, *(1 for _ in first.shape[1:])))
            buffer.assign(where(over, first, later))
        self._length.assign(where(done, 0 * length, length))
        self._total.assign(where(done, 0.0 * collected, collected))

    def episodes(self, act: Act, key: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The returns and lengths of ``count`` whole episodes, as a part of a graph."""
        env = self.environment
        first = env.reset(random.fold_in(key, 1), count)
        nothing = as_tensor(np.zeros(count, np.float32))

        def step(carry: Any, number: Tensor) -> tuple[Any, None]:
            state, alive, sums, lengths = carry
            now = random.fold_in(key, number + 2)
            action, _ = act(env.observe(state), random.fold_in(now, 0))
            new, reward, ended = env.step(
                state, executed(env.action_space, action), random.fold_in(now, 1)
            )
            sums = sums + where(alive, reward, 0.0 * reward)
            return (new, alive & logical_not(ended), sums, lengths + alive.astype("int64")), None

        start = (first, nothing == 0, nothing, nothing.astype("int64"))
        (_, _, sums, lengths), _ = scan(step, start, arange(env.time_limit), differentiable=False)
        return sums, lengths

    @staticmethod
    def cut_at_end(states: Any, happened: Rollout) -> tuple[list[Any], Rollout]:
        """What `one_episode` gave, in NumPy and without what came after the end."""
        steps = int(np.argmax(happened.done.numpy()[:, 0])) + 1
        leaves, rebuild, _ = pytree.flatten(states)
        arrays = [leaf.numpy()[:steps, 0] for leaf in leaves]
        kept = pytree.map_leaves(lambda x: x.numpy()[:steps], happened)
        return [rebuild([array[i] for array in arrays]) for i in range(steps)], kept

    def one_episode(self, act: Act, key: Tensor) -> tuple[Any, Rollout]:
        """All states of one episode, and what happened, as a part of a graph; see `cut_at_end`."""
        env = self.environment
        zero = as_tensor(np.zeros(1, np.float32))

        def step(carry: Any, number: Tensor) -> tuple[Any, Any]:
            state, sums = carry
            now = random.fold_in(key, number + 2)
            seen = env.observe(state)
            action, more = act(seen, random.fold_in(now, 0))
            new, reward, ended = env.step(
                state, executed(env.action_space, action), random.fold_in(now, 1)
            )
            sums = sums + reward
            length = number + 1 + 0 * sums.astype("int64")
            happened = Rollout(
                seen, action, reward, ended, ended | (length >= env.time_limit),
                env.observe(new), sums, length, more,
            )  # fmt: skip
            return (new, sums), (state, happened)

        first = env.reset(random.fold_in(key, 1), 1)
        _, (states, happened) = scan(
            step, (first, zero), arange(env.time_limit), differentiable=False
        )
        return states, happened


def not_finite(rollout: Rollout) -> Tensor:
    """0.0, or NaN where a reward or an observation is not finite: for `chainrule.compile` guard."""
    return 0.0 * total(rollout.reward) + 0.0 * total(rollout.next_observation)


class GymnasiumWorlds:
    """Environments of Gymnasium, stepped one after the other.

    Args:
        make: makes one of them.
        count: how many.
        seed: of their first episodes; each gets one of its own.
        draw: makes one that draws pictures, which some do at the cost of every step.

    Raises:
        ConfigError: what they see or do is of a kind that no algorithm here takes.
    """

    def __init__(
        self, make: Callable[[], Any], count: int, seed: int, draw: Callable[[], Any] | None = None
    ) -> None:
        self.make, self.draw, self.count = make, draw or make, count
        self.envs = [make() for _ in range(count)]
        one = self.envs[0]
        self.name = one.spec.id if getattr(one, "spec", None) else type(one.unwrapped).__name__
        self._flattened = _flattening(one.observation_space, self.name)
        self.observation_space = self._flattened.space
        self.action_space = _action_space(one.action_space, self.name)
        self._start = int(getattr(one.action_space, "start", 0))
        self._seed, self._beginnings = seed, 0
        self._begin()

    def _begin(self) -> None:
        """First episodes of all worlds."""
        entropy = [self._seed, self._beginnings] if self._beginnings else self._seed
        seeds = np.random.SeedSequence(entropy).generate_state(self.count)
        self._seen = np.stack(
            [self._reset(env, int(s) % 2**31) for env, s in zip(self.envs, seeds, strict=True)]
        )
        self._length = np.zeros(self.count, np.int64)
        self._total = np.zeros(self.count, np.float32)

    def state(self) -> dict[str, Array]:
        """What tells one beginning from the next: an environment itself cannot be written down."""
        return {"beginnings": np.array(self._beginnings + 1)}

    def load_state(self, state: dict[str, Array]) -> None:
        """Begin new episodes, other ones than at the beginnings before."""
        self._beginnings = int(state["beginnings"])
        self._begin()

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _reset(self, env: Any, seed: int | None = None) -> Array:
        try:
            return self._flattened(env.reset(seed=seed)[0])
        except Exception as error:
            raise self._raised("reset", error) from error

    def _raised(self, what: str, error: Exception) -> TrainingError:
        return TrainingError(
            f"The environment failed in `{what}`.",
            where=self.name,
            found=f"{type(error).__name__}: {error}"[:300],
            hint="The agent is as it was before; it can be saved.",
        )

    def _step(self, env: Any, action: Any) -> tuple[Array, float, bool, bool]:
        try:
            seen, reward, terminated, truncated, _ = env.step(action)
        except Exception as error:
            raise self._raised("step", error) from error
        return self._flattened(seen), float(reward), bool(terminated), bool(truncated)

    def _given(self, action: Array) -> Any:
        """What each environment is given, of the actions of all: inside of the bounds."""
        if isinstance(self.action_space, Discrete):
            return (action + self._start).tolist()
        return inside(self.action_space, action)

    def rollout(self, act: Callable[[Array, int], Any], steps: int) -> Rollout:
        """Some steps.

        Args:
            act: gives actions and more for the observations and the number of the step.
            steps: how many.
        """
        every = steps, self.count
        seen, after = np.empty((2, *every, *self.observation_space.shape), np.float32)
        reward, collected = np.empty((2, *every), np.float32)
        ended, done = np.empty((2, *every), bool)
        length = np.empty(every, np.int64)
        chosen, others = [], []
        for number in range(steps):
            seen[number] = self._seen
            action, more = act(self._seen, number)
            chosen.append(action)
            others.append(more)
            new = after[number]
            for i, (env, one) in enumerate(zip(self.envs, self._given(action), strict=True)):
                new[i], reward[number, i], over, cut = self._step(env, one)
                ended[number, i], done[number, i] = over, over or cut
            self._length, self._total = self._length + 1, self._total + reward[number]
            collected[number], length[number] = self._total, self._length
            self._begin_anew(new, done[number])
        extra = {name: np.stack([one[name] for one in others]) for name in others[0]}
        return Rollout(seen, np.stack(chosen), reward, ended, done, after, collected, length, extra)

    def _begin_anew(self, new: Array, done: Array) -> None:
        self._seen = new
        if done.any():
            self._seen = new.copy()
            for i in np.flatnonzero(done):
                self._seen[i] = self._reset(self.envs[i])
            self._length = np.where(done, 0, self._length)
            self._total = np.where(done, np.float32(0), self._total)

    def episodes(
        self, act: Callable[[Array, int], Any], count: int, seed: int, most_steps: int = 100_000
    ) -> tuple[Array, Array]:
        """The returns and lengths of whole episodes, in an environment of its own.

        Raises:
            TrainingError: an episode does not end.
        """
        env = self.make()
        sums, lengths = [], []
        for number in range(count):
            seen, done = self._reset(env, seed + number), False
            collected, length = 0.0, 0
            while not done:
                (action,) = self._given(act(seen[None], length)[0])
                seen, reward, ended, cut = self._step(env, action)
                collected, length = collected + reward, length + 1
                done = ended or cut
                if length >= most_steps and not done:
                    raise endless(self.name, most_steps)
            sums.append(collected)
            lengths.append(length)
        return np.array(sums), np.array(lengths)

    def one_episode(
        self, act: Callable[[Array, int], Any], seed: int, most_steps: int = 10_000
    ) -> tuple[list[Any], Rollout]:
        """One episode: its pictures, as far as there are any, and what happened."""
        env = self.draw()
        seen, done = self._reset(env, seed), False
        frames: list[Any] = []
        parts: list[tuple[Any, ...]] = []
        collected, length = np.float32(0), 0
        while not done:
            frames.append(_frame(env))
            action = act(seen[None], length)[0]
            new, reward, ended, cut = self._step(env, self._given(action)[0])
            done = ended or cut
            collected, length = np.float32(collected + reward), length + 1
            parts.append(
                (
                    seen[None],
                    action,
                    np.array([reward], np.float32),
                    np.array([ended]),
                    np.array([done]),
                    new[None],
                    np.array([collected]),
                    np.array([length]),
                )
            )
            seen = new
            if length >= most_steps and not done:
                raise endless(self.name, most_steps)
        found = [np.stack(part) for part in zip(*parts, strict=True)]
        return frames, _rollout(found, {})


def _rollout(arrays: list[Array], more: dict[str, Any]) -> Rollout:
    given: tuple[Any, ...] = (*arrays, more)
    return Rollout(*given)


def _frame(env: Any) -> Array | None:
    """A picture, if the environment draws any."""
    if getattr(env, "render_mode", None) != "rgb_array":
        return None
    try:
        found = env.render()
    except Exception:  # a package for drawing is missing, or there is no screen
        return None
    return found if isinstance(found, np.ndarray) and found.ndim == 3 else None


def endless(name: str, steps: int) -> TrainingError:
    """The error of an episode without an end."""
    return TrainingError(
        "An episode does not end.",
        where=name,
        expected="`terminated` or `truncated` at some step",
        found=f"{steps:,} steps",
        hint="gymnasium.wrappers.TimeLimit(env, max_episode_steps=1000) cuts episodes off.",
    )


def inside(space: Space, action: Array) -> Array:
    """`executed` in NumPy."""
    if isinstance(space, Discrete):
        return action
    return np.clip(action, space.low.reshape(-1), space.high.reshape(-1)).reshape(
        len(action), *space.shape
    )


# ---- Gymnasium's spaces ---------------------------------------------------------------------


class _flattening:  # noqa: N801 - a function with two things to remember
    """Observations as float32 arrays: dicts and tuples become vectors, images 0 to 1."""

    def __init__(self, space: Any, name: str) -> None:
        from ..interop.extras import need

        spaces = need("gymnasium.spaces", "rl", "Gymnasium's environments")
        self._scale = np.float32(1)
        if isinstance(space, spaces.Box) and space.dtype.kind in "fiub":
            self._flatten = None
            if space.dtype == np.uint8 and len(space.shape) == 3:
                self._scale = np.float32(1 / 255)
            low, high = (np.asarray(x, np.float32) * self._scale for x in (space.low, space.high))
            self.space = Box.of(low, high) if space.shape else Box.of(low[None], high[None])
            return
        try:
            flat = spaces.flatten_space(space)
            assert isinstance(flat, spaces.Box)
        except (AssertionError, NotImplementedError, ValueError):
            raise ConfigError(
                "The observations of the environment cannot be learned from.",
                where=name,
                expected="a Box, Discrete, MultiDiscrete or MultiBinary space, or a Dict or Tuple "
                "of these",
                found=str(space),
                hint="Wrap it with gymnasium.wrappers.TransformObservation.",
            ) from None
        self._flatten = lambda x: spaces.flatten(space, x)
        self.space = Box.of(flat.low, flat.high, _names(space, spaces))

    def __call__(self, observation: Any) -> Array:
        if self._flatten is not None:
            observation = self._flatten(observation)
        found = np.asarray(observation, np.float32).reshape(self.space.shape)
        return found * self._scale if self._scale != 1 else found


def _names(space: Any, spaces: Any) -> tuple[str, ...]:
    if isinstance(space, spaces.Discrete):
        return tuple(f"is_{number}" for number in range(int(space.n)))
    return ()


def _action_space(space: Any, name: str) -> Space:
    from ..interop.extras import need

    spaces = need("gymnasium.spaces", "rl", "Gymnasium's environments")
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and space.shape:
        return Box.of(space.low, space.high)
    raise ConfigError(
        "No algorithm here can choose such actions.",
        where=name,
        expected="a Discrete space (ppo, a2c, reinforce, dqn) or a Box of floats (ppo, a2c, "
        "reinforce, sac)",
        found=str(space),
        hint="Wrap the environment with gymnasium.wrappers.TransformAction.",
    )

"""What all algorithms have in common: worlds, the loop of a training, evaluation, saving."""

from __future__ import annotations

import functools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ...engine.compile import BACKENDS, Compiled
from ...engine.ops import random
from ...engine.tensor import Buffer, Tensor
from ...errors import ConfigError, TrainingError, unknown
from ...nn import Module
from ...training import Checkpoints, History
from ...training.resume import Keeper
from ...utils.signals import deferred
from ...utils.typing import Array
from ..making import make_worlds
from ..players import Player
from ..resuming import go_on, snapshot_of
from ..spaces import Box, Discrete, Space
from ..worlds import inside

#: Episodes whose mean return is reported.
_RECENT = 100
#: Takes the record of an iteration.
Listener = Callable[[dict[str, float]], object]


_algorithms: dict[str, type[Algorithm]] = {}
#: By the name on the command line.
ALGORITHMS: Mapping[str, type[Algorithm]] = MappingProxyType(_algorithms)


@dataclass(eq=False)
class Algorithm:
    """Base of all algorithms.

    Args:
        environment: a name (``"CartPole-v1"``; what is not built in is made by Gymnasium, and
            ``"gymnasium:CartPole-v1"`` always is), an `Environment`, an environment of Gymnasium,
            or a function that makes one.
        n_envs: how many of them are stepped side by side.
        seed: of weights, first states and every draw: same seed, same bits.
        backend: what runs the graph, as in `chainrule.compile`.
        hidden: hidden units of each layer.
        activation: tanh, relu, elu or silu.

    Attributes:
        network: the policy, what `save` writes.
        history: a record for each iteration: ``epoch``, ``steps``, ``return`` (the mean of the
            last 100 episodes), ``length``, ``episodes``, ``loss`` and its parts, ``seconds``.
        steps: how many steps were taken in all worlds together.
        goal: how many there are when `learn` is over.

    Raises:
        ConfigError: an option has an invalid value, or the algorithm cannot choose such actions.
    """

    environment: Any
    n_envs: int = field(default=8, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    backend: str = field(default="auto", kw_only=True)
    hidden: tuple[int, ...] = field(default=(64, 64), kw_only=True)
    activation: str = field(default="tanh", kw_only=True)

    #: The name on the command line, and the kinds of actions that it can choose.
    name: ClassVar[str] = ""
    spaces: ClassVar[tuple[type, ...]] = (Discrete, Box)
    #: Whether what is saved gives the value of every action, rather than its probability.
    gives_values: ClassVar[bool] = False
    network: Module = field(init=False, repr=False)

    def __init_subclass__(cls) -> None:
        if cls.__dict__.get("name"):
            _algorithms[cls.name] = cls

    def __post_init__(self) -> None:
        self._need_whole("n_envs", 1)
        self._need_whole("seed", 0)
        if self.backend not in ("auto", *BACKENDS):
            raise unknown("backend", self.backend, ("auto", *BACKENDS))
        self.hidden = tuple(self.hidden)
        if not all(is_whole(n, 1) for n in self.hidden):
            raise invalid("hidden", self.hidden, "positive integers, such as (64, 64)")
        self.check()
        self.worlds = make_worlds(self.environment, self.n_envs, self.seed)
        self._need_space()
        #: What all draws of the training follow from; a buffer, so that seeds share programs.
        self.key = Buffer(random.key(self.seed))
        self.history = History()
        self.steps = 0
        self._iteration = 0
        self._episodes: deque[tuple[float, int]] = deque(maxlen=_RECENT)
        self._count_of_episodes = 0
        self._programs: dict[Any, Any] = {}
        self.goal = 0
        self.build()

    # ---- what an algorithm defines -----------------------------------------------------------

    def check(self) -> None:
        """Raise ConfigError for invalid options."""

    def build(self) -> None:
        """Make networks and optimizers."""
        raise NotImplementedError

    def iterate(self, remaining: float) -> dict[str, float]:
        """Act, and learn from it; numbers by name. ``remaining``: of the steps, from 1 to 0."""
        raise NotImplementedError

    def act(self, observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The best action, as it is evaluated; part of a graph."""
        raise NotImplementedError

    def policy(self) -> tuple[Module, Callable[[Tensor], Tensor] | None]:
        """The module that is saved: observations in; and what makes predictions of its output."""
        return self.network, None

    # ---- use ---------------------------------------------------------------------------------

    @functools.cached_property
    def player(self) -> Player:
        """The policy of now, as it is evaluated."""
        return Player(self.worlds, self.act, self.backend)

    @property
    def observation_space(self) -> Box:
        """What the agent sees."""
        return self.worlds.observation_space

    @property
    def action_space(self) -> Space:
        """What it may do."""
        return self.worlds.action_space

    def learn(
        self,
        steps: int,
        on_iteration: Listener | None = None,
        *,
        checkpoints: str | os.PathLike[str] | Checkpoints | None = None,
        resume: bool = False,
    ) -> History:
        """Act and learn for so many more steps, rounded up to whole iterations.

        Ctrl-C ends it after the iteration that is going on; ``history.interrupted`` tells.

        Args:
            steps: of all worlds together.
            on_iteration: called with the record of each iteration.
            checkpoints: a folder for the state of the training, which is written now and then, and
                when a signal ends it.
            resume: go on from the newest checkpoint there, if there is one, with a new agent that
                has the same options: to the same bits in a built-in environment. The episodes that
                were going on in environments of Gymnasium begin anew.

        Raises:
            TrainingError: a reward, an observation or the loss is not finite, or the environment
                raised an error. The agent is as it was before that iteration.
            ConfigError: an option has an invalid value, or the checkpoints are of another training.
        """
        if not is_whole(steps, 1):
            raise invalid("steps", steps, "a positive integer")
        begun, self.goal = self.steps, self.steps + int(steps)
        self.history.interrupted = False
        kept = Keeper.place(checkpoints, resume)
        self.begin(int(steps))
        if kept is not None:
            go_on(self, kept)
        try:
            with deferred() as signals:
                while self.steps < self.goal:
                    started = time.perf_counter()
                    remaining = 1.0 - (self.steps - begun) / steps
                    numbers = self.iterate(remaining)
                    self._record(numbers, time.perf_counter() - started, on_iteration)
                    at_once = bool(signals.received) or self.steps >= self.goal
                    if kept is not None and (kept.due or at_once):
                        self._keep(kept, at_once)
                    signals.deliver()
        except KeyboardInterrupt:
            self.history.interrupted = True
        finally:
            if kept is not None:
                kept.wait()
        return self.history

    def _keep(self, checkpoints: Checkpoints, at_once: bool) -> None:
        """Write down where the training is, beside it or at once."""
        begun = time.perf_counter()
        snapshot = snapshot_of(self)
        checkpoints.submit(snapshot, time.perf_counter() - begun)
        if at_once:
            checkpoints.wait()

    def parts(self) -> dict[str, Any]:
        """All that changes in a training: variables, or what has ``state`` and ``load_state``."""
        return {"network": self.network, "worlds": self.worlds}

    def counts(self) -> dict[str, Any]:
        """The numbers that change in a training, as JSON data."""
        return {"steps": self.steps, "iteration": self._iteration,
                "episodes": [list(one) for one in self._episodes],
                "count_of_episodes": self._count_of_episodes}  # fmt: skip

    def load_counts(self, counts: dict[str, Any]) -> None:
        """Go on from what `counts` gave."""
        self.steps, self._iteration = counts["steps"], counts["iteration"]
        self._episodes.extend((total, length) for total, length in counts["episodes"])
        self._count_of_episodes = counts["count_of_episodes"]

    def begin(self, steps: int) -> None:
        """Before so many steps: for schedules."""

    def predict(self, observation: Any) -> Array:
        """The best action for each observation.

        Args:
            observation: (rows, …), or one of them.

        Returns:
            int64 (rows,) or float32 (rows, …) actions; of one observation one.
        """
        given = np.asarray(observation, np.float32)
        single = given.shape == self.observation_space.shape
        rows = given[None] if single else given
        if rows.shape[1:] != self.observation_space.shape:
            raise ConfigError(
                "These are no observations of the environment.",
                expected=f"(rows, {', '.join(map(str, self.observation_space.shape))})",
                found=str(given.shape),
            )
        found = self.player.act(rows)
        if isinstance(self.action_space, Box):
            found = inside(self.action_space, found)
        return found[0] if single else found

    def evaluate(self, episodes: int = 20, seed: int = 1) -> tuple[Array, Array]:
        """Returns and lengths of episodes in which the best actions are taken.

        Args:
            episodes: how many.
            seed: of their first states.

        Returns:
            float (episodes,) and int (episodes,).
        """
        if not is_whole(episodes, 1):
            raise invalid("episodes", episodes, "a positive integer")
        return self.player.episodes(episodes, seed)

    def save(self, path: str | os.PathLike[str], report: dict[str, Any] | None = None) -> None:
        """Write the policy to a model file: observations in, actions out.

        ``chainrule predict``, ``explain`` and ``summary`` take it like any other, `chainrule.load`
        too: ``cr.load(path).predict(observations)`` gives the probability of each action (the
        value of each, of DQN), or continuous actions.
        """
        from ..saving import save_policy

        save_policy(path, self, report)

    def options(self) -> dict[str, Any]:
        """The options as JSON data."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        found["environment"] = self.worlds.name
        found["hidden"] = list(self.hidden)
        return {"algorithm": self.name, **found}

    # ---- inside ------------------------------------------------------------------------------

    def program(self, key: Any, function: Callable[..., Any], guard: bool = False) -> Any:
        """A compiled function, made once for each key until the next `learn`."""
        if key not in self._programs:
            # Nobody asks for derivatives of the results: a call without history is far quicker.
            self._programs[key] = Compiled(function, self.backend, guard, history=False)
        return self._programs[key]

    def _acting(self, name: str, act: Any) -> Callable[..., Any]:
        """A policy for environments that Python steps; other numbers are passed on to it."""

        def chosen(observation: Any, number: Any, step: Any, *more: Any) -> Any:
            key = random.fold_in(random.fold_in(self.key, number), step)
            return act(observation, key, *more)

        program = self.program(("act", name), chosen)
        number = np.array(self._iteration, np.int64)

        def run(observation: Array, step: int, *more: Any) -> tuple[Array, dict[str, Array]]:
            action, extra = program(observation, number, np.array(step, np.int64), *more)
            return action.numpy(), {key: x.numpy() for key, x in extra.items()}

        return run

    def _record(
        self, numbers: dict[str, float], seconds: float, on_iteration: Listener | None
    ) -> None:
        self._iteration += 1
        returns = [total for total, _ in self._episodes]
        record: dict[str, float] = {
            "epoch": len(self.history) + 1,
            "steps": self.steps,
            "episodes": self._count_of_episodes,
        }
        if returns:
            record["return"] = float(np.mean(returns))
            record["length"] = float(np.mean([length for _, length in self._episodes]))
        self.history.records.append({**record, **numbers, "seconds": seconds})
        if on_iteration is not None:
            on_iteration(self.history.records[-1])

    def took(self, steps: int, done: Array, totals: Array, lengths: Array) -> None:
        """Count steps, and the episodes that ended in them: arrays (…, steps, worlds)."""
        self.steps += steps
        found = list(zip(totals[done].tolist(), lengths[done].tolist(), strict=True))
        self._episodes.extend(found)
        self._count_of_episodes += len(found)

    def need_finite(self, numbers: dict[str, float], experience: float) -> None:
        """Stop if what was experienced, or a number of the update, is not finite."""
        if not math.isfinite(experience):
            raise TrainingError(
                "The environment gave a reward or an observation that is not finite.",
                where=f"{self.worlds.name}, after {self.steps:,} steps",
                expected="finite numbers",
                found="NaN or infinity",
                hint="The agent is as it was before; check the environment's `step`.",
            )
        wrong = [name for name, number in numbers.items() if not math.isfinite(number)]
        if wrong:
            raise TrainingError(
                "The loss is not finite.",
                where=f"{type(self).__name__}, after {self.steps:,} steps",
                found=", ".join(f"{name} {numbers[name]}" for name in wrong),
                hint="The agent is as it was before; a lower lr, or normalize=True, may help.",
            )

    def _need_space(self) -> None:
        if isinstance(self.action_space, self.spaces):
            return
        kind = type(self.action_space)
        able = sorted(name for name, one in _algorithms.items() if kind in one.spaces)
        raise ConfigError(
            f"{self.name} cannot choose such actions.",
            where=self.worlds.name,
            expected=" or ".join(
                {Discrete: "one of several actions", Box: "numbers between bounds"}[kind]
                for kind in self.spaces
            ),
            found=str(self.action_space),
            hint=f"These can: {', '.join(able)}.",
        )

    def _need_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not is_whole(value, least):
            raise invalid(name, value, f"an integer of at least {least}")

    def _need_between(self, name: str, low: float, high: float = math.inf) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
            raise invalid(name, value, f"a number {limits}")


def is_whole(value: Any, least: int) -> bool:
    """Whether this is an integer of at least so much."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and bool(value >= least)


def invalid(name: str, value: object, expected: str) -> ConfigError:
    """The error of an option with an invalid value."""
    return ConfigError(f"Invalid value for {name}.", expected=expected, found=repr(value))


def numbers_of(found: dict[str, Tensor]) -> dict[str, float]:
    """Single tensors as Python numbers."""
    return {name: float(x.item()) for name, x in found.items()}

"""Policies by gradients and by searches, side by side in an environment, with one budget."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine.compile import Compiled
from ...engine.ops import argmax, clip
from ...engine.ops.random import fold_in, key
from ...engine.tensor import Tensor
from ...errors import ConfigError, TrainingError, unknown
from ...nn import Module
from ...rl import ALGORITHMS, Box, Environment
from ...rl.environments import ENVIRONMENTS
from ...rl.making import GYMNASIUM
from ...rl.playing import agent_for
from ..policies import returns_of
from ..search import Progress, Search
from ..strategy import STRATEGIES
from ..vectors import Weights
from .budget import Budget
from .methods import BACKPROP, METHODS, STRATEGIES_OF_NETWORKS, Trail
from .problem import vector_of
from .side_by_side import LEFT, Say, chosen_methods, median_at

#: Algorithms that follow the gradient, by the names that they have here.
GRADIENTS: Mapping[str, str] = {
    f"{BACKPROP}/{name}": f"backpropagation ({name.upper()})"
    for name in ("ppo", "a2c", "reinforce")
}
TITLES: Mapping[str, str] = {**GRADIENTS, **{n: METHODS[n] for n in STRATEGIES}}
#: What is compared, where the user names nothing.
USUAL = (f"{BACKPROP}/ppo", "es", "cma", "ga", "random")
#: Episodes of a candidate, and episodes by which weights on the way are measured.
_EPISODES, _MEASURED = 4, 64
_ENDLESS = 10**9


@dataclass(frozen=True)
class PolicyCurve:
    """What one method has reached with one seed.

    Attributes:
        seconds: places on the way, without the building of programs.
        episodes: begun by then, of all candidates or worlds.
        returns: the mean return of the weights there, by the best actions, in 64 further episodes.
        reason: why it ended.
    """

    seconds: tuple[float, ...]
    episodes: tuple[float, ...]
    returns: tuple[float, ...]
    reason: str

    def first_above(self, limit: float) -> int | None:
        """The first place where the return is so high."""
        return next((i for i, value in enumerate(self.returns) if value >= limit), None)


@dataclass(frozen=True)
class PolicyComparison:
    """What was compared, and what came out.

    Attributes:
        environment: its name.
        budget: in words.
        parameters: of the policy.
        network: in words.
        curves: of each method, one for each seed.
        interrupted: whether Ctrl-C ended it before all methods had come to their end.
    """

    environment: str
    budget: str
    parameters: int
    network: str
    curves: dict[str, tuple[PolicyCurve, ...]]
    interrupted: bool = False

    @property
    def data(self) -> str:
        """The name, as files are called after it."""
        return self.environment

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return found

    @property
    def limit(self) -> float:
        """The return at nine tenths of the way from the first one to the best of all."""
        best = max(float(np.median([max(c.returns) for c in k])) for k in self.curves.values())
        first = float(np.median([c.returns[0] for k in self.curves.values() for c in k]))
        return best - LEFT * max(best - first, 0.0)

    def table(self) -> list[dict[str, Any]]:
        """A row for each method: medians of the seeds."""
        return [self._row(name, curves) for name, curves in self.curves.items()]

    def _row(self, name: str, curves: tuple[PolicyCurve, ...]) -> dict[str, Any]:
        near = [c.first_above(self.limit) for c in curves]
        return {
            "method": name,
            "title": TITLES[name],
            "return": _median(c.returns[-1] for c in curves),
            "lowest": min(c.returns[-1] for c in curves),
            "highest": max(c.returns[-1] for c in curves),
            "episodes": _median(c.episodes[-1] for c in curves),
            "seconds": _median(c.seconds[-1] for c in curves),
            "episodes_to_limit": median_at([c.episodes for c in curves], near),
            "seconds_to_limit": median_at([c.seconds for c in curves], near),
            "reason": curves[0].reason,
        }


def _median(values: Any) -> float:
    return float(np.median(list(values)))


def compare_policies(
    environment: str | Environment,
    methods: Sequence[str] | str = USUAL,
    budget: str | float | Budget = 10.0,
    seeds: int = 1,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "tanh",
    lr: float | None = None,
    seed: int = 0,
    backend: str = "auto",
    say: Say = lambda sentence: None,
) -> PolicyComparison:
    """Train one policy by gradients and by searches, from the same weights, with the same budget.

    Searches see the returns of 4 whole episodes of each candidate, other ones in each generation;
    gradients see every step. Algorithms have their tuned options, without schedules.

    Args:
        environment: a built-in one by its name, or one written with operations.
        methods: names from `TITLES`; ``"backprop"`` is ``"backprop/ppo"``.
        budget: of each method: seconds (``30``, ``"2m"``), or episodes (``"5000episodes"``).
        seeds: how often, each time from other first weights.
        hidden: hidden units of each layer of the policy.
        activation: tanh, relu, elu or silu.
        lr: the learning rate of the algorithms.
        seed: the first one.
        backend: what runs the programs.
        say: takes sentences on the way.

    Raises:
        ConfigError: an option has an invalid value, or the environment is not built in.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.compare_policies("GridWorld", "backprop,random", "600episodes",
        ...                                    hidden=(4,), backend="numpy")
        >>> [row["method"] for row in found.table()], found.parameters
        (['backprop/ppo', 'random'], 88)
    """
    short = {BACKPROP: USUAL[0], **{name.removeprefix(f"{BACKPROP}/"): name for name in GRADIENTS}}
    names = chosen_methods(methods, TITLES, short)
    chosen = budget if isinstance(budget, Budget) else Budget.of(budget)
    chosen.need("episodes")
    if seeds < 1:
        raise ConfigError("Invalid value for seeds.", expected="an integer from 1",
                          found=repr(seeds))  # fmt: skip
    world = _world(environment)
    options = {"hidden": tuple(hidden), "activation": activation, "backend": backend}
    task = _Task(world, options, lr)
    curves: dict[str, list[PolicyCurve]] = {name: [] for name in names}
    interrupted = False
    try:
        for number, name in itertools.product(range(seed, seed + seeds), names):
            trail = task.run(name, chosen, number)
            curve = task.curve(trail)
            curves[name].append(curve)
            say(
                f"{TITLES[name]}, seed {number}: return {curve.returns[-1]:.4g} after "
                f"{curve.episodes[-1]:,.0f} episodes in {curve.seconds[-1]:.1f} s ({curve.reason})"
            )
    except KeyboardInterrupt:
        if not any(curves.values()):
            raise
        interrupted = True
        say("Interrupted: what follows is of the methods that had come to their end.")
    return PolicyComparison(
        world.name, str(chosen), task.parameters,
        f"hidden layers {'-'.join(map(str, hidden)) or 'none'}",
        {name: tuple(found) for name, found in curves.items() if found}, interrupted,
    )  # fmt: skip


def _world(environment: str | Environment) -> Environment:
    if isinstance(environment, Environment):
        return environment
    if environment not in ENVIRONMENTS:
        error = unknown("environment", environment.removeprefix(GYMNASIUM), ENVIRONMENTS)
        error.expected = f"one that is built in: {', '.join(ENVIRONMENTS)}"
        raise error
    return ENVIRONMENTS[environment]()


class _SpentError(Exception):
    """The budget is spent."""


class _Task:
    """One environment and one policy, which every method trains."""

    def __init__(self, world: Environment, options: dict[str, Any], lr: float | None) -> None:
        self.world, self.options, self.lr = world, options, lr
        self.parameters = 0
        self._measuring: Any = None

    def run(self, name: str, budget: Budget, seed: int) -> Trail:
        """Train from the first weights of this seed."""
        algorithm = name.removeprefix(f"{BACKPROP}/") if name in GRADIENTS else "ppo"
        agent = self._agent(algorithm, seed)
        policy: Module = agent.network.actor
        weights = Weights(policy)
        self.parameters = len(weights.start)
        self._measured_by(weights, policy)
        if name in GRADIENTS:
            return self._by_gradients(agent, policy, budget)
        return self._by_search(name, weights, policy, budget, seed)

    def _agent(self, algorithm: str, seed: int) -> Any:
        """With the tuned options, but for what depends on the number of steps, or is no weight."""
        kind = ALGORITHMS[algorithm]
        plain = {"lr_schedule": "constant", "clip_schedule": "constant", "normalize": False}
        known = {field.name for field in dataclasses.fields(kind)}
        given = {k: v for k, v in plain.items() if k in known} | self.options | {"seed": seed}
        if self.lr is not None:
            given["lr"] = self.lr
        built_in = type(self.world) is ENVIRONMENTS.get(self.world.name)
        return agent_for(self.world.name if built_in else self.world, algorithm, given)

    def _act(self, policy: Module) -> Callable[[Tensor], Tensor]:
        space = self.world.action_space
        if isinstance(space, Box):
            return lambda x: clip(policy(x), space.low, space.high)
        return lambda x: argmax(policy(x), axis=-1)

    def _measured_by(self, weights: Weights, policy: Module) -> None:
        """The mean return of many weights at once."""
        act = self._act(policy)

        def one(vector: Tensor) -> Tensor:
            with weights.standing(vector):
                return returns_of(self.world, act, fold_in(key(0), -3), _MEASURED).mean()

        self._measuring = Compiled(one, self.options["backend"])

    def curve(self, trail: Trail) -> PolicyCurve:
        """What the weights on the way are worth in further episodes."""
        found = [float(self._measuring(vector).item()) for vector in trail.weights]
        return PolicyCurve(tuple(trail.seconds), tuple(map(float, trail.passes)), tuple(found),
                           trail.reason)  # fmt: skip

    def _by_gradients(self, agent: Any, policy: Module, budget: Budget) -> Trail:
        trail = Trail(reason="the budget is spent")
        trail.keep(0.0, 0.0, vector_of(policy))
        clock: list[float] = []

        def listen(record: dict[str, float]) -> None:
            now = time.perf_counter()
            clock.append(now)
            # The first iteration, in which the program was built, counts as long as the second.
            seconds = now - clock[0] + (clock[1] - clock[0] if len(clock) > 1 else 0.0)
            over = budget.is_spent(seconds, record["episodes"] + 1)
            if len(clock) > 1 and (over or trail.is_due(seconds)):
                trail.keep(seconds, record["episodes"], vector_of(policy))
            trail.steps += 1
            if over and len(clock) > 1:
                raise _SpentError

        try:
            agent.learn(_ENDLESS, listen)
        except _SpentError:
            pass
        except TrainingError as error:
            trail.reason = error.what
        if agent.history.interrupted:
            raise KeyboardInterrupt
        return trail

    def _by_search(
        self, name: str, weights: Weights, policy: Module, budget: Budget, seed: int
    ) -> Trail:
        act = self._act(policy)

        def loss(vector: Tensor, draw: Tensor) -> Tensor:
            with weights.standing(vector):
                return -returns_of(self.world, act, draw, _EPISODES).mean()

        search = Search(STRATEGIES_OF_NETWORKS[name](), weights.start, loss, seed=seed,
                        backend=self.options["backend"], draws=True)  # fmt: skip
        search.prepare()
        trail = Trail()
        trail.keep(0.0, 0.0, weights.start)

        def keep(progress: Progress, last: bool = False) -> None:
            if last or trail.is_due(progress.seconds[-1]):
                centre = search.centre
                trail.keep(progress.seconds[-1], _EPISODES * progress.evaluations[-1],
                           search.best if centre is None else centre)  # fmt: skip

        each = _EPISODES * search.size
        generations = None if budget.count is None else max(budget.count // each, 1)
        progress = search.go(generations=generations, seconds=budget.seconds, on_chunk=keep)
        if search.reason == "interrupted":
            raise KeyboardInterrupt
        if progress.seconds:
            keep(progress, last=True)
        spent = ("the time is over", "the evaluations are spent")
        trail.reason = "the budget is spent" if search.reason in spent else search.reason
        return trail


__all__ = ["TITLES", "USUAL", "PolicyComparison", "PolicyCurve", "compare_policies"]

"""Policies found without a derivative: the return of whole episodes is all that is seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.compile import Compiled
from ..engine.ops import arange, argmax, clip, scan, tanh, where, zeros
from ..engine.ops.random import fold_in, key
from ..engine.tensor import Tensor
from ..errors import ConfigError
from ..nn import Module
from ..rl import Box, Discrete, Environment
from .search import Progress, Search
from .searches import Evolved, as_strategy, generations_of
from .strategy import Strategy
from .vectors import Weights

#: Episodes by which the best weights are chosen in the end.
_FINAL = 32


def fit_policy(
    policy: Module,
    environment: Environment,
    strategy: str | Strategy = "es",
    *,
    episodes: int = 4,
    evaluations: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    seed: int = 0,
    backend: str = "auto",
    chunk: int | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> Evolved:
    """Search for the weights of a policy whose episodes have the largest mean return.

    All episodes of a generation, of all candidates, are one native program. Each generation sees
    other episodes, the same for all of its candidates.

    Args:
        policy: takes observations (worlds, …); gives logits (worlds, actions) of which the largest
            is done, or, where actions are numbers, one for each, squashed into the bounds by tanh.
        environment: an environment of `chainrule.rl` that is written with operations.
        strategy: a name from `STRATEGIES`, with its defaults, or a `Strategy`.
        episodes: of each candidate.
        evaluations: budget of candidates, in whole generations; 100,000 if there is no other.
        seconds: budget of time.
        target: a mean return that is good enough, of a candidate in its generation.
        seed: what is drawn follows from it; the same seed gives the same bits.
        backend: what runs the program; see `chainrule.compile`.
        chunk: candidates that are evaluated at the same time; fewer need less memory.
        on_progress: called several times a second; its losses are negative returns.

    Returns:
        The result, whose losses are mean returns: ``loss`` that of 32 further episodes with the
        weights that the policy has now, the best candidate's or the centre's.

    Raises:
        ConfigError: an option has an invalid value, or the policy does not fit the environment.
        TrainingError: no candidate of the first generation has a finite return.

    Example:
        >>> import chainrule as cr
        >>> policy = cr.nn.Linear(4, 2).initialize(0)
        >>> found = cr.evolve.fit_policy(policy, cr.rl.CartPole(), cr.evolve.CMAES(population=8),
        ...                              episodes=1, evaluations=40, backend="numpy")
        >>> found.evaluations
        40
    """
    if episodes < 1:
        raise ConfigError("Invalid value for episodes.", expected="an integer from 1",
                          found=repr(episodes))  # fmt: skip
    weights = Weights(policy)
    act = _acting(environment, policy)

    def loss(vector: Tensor, draw: Tensor, count: int = episodes) -> Tensor:
        with weights.standing(vector):
            return -returns_of(environment, act, draw, count).mean()

    search = Search(as_strategy(strategy), weights.start, loss, seed=seed, backend=backend,
                    chunk=chunk, draws=True)  # fmt: skip
    generations = generations_of(evaluations, seconds, target, search.size)
    progress = search.go(
        generations=generations, seconds=seconds,
        target=-math.inf if target is None else -float(target), on_chunk=on_progress,
    )  # fmt: skip
    measured = Compiled(lambda vector, draw: loss(vector, draw, _FINAL), backend)
    known = [x for x in (search.best, search.centre) if x is not None]
    draw = fold_in(key(seed), -2)
    losses = [float(measured(x, draw).item()) for x in known]
    chosen = int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
    weights.assign(known[chosen])
    for values in (progress.best, progress.lowest, progress.mean):
        values[:] = [-x for x in values]
    return Evolved(
        weights.arrays(known[chosen]), -losses[chosen],
        None if search.centre is None else weights.arrays(search.centre), search.evaluations,
        search.generation, progress.seconds[-1] if progress.seconds else 0.0, search.reason,
        progress,
    )  # fmt: skip


def returns_of(
    environment: Environment, act: Callable[[Tensor], Tensor], draw: Tensor, episodes: int
) -> Tensor:
    """The sum of rewards of each episode, until it ends or is cut off."""

    def step(carry: Any, number: Tensor) -> Any:
        state, goes_on, total = carry
        action = act(environment.observe(state))
        state, reward, ended = environment.step(state, action, fold_in(draw, number + 1))
        return (state, goes_on & ~ended, total + where(goes_on, reward, 0.0)), ()

    state = environment.reset(fold_in(draw, 0), episodes)
    carry = state, zeros(episodes) == 0, zeros(episodes)
    (_, _, total), _ = scan(step, carry, arange(environment.time_limit))
    return total


def _acting(environment: Environment, policy: Module) -> Callable[[Tensor], Tensor]:
    """From observations to actions.

    Raises:
        ConfigError: the policy has another number of outputs than the environment actions.
    """
    space = environment.action_space
    observed = environment.observe(environment.reset(key(0), 1))
    given = policy(observed)
    wanted = (1, space.n) if isinstance(space, Discrete) else (1, *space.shape)
    if given.shape != wanted:
        raise ConfigError(
            f"The policy does not fit {environment.name}.", expected=f"outputs of shape {wanted}, "
            f"for actions {space}", found=str(given.shape),
        )  # fmt: skip
    if isinstance(space, Discrete):
        return lambda x: argmax(policy(x), axis=-1)
    return lambda x: _within(space, policy(x))


def _within(space: Box, y: Tensor) -> Tensor:
    if not space.bounded:
        return clip(y, space.low, space.high)
    return (tanh(y) + 1) * ((space.high - space.low) / 2) + space.low

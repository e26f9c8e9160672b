"""The methods: each trains the network within the budget, and leaves a trail of its weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ...engine.tensor import Tensor
from ...errors import TrainingError
from ...optim import OPTIMIZERS
from ...training.step import Step
from ...utils.typing import Array
from ..cmaes import CMAES
from ..differential import DifferentialEvolution
from ..evolution_strategy import EvolutionStrategy
from ..genetic import GeneticAlgorithm
from ..local import HillClimbing, RandomSearch, SimulatedAnnealing
from ..search import Progress, Search
from ..strategy import STRATEGIES, Strategy
from ..vectors import Weights
from .budget import Budget
from .problem import Problem, measured_by, vector_of

BACKPROP = "backprop"
#: A forward and a backward pass of a step, in forward passes.
PASSES_OF_A_STEP = 3
#: Weights are kept each time that the method has spent so much more than before.
_FACTOR = 1.12
#: Steps of backpropagation that are run in one go take about so long.
_CHUNK_SECONDS = 0.05
_MOST_STEPS = 64
#: Numbers in a layer of all candidates that are evaluated at the same time.
_MOST_NUMBERS = 2**24

#: What suits weights that were drawn for a network, rather than the defaults for any function.
STRATEGIES_OF_NETWORKS: Mapping[str, Callable[[], Strategy]] = MappingProxyType(
    {
        "ga": lambda: GeneticAlgorithm(
            sigma=0.1, selection="truncation", truncation=0.2, crossover=None, population=128
        ),
        "es": lambda: EvolutionStrategy(sigma=0.05, lr=0.03, population=128),
        "cma": lambda: CMAES(sigma=0.1, population=64),
        "random": lambda: RandomSearch(sigma=0.5, population=128),
        "hill": lambda: HillClimbing(sigma=0.1, population=16),
        "annealing": lambda: SimulatedAnnealing(sigma=0.1, population=32),
        "de": lambda: DifferentialEvolution(
            sigma=0.2, differential_weight=0.5, variant="current-to-best", population=128
        ),
    }
)
#: Every method by its short name, with what it is in words.
METHODS: Mapping[str, str] = MappingProxyType(
    {BACKPROP: "backpropagation (AdamW)"} | {name: kind.title for name, kind in STRATEGIES.items()}
)


@dataclass
class Trail:
    """Weights that a method had on its way.

    Attributes:
        seconds: since the beginning, without the building of programs.
        passes: forward passes over the training rows so far.
        weights: a vector at each place.
        steps: updates, or generations.
        reason: why it ended.
    """

    seconds: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    steps: int = 0
    reason: str = ""

    def keep(self, seconds: float, passes: float, weights: Array) -> None:
        """Another place on the way."""
        self.seconds.append(seconds)
        self.passes.append(passes)
        self.weights.append(weights)

    def is_due(self, seconds: float) -> bool:
        """Whether enough was spent since the last place."""
        return len(self.seconds) < 2 or seconds >= self.seconds[-1] * _FACTOR


def run(
    method: str, problem: Problem, budget: Budget, seed: int, on_progress: Callable[[], Any]
) -> Trail:
    """Train from the weights that the network has now, which it has again afterwards."""
    state = problem.network.state()
    try:
        if method == BACKPROP:
            return _backpropagation(problem, budget, seed, on_progress)
        return _search(STRATEGIES_OF_NETWORKS[method](), problem, budget, seed, on_progress)
    finally:
        problem.network.load_state(state)


def _backpropagation(
    problem: Problem, budget: Budget, seed: int, on_progress: Callable[[], Any]
) -> Trail:
    network, data = problem.network, problem.train
    optimizer = OPTIMIZERS["adamw"](network, lr=problem.lr)
    step = Step(network, problem.loss, optimizer, seed=seed)
    before, first = network.state(), optimizer.state()
    step.run(data, np.arange(problem.batch_size)[None])  # builds the program
    network.load_state(before)
    optimizer.load_state(first)
    step.number = 0
    trail, batches = Trail(), _Batches(len(data), problem.batch_size, seed)
    trail.keep(0.0, 0.0, vector_of(network))
    passes_of_one = PASSES_OF_A_STEP * problem.batch_size / len(data)
    begun, at_once = time.perf_counter(), 1
    try:
        while True:
            spent = time.perf_counter() - begun
            if budget.is_spent(spent, passes_of_one * (trail.steps + 1)) and trail.steps:
                break
            if budget.passes is not None:
                at_once = min(at_once, max(int(budget.passes / passes_of_one) - trail.steps, 1))
            step.run(data, batches.take(at_once))
            trail.steps += at_once
            now = time.perf_counter() - begun
            each = max(now - spent, 1e-9) / at_once
            at_once = int(min(max(_CHUNK_SECONDS / each, 1), 2 * at_once, _MOST_STEPS))
            if trail.is_due(now):
                trail.keep(now, passes_of_one * trail.steps, vector_of(network))
            on_progress()
    except TrainingError as error:
        trail.reason = error.what
    trail.keep(time.perf_counter() - begun, passes_of_one * trail.steps, vector_of(network))
    trail.reason = trail.reason or "the budget is spent"
    return trail


class _Batches:
    """Rows for one step after the other, in a new order for each epoch."""

    def __init__(self, rows: int, size: int, seed: int) -> None:
        self._rows, self._size, self._seed = rows, size, seed
        self._epoch, self._left = 0, np.zeros((0, size), np.int64)

    def take(self, count: int) -> Array:
        """The batches of the next steps, (count, size); what is left of an epoch is dropped."""
        while len(self._left) < count:
            generator = np.random.default_rng([self._seed, self._epoch])
            whole = self._rows // self._size * self._size
            order = generator.permutation(self._rows)[:whole].reshape(-1, self._size)
            self._left = np.concatenate([self._left, order])
            self._epoch += 1
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def _search(
    strategy: Strategy, problem: Problem, budget: Budget, seed: int, on_progress: Callable[[], Any]
) -> Trail:
    weights = Weights(problem.network)
    data = problem.train.inputs, problem.train.target, problem.train.weights

    def objective(vector: Tensor, *rows: Any) -> Tensor:
        with weights.standing(vector):
            return measured_by(problem.objective, problem.network, *rows)

    rows, width = len(problem.train), max(layer.shape[-1] for layer in weights.parameters.values())
    chunk = max(_MOST_NUMBERS // max(rows * width, 1), 1)
    search = Search(strategy, weights.start, objective, seed=seed, chunk=chunk)
    search.prepare(*data)
    trail = Trail()
    trail.keep(0.0, 0.0, weights.start)

    def keep(progress: Progress) -> None:
        if trail.is_due(progress.seconds[-1]):
            trail.keep(progress.seconds[-1], progress.evaluations[-1], search.best)
        on_progress()

    generations = None if budget.passes is None else max(budget.passes // search.size, 1)
    progress = search.go(*data, generations=generations, seconds=budget.seconds, on_chunk=keep)
    if progress.seconds:
        trail.keep(progress.seconds[-1], progress.evaluations[-1], search.best)
        if search.centre is not None:
            trail.keep(progress.seconds[-1], progress.evaluations[-1], search.centre)
    if search.reason == "interrupted":
        raise KeyboardInterrupt
    trail.steps = search.generation
    spent = ("the time is over", "the evaluations are spent")
    trail.reason = "the budget is spent" if search.reason in spent else search.reason
    return trail


__all__ = ["BACKPROP", "METHODS", "STRATEGIES_OF_NETWORKS", "Trail", "run"]

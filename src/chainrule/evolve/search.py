"""Generations: draw, evaluate, learn. A generation is one call of a program, or part of one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.compile import Compiled
from ..engine.ops import argmin, astype, concatenate, isnan, reshape, scan, take, where
from ..engine.ops.random import fold_in, key, randint
from ..engine.tensor import Buffer, Tensor, as_tensor
from ..engine.vmap import vmap
from ..errors import ConfigError, ShapeError, TrainingError
from ..utils.signals import deferred
from ..utils.typing import Array
from .strategy import Bounds, Named, Strategy

#: Generations that are run in one go take about so long.
_CHUNK_SECONDS = 0.2
#: Whether anything still moves is asked after so many generations, however they are run: where a
#: search ends follows from its seed, not from the speed of the machine.
_CHECK_EVERY = 32
#: The range of the losses of many generations below which there is nothing more to be found.
_FLAT = 1e-12

Objective = Callable[..., Tensor]


@dataclass
class Progress:
    """How a search went, generation by generation.

    Attributes:
        evaluations: candidates evaluated so far.
        seconds: since the beginning.
        best: the smallest loss so far.
        lowest: the smallest loss of the generation.
        mean: the mean loss of those of its candidates whose loss is finite.
    """

    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    lowest: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)


class Search:
    """A strategy at work: from a point, with a seed.

    `ask` gives the candidates of a generation as an array, `tell` takes their losses: for losses
    that are measured anywhere, such as in a simulator. With an ``objective`` written with
    operations, `run` does generations in one native program.

    Args:
        strategy: which candidates to draw.
        start: where to begin, one vector of numbers.
        objective: the loss of one candidate, a function of its vector and of the data given to
            `run`.
        seed: what is drawn follows from it, to the bit.
        bounds: lower and upper bounds: numbers, or vectors.
        backend: what runs the program; see `chainrule.compile`.
        chunk: candidates that are evaluated at the same time; fewer need less memory.
        batch_size: rows of the data that a generation sees, drawn for each anew (with replacement);
            all of its candidates see the same.
        draws: whether the objective draws something: it then gets a random key after the data,
            another one in each generation, the same for all of its candidates.

    Attributes:
        generation: how many are done.
        evaluations: candidates whose losses are known.
        best: the best candidate so far.
        best_loss: its loss; infinite before the first.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> search = cr.evolve.Search(cr.evolve.CMAES(0.5), np.zeros(3), backend="numpy")
        >>> while search.best_loss > 1e-9:
        ...     candidates = search.ask()
        ...     search.tell(((candidates - 1) ** 2).sum(axis=1))
        >>> search.best.round(3).tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        strategy: Strategy,
        start: Any,
        objective: Objective | None = None,
        *,
        seed: int = 0,
        bounds: tuple[Any, Any] | None = None,
        backend: str = "auto",
        chunk: int | None = None,
        batch_size: int | None = None,
        draws: bool = False,
    ) -> None:
        start = np.array(start)
        if start.dtype.kind != "f" or start.ndim != 1 or not start.size:
            raise ShapeError("A search begins at one vector of floating-point numbers.",
                             found=str(as_tensor(start).type))  # fmt: skip
        self.strategy = strategy
        self.size = strategy.size(len(start))
        self.generation = 0
        self.reason = ""
        self._bounds = _checked_bounds(bounds, start)
        if self._bounds is not None:
            start = start.clip(*self._bounds)
        # A variable, so that the program is the same for every seed.
        self._key = Buffer(key(seed), name="key")
        self._dtype = start.dtype
        self._state = strategy.begin(start, self._bounds, fold_in(key(seed), -1))
        self._best = Buffer(start, name="best")
        self._best_loss = Buffer(np.array(np.inf), name="best loss")
        self._objective = objective
        self._chunk = min(_integer_from_1("chunk", chunk) or self.size, self.size)
        self._batch_size = _integer_from_1("batch_size", batch_size)
        self._draws = draws
        self._interval = strategy.interval(len(start))
        self._program = Compiled(self._step, backend, guard=True)
        self._asking = Compiled(self._ask, backend)
        self._telling = Compiled(self._tell, backend)
        self._memo: tuple[Tensor, Named] | None = None
        self._at_once = 1
        #: The lowest and the mean losses of so many generations, one behind the other.
        self._recent: list[float] = []
        self._window = 10 + math.ceil(30 * len(start) / self.size)

    @property
    def evaluations(self) -> int:
        """Candidates whose losses are known."""
        return self.generation * self.size

    @property
    def best(self) -> Array:
        """The best candidate so far."""
        return self._best.numpy().copy()

    @property
    def best_loss(self) -> float:
        """The loss of the best candidate so far."""
        return float(self._best_loss.item())

    @property
    def centre(self) -> Array | None:
        """The strategy's own estimate of the best point, if it has one."""
        found = self.strategy.centre(self._state)
        return None if found is None else found.numpy().astype(self._dtype)

    @property
    def stopped(self) -> str:
        """Why further generations would find nothing more; "" if they might."""
        found = self.strategy.stopped(self._state)
        recent = self._recent
        if (
            not found
            and len(recent) == 2 * self._window
            and max(recent) - min(recent) <= _FLAT * max(1.0, abs(recent[0]))
        ):
            found = f"all losses of {self._window} generations were the same"
        return found

    # ---- one generation ------------------------------------------------------------------------

    def _ask(self, number: Tensor) -> tuple[Tensor, Named]:
        candidates, memo = self.strategy.ask(self._state, fold_in(fold_in(self._key, number), 0))
        if self._bounds is not None:
            candidates = candidates.clip(*self._bounds)
        return astype(candidates, self._dtype), memo

    def _tell(self, candidates: Tensor, memo: Named, losses: Tensor, number: Tensor) -> Any:
        losses = astype(losses, "float64")
        losses = where(isnan(losses), math.inf, losses)
        first = argmin(losses)
        lowest = take(losses, first)
        improves = lowest < self._best_loss
        self._best.assign(where(improves, take(candidates, first), self._best))
        self._best_loss.assign(where(improves, lowest, self._best_loss))
        draw = fold_in(fold_in(self._key, number), 1)
        self.strategy.tell(self._state, candidates, memo, losses, draw)
        finite = losses < math.inf
        count = finite.astype("float64").sum()
        average = where(finite, losses, 0.0).sum() / where(count > 0, count, math.nan)
        return reshape(lowest, (1,)), reshape(average, (1,))

    def _step(self, data: Any, number: Tensor, target: Tensor) -> Any:
        """A whole generation; a result that is not finite ends the run before it."""
        before = self._best_loss * 1.0
        candidates, memo = self._ask(number)
        losses = self._evaluated(candidates, self._rows_of(data, number))
        lowest, average = self._tell(candidates, memo, losses, number)
        return where(before <= target, math.nan, 0.0), lowest, average

    def _rows_of(self, data: Any, number: Tensor) -> Any:
        """The rows that a generation sees."""
        if self._draws:
            data = (*data, fold_in(fold_in(self._key, number), 3))
        if self._batch_size is None:
            return data
        rows = pytree.flatten(data)[0][0].shape[0]
        draw = fold_in(fold_in(self._key, number), 2)
        chosen = randint(draw, (self._batch_size,), 0, rows)
        return pytree.map_leaves(lambda x: take(x, chosen), data)

    def _evaluated(self, candidates: Tensor, data: Any) -> Tensor:
        objective = self._objective
        assert objective is not None

        def one(vector: Tensor) -> Tensor:
            loss = as_tensor(objective(vector, *data))
            if loss.shape:
                raise ShapeError("The loss of a candidate must be one number.",
                                 expected="a tensor without axes", found=str(loss.type),
                                 hint="Take the mean or the sum.")  # fmt: skip
            return loss

        many = vmap(one)
        if self._chunk >= self.size:
            return many(candidates)
        whole = self.size // self._chunk * self._chunk
        blocks = reshape(candidates[:whole], (-1, self._chunk, candidates.shape[1]))
        _, losses = scan(lambda carry, block: (carry, many(block)), (), blocks)
        losses = reshape(losses, (whole,))
        if whole == self.size:
            return losses
        return concatenate([losses, many(candidates[whole:])])

    # ---- use -----------------------------------------------------------------------------------

    def ask(self) -> Array:
        """The candidates of the next generation, (population, numbers); `tell` wants losses."""
        if self._memo is None:
            self._memo = self._asking(np.int64(self.generation))
        return self._memo[0].numpy()

    def tell(self, losses: Any) -> None:
        """Learn from the losses of the candidates that `ask` gave; NaN counts as infinite.

        Raises:
            ConfigError: there was no `ask`.
            ShapeError: there is not one loss for each candidate.
            TrainingError: no loss of the first generation is finite.
        """
        if self._memo is None:
            raise ConfigError("tell needs candidates.", hint="Call ask first.")
        losses = np.asarray(losses, np.float64)
        if losses.shape != (self.size,):
            raise ShapeError("One loss for each candidate is needed.", expected=str((self.size,)),
                             found=str(losses.shape))  # fmt: skip
        candidates, memo = self._memo
        found = self._telling(candidates, memo, losses, np.int64(self.generation))
        self._memo = None
        self._done(1, [part.numpy().reshape(1, 1) for part in found])

    def prepare(self, *data: Any) -> None:
        """Build the program for such data, so that no budget of time is spent on that."""
        self._program.traced(data, np.int64(0), 0.0)

    def run(self, generations: int, *data: Any, target: float = -math.inf) -> Array:
        """So many generations in one native call; fewer if the best loss has reached the target.

        Args:
            generations: at most.
            data: what the objective gets besides the candidate.
            target: a loss that is good enough.

        Returns:
            The lowest and the mean loss of each generation that was done, (generations, 2).
        """
        parts = []
        left = generations
        while left:
            count = min(left, self._interval or left)
            with deferred():  # nothing is half done when Ctrl-C does its work
                done, (_, *found) = self._run(count, data, target)
            arrays = [part.numpy()[:done] for part in found]
            parts.append(np.concatenate(arrays, axis=1))
            self._done(done, arrays)
            left -= done
            if done < count:
                break
        return np.concatenate(parts)

    def _run(self, count: int, data: tuple[Any, ...], target: float) -> tuple[int, Any]:
        number = np.int64(self.generation)
        return self._program.run_steps(
            np.zeros((count, 1)), data, number, float(target), rows=(), counter=1
        )

    def _done(self, done: int, found: list[Array]) -> None:
        first = self.generation == 0
        self.generation += done
        self._recent += np.concatenate(found, axis=1).reshape(-1).tolist()
        del self._recent[: -2 * self._window]
        if first and done and not np.isfinite(self._best_loss.item()):
            raise TrainingError("No candidate of the first generation has a finite loss.",
                                expected="at least one loss that is a finite number",
                                hint="Begin elsewhere, or with a smaller sigma.")  # fmt: skip
        if self._interval and done:
            self.strategy.refresh(self._state)

    def go(
        self,
        *data: Any,
        generations: int | None = None,
        seconds: float | None = None,
        target: float = -math.inf,
        on_chunk: Callable[[Progress], Any] | None = None,
        losses_of: Callable[[Array], Array] | None = None,
    ) -> Progress:
        """Generations until the budget is spent, the target is reached, or nothing moves any more.

        Args:
            data: what the objective gets besides the candidate.
            generations: at most.
            seconds: at most; a generation is not broken off.
            target: a loss that is good enough.
            on_chunk: called with what was done so far, several times a second.
            losses_of: the losses of candidates, in place of the objective.

        Returns:
            How it went; `reason` says why it ended.
        """
        progress = Progress()
        begun = time.perf_counter()
        before = self.best_loss
        self.reason = ""
        try:
            while not self._is_over(progress, generations, seconds, target, begun):
                started = time.perf_counter()
                left = None if generations is None else generations - len(progress.best)
                if losses_of is None:
                    until_check = _CHECK_EVERY - self.generation % _CHECK_EVERY
                    count = min(self._at_once, until_check, until_check if left is None else left)
                    found = self.run(count, *data, target=target)
                else:
                    found = self._generation_outside(losses_of)
                took = time.perf_counter() - started
                before = _add(progress, found, self.size, begun, before)
                self._pace(took, len(found), seconds, begun)
                if on_chunk is not None:
                    on_chunk(progress)
        except KeyboardInterrupt:
            self.reason = "interrupted"
        return progress

    def _generation_outside(self, losses_of: Callable[[Array], Array]) -> Array:
        losses = np.asarray(losses_of(self.ask()), np.float64)
        self.tell(losses)
        finite = losses[np.isfinite(losses)]
        average = finite.mean() if len(finite) else np.nan
        return np.array([[np.nanmin(losses) if len(finite) else np.inf, average]])

    def _pace(self, took: float, done: int, seconds: float | None, begun: float) -> None:
        """How many generations to run in the next call; the first one had to be compiled."""
        each = took / max(done, 1)
        wanted = _CHUNK_SECONDS
        if seconds is not None:
            wanted = min(wanted, max(seconds - (time.perf_counter() - begun), 0.0))
        self._at_once = int(min(max(wanted / max(each, 1e-9), 1), 8 * self._at_once, _CHECK_EVERY))

    def _is_over(
        self,
        progress: Progress,
        generations: int | None,
        seconds: float | None,
        target: float,
        begun: float,
    ) -> bool:
        if self.best_loss <= target:
            self.reason = "the target is reached"
        elif generations is not None and len(progress.best) >= generations:
            self.reason = "the evaluations are spent"
        elif seconds is not None and time.perf_counter() - begun >= seconds:
            self.reason = "the time is over"
        else:
            is_due = progress.best and self.generation % _CHECK_EVERY == 0
            self.reason = self.stopped if is_due else ""
        return bool(self.reason)


def _integer_from_1(option: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"Invalid value for {option}.", expected="an integer from 1",
                          found=repr(value))  # fmt: skip
    return int(value)


def _add(progress: Progress, found: Array, size: int, begun: float, before: float) -> float:
    """Enter generations that took equally long; the best loss so far."""
    last = progress.seconds[-1] if progress.seconds else 0.0
    step = (time.perf_counter() - begun - last) / max(len(found), 1)
    for number, (lowest, average) in enumerate(found.tolist(), 1):
        before = min(before, lowest)
        progress.evaluations.append((len(progress.best) + 1) * size)
        progress.seconds.append(last + number * step)
        progress.best.append(before)
        progress.lowest.append(lowest)
        progress.mean.append(average)
    return before


def _checked_bounds(bounds: Any, start: Array) -> Bounds | None:
    if bounds is None:
        return None
    try:
        low, high = (np.broadcast_to(np.asarray(x, start.dtype), start.shape) for x in bounds)
    except (TypeError, ValueError) as error:
        raise ConfigError("Invalid value for bounds.", found=str(error),
                          expected="a lower and an upper bound: numbers, or one for each "
                          f"of the {len(start)} parameters") from None  # fmt: skip
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ConfigError("Invalid value for bounds.", found=repr(bounds),
                          expected="finite bounds, each lower one below its upper one")  # fmt: skip
    return low.copy(), high.copy()


__all__ = ["Objective", "Progress", "Search"]

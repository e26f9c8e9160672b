"""The searches as users call them: of a function, and of the weights of a model."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.compile import Compiled
from ..engine.tensor import Tensor
from ..errors import ConfigError, TraceError, unknown
from ..losses import LOSSES, check_target
from ..nn import Module
from ..utils.typing import Array
from .search import Progress, Search
from .strategy import STRATEGIES, Strategy
from .vectors import Layout, Weights

#: Evaluations, where no budget is given.
_USUAL_BUDGET = 100_000


@dataclass(frozen=True, eq=False)
class Evolved:
    """What a search has found.

    Attributes:
        best: the best candidate, a tree like the start; of a model its weights by path.
        loss: its loss; of `maximize` its value.
        centre: the strategy's own estimate of the best point, if it has one.
        evaluations: candidates evaluated.
        generations: how many there were.
        seconds: that it took.
        reason: why it ended.
        progress: generation by generation.
    """

    best: Any
    loss: float
    centre: Any
    evaluations: int
    generations: int
    seconds: float
    reason: str
    progress: Progress

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.reason == "interrupted"


def minimize(
    function: Callable[[Any], Any],
    start: Any,
    strategy: str | Strategy = "cma",
    *,
    evaluations: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    bounds: tuple[Any, Any] | None = None,
    seed: int = 0,
    compiled: bool = True,
    map: Callable[..., Iterable[Any]] = map,
    backend: str = "auto",
    chunk: int | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> Evolved:
    """Search for the point where a function is smallest, without its derivative.

    Args:
        function: takes one candidate, a tree like ``start``, and gives one number. It is traced as
            in `chainrule.compile`, and evaluated for a whole population at once.
        start: where the search begins: numbers, arrays or tensors, alone or in lists and dicts.
            Python's numbers are float64.
        strategy: a name from `STRATEGIES`, with its defaults, or a `Strategy`.
        evaluations: budget of candidates, in whole generations; 100,000 if there is no other.
        seconds: budget of time.
        target: a value that is good enough.
        bounds: lower and upper bounds of all numbers: two numbers, or two vectors.
        seed: what is drawn follows from it; the same seed gives the same bits.
        compiled: False for a function that cannot be traced: it gets arrays, one candidate at a
            time, and may do anything.
        map: with ``compiled=False`` applies the function to the candidates, such as that of a
            `concurrent.futures.ProcessPoolExecutor`.
        backend: what runs the program; see `chainrule.compile`.
        chunk: candidates that are evaluated at the same time; fewer need less memory.
        on_progress: called several times a second with the progress.

    Raises:
        ConfigError: an option has an invalid value.
        TraceError: the function looks at the value of a tensor.
        TrainingError: no candidate of the first generation has a finite value.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.minimize(lambda p: (p["x"] - 2.0) ** 2 + abs(p["y"]),
        ...                            {"x": 0.0, "y": 1.0}, target=1e-6, backend="numpy")
        >>> round(float(found.best["x"]), 2), found.reason
        (2.0, 'the target is reached')
    """
    layout = Layout(start)
    chosen = as_strategy(strategy)
    search = Search(
        chosen, layout.start, lambda vector: function(layout.tree(vector)), seed=seed,
        bounds=bounds, backend=backend, chunk=chunk,
    )  # fmt: skip
    generations = generations_of(evaluations, seconds, target, search.size)

    def outside(candidates: Array) -> Array:
        return np.array([float(x) for x in map(function, [layout.arrays(c) for c in candidates])])

    try:
        progress = search.go(
            generations=generations, seconds=seconds,
            target=-math.inf if target is None else float(target), on_chunk=on_progress,
            losses_of=None if compiled else outside,
        )  # fmt: skip
    except TraceError as error:
        error.hint = "Write it with operations of chainrule, or pass compiled=False."
        raise
    return _evolved(search, progress, layout)


def maximize(
    function: Callable[[Any], Any], start: Any, *arguments: Any, **options: Any
) -> Evolved:
    """`minimize` of the negative: search for the point where a function is largest.

    Losses in the result are values of the function, and so is ``target``.

    Example:
        >>> import chainrule as cr
        >>> found = cr.evolve.maximize(lambda x: -((x - 1.0) ** 2).sum(), [0.0, 0.0], target=-1e-6,
        ...                            backend="numpy")
        >>> found.loss > -1e-6
        True
    """
    if options.get("target") is not None:
        options["target"] = -options["target"]
    found = minimize(_Negative(function), start, *arguments, **options)
    p = found.progress
    for values in (p.best, p.lowest, p.mean):
        values[:] = [-x for x in values]
    return dataclasses.replace(found, loss=-found.loss)


class _Negative:
    """The negative of a function; it can be sent to another process if the function can."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return -self.function(x)


def fit(
    model: Module,
    loss: str | Callable[..., Tensor],
    data: tuple[Any, Any],
    strategy: str | Strategy = "es",
    *,
    evaluations: int | None = None,
    seconds: float | None = None,
    target: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    backend: str = "auto",
    chunk: int | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> Evolved:
    """Train the weights of a model without a derivative, and leave it with the best ones.

    Args:
        model: whose trainable parameters are searched for; dropout is off.
        loss: a name from `chainrule.losses.LOSSES`, or any function of prediction and target that
            gives one number; it needs no derivative: `zero_one` counts errors.
        data: inputs and target.
        strategy: a name from `STRATEGIES`, with its defaults, or a `Strategy`.
        evaluations: budget of candidates, in whole generations; 100,000 if there is no other.
        seconds: budget of time.
        target: a loss that is good enough; with ``batch_size`` that of a batch.
        batch_size: rows that a generation sees, drawn for each anew, the same for all of its
            candidates; all rows by default. The losses of different generations are then not
            comparable: what is kept is decided on all rows.
        seed: what is drawn follows from it; the same seed gives the same bits.
        backend: what runs the program; see `chainrule.compile`.
        chunk: candidates that are evaluated at the same time; fewer need less memory.
        on_progress: called several times a second with the progress.

    Returns:
        The result, whose ``best`` are the weights that the model has now, and whose ``loss`` is
        theirs on all rows.

    Raises:
        ConfigError: an option has an invalid value, or the model has nothing to train.
        TrainingError: no candidate of the first generation has a finite loss.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> y = (x[:, 0] + x[:, 1] > 0).astype("int64")
        >>> model = cr.nn.Linear(2, 2).initialize(0)
        >>> found = cr.evolve.fit(model, cr.evolve.zero_one, (x, y),
        ...                       cr.evolve.CMAES(population=16), evaluations=640)
        >>> found.loss < 0.1
        True
    """
    measure = _loss(loss)
    inputs, targets = data
    check_target(measure, targets)
    weights = Weights(model)

    def objective(vector: Tensor, x: Any, y: Any) -> Tensor:
        with weights.standing(vector):
            return measure(model(x), y)

    search = Search(
        as_strategy(strategy), weights.start, objective, seed=seed, backend=backend, chunk=chunk,
        batch_size=batch_size,
    )  # fmt: skip
    generations = generations_of(evaluations, seconds, target, search.size)
    progress = search.go(
        inputs, targets, generations=generations, seconds=seconds,
        target=-math.inf if target is None else float(target), on_chunk=on_progress,
    )  # fmt: skip
    return _fitted(search, progress, weights, objective, (inputs, targets))


def as_strategy(strategy: str | Strategy) -> Strategy:
    """A strategy, or that of this name with its defaults."""
    if isinstance(strategy, Strategy):
        return strategy
    if strategy not in STRATEGIES:
        raise unknown("strategy", str(strategy), STRATEGIES)
    return STRATEGIES[strategy]()


def generations_of(
    evaluations: int | None, seconds: float | None, target: float | None, size: int
) -> int | None:
    """How many generations a budget allows; None for any number.

    Raises:
        ConfigError: the budget is not above 0, or too small for one generation.
    """
    for name, value in {"evaluations": evaluations, "seconds": seconds}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigError(f"Invalid value for {name}.", expected="a budget above 0",
                              found=repr(value))  # fmt: skip
    if target is not None and math.isnan(target):
        raise ConfigError("Invalid value for target.", expected="a number", found="nan")
    if evaluations is None:
        return None if seconds is not None else max(_USUAL_BUDGET // size, 1)
    if evaluations < size:
        raise ConfigError("The budget is too small for one generation.",
                          expected=f"at least {size} evaluations", found=str(evaluations),
                          hint="Give the strategy a smaller population.")  # fmt: skip
    return int(evaluations // size)


def _loss(loss: str | Callable[..., Tensor]) -> Callable[..., Tensor]:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise unknown("loss", str(loss), LOSSES)
    return LOSSES[loss]


def _evolved(search: Search, progress: Progress, layout: Layout) -> Evolved:
    _warn_of_equal_losses(progress)
    centre = search.centre
    return Evolved(
        layout.arrays(search.best), search.best_loss,
        None if centre is None else layout.arrays(centre),
        search.evaluations, search.generation, progress.seconds[-1] if progress.seconds else 0.0,
        search.reason, progress,
    )  # fmt: skip


def _warn_of_equal_losses(progress: Progress) -> None:
    if len(progress.lowest) > 1 and len({*progress.lowest, *progress.mean}) == 1:
        warnings.warn(
            f"All {progress.evaluations[-1]:,} candidates had the same loss, "
            f"{progress.lowest[0]:.6g}: there was nothing to choose between them.",
            stacklevel=4,
        )


def _fitted(
    search: Search, progress: Progress, weights: Weights, objective: Any, data: tuple[Any, Any]
) -> Evolved:
    """Leave the model with the best weights known: of the best candidate, or the centre."""
    found = _evolved(search, progress, weights)
    measured = Compiled(objective, "numpy")
    known = [x for x in (search.best, search.centre) if x is not None]
    losses = [float(measured(x, *data).item()) for x in known]
    chosen = int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
    weights.assign(known[chosen])
    return dataclasses.replace(found, best=weights.arrays(known[chosen]), loss=losses[chosen])

"""Methods side by side: what each has reached, by when."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError, unknown
from ...utils.typing import Array
from ..vectors import Weights
from .budget import Budget
from .methods import BACKPROP, METHODS, Trail, run
from .problem import Problem, problem_of

#: What is compared, where the user names nothing.
USUAL = (BACKPROP, "es", "cma", "ga", "random")
#: What is left of the way from the first loss to the best one when a method is nearly there.
LEFT = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """What one method has reached with one seed.

    Attributes:
        seconds: places on the way, without the building of programs.
        passes: forward passes over the training rows by then; a backward pass counts as two.
        train: the smallest loss (or error rate) so far on the training rows.
        held_out: that of the same weights on rows that were held out.
        metrics: of the last of these weights, on rows that were held out.
        steps: updates, or generations.
        reason: why it ended.
    """

    seconds: tuple[float, ...]
    passes: tuple[float, ...]
    train: tuple[float, ...]
    held_out: tuple[float, ...]
    metrics: dict[str, float]
    steps: int
    reason: str

    @staticmethod
    def from_json(content: dict[str, Any]) -> Curve:
        """What `Comparison.to_json` has of it."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        return Curve(**fields)

    def first_below(self, limit: float) -> int | None:
        """The first place where the training rows are fitted so well."""
        return next((i for i, value in enumerate(self.train) if value <= limit), None)


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what came out; JSON data, so that a page can be made of it again.

    Attributes:
        data: name of it.
        task: regression, or of classes.
        measured: loss, or error rate.
        budget: in words.
        rows: to learn from, and held out.
        parameters: of the network.
        network: in words.
        curves: of each method, one for each seed.
        baselines: metrics of answers that cost nothing.
        notes: what was said of the data.
        interrupted: whether Ctrl-C ended it before all methods had come to their end.
    """

    data: str
    task: str
    measured: str
    budget: str
    rows: tuple[int, int]
    parameters: int
    network: str
    curves: dict[str, tuple[Curve, ...]]
    baselines: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return found

    @staticmethod
    def from_json(content: dict[str, Any]) -> Comparison:
        """What `to_json` gave."""
        fields = dict(content)
        fields["rows"], fields["notes"] = tuple(fields["rows"]), tuple(fields["notes"])
        fields["curves"] = {
            name: tuple(map(Curve.from_json, curves)) for name, curves in fields["curves"].items()
        }
        return Comparison(**fields)

    @property
    def limit(self) -> float:
        """The training loss at nine tenths of the way from the first one to the best of all."""
        best = min(float(np.median([c.train[-1] for c in k])) for k in self.curves.values())
        first = float(np.median([c.train[0] for k in self.curves.values() for c in k]))
        return best + LEFT * max(first - best, 0.0)

    def table(self) -> list[dict[str, Any]]:
        """A row for each method: medians of the seeds."""
        return [self._row(name, curves) for name, curves in self.curves.items()]

    def _row(self, name: str, curves: tuple[Curve, ...]) -> dict[str, Any]:
        near = [c.first_below(self.limit) for c in curves]

        def median(values: Sequence[float]) -> float:
            return float(np.median(values))

        return {
            "method": name,
            "title": METHODS[name],
            "train": median([c.train[-1] for c in curves]),
            "held_out": median([c.held_out[-1] for c in curves]),
            "metrics": {key: median([c.metrics[key] for c in curves]) for key in curves[0].metrics},
            "passes": median([c.passes[-1] for c in curves]),
            "seconds": median([c.seconds[-1] for c in curves]),
            "steps": median([c.steps for c in curves]),
            "passes_to_limit": median_at([c.passes for c in curves], near),
            "seconds_to_limit": median_at([c.seconds for c in curves], near),
            "reason": curves[0].reason,
        }


def median_at(spent: Sequence[Sequence[float]], near: Sequence[int | None]) -> float | None:
    """The median of what was spent at these places; of seeds that have none it is infinite.

    Example:
        >>> median_at([[1.0, 2.0], [1.0, 4.0], [1.0, 3.0]], [1, 1, None])
        4.0
        >>> median_at([[1.0, 2.0], [1.0, 4.0], [1.0, 3.0]], [1, None, None]) is None
        True
    """
    pairs = zip(spent, near, strict=True)
    found = float(np.median([math.inf if i is None else each[i] for each, i in pairs]))
    return found if math.isfinite(found) else None


def compare(
    source: Any,
    *,
    methods: Sequence[str] = USUAL,
    budget: str | float | Budget = "10s",
    seeds: int = 1,
    objective: str = "loss",
    say: Say = lambda sentence: None,
    **options: Any,
) -> Comparison:
    """Train one network by several methods, each from the same weights with the same budget.

    The network is a plain one, as small as the options say; all methods see the same training rows
    and are measured on the same others. The time that programs take to be built is not counted.

    Args:
        source: a table: a file, a data frame, or a dict of columns.
        methods: names from `METHODS`.
        budget: of each method: seconds, ``"2m"``, or ``"5000 evaluations"``. An evaluation is a
            forward pass of the network over all training rows; a backward pass counts as two.
        seeds: how often, from other first weights.
        objective: what the searches minimise and all are measured by: "loss", or "error", the
            fraction of rows in the wrong class, which has no derivative. Backpropagation always
            descends the loss.
        say: takes a sentence for each method.
        options: of the table and its network; see `chainrule.tables.TableOptions`.

    Raises:
        ConfigError: an option is invalid.
        DataError: the table cannot be read or learned from.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> x = np.linspace(-2, 2, 80)
        >>> found = cr.evolve.compare({"x": x, "y": x**2}, target="y", methods=["backprop", "es"],
        ...                           budget="1280 evaluations", hidden=(4,), backend="numpy")
        >>> [row["method"] for row in found.table()], found.parameters
        (['backprop', 'es'], 13)
    """
    methods = chosen_methods(methods, METHODS)
    chosen = budget if isinstance(budget, Budget) else Budget.of(budget)
    chosen.need("passes")
    if seeds < 1:
        raise ConfigError("Invalid value for seeds.", expected="an integer from 1",
                          found=repr(seeds))  # fmt: skip
    problem = problem_of(source, objective, **options)
    first = int(options.get("seed") or 0)
    curves: dict[str, list[Curve]] = {name: [] for name in methods}
    measure = problem.measures()
    interrupted = False
    try:
        for seed, name in itertools.product(range(first, first + seeds), methods):
            problem.initialize(seed)
            trail = run(name, problem, chosen, seed, lambda: None)
            curve = _curve(problem, trail, measure)
            curves[name].append(curve)
            say(
                f"{METHODS[name]}, seed {seed}: {problem.measured} {curve.train[-1]:.4g}, held out "
                f"{curve.held_out[-1]:.4g}, after {curve.passes[-1]:,.0f} forward passes in "
                f"{curve.seconds[-1]:.1f} s ({curve.reason})"
            )
    except KeyboardInterrupt:
        if not any(curves.values()):
            raise
        interrupted = True
        say("Interrupted: what follows is of the methods that had come to their end.")
    network = problem.network
    return Comparison(
        problem.name, problem.task, problem.measured, str(chosen),
        (len(problem.train), len(problem.held_out)), problem.parameters,
        _in_words(network), {name: tuple(found) for name, found in curves.items() if found},
        {name: dict(metrics) for name, metrics in problem.constant.items()}, problem.notes,
        interrupted,
    )  # fmt: skip


def chosen_methods(
    methods: Sequence[str] | str, known: Iterable[str], short: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The methods that are named, each once, by their own names instead of short ones.

    Raises:
        ConfigError: there is none, or one is unknown.
    """
    given = methods.split(",") if isinstance(methods, str) else methods
    known = list(known)
    found = tuple(dict.fromkeys((short or {}).get(n.strip(), n.strip()) for n in given))
    if not any(found):
        raise ConfigError("No methods are named.", expected=f"some of {', '.join(known)}")
    for name in found:
        if name not in known:
            raise unknown("method", name, known)
    return found


def _in_words(network: Any) -> str:
    sizes = [layer.weight.shape[-1] for layer in network.layers]
    return f"hidden layers {'-'.join(map(str, sizes)) or 'none'}"


def _curve(
    problem: Problem, trail: Trail, measure: Callable[[Array], tuple[float, float]]
) -> Curve:
    """The best so far at each place, by the training rows."""
    train, held_out, best = [], [], 0
    found = [measure(vector) for vector in trail.weights]
    for i, (value, _) in enumerate(found):
        if value < found[best][0] or not math.isfinite(found[best][0]):
            best = i
        train.append(found[best][0])
        held_out.append(found[best][1])
    before = problem.network.state()
    Weights(problem.network).assign(trail.weights[best])
    metrics = problem.final()
    problem.network.load_state(before)
    return Curve(
        tuple(trail.seconds), tuple(map(float, trail.passes)), tuple(train), tuple(held_out),
        metrics, trail.steps, trail.reason,
    )  # fmt: skip

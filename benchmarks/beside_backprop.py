"""When gradients win and when they do not: the figures of docs/beside_backprop.md.

    python benchmarks/beside_backprop.py                 # all, about five minutes on two cores
    python benchmarks/beside_backprop.py growth          # one of: table, none, rugged, growth
    python benchmarks/beside_backprop.py --write         # and puts them into the page

One thread. A forward pass is one of the network over all training rows; a backward pass counts as
two. Medians of the seeds.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.evolve import (
    CMAES,
    DifferentialEvolution,
    EvolutionStrategy,
    GeneticAlgorithm,
    f1_error,
    zero_one,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "beside_backprop.md"
SEEDS = 3


def rows(titles: list[str], found: list[list[Any]]) -> str:
    """A table of Markdown."""
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|--:" * (len(titles) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in found]
    return "\n".join(lines)


# ---- a table -----------------------------------------------------------------------------------


def table() -> str:
    """Every method on one table, by forward passes."""
    import polars as pl

    frame = pl.read_parquet(ROOT / "examples" / "data" / "house_prices.parquet").gather_every(40)
    found = cr.evolve.compare(
        frame, target="price", methods=list(cr.evolve.comparison.METHODS),
        budget="4000 evaluations", seeds=1, hidden=(16,), say=say,
    )  # fmt: skip
    lines = [
        [row["title"], f"{row['train']:.3f}", f"{row['held_out']:.3f}",
         f"{row['metrics']['r2']:.3f}", f"{row['seconds']:.1f}",
         "–" if row["passes_to_limit"] is None else f"{row['passes_to_limit']:,.0f}"]
        for row in found.table()
    ]  # fmt: skip
    about = (
        f"{found.rows[0]:,} house sales to learn from, {found.rows[1]:,} held out, a network of "
        f"{found.parameters:,} weights, 4,000 forward passes each, one seed."
    )
    titles = ["method", "loss", "held out", "R²", "seconds", "passes to 90 %"]
    return about + "\n\n" + rows(titles, lines)


# ---- losses without a derivative ---------------------------------------------------------------


def imbalanced(seed: int, count: int) -> tuple[Any, Any]:
    """Two classes that overlap; one in twelve is of the rarer one."""
    rng = np.random.default_rng([seed, count])
    y = (rng.uniform(size=count) < 1 / 12).astype("int64")
    x = rng.normal(size=(count, 4)).astype("float32")
    x[:, :2] += 1.2 * y[:, None]
    return x, y


class Steps(cr.nn.Module):
    """Hidden units that are on or off, so that the loss has no gradient with respect to theirs."""

    def __init__(self, inputs: int, units: int, outputs: int) -> None:
        self.first, self.last = cr.nn.Linear(inputs, units), cr.nn.Linear(units, outputs)

    def forward(self, x: Any) -> Any:
        """Logits."""
        return self.last(cr.where(self.first(x) > 0, 1.0, -1.0))


def descend(model: Any, loss: Any, data: tuple[Any, Any], passes: int, lr: float = 0.02) -> None:
    """Adam on all rows; a step is three forward passes."""
    trainer = cr.Trainer(model, loss, "adam", lr=lr, progress=False, backend="numpy")
    trainer.fit(data, epochs=passes // 3, batch_size=None)


def without_derivative() -> str:
    """F1 of a rare class, and units that are steps."""
    passes, lines = 3_000, []
    cases: list[tuple[str, Callable[[], Any], Any, Any, Any]] = [
        ("F1 of two classes, one rare", lambda: cr.models.mlp(4, 2, [8], cr.nn.Tanh), imbalanced,
         f1_error, 400),
        ("accuracy, hidden units that are steps", lambda: Steps(2, 12, 2), rings, zero_one, 300),
    ]  # fmt: skip
    for name, make, draw, error, count in cases:
        measured: dict[str, list[float]] = {"backprop": [], "cma": [], "ga": []}
        for seed in range(SEEDS):
            data, others = draw(seed, count), draw(seed + 100, 2_000)
            for method, scores in measured.items():
                model = make().initialize(seed)
                if method == "backprop":
                    descend(model, "cross_entropy", data, passes)
                else:
                    strategy = (
                        CMAES(0.3, population=32) if method == "cma"
                        else GeneticAlgorithm(0.3, crossover=None, population=64, decay=0.98)
                    )  # fmt: skip
                    cr.evolve.fit(model, error, data, strategy, evaluations=passes, seed=seed)
                scores.append(1 - error(model(others[0]), others[1]).item())
        say(f"{name}: {measured}")
        lines.append([name, *(f"{median(scores):.3f}" for scores in measured.values())])
    titles = ["on rows held out", "backprop, cross-entropy", "CMA-ES, the measure itself",
              "genetic algorithm, the measure itself"]  # fmt: skip
    return f"{passes:,} forward passes each, {SEEDS} seeds.\n\n" + rows(titles, lines)


def rings(seed: int, count: int) -> tuple[Any, Any]:
    """A disc inside a ring, with a few labels that are wrong."""
    rng = np.random.default_rng([seed, count])
    x = rng.uniform(-1, 1, size=(count, 2)).astype("float32")
    y = (x**2).sum(1) < 0.6
    return x, (y ^ (rng.uniform(size=count) < 0.03)).astype("int64")


# ---- rugged and deceptive landscapes -----------------------------------------------------------


def rastrigin(x: Any) -> Any:
    """A bowl with a valley at every point of integers."""
    return (x**2 - 10 * cr.cos(2 * np.pi * x) + 10).sum()


def schwefel(x: Any) -> Any:
    """The second best valley is far from the best one; outside of ±500 it rises."""
    inside = cr.clip(x, -500.0, 500.0)
    return (
        418.98288727 * x.shape[0]
        - (inside * cr.sin(cr.sqrt(abs(inside)))).sum()
        + ((x - inside) ** 2).sum()
    )


def bowl(x: Any) -> Any:
    """One round valley, a hundred times as steep in one direction as in another."""
    return (np.logspace(0, 2, x.shape[0]) * x**2).sum()


def descents(f: Any, n: int, reach: float, budget: int, seed: int, target: float) -> float:
    """Adam from one start after the other, four at once; evaluations until one is at the target.

    An evaluation with its gradient counts as three.
    """
    rng = np.random.default_rng(seed)
    starts, steps = 4, 2_500

    def once(x: Any, m: Any, v: Any, t: Any, rate: Any) -> Any:
        value, g = cr.vmap(cr.value_and_grad(f))(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        moved = rate * (m / (1 - 0.9**t)) / (cr.sqrt(v / (1 - 0.999**t)) + 1e-12)
        return x - moved, m, v, cr.min(value)

    step = cr.compile(once, backend="numpy")
    used = 0
    while True:
        x = rng.uniform(-reach, reach, size=(starts, n))
        m = v = np.zeros_like(x)
        for t in range(1, steps + 1):
            if used >= budget:
                return np.inf
            rate = 0.02 * reach * (1 + np.cos(np.pi * t / steps)) / 2 + 1e-9
            x, m, v, lowest = step(x, m, v, float(t), float(rate))
            used += 3 * starts
            if lowest.item() <= target:
                return used


def rugged() -> str:
    """How often the best valley is found, and with how many evaluations."""
    budget, lines = 60_000, []
    functions = {
        "a bowl, 100 numbers": (bowl, 100, 5.0, 1e-6),
        "Rastrigin, 10 numbers": (rastrigin, 10, 5.12, 1e-6),
        "Schwefel, 5 numbers": (schwefel, 5, 500.0, 1e-3),
    }
    for name, (f, n, reach, target) in functions.items():
        strategies = {
            "CMA-ES, population 200": CMAES(reach / 3, population=200),
            "differential evolution": DifferentialEvolution(
                differential_weight=0.5, crossover_rate=0.3, population=50
            ),
            "genetic algorithm": GeneticAlgorithm(
                reach / 3, mutation_rate=0.2, decay=0.99, crossover="uniform", population=200
            ),
        }
        cells = []
        for seed in range(SEEDS):
            cells.append([descents(f, n, reach, budget, seed, target)])
            for strategy in strategies.values():
                start = np.random.default_rng(seed).uniform(-reach, reach, n)
                found = cr.evolve.minimize(
                    f, start, strategy, evaluations=budget, target=target, seed=seed,
                    bounds=(-reach, reach),
                )  # fmt: skip
                cells[-1].append(found.evaluations if found.loss <= target else np.inf)
        say(f"{name}: {cells}")
        lines.append([name, *(_found(column) for column in zip(*cells, strict=True))])
    titles = ["", "gradient descent (Adam), restarted", *strategies]
    about = (
        f"How many of {SEEDS} searches find the best valley within {budget:,} evaluations (with a "
        "gradient: three), and the median of those that do."
    )
    return about + "\n\n" + rows(titles, lines)


def _found(column: Any) -> str:
    reached = [x for x in column if np.isfinite(x)]
    said = f"{len(reached)} of {len(column)}"
    return said + (f" ({median(reached):,.0f})" if reached else "")


# ---- growing networks --------------------------------------------------------------------------

#: Hidden units of two layers, for about 10² to 10⁶ weights.
WIDTHS = (6, 27, 95, 312, 996)
_INPUTS, _ROWS, _PAIRS = 8, 32, 64


def growth() -> str:
    """The direction that pairs see, and what coming near costs, as the weights grow."""
    lines = []
    for width in WIDTHS:
        model = cr.models.mlp(_INPUTS, 1, [width, width], cr.nn.Tanh).initialize(0)
        n = sum(p.size for p in model.parameters().values())
        x, y = task()
        cosines = [cosine(model, x, y, seed) for seed in range(3 if n < 100_000 else 1)]
        small = width <= 95
        found = [
            f"{n:,}", f"{median(cosines):.3f}", f"{(_PAIRS / (_PAIRS + n)) ** 0.5:.3f}",
            *_costs(*(costs(width) if small else (None, None))),
            *_costs(*(bowls(n) if small else (None, None))),
        ]  # fmt: skip
        say(str(found))
        lines.append(found)
    titles = [
        "weights", "cosine", "√(k / (k + n))", "network, Adam", "evolution strategy", "ratio",
        "bowl, Adam", "CMA-ES, diagonal", "ratio",
    ]  # fmt: skip
    about = (
        f"Networks with two hidden layers on {_ROWS} rows, and a bowl Σ x² of as many numbers. The "
        f"cosine is that of the network's gradient and of its estimate from k = {_PAIRS} mirrored "
        "pairs. The other columns are forward passes until the loss is a tenth of what it was "
        "(of the bowl a hundredth; of the network for the better of two learning rates), up to "
        "about 10⁴ weights."
    )
    return about + "\n\n" + rows(titles, lines)


def _costs(gradient: float | None, search: float | None) -> list[str]:
    if gradient is None or search is None:
        return ["–" if x is None else f"{x:,.0f}" for x in (gradient, search, None)]
    return [f"{gradient:,.0f}", f"{search:,.0f}", f"{search / gradient:,.0f}"]


def bowls(n: int) -> tuple[float | None, float | None]:
    """Evaluations until a bowl of n numbers is a hundredth of what it was."""
    w = {"x": cr.parameter(np.ones(n, "float32"))}
    optimizer, target = cr.optim.Adam(w, lr=0.1), 0.01
    passes = 0
    while (w["x"].numpy() ** 2).mean() > target:
        optimizer.update(cr.value_and_grad(lambda p: (p["x"] ** 2).mean())(w)[1])
        passes += 3
    strategy = CMAES(0.3, separable=True)
    found = cr.evolve.minimize(
        lambda x: (x**2).mean(), np.ones(n), strategy, evaluations=1_000_000, target=target
    )
    return passes, found.evaluations if found.loss <= target else None


def task() -> tuple[Any, Any]:
    """A smooth function of eight numbers."""
    x = np.random.default_rng(0).normal(size=(_ROWS, _INPUTS)).astype("float32")
    return x, (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]).astype("float32")


def cosine(model: Any, x: Any, y: Any, seed: int) -> float:
    """Of the gradient, and its estimate from pairs of losses."""
    gradient = cr.value_and_grad(lambda m: cr.losses.mse(m(x), y))(model)[1]
    weights = cr.evolve.vectors.Weights(model)
    g = np.concatenate([gradient[path].numpy().reshape(-1) for path in weights.parameters])

    def loss(vector: Any) -> Any:
        with weights.standing(vector):
            return cr.losses.mse(model(x), y)

    losses = cr.compile(cr.vmap(loss), backend="numpy")
    rng = np.random.default_rng(seed)
    estimate = np.zeros_like(g)
    for _ in range(_PAIRS // 8):
        noise = rng.normal(size=(8, len(g))).astype("float32")
        up, down = (losses(weights.start + s * 0.01 * noise).numpy() for s in (1, -1))
        estimate += (up - down) @ noise
    return float(estimate @ g / np.linalg.norm(estimate) / np.linalg.norm(g))


def costs(width: int) -> tuple[float | None, float | None]:
    """Forward passes until the loss is a tenth of what it was: of Adam, and of the strategy."""
    x, y = task()
    begin = cr.models.mlp(_INPUTS, 1, [width, width], cr.nn.Tanh).initialize(0)
    target = 0.1 * cr.losses.mse(begin(x), y).item()
    by_gradient, by_search = [], []
    for lr in (0.03, 0.01):
        model = cr.models.mlp(_INPUTS, 1, [width, width], cr.nn.Tanh).initialize(0)
        trainer = cr.Trainer(model, "mse", "adam", lr=lr, progress=False)
        history = trainer.fit((x, y), epochs=400, batch_size=None, validation=(x, y))
        reached = [i for i, loss in enumerate(history["val_loss"], 1) if loss <= target]
        by_gradient += [3 * reached[0]] if reached else []
        model.initialize(0)
        strategy = EvolutionStrategy(0.02, lr=lr, population=2 * _PAIRS)
        found = cr.evolve.fit(model, "mse", (x, y), strategy, evaluations=60_000, target=target)
        by_search += [found.evaluations] if found.loss <= target else []
    return min(by_gradient, default=None), min(by_search, default=None)


# ---- all ---------------------------------------------------------------------------------------


def say(sentence: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


PARTS = {"table": table, "none": without_derivative, "rugged": rugged, "growth": growth}


def main() -> None:
    """Measure, print, and with ``--write`` fill the page."""
    asked = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
    for name in asked:
        text = PARTS[name]()
        print(f"{text}\n")
        if "--write" in sys.argv:
            page = PAGE.read_text(encoding="utf-8")
            mark = f"<!-- {name} -->"
            page = re.sub(f"{mark}.*?{mark}", f"{mark}\n{text}\n{mark}", page, flags=re.DOTALL)
            PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

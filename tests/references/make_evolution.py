"""How many evaluations CMA-ES of the package `cmaes` needs, for the tests.

    python tests/references/make_evolution.py

needs cmaes. Nine seeds for each function of ten numbers; None where 1e-8 was not reached.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cmaes
import numpy as np

SEEDS = 9
N = 10
TARGET = 1e-8


def sphere(x: Any) -> Any:
    return (x**2).sum()


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def ackley(x: Any) -> Any:
    spread = -20 * np.exp(-0.2 * np.sqrt((x**2).mean()))
    return spread - np.exp(np.cos(2 * np.pi * x).mean()) + 20 + np.e


def rastrigin(x: Any) -> Any:
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum()


#: The function, where the search begins, its first step, candidates in a generation, and when to
#: give up. None is the usual population.
CASES: dict[str, tuple[Callable[[Any], Any], float, float, int | None, int]] = {
    "sphere": (sphere, 1.0, 2.0, None, 20_000),
    "rosenbrock": (rosenbrock, 0.0, 0.5, None, 40_000),
    "ackley": (ackley, 10.0, 12.8, None, 20_000),
    "rastrigin": (rastrigin, 3.0, 2.0, 200, 60_000),
}


def evaluations(name: str, seed: int) -> int | None:
    """Until the target is reached, or None."""
    function, start, sigma, population, most = CASES[name]
    search = cmaes.CMA(np.full(N, start), sigma, seed=seed, population_size=population)
    used = 0
    while used < most and not search.should_stop():
        asked = [search.ask() for _ in range(search.population_size)]
        told = [(x, float(function(x))) for x in asked]
        used += len(told)
        search.tell(told)
        if min(value for _, value in told) < TARGET:
            return used
    return None


def main() -> None:
    found = {name: [evaluations(name, seed) for seed in range(SEEDS)] for name in CASES}
    print(found)
    content = {"package": f"cmaes {cmaes.__version__}", "target": TARGET, "n": N, "found": found}
    path = Path(__file__).with_name("evolution.json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

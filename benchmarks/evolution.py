"""Generations per second beside evosax, pygad and nevergrad, of the same algorithm and network.

    pip install jax evosax optax pygad nevergrad
    python benchmarks/evolution.py [--threads 2] [--quick]

Two networks with ReLU on 128 rows of 8 numbers, mean squared error, 256 candidates a generation,
float32. Each peer is a process of its own; they take turns, in three rounds, and whoever waits does
nothing. A rate is the median of the rounds. evosax runs 50 generations in one `lax.scan` under jit,
chainrule as many as its `Search.run` does in one call; pygad gets the losses of a whole population
from one NumPy function, and so does nevergrad, through ask and tell. Building the programs is not
counted; what it takes is printed beside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
NETWORKS = {"8-32-1": (8, 32, 1), "8-64-64-1": (8, 64, 64, 1)}
POPULATION, ROWS = 256, 128
#: What each peer has of the algorithms.
PEERS = {
    "chainrule": ("es", "ga", "cma", "sep-cma", "de"),
    "evosax": ("es", "ga", "cma", "sep-cma", "de"),
    "pygad": ("ga",),
    "nevergrad": ("de",),
}
#: A full covariance of the larger network takes minutes a generation.
LEFT_OUT = {("8-64-64-1", "cma")}

#: Runs some generations, and says how many.
Run = Callable[[], int]


def task(sizes: tuple[int, ...]) -> tuple[Any, Any, int, Any]:
    """The rows, the number of weights, and the first ones."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, sizes[0])).astype(np.float32)
    y = (np.sin(2 * x[:, :1]) * x[:, 1:2]).astype(np.float32)
    count = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    return x, y, count, (0.1 * rng.normal(size=count)).astype(np.float32)


def losses_by(np_: Any, sizes: tuple[int, ...], x: Any, y: Any) -> Callable[[Any], Any]:
    """The losses of a population (candidates, weights), in NumPy or in JAX."""

    def losses(population: Any) -> Any:
        h, place = x, 0
        for number, (a, b) in enumerate(itertools.pairwise(sizes)):
            w = population[:, place : place + a * b].reshape(-1, a, b)
            place += a * b
            h = h @ w + population[:, None, place : place + b]
            place += b
            if number < len(sizes) - 2:
                h = np_.maximum(h, 0)
        return ((h - y) ** 2).mean((1, 2))

    return losses


# ---- the peers ---------------------------------------------------------------------------------


def chainrule(sizes: tuple[int, ...], algorithm: str) -> Run:
    """`Search` on a network of ours."""
    import chainrule as cr
    from chainrule.evolve.vectors import Weights

    evolve = cr.evolve
    strategy = {
        "es": lambda: evolve.EvolutionStrategy(population=POPULATION),
        "ga": lambda: evolve.GeneticAlgorithm(
            0.1, selection="truncation", crossover=None, population=POPULATION
        ),
        "cma": lambda: evolve.CMAES(0.1, separable=False, population=POPULATION),
        "sep-cma": lambda: evolve.CMAES(0.1, separable=True, population=POPULATION),
        "de": lambda: evolve.DifferentialEvolution(0.1, population=POPULATION),
    }[algorithm]()
    x, y, _, _ = task(sizes)
    model = cr.models.mlp(sizes[0], sizes[-1], sizes[1:-1]).initialize(0)
    weights = Weights(model)

    def objective(vector: Any, x: Any, y: Any) -> Any:
        with weights.standing(vector):
            return cr.losses.mse(model(x), y)

    search = evolve.Search(strategy, weights.start, objective, backend="c")
    count = 5 if algorithm == "cma" else 50

    def run() -> int:
        search.run(count, x, y)
        return count

    return run


def evosax(sizes: tuple[int, ...], algorithm: str) -> Run:
    """Its algorithms in a loop under jit."""
    import jax
    import jax.numpy as jnp
    from evosax import algorithms

    x, y, _, first = task(sizes)
    kind = {
        "es": algorithms.Open_ES, "ga": algorithms.SimpleGA, "cma": algorithms.CMA_ES,
        "sep-cma": algorithms.Sep_CMA_ES, "de": algorithms.DifferentialEvolution,
    }[algorithm]  # fmt: skip
    losses = losses_by(jnp, sizes, jnp.asarray(x), jnp.asarray(y))
    start = jnp.asarray(first)
    es = kind(population_size=POPULATION, solution=start)
    params = es.default_params
    key = jax.random.key(0)
    if algorithm in ("ga", "de"):
        people = start + 0.1 * jax.random.normal(key, (POPULATION, len(first)))
        state = es.init(key, people, losses(people), params)
    else:
        state = es.init(key, start, params)
    count = 5 if algorithm == "cma" else 50

    def generation(state: Any, key: Any) -> Any:
        one, two = jax.random.split(key)
        people, state = es.ask(one, state, params)
        found = losses(people)
        state, _ = es.tell(two, people, found, state, params)
        return state, found.min()

    @jax.jit
    def many(state: Any, key: Any) -> Any:
        return jax.lax.scan(generation, state, jax.random.split(key, count))

    def run() -> int:
        nonlocal state, key
        key, one = jax.random.split(key)
        state, lowest = many(state, one)
        lowest.block_until_ready()
        return count

    return run


def pygad(sizes: tuple[int, ...], algorithm: str) -> Run:
    """Its genetic algorithm, with the losses of a whole generation at once."""
    import pygad as package

    x, y, count, first = task(sizes)
    losses = losses_by(np, sizes, x, y)
    rng = np.random.default_rng(0)
    people = first + 0.1 * rng.normal(size=(POPULATION, count)).astype(np.float32)
    generations = 2

    def fitness(instance: Any, solutions: Any, indices: Any) -> Any:
        return -losses(np.asarray(solutions, np.float32))

    def run() -> int:
        nonlocal people
        ga = package.GA(
            num_generations=generations, num_parents_mating=POPULATION // 2, fitness_func=fitness,
            fitness_batch_size=POPULATION, initial_population=people, keep_elitism=1,
            mutation_percent_genes=10, suppress_warnings=True,
        )  # fmt: skip
        ga.run()
        people = ga.population
        return generations

    return run


def nevergrad(sizes: tuple[int, ...], algorithm: str) -> Run:
    """Its differential evolution through ask and tell."""
    import nevergrad as ng

    x, y, _, first = task(sizes)
    losses = losses_by(np, sizes, x, y)
    parameter = ng.p.Array(init=first.astype(float)).set_mutation(sigma=0.1)
    kind = ng.families.DifferentialEvolution(popsize=POPULATION)
    optimizer = kind(parametrization=parameter, budget=10**8, num_workers=POPULATION)

    def run() -> int:
        asked = [optimizer.ask() for _ in range(POPULATION)]
        found = losses(np.stack([one.value for one in asked]).astype(np.float32))
        for one, loss in zip(asked, found, strict=True):
            optimizer.tell(one, float(loss))
        return 1

    return run


# ---- measuring ---------------------------------------------------------------------------------


def work(peer: str, network: str, algorithm: str) -> None:
    """A process: prints what building took, then for each line read a rate."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    begun = time.perf_counter()
    run = globals()[peer](NETWORKS[network], algorithm)
    run()
    print(json.dumps(time.perf_counter() - begun), file=answers, flush=True)
    for line in sys.stdin:
        seconds, done, begun = float(line), 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            done += run()
        print(json.dumps(done / (time.perf_counter() - begun)), file=answers, flush=True)


def main() -> None:
    """Measure and print a table of Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", nargs=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.worker:
        work(*given.worker)
        return
    environment = os.environ | {
        "CHAINRULE_THREADS": str(given.threads), "OMP_NUM_THREADS": str(given.threads),
        "OPENBLAS_NUM_THREADS": str(given.threads),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if given.threads > 1 else 'false'} "
        f"intra_op_parallelism_threads={given.threads}",
    }  # fmt: skip
    rounds, seconds = (1, 0.5) if given.quick else (3, 1.5)
    print("| network | algorithm | " + " | ".join(PEERS) + " | × the best peer |")
    print("|---|---|" + "--:|" * (len(PEERS) + 1), flush=True)
    for network in NETWORKS:
        for algorithm in PEERS["chainrule"]:
            if (network, algorithm) not in LEFT_OUT:
                print(row(network, algorithm, environment, rounds, seconds), flush=True)


def row(network: str, algorithm: str, environment: Any, rounds: int, seconds: float) -> str:
    """All peers that have the algorithm, in turns."""
    workers = {
        peer: subprocess.Popen(
            [sys.executable, __file__, "--worker", peer, network, algorithm], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for peer, algorithms in PEERS.items()
        if algorithm in algorithms
    }  # fmt: skip
    built = {peer: answer(worker) for peer, worker in workers.items()}
    rates: dict[str, list[float]] = {peer: [] for peer in workers}
    for _ in range(rounds):
        for peer, worker in workers.items():
            assert worker.stdin is not None
            print(seconds, file=worker.stdin, flush=True)
            rates[peer].append(answer(worker))
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    others = {peer: median(found) for peer, found in rates.items() if peer != "chainrule"}
    ours = median(rates["chainrule"])
    cells = [
        f"{median(rates[peer]):,.1f} ({built[peer]:.0f} s)" if peer in rates else "–"
        for peer in PEERS
    ]
    return f"| {network} | {algorithm} | {' | '.join(cells)} | {ours / max(others.values()):.1f} |"


def answer(worker: subprocess.Popen[str]) -> float:
    """The next number that a worker prints."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"A peer has failed: {worker.args!r}")
    return float(json.loads(line))


if __name__ == "__main__":
    main()

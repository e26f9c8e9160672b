"""The strategies: what they reach, whether it repeats, what they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.evolve import (
    CMAES,
    STRATEGIES,
    DifferentialEvolution,
    EvolutionStrategy,
    GeneticAlgorithm,
    HillClimbing,
    RandomSearch,
    Search,
    SimulatedAnnealing,
    minimize,
)
from chainrule.evolve.strategy import centred_ranks

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "references" / "evolution.json").read_text(encoding="utf-8")
)


def sphere(x):
    return (x**2).sum()


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def ackley(x):
    spread = -20 * cr.exp(-0.2 * cr.sqrt((x**2).mean()))
    return spread - cr.exp(cr.cos(2 * math.pi * x).mean()) + 20 + math.e


def rastrigin(x):
    return (x**2 - 10 * cr.cos(2 * math.pi * x) + 10).sum()


#: As in `tests/references/make_evolution.py`.
CASES = {
    "sphere": (sphere, 1.0, 2.0, None, 20_000),
    "rosenbrock": (rosenbrock, 0.0, 0.5, None, 40_000),
    "ackley": (ackley, 10.0, 12.8, None, 20_000),
    "rastrigin": (rastrigin, 3.0, 2.0, 200, 60_000),
}


def evaluations(name, seeds):
    """What each seed needs to reach the target; infinity for never."""
    function, start, sigma, population, most = CASES[name]
    found = []
    for seed in seeds:
        result = minimize(
            function, [start] * REFERENCE["n"], CMAES(sigma, population=population),
            evaluations=most, target=REFERENCE["target"], seed=seed, backend="c",
        )  # fmt: skip
        found.append(result.evaluations if result.loss <= REFERENCE["target"] else math.inf)
    return found


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("sphere", 5),
        ("ackley", 3),
        *(pytest.param(name, 9, marks=pytest.mark.nightly) for name in ("rosenbrock", "sphere")),
    ],
)
def test_cma_needs_as_many_evaluations_as_the_package_cmaes(name, seeds):
    expected = median(REFERENCE["found"][name])
    assert median(evaluations(name, range(seeds))) <= 1.2 * expected


@pytest.mark.nightly
def test_cma_finds_the_optimum_among_many_as_often_as_the_package_cmaes():
    expected = sum(x is not None for x in REFERENCE["found"]["rastrigin"])
    assert sum(map(math.isfinite, evaluations("rastrigin", range(9)))) >= expected - 1


#: Each with options that suit a quadratic of four numbers, from a distance of 4.
ALL = {
    "ga": (GeneticAlgorithm(population=40, decay=0.97), 0.02),
    "es": (EvolutionStrategy(0.1, lr=0.1, population=20), 0.02),
    "cma": (CMAES(), 1e-9),
    "random": (RandomSearch(3.0, population=40), 8.0),
    "hill": (HillClimbing(), 1e-4),
    "annealing": (SimulatedAnnealing(1.0, cooling=0.95), 0.05),
    "de": (DifferentialEvolution(2.0, differential_weight=0.5), 1e-4),
}
TARGET = np.array([1.0, -2.0, 3.0, 0.5])


def test_every_strategy_is_here():
    assert ALL.keys() == STRATEGIES.keys()
    assert all(type(strategy) is STRATEGIES[name] for name, (strategy, _) in ALL.items())


@pytest.mark.parametrize("name", ALL)
def test_what_is_reached_repeats_to_the_bit(name):
    strategy, enough = ALL[name]

    def shifted(x):
        return ((x - cr.tensor(TARGET)) ** 2).sum()

    runs = [
        minimize(shifted, np.zeros(4), strategy, evaluations=2_400, seed=seed, backend="numpy")
        for seed in (0, 0, 1)
    ]
    one, same, other = runs
    assert one.loss < enough
    assert one.loss == pytest.approx(((one.best - TARGET) ** 2).sum(), rel=1e-9)
    np.testing.assert_array_equal(one.best, same.best)
    assert one.progress.lowest == same.progress.lowest
    assert one.progress.lowest != other.progress.lowest
    assert one.progress.best == np.minimum.accumulate(one.progress.lowest).tolist()
    assert one.evaluations == one.generations * strategy.size(4) <= 2_400


@pytest.mark.parametrize("name", ALL)
def test_asking_and_telling_takes_the_same_way(name):
    """Losses that are measured outside lead where those in the program lead."""
    strategy, _ = ALL[name]

    def loss(x):
        return (x**2).sum() + abs(x[0])

    inside = Search(strategy, np.ones(4), loss, seed=3, backend="numpy")
    inside.run(6)
    outside = Search(strategy, np.ones(4), seed=3, backend="numpy")
    for _ in range(6):
        candidates = outside.ask()
        assert candidates.shape == (outside.size, 4)
        np.testing.assert_array_equal(candidates, outside.ask())  # until they are told of
        outside.tell((candidates**2).sum(1) + abs(candidates[:, 0]))
    np.testing.assert_allclose(inside.best, outside.best, rtol=1e-9, atol=1e-12)
    assert inside.evaluations == outside.evaluations == 6 * inside.size


@pytest.mark.parametrize(
    "name", ["cma", "ga", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("de", "es"))]
)
def test_native_programs_take_the_same_way(name):
    strategy, _ = ALL[name]
    ends = [
        minimize(rosenbrock, np.full(4, 0.5), strategy, evaluations=10 * strategy.size(4),
                 backend=backend)
        for backend in ("numpy", "c")
    ]  # fmt: skip
    np.testing.assert_allclose(ends[0].best, ends[1].best, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ends[0].progress.mean, ends[1].progress.mean, rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_bounds_hold(name):
    low, high = np.array([0.5, -1.0]), np.array([2.0, -0.5])
    seen = []

    def watched(x):
        seen.append(x.copy())
        return (x**2).sum()

    found = minimize(
        watched, [0.0, 0.0], ALL[name][0], bounds=(low, high), evaluations=1_200, compiled=False,
        backend="numpy",
    )  # fmt: skip
    assert (np.array(seen) >= low).all()
    assert (np.array(seen) <= high).all()
    np.testing.assert_allclose(found.best, [0.5, -0.5], atol=0.1)


@pytest.mark.parametrize("name", ALL)
def test_losses_that_are_not_numbers_are_the_worst(name):
    """Half of the space gives NaN; the optimum lies at its edge."""

    def loss(x):
        return cr.where(x[0] > 1.0, (x**2).sum(), math.nan)

    strategy, _ = ALL[name]
    found = minimize(loss, np.full(4, 1.5), strategy, evaluations=2_000, backend="numpy")
    assert math.isfinite(found.loss)
    assert found.best[0] > 1
    assert all(math.isfinite(x) for x in found.progress.best)


def test_equal_losses_move_nothing_and_are_said():
    strategy = EvolutionStrategy(0.1, population=8)
    with pytest.warns(UserWarning, match="had the same loss, 7"):
        found = minimize(lambda x: 7.0 + 0.0 * x.sum(), [1.0, 2.0], strategy, evaluations=10_000,
                         backend="numpy")  # fmt: skip
    np.testing.assert_array_equal(found.centre, [1.0, 2.0])
    assert found.reason.startswith("all losses of")
    assert found.evaluations < 10_000
    for name in ("cma", "hill", "ga", "de", "annealing", "random"):
        with pytest.warns(UserWarning, match="had the same loss"):
            minimize(lambda x: 7.0 + 0.0 * x.sum(), [1.0, 2.0], name, evaluations=600,
                     backend="numpy")  # fmt: skip


def test_a_search_that_has_converged_says_so():
    found = minimize(sphere, [1.0, 1.0], CMAES(tolerance=1e-6), backend="numpy")
    assert found.reason == "the steps are too small to matter"
    assert found.evaluations < 3_000
    tiny = minimize(lambda x: -x.sum(), [0.0, 0.0], CMAES(1e-4), backend="numpy")
    assert "grow without end" in tiny.reason


def test_ranks_are_shared_by_equal_losses():
    found = centred_ranks(cr.tensor([5.0, 1.0, math.inf, 1.0, 1.0]))
    np.testing.assert_allclose(found.numpy(), [0.25, -0.25, 0.5, -0.25, -0.25])
    assert centred_ranks(cr.tensor([2.0, 2.0])).tolist() == [0, 0]


def test_the_gradient_of_the_evolution_strategy_is_that_of_its_formula():
    """One generation with plain gradient descent, computed again with NumPy."""
    strategy = EvolutionStrategy(0.5, lr=0.3, optimizer="sgd", population=6)
    search = Search(strategy, np.array([1.0, -1.0]), backend="numpy")
    candidates = search.ask()
    noise = (candidates[:3] - [1.0, -1.0]) / 0.5
    np.testing.assert_allclose(candidates[3:], [1.0, -1.0] - 0.5 * noise)  # mirrored
    losses = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0])
    search.tell(losses)
    ranks = np.array([3, 0, 4, 1, 5, 2]) / 5 - 0.5
    expected = [1.0, -1.0] - 0.3 * ((ranks[:3] - ranks[3:]) @ noise) / 6
    np.testing.assert_allclose(search.centre, expected, rtol=1e-6)


def test_elites_stay_and_are_not_evaluated_again():
    seen = []

    def watched(x):
        seen.append(tuple(x))
        return float((x**2).sum())

    strategy = GeneticAlgorithm(population=10, elites=3, mutation=0.1)
    search = Search(strategy, np.ones(3), backend="numpy")
    for _ in range(5):
        search.tell([watched(x) for x in search.ask()])
    assert len(set(seen)) == len(seen)
    people = {tuple(x) for x in search._state["population"].numpy()}
    assert tuple(search.best) in people
    assert len(people & set(sorted(seen, key=lambda x: sum(y**2 for y in x))[:3])) == 3


@pytest.mark.parametrize("selection", ["tournament", "rank", "truncation"])
def test_selection_prefers_small_losses(selection):
    strategy = GeneticAlgorithm(selection=selection, population=400, truncation=0.25)
    losses = cr.tensor(np.arange(400.0)[::-1].copy())
    chosen = strategy._chosen(losses, cr.random.key(1)).numpy()
    rank = 399 - chosen  # 0 is the best
    # Of three at random the best has a mean rank of 1/4; linear ranking: 1/3; of a quarter: 1/8.
    expected = {"tournament": 0.25, "rank": 1 / 3, "truncation": 0.125}[selection]
    assert rank.mean() / 400 == pytest.approx(expected, abs=0.03)
    assert selection != "truncation" or rank.max() < 100


def test_crossover_mixes_two_parents():
    a, b = cr.zeros((50, 20)), cr.ones((50, 20))
    key = cr.random.key(0)
    uniform = GeneticAlgorithm()._crossed(a, b, key).numpy()
    assert set(np.unique(uniform)) == {0, 1}
    assert uniform.mean() == pytest.approx(0.5, abs=0.05)
    blend = GeneticAlgorithm(crossover="blend")._crossed(a, b, key).numpy()
    assert -0.5 <= blend.min() < -0.3
    assert 1.3 < blend.max() <= 1.5
    assert GeneticAlgorithm(crossover=None)._crossed(a, b, key) is a


def test_the_three_others_of_differential_evolution_differ():
    from chainrule.evolve.differential import _others

    counts = np.zeros((4, 6))
    for seed in range(200):
        members = [np.arange(6), *(x.numpy() for x in _others(cr.random.key(seed), 6))]
        together = np.stack(members)
        assert all(len(set(column)) == 4 for column in together.T)
        for row in range(1, 4):
            counts[row, together[row, 0]] += 1
    assert (counts[1:, 0] == 0).all()
    assert counts[1:, 1:].min() > 20  # of 200, a fifth each


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GeneticAlgorithm(population=1), "population"),
        (lambda: EvolutionStrategy(population=1), "population"),
        (lambda: EvolutionStrategy(population=7), "even number"),
        (lambda: CMAES(population=2), "population"),
        (lambda: DifferentialEvolution(population=3), "population"),
        (lambda: HillClimbing(population=0), "population"),
        (lambda: RandomSearch(population=2.5), "population"),
        (lambda: CMAES(0.0), "sigma"),
        (lambda: CMAES(math.nan), "sigma"),
        (lambda: CMAES(math.inf), "sigma"),
        (lambda: CMAES(separable="yes"), "separable"),
        (lambda: EvolutionStrategy(lr=-1.0), "lr"),
        (lambda: EvolutionStrategy(optimizer="adamm"), "optimizer"),
        (lambda: GeneticAlgorithm(selection="roulette"), "selection"),
        (lambda: GeneticAlgorithm(crossover="single"), "crossover"),
        (lambda: GeneticAlgorithm(mutation_rate=1.5), "mutation_rate"),
        (lambda: GeneticAlgorithm(population=4, elites=4), "elites"),
        (lambda: SimulatedAnnealing(cooling=1.1), "cooling"),
        (lambda: DifferentialEvolution(variant="worst"), "variant"),
    ],
)
def test_invalid_options_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_population_of_one_is_a_climb():
    found = minimize(sphere, [1.0, 1.0], HillClimbing(population=1), evaluations=600,
                     backend="numpy")  # fmt: skip
    assert found.loss < 1e-6


def test_separable_learns_scales():
    scales = np.logspace(0, 3, 8)
    found = minimize(
        lambda x: ((x * cr.tensor(scales)) ** 2).sum(), np.ones(8), CMAES(separable=True),
        evaluations=20_000, target=1e-10, backend="c",
    )  # fmt: skip
    assert found.reason == "the target is reached"
    assert CMAES().interval(1_001) == 0  # too many for a full covariance
    assert CMAES().interval(500) > 1  # which is decomposed now and then

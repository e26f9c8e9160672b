"""Policies by search: returns of whole episodes, on environments written with operations."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, TrainingError
from chainrule.evolve import CMAES, EvolutionStrategy, fit_policy
from chainrule.evolve.comparison import PolicyComparison, policy_page
from chainrule.evolve.comparison.policies import PolicyCurve

pytestmark = pytest.mark.usefixtures("without_compiler")


class Walk(cr.rl.Environment):
    """Ten steps to one side or the other; the place is what counts, until a wall is met."""

    name, time_limit = "Walk", 10
    observation_space = cr.rl.Box.of([-9.0], [9.0], ["place"])
    action_space = cr.rl.Discrete(2, ("left", "right"))

    def reset(self, key, count):
        return cr.random.uniform(key, (count,), -1.0, 1.0)

    def step(self, state, action, key):
        new = state + (2.0 * action.astype("float32") - 1.0)
        return new, new, cr.abs(new) >= 4.0

    def observe(self, state):
        return state[:, None]


class Point(cr.rl.Environment):
    """One action, a number; the reward is how near it is to a half."""

    name, time_limit = "Point", 1
    observation_space = cr.rl.Box.of([0.0], [1.0], ["nothing"])
    action_space = cr.rl.Box.of([-2.0], [2.0])

    def reset(self, key, count):
        return cr.ones((count,))

    def step(self, state, action, key):
        return state, -cr.abs(action[:, 0] - 0.5), state > 0

    def observe(self, state):
        return state[:, None]


def test_the_return_is_the_sum_of_rewards_until_the_end():
    """Always to the right from s: the places s + 1, …, until one is 4 or more."""
    policy = cr.nn.Linear(1, 2).initialize(0)
    policy.weight.assign([[0.0, 0.0]])
    policy.bias.assign([-1.0, 1.0])
    policy.freeze("weight")
    found = fit_policy(policy, Walk(), CMAES(1e-3, population=4), evaluations=4, backend="numpy")
    starts = cr.random.uniform(
        cr.random.fold_in(cr.random.fold_in(cr.random.key(0), -2), 0), (32,), -1.0, 1.0
    ).numpy()
    expected = [sum(s + i for i in range(1, 6 if s < 0 else 5)) for s in starts]
    assert found.loss == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_policy_learns_where_to_go_and_repeats_to_the_bit():
    ends = []
    for _ in range(2):
        policy = cr.nn.Linear(1, 2).initialize(3)
        found = fit_policy(policy, Walk(), CMAES(1.0), evaluations=180, backend="numpy")
        ends.append(found)
    assert ends[0].loss == ends[1].loss
    assert ends[0].progress.lowest == ends[1].progress.lowest
    assert ends[0].loss > 9  # right: 1 + 2 + 3 + 4, give or take the start
    assert policy(cr.tensor([[0.0]])).numpy().argmax() == 1


def test_actions_that_are_numbers_lie_within_the_bounds():
    policy = cr.nn.Linear(1, 1).initialize(0)
    strategy = EvolutionStrategy(0.1, lr=0.1, population=16)
    found = fit_policy(policy, Point(), strategy, target=-0.02, evaluations=1_600, backend="numpy")
    assert found.reason == "the target is reached"
    assert found.loss > -0.1
    assert found.progress.best[-1] >= -0.02


@pytest.mark.nightly
def test_cart_pole_is_balanced():
    policy = cr.models.mlp(4, 2, [8], cr.nn.Tanh).initialize(0)
    found = fit_policy(policy, cr.rl.CartPole(), CMAES(0.5, population=32), evaluations=1_600)
    assert found.loss > 400


def test_seeds_that_never_come_near_count_in_the_median_of_what_it_took():
    def curve(*returns):
        places = tuple(float(10**i) for i in range(len(returns)))
        return PolicyCurve(places, places, returns, "the budget is spent")

    curves = {"es": (curve(0.0, 10.0), curve(0.0, 10.0), curve(0.0, 1.0, 2.0, 10.0))}
    curves["random"] = (curve(0.0, 10.0), curve(0.0, 1.0), curve(0.0, 1.0))
    curves["ga"] = (curve(0.0, 1.0, 10.0), curve(0.0, 10.0), curve(0.0, 1.0))
    curves["hill"] = (curve(0.0),) * 3  # it has ended where it began
    found = PolicyComparison("Walk", "4 episodes", 2, "none", curves)
    rows = {row["method"]: row for row in found.table()}
    taken = {name: row["episodes_to_limit"] for name, row in rows.items()}
    assert taken == {"es": 10, "random": None, "ga": 100, "hill": None}
    assert "never" in policy_page(found)


def test_what_is_refused():
    with pytest.raises(ConfigError, match="does not fit Walk"):
        fit_policy(cr.nn.Linear(1, 3), Walk(), evaluations=512)
    with pytest.raises(ConfigError, match="episodes"):
        fit_policy(cr.nn.Linear(1, 2), Walk(), episodes=0)
    with pytest.raises(ConfigError, match="too small"):
        fit_policy(cr.nn.Linear(1, 2), Walk(), evaluations=10)

    class Broken(Walk):
        def step(self, state, action, key):
            return state, state * np.nan, state > 9

    with pytest.raises(TrainingError, match="No candidate"):
        fit_policy(cr.nn.Linear(1, 2), Broken(), CMAES(), evaluations=60, backend="numpy")

"""Environments of Gymnasium: stepped from outside, with the same algorithms."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import chainrule as cr
from chainrule.rl.worlds import GymnasiumWorlds
from chainrule.training import Checkpoints

SMALL: dict[str, Any] = {"hidden": (8,), "backend": "numpy"}


class Counter(gymnasium.Env):  # type: ignore[misc]
    """Counts to ``ends``; what goes wrong can be chosen."""

    def __init__(self, ends: float = 5, action: Any = None, seen: Any = None, fails: str = ""):
        self.observation_space = seen or spaces.Box(0, 100, (1,), np.float32)
        self.action_space = action or spaces.Discrete(2, start=3)
        self.ends, self.fails, self.actions = ends, fails, []

    def _seen(self) -> Any:
        if isinstance(self.observation_space, spaces.Box):
            return np.full(self.observation_space.shape, self.steps, self.observation_space.dtype)
        return self.observation_space.sample()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        self.observation_space.seed(seed)
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.actions.append(action)
        if self.fails == "raise" and self.steps == 3:
            raise RuntimeError("the motor is too hot")
        reward = np.nan if self.fails == "reward" and self.steps == 3 else 1.0
        return self._seen(), reward, self.steps >= self.ends, False, {}


def test_an_episode_is_cut_into_steps():
    worlds = GymnasiumWorlds(Counter, 2, 0)
    found = worlds.rollout(lambda seen, step: (np.zeros(2, np.int64), {}), 7)
    assert found.observation[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert found.next_observation[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert found.terminated[:, 0].tolist() == [False] * 4 + [True] + [False] * 2
    assert found.total[:, 1].tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert set(worlds.envs[0].actions) == {3}  # the first action of Discrete(2, start=3)


def test_gymnasium_and_the_built_in_environment_pay_alike():
    agent = cr.rl.PPO("gymnasium:CartPole-v1", n_envs=2, n_steps=16, batch_size=16, n_epochs=1,
                      seed=0, **SMALL)  # fmt: skip
    history = agent.learn(64)
    assert history["steps"][-1] == 64
    assert agent.worlds.name == "CartPole-v1"
    assert agent.observation_space.shape == (4,)
    twin = cr.rl.PPO("CartPole-v1", n_envs=2, **SMALL)
    twin.network.load_state(agent.network.state())
    ours, theirs = (one.evaluate(10)[0].mean() for one in (twin, agent))
    assert ours == pytest.approx(theirs, rel=0.5)


@pytest.mark.parametrize("kind", ["dqn", "sac", "a2c"])
def test_other_algorithms_step_it(kind):
    box = spaces.Box(-1, 1, (2,), np.float32)
    make = lambda: Counter(action=box if kind == "sac" else None)  # noqa: E731
    more = {} if kind == "a2c" else {"learning_starts": 4, "batch_size": 4}
    agent = cr.rl.ALGORITHMS[kind](make, n_envs=2, **SMALL, **more)
    assert agent.learn(40)["episodes"][-1] == 8
    returns, lengths = agent.evaluate(2)
    assert (returns.tolist(), lengths.tolist()) == ([5.0, 5.0], [5, 5])


@pytest.mark.parametrize(
    ("seen", "size"),
    [
        (spaces.Discrete(4), 4),
        (spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(3)}), 5),
        (spaces.Tuple([spaces.MultiBinary(3), spaces.MultiDiscrete([2, 3])]), 8),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), 192),
        (spaces.Box(0, 10, (), np.float32), 1),
    ],
)
def test_observations_of_many_kinds(seen, size):
    agent = cr.rl.PPO(lambda: Counter(seen=seen), n_envs=1, n_steps=4, n_epochs=1, **SMALL)
    agent.learn(8)
    assert agent.observation_space.size == size
    if seen.shape == (8, 8, 3):
        assert agent.observation_space.high.max() == 1.0


def test_seeds_of_worlds_differ_and_repeat():
    def first(seed: int) -> list[float]:
        worlds = GymnasiumWorlds(lambda: gymnasium.make("CartPole-v1"), 3, seed)
        return [float(row[0]) for row in worlds._seen]

    assert first(1) == first(1)
    assert len({*first(1), *first(2)}) == 6


# ---- what goes wrong -------------------------------------------------------------------------


def test_an_environment_that_raises_is_named_and_the_agent_is_kept():
    agent = cr.rl.PPO(lambda: Counter(fails="raise"), n_envs=1, n_steps=8, **SMALL)
    before = agent.network.state()
    with pytest.raises(cr.errors.TrainingError) as caught:
        agent.learn(16)
    assert "RuntimeError: the motor is too hot" in str(caught.value)
    assert all((before[k] == x).all() for k, x in agent.network.state().items())


@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_a_reward_that_is_no_number(kind):
    agent = cr.rl.ALGORITHMS[kind](lambda: Counter(fails="reward"), n_envs=1, **SMALL)
    with pytest.raises(cr.errors.TrainingError, match="not finite"):
        agent.learn(200)


def test_an_episode_without_an_end():
    worlds = GymnasiumWorlds(lambda: Counter(ends=np.inf), 1, 0)
    with pytest.raises(cr.errors.TrainingError, match="does not end"):
        worlds.episodes(lambda seen, step: (np.zeros(1, np.int64), {}), 1, 0, most_steps=50)


def test_spaces_that_nothing_can_do_with():
    with pytest.raises(cr.errors.ConfigError) as caught:
        cr.rl.PPO(lambda: Counter(action=spaces.MultiDiscrete([2, 2])), **SMALL)
    assert "MultiDiscrete" in str(caught.value)
    with pytest.raises(cr.errors.ConfigError, match="observations"):
        cr.rl.PPO(lambda: Counter(seen=spaces.Sequence(spaces.Discrete(3))), **SMALL)
    with pytest.raises(cr.errors.ConfigError, match="side by side"):
        cr.rl.PPO(Counter(), n_envs=2, **SMALL)
    assert cr.rl.PPO(Counter(), n_envs=1, **SMALL).worlds.count == 1


def test_names_that_gymnasium_does_not_know():
    with pytest.raises(cr.errors.ConfigError) as caught:
        cr.rl.PPO("CartPoel-v1")
    assert "CartPole-v1" in str(caught.value)


def test_pictures_are_drawn_for_an_episode_only():
    agent = cr.rl.A2C("gymnasium:CartPole-v1", n_envs=2, **SMALL)
    assert [env.render_mode for env in agent.worlds.envs] == [None, None]
    assert agent.worlds.draw().render_mode == "rgb_array"


def test_a_training_goes_on_with_new_episodes(tmp_path):
    def agent() -> cr.rl.A2C:
        return cr.rl.A2C("gymnasium:CartPole-v1", n_envs=2, n_steps=4, **SMALL)

    first, again = agent(), agent()
    first.learn(16, checkpoints=Checkpoints(tmp_path, every=0))
    seen = again.worlds._seen.copy()
    again.learn(16, checkpoints=tmp_path, resume=True)
    assert again.steps == 16  # nothing was left to do
    assert (again.worlds._seen != seen).all()
    np.testing.assert_array_equal(again.network.actor.layers[0].weight.numpy(),
                                  first.network.actor.layers[0].weight.numpy())  # fmt: skip

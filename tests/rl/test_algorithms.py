"""Agents learn, repeat to the bit, stop in good order, and say what they cannot do."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.rl.algorithms import off_policy, on_policy
from chainrule.rl.networks import Normalizer
from chainrule.rl.replay import PrioritizedReplay, Replay
from chainrule.rl.worlds import Rollout
from chainrule.training import Checkpoints

from ..nightly import by_night


class Choice(cr.rl.Environment):
    """See a sign; the reward is for the action that it asks for. Episodes are four steps long."""

    name, time_limit = "Choice", 4
    observation_space = cr.rl.Box.of([-1.0], [1.0], ["sign"])
    action_space = cr.rl.Discrete(2)
    wrong_after = np.inf

    def reset(self, key: Any, count: int) -> Any:
        return cr.random.uniform(key, (count, 2), -1.0, 1.0) * np.array([1.0, 0.0], np.float32)

    def step(self, state: Any, action: Any, key: Any) -> Any:
        right = (state[:, 0] > 0) == (action == 1)
        age = state[:, 1] + 1.0
        sign = cr.random.uniform(key, (state.shape[0],), -1.0, 1.0)
        reward = cr.where(age > self.wrong_after, float("nan"), right.astype("float32"))
        return cr.stack([sign, age], 1), reward, age < 0

    def observe(self, state: Any) -> Any:
        return state[:, :1]


class Aim(Choice):
    """The action is to be twice the sign."""

    name = "Aim"
    action_space = cr.rl.Box.of([-2.0], [2.0])

    def step(self, state: Any, action: Any, key: Any) -> Any:
        new, _, ended = super().step(state, cr.ones((state.shape[0],), "int64"), key)
        return new, -((action[:, 0] - 2.0 * state[:, 0]) ** 2), ended


SMALL: dict[str, Any] = {"hidden": (16,), "n_envs": 8, "lr": 2e-2, "backend": "numpy"}
AGENTS: dict[str, Any] = {
    "ppo": lambda env, **o: cr.rl.PPO(env, n_steps=8, batch_size=32, n_epochs=2, **SMALL | o),
    "a2c": lambda env, **o: cr.rl.A2C(env, n_steps=8, **SMALL | o),
    "reinforce": lambda env, **o: cr.rl.REINFORCE(env, n_steps=8, **SMALL | o),
    "dqn": lambda env, **o: cr.rl.DQN(
        env, learning_starts=64, target_update=64, gradient_steps=8, exploration_fraction=0.5,
        gamma=0.5, **SMALL | o
    ),
    "sac": lambda env, **o: cr.rl.SAC(
        env, learning_starts=64, train_freq=8, gradient_steps=16, batch_size=64, gamma=0.5,
        **SMALL | {"hidden": (32,)} | o
    ),
}  # fmt: skip
STEPS = {"ppo": 1024, "a2c": 2048, "reinforce": 1024, "dqn": 1024, "sac": 1280}


@pytest.mark.parametrize("name", ["ppo", by_night("a2c"), by_night("reinforce"), "dqn"])
def test_a_choice_is_learned(name):
    agent = AGENTS[name](Choice())
    agent.learn(STEPS[name])
    returns, lengths = agent.evaluate(20)
    assert (lengths == 4).all()
    assert returns.mean() > 3.5  # 2 by chance
    assert agent.predict([[-0.9], [0.9]]).tolist() == [0, 1]
    assert agent.predict([0.9]).shape == ()


@pytest.mark.parametrize("name", [by_night("ppo"), "sac"])
def test_a_number_is_learned(name):
    agent = AGENTS[name](Aim())
    before = agent.evaluate(20)[0].mean()
    agent.learn(STEPS[name] * (2 if name == "ppo" else 1))
    assert agent.evaluate(20)[0].mean() > before / 3
    found = agent.predict([[-0.8], [0.8]])
    assert found.shape == (2, 1)
    assert found[:, 0] == pytest.approx([-1.6, 1.6], abs=0.8)


@pytest.mark.parametrize(
    "options",
    [by_night({"double": False}), {"dueling": True, "prioritized": True}],
)
def test_variants_of_dqn(options):
    agent = AGENTS["dqn"](Choice(), **options)
    agent.learn(STEPS["dqn"])
    assert agent.evaluate(20)[0].mean() > 3.5


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_same_seed_same_bits(name):
    env = Aim()
    states = []
    for seed in (3, 3, 4):
        agent = AGENTS[name](env, seed=seed)
        agent.learn(128)
        states.append(agent.network.state())
    same = [all((a[k] == b[k]).all() for k in a) for a, b in [states[:2], states[1:]]]
    assert same == [True, False]


@pytest.mark.parametrize("options", [{}, {"normalize": True, "clip_range_vf": 0.2}])
def test_one_program_is_a_rollout_and_then_an_update(options):
    """The data of all minibatches are those of the policy that acted."""
    whole, parts = (AGENTS["ppo"](Choice(), **options) for _ in range(2))
    whole.learn(64)
    number, key = np.int64(0), cr.random.fold_in(parts.key, 0)
    rollout = cr.compile(
        lambda: parts.worlds.rollout(parts.explore, cr.random.fold_in(key, 0), parts.n_steps),
        backend="numpy",
    )()
    parts.begin(64)
    found = cr.compile(parts._update, backend="numpy")(rollout, number, np.float32(1.0))
    for name, value in parts.network.state().items():
        assert whole.network.state()[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    record = whole.history.records[-1]
    for name in ("loss", "kl", "clipped"):
        assert record[name] == pytest.approx(found[name].item(), rel=1e-4)
    assert record["kl"] > 0 < record["clipped"]  # later minibatches are of another policy


def test_records_of_an_agent():
    seen: list[dict[str, float]] = []
    agent = AGENTS["ppo"](Choice())
    history = agent.learn(256, seen.append)
    assert history.records == seen
    last = seen[-1]
    assert last["steps"] == 256 == agent.steps
    assert last["episodes"] == 256 // 4
    assert 0 <= last["return"] <= 4
    assert {"loss", "policy_loss", "value_loss", "entropy", "kl", "rate"} <= last.keys()
    assert agent.learn(128)["steps"][-1] == 384


def test_schedules_go_down_to_zero():
    agent = AGENTS["ppo"](Choice(), lr_schedule="linear", clip_schedule="linear")
    agent.learn(256)  # of 16 updates the last has a sixteenth of the rate
    assert agent.optimizer.steps.item() == 16
    assert agent.optimizer.rate.item() == pytest.approx(SMALL["lr"] / 16, rel=1e-4)


def test_normalised_observations_are_part_of_the_policy():
    agent = AGENTS["ppo"](Choice(), normalize=True)
    agent.learn(512)
    normalizer = agent.network.normalizer
    assert normalizer.count.item() == 512
    assert normalizer.variance.numpy() == pytest.approx([1 / 3], rel=0.2)
    assert agent.evaluate(20)[0].mean() > 2.5


def test_statistics_of_parts_are_those_of_the_whole():
    x = np.random.default_rng(0).normal(3.0, 2.0, (90, 2)).astype(np.float32)
    seen = Normalizer((2,))
    for part in np.split(x, [10, 40]):
        seen.observe(cr.tensor(part))
    assert seen.mean.numpy() == pytest.approx(x.mean(0, dtype=float), rel=1e-6)
    assert seen.variance.numpy() == pytest.approx(x.var(0, dtype=float), rel=1e-5)


# ---- memory ----------------------------------------------------------------------------------


def transitions(first: int, count: int) -> Rollout:
    number = np.arange(first, first + count, dtype=np.float32)[:, None]
    flag = np.zeros((count, 1), bool)
    return Rollout(number[..., None], flag * 1, number, flag, flag, number[..., None] + 1,
                   None, None, {})  # fmt: skip


def test_the_oldest_goes_where_there_is_no_room():
    kept = Replay(8, seed=0)
    for first in (0, 5, 10):
        kept.add(transitions(first, 5))
    found = kept.sample(50, 8)
    assert set(found["reward"].ravel().tolist()) == set(range(7, 15))
    assert (found["next_observation"] == found["observation"] + 1).all()
    kept.add(transitions(100, 20))
    assert set(kept.sample(50, 8)["reward"].ravel().tolist()) == set(range(112, 120))


def test_what_surprised_is_drawn_more_often_and_weighs_less():
    kept = PrioritizedReplay(6, seed=0, alpha=1.0, beta=1.0)
    kept.add(transitions(0, 5))
    errors = np.array([1.0, 2.0, 3.0, 4.0, 0.0])
    kept.learned(np.arange(5), errors)
    found = kept.sample(2000, 5, 1.0)
    share = np.bincount(found["place"].ravel(), minlength=6) / 10_000
    assert share == pytest.approx(np.append(errors, 0) / 10, abs=0.02)
    weights = found["weight"] / found["weight"].max(1, keepdims=True)
    p = errors[found["place"]]
    assert weights == pytest.approx(p.min(1, keepdims=True) / p, rel=1e-3)


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ppo", "a2c", "dqn"])
def test_a_reward_that_is_no_number_leaves_the_agent_as_it_was(name):
    env = Choice()
    env.wrong_after = 2.0
    agent = AGENTS[name](env)
    before = agent.network.state()
    with pytest.raises(cr.errors.TrainingError, match="not finite") as caught:
        agent.learn(512)
    assert "Choice" in str(caught.value)
    assert all((before[k] == x).all() for k, x in agent.network.state().items())
    assert agent.predict([0.5]).shape == ()


def test_a_loss_that_is_no_number_leaves_the_agent_as_it_was():
    agent = AGENTS["ppo"](Choice(), lr=1e30)
    with pytest.raises(cr.errors.TrainingError, match="not finite"):
        agent.learn(512)
    assert all(np.isfinite(x).all() for x in agent.network.state().values())


@pytest.mark.parametrize(
    ("name", "env", "able"),
    [("dqn", "Pendulum-v1", "a2c, ppo, reinforce, sac"),
     ("sac", "CartPole-v1", "a2c, dqn, ppo, reinforce")],
)  # fmt: skip
def test_actions_that_an_algorithm_cannot_choose(name, env, able):
    with pytest.raises(cr.errors.ConfigError) as caught:
        AGENTS[name](env)
    assert able in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"n_envs": 0}, {"lr": -1.0}, {"gamma": 1.5}, {"hidden": (0,)}, {"activation": "sine"},
     {"lr_schedule": "up"}, {"batch_size": 0}, {"seed": -1}, {"backend": "abacus"},
     {"clip_range": float("nan")}, {"n_steps": 1.5}],
)  # fmt: skip
def test_invalid_options_are_named(options):
    with pytest.raises(cr.errors.ConfigError):
        cr.rl.PPO("CartPole-v1", **options)


def test_other_invalid_options():
    with pytest.raises(cr.errors.ConfigError, match="smaller than a batch"):
        cr.rl.DQN("CartPole-v1", buffer_size=8)
    with pytest.raises(cr.errors.ConfigError, match="gradient_steps"):
        cr.rl.DQN("CartPole-v1", gradient_steps=0)
    agent = AGENTS["ppo"](Choice())
    for steps in (0, -5, 1.5, True):
        with pytest.raises(cr.errors.ConfigError, match="steps"):
            agent.learn(steps)
    with pytest.raises(cr.errors.ConfigError, match="episodes"):
        agent.evaluate(0)
    with pytest.raises(cr.errors.ConfigError, match="no observations"):
        agent.predict(np.zeros((2, 3)))
    with pytest.raises(cr.errors.ConfigError, match="no environment"):
        cr.rl.PPO(3)


def test_ctrl_c_ends_after_the_iteration(monkeypatch):
    monkeypatch.setattr("chainrule.rl.algorithms.on_policy._AT_ONCE", 64)
    agent = AGENTS["ppo"](Choice())
    history = agent.learn(100_000, lambda record: signal.raise_signal(signal.SIGINT))
    assert history.interrupted
    assert len(history) == 1
    assert agent.learn(128).interrupted is False


@pytest.mark.parametrize(
    ("name", "options"),
    [("ppo", {"normalize": True, "lr_schedule": "linear"}), ("dqn", {"prioritized": True}),
     ("sac", {})],
)  # fmt: skip
def test_a_killed_training_goes_on_to_the_same_bits(name, options, tmp_path, monkeypatch):
    monkeypatch.setattr(on_policy, "_AT_ONCE", 64)
    monkeypatch.setattr(off_policy, "_RECORD", 64)
    steps, kept = 256, Checkpoints(tmp_path, every=0)

    def killed(record: dict[str, float]) -> None:
        if record["epoch"] == 3:
            raise RuntimeError("killed")

    def agent() -> Any:
        return AGENTS[name](Choice() if name != "sac" else Aim(), **options)

    whole = agent()
    whole.learn(steps)
    with pytest.raises(RuntimeError, match="killed"):
        agent().learn(steps, killed, checkpoints=kept)
    again = agent()
    again.learn(steps, checkpoints=tmp_path, resume=True)
    assert again.steps == whole.steps
    for a, b in zip(again.network.state().values(), whole.network.state().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(tmp_path.glob("step-*"))
    without = [{k: x for k, x in one.items() if k != "seconds"} for one in whole.history.records]
    assert [{k: x for k, x in one.items() if k != "seconds"} for one in again.history] == without


def test_checkpoints_of_another_training(tmp_path):
    AGENTS["ppo"](Choice()).learn(64, checkpoints=Checkpoints(tmp_path, every=0))
    with pytest.raises(errors.ConfigError, match="has the checkpoints of a training"):
        AGENTS["ppo"](Choice()).learn(64, checkpoints=tmp_path)
    with pytest.raises(errors.ConfigError, match="no longer the one") as caught:
        AGENTS["ppo"](Choice(), gamma=0.5).learn(128, checkpoints=tmp_path, resume=True)
    assert caught.value.found == "gamma 0.5, steps 128"
    agent = AGENTS["ppo"](Choice())
    agent.learn(64)
    with pytest.raises(errors.ConfigError, match="from its beginning"):
        agent.learn(64, checkpoints=tmp_path, resume=True)

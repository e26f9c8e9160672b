"""One update of Stable-Baselines3's algorithms on small batches, for `tests/rl/test_updates.py`.

    python -m venv /tmp/rl && /tmp/rl/bin/pip install stable-baselines3
    /tmp/rl/bin/python tests/references/make_rl_updates.py

For each algorithm: parameters before, the batch, losses, gradients, and parameters after one call
of its own `train`. Weights are written as (inputs, outputs), layer by layer for each network.
"""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import ReplayBufferSamples, RolloutBufferSamples

ROWS, SEEN = 32, 5
RNG = np.random.default_rng(11)


class Spaces(gymnasium.Env):
    """Nothing but the spaces."""

    def __init__(self, action):
        self.observation_space = spaces.Box(-1, 1, (SEEN,), np.float32)
        self.action_space = action

    def reset(self, *, seed=None, options=None):
        return np.zeros(SEEN, np.float32), {}

    def step(self, action):
        return np.zeros(SEEN, np.float32), 0.0, False, False, {}


class Batch:
    """A buffer that has one batch."""

    def __init__(self, samples):
        self.samples = samples
        self.values = self.returns = np.arange(4.0)

    def get(self, batch_size=None):
        return [self.samples]

    def sample(self, batch_size, env=None):
        return self.samples


def arrays_of(parameters):
    return [p.detach().numpy().T.copy() for p in parameters]


def gradients_of(parameters):
    return [p.grad.numpy().T.copy() for p in parameters]


def prepared(model):
    model.set_logger(configure(None, []))
    model._current_progress_remaining = 1.0
    with torch.no_grad():  # away from the zeros of biases and small last layers
        for p in model.policy.parameters():
            p.add_(torch.tensor(RNG.normal(size=tuple(p.shape)) * 0.2, dtype=torch.float32))
    return model


def logged(model):
    return {k.removeprefix("train/"): float(v) for k, v in model.logger.name_to_value.items()}


def f32(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def networks_of(policy):
    extractor = policy.mlp_extractor
    actor = [*extractor.policy_net.parameters(), *policy.action_net.parameters()]
    critic = [*extractor.value_net.parameters(), *policy.value_net.parameters()]
    found = {"actor": actor, "critic": critic}
    if hasattr(policy, "log_std"):
        found["log_std"] = [policy.log_std]
    return found


def on_policy(name, kind, action, **options):
    env = Spaces(action)
    model = prepared(kind("MlpPolicy", env, seed=1, policy_kwargs={"net_arch": [8, 6]}, **options))
    discrete = isinstance(action, spaces.Discrete)
    seen = f32(ROWS, SEEN)
    done = RNG.integers(action.n, size=ROWS) if discrete else f32(ROWS, *action.shape)
    t = torch.tensor
    actions = t(done, dtype=torch.float32)
    with torch.no_grad():
        log_prob = model.policy.evaluate_actions(t(seen), t(done) if discrete else actions)[1]
    batch = {
        "observation": seen, "action": done, "log_prob": log_prob.numpy() + 0.3 * f32(ROWS),
        "advantages": f32(ROWS), "returns": f32(ROWS), "values": f32(ROWS),
    }  # fmt: skip
    model.rollout_buffer = Batch(
        RolloutBufferSamples(
            t(seen), actions if not discrete else actions[:, None], t(batch["values"]),
            t(batch["log_prob"]), t(batch["advantages"]), t(batch["returns"]),
        )
    )  # fmt: skip
    networks = networks_of(model.policy)
    before = {part: arrays_of(p) for part, p in networks.items()}
    model.train()
    return finished(name, batch, networks, before, logged(model))


def finished(name, batch, networks, before, losses):
    content = {f"{name}.batch.{key}": array for key, array in batch.items()}
    content |= {f"{name}.loss.{key}": np.float64(value) for key, value in losses.items()}
    for part, parameters in networks.items():
        for i, array in enumerate(before[part]):
            content[f"{name}.before.{part}.{i}"] = array
        for i, array in enumerate(arrays_of(parameters)):
            content[f"{name}.after.{part}.{i}"] = array
        if parameters[0].grad is not None:
            for i, array in enumerate(gradients_of(parameters)):
                content[f"{name}.gradient.{part}.{i}"] = array
    return content


def dqn():
    model = prepared(
        sb3.DQN("MlpPolicy", Spaces(spaces.Discrete(3)), seed=1, learning_rate=1e-3,
                max_grad_norm=0.4, policy_kwargs={"net_arch": [8, 6]})
    )  # fmt: skip
    batch = {
        "observation": f32(ROWS, SEEN), "action": RNG.integers(3, size=ROWS),
        "next_observation": f32(ROWS, SEEN), "terminated": RNG.random(ROWS) < 0.3,
        "reward": 2 * f32(ROWS),
    }  # fmt: skip
    model.replay_buffer = replay(batch, batch["action"][:, None])
    networks = {
        "network": list(model.q_net.parameters()),
        "target": list(model.q_net_target.parameters()),
    }
    before = {part: arrays_of(p) for part, p in networks.items()}
    model.train(1, ROWS)
    return finished("dqn", batch, networks, before, logged(model))


def replay(batch, action):
    t = torch.tensor
    return Batch(
        ReplayBufferSamples(
            t(batch["observation"]), t(action), t(batch["next_observation"]),
            t(batch["terminated"].astype(np.float32)[:, None]), t(batch["reward"][:, None]), None,
        )
    )  # fmt: skip


def sac():
    action = spaces.Box(-2, 2, (2,), np.float32)
    model = prepared(
        sb3.SAC("MlpPolicy", Spaces(action), seed=1, policy_kwargs={"net_arch": [8, 6]})
    )
    batch = {
        "observation": f32(ROWS, SEEN), "action": np.tanh(f32(ROWS, 2)),
        "next_observation": f32(ROWS, SEEN), "terminated": RNG.random(ROWS) < 0.3,
        "reward": f32(ROWS), "drawn": f32(ROWS, 2), "later": f32(ROWS, 2),
    }  # fmt: skip
    noise = [torch.tensor(batch[key]) for key in ("drawn", "later")]
    torch.distributions.normal._standard_normal = lambda *a, **k: noise.pop(0)
    model.replay_buffer = replay(batch, batch["action"])
    actor, critic, target = model.actor, model.critic, model.critic_target
    networks = {
        "actor": [*actor.latent_pi.parameters()], "mean": [*actor.mu.parameters()],
        "spread": [*actor.log_std.parameters()], "first": [*critic.qf0.parameters()],
        "second": [*critic.qf1.parameters()], "target_first": [*target.qf0.parameters()],
        "target_second": [*target.qf1.parameters()], "log_alpha": [model.log_ent_coef],
    }  # fmt: skip
    before = {part: arrays_of(p) for part, p in networks.items()}
    model.train(1, ROWS)
    content = finished("sac", batch, networks, before, logged(model))
    # The actor's loss reaches the critics, too: their gradients are of both.
    return {key: x for key, x in content.items() if ".gradient.first" not in key
            and ".gradient.second" not in key}  # fmt: skip


def advantages():
    """Of a rollout in which episodes end and are cut off."""
    steps, worlds, gamma, lam = 24, 3, 0.97, 0.9
    env = Spaces(spaces.Discrete(2))
    buffer = RolloutBuffer(steps, env.observation_space, env.action_space, gae_lambda=lam,
                           gamma=gamma, n_envs=worlds)  # fmt: skip
    rewards, values, after = (f32(steps, worlds) for _ in range(3))
    ended = RNG.random((steps, worlds)) < 0.1
    cut = (RNG.random((steps, worlds)) < 0.1) & ~ended
    done = ended | cut
    after[:-1] = np.where(done[:-1], after[:-1], values[1:])  # otherwise the state goes on
    given = rewards + gamma * after * cut  # as its `collect_rollouts` does at a time limit
    begins = np.ones(worlds, bool)
    for t in range(steps):
        buffer.add(np.zeros((worlds, SEEN)), np.zeros((worlds, 1)), given[t], begins,
                   torch.tensor(values[t]), torch.zeros(worlds))  # fmt: skip
        begins = done[t]
    buffer.compute_returns_and_advantage(torch.tensor(after[-1]), begins)
    return {
        "gae.rewards": rewards, "gae.values": values, "gae.after": after, "gae.ended": ended,
        "gae.done": done, "gae.advantages": buffer.advantages, "gae.returns": buffer.returns,
    }  # fmt: skip


if __name__ == "__main__":
    box = spaces.Box(-2, 2, (2,), np.float32)
    once = {"n_epochs": 1, "n_steps": ROWS, "batch_size": ROWS}
    content = {
        **on_policy("ppo", sb3.PPO, spaces.Discrete(3), ent_coef=0.01, **once),
        **on_policy("ppo_box", sb3.PPO, box, ent_coef=0.01, clip_range_vf=0.3, **once),
        **on_policy("a2c", sb3.A2C, spaces.Discrete(3), ent_coef=0.01),
        **on_policy("a2c_box", sb3.A2C, box, ent_coef=0.01, normalize_advantage=True),
        **dqn(),
        **sac(),
        **advantages(),
    }
    np.savez_compressed(Path(__file__).parents[1] / "rl" / "updates.npz", **content)
    print(len(content), "arrays")

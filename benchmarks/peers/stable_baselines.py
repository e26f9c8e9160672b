"""Stable-Baselines3: one training with the options of rl-baselines3-zoo; prints JSON.

A process of its own, in an environment that has stable-baselines3 (and box2d, for LunarLander):

    python benchmarks/peers/stable_baselines.py '["CartPole-v1", "ppo", 100000, 0, true, [0.5, 1]]'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize


def linear(value: float) -> Callable[[float], float]:
    """From a value down to 0."""
    return lambda remaining: remaining * value


#: By algorithm and environment: worlds, whether observations and rewards are normalised, options.
ZOO: dict[tuple[str, str], tuple[int, bool, dict[str, Any]]] = {
    ("ppo", "CartPole-v1"): (8, False, {
        "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20,
        "ent_coef": 0.0, "learning_rate": linear(1e-3), "clip_range": linear(0.2),
    }),
    ("ppo", "Acrobot-v1"): (16, True, {
        "n_steps": 256, "gae_lambda": 0.94, "gamma": 0.99, "n_epochs": 4, "ent_coef": 0.0,
    }),
    ("ppo", "LunarLander-v3"): (16, False, {
        "n_steps": 1024, "batch_size": 64, "gae_lambda": 0.98, "gamma": 0.999, "n_epochs": 4,
        "ent_coef": 0.01,
    }),
    ("sac", "Pendulum-v1"): (1, False, {"learning_rate": 1e-3}),
}  # fmt: skip


class Notes(BaseCallback):  # type: ignore[misc]
    """The mean return of the last 100 episodes, after each rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        found = [episode["r"] for episode in self.model.ep_info_buffer]
        if found:
            self.steps.append(self.num_timesteps)
            self.returns.append(float(np.mean(found)))


def main() -> None:
    """Train as the JSON of the command says, and print what was found."""
    name, algorithm, steps, seed, evaluate, marks = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    n_envs, normalize, options = ZOO[algorithm, name]
    env: Any = make_vec_env(name, n_envs=n_envs, seed=seed)
    if normalize:
        env = VecNormalize(env, gamma=options["gamma"])
    kind = {"ppo": sb3.PPO, "sac": sb3.SAC}[algorithm]
    model = kind("MlpPolicy", env, seed=seed, device="cpu", **options)
    notes = Notes()
    started, begun = time.perf_counter(), time.process_time()
    model.learn(steps, callback=notes)
    seconds, processor = time.perf_counter() - started, time.process_time() - begun
    found: dict[str, Any] = {
        "seconds": seconds,
        "rate": model.num_timesteps / seconds,
        "processor_rate": model.num_timesteps / processor,
        "curve": [float(np.interp(mark * steps, notes.steps, notes.returns)) for mark in marks],
    }
    if evaluate:
        test: Any = make_vec_env(name, n_envs=1, seed=1000 + seed)
        if normalize:
            test = VecNormalize(test, training=False, norm_reward=False)
            test.obs_rms = env.obs_rms
        found["returns"] = evaluate_policy(model, test, 20, return_episode_rewards=True)[0]
    print(json.dumps(found))


main()

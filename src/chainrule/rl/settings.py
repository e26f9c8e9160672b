"""Tuned options for known environments.

Those of Stable-Baselines3's zoo (``hyperparams/*.yml`` of rl-baselines3-zoo), where it has them.
"""

from __future__ import annotations

from typing import Any

#: Steps without a setting.
STEPS = 100_000

_CLASSIC = {"n_envs": 16, "n_steps": 256, "gae_lambda": 0.98, "n_epochs": 4, "batch_size": 64}
#: By algorithm and environment: ``steps`` of a training, and options of the algorithm.
_TUNED: dict[tuple[str, str], dict[str, Any]] = {
    ("ppo", "CartPole-v1"): {
        "steps": 100_000, "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20,
        "gamma": 0.98, "gae_lambda": 0.8, "lr": 1e-3, "lr_schedule": "linear",
        "clip_schedule": "linear",
    },
    ("ppo", "Acrobot-v1"): {"steps": 300_000, "normalize": True, **_CLASSIC, "gae_lambda": 0.94},
    ("ppo", "MountainCar-v0"): {
        "steps": 1_000_000, "normalize": True, **_CLASSIC, "n_steps": 16, "batch_size": 64,
    },
    ("ppo", "MountainCarContinuous-v0"): {
        "steps": 50_000, "n_envs": 1, "normalize": True, "n_steps": 8, "batch_size": 256,
        "gamma": 0.9999, "lr": 7.77e-5, "ent_coef": 0.00429, "clip_range": 0.1, "n_epochs": 10,
        "gae_lambda": 0.9, "max_grad_norm": 5.0, "vf_coef": 0.19, "log_std": -3.29,
    },
    ("ppo", "Pendulum-v1"): {
        "steps": 200_000, "n_envs": 4, "n_steps": 1024, "gae_lambda": 0.95, "gamma": 0.9,
        "n_epochs": 10, "lr": 1e-3,
    },
    ("ppo", "LunarLander-v3"): {
        "steps": 1_000_000, "n_envs": 16, "n_steps": 1024, "batch_size": 64, "gae_lambda": 0.98,
        "gamma": 0.999, "n_epochs": 4, "ent_coef": 0.01,
    },
    ("ppo", "GridWorld"): {
        "steps": 50_000, "n_envs": 16, "n_steps": 32, "batch_size": 128, "ent_coef": 0.01,
        "lr": 3e-3, "lr_schedule": "linear",  # a constant rate unlearns it in long trainings
    },
    ("ppo", "Breakout"): {
        "steps": 1_000_000, "n_envs": 32, "n_steps": 64, "batch_size": 256, "n_epochs": 4,
        "ent_coef": 0.01, "hidden": (128,), "activation": "relu", "lr": 1e-3,
        "lr_schedule": "linear",
    },
    ("dqn", "CartPole-v1"): {
        "steps": 50_000, "lr": 2.3e-3, "batch_size": 64, "learning_starts": 1000,
        "target_update": 10, "train_freq": 256, "gradient_steps": 128,
        "exploration_fraction": 0.16, "epsilon_end": 0.04, "hidden": (256, 256), "double": False,
    },
    ("dqn", "MountainCar-v0"): {
        "steps": 120_000, "lr": 4e-3, "batch_size": 128, "buffer_size": 10_000, "gamma": 0.98,
        "learning_starts": 1000, "target_update": 600, "train_freq": 16, "gradient_steps": 8,
        "exploration_fraction": 0.2, "epsilon_end": 0.07, "hidden": (256, 256), "double": False,
    },
    ("dqn", "Acrobot-v1"): {
        "steps": 100_000, "lr": 6.3e-4, "batch_size": 128, "buffer_size": 50_000,
        "learning_starts": 1000, "target_update": 250, "train_freq": 4, "gradient_steps": -1,
        "exploration_fraction": 0.12, "epsilon_end": 0.1, "hidden": (256, 256), "double": False,
    },
    ("dqn", "LunarLander-v3"): {
        "steps": 100_000, "lr": 6.3e-4, "batch_size": 128, "buffer_size": 50_000,
        "learning_starts": 1000, "target_update": 250, "train_freq": 4, "gradient_steps": -1,
        "exploration_fraction": 0.12, "epsilon_end": 0.1, "hidden": (256, 256), "double": False,
    },
    ("dqn", "GridWorld"): {
        "steps": 20_000, "lr": 1e-3, "learning_starts": 500, "target_update": 200,
        "exploration_fraction": 0.5,
    },
    ("sac", "Pendulum-v1"): {"steps": 20_000, "lr": 1e-3, "hidden": (256, 256)},
    ("a2c", "CartPole-v1"): {"steps": 500_000, "n_envs": 8},
    ("reinforce", "CartPole-v1"): {"steps": 300_000, "n_envs": 8, "n_steps": 200},
}  # fmt: skip


def tuned(algorithm: str, environment: str) -> dict[str, Any]:
    """Options for an environment that is known, with ``steps``; without one the defaults.

    Example:
        >>> tuned("ppo", "CartPole-v1")["gamma"], tuned("ppo", "Unknown-v0")
        (0.98, {'steps': 100000})
    """
    return {"steps": STEPS, **_TUNED.get((algorithm, environment), {})}

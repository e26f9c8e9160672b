"""Reinforcement learning: environments, policies and algorithms on the same engine.

    agent = cr.rl.PPO("CartPole-v1", n_envs=8, seed=0)
    agent.learn(100_000)
    agent.evaluate(20)
    agent.save("cart_pole.safetensors")

Built-in environments are functions of state and action, so that rollout, advantages and updates are
one native program. Others are Gymnasium's (the extra ``rl``).
"""

from . import losses, rendering
from .algorithms import A2C, ALGORITHMS, DQN, PPO, REINFORCE, SAC, Algorithm
from .environments import (
    ENVIRONMENTS,
    Acrobot,
    Breakout,
    CartPole,
    Environment,
    GridWorld,
    MountainCar,
    MountainCarContinuous,
    Pendulum,
)
from .making import make
from .spaces import Box, Discrete

__all__ = [
    "A2C",
    "ALGORITHMS",
    "DQN",
    "ENVIRONMENTS",
    "PPO",
    "REINFORCE",
    "SAC",
    "Acrobot",
    "Algorithm",
    "Box",
    "Breakout",
    "CartPole",
    "Discrete",
    "Environment",
    "GridWorld",
    "MountainCar",
    "MountainCarContinuous",
    "Pendulum",
    "losses",
    "make",
    "rendering",
]

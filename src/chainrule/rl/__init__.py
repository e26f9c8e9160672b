"""Reinforcement learning."""

from .environments import (
    Acrobot,
    Breakout,
    CartPole,
    Environment,
    GridWorld,
    MountainCar,
    MountainCarContinuous,
    Pendulum,
)
from .spaces import Box, Discrete

__all__ = [
    "Acrobot",
    "Box",
    "Breakout",
    "CartPole",
    "Discrete",
    "Environment",
    "GridWorld",
    "MountainCar",
    "MountainCarContinuous",
    "Pendulum",
]

"""The algorithms."""

from .algorithm import ALGORITHMS, Algorithm
from .off_policy import DQN, SAC, OffPolicy
from .on_policy import A2C, PPO, REINFORCE, OnPolicy

__all__ = [
    "A2C",
    "ALGORITHMS",
    "DQN",
    "PPO",
    "REINFORCE",
    "SAC",
    "Algorithm",
    "OffPolicy",
    "OnPolicy",
]

"""Environments that are functions of state and action, in chainrule's own operations."""

from .acrobot import Acrobot
from .breakout import Breakout
from .cart_pole import CartPole
from .environment import Environment
from .grid_world import GridWorld
from .mountain_car import MountainCar, MountainCarContinuous
from .pendulum import Pendulum

#: By the name that users give, which is Gymnasium's where it has the environment.
ENVIRONMENTS: dict[str, type[Environment]] = {
    one.name: one
    for one in (
        CartPole, Pendulum, Acrobot, MountainCar, MountainCarContinuous, GridWorld, Breakout,
    )
}  # fmt: skip

__all__ = [
    "ENVIRONMENTS",
    "Acrobot",
    "Breakout",
    "CartPole",
    "Environment",
    "GridWorld",
    "MountainCar",
    "MountainCarContinuous",
    "Pendulum",
]

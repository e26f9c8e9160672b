"""Random steps of Gymnasium's and MinAtar's environments, for `tests/rl/test_environments.py`.

    python -m venv /tmp/rl && /tmp/rl/bin/pip install gymnasium MinAtar
    /tmp/rl/bin/python tests/references/make_rl_traces.py

Each step has an action, a reward and whether the episode ended or was cut off; where an episode
begins there is its first state. Of the states in between every tenth is kept: a step that differed
would be seen in all that follow.
"""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
from minatar.environments.breakout import Env as MinAtarBreakout

STEPS, EVERY = 10_000, 10
NAMES = (
    "CartPole-v1",
    "Pendulum-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "FrozenLake-v1",
)


class Classic:
    def __init__(self, name):
        options = {"is_slippery": False} if name == "FrozenLake-v1" else {}
        self.env = gymnasium.make(name, **options)
        self.env.action_space.seed(7)
        self.seed = 0

    def reset(self):
        self.seed += 1
        self.observation = self.env.reset(seed=self.seed)[0]

    def act(self, rng, step):
        return np.ravel(self.env.action_space.sample())

    def step(self, action):
        given = action if self.env.action_space.shape else int(action[0])
        found = self.env.step(given)
        self.observation = found[0]
        return found[1], bool(found[2]), bool(found[3])

    def state(self):
        inside = self.env.unwrapped
        return np.ravel(inside.s if hasattr(inside, "s") else inside.state).astype(np.float64)


class Breakout:
    def __init__(self, name):
        self.env = MinAtarBreakout()
        self.env.random = np.random.RandomState(7)

    def reset(self):
        self.env.reset()
        self.steps = 0
        self.observation = self.env.state()

    def act(self, rng, step):
        """Follow the ball most of the time, so that bricks are broken and come back."""
        if rng.random() < 0.02:
            return np.array([rng.integers(3)])
        ahead = self.env.ball_x + (1 if self.env.ball_dir in (1, 2) else -1)
        aim = min(max(ahead, 0), 9)
        return np.array([0 if aim == self.env.pos else 1 if aim < self.env.pos else 2])

    def step(self, action):
        reward, ended = self.env.act({0: 0, 1: 1, 2: 3}[int(action[0])])
        self.steps += 1
        self.observation = self.env.state()
        return reward, bool(ended), self.steps == 1000

    def state(self):
        e = self.env
        numbers = [e.ball_x, e.ball_y, e.last_x, e.last_y, e.ball_dir, e.pos, e.strike]
        return np.concatenate([numbers, e.brick_map.ravel()]).astype(np.float64)


def trace(world):
    rng = np.random.default_rng(3)
    found = {"action": [], "reward": [], "ended": [], "cut": [], "first": [], "begins": [],
             "state": [], "observation": []}  # fmt: skip
    world.reset()
    begins = True
    for step in range(STEPS):
        if begins:
            found["begins"].append(step)
            found["first"].append(world.state())
        action = world.act(rng, step)
        reward, ended, cut = world.step(action)
        found["action"].append(action)
        found["reward"].append(reward)
        found["ended"].append(ended)
        found["cut"].append(cut and not ended)
        if step % EVERY == EVERY - 1:
            found["state"].append(world.state())
            found["observation"].append(np.ravel(world.observation))
        begins = ended or cut
        if begins:
            world.reset()
    arrays = {key: np.array(values) for key, values in found.items()}
    integers = arrays["action"].dtype.kind in "iu"
    arrays["action"] = arrays["action"].astype(np.int8 if integers else np.float32)
    arrays["reward"] = arrays["reward"].astype(np.float32)
    arrays["observation"] = arrays["observation"].astype(np.float32)
    return arrays


if __name__ == "__main__":
    content = {}
    for name in (*NAMES, "Breakout"):
        world = (Breakout if name == "Breakout" else Classic)(name)
        arrays = trace(world)
        if name == "Breakout":
            arrays["state"], arrays["first"] = (
                arrays[k].astype(np.int8) for k in ("state", "first")
            )
            arrays["observation"] = arrays["observation"].astype(np.int8)
        content |= {f"{name}.{key}": array for key, array in arrays.items()}
        print(name, len(arrays["begins"]), "episodes")
    np.savez_compressed(Path(__file__).parents[1] / "rl" / "traces.npz", **content)

"""Reinforcement learning beside Stable-Baselines3: steps per second, and learning curves.

    python -m venv .bench-rl && .bench-rl/bin/pip install stable-baselines3
    python benchmarks/reinforcement.py speed --peer .bench-rl/bin/python
    python benchmarks/reinforcement.py curves --peer .bench-rl/bin/python [--seeds 5] [--env NAME …]

Both train with the tuned options of rl-baselines3-zoo, on one thread. ``speed`` prints PPO's steps
per second on CartPole: built-in environment, Gymnasium's, and the peer; the time to build programs
is told, but not counted. Seconds of the processor tell more on a machine that does other work,
too. ``curves`` trains each seed with both, and prints the interquartile mean
of the returns of 20 episodes by the best actions, with a 95 % interval (bootstrap over the seeds),
and the return in training on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

ENVIRONMENTS = ("CartPole-v1", "Pendulum-v1")
EPISODES = 20
#: Of the training, where the return is noted.
MARKS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def ours(environment: str, steps: int, seed: int, evaluate: bool = True) -> dict[str, Any]:
    """A training here: seconds, returns on the way and at the end."""
    from chainrule.rl.playing import agent_for

    name = environment.removeprefix("gymnasium:")
    from chainrule.rl.settings import tuned

    options = {k: v for k, v in tuned("ppo", name).items() if k != "steps"}
    agent = agent_for(environment, "ppo", options | {"seed": seed, "backend": "c"})
    started, clock = time.perf_counter(), []
    agent.learn(steps, lambda record: clock.append((record["steps"], time.process_time())))
    whole = time.perf_counter() - started
    (first, begun), (last, ended) = clock[0], clock[-1]
    seconds = agent.history["seconds"]
    sizes = np.diff([0, *agent.history["steps"]])
    rates = sizes[1:] / np.array(seconds[1:])  # the first call builds the program
    found = {
        "seconds": whole,
        "building": seconds[0] - sizes[0] / float(np.median(rates)),
        "rate": float(sizes[1:].sum() / sum(seconds[1:])),
        "processor_rate": (last - first) / (ended - begun),
        "curve": at_marks(agent.history["steps"], agent.history["return"], steps),
    }
    if evaluate:
        found["returns"] = agent.evaluate(EPISODES, 1000 + seed)[0].tolist()
    return found


def at_marks(steps: list[float], returns: list[float], whole: int) -> list[float]:
    """The return in training at fractions of its steps."""
    steps = steps[len(steps) - len(returns) :]
    return [float(np.interp(mark * whole, steps, returns)) for mark in MARKS]


PEER = r"""
import json, sys, time
import numpy as np, torch, gymnasium
import stable_baselines3 as sb3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
torch.set_num_threads(1)
name, steps, seed, evaluate, marks = json.loads(sys.argv[1])
line = lambda v: (lambda rest: rest * v)
zoo = {
    "CartPole-v1": (8, dict(n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20,
                            ent_coef=0.0, learning_rate=line(1e-3), clip_range=line(0.2))),
    "Pendulum-v1": (4, dict(n_steps=1024, gae_lambda=0.95, gamma=0.9, n_epochs=10, ent_coef=0.0,
                            learning_rate=1e-3, clip_range=0.2)),
    "Acrobot-v1": (16, dict(n_steps=256, gae_lambda=0.94, gamma=0.99, n_epochs=4, ent_coef=0.0)),
}
n_envs, options = zoo[name]
class Notes(BaseCallback):
    def __init__(self):
        super().__init__()
        self.steps, self.returns = [], []
    def _on_step(self):
        return True
    def _on_rollout_end(self):
        found = [e["r"] for e in self.model.ep_info_buffer]
        if found:
            self.steps.append(self.num_timesteps)
            self.returns.append(float(np.mean(found)))
env = make_vec_env(name, n_envs=n_envs, seed=seed)
model = sb3.PPO("MlpPolicy", env, seed=seed, device="cpu", **options)
notes = Notes()
started, begun = time.perf_counter(), time.process_time()
model.learn(steps, callback=notes)
seconds, processor = time.perf_counter() - started, time.process_time() - begun
found = {"seconds": seconds, "rate": model.num_timesteps / seconds,
         "processor_rate": model.num_timesteps / processor,
         "curve": [float(np.interp(m * steps, notes.steps, notes.returns)) for m in marks]}
if evaluate:
    test = make_vec_env(name, n_envs=1, seed=1000 + seed)
    found["returns"] = evaluate_policy(model, test, 20, return_episode_rewards=True)[0]
print(json.dumps(found))
"""


def peer(python: str, name: str, steps: int, seed: int, evaluate: bool = True) -> dict[str, Any]:
    """The same training of Stable-Baselines3, in a process of its own."""
    given = json.dumps([name, steps, seed, evaluate, list(MARKS)])
    done = subprocess.run([python, "-c", PEER, given], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(arguments: list[Any]) -> dict[str, Any]:
    """A training here in a process of its own, so that nothing is left from another."""
    command = [sys.executable, __file__, "one", "--given", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def interquartile_mean(values: list[float]) -> float:
    """The mean without the quarter at each end."""
    kept = np.sort(np.asarray(values))
    cut = len(kept) // 4
    return float(kept[cut : len(kept) - cut].mean())


def interval(by_seed: list[list[float]], draws: int = 2000) -> tuple[float, float]:
    """95 % of the interquartile means of seeds and episodes drawn again."""
    rng = np.random.default_rng(0)
    table = np.array(by_seed)
    found = []
    for _ in range(draws):
        rows = table[rng.integers(len(table), size=len(table))]
        found.append(interquartile_mean(rows.ravel().tolist()))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def speed(python: str | None, steps: int) -> None:
    """Steps per second of PPO on CartPole, one after the other in one run, twice."""
    tried = ["CartPole-v1", "gymnasium:CartPole-v1"]
    for _ in range(2):
        for name in tried:
            found = alone([name, steps, 0, False])
            told(f"chainrule, {name}", found)
        if python is not None:
            told("Stable-Baselines3", peer(python, "CartPole-v1", steps, 0, False))


def told(who: str, found: dict[str, Any]) -> None:
    """A line of the table."""
    built = f"; program built in {found['building']:.1f} s" if "building" in found else ""
    print(f"{who:34} {found['rate']:8,.0f} steps a second, {found['processor_rate']:8,.0f} a "
          f"second of the processor{built}", flush=True)  # fmt: skip


def curves(python: str | None, environments: list[str], seeds: int, out: str | None) -> None:
    """Final returns and the way there, over some seeds."""
    from chainrule.rl.settings import tuned

    kept: dict[str, Any] = {}
    for name in environments:
        steps = 100_000 if name == "Pendulum-v1" else tuned("ppo", name)["steps"]
        rows: dict[str, list[dict[str, Any]]] = {"chainrule": [], "Stable-Baselines3": []}
        for seed in range(seeds):
            rows["chainrule"].append(alone([name, steps, seed, True]))
            if python is not None:
                rows["Stable-Baselines3"].append(peer(python, name, steps, seed))
        for who, found in rows.items():
            if not found:
                continue
            returns = [one["returns"] for one in found]
            flat = [x for one in returns for x in one]
            low, high = interval(returns)
            way = np.mean([one["curve"] for one in found], 0)
            told = ", ".join(f"{x:.4g}" for x in way)
            print(f"{name} {who}: {interquartile_mean(flat):.4g} ({low:.4g} to {high:.4g}), "
                  f"{np.mean([one['seconds'] for one in found]):.0f} s; on the way {told}",
                  flush=True)  # fmt: skip
        kept[name] = rows
    if out is not None:
        Path(out).write_text(json.dumps(kept, indent=1) + "\n")


def main() -> None:
    """Read the command, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "curves", "one"))
    parser.add_argument("--peer", help="the Python that has stable-baselines3")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--env", action="append")
    parser.add_argument("--out", help="a JSON file of all numbers")
    parser.add_argument("--given", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.what == "one":
        print(json.dumps(ours(*json.loads(chosen.given))))
    elif chosen.what == "speed":
        speed(chosen.peer, chosen.steps)
    else:
        curves(chosen.peer, chosen.env or list(ENVIRONMENTS), chosen.seeds, chosen.out)


if __name__ == "__main__":
    main()

"""Reinforcement learning beside Stable-Baselines3: steps per second, and learning curves.

    python -m venv .bench-rl && .bench-rl/bin/pip install stable-baselines3 swig box2d
    python benchmarks/reinforcement.py speed --peer .bench-rl/bin/python --jax .bench/bin/python
    python benchmarks/reinforcement.py curves [--seeds 5] [--env NAME …]
    python benchmarks/reinforcement.py curves --peer .bench-rl/bin/python
    python benchmarks/reinforcement.py write

Both train with the tuned options of rl-baselines3-zoo, on one thread. ``speed`` prints PPO's steps
per second on CartPole: built-in environment, Gymnasium's, the peer, and JAX in the design of
purejaxrl (``peers/jax_ppo.py``); the time to build programs is told, but not counted. Seconds of
the processor tell more on a machine that does other work, too. ``curves`` trains each seed, the
peer's too if its Python is given, and keeps in ``learning_curves.json``, after each training, the
return in training on the way, and the returns of 20 episodes by the best actions; what is there
already is not trained again (``--again`` trains chainrule anew). ``write`` puts the interquartile
means, with 95 % intervals (bootstrap over seeds and episodes), and the pictures of the curves into
docs/reinforcement_learning.md. LunarLander needs box2d here, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "docs" / "reinforcement_learning.md", ROOT / "docs" / "images"
KEPT = Path(__file__).with_name("learning_curves.json")
PEER = Path(__file__).parent / "peers" / "stable_baselines.py"
OURS, THEIRS = "chainrule", "Stable-Baselines3"
#: Algorithm and steps of each environment's learning curves.
CURVES = {
    "CartPole-v1": ("ppo", 100_000),
    "Acrobot-v1": ("ppo", 100_000),
    "Pendulum-v1": ("sac", 10_000),
    "LunarLander-v3": ("ppo", 300_000),
}
EPISODES = 20
#: Of the training, where the return is noted.
MARKS = tuple(round(0.05 * i, 2) for i in range(1, 21))


def ours(
    environment: str, algorithm: str, steps: int, seed: int, evaluate: bool = True
) -> dict[str, Any]:
    """A training here: seconds, returns on the way and at the end."""
    from chainrule.rl.playing import agent_for
    from chainrule.rl.settings import tuned

    options = tuned(algorithm, environment.removeprefix("gymnasium:"))
    del options["steps"]
    agent = agent_for(environment, algorithm, options | {"seed": seed, "backend": "c"})
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


def peer(
    python: str, name: str, algorithm: str, steps: int, seed: int, evaluate: bool = True
) -> dict[str, Any]:
    """The same training of Stable-Baselines3, in a process of its own."""
    given = json.dumps([name, algorithm, steps, seed, evaluate, list(MARKS)])
    return answer([python, str(PEER), given])


def alone(arguments: list[Any]) -> dict[str, Any]:
    """A training here in a process of its own, so that nothing is left from another."""
    return answer([sys.executable, __file__, "one", "--given", json.dumps(arguments)])


def answer(command: list[str]) -> dict[str, Any]:
    """What a process prints as JSON in its last line."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
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
        seeds = rng.integers(len(table), size=(len(table), 1))
        episodes = rng.integers(table.shape[1], size=table.shape)
        found.append(interquartile_mean(table[seeds, episodes].ravel().tolist()))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def speed(python: str | None, jax: str | None, steps: int) -> None:
    """Steps per second of PPO on CartPole, one after the other in one run, thrice; medians."""
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "chainrule": lambda: alone(["CartPole-v1", "ppo", steps, 0, False]),
        "chainrule, Gymnasium's environment": lambda: alone(
            ["gymnasium:CartPole-v1", "ppo", steps, 0, False]
        ),
    }
    if python is not None:
        runs[THEIRS] = lambda: peer(python, "CartPole-v1", "ppo", steps, 0, False)
    if jax is not None:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = flags
        runs["JAX, all of it under one jit"] = lambda: answer(
            [jax, str(PEER.with_name("jax_ppo.py")), json.dumps([steps, 0])]
        )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(3):
        for name, run in runs.items():
            found[name].append(run())
            told(name, found[name])


def told(who: str, found: list[dict[str, Any]]) -> None:
    """A line of the table: medians so far."""
    rate, processor = (np.median([one[key] for one in found]) for key in ("rate", "processor_rate"))
    built = ""
    if "building" in found[0]:
        seconds = np.median([one["building"] for one in found])
        built = f"; program built in {seconds:.1f} s"
    print(f"{who:34} {rate:8,.0f} steps a second, {processor:8,.0f} a second of the processor"
          f"{built}", flush=True)  # fmt: skip


def curves(python: str | None, environments: list[str], seeds: int, again: bool) -> None:
    """Train what is not yet kept, one seed after the other, and keep each."""
    for seed in range(seeds):
        for name in environments:
            algorithm, steps = CURVES[name]
            for who in (OURS, THEIRS):
                known = kept().get(name, {}).get(who, {})
                if str(seed) in known and not (again and who == OURS):
                    continue
                if who == OURS:
                    found = alone([name, algorithm, steps, seed, True])
                elif python is not None:
                    found = peer(python, name, algorithm, steps, seed)
                else:
                    continue
                keep(name, who, seed, found)
                print(f"{name} {who}, seed {seed}: {np.mean(found['returns']):.4g} after "
                      f"{found['seconds']:.0f} s", flush=True)  # fmt: skip
    for line in table():
        print(line)


def kept() -> dict[str, Any]:
    """By environment, package and seed: the curve, and the returns at the end."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def keep(name: str, who: str, seed: int, found: dict[str, Any]) -> None:
    """Add a training."""
    whole = kept()
    one = {key: [round(x, 2) for x in found[key]] for key in ("curve", "returns")}
    whole.setdefault(name, {}).setdefault(who, {})[str(seed)] = one
    KEPT.write_text(_lines(whole))


def _lines(whole: dict[str, Any]) -> str:
    """JSON with a line for each training."""
    parts = []
    for name, packages in whole.items():
        for who, seeds in packages.items():
            rows = [f"   {json.dumps(seed)}: {json.dumps(one)}" for seed, one in seeds.items()]
            packages[who] = "{\n" + ",\n".join(rows) + "\n  }"
        rows = [f"  {json.dumps(who)}: {text}" for who, text in packages.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def table() -> list[str]:
    """Final returns in Markdown."""
    lines = ["| | steps | seeds | chainrule | Stable-Baselines3 |", "|---|--:|--:|---|---|"]
    for name, (algorithm, steps) in CURVES.items():
        packages = kept().get(name, {})
        cells, counts = [], []
        if not packages:
            continue
        for who in (OURS, THEIRS):
            returns = [one["returns"] for one in packages.get(who, {}).values()]
            counts.append(len(returns))
            if not returns:
                cells.append("–")
                continue
            low, high = interval(returns)
            middle = interquartile_mean([x for one in returns for x in one])
            cells.append(f"{middle:.4g} ({low:.4g} to {high:.4g})")
        seeds = " and ".join(map(str, dict.fromkeys(counts)))
        lines.append(f"| {name}, {algorithm.upper()} | {steps:,} | {seeds} | "
                     f"{' | '.join(cells)} |")  # fmt: skip
    return lines


def picture(name: str) -> str:
    """The curves of an environment as SVG: the mean of the seeds, and their range."""
    from chainrule.drawing.chart import Axis, Chart, Line, numbers
    from chainrule.drawing.picture import chart_picture

    algorithm, steps = CURVES[name]
    lines = []
    for who, seeds in kept()[name].items():
        rows = np.array([one["curve"] for one in seeds.values()])
        lines.append(
            Line(who, numbers(mark * steps for mark in MARKS), numbers(rows.mean(0)),
                 numbers(rows.min(0)), numbers(rows.max(0)))
        )  # fmt: skip
    ends = ", ".join(f"{line.label} {line.y[-1]:.4g}" for line in lines)
    chart = Chart(
        "return", f"{name}, {algorithm.upper()}", Axis("steps", "integer"),
        Axis("return in training"), tuple(lines), f"At the end: {ends}.",
    )  # fmt: skip
    return chart_picture(chart)


def write() -> None:
    """The table and the pictures, into the page."""
    mark = "<!-- curves -->"
    names = [name for name in CURVES if name in kept()]
    shown = []
    for name in names:
        path = PICTURES / f"learning-{name.lower()}.svg"
        path.write_text(picture(name), encoding="utf-8")
        shown.append(f"![Returns in training, {name}](images/{path.name})")
    text = "\n".join([*table(), "", *shown])
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(f"{mark}.*?{mark}", lambda _: f"{mark}\n{text}\n{mark}", page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """Read the command, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "curves", "write", "one"))
    parser.add_argument("--peer", help="the Python that has stable-baselines3")
    parser.add_argument("--jax", help="the Python that has jax, for speed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--env", action="append", choices=tuple(CURVES))
    parser.add_argument("--again", action="store_true", help="train chainrule anew")
    parser.add_argument("--given", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.what == "one":
        print(json.dumps(ours(*json.loads(chosen.given))))
    elif chosen.what == "speed":
        speed(chosen.peer, chosen.jax, chosen.steps)
    elif chosen.what == "write":
        write()
    else:
        curves(chosen.peer, chosen.env or list(CURVES), chosen.seeds, chosen.again)


if __name__ == "__main__":
    main()

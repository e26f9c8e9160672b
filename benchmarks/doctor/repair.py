"""Faulty trainings on AUTOTRAINER's Blob and Circle, mended by the doctor and by chance.

``python -m benchmarks.doctor.repair``. The doctor's first finding is acted on and the training is
repeated, a few times at most; a change that is no better is taken back, and the next cause is
tried. A random search draws the same things anew, as often; its best training counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.doctor import Finding, examine

from .board import HURTS
from .cases import Case, Result, healthy, run
from .faults import inject

ROUNDS = 4
#: A training is mended if it comes so near to the sane one, in skill.
NEAR = 0.05
SEED = 900_000
CAUSES = (
    "vanishing_gradient", "exploding_gradient", "dead_relu", "saturated_units",
    "symmetric_initialisation", "bad_initialisation", "learning_rate_too_high",
    "learning_rate_too_low", "softmax_twice", "missing_nonlinearity", "underfitting",
    "too_few_epochs", "over_regularised", "unscaled_inputs", "batch_too_large",
    "frozen_parameters", "missing_from_optimizer",
)  # fmt: skip


def _scaled(case: Case) -> dict[str, Any]:
    import dataclasses

    data = case.loaded
    mean, deviation = data.x.mean(axis=0), data.x.std(axis=0) + 1e-9
    changed = {"x": (data.x - mean) / deviation, "x_val": (data.x_val - mean) / deviation}
    return {"data": dataclasses.replace(data, **changed)}


def _again(case: Case) -> dict[str, Any]:
    return {"gain": 1.0, "bias": 0.0, "constant": None}


#: What a finding's fix is in terms of a case, where it is no learning rate.
FIXES: dict[str, Callable[[Case], dict[str, Any]]] = {
    "vanishing_gradient": lambda c: {"activation": "relu", "widths": (24, 24)},
    "exploding_gradient": lambda c: {**_again(c), "widths": (24, 24)},
    "dead_relu": lambda c: {**_again(c), "lr": c.lr / 3},
    "saturated_units": lambda c: {**_again(c), "activation": "relu"},
    "symmetric_initialisation": _again,
    "bad_initialisation": _again,
    "softmax_twice": lambda c: {"output": ""},
    "missing_nonlinearity": lambda c: {"activation": "relu"},
    "underfitting": lambda c: {"widths": (32, 32), "updates": 2 * c.updates, "epochs": None},
    "too_few_epochs": lambda c: {"epochs": max((c.epochs or 10) * 5, 50)},
    "over_regularised": lambda c: {
        "dropout": 0.0,
        "more": {k: v for k, v in c.more.items() if k not in ("l1", "l2")},
    },
    "unscaled_inputs": _scaled,
    "batch_too_large": lambda c: {"batch": 32},
    "batch_too_small": lambda c: {"batch": 32},
    "frozen_parameters": lambda c: {"hold": ""},
    "missing_from_optimizer": lambda c: {"hold": ""},
}


Row = dict[str, Any]
DATASETS = ("circles", "blobs")
_GOALS: dict[tuple[int, str], float] = {}


def mended(case: Case, result: Result, goal: float) -> tuple[bool, float, int]:
    """Whether the doctor found something, the best skill that its fixes reach, and the rounds."""
    found, loss, best = examine(result.evidence), _loss(result), result.skill
    detected, rounds = bool(found), 0
    while best < goal and rounds < ROUNDS:
        changes = [change for one in found if (change := _change(case, one))]
        if not changes:
            break
        changed = case.copy(**changes[0])
        result, rounds = run(changed), rounds + 1
        best = max(best, result.skill)
        if _loss(result) < loss:
            case, found, loss = changed, examine(result.evidence), _loss(result)
        else:
            found = [one for one in found if _change(case, one)][1:]
    return detected, best, rounds


def _change(case: Case, finding: Finding) -> dict[str, Any]:
    """What the fix of a finding changes; nothing where that cannot be said of a case."""
    if "lr" in finding.fix.options:
        return {"lr": finding.fix.options["lr"]}
    return FIXES[finding.cause](case) if finding.cause in FIXES else {}


def _loss(result: Result) -> float:
    """The least validation loss, by which `chainrule doctor --fix` keeps a change."""
    return min(filter(math.isfinite, result.evidence.series("val_loss")), default=math.inf)


def searched(case: Case, rounds: int, rng: Any) -> float:
    """The best skill of as many trainings with everything drawn at random."""
    best = -1.0
    for _ in range(rounds):
        changes: dict[str, Any] = {}
        for choose, change in (
            ("lr", {"lr": float(10 ** rng.uniform(-5, 0))}),
            ("activation", {"activation": str(rng.choice(["relu", "tanh", "sigmoid"]))}),
            ("widths", {"widths": (int(rng.choice([4, 16, 32])),) * int(rng.integers(1, 5))}),
            ("initial", _again(case)),
            ("output", {"output": ""}),
            ("hold", {"hold": ""}),
            ("scale", _scaled(case)),
            ("length", {"epochs": int(rng.choice([10, 50, 100]))}),
            ("batch", {"batch": 32}),
            ("penalties", FIXES["over_regularised"](case)),
        ):
            if choose and rng.random() < 0.5:
                changes |= change
        best = max(best, run(case.copy(**changes)).skill)
    return best


def harmful(seed: int, dataset: str, cause: str) -> Row | None:
    """One faulty training, mended and searched; None if it does not apply or does little harm."""
    # The same networks each time, so that programs serve many trainings.
    base = healthy(SEED + 1000 * seed).copy(dataset=dataset, widths=(24, 24), norm=False,
                                            activation="relu", optimizer="adam", lr=0.006,
                                            more={}, batch=32, updates=1500)  # fmt: skip
    if (seed, dataset) not in _GOALS:
        _GOALS[seed, dataset] = run(base).skill - NEAR
    goal = _GOALS[seed, dataset]
    rng = np.random.default_rng([seed, DATASETS.index(dataset), CAUSES.index(cause)])
    case = inject(base, cause, rng)
    if case is None:
        return None
    result = run(case)
    harm = goal + NEAR - result.skill
    if harm <= HURTS:
        return None
    found, best, rounds = mended(case, result, goal)
    by_chance = searched(case, max(rounds, 1), rng)
    return {
        "found": found,
        "mended": bool(best >= goal),
        "better": bool(best > by_chance),
        "as good": bool(by_chance - NEAR <= best <= by_chance),
        "harm": harm,
        "skill": best,
        "goal": goal,
        "rounds": rounds,
        "by chance": by_chance,
    }


def main() -> None:
    """Print what was mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cache", type=Path, default=Path(".bench/doctor/repair.json"))
    given = parser.parse_args()
    given.cache.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Row | None] = (
        json.loads(given.cache.read_text()) if given.cache.exists() else {}
    )
    rows = []
    seeds = range(given.first, given.first + given.seeds)
    for seed, cause, dataset in itertools.product(seeds, CAUSES, DATASETS):
        name = f"{dataset}, seed {seed}, {cause}"
        if name not in kept:  # it goes on where it was ended
            kept[name] = harmful(seed, dataset, cause)
            new = given.cache.with_suffix(".new")
            new.write_text(json.dumps(kept, default=float))
            new.replace(given.cache)
        row = kept[name]
        if row is not None:
            rows.append([row[name] for name in ("found", "mended", "better", "as good")])
            print(f"{name:45} found {bool(row['found'])!s:5} skill {row['skill']:.2f}, to reach "
                  f"{row['goal']:.2f}, in {row['rounds']}; by chance {row['by chance']:.2f}",
                  flush=True)  # fmt: skip
    found_rate, mended_rate, better, as_good = np.mean(rows, axis=0)
    print(f"{len(rows)} faulty trainings: found {found_rate:.0%}, mended {mended_rate:.0%}, "
          f"better than a random search of as many trainings {better:.0%}, no more than {NEAR} "
          f"below it {as_good:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()

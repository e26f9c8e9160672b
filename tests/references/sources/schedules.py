"""Learning rates of 50 updates under PyTorch's schedules."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from .cases import SEED

UPDATES = 50
LR = 0.1

SCHEDULES: list[tuple[str, str, dict[str, Any]]] = [
    ("ConstantLR", "a slow start", {"factor": 0.25, "total_iters": 5}),
    ("StepLR", "basic", {"step_size": 10, "gamma": 0.5}),
    ("MultiStepLR", "basic", {"milestones": [5, 20, 40], "gamma": 0.1}),
    ("ExponentialLR", "basic", {"gamma": 0.93}),
    ("CosineAnnealingLR", "to zero", {"T_max": 50, "eta_min": 0.0}),
    ("CosineAnnealingLR", "to a floor, then up again", {"T_max": 30, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", "equal", {"T_0": 10, "T_mult": 1, "eta_min": 0.0}),
    ("CosineAnnealingWarmRestarts", "doubling", {"T_0": 7, "T_mult": 2, "eta_min": 0.001}),
    (
        "OneCycleLR",
        "cosine",
        {
            "max_lr": 0.1,
            "total_steps": 50,
            "pct_start": 0.3,
            "anneal_strategy": "cos",
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "three_phase": False,
        },
    ),
    (
        "OneCycleLR",
        "linear",
        {
            "max_lr": 0.1,
            "total_steps": 50,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
            "three_phase": False,
        },
    ),
    (
        "OneCycleLR",
        "three phases",
        {
            "max_lr": 0.1,
            "total_steps": 50,
            "pct_start": 0.3,
            "anneal_strategy": "cos",
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "three_phase": True,
        },
    ),
    ("LinearLR", "warm-up", {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 10}),
    ("LinearLR", "decay", {"start_factor": 1.0, "end_factor": 0.05, "total_iters": 40}),
    ("PolynomialLR", "linear", {"total_iters": 40, "power": 1.0}),
    ("PolynomialLR", "quadratic", {"total_iters": 40, "power": 2.0}),
    (
        "CyclicLR",
        "triangular",
        {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 8, "step_size_down": 5},
    ),
]

#: Schedules of schedules: the parts as name and attributes.
PARTS: list[tuple[str, str, list[tuple[str, dict[str, Any]]], dict[str, Any]]] = [
    (
        "SequentialLR",
        "warm-up, cosine, decay",
        [
            ("LinearLR", {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 8}),
            ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
            ("ExponentialLR", {"gamma": 0.9}),
        ],
        {"milestones": [8, 30]},
    ),
    (
        "ChainedScheduler",
        "a product of two",
        [("StepLR", {"step_size": 12, "gamma": 0.3}), ("ExponentialLR", {"gamma": 0.97})],
        {},
    ),
]

PLATEAU: dict[str, dict[str, Any]] = {
    "basic": {
        "mode": "min",
        "factor": 0.5,
        "patience": 3,
        "threshold": 1e-4,
        "threshold_mode": "rel",
        "cooldown": 0,
        "min_lr": 0.0,
        "eps": 1e-8,
    },
    "cooldown and floor": {
        "mode": "min",
        "factor": 0.1,
        "patience": 2,
        "threshold": 0.01,
        "threshold_mode": "abs",
        "cooldown": 4,
        "min_lr": 0.0005,
        "eps": 1e-8,
    },
    "a metric to be raised": {
        "mode": "max",
        "factor": 0.5,
        "patience": 3,
        "threshold": 1e-3,
        "threshold_mode": "rel",
        "cooldown": 0,
        "min_lr": 0.0,
        "eps": 1e-8,
    },
}


def optimizer() -> torch.optim.Optimizer:
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    return torch.optim.SGD([parameter], lr=LR)


def rates(
    schedule: Any, given: torch.optim.Optimizer, metrics: list[float] | None = None
) -> list[float]:
    """The rate of each update; the schedule moves on after it."""
    found = []
    for update in range(UPDATES):
        found.append(given.param_groups[0]["lr"])
        given.step()
        if update + 1 < UPDATES:  # OneCycleLR ends with its last update
            schedule.step(*([metrics[update]] if metrics else []))
    return found


def metric_sequence(mode: str) -> list[float]:
    """A noisy descent that comes to rest."""
    rng = np.random.default_rng(SEED)
    descent = 0.2 + 0.8 * np.exp(-np.arange(UPDATES) / 6) + rng.normal(0, 0.01, UPDATES)
    return (descent if mode == "min" else 1 - descent).round(4).tolist()


def sequences() -> Iterator[dict[str, Any]]:
    for name, case, attrs in SCHEDULES:
        extra = {"cycle_momentum": False} if name in ("OneCycleLR", "CyclicLR") else {}
        given = optimizer()
        schedule = getattr(lr_scheduler, name)(given, **attrs, **extra)
        found = rates(schedule, given)
        yield {"name": name, "case": case, "lr": LR, "attrs": attrs, "rates": found}
    for name, case, parts, attrs in PARTS:
        given = optimizer()
        made = [getattr(lr_scheduler, part)(given, **options) for part, options in parts]
        schedule = getattr(lr_scheduler, name)(
            *((given, made) if name == "SequentialLR" else (made,)), **attrs
        )
        stored = [{"name": part, "attrs": options} for part, options in parts]
        attrs, found = {"schedules": stored, **attrs}, rates(schedule, given)
        yield {"name": name, "case": case, "lr": LR, "attrs": attrs, "rates": found}
    for case, attrs in PLATEAU.items():
        metrics, given = metric_sequence(attrs["mode"]), optimizer()
        yield {
            "name": "ReduceLROnPlateau",
            "case": case,
            "lr": LR,
            "attrs": attrs,
            "metrics": metrics,
            "rates": rates(lr_scheduler.ReduceLROnPlateau(given, **attrs), given, metrics),
        }

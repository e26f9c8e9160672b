"""Trajectories of optimizers on a small problem that is smooth and not quadratic.

    loss(w, b) = mean over all elements of log cosh(x w + b - y)

with x (5, 3), w (3, 2), b (2,) and y (5, 2). So with r = tanh(x w + b - y) / 10 the gradients are
xᵀ r for w and the sum of the rows of r for b.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
import torch

from .cases import SEED, Array, encode

STEPS = (1, 2, 3, 10, 100)
Parameters = dict[str, Array]


def problem() -> dict[str, Array]:
    rng = np.random.default_rng(SEED)
    return {
        "x": rng.normal(size=(5, 3)).round(3),
        "y": rng.normal(size=(5, 2)).round(3),
        "w": rng.normal(size=(3, 2)).round(3),
        "b": rng.normal(size=2).round(3),
    }


def gradient(w: Array, b: Array, x: Array, y: Array) -> Parameters:
    r = np.tanh(x @ w + b - y) / y.size
    return {"w": x.T @ r, "b": r.sum(axis=0)}


def trajectory(step: Callable[[Parameters, Parameters], None]) -> dict[str, Any]:
    """Apply `step(parameters, gradients)`, which changes the parameters in place."""
    given = problem()
    parameters = {"w": given["w"], "b": given["b"]}
    kept = {}
    for count in range(1, max(STEPS) + 1):
        step(parameters, gradient(**parameters, x=given["x"], y=given["y"]))
        if count in STEPS:
            kept[str(count)] = {name: encode(value) for name, value in parameters.items()}
    return kept


def of_pytorch(name: str, attrs: dict[str, Any]) -> dict[str, Any]:
    given = problem()
    variables = {key: torch.tensor(given[key]) for key in ("w", "b")}
    optimizer = getattr(torch.optim, name)(variables.values(), **attrs)
    # NAdam keeps the product of its momenta in the default type, which would round it to float32.
    torch.set_default_dtype(torch.float64)

    def step(parameters: Parameters, grads: Parameters) -> None:
        for key, variable in variables.items():
            variable.grad = torch.tensor(grads[key])
        optimizer.step()
        parameters.update((key, variable.numpy().copy()) for key, variable in variables.items())

    try:
        return trajectory(step)
    finally:
        torch.set_default_dtype(torch.float32)


def of_lion(lr: float, betas: tuple[float, float], weight_decay: float) -> dict[str, Any]:
    """Keras's Lion, for PyTorch has none."""
    keras.config.set_floatx("float64")
    optimizer = keras.optimizers.Lion(lr, *betas, weight_decay=weight_decay or None)
    variables = {key: keras.Variable(problem()[key], name=key) for key in ("w", "b")}
    optimizer.build(list(variables.values()))

    def step(parameters: Parameters, grads: Parameters) -> None:
        found = [torch.from_numpy(grads[key]) for key in variables]
        optimizer.apply_gradients(list(zip(found, variables.values(), strict=True)))
        for key, variable in variables.items():
            parameters[key] = keras.ops.convert_to_numpy(variable)

    return trajectory(step)


# Every attribute that matters is written out, PyTorch's default or not.
ADAM: dict[str, Any] = {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8}
RMSPROP: dict[str, Any] = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}
ADAGRAD: dict[str, Any] = {"lr": 0.01, "lr_decay": 0.0, "eps": 1e-10}
ADADELTA: dict[str, Any] = {"lr": 1.0, "rho": 0.9, "eps": 1e-6}
FAST: dict[str, Any] = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}
# NAdam at FAST swings around the optimum, where rounding errors grow by ten powers of ten.
CALM: dict[str, Any] = {"lr": 0.005, "betas": (0.9, 0.99), "eps": 1e-6}

PYTORCH: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": {
        "plain": {"lr": 0.1},
        "momentum": {"lr": 0.1, "momentum": 0.9},
        "momentum and dampening": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        "nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        "weight decay": {"lr": 0.1, "weight_decay": 0.05},
        "nesterov and weight decay": {
            "lr": 0.05,
            "momentum": 0.8,
            "nesterov": True,
            "weight_decay": 0.05,
        },
    },
    "RMSprop": {
        "defaults": RMSPROP,
        "centered": {**RMSPROP, "centered": True},
        "momentum": {**RMSPROP, "momentum": 0.9},
        "all": {
            "lr": 0.02,
            "alpha": 0.9,
            "eps": 1e-4,
            "momentum": 0.5,
            "centered": True,
            "weight_decay": 0.05,
        },
    },
    "Adagrad": {
        "defaults": ADAGRAD,
        "decay": {
            **ADAGRAD,
            "lr": 0.5,
            "lr_decay": 0.05,
            "weight_decay": 0.05,
            "initial_accumulator_value": 0.1,
        },
    },
    "Adadelta": {
        "defaults": ADADELTA,
        "slow": {"lr": 0.5, "rho": 0.95, "eps": 1e-4, "weight_decay": 0.05},
    },
    "Adam": {
        "defaults": ADAM,
        "fast": FAST,
        "amsgrad": {**FAST, "amsgrad": True},
        "weight decay, which is L2": {**FAST, "weight_decay": 0.05},
    },
    "AdamW": {
        "defaults": {**ADAM, "weight_decay": 0.01},
        "fast": {**FAST, "weight_decay": 0.1},
        "amsgrad": {**FAST, "weight_decay": 0.1, "amsgrad": True},
    },
    "NAdam": {
        "defaults": {**ADAM, "lr": 0.002, "momentum_decay": 0.004},
        "weight decay, which is L2": {**CALM, "momentum_decay": 0.01, "weight_decay": 0.05},
        "decoupled weight decay": {
            **CALM,
            "momentum_decay": 0.004,
            "weight_decay": 0.05,
            "decoupled_weight_decay": True,
        },
    },
    "Adamax": {
        "defaults": {**ADAM, "lr": 0.002},
        "weight decay": {**FAST, "weight_decay": 0.05},
    },
    "RAdam": {
        "defaults": ADAM,
        "weight decay, which is L2": {**FAST, "betas": (0.8, 0.99), "weight_decay": 0.05},
    },
}
LION: dict[str, dict[str, Any]] = {
    "defaults": {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0},
    "weight decay": {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1},
}


def trajectories() -> Iterator[dict[str, Any]]:
    for name, cases in PYTORCH.items():
        for case, attrs in cases.items():
            yield {"name": name, "case": case, "attrs": attrs, "steps": of_pytorch(name, attrs)}
    for case, attrs in LION.items():
        yield {"name": "Lion", "case": case, "attrs": attrs, "steps": of_lion(**attrs)}


def clippings() -> Iterator[dict[str, Any]]:
    """Gradients before and after clipping, and the norm of all of them together before."""
    given = problem()
    grads = [given["w"], given["b"]]
    for name, attrs in (
        ("clip_grad_norm", {"max_norm": 0.5, "norm_type": 2.0}),
        ("clip_grad_norm", {"max_norm": 100.0, "norm_type": 2.0}),
        ("clip_grad_norm", {"max_norm": 0.5, "norm_type": float("inf")}),
        ("clip_grad_value", {"clip_value": 0.7}),
    ):
        variables = [torch.zeros_like(torch.tensor(grad)) for grad in grads]
        for variable, grad in zip(variables, grads, strict=True):
            variable.grad = torch.tensor(grad)
        total = getattr(torch.nn.utils, f"{name}_")(variables, **attrs)
        yield {
            "name": name,
            "attrs": {
                key: value if np.isfinite(value) else str(value) for key, value in attrs.items()
            },
            "grads": [encode(grad) for grad in grads],
            "clipped": [encode(variable.grad) for variable in variables],
            "norm": None if total is None else float(total),
        }

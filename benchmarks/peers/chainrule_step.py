"""chainrule: many steps in one call of the native program, or one call a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve


def build(task: Task, mode: str) -> Prepare:
    """Modes: ``loop``, ``call``."""
    layers: list[cr.nn.Module] = []
    for w, b in task.weights:
        layers += [cr.nn.Linear(*w.shape), cr.nn.ReLU()]
        layers[-2].load_state({"weight": w, "bias": b})
    model = cr.nn.Sequential(*layers[:-1])
    optimizer = cr.optim.Adam(model, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON)
    loss_of = cr.losses.cross_entropy if task.network.classes else cr.losses.mse

    def train(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        loss, gradients = cr.value_and_grad(lambda model: loss_of(model(x), y))(model)
        optimizer.update(gradients)
        return loss

    step = cr.compile(train, backend="c")

    def prepare(order: Array) -> Callable[[], Any]:
        def loop() -> Any:
            _, losses = step.run_steps(order, task.x, task.y, rows=(0, 1))
            return losses.numpy()

        def call() -> Any:
            return [step(task.x[rows], task.y[rows]) for rows in order]

        return loop if mode == "loop" else call

    return prepare


serve(build)

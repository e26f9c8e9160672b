"""chainrule: many steps in one call of the native program, one call a step, or nothing compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve
from .chainrule_networks import network


def build(task: Task, mode: str) -> Prepare:
    """Modes: ``loop``, ``loop bf16``, ``call``, ``eager``."""
    how, _, precision = mode.partition(" ")
    model = network(task)
    task.forget_weights()
    optimizer = cr.optim.Adam(model, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def loss_of(model: cr.nn.Module, x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        z = model(x, train=True)
        if task.is_regression:
            return cr.losses.mse(z, y)
        return cr.losses.cross_entropy(cr.reshape(z, (-1, z.shape[-1])), cr.reshape(y, (-1,)))

    def train(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        loss, gradients = cr.value_and_grad(lambda model: loss_of(model, x, y))(model)
        optimizer.update(gradients)
        return loss

    step = cr.compile(train, backend="c", precision=precision or None)

    def prepare(order: Array) -> Callable[[], Any]:
        def loop() -> Any:
            _, losses = step.run_steps(order, task.x, task.y, rows=(0, 1))
            return losses.numpy()

        def call() -> Any:
            return [step(task.x[rows], task.y[rows]) for rows in order]

        def eager() -> Any:
            losses = []
            for rows in order:
                optimizer.zero_grad()
                loss = loss_of(model, cr.tensor(task.x[rows]), cr.tensor(task.y[rows]))
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())  # as PyTorch does here, so that nobody keeps the past
            return losses

        return {"loop": loop, "call": call, "eager": eager}[how]

    return prepare


serve(build)

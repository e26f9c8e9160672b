"""PyTorch: eager, with its fused Adam, or with torch.compile for network, loss and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve


def build(task: Task, mode: str) -> Prepare:
    """Modes: ``eager``, ``fused``, ``compile``."""
    layers: list[Any] = []
    for w, b in task.weights:
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(
        model.parameters(), LEARNING_RATE, (BETA1, BETA2), EPSILON, fused=mode == "fused"
    )
    loss_of = torch.nn.CrossEntropyLoss() if task.network.classes else torch.nn.MSELoss()
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)

    def forward(rows: Any) -> Any:
        return loss_of(model(x[rows]), y[rows])

    update = optimizer.step
    if mode == "compile":
        forward, update = torch.compile(forward), torch.compile(update)

    def prepare(order: Array) -> Callable[[], Any]:
        batches = torch.from_numpy(order)

        def run() -> Any:
            losses = []
            for rows in batches:
                optimizer.zero_grad()
                loss = forward(rows)
                loss.backward()
                update()
                losses.append(loss.detach())
            return losses

        return run

    return prepare


serve(build)

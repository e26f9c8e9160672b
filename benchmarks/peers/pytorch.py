"""PyTorch: eager, with its fused Adam, or with torch.compile for network, loss and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..task import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Task
from ..worker import Prepare, serve
from .pytorch_networks import network


def _sequences_cross_entropy(z: Any, y: Any) -> Any:
    return functional.cross_entropy(z.flatten(0, -2), y.flatten())


def build(task: Task, mode: str) -> Prepare:
    """Modes: ``eager``, or words of ``fused``, ``channels_last``, ``compile``, ``float64``.

    With ``bf16`` it is autocast, which rounds what goes into products to bfloat16.
    """
    words = mode.split()
    torch.set_flush_denormal(True)  # as JAX does by itself
    model = network(task)
    task.forget_weights()
    x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    if "float64" in words:
        model, x = model.double(), x.double() if x.is_floating_point() else x
    if "channels_last" in words:
        kept = torch.channels_last
        model, x = model.to(memory_format=kept), x.to(memory_format=kept)
    optimizer = torch.optim.Adam(
        model.parameters(), LEARNING_RATE, (BETA1, BETA2), EPSILON, fused="fused" in words
    )
    loss_of: Any = functional.cross_entropy if y.ndim == 1 else _sequences_cross_entropy
    if task.is_regression:
        loss_of = functional.mse_loss

    def forward(rows: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in words):
            return loss_of(model(x[rows]), y[rows])

    update = optimizer.step
    if "compile" in words:
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

"""Whole training steps: activations, gradients of hidden values, memory of the optimizer.

Two networks, written out in PyTorch with the layouts of chainrule (weights (in, out), images
channels-last, kernels (height, width, in, out)):

`dense`: x (4, 3) → tanh(x w1 + b1) (5) → w2, b2 (3) → cross-entropy with class indices;
`convolutional`: x (2, 6, 6, 1) → convolution 3 by 3 with 2 filters → tanh → largest of 2 by 2 →
weights (8, 2) → cross-entropy.

For each optimizer: `values` and `grads` of the third step, by name; `before` and `after` the step
the memory (PyTorch's names), `new` the parameters, `loss` and `loss_after`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .cases import SEED, encode

Tensors = dict[str, torch.Tensor]

OPTIMIZERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.01}),
}


def dense(p: Tensors, x: torch.Tensor, y: torch.Tensor) -> Tensors:
    z1 = x @ p["w1"] + p["b1"]
    a1 = torch.tanh(z1)
    z2 = a1 @ p["w2"] + p["b2"]
    return {"z1": z1, "a1": a1, "z2": z2, "loss": F.cross_entropy(z2, y)}


def convolutional(p: Tensors, x: torch.Tensor, y: torch.Tensor) -> Tensors:
    z1 = F.conv2d(x.permute(0, 3, 1, 2), p["w1"].permute(3, 2, 0, 1), p["b1"]).permute(0, 2, 3, 1)
    a1 = torch.tanh(z1)  # no ties below: the largest of zeros is a matter of convention
    h1 = F.max_pool2d(a1.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    z2 = h1.reshape(len(x), -1) @ p["w2"] + p["b2"]
    return {"z1": z1, "a1": a1, "h1": h1, "z2": z2, "loss": F.cross_entropy(z2, y)}


SHAPES: dict[str, Any] = {
    "dense": (dense, {"w1": (3, 5), "b1": (5,), "w2": (5, 3), "b2": (3,)}, (4, 3), 3),
    "convolutional": (
        convolutional,
        {"w1": (3, 3, 1, 2), "b1": (2,), "w2": (8, 2), "b2": (2,)},
        (2, 6, 6, 1),
        2,
    ),
}


def steps() -> Iterator[dict[str, Any]]:
    for number, (network, (forward, shapes, extents, classes)) in enumerate(SHAPES.items()):
        rng = np.random.default_rng([SEED, number])
        start = {name: rng.normal(size=shape).round(3) for name, shape in shapes.items()}
        x = rng.normal(size=extents).round(3)
        y = rng.integers(0, classes, extents[0])
        for name, (kind, attrs) in OPTIMIZERS.items():
            p = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
            optimizer = kind(list(p.values()), **attrs)
            given = torch.tensor(x), torch.tensor(y)
            for _ in range(2):
                optimizer.zero_grad()
                forward(p, *given)["loss"].backward()
                optimizer.step()
            yield {
                "network": network,
                "optimizer": name,
                "attrs": attrs,
                "start": {key: encode(value) for key, value in start.items()},
                "x": encode(x),
                "y": encode(y),
                **third(p, optimizer, forward, given),
            }


def third(p: Tensors, optimizer: Any, forward: Any, given: Any) -> dict[str, Any]:
    old = encoded(p)
    before = memory(p, optimizer)
    optimizer.zero_grad()
    found = forward(p, *given)
    for value in found.values():
        value.retain_grad()
    found["loss"].backward()
    grads = {key: value.grad for key, value in {**p, **found}.items()}
    result = {
        "old": old,
        "values": encoded(found),
        "grads": encoded(grads),
        "before": before,
    }
    optimizer.step()
    return result | {
        "new": encoded(p),
        "after": memory(p, optimizer),
        "loss_after": encode(forward(p, *given)["loss"].detach().numpy()),
    }


def encoded(tensors: Tensors) -> dict[str, Any]:
    return {key: encode(value.detach().numpy().copy()) for key, value in tensors.items()}


def memory(p: Tensors, optimizer: Any) -> dict[str, Any]:
    return {
        name: {
            key: encode(value.detach().numpy().copy())
            for key, value in optimizer.state[w].items()
            if isinstance(value, torch.Tensor) and value.shape == w.shape
        }
        for name, w in p.items()
    }

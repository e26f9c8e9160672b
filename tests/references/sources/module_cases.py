"""A case of a layer: its parameters, inputs, value and gradients, computed with PyTorch."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from .cases import SEED, encode

Tensors = dict[str, torch.Tensor]


class ModuleCases:
    """Makes the cases of one file, from numbers of its own."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])

    def real(self, *shape: int) -> torch.Tensor:
        return torch.from_numpy(self.rng.uniform(-1.5, 1.5, shape).round(3)).requires_grad_()

    def run(
        self,
        layer: str,
        case: str,
        options: dict[str, Any],
        module: nn.Module,
        ours: Callable[[Tensors], Tensors],
        call: Callable[..., list[torch.Tensor]],
        inputs: list[torch.Tensor],
        buffers: Tensors | None = None,
        **constants: Any,
    ) -> dict[str, Any]:
        """One case: the gradients are those of Σ output · weights over all outputs.

        Args:
            layer: chainrule's name of the layer.
            case: what sets it apart.
            options: the arguments that make chainrule's layer.
            module: PyTorch's.
            ours: renames and transposes parameters, or their gradients.
            call: runs the module.
            inputs: the differentiable arguments.
            buffers: the buffers of a parametrisation before the call, by name.
            constants: the other arguments of the call of chainrule's layer.
        """
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                drawn = np.round(self.rng.uniform(-0.8, 0.8, parameter.shape), 3)
                parameter.copy_(torch.from_numpy(np.asarray(drawn)))
        named = dict(module.named_parameters())
        state = {path: encode(value) for path, value in ours(named).items()}
        if buffers:
            (weight,) = (path for path in state if path.endswith(".original"))
            inside = weight.removesuffix("original")
            state |= {inside + name: encode(value) for name, value in buffers.items()}
        outputs = call(module, *inputs)
        weights = [torch.from_numpy(self.rng.uniform(-1, 1, y.shape).round(2)) for y in outputs]
        total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
        grads = torch.autograd.grad(total, [*inputs, *named.values()])
        by_name = dict(zip(named, grads[len(inputs) :], strict=True))
        return {
            "layer": layer,
            "case": case,
            "options": options,
            "state": state,
            "inputs": [encode(x) for x in inputs],
            "constants": {name: encode(value) for name, value in constants.items()},
            "outputs": [encode(y) for y in outputs],
            "weights": [encode(w) for w in weights],
            "input_grads": [encode(g) for g in grads[: len(inputs)]],
            "state_grads": {path: encode(value) for path, value in ours(by_name).items()},
        }

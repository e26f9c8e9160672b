"""One training step: forward pass, error, backward pass and update as one compiled function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..compile import Compiled
from ..differentiate import value_and_grad
from ..errors import TrainingError
from ..nn import Module
from ..numerics import first_bad_number
from ..ops import zeros_like
from ..ops.random import fold_in, key
from ..optim import EMA, Optimizer, global_norm
from ..tensor import Buffer, Tensor

Loss = Callable[..., Tensor]


class Step:
    """The four steps of backpropagation on one batch.

    Args:
        model: what is trained.
        loss: ``(prediction, target)``, and ``sample_weights=`` if there are any.
        optimizer: changes the parameters.
        seed: dropout and other randomness follow from it and the number of the step.
        average: averaged weights to keep, if any.
        accumulate: how many batches make up one update: their gradients are averaged.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        seed: int = 0,
        average: EMA | None = None,
        accumulate: int = 1,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.accumulate = accumulate
        self._key = key(seed)
        self._sums = _zeros(model) if accumulate > 1 else {}
        self._run = Compiled(self._step)
        self.number = 0

    def __call__(self, inputs: Any, target: Any, weights: Any = None) -> tuple[float, float]:
        """Train on one batch; the loss and the norm of its gradient, before the update."""
        last = (self.number + 1) % self.accumulate == 0
        arguments = (inputs, target, weights, np.int64(self.number), last)
        loss, norm = self._run(*arguments)
        self.number += 1
        result = loss.item(), norm.item()
        if not np.isfinite(result).all():
            self._fail(arguments, *result)
        return result

    def _step(
        self, inputs: Any, target: Tensor, weights: Tensor | None, number: Tensor, last: bool
    ) -> tuple[Tensor, Tensor]:
        draw = fold_in(self._key, number)

        def error(model: Module) -> Tensor:
            prediction = model(inputs, train=True, key=draw)
            options = {} if weights is None else {"sample_weights": weights}
            return self.loss(prediction, target, **options)

        loss, gradients = value_and_grad(error)(self.model)
        norm = global_norm(gradients)
        if self.accumulate > 1:
            gradients = self._accumulated(gradients, last)
        if last:
            known = norm if self.accumulate == 1 else None
            self.optimizer.update(gradients, loss=loss, norm=known)
            if self.average is not None:
                self.average.update()
        return loss, norm

    def _accumulated(self, gradients: dict[str, Tensor], last: bool) -> dict[str, Tensor]:
        means = {}
        for path, gradient in gradients.items():
            total = self._sums[path] + gradient
            means[path] = total / self.accumulate
            self._sums[path].assign(zeros_like(total) if last else total)
        return means

    def _fail(self, arguments: Any, loss: float, norm: float) -> None:
        """The loss or its gradient is not finite: say which operation made it so."""
        traced, inputs = self._run.last_run
        bad = first_bad_number(traced.graph, inputs, 0 if not np.isfinite(loss) else 1)
        raise TrainingError(
            f"The {'loss' if not np.isfinite(loss) else 'gradient'} is not a finite number.",
            where=f"step {self.number}",
            found=f"loss {loss:.6g}, gradient norm {norm:.6g}; {bad}",
            hint="Lower the learning rate, clip the gradient (clip_norm=1.0), or look for "
            "infinities in the data.",
        )


def _zeros(model: Module) -> dict[str, Buffer]:
    return {
        path: Buffer(np.zeros(parameter.shape), parameter.dtype)
        for path, parameter in model.trainable_parameters().items()
    }

"""One training step: forward pass, error, backward pass and update as one compiled function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.autodiff import value_and_grad
from ..engine.batch_independence import rows_are_apart, single_numbers
from ..engine.compile import Compiled, Traced, trace
from ..engine.ir.types import Type
from ..engine.nan_debug import first_bad_number
from ..engine.ops import zeros_like
from ..engine.ops.random import fold_in, key
from ..engine.tensor import Buffer, Tensor
from ..errors import TrainingError
from ..nn import Module
from ..optim import EMA, Optimizer, global_norm
from ..utils.typing import Array
from .dataset import Arrays, filled_up

Loss = Callable[..., Tensor]

#: A batch is filled up to the size of whole ones unless that is more than so many times its rows.
_MOST_FILLING = 4


class Step:
    """The four steps of backpropagation on one batch.

    The first batch decides how many rows a whole batch has. Others are filled up with rows of no
    weight, where the loss takes weights and the network keeps rows apart (batch normalisation does
    not), so that the last batch of an epoch, or what comes day by day, needs no program for each
    number of rows.

    Args:
        model: what is trained.
        loss: ``(prediction, target)``, and ``sample_weights=`` if there are any.
        optimizer: changes the parameters.
        seed: dropout and other randomness follow from it and the number of the step.
        average: averaged weights to keep, if any.
        accumulate: how many batches make up one update: their gradients are averaged.
        backend: what runs the step; see `chainrule.compile`.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        seed: int = 0,
        average: EMA | None = None,
        accumulate: int = 1,
        backend: str = "auto",
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.accumulate = accumulate
        self._key = key(seed)
        self._sums = _zeros(model) if accumulate > 1 else {}
        self._program = Compiled(self._step, backend, guard=True)
        self._whole = 0
        self._can_fill: bool | None = None
        self.number = 0

    def __call__(self, inputs: Any, target: Any, weights: Any = None) -> tuple[float, float]:
        """Train on one batch; the loss and the norm of its gradient, before the update."""
        batch = Arrays(inputs, target, weights)
        losses, norms = self.run(batch, np.arange(len(batch))[None])
        return float(losses[0]), float(norms[0])

    def run(self, data: Arrays, order: Array) -> tuple[Array, Array]:
        """Train on many batches in one go.

        Args:
            data: the examples.
            order: (steps, batch) whole numbers: the rows that each step gets.

        Returns:
            For each step the loss and the norm of its gradient, before the update.

        Raises:
            TrainingError: one of them is not finite. The steps before count, this one does not.
        """
        data, order = self._filled(data, order)
        if self.accumulate == 1:
            return self._run_steps(data, order, last=True)
        parts = []
        for batch in order:
            last = (self.number + 1) % self.accumulate == 0
            parts.append(self._run_steps(data, batch[None], last))
        losses, norms = zip(*parts, strict=True)
        return np.concatenate(losses), np.concatenate(norms)

    def prepare(self, batch: Arrays, whole: int) -> None:
        """Have the program for a batch of this many rows built in the background.

        Args:
            batch: the rows.
            whole: how many rows the batches have that will come first.
        """
        self._whole = self._whole or whole
        batch, _ = self._filled(batch, np.arange(len(batch))[None])
        number = np.int64(self.number)
        self._program.prepare(batch.inputs, batch.target, batch.weights, number, True)

    def _filled(self, data: Arrays, order: Array) -> tuple[Arrays, Array]:
        """The batches as a program takes them that there is or may be used again."""
        rows = order.shape[1]
        self._whole = self._whole or rows
        if rows == self._whole or not self._fills(data):
            return data, order
        size = filled_size(rows, self._whole)
        if size == rows:
            return data, order
        return filled_up(data, order, size), np.arange(len(order) * size).reshape(-1, size)

    def _fills(self, data: Arrays) -> bool:
        """Whether rows that weigh nothing change nothing for the others."""
        if self._can_fill is None:
            self._can_fill = takes_weights(self.loss) and self._keeps_rows_apart(data)
        return self._can_fill

    def _keeps_rows_apart(self, data: Arrays) -> bool:
        def predict(inputs: Any, number: Tensor) -> Any:
            return self.model(inputs, train=True, key=fold_in(self._key, number))

        def traced(rows: int) -> Traced:
            batch = pytree.map_leaves(lambda a: Type(a.dtype, (rows, *a.shape[1:])), data.inputs)
            return trace(predict, batch, np.int64(0))

        rows, fewer = 7, 5  # any numbers would do
        found = traced(rows)
        if found.assigned or single_numbers(found.graph) != single_numbers(traced(fewer).graph):
            return False
        inputs = found.graph.inputs[: len(pytree.flatten(data.inputs)[0])]
        return rows_are_apart(found.graph, dict.fromkeys(inputs, 0), rows)

    @property
    def source(self) -> str:
        """The program of the step: C, or the graph where NumPy runs it."""
        return self._program.source

    def _run_steps(self, data: Arrays, order: Array, last: bool) -> tuple[Array, Array]:
        done, results = self._program.run_steps(
            order,
            data.inputs,
            data.target,
            data.weights,
            np.int64(self.number),
            last,
            rows=(0, 1, 2),
            counter=3,
        )
        losses, norms = (result.numpy() for result in results)
        self.number += done
        if done < len(order):
            self._fail(float(losses[-1]), float(norms[-1]))
        return losses, norms

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

    def _fail(self, loss: float, norm: float) -> None:
        """The loss or its gradient is not finite: say which operation made it so."""
        assert self._program.last_run is not None
        traced, inputs = self._program.last_run
        bad = first_bad_number(traced.graph, inputs, 0 if not np.isfinite(loss) else 1)
        raise TrainingError(
            f"The {'loss' if not np.isfinite(loss) else 'gradient'} is not a finite number.",
            where=f"step {self.number + 1}",
            found=f"loss {loss:.6g}, gradient norm {norm:.6g}; {bad}",
            hint="Lower the learning rate, clip the gradient (clip_norm=1.0), or look for "
            "infinities in the data.",
        )


def takes_weights(loss: Loss) -> bool:
    """Whether a loss can be the mean Σ w·l / Σ w over the rows."""
    return "sample_weights" in inspect.signature(loss).parameters


def filled_size(rows: int, whole: int) -> int:
    """How many rows a batch is filled up to: those of a whole one, or a power of two.

    Example:
        >>> filled_size(20, 64), filled_size(10, 64), filled_size(100, 64)
        (64, 16, 128)
    """
    if rows <= whole <= _MOST_FILLING * rows:
        return whole
    return 1 << (rows - 1).bit_length()


def _zeros(model: Module) -> dict[str, Buffer]:
    return {
        path: Buffer(np.zeros(parameter.shape), parameter.dtype)
        for path, parameter in model.trainable_parameters().items()
    }

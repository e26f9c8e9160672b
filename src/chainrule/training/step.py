"""One training step: forward pass, error, backward pass and update as one compiled function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.autodiff import value_and_grad
from ..engine.backends.base import Backend
from ..engine.compile import Compiled
from ..engine.ir.node import Node
from ..engine.nan_debug import first_bad_number
from ..engine.ops import sum, where, zeros_like
from ..engine.ops.random import fold_in, key
from ..engine.tensor import Buffer, Tensor
from ..errors import ConfigError, TrainingError
from ..losses import check_target
from ..nn import Module
from ..optim import EMA, Optimizer, global_norm
from ..optim.clipping import Shared
from ..utils.together import process_count
from ..utils.typing import Array
from .dataset import Arrays
from .padding import independent_rows, padded_batches, padded_size, takes_weights

Loss = Callable[..., Tensor]

#: Of so many full batches in an epoch, one more takes less time than to build a program for a small
#: one at its end.
_MANY = 6


class Step:
    """The four steps of backpropagation on one batch.

    `expect`, or else the first batch, says how many rows a full one has. Others are padded with
    zero-weight rows,
    where the loss takes weights and the network treats rows independently (batch normalisation does
    not), so that the last batch of an epoch, or what comes day by day, needs no program for each
    number of rows.

    Args:
        model: what is trained.
        loss: ``(prediction, target)``, and ``sample_weights=`` if there are any.
        optimizer: changes the parameters.
        seed: dropout and other randomness follow from it and the count of the step.
        average: averaged weights to keep, if any.
        accumulate: how many batches make up one update, with the mean of their gradients, weighted
            by their rows, or by what these weigh.
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
        backend: str | Backend = "auto",
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.average = average
        self.accumulate = accumulate
        self._key = key(seed)
        self._sums = _zeros(model) if accumulate > 1 else {}
        self._sum_of_weights = Buffer(0.0)
        self._pending = 0  # batches since the last update
        self._program = Compiled(self._step, backend, guard=True)
        self._full_size = 0
        self._full_batches = 0
        self._independent: bool | None = None
        self.number = 0

    def __call__(self, inputs: Any, target: Any, weights: Any = None) -> tuple[float, float]:
        """Train on one batch; the loss and the norm of its gradient, before the update."""
        batch = Arrays(inputs, target, weights)
        if batch.target is not None:
            check_target(self.loss, batch.target)
        losses, norms = self.run(batch, np.arange(len(batch))[None])
        return float(losses[0]), float(norms[0])

    def run(self, data: Arrays, order: Array, ends: bool = False) -> tuple[Array, Array]:
        """Train on many batches in one go.

        Args:
            data: the examples.
            order: (steps, batch) integers: the rows that each step gets.
            ends: whether these are the last ones, so that the last one makes an update, however
                few batches are accumulated.

        Returns:
            For each step the loss and the norm of its gradient, before the update.

        Raises:
            TrainingError: one of them is not finite. The steps before count, this one does not.
        """
        data, order = self._padded(data, order)
        if self.accumulate == 1:
            return self._run_steps(data, order, last=True)
        parts = []
        for number, batch in enumerate(order, 1):
            last = self._pending + 1 == self.accumulate or (ends and number == len(order))
            parts.append(self._run_steps(data, batch[None], last))
            self._pending = 0 if last else self._pending + 1
        losses, norms = zip(*parts, strict=True)
        return np.concatenate(losses), np.concatenate(norms)

    def drop_accumulated(self) -> None:
        """Forget gradients that have not made an update, such as before an interruption."""
        if self._pending:
            for buffer in (*self._sums.values(), self._sum_of_weights):
                buffer.assign(np.zeros(buffer.shape))
            self._pending = 0

    def accumulated(self) -> dict[str, Array]:
        """The sums of gradients that have not made an update yet, by path; nothing if none has."""
        if not self._pending:
            return {}
        sums = {path: buffer.numpy() for path, buffer in self._sums.items()}
        return {"": self._sum_of_weights.numpy(), **sums}

    def load_accumulated(self, sums: Mapping[str, Array], pending: int) -> None:
        """Go on from what `accumulated` gave, of so many batches."""
        if pending:
            self._sum_of_weights.assign(sums[""])
            for path, buffer in self._sums.items():
                buffer.assign(sums[path])
        self._pending = pending

    @property
    def pending(self) -> int:
        """The batches whose gradients are accumulated and have not made an update yet."""
        return self._pending

    def expect(self, rows: int, batches: int = 0) -> None:
        """A full batch has so many rows, whichever comes first, and an epoch so many full ones.

        Raises:
            ConfigError: there are more devices over which it is to be split.
        """
        parts = self._program.parts
        if rows < parts:
            raise ConfigError(
                "A batch has fewer rows than there are devices.", expected=f"at least {parts} rows",
                found=str(rows), hint="Take a larger batch_size, or fewer devices.",
            )  # fmt: skip
        self._full_size = self._full_size or rows
        self._full_batches = batches

    def own_rows(self, rows: int) -> Array:
        """(rows,) which rows of a batch this process computes: those of a full one, in a part."""
        own = self._program.own_rows(rows)
        return own if rows == self._full_size else np.ones(rows, bool)

    def prepare(self, batch: Arrays, runs: int) -> None:
        """Have the program for a batch of this many rows built meanwhile, for so many steps."""
        batch, _ = self._padded(batch, np.arange(len(batch))[None])
        number = np.int64(self.number)
        self._program.prepare(batch.inputs, batch.target, batch.weights, number, True, runs=runs)

    def _padded(self, data: Arrays, order: Array) -> tuple[Arrays, Array]:
        """The batches at a size for which there is a program, or one that will be used again."""
        rows = order.shape[1]
        self._full_size = self._full_size or rows
        if rows == self._full_size or not takes_weights(self.loss):
            return data, order
        if not self.rows_are_independent(data.inputs):
            return data, order
        size = padded_size(rows, self._full_size)
        if data.weights is not None and self._full_batches >= _MANY:
            size = max(size, self._full_size)  # the program of full batches, which has weights, too
        if size == rows:
            return data, order
        return padded_batches(data, order, size), np.arange(len(order) * size).reshape(-1, size)

    def rows_are_independent(self, inputs: Any) -> bool:
        """Whether the model in training predicts each row from that row only."""
        if self._independent is None:
            self._independent = independent_rows(self._predict, inputs, np.int64(0), redraws=True)
        return self._independent

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

    def _predict(self, inputs: Any, number: Tensor) -> Any:
        return self.model(inputs, train=True, key=fold_in(self._key, number))

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
            rows = pytree.flatten(inputs)[0][0].shape[0]
            weight = rows if weights is None else sum(weights) * (rows / weights.size)
            gradients = self._accumulated(gradients, weight / self._full_size, last)
        if last:
            known = norm if self.accumulate == 1 else None
            self.optimizer.update(gradients, loss=loss, norm=known)
            if self.average is not None:
                self.average.update()
        return loss, norm

    def _accumulated(
        self, gradients: dict[str, Tensor], weight: Tensor | float, last: bool
    ) -> dict[str, Tensor]:
        weights = self._sum_of_weights + weight
        self._sum_of_weights.assign(zeros_like(weights) if last else weights)
        divisor = Shared(where(weights == 0, 1.0, weights))
        means = {}
        for path, gradient in gradients.items():
            total = self._sums[path] + gradient * weight
            means[path] = total / divisor.like(total)
            self._sums[path].assign(zeros_like(total) if last else total)
        return means

    def _fail(self, loss: float, norm: float) -> None:
        """The loss or its gradient is not finite: say which operation made it so."""
        assert self._program.last_run is not None
        traced, inputs = self._program.last_run
        bad = first_bad_number(traced.graph, inputs, 0 if not np.isfinite(loss) else 1)
        given = traced.graph.inputs[: -len(traced.variables)]
        in_data = bad is not None and bad.node in given
        raise TrainingError(
            f"The {'loss' if not np.isfinite(loss) else 'gradient'} is not a finite number.",
            where=f"step {self.number + 1}",
            found=f"loss {loss:.6g}, gradient norm {norm:.6g}; "
            + (
                f"{_part_of(bad.node)} hold {bad.kind} already"
                if bad and in_data
                else str(bad)
                if bad or process_count() == 1
                else "the numbers are those of rows that another process reads"
            ),
            hint="Fill in or leave out the rows for which np.isfinite(x) is false."
            if in_data
            else "Lower the learning rate, or clip the gradient: clip_norm=1.0.",
        )


def _part_of(node: Node) -> str:
    """What an input of the step is called: its name begins with its place among the arguments."""
    place = str(node.attributes.get("name", "")).partition(".")[0].partition("[")[0]
    return {"0": "the inputs", "1": "the targets", "2": "the weights"}.get(place, "the data")


def _zeros(model: Module) -> dict[str, Buffer]:
    return {
        path: Buffer(np.zeros(parameter.shape), parameter.dtype)
        for path, parameter in model.trainable_parameters().items()
    }

"""Predictions and losses of any number of rows: in parts where rows are independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.backends.base import Backend
from ..engine.compile import Compiled
from ..engine.tensor import Tensor
from ..losses.common import SUM_AND_WEIGHT
from ..losses.registry import reduction_of
from ..nn import Module
from ..utils import together
from ..utils.typing import Array
from .data_loader import Stream
from .dataset import Arrays
from .padding import independent_rows, padded_batches, padded_size, takes_weights

Examples = Arrays | Stream

#: Rows that are evaluated at once; small enough for the cache, large enough to be quick.
_CHUNK = 2048
_CHUNK_NUMBERS = 2**20


class Evaluator:
    """What a model predicts, and its loss, in evaluation (``train=False``).

    Parts of the examples are evaluated one after the other, and padded to few sizes, each of which
    needs a program. Where rows are not independent, all of them are evaluated at once, as in a call
    of the model (of a `Stream` those of a part, without padding).
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Tensor],
        output: Callable[[Tensor], Tensor] | None,
        backend: str | Backend,
    ) -> None:
        self.model = model
        self.loss = loss
        self.output = output
        self._reduction = reduction_of(loss)
        self._predict = Compiled(self.prediction, backend)
        self._error = Compiled(self._error_of, backend)
        self._independent: bool | None = None

    def prediction(self, inputs: Any) -> Tensor:
        """The output of the model as a prediction."""
        result: Tensor = self.model(inputs)
        return result if self.output is None else self.output(result)

    def predict(self, examples: Examples, at_once: int | None = None) -> Array:
        """The predictions for all rows.

        Args:
            examples: the rows.
            at_once: by the program for so many of them, which there is, however many there are.
        """
        if at_once is not None and isinstance(examples, Arrays):
            return self._predicted_in_pieces(examples, at_once)
        predicted: list[Array] = []
        alike = isinstance(examples, Arrays) or examples.groups is None
        for part in self._parts(examples, [self._predict], ordered=True):
            before = len(predicted[0]) if predicted else 0
            rows = len(part)
            if alike and rows < before and self._rows_are_independent(part.inputs):
                # The program that there is takes less time than to build one for few rows.
                part = part.take(np.arange(before) % rows)
            predicted.append(self._predicted(part, before)[:rows])
        return np.concatenate(predicted)

    def evaluate(self, examples: Examples, predict: bool) -> tuple[float, Array | None]:
        """The loss over all rows, and the predictions if they are asked for."""
        total = weight = 0.0
        size = 0
        predicted: list[Array] = []
        programs = [self._error, *([self._predict] if predict else [])]
        for part in self._parts(examples, programs, ordered=predict):
            padded = self._padded(part, size)
            size = size or len(padded)
            found = self._error(padded.inputs, padded.target, padded.weights).numpy()
            if self._reduction is None:  # a function of the user's: a mean over the rows
                count = len(part) if part.weights is None else float(part.weights.sum())
                found = np.array([found * count, count])
            total, weight = total + float(found[0]), weight + float(found[1])
            if predict:
                predicted.append(self._predicted(part, len(predicted[0]) if predicted else 0))
        loss = total if self._reduction == "sum" or not weight else total / weight
        return loss, np.concatenate(predicted) if predict else None

    def prepare(self, examples: Arrays, runs: int) -> None:
        """Have the programs for the loss of these examples built meanwhile, for some runs."""
        most = self._rows_at_once(examples)
        size = 0
        for rows in dict.fromkeys((min(len(examples), most), len(examples) % most)):
            if rows:
                part = self._padded(examples.take(np.arange(rows)), size)
                size = size or len(part)
                runs_of_part = runs * max(len(examples) // most, 1)
                self._error.prepare(part.inputs, part.target, part.weights, runs=runs_of_part)

    def prepare_predictions(self, examples: Arrays, rows: int, runs: int) -> None:
        """Have the program for the predictions of so many such examples built in the background."""
        if self._rows_are_independent(examples.inputs):
            size = padded_size(min(rows, self._rows_at_once(examples)), 0)
            few = examples.take(np.arange(size) % len(examples))
            self._predict.prepare(few.inputs, runs=runs)

    def _error_of(self, inputs: Any, target: Any, weights: Any) -> Tensor:
        options = {} if weights is None else {"sample_weights": weights}
        if self._reduction is not None:
            options["reduction"] = SUM_AND_WEIGHT
        return self.loss(self.model(inputs), target, **options)

    def _parts(
        self, examples: Examples, programs: list[Compiled], ordered: bool
    ) -> Iterator[Arrays]:
        """Parts that are evaluated at once; in the order of the rows, if that matters.

        Of several processes each reads the rows that its programs compute.
        """
        if isinstance(examples, Arrays):
            yield from examples.batches(self._rows_at_once(examples))
        else:
            size = examples.at_once or self._rows_at_once(examples.read([0]))
            if ordered or examples.groups is None:

                def own(rows: int) -> Array:
                    if rows != size or padded_size(rows, 0) != rows:
                        return np.ones(rows, bool)
                    return np.any([program.own_rows(rows) for program in programs], axis=0)

                several = together.process_count() > 1 and self._independent
                order = np.arange(len(examples))
                yield from examples.batches(order, size, own=own if several else None)
            else:
                yield from examples.each(examples.in_order(size, None))

    def _rows_at_once(self, examples: Arrays) -> int:
        """Fewer where a row has many numbers; all where they are not independent."""
        if not self._rows_are_independent(examples.inputs):
            return max(len(examples), _CHUNK)
        numbers = sum(leaf.size for leaf in pytree.flatten(examples.inputs)[0]) // len(examples)
        return 1 << (max(min(_CHUNK, _CHUNK_NUMBERS // max(numbers, 1)), 1).bit_length() - 1)

    def _predicted(self, part: Arrays, size: int) -> Array:
        """Predictions for a part of the examples; the parts before it had ``size`` rows, or 0."""
        padded = part
        if self._rows_are_independent(part.inputs):
            padded = part.take(np.arange(padded_size(len(part), size)) % len(part))
        return self._predict(padded.inputs).numpy()[: len(part)]

    def _predicted_in_pieces(self, examples: Arrays, rows: int) -> Array:
        """Predictions by the program for so many rows; several pieces in one call of it."""
        if not self._rows_are_independent(examples.inputs):
            return np.concatenate([self.predict(part) for part in examples.batches(rows)])
        size = padded_size(min(rows, self._rows_at_once(examples)), 0)
        count = -(-len(examples) // size)
        order = (np.arange(count * size) % len(examples)).reshape(count, size)
        step = max(_CHUNK // size, 1)
        parts = [order[start : start + step] for start in range(0, count, step)]
        found = [self._predict.run_steps(part, examples.inputs, rows=[0])[1] for part in parts]
        predicted = np.concatenate([part.numpy() for part in found])
        return predicted.reshape(-1, *predicted.shape[2:])[: len(examples)]

    def _padded(self, part: Arrays, size: int) -> Arrays:
        """The part with zero-weight rows for its loss, to the size that `_predicted` takes."""
        size = padded_size(len(part), size)
        pads = takes_weights(self.loss) and self._rows_are_independent(part.inputs)
        if size == len(part) or not pads:
            return part
        return padded_batches(part, np.arange(len(part))[None], size)

    def _rows_are_independent(self, inputs: Any) -> bool:
        if self._independent is None:
            self._independent = independent_rows(self.prediction, inputs)
        return self._independent

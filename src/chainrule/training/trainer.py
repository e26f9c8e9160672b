"""The training loop: epochs of steps, validation, early stopping, the best weights."""

from __future__ import annotations

import itertools
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from .. import metrics as metric_functions
from ..data.split import split_indices
from ..engine.backends.base import Backend
from ..engine.backends.registry import find_backend
from ..engine.ops import sigmoid, softmax
from ..engine.ops.random import fold_in, key, permutation
from ..engine.tensor import Tensor
from ..errors import ConfigError, TrainingError, unknown
from ..losses import LOSSES, check_target
from ..metrics import METRICS, Metric
from ..nn import Module
from ..optim import EMA, OPTIMIZERS, Optimizer
from ..utils import together
from ..utils.typing import Array
from .callbacks import Callback
from .checkpoints import Checkpoints
from .data_loader import Stream
from .dataset import Arrays
from .deadline import Deadline
from .evaluation import Evaluator, Examples
from .first_look import first_look
from .history import History
from .progress import progress_display
from .resume import FitOptions, Keeper, Position, identity_of
from .sampler import last_two_as_one
from .step import Step

#: From the output of the network to a prediction, by the loss that it is trained with.
_OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "cross_entropy": softmax,
    "binary_cross_entropy": sigmoid,
}
#: Steps that are run in one go take about so long: short enough for a live display.
_CHUNK_SECONDS = 0.1
#: How often rows are predicted after a fit, about: for the importance of columns.
_PREDICTIONS = 500


class Trainer:
    """Trains a model on examples.

    Args:
        model: the network; its output goes into the loss.
        loss: a name from `chainrule.losses.LOSSES`, or a function of prediction and target that
            returns one number. One that takes ``sample_weights``, too, is the mean Σ w·l / Σ w of
            the rows: batches of odd sizes are then padded with zero-weight rows, rather than
            compiled for each size, if the network treats rows independently.
        optimizer: an optimizer of the model's parameters, or a name from
            `chainrule.optim.OPTIMIZERS` with its defaults.
        lr: the learning rate or schedule, if the optimizer is given by name.
        metrics: names from `chainrule.metrics.METRICS`, or a `chainrule.metrics.Metric` by name,
            computed on validation data.
        output: from the network's output to predictions; softmax or sigmoid for the
            cross-entropies, otherwise the identity.
        average: the decay of an exponential moving average of the weights (EMA), which is then
            validated, and kept instead of the last weights.
        seed: order of the rows, dropout and the split follow from it, to the bit.
        callbacks: see `Callback`.
        progress: a live line on a terminal, one line an epoch elsewhere; False for nothing.
        backend: what runs the network: "c" compiles it to native code, "numpy" needs no compiler,
            "auto" takes native code where it can.
        exact: train to the same bits on every processor; see `chainrule.compile`.
        precision: "bf16" for products and convolutions of numbers rounded to bfloat16; see there.

    Example:
        >>> import chainrule as cr, numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
        >>> layers = cr.nn.Linear(1, 16), cr.nn.Tanh(), cr.nn.Linear(16, 1)
        >>> model = cr.nn.Sequential(*layers).initialize(seed=0)
        >>> trainer = cr.Trainer(model, "mse", "adam", lr=0.01, progress=False)
        >>> history = trainer.fit((x, x**2), epochs=200, batch_size=16)
        >>> history["loss"][-1] < 0.003
        True
    """

    def __init__(
        self,
        model: Module,
        loss: str | Callable[..., Tensor],
        optimizer: str | Optimizer = "adamw",
        *,
        lr: Any = None,
        metrics: Sequence[str] | Mapping[str, Metric] = (),
        output: Callable[[Tensor], Tensor] | None = None,
        average: float | None = None,
        seed: int = 0,
        callbacks: Iterable[Callback] = (),
        progress: bool = True,
        backend: str | Backend = "auto",
        exact: bool = False,
        precision: str | None = None,
    ) -> None:
        self.model = model
        self.loss = _by_name(loss, LOSSES, "loss") if isinstance(loss, str) else loss
        self.output = output or (_OUTPUTS.get(loss) if isinstance(loss, str) else None)
        self.optimizer = _optimizer(optimizer, model, lr)
        self.metrics: dict[str, Metric] = (
            dict(metrics) if isinstance(metrics, Mapping)
            else {name: _by_name(name, METRICS, "metric") for name in metrics}
        )  # fmt: skip
        self.average = None if average is None else EMA(model, decay=average)
        self.seed = seed
        self.callbacks = list(callbacks)
        self.progress = progress
        if exact or precision is not None:
            backend = find_backend(backend, exact=exact, precision=precision)
        self.backend = backend
        self.history = History()
        self.epoch = 0
        self.first_epoch = 0
        #: So many rows are going to be predicted after the fit: their program is built meanwhile.
        self.rows_to_predict = 0
        self._steps: dict[int, Step] = {}
        self._first_step = 0
        self._steps_at_once = 1
        self._evaluator = Evaluator(model, self.loss, self.output, backend)
        self._stop_reason: str | None = None
        self._source: str | None = None
        self._deadline = Deadline(None)
        self._best: dict[str, Array] | None = None
        #: What there is to go back to before a validation: training loss, epoch and weights.
        self._sound: tuple[float, int, dict[str, Array]] | None = None
        #: Gradients of an update that was interrupted, and of how many batches.
        self._unfinished: tuple[dict[str, Array], int] | None = None
        self._fitting = False  # meanwhile the averaged weights are beside the model, not in it

    def __repr__(self) -> str:
        loss = self.loss if isinstance(self.loss, str) else getattr(self.loss, "__name__", "own")
        size = sum(p.size for p in self.model.parameters().values())
        return (
            f"Trainer({type(self.model).__name__} of {size:,} parameters, {loss}, "
            f"{type(self.optimizer).__name__}, {self.epoch} epochs done)"
        )

    # ---- fit -----------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        *more: Any,
        validation: Any = None,
        epochs: int = 100,
        batch_size: int | None = 32,
        shuffle: bool = True,
        accumulate: int = 1,
        patience: int | None = None,
        monitor: str = "val_loss",
        validate_every: int = 1,
        minutes: float | None = None,
        checkpoints: str | os.PathLike[str] | Checkpoints | None = None,
        resume: bool = False,
    ) -> History:
        """Train, and leave the model with its best weights.

        Args:
            data: ``(inputs, target)`` or ``(inputs, target, weights)``, or a `Stream`.
            more: nothing; ``fit(x, y)`` is refused with what to write instead.
            validation: the same, or the fraction of the data to hold out.
            epochs: how often to go through the data.
            batch_size: rows in a step; None takes all of them (batch gradient descent), 1 is
                stochastic gradient descent.
            shuffle: another order in each epoch, a function of the seed and the epoch.
            accumulate: batches whose averaged gradients make one update; what is left over at the
                end of an epoch makes one, too.
            patience: stop after this many validations without a better ``monitor``.
            monitor: the number in the history that decides which weights are the best.
            validate_every: epochs from one validation to the next; the last one is validated.
            minutes: end the training after so many, also within an epoch, whose weights are then
                validated like those of others.
            checkpoints: a folder for the state of the training, written beside it, at most every
                10 seconds; or `chainrule.training.Checkpoints`. Ctrl-C, SIGTERM and SIGHUP then
                wait for the end of a step, and leave a checkpoint.
            resume: go on from the newest checkpoint in that folder, if there is one, with the same
                data and options: the result has the bits of a training that was never
                interrupted, on any number of threads.

        Returns:
            The history, over all calls of `fit`.

        Raises:
            TrainingError: the loss is not finite. The model then has its best weights so far:
                those of the best validation, without one those of the epoch with the least
                training loss, and before that those of the start.
            ConfigError: data or options are not those of the checkpoint, or the folder has
                checkpoints and ``resume`` was not asked for.

        Example:
            >>> import tempfile
            >>> import chainrule as cr, numpy as np
            >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
            >>> class Interrupt(cr.Callback):
            ...     def on_epoch_end(self, trainer, record):
            ...         if record["epoch"] == 4:
            ...             raise KeyboardInterrupt
            >>> def epochs_done(folder, callbacks):
            ...     model = cr.nn.Linear(1, 1).initialize(seed=0)
            ...     trainer = cr.Trainer(model, "mse", callbacks=callbacks, progress=False)
            ...     trainer.fit((x, 3 * x), epochs=6, checkpoints=folder, resume=True)
            ...     return trainer.epoch
            >>> folder = tempfile.mkdtemp()
            >>> epochs_done(folder, [Interrupt()]), epochs_done(folder, [])
            (4, 6)
        """
        if more:
            raise ConfigError("Inputs and target are one argument.", expected="fit((x, y))",
                              found="fit(x, y)")  # fmt: skip
        train, held_out = self._split(self._examples(data), validation)
        size = len(train) if batch_size is None else min(batch_size, len(train))
        _need_positive(batch_size=size, epochs=epochs, accumulate=accumulate,
                       validate_every=validate_every)  # fmt: skip
        if minutes is not None and not minutes > 0:
            raise ConfigError("minutes must be positive.", found=str(minutes))
        _check_patience(patience, held_out)
        for name, part in (("training data", train), ("validation data", held_out)):
            if isinstance(part, Arrays):
                part.check_weights(name)
        _check_owner(self.optimizer, self.model)
        options = FitOptions(epochs, size, shuffle, accumulate, patience, monitor, validate_every)
        if isinstance(train, Arrays):
            for sentence in first_look(self.model, self.loss, train):
                warnings.warn(sentence, stacklevel=2)
        keeper = self._keeper(Keeper.place(checkpoints, resume), options, train, held_out)
        listeners = [*self.callbacks, *progress_display(self.progress)]
        self._prepare(train, held_out, options)  # programs are built while listeners look
        for listener in listeners:
            listener.on_data(self, train, held_out, options)
        self._deadline = Deadline(minutes)
        with self._training(listeners, options, train, keeper) as position:
            if not self._steps:  # those of a checkpoint take the place of the new ones
                self._prepare(train, held_out, options)
            self._keep_if_sound(math.inf)
            while position.epochs < epochs and not self._stop_reason:
                self._epoch(train, held_out, options, position, keeper, listeners)
            if held_out is not None and self._best is None and self.history[monitor]:
                warnings.warn(f"{monitor} was never a number: the last weights are kept, not the "
                              "best.", RuntimeWarning, stacklevel=2)  # fmt: skip
        return self.history

    @contextmanager
    def _training(
        self,
        listeners: list[Callback],
        options: FitOptions,
        train: Examples,
        keeper: Keeper | None,
    ) -> Iterator[Position]:
        """What comes before and after the epochs, however they end."""
        self._stop_reason, self._best, self.history.interrupted = None, None, False
        position = Position() if keeper is None else keeper.begin(self)
        self.first_epoch = self.epoch - position.epochs
        self._fitting = True
        steps = self._steps_of(train, options.batch_size, options.accumulate)
        try:
            with nullcontext() if keeper is None else keeper, together.watched():
                for listener in listeners:
                    listener.on_start(self, options.epochs, steps)
                yield position
                if keeper is not None:
                    keeper.write(self, position)
        except KeyboardInterrupt:
            self.history.interrupted = True
            if keeper is not None:
                keeper.write(self, position)
        except TrainingError as error:
            if isinstance(train, Arrays) and (place := train.not_finite()):
                error.found = f"{error.found}; {place}"
            else:
                self._go_back(error)
            for listener in listeners:
                listener.on_error(self, error)
            raise
        finally:
            self._fitting, self._sound = False, None
            self._restore_best()
            for listener in listeners:
                listener.on_end(self)

    def _keeper(
        self,
        checkpoints: Checkpoints | None,
        options: FitOptions,
        train: Examples,
        held_out: Examples | None,
    ) -> Keeper | None:
        """Who writes the checkpoints of a fit, and knows it again by its data and options."""
        if checkpoints is None and together.process_count() == 1:
            return None
        decay = self.optimizer.decay
        own = {
            "seed": self.seed,
            "loss": getattr(self.loss, "__name__", type(self.loss).__name__),
            "optimizer": type(self.optimizer).__name__ if callable(decay)
            else self.optimizer.to_config(),
            "average": None if self.average is None else self.average.decay,
            "metrics": list(self.metrics),
        }  # fmt: skip
        data = {"training": train.fingerprint()}
        if held_out is not None:
            data["validation"] = held_out.fingerprint()
        identity = {"options": identity_of(options, **own), "data": data}
        together.need_same("data, options and seed", json.dumps(identity, default=str))
        return None if checkpoints is None else Keeper(checkpoints, identity)

    def partial_fit(
        self,
        data: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool = True,
        lr: float | None = None,
        minutes: float | None = None,
        checkpoints: Any = None,
        resume: bool = False,
    ) -> History:
        """Go on learning from new rows, without the old ones (online learning).

        Weights, running statistics and the optimizer's state go on from where they are; no rows
        are held out, and the last weights are kept. Averaged weights restart at the present
        ones, so that few rows are not lost in the average.

        Args:
            data: ``(inputs, target)`` or ``(inputs, target, weights)``.
            epochs: how often to go through these rows.
            batch_size: rows in a step; None takes all of them.
            shuffle: another order in each epoch.
            lr: the learning rate from now on; without it the schedule goes on, which may have come
                to its end.
            minutes: end after so many.
            checkpoints: see `fit`.
            resume: see `fit`.

        Returns:
            The history, over all calls of `fit` and `partial_fit`.

        Example:
            >>> import chainrule as cr, numpy as np
            >>> model = cr.nn.Linear(1, 1).initialize(seed=0)
            >>> trainer = cr.Trainer(model, "mse", "sgd", lr=0.2, progress=False)
            >>> x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(-1, 1)
            >>> for day in range(20):
            ...     history = trainer.partial_fit((x, 3 * x), batch_size=4)
            >>> len(history), round(model.weight.item(), 2)
            (20, 3.0)
        """
        if lr is not None:
            self.optimizer.set_rate(lr)
            self._first_step = self._steps_done
            self._steps.clear()  # their programs hold the old schedule
        if self.average is not None:
            self.average.restart()
        return self.fit(
            data, epochs=epochs, batch_size=batch_size, shuffle=shuffle, minutes=minutes,
            checkpoints=checkpoints, resume=resume,
        )  # fmt: skip

    def stop(self, reason: str) -> None:
        """End the training after the current epoch."""
        self._stop_reason = reason

    @property
    def stop_reason(self) -> str | None:
        """Why the training ended before its last epoch, if it did."""
        return "interrupted" if self.history.interrupted else self._stop_reason

    def _examples(self, data: Any) -> Examples:
        """The data as examples, with a target that fits the loss."""
        examples = data if isinstance(data, Stream) else Arrays.of(data)
        if examples.target is not None:
            check_target(self.loss, examples.target)
        return examples

    def _split(self, data: Examples, validation: Any) -> tuple[Examples, Examples | None]:
        if not isinstance(validation, (int, float)) or validation is None:
            return data, None if validation is None else self._examples(validation)
        labels = data.target if data.target is not None else np.empty(0)
        one_each = labels.dtype.kind in "biu" and labels.size == len(data)
        classes = labels.reshape(-1) if one_each else None
        train, held_out = split_indices(
            len(data), [1 - validation, validation], self.seed, stratify=classes
        )
        return data.take(train), data.take(held_out)

    def _epoch(
        self,
        train: Examples,
        held_out: Examples | None,
        options: FitOptions,
        position: Position,
        keeper: Keeper | None,
        listeners: list[Callback],
    ) -> None:
        """The rest of an epoch, and its validation if it is due."""
        waited = train.waited if isinstance(train, Stream) else 0.0
        self._steps_of_epoch(train, options, position, keeper, listeners)
        seconds = position.elapsed()
        record = {
            "epoch": self.epoch + 1,
            "loss": position.mean_loss(),
            "rate": float(self.optimizer.rate.numpy()),
            "gradient_norm": position.norm,
        }
        if isinstance(train, Stream):
            record["waited"] = (train.waited - waited) / seconds
        number = position.epochs + 1
        due = number % options.validate_every == 0 or number == options.epochs
        over = self._deadline.is_over
        due = due or over
        begun = time.perf_counter()
        if held_out is not None and due:
            record |= {f"val_{name}": value for name, value in self.evaluate(held_out).items()}
            self.optimizer.observe(record["val_loss"])
            position.waited = 0 if self._is_best(record, options.monitor) else position.waited + 1
            if options.patience is not None and position.waited >= options.patience:
                self.stop(f"no better {options.monitor} in {options.patience} validations")
            self._deadline.reserve(time.perf_counter() - begun)
        if held_out is None:
            self._keep_if_sound(record["loss"])
        if over and number < options.epochs:
            self.stop(self._deadline.reason)
        record["seconds"] = position.elapsed()
        self.history.records.append(record)
        self.epoch += 1
        position.next_epoch()
        for listener in listeners:
            listener.on_epoch_end(self, record)
        if keeper is not None:
            keeper.between_steps(self, position)

    def _steps_of_epoch(
        self,
        train: Examples,
        options: FitOptions,
        position: Position,
        keeper: Keeper | None,
        listeners: list[Callback],
    ) -> None:
        """The steps of an epoch that are not done yet."""
        step = self._step(options.accumulate)
        step.drop_accumulated()
        if self._unfinished is not None:
            step.load_accumulated(*self._unfinished)
            self._unfinished = None
        number = position.steps
        steps = self._steps_of(train, options.batch_size, options.accumulate)
        for part, batches in self._parts(train, options, done=number):
            losses, norms = step.run(part, batches, ends=number + len(batches) == steps)
            together.pulse()
            position.add(losses, _weights(part, batches), float(norms[-1]))
            for loss in losses:
                number += 1
                for listener in listeners:
                    listener.on_step_end(self, number, float(loss))
            if keeper is not None and not step.pending:
                keeper.between_steps(self, position)
            if self._deadline.is_over and number < steps:
                self.stop(self._deadline.reason)
                break

    def _prepare(self, train: Examples, held_out: Examples | None, options: FitOptions) -> None:
        """Have programs built in the background while that of the first steps is built."""
        size, accumulate = options.batch_size, options.accumulate
        full, last = self._batches(train, size, accumulate)
        step, epochs = self._step(accumulate), options.epochs
        step.expect(size, full)
        if isinstance(train, Arrays) and accumulate == 1:
            step.prepare(train.take(np.arange(size)), epochs * (len(train) // size))
            if last:
                step.prepare(train.take(np.arange(last)), epochs)
        if isinstance(held_out, Arrays):
            self._evaluator.prepare(held_out, epochs // options.validate_every + 1)
        if isinstance(train, Arrays) and self.rows_to_predict:
            self._evaluator.prepare_predictions(train, self.rows_to_predict, _PREDICTIONS)

    def _step(self, accumulate: int) -> Step:
        if accumulate not in self._steps:
            self._steps[accumulate] = Step(
                self.model,
                self.loss,
                self.optimizer,
                self.seed,
                self.average,
                accumulate,
                self.backend,
            )
            self._steps[accumulate].number = self._first_step
        return self._steps[accumulate]

    def _batches(self, data: Examples, size: int, accumulate: int) -> tuple[int, int]:
        """How many full batches an epoch has, and the rows of another one at its end, if any.

        Where rows depend on one another, as in batch normalisation, a single last row has no
        variance: it joins the batch before it.
        """
        full, rest = divmod(len(data), size)
        if isinstance(data, Stream) and (data.whole or data.groups is not None):
            return data.steps(size), 0
        if rest == 1 and full:
            one = data if isinstance(data, Arrays) else data.read([0])
            if not self._step(accumulate).rows_are_independent(one.inputs):
                return full - 1, size + 1
        return full, rest

    def _steps_of(self, data: Examples, size: int, accumulate: int) -> int:
        full, last = self._batches(data, size, accumulate)
        return full + (last > 0)

    def _parts(
        self, data: Examples, options: FitOptions, done: int
    ) -> Iterator[tuple[Arrays, Array]]:
        """The examples of an epoch: in memory, and which of their rows make up each batch.

        Their order is a function of the seed and the epoch only.

        Args:
            data: all of them.
            options: batch size and shuffling.
            done: batches that are left out, at the beginning.
        """
        size = options.batch_size
        full, last = self._batches(data, size, options.accumulate)
        draw = fold_in(key(self.seed), -1 - self.epoch) if options.shuffle else None
        if isinstance(data, Arrays):
            order = np.arange(len(data)) if draw is None else permutation(draw, len(data)).numpy()
            whole = order[: full * size].reshape(-1, size)
            for batches in self._chunks(whole, done, options.accumulate):
                yield data, batches
            if last and done <= full:
                yield data, order[full * size :][None]
        else:
            numbers = data.in_order(size, draw)
            if last > size:
                numbers = last_two_as_one(numbers)
            elif not last:
                numbers = itertools.islice(numbers, full)
            own = self._step(options.accumulate).own_rows if together.process_count() > 1 else None
            rest = itertools.islice(numbers, done, None)
            for batch in data.each(rest, self.epoch + 1, own):
                yield batch, np.arange(len(batch))[None]

    def _chunks(self, batches: Array, done: int, accumulate: int) -> Iterator[Array]:
        """The batches that are not done, in groups, each of which takes about a tenth of a second.

        So small networks need not come back to Python after each step. After each group nothing
        is accumulated that has not made an update.
        """
        while done < len(batches):
            begun = time.perf_counter()
            end = (done // accumulate + self._steps_at_once) * accumulate
            yield batches[done:end]
            done = end
            if time.perf_counter() - begun < _CHUNK_SECONDS / 2:
                self._steps_at_once *= 2
            elif time.perf_counter() - begun > _CHUNK_SECONDS:
                self._steps_at_once = max(self._steps_at_once // 2, 1)
            self._steps_at_once = together.agreed(self._steps_at_once)

    def _is_best(self, record: dict[str, float], monitor: str) -> bool:
        if monitor not in record:
            raise unknown("monitor", monitor, record)
        name = monitor.removeprefix("val_")
        metric = self.metrics.get(name) or METRICS.get(name)
        sign = -1.0 if metric is not None and metric.higher_is_better else 1.0
        best = self.history.best if self._best is not None else None
        value = record[monitor]
        better = not math.isnan(value) and (best is None or sign * value < sign * best[monitor])
        if better:
            self.history.best = record
            self._best = self._weights()
        return better

    def _keep_if_sound(self, loss: float) -> None:
        """Keep the weights if no epoch before had a smaller training loss."""
        if self._sound is None or loss < self._sound[0]:
            done = self.epoch if math.isinf(loss) else self.epoch + 1
            self._sound = loss, done, self._weights()

    def _go_back(self, error: TrainingError) -> None:
        """After a loss that is not finite: the weights that gave it are no good."""
        if self._best is not None or self._sound is None:
            return
        loss, epoch, self._best = self._sound
        which = f"epoch {epoch}, with loss {loss:.4g}," if loss < math.inf else "the start"
        error.found = f"{error.found}; the weights of {which} are kept"

    def _weights(self) -> dict[str, Array]:
        if self.average is None:
            return self.model.state()
        with self.average.applied():
            return self.model.state()

    def _restore_best(self) -> None:
        if self._best is not None:
            self.model.load_state(self._best)
        elif self.average is not None and self.epoch:
            self.model.load_state(self._weights())

    # ---- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
        """All that a training needs to go on besides the model: arrays by name.

        The optimizer state (``optimizer.``), the averaged weights if they are kept (``average.``),
        the counts of epochs and steps.
        """
        parts = {"optimizer": self.optimizer, "average": self.average}
        found = {f"{part}.{name}": array for part, owner in parts.items() if owner is not None
                 for name, array in owner.state().items()}  # fmt: skip
        counts = {"epoch": np.asarray(self.epoch), "step": np.asarray(self._steps_done)}
        return found | counts

    @property
    def _steps_done(self) -> int:
        return max((step.number for step in self._steps.values()), default=self._first_step)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; give the model its own state before.

        Raises:
            ConfigError: it belongs to another optimizer or network. Nothing is changed then.
        """
        average = _part_of(state, "average.")
        self.optimizer.load_state(_part_of(state, "optimizer."))
        if self.average is not None and average:
            self.average.load_state(average)
        elif self.average is not None:  # none were kept: they start at the model's weights
            self.average.restart()
        self.epoch, self._first_step = int(state["epoch"]), int(state["step"])
        self._steps.clear()

    def start_over(self, state: Mapping[str, Any]) -> None:
        """Forget what was trained since `state` gave this; programs that were built are kept.

        Args:
            state: before a fit; give the model its own of that time before.

        Example:
            >>> import chainrule as cr, numpy as np
            >>> model = cr.nn.Linear(1, 1).initialize(seed=0)
            >>> trainer = cr.Trainer(model, "mse", progress=False)
            >>> weights, start = model.state(), trainer.state()
            >>> x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(-1, 1)
            >>> first = trainer.fit((x, 3 * x), epochs=3)["loss"]
            >>> model.load_state(weights)
            >>> trainer.start_over(start)
            >>> trainer.fit((x, 3 * x), epochs=3)["loss"] == first
            True
        """
        steps = dict(self._steps)
        self.load_state(state)
        self.history, self._stop_reason, self._best = History(), None, None
        for step in steps.values():
            step.drop_accumulated()
            step.number = self._first_step
        self._steps |= steps

    def go_on_from(self, other: Trainer, state: Mapping[str, Any]) -> None:
        """As if this trainer had trained what another one did: with its history.

        Args:
            other: after a fit.
            state: for `load_state`.

        Raises:
            ConfigError: the state belongs to another optimizer or network.
        """
        self.history, self._stop_reason = other.history, other._stop_reason
        self._source = other.source if other._steps else None
        self.load_state(state)

    def full_state(self) -> tuple[int, dict[str, Array], dict[str, Any]]:
        """Everything that the rest of a fit depends on: steps done, arrays, facts as JSON data."""
        best = {f"best.{path}": array for path, array in (self._best or {}).items()}
        model = {f"model.{path}": array for path, array in self.model.state().items()}
        records = self.history.records
        where = [i for i, record in enumerate(records) if record is self.history.best]
        pending = [step for step in self._steps.values() if step.pending]
        sums = pending[0].accumulated() if pending else {}
        facts = {
            "history": [dict(record) for record in records],  # another thread may write them later
            "best": where[0] if where and best else None,
            "stop_reason": self._stop_reason,
            "pending": pending[0].pending if pending else 0,
        }
        accumulated = {f"accumulated.{path}": array for path, array in sums.items()}
        return self._steps_done, self.state() | model | best | accumulated, facts

    def load_full_state(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        """Go on from what `full_state` gave.

        Raises:
            ConfigError: it belongs to another optimizer or network.
        """
        self.model.load_state(_part_of(arrays, "model."))
        self.load_state(arrays)
        self.history.records = [dict(record) for record in facts["history"]]
        self._stop_reason = facts["stop_reason"]
        self._unfinished = _part_of(arrays, "accumulated."), facts.get("pending", 0)
        if facts["best"] is not None:
            self.history.best = self.history.records[facts["best"]]
            self._best = _part_of(arrays, "best.")

    # ---- use -----------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The program of the training step: C, or the graph where NumPy runs it."""
        if self._steps:
            return next(iter(self._steps.values())).source
        if self._source is None:
            raise ConfigError("There is no program yet.", hint="Call fit first.")
        return self._source

    def predict(self, inputs: Any, at_once: int | None = None) -> Array:
        """Predictions for any number of rows, or a `Stream`; probabilities for cross-entropies.

        Args:
            inputs: of the model.
            at_once: how many rows there were in a call before, whose program is to serve this
                one, too: building another takes longer than a few thousand predictions.
        """
        if at_once is not None:
            _need_positive(at_once=at_once)
        examples = inputs if isinstance(inputs, Stream) else Arrays(inputs)
        if not len(examples):
            return self._evaluator.prediction(inputs).numpy()
        return self._evaluator.predict(examples, at_once)

    def evaluate(self, data: Any) -> dict[str, float]:
        """Loss and metrics on examples; with averaged weights, if they are kept."""
        examples = self._examples(data)
        if self.average is None or not self._fitting:
            return self._evaluate(examples)
        with self.average.applied():
            return self._evaluate(examples)

    def _evaluate(self, examples: Examples) -> dict[str, float]:
        loss, predicted = self._evaluator.evaluate(examples, predict=bool(self.metrics))
        weights = examples.weights  # of the rows; metrics know no others
        weights = weights if weights is not None and weights.size == len(examples) else None
        return {"loss": loss} | {
            name: metric_functions.measure(metric, examples.target, predicted, weights)
            for name, metric in self.metrics.items()
        }


def _check_patience(patience: int | None, held_out: Examples | None) -> None:
    if patience is not None and held_out is None:
        raise ConfigError("Early stopping needs validation data.", found=f"patience={patience}",
                          hint="Pass validation=0.2, say, or omit patience.")  # fmt: skip


def _check_owner(optimizer: Optimizer, model: Module) -> None:
    """An error if the optimizer would change what is no longer, or never was, in the model."""
    own = {id(w) for w in model.parameters().values()}
    foreign = [path for path, w in optimizer.parameters().items() if id(w) not in own]
    if foreign:
        raise ConfigError(
            "The optimizer has parameters that are not in the model.",
            where=f"parameter {foreign[0]!r}",
            expected="parameters of the model that is trained",
            hint="Was a layer replaced? Make optimizer and trainer after the model is complete.",
        )


def _part_of(state: Mapping[str, Any], start: str) -> dict[str, Any]:
    return {name.removeprefix(start): a for name, a in state.items() if name.startswith(start)}


def _need_positive(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise ConfigError(f"{name} must be positive.", found=str(value))


def _by_name(name: str, known: Any, what: str) -> Any:
    if name not in known:
        raise unknown(what, name, sorted(known))
    return known[name]


def _weights(data: Arrays, batches: Array) -> Array:
    """What each batch counts for in the mean loss of an epoch: its rows, or their weights."""
    if data.weights is None:
        return np.full(len(batches), float(batches.shape[1]))
    weights = data.weights.reshape(len(data), -1).sum(axis=1, dtype=float)
    return np.asarray(weights[batches].sum(axis=1))


def _optimizer(optimizer: str | Optimizer, model: Module, lr: Any) -> Optimizer:
    if isinstance(optimizer, str):
        options = {} if lr is None else {"lr": lr}
        made: Optimizer = _by_name(optimizer, OPTIMIZERS, "optimizer")(model, **options)
        return made
    if lr is not None:
        raise ConfigError("The optimizer has its learning rate already.", found=f"lr={lr}")
    return optimizer

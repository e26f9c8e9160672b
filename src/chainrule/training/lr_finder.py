"""The learning-rate range test of Smith (2017).

The rate grows exponentially from step to step. The loss is first flat, then falls, and at last
diverges. A tenth of the rate at which it was least is safe and fast (Howard and Gugger, 2020).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import TrainingError
from ..optim import Constant
from ..utils.random import generator
from .data_loader import Stream
from .dataset import Arrays
from .step import Step
from .trainer import Trainer

_SMOOTHING = 0.9
_DIVERGED = 4.0
#: Of a stream so many examples are enough.
_SAMPLE = 2048


@dataclasses.dataclass(frozen=True)
class RateSearch:
    """The result of a range test.

    Attributes:
        rates: the learning rates that were tried, rising.
        losses: the smoothed loss at each.
        suggestion: a tenth of the rate at which the loss was least.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_rate(
    trainer: Trainer,
    data: Any,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RateSearch:
    """Try out learning rates on a model, which afterwards is as it was before.

    Args:
        trainer: its model, loss and optimizer; a copy of the optimizer is used.
        data: ``(inputs, target)`` or ``(inputs, target, weights)``, or a `Stream`.
        low: the first rate.
        high: the last rate, unless the loss diverges before.
        steps: how many rates.
        batch_size: rows in a step.

    Example:
        >>> import chainrule as cr, numpy as np
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
        >>> trainer = cr.Trainer(cr.nn.Linear(1, 1).initialize(0), "mse", "sgd", progress=False)
        >>> 1e-4 < cr.training.find_rate(trainer, (x, 3 * x)).suggestion < 1
        True
    """
    examples = _sample(data) if isinstance(data, Stream) else Arrays.of(data)
    before = trainer.model.state()
    schedule = Constant(low)
    optimizer = dataclasses.replace(trainer.optimizer, lr=schedule)
    step = Step(trainer.model, trainer.loss, optimizer, trainer.seed)
    rates, losses = [], []
    smooth = 0.0
    rng = generator(trainer.seed, "learning rates")
    try:
        for number, rate in enumerate(np.geomspace(low, high, steps), 1):
            schedule.set(float(rate))
            batch = examples.take(rng.integers(0, len(examples), batch_size))
            try:
                loss, _ = step(batch.inputs, batch.target, batch.weights)
            except TrainingError:
                break
            smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
            rates.append(float(rate))
            losses.append(smooth / (1 - _SMOOTHING**number))  # without the bias towards 0
            if losses[-1] > _DIVERGED * min(losses):
                break
    finally:
        trainer.model.load_state(before)
    if len(rates) < 3:
        raise TrainingError(
            "The loss diverged at once, so no learning rate was found.",
            found=f"{len(rates)} steps from a rate of {low:g}",
            hint="Begin lower, or look for infinities in the data.",
        )
    return RateSearch(tuple(rates), tuple(losses), rates[int(np.argmin(losses))] / 10)


def _sample(stream: Stream) -> Arrays:
    count = min(len(stream), _SAMPLE)
    return stream.read(np.arange(count) * len(stream) // count, epoch=1)

"""The end of a training that only gets worse, where nobody said how long it is to take."""

from __future__ import annotations

import math

from ..training import Callback, Training
from .plan import Recipe

#: The fraction of all validations without a better one, and how much worse the last one must be.
_WAIT, _WORSE = 0.1, 0.02
#: Fewer validations may all be worse by chance.
_LEAST = 4
#: At less than this part of the highest rate little changes: it is enough to be so much worse.
_LOW_RATE, _WORSE_THEN = 0.25, 0.002
#: Of fewer validations none is left out.
_FEWEST = 20


class StopWhenWorse(Callback):
    """Ends a training after so many validations without a better one, if the last is clearly worse.

    The best weights are kept anyway, so that only time is saved. What has no clear best, because
    it improves again while the learning rate falls, goes on until that is low. All is read from the
    history, so that a training that goes on ends where one that was never interrupted does.

    Args:
        monitor: the number in the history that says which weights are the best.
        wait: validations.
        worse: as a fraction of the best.
    """

    def __init__(self, monitor: str, wait: int, worse: float = _WORSE) -> None:
        self.monitor, self.wait, self.worse = monitor, wait, worse

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """Look back, after a validation."""
        if self.monitor not in record:
            return
        records = trainer.history.records[trainer.first_epoch :]
        values = [each[self.monitor] for each in records if self.monitor in each]
        best = min(values)
        since = len(values) - 1 - values.index(best)
        low = record["rate"] < _LOW_RATE * max(each["rate"] for each in records)
        worse = min(self.worse, _WORSE_THEN) if low else self.worse
        if since >= self.wait and values[-1] > best + worse * abs(best):
            trainer.stop(f"{self.monitor} was best {since} validations before, and is worse now")


def stop_when_worse(monitor: str, recipe: Recipe) -> tuple[StopWhenWorse, ...]:
    """For a training by the rules: after a tenth of its validations.

    Example:
        >>> recipe = Recipe(batch_size=32, epochs=115, lr=0.1, validate_every=2)
        >>> [each.wait for each in stop_when_worse("val_loss", recipe)]
        [6]
    """
    validations = math.ceil(recipe.epochs / recipe.validate_every)
    if validations < _FEWEST:
        return ()
    return (StopWhenWorse(monitor, max(math.ceil(_WAIT * validations), _LEAST)),)

"""An Optuna trial that watches a training."""

from __future__ import annotations

from typing import Any

from ...training.callbacks import Callback, Training
from ..extras import need

#: Reports of a training to the pruner.
STEPS = 40


class PruningCallback(Callback):
    """Reports the validation of a `Trainer` to an Optuna trial, which may end it.

    Args:
        trial: of Optuna.
        monitor: the number in the history that is reported.

    Raises:
        optuna.TrialPruned: the trial is worse than others at this time.

    Example:
        >>> import optuna, numpy as np, chainrule as cr
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        >>> def objective(trial):
        ...     lr = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
        ...     model = cr.nn.Linear(1, 1).initialize(seed=0)
        ...     watch = [PruningCallback(trial)]
        ...     trainer = cr.Trainer(model, "mse", lr=lr, callbacks=watch, progress=False)
        ...     return trainer.fit((x, 3 * x), validation=0.25, epochs=5).best["val_loss"]
        >>> study = optuna.create_study()
        >>> study.optimize(objective, n_trials=3)
        >>> len(study.trials)
        3
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, monitor
        self._last, self._epochs = -1, 1

    def on_start(self, trainer: Training, epochs: int, steps: int) -> None:
        """Reports count in fractions of the training, as the epochs of trials may differ."""
        self._epochs = epochs

    def on_epoch_end(self, trainer: Training, record: dict[str, float]) -> None:
        """Report a validation."""
        done = trainer.epoch - trainer.first_epoch
        step = STEPS * done // self._epochs if self._epochs > STEPS else done
        value = record.get(self.monitor)
        if value is None or step <= self._last:
            return
        self._last = step
        self.trial.report(value, step)
        if self.trial.should_prune():
            optuna = need("optuna", "tune", "A search")
            raise optuna.TrialPruned(f"{self.monitor} {value:.4g} after {done} epochs")

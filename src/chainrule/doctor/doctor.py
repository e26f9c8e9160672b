"""`chainrule.doctor`: what is wrong with a training, why, and the fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from ..engine.tensor import Tensor
from ..errors import ConfigError
from ..losses import LOSSES
from ..nn import Module
from ..optim import Optimizer
from ..training import Trainer
from .loop import Loop
from .monitor import Doctor


@overload
def doctor(trained: Trainer) -> Doctor: ...


@overload
def doctor(
    trained: Module,
    optimizer: Optimizer,
    loss: str | Callable[..., Tensor],
    data: Any,
    validation: Any = None,
) -> Loop: ...


def doctor(
    trained: Trainer | Module,
    optimizer: Optimizer | None = None,
    loss: str | Callable[..., Tensor] | None = None,
    data: Any = None,
    validation: Any = None,
) -> Doctor | Loop:
    """Watch a training, and say what is wrong with it, why, and what to change.

    With a `Trainer` it watches all its later fits; print what it gives back, or read its
    ``findings``. It changes no bit of the training.

    In a loop of your own call its ``see(loss)`` after ``loss.backward()`` and before
    ``optimizer.step()``.

    Args:
        trained: a trainer, or in a loop of your own the network.
        optimizer: in such a loop what changes the network.
        loss: the loss: its name, or a function of prediction and target.
        data: ``(inputs, target)`` that is learned from, or a part of it.
        validation: the same of held-out rows.

    Raises:
        ConfigError: a loop's optimizer, loss or data are missing.

    Example:
        >>> import chainrule as cr, numpy as np
        >>> x = np.linspace(-1, 1, 256, dtype=np.float32).reshape(-1, 1)
        >>> layers = cr.nn.Linear(1, 16), cr.nn.Tanh(), cr.nn.Linear(16, 1), cr.nn.Sigmoid()
        >>> model = cr.nn.Sequential(*layers).initialize(seed=0)
        >>> trainer = cr.Trainer(model, "mse", "adam", lr=0.01, progress=False)
        >>> check = cr.doctor(trainer)
        >>> history = trainer.fit((x, np.sin(3 * x)), epochs=20)
        >>> check.findings[0].cause, check.findings[0].fix.sentence
        ('output_range', 'Remove the sigmoid at the end of the network, or bring ... its range.')
    """
    if isinstance(trained, Trainer):
        watch = Doctor()
        trained.callbacks.append(watch)
        return watch
    if optimizer is None or loss is None or data is None:
        raise ConfigError(
            "The doctor of a loop needs the network's optimizer, loss and data.",
            expected="cr.doctor(model, optimizer, loss, (x, y)), or cr.doctor(trainer)",
        )
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ConfigError(f"Unknown loss {loss!r}.", expected=", ".join(sorted(LOSSES)))
        loss = LOSSES[loss]
    return Loop(trained, optimizer, loss, data, validation)

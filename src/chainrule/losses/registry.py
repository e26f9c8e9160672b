"""Every loss with its task: which targets it is for, and what the network must give."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..engine.ops.check import refusal
from ..engine.tensor import Tensor
from ..errors import ConfigError, DataError, unknown
from ..utils.typing import Array

#: The tasks of losses, and what they are called in messages.
TASKS = {
    "regression": "regression",
    "binary": "binary classification",
    "multilabel": "multilabel classification",
    "multiclass": "multiclass classification",
    "distribution": "probability distributions",
    "similarity": "similarity",
}


class Targets(NamedTuple):
    """The values that a target may have: in words, and as a condition on each element."""

    words: str
    fit: Callable[[Array], Array]


NUMBERS = Targets("numbers", lambda t: np.ones(t.shape, bool))
ABOVE_MINUS_ONE = Targets("numbers above -1", lambda t: t > -1)
COUNTS = Targets("counts, at least 0", lambda t: t >= 0)
SIGNS = Targets("-1 or 1", lambda t: (t == -1) | (t == 1))
ZERO_OR_ONE = Targets("0 or 1", lambda t: (t == 0) | (t == 1))
PROBABILITIES = Targets("0 to 1", lambda t: (t >= 0) & (t <= 1))
CLASSES = Targets("class indices, integers from 0", lambda t: (t >= 0) & (t % 1 == 0))
CLASSES_OR_PROBABILITIES = Targets(
    "class indices, integers from 0, or a probability for each class",
    lambda t: CLASSES.fit(t) | PROBABILITIES.fit(t),
)


class Loss(NamedTuple):
    """A loss and what it is for.

    Attributes:
        function: ``(prediction, target, *, sample_weights=None, reduction="mean")``; some take two
            predictions.
        tasks: keys of `TASKS`.
        output: what the prediction is: "values", "logits", "log-probabilities", …
        targets: the values that a target may have.
    """

    function: Callable[..., Tensor]
    tasks: tuple[str, ...]
    output: str
    targets: Targets

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def takes_two(self) -> bool:
        """Whether it takes one prediction and one target, as a `Trainer` gives them."""
        kinds = [p.kind for p in inspect.signature(self.function).parameters.values()]
        return kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) == 2


_losses: dict[str, Loss] = {}
#: More integers than this are no labels of classes.
_FEW = 100
F = TypeVar("F", bound=Callable[..., Tensor])


def loss_for(*tasks: str, output: str, targets: Targets) -> Callable[[F], F]:
    """Register a loss: ``@loss_for("regression", output="values", targets=NUMBERS)``."""

    def register(function: F) -> F:
        _losses[function.__name__] = Loss(function, tasks, output, targets)
        return function

    return register


def registered() -> list[Loss]:
    """The losses of one prediction and one target, ordered by task."""
    order = list(TASKS)
    found = [one for one in _losses.values() if one.takes_two]
    return sorted(found, key=lambda one: order.index(one.tasks[0]))


def losses_for(task: str, output: str | None = None) -> list[str]:
    """The names of the losses for a task, and for what the network gives, if that is known.

    Example:
        >>> import chainrule as cr
        >>> cr.losses.losses_for("multiclass", "logits")
        ['cross_entropy']
    """
    fitting = [one for one in registered() if task in one.tasks]
    return [one.name for one in fitting if output in (None, one.output)]


def check_task(name: str, task: str, output: str | None = None) -> None:
    """Refuse a loss by name that is for another task, or for another output of the network.

    Args:
        name: the name of the loss.
        task: a key of `TASKS`. With one output for each of two classes it is "multiclass".
        output: what the network gives: "values", "logits" and so on.

    Raises:
        ConfigError: it does not fit; the message names those that do.

    Example:
        >>> import chainrule as cr
        >>> cr.losses.check_task("nll", "multiclass", "logits")
        Traceback (most recent call last):
            ...
        chainrule.errors.ConfigError: The loss 'nll' takes log-probabilities, not logits.
          expected: cross_entropy
    """
    fitting = losses_for(task, output)
    if name in fitting:
        return
    expected = _either(fitting)
    known = {one.name: one for one in registered()}
    if name not in known:
        raise unknown("loss", name, fitting)
    if task not in known[name].tasks:
        tasks = _either([TASKS[one] for one in known[name].tasks])
        what = f"The loss {name!r} is for {tasks}, not for {TASKS[task]}."
    else:
        what = f"The loss {name!r} takes {known[name].output}, not {output}."
    raise ConfigError(what, expected=expected)


def reduction_of(function: Callable[..., Tensor]) -> str | None:
    """How one of these losses becomes one number, "mean" or "sum"; None for other functions.

    Example:
        >>> import functools, chainrule as cr
        >>> reduction_of(functools.partial(cr.losses.huber, delta=2.0))
        'mean'
    """
    options = getattr(function, "keywords", {})
    return None if find_loss(function) is None else options.get("reduction", "mean")


def check_target(function: Callable[..., Tensor], target: Any) -> None:
    """Refuse a target with values that are not what a loss is for; others' losses take all.

    Raises:
        DataError: it names a value that does not fit, and the losses that would.
    """
    found = find_loss(function)
    if found is None or found.targets is NUMBERS:
        return
    values = np.asarray(target)
    with np.errstate(invalid="ignore"):
        fits = found.targets.fit(values)
    if not np.all(fits):
        raise _misfit(values, tuple(np.argwhere(~fits)[0].tolist()), found.name)


def find_loss(function: Callable[..., Tensor]) -> Loss | None:
    """What is registered of a loss; nothing of others' losses."""
    function = getattr(function, "func", function)  # a loss with options: a partial function
    found = _losses.get(getattr(function, "__name__", ""))
    return found if found is not None and found.function is function else None


@refusal("target")
def _misfit(values: Array, index: tuple[int, ...], name: str) -> DataError:
    found = _losses[name]
    return DataError(
        f"The loss {found.name!r} does not fit the target.",
        expected=f"{found.targets.words}, for {_either([TASKS[one] for one in found.tasks])}",
        found=f"{values[index]} at {list(index)}",
        hint=_hint(found, values),
    )


def _hint(found: Loss, target: Array) -> str | None:
    if found.targets is SIGNS and ZERO_OR_ONE.fit(target).all():
        return "From 0 and 1 make 2 * target - 1."
    if not np.isfinite(target).all():
        return "Leave out the rows whose target is missing: np.isfinite(target) is false for them."
    if hint := _hint_on_labels(found, np.unique(target)):
        return hint
    task = "multiclass" if CLASSES.fit(target).all() else "regression"
    fitting = [_losses[name] for name in losses_for(task)]
    names = [one.name for one in fitting if one.targets.fit(target).all()]
    return f"For {TASKS[task]} use {_either(names)}."


def _hint_on_labels(found: Loss, values: Array) -> str | None:
    """What to do with class labels that are not indices from 0, or not 0 and 1."""
    if len(values) > _FEW or (values % 1 != 0).any():
        return None
    if len(values) == 2 and found.targets in (ZERO_OR_ONE, PROBABILITIES):
        return (
            f"The two classes are {values[0]:g} and {values[1]:g}; make them 0 and 1: "
            f"target == {values[1]:g}"
        )
    if "multiclass" in found.tasks:
        return "Class indices count from 0: np.unique(target, return_inverse=True)[1]"
    return None


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

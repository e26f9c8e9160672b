"""A classifier of sequences for scikit-learn."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ...data import Target
from ...data.records import Task
from ...tasks.class_extension import task_of
from ...tasks.kinds.series import SeriesOptions
from ...tasks.plan import Split
from ...tasks.timeseries.sequences import (
    Labelled,
    SequenceClassification,
    SequencePredictor,
    Sequences,
)
from ...utils.typing import Array
from .base import seed_of, threads_of
from .labelled import LabelledClassifier, without_test

#: What the model file calls the columns of a table of such sequences.
_GROUP, _CLASS = "sequence", "class"


class _SequencePlan(SequenceClassification):
    """Sequences from Python, without a test set."""

    def read(self, source: Labelled) -> Labelled:
        return source

    def split(self, data: Labelled) -> Split[Labelled]:
        return without_test(self.options, data)


class ChainruleSequenceClassifier(LabelledClassifier):
    """A network that predicts the class of a sequence, by the recipe of ``chainrule train``.

    ``X`` is an array (sequences, steps, columns), or a list of arrays (steps, columns), or (steps,)
    of one column, which may have different lengths. NaN is what is not known; it stays as it was in
    the step before.

    Args:
        model: "linear", "lstm" or "tcn"; a temporal convolutional network by default.
        hidden_layer_sizes: of the network; by the model where omitted.
        dropout: fraction of hidden units set to 0 in a training step.
        optimizer: see `ChainruleClassifier`.
        learning_rate: see there.
        batch_size: see there.
        max_iter: epochs, at most.
        n_iter_no_change: see there.
        validation_fraction: fraction of the sequences that choose the best weights.
        class_weight: "balanced", or what each class counts for.
        callbacks: see there.
        random_state: see there.
        n_jobs: see there.
        backend: see there.
        verbose: see there.

    Attributes:
        classes_: the classes, sorted.
        n_columns_: of each step.
        n_iter_: epochs.
        loss_curve_: the loss of the training sequences, epoch by epoch.
        report_: of the training.

    Example:
        >>> import numpy as np
        >>> rising = [np.arange(n) for n in range(5, 25)]
        >>> X, y = rising + [-x for x in rising], ["up"] * 20 + ["down"] * 20
        >>> model = ChainruleSequenceClassifier("linear", max_iter=30).fit(X, y)
        >>> model.predict([[1, 2, 3, 4], [-1, -2, -3]]).tolist()
        ['up', 'down']
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        hidden_layer_sizes: Sequence[int] | None = None,
        dropout: float | None = None,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        callbacks: Sequence[Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
        backend: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.backend = backend
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def _examples(self, X: Any, reset: bool) -> list[Array]:
        found = _steps_of(X)
        columns = found[0].shape[1]
        if reset:
            self.n_columns_ = columns
        elif columns != self.n_columns_:
            raise ValueError(
                f"Sequences have {columns} columns, but {type(self).__name__} was trained on "
                f"{self.n_columns_}."
            )
        return found

    def _training(
        self, examples: list[Array], target: Array, names: tuple[str, ...],
        weights: Array | None, say: Callable[[str], None],
    ) -> tuple[_SequencePlan, Labelled]:  # fmt: skip
        columns = tuple(f"column_{i}" for i in range(self.n_columns_))
        column = Target(_CLASS, cast(Task, task_of(names)), "given", classes=names)
        data = Labelled(_named(examples), target, columns, column, weights)
        return _SequencePlan(self._options(), say), data

    def _options(self) -> SeriesOptions:
        hidden = self.hidden_layer_sizes
        return SeriesOptions(
            target=_CLASS, group=_GROUP, model=self.model,
            hidden=None if hidden is None else tuple(np.atleast_1d(hidden).tolist()),
            dropout=self.dropout, optimizer=self.optimizer, lr=self.learning_rate,
            batch_size=self.batch_size, epochs=self.max_iter, patience=self.n_iter_no_change,
            validation=self.validation_fraction, seed=seed_of(self.random_state),
            threads=threads_of(self.n_jobs), backend=self.backend,
        )  # fmt: skip

    def _probabilities(self, examples: list[Array]) -> Array:
        return _predictor(self.model_).probabilities(_named(examples))


@functools.lru_cache(maxsize=8)
def _predictor(fitted: Any) -> SequencePredictor:
    return SequencePredictor(fitted.saved, "the fitted estimator")


def _named(examples: list[Array]) -> Sequences:
    return Sequences([str(i) for i in range(len(examples))], examples, np.arange(len(examples)))


def _steps_of(X: Any) -> list[Array]:
    """Each sequence as float64 (steps, columns).

    Raises:
        ValueError: something is no sequence of numbers, or the columns differ.
    """
    if isinstance(X, str | bytes) or not hasattr(X, "__len__"):
        raise ValueError(f"X is no list of sequences, but {X!r:.40}.")
    if len(X) == 0:
        raise ValueError("X has 0 sample(s): no sequences.")
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype != object:
        raise ValueError(
            f"X has the shape {X.shape}: rows of numbers are no sequences. Sequences of one "
            "column are X[:, :, None]; ChainruleClassifier takes rows."
        )
    found: list[Array] = []
    for number, one in enumerate(X):
        try:
            steps = np.asarray(one, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"Sequence {number} of X is not of numbers.") from None
        if isinstance(one, numbers.Number) or steps.ndim not in (1, 2) or not len(steps):
            raise ValueError(
                f"Sequence {number} of X has the shape {steps.shape}; (steps, columns) is needed, "
                "with at least one step."
            )
        if np.isinf(steps).any():
            raise ValueError(f"Sequence {number} of X contains infinity.")
        steps = steps[:, None] if steps.ndim == 1 else steps
        if found and steps.shape[1] != found[0].shape[1]:
            raise ValueError(
                f"Sequence {number} of X has {steps.shape[1]} columns, those before it "
                f"{found[0].shape[1]}."
            )
        found.append(steps)
    return found

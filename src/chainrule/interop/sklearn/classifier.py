"""A classifier for scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y

from ...data import Target
from ...data.records import Task
from ...metrics import Metric
from ...tasks.tabular.targets import decided
from ...utils.typing import Array
from .base import Features, TableEstimator, documented, free_name, value_errors, weights_of


@documented
class ChainruleClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]
    """A network that predicts classes, trained by the recipe of ``chainrule train``.

    Features are arrays, sparse matrices, or data frames of pandas or polars, in which text, dates
    and missing values are understood as by the command line. Nothing need be scaled or encoded.

    Args:
        {parameters}
        class_weight: "balanced", or what each class counts for; multiplies the sample weights.
        threshold_for: of two classes, choose the threshold of the rarer one on held-out rows for
            "f1", "balanced_accuracy", "recall@precision=0.9", …

    Attributes:
        classes_: the classes, sorted.
        {attributes}

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import train_test_split
        >>> parts = train_test_split(*load_iris(return_X_y=True), random_state=0)
        >>> X, X_test, y, y_test = parts
        >>> flowers = ChainruleClassifier((16,), members=2, max_iter=40).fit(X, y)
        >>> flowers.score(X_test, y_test) > 0.9
        True
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | None = None,
        *,
        activation: str | None = None,
        dropout: float | None = None,
        norm: str | None = None,
        members: int | None = None,
        loss: str | Callable[..., Any] | None = None,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        schedule: str | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        max_minutes: float | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        metric: str | Callable[..., float] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        threshold_for: str | None = None,
        weight_decay: float | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        clip: float | None = None,
        column_kinds: Mapping[Any, str] | None = None,
        missing: Sequence[str] | None = None,
        warm_start: bool = False,
        callbacks: Sequence[Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
        backend: str = "auto",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes, activation=activation, dropout=dropout, norm=norm, members=members,
            loss=loss, optimizer=optimizer, learning_rate=learning_rate, schedule=schedule,
            batch_size=batch_size, max_iter=max_iter, max_minutes=max_minutes,
            n_iter_no_change=n_iter_no_change, validation_fraction=validation_fraction,
            metric=metric, weight_decay=weight_decay, l1=l1, l2=l2, clip=clip,
            column_kinds=column_kinds, missing=missing, warm_start=warm_start, callbacks=callbacks,
            random_state=random_state, n_jobs=n_jobs, backend=backend, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight
        self.threshold_for = threshold_for

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on all rows.

        Args:
            X: (rows, features).
            y: (rows,) their classes.
            sample_weight: (rows,) what each row counts for. Integers of at most 5,000 in all are
                the same as so many copies of a row, to the bit.
            X_val: rows that choose the best weights, in place of some of X.
            y_val: their classes.
            sample_weight_val: what they count for.

        Raises:
            ValueError: the data cannot be learned from.
        """
        with value_errors():
            features = self._features(X, reset=True)
            labels = labels_of(y, self, len(features))
            self.classes_ = np.unique(labels)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least two classes, but y has one class only: "
                    f"{self.classes_.tolist()[0]!r}"
                )
            target = self._target(features.names)
            weights = self._weights(labels, weights_of(sample_weight, X, len(features)))
            kept = labels if weights is None else labels[weights > 0]
            if len(np.unique(kept)) < 2:
                raise ValueError(
                    "Only one class is left, as the sample weights of all others are zero."
                )
            held = None
            if X_val is not None or y_val is not None:
                held = self._validation(target, X_val, y_val, sample_weight_val)
            values = {target: self._coded(labels, target)}
            more = {"threshold_for": self.threshold_for}
            self._fit(features, values, weights, held, **more)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over these rows, without those of before (online learning).

        The first batch decides what the columns mean and how they are scaled, so it should not be
        too small; after a `fit` its network goes on, at 0.3 of its learning rate.

        Args:
            X: some rows.
            y: their classes.
            classes: all there are; needed in the first call, unless `fit` was called before.
            sample_weight: (rows,) what each row counts for.
        """
        with value_errors():
            first = not hasattr(self, "model_")
            if first and classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            features = self._features(X, reset=first)
            labels = labels_of(y, self, len(features))
            if first:
                self.classes_ = np.unique(classes)
            elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
                raise ValueError(
                    f"classes={classes!r} are others than those before: {self.classes_!r}"
                )
            if unknown := sorted(set(labels.tolist()) - set(self.classes_.tolist()), key=str):
                raise ValueError(f"y has classes that are not among `classes`: {unknown[:5]}")
            weights = self._weights(labels, weights_of(sample_weight, X, len(features)))
            target = self._target(features.names)
            self._partial_fit(features, {target: self._coded(labels, target)}, weights)
        return self

    def _validation(
        self, target: Target, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Features, dict[Target, Any], Array | None]:
        if X is None or y is None:
            raise ValueError("X_val and y_val come together: one of them is missing.")
        features = self._features(X, reset=False)
        labels = labels_of(y, self, len(features))
        if unknown := sorted(set(labels.tolist()) - set(self.classes_.tolist()), key=str):
            raise ValueError(f"y_val has classes that y does not have: {unknown[:5]}")
        weights = self._weights(labels, weights_of(sample_weight, X, len(features)))
        return features, {target: self._coded(labels, target)}, weights

    def _weights(self, labels: Array, weights: Array | None) -> Array | None:
        """Those of the rows, times those of their classes."""
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, labels)
        return by_class if weights is None else by_class * weights

    def _target(self, names: Sequence[str]) -> Target:
        """The classes, with the names that they have in the model file."""
        texts = label_names(self.classes_)
        task: Task = "binary" if len(texts) == 2 else "multiclass"
        name = free_name("target", names)
        return Target(name, task, f"{len(texts)} classes", classes=texts, missing=())

    def _coded(self, labels: Array, target: Target) -> Array:
        return np.array(target.classes, object)[np.searchsorted(self.classes_, labels)]

    def _own_metric(self, function: Callable[..., float]) -> Metric:
        """A function of true and predicted labels; higher is better."""
        classes = self.classes_

        def of_labels(target: Array, predicted: Array, sample_weights: Any = None) -> float:
            return float(function(classes[target], classes[predicted.argmax(axis=1)]))

        return Metric(of_labels, True, "probabilities", weighted=False)

    def predict_proba(self, X: Any) -> Array:
        """(rows, classes) float64: the probability of each class, in the order of `classes_`."""
        inputs = self._inputs(X)
        (found,) = self.model_.values(inputs)
        found = found.astype(np.float64)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`."""
        return np.asarray(np.log(self.predict_proba(X)))

    def predict(self, X: Any) -> Array:
        """(rows,) the most probable class, or the one by the threshold."""
        found = self.predict_proba(X)
        best = decided(self.model_.schema.targets[0], found)
        return np.asarray(self.classes_[best])


def labels_of(y: Any, estimator: Any, rows: int) -> Array:
    """(rows,) labels of classes, as scikit-learn checks them."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    found = _check_y(np.asarray(y) if hasattr(y, "dtype") else y, multi_output=False,
                     y_numeric=False, estimator=estimator)  # fmt: skip
    found = column_or_1d(found, warn=True)
    check_classification_targets(found)
    if len(found) != rows:
        raise ValueError(f"X has {rows:,} rows, y {len(found):,}: inconsistent numbers of samples")
    return np.asarray(found)


def label_names(classes: Array) -> tuple[str, ...]:
    """The names of labels in a model file, different from each other."""
    texts = tuple(str(label) for label in classes.tolist())
    unclear = any(t != t.strip() or not t for t in texts) or len(set(texts)) < len(texts)
    return tuple(f"class {i}" for i in range(len(texts))) if unclear else texts

"""What estimators share whose examples are no rows of a table: texts, sequences."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from ...data.split import split_indices
from ...serialization import SavedModel, parse
from ...tasks import runner
from ...tasks.plan import Plan, Split
from ...utils.files import write_atomically
from ...utils.typing import Array
from .base import value_errors, weights_of
from .classifier import label_names, labels_of


class FittedModel:
    """A saved model; a pickle of it is its file.

    Args:
        data: the bytes of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._saved: SavedModel | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data,)

    @property
    def saved(self) -> SavedModel:
        """Ready to predict."""
        if self._saved is None:
            self._saved = parse(self.data)
        return self._saved


def without_test(options: Any, data: Any) -> Split[Any]:
    """Training and validation set; who fits an estimator has a test set."""
    fraction = options.validation or 0.1
    parts = (1 - fraction, fraction)
    kept, held_out = split_indices(len(data), parts, options.seed, data.target)
    return Split(data.take(kept), data.take(held_out), None)


class LabelledClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of examples that are read one by one."""

    verbose: bool
    callbacks: Sequence[Any] | None
    class_weight: Mapping[Any, float] | str | None

    @abstractmethod
    def _examples(self, X: Any, reset: bool) -> Any:
        """The examples; their number is their length.

        Raises:
            ValueError: they are none.
        """

    @abstractmethod
    def _training(
        self, examples: Any, target: Array, names: tuple[str, ...], weights: Array | None,
        say: Callable[[str], None],
    ) -> tuple[Plan[Any, Any, Any], Any]:  # fmt: skip
        """The plan of a training, and its data."""

    @abstractmethod
    def _probabilities(self, examples: Any) -> Array:
        """Of each class, as the saved model gives them."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on all examples.

        Args:
            X: the examples.
            y: their classes.
            sample_weight: what each counts for.

        Raises:
            ValueError: they cannot be learned from, or are of one class only.
        """
        examples = self._examples(X, reset=True)
        labels = labels_of(y, self, len(examples))
        self.classes_, target = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y has one class only: "
                f"{self.classes_.tolist()[0]!r}"
            )
        weights = weights_of(sample_weight, None, len(examples))
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, labels)
            weights = by_class if weights is None else by_class * weights
        if weights is not None:
            weights = (weights / weights.mean()).astype(np.float32)
        say = print if self.verbose else lambda sentence: None
        with value_errors():
            plan, data = self._training(examples, target, label_names(self.classes_), weights, say)
            result = runner.train(
                plan, data, progress=bool(self.verbose), callbacks=tuple(self.callbacks or ())
            )
        self.model_ = FittedModel(result.to_bytes())
        self.report_ = result.report
        self.n_iter_ = max(len(result.history), 1)
        self.loss_curve_ = list(result.history["loss"])
        return self

    def predict_proba(self, X: Any) -> Array:
        """(examples, classes) float64: the probability of each class, in the order of `classes_`.

        Args:
            X: the examples.
        """
        check_is_fitted(self)
        found = np.asarray(self._probabilities(self._examples(X, reset=False)), np.float64)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Array:
        """(examples,) the most probable class.

        Args:
            X: the examples.
        """
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def save(self, path: Any) -> None:
        """Write the model file, for `chainrule predict`, `explain` and the others.

        Args:
            path: the file.
        """
        check_is_fitted(self)
        write_atomically(path, self.model_.data)

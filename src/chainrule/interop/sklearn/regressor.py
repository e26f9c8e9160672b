"""A regressor for scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y

from ...data import Target
from ...metrics import Metric
from ...utils.typing import Array
from .base import Features, TableEstimator, documented, free_name, value_errors, weights_of


@documented
class ChainruleRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
    """A network that predicts numbers, trained by the recipe of ``chainrule train``.

    Features are as for `ChainruleClassifier`. The target is scaled, and its logarithm learned where
    that is far less skewed; predictions are means in its own unit.

    Args:
        {parameters}
        quantiles: levels of the quantiles that `predict_quantiles` gives, such as (0.1, 0.9).

    Attributes:
        {attributes}

    Example:
        >>> import numpy as np
        >>> x = np.linspace(0, 4, 80)[:, None]
        >>> model = ChainruleRegressor((16,), members=2, max_iter=60, quantiles=(0.1, 0.9))
        >>> model.fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.95
        True
        >>> model.predict_quantiles(x[:3]).shape
        (3, 2)
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
        quantiles: Sequence[float] = (),
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        schedule: str | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        max_minutes: float | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        metric: str | Callable[..., float] | None = None,
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
        self.quantiles = quantiles

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

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
            y: (rows,) or (rows, targets) their numbers.
            sample_weight: (rows,) what each row counts for. Integers of at most 5,000 in all are
                the same as so many copies of a row, to the bit.
            X_val: rows that choose the best weights, in place of some of X.
            y_val: their numbers.
            sample_weight_val: what they count for.

        Raises:
            ValueError: the data cannot be learned from.
        """
        with value_errors():
            features = self._features(X, reset=True)
            values = _values(y, self, len(features))
            self._many = values.ndim > 1
            weights = weights_of(sample_weight, X, len(features))
            held = None
            if X_val is not None or y_val is not None:
                if X_val is None or y_val is None:
                    raise ValueError("X_val and y_val come together: one of them is missing.")
                own = self._features(X_val, reset=False)
                numbers = _values(y_val, self, len(own))
                held = (
                    own,
                    self._targets(own, numbers),
                    weights_of(sample_weight_val, X_val, len(own)),
                )
            targets = self._targets(features, values)
            self._fit(features, targets, weights, held, quantiles=tuple(self.quantiles))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over these rows, without those of before (online learning).

        The first batch decides what the columns mean and how they and the target are scaled, so it
        should not be too small; after a `fit` its network goes on, at 0.3 of its learning rate.

        Args:
            X: some rows.
            y: (rows,) or (rows, targets) their numbers.
            sample_weight: (rows,) what each row counts for.
        """
        with value_errors():
            features = self._features(X, reset=not hasattr(self, "model_"))
            values = _values(y, self, len(features))
            self._many = values.ndim > 1
            weights = weights_of(sample_weight, X, len(features))
            self._partial_fit(features, self._targets(features, values), weights,
                              quantiles=tuple(self.quantiles))  # fmt: skip
        return self

    def _targets(self, features: Features, values: Array) -> dict[Target, Array]:
        columns = values.reshape(len(values), -1)
        count = columns.shape[1]
        found = {}
        for i in range(count):
            name = free_name("target" if count == 1 else f"target_{i}", features.names)
            found[Target(name, "regression", "numbers", missing=())] = columns[:, i]
        return found

    def _own_metric(self, function: Callable[..., float]) -> Metric:
        """A function of true and predicted numbers; higher is better."""

        def of_numbers(target: Array, predicted: Array, sample_weights: Any = None) -> float:
            return float(function(target, predicted))

        return Metric(of_numbers, True, "values", weighted=False)

    def predict(self, X: Any) -> Array:
        """(rows,) or (rows, targets) float64 numbers, in the unit of y."""
        inputs = self._inputs(X)
        found = self.model_.values(inputs)
        return np.stack(found, axis=1) if self._many else np.asarray(found[0])

    def predict_quantiles(self, X: Any) -> Array:
        """(rows, levels) the quantiles, ascending; (rows, targets, levels) of several targets."""
        inputs = self._inputs(X)
        found = self.model_.quantiles(inputs)
        return np.stack(found, axis=1) if self._many else np.asarray(found[0])


def _values(y: Any, estimator: Any, rows: int) -> Array:
    """(rows,) or (rows, targets) float64, as scikit-learn checks them."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    found = np.asarray(_check_y(y, multi_output=True, y_numeric=True, estimator=estimator))
    if len(found) != rows:
        raise ValueError(f"X has {rows:,} rows, y {len(found):,}: inconsistent numbers of samples")
    return found.astype(np.float64)

"""An autoencoder for scikit-learn, as a transformer and as a detector of outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin as NamedOutputs
from sklearn.base import OutlierMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from ...serialization import to_bytes
from ...tasks import runner
from ...utils.typing import Array
from .base import TableEstimator, in_order, value_errors, weights_of
from .fitted import Fitted
from .reconstruction import ReconstructionPlan


class _Reconstructing(TableEstimator):
    """What both share: a network that gives rows back."""

    def __init__(
        self,
        n_components: int,
        hidden_layer_sizes: Sequence[int] | None,
        noise: float,
        **more: Any,
    ) -> None:
        super().__init__(hidden_layer_sizes, **more)
        self.n_components = n_components
        self.noise = noise

    def _learn(self, X: Any, sample_weight: Any) -> tuple[Array, Array | None]:
        """Train; the errors of the rows, and what they count for."""
        features = self._features(X, reset=True)
        weights = weights_of(sample_weight, X, len(features))
        frame, weights = in_order(features.as_frame(), weights)
        options = self._options("target", None)
        hidden = options.hidden
        plan = ReconstructionPlan(
            options, self._say, code=self.n_components, hidden=hidden, noise=self.noise,
            plain=features.frame is None,
        )  # fmt: skip
        result = runner.train(plan, (frame, weights), **self._watched())
        self._keep(Fitted(result.to_bytes()), result.history)
        self.report_ = result.report
        model: Any = result.model
        decoder = model.network.decoder
        example = np.zeros((2, self.n_components), np.float32)
        self.decoder_ = Fitted(to_bytes(decoder, (example,)))
        array = frame.to_numpy() if features.frame is None else None
        inputs = self.model_.inputs(array, None if features.frame is None else frame)
        return self.model_.predict(inputs)[:, self.n_components].astype(np.float64), weights

    def _found(self, X: Any) -> Array:
        inputs = self._inputs(X)
        return self.model_.predict(inputs)


class ChainruleAutoencoder(NamedOutputs, TransformerMixin, _Reconstructing):  # type: ignore[misc]
    """An autoencoder: rows as few numbers, from which a network can restore them.

    Features are as for `ChainruleClassifier`; text, dates and missing values are encoded first.

    Args:
        n_components: numbers of a code.
        hidden_layer_sizes: of the encoder; the decoder has them in reverse order.
        noise: standard deviation of the noise that is added to the standardised features in a
            training step (a denoising autoencoder).
        optimizer: as of `ChainruleClassifier`, and so are the others.
        learning_rate: see there.
        batch_size: see there.
        max_iter: see there.
        n_iter_no_change: see there.
        validation_fraction: see there.
        weight_decay: see there.
        column_kinds: see there.
        missing: see there.
        callbacks: see there.
        random_state: see there.
        n_jobs: see there.
        backend: see there.
        verbose: see there.

    Example:
        >>> import numpy as np
        >>> t = np.random.default_rng(0).uniform(-1, 1, 100)
        >>> X = np.stack([t, t**2, 3 * t], axis=1)  # a curve: one number says all
        >>> codes = ChainruleAutoencoder(n_components=1, max_iter=60).fit(X)
        >>> codes.transform(X).shape
        (100, 1)
        >>> float(np.mean(codes.reconstruction_error(X))) < 0.3
        True
    """

    def __init__(
        self,
        n_components: int = 2,
        hidden_layer_sizes: Sequence[int] | None = None,
        *,
        noise: float = 0.0,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        weight_decay: float | None = None,
        column_kinds: Mapping[Any, str] | None = None,
        missing: Sequence[str] | None = None,
        callbacks: Sequence[Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
        backend: str = "auto",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            n_components, hidden_layer_sizes, noise, optimizer=optimizer,
            learning_rate=learning_rate, batch_size=batch_size, max_iter=max_iter,
            n_iter_no_change=n_iter_no_change, validation_fraction=validation_fraction,
            weight_decay=weight_decay, column_kinds=column_kinds, missing=missing,
            callbacks=callbacks, random_state=random_state, n_jobs=n_jobs, backend=backend,
            verbose=verbose,
        )  # fmt: skip

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on all rows; ``y`` is ignored.

        Raises:
            ValueError: the data cannot be learned from.
        """
        with value_errors():
            self._learn(X, sample_weight)
        self._n_features_out = self.n_components
        return self

    def transform(self, X: Any) -> Array:
        """(rows, n_components) float64: the codes."""
        return self._found(X)[:, : self.n_components].astype(np.float64)

    def inverse_transform(self, X: Any) -> Array:
        """Codes → features of an array, in their own units.

        Raises:
            ValueError: the features were not those of an array.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        columns = self.model_.schema.columns
        if any(column.reason != "numbers of an array" for column in columns):
            raise ValueError("inverse_transform gives back arrays of numbers only.")
        z = self.decoder_.saved.predict(codes)[:, : len(columns)].astype(np.float64)
        statistics = [column.statistics for column in columns]
        means = np.array([s.mean for s in statistics if s is not None])
        scales = np.array([s.std or 1.0 for s in statistics if s is not None])
        return np.asarray(z * scales + means)

    def reconstruction_error(self, X: Any) -> Array:
        """(rows,) the mean squared error of the standardised features."""
        return self._found(X)[:, self.n_components].astype(np.float64)


class ChainruleOutlierDetector(OutlierMixin, _Reconstructing):  # type: ignore[misc]
    """Finds rows that an autoencoder cannot restore.

    Args:
        contamination: the fraction of outliers in the training rows.
        n_components: numbers of a code.
        hidden_layer_sizes: of the encoder; the decoder has them in reverse order.
        noise: see `ChainruleAutoencoder`, and so are the others.
        optimizer: see there.
        learning_rate: see there.
        batch_size: see there.
        max_iter: see there.
        n_iter_no_change: see there.
        validation_fraction: see there.
        weight_decay: see there.
        column_kinds: see there.
        missing: see there.
        callbacks: see there.
        random_state: see there.
        n_jobs: see there.
        backend: see there.
        verbose: see there.

    Attributes:
        offset_: the score below which a row is an outlier.

    Example:
        >>> import numpy as np
        >>> t = np.random.default_rng(0).uniform(-1, 1, 100)
        >>> X = np.stack([t, t, t], axis=1)
        >>> found = ChainruleOutlierDetector(0.02, n_components=1, max_iter=60).fit(X)
        >>> found.predict([[0.5, 0.5, 0.5], [0.5, -0.5, 0.5]]).tolist()
        [1, -1]
    """

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        n_components: int = 2,
        hidden_layer_sizes: Sequence[int] | None = None,
        noise: float = 0.0,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        weight_decay: float | None = None,
        column_kinds: Mapping[Any, str] | None = None,
        missing: Sequence[str] | None = None,
        callbacks: Sequence[Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
        backend: str = "auto",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            n_components, hidden_layer_sizes, noise, optimizer=optimizer,
            learning_rate=learning_rate, batch_size=batch_size, max_iter=max_iter,
            n_iter_no_change=n_iter_no_change, validation_fraction=validation_fraction,
            weight_decay=weight_decay, column_kinds=column_kinds, missing=missing,
            callbacks=callbacks, random_state=random_state, n_jobs=n_jobs, backend=backend,
            verbose=verbose,
        )  # fmt: skip
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on all rows; ``y`` is ignored.

        Raises:
            ValueError: the data cannot be learned from, or the contamination is no fraction.
        """
        if not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination must be in (0, 0.5], but is {self.contamination!r}.")
        with value_errors():
            errors, weights = self._learn(X, sample_weight)
        self.offset_ = _quantile(-errors, self.contamination, weights)
        return self

    def score_samples(self, X: Any) -> Array:
        """(rows,) minus the error of the reconstruction: the higher, the more usual."""
        return -self._found(X)[:, self.n_components].astype(np.float64)

    def decision_function(self, X: Any) -> Array:
        """(rows,) the score less the offset: negative for outliers."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: Any) -> Array:
        """(rows,) 1, or -1 for outliers."""
        return np.where(self.decision_function(X) < 0, -1, 1)


def _quantile(values: Array, level: float, weights: Array | None) -> float:
    if weights is None:
        return float(np.quantile(values, level))
    return float(np.quantile(values, level, weights=weights, method="inverted_cdf"))

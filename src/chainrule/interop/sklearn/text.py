"""A classifier of texts for scikit-learn."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...tasks.kinds.text import TextOptions
from ...tasks.plan import Split
from ...tasks.text import TextClassifier, normalize
from ...tasks.text.classification import Labelled, TextClassification
from ...utils.typing import Array
from .base import seed_of, threads_of
from .labelled import LabelledClassifier, without_test


class _TextPlan(TextClassification):
    """Texts from Python, without a test set: who fits an estimator has one."""

    def read(self, source: Labelled) -> Labelled:
        return source

    def split(self, data: Labelled) -> Split[Labelled]:
        return without_test(self.options, data)

    def size(self, data: Labelled) -> dict[str, Any]:
        return {"rows": len(data)}


class ChainruleTextClassifier(LabelledClassifier):
    """A network that predicts the class of a text, trained by the recipe of ``chainrule train``.

    ``X`` is a sequence of texts, as scikit-learn's vectorizers take it; few texts are told apart by
    a logistic regression on words and pieces of words.

    Args:
        model: "linear", "bag", "lstm", "transformer" or "tcn"; chosen by the data by default.
        tokenizer: "word", "character" or "bpe".
        vocabulary: how many tokens are known.
        context: tokens that the network sees at once.
        dropout: fraction of hidden units set to 0 in a training step.
        optimizer: see `ChainruleClassifier`.
        learning_rate: see there.
        batch_size: see there.
        max_iter: epochs, at most.
        n_iter_no_change: see there.
        validation_fraction: fraction of the texts that choose the best weights.
        class_weight: "balanced", or what each class counts for.
        callbacks: see there.
        random_state: see there.
        n_jobs: see there.
        backend: see there.
        verbose: see there.

    Attributes:
        classes_: the classes, sorted.
        n_iter_: epochs.
        loss_curve_: the loss of the training texts, epoch by epoch.
        report_: of the training.

    Example:
        >>> X = ["good film", "bad film", "a good one", "too bad"] * 10
        >>> y = ["glad", "sad"] * 20
        >>> ChainruleTextClassifier(max_iter=20).fit(X, y).predict(["good"]).tolist()
        ['glad']
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        tokenizer: str | None = None,
        vocabulary: int | None = None,
        context: int | None = None,
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
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.context = context
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
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def _examples(self, X: Any, reset: bool) -> list[str]:
        return _texts(X)

    def _training(
        self, examples: list[str], target: Array, names: tuple[str, ...],
        weights: Array | None, say: Callable[[str], None],
    ) -> tuple[_TextPlan, Labelled]:  # fmt: skip
        return _TextPlan(self._options(), say), Labelled(examples, target, names, weights=weights)

    def _options(self) -> TextOptions:
        return TextOptions(
            model=self.model, tokenizer=self.tokenizer, vocabulary=self.vocabulary,
            context=self.context, dropout=self.dropout, optimizer=self.optimizer,
            lr=self.learning_rate, batch_size=self.batch_size, epochs=self.max_iter,
            patience=self.n_iter_no_change, validation=self.validation_fraction,
            seed=seed_of(self.random_state), threads=threads_of(self.n_jobs),
            backend=self.backend,
        )  # fmt: skip

    def _probabilities(self, examples: list[str]) -> Array:
        found = _predictor(self.model_).predict(examples, proba=True)
        return np.asarray(found.drop("prediction").to_numpy())


@functools.lru_cache(maxsize=8)
def _predictor(fitted: Any) -> TextClassifier:
    return TextClassifier(fitted.saved, "the fitted estimator")


def _texts(X: Any) -> list[str]:
    """Texts, of a sequence or a column of a frame."""
    if isinstance(X, str):
        raise ValueError("X is one text; a sequence of texts is needed.")
    found = list(X.to_list() if hasattr(X, "to_list") else np.asarray(X, object).ravel())
    shape: tuple[int, ...] = (len(found),) if hasattr(X, "to_list") else np.shape(X)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise ValueError(f"X has the shape {shape}; one text for each row is needed.")
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise ValueError(f"Row {number} of X is no text, but {text!r:.40}.")
    if not found:
        raise ValueError("X has 0 sample(s): no texts.")
    return [normalize(text) for text in found]

"""What the estimators of tables share: parameters to options, a fit through the runner."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ...data import Target
from ...errors import DataError
from ...metrics import METRICS, Metric
from ...tasks import runner
from ...tasks.kinds.table import TableOptions
from ...tasks.tabular.defaults import SMALL
from ...utils.typing import Array
from .fitted import Fitted
from .inputs import numbered, validated
from .online import Online, begin, go_on, rows_of
from .plan import EstimatorPlan, Given

if TYPE_CHECKING:
    import polars as pl

    from ...data import Schema
    from ...training import History

T = TypeVar("T")


@contextmanager
def value_errors() -> Iterator[None]:
    """Errors of the data as scikit-learn has them."""
    try:
        yield
    except DataError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, eq=False)
class Features:
    """The features of a call: an array or a table, with the names of the columns."""

    array: Array | None
    frame: pl.DataFrame | None
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.array) if self.frame is None else self.frame.height  # type: ignore[arg-type]

    def as_frame(self) -> pl.DataFrame:
        """As a table."""
        import polars as pl

        if self.frame is not None:
            return self.frame
        assert self.array is not None
        return pl.DataFrame({n: self.array[:, i] for i, n in enumerate(self.names)})


#: What the parameters of all estimators of tables mean.
_PARAMETERS = """\
        hidden_layer_sizes: numbers of units, such as ``(128, 64)``; ``()`` is a linear model. By
            default, as with all that is None here, the size of the data decides.
        activation: of the hidden layers: "relu", "gelu", "silu", "tanh", …
        dropout: fraction of hidden units set to 0 in a training step.
        norm: "none", "batch" or "layer".
        members: networks that are trained together and averaged.
        loss: a name from `chainrule.losses.LOSSES`, or a function ``(prediction, target)`` of
            tensors that gives one number for each row: of logits (rows, classes) and class
            indices, or of standardised numbers.
        optimizer: "adamw", "adam", "sgd", "lion", …
        learning_rate: the highest one.
        schedule: of the learning rate: "cosine", "constant", "one-cycle", …
        batch_size: rows in a step.
        max_iter: epochs, at most.
        max_minutes: end the training after so many; the best weights are kept.
        n_iter_no_change: validations without improvement before early stopping; None for none.
        validation_fraction: fraction of the rows that choose the best weights. By default each
            row of a small table is held out from one of the members.
        metric: what chooses the best weights: a name from `chainrule.metrics.METRICS`, or a
            function ``(y_true, y_pred)``, higher is better; the loss by default. Rows are then
            held out from all members.
        weight_decay: decoupled, of matrices only.
        l1: weight of Σ|w| in the loss.
        l2: weight of Σw² in the loss.
        clip: clip the gradient to this norm.
        column_kinds: what columns are, where that would be guessed wrong: "numeric", "boolean",
            "category", "date" or "text", by name, or by place in an array: ``{3: "category"}``.
        missing: words of text columns that mean a missing value.
        warm_start: `fit` goes on from the weights of the last one.
        callbacks: `chainrule.Callback` objects that see each step and epoch.
        random_state: the same seed and rows give the same model, in any order of up to 5,000
            rows; None for a new one each time.
        n_jobs: threads of the native code; by default all, or as many as joblib leaves to its
            workers (OMP_NUM_THREADS).
        backend: "c", "numpy", "xla" (JAX), or "auto": a GPU where JAX has one, otherwise C where
            there is a compiler.
        verbose: show the training, and say what is done and why."""
_ATTRIBUTES = """\
        n_features_in_: how many features there are.
        feature_names_in_: their names, of a data frame.
        schema_: what the columns mean, and which are left out.
        n_iter_: epochs.
        loss_curve_: the loss of the training rows, epoch by epoch.
        validation_curve_: that of held-out rows, whenever they were looked at.
        best_loss_: the best of these.
        best_iter_: its epoch, whose weights are kept.
        history_: all of it, as JSON data.
        report_: of the training, as in a run folder."""


def documented(kind: type[T]) -> type[T]:
    """The class, with the shared parameters and attributes in its docstring."""
    text = (kind.__doc__ or "").replace("        {parameters}", _PARAMETERS)
    kind.__doc__ = text.replace("        {attributes}", _ATTRIBUTES)
    return kind


class TableEstimator(BaseEstimator):  # type: ignore[misc]
    """What `ChainruleClassifier` and `ChainruleRegressor` share."""

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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.members = members
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_minutes = max_minutes
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.metric = metric
        self.weight_decay = weight_decay
        self.l1 = l1
        self.l2 = l2
        self.clip = clip
        self.column_kinds = column_kinds
        self.missing = missing
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.backend = backend
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # ---- training --------------------------------------------------------------------------------

    def _options(self, target: str, weight: str | None, **more: Any) -> TableOptions:
        """The parameters, as the options of a training."""
        hidden = self.hidden_layer_sizes
        return TableOptions(
            target=target,
            hidden=None if hidden is None else tuple(np.atleast_1d(hidden).tolist()),
            activation=self.activation,
            dropout=self.dropout,
            norm=self.norm,
            members=self.members,
            loss=self.loss if isinstance(self.loss, str) else None,
            optimizer=self.optimizer,
            lr=self.learning_rate,
            schedule=self.schedule,
            batch_size=self.batch_size,
            epochs=self.max_iter,
            minutes=self.max_minutes,
            patience=self.n_iter_no_change,
            validation=self.validation_fraction,
            weight_decay=self.weight_decay,
            l1=self.l1,
            l2=self.l2,
            clip=self.clip,
            kinds=self._kinds(),
            missing=None if self.missing is None else tuple(self.missing),
            weight=weight,
            seed=seed_of(self.random_state),
            threads=threads_of(self.n_jobs),
            backend=self.backend,
            **more,
        )

    def _kinds(self) -> dict[str, str]:
        """The kinds of columns by name; those of arrays are called by their places, too."""
        names = getattr(self, "column_names_", [])
        known = self.column_kinds or {}
        return {
            names[key] if isinstance(key, int) and key < len(names) else str(key): kind
            for key, kind in known.items()
        }

    def _features(self, X: Any, *, reset: bool, as_table: bool | None = None) -> Features:
        if reset and self.column_kinds:
            as_table = True
        array, frame = validated(self, X, reset=reset, as_table=as_table)
        if reset:
            own = frame.columns if frame is not None else None
            self.column_names_ = list(own or numbered(self.n_features_in_))
        if frame is None and as_table:
            return Features(None, Features(array, None, self.column_names_).as_frame(), ())
        return Features(array, frame, self.column_names_)

    def _fit(
        self,
        features: Features,
        targets: dict[Target, Any],
        weights: Array | None,
        validation: tuple[Features, dict[Target, Any], Array | None] | None,
        **options: Any,
    ) -> None:
        """Train by the runner; what is learned is kept as a model file.

        Args:
            features: of the training.
            targets: the values of each target.
            weights: (rows,) of the training.
            validation: features, targets and weights of rows that choose the best weights.
            options: more of them.
        """
        names = [target.name for target in targets]
        weight = free_name("weight", [*features.names, *names])
        frame = _rows(features, targets, weights, weight)
        held = None if validation is None else _rows(*validation, weight)
        if held is not None and (weight in held.columns) != (weight in frame.columns):
            import polars as pl

            held, frame = (
                f if weight in f.columns else f.with_columns(pl.lit(1.0).alias(weight))
                for f in (held, frame)
            )
        column = weight if weight in frame.columns else None
        plain = features.frame is None
        given = Given(frame, tuple(targets), plain, column, held)
        plan = self._plan(self._options(_listed(names), column, **options), self._previous())
        result = runner.train(plan, given, **self._watched())
        self._online: Online | None = None
        self._keep(Fitted(result.to_bytes()), result.history)
        self.report_ = result.report

    def _plan(self, options: TableOptions, previous: Any = None) -> EstimatorPlan:
        own = self.loss if callable(self.loss) else None
        return EstimatorPlan(options, self._say, loss=own, metric=self._metric(), previous=previous)

    def _watched(self) -> dict[str, Any]:
        """Who looks at a training."""
        return {"progress": bool(self.verbose), "callbacks": tuple(self.callbacks or ())}

    def _partial_fit(
        self, features: Features, targets: dict[Target, Any], weights: Array | None, **options: Any
    ) -> None:
        """One epoch over a batch; the first one says what the columns mean."""
        frame = rows_of(features.as_frame(), targets)
        names = [target.name for target in targets]
        given = self._options(_listed(names), None, **options)
        online: Online | None = getattr(self, "_online", None)
        if online is None:
            fitted, plan = getattr(self, "model_", None), self._plan(given)
            if fitted is None:
                plain = features.frame is None
                online = begin(Given(frame, tuple(targets), plain), given, plan, self._watched())
            else:
                state = getattr(self, "_state", None)
                online = go_on(fitted, plan, state, self._watched())
        self._online, self._state = online, None
        self._keep(online.learn(frame, weights), online.trainer.history)

    def __getstate__(self) -> dict[str, Any]:
        """The parameters, and the model as its file; of a network that learns on its state."""
        state = dict(super().__getstate__())
        online: Online | None = state.get("_online")
        if online is not None:
            state |= {"_online": None, "_state": (online.trainer.state(), online.batch_size)}
        return state

    def _say(self, sentence: str) -> None:
        if self.verbose:
            print(sentence)

    def _previous(self) -> Any:
        """The model to go on from, if that is asked for and there is one."""
        fitted = getattr(self, "model_", None)
        return fitted.previous if self.warm_start and fitted is not None else None

    def _metric(self) -> Metric | None:
        """What chooses the best weights, if it is not the loss."""
        if self.metric is None:
            return None
        if isinstance(self.metric, str):
            if self.metric not in METRICS:
                raise ValueError(
                    f"Unknown metric {self.metric!r}; known ones are {', '.join(METRICS)}."
                )
            return METRICS[self.metric]
        return self._own_metric(self.metric)

    def _own_metric(self, function: Callable[..., float]) -> Metric:
        raise NotImplementedError

    def _keep(self, fitted: Fitted, history: History) -> None:
        """The attributes of a fitted estimator."""
        self.model_ = fitted
        self.history_ = history.to_json()
        self.n_iter_ = max(len(history), 1)
        self.loss_curve_ = list(history["loss"])
        self.loss_ = self.loss_curve_[-1]
        best = history.best or {}
        self.validation_curve_ = list(history["val_loss"])
        self.best_loss_ = best.get("val_loss", self.loss_)
        self.best_iter_ = int(best.get("epoch", self.n_iter_))

    # ---- use -------------------------------------------------------------------------------------

    @property
    def schema_(self) -> Schema:
        """What the columns mean to the model, and which are left out."""
        check_is_fitted(self)
        return self.model_.schema

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, which ``chainrule predict`` and the other commands take."""
        check_is_fitted(self)
        from ...utils.files import write_atomically

        write_atomically(Path(path), self.model_.data)

    def _inputs(self, X: Any) -> dict[str, Array]:
        check_is_fitted(self)
        plain = all(c.reason == "numbers of an array" for c in self.model_.schema.columns)
        features = self._features(X, reset=False, as_table=not plain)
        with value_errors():
            return self.model_.inputs(features.array, features.frame)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ",".join(names)


def free_name(name: str, taken: Sequence[str]) -> str:
    """A name that no column has."""
    while name in taken:
        name = f"_{name}"
    return name


def _rows(
    features: Features, targets: Mapping[Target, Any], weights: Array | None, weight: str
) -> pl.DataFrame:
    """One table of features, targets and weights."""
    import polars as pl

    frame = features.as_frame().with_columns(
        [pl.Series(target.name, values) for target, values in targets.items()]
    )
    frame, weights = in_order(frame, weights)
    return frame if weights is None else frame.with_columns(pl.Series(weight, weights))


def in_order(frame: pl.DataFrame, weights: Array | None) -> tuple[pl.DataFrame, Array | None]:
    """Small tables in an order of their own, so that the order of the rows changes nothing.

    Weights that are counts make copies of rows; rows without weight are left out.
    """
    import polars as pl

    if weights is not None:
        whole = weights.round()
        if (whole == weights).all() and weights.sum() <= SMALL:
            frame, weights = frame[np.repeat(np.arange(len(weights)), whole.astype(int))], None
        else:
            kept = np.flatnonzero(weights > 0)
            frame, weights = frame[kept], weights[kept] / weights.mean()
    if frame.height > SMALL:
        return frame, weights
    keys = frame.select(
        [n for n, d in frame.schema.items() if not d.is_nested() and d != pl.Object]
    )
    order = keys.select(
        pl.arg_sort_by(keys.columns, nulls_last=True, maintain_order=True)
    ).to_series()
    return frame[order], None if weights is None else weights[order.to_numpy()]


def seed_of(random_state: Any) -> int:
    """The seed that a ``random_state`` of scikit-learn stands for."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def threads_of(n_jobs: int | None) -> int | None:
    """As many as joblib leaves to its workers, where nothing is said."""
    if n_jobs is not None:
        return n_jobs if n_jobs > 0 else None
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) > 0 else None


def weights_of(sample_weight: Any, X: Any, count: int) -> Array | None:
    """(rows,) float64, or None where all count alike."""
    if sample_weight is None:
        return None
    rows = np.broadcast_to(0.0, (count, 1))
    return np.asarray(
        _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    )

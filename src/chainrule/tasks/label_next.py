"""Which rows of a pool to label next, by a saved model: `next_rows`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, unknown
from ..utils.numbers import counted
from ..utils.typing import Array
from .active_learning import STRATEGIES, Choice, label_next
from .predictions import PROBABILITY

if TYPE_CHECKING:
    import polars as pl

    from . import Predictor


def next_rows(
    predictor: Predictor,
    pool: Any,
    count: int,
    strategy: str | None = None,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda sentence: None,
) -> pl.DataFrame:
    """The rows of a pool whose labels would teach a model the most.

    A table in which some rows have a target is taken apart: rows without one are the pool, the
    others are what is labelled already. If all rows have one, it is not looked at.

    Args:
        predictor: a saved model.
        pool: data of its kind.
        count: how many rows.
        strategy: a name in `chainrule.active.STRATEGIES`; ``margin`` for classes and ``coreset``
            for numbers without it.
        seed: of random choices.
        say: takes plain sentences.

    Returns:
        ``row`` (from 0, as for `chainrule explain --row`), ``score``, ``reason``, and what is
        predicted; the most valuable row first.

    Raises:
        ConfigError: a strategy that does not fit the model.
    """
    import polars as pl

    several = getattr(predictor.schema, "more_targets", ())
    if several:
        raise ConfigError(
            "Rows to label next are found for models of one target.",
            expected="a model of one target",
            found=f"{1 + len(several)} targets",
            hint="Train a model for the target whose labels are to come, with --target COLUMN.",
        )
    chosen = _strategy(strategy, predictor)
    pool, labelled, places = _parts(predictor, pool, say)
    predicted = predictor.predict(pool, proba=True, say=say)
    names = [name for name in predicted.columns if name.startswith(PROBABILITY)]
    readable = predicted["prediction"].is_not_null().to_numpy()  # a file may be damaged
    if not readable.all():
        places = np.flatnonzero(readable) if places is None else places[readable]
        predicted = predicted.filter(readable)
    probabilities = predicted.select(names).to_numpy() if names else None
    unused = np.zeros((predicted.height, 1))
    choice = label_next(
        count,
        chosen,
        probabilities=unused if probabilities is None else probabilities,
        seed=seed,
        **_compared(predictor, chosen, pool, readable, labelled),
    )
    if len(choice.rows) < count:
        say(f"the pool has {counted(len(choice.rows), 'row')} only")
    rest = [name for name in predicted.columns if name not in names]
    return pl.DataFrame(
        {
            "row": choice.rows if places is None else places[choice.rows],
            "score": choice.scores,
            "reason": _reasons(choice, probabilities, predictor.classes),
        }
    ).hstack(predicted.select(rest)[choice.rows])


def _strategy(named: str | None, predictor: Predictor) -> str:
    """The one that was named, or the one that suits the model."""
    chosen = named or ("margin" if predictor.classes else "coreset")
    if chosen not in STRATEGIES:
        raise unknown("strategy", chosen, STRATEGIES)
    if chosen in ("entropy", "margin") and not predictor.classes:
        raise ConfigError(
            f"The strategy {chosen} needs a model of classes.",
            expected="coreset or random for numbers",
            found="a model that predicts numbers",
        )
    return chosen


def _parts(
    predictor: Predictor, pool: Any, say: Callable[[str], None]
) -> tuple[Any, Any | None, Array | None]:
    """The pool, what of it is labelled already, and where the pool's rows are if not all are."""
    from ..data import Schema, read_table

    if not isinstance(predictor.schema, Schema):
        return pool, None, None
    frame = read_table(pool)
    target = predictor.schema.target
    if target is None or target.name not in frame.columns:
        # A file is read again by its name, for the sake of messages; a pipe cannot be.
        return pool if isinstance(pool, str) and pool != "-" else frame, None, None
    empty = frame[target.name].is_null().to_numpy()
    if not empty.any():
        say(f"all rows have a {target.name}; it is not looked at")
        return frame, None, None
    say(f"the pool: {counted(int(empty.sum()), 'row')} without {target.name}")
    labelled = frame.filter(~empty) if not empty.all() else None
    return frame.filter(empty), labelled, np.flatnonzero(empty)


def _compared(
    predictor: Predictor, strategy: str, pool: Any, readable: Array, labelled: Any
) -> dict[str, Array | None]:
    """What rows are compared by: the last hidden layer, of the pool and of what is labelled."""
    if strategy == "random":
        return {}
    activations = _activations(predictor, pool)
    if strategy == "coreset" and activations is None:
        raise ConfigError(
            "This model has no hidden layer to compare rows by.", expected="entropy, margin, random"
        )
    covered = strategy == "coreset" and labelled is not None
    return {
        "features": None if activations is None else activations[readable],
        "labelled": _activations(predictor, labelled) if covered else None,
    }


def _activations(predictor: Any, source: Any) -> Array | None:
    """The last hidden layer's, where the kind of data offers them."""
    found: Array | None = predictor.hidden(source) if hasattr(predictor, "hidden") else None
    return found


def _reasons(choice: Choice, probabilities: Array | None, classes: tuple[str, ...]) -> list[str]:
    if choice.strategy == "random" or (choice.strategy == "coreset"):
        words = {"random": "chosen at random", "coreset": "far from all others, distance {:.3g}"}
        return [
            words[choice.strategy].format(score) if np.isfinite(score) else "the first center"
            if choice.strategy == "coreset"
            else words["random"]
            for score in choice.scores
        ]  # fmt: skip
    assert probabilities is not None
    found = []
    for p in probabilities[choice.rows]:
        first, second = np.argsort(-p, kind="stable")[:2]
        found.append(f"{classes[first]} {p[first]:.2f} or {classes[second]} {p[second]:.2f}")
    return found

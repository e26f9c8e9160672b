"""The kinds of data that the program learns from, and what finds out which kind something is.

A kind is declared in `chainrule.tasks.kinds`; the module that its declaration names has these:

    train           (source, options, *, progress, say, on_schema, callbacks) -> `TrainingResult`
    predictor       (saved, path) -> `Predictor`
    continuation    (old, source, requested, say) -> `chainrule.tasks.update.Continuation`
    PLANS           the plans by which `chainrule.tasks.runner` trains

The schema in a model file says the kind: ``"kind": "images"``; without it, it is a table.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ChainruleError, ModelFileError
from ..utils.files import model_in
from .detection import recognise
from .kinds import KINDS, kind_named
from .options import TrainingOptions

if TYPE_CHECKING:
    import polars as pl

    from ..serialization import SavedModel
    from .examples import Examples

__all__ = [
    "KINDS",
    "Predictor",
    "TrainingOptions",
    "kind_of",
    "load_predictor",
    "module_of",
    "recognise",
]


#: Models that something else than `chainrule train` makes: the modules that predict with them.
PREDICTORS = {"policy": "chainrule.rl.saving"}


class Predictor(Protocol):
    """A saved model: raw data in, predictions out.

    Attributes:
        schema: what was understood of the training data: see `chainrule.tasks.plan.Schema`.
        record: report and history of the training.
    """

    schema: Any
    record: Any

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""

    def predict(self, source: Any, *, proba: bool = False, say: Any = ...) -> pl.DataFrame:
        """Predictions, a row for each example."""

    def evaluate(self, source: Any, *, say: Any = ...) -> dict[str, float]:
        """Metrics on data whose target is known."""

    def examples(self, source: Any, rows: Sequence[int], *, say: Any = ...) -> Examples:
        """Some examples with their target, counted from 0, and how the network learns them."""


def module_of(kind: str) -> Any:
    """The module that knows a kind of data.

    Raises:
        ConfigError: there is no such kind.

    Example:
        >>> module_of("table").__name__
        'chainrule.tasks.tabular'
    """
    return importlib.import_module(PREDICTORS.get(kind) or kind_named(kind).module)


def kind_of(schema: Any, where: str) -> str:
    """The kind of data that a model file's schema is of.

    Raises:
        ModelFileError: this version knows no such kind.
    """
    try:
        content = json.loads(schema) if isinstance(schema, str) else schema
    except (ValueError, RecursionError):
        content = None
    kind = content.get("kind", "table") if isinstance(content, dict) else "table"
    if not isinstance(kind, str) or kind not in {*KINDS, *PREDICTORS}:
        raise ModelFileError("The model is for data of a kind that is not known.", where=where,
                             expected=", ".join(KINDS), found=f"{kind!r:.40}")  # fmt: skip
    return kind


def load_predictor(path: str | os.PathLike[str], *, missing: Sequence[str] = ()) -> Predictor:
    """The model in a file, or in a run folder, ready for raw data of its kind.

    Args:
        path: of the file, or the folder.
        missing: words that mean a missing value in the data, besides those of the training.

    Raises:
        ModelFileError: it is damaged, or was saved without the meaning of its inputs.
    """
    from ..serialization import load

    found = model_in(path)
    saved: SavedModel = load(found)
    if missing:
        from .model_reading import need_missing

        need_missing(saved, missing)
    module = module_of(kind_of(saved.schema, str(found)))
    try:
        predictor: Predictor = module.predictor(saved, str(found))
    except ChainruleError:
        raise
    except Exception as error:  # a file from elsewhere may say anything of its data
        raise ModelFileError(
            "What the model says of its data is damaged.",
            where=str(found),
            found=f"{type(error).__name__}: {error}"[:500],
        ) from error
    return predictor

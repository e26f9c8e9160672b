"""Examples from files, explained with a model that was trained on such data, of any task."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..data import source_name
from ..data.source import with_reading
from ..engine.backends.base import precision_of
from ..errors import unknown
from ..optim import OPTIMIZERS, Optimizer
from ..tasks import KINDS, kind_of, load_predictor
from ..tasks.examples import Examples
from ..tasks.model_reading import usual_reading
from ..tasks.optimizer import last_rate, optimizer_again, remember
from ..utils.files import TRAINING, model_in
from .explain import explain
from .explanation import Explanation
from .stored import StoredNetwork

Say = Callable[[str], None]


def explain_rows(
    model: str | os.PathLike[str],
    source: Any,
    rows: Sequence[int] = (0,),
    *,
    optimizer: str | None = None,
    lr: float | None = None,
    missing: Sequence[str] = (),
    say: Say = lambda sentence: None,
    **options: Any,
) -> Explanation:
    """The four steps for examples from a file, with a model that `chainrule train` has trained.

    Args:
        model: a model file, or a run folder.
        source: data as those of the training, with the target.
        rows: which examples, counted from 0: rows of a table, files in the order of their names,
            windows of a series or of a text.
        optimizer: a name; without one the optimizer of the training, with the state that is in
            the run folder.
        lr: the learning rate; without one that at the end of the training.
        missing: words that mean a missing value in the data, besides those of the training.
        say: takes notes, such as unknown categories.
        options: of `explain`: ``weight``, ``notation``, ``train``, ``seed``, ``show_c``.

    Raises:
        DataError: there is no such example, or it has no target.
        ModelFileError: the model does not know what its inputs mean.
        ConfigError: an optimizer that does not exist.
    """
    path = model_in(model)
    predictor: Any = load_predictor(path, missing=missing)
    source = with_reading(source, usual=usual_reading(predictor.saved))
    examples = predictor.examples(source, rows, say=say)
    network = examples.network or StoredNetwork(predictor.saved, before_output=True)
    learner, notes = _optimizer(predictor, examples, network, optimizer, lr, path.parent)
    explanation = explain(
        network,
        examples.inputs,
        examples.target,
        loss=examples.loss,
        optimizer=learner,
        title=f"{Path(source_name(source)).name}, row {', '.join(map(str, rows))}",
        story=examples.story,
        labels=examples.labels,
        **{"train": False, **options},
    )
    if examples.network is None or not options.get("train"):
        notes.append("Dropout is off, as in predictions.")
    precision = (predictor.record["report"].get("options") or {}).get("precision")
    if precision is not None and precision_of(precision) == "bfloat16":
        notes.append(
            "Products are of float32, as in predictions; those of the training were of numbers "
            "rounded to bfloat16."
        )
    return dataclasses.replace(
        explanation, rows=tuple(examples.raw), notes=(*explanation.notes, *notes)
    )


def _optimizer(
    predictor: Any, examples: Examples, network: Any, name: str | None, lr: float | None,
    folder: Path,
) -> tuple[Optimizer, list[str]]:  # fmt: skip
    """The optimizer of the training, and notes about it."""
    rate = last_rate(predictor.record) if lr is None else lr
    if examples.optimizer is None:
        kind = kind_of(predictor.saved.schema, str(folder))
        like = optimizer_again(KINDS[kind].options, predictor.record, network)
    else:
        like = examples.optimizer(network)
    if name is not None:
        if name not in OPTIMIZERS:
            raise unknown("optimizer", name, OPTIMIZERS)
        return OPTIMIZERS[name](like.model, lr=rate), []
    given = {
        one.name: getattr(like, one.name)
        for one in dataclasses.fields(like)
        if one.init and one.name not in ("model", "lr")
    }
    optimizer = type(like)(like.model, lr=rate, **given)
    said = "The optimizer is that of the training, with the learning rate at its end"
    if lr is not None:
        said = "The optimizer is that of the training, with another learning rate"
    if not remember(optimizer, folder / TRAINING):
        return optimizer, [f"{said}, its state is empty: the run folder has not kept it."]
    return optimizer, [f"{said}, its state is that of the end of the training."]

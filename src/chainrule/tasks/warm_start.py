"""What a network starts from: the weights of another model, where the user names one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..nn import Module
from ..serialization import SavedModel, load
from ..training import Transferred, transfer
from ..utils.files import model_in
from .options import TrainingOptions


def named_model(options: TrainingOptions) -> SavedModel | None:
    """The model to start from, if the options name one: a file, or the one of a run folder."""
    if options.from_model is None:
        return None
    return load(model_in(options.from_model))


def warm_start(
    model: Module,
    options: TrainingOptions,
    *,
    classes: Sequence[str] = (),
    say: Callable[[str], None] = lambda sentence: None,
    state: Mapping[str, Any] | None = None,
    skip: Sequence[str] = (),
    saved: SavedModel | None = None,
) -> Transferred | None:
    """Give a network, before its training, the weights that ``--from`` names, and freeze layers.

    Call it after the network was initialised and before the optimizer is made.

    Args:
        model: what will be saved, so that paths agree with those in model files.
        options: with ``from_model`` and ``freeze``.
        classes: the names of the classes now: other ones get a head of their own.
        say: takes what was taken over and what was not.
        state: the arrays to take over instead of those of the file.
        skip: parts that start anew, besides.
        saved: the model to start from, if it is not one that the options name.

    Returns:
        What was done, or None without ``--from``.

    Raises:
        ConfigError: nothing fits, or there is no such layer.
    """
    saved = saved or named_model(options)
    if saved is None:
        return None
    other_classes = list(saved.classes or ()) != list(classes)
    if other_classes and any(".head." in f".{path}" for path in model.variables()):
        skip = (*skip, "head")
        say("the classes are others than those of the model to start from: a new head")
    taken = saved.state() if state is None else state
    done = transfer(model, taken, skip=skip, freeze=options.freeze)
    for sentence in done.sentences():
        say(sentence)
    return done

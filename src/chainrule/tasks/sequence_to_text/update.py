"""New pairs as examples for a saved model; see `chainrule.tasks.update`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...data import source_name
from ..update import Continuation, Old, check_enough, check_grows
from ..update_options import UpdateOptions
from .plan import SequenceToText, learner_of, pairs_by
from .sounds import SoundSource
from .translator import Translator

Say = Callable[[str], None]


def continued(
    model: Translator, old: Old, source: Any, requested: UpdateOptions, say: Say
) -> Continuation[Any, Any]:
    """New pairs as examples for a saved model that writes texts.

    Raises:
        DataError: the pairs do not fit, or there are too few of them.
        ConfigError: something is to grow.
    """
    check_grows(requested, "that writes texts: the tokens that it knows stay the same")
    plan = SequenceToText(old.options(requested), say)
    if isinstance(model.schema.source, SoundSource):
        model.schema.source.skip_bad = plan.options.skip_bad
    pairs = pairs_by(model.schema, source, say)
    check_enough(len(pairs), "pairs", source_name(source))
    train, test = (pairs.take(rows) for rows in old.split(len(pairs), requested, None))
    learner = learner_of(model.schema, model.network, train, plan.options)
    before = plan.predict(model.schema, learner, None, test)
    return Continuation(plan, model.schema, learner, train, test, before, plan.size(pairs))

"""What a threshold can be chosen for; light enough for the options of the command line."""

from __future__ import annotations

import re

#: Metrics that have a best threshold by themselves.
ALONE = ("f1", "balanced_accuracy", "matthews", "accuracy")
#: And those that need the other one to be at least so much.
PAIRED = ("precision", "recall")
EXAMPLES = f"{', '.join(ALONE)}, recall@precision=0.9 or precision@recall=0.8"


def parse(metric: str) -> tuple[str, tuple[str, float] | None]:
    """A metric, and what it needs besides: the name of another one and its least value.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> parse("f1"), parse("recall@precision=0.9")
        (('f1', None), ('recall', ('precision', 0.9)))
    """
    if metric in ALONE:
        return metric, None
    found = re.fullmatch(r"(precision|recall)@(precision|recall)=(0?\.\d+|[01]\.?0*)", metric)
    if found is None or found[1] == found[2] or not 0 < float(found[3]) <= 1:
        raise ValueError(metric)
    return found[1], (found[2], float(found[3]))

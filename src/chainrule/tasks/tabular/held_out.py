"""What rows that a network was not trained on say of it, once it is trained.

They are those that chose its best weights. Where every row is held out from one member of the
network only, it is that member's answer that counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import Target, Threshold
from ...engine.ops import transpose
from ...engine.tensor import Tensor, as_tensor
from ...nn import Module
from ...training import Arrays
from ...training.evaluation import Evaluator
from ...utils.typing import Array
from ..intervals import enough_rows, shift
from ..plan import Learner
from .calibration import best_temperature, log_loss, probabilities, temperature_of_mean
from .heads import ClassHead, NumberHead, parts_of
from .thresholds import choose_threshold

Say = Callable[[str], None]

#: More rows than this, evenly taken, say nothing more.
_MOST_ROWS = 20_000
#: Fewer rows of a class than this make a threshold by chance.
_FEW = 20


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out rows that have a target.

    Attributes:
        z: (members, rows, outputs) what the network gives for the head of this target; one member
            where each row has its own.
        target: (rows,) as it is learned.
        weights: (rows,) what each row counts for.
        apart: (members, rows, outputs) where each row has its own member, how far the others lie
            around their mean.
    """

    z: Array
    target: Array
    weights: Array
    apart: Array | None = None


def held_out(learner: Learner, validation: Arrays, network: Module | None = None) -> list[HeldOut]:
    """The held-out rows of each target; of very many, some.

    Args:
        learner: what was trained.
        validation: the rows.
        network: what says something of them; the network of the learner by default.
    """
    if len(validation) > _MOST_ROWS:
        step = -(-len(validation) // _MOST_ROWS)
        validation = validation.take(np.arange(0, len(validation), step))

    def rows_first(z: Tensor) -> Tensor:
        return transpose(z, (1, 0, 2))

    z = predict_once(learner, rows_first, validation.inputs, network).transpose(1, 0, 2)
    rows = np.arange(len(validation))
    weights = np.ones(len(rows)) if validation.weights is None else validation.weights
    apart = None
    if weights.ndim == 2:  # each row is held out from one member
        own = weights.argmax(axis=1)
        others = z[(own + np.arange(1, len(z))[:, None]) % len(z), rows]
        apart = others - others.mean(axis=0)
        z, weights = z[own, rows][None], weights[rows, own]
    heads, target = learner.model.heads, validation.target
    assert target is not None
    found = []
    of_heads = [None] * len(heads) if apart is None else parts_of(heads, apart)
    for i, (part, distances) in enumerate(zip(parts_of(heads, z), of_heads, strict=True)):
        values, known = target, weights > 0
        if len(heads) > 1:
            values, known = target[:, i], known & (target[:, len(heads) + i] > 0)
        distances = None if distances is None else distances[:, known]
        found.append(HeldOut(part[:, known], values[known], weights[known], distances))
    return found


def predict_once(
    learner: Learner,
    output: Callable[[Tensor], Tensor] | None,
    inputs: Any,
    network: Module | None = None,
) -> Array:
    """What a network says of examples: forwards only and once, which is no native program worth."""
    model = learner.network if network is None else network
    evaluator = Evaluator(model, learner.loss, output, "numpy")  # type: ignore[arg-type]
    return evaluator.predict(Arrays(inputs))


def calibrate(head: ClassHead, rows: HeldOut) -> dict[str, Any]:
    """Give the head the temperature that the held-out rows choose; what is to be told of it."""
    given = rows.target.astype(np.int64), rows.weights
    losses: dict[str, float] = {}
    if rows.apart is not None and len(rows.apart) > 1 and rows.weights.any():
        found, losses = temperature_of_mean(rows.z, rows.apart, *given)
    else:
        found = best_temperature(rows.z, *given)
        if len(rows.target):
            before, after = (log_loss(rows.z, *given, each) for each in (1.0, found))
            losses = {"before": before, "after": after}
    head.temperature.assign(found)
    told: dict[str, Any] = {"temperature": found, "kept": found != 1.0, "rows": len(rows.target)}
    return told | ({"held_out_log_loss": losses} if losses else {})


def with_threshold(target: Target, head: ClassHead, rows: HeldOut, metric: str, say: Say) -> Target:
    """The target with the threshold of its rarer class that is best for a metric."""
    number = int(np.argmin(target.class_counts))
    name = target.classes[number]
    positive = rows.target.astype(np.int64) == number
    count = int(positive.sum())
    if not count or count == len(positive):
        say(f"no held-out row of {target.name} tells its classes apart: the threshold stays 0.5")
        return target
    p = probabilities(rows.z, head.temperature.item())[:, number]
    chosen = choose_threshold(metric, p, positive, rows.weights)
    say(
        f"{target.name}: {name} is predicted from a probability of {chosen.value:.3g} on, best for "
        f"{metric} on {len(positive):,} held-out rows ({count:,} of them {name}): "
        f"{chosen.score:.3f}, with 0.5 it would be {chosen.at_half:.3f}"
    )
    if not chosen.reached:
        say(f"{target.name}: no threshold reaches {metric.partition('@')[2]} on the held-out rows; "
            "it is the nearest")  # fmt: skip
    if count < _FEW:
        say(f"{target.name}: {count:,} rows of {name} are few for a threshold: it may be far off")
    return dataclasses.replace(target, threshold=Threshold(name, chosen.value, metric))


def correct_quantiles(head: NumberHead, name: str, rows: HeldOut, say: Say) -> None:
    """Move the quantiles of a target by what held-out rows say."""
    if not len(rows.target):
        say(f"no held-out row has a {name}: its quantiles are as they were learned")
        return
    found = head.quantiles(as_tensor(rows.z)).numpy().astype(np.float64).mean(axis=0)
    errors = rows.target[:, None] - found
    even = None if (rows.weights == rows.weights[0]).all() else rows.weights
    moved = [shift(level, errors[:, i], even) for i, level in enumerate(head.levels)]
    head.shift.assign(np.array(moved))
    count = len(rows.target)
    few = [f"{level:g}" for level in head.levels if enough_rows(level) > count]
    if few:
        say(
            f"{count:,} held-out rows are too few for the quantiles {', '.join(few)} of {name}: "
            "the largest error is taken, and less may lie within than they state"
        )

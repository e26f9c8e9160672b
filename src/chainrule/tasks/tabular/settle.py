"""What held-out rows decide of a trained network: its linear share, the mean of a logarithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...engine.tensor import as_tensor
from ...training import Arrays
from ...utils.typing import Array
from ..plan import Learner
from .heads import ClassHead, Head, NumberHead
from .held_out import HeldOut, held_out
from .linear_path import LinearPath

Say = Callable[[str], None]

#: Shares of the linear model that are tried.
_SHARES = np.linspace(0, 1, 21)
#: Corrections of fewer standard errors than this are left out.
_CLEAR = 2.0
#: Shares below this are not worth a sentence.
_WORTH_SAYING = 0.05


def choose_linear_share(
    learner: Learner, names: Sequence[str], solved_on: Arrays, validation: Arrays, say: Say
) -> None:
    """Mix a linear model in, as much as held-out rows are better for it.

    Args:
        learner: after its training.
        names: of the targets.
        solved_on: what the linear model is solved on.
        validation: the held-out rows.
        say: takes what was found.
    """
    path: LinearPath | None = learner.network.linear
    if path is None:
        return
    heads: list[Head] = learner.model.heads
    network = held_out(learner, validation)
    path.fit(heads, solved_on, len(solved_on))
    linear = held_out(learner, validation, path)
    shares = np.zeros(path.bias.shape[2])
    start = 0
    for head, name, own, beside in zip(heads, names, network, linear, strict=True):
        width = head.outputs if isinstance(head, ClassHead) else 1
        if len(own.target):
            share = _best_share(head, own, beside.z)
            shares[start : start + width] = share
            if share >= _WORTH_SAYING:
                say(f"a linear model beside the network makes {share:.0%} of the answer "
                    f"for {name!r}, as held-out rows say")  # fmt: skip
        start += head.outputs
    path.scale(shares)
    last = learner.network.head
    for part in (last.weight, last.bias):
        part.assign(part.numpy() * (1 - shares).astype(np.float32))


def _best_share(head: Head, network: HeldOut, linear: Array) -> float:
    """The share of the least loss: one number chosen by all held-out rows, as in stacking."""
    losses = [
        _losses(head, (1 - share) * network.z + share * linear, network.target) for share in _SHARES
    ]
    return float(_SHARES[int(np.argmin(np.stack(losses) @ network.weights))])


def _losses(head: Head, z: Array, target: Array) -> Array:
    """(rows,) -ln p of classes, or squared errors in the target's own unit."""
    if isinstance(head, ClassHead):
        p = head(as_tensor(z)).numpy()
        return -np.log(np.maximum(p[np.arange(len(target)), target.astype(int)], 1e-12))
    return np.asarray((_numbers(head, z) - _own_unit(head, target)) ** 2)


def _numbers(head: NumberHead, z: Array) -> Array:
    return np.asarray(head.number(as_tensor(z)).numpy())


def _own_unit(head: NumberHead, target: Array) -> Array:
    """The target before it was scaled."""
    y = target.astype(float) * head.scale.std.item() + head.scale.mean.item()
    return np.asarray(np.exp(y) if head.scale.log else y)


def correct_mean(head: NumberHead, name: str, rows: HeldOut, say: Say) -> None:
    """Multiply the predictions of a network that learned a logarithm, so that they are means.

    The mean of logarithms is less than the logarithm of the mean (Jensen): the exponential of what
    the network gives is a median. The factor is the ratio of the means of target and prediction on
    held-out rows (a ratio estimator, as Duan's smearing without equal variances), if that is more
    than chance and makes squared errors smaller.
    """
    if not head.scale.log or len(rows.target) < 2:
        return
    y, found, weights = _own_unit(head, rows.target), _numbers(head, rows.z), rows.weights
    mean = np.average(found, weights=weights)
    ratio = float(np.average(y, weights=weights) / mean)
    rest = y - ratio * found
    error = float(np.sqrt(np.average(rest**2, weights=weights) / len(y)) / mean)
    gain = np.average((y - found) ** 2 - rest**2, weights=weights)
    corrected = ratio > 0 and gain > 0 and abs(ratio - 1) > _CLEAR * error
    if corrected:
        head.factor.assign(head.factor.item() * ratio)
    how = f"predictions are multiplied by {ratio:.2f}, so that they are means and not medians"
    say(
        f"{name!r} is the exponential of what is learned: "
        + (how if corrected else "held-out rows show no bias of that")
    )

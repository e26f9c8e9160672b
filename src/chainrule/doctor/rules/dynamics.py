"""Rules on what the measuring program saw: gradients, updates, activations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..evidence import Measurement
from ..finding import Finding, Fix
from .context import Context, Limit

_VANISHED, _EXPLODED = Limit(1e-3, 1e-2), Limit(1e3, 1e2)
_DEAD, _FLAT = Limit(0.5, 0.25), Limit(0.6, 0.3)
#: An update makes the loss larger by so much, in this fraction of the measurements; or the first by
#: so much more; or it is so large beside the weight. Losses below this fraction of the first one do
#: not count.
_WORSE, _OFTEN = 1.05, Limit(0.4, 0.2)
_LEFT = 0.01
_JUMPED, _LARGE = Limit(3.0, 1.5), Limit(0.3, 0.15)
#: A hundred times the update is best in this fraction of the measurements.
_SLOW = Limit(0.6, 0.3)
_TOGETHER, _ENOUGH = 0.01, 20.0
_ROSE, _SPIKE = 1.2, Limit(1.5, 1.2)
#: A gradient below this fraction of the largest one may be lost in rounding.
_NOTHING = 1e-4
_FAR = 100.0


def vanishing(c: Context) -> Iterator[Finding]:
    """The gradient of the first layer is tiny beside that of the last."""
    if c.s.hidden_layers < 2 or not c.poor:
        return
    ratios = [(ratio, m, path) for m in c.measured
              for ratio, path in [_depth_ratio(c, m)] if ratio is not None]  # fmt: skip
    if not ratios:
        return
    middle, m, path = ratios[0]
    if middle < c.limit(_VANISHED):
        yield Finding(
            "gradients", "vanishing_gradient", "warning",
            f"The gradient of the first layer is {middle:.2g} times that of the last.",
            "Each layer scales the gradient with its derivative: through many layers with small "
            "derivatives nothing is left, and the first layers do not learn.",
            "‖∂L/∂w₁‖ / ‖∂L/∂w_L‖, per weight", middle, _VANISHED.sure,
            Fix("Use ReLU or GELU with the default initialisation, fewer layers, residual "
                "connections or normalisation."),
            layer=path, step=m.step, epoch=m.epoch, score=0.84,
        )  # fmt: skip


def exploding(c: Context) -> Iterator[Finding]:
    """The gradient grows on its way back, or is not finite."""
    first = c.measured[:1]
    if c.s.hidden_layers >= 2 and first and c.poor:
        ratio, path = _depth_ratio(c, first[0])
        if ratio is not None and ratio > c.limit(_EXPLODED):
            yield _exploded("the gradient grows on its way back to the first layer",
                            "‖∂L/∂w₁‖ / ‖∂L/∂w_L‖, per weight", ratio, _EXPLODED.sure, path, 0.86,
                            first[0])  # fmt: skip
            return
    if c.failed and not c.d.not_finite:
        yield _exploded("the loss or its gradient is not a finite number any more",
                        "count of NaN and ∞", 1.0, 0.0, "", 0.6, None)  # fmt: skip


def _exploded(
    what: str, formula: str, measured: float, limit: float, path: str, score: float,
    m: Measurement | None,
) -> Finding:  # fmt: skip
    return Finding(
        "gradients", "exploding_gradient", "error", f"{what[0].upper()}{what[1:]}.",
        "Each layer scales the gradient with its weights: through many layers it overflows, and "
        "one step destroys what was learned.",
        formula, measured, limit,
        Fix("Clip the gradient, use the default initialisation, or a lower learning rate.",
            {"clip": 1.0}),
        layer=path, step=m.step if m else None, epoch=m.epoch if m else None, score=score,
    )  # fmt: skip


def _depth_ratio(c: Context, m: Measurement) -> tuple[float | None, str]:
    """The gradient of the first layer over that of the last, as root mean squares."""
    paths = [path for path in c.s.gains or m.gradient if path in m.gradient
             and path.endswith("weight")]  # fmt: skip
    if len(paths) < 3:
        return None, ""
    first, last = m.gradient[paths[0]], m.gradient[paths[-1]]
    if not last > 0 or not math.isfinite(first):
        return None, ""
    return first / last, paths[0].removesuffix(".weight")


def dead(c: Context) -> Iterator[Finding]:
    """Units of ReLU that are 0 for every row."""
    if not c.poor:
        return
    found = [
        (state.dead, m, path)
        for m in c.measured
        for path, state in m.activations.items()
        if state.kind == "relu"
    ]
    if not found:
        return
    end = c.measured[-1]
    now = {p: a.dead for p, a in end.activations.items() if a.kind == "relu"}
    path = max(now, key=lambda p: now[p])
    start = c.measured[0].activations.get(path)
    if now[path] > c.limit(_DEAD):
        from_start = start is not None and start.dead > c.limit(_DEAD)
        yield Finding(
            "activations", "dead_relu", "warning",
            f"{now[path]:.0%} of the units of {path} are 0 for every row.",
            "Where a ReLU is 0 so is its derivative: such a unit gets no gradient and never "
            "comes back.",
            "fraction of units that never fire", now[path], _DEAD.sure,
            Fix("Start the biases at 0, lower the learning rate, or use LeakyReLU or GELU."),
            layer=path, step=end.step, epoch=end.epoch, score=0.89 if from_start else 0.75,
        )  # fmt: skip


def saturated(c: Context) -> Iterator[Finding]:
    """Sigmoids and tanhs at their flat ends from the start, or soon after."""
    if not c.poor or not c.measured:
        return
    for m, score in ((c.measured[0], 0.87), (c.measured[-1], 0.7)):
        flat = {p: a.saturated for p, a in m.activations.items() if a.kind in ("tanh", "sigmoid")}
        if flat and max(flat.values()) > c.limit(_FLAT):
            path = max(flat, key=lambda p: flat[p])
            yield Finding(
                "activations", "saturated_units", "warning",
                f"{flat[path]:.0%} of the values of {path} are at its flat ends.",
                "There the derivative is nearly 0, and what lies before the layer does not learn.",
                "fraction of values whose derivative is below 4 % of the largest", flat[path],
                _FLAT.sure,
                Fix("Scale the inputs, start biases at 0 and weights by xavier_uniform, or lower "
                    "the learning rate."),
                layer=path, step=m.step, epoch=m.epoch, score=score,
            )  # fmt: skip
            return


def rate_too_high(c: Context) -> Iterator[Finding]:
    """Updates that raise the loss on the very rows that they were made from."""
    if not c.poor:
        return
    steps = c.measured[1:] if len(c.measured) > 2 else c.measured
    # Where next to nothing is left to learn, a loss that doubles is no harm.
    worse = [m for m in steps if m.line and not m.line[1.0] < _WORSE
             and m.loss > _LEFT * c.measured[0].loss]  # fmt: skip
    fraction = len(worse) / max(len(steps), 1)
    first = c.evidence.measurements[0] if c.evidence.measurements else None
    jump = first.line.get(1.0, 1.0) if first else 1.0
    often, jumped = fraction >= c.limit(_OFTEN), not jump < c.limit(_JUMPED)
    size, bounced = _largest_update(c), _bounced(c)
    m = next(iter(worse or steps), first)
    formula, measured, limit = (
        "L(w + Δw) / L(w) on the same rows", m.line.get(1.0) if m else None, _WORSE,
    )  # fmt: skip
    if c.failed:
        message = "The loss became infinite."
    elif often:
        message = (f"In {fraction:.0%} of the measurements an update made the loss larger on the "
                   "rows that it was computed from.")  # fmt: skip
    elif bounced:
        message = bounced
    elif jumped:
        message, m, measured = f"The first update makes the loss {jump:.3g}-fold.", first, jump
    elif size > c.limit(_LARGE):
        message = f"An update is {size:.0%} of the weights that it changes."
        formula, measured, limit = "‖Δw‖ / ‖w‖, in the layer where it is largest", size, _LARGE.sure
    else:
        return
    yield Finding(
        "updates", "learning_rate_too_high", "error" if c.failed else "warning", message,
        "The step is longer than the distance in which the gradient points down: the loss "
        "bounces or diverges.",
        formula, measured, limit, _rate("Lower", c.s.lr / 10),
        step=m.step if m else None, epoch=m.epoch if m else None,
        score=0.82 if often or jumped else 0.72,
    )  # fmt: skip


def _bounced(c: Context) -> str:
    """How the loss of the epochs rose, if it did."""
    losses = c.evidence.series("loss")
    if len(losses) < 2 or losses[-1] < _LEFT * losses[0]:
        return ""
    least, peak = min(losses), max(losses[1:])
    if not losses[-1] < 2 * least or (c.stuck and losses[-1] > _ROSE * least):
        return f"The loss fell to {least:.3g} and rose to {losses[-1]:.3g} again."
    if peak > c.limit(_SPIKE) * losses[0]:
        return f"The loss rose to {peak:.3g} in between, from {losses[0]:.3g} where it began."
    return ""


def _largest_update(c: Context) -> float:
    """The typical update over the weight that it changes, of the layer where that is largest."""
    found = []
    for m in c.late:
        ratios = [m.update[p] / m.weight[p] for p in m.update
                  if p.endswith("weight") and m.weight[p] > 0]  # fmt: skip
        if ratios:
            found.append(float(np.median(ratios)))
    return float(np.median(found)) if found else 0.0


def rate_too_low(c: Context) -> Iterator[Finding]:
    """A hundred times the update would still have been better."""
    lined = [m for m in c.measured if m.line]
    if not c.poor or c.failed or not lined or c.learned:
        return
    # What all of the updates would give if each gave as much; a short training is measured once.
    gained = float(np.median([1 - m.line[_FAR] for m in lined])) / _FAR * c.updates
    if len(lined) < 2 and not (c.stuck and gained < _TOGETHER):
        return
    # Near the end of the way the gradients of two halves of the rows point apart.
    often = float(np.mean([m.line[_FAR] < 1 and min(m.line.values()) == m.line[_FAR]
                           and m.agreement > 0 for m in lined]))  # fmt: skip
    if often >= c.limit(_SLOW):
        yield Finding(
            "updates", "learning_rate_too_low", "warning",
            f"In {often:.0%} of the measurements an update {_FAR:g} times as long would have been "
            "better than the one that was made.",
            "The weights hardly move: the training would need many times as many epochs.",
            "the multiple of the update at which the loss is least", _FAR, 30.0,
            _rate("Raise", c.s.lr * float(np.clip(_ENOUGH / max(gained, 1e-9), 30, 1000))),
            step=c.measured[-1].step, epoch=c.measured[-1].epoch, score=0.8,
        )  # fmt: skip


def _rate(change: str, rate: float) -> Fix:
    return Fix(f"{change} the learning rate, to {rate:.2g} say.", {"lr": float(f"{rate:.2g}")})


def unchanged(c: Context) -> Iterator[Finding]:
    """Parameters that have a gradient, and no update."""
    later = c.measured[1:]  # a schedule may begin at 0
    if not later:
        return
    paths = [
        path
        for path in later[0].update
        if path not in c.s.unlisted
        and all(m.update.get(path, 0.0) == 0 for m in later)
        and all(m.gradient.get(path, 0.0) > _NOTHING * max(m.gradient.values()) for m in later)
    ]
    if paths:
        yield Finding(
            "updates", "frozen_parameters", "warning",
            f"Parameters that never change: {len(paths)}, {', '.join(paths[:3])}"
            + (", …." if len(paths) > 3 else "."),
            "They have a gradient, but the optimizer's update of them is 0.",
            "largest ‖Δw‖", 0.0, 0.0,
            Fix("Give their group a learning rate above 0."),
            layer=paths[0], step=later[-1].step, epoch=later[-1].epoch, score=0.93, is_fact=True,
        )  # fmt: skip


RULES = (unchanged, vanishing, exploding, dead, saturated, rate_too_high, rate_too_low)

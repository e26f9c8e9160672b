"""Rules on the graph and the configuration, which hold before the first step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..finding import Finding, Fix
from .context import Context, Limit

#: Of std(w)·√fan-in: beyond these a signal's size is lost in one layer, or over all of them.
_GAIN_HIGH, _GAIN_LOW = Limit(5.0, 3.0), Limit(0.12, 0.2)
_GAIN_THROUGH = Limit(100.0, 30.0)
_TINY_BATCH = 4
#: Weights of a layer that differ less than this are all alike.
_ALIKE = 1e-6


def unreached(c: Context) -> Iterator[Finding]:
    """Parameters without a path to the loss."""
    if c.s.unreached:
        yield _parameters(
            c.s.unreached, "disconnected_parameters", "∂L/∂w has no path", 0.97,
            "The loss does not depend on them: their gradient is always 0.",
            "Use their layer in `forward`, or remove it.",
        )  # fmt: skip


def unlisted(c: Context) -> Iterator[Finding]:
    """Parameters that the optimizer does not know."""
    if c.s.unlisted:
        yield _parameters(
            c.s.unlisted, "missing_from_optimizer", "w ∉ optimizer.parameters()", 0.97,
            "They keep their initial values, whatever their gradient is.",
            "Give the whole model to the optimizer, after its last layer was made.",
        )  # fmt: skip


def frozen(c: Context) -> Iterator[Finding]:
    """Frozen parameters of a network that does badly."""
    paths = [path for path in c.s.frozen if path not in c.s.unreached]
    if paths and (c.poor or len(paths) == len(c.s.gains) * 2 > 0):
        yield _parameters(
            paths, "frozen_parameters", "requires_grad = False", 0.9,
            "They keep their values, and the network does worse than a quick model of the data.",
            "Unfreeze them: model.unfreeze(). Freeze layers only if they were trained before.",
        )  # fmt: skip


def _parameters(
    paths: list[str], cause: str, formula: str, score: float, why: str, fix: str
) -> Finding:
    some = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    return Finding(
        "parameters", cause, "error" if cause != "frozen_parameters" else "warning",
        f"Parameters that never change: {len(paths)}, {some}.",
        why, formula, float(len(paths)), 0.0, Fix(fix), layer=paths[0], score=score,
    )  # fmt: skip


def activation_twice(c: Context) -> Iterator[Finding]:
    """Probabilities where the loss expects logits."""
    if c.s.loss_output != "logits":
        return
    if c.s.outputs == 1 and c.s.output_operation == "softmax":
        return
    twice = c.s.rows_sum_to_one or c.s.output_operation in ("softmax", "sigmoid", "log_softmax")
    if c.s.output_operation == "log_softmax":  # softmax of it gives the same again
        twice = False
    if twice:
        name = "softmax" if c.s.rows_sum_to_one else c.s.output_operation
        yield Finding(
            "loss and output", "softmax_twice", "error",
            f"The network ends in {name}, and {c.s.loss} applies it again.",
            "The loss takes logits. Of numbers between 0 and 1 the second one makes nearly equal "
            "probabilities, so the gradient is small and the loss cannot approach 0.",
            "range of the output", 1.0, None,
            Fix(f"Remove the {name} at the end of the network; predictions are probabilities "
                "all the same."), score=0.97,
        )  # fmt: skip


def softmax_of_one(c: Context) -> Iterator[Finding]:
    """The softmax of one number is 1."""
    one = c.s.outputs == 1
    if one and (c.s.output_operation == "softmax" or c.s.loss == "cross_entropy"):
        yield Finding(
            "loss and output", "softmax_of_one_unit", "error",
            "The softmax of a single output is 1 for every row.",
            "Nothing that the network does changes its prediction, so every gradient is 0.",
            "number of outputs", 1.0, 2.0,
            Fix("One output goes with binary_cross_entropy; or give the network an output for "
                "each class."), score=0.98,
        )  # fmt: skip


def classes_as_numbers(c: Context) -> Iterator[Finding]:
    """A squared error of class indices."""
    if c.s.loss_output == "values" and len(c.d.classes) >= 2:
        count = len(c.d.classes)
        loss = "binary_cross_entropy" if count == 2 else "cross_entropy"
        yield Finding(
            "loss and target", "mse_on_classes", "warning",
            f"The target has {count} classes, and {c.s.loss} learns their indices as numbers.",
            "A squared error takes class 2 for something between 1 and 3, and gives little weight "
            "to sure but wrong answers.",
            "different values of the target", float(count), None,
            Fix(f"Use the loss {loss}{', with an output for each class' if count > 2 else ''}.",
                {"loss": loss}), score=0.9,
        )  # fmt: skip


def output_range(c: Context) -> Iterator[Finding]:
    """Targets beyond what the last operation can give."""
    limits = c.s.output_range
    if c.s.task != "regression" or limits is None or len(c.d.classes) >= 2:
        return
    below = max(limits[0] - c.d.target_low, 0.0)
    above = max(c.d.target_high - limits[1], 0.0)
    size = c.d.target_deviation or 1.0
    if max(below, above) > 0.05 * size:
        yield Finding(
            "output and target", "output_range", "error",
            f"The network ends in {c.s.output_operation}, which gives {_range(limits)}; the target "
            f"goes from {c.d.target_low:.4g} to {c.d.target_high:.4g}.",
            "What lies outside cannot be predicted, however long the training is.",
            "distance outside / standard deviation", max(below, above) / size, 0.05,
            Fix(f"Remove the {c.s.output_operation} at the end of the network, or bring the target "
                "into its range."), score=0.95,
        )  # fmt: skip


def _range(limits: tuple[float, float]) -> str:
    low, high = limits
    if math.isinf(high):
        return f"numbers above {low:g}"
    return f"numbers below {high:g}" if math.isinf(low) else f"numbers from {low:g} to {high:g}"


def linear(c: Context) -> Iterator[Finding]:
    """Layers that could be one."""
    if not c.s.linear_pairs:
        return
    layer = c.s.linear_pairs[0]
    yield Finding(
        "graph", "missing_nonlinearity", "warning",
        "The whole network is linear, in spite of its hidden layers."
        if c.s.is_linear else "A layer follows another layer without a non-linearity between.",
        "A linear function of a linear function is a linear function: the layers together can do "
        "no more than one.",
        "f((a+b)/2) − (f(a)+f(b))/2" if c.s.is_linear else "operations between two layers",
        0.0, None, Fix("Put an activation, such as ReLU, after each hidden layer."),
        layer=layer, score=0.93,
    )  # fmt: skip


def symmetric(c: Context) -> Iterator[Finding]:
    """Units that are copies of each other, and stay so: zeros at the end of a network do not."""
    if not c.evidence.history:
        return
    hidden = list(c.s.gains)[:-1]
    stay = [path for path in c.s.symmetric if path not in list(c.s.gains)[-1:]]
    # What comes after them may set units apart in time; not where the network is no good.
    began = [path for path in hidden if c.s.gains[path] < _ALIKE] if c.over and c.poor else []
    paths = stay or began
    if paths:
        yield Finding(
            "weights", "symmetric_initialisation", "error",
            f"All units of {paths[0].removesuffix('.weight')} start with the same weights.",
            "They get the same gradient and stay alike: the layer has one unit, whatever its "
            "width." if stay else
            "Only what comes after them sets them apart, so they learn nearly the same.",
            "largest difference between units", 0.0, _ALIKE,
            Fix("Draw the weights at random: model.initialize(seed=0)."),
            layer=paths[0].removesuffix(".weight"), step=0, epoch=0, score=0.96 if stay else 0.9,
        )  # fmt: skip


def gains(c: Context) -> Iterator[Finding]:
    """Initial weights that blow a signal up or let it die away."""
    # Weights of 0, or all alike, are meant so, or are symmetric.
    hidden = {p: g for p, g in list(c.s.gains.items())[:-1] if g > 1e-9}
    if not hidden or c.s.normalised:
        return
    kinds = {a.kind for m in c.measured[:1] for a in m.activations.values()}
    usual = 1.0 if kinds & {"tanh", "sigmoid"} else math.sqrt(2)  # ReLU takes half of the power
    through = math.prod(gain / usual for gain in hidden.values())
    path = max(hidden, key=lambda p: abs(math.log(max(hidden[p], 1e-30))))
    extreme = hidden[path] > c.limit(_GAIN_HIGH) or hidden[path] < c.limit(_GAIN_LOW)
    if through > c.limit(_GAIN_THROUGH) and not extreme:
        cause, high, measured, limit = "exploding_gradient", True, through, _GAIN_THROUGH.sure
    elif extreme or through < 1 / c.limit(_GAIN_THROUGH):
        cause, high = "bad_initialisation", hidden[path] > 1
        measured, limit = hidden[path], (_GAIN_HIGH if high else _GAIN_LOW).sure
    else:
        return
    start, constant = c.measured[0].loss if c.measured else math.inf, c.constant_loss
    if constant is not None and start < 0.9 * constant:
        return  # it was trained before
    certain = hidden[path] > 1.5 * _GAIN_HIGH.sure or hidden[path] < _GAIN_LOW.sure / 1.5
    certain = certain or through > 10 * _GAIN_THROUGH.sure
    if not certain and not ((c.over or c.failed) and c.poor):
        return
    yield Finding(
        "weights",
        cause,
        "warning",
        f"The initial weights are too {'large' if high else 'small'}: a signal's size changes "
        f"{through:.3g}-fold through the hidden layers.",
        "Signals and gradients "
        + (
            "grow from layer to layer, saturate activations or overflow."
            if high
            else "die away from layer to layer, and nothing is learned."
        ),
        "std(w)·√fan-in"
        + (" multiplied over the hidden layers" if cause == "exploding_gradient" else ""),
        measured,
        limit,
        Fix(
            "Use the default initialisation: model.initialize(seed=0); kaiming_uniform for ReLU, "
            "xavier_uniform for tanh and sigmoid."
        ),
        layer=path.removesuffix(".weight"),
        step=0,
        epoch=0,
        score=0.88,
        is_fact=certain,
    )


def tiny_batches(c: Context) -> Iterator[Finding]:
    """Statistics of a few rows."""
    if c.s.batch_norm and 0 < c.evidence.batch_size <= _TINY_BATCH:
        size = c.evidence.batch_size
        yield Finding(
            "configuration", "batch_norm_tiny_batch", "warning",
            f"Batch normalisation takes its mean and variance from {size} rows.",
            "They are mostly noise, and differ from the running ones that predictions use.",
            "rows in a batch", float(size), float(_TINY_BATCH),
            Fix("Use batches of 16 rows or more, or layer normalisation.", {"batch-size": 32}),
            layer=c.s.batch_norm[0], score=0.92,
        )  # fmt: skip


def not_reset(c: Context) -> Iterator[Finding]:
    """Gradients that pile up in a loop of the user's own."""
    if c.evidence.not_reset > 0.5:
        yield Finding(
            "loop", "gradients_not_reset", "error",
            "The gradients contain those of the steps before.",
            "`backward` adds to `.grad`: without a reset each update goes where all steps so far "
            "pointed, and grows.",
            "steps whose .grad − ∂L/∂w is the .grad before", c.evidence.not_reset, 0.5,
            Fix("Call optimizer.zero_grad() before each backward()."), score=0.98,
        )  # fmt: skip


RULES = (
    unreached, unlisted, frozen, activation_twice, softmax_of_one, classes_as_numbers,
    output_range, linear, symmetric, gains, tiny_batches, not_reset,
)  # fmt: skip

"""Learning curves as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..drawing.chart import Axis, Chart, Line, Rule, numbers, thinned

Records = Sequence[Mapping[str, Any]]

#: Numbers of an epoch that are no measure of what was learned.
_BESIDE = ("fit", "epoch", "seconds", "waited", "rate", "gradient_norm", "loss", "val_loss")
EPOCH = Axis("epoch", "integer")
#: From this ratio on a positive axis is logarithmic.
_WIDE = 30.0


def learning_charts(
    records: Records, best: Mapping[str, Any] | None = None, before: Sequence[Records] = ()
) -> list[Chart]:
    """The loss, each metric, the learning rate and the norm of the gradient by epoch.

    Args:
        records: of a `chainrule.training.History`, or of a stored one.
        best: the record whose weights were kept.
        before: those of other fits, such as earlier parts of a cross-validation, drawn quietly.

    Example:
        >>> records = [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.4}]
        >>> [chart.name for chart in learning_charts(records)]
        ['loss']
    """
    rules: tuple[Rule, ...] = ()
    if best and best.get("epoch") is not None:
        rules = (Rule(f"best epoch: {best['epoch']:.0f}", x=float(best["epoch"])),)
    others = [line for each in before for line in _lines(each, {"val_loss": "earlier parts"}, True)]
    names = {"loss": "training loss", "val_loss": "validation loss"}
    loss = Chart(
        "loss", "Loss", EPOCH, Axis("loss", _scale(records, ("loss", "val_loss"))),
        (*others[:20], *_lines(records, names), *rules), _said(records),
    )  # fmt: skip
    measured = dict.fromkeys(name for record in records for name in record if name not in _BESIDE)
    metrics = [name for name in measured if name.startswith("val_")]
    charts = [loss, *(_of(records, name, rules) for name in metrics)]
    beside = {"rate": "Learning rate", "gradient_norm": "Norm of the gradient, last step"}
    for name, title in beside.items():
        lines = _lines(records, {name: title})
        if lines and len(lines[0].x) > 1:
            axis = Axis("", _scale(records, (name,)) if name == "gradient_norm" else "linear")
            charts.append(Chart(name, title, EPOCH, axis, tuple(lines)))
    return [chart for chart in [*_returns(records), *charts] if chart.marks]


def _returns(records: Records) -> list[Chart]:
    """What an agent collected, by the steps that it took."""
    known = [(r["steps"], r["return"]) for r in records if "steps" in r and "return" in r]
    if len(known) < 2:
        return []
    x, y = thinned(*(numbers(part) for part in zip(*known, strict=True)))
    line = Line("mean of the last 100 episodes", tuple(x), tuple(y))
    said = f"The mean return goes from {known[0][1]:.4g} to {known[-1][1]:.4g}."
    return [Chart("return", "Return", Axis("steps", "integer"), Axis("return"), (line,), said)]


def _of(records: Records, name: str, rules: tuple[Rule, ...]) -> Chart:
    title = name.removeprefix("val_").replace("_", " ")
    lines = _lines(records, {name: f"validation {title}"})
    return Chart(name, f"Validation: {title}", EPOCH, Axis(title), (*lines, *rules))


def _lines(records: Records, names: Mapping[str, str], quiet: bool = False) -> list[Line]:
    found = []
    for number, (name, label) in enumerate(names.items()):
        known = [(r["epoch"], r[name]) for r in records if r.get(name) is not None]
        if known:
            x, y = thinned(*(numbers(part) for part in zip(*known, strict=True)))
            found.append(Line(label, tuple(x), tuple(y), series=number, quiet=quiet))
    return found


def _scale(records: Records, names: Sequence[str]) -> str:
    """Logarithmic for positive numbers of very different size."""
    values = [r[name] for r in records for name in names if r.get(name) is not None]
    known = [value for value in values if value == value]
    if not known or min(known) <= 0:
        return "linear"
    return "log" if max(known) > _WIDE * min(known) else "linear"


def _said(records: Records) -> str:
    """What the losses tell, in a sentence."""
    validated = [r for r in records if r.get("val_loss") is not None]
    if not records:
        return ""
    first, last = records[0].get("loss"), records[-1].get("loss")
    if first is None or last is None:
        return ""
    said = f"The training loss goes from {first:.4g} to {last:.4g}"
    if len(records) == 1:
        said = f"The training loss is {first:.4g}"
    if validated:
        lowest = min(validated, key=lambda record: float(record["val_loss"]))
        said += (
            f"; the validation loss is lowest in epoch {lowest['epoch']:.0f}, with "
            f"{lowest['val_loss']:.4g}"
        )
    return said + "."

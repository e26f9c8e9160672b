"""Pictures of how good predictions are: of classes, of numbers, of one target or several."""

from __future__ import annotations

import numpy as np

from .. import metrics
from ..drawing.blocks import Block, Section, Table, section
from ..drawing.chart import (
    Axis,
    Bars,
    Cells,
    Chart,
    Histogram,
    Line,
    Points,
    Rule,
    numbers,
    thinned,
)
from ..drawing.scales import short
from ..utils.numbers import number
from ..utils.typing import Array
from .tested import Answers

#: More classes than these have no place in a picture.
_MOST_CLASSES, _MOST_CURVES = 25, 6
#: So many points are enough for a curve, and for a cloud.
_CURVE, _CLOUD = 200, 800
_BINS = 10
#: So many mistakes are listed.
_PAIRS = 15


def answer_sections(answers: list[Answers], unit: str) -> list[Section]:
    """Sections for each target: what is right and wrong, and by how much."""
    found = []
    for each in answers:
        of = f" of {each.name}" if len(answers) > 1 else ""
        end = f"-{each.name}" if len(answers) > 1 else ""
        if not len(each.target):
            continue
        if each.classes:
            found.append(section(f"classes{end}", f"Classes{of}: right and wrong",
                                 *class_blocks(each, unit)))  # fmt: skip
        else:
            found.append(section(f"numbers{end}", f"Predicted and actual{of}",
                                 *number_blocks(each, unit)))  # fmt: skip
    return [each for each in found if each is not None]


# ---- classes -------------------------------------------------------------------------------------


def class_blocks(answers: Answers, unit: str) -> list[Block]:
    """Confusion matrix, ROC, precision and recall, calibration; a table by class."""
    known = [index for index in range(len(answers.classes))
             if (answers.target == index).any() or (answers.said == index).any()]  # fmt: skip
    blocks: list[Block] = [_confusion(answers, known, unit), *_curves(answers, unit)]
    calibrated = _calibration(answers, unit)
    return [*blocks, *calibrated, _by_class(answers, known, unit)]


def _confusion(answers: Answers, known: list[int], unit: str) -> Block:
    matrix = metrics.confusion_matrix(answers.target, answers.said,
                                      labels=range(len(answers.classes)))  # fmt: skip
    counts = np.asarray(matrix)[np.ix_(known, known)]
    if len(known) > _MOST_CLASSES:
        return _mistakes(answers, np.asarray(matrix))
    rows = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = tuple(answers.classes[index] for index in known)
    right = float((answers.said == answers.target).mean())
    cells = Cells(
        f"{unit} by true class (row) and predicted class (column)",
        tuple(numbers(row) for row in rows),
        tuple(tuple(f"{count:,.0f}" for count in row) for row in counts),
        low=0.0,
        high=1.0,
    )
    return Chart(
        "confusion", "Confusion matrix",
        Axis("predicted class", categories=names), Axis("true class", categories=names), (cells,),
        f"{right:.1%} of {len(answers.target):,} {unit} are right: they are on the diagonal. The "
        "fuller the colour, the larger the fraction of the true class.",
    )  # fmt: skip


def _mistakes(answers: Answers, matrix: Array) -> Block:
    """The most frequent mistakes, where a matrix would be too large."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(int(place), len(answers.classes)) for place in order]
    rows = tuple(
        (answers.classes[true], answers.classes[said], f"{wrong[true, said]:,.0f}",
         f"{wrong[true, said] / max(matrix[true].sum(), 1):.1%}")
        for true, said in places if wrong[true, said]
    )  # fmt: skip
    return Table(("true class", "predicted class", "#how often", "#of the true class"), rows,
                 "The most frequent mistakes")  # fmt: skip


def _curves(answers: Answers, unit: str) -> list[Chart]:
    """ROC, and precision against recall: of two classes the second, of several each."""
    classes = len(answers.classes)
    counts = np.bincount(answers.target, minlength=classes)
    picked = [1] if classes == 2 else np.argsort(-counts, kind="stable")[:_MOST_CURVES].tolist()
    roc, precision = [], []
    for index in sorted(picked):
        positive = answers.target == index
        if positive.all() or not positive.any():
            continue
        name = answers.classes[index]
        x, y, recall, share, area, mean = _rates(positive, answers.predicted[:, index])
        roc.append(Line(f"{name} (area {area:.3f})", numbers(x), numbers(y)))
        precision.append(Line(f"{name} (average {mean:.3f})", numbers(recall), numbers(share)))
    if not roc:
        return []
    cut = f" Shown are the {len(roc)} most frequent of {classes} classes." if (
        classes > 2 and len(roc) < classes) else ""  # fmt: skip
    rate = Axis("fraction of other classes taken for it", low=0, high=1)
    return [
        Chart("roc", "ROC", rate, Axis("fraction of the class that is found", low=0, high=1),
              (*roc, Rule("by chance")),
              f"The further up on the left, the better; the diagonal is chance.{cut}"),
        Chart("precision_recall", "Precision and recall",
              Axis("recall: fraction of the class that is found", low=0, high=1),
              Axis("precision", low=0, high=1), tuple(precision),
              f"Of the {unit} that are called so, how many are; the further up on the right, the "
              f"better.{cut}"),
    ]  # fmt: skip


def _rates(
    positive: Array, score: Array
) -> tuple[list[float], list[float], list[float], list[float], float, float]:
    """False and true positive rates, recall and precision at all thresholds; both areas."""
    order = np.argsort(-score, kind="stable")
    hits, last = positive[order], np.r_[np.diff(score[order]) != 0, True]
    true, false = np.cumsum(hits)[last], np.cumsum(~hits)[last]
    x = np.r_[0.0, false / max(false[-1], 1)]
    y = np.r_[0.0, true / max(true[-1], 1)]
    share = true / (true + false)
    area = float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
    mean = float((np.diff(y) * share).sum())
    fx, fy = _even(x, y)
    recall, precision = _even(y, np.r_[share[0], share])
    return fx, fy, recall, precision, area, mean


def _even(x: Array, y: Array) -> tuple[list[float], list[float]]:
    """Some points of a curve, so many as can be seen; the ends stay."""
    if len(x) <= _CURVE:
        return x.tolist(), y.tolist()
    kept = np.unique(np.linspace(0, len(x) - 1, _CURVE).round().astype(int))
    return x[kept].tolist(), y[kept].tolist()


def _calibration(answers: Answers, unit: str) -> list[Chart]:
    """How often what was called so probable was so, and how often which probability is said."""
    if len(answers.classes) == 2:
        p, true = answers.predicted[:, 1], answers.target == 1
        what = f"probability of {answers.classes[1]}"
        observed = f"fraction that is {answers.classes[1]}"
    else:
        p = answers.predicted.max(axis=1)
        true = answers.predicted.argmax(axis=1) == answers.target
        what, observed = "probability of the predicted class", "fraction that is right"
    bins = np.minimum((np.clip(p, 0, 1) * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    filled = np.flatnonzero(counts)
    said = [float(p[bins == i].mean()) for i in filled]
    seen = [float(true[bins == i].mean()) for i in filled]
    wide = [1.96 * np.sqrt(max(s * (1 - s), 0.25 / counts[i]) / counts[i])
            for s, i in zip(seen, filled, strict=True)]  # fmt: skip
    line = Line("observed", numbers(said), numbers(seen),
                numbers(max(s - w, 0) for s, w in zip(seen, wide, strict=True)),
                numbers(min(s + w, 1) for s, w in zip(seen, wide, strict=True)))  # fmt: skip
    edges = numbers(np.linspace(0, 1, _BINS + 1))
    return [
        Chart("calibration", "Calibration", Axis(what, low=0, high=1),
              Axis(observed, low=0, high=1), (line, Rule("as said")),
              "On the diagonal, probabilities mean what they say; below it they are too high. The "
              "band is what chance makes of so few in each tenth."),
        Chart("probabilities", "Which probabilities are said", Axis(what, low=0, high=1),
              Axis(unit), (Histogram(unit, edges, numbers(counts)),)),
    ]  # fmt: skip


def _by_class(answers: Answers, known: list[int], unit: str) -> Table:
    rows = []
    for index in known:
        true, said = answers.target == index, answers.said == index
        both = int((true & said).sum())
        precision = both / said.sum() if said.any() else None
        recall = both / true.sum() if true.any() else None
        total = (precision or 0) + (recall or 0)
        f1 = None if precision is None or recall is None else (
            2 * precision * recall / total if total else 0.0)  # fmt: skip
        rows.append((answers.classes[index], f"{int(true.sum()):,}", f"{int(said.sum()):,}",
                     number(precision), number(recall), number(f1)))  # fmt: skip
    return Table(("class", f"#{unit}", "#predicted", "#precision", "#recall", "#F1"), tuple(rows),
                 "By class", folded=len(rows) > 12)  # fmt: skip


# ---- numbers -------------------------------------------------------------------------------------


def number_blocks(answers: Answers, unit: str) -> list[Block]:
    """Predicted against actual, and the residuals."""
    known = np.isfinite(answers.target) & np.isfinite(answers.predicted)
    target, predicted = answers.target[known], answers.predicted[known]
    if not len(target):
        return []
    some = np.unique(np.linspace(0, len(target) - 1, min(_CLOUD, len(target))).astype(int))
    residuals = target - predicted
    scale = _scale(target, predicted)
    name = answers.name
    cut = f" Shown are {len(some):,} of {len(target):,} {unit}." if len(some) < len(target) else ""
    counts, edges = np.histogram(_within(residuals), bins=min(30, max(len(residuals) // 4, 5)))
    return [
        Chart("predicted_actual", "Predicted and actual", Axis(f"actual {name}", scale),
              Axis(f"predicted {name}", scale),
              (Points(unit, numbers(target[some]), numbers(predicted[some])),
               Rule("predicted = actual")),
              f"The nearer to the diagonal, the better.{cut}", square=True),
        Chart("residuals", "Errors by what is predicted", Axis(f"predicted {name}", scale),
              Axis("actual − predicted"),
              (Points(unit, numbers(predicted[some]), numbers(residuals[some])),
               Rule("no error", y=0.0)),
              f"A cloud around 0 of the same height everywhere is what is hoped for.{cut}"),
        Chart("residual_histogram", "How large the errors are", Axis("actual − predicted"),
              Axis(unit), (Histogram(unit, numbers(edges), numbers(counts)), Rule("0", x=0.0)),
              _spread(residuals)),
    ]  # fmt: skip


def _scale(target: Array, predicted: Array) -> str:
    """Logarithmic for positive numbers of very different size."""
    low, high = np.quantile(target, [0.05, 0.95])
    return "log" if min(target.min(), predicted.min()) > 0 and high > 30 * low else "linear"


def _within(residuals: Array) -> Array:
    """Without those so far out that nothing else could be seen."""
    low, high = np.quantile(residuals, [0.25, 0.75])
    room = 6 * (high - low) or np.inf
    return residuals[(residuals >= low - room) & (residuals <= high + room)]


def _spread(residuals: Array) -> str:
    out = len(residuals) - len(_within(residuals))
    far = f" {out:,} that lie further out are not shown." if out else ""
    half = float(np.median(np.abs(residuals)))
    return f"Half of the errors are smaller than {short(half)}.{far}"


# ---- for profiles --------------------------------------------------------------------------------


def histogram(name: str, title: str, values: Array, unit: str, size: str = "normal") -> Chart:
    """How numbers are distributed; of very skewed positive ones the axis is logarithmic."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Chart(name, title, Axis(), Axis(unit), (), size=size)
    low, middle, high = np.quantile(known, [0.0, 0.5, 1.0])
    log = low > 0 and high > 1000 * low and high > 20 * middle
    bins = min(24, max(len(np.unique(known)), 1)) if size == "normal" else 16
    if log:
        edges = np.geomspace(low, high, bins + 1)
        counts, edges = np.histogram(known, edges)
    else:
        counts, edges = np.histogram(known, bins)
    axis = Axis("" if size == "small" else name, "log" if log else "linear")
    mark = Histogram(unit, numbers(edges), numbers(counts))
    return Chart(name, title, axis, Axis("" if size == "small" else unit), (mark,), size=size)


def frequencies(
    name: str, title: str, names: list[str], counts: list[int], unit: str, size: str = "normal"
) -> Chart:
    """How frequent categories are."""
    kept = names[:20]
    more = f"Shown are 20 of {len(names):,}." if len(names) > 20 else ""
    return Chart(name, title, Axis("" if size == "small" else unit), Axis(categories=tuple(kept)),
                 (Bars(unit, numbers(counts[:20])),), more, size=size)  # fmt: skip


def curve(label: str, x: Array, y: Array) -> Line:
    """A line that is thinned out where it has too many points."""
    some_x, some_y = thinned(numbers(x), numbers(y))
    return Line(label, tuple(some_x), tuple(some_y))

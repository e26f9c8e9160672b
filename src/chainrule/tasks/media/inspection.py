"""Pictures of files for a report: examples, the worst errors, filters, and what a network looks at.

    saliency of a pixel = mean over noisy copies x + e of |∂ score of the predicted class / ∂ x|

(Simonyan et al., "Deep inside convolutional networks", 2014; Smilkov et al., "SmoothGrad", 2017.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing.blocks import Block, Gallery, Picture, Section, Text, section, table
from ...drawing.chart import Chart
from ...drawing.colours import coloured, shrunk
from ...drawing.png import png_address
from ...engine import ops
from ...engine.autodiff import grad
from ...engine.tensor import Tensor
from ...nn import Conv2d
from ...utils.typing import Array
from ..evaluation_charts import frequencies, histogram
from ..tested import Answers, Tested

#: So many examples of the data are shown, of so many classes at most.
_EXAMPLES, _CLASSES = 24, 12
#: A picture has so many pixels a side at most; and is shown so wide.
_SIDE, _WIDTH = 96, 112
#: So many filters are shown.
_FILTERS = 32
#: Saliency: so many files, and noisy copies of each, with a deviation of this part of their range.
_SALIENT, _COPIES, _NOISE = 6, 8, 0.1


def picture(plan: Any, schema: Any, decoded: Array, caption: str, what: str) -> Picture:
    """A decoded file as a picture."""
    pixels = plan.medium.shown(schema, decoded)
    return Picture(png_address(shrunk(pixels, _SIDE)), caption, what)


# ---- the data ------------------------------------------------------------------------------------


def profile(plan: Any, schema: Any, split: Any) -> list[Section]:
    """How many files there are of each class, and some of them."""
    train = split.train
    blocks: list[Block | None] = [Text((split.counts(plan.unit),)), _targets(plan, schema, train)]
    blocks.append(_examples(plan, schema, train))
    blocks.append(table(("", ""), schema.described()))
    blocks.append(Text(tuple(schema.notes)) if schema.notes else None)
    found = section("data", "The data", *blocks)
    return [] if found is None else [found]


def _targets(plan: Any, schema: Any, part: Any) -> Chart:
    title, unit = f"The target: {schema.target.name}", f"training {plan.unit}"
    if not schema.classes:
        return histogram("target", title, np.asarray(part.target, float), unit)
    counts = np.bincount(part.target, minlength=len(schema.classes))
    order = np.argsort(-counts, kind="stable")
    names = [schema.classes[i] for i in order]
    return frequencies("target", title, names, counts[order].tolist(), unit)


def _examples(plan: Any, schema: Any, part: Any) -> Block | None:
    """Files of each class in turn, the first ones."""
    reader = plan.reader(schema, part.files)
    if schema.classes:
        groups = [np.flatnonzero(part.target == i) for i in range(len(schema.classes))][:_CLASSES]
        each = max(_EXAMPLES // max(len(groups), 1), 1)
        rows = np.concatenate([group[:each] for group in groups])
    else:
        rows = np.argsort(part.target, kind="stable")
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, _EXAMPLES // 2).astype(int))]
    decoded = reader(part.rows[rows])
    pictures = []
    for row, one in zip(rows, decoded, strict=True):
        goal = part.target[row]
        caption = schema.classes[goal] if schema.classes else f"{float(goal):.4g}"
        name = Path(part.files.paths[part.rows[row]]).name
        pictures.append(picture(plan, schema, one, caption, f"{name}, {caption}"))
    return Gallery("Examples, as the network takes them", tuple(pictures), 96)


# ---- errors --------------------------------------------------------------------------------------


def files_as_they_are(
    plan: Any, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
) -> list[Block]:
    """Pictures with the right answer, the prediction and the name of the file."""
    pictures = []
    for (tested, row), (true, predicted) in zip(picked, said, strict=True):
        part, schema = tested.part, tested.schema
        place = part.rows[row]
        (decoded,) = plan.reader(schema, part.files)(np.array([place]))
        name = Path(part.files.paths[place]).name
        caption = f"{true}, taken for {predicted}: {name}"
        pictures.append(picture(plan, schema, decoded, caption, caption))
    return [Gallery("With the right answer, the prediction and the file", tuple(pictures), _WIDTH)]


# ---- the network ---------------------------------------------------------------------------------


def inside(plan: Any, tested: Tested) -> list[Section]:
    """The filters of the first convolution, and where the network looks."""
    found = [
        section("filters", "What it looks for", *_filters(tested.learner.network)),
        section("saliency", "Where it looks", *_saliency(plan, tested)),
    ]
    return [each for each in found if each is not None]


def _filters(network: Any) -> list[Block]:
    first = next((m for _, m in network.named_modules() if isinstance(m, Conv2d)), None)
    if first is None:
        return []
    weights = first.weight.numpy()  # (height, width, channels, filters)
    largest = np.abs(weights).max() or 1.0
    pictures = []
    for i in range(min(weights.shape[-1], _FILTERS)):
        own = weights[..., i]
        pixels = 127.5 * (1 + own / largest)
        shown = pixels if own.shape[-1] == 3 else pixels.mean(axis=-1)
        pictures.append(Picture(png_address(shown), "", f"filter {i + 1}"))
    more = weights.shape[-1] - len(pictures)
    rest = f" {more:,} more are not shown." if more > 0 else ""
    size = "×".join(map(str, weights.shape[:2]))
    said = (
        f"The filters of the first convolution, of {size} weights: grey is 0, what is lighter "
        f"counts for, what is darker against the feature.{rest}"
    )
    return [Text((said,), quiet=True), Gallery("Filters of the first layer", tuple(pictures), 44)]


def _saliency(plan: Any, tested: Tested) -> list[Block]:
    """Some files, and beside each how much each place of it changes the answer."""
    part, schema = tested.part, tested.schema
    answers: Answers = plan.answers(schema, part, tested.predicted)[0]
    rows = _picked(answers)
    decoded = plan.reader(schema, part.files)(part.rows[rows]).astype(np.float32)
    scores = [int(answers.predicted[row].argmax()) if answers.classes else 0 for row in rows]
    maps = smooth_gradients(tested.learner.network, decoded, scores, plan.options.seed)
    pictures = []
    for row, one, strength in zip(rows, decoded, maps, strict=True):
        said = answers.classes[int(answers.said[row])] if answers.classes else (
            f"{float(answers.predicted[row]):.4g}")  # fmt: skip
        name = Path(part.files.paths[part.rows[row]]).name
        flat = plan.medium.shown_importance(schema, strength)
        map_ = coloured(shrunk(flat, _SIDE), low=0.0, high=float(np.quantile(flat, 0.99)) or None)
        both = _beside(shrunk(plan.medium.shown(schema, one), _SIDE), map_)
        pictures.append(Picture(png_address(both), f"{name}: {said}",
                                f"{name}, predicted as {said}, and its saliency"))  # fmt: skip
    note = (
        "Beside each file, or below it, what changes the answer: the lighter a place, the more the "
        "score of the predicted class changes with it (the mean of |gradient| over "
        f"{_COPIES} noisy copies)."
    )
    return [Text((note,), quiet=True), Gallery("Saliency", tuple(pictures), 2 * _WIDTH)]


def _beside(picture: Array, other: Array) -> Array:
    """Two pictures as one: side by side if they are of one height, or one below the other."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        picture = np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    if picture.shape[0] == other.shape[0]:
        return np.concatenate([picture, np.full_like(other[:, :2], 128), other], axis=1)
    columns = np.arange(picture.shape[1]) * other.shape[1] // picture.shape[1]
    return np.concatenate([picture, np.full_like(picture[:2], 128), other[:, columns]], axis=0)


def _picked(answers: Answers) -> Array:
    """The worst ones, and others at even distances."""
    worst = answers.worst(_SALIENT // 2)
    others = np.setdiff1d(np.arange(len(answers.target)), worst)
    wanted = _SALIENT - len(worst)
    some = others[np.unique(np.linspace(0, len(others) - 1, wanted).astype(int))] if len(
        others) else others  # fmt: skip
    return np.concatenate([some, worst]).astype(int)[:_SALIENT]


def smooth_gradients(network: Any, inputs: Array, scores: Sequence[int], seed: int) -> Array:
    """How much each number of the inputs changes a score, averaged over noisy copies.

    Args:
        network: takes (rows, …), gives (rows, outputs).
        inputs: (rows, …) float32.
        scores: the output that is asked for, of each row.
        seed: of the noise.

    Returns:
        (rows, …) the mean of |∂ output / ∂ input|.
    """
    draw = np.random.default_rng(seed)
    spread = _NOISE * float(np.ptp(inputs))
    chosen = np.eye(int(max(scores)) + 1, dtype=np.float32)[list(scores)]

    def score(x: Tensor) -> Tensor:
        outputs = network(x)
        if outputs.ndim == 3:  # of several networks
            outputs = ops.mean(outputs, axis=0)
        return ops.sum(outputs[:, : chosen.shape[1]] * chosen)

    total = np.zeros(inputs.shape)
    for _ in range(_COPIES):
        noisy = inputs + np.asarray(draw.normal(0, spread, inputs.shape), np.float32)
        total += np.abs(grad(score)(noisy).numpy())
    return np.asarray(total / _COPIES)

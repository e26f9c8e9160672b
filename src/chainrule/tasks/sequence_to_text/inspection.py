"""What a report shows of a network that writes: texts beside what is right, and where it looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...drawing.blocks import Block, Section, Table, Text, section, table
from ...drawing.chart import Axis, Cells, Chart, numbers
from ...engine.tensor import as_tensor
from ...metrics import edit_distance
from ...nn import MultiHeadAttention
from ...nn.hooks import observe
from ...utils.typing import Array
from ..evaluation_charts import histogram
from ..examination import WORST
from ..tested import Tested
from .ctc_output import CtcOutput
from .pairs import Pairs
from .scoring import text_errors
from .sources import TextSource
from .vocabulary import encode_text

#: So many texts are shown as they come, so many alignments, so many confusions.
_SHOWN, _ALIGNED, _CONFUSED = 20, 3, 15
#: Alignments are shown of so many tokens.
_TOKENS = 32
_LETTERS = 300
#: And of so many moments of a sound.
_TIMES = 60


def profile(schema: Any, counts: str, train: Pairs) -> list[Section]:
    """How long sources and targets are, and the first pairs."""
    source, train = schema.source, train.some()
    lengths = source.lengths(source.prepared(train.sources)).astype(float)
    targets = np.array([len(encode_text(schema.tokenizer, text)) for text in train.target], float)
    rows = [
        (_short(source.shown(item)), _short(text))
        for item, text in zip(train.sources[:5], train.target, strict=False)
    ]
    found = section(
        "data", "The data", Text((counts,)), table(("", ""), schema.described()),
        histogram("length of a source", "How long the sources are, in steps", lengths, "pairs"),
        histogram("length of a target", "How long the targets are, in tokens", targets, "pairs"),
        table(("source", "target"), rows, caption="The first pairs"),
        Text(tuple(schema.notes)) if schema.notes else None,
    )  # fmt: skip
    return [] if found is None else [found]


def inside(tested: Tested) -> list[Section]:
    """Texts beside what is right, the worst, what is confused, and where the network looked."""
    schema, part, written = tested.schema, tested.part, tested.predicted
    errors = text_errors(schema.metrics[0], part.references, written)
    rows = np.unique(np.linspace(0, len(written) - 1, min(_SHOWN, len(written))).astype(int))
    order = np.argsort(-errors, kind="stable")[:WORST]
    worst = order[errors[order] > 0]
    found = [
        section("written", "What it writes", _texts(schema, part, written, rows,
                "Texts of the test set, in equal distances")),
        section("worst", "The worst errors",
                Text(("The first to look at: is the target right?",), quiet=True),
                _texts(schema, part, written, worst, "Texts with the largest errors"))
        if len(worst) else None,
        section("confusions", "What is confused", confusions(part, written)),
        section("alignment", "Where it looked", *_alignments(tested, rows)),
    ]  # fmt: skip
    return [each for each in found if each is not None]


def _texts(schema: Any, part: Pairs, written: Sequence[str], rows: Array, caption: str) -> Table:
    first, right = part.first, part.references
    return Table(
        ("source", "right", "written"),
        tuple(
            (_short(schema.source.shown(part.sources[first[row]])), _short(" / ".join(right[row])),
             _short(written[row]))
            for row in rows
        ),
        caption,
    )  # fmt: skip


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


# ---- confusions ----------------------------------------------------------------------------------


def confusions(part: Pairs, written: Sequence[str]) -> Table | None:
    """Which unit was written in place of which, the most frequent first: words, or characters.

    None where hardly anything is confused in the same way twice.
    """
    references = part.references
    spaced = sum(" " in right[0] for right in references) * 2 > len(references)
    counts: Counter[tuple[str, str]] = Counter()
    for right, said in zip(references, written, strict=True):
        units = [text.split() if spaced else list(text) for text in (*right, said)]
        best = min(units[:-1], key=lambda one: edit_distance(one, units[-1]))
        counts.update(edits(best, units[-1]))
    common = [(pair, count) for pair, count in counts.most_common(_CONFUSED) if count > 1]
    rows = [(a or "nothing", b or "nothing", f"{count:,}") for (a, b), count in common]
    unit = "words or symbols" if spaced else "characters"
    return table(("right", "written", "#times"), rows,
                 caption=f"The most frequent errors of single {unit}")  # fmt: skip


def edits(right: Sequence[str], said: Sequence[str]) -> list[tuple[str, str]]:
    """The fewest edits from one to the other: (right, written), empty where there is none.

    Example:
        >>> edits("kitten", "sitting")
        [('k', 's'), ('e', 'i'), ('', 'g')]
    """
    n, m = len(right), len(said)
    cost = np.zeros((n + 1, m + 1), np.int64)
    cost[:, 0], cost[0] = np.arange(n + 1), np.arange(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            change = cost[i - 1, j - 1] + (right[i - 1] != said[j - 1])
            cost[i, j] = min(change, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    found, i, j = [], n, m
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (right[i - 1] != said[j - 1]):
            i, j = i - 1, j - 1
            if right[i] != said[j]:
                found.append((right[i], said[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            found.append((right[i], ""))
        else:
            j -= 1
            found.append(("", said[j]))
    return found[::-1]


# ---- alignment -----------------------------------------------------------------------------------


def _alignments(tested: Tested, rows: Array) -> list[Block]:
    schema, part = tested.schema, tested.part
    charts: list[Block] = []
    first = part.first
    if isinstance(schema.output, CtcOutput):
        for row in rows[:: max(len(rows) // _ALIGNED, 1)][:_ALIGNED]:
            item = part.sources[first[row]]
            if chart := _heard(schema, tested.learner.network, item, tested.predicted[row], row):
                charts.append(chart)
        return charts
    if not isinstance(schema.source, TextSource):
        return []
    for row in rows[:: max(len(rows) // _ALIGNED, 1)][:_ALIGNED]:
        item = part.sources[first[row]]
        found = alignment(schema, tested.learner.network, item, tested.predicted[row])
        if found is None:
            continue
        weights, source, target, which = found
        charts.append(
            Chart(
                f"alignment_{row}", f"“{_short(tested.predicted[row])}”",
                Axis("source", categories=source), Axis("written", categories=target),
                (Cells("attention", tuple(numbers(line) for line in weights), low=0.0),),
                "Each row is a token that was written; the fuller the colour, the more the network "
                f"looked at the token of the column{which}.",
            )
        )  # fmt: skip
    return charts


def _heard(schema: Any, network: Any, item: Any, text: str, row: int) -> Chart | None:
    """How probable each token of a text was at each time of a sound; None of a text without any."""
    tokens = list(dict.fromkeys(schema.tokenizer.encode(text).tolist()))[:_TOKENS]
    if not tokens:
        return None
    source = schema.source
    length = min(int(source.lengths(source.prepared([item]))[0]), source.longest)
    batch = source.batch(source.prepared([item]), length)
    probable = np.exp(schema.output.scorer(network, "numpy")(batch)[0][: batch["steps"][0], tokens])
    parts = np.array_split(probable, min(len(probable), _TIMES))
    columns = np.array([each.max(axis=0) for each in parts])
    seconds = [f"{item.seconds * place / len(parts):.1f} s" for place in range(len(parts))]
    return Chart(
        f"alignment_{row}", f"“{_short(text)}”",
        Axis("time", categories=tuple(seconds)),
        Axis("token", categories=tuple(_visible(None, token, schema) for token in tokens)),
        (Cells("probability", tuple(numbers(line) for line in columns.T), low=0.0),),
        "The fuller the colour, the more probable the token was at that time; in between it was "
        "the blank of CTC.",
    )  # fmt: skip


def alignment(
    schema: Any, network: Any, item: Any, text: str
) -> tuple[Array, tuple[str, ...], tuple[str, ...], str] | None:
    """How much each token of a text looked at each token of its source.

    Returns:
        (written, source) weights, the tokens of both, and of which part of the network they are;
        None for networks without attention, and for texts without tokens.
    """
    source, tokens = schema.source, encode_text(schema.tokenizer, text)[: _TOKENS - 1]
    prepared = source.prepared([item])
    length = min(len(prepared[0]), source.longest)
    inputs, _ = schema.output.batch(source.batch(prepared, length), [tokens], len(tokens) + 1)
    weights, which = _weights(network, {name: as_tensor(a) for name, a in inputs.items()})
    if weights is None or not len(tokens):
        return None
    seen = [_visible(source, int(token)) for token in prepared[0].numbers[:length]]
    said = [_visible(source if schema.shape.shared else None, int(t), schema) for t in tokens]
    return weights[:, :_TOKENS], tuple(seen[:_TOKENS]), (*said, "end"), which


def _weights(network: Any, inputs: Any) -> tuple[Array | None, str]:
    """The attention of one row: of a network that tells it, or of the head that looks sharpest."""
    if hasattr(network, "alignment"):
        return network.alignment(inputs).numpy()[0], ""
    seen: list[tuple[Any, Any, Any]] = []

    def watch(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
        if isinstance(module, MultiHeadAttention) and len(given) > 1:
            seen.append((module, given[0], given[1]))

    with observe(watch):
        network(inputs)
    if not seen:
        return None, ""
    heads = [module.weights(x, memory).numpy()[0] for module, x, memory in seen]
    # The end of the source is where a head looks that has nothing to look for.
    sharp = np.array([[head[:, :-1].max(axis=1).mean() if head.shape[1] > 1 else 0.0
                       for head in layer] for layer in heads])  # fmt: skip
    layer, head = np.unravel_index(int(sharp.argmax()), sharp.shape)
    return heads[layer][head], (
        f"; of {sharp.size} heads this is the sharpest, head {head + 1} of layer {layer + 1}"
    )


def _visible(source: Any, token: int, schema: Any = None) -> str:
    tokenizer = source.tokenizer if source is not None else schema.tokenizer
    if token >= len(tokenizer):
        return "end"
    return tokenizer.piece(token).replace(" ", "␣").replace("\n", "⏎") or "∅"

"""What networks of texts look at: words that matter, attention, how surprising each token is.

    weight of a word = p(class | text) - p(class | text without the word)

(Leave-one-out: Li et al., "Understanding neural networks through representation erasure", 2016.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...drawing.blocks import Block, Passage, Section, Table, Text, section, table
from ...drawing.chart import Axis, Bars, Cells, Chart, numbers
from ...engine.tensor import Tensor, as_tensor
from ...nn import MultiHeadAttention
from ...nn.hooks import observe
from ...utils.typing import Array
from ..evaluation_charts import frequencies, histogram
from ..tested import Answers, Tested
from .generate import generate
from .language_network import surprises
from .tokenizers import SPECIAL

#: So many letters of a text are shown in a table, and so many words in a picture.
_LETTERS, _WORDS = 400, 60
#: So many texts are looked into.
_TEXTS = 5
#: Words that tell a class, of so many classes.
_TELLING, _CLASSES = 12, 6
#: Attention is shown of so many tokens.
_ATTENDED = 28
#: Of a language model: so many tokens are shown, and so many characters are written.
_PASSAGE, _WRITTEN = 400, 300
_PIECES = re.compile(r"\w+|[^\w\s]|\s+")


# ---- texts with classes --------------------------------------------------------------------------


def profile(plan: Any, schema: Any, split: Any) -> list[Section]:
    """How many texts there are of each class, and how long they are."""
    train = split.train
    counts = np.bincount(train.target, minlength=len(schema.classes))
    order = np.argsort(-counts, kind="stable")
    names = [schema.classes[i] for i in order]
    lengths = np.array([len(text) for text in train.texts], float)
    blocks: list[Block | None] = [
        Text((split.counts(plan.unit),)),
        frequencies("target", "The classes", names, counts[order].tolist(), "training texts"),
        histogram("length in characters", "How long the texts are", lengths, "training texts"),
        table(("", ""), schema.described()),
        Text(tuple(schema.notes)) if schema.notes else None,
    ]
    found = section("data", "The data", *blocks)
    return [] if found is None else [found]


def texts_as_they_are(
    picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
) -> list[Block]:
    """Texts with the right answer and the prediction."""
    rows = []
    for (tested, row), (true, predicted) in zip(picked, said, strict=True):
        rows.append((true, predicted, _shown(tested.part.texts[row])))
    return [Table(("actual", "predicted", "text"), tuple(rows), "Texts with the largest errors")]


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def inside(plan: Any, tested: Tested) -> list[Section]:
    """Words that tell the classes, words that matter in single texts, and attention."""
    answers: Answers = plan.answers(tested.schema, tested.part, tested.predicted)[0]
    worst = answers.worst(_TEXTS // 2)
    others = np.setdiff1d(np.arange(len(answers.target)), worst)
    wanted = min(_TEXTS - len(worst), len(others))
    some = others[np.linspace(0, len(others) - 1, wanted).astype(int)] if wanted else others[:0]
    rows = [int(row) for row in (*some, *worst)]
    passages = [_passage(plan, tested, answers, row) for row in rows]
    note = Text(
        ("How much the probability of the predicted class falls when a word is left out: words on "
         "a full ground speak for it, underlined with dashes against it.",),
        quiet=True,
    )  # fmt: skip
    found = [
        section("telling", "Words that tell the classes", *_telling(tested)),
        section("words", "Which words matter", note, *passages) if passages else None,
        section("attention", "What it attends to", *_attention_of_text(tested, rows[:1])),
    ]
    return [each for each in found if each is not None]


def _passage(plan: Any, tested: Tested, answers: Answers, row: int) -> Passage:
    """A text, each word with what is lost without it."""
    part, schema = tested.part, tested.schema
    pieces = _PIECES.findall(part.texts[row]) or [part.texts[row]]
    words = [i for i, piece in enumerate(pieces) if not piece.isspace()][:_WORDS]
    cut = words[-1] + 1 if words else len(pieces)
    rest = pieces[cut:]
    without = ["".join(pieces[:i] + pieces[i + 1 :]) for i in words]
    size = len(part)  # of the test set: there is a program for it
    texts = [part.texts[row], *without]
    parts = [_filled(part, texts[i : i + size], size) for i in range(0, len(texts), size)]
    told = [plan.predict(schema, tested.learner, tested.trainer, each) for each in parts]
    found = np.concatenate(told)[: len(texts)]
    said = int(answers.said[row])
    drops = found[0, said] - found[1:, said]
    largest = max(float(np.abs(drops).max(initial=0.0)), 0.02)
    weights: list[float | None] = [None] * cut
    for i, drop in zip(words, drops, strict=True):
        weights[i] = float(drop / largest) if abs(drop) > 0.05 * largest else None
    true = schema.classes[int(answers.target[row])]
    title = f"{schema.classes[said]} ({found[0, said]:.0%})"
    if said != answers.target[row]:
        title += f", but it is {true}"
    if rest:
        return Passage(title, (*pieces[:cut], " …"), (*weights, None))
    return Passage(title, tuple(pieces), tuple(weights))


def _filled(part: Any, texts: Sequence[str], size: int) -> Any:
    """A part of so many texts, the last ones repeated."""
    rows = np.zeros(size, np.int64)
    filled = part.take(rows)
    filled.texts[:] = [*texts, *[""] * (size - len(texts))]
    return filled


def _telling(tested: Tested) -> list[Block]:
    """Of a linear model: the parts of texts that add most to the score of each class."""
    schema = tested.schema
    if schema.shape.model != "linear":
        return []
    found = contributions(tested.learner.network, schema.words, tested.part.texts)
    names = ["", *[""] * (SPECIAL - 1), *(gram.replace("\t", "…") for gram in schema.words.grams)]
    charts: list[Block] = []
    for index, label in list(enumerate(schema.classes))[:_CLASSES]:
        order = np.argsort(-found[:, index], kind="stable")[:_TELLING]
        order = order[found[order, index] > 0]
        charts.append(
            Chart(f"telling_{label}", label, Axis("mean contribution"),
                  Axis(categories=tuple(names[i] for i in order)),
                  (Bars("mean contribution", numbers(found[order, index])),))
        )  # fmt: skip
    more = len(schema.classes) - len(charts)
    rest = f" {more:,} more classes are not shown." if more > 0 else ""
    said = (
        "The words, pairs and pieces of words (…) that add most to the score of each class, above "
        f"the mean of the classes, on average over the test texts.{rest}"
    )
    return [Text((said,), quiet=True), *charts]


def contributions(network: Any, words: Any, texts: Sequence[str]) -> Array:
    """(parts, classes) what each part adds to the scores of a `LinearClassifier`, on average.

    x·W of each part, where x is its TF-IDF in a text, and W without the mean over the classes.
    """
    idf, total = network.idf.numpy(), np.zeros(len(words))
    for text in texts:
        codes, counts = words.counted(text)
        x = (1 + np.log(np.maximum(counts, 1.0))) * idf[codes]
        letters = codes >= words.first_letters if words.letters else np.zeros(len(codes), bool)
        for group in (letters, ~letters):
            np.add.at(total, codes[group], x[group] / max(float(np.linalg.norm(x[group])), 1e-6))
    weights = network.head.weight.numpy()
    weights = weights - weights.mean(axis=1, keepdims=True)
    return np.asarray(total[:, None] / max(len(texts), 1) * weights)


# ---- attention -----------------------------------------------------------------------------------


def attention_weights(network: Any, inputs: Any, causal: bool) -> list[Array]:
    """What each position attends to, for each layer with attention: (heads, n, n) of the first row.

    Args:
        network: is run once, without dropout.
        inputs: of one row, without padding.
        causal: whether positions see only those before them.
    """
    seen: list[tuple[MultiHeadAttention, Tensor]] = []

    def watch(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
        if isinstance(module, MultiHeadAttention):
            seen.append((module, given[0]))

    with observe(watch):
        network(inputs)
    return [module.weights(x, causal=causal).numpy()[0] for module, x in seen]


def attention_charts(weights: Sequence[Array], tokens: Sequence[str]) -> list[Block]:
    """The mean over the heads, of the first and of the last layer."""
    names = tuple(f"{token}" for token in tokens)
    places = [0] if len(weights) == 1 else [0, len(weights) - 1]
    charts: list[Block] = []
    for place in places:
        mean = weights[place].mean(axis=0)
        charts.append(
            Chart(f"attention_{place + 1}", f"Layer {place + 1} of {len(weights)}",
                  Axis("attends to", categories=names), Axis("token", categories=names),
                  (Cells("attention, mean over the heads", tuple(numbers(row) for row in mean),
                         low=0.0),),
                  "Each row is a token; the fuller the colour, the more it attends to the token of "
                  "the column.")
        )  # fmt: skip
    return charts


def _attention_of_text(tested: Tested, rows: Sequence[int]) -> list[Block]:
    schema, network = tested.schema, tested.learner.network
    if schema.shape.model != "transformer" or not rows:
        return []
    codes = schema.words.encode(tested.part.texts[rows[0]])[:_ATTENDED]
    if len(codes) < 2:
        return []
    inputs = {"numbers": as_tensor(codes[None]), "lengths": as_tensor(np.array([len(codes)]))}
    weights = attention_weights(network, inputs, causal=False)
    tokens = [_visible(schema.words.piece(code)) for code in codes]
    said = f"In the text: {_shown(tested.part.texts[rows[0]])}"
    return [Text((said,), quiet=True), *attention_charts(weights, tokens)] if weights else []


def _visible(token: str) -> str:
    """A token with its spaces and line ends to be seen."""
    return token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"


# ---- language models -----------------------------------------------------------------------------


def language_profile(schema: Any, counts: str, text: str) -> list[Section]:
    """The most frequent tokens of the training text, and how it begins."""
    numbers_ = schema.tokenizer.encode(text[:200_000])
    found = np.bincount(numbers_, minlength=len(schema.tokenizer))
    order = np.argsort(-found, kind="stable")[:20]
    names = [_visible(schema.tokenizer.piece(int(i))) for i in order]
    blocks: list[Block | None] = [
        Text((counts,)),
        frequencies("tokens", "The most frequent tokens", names, found[order].tolist(), "times"),
        table(("", ""), schema.described()),
        Passage("How it begins", (text[:_WRITTEN],), (None,)),
    ]
    made = section("data", "The data", *blocks)
    return [] if made is None else [made]


def language_inside(plan: Any, tested: Tested) -> list[Section]:
    """How surprising each token of a passage is, what the model writes, and its attention."""
    schema, network = tested.schema, tested.learner.network
    tokens = tested.part.tokens(schema.tokenizer)[: _PASSAGE + 1]
    found = [
        section("surprise", "How surprising the test text is", *_surprise(plan, schema, network,
                                                                          tokens)),
        section("sample", "What it writes", *_sample(plan, schema, network)),
        section("attention", "What it attends to", *_attention_of_language(schema, network,
                                                                           tokens)),
    ]  # fmt: skip
    return [each for each in found if each is not None]


def _surprise(plan: Any, schema: Any, network: Any, tokens: Array) -> list[Block]:
    if len(tokens) < 2:
        return []
    bits = surprises(network, tokens, min(schema.shape.context, len(tokens) - 1), plan.backend)
    bits = bits / np.log(2)
    pieces = [schema.tokenizer.piece(int(token)) for token in tokens]
    most = max(float(np.quantile(bits, 0.98)), 1.0)
    weights = [None, *(float(-min(b / most, 1.0)) if b > 1 else None for b in bits)]
    note = (
        f"The fuller the ground, the less the model expected the token: {most:.1f} bits and more "
        f"for the fullest, less than 1 bit without any. On average {bits.mean():.2f} bits."
    )
    title = "The beginning of the test text"
    return [
        Passage(title, tuple(pieces), tuple(weights), note),
        histogram("bits of a token", "How surprising tokens are", bits, "tokens"),
    ]


def _sample(plan: Any, schema: Any, network: Any) -> list[Block]:
    """A text that the model makes up, from the seed."""
    written = "".join(
        generate(network, schema.tokenizer, schema.shape.context, "", _WRITTEN, temperature=0.8,
                 top_k=None, seed=plan.options.seed, say=lambda sentence: None)
    )  # fmt: skip
    return [Passage("Sampled with temperature 0.8, from nothing", (written,), (None,))]


def _attention_of_language(schema: Any, network: Any, tokens: Array) -> list[Block]:
    if schema.shape.model != "gpt" or len(tokens) < 2:
        return []
    seen = tokens[: min(_ATTENDED, schema.shape.context)]
    weights = attention_weights(network, as_tensor(seen[None]), causal=True)
    names = [_visible(schema.tokenizer.piece(int(token))) for token in seen]
    return attention_charts(weights, names)

"""Networks that tell the class of a text, and the naive Bayes rule that they must beat."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import models, nn
from ...engine.ops import (
    arange,
    concatenate,
    embedding_bag,
    expand_dims,
    log,
    maximum,
    sqrt,
    sum,
    take,
    where,
)
from ...engine.ops import max as largest
from ...engine.tensor import Buffer, Tensor
from ...nn.initialization import parameter
from ...utils.typing import Array
from .ngrams import Grams, padded
from .tokenizers import PADDING, UNKNOWN, Tokenizer
from .windows import Windows, cut


class BagClassifier(nn.Module):
    """The sum of learned vectors of the parts that a text has, and a linear map of it.

    h = Σₖ v(partₖ) / √n for the n parts, logits = W·h + b: the model of fastText (Joulin et al.,
    "Bag of tricks for efficient text classification", 2017), with √n instead of n, so that the
    many parts of a long text are more certain than the few of a short one.

    Args:
        vocabulary: how many parts there are.
        width: features of a part.
        classes: how many logits.
        dropout: the fraction of the parts of a text that are left out, in training.
    """

    def __init__(self, vocabulary: int, width: int, classes: int, dropout: float) -> None:
        small = functools.partial(nn.init.normal, std=0.1)
        self.parts = nn.Embedding(vocabulary, width, init=small)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes, init="xavier_uniform")

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """{"numbers": (rows, most)}, padded with 0 → logits (rows, classes)."""
        numbers = inputs["numbers"]
        present = (numbers != PADDING).astype("float32")
        count = maximum(sum(present, 1, keepdims=True), 1.0)
        weights = self.dropout(present / sqrt(count))
        result: Tensor = self.head(embedding_bag(self.parts.weight, numbers, weights))
        return result


class LinearClassifier(nn.Module):
    """A linear map of the parts that a text has, weighted by how telling they are (TF-IDF).

    x = (1 + ln tf)·idf for each part, of norm 1 over all words of a text and over all pieces of
    words, logits = xW + b: logistic regression, if it is trained with a penalty of ‖W‖².

    Args:
        vocabulary: how many parts there are.
        classes: how many logits.
        letters: the number of the first piece of a word; 0 if there are none.
    """

    def __init__(self, vocabulary: int, classes: int, letters: int) -> None:
        self.idf = Buffer(np.ones(vocabulary), "float32")
        self.head = _Weights(vocabulary, classes)
        self._letters = letters or vocabulary

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """{"numbers": (rows, most), padded with 0, "counts": (rows, most)} → (rows, classes)."""
        numbers, counts = inputs["numbers"], inputs["counts"]
        present = (numbers != PADDING).astype("float32")
        x = present * (1 + log(maximum(counts, 1.0))) * take(self.idf, numbers)
        letters = (numbers >= self._letters).astype("float32")
        norms = [sqrt(maximum(sum(x * x * part, 1, keepdims=True), 1e-12))
                 for part in (1 - letters, letters)]  # fmt: skip
        result: Tensor = self.head(numbers, x / where(letters > 0, norms[1], norms[0]))
        return result


class _Weights(nn.Module):
    """Σₖ xₖ·W[partₖ] + b; all weights are 0 at first."""

    def __init__(self, vocabulary: int, classes: int) -> None:
        self.weight = parameter((vocabulary, classes), "zeros")
        self.bias = parameter((classes,), "zeros")

    def forward(self, numbers: Tensor, x: Tensor) -> Tensor:
        return embedding_bag(self.weight, numbers, x) + self.bias


class SequenceClassifier(nn.Module):
    """A network that reads the words in their order.

    Args:
        network: takes (rows, time) and ``lengths``, gives logits.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """{"numbers": (rows, time), "lengths": (rows,)} → logits (rows, classes)."""
        result: Tensor = self.network(inputs["numbers"], lengths=inputs["lengths"])
        return result


class _Convolutions(nn.Module):
    """Embedding, temporal convolutions, mean and largest over the words, linear map."""

    def __init__(
        self, vocabulary: int, width: int, layers: int, classes: int, dropout: float
    ) -> None:
        self.entrance = nn.Embedding(vocabulary, width)
        self.core = models.tcn(
            width, width, widths=[width] * layers, dropout=dropout, every_step=True
        )
        self.head = nn.Linear(2 * width, classes, init="xavier_uniform")

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y = self.core(self.entrance(x))
        lengths = maximum(lengths, 1)
        present = expand_dims(arange(y.shape[1]) < expand_dims(lengths, 1), 2)
        total = sum(where(present, y, 0.0), 1) / expand_dims(lengths, 1).astype(y.dtype)
        best = largest(where(present, y, -1e9), 1)
        result: Tensor = self.head(concatenate([total, best], 1))
        return result


@dataclass(frozen=True)
class ClassifierShape:
    """Sizes of a classifier.

    Attributes:
        model: linear, bag, lstm, transformer or tcn.
        vocabulary: how many numbers there are.
        context: how many numbers of a text are seen at once.
        classes: how many logits.
        width: features of a number, and of the layers.
        layers: how many there are; a bag has none.
        dropout: fraction of the parts of a text, or of the hidden units, that is left out.
        letters: the number of the first piece of a word; 0 if there are none.
    """

    model: str
    vocabulary: int
    context: int
    classes: int
    width: int
    layers: int
    dropout: float
    letters: int = 0

    def build(self) -> nn.Module:
        """A new network."""
        if self.model == "linear":
            return LinearClassifier(self.vocabulary, self.classes, self.letters)
        if self.model == "bag":
            return BagClassifier(self.vocabulary, self.width, self.classes, self.dropout)
        if self.model == "tcn":
            return SequenceClassifier(
                _Convolutions(self.vocabulary, self.width, self.layers, self.classes, self.dropout)
            )
        options: dict[str, Any] = {"layers": self.layers, "dropout": self.dropout}
        if self.model == "lstm":
            network: nn.Module = models.lstm(
                self.classes, vocabulary=self.vocabulary, embedding=self.width, hidden=self.width,
                bidirectional=True, **options,
            )  # fmt: skip
        else:
            network = models.transformer_classifier(
                self.classes, vocabulary=self.vocabulary, width=self.width,
                heads=next(n for n in (4, 3, 2, 1) if self.width % n == 0), **options,
            )  # fmt: skip
        return SequenceClassifier(network)


def encode_texts(texts: Sequence[str], words: Grams | Tokenizer, shape: ClassifierShape) -> Windows:
    """What a network takes: texts that are longer than it sees at once are cut into parts.

    A text without any known part has no numbers in a bag, and is one unknown word in a sequence.
    """
    counts: list[Array] = []
    if isinstance(words, Grams):
        counted = [words.counted(text) for text in texts]
        rows, counts = [numbers for numbers, _ in counted], [tf for _, tf in counted]
    else:
        rows = [words.encode(text) for text in texts]
        rows = [row if len(row) else np.array([UNKNOWN]) for row in rows]
    places = cut([len(row) for row in rows], shape.context)
    parts = [rows[text][start:stop] for text, start, stop in places]
    owner = np.array([text for text, _, _ in places], np.int64)
    lengths = np.array([len(part) for part in parts], np.int64)
    inputs = {"numbers": padded(parts, shape.context)}
    if not isinstance(words, Grams):
        inputs["lengths"] = lengths
    elif shape.model == "linear":
        tf = [counts[text][start:stop] for text, start, stop in places]
        inputs["counts"] = padded(tf, shape.context, np.float32)
    return Windows(inputs, owner, _shares(owner, lengths, isinstance(words, Grams)))


def _shares(owner: Array, lengths: Array, of_bags: bool) -> Array:
    """By their lengths; by the roots in bags, whose sums are divided by the root."""
    size = np.sqrt(lengths) if of_bags else lengths.astype(float)
    size = np.maximum(size, 1e-9)
    return np.asarray(size / np.bincount(owner, size)[owner]) if len(owner) else size


def naive_bayes(train: Sequence[Array], target: Array, test: Sequence[Array], size: int) -> Array:
    """Probabilities of the classes by the multinomial naive Bayes rule, (rows, classes).

    ln p(c | text) = ln(n_c / n) + Σₖ ln((n(k, c) + 1) / (n(c) + V)) + constant, for the words k of
    the text (Manning et al., "Introduction to information retrieval", 2008, 13.2).

    Args:
        train: numbers of the words of each text.
        target: its class.
        test: the same of texts to be told.
        size: V, how many words there are.
    """
    classes = int(target.max()) + 1
    counts = np.ones((classes, size))
    for row, c in zip(train, target, strict=True):
        np.add.at(counts[c], row, 1)
    weights = np.log(counts / counts.sum(1, keepdims=True))
    prior = np.log(np.bincount(target, minlength=classes) / len(target))
    z = np.array([prior + weights[:, row].sum(1) for row in test]).reshape(len(test), classes)
    p = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))

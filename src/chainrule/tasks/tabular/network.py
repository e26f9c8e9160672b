"""The network for tables: features, several small networks side by side, one averaged answer."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import Schema
from ...engine import ops
from ...engine.ops import (
    broadcast_to,
    concatenate,
    cumsum,
    embedding_bag,
    matmul,
    maximum,
    reshape,
    transpose,
)
from ...engine.ops.random import normal
from ...engine.tensor import Tensor
from ...nn import BatchNorm, Dropout, LayerNorm, Module
from ...nn.initialization import parameter
from .features import (
    PICTURE_WIDTH,
    CategoryVectors,
    Label,
    PictureVectors,
    TableFeatures,
    blank_rows,
    embedding_width,
    side_by_side,
)
from .heads import Head, parts_of, predictions_side_by_side
from .linear_path import LinearPath

#: The fraction of the words of a text that a training step leaves out.
_WORD_DROPOUT = 0.3
#: A small gain of the last layer: the first predictions are near the mean.
_HEAD = 0.5


def _normal(deviation: float, key: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    return normal(key, shape, dtype) * deviation


def _initial(gain: float, fan_in: int) -> Any:
    """Normal numbers with standard deviation gain / √fan_in (He et al., 2015, with gain √2)."""
    return functools.partial(_normal, gain / math.sqrt(max(fan_in, 1)))


class MemberLinear(Module):
    """One linear layer for each member: (members, rows, in) → (members, rows, out).

    Args:
        members: how many networks there are side by side.
        inputs: features in.
        outputs: features out.
        gain: see `_initial`.
        fan_in: features in all, if this layer gets a part of them.
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, gain: float, fan_in: int | None = None
    ) -> None:
        self.weight = parameter((members, inputs, outputs), _initial(gain, fan_in or inputs))
        self.bias = parameter((members, 1, outputs), "zeros")

    def forward(self, x: Tensor) -> Tensor:
        return matmul(x, self.weight) + self.bias

    def extra_repr(self) -> str:
        return "members={}, {}, {}".format(*self.weight.shape)


class ShortLinear(Module):
    """The part of the first layer that sees pieces and categories, by their numbers.

    A piecewise encoding is 1, …, 1, e, 0, …, 0, so that its product with the weights is

        Σ_{s<t} w_s + e·w_t = (1 - e)·C_{t-1} + e·C_t - C_{first-1},    C_t = Σ_{s≤t} w_s

    with C counted through all columns: two rows of C instead of as many products as there are
    pieces. That of a one-hot encoding is one row of the weights.

    Args:
        members: how many networks there are side by side.
        features: what the numbers refer to; see `TableFeatures`.
        outputs: features out.
        gain: see `_initial`.
        fan_in: features in all.
    """

    def __init__(
        self, members: int, features: TableFeatures, outputs: int, gain: float, fan_in: int
    ) -> None:
        assert features.numeric is not None
        draw = _initial(gain, fan_in)
        self._starts = [start for start in features.numeric.starts if start]
        self.pieces_weight = parameter((members, features.numeric.pieces, outputs), draw)
        self.category_weight = (
            parameter((members, features.categories, outputs), draw)
            if features.categories
            else None
        )

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        """Numbers of pieces and categories, (rows, …) each → (members, rows, outputs)."""
        members, _, outputs = self.pieces_weight.shape
        totals = _side_by_side(cumsum(self.pieces_weight, 1))
        piece, fraction = given["pieces"], given["shares"]
        rows = piece.shape[0]
        below = (1 - fraction) * (piece > 0).astype(fraction.dtype)
        places = concatenate([maximum(piece - 1, 0), piece], axis=1)
        y = embedding_bag(totals, places, concatenate([below, fraction], axis=1))
        if self._starts:
            before = np.array([self._starts]) - 1
            y = y - embedding_bag(totals, before, np.ones(before.shape, np.float32))
        if self.category_weight is not None:
            weight = _side_by_side(self.category_weight)
            y = y + embedding_bag(weight, given["categories"], given["known"])
        return transpose(reshape(y, (rows, members, outputs)), (1, 0, 2))

    def extra_repr(self) -> str:
        members, pieces, outputs = self.pieces_weight.shape
        categories = 0 if self.category_weight is None else self.category_weight.shape[1]
        return f"members={members}, {pieces} pieces, {categories} categories, {outputs}"


def _side_by_side(weight: Tensor) -> Tensor:
    """(members, in, out) → (in, members · out)."""
    members, inputs, outputs = weight.shape
    return reshape(transpose(weight, (1, 0, 2)), (inputs, members * outputs))


class WordLinear(Module):
    """The part of a layer that sees the words of free texts, by their numbers.

    All weights are 0 at first: a word that no training row has says nothing.

    Args:
        members: how many networks there are side by side.
        vocabulary: how many words there are.
        outputs: features out.
    """

    def __init__(self, members: int, vocabulary: int, outputs: int) -> None:
        self.weight = parameter((members, vocabulary, outputs), "zeros")

    def forward(self, words: Tensor, weights: Tensor) -> Tensor:
        """Words (rows, t) and their weights → (members, rows, outputs)."""
        members, _, outputs = self.weight.shape
        y = embedding_bag(_side_by_side(self.weight), words, weights)
        return transpose(reshape(y, (words.shape[0], members, outputs)), (1, 0, 2))

    def extra_repr(self) -> str:
        return "members={}, {} words, {}".format(*self.weight.shape)


class MemberBatchNorm(Module):
    """Batch normalisation over the rows, for each member by itself."""

    def __init__(self, members: int, width: int) -> None:
        self.norm = BatchNorm(members * width)

    def forward(self, x: Tensor) -> Tensor:
        members, rows, width = x.shape
        flat = reshape(transpose(x, (1, 0, 2)), (rows, members * width))
        return transpose(reshape(self.norm(flat), (rows, members, width)), (1, 0, 2))


@dataclass(frozen=True)
class Shape:
    """Sizes of a `TableNetwork`; see there."""

    hidden: tuple[int, ...]
    activation: str
    dropout: float
    input_dropout: float
    norm: str
    members: int
    bins: int
    ranks: bool = False
    linear: bool = False


class TableNetwork(Module):
    """Members that learn the same task from different starts; their answers are averaged.

    Deep ensembles (Lakshminarayanan et al., 2017) in one network: each layer is one batched matrix
    product over all members. It takes what its ``features`` give; as nothing in these is learned,
    they are computed once before a training.

    Args:
        schema: what the columns mean, fitted on the training rows.
        outputs: numbers that each member gives: 1, or the number of classes.
        shape: sizes.
        seed: initial weights.
    """

    def __init__(self, schema: Schema, outputs: int, shape: Shape, seed: int) -> None:
        # Dropout of inputs needs them one by one.
        self.features = TableFeatures(
            schema, shape.bins, short=not shape.input_dropout, ranks=shape.ranks
        )
        learned = self.features.learned
        self.vectors = CategoryVectors(learned, seed) if learned else None
        self.pictures = PictureVectors(self.features.pictures) if self.features.pictures else None
        self.members = shape.members
        self.activation = getattr(ops, shape.activation)
        self.input_dropout = Dropout(shape.input_dropout) if shape.input_dropout else None
        numbers = _feature_count(self.features, schema) + sum(map(embedding_width, learned))
        numbers += PICTURE_WIDTH * self.features.pictures
        width = fan_in = numbers
        gain = math.sqrt(2) if shape.hidden else _HEAD
        self.short: ShortLinear | None = None
        if self.features.short:
            assert self.features.numeric is not None
            fan_in += self.features.numeric.pieces + self.features.categories
            first = shape.hidden[0] if shape.hidden else outputs
            self.short = ShortLinear(shape.members, self.features, first, gain, fan_in)
        self.words: list[WordLinear] = []
        if self.features.has_text:
            # Hidden layers see the words, and the last one does besides, as a linear model would.
            sizes = [*shape.hidden[:1], outputs]
            known = self.features.text.vocabulary
            self.words = [WordLinear(shape.members, known, size) for size in sizes]
            self.word_dropout = Dropout(_WORD_DROPOUT)
        self.layers: list[MemberLinear] = []
        self.norms: list[Module] = []
        self.dropouts: list[Dropout] = []
        for hidden in shape.hidden:
            self.layers.append(MemberLinear(shape.members, width, hidden, gain, fan_in))
            if shape.norm == "batch":
                self.norms.append(MemberBatchNorm(shape.members, hidden))
            elif shape.norm == "layer":
                self.norms.append(LayerNorm(hidden))
            if shape.dropout:
                self.dropouts.append(Dropout(shape.dropout))
            width = fan_in = hidden
        self.head = MemberLinear(shape.members, width, outputs, _HEAD, fan_in)
        self.linear: LinearPath | None = None
        if shape.linear:
            self.linear = LinearPath(shape.members, self.features, outputs)
        self.initialize(seed)

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        """What the ``features`` give → (members, rows, outputs)."""
        x = side_by_side(given, self.vectors, self.pictures)
        x = broadcast_to(x, (self.members, *x.shape))
        if self.input_dropout is not None:
            x = self.input_dropout(x)
        for i, layer in enumerate(self.layers):
            x = self._linear(layer, x, given)
            if self.norms:
                x = self.norms[i](x)
            x = self.activation(x)
            if self.dropouts:
                x = self.dropouts[i](x)
        z = self._linear(self.head, x, given)
        return z if self.linear is None else z + self.linear(given)

    def labels(self) -> dict[str, list[Label]]:
        """For the weights of the first layer, by path, what each row of a member belongs to."""
        found = self.features.labels()
        first = "layers.0.weight" if self.layers else "head.weight"
        paths = {"numbers": first, "pieces": "short.pieces_weight"}
        paths |= {"categories": "short.category_weight"} if found.get("categories") else {}
        labels = {path: found[name] for name, path in paths.items() if name in found}
        return labels | {f"words.{i}.weight": found["words"] for i in range(len(self.words))}

    def _linear(self, layer: MemberLinear, x: Tensor, given: dict[str, Tensor]) -> Tensor:
        y: Tensor = layer(x)
        first = self.layers[0] if self.layers else self.head
        if layer is first and self.short is not None:
            y = y + self.short(given)
        if self.words and layer in (first, self.head):
            part = self.words[-1 if layer is self.head else 0]
            y = y + part(given["words"], self.word_dropout(given["word_weights"]))
        return y


def _feature_count(features: TableFeatures, schema: Schema) -> int:
    """How many numbers the features give for one row."""
    found = features(blank_rows(schema, 1))
    return int(found["numbers"].shape[1]) if "numbers" in found else 0


class TrainedNetwork(Module):
    """Raw encoded rows → what the loss takes: the network with its preprocessing.

    Args:
        network: trained.
        heads: of the targets.
        loss_weights: what the loss of each target counts for, if there are several.
    """

    def __init__(
        self, network: TableNetwork, heads: Sequence[Head], loss_weights: Sequence[float] = ()
    ) -> None:
        self.network = network
        if len(heads) == 1 and heads[0].scale is not None:
            self.scale = heads[0].scale  # its path in model files is older than the heads
        self.heads = list(heads)
        self.loss_weights = tuple(loss_weights)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind → (members, rows, outputs)."""
        z: Tensor = self.network(self.network.features(inputs))
        return z


class TableModel(TrainedNetwork):
    """Raw encoded rows → predictions: numbers in the target's unit, or class probabilities."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encoded columns by kind → (rows,) float64 numbers, or (rows, classes) probabilities.

        With quantiles (rows, 1 + levels); of several targets all of this side by side.
        """
        return self.output(super().forward(inputs))

    def output(self, z: Tensor) -> Tensor:
        """The members' answers (members, rows, outputs) → the average of their predictions."""
        parts = zip(self.heads, parts_of(self.heads, z), strict=True)
        predictions = [head(part) for head, part in parts]
        return predictions[0] if len(predictions) == 1 else predictions_side_by_side(predictions)

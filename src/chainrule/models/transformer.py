"""A transformer that classifies sequences (Vaswani et al., 2017)."""

from __future__ import annotations

from .. import nn
from ..engine.ops import arange, clip, expand_dims, sum, where
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ShapeError
from .sequence import entrance


class TransformerClassifier(nn.Module):
    """Embedding, positions, encoder, mean over the elements, linear map.

    A call takes x and the ``lengths`` of the rows, if they differ: what is behind the end of a
    row is masked.
    """

    def __init__(
        self, entrance: nn.Module, encoder: nn.TransformerEncoder, width: int, classes: int
    ) -> None:
        self.entrance = entrance
        self.positions = nn.SinusoidalPositions(width)
        self.encoder = encoder
        self.head = nn.Linear(width, classes, init="xavier_uniform")

    def forward(self, x: TensorLike, lengths: TensorLike | None = None) -> Tensor:
        y = self.positions(self.entrance(x))
        if not y.shape[1]:
            raise ShapeError("There is no mean over an empty sequence.",
                             expected="at least one element",
                             found=str(as_tensor(x).type))  # fmt: skip
        if lengths is None:
            result: Tensor = self.head(self.encoder(y).mean(1))
            return result
        known = as_tensor(lengths)
        if known.shape != y.shape[:1]:
            raise ShapeError("lengths must be one integer for every row.",
                             expected=f"int64[{y.shape[0]}]", found=str(known.type))  # fmt: skip
        present = arange(y.shape[1]) < expand_dims(known, 1)
        y = self.encoder(y, mask=expand_dims(present, (1, 2)))
        total = sum(where(expand_dims(present, 2), y, 0.0), 1)
        counts = expand_dims(clip(known, 1, y.shape[1]), 1).astype(total.dtype)
        result = self.head(total / counts)
        return result


def transformer_classifier(
    classes: int,
    features: int | None = None,
    vocabulary: int | None = None,
    *,
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.1,
) -> TransformerClassifier:
    """An encoder for sequences of numbers or of tokens that gives logits.

    Args:
        classes: how many logits.
        features: of the elements of a sequence (rows, time, features).
        vocabulary: how many tokens there are, if the input is their indices (rows, time).
        width: features inside.
        heads: of the attention; must divide the width.
        layers: how many there are.
        dropout: the probability of dropping.

    Raises:
        ConfigError: both or none of features and vocabulary are given.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.transformer_classifier(3, vocabulary=10, width=16)
        >>> model(cr.zeros((5, 7), "int64"), lengths=[7, 3, 1, 1, 2]).shape
        (5, 3)
    """
    first, _ = entrance(features, vocabulary, width)
    if first is None:
        assert features is not None
        first = nn.Linear(features, width, init="xavier_uniform")
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout, activation="gelu", norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
    return TransformerClassifier(first, encoder, width, classes)

"""A language model: a small GPT-2.

Source: Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

import functools
from typing import Any

from .. import nn
from ..engine.ops import (
    arange,
    argmax,
    concatenate,
    expand_dims,
    log,
    matmul,
    random,
    scan,
    top_k,
    transpose,
    where,
)
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError


class GPT(nn.Module):
    """Embedding with positions, causal blocks that normalise first, tied output.

    The logits are products with the vectors of the embedding: one weight, used twice (Press and
    Wolf, 2017).

    A call takes token indices (rows, time) and gives logits (rows, time, vocabulary) of
    each next token; with a ``cache`` (of `cache`) the tokens follow those in it, and the result
    is the pair (logits, new cache).

    Args:
        vocabulary: how many tokens there are.
        context: the longest sequence.
        width: features of a token.
        heads: of the attention; must divide the width.
        layers: how many blocks.
        dropout: the probability of dropping.
        rotary: rotate queries and keys by their positions (Su et al., 2021) instead of learning a
            vector for each position.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        rotary: bool = False,
    ) -> None:
        small = functools.partial(nn.init.normal, std=0.02)
        self.tokens = nn.Embedding(vocabulary, width, init=small)
        self.context = context
        self.positions = None if rotary else nn.LearnedPositions(context, width)
        self.dropout = nn.Dropout(dropout)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", norm_first=True, rotary=rotary
        )
        self.blocks = nn.TransformerEncoder(block, layers, nn.LayerNorm(width))

    def forward(self, numbers: TensorLike, cache: Any = None) -> Any:
        first = 0 if cache is None else cache[0]["position"]
        x = self.tokens(numbers)
        x = self.dropout(x if self.positions is None else self.positions(x, first))
        if cache is None:
            return self._logits(self.blocks(x, causal=True))
        x, cache = self.blocks(x, cache=cache)
        return self._logits(x), cache

    def _logits(self, x: Tensor) -> Tensor:
        return matmul(x, transpose(self.tokens.weight))

    def cache(self, rows: int, room: int) -> list[nn.AttentionCache]:
        """Empty caches of the blocks: so many rows, with room for so many tokens."""
        return self.blocks.cache(rows, room, self.tokens.weight.dtype)

    def generate(
        self,
        prompt: TensorLike,
        count: int,
        key: Tensor | None = None,
        temperature: float = 1.0,
        top: int | None = None,
    ) -> Tensor:
        """The prompt and the tokens that follow it, each sampled from the model's distribution.

        Every token is computed once: keys and values of the earlier ones are cached.

        Args:
            prompt: (rows, time), integers.
            count: how many tokens to add.
            key: random key; without one the most likely token is taken (greedy decoding).
            temperature: what logits are divided by; low values favour likely tokens.
            top: sample from so many of the most likely tokens only (top-k).

        Returns:
            (rows, time + count), int64.

        Raises:
            ShapeError: there is no token to start from, or no room for all of them.
        """
        numbers = as_tensor(prompt, "int64")
        room = self.context
        if numbers.ndim != 2 or not numbers.shape[1] or numbers.shape[1] + count > room:
            raise ShapeError(
                "The prompt does not fit the model.",
                expected=f"(rows, time), time from 1 to {room} - {count} to be added",
                found=str(numbers.type),
            )
        if count < 1:
            return numbers
        if temperature <= 0 or (top is not None and not 1 <= top <= self.tokens.num_embeddings):
            raise ConfigError("Invalid options for sampling.",
                              expected="temperature > 0, top from 1 to the vocabulary",
                              found=f"temperature={temperature}, top={top}")  # fmt: skip

        def draw(logits: Tensor, step: Any) -> Tensor:
            if key is None:
                return argmax(logits, -1)
            scaled = logits / temperature
            if top is not None:
                least = top_k(scaled, top)[0][:, -1:]
                scaled = where(scaled >= least, scaled, -float("inf"))
            # Gumbel-max: the argmax of logit + noise has the distribution of the softmax.
            u = random.uniform(random.fold_in(key, step), scaled.shape)
            return argmax(scaled - log(-log(u)), -1)

        def body(carry: Any, step: Tensor) -> tuple[Any, Tensor]:
            token, cache = carry
            logits, cache = self(expand_dims(token, 1), cache=cache)
            return (draw(logits[:, -1], step), cache), token

        logits, cache = self(numbers, cache=self.cache(numbers.shape[0], room))
        start = (draw(logits[:, -1], 0), cache)
        (last, _), tokens = scan(body, start, arange(1, count), differentiable=False)
        return concatenate([numbers, transpose(tokens), expand_dims(last, 1)], 1)


def gpt(
    vocabulary: int,
    context: int = 256,
    width: int = 128,
    heads: int = 4,
    layers: int = 4,
    dropout: float = 0.0,
    rotary: bool = False,
) -> GPT:
    """A language model that gives the logits of each next token, and continues texts.

    Args:
        vocabulary: how many tokens there are.
        context: the longest sequence.
        width: features of a token.
        heads: of the attention; must divide the width.
        layers: how many blocks.
        dropout: the probability of dropping.
        rotary: rotate queries and keys by their positions instead of learning a vector for each:
            small models then learn from far fewer texts.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.gpt(10, context=8, width=16, layers=2)
        >>> model(cr.tensor([[1, 2, 3]])).shape
        (1, 3, 10)
        >>> model.generate([[1, 2, 3]], 4, cr.random.key(0)).shape
        (1, 7)
    """
    return GPT(vocabulary, context, width, heads, layers, dropout, rotary)

"""Batches of pairs of similar length: padded no more than they need, in few different shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...training import Stream
from ...utils.typing import Array
from ..text.tokenizers import Tokenizer
from .outputs import Output
from .pairs import Pairs
from .sources import Source
from .stored import Lazily

#: The lengths of each group, as quantiles of sources and of targets, by the number of pairs from
#: which on they are worth their programs: few pairs are long, and each shape needs one.
_QUANTILES = (
    (10_000, (0.3, 0.55, 0.75, 0.9, 0.98, 1.0)),
    (500, (0.4, 0.75, 0.95, 1.0)),
    (0, (1.0,)),
)
#: Lengths are rounded up, so that training and validation set share their programs.
_ROUND = 4
#: So many scores are computed at once where the loss is only evaluated.
_SCORES = 2**23
#: So many pairs that are not in memory are read at once.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Encoded:
    """Pairs as tokens, with the lengths that they have in a batch.

    Attributes:
        sources: as `Source.prepared` gives them.
        targets: tokens of each text.
        source_lengths: (pairs,) cut to the longest that is seen.
        target_lengths: (pairs,) cut, too.
        cut: how many sources and how many targets were longer.
    """

    sources: Sequence[Any]
    targets: Sequence[Array]
    source_lengths: Array
    target_lengths: Array
    cut: tuple[int, int]


def encoded(source: Source, tokenizer: Tokenizer, output: Output, pairs: Pairs) -> Encoded:
    """Pairs as tokens; what is too long is cut.

    Of pairs that are not in memory only the lengths are: their tokens are made when needed.
    """
    if not pairs.on_disk:
        return _encoded(source, tokenizer, output, pairs)

    def at(row: int) -> Encoded:
        return _encoded(source, tokenizer, output, pairs.take(np.array([row])))

    parts = []
    for start in range(0, len(pairs), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(pairs)))
        found = _encoded(source, tokenizer, output, pairs.take(rows))
        parts.append((found.source_lengths, found.target_lengths, found.cut))
    sources, targets, cut = zip(*parts, strict=True)
    return Encoded(
        Lazily(lambda row: source.prepared([pairs.sources[row]])[0], len(pairs)),
        Lazily(lambda row: at(row).targets[0], len(pairs)),
        np.concatenate(sources).astype(np.int32), np.concatenate(targets).astype(np.int32),
        (sum(each[0] for each in cut), sum(each[1] for each in cut)),
    )  # fmt: skip


def _encoded(source: Source, tokenizer: Tokenizer, output: Output, pairs: Pairs) -> Encoded:
    sources = source.prepared(pairs.sources)
    whole = [
        source.target_tokens(tokenizer, text, item)
        for text, item in zip(pairs.target, sources, strict=True)
    ]
    targets = [tokens[: output.longest] for tokens in whole]
    lengths = source.lengths(sources)
    cut = int((lengths > source.longest).sum()), sum(len(t) > output.longest for t in whole)
    return Encoded(
        sources, targets, np.minimum(lengths, source.longest), output.length(targets), cut
    )


def sizes_of(parts: Sequence[Encoded], longest: int) -> list[tuple[int, int]]:
    """The shapes of batches: lengths of source and target, ascending.

    Args:
        parts: all that is to have its place in them.
        longest: of a source.
    """
    sources = np.concatenate([part.source_lengths for part in parts])
    targets = np.concatenate([part.target_lengths for part in parts])
    quantiles = next(each for least, each in _QUANTILES if len(sources) >= least)
    # Each side by itself: a pair with one long text must not make its group long on both.
    edges = (np.quantile(lengths, quantiles, method="higher") for lengths in (sources, targets))
    found: list[tuple[int, int]] = []
    for s, t in zip(*edges, strict=True):
        size = min(_rounded(int(s)), max(longest, int(sources.max()))), _rounded(int(t))
        if size not in found:
            found.append(size)
    return found


def _rounded(length: int) -> int:
    return -(-length // _ROUND) * _ROUND


def stream_of(
    part: Encoded, source: Source, output: Output, sizes: Sequence[tuple[int, int]]
) -> Stream:
    """Pairs in batches of the smallest of these shapes that they fit into."""
    fits = np.stack(
        [(part.source_lengths <= s) & (part.target_lengths <= t) for s, t in sizes], axis=1
    )
    groups = fits.argmax(axis=1)

    def load(rows: Array, epoch: int) -> Any:
        s, t = sizes[int(groups[rows].max())]
        arrays = source.batch([part.sources[row] for row in rows], s)
        if epoch:
            arrays = source.changed(arrays, rows, epoch)
        return output.batch(arrays, [part.targets[row] for row in rows], t)

    at_once = max(_SCORES // (sizes[-1][1] * output.classes), 1)
    return Stream(
        load, rows=len(groups), groups=groups, workers=1, at_once=1 << (at_once.bit_length() - 1)
    )

"""What a text is made from: where it stands in a table, and how it becomes numbers.

A source is a class, entered in `schema.SOURCES` under its kind. `TextSource` is for columns of
texts; another kind of source, such as `sounds.SoundSource`, is another class with the same methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import models
from ...data.schema import check_present
from ...nn import Module
from ...utils.typing import Array
from ..examples import shortened
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..text.tokenizers import (
    PADDING,
    UNKNOWN,
    CharacterTokenizer,
    Tokenizer,
    normalize,
    tokenizer_from_json,
)
from .lexicon import lexicon_of
from .vocabulary import encode_text, fit_tokenizers, words_as_tokens

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Steps of a source, and tokens of a target, at most, where no option says it.
LONGEST = 256
#: Tokens that mean something by themselves.
_WORDS = {"word", "bpe"}
#: Words of a source that the tokenizer lacks, and that can be copied.
_COPIES = 16
#: Tokens around each one of a question and its context.
_NEAR = 9


class Source(ABC):
    """A kind of source: cells of a table → items, items → arrays, and their way into the network.

    Attributes:
        kind: as in model files.
        command: of the program, that writes texts from such sources.
        unit: of lengths.
        model: that is trained by default.
        has_steps: whether a text is said step by step, so that CTC can write it.
        learned: steps of sources and tokens of texts that are learned from by default.
        batch_size: pairs in a batch.
        most_epochs: of a training on few pairs.
        metrics: that tell most about the texts, if that is known without them.
        columns: of the table that hold it.
        longest: that the network sees, in steps of `lengths`; more is cut.
    """

    kind: ClassVar[str]
    command: str
    unit: ClassVar[str] = "tokens"
    model: ClassVar[str] = "transformer"
    has_steps: ClassVar[bool] = False
    learned: ClassVar[int] = 12_000_000
    batch_size: ClassVar[int] = 64
    most_epochs: ClassVar[int] = 60
    metrics: ClassVar[tuple[str, ...]] = ()
    columns: tuple[str, ...]
    longest: int

    @abstractmethod
    def fitted(
        self, items: Sequence[Any], targets: Sequence[str], options: SequenceToTextOptions, say: Say
    ) -> tuple[Source, Tokenizer]:
        """The source with what the training items say of it, and the tokenizer of the targets."""

    @abstractmethod
    def read(self, frame: pl.DataFrame, where: str, say: Say = lambda note: None) -> list[Any]:
        """An item for each row of a table; None where the source is missing."""

    def text(self, text: str) -> str:
        """A target as it is learned and evaluated."""
        return text

    @abstractmethod
    def key(self, item: Any) -> Hashable:
        """Equal for equal sources: these stay on one side of a split."""

    @abstractmethod
    def shown(self, item: Any) -> str:
        """An item in words, for people."""

    @abstractmethod
    def prepared(self, items: Sequence[Any]) -> list[Any]:
        """Items as `lengths` and `batch` take them: what is done once for each."""

    @abstractmethod
    def lengths(self, prepared: Sequence[Any]) -> Array:
        """(items,) the length of each before it is cut."""

    @abstractmethod
    def batch(self, prepared: Sequence[Any], length: int) -> dict[str, Array]:
        """Arrays for the network: ``source`` (rows, length, …), padded, and ``lengths`` (rows)."""

    def changed(self, batch: dict[str, Array], rows: Array, epoch: int) -> dict[str, Array]:
        """A training batch with random changes that leave the texts as they are."""
        return batch

    def unfit(self, item: Any, text: Array, output: Any) -> str:
        """Why the tokens of a text cannot be learned from an item; empty where they can."""
        return ""

    def target_tokens(self, tokenizer: Tokenizer, text: str, prepared: Any) -> Array:
        """The tokens of a target, given its prepared source."""
        return encode_text(tokenizer, text)

    def text_of(self, tokenizer: Tokenizer, tokens: Array, prepared: Any) -> str:
        """The text of tokens that were written for a prepared source."""
        return tokenizer.decode(tokens.tolist()).strip()

    @abstractmethod
    def entrance(self, width: int, dropout: float) -> Module:
        """The module that makes vectors of a batch: see `chainrule.models.Seq2SeqTransformer`."""

    @abstractmethod
    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file, with ``kind``."""

    @staticmethod
    @abstractmethod
    def from_json(content: Any) -> Source:
        """What `to_json` gave; a KeyError or TypeError where it is damaged."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a source.

    Attributes:
        numbers: of the tokenizer, with an end after each text.
        unknown: words that the tokenizer lacks, each once, as far as they can be copied.
        copied: what each token is as one of the target: itself, or behind the vocabulary the
            number of an unknown word; padding where it cannot be copied.
        whole: how many there were before the source was cut.
    """

    numbers: Array
    unknown: tuple[str, ...] = ()
    copied: Array | None = None
    whole: int | None = None

    def __len__(self) -> int:
        return len(self.numbers)


class TextSource(Source):
    """Texts, of one column or of several, such as question and context.

    Tokens are those of the tokenizer; one more, `end`, stands after each of the texts.

    Args:
        columns: of the texts.
        tokenizer: makes tokens of them; it knows none before the source is fitted.
        longest: tokens that the network sees.
        copies: how many words of a source that the tokenizer lacks can be copied; None where
            nothing is copied.
        near: tokens around each one that its vector has something of: see `models.TokenEntrance`.
        matched: whether the network is told which words stand in several of the texts.
        lexicon: (vocabulary,) for each token the one of the target that it is copied as, see
            `lexicon.lexicon_of`; itself without it.
    """

    kind = "text"

    def __init__(
        self,
        columns: Sequence[str],
        tokenizer: Tokenizer = CharacterTokenizer(""),  # noqa: B008 - it never changes
        longest: int = LONGEST,
        copies: int | None = None,
        near: int = 0,
        matched: bool = False,
        lexicon: Array | None = None,
    ) -> None:
        self.copies, self.near, self.matched, self.lexicon = copies, near, matched, lexicon
        self.columns = tuple(columns)
        self.tokenizer = tokenizer
        self.longest = longest
        self.command = "answer" if len(self.columns) > 1 else "translate"

    def fitted(
        self, items: Sequence[Any], targets: Sequence[str], options: SequenceToTextOptions, say: Say
    ) -> tuple[TextSource, Tokenizer]:
        texts = [text for item in items for text in item]
        copies = self.command == "answer" if options.copy is None else options.copy
        own, other = fit_tokenizers(texts, targets, options, say, copies)
        spare = _COPIES if own.kind in ("word", "symbol") else 0
        # An answer is looked up by what stands near it. (The LSTM has that in its states.)
        is_looked_up = self.command == "answer" and (options.model or self.model) == "transformer"
        near = _NEAR if is_looked_up else 0
        found = TextSource(
            self.columns, own, copies=spare if copies else None, near=near,
            matched=self.command == "answer",
        )  # fmt: skip
        prepared = found.prepared(items)
        found.longest = options.context or min(int(found.lengths(prepared).max()), LONGEST)
        if (
            self.command == "translate"
            and options.copy is None
            and {own.kind, other.kind} <= _WORDS
        ):
            found.lexicon = lexicon_of(
                [each.numbers[:-1] for each in prepared],
                [encode_text(other, text) for text in targets], found.vocabulary, len(other),
            )  # fmt: skip
        if found.lexicon is not None:
            found.lexicon[found.end] = len(other)  # both end
            found.copies = 0
        return found, other

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return len(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, with the end."""
        return len(self.tokenizer) + 1

    def read(
        self, frame: pl.DataFrame, where: str, say: Say = lambda note: None
    ) -> list[tuple[str, ...] | None]:
        check_present(self.columns, frame.columns, where)
        return texts_of(frame, self.columns)

    def key(self, item: tuple[str, ...]) -> Hashable:
        return item

    def shown(self, item: tuple[str, ...]) -> str:
        return shortened(" | ".join(item)) if len(item) > 1 else item[0]

    def prepared(self, items: Sequence[tuple[str, ...]]) -> list[Tokens]:
        return [self._tokens(item) for item in items]

    def _tokens(self, item: tuple[str, ...]) -> Tokens:
        end = np.array([self.end], np.int32)
        texts = [encode_text(self.tokenizer, text) for text in item]
        whole = sum(map(len, texts)) + len(texts)
        if len(texts) > 1:  # of a question and a long context both are seen
            room = _shares([len(text) for text in texts], self.longest - len(texts))
            texts = [text[:most] for text, most in zip(texts, room, strict=True)]
        numbers = np.concatenate([part for text in texts for part in (text, end)])
        if self.copies is None:
            return Tokens(numbers, whole=whole)
        if self.lexicon is not None:
            return Tokens(numbers, copied=self.lexicon[numbers], whole=whole)
        copied = np.where(numbers == self.end, PADDING, numbers)
        parts_of = [words_as_tokens(self.tokenizer, text) for text in item]
        words = [word for part, text in zip(parts_of, texts, strict=True)
                 for word in (*part[: len(text)], "")] if any(parts_of) else []  # fmt: skip
        unknown: dict[str, int] = {}
        for place in np.flatnonzero(numbers == UNKNOWN):
            word = words[place] if words else ""
            if word and (word in unknown or len(unknown) < self.copies):
                copied[place] = self.vocabulary + unknown.setdefault(word, len(unknown))
            else:
                copied[place] = PADDING
        return Tokens(numbers, tuple(unknown), copied, whole)

    def lengths(self, prepared: Sequence[Tokens]) -> Array:
        whole = [len(each) if each.whole is None else each.whole for each in prepared]
        return np.array(whole, np.int64)

    def batch(self, prepared: Sequence[Tokens], length: int) -> dict[str, Array]:
        lengths = np.minimum(self.lengths(prepared), length)
        arrays = {"source": padded([p.numbers for p in prepared], length), "lengths": lengths}
        if self.copies is not None:
            arrays["copied"] = padded([p.copied for p in prepared if p.copied is not None], length)
        return arrays

    def target_tokens(self, tokenizer: Tokenizer, text: str, prepared: Tokens) -> Array:
        numbers = super().target_tokens(tokenizer, text, prepared)
        if not prepared.unknown:
            return numbers
        words = words_as_tokens(tokenizer, text)
        places = {word: self.vocabulary + n for n, word in enumerate(prepared.unknown)}
        for place in np.flatnonzero(numbers == UNKNOWN):
            numbers[place] = places.get(words[place], UNKNOWN)
        return numbers

    def text_of(self, tokenizer: Tokenizer, tokens: Array, prepared: Tokens) -> str:
        if not prepared.unknown:
            return super().text_of(tokenizer, tokens, prepared)
        between = " " if tokenizer.kind == "symbol" else ""
        known = [
            prepared.unknown[n - self.vocabulary] if n >= self.vocabulary else tokenizer.piece(n)
            for n in tokens.tolist()
        ]
        return between.join(known).strip()

    def entrance(self, width: int, dropout: float) -> Module:
        end = self.end if self.matched else None
        return models.TokenEntrance(self.vocabulary, width, self.near, end)

    def described(self) -> list[tuple[str, str]]:
        columns = "columns " + ", ".join(self.columns) if len(self.columns) > 1 else (
            f"column {self.columns[0]}")  # fmt: skip
        return [("source", f"texts, {columns}; {tokens_of(self.tokenizer)}")]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": list(self.columns), "longest": self.longest,
                "copies": self.copies, "near": self.near, "matched": self.matched,
                "lexicon": None if self.lexicon is None else self.lexicon.tolist(),
                "tokenizer": self.tokenizer.to_json()}  # fmt: skip

    @staticmethod
    def from_json(content: Any) -> TextSource:
        columns = tuple(str(name) for name in content["columns"])
        longest = content["longest"]
        copies, near = content.get("copies"), content.get("near", 0)
        if not columns or type(longest) is not int or longest < 1:
            raise TypeError("columns or longest")
        if copies is not None and (type(copies) is not int or not 0 <= copies <= LONGEST):
            raise TypeError("copies")
        if type(near) is not int or not 0 <= near <= LONGEST:
            raise TypeError("near")
        matched = content.get("matched", False)
        if type(matched) is not bool:
            raise TypeError("matched")
        tokenizer = tokenizer_from_json(content["tokenizer"])
        found = TextSource(columns, tokenizer, longest, copies, near, matched)
        if content.get("lexicon") is not None:
            found.lexicon = np.array(content["lexicon"], np.int32)
            if found.lexicon.shape != (found.vocabulary,) or found.lexicon.min() < 0:
                raise ValueError("lexicon")
        return found


def _shares(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each text is seen where they have so much room together: the longest are cut.

    Example:
        >>> _shares([6, 400], 100), _shares([90, 30, 60], 100), _shares([2, 3], 100)
        ([6, 94], [35, 30, 35], [2, 3])
    """
    found, left = list(lengths), max(room, 0)
    for rank, place in enumerate(sorted(range(len(found)), key=lambda n: lengths[n])):
        found[place] = min(lengths[place], left // (len(found) - rank))
        left -= found[place]
    return found


def texts_of(frame: pl.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...] | None]:
    """The normalised texts of some columns by row; None where one of them is empty or missing."""
    import polars as pl

    cells = [frame[name].cast(pl.String).to_list() for name in columns]
    return [
        None if any(text is None or not text.strip() for text in row)
        else tuple(normalize(text).strip() for text in row)
        for row in zip(*cells, strict=True)
    ]  # fmt: skip


def padded(sequences: Sequence[Array], length: int) -> Array:
    """Sequences of tokens as rows of one length: cut, or padded with 0.

    Example:
        >>> padded([np.array([5, 6, 7]), np.array([8])], 2).tolist()
        [[5, 6], [8, 0]]
    """
    found = np.zeros((len(sequences), length), np.int32)
    for row, tokens in zip(found, sequences, strict=True):
        row[: min(len(tokens), length)] = tokens[:length]
    return found


def tokens_of(tokenizer: Tokenizer) -> str:
    """How many tokens there are, in words."""
    unit = {"character": "characters", "word": "words", "bpe": "subword tokens",
            "symbol": "symbols between spaces"}[tokenizer.kind]  # fmt: skip
    return f"{len(tokenizer):,} {unit}"

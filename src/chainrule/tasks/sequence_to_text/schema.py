"""What was understood of pairs of source and text; it goes into the model file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ...data.json_dataclass import check_types
from ...errors import ModelFileError
from ...metrics import METRICS
from ..text.tokenizers import SPECIAL, Tokenizer, tokenizer_from_json
from .ctc_decoding import WordModel
from .ctc_output import CtcOutput
from .decoding import Decoding
from .network import SequenceShape
from .outputs import Autoregressive, Output
from .sounds import SoundSource
from .sources import Source, TextSource, tokens_of
from .word_ngrams import WordNGrams

#: By kind.
SOURCES: dict[str, type[Source]] = {each.kind: each for each in (TextSource, SoundSource)}
#: By name, and the models that have it.
OUTPUTS: dict[str, type[Output]] = {each.name: each for each in (Autoregressive, CtcOutput)}
OUTPUT_OF = {
    "transformer": Autoregressive.name,
    "lstm": Autoregressive.name,
    "ctc-lstm": CtcOutput.name,
    "ctc-transformer": CtcOutput.name,
}


@dataclass(frozen=True)
class SequenceSchema:
    """What was understood of sources and their texts.

    Attributes:
        source: what it is, where it stands, and how it becomes numbers.
        tokenizer: of the target.
        target: the column of the target; None where each text is a file.
        shape: of the network.
        decoding: how texts are found, unless something else is asked for.
        metrics: that tell most about the texts, the most telling first.
        encoding: how files are written.
        notes: warnings.
        words: `WordNGrams` of the texts, where they help to read what the network hears.
    """

    source: Source
    tokenizer: Tokenizer
    target: str | None
    shape: SequenceShape
    decoding: Decoding = field(default_factory=Decoding)
    metrics: tuple[str, ...] = ("exact_match",)
    encoding: str | None = None
    notes: tuple[str, ...] = ()
    words: Any = None

    @property
    def how(self) -> Decoding:
        """How texts are found: `decoding`, with what is known of words."""
        if self.words is None:
            return self.decoding
        return self.with_words(self.words)

    def with_words(self, words: Any, decoding: Decoding | None = None) -> Decoding:
        """How texts are found with the help of `WordNGrams`."""
        how = decoding or self.decoding
        model = WordModel(words, pieces_of(self.tokenizer), how.word_bonus)
        return replace(how, language=model)

    @property
    def output(self) -> Output:
        """How the network writes."""
        return OUTPUTS[OUTPUT_OF[self.shape.model]](len(self.tokenizer), self.shape.longest)

    @property
    def answers(self) -> bool:
        """Whether the target is an answer: the source is a question with its context."""
        return len(self.source.columns) > 1

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        shape = self.shape
        target = f"column {self.target}" if self.target else "a file each"
        tokens = "tokens as those of the source" if shape.shared else tokens_of(self.tokenizer)
        return [
            *self.source.described(),
            ("target", f"texts, {target}; {tokens}"),
            ("network", f"{shape.model} with {shape.layers} and {shape.layers} layers of "
             f"{shape.width} units, sees {self.source.longest:,} steps of a source and writes "
             f"{shape.longest:,} tokens at most"),
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        return {
            "kind": "sequence-to-text",
            "source": self.source.to_json(),
            # A tokenizer that both have stands in the file once.
            "tokenizer": None if self.shape.shared else self.tokenizer.to_json(),
            "target": self.target,
            "shape": vars(self.shape),
            "decoding": self.decoding.to_json(),
            "words": None if self.words is None else self.words.to_json(),
            "metrics": list(self.metrics),
            "encoding": self.encoding,
        }

    @staticmethod
    def from_json(content: Any, where: str) -> SequenceSchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is damaged.
        """
        try:
            source = source_from_json(content["source"])
            shape = SequenceShape(**content["shape"])
            shared = source.tokenizer if isinstance(source, TextSource) else None
            stored = content["tokenizer"]
            tokenizer = shared if stored is None else tokenizer_from_json(stored)
            if tokenizer is None:
                raise TypeError("no tokenizer")
            schema = SequenceSchema(
                source, tokenizer, content["target"], shape, Decoding(**content["decoding"]),
                tuple(content["metrics"]), content["encoding"],
                words=WordNGrams.from_json(content["words"]) if content.get("words") else None,
            )  # fmt: skip
            check_types(schema, "sequence-to-text")
            if not schema.metrics or not set(schema.metrics) <= set(METRICS):
                raise ValueError("metrics")
            if shape.model not in OUTPUT_OF or schema.output.classes != shape.classes:
                raise ValueError("the tokenizer does not fit the network")
            lexicon = getattr(source, "lexicon", None)
            if lexicon is not None and lexicon.max() > len(tokenizer):
                raise ValueError("the lexicon does not fit the tokenizer")
        except (KeyError, TypeError, ValueError) as error:
            found = f"{type(error).__name__}: {error}"[:300]
            raise ModelFileError(
                "The description of sources and texts is damaged.", where=where, found=found
            ) from None
        return schema


def source_from_json(content: Any) -> Source:
    """The source that `Source.to_json` described.

    Raises:
        ModelFileError: there is no such kind of source.
    """
    kind = content["kind"]
    if kind not in SOURCES:
        raise ModelFileError("The model is for sources of no known kind.",
                             expected=", ".join(SOURCES), found=f"{kind!r:.40}")  # fmt: skip
    return SOURCES[kind].from_json(content)


def pieces_of(tokenizer: Tokenizer) -> dict[int, str]:
    """The text of each token that is one."""
    spaced = tokenizer.kind == "symbol"
    return {
        number: tokenizer.piece(number) + " " * spaced for number in range(SPECIAL, len(tokenizer))
    }

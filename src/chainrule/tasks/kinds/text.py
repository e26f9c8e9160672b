"""Texts as a kind of data."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ..option_values import integer, text
from ..options import NETWORK, documented, option, wrong
from .columns import ColumnOptions, SplitOptions
from .kind import Kind

TOKENIZERS = ("character", "word", "bpe")
LANGUAGE_MODELS = ("gpt", "lstm")
CLASSIFIERS = ("linear", "bag", "lstm", "transformer", "tcn")
MODELS = tuple(dict.fromkeys((*CLASSIFIERS, *LANGUAGE_MODELS)))


@documented
@dataclass(frozen=True)
class TextOptions(SplitOptions, ColumnOptions):
    """Options for text; see `TrainingOptions`, too.

    The network of classes is linear, a bag, lstm, transformer or tcn, that of language a gpt or
    lstm.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = option(
        None, "For texts: linear, bag, lstm, transformer, tcn or gpt.", "NAME", NETWORK, text
    )
    tokenizer: str | None = option(
        None, "For texts: character, word or bpe.", "NAME", NETWORK, text
    )
    vocabulary: int | None = option(None, "Size of the vocabulary.", "N", NETWORK, integer)
    context: int | None = option(
        None, "Number of tokens that the network sees at once.", "N", NETWORK, integer
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS, tokenizer=TOKENIZERS)
        self._check_positive("context")
        if self.vocabulary is not None and self.vocabulary < 4:
            raise wrong("vocabulary", "4 or more", self.vocabulary)
        if self.hidden is not None and (not self.hidden or min(self.hidden) < 1):
            raise wrong("hidden", "sizes above 0, such as 128,128", self.hidden)
        if self.hidden is not None and len(set(self.hidden)) > 1:
            raise wrong("hidden", "layers of the same size, such as 128,128", self.hidden)
        if self.features is not None and len(self.features) != 1:
            raise ConfigError("Text is learned from one column.", expected="one name",
                              found=", ".join(self.features))  # fmt: skip


KIND = Kind(
    "text",
    "chainrule.tasks.text",
    TextOptions,
    noun="texts",
    new="NEW_TEXTS",
    endings=(".txt", ".md", ".rst"),
)

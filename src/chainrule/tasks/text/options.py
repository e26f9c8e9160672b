"""What a user can say about learning from text; None means that the program decides."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ..options import TrainingOptions, wrong

TOKENIZERS = ("character", "word", "bpe")
LANGUAGE_MODELS = ("gpt", "lstm")
CLASSIFIERS = ("bag", "lstm", "transformer", "tcn")
MODELS = tuple(dict.fromkeys((*CLASSIFIERS, *LANGUAGE_MODELS)))


@dataclass(frozen=True)
class TextOptions(TrainingOptions):
    """Options for text; see `TrainingOptions`, too.

    Attributes:
        features: the column that holds the text, where there are columns.
        drop: columns to leave out.
        model: the network: bag, lstm, transformer or tcn for classes, gpt or lstm for language.
        tokenizer: character, word or bpe.
        vocabulary: how many numbers the tokenizer has at most.
        context: how many tokens are seen at once: of what is written before in a language model,
            of a text that is classified.
        hidden: sizes of the layers.
        encoding: how the files are written; UTF-8 without it.

    Raises:
        ConfigError: an option has an invalid value.
    """

    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    model: str | None = None
    tokenizer: str | None = None
    vocabulary: int | None = None
    context: int | None = None
    hidden: tuple[int, ...] | None = None
    encoding: str | None = None

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

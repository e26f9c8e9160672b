"""Sequences that become texts as a kind of data: translation, spelling, answers."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ..option_values import flag, integer, number, switch, text
from ..options import DATA, NETWORK, TRAINING, documented, option, wrong
from .columns import ColumnOptions
from .kind import Kind

TOKENIZERS = ("character", "word", "bpe", "symbol")
MODELS = ("transformer", "lstm", "ctc-lstm", "ctc-transformer")
TRANSCRIPTS = ("spoken", "written")


@documented
@dataclass(frozen=True)
class SequenceToTextOptions(ColumnOptions):
    """Options for a target of texts; see `TrainingOptions`, too.

    The source is in the columns ``features``: one of texts, or several, such as question and
    context.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = option(
        None, "For targets of texts: transformer or lstm; of sounds ctc-lstm or ctc-transformer.",
        "NAME", NETWORK, text,
    )  # fmt: skip
    tokenizer: str | None = option(
        None, "For targets of texts: of source and target; symbol splits at spaces.", "NAME",
        NETWORK, text,
    )  # fmt: skip
    target_tokenizer: str | None = option(
        None, "Tokenizer of the target, if it is another one.", "NAME", NETWORK, text
    )
    vocabulary: int | None = option(None, "Size of the vocabulary.", "N", NETWORK, integer)
    context: int | None = option(
        None, "Number of tokens that the network sees at once.", "N", NETWORK, integer
    )
    label_smoothing: float | None = option(
        None, "Probability that training leaves to other tokens than the right one.", "FRACTION",
        TRAINING, number,
    )  # fmt: skip
    copy: bool | None = option(
        None, "Let the network copy from the source, or not; of itself where that is question and "
        "context, and by a lexicon where words become words.", "", NETWORK, switch,
    )  # fmt: skip
    beam: int | None = option(
        None, "Continuations of a text that are followed at once when it is written.", "N", NETWORK,
        integer,
    )  # fmt: skip

    mbr: int | None = option(
        None, "Draw so many texts, such as 32, and write the one of them and of the beam that is "
        "most like these, by chrF, not the likeliest (minimum Bayes risk).", "N", NETWORK, integer,
    )  # fmt: skip
    transcripts: str | None = option(
        None, "Texts of sounds: spoken, in lower case without punctuation, or as they are written.",
        "spoken|written", DATA, text,
    )  # fmt: skip
    language_model: str | None = option(
        None, "What helps to read sounds: the words of the training, none, or a file of sentences.",
        "words|none|FILE", NETWORK, text,
    )  # fmt: skip
    sample_rate: int | None = option(
        None, "Sample rate that sounds are resampled to.", "N", DATA, integer
    )
    seconds: float | None = option(
        None, "Seconds of a sound that are heard at most.", "X", DATA, number
    )
    skip_bad: bool = option(
        False, "Leave out files that cannot be read, and list them.", "", DATA, flag
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(transcripts=TRANSCRIPTS)
        self._check_positive("seconds")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 96_000:
            raise wrong("sample_rate", "from 1,000 to 96,000, such as 16000", self.sample_rate)
        self._check_known(model=MODELS, tokenizer=TOKENIZERS, target_tokenizer=TOKENIZERS)
        self._check_positive("context", "beam")
        if self.vocabulary is not None and self.vocabulary < 4:
            raise wrong("vocabulary", "4 or more", self.vocabulary)
        if self.label_smoothing is not None and not 0 <= self.label_smoothing < 1:
            raise wrong("label_smoothing", "from 0 up to but without 1", self.label_smoothing)
        if self.hidden is not None and (not self.hidden or min(self.hidden) < 1):
            raise wrong("hidden", "sizes above 0, such as 128,128", self.hidden)
        if self.hidden is not None and len(set(self.hidden)) > 1:
            raise wrong("hidden", "layers of the same size, such as 128,128", self.hidden)
        features = self.features or ()
        if self.target in features:
            raise ConfigError("The target is no source.", expected="other columns",
                              found=", ".join(features))  # fmt: skip
        if self.copy and self.label_smoothing:
            raise ConfigError("A network that copies is trained without label smoothing.",
                              found=f"copy and label_smoothing={self.label_smoothing}",
                              hint="Omit one of the two.")  # fmt: skip
        if self.mbr is not None and self.mbr < 0:
            raise wrong("mbr", "0 or more", self.mbr)
        if self.balance:
            raise ConfigError("Only classes can be balanced.", hint="Omit --balance.")


KIND = Kind(
    "sequence-to-text",
    "chainrule.tasks.sequence_to_text",
    SequenceToTextOptions,
    noun="sources of texts",
    new="NEW_SOURCES.csv",
    told_by=frozenset({"target_tokenizer", "label_smoothing", "beam", "mbr"}),
)

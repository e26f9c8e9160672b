"""From a text to a language model, and from a language model to a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import source_name
from ...data.json_dataclass import check_types
from ...drawing.blocks import Section
from ...engine.backends.base import Backend
from ...engine.tensor import as_tensor
from ...errors import ConfigError, DataError, ModelFileError
from ...nn import Module
from ...serialization import SavedModel
from ...training import Arrays, Trainer
from ...utils.typing import Array
from ..examples import Examples, RawRow, check_rows, shortened
from ..kinds.text import LANGUAGE_MODELS, TextOptions
from ..plan import Examples as Encoded
from ..plan import Learner, Plan, Recipe, Split
from ..tested import Tested
from ..warm_start import named_model
from . import inspection
from .generate import generate
from .language_network import (
    LanguageShape,
    characters_of,
    counting_baselines,
    next_token_loss,
    scores,
    surprises,
    windows,
)
from .reading import read_texts
from .tokenizers import Tokenizer, fit_tokenizer, tokenizer_from_json

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

_CONTEXT = 128
_VOCABULARY = {"character": 8192, "word": 10_000, "bpe": 1000}
_HIDDEN = {"gpt": (128, 128, 128, 128), "lstm": (256,)}
#: Found on plays; see docs/text.md.
_RATES = {"gpt": 3e-3, "lstm": 5e-3}
_BATCHES = {"gpt": 8, "lstm": 16}
#: So many tokens are learned from by default, a small text several times: less than ten minutes
#: on two cores.
_TOKENS = {"gpt": 8_000_000, "lstm": 10_000_000}
_MOST_EPOCHS = 20
#: Fraction of the text in the validation set, and in the test set.
_HELD_OUT = 0.05


UNITS = {
    "character": ("character", "characters"),
    "word": ("word", "words"),
    "bpe": ("piece", "subword tokens"),
}


@dataclass(frozen=True)
class LanguageSchema:
    """What was understood of a text to be continued; it goes into the model file.

    Attributes:
        tokenizer: what makes token indices of the text.
        shape: of the network.
        encoding: how the files are written.
        notes: warnings.
    """

    tokenizer: Tokenizer
    shape: LanguageShape
    encoding: str | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        one, all_of_them = UNITS[self.tokenizer.kind]
        shape = self.shape
        return [
            ("text", f"to be continued, {one} by {one}"),
            ("vocabulary", f"{len(self.tokenizer):,} {all_of_them}"),
            ("network", f"{shape.model} with {shape.layers} layers of {shape.width} units, "
             f"context {shape.context}"),
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        return {"kind": "text", "task": "language", "tokenizer": self.tokenizer.to_json(),
                "shape": vars(self.shape), "encoding": self.encoding}  # fmt: skip

    @staticmethod
    def from_json(content: Any, where: str) -> LanguageSchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is damaged.
        """
        try:
            tokenizer = tokenizer_from_json(content["tokenizer"])
            shape = LanguageShape(**content["shape"])
        except (KeyError, TypeError) as error:
            raise ModelFileError("The description of the language model is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip
        if len(tokenizer) != shape.vocabulary:
            raise ModelFileError("The tokenizer does not fit the network.", where=where,
                                 expected=f"{shape.vocabulary} numbers",
                                 found=str(len(tokenizer)))  # fmt: skip
        schema = LanguageSchema(tokenizer, shape, content.get("encoding"))
        check_types(schema, "text")
        return schema


class Passage:
    """A part of a text.

    Args:
        text: as it is.
        where: it comes from, for messages.
    """

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        self._encoded: tuple[Tokenizer | None, Array] = (None, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.text)

    @property
    def target(self) -> str:
        """Each token is to be predicted."""
        return self.text

    def tokens(self, tokenizer: Tokenizer) -> Array:
        """Token indices; the last ones are kept, as encoding a long text takes its time."""
        if self._encoded[0] is not tokenizer:
            self._encoded = tokenizer, tokenizer.encode(self.text)
        return self._encoded[1]


class LanguageModelling(Plan[Passage, Passage, LanguageSchema]):
    """A text to be continued: a network predicts the next token.

    The text is cut in three parts, in its order: the first trains, the second chooses the best
    weights, and the report is on the last. The vocabulary is that of the first.
    """

    kind, task, unit = "text", "language", "characters"
    options: TextOptions

    def __init__(self, options: TextOptions, say: Say = lambda sentence: None) -> None:
        super().__init__(options, say)
        self.saved = named_model(options)

    def read(self, source: Any) -> Passage:
        """The text of a file or a folder."""
        _check(self.options)
        if not isinstance(source, str | Path):
            raise DataError("A language model learns from a file or a folder of texts.",
                            where=source_name(source))  # fmt: skip
        text = read_texts(Path(source), self.options.encoding, self.say)
        return Passage(text, source_name(source))

    def split(self, data: Passage) -> Split[Passage]:
        """In the order of the text."""
        parts = _parts(data.text, self.options, self.say)
        return Split(*(Passage(part, data.where) for part in parts))

    def understand(self, split: Split[Passage]) -> LanguageSchema:
        """The vocabulary of the training part, or that of the model to start from."""
        # The indices of the tokens must mean the same to the weights that are taken over.
        if self.saved is None:
            return _schema(split.train.text, self.options)
        return LanguageSchema.from_json(self.saved.schema, str(self.options.from_model))

    def check(self, schema: LanguageSchema, split: Split[Passage]) -> Split[Passage]:
        """Each part is long enough."""
        _check_length(schema, split)
        return split

    def size(self, data: Passage) -> dict[str, Any]:
        """How many characters there are."""
        return {"rows": len(data)}

    def build(self, schema: LanguageSchema, split: Split[Passage]) -> Learner:
        """The network of the schema's sizes."""
        note = (
            f"the next {len(split.validation):,} choose the best weights, the last "
            f"{len(split.test or ()):,} are the test set"
        )
        return learner_of(schema, schema.shape.build().initialize(self.options.seed), note)

    def encode(self, schema: LanguageSchema, learner: Learner, part: Passage) -> Arrays:
        """Windows of tokens, and for each token the one that follows."""
        return Arrays(*windows(part.tokens(schema.tokenizer), schema.shape.context))

    def recipe(self, schema: LanguageSchema, learner: Learner, examples: Encoded) -> Recipe:
        """So many tokens are learned from; rates by network."""
        model, tokens = schema.shape.model, len(examples) * schema.shape.context
        return Recipe.of(
            self.options, len(examples), batch_size=_BATCHES[model],
            epochs=max(round(_TOKENS[model] / tokens), 1), most_epochs=_MOST_EPOCHS,
            lr=_RATES[model], weight_decay=0.1, clip=1.0,
        )  # fmt: skip

    def profile(self, schema: LanguageSchema, split: Split[Passage]) -> list[Section]:
        """The tokens, and how the text begins."""
        counts = split.counts(self.unit)
        return inspection.language_profile(schema, counts, split.train.text)

    def inside(self, tested: Tested) -> list[Section]:
        """How surprising the test text is, what the model writes, what it attends to."""
        return inspection.language_inside(self, tested)

    def about(self, schema: LanguageSchema) -> dict[str, Any]:
        """What is predicted."""
        return {"task": "language", "target": f"the next {UNITS[schema.tokenizer.kind][0]}"}

    def predict(
        self, schema: LanguageSchema, learner: Learner, trainer: Trainer | None, part: Passage
    ) -> float:
        """Σ -ln p over the tokens of a part."""
        tokens = part.tokens(schema.tokenizer)
        return _surprise(learner.network, tokens, schema, self.backend)

    def score(self, schema: LanguageSchema, part: Passage, predicted: float) -> dict[str, float]:
        """Nats and bits per character, perplexity."""
        return _scores(schema, part.tokens(schema.tokenizer), predicted)

    def baselines(
        self, schema: LanguageSchema, split: Split[Passage], test: Passage
    ) -> dict[str, float]:
        """What counting characters, and pairs of them, reaches."""
        train, later = (part.tokens(schema.tokenizer) for part in (split.train, test))
        return counting_baselines(train, later, len(schema.tokenizer))


def learner_of(schema: LanguageSchema, network: Module, note: str = "") -> Learner:
    """What is trained of a network that predicts the next token."""
    shape = schema.shape
    name = f"a {shape.model} that sees {shape.context:,} tokens"
    return Learner(network, next_token_loss, name, note=note)


def evaluate_language(
    network: Module, tokens: Array, schema: LanguageSchema, backend: str | Backend = "auto"
) -> dict[str, float]:
    """The metrics of a language model on a text."""
    return _scores(schema, tokens, _surprise(network, tokens, schema, backend))


def _surprise(
    network: Module, tokens: Array, schema: LanguageSchema, backend: str | Backend
) -> float:
    return float(surprises(network, tokens, schema.shape.context, backend).sum())


def _scores(schema: LanguageSchema, tokens: Array, nats: float) -> dict[str, float]:
    return scores(nats, len(tokens) - 1, characters_of(tokens[1:], schema.tokenizer))


def _check(options: TextOptions) -> None:
    if options.model is not None and options.model not in LANGUAGE_MODELS:
        raise ConfigError(f"The model {options.model!r} does not continue texts.",
                          expected=", ".join(LANGUAGE_MODELS),
                          hint="To predict classes, give a table and --target, or a folder of "
                          "class folders.")  # fmt: skip
    options.check_no_columns("a text to be continued, whose last part is the test set")
    if options.balance:
        raise ConfigError("Only classes can be balanced.", hint="Omit --balance.")


def _parts(text: str, options: TextOptions, say: Say) -> tuple[str, str, str]:
    """The text in three parts; the last may be a file of its own."""
    held = options.validation or _HELD_OUT
    if isinstance(options.test, str):
        cut = int(len(text) * (1 - held))
        return text[:cut], text[cut:], read_texts(Path(options.test), options.encoding, say)
    last = options.test or _HELD_OUT
    if held + last >= 1:
        raise ConfigError("Nothing is left to train on.", expected="less than 1 in all",
                          found=f"validation={held}, test={last}")  # fmt: skip
    first, second = int(len(text) * (1 - held - last)), int(len(text) * (1 - last))
    return text[:first], text[first:second], text[second:]


def _schema(text: str, options: TextOptions) -> LanguageSchema:
    """The vocabulary of the training part, and the sizes of the network."""
    kind = options.tokenizer or "character"
    most = options.vocabulary or _VOCABULARY[kind]
    tokenizer = fit_tokenizer(kind, [text], most, exact=True)
    model = options.model or "gpt"
    hidden = options.hidden or _HIDDEN[model]
    context = options.context or min(_CONTEXT, max(len(text) // 200, 8))
    shape = LanguageShape(
        model, len(tokenizer), context, hidden[0], len(hidden), options.dropout or 0.0
    )
    return LanguageSchema(tokenizer, shape, options.encoding)


def _check_length(schema: LanguageSchema, split: Split[Passage]) -> None:
    """Each part must be as long as the context, the test part 2 tokens."""
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    counts = {name: len(part.tokens(schema.tokenizer)) for name, part in parts.items() if part}
    for name, count in counts.items():
        needed = 2 if name == "test" else schema.shape.context + 1
        if count < needed:
            raise DataError(
                "The text is shorter than the context."
                if name == "training"
                else f"The {name} part of the text is too short.",
                where=split.train.where,
                expected=f"{needed:,} tokens at least in the {name} part",
                found=f"{count:,}; the whole text has {sum(counts.values()):,}",
                hint="Give more text, or a smaller --context.",
            )


# ---- use -----------------------------------------------------------------------------------------


class LanguageModel:
    """A saved language model: a `chainrule.tasks.Predictor` that writes."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        self.saved = saved
        self.schema = LanguageSchema.from_json(saved.schema, path)
        self.record = saved.record
        self.network = self.schema.shape.rebuild(saved.state())
        self._path = path

    @property
    def classes(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
        say: Say = lambda sentence: None,
    ) -> Iterator[str]:
        """What follows a prompt; see `chainrule.tasks.text.generate`."""
        return generate(
            self.network, self.schema.tokenizer, self.schema.shape.context, prompt, length,
            temperature=temperature, top_k=top_k, seed=seed, say=say,
        )  # fmt: skip

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """A language model has no target.

        Raises:
            ConfigError: always; it says what to do instead.
        """
        raise ConfigError(
            "A language model continues texts.",
            where=self._path,
            hint=f"chainrule generate {self._path} --prompt 'Once upon'",
        )

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """How well it predicts each next token of a text."""
        return evaluate_language(self.network, self._numbers(source, say), self.schema)

    def _numbers(self, source: Any, say: Say) -> Array:
        text = read_texts(Path(source), self.schema.encoding, say)
        numbers = self.schema.tokenizer.encode(text)
        if len(numbers) < 2:
            raise DataError("The text is too short.", where=str(source), expected="2 tokens",
                            found=str(len(numbers)))  # fmt: skip
        return numbers

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Windows of a text, side by side; what is to be predicted is the token after each.

        A text that is shorter than what the network sees is a window by itself.

        Raises:
            DataError: there is no such window.
        """
        tokenizer, numbers = self.schema.tokenizer, self._numbers(source, say)
        given, following = windows(numbers, min(self.schema.shape.context, len(numbers) - 1))
        check_rows(rows, len(given), str(source), "Windows of the text are counted from 0.")
        given, following = given[list(rows)], following[list(rows)]
        letters = tuple(tokenizer.decode([token]) for token in given[0].tolist())
        raw = tuple(
            RawRow(
                row,
                ({"column": "text", "text": shortened(tokenizer.decode(given[place])),
                  "encoded": f"{len(given[place]):,} tokens", "input": "x"},),
                {"column": "following text", "text": shortened(tokenizer.decode(following[place]))},
                self._likeliest(given[place]),
                name=f"Window {row} of the text",
            )
            for place, row in enumerate(rows)
        )  # fmt: skip
        labels = {"x": letters} if len(rows) == 1 else {}
        return Examples(given, following, next_token_loss, raw, self.network, labels=labels)

    def _likeliest(self, tokens: Array, count: int = 5) -> str:
        """The tokens that most likely come after a window, with their probabilities."""
        logits = self.network(as_tensor(tokens[None])).numpy()[0, -1].astype(float)
        odds = np.exp(logits - logits.max())
        best = np.argsort(-odds)[:count]
        return ", ".join(
            f"{self.schema.tokenizer.decode(best[i : i + 1])!r} ({odds[one] / odds.sum():.1%})"
            for i, one in enumerate(best)
        )
